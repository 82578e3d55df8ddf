//! How much more does the same server do on more cores?

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::check::{levels, within};
use super::enough_valid;
use super::load::{self, Slices, browse, check_lengths, cut, loads, observation};
use super::metric::{self, Metric};
use super::question::{
    Axis, Cell, Cells, ChartPlan, Experiment, Observation, Over, Summary, TablePlan,
};
use crate::error::Result;
use crate::load::{Closed, LoadModel, UserChoice};
use crate::plan::{Action, PlacePlan, TrialPlan};
use crate::record::{Doubt, TrialRecord};
use crate::spec::Spec;
use crate::stats::{
    CONFIDENCE, Estimate, LEVELS_MIN, Level, Resampled, UslFit, draws, fit_levels, resampled,
};
use crate::units::Span;

/// A closed, saturating load on one, two and more cores of the server.
pub(super) struct Cores;

#[derive(Deserialize)]
struct Table {
    cores: Settings,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    cores: Vec<u32>,
    users_per_core: u32,
    blocks: u32,
    warmup: Span,
    measure: Span,
    slice: Span,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cores: vec![1, 2, 4],
            users_per_core: 64,
            blocks: 5,
            warmup: Span::from_millis(500),
            measure: Span::from_millis(2000),
            slice: Span::from_millis(15),
        }
    }
}

const CORES_MAX: u32 = 256;
const USERS_PER_CORE_MAX: u32 = 1000;

