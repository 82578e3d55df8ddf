//! When requests ended, as marks on a line: the silence of a load is what no worker heard, so it
//! cannot be made from the silences of each.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::record::merge_lists;

/// Length of one mark, ns.
const MARK_NS: u64 = 5_000_000;

/// Marks for the stretches of a window in which a request ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ends {
    marks: Vec<u64>,
}

impl Ends {
    pub(super) fn new(window: &Range<u64>) -> Self {
        let marks = (window.end - window.start).div_ceil(MARK_NS);
        Self { marks: vec![0; marks.div_ceil(64) as usize] }
    }

    /// Marks the end of a request so long after the window began.
    pub(super) fn mark(&mut self, after_ns: u64) {
        let mark = after_ns / MARK_NS;
        self.marks[(mark / 64) as usize] |= 1 << (mark % 64);
    }

    /// Marks a stretch of the window in which no end is expected, as nothing was due.
    pub(super) fn expect_none(&mut self, stretch: Range<u64>) {
        let marks = stretch.start / MARK_NS..stretch.end.div_ceil(MARK_NS);
        let all = self.marks.len() as u64 * 64;
        (marks.start..marks.end.min(all)).for_each(|mark| self.mark(mark * MARK_NS));
    }

    /// Adds the marks of another worker.
    pub(super) fn merge(&mut self, other: &Self) {
        merge_lists(&mut self.marks, other.marks.clone(), |mine, theirs| *mine |= theirs);
    }

    /// The longest time without a mark in a window of this length, in whole marks, ns.
    pub fn longest_silence_ns(&self, window_ns: u64) -> u64 {
        let is_marked = |mark: &u64| self.marks[(mark / 64) as usize] >> (mark % 64) & 1 == 1;
        let (mut longest, mut since) = (0, 0);
        let marks = window_ns / MARK_NS;
        for mark in (0..marks).filter(is_marked).chain([marks]) {
            longest = longest.max(mark - since);
            since = mark + 1;
        }
        longest * MARK_NS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_what_no_worker_heard() {
        let window = 7_000_000..1_007_000_000;
        let (mut one, mut two) = (Ends::new(&window), Ends::new(&window));
        assert_eq!(one.longest_silence_ns(1_000_000_000), 1_000_000_000);
        (0..50).for_each(|n| one.mark(n * 10_000_000));
        assert_eq!(one.longest_silence_ns(1_000_000_000), 505_000_000);
        (50..100).for_each(|n| two.mark(n * 10_000_000));
        assert_eq!(two.longest_silence_ns(1_000_000_000), 500_000_000);
        one.merge(&two);
        assert_eq!(one.longest_silence_ns(1_000_000_000), 5_000_000);
        assert_eq!(one.longest_silence_ns(0), 0);
    }

    #[test]
    fn nobody_is_silent_who_was_asked_nothing() {
        let mut ends = Ends::new(&(0..1_000_000_000));
        (60..100).for_each(|n| ends.mark(n * 10_000_000));
        assert_eq!(ends.longest_silence_ns(1_000_000_000), 600_000_000);
        ends.expect_none(0..400_000_000);
        assert_eq!(ends.longest_silence_ns(1_000_000_000), 200_000_000);
        ends.expect_none(400_000_000..5_000_000_000);
        assert_eq!(ends.longest_silence_ns(1_000_000_000), 0);
    }
}
