//! Flags of `authbench run` that say how requests go out and whom they trust.

use clap::{Args, ValueEnum};

use super::super::trust::TrustArgs;
use crate::engine::{TransportKind, Trust};
use crate::error::{Error, Result};
use crate::journey::Script;

/// `--transport`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Name {
    /// The one that campaigns measure with: HTTP/1.1, at the least CPU time per request
    Lean,
    /// What an ordinary client does, HTTP/2 over TLS included, at several times the CPU time
    Reqwest,
}

/// How requests go out.
#[derive(Debug, Args)]
pub(super) struct ClientArgs {
    /// Send requests through lean or reqwest
    ///
    /// reqwest does what an ordinary client does, HTTP/2 over TLS included, at several times the
    /// CPU time.
    #[arg(
        long,
        value_name = "NAME",
        value_enum,
        hide_possible_values = true,
        default_value = "lean"
    )]
    transport: Name,
    /// Speak HTTP/2 only, even over plain connections (--transport reqwest)
    #[arg(long)]
    http2: bool,
    #[command(flatten)]
    trust: TrustArgs,
}

impl ClientArgs {
    /// The transport that was asked for.
    ///
    /// # Errors
    /// `Config` when it cannot do what was asked of it.
    pub(super) fn transport(&self) -> Result<TransportKind> {
        match self.transport {
            Name::Lean if self.http2 => Err(Error::Config(
                "--http2 needs --transport reqwest: the lean transport speaks HTTP/1.1 only".into(),
            )),
            Name::Lean => Ok(TransportKind::Lean),
            Name::Reqwest => Ok(TransportKind::Reqwest { http2_only: self.http2 }),
        }
    }

    /// Which certificates the target may show.
    ///
    /// # Errors
    /// `Config` when the target shows none.
    pub(super) fn trust(&self, script: &Script) -> Result<Trust> {
        match self.trust.given() {
            Some(flag) if !script.tls => Err(Error::Config(format!(
                "{flag} is about the certificate of an https:// target; found {}",
                script.origin()
            ))),
            _ => Ok(self.trust.trust()),
        }
    }
}
