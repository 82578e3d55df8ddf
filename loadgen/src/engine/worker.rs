//! One worker: a loop on one thread that plans, sends, waits and counts.
//!
//! The loop asks the load model what is due, starts it on an idle connection, and lets the
//! transport report what has ended. Nothing in it is shared with another thread but the flag of an
//! interrupt, and nothing in it depends on a server's scheme. A request that is due is never
//! skipped: it is sent late, and shows as lag, or it is dropped, and is counted.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::ops::Range;

use super::recorder::{Moments, Recorder};
use super::users::Credentials;
use crate::error::Interrupt;
use crate::journey::{Mismatch, Script, Who};
use crate::load::{Arrivals, Closed, LoadModel, UserChoice};
use crate::plan::LoadPlan;
use crate::random::mix;
use crate::record::LoginRecord;
use crate::transport::{Ended, Failure, Outcome, Transport, Wire};

/// A closed loop whose request failed waits so long before its next one: a server that refuses at
/// once must not be answered with millions of attempts a second, ns.
const PAUSE_AFTER_FAILURE_NS: u64 = 10_000_000;
/// How often a waiting worker looks for an interrupt at least, ns.
const INTERRUPT_CHECK_NS: u64 = 50_000_000;

/// Which part of a load a worker carries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) worker: u32,
    pub(super) workers: u32,
}

impl Part {
    /// How many of `all` things, dealt out in turn, are this worker's.
    pub(super) const fn of(self, all: u32) -> u32 {
        (all + self.workers - 1 - self.worker) / self.workers
    }

    /// Number of this worker's thing `index` among all of them.
    fn number(self, index: u32) -> u64 {
        u64::from(index) * u64::from(self.workers) + u64::from(self.worker)
    }
}

/// Why a login pass ended early.
#[derive(Debug)]
pub(super) enum LoginFault {
    /// The login of this user ended so.
    Refused { user: u64, outcome: Outcome },
    /// A signal came.
    Interrupted,
    /// The transport no longer works.
    Transport(io::Error),
}

/// What a worker is told before it begins.
#[derive(Clone, Copy)]
pub(super) struct Setup<'a> {
    pub(super) script: &'a Script,
    pub(super) part: Part,
    /// Connections of this worker.
    pub(super) connections: u32,
    pub(super) timeout_ns: u64,
    pub(super) interrupt: &'a Interrupt,
}

/// A transport, its users, and what the worker was told.
pub(super) struct Worker<'a, T> {
    pub(super) transport: T,
    pub(super) setup: Setup<'a>,
    pub(super) credentials: Credentials,
}

