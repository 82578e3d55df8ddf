//! Estimates, comparisons and doubts of a whole campaign, from its records alone.

use std::collections::BTreeMap;

use serde::Serialize;

use super::answer::{Sentence, answer};
use crate::experiment::{self, Observation, metric};
use crate::plan::Plan;
use crate::record::{Doubt, Host, TrialOutcome, TrialRecord};
use crate::stats::{Estimate, Verdict, estimate, paired_difference, paired_ratio};

/// The relative difference that still counts as equal. A smaller one would decide no choice of a
/// scheme, and two cores cannot tell it from noise.
const MARGIN: f64 = 0.03;

/// The place of a doubt about every figure.
const WHOLE: &str = "the whole campaign";

/// Everything a report says, before it is set in type.
#[derive(Clone, Debug, Serialize)]
pub struct Analysis {
    /// Name of the campaign.
    pub name: String,
    /// Hash of its plan.
    pub plan: String,
    /// Arguments of `authbench campaign` that make its plan again.
    pub again: Vec<String>,
    /// Seed of its plan.
    pub seed: u64,
    /// The arms, in the order of the campaign file.
    pub arms: Vec<String>,
    /// The arm that every table subtracts.
    pub baseline: String,
    /// The arm that the other arms are compared with.
    pub reference: String,
    /// The relative difference that counts as equal.
    pub margin: f64,
    /// The machine and the program.
    pub host: Host,
    /// The answer in words.
    pub answer: Vec<Sentence>,
    /// The experiments, in order.
    pub experiments: Vec<ExperimentSummary>,
    /// Every figure.
    pub measurements: Vec<Measurement>,
    /// Every comparison with the baseline and with the reference.
    pub comparisons: Vec<Comparison>,
    /// What makes figures doubtful.
    pub doubts: Vec<DoubtSummary>,
    /// Trials that were planned.
    pub trials_planned: usize,
    /// Trials that were carried out.
    pub trials_complete: usize,
    /// Trials whose figures may not be used, and are not.
    pub trials_invalid: usize,
    /// When the first trial began, milliseconds since 1970.
    pub started_unix_ms: u64,
    /// From the beginning of the first trial to the end of the last, ms.
    pub wall_ms: u64,
    /// How server and generator were placed.
    pub placement: String,
    /// What the servers said of themselves, by arm.
    pub notes: BTreeMap<String, Vec<String>>,
}

/// One experiment of the campaign.
#[derive(Clone, Debug, Serialize)]
pub struct ExperimentSummary {
    /// Its name.
    pub name: String,
    /// Its question.
    pub question: String,
    /// How it was asked.
    pub method: String,
    /// How often each cell was run.
    pub blocks: u32,
}

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
    /// Whether it may be used: false when no valid trial measured it, and the figure is of invalid
    /// ones.
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

/// A doubt and where it applies.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DoubtSummary {
    /// The doubt, as the first trial had it.
    pub doubt: Doubt,
    /// Where it applies: `scaling, jwt-hs256 at 1,000 users: 2 of 5 trials`.
    pub places: Vec<String>,
}

/// Analyses a campaign.
pub fn analyse(plan: &Plan, host: Host, records: &[TrialRecord]) -> Analysis {
    let complete: Vec<&TrialRecord> =
        records.iter().filter(|record| record.outcome == TrialOutcome::Complete).collect();
    let measurements = measurements(plan, &complete);
    let comparisons = comparisons(plan, &measurements);
    let answer = answer(plan, &measurements, &comparisons);
    let began = records.iter().map(|record| record.started_unix_ms).min().unwrap_or(0);
    let ended = records.iter().map(|record| record.started_unix_ms + record.wall_ms).max();
    Analysis {
        name: plan.name.clone(),
        plan: plan.hash(),
        again: plan.again.clone(),
        seed: plan.seed,
        arms: plan.arms.clone(),
        baseline: plan.baseline.clone(),
        reference: plan.reference.clone(),
        margin: MARGIN,
        answer,
        experiments: summaries(plan),
        doubts: doubts(plan, &host, records),
        host,
        measurements,
        comparisons,
        trials_planned: plan.trials.len(),
        trials_complete: complete.len(),
        trials_invalid: complete.iter().filter(|record| is_invalid(record)).count(),
        started_unix_ms: began,
        wall_ms: ended.unwrap_or(began) - began,
        placement: placement(records),
        notes: records
            .iter()
            .filter_map(|r| Some((r.trial.arm.clone(), r.server.as_ref()?.notes.clone())))
            .collect(),
    }
}

