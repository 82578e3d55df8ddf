//! Percentiles of the response times of each load of `concurrency`: more of them than there are
//! metrics, so that a chart can show the whole distribution. Each is a figure per trial, estimated
//! over trials like any other.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::experiment::Judged;
use crate::plan::Arm;
use crate::record::ActionRecord;
use crate::stats::{Estimate, Scale, estimate};

/// The experiment whose loads are taken.
const EXPERIMENT: &str = "concurrency";
/// The percentiles, of 100.
const PERCENTS: [f64; 9] = [10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99];
/// With fewer samples beyond a percentile it is noise.
const BEYOND_MIN: f64 = 10.0;

/// A percentile of the response times of an arm.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Percentile {
    /// The arm; the twin under its own name.
    pub arm: Arm,
    /// Concurrent users.
    pub users: u32,
    /// Which percentile, of 100.
    pub percent: f64,
    /// The response time, us.
    pub estimate: Estimate,
}

/// Every percentile that has enough samples beyond it in every trial, by users and arm.
pub(super) fn percentiles(arms: &[Arm], complete: &[&Judged]) -> Vec<Percentile> {
    let mut trials: BTreeMap<(u32, usize), Vec<[Option<f64>; PERCENTS.len()]>> = BTreeMap::new();
    for record in complete.iter().filter(|judged| judged.valid).map(|judged| judged.record) {
        let Some(arm) = arms.iter().position(|arm| *arm == record.trial.name()) else { continue };
        if record.trial.experiment != EXPERIMENT {
            continue;
        }
        for action in &record.actions {
            let ActionRecord::Load(load) = action else { continue };
            let response = load.response();
            let beyond = |percent: f64| response.count() as f64 * (1.0 - percent / 100.0) + 1e-6;
            let value = |percent: f64| {
                (beyond(percent) >= BEYOND_MIN)
                    .then(|| response.quantile_ns(percent / 100.0) as f64 / 1e3)
            };
            trials.entry((record.trial.level, arm)).or_default().push(PERCENTS.map(value));
        }
    }
    let mut found = Vec::new();
    for ((users, arm), trials) in trials {
        for (i, percent) in PERCENTS.into_iter().enumerate() {
            let values: Option<Vec<f64>> = trials.iter().map(|trial| trial[i]).collect();
            if let Some(estimate) = values.and_then(|values| estimate(&values, Scale::Log)) {
                found.push(Percentile { arm: arms[arm].clone(), users, percent, estimate });
            }
        }
    }
    found
}
