//! Runs a load: workers on threads of their own, phases with a gate between them, one merge.
//!
//! [`load`] takes a target through Setup, Warmup, Measure and Drain. Every worker owns its
//! transport, its users and its recorder; they meet at the start, which none passes before all are
//! ready, and at the end, where what they counted is added up. A worker that fails in Setup ends
//! the load for all and leaves nobody waiting. The engine must never know which scheme it drives.

mod core;
mod recorder;
mod users;
mod worker;

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, Interrupt, Result};
use crate::journey::Script;
use crate::load::LoadModel;
use crate::plan::{FillPlan, LoadPlan};
use crate::record::{Counts, GeneratorUse, LoadRecord, LoginRecord, Second, StepRecord};
use crate::transport::Lean;
use recorder::Recorder;
use users::Credentials;
use worker::{Harvest, Keep, LoginFault, Part, Setup, Worker};

/// Where a load is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Connections are opened and users log in.
    Setup,
    /// Requests are sent and not counted.
    Warmup,
    /// Requests are sent and counted.
    Measure,
    /// Nothing new is sent; answers are awaited.
    Drain,
}

/// Who is driven, from where.
#[derive(Clone, Debug)]
pub struct Driver {
    /// The target's requests.
    pub script: Arc<Script>,
    /// The target's address.
    pub address: SocketAddr,
    /// Cores that workers are pinned to, one each in turn; empty: not pinned.
    pub cores: Vec<usize>,
    /// Worker threads.
    pub workers: u32,
    /// Ends a load early.
    pub interrupt: Interrupt,
}

/// How long after the last worker is ready the load starts: all must have seen the start by then.
const START_AFTER: Duration = Duration::from_millis(2);

impl Driver {
    /// A driver of this target.
    ///
    /// # Errors
    /// `Target` when the host name has no address.
    pub fn new(
        script: Script,
        cores: Vec<usize>,
        workers: u32,
        interrupt: Interrupt,
    ) -> Result<Self> {
        let authority = &script.authority;
        let with_port =
            if authority.contains(':') { authority.clone() } else { format!("{authority}:80") };
        let address = with_port
            .to_socket_addrs()
            .ok()
            .and_then(|mut addresses| addresses.next())
            .ok_or_else(|| {
            Error::Target(format!("the host of `{authority}` has no address"))
        })?;
        Ok(Self { script: Arc::new(script), address, cores, workers, interrupt })
    }

    /// Workers of a load of so many users and connections: every worker needs one of each.
    fn workers_for(&self, users: u32, connections: u32) -> u32 {
        self.workers.min(users).min(connections).max(1)
    }

    fn worker<'a>(
        &'a self,
        part: Part,
        connections: u32,
        timeout_ns: u64,
        epoch: Instant,
    ) -> Result<Worker<'a, Lean>> {
        self.pin(part.worker);
        let connections = part.of(connections);
        let transport = Lean::new(&self.script, self.address, connections as usize, epoch)
            .map_err(|e| Error::Config(format!("no event queue for the generator: {e}")))?;
        let setup = Setup {
            script: &self.script,
            part,
            connections,
            timeout_ns,
            interrupt: &self.interrupt,
        };
        Ok(Worker { transport, setup, credentials: Credentials::default() })
    }

    /// Keeps the calling worker on its core. A refusal is no error: placement is checked and
    /// reported by whoever chose the cores.
    fn pin(&self, worker: u32) {
        if self.cores.is_empty() {
            return;
        }
        let mut set = rustix::thread::CpuSet::new();
        set.set(self.cores[worker as usize % self.cores.len()]);
        let _ = rustix::thread::sched_setaffinity(None, &set);
    }

    fn fault(&self, fault: LoginFault) -> Error {
        match fault {
            LoginFault::Interrupted => interrupted(&self.interrupt),
            LoginFault::Transport(error) => {
                Error::Bug(format!("the event queue stopped working: {error}"))
            }
            LoginFault::Refused { user, request, outcome, missing } => {
                Error::Target(worker::refusal(&self.script, user, request, outcome, missing))
            }
        }
    }
}

