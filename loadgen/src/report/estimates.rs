//! Figures: observations of trials become estimates with intervals.
//!
//! Values are gathered by experiment, metric, level, arm, connections and rate, one a block; those
//! of invalid trials are kept apart, and count only where too few valid ones are left to stand
//! alone. What only all trials of an arm say together, such as the parameters of a law, comes from
//! its experiment.

use std::collections::BTreeMap;

use serde::Serialize;

use super::doubts::is_invalid;
use crate::experiment::{self, Observation, Summary, enough_valid, metric};
use crate::plan::Plan;
use crate::record::TrialRecord;
use crate::stats::{Estimate, Resampled, estimate, exact};

/// One figure: a metric of an arm at a level.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measurement {
    /// The experiment.
    pub experiment: String,
    /// The arm.
    pub arm: String,
    /// Level of the trials, where the experiment sweeps something else than users.
    pub level: Option<u32>,
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
    /// Its values in campaigns drawn anew, where single trials have none.
    #[serde(skip)]
    pub resampled: Option<Resampled>,
}

/// At which level and with how many users a figure was measured, in the order of the tables.
pub(super) type Place = (Option<u32>, Option<u64>);

impl Measurement {
    /// Its place.
    pub(super) const fn place(&self) -> Place {
        (self.level, self.users)
    }
}

/// Where a figure stands: experiment, metric's place in the table, its own place, arm's place,
/// connections, rate in micro-requests a second (so that it orders).
type Key = (usize, usize, Place, usize, u32, Option<u64>);

/// Values of one figure by block: of valid trials, and of invalid ones.
type Values = (BTreeMap<u32, f64>, BTreeMap<u32, f64>);

/// Every figure of a campaign, in the order of experiments, metrics, levels and arms.
pub(super) fn measurements(plan: &Plan, complete: &[&TrialRecord]) -> Vec<Measurement> {
    let names = plan.names();
    let mut measurements = of_trials(plan, &names, complete);
    for name in &plan.experiments {
        for arm in &names {
            summarise(plan, name, arm, complete, &mut measurements);
        }
    }
    let row = |m: &Measurement| experiment::METRICS.iter().position(|row| row.name == m.metric);
    measurements.sort_by_cached_key(|m| {
        let experiment = plan.experiments.iter().position(|name| *name == m.experiment);
        let arm = names.iter().position(|name| *name == m.arm);
        let rate = m.rate.map(|rate| (rate * 1e6) as u64);
        (experiment, row(m), m.place(), arm, m.connections, rate)
    });
    measurements
}

/// Adds what the valid trials of an arm say together.
fn summarise(
    plan: &Plan,
    name: &str,
    arm: &str,
    complete: &[&TrialRecord],
    measurements: &mut Vec<Measurement>,
) {
    let Some(experiment) = experiment::find(name) else { return };
    let is_of = |r: &&&TrialRecord| r.trial.experiment == name && r.trial.name() == arm;
    let trials: Vec<&TrialRecord> =
        complete.iter().filter(is_of).copied().filter(|record| !is_invalid(record)).collect();
    let blocks = plan.trials.iter().filter(|t| t.experiment == name).map(|t| t.block + 1).max();
    if trials.is_empty() {
        return;
    }
    for summary in experiment.summarise(&trials, blocks.unwrap_or(0), plan.seed) {
        let Summary { level, users, connections, metric: of, estimate, resampled } = summary;
        let known = measurements.iter_mut().find(|m| {
            (m.experiment.as_str(), m.arm.as_str(), m.metric) == (name, arm, of)
                && m.place() == (level, users)
        });
        match known {
            // Figures of all trials, because too few are valid, stay as they are.
            Some(known) if !known.valid => {}
            Some(known) => (known.estimate, known.resampled) = (estimate, resampled),
            None => measurements.push(Measurement {
                experiment: name.into(),
                arm: arm.into(),
                level,
                users,
                connections,
                rate: None,
                metric: of,
                unit: metric(of).unit,
                estimate,
                valid: true,
                by_block: BTreeMap::new(),
                resampled,
            }),
        }
    }
}

/// What single trials say, gathered.
fn of_trials(plan: &Plan, names: &[String], complete: &[&TrialRecord]) -> Vec<Measurement> {
    let mut cells: BTreeMap<Key, Values> = BTreeMap::new();
    let paces = experiment::paces(complete);
    for record in complete {
        let Some(experiment) = experiment::find(&record.trial.experiment) else { continue };
        let valid = !is_invalid(record);
        for observation in experiment.observe(record) {
            let Some(key) = key(plan, names, record, &observation) else { continue };
            let (usable, doubtful) = cells.entry(key).or_default();
            let values = if valid { usable } else { doubtful };
            let paced = experiment::PACED.contains(&observation.metric);
            let pace = paces.get(&record.trial.index).filter(|_| paced).unwrap_or(&1.0);
            values.insert(record.trial.block, observation.value * pace);
        }
    }
    let measurement = |(key, (usable, doubtful)): (Key, Values)| {
        let (experiment, row, (level, users), arm, connections, rate) = key;
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
        let found = if metric.exact { exact(&values) } else { estimate(&values, metric.scale) };
        Some(Measurement {
            experiment: plan.experiments[experiment].clone(),
            arm: names[arm].clone(),
            level,
            users,
            connections,
            rate: rate.map(|rate| rate as f64 / 1e6),
            metric: metric.name,
            unit: metric.unit,
            estimate: found?,
            valid,
            by_block,
            resampled: None,
        })
    };
    cells.into_iter().filter_map(measurement).collect()
}

fn key(
    plan: &Plan,
    names: &[String],
    record: &TrialRecord,
    observation: &Observation,
) -> Option<Key> {
    let trial = &record.trial;
    let arm = trial.name();
    let axis = experiment::find(&trial.experiment)?.axis();
    Some((
        plan.experiments.iter().position(|name| *name == trial.experiment)?,
        experiment::METRICS.iter().position(|metric| metric.name == observation.metric)?,
        (axis.map(|_| trial.level), observation.users),
        names.iter().position(|name| *name == arm)?,
        observation.connections,
        observation.rate.map(|rate| (rate * 1e6) as u64),
    ))
}
