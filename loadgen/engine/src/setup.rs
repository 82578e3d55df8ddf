//! Setup: every user logs in, and every connection is opened, before anything is measured.

use std::io;
use std::sync::Arc;

use super::part::{INTERRUPT_CHECK_NS, Part, Setup, outcome_of};
use super::users::Credentials;
use super::worker::Worker;
use crate::journey::{Capture, Extract, Mismatch, Onward, Request, Script, Who, field};
use crate::plan::Prepare;
use crate::record::LoginRecord;
use crate::transport::{Ended, Failure, OPENING_MAX, Opening, Outcome, Transport, Until};

/// Why a worker's part of Setup ended early.
#[derive(Debug)]
pub(super) enum SetupFault {
    /// What one user asked was not answered as it should be.
    Refused(Box<Refused>),
    /// So many connections could be opened, and the next one ended so.
    Unopened { opened: usize, failure: Failure },
    /// The time for it was over when so many of this worker's users had done their part.
    Late { done: u32, users: u32 },
    /// A signal came.
    Interrupted,
    /// The transport no longer works.
    Transport(io::Error),
}

/// The request that ended a pass.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) user: u64,
    pub(super) request: usize,
    pub(super) outcome: Outcome,
    /// The one of its captures that the answer lacks.
    pub(super) missing: Option<u8>,
    /// Requests of the preparation that the user had made before.
    pub(super) prepared: u32,
    /// Where it was sent.
    pub(super) path: String,
    /// How the answer's body begins, without the user's password; of an answer that lacks a
    /// cookie, which ones it sets.
    pub(super) said: String,
}

/// What users do, one after the other on whatever connection is free.
///
/// A login is one request or several, as with a CSRF token, on one connection, and behind it
/// come the requests by which a user prepares, where a load asks for them. Logging everybody out,
/// and one request on every connection, are passes over users of the same kind. The first user who
/// is refused ends a pass for all: a load with fewer users than were asked for would be another
/// load.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pass {
    /// Number of the first user.
    pub(super) first: u64,
    /// Users of all workers together.
    pub(super) users: u32,
    pub(super) route: Route,
}