/// The error that an interrupt ends a command with.
pub fn interrupted(interrupt: &Interrupt) -> Error {
    let signal = interrupt.signal().unwrap_or(crate::error::Signal::Int);
    Error::Interrupted("interrupted".into(), signal)
}

/// Logs in the users of a fill and forgets their credentials.
///
/// # Errors
/// `Target` when a login fails, `Interrupted` when a signal comes.
pub fn fill(driver: &Driver, plan: &FillPlan) -> Result<LoginRecord> {
    let epoch = Instant::now();
    let workers = driver.workers_for(plan.users, plan.connections);
    let each = |worker| -> Result<LoginRecord> {
        let part = Part { worker, workers };
        let mut worker = driver.worker(part, plan.connections, plan.timeout_ns, epoch)?;
        worker
            .login(plan.first_user, plan.users, Keep::Nothing)
            .map_err(|fault| driver.fault(fault))
    };
    let records = thread::scope(|scope| {
        let each = &each;
        let handles: Vec<_> =
            (0..workers).map(|worker| scope.spawn(move || each(worker))).collect();
        handles.into_iter().map(|handle| handle.join().map_err(panicked)?).collect::<Result<_>>()
    })?;
    Ok(merge_logins(records))
}

/// Runs a load. `watch` is called on the calling thread as each phase begins.
///
/// # Errors
/// `Target` when a login fails, `Interrupted` when a signal comes before Measure. A signal during
/// Measure is no error: what was measured until then is returned.
pub fn load(
    driver: &Driver,
    plan: &LoadPlan,
    seed: u64,
    mut watch: impl FnMut(Phase),
) -> Result<LoadRecord> {
    let epoch = Instant::now();
    let workers = driver.workers_for(plan.users, plan.connections);
    watch(Phase::Setup);
    let (ready, all_ready) = mpsc::channel();
    let each = |worker, ready: mpsc::Sender<_>, start: mpsc::Receiver<u64>| {
        let part = Part { worker, workers };
        let mut worker = match driver.worker(part, plan.connections, plan.timeout_ns, epoch) {
            Ok(worker) => worker,
            Err(error) => {
                let _ = ready.send(Err(error));
                return None;
            }
        };
        let login = worker.login(0, plan.users, Keep::Credentials).map_err(|f| driver.fault(f));
        // Either end may be gone when another worker has failed; then there is no load to run.
        ready.send(login).ok()?;
        drop(ready);
        let start_ns = start.recv().ok()?;
        let harvest = worker.load(plan, seed, start_ns);
        // The connections stay open until whoever watches has read the server's memory.
        let _ = start.recv();
        Some(harvest)
    };
    thread::scope(|scope| {
        let each = &each;
        let mut starts = Vec::new();
        let mut handles = Vec::new();
        for worker in 0..workers {
            let (start, started) = mpsc::channel();
            let ready = ready.clone();
            starts.push(start);
            handles.push(scope.spawn(move || each(worker, ready, started)));
        }
        drop(ready);
        let logins = all_ready.iter().collect::<Result<Vec<LoginRecord>>>()?;
        if logins.len() < workers as usize {
            return Err(Error::Bug("a generator thread ended while setting up".into()));
        }
        let start_at = epoch.elapsed() + START_AFTER;
        let start_ns = nanos(start_at);
        for start in &starts {
            // A worker that is gone is reported when it is joined.
            let _ = start.send(start_ns);
        }
        walk_phases(driver, plan, epoch, start_ns, &mut watch);
        drop(starts);
        let mut harvests = Vec::new();
        for handle in handles {
            let harvest = handle.join().map_err(panicked)?;
            let harvest = harvest.ok_or_else(|| Error::Bug("a worker did not run".into()))?;
            harvests.push(
                harvest.map_err(|e| Error::Bug(format!("the event queue stopped working: {e}")))?,
            );
        }
        Ok(merge(driver, plan, merge_logins(logins), harvests))
    })
}

