//! The list of experiments: one line each.

use super::{
    Experiment, capacity, cart, concurrency, context, cores, curve, denylist, expiry, failover,
    login, memory, population, renewal, replicas, restart, revocation, sliding, wire,
};
use crate::record::{Doubt, TrialRecord};

/// Every experiment there is.
pub const EXPERIMENTS: &[&dyn Experiment] = &[
    &concurrency::Concurrency,
    &curve::Curve,
    &capacity::Capacity,
    &memory::Memory,
    &population::Population,
    &denylist::Denylist,
    &login::Login,
    &cart::Cart,
    &revocation::Revocation,
    &expiry::Expiry,
    &restart::Restart,
    &replicas::Replicas,
    &failover::Failover,
    &cores::Cores,
    &context::Context,
    &sliding::Sliding,
    &renewal::Renewal,
    &wire::Wire,
];

/// What makes a trial's figures doubtful, by its experiment and by what its host took away; nothing
/// where the experiment is unknown.
pub fn doubts(record: &TrialRecord) -> Vec<Doubt> {
    let own = find(&record.trial.experiment).map_or_else(Vec::new, |e| e.doubts(record));
    record.with_steal(own)
}

/// The experiment of this name.
pub fn find(name: &str) -> Option<&'static dyn Experiment> {
    EXPERIMENTS.iter().copied().find(|experiment| experiment.name() == name)
}
