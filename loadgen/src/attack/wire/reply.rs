//! An answer as the suite keeps it, or why none came.

use std::time::Duration;

use crate::journey::Answer;
use crate::limits::Limit;
use crate::transport::{Failure, Whole};

/// The status of a server that limits requests.
pub(super) const TOO_MANY: u16 = 429;
/// How long a connection may take to open, a request to be written, and an answer to come.
pub(super) const EXCHANGE_WITHIN: Duration = Duration::from_secs(10);
/// The finding where the server limits requests.
pub(in crate::attack) const LIMITED: &str = "429: the server limits requests, so this was not \
    tried; raise its limit for this client and repeat";
/// How a finding begins that no connection could be opened.
pub(in crate::attack) const NO_CONNECTION: &str = "no connection:";

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::attack) struct Reply {
    pub(in crate::attack) status: u16,
    pub(in crate::attack) headers: Vec<(String, Vec<u8>)>,
    pub(in crate::attack) body: Vec<u8>,
}

impl Reply {
    /// The values of a header, whatever its case.
    pub(in crate::attack) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let same = move |(key, _): &&(String, Vec<u8>)| key.eq_ignore_ascii_case(name);
        self.headers.iter().filter(same).map(|(_, value)| value.as_slice())
    }

    /// The first value of a header as text.
    pub(in crate::attack) fn header(&self, name: &str) -> Option<String> {
        self.all(name).next().map(|value| String::from_utf8_lossy(value).into_owned())
    }

    /// The answer in the form that a script judges.
    pub(in crate::attack) fn with<T>(&self, judge: impl FnOnce(&Answer<'_>) -> T) -> T {
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| httparse::Header { name, value: value.as_slice() })
            .collect();
        judge(&Answer { status: self.status, headers: &headers, body: &self.body })
    }

    pub(super) fn new(whole: &Whole<'_, '_>) -> Self {
        let headers = whole.headers.iter().map(|h| (h.name.to_string(), h.value.to_vec()));
        Self { status: whole.status, headers: headers.collect(), body: whole.body.to_vec() }
    }
}

/// Why no answer came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::attack) enum Silence {
    /// The connection was closed or reset instead.
    Closed,
    /// It did not come in time.
    Late,
    /// What came is no HTTP.
    Malformed,
    /// The answer exceeds this limit.
    Over(Limit),
    /// It says only that the server limits requests (RFC 6585, 4), and perhaps for how long.
    Limited(Option<Duration>),
    /// The time for the whole suite was over.
    TimeUp,
    /// No connection could be opened.
    Unreachable(String),
}

impl std::fmt::Display for Silence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Closed => f.write_str("closed without an answer"),
            Self::Late => write!(f, "no answer within {} s", EXCHANGE_WITHIN.as_secs()),
            Self::Malformed => f.write_str("an answer that is no HTTP"),
            Self::Over(limit) => write!(f, "an answer with {}", limit.exceeded()),
            Self::Limited(_) => f.write_str(LIMITED),
            Self::TimeUp => f.write_str("not asked: the time for the suite (--within) was over"),
            Self::Unreachable(why) => write!(f, "{NO_CONNECTION} {why}"),
        }
    }
}

impl From<Failure> for Silence {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Closed | Failure::Reset => Self::Closed,
            Failure::Timeout => Self::Late,
            Failure::Over(limit) => Self::Over(limit),
            _ => Self::Malformed,
        }
    }
}

/// An answer, unless it only says that there were too many requests.
pub(super) fn unlimited(reply: Reply) -> Result<Reply, Silence> {
    if reply.status != TOO_MANY {
        return Ok(reply);
    }
    let after = reply.header("retry-after").and_then(|text| text.trim().parse().ok());
    Err(Silence::Limited(after.map(Duration::from_secs)))
}
