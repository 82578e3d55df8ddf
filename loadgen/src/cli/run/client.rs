//! Flags of `authbench run` that say how requests go out and whom they trust.

use clap::{Args, ValueEnum};

use super::super::place::PlaceArgs;
use super::super::trust::TrustArgs;
use super::connect_to::ConnectTo;
use crate::engine::{Addresses, TransportKind, Trust};
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
    #[command(flatten)]
    pub(super) place: PlaceArgs,
    /// Connect to HOST2:PORT2 for HOST1:PORT1, `example.org:443:127.0.0.1:8443`
    ///
    /// The Host header, the TLS name and the certificate stay those of HOST1. An empty HOST1 or
    /// PORT1 is any, an empty HOST2 or PORT2 stays as it is. Several are tried in order.
    #[arg(long, value_name = "HOST1:PORT1:HOST2:PORT2",
          conflicts_with_all = ["arm", "unix_socket"])]
    connect_to: Vec<ConnectTo>,
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

    /// Whether that is another place than the target's host and port.
    pub(super) const fn connects_elsewhere(&self, script: &Script) -> bool {
        !self.connect_to.is_empty() || script.unix_socket.is_some()
    }

    /// Where the target is connected to.
    ///
    /// # Errors
    /// `Config` when no --connect-to is about the target, or the transport cannot do it; `Target`
    /// when the host has no address.
    pub(super) fn addresses(&self, script: &Script) -> Result<Addresses> {
        let (host, port) = script.host_and_port();
        let Some(first) = self.connect_to.first() else { return Addresses::of_target(script) };
        if let Some(path) = &script.unix_socket {
            return Err(Error::Config(format!(
                "expected --connect-to or a `unix_socket` in the target file, found `{first}` and \
                 {}; take one of them out",
                path.display()
            )));
        }
        if self.transport == Name::Reqwest {
            return Err(Error::Config(
                "--connect-to needs --transport lean: reqwest connects to the port of the URL"
                    .into(),
            ));
        }
        let place = self.connect_to.iter().find_map(|rule| rule.place(host, port));
        let (host, port) = place.ok_or_else(|| {
            Error::Config(format!(
                "expected a --connect-to about the target, which is at {host}:{port}, found \
                 `{first}`; an empty host and port are any: `::HOST2:PORT2`"
            ))
        })?;
        Addresses::of(&host, port)
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
