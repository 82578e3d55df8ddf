//! The accounts of one worker: what is due, what is under way, and what comes next.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::ops::Range;

use super::due::{Due, NO_SLOT};
use super::part::{INTERRUPT_CHECK_NS, Part, Setup, outcome_of};
use super::recorder::{Moments, Recorder};
use super::renewals::{Asked, Renewals, Stand, Waiting};
use super::users::Credentials;
use super::visits::Visits;
use crate::journey::{Answer, Mismatch, Onward, Script, Who};
use crate::load::{Arrivals, Closed, LoadModel, UserChoice};
use crate::plan::LoadPlan;
use crate::random::mix;
use crate::record::{RenewalRecord, VisitCounts};
use crate::transport::{Ended, Failure, Outcome, Transport, Until};

/// A closed loop whose request failed waits so long before its next one: a server that refuses at
/// once must not be answered with millions of attempts a second, ns.
const PAUSE_AFTER_FAILURE_NS: u64 = 10_000_000;

/// Requests that may wait for a connection; beyond them memory would grow with the overload, and
/// what comes then is dropped and counted.
const QUEUE_MAX: usize = 1 << 20;

/// Arrivals that belong to other workers are passed over so long before they are due, ns: long
/// enough that no worker wakes for them, short enough that passing them over never holds a worker
/// up.
const PASS_OVER_NS: u64 = 1_000_000;

/// Arrivals that are planned before answers are looked at again: an overload must not keep a worker
/// from its connections, its clock and a signal.
const AT_A_TIME: usize = 4096;

/// Seeds of the draws that are independent of each other, and of the arrivals' (1).
pub(super) const USER_DRAWS: u64 = 2;
const THINK_DRAWS: u64 = 3;
const PLACE_DRAWS: u64 = 4;

/// The next arrival of an open model.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    due_ns: u64,
    /// Number of the user it is for.
    user: u64,
    /// Whether it is this worker's.
    mine: bool,
}

/// A request under way on a connection.
#[derive(Clone, Copy, Debug)]
struct Flight {
    due: Due,
    started_ns: u64,
}

/// Everything a load needs except the transport, so that the transport's reports can change it.
///
/// [`Core`] is everything of a load but the transport, so that the transport's reports can change
/// it. It plans what the load model says, starts it on idle connections, and books every end; a
/// request never leaves its books without a class.
pub(super) struct Core<'a> {
    script: &'a Script,
    part: Part,
    credentials: &'a Credentials,
    /// What is held of users since an answer has changed their cookies or given them another
    /// credential; `None` where none does.
    renewed: Option<Vec<Option<Box<[u8]>>>>,
    /// Users whose credential ends meanwhile; `None` where nobody renews theirs.
    renewals: Option<Box<Renewals<'a>>>,
    /// The closed model; `None` for another one.
    closed: Option<Closed>,
    /// The visitors of a partly open model; `None` for another one.
    visits: Option<Visits>,
    /// The arrivals of all workers together; a closed model has none.
    arrivals: Arrivals,
    /// The first of them that is not planned yet.
    arrival: Option<Arrival>,
    choice: UserChoice,
    seed: u64,
    /// Users of all workers together.
    all_users: u32,
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
    /// Closed loops that think, by the moment of their next request after the start, ns.
    thinking: BinaryHeap<Reverse<(u64, u32)>>,
    /// Visitors who think, by the moment of their next request, with that request.
    returning: BinaryHeap<Reverse<(u64, u32, u32)>>,
    /// Requests each closed loop has made.
    made: Vec<u32>,
    /// Requests of the window that are still to be planned; `None`: as many as there is time for.
    left: Option<u32>,
    under_way: u32,
    /// Closed loops whose next request waits for the next slice; `None` where there are no slices.
    waiting: Option<Vec<u32>>,
    /// Right answers so far, counted or not.
    answered: u64,
    /// Requests sent so far, counted or not.
    sent: u64,
}

