//! From the primary endpoints of a campaign to their verdicts. A verdict is a claim, so only the
//! comparisons that the campaign declared before it ran are judged, by the rules of [`judge`].

use std::collections::BTreeMap;

use serde::Serialize;

use super::Verdict;
use super::compare::Moments;
use super::floor::Floor;
use super::holm::holm;
use super::power::{ALPHA, above, detectable};

/// An endpoint as its family sees it.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// Paired differences, on the scale on which the metric is compared; `None` with fewer than
    /// two blocks.
    pub difference: Option<Moments>,
    /// What is compared with the margin, on the scale of logarithms: the logarithm of the ratio, or
    /// a difference as a share of the figure it is compared with; `None` without either.
    pub ratio: Option<Moments>,
    /// The noise floor, on the scale of `difference`.
    pub floor: Floor,
}

/// Why a comparison is inconclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// There is no valid figure of both arms.
    NotMeasured,
    /// One block alone, or values that cannot be compared.
    NoInterval,
    /// The noise: the interval holds both no difference and one that would matter.
    Noise,
    /// Alone it would have been a verdict; among so many endpoints it may be chance.
    Correction,
    /// The same arm differs as much from itself.
    NoiseFloor,
    /// The A/A pair has no valid figure here, so nobody knows what differs from itself.
    FloorUnknown,
}

/// What a family says of one of its endpoints.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ruling {
    /// The verdict, all rules applied.
    pub verdict: Verdict,
    /// Why the verdict is inconclusive; `None` for any other.
    pub cause: Option<Cause>,
    /// The tests behind it.
    pub tests: Tests,
    /// The smallest true effect that would have been called a difference with a chance of 80 %, on
    /// the scale of the difference.
    pub detectable: Option<f64>,
}

/// The tests of one comparison.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Tests {
    /// Chance of so large a difference or a larger one between equal arms (paired t, two sides).
    pub p_difference: Option<f64>,
    /// The same after Holm's correction; compared with 0.05.
    pub p_difference_holm: Option<f64>,
    /// Larger p value of the two one-sided tests for equivalence within the margin.
    pub p_equivalence: Option<f64>,
    /// The same after Holm's correction; compared with 0.025, so that the 95 % interval lies within
    /// the margin.
    pub p_equivalence_holm: Option<f64>,
    /// Endpoints that the correction covers.
    pub family_size: u32,
}

/// Judges the endpoints of a family; `margin` is the relative difference that counts as equal.
///
/// Three rules stand between a figure and a verdict:
///
/// 1. **Chance.** Holm's procedure corrects the p values of all endpoints together, those of
///    differences and those of equivalences each for themselves: in at most one campaign of twenty
///    is any arm called different from an equal one, and in at most one is any called equivalent
///    that is not. An endpoint that was not measured still counts.
/// 2. **The noise floor.** The same arm, measured twice under two names, differs by what the
///    campaign cannot hold still. A difference must also have its point beyond the interval of that
///    pair.
/// 3. **The margin.** A difference that is real and smaller than what matters is called equivalent.
///
/// Anything else is inconclusive, with its cause and the smallest effect that would have shown.
pub fn judge(family: &[Question], margin: f64) -> Vec<Ruling> {
    let margin = margin.ln_1p();
    let of = |p: &dyn Fn(&Question) -> Option<f64>| -> Vec<Option<f64>> {
        family.iter().map(p).collect()
    };
    let differences = of(&|q| q.difference.map(|d| d.p_difference()));
    let equivalences = of(&|q| q.ratio.map(|ratio| ratio.p_equivalence(margin)));
    let differences_holm = corrected(&differences);
    let equivalences_holm = corrected(&equivalences);
    let size = family.len();
    let mut detectables = BTreeMap::new();
    let mut rulings = Vec::new();
    for (i, question) in family.iter().enumerate() {
        let tests = Tests {
            p_difference: differences[i],
            p_difference_holm: differences_holm[i],
            p_equivalence: equivalences[i],
            p_equivalence_holm: equivalences_holm[i],
            family_size: size as u32,
        };
        let detectable = question.difference.map(|difference| {
            let errors = *detectables
                .entry(difference.n)
                .or_insert_with(|| detectable(difference.n, ALPHA / size.max(1) as f64));
            smallest(difference, errors, question.floor)
        });
        let (verdict, cause) = rule(question, &tests);
        rulings.push(Ruling { verdict, cause, tests, detectable });
    }
    rulings
}

/// Holm's correction over all; those without a p value count as one that is never rejected.
fn corrected(p_values: &[Option<f64>]) -> Vec<Option<f64>> {
    let all: Vec<f64> = p_values.iter().map(|p| p.unwrap_or(1.0)).collect();
    p_values.iter().zip(holm(&all)).map(|(p, adjusted)| p.map(|_| adjusted)).collect()
}

/// The rules, in their order.
fn rule(question: &Question, tests: &Tests) -> (Verdict, Option<Cause>) {
    let below = |p: Option<f64>, level: f64| p.is_some_and(|p| p <= level);
    if below(tests.p_equivalence_holm, ALPHA / 2.0) {
        return (Verdict::Equivalent, None);
    }
    let because = |cause| (Verdict::Inconclusive, Some(cause));
    let Some(difference) = question.difference else { return because(Cause::NoInterval) };
    if !below(tests.p_difference_holm, ALPHA) {
        let alone = below(tests.p_difference, ALPHA) || below(tests.p_equivalence, ALPHA / 2.0);
        return because(if alone { Cause::Correction } else { Cause::Noise });
    }
    let verdict = if difference.mean < 0.0 { Verdict::Lower } else { Verdict::Higher };
    match question.floor {
        Floor::Unknown => because(Cause::FloorUnknown),
        Floor::At(floor) if difference.mean.abs() <= floor => because(Cause::NoiseFloor),
        Floor::At(_) | Floor::NotMeasured => (verdict, None),
    }
}

