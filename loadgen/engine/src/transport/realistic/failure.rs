//! What class a failure of reqwest has: its error and all the errors it stems from tell.

use std::error::Error as StdError;
use std::io;

use crate::limits::Limit;
use crate::transport::Failure;
use crate::transport::lean::connect_failure;
use crate::transport::tls::in_words;

/// Why a request has no answer, with what TLS says of it.
///
/// hyper does not say how much of a head had come when a connection ended, so an end within the
/// head is `closed` here and `truncated` with `Lean`, and too many header fields are a head that is
/// too large. What nobody knows is put down to the phase it
/// happened in; it must never be a panic or a success.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) failure: Failure,
    pub(super) reason: Option<String>,
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Self { failure, reason: None }
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
            return Fault { failure: Failure::Tls, reason: Some(in_words(tls)) };
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

fn of_io(error: &io::Error, connecting: bool, ended: Failure) -> Option<Fault> {
    use io::ErrorKind as Kind;
    if connecting && error.raw_os_error().is_some() {
        return Some(connect_failure(error).into());
    }
    match error.kind() {
        Kind::UnexpectedEof if connecting => {
            let reason = "the server closed the connection within the handshake".into();
            Some(Fault { failure: Failure::Tls, reason: Some(reason) })
        }
        Kind::UnexpectedEof => Some(ended.into()),
        Kind::ConnectionReset | Kind::BrokenPipe | Kind::ConnectionAborted => {
            Some(Failure::Reset.into())
        }
        Kind::TimedOut => Some(Failure::Timeout.into()),
        _ => None,
    }
}
