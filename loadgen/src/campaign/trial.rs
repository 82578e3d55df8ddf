//! One trial: a server is started, acted upon, measured from outside and stopped.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use servers::contract::Population;

use super::drill;
use super::search::search;
use crate::engine::{self, Driver, LoggedIn, OpenConnections, Phase, Watcher};
use crate::error::{Error, Interrupt, Result};
use crate::journey::Script;
use crate::plan::{Action, LoadPlan, PopulatePlan, Prepare, SnapshotPlan, TrialPlan};
use crate::proc::{
    Server, ServerOptions, Steal, Watch, cpu_and_wait_ns, family_cpu_ns, family_pss_bytes, memory,
};
use crate::record::{
    ActionRecord, LoadRecord, LoginRecord, MemoryUse, Placement, RECORD_SCHEMA, ServerFacts,
    ServerUse, SnapshotRecord, TrialOutcome, TrialRecord,
};

/// How often a server is sampled while a trial runs.
const SAMPLE_EVERY: Duration = Duration::from_millis(250);

/// Runs one trial.
///
/// # Errors
/// `Interrupted` when a signal comes, and faults of authbench itself; a server that fails is no
/// error but a record that says so.
pub fn run_trial(
    plan_hash: &str,
    trial: &TrialPlan,
    placement: &Placement,
    interrupt: &Interrupt,
) -> Result<TrialRecord> {
    let began = Instant::now();
    let steal = Steal::start();
    let mut record = unfinished(plan_hash, trial, placement);
    match carry_out(trial, placement, interrupt, &mut record) {
        Ok(()) => {}
        Err(Error::Target(cause)) => record.outcome = failed(&cause),
        Err(other) => return Err(other),
    }
    record.steal = steal.share();
    record.wall_ms = began.elapsed().as_millis() as u64;
    Ok(record)
}

/// The outcome of a trial that ended early. The last lines of a child make one sentence: a record
/// holds no line feed.
pub(super) fn failed(cause: &str) -> TrialOutcome {
    TrialOutcome::Failed { cause: cause.replace(":\n  ", ": ").replace("\n  ", " | ") }
}

/// The record of a trial that begins now.
pub(super) fn unfinished(plan_hash: &str, trial: &TrialPlan, placement: &Placement) -> TrialRecord {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    TrialRecord {
        schema: RECORD_SCHEMA,
        plan: plan_hash.into(),
        origin: None,
        trial: trial.clone(),
        started_unix_ms: now.as_millis() as u64,
        wall_ms: 0,
        placement: placement.clone(),
        server: None,
        actions: Vec::new(),
        timeline: Vec::new(),
        steal: 0.0,
        outcome: TrialOutcome::Complete,
    }
}

/// The record of a trial that cannot be run.
pub(super) fn never_run(
    plan_hash: &str,
    trial: &TrialPlan,
    placement: &Placement,
    cause: &str,
) -> TrialRecord {
    TrialRecord { outcome: failed(cause), ..unfinished(plan_hash, trial, placement) }
}

/// What a server says of itself.
pub(super) fn facts(server: &Server) -> ServerFacts {
    let ready = server.ready();
    ServerFacts {
        pid: ready.pid,
        threads: ready.threads,
        notes: ready.notes.clone(),
        store: ready.store.as_ref().map(|store| store.name.clone()),
    }
}

fn carry_out(
    trial: &TrialPlan,
    placement: &Placement,
    interrupt: &Interrupt,
    record: &mut TrialRecord,
) -> Result<()> {
    if let [Action::Drill(plan)] = trial.actions.as_slice() {
        let did = drill::carry_out(plan, trial, placement, interrupt, record)?;
        record.actions.push(ActionRecord::Drill(Box::new(did)));
        return Ok(());
    }
    let options = ServerOptions {
        cores: placement.server.clone(),
        arguments: trial.server.clone(),
        ..ServerOptions::default()
    };
    let mut server = Server::start(&trial.arm, &options)?;
    record.server = Some(facts(&server));
    let watch = Watch::start(server.ready().pid, SAMPLE_EVERY);
    let mut held = Held::default();
    let set = Set { seed: trial.seed, placement, interrupt };
    let outcome = act_in_turn(&trial.actions, &mut server, set, &mut held, record);
    record.timeline = watch.stop();
    outcome
}

/// What the actions of a trial have in common.
#[derive(Clone, Copy)]
pub(super) struct Set<'a> {
    pub(super) seed: u64,
    pub(super) placement: &'a Placement,
    pub(super) interrupt: &'a Interrupt,
}

