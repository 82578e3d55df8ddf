//! What a plan gives to workers that brought nothing home: a plan is a function of its seed, so the
//! requests of a process that died are known without it.

use std::ops::Range;

use super::core::USER_DRAWS;
use crate::journey::Script;
use crate::load::{Arrivals, LoadModel};
use crate::plan::LoadPlan;
use crate::random::mix;

/// Requests that these workers, of `of`, have to make in the first `window_ns` of Measure; `None`
/// where that follows from answers, as in a closed load.
pub fn planned_for(
    script: &Script,
    plan: &LoadPlan,
    seed: u64,
    (workers, of): (Range<u32>, u32),
    window_ns: u64,
) -> Option<u64> {
    if matches!(plan.model, LoadModel::Closed(_) | LoadModel::Visits(_)) {
        return None;
    }
    let mut arrivals = Arrivals::of_load(&plan.model, seed);
    let mut planned = 0;
    while let Some(due_ns) = arrivals.due_ns().filter(|due| *due < plan.warmup_ns + window_ns) {
        let turn = script.step_at(arrivals.taken()).0;
        let user = plan.choice.pick(mix(seed, USER_DRAWS), turn, plan.users);
        planned += u64::from(due_ns >= plan.warmup_ns && workers.contains(&(user % of)));
        arrivals.take();
    }
    Some(planned)
}
