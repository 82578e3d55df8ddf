//! What is known of another machine's clock. Only its bound is trusted: the middle of the fastest
//! round trip, as NTP takes it, is wrong by half of the asymmetry of the path and does not say so.

use rustix::time::{ClockId, clock_gettime};

/// How much a bound widens with its age: clocks drift apart by no more than this (500 ppm).
const DRIFT_PPM: i64 = 500;
/// Readings that contradict each other by less are those of a path that takes no time, ns.
const GRAIN_NS: i64 = 1_000;

/// The monotonic clock, ns.
pub(super) fn now_ns() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Readings of two clocks, ours and theirs, as a message came or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) ours_ns: u64,
    pub(super) theirs_ns: u64,
}

/// How far another clock is ahead of ours, as an interval that holds the truth whatever the path
/// does: what they sent was sent before we heard it, and what we sent was heard after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bound {
    /// The least and the most that it is ahead, ns, and when that was known by our clock.
    low: Option<(i64, u64)>,
    high: Option<(i64, u64)>,
    jumped: bool,
}

/// What a bound says at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offset {
    /// The middle of the interval, ns.
    pub(super) ns: i64,
    /// Half of its width, ns.
    pub(super) bound_ns: u64,
}

impl Bound {
    pub(super) const fn new() -> Self {
        Self { low: None, high: None, jumped: false }
    }

    /// Takes in what they sent at their time and we heard at ours.
    pub(super) fn heard(&mut self, at: Reading) {
        let least = at.theirs_ns as i64 - at.ours_ns as i64;
        let known = self.low.map(|low| Self::aged(low, at.ours_ns, -1));
        if known.is_none_or(|known| least > known) {
            self.low = Some((least, at.ours_ns));
        }
        self.check(at.ours_ns);
    }

    /// Takes in what we sent at our time and they heard at theirs; `now_ns` is when we learnt it.
    pub(super) fn sent(&mut self, at: Reading, now_ns: u64) {
        let most = at.theirs_ns as i64 - at.ours_ns as i64;
        let known = self.high.map(|high| Self::aged(high, now_ns, 1));
        let most = Self::aged((most, at.ours_ns), now_ns, 1);
        if known.is_none_or(|known| most < known) {
            self.high = Some((most, now_ns));
        }
        self.check(now_ns);
    }

    /// An end of the interval at a later moment, widened.
    fn aged((ns, at_ns): (i64, u64), now_ns: u64, sign: i64) -> i64 {
        ns + sign * (now_ns.saturating_sub(at_ns) as i64 * DRIFT_PPM / 1_000_000)
    }

    fn ends(&self, now_ns: u64) -> Option<(i64, i64)> {
        let (low, high) = self.low.zip(self.high)?;
        Some((Self::aged(low, now_ns, -1), Self::aged(high, now_ns, 1)))
    }

    fn check(&mut self, now_ns: u64) {
        self.jumped |= self.ends(now_ns).is_some_and(|(low, high)| low > high + GRAIN_NS);
    }

    /// Whether no offset fits all readings: a clock jumped or stood still.
    pub(super) const fn jumped(&self) -> bool {
        self.jumped
    }

    /// What is known at this moment; `None` before a message has passed in each direction.
    pub(super) fn at(&self, now_ns: u64) -> Option<Offset> {
        let (low, high) = self.ends(now_ns)?;
        let bound_ns = (high.max(low) - low).unsigned_abs().div_ceil(2);
        Some(Offset { ns: low + (high - low) / 2, bound_ns })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: u64 = 1_000_000;

    /// A probe that leaves at `sent_ns` and takes so long there and back, to a clock that is ahead.
    fn probe(bound: &mut Bound, sent_ns: u64, (there, back): (u64, u64), ahead: i64) {
        let heard_ns = sent_ns + there;
        let theirs_ns = (heard_ns as i64 + ahead) as u64;
        let back_ns = heard_ns + back;
        bound.sent(Reading { ours_ns: sent_ns, theirs_ns }, back_ns);
        bound.heard(Reading { ours_ns: back_ns, theirs_ns });
    }

    #[test]
    fn a_path_that_is_slow_one_way_is_known_to_be_unknown() {
        let mut bound = Bound::new();
        assert_eq!(bound.at(0), None);
        // 8 ms there and nothing back: the middle is 4 ms off, and the bound says so.
        probe(&mut bound, 1_000 * MS, (8 * MS, 0), 0);
        let offset = bound.at(1_008 * MS).unwrap();
        assert!((3 * MS as i64..=5 * MS as i64).contains(&offset.ns), "{offset:?}");
        assert!(offset.bound_ns >= offset.ns.unsigned_abs(), "{offset:?}");
        // A faster one back and forth narrows it.
        probe(&mut bound, 1_010 * MS, (MS, MS / 2), 0);
        assert!(bound.at(1_012 * MS).unwrap().bound_ns < MS);
        assert!(!bound.jumped());
    }

    #[test]
    fn what_is_known_widens_with_its_age() {
        let mut bound = Bound::new();
        probe(&mut bound, 0, (MS, MS), 0);
        let fresh = bound.at(2 * MS).unwrap().bound_ns;
        let old = bound.at(10_002 * MS).unwrap().bound_ns;
        // 500 ppm of 10 s are 5 ms.
        assert_eq!(old - fresh, 5 * MS);
    }

    #[test]
    fn a_clock_that_jumps_is_noticed() {
        let mut bound = Bound::new();
        probe(&mut bound, 0, (MS, MS), 0);
        probe(&mut bound, 10 * MS, (MS, MS), 50 * MS as i64);
        assert!(bound.jumped());
    }

    proptest! {
        /// Whatever the path does and wherever the clocks stand, the truth is within the bound.
        #[test]
        fn the_truth_is_within_the_bound(
            ahead in -1_000_000_000_000_i64..1_000_000_000_000,
            delays in prop::collection::vec((0..20 * MS, 0..20 * MS, 0..5_000 * MS), 1..64),
            drift_ppm in -500_i64..=500,
        ) {
            let mut bound = Bound::new();
            let start = 2_000_000 * MS;
            let theirs = |ours: u64| {
                let passed = (ours - start) as i64;
                (ours as i64 + ahead + passed * drift_ppm / 1_000_000) as u64
            };
            let mut now = start;
            for (there, back, pause) in delays {
                let (heard, returned) = (now + there, now + there + back);
                bound.sent(Reading { ours_ns: now, theirs_ns: theirs(heard) }, returned);
                bound.heard(Reading { ours_ns: returned, theirs_ns: theirs(heard) });
                now = returned + pause;
            }
            let offset = bound.at(now).unwrap();
            let error = (offset.ns - (theirs(now) as i64 - now as i64)).unsigned_abs();
            // Each reading is cut to whole nanoseconds.
            prop_assert!(error <= offset.bound_ns + 64, "{error} > {offset:?}");
            prop_assert!(!bound.jumped());
        }
    }
}
