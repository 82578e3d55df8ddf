//! Campaigns simulated with the noise of the committed ones: intervals cover, equal arms are not
//! called different, and a plan finds as often as it says. The noise is what is left of the values
//! in `results/reference` without the means of arms and blocks.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;

use loadgen::experiment::{Metric, expand, metric};
use loadgen::plan::{Plan, Primary};
use loadgen::random::mix;
use loadgen::record::Folder;
use loadgen::report::{
    Analysis, ComparedAs, Measurement, Noise, NoiseFloor, analyse, expected, noise, residuals,
};
use loadgen::spec::{Overrides, Spec};
use loadgen::stats::{
    CONFIDENCE, Floor, Moments, Question, Ruling, Scale, Verdict, estimate, judge,
};

/// Campaigns of each simulation of a family.
const CAMPAIGNS: u64 = 1000;
/// Campaigns of each simulation of an interval. They tell its coverage to 0.3 %; a thousand would
/// to 0.7 %, which is a third of what is asserted.
const INTERVALS: u64 = 5000;
/// Blocks that one can afford.
const BLOCKS: [u32; 4] = [3, 6, 10, 20];
/// The relative difference that counts as equal.
const MARGIN: f64 = 0.03;
/// Throughput and CPU time, which endpoints are about, and p99, whose noise has the longest tail.
const METRICS: [&Metric; 3] =
    [metric::THROUGHPUT_RPS, metric::SERVER_CPU_US_PER_REQUEST, metric::RESPONSE_P99_US];

/// The analysis of the committed campaign `standard`, read once.
fn reference() -> &'static Analysis {
    static REFERENCE: OnceLock<Analysis> = OnceLock::new();
    REFERENCE.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../results/reference/standard");
        let folder = Folder::open(&root).unwrap();
        let plan = folder.plan().unwrap();
        analyse(&plan, folder.host().unwrap(), &folder.records(&plan).unwrap())
    })
}

/// How the logarithm of a metric varies.
struct Pool {
    /// Of trials within their block and about their arm.
    trials: Vec<f64>,
    /// Of blocks.
    blocks: Vec<f64>,
}

impl Pool {
    /// What was left of a metric in the committed records, at every level that was measured.
    fn read(metric: &Metric) -> Self {
        let all = &reference().measurements;
        let own = |m: &&Measurement| {
            m.key.experiment == "concurrency" && m.key.metric == metric && m.valid
        };
        let levels: BTreeSet<u64> = all.iter().filter(own).filter_map(|m| m.key.users).collect();
        let (mut trials, mut blocks): (Vec<Vec<f64>>, Vec<f64>) = (Vec::new(), Vec::new());
        for level in levels {
            let arms: Vec<&Measurement> =
                all.iter().filter(own).filter(|m| m.key.users == Some(level)).collect();
            let Some(table) = residuals(&arms) else { continue };
            // Two means were taken away, and with them a part of the noise.
            let (rows, columns) = (table.len() as f64, table[0].len() as f64);
            let whole = (rows * columns / ((rows - 1.0) * (columns - 1.0))).sqrt();
            trials.push(table.iter().flatten().map(|value| value * whole).collect());
            blocks.extend(drift(&arms, columns as u32));
        }
        let mut trials = as_of_one_level(trials);
        assert!(trials.len() >= 100 && blocks.len() >= 10, "{metric}: {}", trials.len());
        centre(&mut trials);
        centre(&mut blocks);
        Self { trials, blocks }
    }

    /// The logarithms of a metric of so many equal arms, by arm and block.
    fn arms(&self, arms: u64, blocks: u32, seed: u64) -> Vec<Vec<f64>> {
        let draw = |from: &[f64], seed, n: u32| {
            from[(mix(seed, u64::from(n)) % from.len() as u64) as usize]
        };
        let drift: Vec<f64> = (0..blocks).map(|n| draw(&self.blocks, mix(seed, 0), n)).collect();
        let value = |arm, n: u32| drift[n as usize] + draw(&self.trials, mix(seed, 1 + arm), n);
        (0..arms).map(|arm| (0..blocks).map(|n| value(arm, n)).collect()).collect()
    }

    fn deviation(&self) -> f64 {
        deviation(&self.trials)
    }
}

/// The noise of all levels, with that of each scaled to what they have together.
///
/// A campaign compares trials of one level. p99 varies by 4 % with one user and by 26 % with 1,024,
/// so drawing from both would make outliers that no comparison has.
fn as_of_one_level(levels: Vec<Vec<f64>>) -> Vec<f64> {
    let whole = deviation(&levels.concat());
    let scaled = |level: Vec<f64>| {
        let own = deviation(&level);
        level.into_iter().map(move |value| value * whole / own)
    };
    levels.into_iter().flat_map(scaled).collect()
}

/// About 0.
fn deviation(values: &[f64]) -> f64 {
    let squares: f64 = values.iter().map(|value| value * value).sum();
    (squares / values.len() as f64).sqrt()
}

