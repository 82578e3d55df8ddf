//! Setup: every user logs in, and every connection is opened, before anything is measured.
//!
//! A login is one request, or two where it needs a CSRF token, on one connection. The first user
//! who is refused ends Setup for all: a load with fewer users than were asked for would be another
//! load.

use std::io;

use super::worker::{INTERRUPT_CHECK_NS, Setup, Worker, outcome_of};
use crate::journey::{Mismatch, Request, Script, Who, field};
use crate::record::LoginRecord;
use crate::transport::{Ended, Failure, OPENING_MAX, Opening, Outcome, Transport, Until};

/// Why a worker's part of Setup ended early.
#[derive(Debug)]
pub(super) enum SetupFault {
    /// The login of this user ended so, at this request of it; `missing` is the one of its captures
    /// that the answer lacks.
    Refused { user: u64, request: usize, outcome: Outcome, missing: Option<u8> },
    /// So many connections could be opened, and the next one ended so.
    Unopened { opened: usize, failure: Failure },
    /// A signal came.
    Interrupted,
    /// The transport no longer works.
    Transport(io::Error),
}

impl<T: Transport> Worker<'_, T> {
    /// Logs in this worker's share of `users` users from number `first` on; keeps their credentials
    /// when `keep` says so.
    pub(super) fn login(
        &mut self,
        first: u64,
        users: u32,
        keep: Keep,
    ) -> Result<LoginRecord, SetupFault> {
        let mut record = LoginRecord::default();
        let Self { transport, credentials, setup } = self;
        let Setup { script, part, timeout_ns, .. } = *setup;
        let Some(login) = script.login else { return Ok(record) };
        let mine = part.of(users);
        let began = transport.now();
        let mut idle: Vec<usize> = (0..setup.connections as usize).rev().collect();
        let mut under_way: Vec<Option<Attempt>> = idle.iter().map(|_| None).collect();
        let mut ready: Vec<(usize, Attempt)> = Vec::new();
        // A burst of first logins would overflow the server's backlog as a burst of connects does.
        let (mut used, mut opening) = (vec![false; idle.len()], 0);
        let (mut next, mut done) = (0, 0);
        let mut fault = None;
        while done < mine && fault.is_none() {
            if setup.stopped() {
                return Err(SetupFault::Interrupted);
            }
            let now = transport.now();
            while next < mine
                && let Some(&connection) = idle.last()
                && (used[connection] || opening < OPENING_MAX)
            {
                idle.pop();
                let fresh = !std::mem::replace(&mut used[connection], true);
                opening += usize::from(fresh);
                let request = script.csrf.unwrap_or(login);
                let user = first + part.number(next);
                let (index, held) = (next, Vec::new());
                ready.push((
                    connection,
                    Attempt { index, user, request, since_ns: now, held, fresh },
                ));
                next += 1;
            }
            for (connection, mut attempt) in ready.drain(..) {
                let who = Who { n: attempt.user, credential: &attempt.held };
                transport.start(connection, attempt.request, who);
                attempt.since_ns = now;
                under_way[connection] = Some(attempt);
            }
            let until = Until { ns: now + timeout_ns.min(INTERRUPT_CHECK_NS), due: false };
            let polled = transport.poll(until, |ended| {
                let Some(mut attempt) = under_way[ended.connection].take() else { return };
                opening -= usize::from(std::mem::take(&mut attempt.fresh));
                match attempt.read(script, &ended) {
                    Ok(held) if attempt.request != login => {
                        (attempt.request, attempt.held) = (login, held);
                        ready.push((ended.connection, attempt));
                    }
                    Ok(held) => {
                        done += 1;
                        record.credential_bytes += field(&held, 0).len() as u64;
                        record.service.record(ended.done_ns - ended.sent_ns);
                        if keep == Keep::Credentials {
                            credentials.put(attempt.index, &held);
                        }
                        idle.push(ended.connection);
                    }
                    // The first is told: the others are most often its consequence.
                    Err(refused) => {
                        fault.get_or_insert(refused);
                    }
                }
            });
            polled.map_err(SetupFault::Transport)?;
            let now = transport.now();
            let late = |attempt: &&Attempt| attempt.since_ns + timeout_ns <= now;
            if let Some(attempt) = under_way.iter().flatten().find(late) {
                fault = Some(attempt.refused(Outcome::Failed(Failure::Timeout), None));
            }
        }
        if let Some(fault) = fault {
            return Err(fault);
        }
        record.users = mine;
        record.wall_ns = transport.now() - began;
        Ok(record)
    }
}

