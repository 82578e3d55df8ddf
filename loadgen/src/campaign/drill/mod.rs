//! Drills: servers of one arm are started, stopped and replaced, and their users tried.

mod expiry;
mod failover;
mod replicas;
mod restart;
mod revocation;
mod rig;

use crate::error::{Interrupt, Result};
use crate::plan::{DrillPlan, TrialPlan};
use crate::record::{DrillRecord, Placement, TrialRecord};
use rig::Rig;

/// Carries a drill out; what its first server says of itself goes into the record at once.
///
/// A drill starts what it needs by itself, over a fleet whose key and store outlive any of its
/// servers. Its requests come from one thread on the generator's cores, through the plain client;
/// whatever costs CPU time on purpose goes through the engine. It computes no figure, and cannot
/// tell which scheme it drives.
///
/// # Errors
/// `Target` when a server does not do its part, `Interrupted` when a signal comes.
pub(super) fn carry_out(
    plan: &DrillPlan,
    trial: &TrialPlan,
    placement: &Placement,
    interrupt: &Interrupt,
    record: &mut TrialRecord,
) -> Result<DrillRecord> {
    let mut rig = Rig::new(trial, placement, interrupt)?;
    let did = match plan {
        DrillPlan::Revocation(plan) => {
            revocation::run(&mut rig, plan).map(Box::new).map(DrillRecord::Revocation)
        }
        DrillPlan::Expiry(plan) => expiry::run(&mut rig, plan).map(DrillRecord::Expiry),
        DrillPlan::Restart(plan) => {
            restart::run(&mut rig, plan).map(Box::new).map(DrillRecord::Restart)
        }
        DrillPlan::Replicas(plan) => replicas::run(&mut rig, plan).map(DrillRecord::Replicas),
        DrillPlan::Failover(plan) => failover::run(&mut rig, plan).map(DrillRecord::Failover),
    };
    record.server = rig.facts;
    did
}
