//! Figures and comparisons: observations of trials become estimates with intervals.
//!
//! Values are gathered by experiment, metric, level, arm, connections and rate, one a block; those
//! of invalid trials are kept apart, and count only where too few valid ones are left to stand
//! alone.

use std::collections::BTreeMap;

use serde::Serialize;

use super::doubts::is_invalid;
use crate::experiment::{self, Observation, enough_valid};
use crate::plan::Plan;
use crate::record::TrialRecord;
use crate::stats::{Estimate, Verdict, estimate, paired_difference, paired_ratio};

/// The relative difference that still counts as equal. A smaller one would decide no choice of a
/// scheme, and two cores cannot tell it from noise.
pub(super) const MARGIN: f64 = 0.03;

/// One figure: a metric of an arm at a level.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measurement {
    /// The experiment.
    pub experiment: String,
    /// The arm.
    pub arm: String,
    /// Users who were logged in; `None` for a figure of all levels.
    pub users: Option<u64>,
    /// Connections that carried the load.
    pub connections: u32,
    /// The rate that was asked for, requests a second.
    pub rate: Option<f64>,
    /// Name of the metric.
    pub metric: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// The figure with its interval.
    pub estimate: Estimate,
    /// Whether it may be used: false when fewer than two thirds of the trials are valid; the figure
    /// is then of all of them.
    pub valid: bool,
    /// The values of the trials, by block.
    #[serde(skip)]
    pub by_block: BTreeMap<u32, f64>,
}

/// An arm beside another, in one metric at one level.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The experiment.
    pub experiment: String,
    /// The metric.
    pub metric: &'static str,
    /// Users who were logged in; `None` for a figure of all levels.
    pub users: Option<u64>,
    /// The arm.
    pub arm: String,
    /// The arm it is compared with.
    pub against: String,
    /// Arm divided by the other; `None` where a value is not positive.
    pub ratio: Option<Estimate>,
    /// Arm minus the other, in the metric's unit.
    pub difference: Estimate,
    /// What the ratio says.
    pub verdict: Verdict,
}

/// Where a figure stands: experiment, metric's place in the table, users, arm's place, connections,
/// rate in micro-requests a second (so that it orders).
type Key = (usize, usize, Option<u64>, usize, u32, Option<u64>);

/// Values of one figure by block: of valid trials, and of invalid ones.
type Values = (BTreeMap<u32, f64>, BTreeMap<u32, f64>);

pub(super) fn measurements(plan: &Plan, complete: &[&TrialRecord]) -> Vec<Measurement> {
    let mut cells: BTreeMap<Key, Values> = BTreeMap::new();
    for record in complete {
        let Some(experiment) = experiment::find(&record.trial.experiment) else { continue };
        let valid = !is_invalid(record);
        for observation in experiment.observe(record) {
            let Some(key) = key(plan, record, &observation) else { continue };
            let (usable, doubtful) = cells.entry(key).or_default();
            let values = if valid { usable } else { doubtful };
            values.insert(record.trial.block, observation.value);
        }
    }
    let measurement = |(key, (usable, doubtful)): (Key, Values)| {
        let (experiment, row, users, arm, connections, rate) = key;
        // Invalid trials are not a random choice: a generator is saturated where the server is
        // fastest. With too many gone, those that are left no longer stand for the cell.
        let trials = usable.len() + doubtful.len();
        let valid = enough_valid(usable.len(), trials);
        let mut by_block = usable;
        if !valid {
            by_block.extend(doubtful);
        }
        let metric = &experiment::METRICS[row];
        let values: Vec<f64> = by_block.values().copied().collect();
        Some(Measurement {
            experiment: plan.experiments[experiment].clone(),
            arm: plan.arms[arm].clone(),
            users,
            connections,
            rate: rate.map(|rate| rate as f64 / 1e6),
            metric: metric.name,
            unit: metric.unit,
            estimate: estimate(&values, metric.scale)?,
            valid,
            by_block,
        })
    };
    cells.into_iter().filter_map(measurement).collect()
}

fn key(plan: &Plan, record: &TrialRecord, observation: &Observation) -> Option<Key> {
    let trial = &record.trial;
    Some((
        plan.experiments.iter().position(|name| *name == trial.experiment)?,
        experiment::METRICS.iter().position(|metric| metric.name == observation.metric)?,
        observation.users,
        plan.arms.iter().position(|arm| *arm == trial.arm)?,
        observation.connections,
        observation.rate.map(|rate| (rate * 1e6) as u64),
    ))
}

/// Compares every arm with the baseline, and with the reference, wherever both have valid figures.
pub(super) fn comparisons(plan: &Plan, measurements: &[Measurement]) -> Vec<Comparison> {
    let mut comparisons = Vec::new();
    for one in measurements.iter().filter(|m| m.valid) {
        let mut others: Vec<&String> = vec![&plan.baseline];
        if plan.reference != plan.baseline {
            others.push(&plan.reference);
        }
        for against in others {
            let other = measurements.iter().find(|other| {
                other.valid
                    && other.arm == *against
                    && other.arm != one.arm
                    // The baseline beside the reference says nothing that its inverse does not.
                    && one.arm != plan.baseline
                    && (&other.experiment, other.metric, other.users, other.connections)
                        == (&one.experiment, one.metric, one.users, one.connections)
                    && other.rate == one.rate
            });
            comparisons.extend(other.and_then(|other| compare(one, other)));
        }
    }
    comparisons
}

fn compare(one: &Measurement, other: &Measurement) -> Option<Comparison> {
    let pairs: Vec<(f64, f64)> = one
        .by_block
        .iter()
        .filter_map(|(block, value)| Some((*value, *other.by_block.get(block)?)))
        .collect();
    let ratio = paired_ratio(&pairs);
    let verdict = ratio.as_ref().map_or(Verdict::Inconclusive, |r| Verdict::on_ratio(r, MARGIN));
    Some(Comparison {
        experiment: one.experiment.clone(),
        metric: one.metric,
        users: one.users,
        arm: one.arm.clone(),
        against: other.arm.clone(),
        ratio,
        difference: paired_difference(&pairs)?,
        verdict,
    })
}
