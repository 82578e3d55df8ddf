//! Flags of `authbench run` that say how requests go out and whom they trust.

use std::path::PathBuf;

use clap::Args;

use crate::engine::{Driver, Trust};
use crate::error::{Error, Result};

/// How requests go out.
#[derive(Debug, Args)]
pub(super) struct ClientArgs {
    /// Trust the certificates in this PEM file in place of the system's, for an https:// target
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Check no certificate of an https:// target
    #[arg(long, conflicts_with = "ca")]
    insecure: bool,
}

impl ClientArgs {
    /// Tells the driver what was asked for.
    ///
    /// # Errors
    /// `Config` when the flags do not fit the target.
    pub(super) fn apply(&self, driver: &mut Driver) -> Result<()> {
        let flag = if self.insecure { "--insecure" } else { "--ca" };
        if (self.insecure || self.ca.is_some()) && !driver.script.tls {
            return Err(Error::Config(format!(
                "{flag} is about the certificate of an https:// target; found {}",
                driver.script.origin()
            )));
        }
        driver.trust = match &self.ca {
            Some(path) => Trust::File(path.clone()),
            None if self.insecure => Trust::Anything,
            None => Trust::System,
        };
        Ok(())
    }
}
