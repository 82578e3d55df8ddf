//! The difference of two sets of trials that share no block, such as those of two campaigns.

use statrs::distribution::{ContinuousCDF as _, StudentsT};

use super::compare::Moments;
use super::holm::holm;
use super::{CONFIDENCE, Estimate, Verdict};

/// Level of a family's differences.
const ALPHA: f64 = 1.0 - CONFIDENCE;

/// The difference of two means, and how well it is known.
///
/// Nothing pairs the sets, and they need not be equally noisy: Welch's t (B. L. Welch, "The
/// generalization of Student's problem when several different population variances are involved",
/// Biometrika 34, 1947) with Satterthwaite's degrees of freedom. The interval knows how trials vary
/// within each set, and cannot know what else changed between them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Apart {
    /// The difference.
    pub mean: f64,
    /// Its standard error.
    pub error: f64,
    /// Degrees of freedom; not a number if nothing varies.
    pub freedom: f64,
}

/// A figure of one set compared with the same of another.
#[derive(Clone, Debug, PartialEq)]
pub struct Independent {
    /// The ratio or the difference.
    pub estimate: Estimate,
    /// The same for a test, a ratio as its logarithm; `None` if one of the sets has one value.
    pub apart: Option<Apart>,
}

/// A comparison of two sets as its family sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ApartQuestion {
    /// Logarithm of the ratio or, without one, the difference.
    pub apart: Apart,
    /// Whether it is the logarithm of a ratio, which has a margin.
    pub of_ratio: bool,
}

impl Apart {
    /// The first minus the second.
    pub fn between(one: Moments, other: Moments) -> Self {
        let (a, b) = (one.error.powi(2), other.error.powi(2));
        let share = |part: f64, n: u32| part.powi(2) / (f64::from(n) - 1.0);
        let freedom = (a + b).powi(2) / (share(a, one.n) + share(b, other.n));
        Self { mean: one.mean - other.mean, error: (a + b).sqrt(), freedom }
    }

    /// The interval that covers the truth with 95 % confidence.
    pub fn interval(&self) -> (f64, f64) {
        // Where nothing varies, such as the length of a credential, the difference is exact.
        let half = StudentsT::new(0.0, 1.0, self.freedom)
            .map_or(0.0, |t| t.inverse_cdf(0.5 + CONFIDENCE / 2.0) * self.error);
        (self.mean - half, self.mean + half)
    }

    /// The chance of a difference at least this large between equals: two sides.
    pub fn p_difference(&self) -> f64 {
        (2.0 * self.upper_tail(self.mean.abs())).min(1.0)
    }

    /// The larger p value of two one-sided tests that the truth is below `-bound` or above `bound`
    /// (Schuirmann 1987).
    pub fn p_equivalence(&self, bound: f64) -> f64 {
        self.upper_tail(bound - self.mean.abs())
    }

    /// The chance of a t above `distance` standard errors.
    fn upper_tail(&self, distance: f64) -> f64 {
        match StudentsT::new(0.0, 1.0, self.freedom) {
            Ok(t) if self.error > 0.0 => t.sf(distance / self.error),
            _ if distance > 0.0 => 0.0,
            _ if distance < 0.0 => 1.0,
            _ => 0.5,
        }
    }
}

/// Estimates the first divided by the second; `None` when one of them is empty, or a value is not
/// positive.
pub fn independent_ratio(of: &[f64], to: &[f64]) -> Option<Independent> {
    let logs = |values: &[f64]| -> Option<Vec<f64>> {
        let usable = values.iter().all(|value| *value > 0.0 && value.is_finite());
        usable.then(|| values.iter().map(|value| value.ln()).collect())
    };
    let mut ratio = independent_difference(&logs(of)?, &logs(to)?)?;
    ratio.estimate = exponential(ratio.estimate);
    ratio.estimate.method = "ratio of geometric means, Welch's t on logs".into();
    Some(ratio)
}