/// Calls `watch` as the phases after Setup begin.
fn walk_phases(
    driver: &Driver,
    plan: &LoadPlan,
    epoch: Instant,
    start_ns: u64,
    watch: &mut impl FnMut(Phase),
) {
    let measure_ns = start_ns + plan.warmup_ns;
    for (phase, at_ns) in [
        (Phase::Warmup, start_ns),
        (Phase::Measure, measure_ns),
        (Phase::Drain, measure_ns + plan.measure_ns),
    ] {
        let at = Duration::from_nanos(at_ns);
        while let Some(left) = at.checked_sub(epoch.elapsed())
            && driver.interrupt.signal().is_none()
        {
            thread::sleep(left.min(Duration::from_millis(50)));
        }
        watch(phase);
    }
}

fn merge_logins(records: Vec<LoginRecord>) -> LoginRecord {
    let mut all = LoginRecord::default();
    for record in records {
        all.users += record.users;
        all.wall_ns = all.wall_ns.max(record.wall_ns);
        all.credential_bytes += record.credential_bytes;
        all.service.merge(&record.service);
    }
    all
}

fn merge(
    driver: &Driver,
    plan: &LoadPlan,
    login: LoginRecord,
    harvests: Vec<Harvest>,
) -> LoadRecord {
    let mut counts = Counts::default();
    let mut steps: Vec<StepRecord> = Vec::new();
    let mut timeline: Vec<Second> = Vec::new();
    let closed = matches!(&plan.model, LoadModel::Closed(closed) if closed.think_ns == 0);
    let mut generator = GeneratorUse {
        workers: harvests.len() as u32,
        spins: !closed,
        peak_rss_bytes: own_peak_rss_bytes(),
        ..GeneratorUse::default()
    };
    let (mut connections, mut bytes_sent, mut bytes_received, mut closed_by_server) = (0, 0, 0, 0);
    for Harvest { recorder, connections: used, wire, cpu_ns, waited_ns } in harvests {
        let (part, part_steps, part_timeline) = Recorder::into_parts(recorder);
        let share = |ns: u64| ns as f64 / part.window_ns.max(1) as f64;
        generator.busiest = generator.busiest.max(share(cpu_ns));
        generator.waited = generator.waited.max(share(waited_ns));
        generator.cpu_ns += cpu_ns;
        counts.merge(&part);
        connections += used;
        bytes_sent += wire.bytes_sent;
        bytes_received += wire.bytes_received;
        closed_by_server += wire.closed_by_server;
        if steps.is_empty() {
            (steps, timeline) = (part_steps, part_timeline);
        } else {
            for (step, more) in steps.iter_mut().zip(&part_steps) {
                step.response.merge(&more.response);
                step.service.merge(&more.service);
                step.lag.merge(&more.lag);
            }
            for (second, more) in timeline.iter_mut().zip(&part_timeline) {
                second.ended += more.ended;
                second.ok += more.ok;
                second.response.merge(&more.response);
            }
        }
    }
    assert!(counts.balanced(), "a request was lost in the accounts: {counts:?}");
    let request_wire_bytes = bytes_sent.checked_div(counts.sent).unwrap_or(0);
    LoadRecord {
        model: plan.model.label(),
        login: driver.script.login.map(|_| login),
        connections,
        request_wire_bytes,
        counts,
        steps,
        timeline,
        bytes_sent,
        bytes_received,
        closed_by_server,
        generator,
        server: None,
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> Error {
    Error::Bug("a generator thread panicked".into())
}

/// Highest resident set size of this process so far; 0 where the kernel does not tell.
fn own_peak_rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
