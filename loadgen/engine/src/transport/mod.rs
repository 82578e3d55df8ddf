//! How requests leave and answers arrive: the seam between the engine and the network.

mod budget;
mod chunks;
mod examine;
mod familiar;
mod http1;
mod inbound;
mod lean;
#[cfg(any(test, feature = "scripted"))]
pub mod mock;
mod outcome;
mod pacing;
mod queue;
mod realistic;
mod socket;
mod stream;
mod tls;

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use budget::Budget;
pub use http1::Whole;
pub use inbound::{Arrival, Inbound, Reader};
pub use lean::{Lean, OPENING_MAX};
pub use outcome::{ERROR_CLASSES, Failure, Outcome, error_class_name};
pub use pacing::Pacing;
pub use realistic::Realistic;
pub use tls::{Tls, TlsError, Trust};

use crate::journey::{Answer, Who};

/// Connections of one worker, and their time.
///
/// A [`Transport`] owns a fixed number of connections of one worker. The engine starts a request on
/// an idle connection and later hears of its end; it never waits for one. Time comes from the
/// transport too, so that a mock with a clock set by hand makes the engine's tests exact. A
/// transport must never send a request twice: an unsolicited retry is a wrong figure. What the
/// server says it did not process is no exception but a first sending, and is counted.
pub trait Transport {
    /// Nanoseconds since the start that all workers of a load share.
    fn now(&mut self) -> u64;

    /// Opens the connections that are not open yet, as far as it gets until `until_ns`, and before
    /// any request is under way. It returns early when all are open, and when one failed.
    ///
    /// # Errors
    /// As [`Transport::poll`].
    fn open(&mut self, until_ns: u64) -> std::io::Result<Opening>;

    /// Starts request `request` of the script on an idle connection, opening it where needed.
    fn start(&mut self, connection: usize, request: usize, who: Who<'_>);

    /// Gives up the request on this connection and closes it; its end is not reported any more.
    fn abort(&mut self, connection: usize);

    /// Reports requests that have ended, waiting for the first until `until` at most. It may return
    /// early without any.
    ///
    /// # Errors
    /// When the operating system no longer tells of events; no request's failure is such an error.
    fn poll(&mut self, until: Until, ended: impl FnMut(Ended<'_>)) -> std::io::Result<()>;

    /// What went over the wire so far; `None` where the transport cannot see it.
    fn wire(&self) -> Option<Wire>;

    /// Why TLS failed first, a clause for people; `None` where it did not.
    fn reason(&self) -> Option<&str> {
        None
    }

    /// Requests that were sent again because the server said that it had not processed them.
    fn resent(&self) -> u64 {
        0
    }

    /// The versions of HTTP that answers came in, `1.1` for example.
    fn http(&self) -> &'static str {
        "1.1"
    }
}

/// Which transport a load goes through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransportKind {
    /// [`Lean`].
    #[default]
    Lean,
    /// [`Realistic`], which speaks HTTP/2 over TLS where the server does.
    Reqwest {
        /// It speaks HTTP/2 and nothing else, over plain connections as well.
        http2_only: bool,
    },
}

impl fmt::Display for TransportKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lean => "lean",
            Self::Reqwest { .. } => "reqwest",
        })
    }
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// At an address of TCP.
    Address(SocketAddr),
    /// At a Unix socket, by its path.
    Socket(Arc<Path>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Socket(path) => path.display().fmt(f),
        }
    }
}

/// The server that connections lead to.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Where it listens.
    pub place: Place,
    /// What TLS needs; `None` for plain connections.
    pub tls: Option<Tls>,
    /// How its answers are read.
    pub reader: Reader,
}

/// How far connections have been opened ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// How many are open.
    pub opened: usize,
    /// Why one could not be, the first that failed.
    pub failed: Option<Failure>,
}

/// How long a transport may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Until {
    /// The moment, ns.
    pub ns: u64,
    /// Whether a request is due then, so that it has to be met and not only reached.
    pub due: bool,
}

/// The end of one request.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    /// The connection it was on, which is idle again.
    pub connection: usize,
    /// When it was started, ns. Opening the connection, where that was needed, comes after.
    pub sent_ns: u64,
    /// When its last byte was read, ns.
    pub done_ns: u64,
    /// The answer, or why none came.
    pub result: Result<Answer<'a>, Failure>,
}

/// Counters of a transport since its start. Over TLS the bytes are those on the socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wire {
    /// Bytes written to sockets.
    pub bytes_sent: u64,
    /// Bytes read from sockets.
    pub bytes_received: u64,
    /// Connections that were opened.
    pub connects: u64,
    /// Connections the other side closed, whether a request was waiting on them or not.
    pub closed_by_server: u64,
}

impl Wire {
    /// Adds what another transport counted.
    pub const fn merge(&mut self, other: &Self) {
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
        self.connects += other.connects;
        self.closed_by_server += other.closed_by_server;
    }
}
