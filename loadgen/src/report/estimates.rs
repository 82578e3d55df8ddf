//! Figures: observations of trials become estimates with intervals.

use std::collections::{BTreeMap, BTreeSet};

use super::figures::Measurement;
use super::key::{Key, Place};
use super::known::BEYOND_MAX;
use crate::experiment::{
    self, Judged, METRICS, Metric, Observation, Summary, enough_valid, family, metric,
};
use crate::plan::{Arm, Plan};
use crate::record::TrialRecord;
use crate::stats::{Estimate, estimate, exact};

/// Where a figure stands: experiment, metric's place in the table, its own place, arm's place,
/// connections, rate in micro-requests a second (so that it orders) where no level stands for it.
type Order = (usize, usize, Place, usize, u32, Option<u64>);

/// Values of one figure by block.
#[derive(Default)]
struct Values {
    /// Of valid trials.
    usable: BTreeMap<u32, f64>,
    /// Of invalid ones.
    doubtful: BTreeMap<u32, f64>,
    /// Level of the trials.
    level: u32,
}

/// Every figure of a campaign, in the order of experiments, metrics, levels and arms.
pub(super) fn measurements(plan: &Plan, complete: &[&Judged]) -> Vec<Measurement> {
    let names = plan.names();
    let mut measurements = of_trials(plan, &names, complete);
    for name in &plan.experiments {
        for arm in &names {
            summarise(plan, name, arm, complete, &mut measurements);
        }
    }
    extrapolate(&mut measurements);
    measurements.sort_by_cached_key(|m| {
        let experiment = plan.experiments.iter().position(|name| *name == m.key.experiment);
        let arm = names.iter().position(|name| *name == m.key.arm);
        let rate = m.key.rate.map(|rate| (rate * 1e6) as u64);
        (experiment, m.key.metric.order(), m.key.place(), arm, m.key.connections, rate)
    });
    measurements
}

/// Takes the interval from how many users a machine would hold, where that is far beyond the users
/// who were logged in: a table that grows in steps may cost a tenth more there.
fn extrapolate(measurements: &mut [Measurement]) {
    let whose = |key: &Key| (key.experiment.clone(), key.arm.to_string());
    let mut filled: BTreeMap<(String, String), u64> = BTreeMap::new();
    for m in measurements.iter() {
        let most = filled.entry(whose(&m.key)).or_default();
        *most = m.key.users.unwrap_or(0).max(*most);
    }
    for m in measurements.iter_mut().filter(|m| m.key.metric == metric::USERS_PER_GIB) {
        let most = filled.get(&whose(&m.key)).copied().unwrap_or(0);
        if m.estimate.point > BEYOND_MAX * most as f64 {
            m.estimate.interval = None;
            m.estimate.method = format!("extrapolated from {most} users, without an interval");
        }
    }
}

/// An estimate whose interval ends where the metric does: no share of requests, credentials or
/// users is below 0. What came back of memory may be, and its share too.
fn bounded(metric: &Metric, found: Estimate) -> Estimate {
    let is_part = metric.unit == "share" && metric.family != family::MEMORY_THAT_COMES_BACK;
    let interval =
        found.interval.map(|(lo, hi)| if is_part { (lo.max(0.0), hi) } else { (lo, hi) });
    Estimate { interval, ..found }
}

/// Adds what the valid trials of an arm say together.
fn summarise(
    plan: &Plan,
    name: &str,
    arm: &Arm,
    complete: &[&Judged],
    measurements: &mut Vec<Measurement>,
) {
    let Some(experiment) = experiment::find(name) else { return };
    let valid = complete.iter().filter(|judged| judged.valid).map(|judged| judged.record);
    let trials: Vec<&TrialRecord> =
        valid.filter(|r| r.trial.experiment == name && r.trial.name() == *arm).collect();
    let blocks = plan.trials.iter().filter(|t| t.experiment == name).map(|t| t.block + 1).max();
    if trials.is_empty() {
        return;
    }
    for summary in experiment.summarise(&trials, blocks.unwrap_or(0), plan.seed) {
        let Summary { level, users, connections, metric, estimate, resampled } = summary;
        let known = measurements.iter_mut().find(|m| {
            m.key.measures(name, metric) && m.key.arm == *arm && m.key.place() == (level, users)
        });
        match known {
            // Figures of all trials, because too few are valid, stay as they are.
            Some(known) if !known.valid => {}
            Some(known) => (known.estimate, known.resampled) = (estimate, resampled),
            None => measurements.push(Measurement {
                key: Key {
                    experiment: name.into(),
                    arm: arm.clone(),
                    level,
                    users,
                    connections,
                    rate: None,
                    metric,
                },
                unit: metric.unit,
                estimate,
                valid: true,
                by_block: BTreeMap::new(),
                resampled,
            }),
        }
    }
}

