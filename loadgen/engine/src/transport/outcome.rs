//! How a request ends: the right answer, or a class of error that a record counts.

use std::fmt;

use crate::journey::{Astray, CREDENTIAL_BYTES_MAX};
use crate::limits::Limit;

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
    /// An answer came that lacks something else that it is checked for.
    Check,
    /// An answer came whose body is in a coding that is not decoded here, such as gzip.
    Encoded,
    /// A login was answered without a credential.
    NoCredential,
    /// A login was answered with a credential longer than [`CREDENTIAL_BYTES_MAX`].
    LongCredential,
    /// A login was answered with a redirect that is not followed.
    Redirect(Astray),
    /// Its credential had ended and could not be renewed.
    NotRenewed,
}

/// Names of the classes of errors but for statuses, at their indices.
const NAMED_CLASSES: [&str; 23] = [
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
    "redirect",
    "check",
    "not_renewed",
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
            Self::Redirect(_) => 20,
            Self::Check => 21,
            Self::NotRenewed => 22,
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
            Self::Check => f.write_str("an answer without what its `check` expects"),
            Self::Encoded => f.write_str(
                "a compressed answer (Content-Encoding), which is not decoded; take \
                 Accept-Encoding out of the headers, or let the server answer `identity`",
            ),
            Self::Redirect(astray) => f.write_str(match astray {
                Astray::Often => {
                    "one redirect more than `redirects` allows; raise it if this is no loop"
                }
                Astray::Elsewhere => {
                    "a redirect to another host, port or scheme, which is not followed; describe \
                     the login on one host"
                }
                Astray::Nowhere => "a redirect without a Location that a client can follow",
                Astray::Again => {
                    "a redirect that asks for the body again (307 or 308), which is not followed; \
                     send the request there in the first place"
                }
            }),
            Self::NotRenewed => f.write_str("a credential that ended and was not renewed"),
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

    /// Fault 5: `no_ports` is a class.
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
            (Outcome::Redirect(Astray::Often), "redirect"),
            (Outcome::Check, "check"),
            (Outcome::NotRenewed, "not_renewed"),
            (Outcome::Status(401), "status_401"),
            (Outcome::Status(204), "status_204"),
            (Outcome::Status(999), "status_999"),
            (Outcome::Status(1000), "malformed"),
        ] {
            assert_eq!(name(outcome), Some(class.into()));
        }
    }
}