/// The means of blocks over the arms that have them all, in logarithms.
fn drift(arms: &[&Measurement], blocks: u32) -> Vec<f64> {
    let whole: Vec<_> = arms.iter().filter(|arm| arm.by_block.len() == blocks as usize).collect();
    let keys: Vec<u32> =
        whole.first().map_or_else(Vec::new, |a| a.by_block.keys().copied().collect());
    let mean = |block: &u32| {
        let values = whole.iter().filter_map(|arm| arm.by_block.get(block));
        values.map(|value| value.ln()).sum::<f64>() / whole.len() as f64
    };
    let mut means: Vec<f64> = keys.iter().map(mean).collect();
    centre(&mut means);
    means
}

fn centre(values: &mut [f64]) {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    values.iter_mut().for_each(|value| *value -= mean);
}

fn pools() -> &'static [(&'static Metric, Pool)] {
    static POOLS: OnceLock<Vec<(&'static Metric, Pool)>> = OnceLock::new();
    POOLS.get_or_init(|| METRICS.map(|metric| (metric, Pool::read(metric))).into())
}

fn difference(one: &[f64], other: &[f64]) -> Option<Moments> {
    let differences: Vec<f64> = one.iter().zip(other).map(|(one, other)| one - other).collect();
    Moments::of(&differences)
}

fn covers((lo, hi): (f64, f64), truth: f64) -> bool {
    (lo..=hi).contains(&truth)
}

/// The share of simulated campaigns of which this is so.
fn share(holds: impl Fn(u64) -> bool) -> f64 {
    share_of(CAMPAIGNS, holds)
}

fn share_of(campaigns: u64, holds: impl Fn(u64) -> bool) -> f64 {
    (0..campaigns).filter(|campaign| holds(*campaign)).count() as f64 / campaigns as f64
}

/// Not simulated: the reference and its second run are equal arms, measured. Figures of one trial
/// depend on each other, so the share is known to some percent.
#[test]
fn intervals_of_the_committed_pairs_miss_no_difference_as_often_as_they_say() {
    let missed = |floor: &NoiseFloor| {
        let (estimate, equal) = match floor.compared_as {
            ComparedAs::Ratio => (floor.ratio.as_ref()?, 1.0),
            ComparedAs::Difference => (&floor.difference, 0.0),
        };
        let (lo, hi) = estimate.interval.filter(|(lo, hi)| lo < hi)?;
        Some((estimate.n, !covers((lo, hi), equal)))
    };
    let pairs: Vec<(u32, bool)> = reference().noise_floors.iter().filter_map(missed).collect();
    for blocks in [3..=3, 3..=6] {
        let own: Vec<bool> =
            pairs.iter().filter(|(n, _)| blocks.contains(n)).map(|(_, missed)| *missed).collect();
        let share = own.iter().filter(|missed| **missed).count() as f64 / own.len() as f64;
        assert!(own.len() > 250 && (0.02..=0.08).contains(&share), "{blocks:?}: {share}");
    }
}

#[test]
fn intervals_of_ratios_cover_the_truth_as_often_as_they_say() {
    for (metric, pool) in pools() {
        for blocks in BLOCKS {
            let covered = share_of(INTERVALS, |campaign| {
                let arms = pool.arms(2, blocks, mix(51, campaign));
                covers(difference(&arms[0], &arms[1]).unwrap().interval(CONFIDENCE), 0.0)
            });
            assert!((0.93..=0.97).contains(&covered), "{metric}, {blocks} blocks: {covered}");
        }
    }
}

#[test]
fn intervals_of_one_arm_cover_the_truth_as_often_as_they_say() {
    for (metric, pool) in pools() {
        for blocks in BLOCKS {
            let covered = share_of(INTERVALS, |campaign| {
                let arms = pool.arms(1, blocks, mix(52, campaign));
                let values: Vec<f64> = arms[0].iter().map(|value| value.exp()).collect();
                covers(estimate(&values, Scale::Log).unwrap().interval.unwrap(), 1.0)
            });
            assert!((0.93..=0.97).contains(&covered), "{metric}, {blocks} blocks: {covered}");
        }
    }
}

/// A campaign with the endpoints of a preset.
fn plan(blocks: u32) -> Plan {
    let endpoint = |metric: &Metric, arm: &str, against: &str| {
        format!(
            "[[primary]]\nexperiment = 'concurrency'\nmetric = '{metric}'\narm = '{arm}'\n\
             against = '{against}'\n"
        )
    };
    let text = format!(
        "name = 't'\narms = ['none', 'session@memory', 'session@redis', 'jwt-a', 'jwt-b']\n\
         reference = 'session@memory'\n[concurrency]\nusers = [64]\nblocks = {blocks}\n{}{}{}",
        endpoint(metric::SERVER_CPU_US_PER_REQUEST, "*", "none"),
        endpoint(metric::THROUGHPUT_RPS, "jwt-*", "session@memory"),
        endpoint(metric::THROUGHPUT_RPS, "jwt-*", "session@redis"),
    );
    expand(&Spec::parse("t.toml", &text, Overrides::default()).unwrap()).unwrap()
}

/// What the endpoints of a plan ask in a simulated campaign of equal arms; one endpoint's arm may
/// truly differ.
fn questions(plan: &Plan, blocks: u32, seed: u64, effect: Option<(usize, f64)>) -> Vec<Question> {
    let names = plan.names();
    let twin = names.iter().position(|name| name.ends_with("(again)")).unwrap();
    let arm = |name: &String| names.iter().position(|known| known == name).unwrap();
    let measured: Vec<Vec<Vec<f64>>> = pools()
        .iter()
        .zip(0..)
        .map(|((_, pool), n)| pool.arms(names.len() as u64, blocks, mix(seed, n)))
        .collect();
    let question = |(n, endpoint): (usize, &Primary)| {
        let metric = METRICS.iter().position(|metric| metric.name == endpoint.metric).unwrap();
        let of = |name: &String| &measured[metric][arm(name)];
        let mut found = difference(of(&endpoint.arm), of(&endpoint.against));
        if let (Some(moments), Some((_, effect))) = (&mut found, effect.filter(|(at, _)| *at == n))
        {
            moments.mean += effect;
        }
        let floor = difference(&measured[metric][twin], of(&plan.reference));
        Question { difference: found, ratio: found, floor: Floor::of(floor) }
    };
    plan.primary.iter().enumerate().map(question).collect()
}

fn different(ruling: &Ruling) -> bool {
    matches!(ruling.verdict, Verdict::Lower | Verdict::Higher)
}

#[test]
fn equal_arms_are_called_different_in_at_most_one_campaign_of_twenty() {
    for blocks in BLOCKS {
        let plan = plan(blocks);
        let wrong = share(|campaign| {
            let questions = questions(&plan, blocks, mix(53, campaign), None);
            judge(&questions, MARGIN).iter().any(different)
        });
        assert!(wrong <= 0.05, "{blocks} blocks: {wrong}");
    }
}

#[test]
fn without_the_correction_and_the_floor_they_would_be_in_many_more() {
    let plan = plan(6);
    let wrong = share(|campaign| {
        let questions = questions(&plan, 6, mix(53, campaign), None);
        let alone = |mut question: Question| {
            question.floor = Floor::NotMeasured;
            judge(&[question], MARGIN).iter().any(different)
        };
        questions.into_iter().any(alone)
    });
    assert!(wrong > 0.15, "{wrong}");
}

#[test]
fn an_arm_at_the_margin_is_called_equivalent_in_at_most_one_campaign_of_twenty() {
    // The hardest case: every arm differs by the margin itself.
    for blocks in BLOCKS {
        let plan = plan(blocks);
        let wrong = share(|campaign| {
            let mut questions = questions(&plan, blocks, mix(55, campaign), None);
            for question in &mut questions {
                for of in [&mut question.difference, &mut question.ratio] {
                    *of = of.map(|m| Moments { mean: m.mean + MARGIN.ln_1p(), ..m });
                }
            }
            let rulings = judge(&questions, MARGIN);
            rulings.iter().any(|ruling| ruling.verdict == Verdict::Equivalent)
        });
        assert!(wrong <= 0.05, "{blocks} blocks: {wrong}");
    }
}

/// The noise of the committed records, each metric as these simulations draw it.
fn pooled_noise() -> Noise {
    let mut noise = noise(reference());
    for (metric, pool) in pools() {
        let own = |row: &&mut loadgen::report::NoiseRow| {
            row.experiment == "concurrency" && row.metric == *metric
        };
        let rows: Vec<_> = noise.rows.iter_mut().filter(own).collect();
        let arms = || rows.iter().flat_map(|row| row.arms.values());
        let squares: f64 = arms().map(|arm| arm.deviation.powi(2)).sum();
        let mean = (squares / arms().count() as f64).sqrt();
        let drawn = pool.deviation();
        let ratio = mean / drawn;
        assert!((0.9..1.1).contains(&ratio), "{metric}: {mean} is not {drawn}");
        for arm in rows.into_iter().flat_map(|row| row.arms.values_mut()) {
            arm.deviation = drawn;
        }
    }
    noise
}

#[test]
fn a_plan_finds_as_often_as_it_says_what_it_says() {
    let noise = pooled_noise();
    for blocks in BLOCKS {
        let plan = plan(blocks);
        let expected = expected(&plan, Some(&noise));
        // One endpoint of each kind: CPU time over the baseline; throughput with the reference,
        // whose twin sets the floor, and without it.
        for (endpoint, against) in [(2, "none"), (4, "session@memory"), (6, "session@redis")] {
            assert_eq!(plan.primary[endpoint].against, against);
            let effect = expected[endpoint].smallest_effect.unwrap().ln_1p();
            let found = share(|campaign| {
                let seed = mix(57 + endpoint as u64, campaign);
                let questions = questions(&plan, blocks, seed, Some((endpoint, effect)));
                judge(&questions, MARGIN)[endpoint].verdict == Verdict::Higher
            });
            let what = &expected[endpoint];
            assert!((0.7..=0.9).contains(&found), "{blocks} blocks, {what:?}: {found}");
        }
    }
}
