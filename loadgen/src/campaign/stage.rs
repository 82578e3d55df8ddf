//! Where the actions of a trial take place, what they leave for each other, and the record that
//! they go into.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use servers::contract::Target;

use crate::engine::{Driver, LoggedIn, OpenConnections, TransportKind, Trust};
use crate::error::{Error, Interrupt, Result};
use crate::journey::Script;
use crate::plan::{LoadPlan, TrialPlan};
use crate::proc::Server;
use crate::record::{Placement, RECORD_SCHEMA, ServerFacts, TrialOutcome, TrialRecord};

/// How often a server is sampled while a trial runs.
pub(super) const SAMPLE_EVERY: Duration = Duration::from_millis(250);

/// What the actions of a trial have in common.
#[derive(Clone, Copy)]
pub(super) struct Set<'a> {
    pub(super) seed: u64,
    pub(super) placement: &'a Placement,
    pub(super) interrupt: &'a Interrupt,
}

/// What an action leaves for those after it.
#[derive(Default)]
pub(super) struct Held {
    pub(super) logged_in: Vec<Arc<LoggedIn>>,
    pub(super) connections: Vec<OpenConnections>,
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
        self.driving(Script::prepared(&self.server.ready().target, journey, prepare)?)
    }

    /// A driver of a load, whose users renew their credential if its plan says so.
    pub(super) fn driver_of(&self, plan: &LoadPlan) -> Result<Driver> {
        let prepare = plan.prepare.as_ref().map(|prepare| prepare.journey.as_str());
        let target = &self.server.ready().target;
        if plan.renewal.is_none() || target.login.is_none() {
            return self.driver(&plan.journey, prepare);
        }
        let renewal = Some(target.renewal.clone().unwrap_or_default());
        let target = Target { renewal, ..target.clone() };
        self.driving(Script::renewing(&target, &plan.journey, prepare)?)
    }

    fn driving(&self, script: Script) -> Result<Driver> {
        let mut driver = Driver::placed(script, self.placement, self.interrupt.clone())?;
        let ready = self.server.ready();
        if ready.http2 {
            driver.transport = TransportKind::Reqwest { http2_only: true };
        }
        driver.trust = ready.certificate.clone().map_or(driver.trust, Trust::Certificate);
        Ok(driver)
    }
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
        refused: Vec::new(),
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
        servers: (!ready.servers.is_empty()).then_some(ready.servers.len() as u32),
        proxy: ready.proxy.as_ref().map(|proxy| proxy.name.clone()),
    }
}
