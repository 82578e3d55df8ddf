//! Synthetic campaigns with the noise of real ones: intervals cover, and equal arms are not called
//! different.
//!
//! The numbers are those of `results/reference/quick`, from its 63 records, the block of its
//! invalid trial left out. Within a block, the logarithms of a trial scatter by 2.4 % in
//! throughput, 2.3 % in CPU per request and p50 (skew -0.5, 0.6 and 0.4), and by 11 % in p99 (skew
//! 1.2); blocks drift by 2 % and, in p99, by 6 %. Noise is drawn with more skew than that, not with
//! less.

use super::{CONFIDENCE, Floor, Moments, Question, Scale, Verdict, estimate, judge, log_ratios};
use crate::random::{mix, uniform};

/// A standard normal number from the seed (Box and Muller 1958).
pub(super) fn normal(seed: u64, n: u64) -> f64 {
    let (u, v) = (uniform(seed, 2 * n), uniform(seed, 2 * n + 1));
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// How the logarithm of a metric scatters.
#[derive(Clone, Copy, Debug)]
struct Noise {
    /// Deviation of a trial within its block.
    trial: f64,
    /// Skewness of that; a shifted lognormal number has it.
    skew: f64,
    /// Deviation of a block.
    drift: f64,
}

const THROUGHPUT: Noise = Noise { trial: 0.024, skew: -0.6, drift: 0.02 };
const P99: Noise = Noise { trial: 0.11, skew: 1.3, drift: 0.06 };

/// Campaigns of each simulation.
const CAMPAIGNS: u64 = 1000;
/// Blocks that one can afford.
const BLOCKS: [u64; 4] = [3, 5, 10, 20];

impl Noise {
    /// The shape of a lognormal number with this skewness: (w + 2) sqrt(w - 1), w = exp(shape^2).
    fn shape(self) -> f64 {
        let (mut low, mut high) = (0.0f64, 1.0f64);
        for _ in 0..40 {
            let middle = f64::midpoint(low, high);
            let w = (middle * middle).exp();
            let skew = (w + 2.0) * (w - 1.0).sqrt();
            if skew < self.skew.abs() { low = middle } else { high = middle }
        }
        high
    }

    /// A trial's noise: mean 0, deviation and skewness as stated.
    fn of_trial(self, shape: f64, seed: u64, n: u64) -> f64 {
        let w = (shape * shape).exp();
        let number = (shape * normal(seed, n)).exp();
        let standard = (number - w.sqrt()) / (w * (w - 1.0)).sqrt();
        standard * self.trial * self.skew.signum()
    }

    /// Values of a metric of so many equal arms at a level, by arm and block.
    fn arms(self, arms: u64, blocks: u64, seed: u64) -> Vec<Vec<f64>> {
        let drift = |block| self.drift * normal(mix(seed, 0), block);
        let shape = self.shape();
        let of_trial = |arm, block| self.of_trial(shape, mix(seed, 1 + arm), block);
        let value = |arm, block| (drift(block) + of_trial(arm, block)).exp();
        (0..arms).map(|arm| (0..blocks).map(|block| value(arm, block)).collect()).collect()
    }
}

fn pairs(one: &[f64], other: &[f64]) -> Vec<(f64, f64)> {
    one.iter().copied().zip(other.iter().copied()).collect()
}

fn moments(one: &[f64], other: &[f64]) -> Option<Moments> {
    Moments::of(&log_ratios(&pairs(one, other))?)
}

fn covers((lo, hi): (f64, f64), truth: f64) -> bool {
    (lo..=hi).contains(&truth)
}

#[test]
fn the_noise_is_what_it_is_said_to_be() {
    for noise in [THROUGHPUT, P99] {
        let values: Vec<f64> = (0..40_000).map(|n| noise.of_trial(noise.shape(), 3, n)).collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let moment = |power| values.iter().map(|v| (v - mean).powi(power)).sum::<f64>() / n;
        let deviation = moment(2).sqrt();
        assert!(mean.abs() < 0.02 * noise.trial, "{mean}");
        assert!((deviation / noise.trial - 1.0).abs() < 0.03, "{deviation}");
        let skew = moment(3) / deviation.powi(3);
        assert!((skew - noise.skew).abs() < 0.15, "{skew} for {noise:?}");
    }
}

#[test]
fn intervals_of_ratios_cover_the_truth_as_often_as_they_say() {
    for (blocks, noise) in BLOCKS.into_iter().flat_map(|b| [(b, THROUGHPUT), (b, P99)]) {
        let covered = (0..CAMPAIGNS).filter(|campaign| {
            let arms = noise.arms(2, blocks, mix(51, *campaign));
            covers(moments(&arms[0], &arms[1]).unwrap().interval(CONFIDENCE), 0.0)
        });
        let covered = covered.count() as f64 / CAMPAIGNS as f64;
        assert!((0.93..=0.97).contains(&covered), "{blocks} blocks, {noise:?}: {covered}");
    }
}

#[test]
fn intervals_of_one_arm_cover_the_truth_as_often_as_they_say() {
    for (blocks, noise) in BLOCKS.into_iter().flat_map(|b| [(b, THROUGHPUT), (b, P99)]) {
        let covered = (0..CAMPAIGNS).filter(|campaign| {
            let arms = noise.arms(1, blocks, mix(52, *campaign));
            covers(estimate(&arms[0], Scale::Log).unwrap().interval.unwrap(), 1.0)
        });
        let covered = covered.count() as f64 / CAMPAIGNS as f64;
        assert!((0.93..=0.97).contains(&covered), "{blocks} blocks, {noise:?}: {covered}");
    }
}

/// A family as `quick` has it, of equal arms: a baseline, a reference, its twin and two rivals at
/// three levels.
fn family(noise: Noise, blocks: u64, seed: u64) -> Vec<Question> {
    let mut family = Vec::new();
    for level in 0..3 {
        let arms = noise.arms(5, blocks, mix(seed, level));
        let [baseline, reference, twin, rivals @ ..] = arms.as_slice() else { unreachable!() };
        let floor = Floor::of(moments(twin, reference));
        let mut compare = |one, other| {
            let difference = moments(one, other);
            family.push(Question { difference, ratio: difference, floor });
        };
        compare(reference, baseline);
        for rival in rivals {
            compare(rival, baseline);
            compare(rival, reference);
        }
    }
    family
}

const MARGIN: f64 = 0.03;

fn different(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Lower | Verdict::Higher)
}

