//! Does to a server what the plan of a trial says, in order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use servers::contract::Population;

use super::probe::{measured_load, read_memory};
use super::search::search;
use super::stage::{Held, Set, Stage};
use crate::engine::{self, Driver, LoggedIn};
use crate::error::{Error, Result};
use crate::plan::{Action, PopulatePlan, Prepare, SnapshotPlan};
use crate::proc::Server;
use crate::record::{ActionRecord, LoginRecord, SnapshotRecord, TrialRecord};

/// The journey behind a login that is only a login.
const BROWSE: &str = "browse";

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

/// When the server has died, that is the cause, and what the generator met is only its effect.
fn or_obituary(error: Error, server: &mut Server) -> Error {
    match error {
        Error::Target(_) => server.obituary().map_or(error, Error::Target),
        other => other,
    }
}

impl Stage<'_> {
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
                let driver = Driver { users: held.users()?, ..self.driver_of(plan)? };
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
        let mut logged_in = LoggedIn::nobody(first.into(), driver.workers);
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

fn snapshot(plan: &SnapshotPlan, server: &Server) -> Result<SnapshotRecord> {
    std::thread::sleep(Duration::from_nanos(plan.settle_ns));
    Ok(SnapshotRecord { sessions: plan.sessions, memory: read_memory(server)? })
}
