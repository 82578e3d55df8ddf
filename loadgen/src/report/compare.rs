//! Comparisons, their families, and the noise floor under them.
//!
//! Every arm is compared with the baseline and with the reference, wherever both have valid
//! figures. The comparisons of one group of metrics in one experiment are a family and are judged
//! together ([`crate::stats::judge`]); the reference beside its twin sets the floor below which
//! nothing is called a difference.

use serde::Serialize;

use super::estimates::{Measurement, Place};
use crate::experiment::{family, metric};
use crate::plan::{Plan, twin_of};
use crate::stats::{
    Cause, Estimate, Floor, Moments, Question, Ruling, Scale, Tests, Verdict, judge, log_ratios,
    paired_difference, paired_ratio, resampled_difference, resampled_ratio,
};

/// The relative difference that still counts as equal. A smaller one would decide no choice of a
/// scheme, and two cores cannot tell it from noise.
pub(super) const MARGIN: f64 = 0.03;

/// The largest share that is said of what would have been seen: with two blocks it can be any
/// number, and a factor of a thousand says no more than that there is none.
const EFFECT_MAX: f64 = 1000.0;

/// An arm beside another, in one metric at one level.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The experiment.
    pub experiment: String,
    /// The metric.
    pub metric: &'static str,
    /// Level of the trials, where the experiment sweeps something else than users.
    pub level: Option<u32>,
    /// Users who were logged in; `None` for a figure of all levels.
    pub users: Option<u64>,
    /// The arm.
    pub arm: String,
    /// The arm it is compared with.
    pub against: String,
    /// Arm divided by the other; `None` where a value is not positive.
    pub ratio: Option<Estimate>,
    /// Arm minus the other, in the metric's unit.
    pub difference: Estimate,
    /// What the comparison says, after the correction for its family and the noise floor.
    pub verdict: Verdict,
    /// Why it says nothing, when it is inconclusive.
    pub cause: Option<Cause>,
    /// What is tested, and so the scale of the two figures below.
    pub compared_as: ComparedAs,
    /// What is called no difference, because the reference differs as much from itself: a share for
    /// a ratio, the metric's unit for a difference; `None` without a valid A/A pair.
    pub noise_floor: Option<f64>,
    /// The smallest true effect that would have been called a difference four times in five,
    /// likewise.
    pub smallest_effect: Option<f64>,
    /// The group of metrics whose comparisons in this experiment are corrected together.
    pub family: &'static str,
    /// The tests, with their p values before and after the correction.
    pub tests: Tests,
    /// How they were made.
    pub method: String,
}

impl Comparison {
    /// At which level and with how many users.
    pub(super) const fn place(&self) -> Place {
        (self.level, self.users)
    }
}

impl NoiseFloor {
    /// At which level and with how many users.
    pub(super) const fn place(&self) -> Place {
        (self.level, self.users)
    }
}

/// What of two arms is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ComparedAs {
    /// The ratio: rates, times, bytes.
    Ratio,
    /// The difference: what may be 0 or less.
    Difference,
}

/// A family of comparisons, and what became of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Family {
    /// The experiment.
    pub experiment: String,
    /// The group of metrics.
    pub family: &'static str,
    /// The metrics that were compared.
    pub metrics: Vec<&'static str>,
    /// Comparisons that the correction covers.
    pub comparisons: u32,
    /// Of all its comparisons, those that are lower or higher.
    pub different: u32,
    /// Those that are equivalent.
    pub equivalent: u32,
    /// Those that are inconclusive.
    pub inconclusive: u32,
}

/// The reference beside its twin: what a campaign shows where there is nothing to see.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NoiseFloor {
    /// The experiment.
    pub experiment: String,
    /// The metric.
    pub metric: &'static str,
    /// Level of the trials, where the experiment sweeps something else than users.
    pub level: Option<u32>,
    /// Users who were logged in; `None` for a figure of all levels.
    pub users: Option<u64>,
    /// The arm that was measured twice.
    pub arm: String,
    /// The second run divided by the first; `None` where a value is not positive.
    pub ratio: Option<Estimate>,
    /// The second run minus the first, in the metric's unit.
    pub difference: Estimate,
    /// What is tested, and so the scale of the floor.
    pub compared_as: ComparedAs,
    /// What is called no difference: a share for a ratio, the metric's unit for a difference.
    pub floor: Option<f64>,
    /// Whether the two runs differ by more than chance, corrected over the pairs of the family: the
    /// campaign then shows a difference where there is none.
    pub differs: bool,
    /// The tests of the pair.
    pub tests: Tests,
    #[serde(skip)]
    connections: u32,
    #[serde(skip)]
    rate: Option<f64>,
    #[serde(skip)]
    moments: Option<Moments>,
}