impl Experiment for Cores {
    fn name(&self) -> &'static str {
        "cores"
    }

    fn question(&self) -> &'static str {
        "How much more does the same server do on more cores?"
    }

    fn method(&self) -> &'static str {
        "The same server gets one, two and more cores and as many threads, its store the same \
         cores, and the generator the rest of the machine. A closed load without think time \
         saturates it: for each core of the server a number of users, each with a connection of \
         their own. The servers of a level take turns unless the campaign file says otherwise. \
         Scaling efficiency is the requests per second and core, divided by the same at \
         the fewest cores in the same block: 100 % where throughput grows as cores do. With six \
         levels or more the Universal Scalability Law is fitted to the right answers per second; \
         it is tested for lack of fit against the scatter of the blocks, and where it fails \
         (p < 0.05) no parameter of it is given."
    }

    fn charts(&self) -> &'static [ChartPlan] {
        const fn chart(metric: &'static Metric, title: &'static str) -> ChartPlan {
            let (over, x_label) = (Over::Level, "cores of the server");
            ChartPlan { metric, title, over, x_label, x_log: true, y_log: false }
        }
        const CHARTS: &[ChartPlan] = &[
            chart(metric::THROUGHPUT_RPS, "Throughput"),
            chart(metric::RPS_PER_CORE, "Requests per second and core"),
            chart(metric::CPU_US_PER_REQUEST, "CPU per request, server and store"),
        ];
        CHARTS
    }

    fn tables(&self) -> &'static [TablePlan] {
        const TABLES: &[TablePlan] = &[TablePlan {
            title: "On more cores",
            note: "Each figure with its 95 % interval over n trials. Scaling efficiency compares \
                   with the fewest cores.",
            metrics: &[
                metric::THROUGHPUT_RPS,
                metric::RPS_PER_CORE,
                metric::SCALING_EFFICIENCY,
                metric::CPU_US_PER_REQUEST,
            ],
        }];
        TABLES
    }

    fn axis(&self) -> Option<Axis> {
        Some(Axis { label: "Cores", noun: "cores of the server", at_zero: "" })
    }

    fn level(&self, level: u32) -> String {
        format!("{level} core{} of the server", if level == 1 { "" } else { "s" })
    }

    fn expand(&self, spec: &Spec) -> Result<Cells> {
        let Settings { cores, users_per_core, blocks, warmup, measure, slice } =
            spec.section::<Table>()?.cores;
        let cores = spec.cores.clone().unwrap_or(cores);
        let cores = levels(spec, "cores", "cores", cores, 1, 1..=CORES_MAX)?;
        let place = "[cores] users_per_core";
        let users_per_core = within(spec, place, users_per_core, 1..=USERS_PER_CORE_MAX)?;
        check_lengths(spec, "cores", measure, slice, Slices::Optional)?;
        let load = |users: u32| {
            let model = LoadModel::Closed(Closed::without_thinking());
            browse(model, (users, UserChoice::InTurn), users, (warmup, measure))
        };
        let cell = |arm: &String, cores: u32| Cell {
            arm: arm.clone(),
            level: cores,
            server: vec!["--threads".into(), cores.to_string()],
            actions: vec![
                Action::Place(PlacePlan { server_cores: cores, shared: spec.allow_shared }),
                cut(load(cores * users_per_core), slice),
            ],
        };
        let cells = spec
            .arms
            .iter()
            .flat_map(|arm| cores.iter().map(move |cores| cell(arm, *cores)))
            .collect();
        Ok(Cells { blocks, cells })
    }

    fn measures(&self, metric: &Metric) -> bool {
        let own = [
            metric::SCALING_EFFICIENCY,
            metric::RPS_PER_CORE,
            metric::USL_CONTENTION,
            metric::USL_COHERENCY,
            metric::USL_PEAK_CORES,
        ];
        metric.is_of_load || own.contains(&metric)
    }

    fn needs(&self, metric: &Metric, trials: &[&TrialPlan], level: u32) -> Option<&'static str> {
        let levels: BTreeSet<u32> = trials.iter().map(|trial| trial.level).collect();
        let blocks = trials.iter().map(|trial| trial.block + 1).max().unwrap_or(0);
        let law = [metric::USL_CONTENTION, metric::USL_COHERENCY, metric::USL_PEAK_CORES];
        if law.contains(&metric) && (levels.len() < LEVELS_MIN || blocks < 2) {
            return Some("six levels of `cores` or more, and two blocks");
        }
        if metric == metric::SCALING_EFFICIENCY && levels.first() == Some(&level) {
            return Some("a level with more cores than the lowest, with which it compares");
        }
        load::needs(metric, trials, level)
    }

    fn observe(&self, record: &TrialRecord) -> Vec<Observation> {
        let mut seen = load::observed(record);
        seen.extend(loads(record).map(|(plan, load)| {
            let per_core = load.counts.goodput_rps() / f64::from(record.trial.level.max(1));
            observation(plan, load, metric::RPS_PER_CORE, per_core)
        }));
        seen
    }

    fn summarise(&self, trials: &[&TrialRecord], blocks: u32, seed: u64) -> Vec<Summary> {
        let mut all = efficiency(trials, blocks, seed);
        let connections = trials
            .iter()
            .flat_map(|trial| loads(trial))
            .map(|(plan, _)| plan.connections)
            .max()
            .unwrap_or(0);
        let fit = fit_levels(&throughputs(trials, blocks), seed);
        all.extend(fit.filter(|fit| fit.lack.fits()).map_or(vec![], |fit| law(&fit, connections)));
        all
    }

    fn conclusions(&self, trials: &[&TrialRecord], blocks: u32, seed: u64) -> Vec<String> {
        let fit = fit_levels(&throughputs(trials, blocks), seed);
        let three = |p: f64| format!("{p:.3}");
        let misfit = |fit: UslFit| {
            let (missed, pure) = fit.lack.freedom;
            format!(
                "does not follow the Universal Scalability Law over these cores (lack of fit \
                 F({missed}, {pure}) = {:.1}, p = {}), so it has no contention, coherency or peak",
                fit.lack.f,
                if fit.lack.p < 0.001 { "below 0.001".into() } else { three(fit.lack.p) },
            )
        };
        fit.filter(|fit| !fit.lack.fits()).map(misfit).into_iter().collect()
    }

    fn doubts(&self, record: &TrialRecord) -> Vec<Doubt> {
        let mut doubts = load::doubts(record);
        let (wanted, had) = (record.trial.level as usize, record.placement.server.len());
        if had < wanted || record.placement.shared() {
            doubts.push(Doubt::caution(
                "too_few_cores",
                "a server shared cores with the generator, or had fewer than its level says",
                "use a machine with one core more than the largest level has",
            ));
        }
        doubts
    }
}

