//! How much a campaign's figures vary from block to block, and what a planned one would find.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::analysis::Analysis;
use super::figures::{ComparedAs, MARGIN, Measurement};
use super::key::Key;
use super::words;
use crate::experiment::{self, Metric};
use crate::plan::{Plan, Primary};
use crate::sanitise;
use crate::stats::{Planned, Scale, planned};

/// The noise of reference campaigns, shipped with the presets that it goes with. Made by
/// `authbench report results/reference/NAME --format noise`, which leaves a `noise.json` there.
const SHIPPED: &[(&str, &str)] = &[
    ("quick", include_str!("../../presets/noise-quick.json")),
    ("standard", include_str!("../../presets/noise-standard.json")),
    ("arms", include_str!("../../presets/noise-standard.json")),
    ("full", include_str!("../../presets/noise-standard.json")),
];

/// Arms whose variances differ by no more than this share one: F at one in a hundred, for three to
/// six blocks of eight arms, is 3.5 to 6.5.
const ALIKE: f64 = 4.0;

/// How much the figures of one campaign vary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    /// Name of the campaign.
    pub campaign: String,
    /// Hash of its plan.
    pub plan: String,
    /// Its processor.
    pub machine: String,
    /// When it began.
    pub started: String,
    /// A row for every metric at every level.
    pub rows: Vec<NoiseRow>,
}

/// How much a metric varies at one level, arm by arm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NoiseRow {
    /// The experiment.
    pub experiment: String,
    /// The metric.
    pub metric: &'static Metric,
    /// Level of the trials, where the experiment sweeps something else than users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<u32>,
    /// Users who were logged in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<u64>,
    /// Blocks that it is from.
    pub blocks: u32,
    /// The noise of each arm.
    pub arms: BTreeMap<String, ArmNoise>,
}

/// How much the figures of one arm vary.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArmNoise {
    /// The arm's part of the standard deviation, from block to block, of a paired difference,
    /// which is the root of the sum of both arms' squares: of logarithms where arms are compared by
    /// ratio, else in the metric's unit.
    pub deviation: f64,
    /// The arm's figure, in the metric's unit.
    pub typical: f64,
}

/// A primary endpoint of a plan, and what it would find.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Expected {
    /// What is declared.
    #[serde(flatten)]
    pub declared: Primary,
    /// Its metric.
    #[serde(skip)]
    pub metric: &'static Metric,
    /// How often both arms are measured.
    pub blocks: u32,
    /// The scale of the effect.
    pub compared_as: ComparedAs,
    /// The smallest true effect that would be called a difference with 80 % power: a share for a
    /// ratio, the metric's unit for a difference; `None` where the noise is not known.
    pub smallest_effect: Option<f64>,
    /// The noise that says so: the standard deviation, from block to block, of what is tested.
    pub deviation: Option<f64>,
    /// Where that noise was measured.
    pub measured_at: Option<String>,
}

/// The noise that goes with a preset.
///
/// # Panics
/// Never: the files are part of this program, and a test reads them.
pub fn shipped(preset: &str) -> Option<Noise> {
    let (_, text) = SHIPPED.iter().find(|(name, _)| *name == preset)?;
    Some(serde_json::from_str(text).expect("the noise of a preset is part of this program"))
}

/// The noise of a campaign.
///
/// The noise of an arm at a level is what is left of its values after removing the means of arms
/// and blocks: blocks drift, and drift is no noise of a paired difference. Each arm has its own,
/// because one restless store would otherwise make every plan look blind.
pub fn noise(analysis: &Analysis) -> Noise {
    let mut rows = Vec::new();
    let mut seen: Vec<&Key> = Vec::new();
    for m in analysis.measurements.iter().filter(|m| m.valid && !m.key.metric.is_exact) {
        if seen.iter().any(|key| key.same_thing(&m.key)) {
            continue;
        }
        seen.push(&m.key);
        let arms: Vec<&Measurement> = analysis
            .measurements
            .iter()
            .filter(|arm| arm.valid && arm.key.same_thing(&m.key))
            .collect();
        rows.extend(row(&arms, analysis));
    }
    Noise {
        campaign: analysis.name.clone(),
        plan: analysis.plan.clone(),
        machine: analysis.host.cpu_model.clone(),
        started: words::utc(analysis.started_unix_ms),
        rows,
    }
}

