//! Estimates of what each trial knows only to lie between two bounds: a search for a capacity
//! leaves a rate that held and one that failed.

use statrs::distribution::{ContinuousCDF as _, Normal, StudentsT};

use super::{CONFIDENCE, Estimate};

/// The bounds of one trial's value, which is positive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// The value is at least this; `None` where no lower bound is known.
    pub least: Option<f64>,
    /// The value is less than this; `None` where no upper bound is known.
    pub most: Option<f64>,
}

/// The range of scatters to search, of the logarithm: from a tenth of a percent up.
const SCATTER: (f64, f64) = (1e-3, 20.0);
/// How far beyond all bounds the middle may lie, of the logarithm: a factor of 1,000.
const BEYOND: f64 = 7.0;
/// How precisely to find the scatter and the middle, of the logarithm.
const SCATTER_WITHIN: f64 = 1e-3;
const MIDDLE_WITHIN: f64 = 1e-6;
/// Likelihoods that differ by less count as the same, of the logarithm.
const SAME: f64 = 1e-4;

/// Estimates the median over trials; `None` if all trials lack the same bound, since every value
/// beyond the other fits as well.
///
/// The interval is that of the profile likelihood. Its cut is the one that gives Student's t where
/// brackets are narrow, because that of large samples covers too little with few trials; it is
/// `None` with one trial, and if one side of it has no end.
///
/// Taking one bound for the value is wrong by the width of the bracket, and leaving out trials
/// without an upper bound is wrong by more. So the values of trials are taken as lognormal, by
/// maximum likelihood for interval-censored data (Turnbull, "The empirical distribution function
/// with arbitrarily grouped, censored and truncated data", Journal of the Royal Statistical Society
/// B 38, 1976; Meeker and Escobar, "Statistical methods for reliability data", Wiley 1998, chapters
/// 7 and 8).
pub fn between(trials: &[Bounds]) -> Option<Estimate> {
    let both = trials.iter().any(|t| t.least.is_some()) && trials.iter().any(|t| t.most.is_some());
    if !both {
        return None;
    }
    let of = Brackets::of(trials);
    let (middle, most) = of.top();
    let interval = cut(trials.len() as u32).and_then(|cut| {
        let lo = of.edge(middle, -1.0, most - cut)?;
        let hi = of.edge(middle, 1.0, most - cut)?;
        Some((lo.exp(), hi.exp()))
    });
    Some(Estimate {
        point: middle.exp(),
        interval,
        n: trials.len() as u32,
        method: "lognormal between the bounds of trials: maximum and profile likelihood".into(),
    })
}

/// How far the likelihood's logarithm may fall within the interval. For values that are known
/// exactly, twice the fall is n ln(1 + t² / (n - 1)).
fn cut(n: u32) -> Option<f64> {
    let freedom = f64::from(n) - 1.0;
    let t = StudentsT::new(0.0, 1.0, freedom).ok()?.inverse_cdf(0.5 + CONFIDENCE / 2.0);
    Some(f64::from(n) * (t * t / freedom).ln_1p() / 2.0)
}

/// Bounds as logarithms, infinite on an open side.
struct Brackets(Vec<(f64, f64)>);

impl Brackets {
    fn of(trials: &[Bounds]) -> Self {
        let logs = |t: &Bounds| {
            let (least, most) = (t.least.map(f64::ln), t.most.map(f64::ln));
            (least.unwrap_or(f64::NEG_INFINITY), most.unwrap_or(f64::INFINITY))
        };
        Self(trials.iter().map(logs).collect())
    }

    /// Logarithm of the likelihood of this middle, with the scatter that suits it best. On the
    /// scale of 1/scatter the likelihood is concave (Burridge, "A note on maximum likelihood
    /// estimation for regression models using grouped data", JRSS B 43, 1981), so there is one.
    fn profile(&self, middle: f64) -> f64 {
        // Far outside of a bracket the chance of a small scatter underflows.
        let off = |(lo, hi): &(f64, f64)| (lo - middle).max(middle - hi).max(0.0);
        let farthest = self.0.iter().map(off).fold(0.0, f64::max);
        let least = SCATTER.0.max(farthest / 30.0);
        let likelihood = |ln_scatter: f64| {
            let scatter = ln_scatter.exp();
            self.0.iter().map(|bracket| ln_chance(*bracket, middle, scatter)).sum()
        };
        highest(likelihood, (least.ln(), SCATTER.1.ln()), SCATTER_WITHIN).1
    }

