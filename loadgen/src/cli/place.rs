//! Flags that say where a target listens and what is shown to it, in place of its file's.

use std::path::PathBuf;

use clap::Args;
use servers::contract::Target;

use crate::error::{Error, Result};

/// Where a target listens, and what is shown to it.
#[derive(Debug, Args)]
pub(super) struct PlaceArgs {
    /// Show the certificate in this PEM file to an https:// server that asks for one (mTLS)
    #[arg(long, value_name = "FILE", requires = "client_key")]
    client_cert: Option<PathBuf>,
    /// Sign with the key in this PEM file, which is that of --client-cert
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    client_key: Option<PathBuf>,
    /// Connect to the Unix socket at this path; the Host header stays that of the URL
    #[arg(long, value_name = "PATH")]
    unix_socket: Option<PathBuf>,
}

impl PlaceArgs {
    /// Puts what was given into a target, which may be an arm of ours.
    ///
    /// # Errors
    /// `Config` when it is one, and something was given.
    pub(super) fn shape(&self, target: &mut Target, arm: Option<&str>) -> Result<()> {
        if let Some(arm) = arm {
            return self.refuse(arm);
        }
        if self.client_cert.is_some() {
            target.client_cert.clone_from(&self.client_cert);
            target.client_key.clone_from(&self.client_key);
        }
        if self.unix_socket.is_some() {
            target.unix_socket.clone_from(&self.unix_socket);
        }
        Ok(())
    }

    /// Refuses what was given for an arm of ours.
    ///
    /// # Errors
    /// `Config` when something was given.
    pub(super) fn refuse(&self, arm: &str) -> Result<()> {
        let given = [("--client-cert", &self.client_cert), ("--unix-socket", &self.unix_socket)];
        let given = given.iter().find(|(_, path)| path.is_some());
        given.map_or(Ok(()), |(flag, _)| {
            Err(Error::Config(format!(
                "{flag} is about a server that runs already, found --arm {arm}; give --target \
                 instead"
            )))
        })
    }
}
