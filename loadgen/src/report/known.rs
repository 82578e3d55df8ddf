//! When a figure is known well enough to be said first, and when it is nothing.

use crate::stats::Estimate;

/// The widest interval of a figure that is said first: its ends are within a factor of this.
const SPAN_MAX: f64 = 2.0;
/// An interval is taken no further than so many times what was measured: beyond that it would
/// promise what no data can keep, so figures have none.
pub(super) const BEYOND_MAX: f64 = 10.0;
/// Less than this per login is the allocator's own bookkeeping, not a user's state: an id alone has
/// 16 bytes.
pub(super) const NOTHING_BYTES: f64 = 1.0;

/// Whether an interval is narrow, and on one side of 0.
pub(super) fn spans_little((lo, hi): (f64, f64)) -> bool {
    let (near, far) = (lo.abs().min(hi.abs()), lo.abs().max(hi.abs()));
    lo * hi > 0.0 && far <= SPAN_MAX * near
}

/// Whether an estimate is known well enough to be said first.
pub(super) fn is_narrow(estimate: &Estimate) -> bool {
    estimate.is_exact() || estimate.interval.is_some_and(spans_little)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_interval_spans_no_more_than_twofold_and_not_0() {
        for (interval, is_narrow) in [
            ((1.0, 2.0), true),
            ((-2.0, -1.0), true),
            ((1.0, 2.1), false),
            ((-1.0, 1.0), false),
            ((0.0, 1.0), false),
        ] {
            assert_eq!(spans_little(interval), is_narrow, "{interval:?}");
        }
    }
}