impl<'a> Core<'a> {
    pub(super) fn new(
        setup: Setup<'a>,
        credentials: &'a Credentials,
        plan: &LoadPlan,
        seed: u64,
    ) -> Self {
        let Setup { script, part, connections, .. } = setup;
        let users = part.of(plan.users).max(1);
        let window = plan.warmup_ns..plan.warmup_ns + plan.measure_ns;
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
        let visits = match &plan.model {
            LoadModel::Visits(model) => Some(Visits::new(*model, mix(seed, THINK_DRAWS))),
            _ => None,
        };
        let of_visits = 0..script.logout.map_or(script.steps.end, |logout| logout + 1);
        let requests = if visits.is_some() { of_visits } else { script.steps.clone() };
        let lasting = if visits.is_some() { 0 } else { users };
        let renewal = plan.renewal.as_ref();
        let renewals = Renewals::new(script, renewal, credentials, (lasting, connections));
        let changes = visits.is_none() && (script.renew || renewals.is_some());
        // Users who think do not begin all at once.
        let first = |slot: u32| match think_ns {
            0 => 0,
            think => mix(seed, part.number(slot)) % think,
        };
        Self {
            script,
            part,
            credentials,
            renewed: changes.then(|| vec![None; users as usize]),
            renewals,
            closed,
            visits,
            arrivals: Arrivals::of_load(&plan.model, seed),
            arrival: None,
            choice: plan.choice,
            seed,
            all_users: plan.users,
            users,
            connections,
            bound,
            start_ns: 0,
            end_ns: window.end,
            recorder: Recorder::new(script, requests, window),
            flights: vec![None; connections as usize],
            used: vec![false; connections as usize],
            idle: if bound { VecDeque::new() } else { (0..connections).collect() },
            queue: VecDeque::new(),
            queue_counted: 0,
            thinking: (0..slots).map(|slot| Reverse((first(slot), slot))).collect(),
            returning: BinaryHeap::new(),
            made: vec![0; slots as usize],
            left: closed.and_then(|closed| closed.requests).map(|all| part.of(all)),
            under_way: 0,
            waiting: None,
            answered: 0,
            sent: 0,
        }
    }

    /// The same for a load that is cut into slices; each begins with [`Core::resume`].
    pub(super) fn in_slices(
        setup: Setup<'a>,
        credentials: &'a Credentials,
        plan: &LoadPlan,
        seed: u64,
    ) -> Self {
        let mut core = Self::new(setup, credentials, plan, seed);
        core.waiting = Some(Vec::new());
        core.end_ns = 0;
        core.recorder.in_slices();
        core
    }

    /// Goes on at `now` until this window ends, in which requests are `counted` or not. The load
    /// model stands where it stood when the last slice ended, as if no time had passed.
    pub(super) fn resume(&mut self, now: u64, window: Range<u64>, counted: bool) {
        self.start_ns += now - self.end_ns;
        self.end_ns = window.end;
        let window = if counted { window } else { now..now };
        if let Some(renewals) = &mut self.renewals {
            renewals.slide(window.clone());
        }
        self.recorder.slide(window);
        self.arrival = self.look_at_arrival();
        let waiting = self.waiting.as_mut().map(std::mem::take).unwrap_or_default();
        for slot in waiting {
            self.next_of_slot(slot, now);
        }
    }

    /// Right answers so far, whether in the window or not.
    pub(super) const fn answered(&self) -> u64 {
        self.answered
    }

    /// Requests sent so far, whether planned in the window or not.
    pub(super) const fn sent(&self) -> u64 {
        self.sent
    }

    /// Lets the load begin at this moment. Everything that takes time has been made before.
    pub(super) fn begin(&mut self, start_ns: u64) {
        self.start_ns = start_ns;
        self.end_ns += start_ns;
        self.recorder.begin(start_ns);
        if let Some(renewals) = &mut self.renewals {
            renewals.begin(start_ns, self.seed, |user| self.part.number(user));
            renewals.slide(self.recorder.window.clone());
        }
        self.arrival = self.look_at_arrival();
    }

    /// Puts everything into the queue that is due by `now` and planned before the end.
    pub(super) fn plan(&mut self, now: u64) {
        for _ in 0..AT_A_TIME {
            let Some(arrival) = self.arrival else { break };
            let passed_over = if arrival.mine { 0 } else { PASS_OVER_NS };
            if arrival.due_ns >= self.end_ns || arrival.due_ns > now + passed_over {
                break;
            }
            if arrival.mine {
                self.arrive(arrival);
            }
            self.arrivals.take();
            self.arrival = self.look_at_arrival();
        }
        while let Some(&Reverse((after_ns, slot))) = self.thinking.peek()
            && self.start_ns + after_ns <= now
            && self.start_ns + after_ns < self.end_ns
        {
            self.thinking.pop();
            self.next_of_slot(slot, self.start_ns + after_ns);
        }
        while let Some(&Reverse((planned_ns, slot, request))) = self.returning.peek()
            && planned_ns <= now
            && planned_ns < self.end_ns
        {
            self.returning.pop();
            self.push(Due { planned_ns, user: slot, request, slot });
        }
    }

