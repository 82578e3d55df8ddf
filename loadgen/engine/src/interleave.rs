//! A load that alternates between several servers, in slices of milliseconds.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use super::core::Core;
use super::driver::{Driver, panicked};
use super::merge::{Share, merge_logins};
use super::part::{INTERRUPT_CHECK_NS, Part, Setup};
use super::users::Credentials;
use super::worker::{Edges, Harvest, Worker};
use crate::error::{Error, Result};
use crate::load::LoadModel;
use crate::plan::{LoadPlan, Slicing};
use crate::random::{mix, shuffle};
use crate::record::{LoadRecord, LoginRecord, SliceRecord, merge_lists};
use crate::transport::{Lean, Transport, Until, Wire};

/// How long after its last answer a server is at rest.
const AT_REST_AFTER: Duration = Duration::from_micros(100);

/// CPU time that a server has used so far, ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// The server's processes.
    pub server_ns: u64,
    /// Its store's processes.
    pub store_ns: u64,
    /// The relay between the two, where there is one.
    pub relay_ns: u64,
    /// The proxy before the servers and what it started, where there is one.
    pub proxy_ns: u64,
    /// Time in which the server's threads were ready to run and others had their cores.
    pub waited_ns: u64,
}

/// One of the servers that a load alternates between.
pub struct Lane<'a> {
    /// How it is driven. All lanes have the same cores and workers.
    pub driver: &'a Driver,
    /// Seed of its load.
    pub seed: u64,
    /// Reads what it has used, at the edges of its slices.
    pub meter: &'a (dyn Fn() -> Used + Sync),
}

/// Runs a load on every lane, in turn; the records are in the order of the lanes.
///
/// `go_on` is asked now and then, on the calling thread; after a no the load ends with an error.
///
/// On a virtual machine the same load is twice as fast in one second as in the next, so servers
/// that are measured one after the other are measured on different machines. Here all of them are
/// up, and each has a *lane*: its own connections, users and recorder. In every round each lane has
/// one slice, in an order drawn for the round. A slice begins with nothing under way, is not
/// counted until the first moments are over (caches, and the queue that a closed load fills), and
/// ends when its last answer has come. Between its slices a lane's load model stands still.
///
/// What a lane brings home is what a load of its own brings home: a [`LoadRecord`] whose Measure is
/// all its slices end to end, and the slices one by one ([`SliceRecord`]). No request may span two
/// slices, and no two lanes may ever have requests under way at the same time.
///
/// # Errors
/// `Config` where the load cannot be cut into slices, `Target` when a connection or a login fails
/// or `go_on` says no, `Interrupted` when a signal comes.
pub fn interleave(
    lanes: &[Lane<'_>],
    plan: &LoadPlan,
    slicing: Slicing,
    mut go_on: impl FnMut() -> bool,
) -> Result<Vec<LoadRecord>> {
    let Some(first) = lanes.first() else { return Ok(Vec::new()) };
    if matches!(plan.model, LoadModel::Visits(_)) {
        return Err(Error::Config(
            "users who come and go cannot alternate between servers: a visit is longer than a \
             slice"
                .into(),
        ));
    }
    if plan.renewal.is_some() {
        return Err(Error::Config(
            "users who renew their credential cannot alternate between servers: it ages while \
             others are measured"
                .into(),
        ));
    }
    let workers = first.driver.workers_for(plan.users, plan.connections);
    let logged_in = lanes.iter().map(|lane| lane.driver.logged_in(plan, workers));
    let shared = Shared {
        lanes,
        logged_in: logged_in.collect::<Result<_>>()?,
        plan,
        slicing,
        workers,
        epoch: Instant::now(),
        stop: AtomicBool::new(false),
        ended: AtomicBool::new(false),
        step: Step { barrier: Barrier::new(workers as usize), over: AtomicBool::new(false) },
    };
    let hauls = thread::scope(|scope| {
        let shared = &shared;
        let work = |worker| scope.spawn(move || shared.work(worker));
        let handles: Vec<_> = (0..workers).map(work).collect();
        while handles.iter().any(|handle| !handle.is_finished()) {
            if !go_on() {
                shared.ended.store(true, Ordering::Relaxed);
                shared.stop.store(true, Ordering::Relaxed);
            }
            thread::sleep(Duration::from_nanos(INTERRUPT_CHECK_NS));
        }
        let mut ends: Vec<Result<Vec<Haul>>> =
            handles.into_iter().map(|handle| handle.join().map_err(panicked)?).collect();
        // A worker whose load was cut short knows less of why than the one that cut it.
        let is_cause = |end: &Result<_>| !matches!(end, Ok(_) | Err(Error::Interrupted(..)));
        match ends.iter().position(is_cause) {
            Some(cause) => ends.swap_remove(cause).map(|haul| vec![haul]),
            None => ends.into_iter().collect::<Result<Vec<Vec<Haul>>>>(),
        }
    });
    let hauls = hauls.map_err(|error| match error {
        Error::Interrupted(..) => shared.cut_short(),
        other => other,
    })?;
    Ok(shared.records(hauls))
}

/// What one worker brings home of one lane.
struct Haul {
    login: LoginRecord,
    harvest: Harvest,
    slices: Vec<SliceRecord>,
}

/// What the workers of an interleaved load have in common.
struct Shared<'a> {
    lanes: &'a [Lane<'a>],
    /// Lane by lane and worker by worker the users who are logged in already.
    logged_in: Vec<Option<Vec<Arc<Credentials>>>>,
    plan: &'a LoadPlan,
    slicing: Slicing,
    workers: u32,
    epoch: Instant,
    /// Set when there is no point in going on.
    stop: AtomicBool,
    /// Whether that is because a server has ended.
    ended: AtomicBool,
    step: Step,
}