/// What is left of the values of some arms by block, once every arm and every block has had its
/// mean taken away; arm by arm. On the scale of logarithms where the metric is compared so.
///
/// `None` with fewer than two arms or two blocks that all of them have.
pub fn residuals(arms: &[&Measurement]) -> Option<Vec<Vec<f64>>> {
    let scale = arms.first()?.key.metric.scale;
    let mut blocks: Vec<u32> = arms[0].by_block.keys().copied().collect();
    blocks.retain(|block| arms.iter().all(|arm| arm.by_block.contains_key(block)));
    if arms.len() < 2 || blocks.len() < 2 {
        return None;
    }
    let value = |arm: &Measurement, block: &u32| match scale {
        Scale::Log => arm.by_block[block].ln(),
        Scale::Linear => arm.by_block[block],
    };
    let mut table: Vec<Vec<f64>> =
        arms.iter().map(|arm| blocks.iter().map(|block| value(arm, block)).collect()).collect();
    if table.iter().flatten().any(|value| !value.is_finite()) {
        return None;
    }
    for row in &mut table {
        let mean = row.iter().sum::<f64>() / row.len() as f64;
        row.iter_mut().for_each(|value| *value -= mean);
    }
    for block in 0..blocks.len() {
        let mean = table.iter().map(|row| row[block]).sum::<f64>() / arms.len() as f64;
        table.iter_mut().for_each(|row| row[block] -= mean);
    }
    Some(table)
}

fn row(measured: &[&Measurement], analysis: &Analysis) -> Option<NoiseRow> {
    // An arm that lacks a block would take it from all of them.
    let most = measured.iter().map(|arm| arm.by_block.len()).max()?;
    let whole: Vec<&Measurement> =
        measured.iter().copied().filter(|arm| arm.by_block.len() == most).collect();
    let measured = if whole.len() > 2 { &whole } else { measured };
    let residuals = residuals(measured)?;
    let variances = variances(&residuals);
    let mut arms: BTreeMap<String, ArmNoise> = BTreeMap::new();
    for (m, variance) in measured.iter().zip(&variances) {
        if analysis.twin.as_ref() == Some(&m.key.arm) {
            continue;
        }
        let twin = measured.iter().position(|twin| {
            m.key.arm == analysis.reference && analysis.twin.as_ref() == Some(&twin.key.arm)
        });
        let variance = twin.map_or(*variance, |twin| f64::midpoint(*variance, variances[twin]));
        let (deviation, typical) = (rounded(variance.sqrt()), rounded(m.estimate.point));
        arms.insert(m.key.arm.to_string(), ArmNoise { deviation, typical });
    }
    let first = measured[0];
    variances.iter().any(|variance| *variance > 0.0).then(|| NoiseRow {
        experiment: first.key.experiment.clone(),
        metric: first.key.metric,
        level: first.key.level,
        users: first.key.users,
        blocks: residuals[0].len() as u32,
        arms,
    })
}

/// The variance of each arm, from residuals. Arms that are alike share one: a few blocks say little
/// of one arm, and enough of all of them. The most restless arm keeps its own as long as it varies
/// more than [`ALIKE`] times as much as those that are left, whose block means are then without it.
fn variances(residuals: &[Vec<f64>]) -> Vec<f64> {
    let mut alike: Vec<usize> = (0..residuals.len()).collect();
    let mut found = vec![0.0; residuals.len()];
    while alike.len() > 2 {
        let rest = |arm: usize| -> Vec<usize> {
            alike.iter().copied().filter(|other| *other != arm).collect()
        };
        let spread = |arm: &usize| spread_about(residuals, *arm, &rest(*arm));
        let Some(restless) =
            alike.iter().copied().max_by(|one, other| spread(one).total_cmp(&spread(other)))
        else {
            break;
        };
        let rest = rest(restless);
        let common = common_variance(residuals, &rest);
        let own = spread_about(residuals, restless, &rest) - common / rest.len() as f64;
        if common <= 0.0 || own <= ALIKE * common {
            break;
        }
        found[restless] = own;
        alike = rest;
    }
    let common = common_variance(residuals, &alike);
    alike.into_iter().for_each(|arm| found[arm] = common);
    found
}

/// The means of blocks over these arms.
fn block_means(residuals: &[Vec<f64>], arms: &[usize]) -> Vec<f64> {
    let mean =
        |block| arms.iter().map(|arm| residuals[*arm][block]).sum::<f64>() / arms.len() as f64;
    (0..residuals[0].len()).map(mean).collect()
}

/// The variance over blocks of an arm about the mean of these others.
fn spread_about(residuals: &[Vec<f64>], arm: usize, others: &[usize]) -> f64 {
    let means = block_means(residuals, others);
    let squares = residuals[arm].iter().zip(&means).map(|(value, mean)| (value - mean).powi(2));
    squares.sum::<f64>() / (means.len() as f64 - 1.0)
}