    /// A middle with the highest likelihood, and its logarithm.
    fn highest(&self) -> (f64, f64) {
        let finite = || self.0.iter().flat_map(|(lo, hi)| [*lo, *hi]).filter(|x| x.is_finite());
        let (lo, hi) = finite().fold((f64::MAX, f64::MIN), |(lo, hi), x| (lo.min(x), hi.max(x)));
        let profile = |middle| self.profile(middle);
        highest(profile, (lo - BEYOND, hi + BEYOND), MIDDLE_WITHIN)
    }

    /// The middle with the highest likelihood, and its logarithm. If several are equally likely, as
    /// in brackets that overlap, it is the one between them.
    fn top(&self) -> (f64, f64) {
        let (at, most) = self.highest();
        let edge = |direction| self.edge(at, direction, most - SAME).unwrap_or(at);
        (edge(-1.0).midpoint(edge(1.0)), most)
    }

    /// Where the profile falls below a level in one direction; `None` where it does not.
    fn edge(&self, from: f64, direction: f64, level: f64) -> Option<f64> {
        let falls = |distance: f64| self.profile(from + direction * distance) < level;
        let mut beyond = 1e-3;
        while !falls(beyond) {
            beyond *= 2.0;
            if beyond > BEYOND {
                return None;
            }
        }
        let mut within = 0.0;
        while beyond - within > MIDDLE_WITHIN {
            let middle = f64::midpoint(within, beyond);
            if falls(middle) { beyond = middle } else { within = middle }
        }
        Some(from + direction * beyond)
    }
}

/// Logarithm of the chance to fall into a bracket; a chance too small for a number is the smallest.
fn ln_chance((lo, hi): (f64, f64), middle: f64, scatter: f64) -> f64 {
    let normal = Normal::standard();
    let (lo, hi) = ((lo - middle) / scatter, (hi - middle) / scatter);
    // The smaller of the two tails keeps its digits.
    let chance =
        if lo > 0.0 { normal.sf(lo) - normal.sf(hi) } else { normal.cdf(hi) - normal.cdf(lo) };
    chance.max(f64::MIN_POSITIVE).ln()
}