/// Where the workers meet before each slice, and agree on whether there is one.
struct Step {
    barrier: Barrier,
    over: AtomicBool,
}

impl Step {
    /// Waits for the other workers; whether all of them go on. One of them decides, so that none
    /// waits for another that has left.
    fn next(&self, stop: bool) -> bool {
        if stop {
            self.over.store(true, Ordering::Release);
        }
        // The second wait keeps who is quick from changing what others have yet to read.
        self.barrier.wait();
        let over = self.over.load(Ordering::Acquire);
        self.barrier.wait();
        !over
    }
}

impl Shared<'_> {
    /// One worker's part of every lane.
    fn work(&self, worker: u32) -> Result<Vec<Haul>> {
        let set_up = self.set_up(worker);
        if !self.step.next(set_up.is_err()) {
            // Its own error, or that of another worker, which is told first.
            return set_up.and_then(|_| Err(self.cut_short()));
        }
        let mut workers = set_up?;
        let mut runs: Vec<_> = workers
            .iter_mut()
            .zip(self.lanes)
            .map(|((worker, login), lane)| {
                Run::new(worker, login, (self.plan, self.slicing), lane.seed)
            })
            .collect();
        let mut order: Vec<usize> = (0..runs.len()).collect();
        let Slicing { warmup_rounds, rounds, .. } = self.slicing;
        for round in 0..warmup_rounds + rounds {
            shuffle(&mut order, mix(self.lanes[0].seed, round.into()));
            for &lane in &order {
                let stop = self.stop.load(Ordering::Relaxed) || runs[lane].setup.stopped();
                if !self.step.next(stop) {
                    return Err(self.cut_short());
                }
                let meter = (worker == 0).then_some(self.lanes[lane].meter);
                if let Err(error) = runs[lane].slice(meter, round >= warmup_rounds) {
                    self.stop.store(true, Ordering::Relaxed);
                    let text = format!("the event queue stopped working: {error}");
                    self.step.next(true);
                    return Err(Error::Bug(text));
                }
            }
        }
        Ok(runs.into_iter().map(Run::into_haul).collect())
    }

    /// Logs users in on every lane and opens its connections.
    fn set_up(&self, worker: u32) -> Result<Vec<(Worker<'_, Lean>, LoginRecord)>> {
        let part = Part { worker, workers: self.workers };
        let LoadPlan { users, connections, timeout_ns, ref prepare, .. } = *self.plan;
        let lanes = self.lanes.iter().zip(&self.logged_in).map(|(lane, logged_in)| {
            let driver = lane.driver;
            let lean = driver.lean()?;
            let make = |connections| lean(connections, self.epoch);
            let mut worker = driver.worker(part, connections, timeout_ns, &self.stop, make)?;
            let logged_in = logged_in.as_ref().map(|of_workers| &of_workers[part.worker as usize]);
            let login = worker
                .make_ready(users, prepare.as_ref(), logged_in)
                .and_then(|login| worker.open().map(|()| login))
                .map_err(|fault| driver.fault(fault, worker.transport.reason()))?;
            Ok((worker, login))
        });
        lanes.collect()
    }

    /// Why the load ended before its time.
    fn cut_short(&self) -> Error {
        if self.ended.load(Ordering::Relaxed) {
            return Error::Target("a server ended while a load alternated between several".into());
        }
        self.lanes[0].driver.interrupt.error()
    }

    /// The record of each lane, from what every worker brought home of it.
    fn records(&self, hauls: Vec<Vec<Haul>>) -> Vec<LoadRecord> {
        let mut by_worker: Vec<_> = hauls.into_iter().map(Vec::into_iter).collect();
        let mut record = |lane: &Lane<'_>| {
            let (mut logins, mut harvests) = (Vec::new(), Vec::new());
            let mut slices = Vec::new();
            for haul in by_worker.iter_mut().filter_map(Iterator::next) {
                logins.push(haul.login);
                harvests.push(haul.harvest);
                merge_lists(&mut slices, haul.slices, SliceRecord::merge);
            }
            let mut client = lane.driver.client_use();
            client.http = Some("1.1".into());
            let share = Share::new(lane.driver, client, merge_logins(&logins), harvests);
            LoadRecord { slices, ..share.record(self.plan, 0) }
        };
        self.lanes.iter().map(&mut record).collect()
    }
}

