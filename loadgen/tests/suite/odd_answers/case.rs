//! One row of the table of odd answers, and short ways to write one.

use super::server::{Odd, RIGHT, Then, When};

/// Whether the connection is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// It carries the next request.
    Kept,
    /// The next request has another one.
    Closed,
}

/// One row.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// What is odd about the answer.
    pub(super) name: &'static str,
    pub(super) odd: Odd,
    /// Method and expected status of the request, and whether the body is checked.
    pub(super) asked: (&'static str, u16, bool),
    /// How it counts; two classes where it depends on what arrives together.
    pub(super) counted: &'static [&'static str],
    /// How it counts with `--transport reqwest`, if otherwise.
    pub(super) reqwest: Option<&'static str>,
    pub(super) after: After,
    pub(super) why: &'static str,
    pub(super) peers: &'static str,
}

use After::{Closed, Kept};

pub(super) const OK: &[&str] = &["ok"];
pub(super) const MALFORMED: &[&str] = &["malformed"];
pub(super) const TRUNCATED: &[&str] = &["truncated"];

impl Case {
    /// This answer to a GET, whose body is checked.
    pub(super) fn new(name: &'static str, bytes: impl Into<Vec<u8>>) -> Self {
        let odd = Odd { bytes: bytes.into(), when: When::Asked, then: Then::Waits };
        let (why, peers) = ("", "");
        let (asked, counted) = (("GET", 200, true), OK);
        Self { name, odd, asked, counted, reqwest: None, after: Kept, why, peers }
    }

    /// An answer with this head, up to its last line end, and the right body.
    pub(super) fn head(name: &'static str, head: &str) -> Self {
        Self::new(name, format!("{head}\r\n{RIGHT}"))
    }

    /// An answer of 200 with these fields and the right length and body.
    pub(super) fn fields(name: &'static str, fields: &str) -> Self {
        Self::head(name, &format!("{STATUS}Content-Length: 13\r\n{fields}"))
    }

    /// An answer with this status line and the right length and body.
    pub(super) fn status(name: &'static str, line: &str) -> Self {
        Self::head(name, &format!("{line}\r\nContent-Length: 13\r\n"))
    }

    /// An answer whose body is in these chunks.
    pub(super) fn chunks(name: &'static str, chunks: &str) -> Self {
        Self::new(name, format!("{STATUS}Transfer-Encoding: chunked\r\n\r\n{chunks}"))
    }

    /// An answer of 200 with these fields and the right body.
    pub(super) fn framed(name: &'static str, fields: &str) -> Self {
        Self::head(name, &format!("{STATUS}{fields}"))
    }

    pub(super) const fn counted(mut self, counted: &'static [&'static str], after: After) -> Self {
        (self.counted, self.after) = (counted, after);
        self
    }

    pub(super) const fn malformed(self) -> Self {
        self.counted(MALFORMED, Closed)
    }

    pub(super) const fn closed(mut self) -> Self {
        self.after = Closed;
        self
    }

    pub(super) const fn reqwest(mut self, counted: &'static str) -> Self {
        self.reqwest = Some(counted);
        self
    }

    /// The answer to a request of this method, without a check of the body.
    pub(super) const fn to(mut self, method: &'static str, status: u16) -> Self {
        self.asked = (method, status, false);
        self
    }

    pub(super) const fn then(mut self, then: Then) -> Self {
        self.odd.then = then;
        self
    }

    pub(super) const fn when(mut self, when: When) -> Self {
        self.odd.when = when;
        self
    }

    pub(super) const fn why(mut self, why: &'static str) -> Self {
        self.why = why;
        self
    }

    pub(super) const fn peers(mut self, peers: &'static str) -> Self {
        self.peers = peers;
        self
    }

    /// The same row with these bytes.
    pub(super) fn with(mut self, bytes: &str) -> Self {
        self.odd.bytes = bytes.into();
        self
    }
}

pub(super) const STATUS: &str = "HTTP/1.1 200 OK\r\n";