/// Does to a server what a plan says, in order; the outcome of each action goes into the record.
pub(super) fn act_in_turn(
    actions: &[Action],
    server: &mut Server,
    set: Set<'_>,
    held: &mut Held,
    record: &mut TrialRecord,
) -> Result<()> {
    let Set { seed, placement, interrupt } = set;
    for action in actions {
        if record.actions.last().is_some_and(refused) {
            break;
        }
        let stage = Stage { server, seed, placement, interrupt };
        let did = stage.act(action, held).map_err(|error| or_obituary(error, server))?;
        interrupt.check()?;
        if let Some(obituary) = server.obituary() {
            return Err(Error::Target(obituary));
        }
        record.actions.push(did);
    }
    Ok(())
}

/// Whether nothing can follow: a user was refused what everybody would need.
const fn refused(did: &ActionRecord) -> bool {
    matches!(did, ActionRecord::Grow(grow) if grow.refusal.is_some())
}

/// What an action leaves for those after it.
#[derive(Default)]
pub(super) struct Held {
    logged_in: Vec<Arc<LoggedIn>>,
    connections: Vec<OpenConnections>,
}

impl Held {
    /// The users whom a load has because they are logged in; `None` where they have yet to log in.
    pub(super) fn users(&self) -> Result<Option<Arc<LoggedIn>>> {
        match self.logged_in.as_slice() {
            [] => Ok(None),
            [all] => Ok(Some(Arc::clone(all))),
            _ => Err(Error::Bug("a load after its users were logged in step by step".into())),
        }
    }
}

/// When the server has died, that is the cause, and what the generator met is only its effect.
fn or_obituary(error: Error, server: &mut Server) -> Error {
    match error {
        Error::Target(_) => server.obituary().map_or(error, Error::Target),
        other => other,
    }
}

/// Where the actions of a trial take place.
pub(super) struct Stage<'a> {
    pub(super) server: &'a Server,
    pub(super) seed: u64,
    pub(super) placement: &'a Placement,
    pub(super) interrupt: &'a Interrupt,
}

impl Stage<'_> {
    /// A driver of this journey, and of the one that users make before.
    pub(super) fn driver(&self, journey: &str, prepare: Option<&str>) -> Result<Driver> {
        let script = Script::prepared(&self.server.ready().target, journey, prepare)?;
        Driver::placed(script, self.placement, self.interrupt.clone())
    }

    fn act(&self, action: &Action, held: &mut Held) -> Result<ActionRecord> {
        let before = |prepare: &Option<Prepare>| prepare.as_ref().map(|p| p.journey.clone());
        match action {
            Action::Fill(plan) => {
                let driver = self.driver(BROWSE, before(&plan.prepare).as_deref())?;
                let (record, logged_in) = engine::fill(&driver, plan)?;
                held.logged_in.extend(logged_in.map(Arc::new));
                Ok(ActionRecord::Fill(record))
            }
            Action::Populate(plan) => {
                let (record, logged_in) = self.populate(plan)?;
                held.logged_in.extend(logged_in);
                Ok(ActionRecord::Populate(record))
            }
            Action::Snapshot(plan) => snapshot(plan, self.server).map(ActionRecord::Snapshot),
            // The placement of the whole trial has been made from it.
            Action::Place(_) => Ok(ActionRecord::Place(self.placement.clone())),
            Action::Load(plan) | Action::Pilot(plan) => {
                let driver = self.driver(&plan.journey, before(&plan.prepare).as_deref())?;
                let driver = Driver { users: held.users()?, ..driver };
                let load = measured_load(&driver, plan, self.seed, self.server)?;
                Ok(ActionRecord::Load(Box::new(load)))
            }
            Action::Logout(plan) => {
                let driver = self.driver(BROWSE, None)?;
                let mut all = LoginRecord::default();
                for who in held.logged_in.drain(..) {
                    let record = engine::log_out(&driver, &who, plan)?;
                    // One after the other, and not side by side.
                    let wall_ns = all.wall_ns + record.wall_ns;
                    all.merge(&record);
                    all.wall_ns = wall_ns;
                }
                Ok(ActionRecord::Logout(all))
            }
            Action::Grow(plan) => {
                let driver = self.driver(BROWSE, Some(&plan.journey))?;
                engine::grow(&driver, plan).map(ActionRecord::Grow)
            }
            Action::Connect(plan) => {
                let (record, open) = engine::connect(&self.driver(BROWSE, None)?, plan)?;
                held.connections.push(open);
                Ok(ActionRecord::Connect(record))
            }
            Action::Search(plan) => search(self, plan).map(ActionRecord::Search),
            Action::Slices(_) => Err(Error::Bug(
                "slices alternate with those of other trials: a trial ends with them".into(),
            )),
            Action::Drill(_) => Err(Error::Bug(
                "a drill starts servers of its own: it stands alone in a trial".into(),
            )),
        }
    }
}

