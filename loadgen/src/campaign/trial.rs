//! One trial: a server is started, acted upon, measured from outside and stopped.

use std::time::Instant;

use super::act::act_in_turn;
use super::drill;
use super::stage::{Held, SAMPLE_EVERY, Set, facts, failed, unfinished};
use crate::error::{Error, Interrupt, Result};
use crate::plan::{Action, TrialPlan};
use crate::proc::{Server, ServerOptions, Steal, Watch};
use crate::record::{ActionRecord, Placement, TrialRecord};

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
    let watch = Watch::start(server.serving(), SAMPLE_EVERY);
    let mut held = Held::default();
    let set = Set { seed: trial.seed, placement, interrupt };
    let outcome = act_in_turn(&trial.actions, &mut server, set, &mut held, record);
    record.timeline = watch.stop();
    outcome
}