impl<T: Transport> Worker<'_, T> {
    /// Logs in this worker's share of `users` users from number `first` on; keeps their credentials
    /// when `keep` says so.
    pub(super) fn login(
        &mut self,
        first: u64,
        users: u32,
        keep: Keep,
    ) -> Result<LoginRecord, LoginFault> {
        let mut record = LoginRecord::default();
        let Self { transport, credentials, setup } = self;
        let Setup { script, part, timeout_ns, .. } = *setup;
        let Some(request) = script.login else { return Ok(record) };
        let mine = part.of(users);
        let began = transport.now();
        let mut idle: Vec<usize> = (0..setup.connections as usize).rev().collect();
        let mut under_way: Vec<Option<(u32, u64)>> = vec![None; idle.len()];
        let (mut next, mut done) = (0, 0);
        let mut fault = None;
        while done < mine && fault.is_none() {
            if setup.interrupt.signal().is_some() {
                return Err(LoginFault::Interrupted);
            }
            let now = transport.now();
            while next < mine
                && let Some(connection) = idle.pop()
            {
                let who = Who { n: first + part.number(next), credential: b"" };
                transport.start(connection, request, who);
                under_way[connection] = Some((next, now));
                next += 1;
            }
            let until = now + timeout_ns.min(INTERRUPT_CHECK_NS);
            let polled = transport.poll(until, |ended| {
                let Some((index, _)) = under_way[ended.connection].take() else { return };
                let user = first + part.number(index);
                match read_login(script, request, user, &ended) {
                    Ok(credential) => {
                        done += 1;
                        record.credential_bytes += credential.len() as u64;
                        record.service.record(ended.done_ns - ended.sent_ns);
                        if keep == Keep::Credentials {
                            credentials.put(index, &credential);
                        }
                        idle.push(ended.connection);
                    }
                    // The first is told: the others are most often its consequence.
                    Err(outcome) => {
                        fault.get_or_insert(LoginFault::Refused { user, outcome });
                    }
                }
            });
            polled.map_err(LoginFault::Transport)?;
            let now = transport.now();
            let late = |(_, sent): &&(u32, u64)| sent + timeout_ns <= now;
            if let Some((index, _)) = under_way.iter().flatten().find(late) {
                let outcome = Outcome::Failed(Failure::Timeout);
                fault = Some(LoginFault::Refused { user: first + part.number(*index), outcome });
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

/// Whether a login pass keeps what the logins gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    Credentials,
    Nothing,
}

fn read_login(
    script: &Script,
    request: usize,
    n: u64,
    ended: &Ended<'_>,
) -> Result<Vec<u8>, Outcome> {
    let answer = ended.result.map_err(Outcome::Failed)?;
    let who = Who { n, credential: b"" };
    script
        .judge(request, who, &answer)
        .and_then(|()| script.credential(request, &answer))
        .map_err(outcome_of)
}

const fn outcome_of(mismatch: Mismatch) -> Outcome {
    match mismatch {
        Mismatch::Status(status) => Outcome::Status(status),
        Mismatch::WrongUser => Outcome::WrongUser,
        Mismatch::NoCredential => Outcome::NoCredential,
    }
}

/// A request that is due.
#[derive(Clone, Copy, Debug)]
struct Due {
    planned_ns: u64,
    user: u32,
    step: u32,
    /// The closed loop it belongs to; `NO_SLOT` in an open model.
    slot: u32,
}

const NO_SLOT: u32 = u32::MAX;

/// A request under way on a connection.
#[derive(Clone, Copy, Debug)]
struct Flight {
    due: Due,
    started_ns: u64,
}

/// Everything a load needs beside the transport, so that the transport's reports can change it.
struct Core<'a> {
    script: &'a Script,
    part: Part,
    credentials: &'a Credentials,
    /// The closed model; `None` for an open one.
    closed: Option<Closed>,
    /// The arrivals of an open model; a closed one has none.
    arrivals: Arrivals,
    choice: UserChoice,
    seed: u64,
    users: u32,
    connections: u32,
    /// Whether closed loop i has connection i for itself (no think time).
    bound: bool,
    start_ns: u64,
    end_ns: u64,
    recorder: Recorder,
    flights: Vec<Option<Flight>>,
    used: Vec<bool>,
    idle: VecDeque<u32>,
    /// Requests that are due and not sent yet, in the order of their plan.
    queue: VecDeque<Due>,
    /// How many of them have been counted as waiting for a connection.
    queue_counted: usize,
    /// Closed loops that think, by the moment of their next request.
    thinking: BinaryHeap<Reverse<(u64, u32)>>,
    /// Requests each closed loop has made.
    made: Vec<u32>,
    under_way: u32,
}

/// What one worker brings home.
#[derive(Debug)]
pub(super) struct Harvest {
    pub(super) recorder: Recorder,
    pub(super) connections: u32,
    /// What went over the wire during Measure.
    pub(super) wire: Wire,
    /// CPU time of the worker's thread during Measure, ns.
    pub(super) cpu_ns: u64,
}

impl<'a> Core<'a> {
    fn new(
        setup: Setup<'a>,
        credentials: &'a Credentials,
        plan: &LoadPlan,
        seed: u64,
        start_ns: u64,
    ) -> Self {
        let Setup { script, part, connections, .. } = setup;
        let users = part.of(plan.users).max(1);
        let begin = start_ns + plan.warmup_ns;
        let window = begin..begin + plan.measure_ns;
        let closed = match &plan.model {
            LoadModel::Closed(closed) => Some(*closed),
            _ => None,
        };
        let think_ns = closed.map_or(0, |closed| closed.think_ns);
        let bound = closed.is_some() && think_ns == 0;
        let slots = match closed {
            None => 0,
            Some(_) if bound => users.min(connections),
            Some(_) => users,
        };
        // Users who think do not begin all at once.
        let first = |slot: u32| match think_ns {
            0 => start_ns,
            think => start_ns + mix(seed, u64::from(slot)) % think,
        };
        Self {
            script,
            part,
            credentials,
            closed,
            arrivals: Arrivals::new(&plan.model, seed, part.worker, part.workers),
            choice: plan.choice,
            seed,
            users,
            connections,
            bound,
            start_ns,
            end_ns: window.end,
            recorder: Recorder::new(script, window),
            flights: vec![None; connections as usize],
            used: vec![false; connections as usize],
            idle: if bound { VecDeque::new() } else { (0..connections).collect() },
            queue: VecDeque::new(),
            queue_counted: 0,
            thinking: (0..slots).map(|slot| Reverse((first(slot), slot))).collect(),
            made: vec![0; slots as usize],
            under_way: 0,
        }
    }

    /// Puts everything into the queue that is due by `now` and planned before the end.
    fn plan(&mut self, now: u64) {
        while let Some(due) = self.next_arrival()
            && due <= now
            && due < self.end_ns
        {
            let (arrived, steps) = (self.arrivals.taken(), u64::from(self.steps()));
            self.push(Due {
                planned_ns: due,
                user: self.choice.pick(self.seed, arrived / steps, self.users),
                step: (arrived % steps) as u32,
                slot: NO_SLOT,
            });
            self.arrivals.take();
        }
        while let Some(&Reverse((due, slot))) = self.thinking.peek()
            && due <= now
            && due < self.end_ns
        {
            self.thinking.pop();
            self.next_of_slot(slot, due);
        }
    }

    /// The next request of a closed loop. Which user and which step it is depends on the loop and
    /// on how many it has made, on nothing else.
    fn next_of_slot(&mut self, slot: u32, planned_ns: u64) {
        let made = self.made[slot as usize];
        self.made[slot as usize] = made.wrapping_add(1);
        let (journey, step) = (made / self.steps(), made % self.steps());
        let user = if self.bound {
            let turn = u64::from(journey) * u64::from(self.connections.min(self.users));
            match self.choice {
                // As many users as connections: each keeps to its own.
                _ if self.users <= self.connections => slot,
                choice => choice.pick(self.seed, u64::from(slot) + turn, self.users),
            }
        } else {
            slot
        };
        self.push(Due { planned_ns, user, step, slot });
    }

    fn push(&mut self, due: Due) {
        self.recorder.planned(due.planned_ns);
        self.queue.push_back(due);
    }

    fn steps(&self) -> u32 {
        self.script.steps.len() as u32
    }

    fn next_arrival(&self) -> Option<u64> {
        self.arrivals.due_ns().map(|ns| self.start_ns + ns)
    }

    /// Starts what is in the queue, as far as there are connections for it.
    fn start(&mut self, transport: &mut impl Transport, now: u64) {
        while let Some(due) = self.queue.pop_front() {
            let connection = if self.bound { Some(due.slot) } else { self.idle.pop_front() };
            let Some(connection) = connection else {
                self.queue.push_front(due);
                break;
            };
            self.queue_counted = self.queue_counted.saturating_sub(1);
            self.recorder.sent(due.planned_ns);
            self.under_way += 1;
            self.used[connection as usize] = true;
            self.flights[connection as usize] = Some(Flight { due, started_ns: now });
            let request = self.script.steps.start + due.step as usize;
            transport.start(connection as usize, request, self.who(due.user));
        }
        for due in self.queue.iter().skip(self.queue_counted) {
            self.recorder.queued(due.planned_ns);
        }
        self.queue_counted = self.queue.len();
    }

    fn who(&self, user: u32) -> Who<'a> {
        Who { n: self.part.number(user), credential: self.credentials.get(user) }
    }

    fn ended(&mut self, ended: &Ended<'_>) {
        let Some(flight) = self.flights[ended.connection].take() else { return };
        let due = flight.due;
        let outcome = match &ended.result {
            Ok(answer) => {
                let request = self.script.steps.start + due.step as usize;
                match self.script.judge(request, self.who(due.user), answer) {
                    Ok(()) => Outcome::Ok,
                    Err(mismatch) => outcome_of(mismatch),
                }
            }
            Err(failure) => Outcome::Failed(*failure),
        };
        let at =
            Moments { planned_ns: due.planned_ns, sent_ns: ended.sent_ns, done_ns: ended.done_ns };
        self.finish(ended.connection, due, at, outcome);
    }

    fn finish(&mut self, connection: usize, due: Due, at: Moments, outcome: Outcome) {
        self.recorder.ended(due.step as usize, at, outcome);
        self.under_way -= 1;
        if !self.bound {
            self.idle.push_back(connection as u32);
        }
        if due.slot == NO_SLOT {
            return;
        }
        let made = u64::from(self.made[due.slot as usize]);
        let user_seed = mix(self.seed, u64::from(due.slot));
        let think = self.closed.map_or(0, |closed| closed.think_ns(user_seed, made));
        let pause = match outcome {
            Outcome::Failed(_) => think.max(PAUSE_AFTER_FAILURE_NS),
            _ => think,
        };
        let next = at.done_ns + pause;
        if pause > 0 {
            self.thinking.push(Reverse((next, due.slot)));
        } else if next < self.end_ns {
            self.next_of_slot(due.slot, next);
        }
    }

    /// Gives up what has had no answer in time; returns when to look again.
    fn time_out(&mut self, transport: &mut impl Transport, now: u64, timeout_ns: u64) -> u64 {
        let mut oldest = now;
        for connection in 0..self.flights.len() {
            let Some(flight) = self.flights[connection] else { continue };
            if flight.started_ns + timeout_ns > now {
                oldest = oldest.min(flight.started_ns);
                continue;
            }
            transport.abort(connection);
            self.flights[connection] = None;
            let at = Moments {
                planned_ns: flight.due.planned_ns,
                sent_ns: flight.started_ns,
                done_ns: now,
            };
            self.finish(connection, flight.due, at, Outcome::Failed(Failure::Timeout));
        }
        oldest + timeout_ns
    }

    /// Ends the load at `now`, as an interrupt does: what was measured until then counts.
    fn cut(&mut self, now: u64) {
        self.end_ns = now;
        let window = &mut self.recorder.window;
        *window = window.start.min(now)..now;
    }

    /// Waits for the answers that are still to come. What was not sent by now is dropped.
    fn drain(&mut self, transport: &mut impl Transport, drain_ns: u64) -> io::Result<()> {
        for due in std::mem::take(&mut self.queue) {
            self.recorder.dropped(due.planned_ns);
        }
        let deadline = self.end_ns + drain_ns;
        while self.under_way > 0 {
            let now = transport.now();
            if now >= deadline {
                break;
            }
            let until = deadline.min(now + INTERRUPT_CHECK_NS);
            transport.poll(until, |ended| self.ended(&ended))?;
        }
        for (connection, flight) in self.flights.iter_mut().enumerate() {
            if let Some(flight) = flight.take() {
                transport.abort(connection);
                self.recorder.unfinished(flight.due.planned_ns);
            }
        }
        Ok(())
    }

    /// The next moment at which there is something to do without an answer.
    fn wake_ns(&self) -> u64 {
        let thinking = self.thinking.peek().map(|Reverse((due, _))| *due);
        let due = self.next_arrival().into_iter().chain(thinking).min();
        due.unwrap_or(u64::MAX).min(self.end_ns)
    }
}

