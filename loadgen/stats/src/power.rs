//! The smallest effect that so few blocks with such noise could show: of a campaign that has run,
//! and of one that is planned. "Inconclusive" says little without it.

use statrs::distribution::{ContinuousCDF as _, Normal};
use statrs::function::gamma::ln_gamma;

use super::CONFIDENCE;
use super::compare::{Moments, critical};
use super::floor::Floor;
use crate::random::{mix, normal};

/// Level of a family's differences.
pub(super) const ALPHA: f64 = 1.0 - CONFIDENCE;

/// The chance of finding the smallest effect.
pub const POWER: f64 = 0.8;
/// Steps of Simpson's rule: enough for an error far below what tests assert.
const STEPS: usize = 120;

/// The effect, in standard errors of the mean, that a two-sided paired t test over `n` blocks at
/// the level `alpha` finds with [`POWER`] (Cohen, "Statistical power analysis for the behavioral
/// sciences", 1988).
///
/// The power of the t test is that of the noncentral t distribution, which the crate in use lacks;
/// so it is integrated here over the scatter of the standard error.
pub(super) fn detectable(n: u32, alpha: f64) -> f64 {
    let df = f64::from(n) - 1.0;
    let threshold = critical(n, alpha);
    let (Ok(normal), true) = (Normal::new(0.0, 1.0), df >= 1.0 && threshold.is_finite()) else {
        return f64::INFINITY;
    };
    // The standard error that a campaign finds, as a share of the true one, has a scaled chi
    // distribution.
    let ln_scale = std::f64::consts::LN_2 + df / 2.0 * (df / 2.0).ln() - ln_gamma(df / 2.0);
    let density = |s: f64| (ln_scale + (df - 1.0) * s.ln() - df * s * s / 2.0).exp();
    let end = 1.0 + 8.0 / (2.0 * df).sqrt();
    let step = end / STEPS as f64;
    let weights: Vec<(f64, f64)> = (0..=STEPS)
        .map(|i| {
            let s = (i as f64 * step).max(1e-12);
            let simpson = match i {
                0 | STEPS => 1.0,
                i if i % 2 == 1 => 4.0,
                _ => 2.0,
            };
            (s, simpson * step / 3.0 * density(s))
        })
        .collect();
    let power = |effect: f64| -> f64 {
        let found =
            |s: f64| normal.cdf(effect - threshold * s) + normal.cdf(-effect - threshold * s);
        weights.iter().map(|(s, weight)| weight * found(*s)).sum()
    };
    let (mut low, mut high) = (0.0, 2.0 * threshold + 10.0);
    for _ in 0..40 {
        let middle = f64::midpoint(low, high);
        if power(middle) < POWER { low = middle } else { high = middle }
    }
    high
}

/// How far beyond its threshold a mean must lie, in standard errors, to exceed it with [`POWER`].
pub(super) fn above() -> f64 {
    Normal::new(0.0, 1.0).map_or(f64::INFINITY, |normal| normal.inverse_cdf(POWER))
}

/// Simulated campaigns of [`Planned`]: they tell the chance of 80 % to within 0.7 %.
const CAMPAIGNS: u64 = 3000;

/// Campaigns in which two equal arms and an A/A pair are measured in so many blocks with normal
/// noise, before any of them is run. Effects are in units of the block-to-block standard deviation
/// of the difference of two arms.
pub struct Planned {
    blocks: u32,
    campaigns: Vec<(Moments, Floor)>,
}

/// Prepares to ask what a campaign with this number of blocks would find; `None` for one block.
/// `shared` says whether one of the two arms is also that of the A/A pair.
pub fn planned(blocks: u32, shared: bool) -> Option<Planned> {
    let unit = 0.5f64.sqrt();
    let campaign = |campaign: u64| {
        let trial =
            |arm: u64, block: u32| unit * normal(mix(mix(71, campaign), arm), u64::from(block));
        let beside = |one, other| {
            let differences: Vec<f64> =
                (0..blocks).map(|block| trial(one, block) - trial(other, block)).collect();
            Moments::of(&differences)
        };
        let pair = if shared { beside(2, 1) } else { beside(2, 3) };
        Some((beside(0, 1)?, Floor::of(pair)))
    };
    let campaigns = (0..CAMPAIGNS).map(campaign).collect::<Option<_>>()?;
    Some(Planned { blocks, campaigns })
}

impl Planned {
    /// The smallest true difference that [`POWER`] of the campaigns call one, as the first of
    /// `family` endpoints. `margin` is what counts as equal, in the same unit; `paired` says
    /// whether the campaign has an A/A pair.
    pub fn smallest(&self, family: usize, margin: Option<f64>, paired: bool) -> f64 {
        let first = critical(self.blocks, ALPHA / family.max(1) as f64);
        let alone = critical(self.blocks, 1.0 - CONFIDENCE);
        let needed = |(found, floor): &(Moments, Floor)| {
            let floor = match floor {
                Floor::At(floor) if paired => *floor,
                _ => 0.0,
            };
            let equal = margin.map_or(0.0, |margin| margin - alone * found.error);
            (first * found.error).max(floor).max(equal) - found.mean
        };
        let mut needed: Vec<f64> = self.campaigns.iter().map(needed).collect();
        needed.sort_unstable_by(f64::total_cmp);
        needed[(POWER * needed.len() as f64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_that_of_the_noncentral_t() {
        // Solved with scipy.stats.nct.sf(t.ppf(1 - alpha / 2, n - 1), n - 1, effect) = 0.8.
        for (n, alpha, effect) in [
            (3, 0.05, 5.653_489_266),
            (5, 0.05, 3.761_060_261),
            (6, 0.05, 3.513_904_106),
            (6, 0.05 / 12.0, 6.266_973_129),
            (10, 0.05, 3.149_635_678),
            (20, 0.05, 2.953_588_247),
        ] {
            let found = detectable(n, alpha);
            assert!((found / effect - 1.0).abs() < 1e-4, "{n}, {alpha}: {found}");
        }
    }

    #[test]
    fn what_is_planned_is_what_the_t_test_finds() {
        for (blocks, family) in [(3, 1), (6, 1), (6, 12), (20, 5)] {
            let alone = planned(blocks, false).unwrap().smallest(family, None, false);
            let exact = detectable(blocks, 0.05 / family as f64) / f64::from(blocks).sqrt();
            assert!((alone / exact - 1.0).abs() < 0.03, "{blocks}, {family}: {alone} {exact}");
        }
        assert!(planned(1, false).is_none());
    }

    #[test]
    fn a_floor_and_a_margin_ask_for_more() {
        let of = |shared| planned(6, shared).unwrap();
        let (bare, floored) = (of(true).smallest(1, None, false), of(true).smallest(1, None, true));
        assert!(floored > 1.05 * bare, "{floored} {bare}");
        assert!(of(false).smallest(1, None, true) > 1.05 * bare);
        // With next to no noise, what is found is what is not within the margin.
        let margin = 100.0;
        let found = of(false).smallest(12, Some(margin), true);
        assert!((found / margin - 1.0).abs() < 0.03, "{found}");
    }

    #[test]
    fn cohens_example() {
        // An effect of half a standard deviation needs 34 pairs for a power of 0.8 (Cohen 1988,
        // section 2.4; statsmodels gives 0.8078 for 34).
        let half_a_deviation = |n: u32| 0.5 * f64::from(n).sqrt();
        assert!(detectable(34, 0.05) < half_a_deviation(34));
        assert!(detectable(33, 0.05) > half_a_deviation(33));
    }
}