    /// Who the next arrival is for. The arrivals and their users are the same for any number of
    /// workers, and each worker takes those that are its own.
    fn look_at_arrival(&self) -> Option<Arrival> {
        let due_ns = self.start_ns + self.arrivals.due_ns()?;
        let n = self.arrivals.taken();
        let workers = u64::from(self.part.workers);
        let turn = if self.visits.is_some() { n } else { self.script.step_at(n).0 };
        let user = u64::from(self.choice.pick(mix(self.seed, USER_DRAWS), turn, self.all_users));
        let owner = if self.visits.is_some() { n % workers } else { user % workers };
        Some(Arrival { due_ns, user, mine: owner == u64::from(self.part.worker) })
    }

    fn arrive(&mut self, arrival: Arrival) {
        let (planned_ns, n) = (arrival.due_ns, self.arrivals.taken());
        let Some(visits) = &mut self.visits else {
            let request = self.script.step_at(n).1;
            let user = (arrival.user / u64::from(self.part.workers)) as u32;
            return self.push(Due { planned_ns, user, request, slot: NO_SLOT });
        };
        let counted = self.recorder.window.contains(&planned_ns);
        let request = self.script.logins.start as u32;
        let Some(slot) = visits.arrive(n, arrival.user, counted) else { return };
        if let Some(renewals) = &mut self.renewals {
            renewals.enter(slot);
        }
        self.push(Due { planned_ns, user: slot, request, slot });
    }

    /// The next request of a closed loop. Which user and which step it is depends on the loop and
    /// on how many it has made, on nothing else.
    fn next_of_slot(&mut self, slot: u32, planned_ns: u64) {
        if let Some(left) = &mut self.left
            && self.recorder.window.contains(&planned_ns)
        {
            let Some(rest) = left.checked_sub(1) else { return };
            *left = rest;
        }
        let made = self.made[slot as usize];
        self.made[slot as usize] = made.wrapping_add(1);
        let (journey, request) = match self.script.mix {
            None => self.script.step_at(made.into()),
            Some(_) => self.in_mix(slot, made),
        };
        let user = if self.bound {
            let turn = journey * u64::from(self.connections.min(self.users));
            match self.choice {
                // As many users as connections: each keeps to its own.
                _ if self.users <= self.connections => slot,
                choice => {
                    let seed = mix(mix(self.seed, USER_DRAWS), self.part.worker.into());
                    choice.pick(seed, u64::from(slot) + turn, self.users)
                }
            }
        } else {
            slot
        };
        self.push(Due { planned_ns, user, request, slot });
    }

    /// The journey, counted from the loop's own first, and the request of a closed loop that has
    /// made so many: each begins at another place of the mix.
    fn in_mix(&self, slot: u32, made: u32) -> (u64, u32) {
        let draw = mix(mix(self.seed, PLACE_DRAWS), self.part.number(slot));
        let begins = self.script.begins(draw);
        let (journey, request) = self.script.step_at(begins + u64::from(made));
        (journey - self.script.step_at(begins).0, request)
    }

    fn push(&mut self, due: Due) {
        self.recorder.planned(due.planned_ns);
        if self.queue.len() >= QUEUE_MAX {
            self.recorder.dropped(due.planned_ns);
            if let Some(visits) = &mut self.visits {
                visits.leave(due.slot, false);
            }
            return;
        }
        self.queue.push_back(due);
    }

    /// Starts what is in the queue, as far as there are connections for it.
    pub(super) fn start(&mut self, transport: &mut impl Transport, now: u64) {
        if self.renewals.is_some() {
            self.start_renewals(transport, now);
        }
        while let Some(due) = self.queue.pop_front() {
            if let Some(renewals) = &mut self.renewals
                && renewals.is_due(due.user, now)
            {
                if renewals.waiting() as usize >= QUEUE_MAX {
                    self.queue.push_front(due);
                    break;
                }
                renewals.wait(due, now);
                self.queue_counted = self.queue_counted.saturating_sub(1);
                self.recorder.sent(due.planned_ns);
                self.start_renewals(transport, now);
                continue;
            }
            let Some(connection) = self.connection_for(due) else {
                self.queue.push_front(due);
                break;
            };
            self.queue_counted = self.queue_counted.saturating_sub(1);
            self.recorder.sent(due.planned_ns);
            self.takes_off(connection, due, now);
            transport.start(connection as usize, due.request as usize, self.who(due.user));
        }
        for due in self.queue.iter().skip(self.queue_counted) {
            self.recorder.queued(due.planned_ns);
        }
        self.queue_counted = self.queue.len();
    }