fn summaries(plan: &Plan) -> Vec<ExperimentSummary> {
    let summary = |name: &String| {
        let experiment = experiment::find(name)?;
        let blocks = plan.trials.iter().filter(|t| t.experiment == *name).map(|t| t.block + 1);
        Some(ExperimentSummary {
            name: name.clone(),
            question: experiment.question().into(),
            method: experiment.method().into(),
            blocks: blocks.max().unwrap_or(0),
        })
    };
    plan.experiments.iter().filter_map(summary).collect()
}

fn trial_doubts(record: &TrialRecord) -> Vec<Doubt> {
    experiment::find(&record.trial.experiment).map_or_else(Vec::new, |e| e.doubts(record))
}

fn is_invalid(record: &TrialRecord) -> bool {
    trial_doubts(record).iter().any(|doubt| doubt.invalidates)
}

/// Where a figure stands: experiment, metric's place in the table, users, arm's place, connections,
/// rate in micro-requests a second (so that it orders).
type Key = (usize, usize, Option<u64>, usize, u32, Option<u64>);

/// Values of one figure by block: of valid trials, and of invalid ones.
type Values = (BTreeMap<u32, f64>, BTreeMap<u32, f64>);

fn measurements(plan: &Plan, complete: &[&TrialRecord]) -> Vec<Measurement> {
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
        let valid = !usable.is_empty();
        let by_block = if valid { usable } else { doubtful };
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
fn comparisons(plan: &Plan, measurements: &[Measurement]) -> Vec<Comparison> {
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

/// How many trials of an experiment, a level and an arm have a doubt.
type Places = BTreeMap<(String, u32, String), u32>;

fn doubts(plan: &Plan, host: &Host, records: &[TrialRecord]) -> Vec<DoubtSummary> {
    let mut found: Vec<DoubtSummary> = Vec::new();
    for doubt in host_doubts(host, records) {
        found.push(DoubtSummary { doubt, places: vec![WHOLE.into()] });
    }
    let mut by_code: BTreeMap<String, (Doubt, Places)> = BTreeMap::new();
    for record in records {
        let trial = &record.trial;
        let failed = match &record.outcome {
            TrialOutcome::Complete => None,
            TrialOutcome::Failed { cause } => Some(Doubt {
                invalidates: true,
                code: "failed".into(),
                what: cause.clone(),
                remedy: "run the campaign again once the cause is gone".into(),
            }),
        };
        for doubt in trial_doubts(record).into_iter().chain(failed) {
            let (worst, places) = by_code
                .entry(doubt.code.clone())
                .or_insert_with(|| (doubt.clone(), BTreeMap::new()));
            worst.invalidates |= doubt.invalidates;
            let place = (trial.experiment.clone(), trial.level, trial.arm.clone());
            *places.entry(place).or_default() += 1;
        }
    }
    for (doubt, places) in by_code.into_values() {
        let place = |((experiment, level, arm), count): ((String, u32, String), u32)| {
            let of = plan
                .trials
                .iter()
                .filter(|t| t.experiment == experiment && t.level == level && t.arm == arm)
                .count();
            let at = match level {
                0 => String::new(),
                level => format!(" at {} users", crate::units::grouped(u64::from(level))),
            };
            format!("{experiment}, {arm}{at}: {count} of {of} trials")
        };
        found.push(DoubtSummary { doubt, places: places.into_iter().map(place).collect() });
    }
    let missing = plan.trials.len().saturating_sub(records.len());
    if missing > 0 {
        found.push(DoubtSummary {
            doubt: Doubt {
                invalidates: false,
                code: "incomplete".into(),
                what: format!("{missing} of {} planned trials were not run", plan.trials.len()),
                remedy: "let the campaign run to its end".into(),
            },
            places: vec![WHOLE.into()],
        });
    }
    found
}

/// Share of CPU time taken away by the host beyond which figures are noisier than need be.
const STEAL_MAX: f64 = 0.02;

/// What of the machine makes every figure doubtful.
fn host_doubts(host: &Host, records: &[TrialRecord]) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    let mut doubt = |invalidates, code: &str, what: String, remedy: &str| {
        doubts.push(Doubt { invalidates, code: code.into(), what, remedy: remedy.into() });
    };
    if host.profile == "debug" {
        doubt(
            true,
            "debug_build",
            "this is a debug build: its figures are those of unoptimised code".into(),
            "build with --release",
        );
    }
    if records.iter().any(|record| record.placement.shared()) {
        doubt(
            false,
            "shared_cores",
            "server and generator ran on the same core".into(),
            "use a machine with at least two cores",
        );
    }
    if host.cores.len() == 2 {
        doubt(
            false,
            "two_cores",
            "server and generator had one core each; what the kernel does for both runs there too"
                .into(),
            "compare arms by ratio and by CPU time per request; repeat on more cores before \
             quoting requests per second",
        );
    }
    if host.virtualised {
        doubt(
            false,
            "virtual_machine",
            "this is a virtual machine: its speed depends on its neighbours".into(),
            "trust ratios within a block before bare times; repeat on a machine of your own",
        );
    }
    let steal = records.iter().map(|record| record.steal).fold(0.0, f64::max);
    if steal > STEAL_MAX {
        doubt(
            false,
            "steal",
            format!("the host took {:.0} % of the CPU time away in a trial", steal * 100.0),
            "repeat when the machine is quiet",
        );
    }
    doubts
}

fn placement(records: &[TrialRecord]) -> String {
    let Some(record) = records.first() else { return "nothing ran".into() };
    let list = |cores: &[usize]| match cores {
        [] => "no core of their own".to_string(),
        [core] => format!("core {core}"),
        _ => {
            let cores: Vec<_> = cores.iter().map(ToString::to_string).collect();
            format!("cores {}", cores.join(", "))
        }
    };
    let placement = &record.placement;
    format!("server on {}, generator on {}", list(&placement.server), list(&placement.generator))
}

impl Analysis {
    /// Whether an answer may be drawn from it: some figure is valid, and no doubt invalidates them
    /// all.
    pub fn usable(&self) -> bool {
        let all = |d: &DoubtSummary| d.doubt.invalidates && d.places.iter().any(|at| at == WHOLE);
        self.measurements.iter().any(|m| m.valid) && !self.doubts.iter().any(all)
    }

    /// The figure of an arm at a level, if there is one.
    pub fn find(
        &self,
        experiment: &str,
        metric: &str,
        users: Option<u64>,
        arm: &str,
    ) -> Option<&Measurement> {
        self.measurements.iter().find(|m| {
            m.experiment == experiment && m.metric == metric && m.users == users && m.arm == arm
        })
    }

    /// The levels at which a metric was measured, ascending.
    pub fn levels(&self, experiment: &str, metric: &str) -> Vec<Option<u64>> {
        let mut levels: Vec<_> = self
            .measurements
            .iter()
            .filter(|m| m.experiment == experiment && m.metric == metric)
            .map(|m| m.users)
            .collect();
        levels.sort_unstable();
        levels.dedup();
        levels
    }

    /// The metrics that an experiment measured, in the order of the table.
    pub fn metrics(&self, experiment: &str) -> Vec<&'static experiment::Metric> {
        let mut names: Vec<&'static str> = Vec::new();
        for m in self.measurements.iter().filter(|m| m.experiment == experiment) {
            if !names.contains(&m.metric) {
                names.push(m.metric);
            }
        }
        names.into_iter().map(metric).collect()
    }
}
