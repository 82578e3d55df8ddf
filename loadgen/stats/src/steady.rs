//! Whether a load had settled: no trend and no step in its seconds. A warm-up of a fixed length is
//! a guess, so the seconds of Measure are tested.

use statrs::distribution::{ContinuousCDF as _, Normal};

use super::slope::theil_sen;

/// The fewest seconds that must be left, and so the shortest load that can be judged.
pub const SECONDS_MIN: usize = 5;
/// The p value below which a trend counts.
const LEVEL: f64 = 0.05;
/// A trend or a step counts if it exceeds this many of its standard errors.
const TREND_ERRORS: f64 = 3.0;
const STEP_ERRORS: f64 = 4.0;
/// The median of |x| of a normal number, in its deviations.
const MEDIAN_OF_ABSOLUTE: f64 = 0.6745;

/// A figure of every second, and the change that matters in it, as a share.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// The values, all of them positive.
    pub values: Vec<f64>,
    /// The relative change over the load that still counts as none.
    pub tolerance: f64,
}

/// The first second from which all the series are steady to their end; `None` when at most half of
/// the load would have to go and what is left is still not steady, or has fewer than
/// [`SECONDS_MIN`] seconds.
///
/// A departure must exceed chance and be large enough to matter, so that a long load is not faulted
/// for a drift of a thousandth.
pub fn steady_from(series: &[Series]) -> Option<usize> {
    let seconds = series.iter().map(|one| one.values.len()).min()?;
    let last = (seconds / 2).min(seconds.checked_sub(SECONDS_MIN)?);
    (0..=last).find(|from| series.iter().all(|one| is_steady(&one.values[*from..], one.tolerance)))
}

fn is_steady(values: &[f64], tolerance: f64) -> bool {
    if values.iter().any(|value| !(*value > 0.0 && value.is_finite())) {
        return false;
    }
    let logs: Vec<f64> = values.iter().map(|value| value.ln()).collect();
    let tolerance = tolerance.ln_1p();
    !(has_trend(&logs, tolerance) || has_step(&logs, tolerance))
}

/// A trend by the test of Mann (1945) and Kendall (1975) whose slope (Sen 1968) matters.
fn has_trend(logs: &[f64], tolerance: f64) -> bool {
    let points: Vec<(f64, f64)> = logs.iter().enumerate().map(|(i, v)| (i as f64, *v)).collect();
    let slope = theil_sen(&points).unwrap_or(0.0);
    let rest: Vec<f64> = points.iter().map(|(x, y)| y - slope * x).collect();
    let centre = median(&rest);
    let off: Vec<f64> = rest.iter().map(|value| (value - centre).abs()).collect();
    let n = logs.len() as f64;
    // A slope over n even steps is known to sqrt(12 / n^3) of the noise.
    let error = median(&off) / MEDIAN_OF_ABSOLUTE * (12.0 / n.powi(3)).sqrt() * (n - 1.0);
    let drift = (slope * (n - 1.0)).abs();
    drift > tolerance.max(TREND_ERRORS * error) && mann_kendall(logs) < LEVEL
}