    /// Has a connection carry a request from now on.
    fn takes_off(&mut self, connection: u32, due: Due, now: u64) {
        self.sent += 1;
        self.under_way += 1;
        self.used[connection as usize] = true;
        self.flights[connection as usize] = Some(Flight { due, started_ns: now });
    }

    /// Sends the requests of renewals, and then those that have waited for one, as far as there are
    /// connections for them.
    fn start_renewals(&mut self, transport: &mut impl Transport, now: u64) {
        while let Some(Asked { user, request, connection, first }) =
            self.renewals.as_ref().and_then(|renewals| renewals.asked())
        {
            let Some(connection) = connection.or_else(|| self.connection_for(first)) else {
                return;
            };
            if let Some(renewals) = &mut self.renewals {
                renewals.send(connection, now);
            }
            let due = Due { planned_ns: now, user, request: request as u32, slot: NO_SLOT };
            self.takes_off(connection, due, now);
            transport.start(connection as usize, request, self.who_renews(user));
        }
        while let Some(due) = self.renewals.as_ref().and_then(|renewals| renewals.resumed()) {
            let Some(connection) = self.connection_for(due) else { return };
            if let Some(renewals) = &mut self.renewals {
                renewals.resume(connection);
            }
            self.takes_off(connection, due, now);
            transport.start(connection as usize, due.request as usize, self.who(due.user));
        }
    }

    /// A connection that is free for this request.
    fn connection_for(&mut self, due: Due) -> Option<u32> {
        if self.bound { Some(due.slot) } else { self.idle.pop_front() }
    }

