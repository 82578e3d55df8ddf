//! The accounts of one worker: what is due, what is under way, and what comes next.
//!
//! [`Core`] is everything of a load but the transport, so that the transport's reports can change
//! it. It plans what the load model says, starts it on idle connections, and books every end; a
//! request never leaves its books without a class.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;

use super::recorder::{Moments, Recorder};
use super::users::Credentials;
use super::worker::{INTERRUPT_CHECK_NS, Part, Setup, outcome_of};
use crate::journey::{Script, Who};
use crate::load::{Arrivals, Closed, LoadModel, UserChoice};
use crate::plan::LoadPlan;
use crate::random::mix;
use crate::transport::{Ended, Failure, Outcome, Transport, Until};

/// A closed loop whose request failed waits so long before its next one: a server that refuses at
/// once must not be answered with millions of attempts a second, ns.
const PAUSE_AFTER_FAILURE_NS: u64 = 10_000_000;

/// Requests that may wait for a connection; beyond them memory would grow with the overload, and
/// what comes then is dropped and counted.
const QUEUE_MAX: usize = 1 << 20;

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
pub(super) struct Core<'a> {
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
    pub(super) end_ns: u64,
    pub(super) recorder: Recorder,
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

impl<'a> Core<'a> {
    pub(super) fn new(
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
            think => start_ns + mix(seed, part.number(slot)) % think,
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
    pub(super) fn plan(&mut self, now: u64) {
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
        if self.queue.len() >= QUEUE_MAX {
            self.recorder.dropped(due.planned_ns);
            return;
        }
        self.queue.push_back(due);
    }

    fn steps(&self) -> u32 {
        self.script.steps.len() as u32
    }

    fn next_arrival(&self) -> Option<u64> {
        self.arrivals.due_ns().map(|ns| self.start_ns + ns)
    }

    /// Starts what is in the queue, as far as there are connections for it.
    pub(super) fn start(&mut self, transport: &mut impl Transport, now: u64) {
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

    pub(super) fn ended(&mut self, ended: &Ended<'_>) {
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
        let user_seed = mix(self.seed, self.part.number(due.slot));
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
    pub(super) fn time_out(
        &mut self,
        transport: &mut impl Transport,
        now: u64,
        timeout_ns: u64,
    ) -> u64 {
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
    pub(super) fn cut(&mut self, now: u64) {
        self.end_ns = now;
        let window = &mut self.recorder.window;
        *window = window.start.min(now)..now;
    }

    /// Waits for the answers that are still to come. What was not sent by now is dropped.
    pub(super) fn drain(
        &mut self,
        transport: &mut impl Transport,
        drain_ns: u64,
    ) -> io::Result<()> {
        for due in std::mem::take(&mut self.queue) {
            self.recorder.dropped(due.planned_ns);
        }
        let deadline = self.end_ns + drain_ns;
        while self.under_way > 0 {
            let now = transport.now();
            if now >= deadline {
                break;
            }
            let until = Until { ns: deadline.min(now + INTERRUPT_CHECK_NS), due: false };
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
    pub(super) fn wake_ns(&self) -> u64 {
        let thinking = self.thinking.peek().map(|Reverse((due, _))| *due);
        let due = self.next_arrival().into_iter().chain(thinking).min();
        due.unwrap_or(u64::MAX).min(self.end_ns)
    }

    /// How many connections carried at least one request.
    pub(super) fn connections_used(&self) -> u32 {
        self.used.iter().filter(|used| **used).count() as u32
    }
}