/// The smallest effect that passes both the test, as the first of its family, and the noise floor.
fn smallest(difference: Moments, errors: f64, floor: Floor) -> f64 {
    let test = errors * difference.error;
    match floor {
        Floor::At(floor) => test.max(floor + above() * difference.error),
        Floor::Unknown | Floor::NotMeasured => test,
    }
}

#[cfg(test)]
mod tests {
    use super::super::CONFIDENCE;
    use super::*;

    /// A comparison of 5 blocks whose log ratio is known to this error.
    fn question(ratio: f64, error: f64, floor: Floor) -> Question {
        let moments = Some(Moments { n: 5, mean: ratio.ln(), error });
        Question { difference: moments, ratio: moments, floor }
    }

    fn verdicts(family: &[Question]) -> Vec<(Verdict, Option<Cause>)> {
        judge(family, 0.03).into_iter().map(|r| (r.verdict, r.cause)).collect()
    }

    #[test]
    fn each_rule_has_its_verdict() {
        let no_floor = Floor::NotMeasured;
        let nothing = Question { difference: None, ratio: None, floor: no_floor };
        for (question, verdict, cause) in [
            (question(1.00, 0.003, no_floor), Verdict::Equivalent, None),
            (question(1.02, 0.002, no_floor), Verdict::Equivalent, None),
            (question(0.85, 0.020, no_floor), Verdict::Lower, None),
            (question(1.15, 0.020, no_floor), Verdict::Higher, None),
            (question(1.15, 0.020, Floor::At(0.05)), Verdict::Higher, None),
            (question(1.15, 0.020, Floor::At(0.2)), Verdict::Inconclusive, Some(Cause::NoiseFloor)),
            (
                question(1.15, 0.02, Floor::Unknown),
                Verdict::Inconclusive,
                Some(Cause::FloorUnknown),
            ),
            (question(1.15, 0.200, no_floor), Verdict::Inconclusive, Some(Cause::Noise)),
            (nothing, Verdict::Inconclusive, Some(Cause::NoInterval)),
        ] {
            assert_eq!(verdicts(&[question]), [(verdict, cause)], "{question:?}");
        }
    }

    #[test]
    fn many_comparisons_ask_for_more() {
        // t = 3.5 at four degrees of freedom: p = 0.025 alone, and too much among ten.
        let one = question(1.15, 0.04, Floor::NotMeasured);
        assert_eq!(verdicts(&[one])[0].0, Verdict::Higher);
        let family = judge(&[one; 10], 0.03);
        assert_eq!(family[0].cause, Some(Cause::Correction));
        assert_eq!(family[0].tests.family_size, 10);
        let alone = judge(&[one], 0.03)[0];
        assert!(family[0].detectable > alone.detectable);
    }

    #[test]
    fn an_endpoint_that_was_not_measured_still_counts() {
        // Two endpoints of which the figures are lost must not make the others easier to settle.
        let nothing = Question { difference: None, ratio: None, floor: Floor::NotMeasured };
        let one = question(1.15, 0.04, Floor::NotMeasured);
        let rulings = judge(&[one, nothing, nothing], 0.03);
        assert_eq!((rulings[0].tests.family_size, rulings[0].cause), (3, Some(Cause::Correction)));
        assert_eq!(rulings[1].tests.p_difference_holm, None);
        let alone = judge(&[one], 0.03)[0].tests.p_difference_holm.unwrap();
        assert!((rulings[0].tests.p_difference_holm.unwrap() / alone - 3.0).abs() < 1e-9);
    }

    #[test]
    fn no_verdict_contradicts_its_interval() {
        for ratio in [0.8f64, 0.97, 0.99, 1.0, 1.005, 1.02, 1.05, 1.3] {
            for error in [0.001, 0.005, 0.01, 0.05] {
                let question = question(ratio, error, Floor::NotMeasured);
                let (lo, hi) = question.difference.unwrap().interval(CONFIDENCE);
                match verdicts(&[question])[0].0 {
                    Verdict::Higher => assert!(lo > 0.0),
                    Verdict::Lower => assert!(hi < 0.0),
                    Verdict::Equivalent => assert!(lo >= -0.03f64.ln_1p() && hi <= 0.03f64.ln_1p()),
                    Verdict::Inconclusive => assert!(lo <= 0.0 && hi >= 0.0, "{ratio} {error}"),
                }
            }
        }
    }

    #[test]
    fn what_could_be_seen_lies_above_the_floor() {
        let error = 0.01;
        let of = |floor| judge(&[question(1.0, error, floor)], 0.03)[0].detectable.unwrap();
        // 3.761 standard errors at five blocks, alone.
        assert!((of(Floor::NotMeasured) / (3.761 * error) - 1.0).abs() < 1e-3);
        assert_eq!(of(Floor::At(0.001)), of(Floor::NotMeasured));
        assert!((of(Floor::At(0.1)) - (0.1 + 0.8416 * error)).abs() < 1e-4);
    }
}