/// The argument, and the value there, of the maximum of a function that rises and then falls
/// (golden section).
fn highest(f: impl Fn(f64) -> f64, (mut lo, mut hi): (f64, f64), within: f64) -> (f64, f64) {
    let ratio = (5f64.sqrt() - 1.0) / 2.0;
    let (mut a, mut b) = (hi - ratio * (hi - lo), lo + ratio * (hi - lo));
    let (mut at_a, mut at_b) = (f(a), f(b));
    while hi - lo > within {
        if at_a >= at_b {
            (hi, b, at_b) = (b, a, at_a);
            a = hi - ratio * (hi - lo);
            at_a = f(a);
        } else {
            (lo, a, at_a) = (a, b, at_b);
            b = lo + ratio * (hi - lo);
            at_b = f(b);
        }
    }
    if at_a >= at_b { (a, at_a) } else { (b, at_b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{mix, normal, uniform};
    use crate::{Scale, estimate};

    fn within(least: f64, most: f64) -> Bounds {
        Bounds { least: Some(least), most: Some(most) }
    }

    #[test]
    fn narrow_brackets_give_students_t() {
        let values = [17_000.0, 18_500.0, 16_200.0, 19_900.0, 17_700.0];
        let known = estimate(&values, Scale::Log).unwrap();
        let found = between(&values.map(|x| within(x * 0.9999, x * 1.0001))).unwrap();
        let ((lo, hi), (known_lo, known_hi)) = (found.interval.unwrap(), known.interval.unwrap());
        for (found, known) in [(found.point, known.point), (lo, known_lo), (hi, known_hi)] {
            assert!((found / known - 1.0).abs() < 1e-3, "{found} instead of {known}");
        }
        assert_eq!(found.n, 5);
    }

    #[test]
    fn what_a_bracket_leaves_open_stays_open() {
        // All overlap between 104 and 105: the middle of that, and not a point at its edge.
        let found = between(&[within(100.0, 105.0), within(104.0, 109.0), within(102.0, 107.0)]);
        let found = found.unwrap();
        let (lo, hi) = found.interval.unwrap();
        assert!((104.0..105.0).contains(&found.point), "{found:?}");
        assert!(lo < 104.0 && hi > 105.0 && lo > 95.0 && hi < 115.0, "{found:?}");
        let one = between(&[within(100.0, 110.0)]).unwrap();
        assert_eq!(one.interval, None);
        assert!((one.point - 104.88).abs() < 0.1, "{one:?}");
    }

    #[test]
    fn a_trial_without_an_upper_bound_pulls_up() {
        let three = [within(100.0, 105.0), within(98.0, 103.0), within(101.0, 106.0)];
        let open = Bounds { least: Some(110.0), most: None };
        let without = between(&three).unwrap();
        let with = between(&[three.as_slice(), &[open]].concat()).unwrap();
        assert!(with.point > without.point * 1.01, "{with:?} {without:?}");
        // As its lower bound it would pull less.
        let taken = between(&[three.as_slice(), &[within(109.9, 110.1)]].concat()).unwrap();
        assert!(with.point > taken.point, "{with:?} {taken:?}");
        let low = Bounds { least: None, most: Some(90.0) };
        assert!(between(&[three.as_slice(), &[low]].concat()).unwrap().point < without.point);
        assert_eq!(between(&[open, open]), None, "anything above is as good");
        assert_eq!(between(&[low, low]), None);
        assert_eq!(between(&[]), None);
    }

    /// Share of simulated campaigns whose interval covers the true capacity. Trials scatter by
    /// `scatter`; each knows a bracket of 5 %, at random about its own value, and no rate above
    /// `offered` times the truth is tried.
    fn coverage(trials: u64, scatter: f64, offered: f64) -> f64 {
        const CAMPAIGNS: u64 = 600;
        let truth = 20_000f64;
        let covered = (0..CAMPAIGNS).filter(|campaign| {
            let seed = mix(61, *campaign);
            let bounds = |trial: u64| {
                let value = truth.ln() + scatter * normal(seed, trial);
                let least = (value - 1.05f64.ln() * uniform(seed, 1000 + trial)).exp();
                match least * 1.05 {
                    most if most > offered * truth => {
                        Bounds { least: Some(least.min(offered * truth)), most: None }
                    }
                    most => within(least, most),
                }
            };
            let trials: Vec<Bounds> = (0..trials).map(bounds).collect();
            // The same as whether the interval holds the truth, without looking for its ends.
            let of = Brackets::of(&trials);
            let fall = of.highest().1 - of.profile(truth.ln());
            fall <= cut(trials.len() as u32).unwrap()
        });
        covered.count() as f64 / CAMPAIGNS as f64
    }

    #[test]
    fn intervals_cover_the_capacity_as_often_as_they_say() {
        // 600 campaigns leave two standard errors of 1.8 points.
        for (trials, scatter, offered) in
            [(3, 0.10, 9.0), (5, 0.05, 9.0), (5, 0.15, 9.0), (10, 0.10, 9.0), (6, 0.10, 1.1)]
        {
            let covered = coverage(trials, scatter, offered);
            assert!((0.93..=0.97).contains(&covered), "{trials}, {scatter}, {offered}: {covered}");
        }
        // Where trials differ by less than their brackets are wide, it covers more and not less.
        let covered = coverage(5, 0.01, 9.0);
        assert!(covered >= 0.95, "{covered}");
    }
}