/// The chance of at least this many rises over falls, in either direction, without a trend
/// (Kendall, "Rank correlation methods", 1975: the normal approximation, corrected for continuity).
pub(super) fn mann_kendall(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mut score = 0.0;
    for (i, earlier) in values.iter().enumerate() {
        for later in &values[i + 1..] {
            score += f64::from(i8::from(later > earlier) - i8::from(later < earlier));
        }
    }
    let deviation = (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
    let z = (f64::abs(score) - 1.0).max(0.0) / deviation;
    Normal::new(0.0, 1.0).map_or(1.0, |normal| (2.0 * normal.sf(z)).min(1.0))
}

/// Whether the first or the last third differs from the rest, by medians. The noise is taken from
/// the steps between neighbours, which a change of level hardly touches (von Neumann 1941).
fn has_step(logs: &[f64], tolerance: f64) -> bool {
    let steps: Vec<f64> = logs.windows(2).map(|pair| (pair[1] - pair[0]).abs()).collect();
    let noise = median(&steps) / (MEDIAN_OF_ABSOLUTE * std::f64::consts::SQRT_2);
    let third = logs.len().div_ceil(3);
    [third, logs.len() - third].into_iter().any(|at| {
        let (before, after) = logs.split_at(at);
        let share = 1.0 / before.len() as f64 + 1.0 / after.len() as f64;
        // A median is known 1.253 times worse than a mean.
        let error = 1.253 * noise * share.sqrt();
        (median(before) - median(after)).abs() > tolerance.max(STEP_ERRORS * error)
    })
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        n => f64::midpoint(sorted[(n - 1) / 2], sorted[n / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{mix, normal};

    fn from(values: &[f64]) -> Option<usize> {
        steady_from(&[Series { values: values.to_vec(), tolerance: 0.05 }])
    }

    #[test]
    fn the_trend_test_is_the_published_one() {
        // S = 10, 24 and 33; variances n(n-1)(2n+5)/18, continuity corrected: computed apart with
        // numpy, and z = 2.2045 for five rising values is that of Gilbert, "Statistical methods for
        // environmental pollution monitoring" (1987), section 16.4.
        for (values, p) in [
            (vec![1.0, 2.0, 3.0, 4.0, 5.0], 0.027_486_336),
            (vec![1.0, 3.0, 2.0, 4.0, 5.0, 6.0, 8.0, 7.0], 0.004_434_008),
            (vec![3.0, 1.0, 2.0, 5.0, 4.0, 6.0, 9.0, 8.0, 7.0, 10.0], 0.004_207_551),
        ] {
            assert!((mann_kendall(&values) - p).abs() < 1e-8, "{values:?}");
        }
        assert_eq!(mann_kendall(&[2.0, 2.0, 2.0]), 1.0);
    }

    #[test]
    fn what_settles_is_cut_and_what_never_does_is_said() {
        let flat = [100.0, 101.0, 99.0, 100.5, 99.5, 100.0, 101.0, 99.0, 100.0, 100.5];
        assert_eq!(from(&flat), Some(0));
        let mut warm = flat;
        warm[..3].copy_from_slice(&[60.0, 80.0, 92.0]);
        let settled = from(&warm).unwrap();
        assert!((1..=3).contains(&settled), "{settled}");
        let ramp: Vec<f64> = (0..20).map(|i| 100.0 + 5.0 * f64::from(i)).collect();
        assert_eq!(from(&ramp), None);
        let late: Vec<f64> = (0..20).map(|i| if i < 14 { 100.0 } else { 150.0 }).collect();
        assert_eq!(from(&late), None);
        assert_eq!(from(&flat[..4]), None, "four seconds are too few");
        assert_eq!(from(&[0.0; 6]), None, "no answer at all is no steady state");
    }

    #[test]
    fn a_drift_too_small_to_matter_is_none() {
        let drift: Vec<f64> = (0..60).map(|i| 100.0 + 0.02 * f64::from(i)).collect();
        assert_eq!(from(&drift), Some(0));
    }

    #[test]
    fn every_series_has_to_be_steady() {
        let flat = Series { values: vec![10.0; 12], tolerance: 0.05 };
        let ramp = Series { values: (1..13).map(f64::from).collect(), tolerance: 0.05 };
        assert_eq!(steady_from(&[flat.clone(), ramp]), None);
        assert_eq!(steady_from(&[flat]), Some(0));
        assert_eq!(steady_from(&[]), None);
    }

    /// Share of 1,000 loads with even noise that are called steady from their first second.
    fn called_steady(seconds: u64, noise: f64, tolerance: f64) -> f64 {
        let steady = (0..1000u64).filter(|load| {
            let value = |i| (noise * normal(mix(31, *load), i)).exp();
            let values: Vec<f64> = (0..seconds).map(value).collect();
            steady_from(&[Series { values, tolerance }]) == Some(0)
        });
        steady.count() as f64 / 1000.0
    }

    #[test]
    fn even_noise_is_rarely_taken_for_a_warm_up() {
        // Noise of a second: 2.4 % in throughput and 11 % in p99 is what trials of a second have
        // in results/reference/quick.
        for seconds in [5, 10, 30] {
            for (noise, tolerance) in [(0.024, 0.05), (0.11, 0.25)] {
                let steady = called_steady(seconds, noise, tolerance);
                assert!(steady > 0.97, "{seconds} s, noise {noise}: {steady}");
            }
        }
    }
}
