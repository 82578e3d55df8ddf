//! Estimates with intervals: of one arm, and of the difference or ratio of two, paired by block.

use super::bootstrap::Resampled;
use super::compare::Moments;
use super::{CONFIDENCE, Estimate};

/// The scale on which a figure's errors are even.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Positive figures whose errors are proportions: rates, times, bytes.
    Log,
    /// Figures that may be 0 or negative: slopes, differences, shares.
    Linear,
}

/// Estimates what trials of one arm measure; `None` without a trial, or if one of them has no
/// finite value.
pub fn estimate(values: &[f64], scale: Scale) -> Option<Estimate> {
    if values.is_empty() || values.iter().any(|value| !value.is_finite()) {
        return None;
    }
    if scale == Scale::Log && values.iter().all(|value| *value > 0.0) {
        let logs: Vec<f64> = values.iter().map(|value| value.ln()).collect();
        let (point, interval) = student(&logs);
        return Some(Estimate {
            point: point.exp(),
            interval: interval.map(|(lo, hi)| (lo.exp(), hi.exp())),
            n: values.len() as u32,
            method: "geometric mean of trials, Student's t on logs".into(),
        });
    }
    let (point, interval) = student(values);
    Some(Estimate {
        point,
        interval,
        n: values.len() as u32,
        method: "mean of trials, Student's t".into(),
    })
}

/// The method of an estimate that does not vary.
const EXACT: &str = "exact: the same in every trial by construction";

/// The figure of a metric that is the same in every trial by construction: the middle trial's,
/// because one that lost requests may be off. It has no interval.
pub fn exact(values: &[f64]) -> Option<Estimate> {
    let mut sorted: Vec<f64> = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let point = *sorted.get((sorted.len().checked_sub(1)?) / 2)?;
    let method = EXACT.into();
    point.is_finite().then_some(Estimate { point, interval: None, n: values.len() as u32, method })
}

impl Estimate {
    /// Whether it does not vary, so that it needs no interval.
    pub fn is_exact(&self) -> bool {
        self.method == EXACT
    }

    /// The same as an estimate that does not vary, without an interval.
    #[must_use]
    pub fn as_exact(self) -> Self {
        Self { interval: None, method: EXACT.into(), ..self }
    }
}

/// Logarithms of the ratios of pairs; `None` when there is no pair, or a value is not positive.
pub fn log_ratios(pairs: &[(f64, f64)]) -> Option<Vec<f64>> {
    if pairs.is_empty() || pairs.iter().any(|(a, b)| !(*a > 0.0 && *b > 0.0)) {
        return None;
    }
    Some(pairs.iter().map(|(a, b)| (a / b).ln()).collect())
}

/// Estimates the ratio of two arms from pairs of the same block; `None` when there is no pair, or a
/// value is not positive.
pub fn paired_ratio(pairs: &[(f64, f64)]) -> Option<Estimate> {
    let mut ratio = estimate(&log_ratios(pairs)?, Scale::Linear)?;
    ratio.point = ratio.point.exp();
    ratio.interval = ratio.interval.map(|(lo, hi)| (lo.exp(), hi.exp()));
    ratio.method = "paired by block, Student's t on log ratios".into();
    Some(ratio)
}

/// Estimates the difference of two arms from pairs of the same block; `None` when there is no pair.
pub fn paired_difference(pairs: &[(f64, f64)]) -> Option<Estimate> {
    let differences: Vec<f64> = pairs.iter().map(|(a, b)| a - b).collect();
    let mut difference = estimate(&differences, Scale::Linear)?;
    difference.method = "paired by block, Student's t on differences".into();
    Some(difference)
}

/// Estimates what has no value in a single trial, from resampled campaigns; `None` if too few of
/// them have one.
pub fn resampled(of: &Resampled) -> Option<Estimate> {
    let moments = of.moments()?;
    Some(Estimate {
        point: moments.mean,
        interval: Some(moments.interval(CONFIDENCE)),
        n: moments.n,
        method: "bootstrap over blocks, Student's t".into(),
    })
}

/// Estimates the difference of two that were resampled together, block by block.
pub fn resampled_difference(one: &Resampled, other: &Resampled) -> Option<Estimate> {
    resampled(&one.minus(other))
}

/// Estimates the ratio of two whose logarithms were resampled together.
pub fn resampled_ratio(one: &Resampled, other: &Resampled) -> Option<Estimate> {
    let mut ratio = resampled_difference(one, other)?;
    ratio.point = ratio.point.exp();
    ratio.interval = ratio.interval.map(|(lo, hi)| (lo.exp(), hi.exp()));
    Some(ratio)
}