/// Estimates the first minus the second; `None` when one of them is empty, or a value is not
/// finite.
pub fn independent_difference(of: &[f64], to: &[f64]) -> Option<Independent> {
    let finite = of.iter().chain(to).all(|value| value.is_finite());
    if of.is_empty() || to.is_empty() || !finite {
        return None;
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let apart = Moments::of(of).zip(Moments::of(to)).map(|(a, b)| Apart::between(a, b));
    let estimate = Estimate {
        point: mean(of) - mean(to),
        interval: apart.map(|apart| apart.interval()),
        n: of.len().min(to.len()) as u32,
        method: "difference of means, Welch's t".into(),
    };
    Some(Independent { estimate, apart })
}

/// The estimate of a ratio from that of its logarithm.
fn exponential(log: Estimate) -> Estimate {
    let interval = log.interval.map(|(lo, hi)| (lo.exp(), hi.exp()));
    Estimate { point: log.point.exp(), interval, ..log }
}

/// Judges the comparisons of a family, `None` if there is no test; `margin` is the relative
/// difference that counts as equal. The p values of differences and those of equivalences are
/// corrected each for themselves (Holm), as within a campaign ([`super::judge`]).
pub fn judge_apart(family: &[Option<ApartQuestion>], margin: f64) -> Vec<Verdict> {
    let margin = margin.ln_1p();
    let different = corrected(family, |question| question.apart.p_difference());
    let equal = corrected(family, |question| {
        let apart = &question.apart;
        if question.of_ratio {
            return apart.p_equivalence(margin);
        }
        // Without a ratio there is no margin: only equal figures are equivalent.
        if apart.mean == 0.0 && apart.error == 0.0 { 0.0 } else { 1.0 }
    });
    let verdict = |(at, question): (usize, &Option<ApartQuestion>)| match question {
        Some(_) if equal[at] <= ALPHA / 2.0 => Verdict::Equivalent,
        Some(question) if different[at] <= ALPHA && question.apart.mean < 0.0 => Verdict::Lower,
        Some(_) if different[at] <= ALPHA => Verdict::Higher,
        _ => Verdict::Inconclusive,
    };
    family.iter().enumerate().map(verdict).collect()
}

/// Holm's correction over those that can be tested; 1 for the others.
fn corrected(family: &[Option<ApartQuestion>], p: impl Fn(&ApartQuestion) -> f64) -> Vec<f64> {
    let there: Vec<f64> = family.iter().flatten().map(p).collect();
    let mut adjusted = holm(&there).into_iter();
    family.iter().map(|one| one.and_then(|_| adjusted.next()).unwrap_or(1.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{mix, normal};

    fn close(found: &Independent, point: f64, lo: f64, hi: f64) {
        let found = &found.estimate;
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
        assert_eq!(found.estimate.n, 3);
        let p = found.apart.unwrap().p_difference();
        assert!((p - 0.003_174_773).abs() < 1e-7, "{p}");
    }

    #[test]
    fn what_never_varies_is_exact_and_what_cannot_be_estimated_is_not() {
        close(&independent_ratio(&[22.0; 3], &[11.0; 4]).unwrap(), 2.0, 2.0, 2.0);
        close(&independent_difference(&[0.0; 3], &[0.0; 2]).unwrap(), 0.0, 0.0, 0.0);
        assert_eq!(independent_ratio(&[1.0, 0.0], &[1.0]), None);
        assert_eq!(independent_ratio(&[], &[1.0]), None);
        assert_eq!(independent_difference(&[f64::NAN], &[1.0]), None);
        assert_eq!(independent_ratio(&[2.0], &[1.0, 1.1]).unwrap().estimate.interval, None);
    }

    #[test]
    fn intervals_cover_the_truth_as_often_as_they_say() {
        // Trials and noise of the two campaigns, alike and unlike.
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
                let (lo, hi) = independent_ratio(&a, &b).unwrap().estimate.interval.unwrap();
                (lo..=hi).contains(&truth)
            });
            let covered = covered.count() as f64 / pairs as f64;
            assert!((0.935..=0.97).contains(&covered), "{one} and {other} trials: {covered}");
        }
    }

    #[test]
    fn a_family_is_judged_together() {
        let of = |mean: f64, error| {
            let apart = Apart { mean, error, freedom: 8.0 };
            Some(ApartQuestion { apart, of_ratio: true })
        };
        // t = 3 at 8 degrees of freedom: p = 0.017 alone, and too much among ten.
        let one = of(0.12, 0.04);
        assert_eq!(judge_apart(&[one], 0.03), [Verdict::Higher]);
        assert_eq!(judge_apart(&[one; 10], 0.03), [Verdict::Inconclusive; 10]);
        let all = [of(-0.5, 0.02), of(0.0, 0.001), of(0.0, 0.1), None, of(0.5, 0.02)];
        let verdicts = [
            Verdict::Lower,
            Verdict::Equivalent,
            Verdict::Inconclusive,
            Verdict::Inconclusive,
            Verdict::Higher,
        ];
        assert_eq!(judge_apart(&all, 0.03), verdicts);
        let plain = |mean, error| {
            let freedom = if error > 0.0 { 8.0 } else { f64::NAN };
            Some(ApartQuestion { apart: Apart { mean, error, freedom }, of_ratio: false })
        };
        for (question, verdict) in [
            (plain(0.0, 0.0), Verdict::Equivalent),
            (plain(0.0, 1e-9), Verdict::Inconclusive),
            (plain(1.0, 0.1), Verdict::Higher),
            (plain(-1.0, 0.0), Verdict::Lower),
        ] {
            assert_eq!(judge_apart(&[question], 0.03), [verdict], "{question:?}");
        }
    }
}