/// Two figures of the same metric, level and load, paired.
struct Pair {
    ratio: Option<Estimate>,
    difference: Estimate,
    compared_as: ComparedAs,
    /// On the scale of what is compared.
    moments: Option<Moments>,
    /// Of the logarithm of the ratio.
    log_ratio: Option<Moments>,
}

fn pair(one: &Measurement, other: &Measurement) -> Option<Pair> {
    let scale = metric(one.metric).scale;
    let compared_as = match scale {
        Scale::Log => ComparedAs::Ratio,
        Scale::Linear => ComparedAs::Difference,
    };
    if let (Some(of), Some(than)) = (&one.resampled, &other.resampled) {
        let moments = of.minus(than).moments();
        let ratio = match scale {
            Scale::Log => resampled_ratio(of, than),
            Scale::Linear => None,
        };
        let difference = match scale {
            Scale::Linear => resampled_difference(of, than)?,
            Scale::Log => Estimate {
                point: one.estimate.point - other.estimate.point,
                interval: None,
                n: moments?.n,
                method: "difference of the points; the interval is that of the ratio".into(),
            },
        };
        let log_ratio = moments.filter(|_| scale == Scale::Log);
        return Some(Pair { ratio, difference, compared_as, moments, log_ratio });
    }
    let by_block = |(block, value): (&u32, &f64)| Some((*value, *other.by_block.get(block)?));
    let pairs: Vec<(f64, f64)> = one.by_block.iter().filter_map(by_block).collect();
    let differences: Vec<f64> = pairs.iter().map(|(a, b)| a - b).collect();
    let log_ratio = if differences.iter().all(|difference| *difference == 0.0) {
        // The same in every block is a ratio of 1, also where both are 0.
        Moments::of(&differences)
    } else {
        log_ratios(&pairs).and_then(|logs| Moments::of(&logs))
    };
    let moments = match scale {
        Scale::Log => log_ratio,
        Scale::Linear => Moments::of(&differences),
    };
    let (ratio, difference) = (paired_ratio(&pairs), paired_difference(&pairs)?);
    Some(Pair { ratio, difference, compared_as, moments, log_ratio })
}

/// Whether two figures are of the same thing but of different arms.
fn same_place(one: &Measurement, other: &Measurement) -> bool {
    (&one.experiment, one.metric, one.place(), one.connections)
        == (&other.experiment, other.metric, other.place(), other.connections)
        && one.rate == other.rate
}

/// The reference beside its twin, wherever both have valid figures.
pub(super) fn noise_floors(plan: &Plan, measurements: &[Measurement]) -> Vec<NoiseFloor> {
    let twin = twin_of(&plan.reference);
    let mut floors = Vec::new();
    for one in measurements.iter().filter(|m| m.valid && m.arm == twin) {
        let is_first = |m: &&Measurement| m.valid && m.arm == plan.reference && same_place(one, m);
        let first = measurements.iter().find(is_first);
        let Some(pair) = first.and_then(|first| pair(one, first)) else { continue };
        let floor = match Floor::of(pair.moments) {
            Floor::At(floor) => Some(shown(floor, pair.compared_as)),
            Floor::Unknown | Floor::NotMeasured => None,
        };
        floors.push(NoiseFloor {
            experiment: one.experiment.clone(),
            metric: one.metric,
            level: one.level,
            users: one.users,
            arm: plan.reference.clone(),
            ratio: pair.ratio,
            difference: pair.difference,
            compared_as: pair.compared_as,
            floor,
            differs: false,
            tests: judge_alone(pair.moments),
            connections: one.connections,
            rate: one.rate,
            moments: pair.moments,
        });
    }
    let key = |floor: &NoiseFloor| (floor.experiment.clone(), family(metric(floor.metric)));
    in_families(&mut floors, key, |family| {
        let question = |floor: &&mut NoiseFloor| Question {
            difference: floor.moments,
            ratio: None,
            floor: Floor::NotMeasured,
        };
        let questions: Vec<Question> = family.iter().map(question).collect();
        for (floor, ruling) in family.iter_mut().zip(judge(&questions, MARGIN)) {
            floor.differs = matches!(ruling.verdict, Verdict::Lower | Verdict::Higher);
            floor.tests = ruling.tests;
        }
    });
    floors
}

/// The tests of one comparison before its family is known.
fn judge_alone(difference: Option<Moments>) -> Tests {
    let question = Question { difference, ratio: None, floor: Floor::NotMeasured };
    judge(&[question], MARGIN)[0].tests
}

/// Does something to each family, in the order in which they first appear.
fn in_families<T, K: PartialEq>(
    items: &mut [T],
    key: impl Fn(&T) -> K,
    mut each: impl FnMut(&mut Vec<&mut T>),
) {
    let mut families: Vec<(K, Vec<&mut T>)> = Vec::new();
    for item in items {
        let of = key(item);
        match families.iter_mut().find(|(known, _)| *known == of) {
            Some((_, family)) => family.push(item),
            None => families.push((of, vec![item])),
        }
    }
    families.iter_mut().for_each(|(_, family)| each(family));
}