impl<T: Transport> Worker<'_, T> {
    /// Runs this worker's part of a load from `start_ns` on.
    pub(super) fn load(
        &mut self,
        plan: &LoadPlan,
        seed: u64,
        start_ns: u64,
    ) -> io::Result<Harvest> {
        let Self { transport, setup, credentials } = self;
        let mut core = Core::new(*setup, credentials, plan, seed, start_ns);
        let mut edges = Edges::new(core.recorder.window.clone());
        let mut check_ns = start_ns + setup.timeout_ns;
        loop {
            let now = transport.now();
            if setup.interrupt.signal().is_some() && now < core.end_ns {
                core.cut(now);
                edges.window = core.recorder.window.clone();
            }
            edges.cross(now, transport.wire());
            if now >= check_ns {
                check_ns = core.time_out(transport, now, setup.timeout_ns);
            }
            core.plan(now);
            core.start(transport, now);
            if now >= core.end_ns {
                break;
            }
            let until = core.wake_ns().min(check_ns).min(edges.next_ns());
            transport.poll(until.min(now + INTERRUPT_CHECK_NS), |ended| core.ended(&ended))?;
        }
        core.drain(transport, plan.drain_ns)?;
        let connections = core.used.iter().filter(|used| **used).count() as u32;
        Ok(Harvest {
            recorder: core.recorder,
            connections,
            wire: edges.wire(),
            cpu_ns: edges.cpu_ns(),
        })
    }
}