/// How long at least nothing may move while connections are opened, ns.
const OPENING_PATIENCE_NS: u64 = 5_000_000_000;

impl<T: Transport> Worker<'_, T> {
    /// Opens what connections the logins have left closed, so that Measure opens none.
    pub(super) fn open(&mut self) -> Result<(), SetupFault> {
        let Self { transport, setup, .. } = self;
        let wanted = setup.connections as usize;
        let patience_ns = setup.timeout_ns.max(OPENING_PATIENCE_NS);
        let (mut before, mut deadline) = (0, transport.now() + patience_ns);
        loop {
            let now = transport.now();
            let until = deadline.min(now + INTERRUPT_CHECK_NS);
            let Opening { opened, failed } =
                transport.open(until).map_err(SetupFault::Transport)?;
            if setup.stopped() {
                return Err(SetupFault::Interrupted);
            }
            // Many connections take their time; none at all for so long is a fault.
            if opened > before {
                (before, deadline) = (opened, now + patience_ns);
            }
            match failed {
                Some(failure) => return Err(SetupFault::Unopened { opened, failure }),
                None if opened >= wanted => return Ok(()),
                None if now >= deadline => {
                    return Err(SetupFault::Unopened { opened, failure: Failure::Timeout });
                }
                None => {}
            }
        }
    }
}

/// Whether a login pass keeps what the logins gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    Credentials,
    Nothing,
}

/// A login under way: one request, or a request for a CSRF token and then one.
struct Attempt {
    index: u32,
    user: u64,
    /// The request of the two that is under way.
    request: usize,
    since_ns: u64,
    /// What the first request gave.
    held: Vec<u8>,
    /// Whether it is the first on its connection, which it has to open.
    fresh: bool,
}

impl Attempt {
    /// What is held of the user after this answer.
    fn read(&self, script: &Script, ended: &Ended<'_>) -> Result<Vec<u8>, SetupFault> {
        let failed = |failure| self.refused(Outcome::Failed(failure), None);
        let answer = ended.result.map_err(failed)?;
        let who = Who { n: self.user, credential: &self.held };
        script
            .judge(self.request, who, &answer)
            .and_then(|()| script.capture(self.request, &self.held, &answer))
            .map_err(|mismatch| {
                let missing = match mismatch {
                    Mismatch::Missing(capture) => Some(capture),
                    _ => None,
                };
                self.refused(outcome_of(mismatch), missing)
            })
    }

    const fn refused(&self, outcome: Outcome, missing: Option<u8>) -> SetupFault {
        SetupFault::Refused { user: self.user, request: self.request, outcome, missing }
    }
}

/// What is told of a login that was refused.
pub(super) fn refusal(
    script: &Script,
    user: u64,
    request: usize,
    outcome: Outcome,
    missing: Option<u8>,
) -> String {
    let Request { method, path, expect_status, captures, .. } = &script.requests[request];
    let path = path.text(Who { n: user, credential: b"" });
    let (step, check) = if script.csrf == Some(request) {
        ("request for a CSRF token", "login.csrf")
    } else if script.csrf.is_some() {
        ("login itself, with the CSRF token it had got", "users, login and login.csrf")
    } else {
        ("login request", "users and login")
    };
    let expected: Vec<_> = captures.iter().map(ToString::to_string).collect();
    let found = missing.and_then(|capture| expected.get(usize::from(capture)));
    let found = found.map_or_else(|| outcome.to_string(), |it| format!("an answer without {it}"));
    format!(
        "the login of user {user} failed at the {step}, {method} {}{path}: expected status \
         {expect_status} and {}, found {found}; check that the server runs and that the \
         descriptor's {check} are right",
        script.origin(),
        expected.join(", "),
    )
}