/// An effect on the scale of a test, as a reader has it: a share for a ratio.
fn shown(effect: f64, compared_as: ComparedAs) -> f64 {
    match compared_as {
        ComparedAs::Ratio => effect.exp_m1(),
        ComparedAs::Difference => effect,
    }
}

/// Compares every arm with the baseline, and with the reference, wherever both have valid figures.
pub(super) fn comparisons(
    plan: &Plan,
    measurements: &[Measurement],
    floors: &[NoiseFloor],
) -> Vec<Comparison> {
    let twin = twin_of(&plan.reference);
    let mut compared = Vec::new();
    for one in measurements.iter().filter(|m| m.valid && m.arm != twin) {
        let mut others: Vec<&String> = vec![&plan.baseline];
        if plan.reference != plan.baseline {
            others.push(&plan.reference);
        }
        for against in others {
            let other = measurements.iter().find(|other| {
                other.valid
                    && other.arm == *against
                    && other.arm != one.arm
                    // The baseline beside the reference says nothing that its inverse does not.
                    && one.arm != plan.baseline
                    && same_place(one, other)
            });
            compared.extend(other.and_then(|other| compare(plan, one, other, floors)));
        }
    }
    let key = |(comparison, _): &(Comparison, Question)| {
        (comparison.experiment.clone(), comparison.family)
    };
    in_families(&mut compared, key, |family| {
        let questions: Vec<Question> = family.iter().map(|(_, question)| *question).collect();
        for ((comparison, _), ruling) in family.iter_mut().zip(judge(&questions, MARGIN)) {
            settle(comparison, &ruling);
        }
    });
    compared.into_iter().map(|(comparison, _)| comparison).collect()
}

/// Enters what the family says of a comparison.
fn settle(comparison: &mut Comparison, ruling: &Ruling) {
    comparison.verdict = ruling.verdict;
    comparison.cause = ruling.cause;
    comparison.tests = ruling.tests;
    let detectable = ruling.detectable.map(|effect| shown(effect, comparison.compared_as));
    comparison.smallest_effect = detectable
        .filter(|effect| comparison.compared_as == ComparedAs::Difference || *effect < EFFECT_MAX);
    comparison.method = format!(
        "paired t test over {} blocks; Holm's correction over the {} comparisons of {}",
        comparison.difference.n, ruling.tests.family_size, comparison.family
    );
}

fn compare(
    plan: &Plan,
    one: &Measurement,
    other: &Measurement,
    floors: &[NoiseFloor],
) -> Option<(Comparison, Question)> {
    let pair = pair(one, other)?;
    let is_here = |floor: &&NoiseFloor| {
        (&floor.experiment, floor.metric, floor.place(), floor.connections)
            == (&one.experiment, one.metric, one.place(), one.connections)
            && floor.rate == one.rate
    };
    let aa = floors.iter().find(is_here);
    let floor = match (plan.has_twin(), aa) {
        (false, _) => Floor::NotMeasured,
        (true, aa) => Floor::of(aa.and_then(|aa| aa.moments)),
    };
    let question = Question { difference: pair.moments, ratio: pair.log_ratio, floor };
    let comparison = Comparison {
        experiment: one.experiment.clone(),
        metric: one.metric,
        level: one.level,
        users: one.users,
        arm: one.arm.clone(),
        against: other.arm.clone(),
        ratio: pair.ratio,
        difference: pair.difference,
        verdict: Verdict::Inconclusive,
        cause: None,
        compared_as: pair.compared_as,
        noise_floor: aa.and_then(|aa| aa.floor),
        smallest_effect: None,
        family: family(metric(one.metric)),
        tests: judge_alone(pair.moments),
        method: String::new(),
    };
    Some((comparison, question))
}

/// The families of comparisons, in the order in which they first appear.
pub(super) fn families(comparisons: &[Comparison]) -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    for c in comparisons {
        let known =
            families.iter().position(|f| f.experiment == c.experiment && f.family == c.family);
        let place = known.unwrap_or_else(|| {
            families.push(Family {
                experiment: c.experiment.clone(),
                family: c.family,
                metrics: Vec::new(),
                comparisons: c.tests.family_size,
                different: 0,
                equivalent: 0,
                inconclusive: 0,
            });
            families.len() - 1
        });
        let family = &mut families[place];
        if !family.metrics.contains(&c.metric) {
            family.metrics.push(c.metric);
        }
        match c.verdict {
            Verdict::Lower | Verdict::Higher => family.different += 1,
            Verdict::Equivalent => family.equivalent += 1,
            Verdict::Inconclusive => family.inconclusive += 1,
        }
    }
    families
}

#[cfg(test)]
mod tests;
