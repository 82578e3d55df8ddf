//! Tests of one comparison: whether two arms differ, and whether they are equivalent. A p value
//! here is of one comparison alone; [`super::judge`] corrects for the others.

use statrs::distribution::{ContinuousCDF as _, StudentsT};

/// Mean of paired differences, and how well it is known.
///
/// Differences are paired by block: of logarithms for what is compared as a ratio, of the values
/// themselves for what may be 0. All tests are Student's t.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    /// How many blocks it rests on, at least 2.
    pub n: u32,
    /// The mean.
    pub mean: f64,
    /// Its standard error.
    pub error: f64,
}

impl Moments {
    /// Of these values; `None` with fewer than two, or where one is not finite.
    pub fn of(values: &[f64]) -> Option<Self> {
        if values.len() < 2 || values.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
        Some(Self { n: values.len() as u32, mean, error: (variance / n).sqrt() })
    }

    /// The interval that covers the truth with this confidence (Student 1908).
    pub fn interval(&self, confidence: f64) -> (f64, f64) {
        let half = critical(self.n, 1.0 - confidence) * self.error;
        (self.mean - half, self.mean + half)
    }

    /// The chance of a mean at least this large if the truth is 0: the paired t test, two sides.
    pub fn p_difference(&self) -> f64 {
        (2.0 * self.upper_tail(self.mean.abs())).min(1.0)
    }

    /// The larger p value of two one-sided tests that the truth is below `-bound` or above `bound`:
    /// small when both are refuted (Schuirmann 1987).
    pub fn p_equivalence(&self, bound: f64) -> f64 {
        self.upper_tail(bound - self.mean.abs())
    }

    /// The chance of a mean at least this large if the truth is `bound`: small when the truth lies
    /// above it (one-sided t test).
    pub fn p_above(&self, bound: f64) -> f64 {
        self.upper_tail(self.mean - bound)
    }

    /// The chance of a mean at most this large: small when the truth lies below `bound`.
    pub fn p_below(&self, bound: f64) -> f64 {
        self.upper_tail(bound - self.mean)
    }

    /// The chance of a t above `distance` standard errors.
    fn upper_tail(&self, distance: f64) -> f64 {
        if self.error <= 0.0 {
            // All blocks agree to the last digit, so the side is certain.
            return if distance > 0.0 {
                0.0
            } else if distance < 0.0 {
                1.0
            } else {
                0.5
            };
        }
        StudentsT::new(0.0, 1.0, f64::from(self.n - 1)).map_or(1.0, |t| t.sf(distance / self.error))
    }
}

/// What |t| exceeds with the chance `alpha` when there is no difference, for `n` values.
pub(super) fn critical(n: u32, alpha: f64) -> f64 {
    StudentsT::new(0.0, 1.0, f64::from(n) - 1.0)
        .map_or(f64::INFINITY, |t| t.inverse_cdf(1.0 - alpha / 2.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Extra hours of sleep of ten patients under two drugs: Student, "The probable error of a
    /// mean", Biometrika 6 (1908); R's data set `sleep`.
    const FIRST: [f64; 10] = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0];
    const SECOND: [f64; 10] = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4];

    fn sleep() -> Moments {
        let differences: Vec<f64> = FIRST.iter().zip(SECOND).map(|(a, b)| a - b).collect();
        Moments::of(&differences).unwrap()
    }

    #[test]
    fn students_own_example() {
        // R's t.test(paired = TRUE) and scipy.stats.ttest_rel: p = 0.002833, -2.4599 to -0.7001.
        let sleep = sleep();
        assert!((sleep.p_difference() - 0.002_832_890_197).abs() < 1e-9, "{sleep:?}");
        let (lo, hi) = sleep.interval(0.95);
        assert!((lo + 2.459_885_763).abs() < 1e-6 && (hi + 0.700_114_237).abs() < 1e-6);
    }

    #[test]
    fn equivalence_is_two_one_sided_tests() {
        // statsmodels.stats.weightstats.ttost_paired(FIRST, SECOND, -3, 3): p = 0.00265557.
        assert!((sleep().p_equivalence(3.0) - 0.002_655_570_293).abs() < 1e-9);
        assert!(sleep().p_equivalence(1.0) > 0.5, "the mean itself is beyond the bound");
    }

    #[test]
    fn equivalence_at_one_in_forty_is_an_interval_within_the_bound() {
        for bound in [2.0, 2.459, 2.461, 3.0] {
            let (lo, hi) = sleep().interval(0.95);
            let within = -bound < lo && hi < bound;
            assert_eq!(sleep().p_equivalence(bound) < 0.025, within, "{bound}");
        }
    }

    #[test]
    fn one_sided_tests_are_an_interval_that_excludes_the_bound() {
        // scipy.stats.ttest_rel(FIRST, SECOND, alternative="less"): p = 0.00141645.
        assert!((sleep().p_below(0.0) - 0.001_416_445_098).abs() < 1e-9);
        let (lo, hi) = sleep().interval(0.95);
        for bound in [-3.0, lo - 1e-6, lo + 1e-6, -1.58, hi - 1e-6, hi + 1e-6, 1.0] {
            assert_eq!(sleep().p_above(bound) < 0.025, lo > bound, "{bound}");
            assert_eq!(sleep().p_below(bound) < 0.025, hi < bound, "{bound}");
        }
    }

    #[test]
    fn values_without_noise_leave_no_doubt() {
        let of = |value| Moments::of(&[value; 4]).unwrap();
        assert_eq!((of(0.0).p_difference(), of(0.0).p_equivalence(0.03)), (1.0, 0.0));
        assert_eq!((of(0.5).p_difference(), of(0.5).p_equivalence(0.03)), (0.0, 1.0));
        assert_eq!(Moments::of(&[1.0]), None);
        assert_eq!(Moments::of(&[1.0, f64::NAN]), None);
    }
}