    /// A user and what they hold for the next request of their renewal.
    fn who_renews(&self, user: u32) -> Who<'_> {
        let who = self.who(user);
        let held = self.renewals.as_ref().and_then(|renewals| renewals.held(user));
        Who { credential: held.unwrap_or(who.credential), ..who }
    }

    /// A user, or the visitor in this place.
    fn who(&self, user: u32) -> Who<'_> {
        match &self.visits {
            Some(visits) => visits.who(user),
            None => Who { n: self.part.number(user), credential: self.held(user) },
        }
    }

    /// What is held of a user.
    fn held(&self, user: u32) -> &[u8] {
        let renewed = self.renewed.as_ref().and_then(|renewed| renewed[user as usize].as_deref());
        renewed.unwrap_or_else(|| self.credentials.get(user))
    }

    pub(super) fn ended(&mut self, ended: &Ended<'_>) {
        let Some(flight) = self.flights[ended.connection].take() else { return };
        let due = flight.due;
        let mut sent_ns = ended.sent_ns;
        if let Some(renewals) = &mut self.renewals {
            if let Some(user) = renewals.user_on(ended.connection) {
                return self.renewal_ended(user, ended);
            } else if renewals.refuses(due, flight.started_ns, ended) {
                return self.free(ended.connection);
            } else if let Some(waited) = renewals.take_again(ended.connection) {
                sent_ns = waited.sent_ns;
            }
        }
        let mut onward = None;
        let outcome = match &ended.result {
            Ok(answer) => match self.take_in(due, answer) {
                Ok(changed) => {
                    onward = changed;
                    Outcome::Ok
                }
                Err(mismatch) => outcome_of(mismatch),
            },
            Err(failure) => Outcome::Failed(*failure),
        };
        let at = Moments { planned_ns: due.planned_ns, sent_ns, done_ns: ended.done_ns };
        if let Some(renewals) = &mut self.renewals
            && let Some(onward) = &onward
        {
            if !self.script.logins.contains(&(due.request as usize)) {
                renewals.roll(due);
            } else if onward.next.is_none() {
                renewals.given(due.user, ended);
            }
        }
        if let Some(renewed) = &mut self.renewed
            && let Some(Onward { held, .. }) = onward.take()
        {
            renewed[due.user as usize] = Some(held.into_boxed_slice());
        }
        self.free(ended.connection);
        self.finish(due, at, outcome, onward);
    }

    /// Takes in the end of a request of a user's renewal.
    fn renewal_ended(&mut self, user: u32, ended: &Ended<'_>) {
        // What it was sent with is what is held now: nothing else of a user changes meanwhile but
        // cookies, as in a browser.
        let Who { n, credential } = self.who_renews(user);
        let held = credential.to_vec();
        let Some(renewals) = &mut self.renewals else { return };
        let stand = renewals.take_in(user, Who { n, credential: &held }, ended);
        match stand {
            Stand::UnderWay => {
                // It keeps its connection.
                self.under_way -= 1;
                return;
            }
            Stand::Renewed(held) => {
                if let Some(visits) = &mut self.visits {
                    visits.renew(user, held);
                } else if let Some(renewed) = &mut self.renewed {
                    renewed[user as usize] = Some(held.into_boxed_slice());
                }
            }
            Stand::Failed(waiting) => {
                for Waiting { due, sent_ns, .. } in waiting {
                    let at =
                        Moments { planned_ns: due.planned_ns, sent_ns, done_ns: ended.done_ns };
                    self.finish(due, at, Outcome::NotRenewed, None);
                }
            }
        }
        self.free(ended.connection);
    }

    /// Lets a connection carry the next request.
    fn free(&mut self, connection: usize) {
        self.under_way -= 1;
        if !self.bound {
            self.idle.push_back(connection as u32);
        }
    }

    /// Judges an answer; where the user stands then, if it changes what is held of them.
    fn take_in(&self, due: Due, answer: &Answer<'_>) -> Result<Option<Onward>, Mismatch> {
        let (who, request) = (self.who(due.user), due.request as usize);
        if let Some(visits) = &self.visits
            && self.script.logins.contains(&request)
        {
            return self.script.onward(request, visits.hops(due.slot), who, answer).map(Some);
        }
        self.script.judge(request, who, answer)?;
        let changes = if self.visits.is_some() {
            !self.script.requests[request].captures.is_empty()
        } else {
            self.renewed.is_some() && self.script.changes(request, answer)
        };
        let held = changes.then(|| self.script.capture(request, who, answer)).transpose()?;
        Ok(held.map(|held| Onward { held, ..Onward::default() }))
    }

    fn finish(&mut self, due: Due, at: Moments, outcome: Outcome, onward: Option<Onward>) {
        self.recorder.ended(due.request as usize, at, outcome);
        self.answered += u64::from(outcome == Outcome::Ok);
        if self.visits.is_some() {
            self.next_of_visit(due, at.done_ns, outcome, onward);
        } else if due.slot != NO_SLOT {
            self.next_of_closed(due, at.done_ns, outcome);
        }
    }

    fn next_of_visit(&mut self, due: Due, done_ns: u64, outcome: Outcome, onward: Option<Onward>) {
        let Some(visits) = &mut self.visits else { return };
        if outcome != Outcome::Ok {
            return visits.leave(due.slot, false);
        }
        let Some(next) = visits.answered(due.slot, self.script, due.request as usize, onward)
        else {
            return visits.leave(due.slot, true);
        };
        let planned_ns = done_ns + next.think_ns;
        let due = Due { planned_ns, request: next.request as u32, ..due };
        if next.think_ns > 0 {
            self.returning.push(Reverse((planned_ns, due.slot, due.request)));
        } else if planned_ns < self.end_ns {
            self.push(due);
        }
    }

    fn next_of_closed(&mut self, due: Due, done_ns: u64, outcome: Outcome) {
        let made = u64::from(self.made[due.slot as usize]);
        let user_seed = mix(self.seed, self.part.number(due.slot));
        let think = self.closed.map_or(0, |closed| closed.think_ns(user_seed, made));
        let pause = match outcome {
            Outcome::Failed(_) | Outcome::NotRenewed => think.max(PAUSE_AFTER_FAILURE_NS),
            _ => think,
        };
        let next = done_ns + pause;
        if pause > 0 {
            self.thinking.push(Reverse((next - self.start_ns, due.slot)));
        } else if next < self.end_ns {
            self.next_of_slot(due.slot, next);
        } else if let Some(waiting) = &mut self.waiting {
            waiting.push(due.slot);
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
            let (sent_ns, result) = (flight.started_ns, Err(Failure::Timeout));
            self.ended(&Ended { connection, sent_ns, done_ns: now, result });
        }
        oldest + timeout_ns
    }

    /// Whether all requests of a load of so many have ended.
    pub(super) fn is_through(&self, now: u64) -> bool {
        self.left == Some(0)
            && self.under_way == 0
            && self.queue.is_empty()
            && self.waiting() == 0
            && self.recorder.window.contains(&now)
    }

    /// Ends the load at `now`, as an interrupt does: what was measured until then counts, and what
    /// waits for a connection is dropped.
    pub(super) fn cut(&mut self, now: u64) {
        self.end_ns = now;
        let window = &mut self.recorder.window;
        *window = window.start.min(now)..now;
        self.drop_queue();
    }

    fn drop_queue(&mut self) {
        for due in std::mem::take(&mut self.queue) {
            self.recorder.dropped(due.planned_ns);
        }
    }

    /// Sends what was due before the end and has not been sent, and waits for all answers, for
    /// `drain_ns` at most: without the queue the longest waits would be in no percentile. What is
    /// unsent after that, or when the load is `stopped`, is dropped.
    pub(super) fn drain(
        &mut self,
        transport: &mut impl Transport,
        drain_ns: u64,
        timeout_ns: u64,
        stopped: impl Fn() -> bool,
    ) -> io::Result<()> {
        // A worker that was late at the end still gives the answers their time.
        let deadline = transport.now().max(self.end_ns) + drain_ns;
        let mut check_ns = 0;
        loop {
            let now = transport.now();
            if now >= deadline {
                break;
            }
            if now >= check_ns {
                check_ns = self.time_out(transport, now, timeout_ns);
            }
            if stopped() {
                // Nothing more is sent; what is under way may still be answered.
                self.arrival = None;
                self.drop_queue();
            }
            self.plan(now);
            self.start(transport, now);
            let all_planned = self.all_planned();
            let is_idle = self.under_way == 0 && self.queue.is_empty() && self.waiting() == 0;
            if is_idle && all_planned {
                break;
            }
            let look_ns = if all_planned { check_ns.min(now + INTERRUPT_CHECK_NS) } else { now };
            let until = Until { ns: deadline.min(look_ns), due: false };
            transport.poll(until, |ended| self.ended(&ended))?;
        }
        self.drop_queue();
        for (connection, flight) in self.flights.iter_mut().enumerate() {
            if let Some(flight) = flight.take() {
                transport.abort(connection);
                let on = self.renewals.as_ref().and_then(|renewals| renewals.user_on(connection));
                if on.is_none() {
                    self.recorder.unfinished(flight.due.planned_ns);
                }
            }
        }
        for waiting in self.renewals.as_mut().map(|r| r.give_up()).into_iter().flatten() {
            self.recorder.unfinished(waiting.due.planned_ns);
        }
        Ok(())
    }

    /// Whether every arrival before the end is planned: in an overload they are taken in turns with
    /// answers.
    fn all_planned(&self) -> bool {
        self.arrival.is_none_or(|arrival| arrival.due_ns >= self.end_ns)
    }

    /// The next moment at which there is something to do without an answer.
    pub(super) fn wake_ns(&self) -> u64 {
        let thinking = self.thinking.peek().map(|Reverse((after_ns, _))| self.start_ns + after_ns);
        let returning = self.returning.peek().map(|Reverse((due, ..))| *due);
        let arrival = self.arrival.filter(|arrival| arrival.due_ns < self.end_ns);
        let arrival = arrival.map(|arrival| {
            let early_ns = if arrival.mine { 0 } else { PASS_OVER_NS };
            arrival.due_ns.saturating_sub(early_ns)
        });
        let due = arrival.into_iter().chain(thinking).chain(returning).min();
        due.unwrap_or(u64::MAX).min(self.end_ns)
    }

    /// Requests that wait for their user's renewal, or have.
    fn waiting(&self) -> u32 {
        self.renewals.as_ref().map_or(0, |renewals| renewals.waiting())
    }

    /// What is recorded of renewals; `None` where nobody renews.
    pub(super) fn take_renewals(&mut self) -> Option<RenewalRecord> {
        self.renewals.as_mut().map(|renewals| std::mem::take(&mut renewals.record))
    }

    /// The visitors who arrived in Measure; `None` but for a partly open load.
    pub(super) fn visit_counts(&self) -> Option<VisitCounts> {
        self.visits.as_ref().map(|visits| visits.counts)
    }

    /// How many connections could have carried one: in a closed load without think time those that
    /// have a user, and in a load of few requests no more than there were requests.
    pub(super) fn connections_usable(&self) -> u32 {
        let with_user = if self.bound { self.made.len() as u32 } else { self.connections };
        with_user.min(u32::try_from(self.recorder.sent_so_far()).unwrap_or(u32::MAX))
    }

    /// How many connections carried at least one request.
    pub(super) fn connections_used(&self) -> u32 {
        self.used.iter().filter(|used| **used).count() as u32
    }
}