/// What single trials say, gathered.
///
/// There is one value per block. Those of invalid trials are kept apart, and count only if too few
/// valid ones are left to stand alone.
fn of_trials(plan: &Plan, names: &[Arm], complete: &[&Judged]) -> Vec<Measurement> {
    let mut cells: BTreeMap<Order, Values> = BTreeMap::new();
    let mut rates: BTreeMap<(usize, Place), Vec<f64>> = BTreeMap::new();
    let mut at_fault: BTreeSet<(usize, usize, u32)> = BTreeSet::new();
    let records: Vec<&TrialRecord> = complete.iter().map(|judged| judged.record).collect();
    let paces = experiment::paces(&records);
    let piloted: BTreeSet<&str> =
        plan.trials.iter().filter(|t| t.is_pilot()).map(|t| t.experiment.as_str()).collect();
    for judged in complete {
        let record = judged.record;
        let Some(experiment) = experiment::find(&record.trial.experiment) else { continue };
        for observation in experiment.observe(record) {
            let Some(order) = order(plan, names, &piloted, record, &observation) else { continue };
            if judged.is_at_fault() {
                at_fault.insert((order.0, order.3, record.trial.level));
            }
            rates.entry((order.0, order.2)).or_default().extend(observation.rate);
            let cell = cells.entry(order).or_default();
            cell.level = record.trial.level;
            let values = if judged.valid { &mut cell.usable } else { &mut cell.doubtful };
            let pace = paces.get(&record.trial.index).filter(|_| observation.metric.is_paced);
            values.insert(record.trial.block, observation.value * pace.unwrap_or(&1.0));
        }
    }
    let measurement = |(key, Values { usable, doubtful, level: of_trials }): (Order, Values)| {
        let (experiment, row, (level, users), arm, connections, rate) = key;
        // Invalid trials are not a random choice: a generator is saturated where the server is
        // fastest. With too many gone, those that are left no longer stand for the cell; and where
        // the server itself failed in one, they would be its good days.
        let trials = usable.len() + doubtful.len();
        let valid =
            enough_valid(usable.len(), trials) && !at_fault.contains(&(experiment, arm, of_trials));
        let mut by_block = usable;
        if !valid {
            by_block.extend(doubtful);
        }
        let metric = METRICS[row];
        let values: Vec<f64> = by_block.values().copied().collect();
        let found = if metric.is_exact { exact(&values) } else { estimate(&values, metric.scale) };
        let mean = || {
            let rates = rates.get(&(experiment, (level, users))).filter(|r| !r.is_empty())?;
            Some(rates.iter().sum::<f64>() / rates.len() as f64)
        };
        let rate = rate.map(|rate| rate as f64 / 1e6).or_else(mean);
        Some(Measurement {
            key: Key {
                experiment: plan.experiments[experiment].clone(),
                arm: names[arm].clone(),
                level,
                users,
                connections,
                rate,
                metric,
            },
            unit: metric.unit,
            estimate: bounded(metric, found?),
            valid,
            by_block,
            resampled: None,
        })
    };
    cells.into_iter().filter_map(measurement).collect()
}

fn order(
    plan: &Plan,
    names: &[Arm],
    piloted: &BTreeSet<&str>,
    record: &TrialRecord,
    observation: &Observation,
) -> Option<Order> {
    let trial = &record.trial;
    let arm = trial.name();
    let axis = experiment::find(&trial.experiment)?.axis();
    Some((
        plan.experiments.iter().position(|name| *name == trial.experiment)?,
        observation.metric.order(),
        (axis.map(|_| trial.level), observation.users),
        names.iter().position(|name| *name == arm)?,
        observation.connections,
        // A level stands for its rate, which a pilot makes another one in every block.
        observation
            .rate
            .filter(|_| axis.is_none() && !piloted.contains(trial.experiment.as_str()))
            .map(|rate| (rate * 1e6) as u64),
    ))
}

#[cfg(test)]
mod tests {
    use super::{Measurement, bounded, extrapolate};
    use crate::experiment::metric;
    use crate::plan::Action;
    use crate::record::{ActionRecord, TrialRecord};
    use crate::report::tests::sample;
    use crate::stats::Estimate;