/// Readings of the worker's thread and transport where Measure begins and ends.
struct Edges {
    window: Range<u64>,
    first: Option<Reading>,
    last: Option<Reading>,
}

#[derive(Clone, Copy)]
struct Reading {
    at_ns: u64,
    cpu_ns: u64,
    wire: Wire,
}

impl Edges {
    const fn new(window: Range<u64>) -> Self {
        Self { window, first: None, last: None }
    }

    fn cross(&mut self, now: u64, wire: Wire) {
        let begun = self.first.is_none() && now >= self.window.start;
        let over = self.last.is_none() && now >= self.window.end;
        if begun || over {
            let reading = Reading { at_ns: now, cpu_ns: thread_cpu_ns(), wire };
            self.first.get_or_insert(reading);
            self.last = over.then_some(reading);
        }
    }

    const fn next_ns(&self) -> u64 {
        if self.first.is_none() { self.window.start } else { self.window.end }
    }

    fn wire(&self) -> Wire {
        let (Some(first), Some(last)) = (self.first, self.last) else { return Wire::default() };
        Wire {
            bytes_sent: last.wire.bytes_sent - first.wire.bytes_sent,
            bytes_received: last.wire.bytes_received - first.wire.bytes_received,
            connects: last.wire.connects - first.wire.connects,
            closed_by_server: last.wire.closed_by_server - first.wire.closed_by_server,
        }
    }

    /// CPU time of the window: the loop sees its edges a little late, so what was used between the
    /// two readings is scaled to the window's length.
    fn cpu_ns(&self) -> u64 {
        let (Some(first), Some(last)) = (self.first, self.last) else { return 0 };
        let (used, elapsed) = (last.cpu_ns - first.cpu_ns, last.at_ns - first.at_ns);
        let window = self.window.end - self.window.start;
        if elapsed == 0 { 0 } else { (used as f64 * window as f64 / elapsed as f64) as u64 }
    }
}

fn thread_cpu_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests;