/// Mean and its interval, which needs two values.
fn student(values: &[f64]) -> (f64, Option<(f64, f64)>) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (mean, Moments::of(values).map(|moments| moments.interval(CONFIDENCE)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{mix, normal};

    #[test]
    fn the_interval_is_the_textbook_one() {
        // Mean 3, standard deviation 1.5811, t(0.975, 4) = 2.7764: 3 +- 1.9632.
        let found = estimate(&[1.0, 2.0, 3.0, 4.0, 5.0], Scale::Linear).unwrap();
        let (lo, hi) = found.interval.unwrap();
        assert!((lo - 1.0368).abs() < 1e-4 && (hi - 4.9632).abs() < 1e-4, "{found:?}");
        assert_eq!((found.point, found.n), (3.0, 5));
    }

    #[test]
    fn a_ratio_is_undone_by_its_inverse() {
        let pairs = [(2.0, 1.0), (3.0, 1.2), (5.0, 2.1)];
        let swapped = pairs.map(|(a, b)| (b, a));
        let (ratio, inverse) = (paired_ratio(&pairs).unwrap(), paired_ratio(&swapped).unwrap());
        assert!((ratio.point * inverse.point - 1.0).abs() < 1e-12);
        let ((lo, hi), (ilo, ihi)) = (ratio.interval.unwrap(), inverse.interval.unwrap());
        assert!((lo * ihi - 1.0).abs() < 1e-12 && (hi * ilo - 1.0).abs() < 1e-12);
    }

    #[test]
    fn what_does_not_vary_has_no_interval_and_survives_one_odd_trial() {
        let found = exact(&[398.0, 397.967, 398.0, 398.0]).unwrap();
        assert_eq!((found.point, found.interval, found.n), (398.0, None, 4));
        assert!(found.is_exact());
        assert!(!estimate(&[398.0; 4], Scale::Log).unwrap().is_exact());
        assert_eq!((exact(&[]), exact(&[f64::NAN])), (None, None));
    }

    #[test]
    fn what_cannot_be_estimated_is_not() {
        assert_eq!(estimate(&[], Scale::Log), None);
        assert_eq!(estimate(&[1.0, f64::NAN], Scale::Log), None);
        assert_eq!(paired_ratio(&[(1.0, 0.0)]), None);
        assert_eq!(estimate(&[7.0], Scale::Linear).unwrap().interval, None);
        let with_zero = estimate(&[0.0, 1.0], Scale::Log).unwrap();
        assert_eq!(with_zero.point, 0.5, "a zero has no logarithm: the plain scale is used");
    }

    /// Share of 2,000 simulated campaigns whose interval covers the true ratio. Each block drifts
    /// by 10 %, which both arms share, and each trial has noise of 4 % of its own.
    fn coverage(blocks: u64, interval: impl Fn(&[(f64, f64)], u64) -> (f64, f64)) -> f64 {
        let truth: f64 = 1.25;
        let campaigns = 2000;
        let covered = (0..campaigns).filter(|campaign| {
            let draw = |n| normal(mix(11, *campaign), n);
            let pairs: Vec<(f64, f64)> = (0..blocks)
                .map(|block| {
                    let drift = 0.10 * draw(3 * block);
                    let a = (drift + 0.04 * draw(3 * block + 1)).exp() * truth;
                    let b = (drift + 0.04 * draw(3 * block + 2)).exp();
                    (a, b)
                })
                .collect();
            let (lo, hi) = interval(&pairs, *campaign);
            (lo..=hi).contains(&truth)
        });
        covered.count() as f64 / campaigns as f64
    }

    #[test]
    fn a_percentile_bootstrap_would_not_at_five_blocks() {
        let covered = coverage(5, |pairs, campaign| {
            let logs: Vec<f64> = pairs.iter().map(|(a, b)| (a / b).ln()).collect();
            let mut means: Vec<f64> = (0..400)
                .map(|resample| {
                    let pick = |i| logs[(mix(mix(campaign, resample), i) % 5) as usize];
                    (0..5).map(pick).sum::<f64>() / 5.0
                })
                .collect();
            means.sort_by(f64::total_cmp);
            (means[10].exp(), means[389].exp())
        });
        assert!(covered < 0.90, "{covered}");
    }
}
