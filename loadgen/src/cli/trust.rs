//! Flags that say which certificates of an `https://` target are believed.

use std::path::PathBuf;

use clap::Args;

use crate::engine::Trust;

/// Whom a command trusts.
#[derive(Debug, Args)]
pub(super) struct TrustArgs {
    /// Trust the certificates in this PEM file instead of the system's (https:// targets)
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Check no certificate of an https:// target
    #[arg(long, conflicts_with = "ca")]
    insecure: bool,
}

impl TrustArgs {
    /// The certificates that are believed.
    pub(super) fn trust(&self) -> Trust {
        match &self.ca {
            Some(path) => Trust::File(path.clone()),
            None if self.insecure => Trust::Anything,
            None => Trust::System,
        }
    }

    /// The flag that was given, if one was.
    pub(super) fn given(&self) -> Option<&'static str> {
        match self.ca {
            Some(_) => Some("--ca"),
            None => self.insecure.then_some("--insecure"),
        }
    }
}
