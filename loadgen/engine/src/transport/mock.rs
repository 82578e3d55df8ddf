//! A scripted server and a clock set by hand, so that tests of the engine are exact.
//! Time moves in `poll` only: to the end of the next request, or to the moment that was asked for.
//! The script is a function of the request's number and the moment it was sent.

#![allow(clippy::unwrap_used, reason = "a helper of tests: clippy exempts test functions only")]

use std::collections::BTreeMap;

use super::{Ended, Failure, Opening, Transport, Until, Wire};
use crate::journey::{Answer, Who};

/// What the scripted server does with one request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Answers with this status and body after so many nanoseconds.
    After(u64, u16, String),
    /// The same, and the answer sets this cookie.
    Set(u64, u16, String, String),
    /// Fails after so many nanoseconds.
    Fail(u64, Failure),
    /// Never answers.
    Never,
}

/// What the server saw of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When it was sent, ns.
    pub sent_ns: u64,
    /// The connection it came on.
    pub connection: usize,
    /// Which of the script's requests it was.
    pub request: usize,
    /// Number of the user.
    pub user: u64,
    /// The credential it carried.
    pub credential: String,
}

/// A transport without a network.
pub struct Mock<F> {
    now: u64,
    server: F,
    /// Connections that `open` says are open.
    pub connections: usize,
    /// Requests under way, by the moment of their end and their number.
    pending: BTreeMap<(u64, u64), (usize, u64, Reply)>,
    /// Everything the server saw, in order.
    pub seen: Vec<Seen>,
}

impl<F: FnMut(&Seen) -> Reply> Mock<F> {
    /// A server that does with every request what `server` says.
    pub fn new(server: F) -> Self {
        Self { now: 0, server, connections: 0, pending: BTreeMap::new(), seen: Vec::new() }
    }
}

impl<F: FnMut(&Seen) -> Reply> Transport for Mock<F> {
    fn now(&mut self) -> u64 {
        self.now
    }

    fn open(&mut self, _: u64) -> std::io::Result<Opening> {
        Ok(Opening { opened: self.connections, failed: None })
    }

    fn start(&mut self, connection: usize, request: usize, who: Who<'_>) {
        let busy = self.pending.values().any(|(other, ..)| *other == connection);
        assert!(!busy, "connection {connection} carries two requests");
        let credential = String::from_utf8(who.credential.to_vec()).unwrap();
        let seen = Seen { sent_ns: self.now, connection, request, user: who.n, credential };
        let reply = (self.server)(&seen);
        self.seen.push(seen);
        let ends = match reply {
            Reply::After(after, ..) | Reply::Set(after, ..) | Reply::Fail(after, _) => {
                self.now + after
            }
            Reply::Never => u64::MAX,
        };
        self.pending.insert((ends, self.seen.len() as u64), (connection, self.now, reply));
    }

    fn abort(&mut self, connection: usize) {
        self.pending.retain(|_, (other, ..)| *other != connection);
    }

    fn poll(&mut self, until: Until, mut ended: impl FnMut(Ended<'_>)) -> std::io::Result<()> {
        let until_ns = until.ns;
        match self.pending.first_key_value() {
            Some((&(ends, number), _)) if ends <= until_ns => {
                self.now = self.now.max(ends);
                let (connection, sent_ns, reply) = self.pending.remove(&(ends, number)).unwrap();
                let done_ns = self.now;
                let headers = match &reply {
                    Reply::Set(_, _, cookie, _) => {
                        let value = cookie.as_bytes();
                        vec![httparse::Header { name: "Set-Cookie", value }]
                    }
                    _ => Vec::new(),
                };
                let result = match &reply {
                    Reply::After(_, status, body) | Reply::Set(_, status, _, body) => {
                        Ok(Answer { status: *status, headers: &headers, body: body.as_bytes() })
                    }
                    Reply::Fail(_, failure) => Err(*failure),
                    Reply::Never => unreachable!("its end is never reached"),
                };
                ended(Ended { connection, sent_ns, done_ns, result });
            }
            _ => self.now = self.now.max(until_ns),
        }
        Ok(())
    }

    fn wire(&self) -> Option<Wire> {
        Some(Wire::default())
    }
}