impl Stage<'_> {
    /// Has the server log users in by itself.
    fn populate(&self, plan: &PopulatePlan) -> Result<(LoginRecord, Option<Arc<LoggedIn>>)> {
        let began = Instant::now();
        let PopulatePlan { first_user: first, users, leave, keep } = *plan;
        let driver = self.driver(BROWSE, None)?;
        let mut logged_in = LoggedIn::nobody(first.into(), &driver);
        let mut credential_bytes = 0;
        self.server.populate(Population { first, users, leave }, self.interrupt, |credential| {
            credential_bytes += credential.len() as u64;
            if keep { logged_in.add(credential) } else { Ok(()) }
        })?;
        let wall_ns = began.elapsed().as_nanos() as u64;
        let record = LoginRecord { users, wall_ns, credential_bytes, ..LoginRecord::default() };
        Ok((record, keep.then(|| Arc::new(logged_in))))
    }
}

/// The journey behind a login that is only a login.
const BROWSE: &str = "browse";

fn snapshot(plan: &SnapshotPlan, server: &Server) -> Result<SnapshotRecord> {
    std::thread::sleep(Duration::from_nanos(plan.settle_ns));
    Ok(SnapshotRecord { sessions: plan.sessions, memory: read_memory(server)? })
}

pub(super) fn read_memory(server: &Server) -> Result<MemoryUse> {
    let outside = memory(server.ready().pid);
    let inside = server.stats()?;
    Ok(MemoryUse {
        allocated_bytes: inside.allocated_bytes,
        live_sessions: inside.live_sessions,
        connections: Some(inside.connections),
        store_bytes: store_pid(server).and_then(family_pss_bytes),
        store_used_bytes: inside.store_used_bytes,
        store_disk_bytes: inside.store_disk_bytes,
        ..outside
    })
}

/// The store's server, where it was started with this one.
pub(super) fn store_pid(server: &Server) -> Option<u32> {
    server.ready().store.as_ref().map(|store| store.pid)
}

/// What the relay before the store has used, where there is one.
pub(super) fn relay_cpu_ns(server: &Server) -> Option<u64> {
    server.ready().relay.map(|relay| cpu_and_wait_ns(relay.pid).0)
}

pub(super) fn measured_load(
    driver: &Driver,
    plan: &LoadPlan,
    seed: u64,
    server: &Server,
) -> Result<LoadRecord> {
    let mut probe = Probe::new(server);
    let mut load = engine::load(driver, plan, seed, &mut probe)?;
    load.server = probe.used()?;
    Ok(load)
}

impl Watcher for &mut Probe<'_> {
    fn enter(&mut self, phase: Phase) {
        Probe::enter(self, phase);
    }

    fn go_on(&mut self) -> bool {
        !self.server.has_ended()
    }
}

/// CPU time up to a moment.
struct Reading {
    at: Instant,
    cpu_ns: u64,
    waited_ns: u64,
    store_cpu_ns: Option<u64>,
    relay_cpu_ns: Option<u64>,
}

impl Reading {
    fn of(server: &Server) -> Self {
        let at = Instant::now();
        let (cpu_ns, waited_ns) = cpu_and_wait_ns(server.ready().pid);
        Self {
            at,
            cpu_ns,
            waited_ns,
            store_cpu_ns: store_pid(server).map(family_cpu_ns),
            relay_cpu_ns: relay_cpu_ns(server),
        }
    }
}

/// Reads what a server uses where the phases of a load begin.
pub struct Probe<'a> {
    server: &'a Server,
    before: Option<Reading>,
    used: Option<Result<ServerUse>>,
}

impl<'a> Probe<'a> {
    /// A probe of this server.
    pub const fn new(server: &'a Server) -> Self {
        Self { server, before: None, used: None }
    }

    /// To be called as each phase begins.
    pub fn enter(&mut self, phase: Phase) {
        match phase {
            Phase::Setup | Phase::Warmup => {}
            Phase::Measure => self.before = Some(Reading::of(self.server)),
            Phase::Drain => {
                let Some(before) = &self.before else { return };
                let now = Reading::of(self.server);
                let since = |now: Option<u64>, before: Option<u64>| {
                    now.zip(before).map(|(now, before)| now.saturating_sub(before))
                };
                let used = ServerUse {
                    interval_ns: now.at.duration_since(before.at).as_nanos() as u64,
                    threads: self.server.ready().threads as u32,
                    cpu_ns: now.cpu_ns.saturating_sub(before.cpu_ns),
                    waited_ns: now.waited_ns.saturating_sub(before.waited_ns),
                    store_cpu_ns: since(now.store_cpu_ns, before.store_cpu_ns),
                    relay_cpu_ns: since(now.relay_cpu_ns, before.relay_cpu_ns),
                    store_writes: None,
                    memory: MemoryUse::default(),
                };
                let memory = read_memory(self.server);
                self.used = Some(memory.map(|memory| ServerUse { memory, ..used }));
            }
        }
    }

    /// What was used during Measure; `None` when the load did not come so far.
    ///
    /// # Errors
    /// `Target` when the server could not be asked.
    pub fn used(self) -> Result<Option<ServerUse>> {
        self.used.transpose()
    }
}
