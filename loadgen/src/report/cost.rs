//! Where the cost of a request is read: sentences, matrix, calculator and crossover ask here, so
//! that they cannot disagree.

use std::cmp::Reverse;

use super::figures::Measurement;
use super::key::{Lookup as _, Place};
use crate::experiment::metric;

/// Experiments that say what a request costs, the best first. At a fixed rate a request pays for
/// what the server does for it. In a closed loop it also pays for waking the generator, and a
/// saturated server flatters a store that many requests share.
pub(super) const EXPERIMENTS: [&str; 3] = ["curve", "population", "concurrency"];
/// The load of `curve` at which costs are read, % of what the baseline can do.
const HALF: u32 = 50;

/// Orders the places of an experiment, the best first: of `curve` that nearest to half load, and
/// then that with the most users.
pub(super) fn order(experiment: &str, (level, users): Place) -> impl Ord + use<> {
    let from_half = if experiment == "curve" { level.unwrap_or(0).abs_diff(HALF) } else { 0 };
    (from_half, Reverse(users))
}

/// An arm that answers less than this share of the requests that come does not hold their rate.
const HELD_SHARE: f64 = 0.97;

/// Whether an arm held the rate of a place. Where it did not, its requests queued, and what one
/// cost is that of a saturated server.
pub(super) fn keeps_up(
    measurements: &[Measurement],
    experiment: &str,
    place: Place,
    arm: &str,
) -> bool {
    let found = |metric| {
        let found = measurements.find(experiment, metric, place, arm);
        found.filter(|m: &&Measurement| m.valid)
    };
    let rate = found(metric::CPU_US_PER_REQUEST).and_then(|cpu| cpu.key.rate);
    let answered = found(metric::THROUGHPUT_RPS);
    rate.zip(answered).is_none_or(|(rate, m)| m.estimate.point >= HELD_SHARE * rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_read_near_half_load_and_with_the_most_users() {
        let best = |experiment, mut places: Vec<Place>| {
            places.sort_by_key(|place| order(experiment, *place));
            places[0]
        };
        let curve = vec![(Some(10), Some(64)), (Some(70), Some(64)), (Some(40), Some(64))];
        assert_eq!(best("curve", curve), (Some(40), Some(64)));
        let users = vec![(None, Some(1)), (None, Some(1000)), (None, Some(64))];
        assert_eq!(best("population", users), (None, Some(1000)));
    }
}