/// One worker's part of one lane, while it runs.
struct Run<'w, T> {
    transport: &'w mut T,
    setup: Setup<'w>,
    core: Core<'w>,
    login: LoginRecord,
    slicing: Slicing,
    drain_ns: u64,
    totals: Totals,
    slices: Vec<SliceRecord>,
    /// When the slice before ended, and what the server had used by then.
    rest: Option<(u64, Used)>,
}

/// What is added up over the slices.
#[derive(Default)]
struct Totals {
    absent_ns: u64,
    cpu_ns: u64,
    waited_ns: u64,
    wire: Wire,
    wire_requests: u64,
}

impl<'w, T: Transport> Run<'w, T> {
    fn new(
        worker: &'w mut Worker<'_, T>,
        login: &LoginRecord,
        (plan, slicing): (&LoadPlan, Slicing),
        seed: u64,
    ) -> Self {
        let Worker { transport, setup, credentials } = worker;
        let whole = LoadPlan { warmup_ns: 0, measure_ns: slicing.measured_ns(), ..plan.clone() };
        Self {
            transport,
            setup: *setup,
            core: Core::in_slices(*setup, credentials, &whole, seed),
            slicing,
            drain_ns: plan.drain_ns,
            login: login.clone(),
            totals: Totals::default(),
            slices: Vec::with_capacity(slicing.rounds as usize),
            rest: None,
        }
    }

    /// Runs one slice, with nothing under way before and after it; `counted` is false in warm-up.
    fn slice(
        &mut self,
        meter: Option<&(dyn Fn() -> Used + Sync)>,
        counted: bool,
    ) -> io::Result<()> {
        let Self { transport, setup, core, slicing, drain_ns, totals, slices, rest, .. } = self;
        let before = meter.filter(|_| counted).map(|meter| meter());
        let began = transport.now();
        let idle = rest.take().zip(before).map_or((0, 0), |((ended, then), now)| {
            let used = now.server_ns + now.store_ns;
            (began - ended, used.saturating_sub(then.server_ns + then.store_ns))
        });
        let window = began + slicing.cut_ns..began + slicing.length_ns;
        let (answered, in_window) = (core.answered(), core.recorder.ok_in_window());
        core.resume(began, window.clone(), counted);
        let mut edges = Edges::new(window);
        let mut check_ns = began + setup.timeout_ns;
        let mut now = transport.now();
        loop {
            edges.cross(now, transport.wire(), core.sent());
            if now >= check_ns {
                check_ns = core.time_out(*transport, now, setup.timeout_ns);
            }
            core.plan(now);
            core.start(*transport, now);
            if now >= core.end_ns {
                break;
            }
            let look_ns = check_ns.min(edges.next_ns()).min(now + INTERRUPT_CHECK_NS);
            let until = Until { ns: core.wake_ns().min(look_ns), due: true };
            transport.poll(until, |ended| core.ended(&ended))?;
            now = transport.now();
            totals.absent_ns = totals.absent_ns.max(now.saturating_sub(until.ns));
        }
        core.drain(*transport, *drain_ns, setup.timeout_ns, || setup.stopped())?;
        let ended = transport.now();
        if !counted {
            return Ok(());
        }
        let used = meter.zip(before).map_or_else(Used::default, |(meter, before)| {
            // The server has yet to see that there is nothing more to read.
            thread::sleep(AT_REST_AFTER);
            let after = meter();
            *rest = Some((ended, after));
            Used {
                server_ns: after.server_ns.saturating_sub(before.server_ns),
                store_ns: after.store_ns.saturating_sub(before.store_ns),
                relay_ns: after.relay_ns.saturating_sub(before.relay_ns),
                proxy_ns: after.proxy_ns.saturating_sub(before.proxy_ns),
                waited_ns: after.waited_ns.saturating_sub(before.waited_ns),
            }
        });
        totals.cpu_ns += edges.cpu_ns();
        totals.waited_ns += edges.waited_ns();
        totals.wire.merge(&edges.wire().unwrap_or_default());
        totals.wire_requests += edges.requests();
        slices.push(SliceRecord {
            ns: ended - began,
            ok: core.answered() - answered,
            ok_in_window: core.recorder.ok_in_window() - in_window,
            server_cpu_ns: used.server_ns,
            store_cpu_ns: used.store_ns,
            relay_cpu_ns: used.relay_ns,
            proxy_cpu_ns: used.proxy_ns,
            server_waited_ns: used.waited_ns,
            idle_ns: idle.0,
            idle_cpu_ns: idle.1,
        });
        Ok(())
    }