/// Right answers per second by cores and block; a level with too few valid trials is left out.
fn throughputs(trials: &[&TrialRecord], blocks: u32) -> Vec<Level> {
    let mut levels: BTreeMap<u32, Vec<Option<f64>>> = BTreeMap::new();
    for trial in trials {
        let Some((_, load)) = loads(trial).next() else { continue };
        let rate = load.counts.goodput_rps();
        let values = levels.entry(trial.trial.level).or_insert_with(|| vec![None; blocks as usize]);
        if let Some(value) = values.get_mut(trial.trial.block as usize) {
            *value = (rate > 0.0).then_some(rate);
        }
    }
    let valid = |values: &[Option<f64>]| values.iter().flatten().count();
    levels.retain(|_, values| enough_valid(valid(values), values.len()));
    levels.into_iter().map(|(cores, values)| (f64::from(cores), values)).collect()
}

/// Requests per second and core, divided by the same at the fewest cores of the block.
fn efficiency(trials: &[&TrialRecord], blocks: u32, seed: u64) -> Vec<Summary> {
    let levels = throughputs(trials, blocks);
    let Some((fewest, at_fewest)) = levels.first() else { return Vec::new() };
    let plan_at = |cores: f64| {
        let mut of_level = trials.iter().filter(|t| f64::from(t.trial.level) == cores);
        of_level.find_map(|trial| Some(loads(trial).next()?.0))
    };
    let summary = |(cores, values): &Level| {
        let pairs = values.iter().zip(at_fewest);
        let logs: Vec<f64> = pairs
            .filter_map(|(value, first)| Some((*value)? * fewest / ((*first)? * cores)))
            .map(f64::ln)
            .collect();
        let of = resampled_mean(&logs, seed)?;
        let Estimate { point, interval, n, .. } = resampled(&of)?;
        let plan = plan_at(*cores)?;
        Some(Summary {
            level: Some(*cores as u32),
            users: Some(u64::from(plan.users)),
            connections: plan.connections,
            metric: metric::SCALING_EFFICIENCY,
            estimate: Estimate {
                point: point.exp(),
                interval: interval.map(|(lo, hi)| (lo.exp(), hi.exp())),
                n,
                method: "paired by block with the fewest cores, bootstrap on logs".into(),
            },
            resampled: Some(of),
        })
    };
    levels.iter().skip(1).filter_map(summary).collect()
}

/// The mean of values of one block each, and in campaigns drawn anew.
fn resampled_mean(values: &[f64], seed: u64) -> Option<Resampled> {
    let blocks = u32::try_from(values.len()).ok().filter(|blocks| *blocks > 0)?;
    let mean = |times: &[u32]| {
        let sum: f64 = values.iter().zip(times).map(|(x, times)| x * f64::from(*times)).sum();
        sum / f64::from(blocks)
    };
    Some(Resampled {
        blocks,
        value: mean(&vec![1; values.len()]),
        replicates: draws(blocks, seed).map(|times| mean(&times)).collect(),
    })
}

