//! How requests leave and answers arrive: the seam between the engine and the network.

mod budget;
mod chunks;
mod http1;
mod inbound;
mod lean;
#[cfg(any(test, feature = "scripted"))]
pub mod mock;
mod pacing;
mod queue;
mod realistic;
mod socket;
mod stream;
mod tls;

use std::fmt;
use std::net::SocketAddr;

pub use budget::Budget;
pub use http1::Whole;
pub use inbound::{Arrival, Inbound, Reader};
pub use lean::{Lean, OPENING_MAX};
pub use pacing::Pacing;
pub use realistic::Realistic;
pub use tls::{Tls, TlsError, Trust};

use crate::journey::{Answer, CREDENTIAL_BYTES_MAX, Who};
use crate::limits::Limit;

/// Connections of one worker, and their time.
///
/// A [`Transport`] owns a fixed number of connections of one worker. The engine starts a request on
/// an idle connection and later hears of its end; it never waits for one. Time comes from the
/// transport too, so that a mock with a clock set by hand makes the engine's tests exact. A
/// transport must never send a request twice: a retry nobody asked for is a wrong figure. What the
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

/// The server that connections lead to.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
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
    /// The answer, or why there is none.
    pub result: Result<Answer<'a>, Failure>,
}

/// Counters of a transport since its start. Over TLS the bytes are those on the socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nobody listens at the address.
    ConnectRefused,
    /// The connection could not be opened for another reason.
    Connect,
    /// This process has no file descriptor left; the generator's limit, not the server's fault.
    NoDescriptors,
    /// This machine has no local port left; the generator's limit, not the server's fault.
    NoPorts,
    /// The server reset the connection.
    Reset,
    /// The server closed the connection before the first byte of the answer.
    Closed,
    /// The server closed the connection in the middle of the answer.
    Truncated,
    /// The answer is not HTTP/1.1.
    Malformed,
    /// The answer exceeds this limit.
    Over(Limit),
    /// There was no answer in time.
    Timeout,
    /// TLS failed: the server's certificate was not accepted, or what came was no TLS.
    Tls,
}

/// How a request ended, in the classes that a record counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The right answer came.
    Ok,
    /// There was no answer.
    Failed(Failure),
    /// An answer with the wrong status came.
    Status(u16),
    /// An answer came that names another user, or none.
    WrongUser,
    /// An answer came whose body is in a coding that nobody here decodes, such as gzip.
    Encoded,
    /// A login was answered without a credential.
    NoCredential,
    /// A login was answered with a credential longer than [`CREDENTIAL_BYTES_MAX`].
    LongCredential,
}

/// Names of the classes of errors but for statuses, at their indices.
const NAMED_CLASSES: [&str; 20] = [
    "connect_refused",
    "connect",
    "no_descriptors",
    "no_ports",
    "reset",
    "closed",
    "truncated",
    "malformed",
    "timeout",
    "tls",
    "wrong_user",
    "no_credential",
    "long_credential",
    "head_too_large",
    "too_many_fields",
    "too_many_interim",
    "body_too_large",
    "framing_too_large",
    "buffer_full",
    "encoded",
];

/// Statuses have three digits (RFC 9112, 4), and one class each behind the others.
const STATUSES: usize = 1000;
/// How many classes of errors there are.
pub const ERROR_CLASSES: usize = NAMED_CLASSES.len() + STATUSES;

/// Name of the class of errors at this index, `timeout` or `status_404` for example.
pub fn error_class_name(index: usize) -> String {
    let status = || format!("status_{}", index - NAMED_CLASSES.len());
    NAMED_CLASSES.get(index).map_or_else(status, |name| (*name).into())
}

impl Outcome {
    /// Index of its class below [`ERROR_CLASSES`]; `None` for a right answer.
    pub const fn error_class(self) -> Option<usize> {
        Some(match self {
            Self::Ok => return None,
            Self::Failed(failure) => failure.class(),
            Self::WrongUser => 10,
            Self::NoCredential => 11,
            Self::LongCredential => 12,
            Self::Encoded => 19,
            Self::Status(status) if (status as usize) < STATUSES => {
                NAMED_CLASSES.len() + status as usize
            }
            Self::Status(_) => Failure::Malformed.class(),
        })
    }
}

impl Failure {
    /// Index into [`NAMED_CLASSES`].
    const fn class(self) -> usize {
        match self {
            Self::ConnectRefused => 0,
            Self::Connect => 1,
            Self::NoDescriptors => 2,
            Self::NoPorts => 3,
            Self::Reset => 4,
            Self::Closed => 5,
            Self::Truncated => 6,
            Self::Malformed => 7,
            Self::Timeout => 8,
            Self::Tls => 9,
            Self::Over(limit) => 13 + limit as usize,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("the right answer"),
            Self::Failed(Failure::ConnectRefused) => f.write_str("connection refused"),
            Self::Failed(Failure::Connect) => f.write_str("no connection"),
            Self::Failed(Failure::NoDescriptors) => f.write_str("no file descriptor left"),
            Self::Failed(Failure::NoPorts) => f.write_str("no local port left"),
            Self::Failed(Failure::Reset) => f.write_str("connection reset"),
            Self::Failed(Failure::Closed) => f.write_str("connection closed without an answer"),
            Self::Failed(Failure::Truncated) => f.write_str("connection closed within the answer"),
            Self::Failed(Failure::Malformed) => f.write_str("an answer that is not HTTP/1.1"),
            Self::Failed(Failure::Over(limit)) => {
                write!(f, "an answer with {}, which {} raises", limit.exceeded(), limit.flag())
            }
            Self::Failed(Failure::Timeout) => f.write_str("no answer in time"),
            Self::Failed(Failure::Tls) => f.write_str("TLS failed"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::WrongUser => f.write_str("an answer that does not name the user who asked"),
            Self::Encoded => f.write_str(
                "a compressed answer (Content-Encoding), which is not decoded; take \
                 Accept-Encoding out of the headers, or let the server answer `identity`",
            ),
            Self::NoCredential => f.write_str("an answer without a credential"),
            Self::LongCredential => {
                let most = CREDENTIAL_BYTES_MAX >> 10;
                write!(f, "an answer with a credential of more than {most} KiB")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_the_class_of_its_name() {
        let name = |outcome: Outcome| outcome.error_class().map(error_class_name);
        assert_eq!(name(Outcome::Ok), None);
        for (failure, class) in [
            (Failure::ConnectRefused, "connect_refused"),
            (Failure::Connect, "connect"),
            (Failure::NoDescriptors, "no_descriptors"),
            (Failure::NoPorts, "no_ports"),
            (Failure::Reset, "reset"),
            (Failure::Closed, "closed"),
            (Failure::Truncated, "truncated"),
            (Failure::Malformed, "malformed"),
            (Failure::Timeout, "timeout"),
            (Failure::Tls, "tls"),
        ] {
            assert_eq!(name(Outcome::Failed(failure)), Some(class.into()));
        }
        for limit in Limit::ALL {
            assert_eq!(name(Outcome::Failed(Failure::Over(limit))), Some(limit.class().into()));
        }
        for (outcome, class) in [
            (Outcome::LongCredential, "long_credential"),
            (Outcome::WrongUser, "wrong_user"),
            (Outcome::NoCredential, "no_credential"),
            (Outcome::Encoded, "encoded"),
            (Outcome::Status(401), "status_401"),
            (Outcome::Status(204), "status_204"),
            (Outcome::Status(999), "status_999"),
            (Outcome::Status(1000), "malformed"),
        ] {
            assert_eq!(name(outcome), Some(class.into()));
        }
    }
}
