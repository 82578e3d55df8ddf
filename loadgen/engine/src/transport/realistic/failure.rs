//! What class a failure of reqwest has: its error and all the errors it stems from tell.

use std::error::Error as StdError;
use std::io;

use crate::limits::Limit;
use crate::transport::Failure;
use crate::transport::lean::connect_failure;
use crate::transport::tls::{closed_in_handshake, in_words};

/// Why a request has no answer, with what TLS says of it.
///
/// hyper does not say how much of a head had come when a connection ended, so an end within the
/// head is `closed` here and `truncated` with `Lean`, and too many header fields are a head that is
/// too large. An unknown failure is attributed to the phase it happened in; it must never be a
/// panic or a success.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) failure: Failure,
    pub(super) reason: Option<String>,
    /// Whether the server says that it has not processed the request.
    pub(super) unprocessed: bool,
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Self { failure, reason: None, unprocessed: false }
    }
}

/// The class of an error; `in_body` tells that a head had come.
pub(super) fn fault_of(error: &reqwest::Error, in_body: bool) -> Fault {
    let connecting = error.is_connect();
    let ended = if in_body { Failure::Truncated } else { Failure::Closed };
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        cause = error.source();
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return tls_fault(in_words(tls));
        }
        if let Some(stream) = error.downcast_ref::<h2::Error>()
            && is_unprocessed(stream)
        {
            return Fault { unprocessed: true, ..Failure::Closed.into() };
        }
        if let Some(http) = error.downcast_ref::<hyper::Error>() {
            if http.is_parse_too_large() {
                return Failure::Over(Limit::Head).into();
            } else if http.is_parse() {
                return Failure::Malformed.into();
            } else if http.is_incomplete_message() {
                return ended.into();
            }
        }
        if let Some(io) = error.downcast_ref::<io::Error>() {
            if let Some(fault) = of_io(io, connecting, ended) {
                return fault;
            }
            // An error that an I/O error wraps is not its source.
            cause = io.get_ref().map(|inner| inner as &(dyn StdError + 'static)).or(cause);
        }
    }
    let unknown = if connecting { Failure::Connect } else { ended };
    unknown.into()
}

/// Whether the server closed the connection in peace before it came to this stream, or refused the
/// stream (RFC 9113, 6.8 and 8.7).
fn is_unprocessed(error: &h2::Error) -> bool {
    let reason = error.reason();
    error.is_remote()
        && (error.is_go_away() && reason == Some(h2::Reason::NO_ERROR)
            || error.is_reset() && reason == Some(h2::Reason::REFUSED_STREAM))
}

fn tls_fault(reason: String) -> Fault {
    Fault { failure: Failure::Tls, reason: Some(reason), unprocessed: false }
}

fn of_io(error: &io::Error, connecting: bool, ended: Failure) -> Option<Fault> {
    use io::ErrorKind as Kind;
    if connecting && error.raw_os_error().is_some() {
        return Some(connect_failure(error).into());
    }
    match error.kind() {
        Kind::UnexpectedEof if connecting => Some(tls_fault(closed_in_handshake())),
        Kind::UnexpectedEof => Some(ended.into()),
        Kind::ConnectionReset | Kind::BrokenPipe | Kind::ConnectionAborted => {
            Some(Failure::Reset.into())
        }
        Kind::TimedOut => Some(Failure::Timeout.into()),
        _ => None,
    }
}
