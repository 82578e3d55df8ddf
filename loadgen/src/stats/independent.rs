//! The difference of two sets of trials that have nothing in common, such as those of two
//! campaigns.
//!
//! Trials of two campaigns share no block, so nothing pairs them, and nothing says that both were
//! equally noisy: Welch's t (B. L. Welch, "The generalization of Student's problem when several
//! different population variances are involved", Biometrika 34, 1947) with Satterthwaite's degrees
//! of freedom. The interval knows how trials vary within each set, and cannot know what else
//! changed from one to the other.

use statrs::distribution::{ContinuousCDF as _, StudentsT};

use super::{CONFIDENCE, Estimate};

/// Estimates the first divided by the second; `None` when one of them is empty, or a value is not
/// positive.
pub fn independent_ratio(of: &[f64], to: &[f64]) -> Option<Estimate> {
    let logs = |values: &[f64]| -> Option<Vec<f64>> {
        let usable = values.iter().all(|value| *value > 0.0 && value.is_finite());
        usable.then(|| values.iter().map(|value| value.ln()).collect())
    };
    let (point, interval) = welch(&logs(of)?, &logs(to)?)?;
    Some(Estimate {
        point: point.exp(),
        interval: interval.map(|(lo, hi)| (lo.exp(), hi.exp())),
        n: of.len().min(to.len()) as u32,
        method: "ratio of geometric means, Welch's t on logs".into(),
    })
}

/// Estimates the first minus the second; `None` when one of them is empty, or a value is not
/// finite.
pub fn independent_difference(of: &[f64], to: &[f64]) -> Option<Estimate> {
    if of.iter().chain(to).any(|value| !value.is_finite()) {
        return None;
    }
    let (point, interval) = welch(of, to)?;
    Some(Estimate {
        point,
        interval,
        n: of.len().min(to.len()) as u32,
        method: "difference of means, Welch's t".into(),
    })
}

/// Difference of the means and its interval, which needs two values on either side.
fn welch(one: &[f64], other: &[f64]) -> Option<(f64, Option<(f64, f64)>)> {
    if one.is_empty() || other.is_empty() {
        return None;
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let difference = mean(one) - mean(other);
    if one.len() < 2 || other.len() < 2 {
        return Some((difference, None));
    }
    // The variance of a mean, and its share in the degrees of freedom.
    let parts = |values: &[f64]| {
        let (n, mean) = (values.len() as f64, mean(values));
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
        (variance / n, (variance / n).powi(2) / (n - 1.0))
    };
    let ((a, a_share), (b, b_share)) = (parts(one), parts(other));
    let freedom = (a + b).powi(2) / (a_share + b_share);
    // Where nothing varies, such as the length of a credential, the difference is exact.
    let half = match StudentsT::new(0.0, 1.0, freedom) {
        Ok(t) => t.inverse_cdf(0.5 + CONFIDENCE / 2.0) * (a + b).sqrt(),
        Err(_) => 0.0,
    };
    Some((difference, Some((difference - half, difference + half))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::mix;

    fn close(found: &Estimate, point: f64, lo: f64, hi: f64) {
        let (found_lo, found_hi) = found.interval.unwrap();
        for (found, expected) in [(found.point, point), (found_lo, lo), (found_hi, hi)] {
            assert!((found - expected).abs() < 1e-5, "{found} instead of {expected}");
        }
    }

    #[test]
    fn intervals_are_those_of_scipy() {
        // scipy 1.17.1: ttest_ind(a, b, equal_var=False).confidence_interval(0.95). The samples are
        // those of Wikipedia's "Welch's t-test", which gives t = -2.46 and 25.0 degrees of freedom
        // for the first pair, and -1.57 and 9.9 for the second.
        let a = [
            27.5, 21.0, 19.0, 23.6, 17.0, 17.9, 16.9, 20.1, 21.9, 22.6, 23.1, 19.6, 19.0, 21.7,
            21.4,
        ];
        let b = [
            27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8, 22.0, 24.8, 20.2, 21.9, 22.1, 22.9, 20.5,
            24.4,
        ];
        let found = independent_difference(&a, &b).unwrap();
        close(&found, -2.166_666_7, -3.984_096_3, -0.349_237_1);
        let a = [17.2, 20.9, 22.6, 18.1, 21.7, 21.4, 23.5, 24.2, 14.7, 21.8];
        let b = [
            21.5, 22.8, 21.0, 23.0, 21.6, 23.6, 22.5, 20.7, 23.4, 21.8, 20.7, 21.7, 21.5, 22.5,
            23.6, 21.5, 22.5, 23.5, 21.5, 21.8,
        ];
        let found = independent_difference(&a, &b).unwrap();
        close(&found, -1.525, -3.698_421_3, 0.648_421_3);
        // The same on logarithms, and their exponentials.
        let found =
            independent_ratio(&[10.1, 10.9, 9.7, 11.4, 10.2, 12.0], &[9.1, 9.3, 8.8]).unwrap();
        close(&found, 1.179_049_3, 1.080_104_0, 1.287_058_8);
        assert_eq!(found.n, 3);
    }

    #[test]
    fn what_never_varies_is_exact_and_what_cannot_be_estimated_is_not() {
        close(&independent_ratio(&[22.0; 3], &[11.0; 4]).unwrap(), 2.0, 2.0, 2.0);
        close(&independent_difference(&[0.0; 3], &[0.0; 2]).unwrap(), 0.0, 0.0, 0.0);
        assert_eq!(independent_ratio(&[1.0, 0.0], &[1.0]), None);
        assert_eq!(independent_ratio(&[], &[1.0]), None);
        assert_eq!(independent_difference(&[f64::NAN], &[1.0]), None);
        assert_eq!(independent_ratio(&[2.0], &[1.0, 1.1]).unwrap().interval, None);
    }

    /// A standard normal number from the seed (Box and Muller).
    fn normal(seed: u64, n: u64) -> f64 {
        let uniform = |n| (mix(seed, n) >> 11) as f64 / (1u64 << 53) as f64;
        let (u, v) = (uniform(2 * n).max(1e-300), uniform(2 * n + 1));
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }

    #[test]
    fn intervals_cover_the_truth_as_often_as_they_say() {
        // Trials and noise of the two campaigns, as like and as unlike as they come.
        for (one, noise, other, other_noise) in
            [(5, 0.04, 5, 0.04), (6, 0.10, 6, 0.02), (5, 0.04, 20, 0.08), (10, 0.04, 10, 0.04)]
        {
            let truth: f64 = 1.25;
            let pairs = 4000;
            let covered = (0..pairs).filter(|pair| {
                let seed = mix(23, *pair);
                let draw = |n, noise: f64| (noise * normal(seed, n)).exp();
                let a: Vec<f64> = (0..one).map(|n| truth * draw(n, noise)).collect();
                let b: Vec<f64> = (0..other).map(|n| draw(100 + n, other_noise)).collect();
                let (lo, hi) = independent_ratio(&a, &b).unwrap().interval.unwrap();
                (lo..=hi).contains(&truth)
            });
            let covered = covered.count() as f64 / pairs as f64;
            assert!((0.935..=0.97).contains(&covered), "{one} and {other} trials: {covered}");
        }
    }
}
