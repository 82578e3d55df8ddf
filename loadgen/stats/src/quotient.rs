//! The quotient of two means, each with a standard error.

use super::compare::{Moments, critical};
use super::{CONFIDENCE, Estimate};

/// Estimates `numerator / denominator` of independent means (Fieller, "Some problems in interval
/// estimation", Journal of the Royal Statistical Society B 16, 1954), with the degrees of freedom
/// of the mean that has fewer. `None` if the interval has no end, because the denominator may be 0.
pub fn quotient(numerator: Moments, denominator: Moments) -> Option<Estimate> {
    let n = numerator.n.min(denominator.n);
    let t = critical(n, 1.0 - CONFIDENCE);
    let (a, b) = (numerator.mean, denominator.mean);
    let (va, vb) = ((t * numerator.error).powi(2), (t * denominator.error).powi(2));
    // Every quotient q with (a - q b)^2 <= va + q^2 vb: the roots of a quadratic.
    let leading = b * b - vb;
    if leading <= 0.0 {
        return None;
    }
    let half = (a * a * vb + b * b * va - va * vb).max(0.0).sqrt();
    let ends = [-1.0, 1.0].map(|sign: f64| (a * b + sign * half) / leading);
    let exact = half <= 1e-12 * (a * b).abs();
    Some(Estimate {
        point: a / b,
        interval: (!exact).then_some((ends[0], ends[1])),
        n,
        method: "quotient of means, Fieller's interval".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{mix, uniform};

    fn moments(mean: f64, error: f64) -> Moments {
        Moments { n: 6, mean, error }
    }

    #[test]
    fn with_an_exact_mean_it_is_the_interval_of_the_other() {
        let (lo, hi) = moments(3.0, 0.2).interval(CONFIDENCE);
        let over = quotient(moments(3.0, 0.2), moments(2.0, 0.0)).unwrap();
        let found = over.interval.unwrap();
        assert!((found.0 - lo / 2.0).abs() < 1e-12 && (found.1 - hi / 2.0).abs() < 1e-12);
        let under = quotient(moments(6.0, 0.0), moments(3.0, 0.2)).unwrap();
        let found = under.interval.unwrap();
        assert!((found.0 - 6.0 / hi).abs() < 1e-12 && (found.1 - 6.0 / lo).abs() < 1e-12);
        assert_eq!(quotient(moments(6.0, 0.0), moments(3.0, 0.0)).unwrap().interval, None);
        let back = quotient(moments(-3.0, 0.2), moments(-2.0, 0.1)).unwrap();
        assert!(back.interval.is_some_and(|(lo, hi)| lo < 1.5 && hi > 1.5));
    }

    #[test]
    fn a_denominator_that_may_be_nothing_has_no_interval() {
        assert_eq!(quotient(moments(3.0, 0.2), moments(0.1, 0.1)), None);
    }

    #[test]
    fn the_interval_covers_what_it_says() {
        let campaigns = 2000;
        // Twelve uniform draws less their mean are close to a normal one.
        let draw = |campaign: u64, n: u64| {
            (0..12).map(|i| uniform(mix(23, campaign), 12 * n + i)).sum::<f64>() - 6.0
        };
        for (relative_a, relative_b) in [(0.0, 0.3), (0.05, 0.3), (0.3, 0.3), (0.3, 0.02)] {
            let covered = (0..campaigns).filter(|campaign| {
                let values = |first: u64, mean: f64, relative: f64| {
                    let value = |i| mean * (1.0 + relative * draw(*campaign, first + i));
                    Moments::of(&(0..6).map(value).collect::<Vec<_>>()).unwrap()
                };
                let (a, b) = (values(0, 8.0, relative_a), values(6, 2.0, relative_b));
                let found = quotient(a, b).and_then(|found| found.interval);
                // Without an end an interval covers everything.
                found.is_none_or(|(lo, hi)| (lo..=hi).contains(&4.0))
            });
            let share = covered.count() as f64 / campaigns as f64;
            assert!((0.935..=0.99).contains(&share), "{relative_a} {relative_b}: {share}");
        }
    }
}
