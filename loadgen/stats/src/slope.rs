//! The slope of a line through points, some of which may be far off (Theil 1950, Sen 1968), and its
//! interval over the trials of an arm.

use super::bootstrap::{Resampled, draws};
use super::{Estimate, Scale, estimate, resampled};

/// With fewer trials the scatter of resampled medians says too little about that of trials.
const BOOTSTRAP_FROM: usize = 10;

/// The slope over all trials: the mean of the trials' slopes with Student's interval where trials
/// are few; from 10 on the median of all slopes within trials, which a few outlying trials do not
/// move, with its standard error from a bootstrap over trials. `None` when no trial has a slope.
///
/// Points of one trial share its server and are not independent. So slopes are taken within trials
/// only, and trials are what is drawn or counted.
pub fn slope_over_trials(trials: &[Vec<(f64, f64)>], seed: u64) -> Option<Estimate> {
    if trials.len() < BOOTSTRAP_FROM {
        let slopes: Option<Vec<f64>> = trials.iter().map(|points| theil_sen(points)).collect();
        return estimate(&slopes?, Scale::Linear);
    }
    let mut slope = resampled(&bootstrap(trials, seed)?)?;
    slope.method = "Theil-Sen slope within trials, bootstrap over trials, Student's t".into();
    Some(slope)
}

/// Median of the slopes within trials, and in resampled sets of trials.
fn bootstrap(trials: &[Vec<(f64, f64)>], seed: u64) -> Option<Resampled> {
    let of_trial = |(trial, points): (usize, &Vec<(f64, f64)>)| {
        slopes(points).into_iter().map(move |slope| (slope, trial)).collect::<Vec<_>>()
    };
    let mut all: Vec<(f64, usize)> = trials.iter().enumerate().flat_map(of_trial).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let blocks = trials.len() as u32;
    let median = |times: Vec<u32>| weighted_median(&all, &times);
    let value = median(vec![1; trials.len()])?;
    let replicates = draws(blocks, seed).map(|times| median(times).unwrap_or(f64::NAN)).collect();
    Some(Resampled { blocks, value, replicates })
}

/// Median of slopes in ascending order, each counted as often as its trial was drawn.
fn weighted_median(sorted: &[(f64, usize)], times: &[u32]) -> Option<f64> {
    let total: u32 = sorted.iter().map(|(_, trial)| times[*trial]).sum();
    let rank = |wanted: u32| {
        let mut seen = 0;
        sorted.iter().find_map(|(slope, trial)| {
            seen += times[*trial];
            (seen > wanted).then_some(*slope)
        })
    };
    Some(f64::midpoint(rank(total.checked_sub(1)? / 2)?, rank(total / 2)?))
}

/// Median of the slopes between every two points; `None` when no two have different x.
pub fn theil_sen(points: &[(f64, f64)]) -> Option<f64> {
    let mut slopes = slopes(points);
    slopes.sort_by(f64::total_cmp);
    match slopes.len() {
        0 => None,
        n if n % 2 == 1 => Some(slopes[n / 2]),
        n => Some(f64::midpoint(slopes[n / 2 - 1], slopes[n / 2])),
    }
}

/// The slopes between every two points of different x.
fn slopes(points: &[(f64, f64)]) -> Vec<f64> {
    let mut slopes = Vec::new();
    for (i, (x, y)) in points.iter().enumerate() {
        for (other_x, other_y) in &points[i + 1..] {
            if other_x != x {
                slopes.push((other_y - y) / (other_x - x));
            }
        }
    }
    slopes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{mix, normal};

    #[test]
    fn the_slope_of_a_line_is_found_exactly() {
        let line: Vec<_> = (0..6).map(|x| (f64::from(x), 3.0 + 2.5 * f64::from(x))).collect();
        assert_eq!(theil_sen(&line), Some(2.5));
    }

    #[test]
    fn one_point_far_off_does_not_move_it() {
        let mut line: Vec<_> = (0..7).map(|x| (f64::from(x), 2.0 * f64::from(x))).collect();
        line[6].1 = 1e6;
        assert_eq!(theil_sen(&line), Some(2.0));
    }

    #[test]
    fn points_above_each_other_have_none() {
        assert_eq!(theil_sen(&[(1.0, 1.0), (1.0, 2.0)]), None);
        assert_eq!(theil_sen(&[]), None);
    }

    #[test]
    fn a_known_example() {
        // Slopes: 2, 1.5, 3, 1, 3.5, 6; their median is 2.5.
        let points = [(0.0, 0.0), (1.0, 2.0), (2.0, 3.0), (3.0, 9.0)];
        assert_eq!(theil_sen(&points), Some(2.5));
    }

    /// Share of 1,000 sets of trials whose interval covers the true slope: each trial has an
    /// offset and a slope of its own, and its readings are uneven, as a growing table makes them.
    fn coverage(trials: u64, interval: impl Fn(&[Vec<(f64, f64)>], u64) -> (f64, f64)) -> f64 {
        let covered = (0..1000u64).filter(|campaign| {
            let draw = |n| normal(mix(21, *campaign), n);
            let set: Vec<Vec<(f64, f64)>> = (0..trials)
                .map(|trial| {
                    let slope = 104.0 + 2.0 * draw(100 * trial);
                    let offset = 5e5 + 2e4 * draw(100 * trial + 1);
                    let reading = |level: u64| {
                        let x = 25_000.0 * level as f64;
                        (x, offset + slope * x + 5e4 * draw(100 * trial + 2 + level))
                    };
                    (0..5).map(reading).collect()
                })
                .collect();
            let (lo, hi) = interval(&set, *campaign);
            (lo..=hi).contains(&104.0)
        });
        covered.count() as f64 / 1000.0
    }

    #[test]
    fn intervals_cover_the_slope_as_often_as_they_say() {
        for trials in [3, 5, 10, 20] {
            let interval = |set: &[Vec<(f64, f64)>], seed| {
                slope_over_trials(set, seed).unwrap().interval.unwrap()
            };
            let covered = coverage(trials, interval);
            assert!((0.93..=0.97).contains(&covered), "{trials} trials: {covered}");
        }
    }

    #[test]
    fn the_percentiles_of_a_bootstrap_would_not_with_five_trials() {
        let covered = coverage(5, |set, seed| {
            let mut medians = bootstrap(set, seed).unwrap().replicates;
            medians.sort_by(f64::total_cmp);
            (medians[10], medians[389])
        });
        assert!(covered < 0.90, "{covered}");
    }

    #[test]
    fn the_median_counts_a_trial_as_often_as_it_was_drawn() {
        let sorted = [(1.0, 0), (2.0, 1), (5.0, 0), (9.0, 2)];
        assert_eq!(weighted_median(&sorted, &[1, 1, 1]), Some(3.5));
        assert_eq!(weighted_median(&sorted, &[0, 0, 3]), Some(9.0));
        assert_eq!(weighted_median(&sorted, &[2, 1, 0]), Some(2.0));
        assert_eq!(weighted_median(&sorted, &[0, 0, 0]), None);
    }
}