    #[test]
    fn users_far_beyond_those_who_were_logged_in_have_no_interval() {
        let all = sample::analysis().measurements;
        let per_gib = |all: &[Measurement]| {
            let mut own = all.iter().filter(|m| m.key.arm == "session@memory");
            own.find(|m| m.key.metric == metric::USERS_PER_GIB).unwrap().clone()
        };
        // 280 bytes each: 3.8 million, of a slope over 100,000.
        let far = per_gib(&all);
        assert_eq!((far.estimate.interval, far.estimate.n), (None, 5), "{far:?}");
        assert!(far.estimate.method.contains("from 100000 users"), "{far:?}");
        let mut near = far.clone();
        near.estimate.interval = Some((3.7e6, 3.9e6));
        let mut filled = far;
        filled.key.metric = metric::SERVER_ALLOCATED_BYTES;
        filled.key.users = Some(1_000_000);
        let mut all = vec![near, filled];
        extrapolate(&mut all);
        assert_eq!(per_gib(&all).estimate.interval, Some((3.7e6, 3.9e6)));
    }

    #[test]
    fn no_share_of_requests_is_below_0() {
        let found = Estimate {
            point: 0.001,
            interval: Some((-0.0001, 0.0023)),
            n: 4,
            method: String::new(),
        };
        let interval = |of| bounded(of, found.clone()).interval;
        assert_eq!(interval(metric::ERROR_RATE), Some((0.0, 0.0023)));
        // More than what came may go, and memory may even grow.
        assert_eq!(interval(metric::RESIDENT_RETURNED_AFTER_LOGOUT), found.interval);
        assert_eq!(interval(metric::BYTES_PER_SESSION), found.interval);
    }

    fn spoilt(record: &mut TrialRecord, spoil: impl Fn(&mut crate::record::LoadRecord)) {
        let here = (record.trial.arm.as_str(), record.trial.level, record.trial.block);
        if here == ("jwt-hs256", 100, 2) {
            for action in &mut record.actions {
                if let ActionRecord::Load(load) = action {
                    spoil(load);
                }
            }
        }
    }

    #[test]
    fn rates_that_follow_from_pilots_do_not_part_the_blocks() {
        let mut plan = sample::plan(&["none", "session@memory", "jwt-hs256"], 5);
        let mut pilot = plan.trials[0].clone();
        let load = pilot.actions[0].load().unwrap().clone();
        (pilot.level, pilot.actions) = (0, vec![Action::Pilot(load)]);
        pilot.index = plan.trials.len() as u32;
        plan.trials.push(pilot);
        let analysis = sample::analysis_of(&plan, |record| {
            for action in &mut record.actions {
                if let ActionRecord::Load(load) = action {
                    load.offered_rps = Some(1000.0 + f64::from(record.trial.block));
                }
            }
        });
        let cpu = |m: &&Measurement| {
            m.key.metric == metric::SERVER_CPU_US_PER_REQUEST && m.key.experiment == "concurrency"
        };
        let found: Vec<_> = analysis.measurements.iter().filter(cpu).collect();
        assert!(!found.is_empty());
        for m in found {
            assert_eq!((m.estimate.n, m.key.rate), (5, Some(1002.0)), "{:?}", m.key);
        }
    }

    /// Whether the cell of one trial in five is valid, and how many trials are in its figure.
    fn cell(spoil: impl Fn(&mut crate::record::LoadRecord) + Copy) -> (bool, u32) {
        let plan = sample::plan(&["none", "session@memory", "jwt-hs256"], 5);
        let analysis = sample::analysis_of(&plan, |record| spoilt(record, spoil));
        let found = analysis.measurements.iter().find(|m| {
            (m.key.arm.as_str(), m.key.users, m.key.metric)
                == ("jwt-hs256", Some(100), metric::THROUGHPUT_RPS)
        });
        found.map(|m| (m.valid, m.estimate.n)).unwrap()
    }

    #[test]
    fn what_the_measurement_spoilt_is_left_out_and_what_the_server_did_is_not() {
        assert_eq!(cell(|_| {}), (true, 5));
        assert_eq!(cell(|load| load.generator.absent_ns = 200_000_000), (true, 4));
        // The four good days of a server that failed on the fifth are not its figure.
        let failed = |load: &mut crate::record::LoadRecord| {
            load.counts.errors.insert("status_5xx".into(), 1000);
        };
        assert_eq!(cell(failed), (false, 5));
        // A server that paused by itself is measured with its pause.
        let paused = |load: &mut crate::record::LoadRecord| {
            load.counts.longest_silence_ns = 150_000_000;
        };
        assert_eq!(cell(paused), (true, 5));
    }
}
