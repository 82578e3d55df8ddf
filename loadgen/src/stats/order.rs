//! Intervals for percentiles that ask nothing of the distribution.
//!
//! Of n independent values the number below the true percentile is binomial, so two order
//! statistics enclose it with a chance that is known exactly. Requests of one process are not
//! independent, so this is for values that are, such as times to reject after separate logouts.

use statrs::distribution::{Binomial, DiscreteCDF as _};

/// Ranks, from 1, of the two ordered values between which the percentile `quantile` of `n`
/// independent values lies with at least this confidence (Conover, "Practical nonparametric
/// statistics", 3rd edition 1999, section 3.2). `None` when no two values do that: below the first
/// or beyond the last there is nothing to name.
pub fn percentile_ranks(n: u64, quantile: f64, confidence: f64) -> Option<(u64, u64)> {
    let binomial = Binomial::new(quantile, n).ok()?;
    let tail = (1.0 - confidence) / 2.0;
    // The largest rank that the percentile is below with a chance of at most `tail`.
    let lower = smallest(n, |k| binomial.cdf(k) > tail)?;
    let upper = smallest(n, |k| binomial.cdf(k) >= 1.0 - tail)? + 1;
    (lower >= 1 && upper <= n).then_some((lower, upper))
}

/// The smallest k up to `n` that has a property which, once had, is kept.
fn smallest(n: u64, has: impl Fn(u64) -> bool) -> Option<u64> {
    let (mut low, mut high) = (0, n);
    while low < high {
        let middle = low.midpoint(high);
        if has(middle) { high = middle } else { low = middle + 1 }
    }
    has(low).then_some(low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{exponential, mix};

    #[test]
    fn ranks_of_tables() {
        // Medians: the ranks of Conover's table A3 for 95 % (2 and 9 of 10, 6 and 15 of 20). The
        // others are scipy.stats.binom.ppf(0.025, n, q) and binom.ppf(0.975, n, q) + 1.
        for (n, quantile, ranks) in [
            (10, 0.5, Some((2, 9))),
            (20, 0.5, Some((6, 15))),
            (100, 0.9, Some((84, 96))),
            (1000, 0.99, Some((983, 997))),
            (500, 0.99, Some((490, 500))),
            (300, 0.99, None),
            (5, 0.5, None),
            (0, 0.5, None),
        ] {
            assert_eq!(percentile_ranks(n, quantile, 0.95), ranks, "{n} {quantile}");
        }
    }

    #[test]
    fn the_interval_covers_the_percentile_of_a_skewed_distribution() {
        let truth = -(0.1f64).ln();
        let covered = (0..2000u64).filter(|campaign| {
            let mut values: Vec<f64> =
                (0..100).map(|i| exponential(mix(5, *campaign), i)).collect();
            values.sort_by(f64::total_cmp);
            let (lower, upper) = percentile_ranks(100, 0.9, 0.95).unwrap();
            (values[lower as usize - 1]..=values[upper as usize - 1]).contains(&truth)
        });
        let covered = covered.count() as f64 / 2000.0;
        // The binomial says 0.9557 exactly.
        assert!((0.945..=0.966).contains(&covered), "{covered}");
    }
}