/// What each of them does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// Logs in, and makes the requests of the preparation so many times.
    LogIn { times: u32, keep: Keep },
    /// Logs out, with the credential that is kept of the user.
    LogOut,
    /// Makes the first request of the journey, each on a connection of their own, all with the
    /// credential of this worker's first user.
    Ask,
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
        self.pass(Pass { first, users, route: Route::LogIn { times: 0, keep } })
    }

    /// Makes this worker's users of a load ready: those who are logged in already are taken over,
    /// others log in and prepare.
    pub(super) fn make_ready(
        &mut self,
        users: u32,
        prepare: Option<&Prepare>,
        logged_in: Option<&Arc<Credentials>>,
    ) -> Result<LoginRecord, SetupFault> {
        if let Some(credentials) = logged_in {
            self.credentials = Arc::clone(credentials);
            let users = self.setup.part.of(users);
            let credential_bytes = credentials.bytes();
            return Ok(LoginRecord { users, credential_bytes, ..LoginRecord::default() });
        }
        let times = prepare.map_or(0, |prepare| prepare.times);
        let route = Route::LogIn { times, keep: Keep::Credentials };
        self.pass(Pass { first: 0, users, route })
    }

    /// Has this worker's share of users do what the pass says.
    pub(super) fn pass(&mut self, pass: Pass) -> Result<LoginRecord, SetupFault> {
        let mut record = LoginRecord::default();
        let Self { transport, credentials, setup } = self;
        let Setup { script, part, timeout_ns, ready_by_ns, .. } = *setup;
        let Pass { first, users, route } = pass;
        let Some((begin, timed)) = route.requests(script) else { return Ok(record) };
        let mine = part.of(users);
        let began = transport.now();
        let usable = setup.connections.min(most_at_a_time(script, part, route));
        let mut idle: Vec<usize> = (0..usable as usize).rev().collect();
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
            if now >= ready_by_ns {
                return Err(SetupFault::Late { done, users: mine });
            }
            while next < mine
                && let Some(&connection) = idle.last()
                && (used[connection] || opening < OPENING_MAX)
            {
                idle.pop();
                let fresh = !std::mem::replace(&mut used[connection], true);
                opening += usize::from(fresh);
                let (user, credential) = match route {
                    Route::LogIn { .. } => (next, Vec::new()),
                    Route::LogOut => (next, credentials.get(next).to_vec()),
                    Route::Ask => (0, credentials.get(0).to_vec()),
                };
                let user = first + part.number(user);
                let (index, request) = (next, begin);
                let begun =
                    Attempt { index, user, request, credential, fresh, ..Attempt::default() };
                ready.push((connection, begun));
                next += 1;
            }
            for (connection, mut attempt) in ready.drain(..) {
                let who = Who { n: attempt.user, credential: &attempt.credential };
                transport.start(connection, attempt.request, who);
                attempt.since_ns = now;
                under_way[connection] = Some(attempt);
            }
            let until = Until { ns: now + timeout_ns.min(INTERRUPT_CHECK_NS), due: false };
            let polled = transport.poll(until, |ended| {
                let Some(mut attempt) = under_way[ended.connection].take() else { return };
                opening -= usize::from(std::mem::take(&mut attempt.fresh));
                if let Err(refused) = attempt.read(script, &ended) {
                    // The first is told: the others are most often its consequence.
                    fault.get_or_insert(refused);
                    return;
                }
                if attempt.request == timed {
                    record.service.record(ended.done_ns - ended.sent_ns);
                }
                if let Some(request) = attempt.after(script, route) {
                    attempt.request = request;
                    return ready.push((ended.connection, attempt));
                }
                done += 1;
                if let Route::LogIn { keep, .. } = route {
                    setup.count_ready();
                    record.credential_bytes += field(&attempt.credential, 0).len() as u64;
                    if keep == Keep::Credentials {
                        attempt.keep(Arc::make_mut(credentials));
                    }
                }
                if route != Route::Ask {
                    idle.push(ended.connection);
                }
            });
            polled.map_err(SetupFault::Transport)?;
            let now = transport.now();
            let late = |attempt: &&Attempt| attempt.since_ns + timeout_ns <= now;
            if let Some(attempt) = under_way.iter().flatten().find(late) {
                let outcome = Outcome::Failed(Failure::Timeout);
                fault = Some(attempt.refused(script, outcome, None, String::new()));
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

/// How many users of this worker may be under way at a time: a server that hashes passwords slowly
/// may ask for few logins at a time, of which each worker has one at least.
fn most_at_a_time(script: &Script, part: Part, route: Route) -> u32 {
    let logins = script.login_concurrency.filter(|_| matches!(route, Route::LogIn { .. }));
    logins.map_or(u32::MAX, |all| part.of(all).max(1))
}

impl Route {
    /// The request that a user begins with, and the one whose service times are kept; `None` where
    /// the target has no such request.
    fn requests(self, script: &Script) -> Option<(usize, usize)> {
        match self {
            Self::LogIn { .. } => script.login.map(|login| (script.logins.start, login)),
            Self::LogOut => script.logout.map(|logout| (logout, logout)),
            Self::Ask => Some((script.steps.start, script.steps.start)),
        }
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
                None if now >= deadline.min(setup.ready_by_ns) => {
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

/// A user under way: at a login, at what follows it, or at a request of another pass.
#[derive(Default)]
struct Attempt {
    index: u32,
    user: u64,
    /// The request that is under way.
    request: usize,
    since_ns: u64,
    /// What is held of the user.
    credential: Vec<u8>,
    /// The next request of the login, and how many redirects led to it.
    then: Option<usize>,
    hops: u8,
    /// Requests of the preparation that the user has made.
    prepared: u32,
    /// When the credential is to be renewed, where that is known.
    due_ns: Option<u64>,
    /// Whether it is the first on its connection, which it has to open.
    fresh: bool,
}

impl Attempt {
    /// Takes in an answer.
    fn read(&mut self, script: &Script, ended: &Ended<'_>) -> Result<(), SetupFault> {
        let answer = match ended.result {
            Ok(answer) => answer,
            Err(failure) => {
                let outcome = Outcome::Failed(failure);
                return Err(self.refused(script, outcome, None, String::new()));
            }
        };
        let who = Who { n: self.user, credential: &self.credential };
        let onward = if script.logins.contains(&self.request) {
            script.onward(self.request, self.hops, who, &answer)
        } else {
            let held = script
                .judge(self.request, who, &answer)
                .and_then(|()| script.capture(self.request, who, &answer));
            held.map(|held| Onward { held, ..Onward::default() })
        };
        let onward = onward.map_err(|mismatch| {
            let missing = match mismatch {
                Mismatch::Missing(capture) => Some(capture),
                _ => None,
            };
            let captures = &script.requests[self.request].captures;
            let lacks = missing.and_then(|capture| captures.get(usize::from(capture)));
            let told = match lacks {
                Some(capture) => answer.sets_instead(capture),
                None => script.told(self.user, &answer),
            };
            self.refused(script, outcome_of(mismatch), missing, told)
        })?;
        (self.then, self.hops) = (onward.next, onward.hops);
        if let Some(renewal) = &script.renewal
            && script.logins.contains(&self.request)
        {
            self.due_ns = renewal.due_ns(&answer, ended.sent_ns);
        }
        if !script.requests[self.request].captures.is_empty() {
            self.credential = onward.held;
        }
        self.prepared += u32::from(script.prepare.contains(&self.request));
        Ok(())
    }

    /// Keeps what is held of the user.
    fn keep(&self, credentials: &mut Credentials) {
        credentials.put(self.index, &self.credential);
        if let Some(due_ns) = self.due_ns {
            credentials.put_due(self.index, due_ns);
        }
    }

    /// What the user asks next; `None` at the end of the route.
    fn after(&self, script: &Script, route: Route) -> Option<usize> {
        let Route::LogIn { times, .. } = route else { return None };
        if self.then.is_some() {
            return self.then;
        }
        let steps = script.prepare.len();
        let left = (self.prepared as usize) < steps * times as usize;
        left.then(|| script.prepare.start + self.prepared as usize % steps)
    }

    fn refused(
        &self,
        script: &Script,
        outcome: Outcome,
        missing: Option<u8>,
        said: String,
    ) -> SetupFault {
        let Self { user, request, prepared, .. } = *self;
        let who = Who { n: user, credential: &self.credential };
        let path = script.requests[request].path.text(who);
        let refused = Refused { user, request, outcome, missing, prepared, path, said };
        SetupFault::Refused(Box::new(refused))
    }
}

/// What is told of a user who was refused.
pub(super) fn refusal(script: &Script, refused: &Refused) -> String {
    let Refused { user, request, outcome, missing, prepared, path, said } = refused;
    let Request { name, method, expect_status, captures, .. } = &script.requests[*request];
    let user = script.population.number(*user);
    let missed = missing.and_then(|capture| captures.get(usize::from(capture)));
    let is_jar = |capture: &&Capture| matches!(capture.source, Some(Extract::Jar(_)));
    let expected: Vec<_> =
        captures.iter().filter(|capture| !is_jar(capture)).map(ToString::to_string).collect();
    let found = match missed {
        Some(capture) => format!("an answer without {capture}{said}"),
        None => outcome.to_string(),
    };
    // An answer with another status may hold a credential, in a place that was not described.
    let found = match outcome {
        Outcome::Status(_) if !said.is_empty() => format!("{found}, which says: {said}"),
        Outcome::Redirect(_) => format!("{found} ({said})"),
        _ => found,
    };
    let (origin, socket) = (script.origin(), script.at_socket());
    let at = format!("{method} {origin}{path}{socket}: expected status {expect_status}");
    if !script.logins.contains(request) {
        return format!(
            "user {user} was refused before the load, after {prepared} requests that were \
             answered, at {at}, found {found}; check that the server runs and that the steps of \
             the target file are right"
        );
    }
    let (step, check) = if script.csrf == Some(*request) {
        ("request for a CSRF token".into(), "login.csrf")
    } else if script.csrf.is_some() {
        ("login itself, with the CSRF token it had got".into(), "users, login and login.csrf")
    } else if script.logins.len() == 1 {
        ("login request".into(), "users and login")
    } else {
        (format!("step `{name}`"), "users and login")
    };
    let expected =
        if expected.is_empty() { String::new() } else { format!(" and {}", expected.join(", ")) };
    format!(
        "the login of user {user} failed at the {step}, {at}{expected}, found {found}; check that \
         the server runs and that {check} of the target file are right"
    )
}