/// The parameters of a fitted law, with their intervals. The peak is named only where coherency is
/// known to be more than 0: without it throughput never falls.
fn law(fit: &UslFit, connections: u32) -> Vec<Summary> {
    let summary = |metric, estimate, of: &Resampled| {
        let resampled = Some(of.clone());
        Some(Summary { level: None, users: None, connections, metric, estimate, resampled })
    };
    let parameter = |metric, point: f64, of: &Resampled| {
        let Estimate { interval, n, method, .. } = resampled(of)?;
        // The truth is at least 0, so an interval may be cut there and still covers it.
        let interval = interval.map(|(lo, hi)| (lo.max(0.0).min(point), hi.max(point)));
        let estimate =
            Estimate { point, interval, n, method: format!("USL fit, {method}, cut at 0") };
        summary(metric, estimate, of)
    };
    let peak = || {
        let (lo, _) = fit.coherency.moments()?.interval(CONFIDENCE);
        let Estimate { point, interval, n, method } =
            resampled(&fit.ln_peak).filter(|_| lo > 0.0)?;
        let estimate = Estimate {
            point: point.exp(),
            interval: interval.map(|(lo, hi)| (lo.exp(), hi.exp())),
            n,
            method: format!("USL fit, {method} on logs"),
        };
        summary(metric::USL_PEAK_CORES, estimate, &fit.ln_peak)
    };
    [
        parameter(metric::USL_CONTENTION, fit.law.contention, &fit.contention),
        parameter(metric::USL_COHERENCY, fit.law.coherency, &fit.coherency),
        peak(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::super::sample::{load as answered, plan, record};
    use super::*;
    use crate::record::{ActionRecord, Placement};

    /// The trials of `a`, which answers so many requests per second on a number of cores.
    fn trials(rps: impl Fn(u32, u32) -> u64) -> Vec<TrialRecord> {
        let plan = plan("[cores]\ncores = [1, 2, 4]\nblocks = 3\n").unwrap();
        let of_a = plan.trials.iter().filter(|trial| trial.arm == "a");
        let carried_out = |trial: &TrialPlan| {
            let cores = (0..trial.level as usize).collect();
            let placement = Placement { server: cores, generator: vec![9] };
            let load = answered(rps(trial.level, trial.block));
            let did =
                vec![ActionRecord::Place(placement.clone()), ActionRecord::Load(Box::new(load))];
            TrialRecord { placement, ..record(trial, did) }
        };
        of_a.map(carried_out).collect()
    }

    #[test]
    fn each_server_gets_its_cores_its_threads_and_its_users() {
        for trial in trials(|cores, _| 10_000 * u64::from(cores)) {
            let cores = trial.trial.level;
            assert_eq!(trial.trial.place().unwrap().server_cores, cores);
            assert_eq!(trial.trial.server, ["--threads".to_string(), cores.to_string()]);
            let seen = Cores.observe(&trial);
            let per_core = seen.iter().find(|o| o.metric == metric::RPS_PER_CORE).unwrap();
            assert_eq!((per_core.value, per_core.users), (10_000.0, Some(64 * u64::from(cores))));
            assert!(Cores.doubts(&trial).iter().all(|doubt| doubt.code != "too_few_cores"));
        }
    }

    #[test]
    fn efficiency_is_paired_by_block_with_the_fewest_cores() {
        // Blocks differ twofold, and every one of them loses a fifth from one core to two.
        let rps = |cores: u32, block: u32| match cores {
            1 => 10_000 << block,
            2 => 16_000 << block,
            _ => 24_000 << block,
        };
        let trials = trials(rps);
        let all: Vec<_> = trials.iter().collect();
        let found = Cores.summarise(&all, 3, 1);
        let estimate = |level| found.iter().find(|s| s.level == Some(level)).map(|s| &s.estimate);
        assert!(estimate(1).is_none(), "the fewest are the yardstick");
        for (level, share) in [(2, 0.8), (4, 0.6)] {
            let Estimate { point, interval, n, .. } = estimate(level).unwrap();
            let (lo, hi) = interval.unwrap();
            assert!((point - share).abs() < 1e-9 && *n == 3, "{level}: {point}");
            assert!(hi - lo < 1e-6, "what blocks have in common is in no interval");
        }
        assert!(
            found.iter().all(|s| s.metric == metric::SCALING_EFFICIENCY),
            "three levels have no law"
        );
    }

    #[test]
    fn a_server_that_had_too_few_cores_is_doubted() {
        let mut trials = trials(|_, _| 10_000);
        let trial = trials.iter_mut().find(|trial| trial.trial.level == 4).unwrap();
        trial.placement = Placement { server: vec![0, 1], generator: vec![0, 1] };
        let doubts = Cores.doubts(trial);
        let found = doubts.iter().find(|doubt| doubt.code == "too_few_cores").unwrap();
        assert!(!found.invalidates);
    }
}