#[test]
fn equal_arms_are_called_different_in_at_most_one_family_of_twenty() {
    for (blocks, noise) in BLOCKS.into_iter().flat_map(|b| [(b, THROUGHPUT), (b, P99)]) {
        let wrong = (0..CAMPAIGNS).filter(|campaign| {
            let family = family(noise, blocks, mix(53, *campaign));
            judge(&family, MARGIN).iter().any(|ruling| different(ruling.verdict))
        });
        let wrong = wrong.count() as f64 / CAMPAIGNS as f64;
        assert!(wrong <= 0.05, "{blocks} blocks, {noise:?}: {wrong}");
    }
}

#[test]
fn without_the_correction_and_the_floor_they_would_be_in_many_more() {
    let wrong = (0..CAMPAIGNS).filter(|campaign| {
        let alone = |mut question: Question| {
            question.floor = Floor::NotMeasured;
            different(judge(&[question], MARGIN)[0].verdict)
        };
        family(P99, 5, mix(53, *campaign)).into_iter().any(alone)
    });
    let wrong = wrong.count() as f64 / CAMPAIGNS as f64;
    assert!(wrong > 0.25, "{wrong}");
}

#[test]
fn an_arm_beside_itself_raises_a_doubt_in_about_one_family_of_twenty() {
    // The A/A pair has no floor but itself; the doubt that it differs is the corrected test alone,
    // whose chance is 0.05 and never less. 1,000 campaigns tell that to 0.014.
    for blocks in BLOCKS {
        let wrong = (0..CAMPAIGNS).filter(|campaign| {
            let pair = |level| {
                let arms = P99.arms(2, blocks, mix(mix(54, *campaign), level));
                let difference = moments(&arms[0], &arms[1]);
                Question { difference, ratio: difference, floor: Floor::NotMeasured }
            };
            let family: Vec<Question> = (0..3).map(pair).collect();
            judge(&family, MARGIN).iter().any(|ruling| different(ruling.verdict))
        });
        let wrong = wrong.count() as f64 / CAMPAIGNS as f64;
        assert!((0.02..=0.064).contains(&wrong), "{blocks} blocks: {wrong}");
    }
}

#[test]
fn an_arm_beyond_the_margin_is_called_equivalent_in_at_most_one_family_of_twenty() {
    // The hardest case: every arm differs by the margin itself.
    for blocks in BLOCKS {
        let wrong = (0..CAMPAIGNS).filter(|campaign| {
            let mut family = family(THROUGHPUT, blocks, mix(55, *campaign));
            for question in &mut family {
                for of in [&mut question.difference, &mut question.ratio] {
                    *of = of.map(|m| Moments { mean: m.mean + MARGIN.ln_1p(), ..m });
                }
            }
            judge(&family, MARGIN).iter().any(|ruling| ruling.verdict == Verdict::Equivalent)
        });
        let wrong = wrong.count() as f64 / CAMPAIGNS as f64;
        assert!(wrong <= 0.05, "{blocks} blocks: {wrong}");
    }
}

#[test]
fn a_difference_that_is_there_is_still_found() {
    // What jwt-hs256 showed beside session@memory in results/reference/quick: 18 % at six blocks.
    let found = (0..CAMPAIGNS).filter(|campaign| {
        let mut family = family(THROUGHPUT, 6, mix(56, *campaign));
        let truth = 0.82f64.ln();
        let one = &mut family[0];
        for of in [&mut one.difference, &mut one.ratio] {
            *of = of.map(|m| Moments { mean: m.mean + truth, ..m });
        }
        judge(&family, MARGIN)[0].verdict == Verdict::Lower
    });
    let found = found.count() as f64 / CAMPAIGNS as f64;
    assert!(found > 0.99, "{found}");
}

#[test]
fn the_smallest_effect_is_found_four_times_in_five() {
    // With the error known as well as 20 blocks know it, and no floor, the stated effect is found
    // as often as stated.
    let blocks = 20;
    let found = (0..CAMPAIGNS).filter(|campaign| {
        let arms = THROUGHPUT.arms(2, blocks, mix(57, *campaign));
        let mut m = moments(&arms[0], &arms[1]).unwrap();
        let true_error = THROUGHPUT.trial * (2.0 / blocks as f64).sqrt();
        let of = |m| Question { difference: Some(m), ratio: None, floor: Floor::NotMeasured };
        let stated = judge(&[of(Moments { error: true_error, ..m })], MARGIN)[0].detectable;
        m.mean += stated.unwrap();
        different(judge(&[of(m)], MARGIN)[0].verdict)
    });
    let found = found.count() as f64 / CAMPAIGNS as f64;
    assert!((0.77..=0.83).contains(&found), "{found}");
}