/// The variance that these arms have in common.
fn common_variance(residuals: &[Vec<f64>], arms: &[usize]) -> f64 {
    let squares: f64 = arms.iter().map(|arm| spread_about(residuals, *arm, arms)).sum();
    squares / (arms.len() as f64 - 1.0)
}

/// The upper of the two middle values; 0 for no values.
fn middle(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// To four significant digits: more than any noise is known to.
fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

/// `noise.json`: one row per line, so that a difference between two campaigns can be read.
pub(super) fn render(analysis: &Analysis) -> String {
    let Noise { campaign, plan, machine, started, rows } = noise(analysis);
    let head = [("campaign", campaign), ("plan", plan), ("machine", machine), ("started", started)];
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let head: Vec<String> =
        head.iter().map(|(name, value)| format!("\"{name}\": {}", quoted(value))).collect();
    let row = |row: &NoiseRow| serde_json::to_string(row).expect("a row is plain data");
    let rows: Vec<String> = rows.iter().map(row).collect();
    let text = format!("{{\n{},\n\"rows\": [\n{}\n]}}", head.join(",\n"), rows.join(",\n"));
    format!("{}\n", sanitise::json(&text))
}

impl NoiseRow {
    /// The noise of an arm; of one that was not measured, the middle of those that were.
    fn of(&self, arm: &str) -> ArmNoise {
        self.arms.get(arm).copied().unwrap_or_else(|| ArmNoise {
            deviation: middle(self.arms.values().map(|arm| arm.deviation)),
            typical: middle(self.arms.values().map(|arm| arm.typical)),
        })
    }
}

impl Noise {
    /// The row of an endpoint's metric at the level that is nearest.
    fn nearest(&self, endpoint: &Primary, level: u32) -> Option<&NoiseRow> {
        let own = self.rows.iter().filter(|row| {
            row.experiment == endpoint.experiment && row.metric.name == endpoint.metric
        });
        let users = endpoint.users.map(u64::from);
        let apart = |one: u64, other: u64| ((one + 1) as f64 / (other + 1) as f64).ln().abs();
        let distance = |row: &NoiseRow| match (row.level, row.users) {
            (Some(own), found) => {
                let beside = users.zip(found).map_or(0.0, |(asked, found)| apart(asked, found));
                apart(u64::from(own), u64::from(level)) + beside
            }
            (None, Some(found)) => apart(found, users.unwrap_or_else(|| u64::from(level))),
            (None, None) => 0.0,
        };
        own.min_by(|one, other| distance(one).total_cmp(&distance(other)))
    }

    /// Where it is from, in words.
    pub fn source(&self) -> String {
        format!("{} ({}, {})", self.campaign, self.started, self.machine)
    }
}

/// What every primary endpoint of a plan would find with such noise.
pub fn expected(plan: &Plan, noise: Option<&Noise>) -> Vec<Expected> {
    let mut prepared: BTreeMap<(u32, bool), Option<Planned>> = BTreeMap::new();
    let mut found = Vec::new();
    for declared in &plan.primary {
        // As of a plan's endpoints, those of an unknown metric are left out.
        let Some(metric) = Metric::named(&declared.metric) else { continue };
        let blocks = blocks(plan, declared);
        let compared_as = match (metric.scale, declared.from) {
            (Scale::Log, None) => ComparedAs::Ratio,
            _ => ComparedAs::Difference,
        };
        let shared = [&declared.arm, &declared.against].contains(&&plan.reference);
        let planned = prepared.entry((blocks, shared)).or_insert_with(|| planned(blocks, shared));
        let spread = noise.and_then(|noise| spread(noise, declared, metric.scale));
        let smallest = planned.as_ref().zip(spread.as_ref()).map(|(planned, spread)| {
            let margin = spread.margin.map(|margin| margin / spread.deviation);
            let size = planned.smallest(plan.primary.len(), margin, plan.has_twin());
            let effect = size * spread.deviation;
            if compared_as == ComparedAs::Ratio { effect.exp_m1() } else { effect }
        });
        found.push(Expected {
            declared: declared.clone(),
            metric,
            blocks,
            compared_as,
            smallest_effect: smallest,
            deviation: spread.as_ref().map(|spread| spread.deviation),
            measured_at: spread.map(|spread| spread.place),
        });
    }
    found
}

/// In how many blocks both arms of an endpoint are measured.
fn blocks(plan: &Plan, endpoint: &Primary) -> u32 {
    let measured = |arm: &str| {
        let own = plan.trials.iter().filter(|t| {
            (&t.experiment, t.arm.as_str(), t.level) == (&endpoint.experiment, arm, endpoint.level)
        });
        own.map(|trial| trial.block + 1).max().unwrap_or(0)
    };
    measured(&endpoint.arm).min(measured(&endpoint.against))
}

/// The noise of what an endpoint tests.
struct Spread {
    deviation: f64,
    /// What counts as equal, on the same scale.
    margin: Option<f64>,
    place: String,
}

fn spread(noise: &Noise, endpoint: &Primary, scale: Scale) -> Option<Spread> {
    let at = noise.nearest(endpoint, endpoint.level)?;
    let pair = |row: &NoiseRow| [row.of(&endpoint.arm), row.of(&endpoint.against)];
    let place = |row: &NoiseRow| {
        let level = row.level.map(u64::from).or(row.users);
        let named = |level: u64| {
            let found = experiment::find(&row.experiment);
            found.zip(u32::try_from(level).ok()).map(|(found, level)| found.level(level))
        };
        let place = level.and_then(named).unwrap_or_else(|| "all levels".into());
        let known = |arm: &String| row.arms.contains_key(arm);
        if known(&endpoint.arm) && known(&endpoint.against) {
            place
        } else {
            format!("{place}, of other arms")
        }
    };
    let margin = MARGIN.ln_1p();
    let [own, against] = pair(at);
    let Some(from) = endpoint.from else {
        let margin = (scale == Scale::Log).then_some(margin);
        let deviation = own.deviation.hypot(against.deviation);
        return Some(Spread { deviation, margin, place: place(at) });
    };
    let from = noise.nearest(endpoint, from)?;
    let in_units = |arm: &ArmNoise| match scale {
        Scale::Log => arm.deviation * arm.typical,
        Scale::Linear => arm.deviation,
    };
    let parts = [pair(at), pair(from)].concat();
    Some(Spread {
        deviation: parts.iter().map(in_units).fold(0.0, f64::hypot),
        margin: (against.typical > 0.0).then_some(margin * against.typical),
        place: format!("{} and {}", place(from), place(at)),
    })
}

impl Expected {
    /// What it compares, and the smallest effect that it would find.
    pub fn in_words(&self) -> String {
        let declared = &self.declared;
        let found = match self.smallest_effect {
            Some(effect) => words::effect(effect, self.compared_as, self.metric.unit),
            None => "not known".into(),
        };
        let growth = if declared.from.is_some() { "growth of " } else { "" };
        format!(
            "[{}] {growth}{}, {} against {}, {}: {found} ({} blocks)",
            declared.experiment,
            self.metric.label,
            declared.arm,
            declared.against,
            words::endpoint_at(declared),
            self.blocks,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::metric;
    use crate::random::normal;
    use crate::report::tests::sample;

    #[test]
    fn the_noise_is_that_of_the_records() {
        // The sample's trials vary by 3 %, evenly: 0.03 / sqrt(12) each.
        let noise = noise(&sample::analysis());
        let is_cpu = |row: &&NoiseRow| row.metric == metric::SERVER_CPU_US_PER_REQUEST;
        let rows: Vec<&NoiseRow> = noise.rows.iter().filter(is_cpu).collect();
        assert_eq!(rows.len(), 3);
        let expected = (0.03f64.powi(2) / 12.0).sqrt();
        for row in rows {
            assert_eq!((row.arms.len(), row.blocks), (3, 5), "the twin is the reference again");
            let squares = row.arms.values().map(|arm| arm.deviation.powi(2)).sum::<f64>();
            let mean = (squares / 3.0).sqrt();
            assert!((mean / expected - 1.0).abs() < 0.5, "{row:?}, {expected}");
        }
        assert!(noise.rows.iter().all(|row| row.metric != metric::REQUEST_WIRE_BYTES));
        let read: Noise = serde_json::from_str(&render(&sample::analysis())).unwrap();
        assert_eq!(read, noise);
    }

    #[test]
    fn drift_of_whole_blocks_is_no_noise() {
        let analysis = sample::analysis();
        let deviation = |analysis: &Analysis| {
            let is_wanted = |row: &&NoiseRow| {
                row.metric == metric::SERVER_CPU_US_PER_REQUEST && row.users == Some(100)
            };
            let noise = noise(analysis);
            let row = noise.rows.iter().find(is_wanted).unwrap();
            row.arms.values().map(|arm| arm.deviation).sum::<f64>()
        };
        let mut drifting = analysis.clone();
        for m in &mut drifting.measurements {
            m.by_block
                .iter_mut()
                .for_each(|(block, value)| *value *= 1.0 + 0.2 * f64::from(*block));
        }
        assert!((deviation(&analysis) / deviation(&drifting) - 1.0).abs() < 1e-3);
    }

    #[test]
    fn each_arm_has_its_own_noise() {
        // Five arms of noise 1, 1, 1, 1 and 10 over many blocks.
        let value = |arm: u64, block: u64| {
            normal(71, arm * 1000 + block) * if arm == 4 { 10.0 } else { 1.0 }
        };
        let mut table: Vec<Vec<f64>> =
            (0..5).map(|arm| (0..400).map(|block| value(arm, block)).collect()).collect();
        for row in &mut table {
            let mean = row.iter().sum::<f64>() / row.len() as f64;
            row.iter_mut().for_each(|value| *value -= mean);
        }
        for block in 0..400 {
            let mean = table.iter().map(|row| row[block]).sum::<f64>() / 5.0;
            table.iter_mut().for_each(|row| row[block] -= mean);
        }
        let found = variances(&table);
        assert!(found[..4].iter().all(|variance| *variance == found[0]), "{found:?}");
        assert!((0.9..1.1).contains(&found[0]), "{found:?}");
        assert!((85.0..115.0).contains(&found[4]), "{found:?}");
    }

    #[test]
    fn a_restless_arm_hides_no_effect_between_other_arms() {
        let arms = ["none", "session@memory", "jwt-hs256", "session@postgres"];
        let plan = sample::plan(&arms, 5);
        let found = |analysis: &Analysis, arm: &str| {
            let all = expected(&plan, Some(&noise(analysis)));
            let is_wanted = |e: &&Expected| {
                let declared = &e.declared;
                e.metric == metric::SERVER_CPU_US_PER_REQUEST
                    && declared.from.is_none()
                    && (declared.arm.as_str(), declared.against.as_str()) == (arm, "none")
            };
            all.iter().find(is_wanted).unwrap().smallest_effect.unwrap()
        };
        let calm = sample::analysis_of(&plan, |_| {});
        let mut restless = calm.clone();
        for m in restless.measurements.iter_mut().filter(|m| m.key.arm == arms[3]) {
            m.by_block.iter_mut().for_each(|(block, value)| {
                *value *= 1.0 + 0.4 * f64::from(block % 2);
            });
        }
        assert!(found(&restless, "jwt-hs256") < 1.5 * found(&calm, "jwt-hs256"));
        assert!(found(&restless, arms[3]) > 5.0 * found(&calm, arms[3]));
    }

    #[test]
    fn more_blocks_find_less_and_more_endpoints_find_more() {
        let arms = ["none", "session@memory", "jwt-hs256"];
        let noise = noise(&sample::analysis());
        let smallest = |plan: &Plan| {
            let all = expected(plan, Some(&noise));
            let is =
                |e: &&Expected| e.metric == metric::THROUGHPUT_RPS && e.declared.from.is_none();
            all.iter().find(is).unwrap().smallest_effect.unwrap()
        };
        let (five, twenty) = (sample::plan(&arms, 5), sample::plan(&arms, 20));
        assert!(smallest(&twenty) < 0.8 * smallest(&five));
        let mut alone = sample::plan(&arms, 5);
        alone.primary.retain(|p| p.metric == metric::THROUGHPUT_RPS.name);
        assert!(smallest(&alone) < smallest(&five));
        assert!(expected(&five, None).iter().all(|e| e.smallest_effect.is_none()));
        for (declared, expected) in five.primary.iter().zip(expected(&five, Some(&noise))) {
            assert_eq!((declared, expected.blocks), (&expected.declared, 5));
            assert!(expected.smallest_effect.unwrap() > 0.0, "{expected:?}");
        }
    }

    #[test]
    fn the_nearest_level_stands_in_for_one_that_was_not_measured() {
        let noise = noise(&sample::analysis());
        let mut endpoint = sample::plan(&["none", "a", "b"], 5).primary[0].clone();
        for (level, nearest) in [(1000, 1000), (600, 1000), (20, 10), (1, 10)] {
            endpoint.level = level;
            let row = noise.nearest(&endpoint, level).unwrap();
            assert_eq!(row.users, Some(nearest), "{level}");
        }
        endpoint.experiment = "capacity".into();
        assert!(noise.nearest(&endpoint, 1).is_none());
    }

    #[test]
    fn every_preset_has_noise_for_some_endpoint() {
        for (preset, _) in SHIPPED {
            assert!(!shipped(preset).unwrap().rows.is_empty(), "{preset}");
        }
        assert!(shipped("mine.toml").is_none());
    }
}