    fn into_haul(self) -> Haul {
        let Self { mut core, login, totals, slices, .. } = self;
        let harvest = Harvest {
            renewals: core.take_renewals(),
            connections: core.connections_used(),
            usable: core.connections_usable(),
            absent_ns: totals.absent_ns,
            visits: None,
            aborted: false,
            wire: Some(totals.wire),
            wire_requests: totals.wire_requests,
            cpu_ns: totals.cpu_ns,
            waited_ns: totals.waited_ns,
            recorder: core.recorder,
        };
        Haul { login, harvest, slices }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use contract::Target;

    use super::*;
    use crate::error::Interrupt;
    use crate::journey::Script;
    use crate::load::{Closed, Constant, UserChoice};
    use crate::transport::mock::{Mock, Reply, Seen};

    const MS: u64 = 1_000_000;
    const SLICING: Slicing =
        Slicing { warmup_rounds: 0, rounds: 3, length_ns: 10 * MS, cut_ns: 2 * MS };

    fn plan(model: LoadModel, connections: u32) -> LoadPlan {
        LoadPlan {
            model,
            journey: "browse".into(),
            users: connections,
            choice: UserChoice::InTurn,
            connections,
            warmup_ns: 0,
            measure_ns: 0,
            drain_ns: 1_000 * MS,
            timeout_ns: 500 * MS,
            prepare: None,
            renewal: None,
        }
    }

    fn closed() -> LoadModel {
        LoadModel::Closed(Closed::without_thinking())
    }

    /// Runs every slice of a lane, with a pause of 70 ms between two; what it brings home, and what
    /// the server saw.
    fn run(plan: &LoadPlan, server: impl FnMut(&Seen) -> Reply) -> (Haul, Vec<Seen>) {
        run_metered(plan, server, None)
    }

    fn run_metered(
        plan: &LoadPlan,
        server: impl FnMut(&Seen) -> Reply,
        meter: Option<&(dyn Fn() -> Used + Sync)>,
    ) -> (Haul, Vec<Seen>) {
        let target: Target = toml::from_str(
            "name = 'mock'\nbase_url = 'http://127.0.0.1:1'\n\
             [journeys.browse]\nsteps = [{ name = 'me', path = '/me' }]\n",
        )
        .unwrap();
        let script = Script::new(&target, "browse").unwrap();
        let (interrupt, stop) = (Interrupt::default(), AtomicBool::new(false));
        let setup = Setup {
            script: &script,
            part: Part { worker: 0, workers: 1 },
            connections: plan.connections,
            timeout_ns: plan.timeout_ns,
            ready_by_ns: u64::MAX,
            interrupt: &interrupt,
            stop: &stop,
            ready: None,
        };
        let transport = Mock::new(server);
        let mut worker = Worker { transport, setup, credentials: Arc::default() };
        let mut run = Run::new(&mut worker, &LoginRecord::default(), (plan, SLICING), 1);
        for _ in 0..SLICING.rounds {
            run.slice(meter, true).unwrap();
            let until = run.transport.now() + 70 * MS;
            run.transport.poll(Until { ns: until, due: false }, |_| panic!("under way")).unwrap();
        }
        let haul = run.into_haul();
        (haul, worker.transport.seen)
    }

    fn right(ns: u64) -> Reply {
        Reply::After(ns, 200, "{}".into())
    }

    #[test]
    fn a_closed_load_goes_on_in_each_slice_and_is_counted_after_the_cut() {
        // Two connections, 1 ms an answer: 20 answers per slice; those that end in its last 8 ms
        // are counted.
        let (haul, seen) = run(&plan(closed(), 2), |_| right(MS));
        assert_eq!(seen.len(), 60);
        assert_eq!(haul.slices.len(), 3);
        for slice in &haul.slices {
            assert_eq!((slice.ok, slice.ok_in_window, slice.ns), (20, 16, 10 * MS));
        }
        let (counts, steps, timeline, _) = haul.harvest.recorder.into_parts();
        assert_eq!(counts.window_ns, 24 * MS);
        assert_eq!((counts.planned, counts.ok, counts.ok_in_window), (48, 48, 48));
        assert!(counts.balanced());
        let response = &steps[0].response;
        assert_eq!((response.count(), timeline[0].ok), (48, 48));
        assert!(response.quantile_ns(1.0) < 2 * MS, "no pause is part of a response time");
        for (n, request) in seen.iter().enumerate() {
            let round = n as u64 / 20;
            assert!((round * 80 * MS..round * 80 * MS + 10 * MS).contains(&request.sent_ns));
        }
    }

    #[test]
    fn what_a_server_uses_between_its_slices_is_told_apart() {
        // Every reading finds 1 ms more of the server and 2 ms more of its store.
        let readings = AtomicU64::new(0);
        let meter = || {
            let n = readings.fetch_add(1, Ordering::Relaxed);
            Used {
                server_ns: n * MS,
                store_ns: 2 * n * MS,
                relay_ns: 4 * n * MS,
                ..Used::default()
            }
        };
        let (haul, _) = run_metered(&plan(closed(), 1), |_| right(MS), Some(&meter));
        let idle: Vec<_> = haul.slices.iter().map(|s| (s.idle_ns, s.idle_cpu_ns)).collect();
        assert_eq!(idle, [(0, 0), (70 * MS, 3 * MS), (70 * MS, 3 * MS)]);
        for slice in &haul.slices {
            let used = (slice.server_cpu_ns, slice.store_cpu_ns, slice.relay_cpu_ns);
            assert_eq!(used, (MS, 2 * MS, 4 * MS));
        }
    }

    #[test]
    fn an_answer_that_takes_longer_than_the_slice_is_awaited() {
        let (haul, seen) = run(&plan(closed(), 1), |_| right(15 * MS));
        assert_eq!(seen.len(), 3);
        assert!(haul.slices.iter().all(|slice| (slice.ok, slice.ns) == (1, 15 * MS)));
        let (counts, ..) = haul.harvest.recorder.into_parts();
        assert!(counts.balanced());
        // Each was planned before the cut.
        assert_eq!(counts.planned, 0);
    }

    #[test]
    fn an_open_load_keeps_its_schedule_across_pauses() {
        // One arrival a millisecond of the load's own time.
        let model = LoadModel::Constant(Constant { rate_per_s: 1_000.0 });
        let (haul, seen) = run(&plan(model, 4), |_| right(MS / 2));
        let slices: Vec<_> = haul.slices.iter().map(|slice| slice.ok).collect();
        assert_eq!(slices.iter().sum::<u64>(), seen.len() as u64);
        assert!(slices.iter().all(|ok| (9..=11).contains(ok)), "{slices:?}");
        let (counts, steps, ..) = haul.harvest.recorder.into_parts();
        assert_eq!((counts.dropped, counts.unfinished), (0, 0));
        assert_eq!(counts.planned, counts.ok);
        assert!(steps[0].response.quantile_ns(1.0) < MS, "nobody waited through a pause");
    }

    #[test]
    fn what_was_due_and_found_no_connection_is_sent_after_the_slice() {
        // Two a millisecond on one connection that takes 1 ms: half of them wait.
        let model = LoadModel::Constant(Constant { rate_per_s: 2_000.0 });
        let (haul, _) = run(&plan(model, 1), |_| right(MS));
        let (counts, ..) = haul.harvest.recorder.into_parts();
        assert_eq!((counts.dropped, counts.unfinished), (0, 0));
        assert!(haul.slices.iter().all(|slice| slice.ns >= 19 * MS), "{:?}", haul.slices);
    }

    #[test]
    fn every_lane_is_in_every_round_and_orders_differ() {
        let mut order: Vec<usize> = (0..4).collect();
        let mut orders = std::collections::BTreeSet::new();
        for round in 0..100 {
            shuffle(&mut order, mix(7, round));
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3]);
            orders.insert(order.clone());
        }
        assert!(orders.len() > 15, "{}", orders.len());
    }
}
