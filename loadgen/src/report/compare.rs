//! Comparisons, which of them get a verdict, and the noise floor under them.
//!
//! Every arm is compared with the baseline and with the reference, wherever both have valid
//! figures. Only the primary endpoints, which the plan declared before anything ran, are judged
//! ([`crate::stats::judge`]), all of them as one family; every other comparison is exploratory and
//! has a figure, an interval and no verdict. The reference compared with its twin sets the floor
//! below which nothing is called a difference.

use serde::Serialize;

use super::estimates::{Measurement, Place};
use crate::experiment::Metric;
use crate::plan::{Plan, Primary, twin_of};
use crate::stats::{
    Cause, Estimate, Floor, Moments, Question, Ruling, Scale, Tests, Verdict, estimate, judge,
    log_ratios, paired_difference, paired_ratio, resampled_difference, resampled_ratio,
};

/// The relative difference that still counts as equal. A smaller one would decide no choice of a
/// scheme, and two cores cannot tell it from noise.
pub(super) const MARGIN: f64 = 0.03;

/// The largest share that is said of what would have been seen: with two blocks it can be any
/// number, and a factor of a thousand says no more than that there is none.
const EFFECT_MAX: f64 = 1000.0;

/// Two arms compared, in one metric at one level.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The experiment.
    pub experiment: String,
    /// The metric.
    pub metric: &'static Metric,
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
    /// The scale on which arms are compared in this metric.
    pub compared_as: ComparedAs,
    /// What is called no difference, because the reference differs as much from itself: a share for
    /// a ratio, the metric's unit for a difference; `None` without a valid A/A pair.
    pub noise_floor: Option<f64>,
    /// What the campaign says of it; `None` where it is exploratory.
    pub ruling: Option<Ruled>,
}

/// A primary endpoint, and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Endpoint {
    /// What was declared.
    #[serde(flatten)]
    pub declared: Primary,
    /// Its metric.
    #[serde(skip)]
    pub metric: &'static Metric,
    /// Unit of the metric.
    pub unit: &'static str,
    /// Arm divided by the other; `None` for a growth, and where a value is not positive.
    pub ratio: Option<Estimate>,
    /// Arm minus the other, or how much that has grown, in the metric's unit; `None` where it was
    /// not measured.
    pub difference: Option<Estimate>,
    /// What is tested, and so the scale of the noise floor and the smallest effect.
    pub compared_as: ComparedAs,
    /// See [`Comparison::noise_floor`].
    pub noise_floor: Option<f64>,
    /// The verdict and its tests.
    #[serde(flatten)]
    pub ruling: Ruled,
    /// Where its figures stand, and those that it grows from.
    #[serde(skip)]
    places: Vec<Place>,
}

/// What the campaign says of a primary endpoint, after the correction for all of them and the noise
/// floor.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ruled {
    /// What it says.
    pub verdict: Verdict,
    /// Why it says nothing, when it is inconclusive.
    pub cause: Option<Cause>,
    /// The smallest true effect that would have been called a difference four times in five: a
    /// share for a ratio, the metric's unit for a difference.
    pub smallest_effect: Option<f64>,
    /// The tests, with their p values before and after the correction.
    pub tests: Tests,
}

impl Comparison {
    /// At which level and with how many users.
    pub(super) const fn place(&self) -> Place {
        (self.level, self.users)
    }

    /// Its verdict; `None` where it is exploratory.
    pub fn verdict(&self) -> Option<Verdict> {
        self.ruling.as_ref().map(|ruling| ruling.verdict)
    }
}

impl Endpoint {
    /// Where its figures stand; `None` where nothing was measured.
    pub(super) fn place(&self) -> Option<Place> {
        self.places.first().copied()
    }

    /// Whether this comparison is what was declared.
    pub(super) fn is(&self, c: &Comparison) -> bool {
        let Primary { experiment, arm, against, from, .. } = &self.declared;
        from.is_none()
            && (&c.experiment, c.metric) == (experiment, self.metric)
            && (&c.arm, &c.against) == (arm, against)
            && self.place() == Some(c.place())
    }

    /// Whether a figure is one of those that it compares.
    pub(super) fn rests_on(&self, m: &Measurement) -> bool {
        let Primary { experiment, arm, against, .. } = &self.declared;
        (&m.experiment, m.metric) == (experiment, self.metric)
            && [arm, against].contains(&&m.arm)
            && self.places.contains(&m.place())
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

/// The reference compared with its twin: what a campaign shows where there is nothing to see.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NoiseFloor {
    /// The experiment.
    pub experiment: String,
    /// The metric.
    pub metric: &'static Metric,
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
    /// Whether the two runs differ by more than chance, corrected over all pairs that matter: the
    /// campaign then shows a difference where there is none.
    pub differs: bool,
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
    /// What is held against the margin.
    relative: Option<Moments>,
}

fn pair(one: &Measurement, other: &Measurement) -> Option<Pair> {
    let row = one.metric;
    let scale = row.scale;
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
        let relative = moments.filter(|_| scale == Scale::Log);
        return Some(Pair { ratio, difference, compared_as, moments, relative });
    }
    let pairs = by_block(one, other);
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
    let (mut ratio, mut difference) = (paired_ratio(&pairs), paired_difference(&pairs)?);
    if row.is_exact {
        let (of, than) = (one.estimate.point, other.estimate.point);
        ratio = ratio.map(|ratio| Estimate { point: of / than, ..ratio.as_exact() });
        difference = Estimate { point: of - than, ..difference.as_exact() };
    }
    Some(Pair { ratio, difference, compared_as, moments, relative: log_ratio })
}

/// The values of two arms in the blocks that both have.
fn by_block(one: &Measurement, other: &Measurement) -> Vec<(f64, f64)> {
    let both = |(block, value): (&u32, &f64)| Some((*value, *other.by_block.get(block)?));
    one.by_block.iter().filter_map(both).collect()
}

/// How much the difference of two arms has grown from one level to another, in the metric's unit:
/// both differences are paired by block, and so is their difference. What is held against the
/// margin is its share of what the other arm has at the level itself.
fn grown(at: [&Measurement; 2], from: [&Measurement; 2]) -> Option<Pair> {
    let value = |m: &Measurement, block: &u32| m.by_block.get(block).copied();
    let growth = |(block, arm_at): (&u32, &f64)| {
        let before = value(from[0], block)? - value(from[1], block)?;
        Some(arm_at - value(at[1], block)? - before)
    };
    let growths: Vec<f64> = at[0].by_block.iter().filter_map(growth).collect();
    let mut difference = estimate(&growths, Scale::Linear)?;
    difference.method = "growth of the difference, paired by block, Student's t".into();
    let moments = Moments::of(&growths);
    let whole = at[1].estimate.point;
    let share = |m: Moments| Moments { mean: m.mean / whole, error: m.error / whole, ..m };
    let relative = moments.filter(|_| whole > 0.0).map(share);
    let compared_as = ComparedAs::Difference;
    Some(Pair { ratio: None, difference, compared_as, moments, relative })
}

/// Whether two figures are of the same thing but of different arms.
fn same_place(one: &Measurement, other: &Measurement) -> bool {
    (&one.experiment, one.metric, one.place(), one.connections)
        == (&other.experiment, other.metric, other.place(), other.connections)
        && one.rate == other.rate
}

/// The reference compared with its twin, wherever both have valid figures.
pub(super) fn noise_floors(plan: &Plan, measurements: &[Measurement]) -> Vec<NoiseFloor> {
    let twin = twin_of(&plan.reference);
    let mut floors = Vec::new();
    for one in measurements.iter().filter(|m| m.valid && m.arm == twin) {
        let is_first = |m: &&Measurement| m.valid && m.arm == plan.reference && same_place(one, m);
        let first = measurements.iter().find(is_first).filter(|_| !one.metric.is_exact);
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
            connections: one.connections,
            rate: one.rate,
            moments: pair.moments,
        });
    }
    doubt_pairs(plan, &mut floors);
    floors
}

/// Finds the pairs that differ by more than chance: among those under a primary endpoint or, in a
/// campaign without one, among all.
fn doubt_pairs(plan: &Plan, floors: &mut [NoiseFloor]) {
    let matters = |floor: &&mut NoiseFloor| {
        let under = |p: &Primary| {
            (&p.experiment, p.metric.as_str()) == (&floor.experiment, floor.metric.name)
                && [Some(p.level), p.from]
                    .into_iter()
                    .flatten()
                    .any(|at| is_at(p, at, floor.place()))
        };
        plan.primary.is_empty() || plan.primary.iter().any(under)
    };
    let mut family: Vec<&mut NoiseFloor> = floors.iter_mut().filter(matters).collect();
    let question = |floor: &&mut NoiseFloor| Question {
        difference: floor.moments,
        ratio: None,
        floor: Floor::NotMeasured,
    };
    let questions: Vec<Question> = family.iter().map(question).collect();
    for (floor, ruling) in family.iter_mut().zip(judge(&questions, MARGIN)) {
        floor.differs = matches!(ruling.verdict, Verdict::Lower | Verdict::Higher);
    }
}

/// An effect on the scale of a test, as a reader has it: a share for a ratio.
fn shown(effect: f64, compared_as: ComparedAs) -> f64 {
    match compared_as {
        ComparedAs::Ratio => effect.exp_m1(),
        ComparedAs::Difference => effect,
    }
}

/// Whether a figure's place is that of an endpoint whose trials have this level.
fn is_at(endpoint: &Primary, level: u32, place: Place) -> bool {
    let users = |users: u64| endpoint.users.is_none_or(|asked| u64::from(asked) == users);
    match place {
        (Some(own), of) => own == level && of.is_none_or(users),
        // Where users are what is swept, they are the level; 0 is the level of what is not swept.
        (None, Some(of)) => users(of) && (level == 0 || of == u64::from(level)),
        (None, None) => true,
    }
}

/// Where the figures of an endpoint stand whose trials have this level: with the most users, where
/// there are several.
fn place_of(measurements: &[Measurement], endpoint: &Primary, level: u32) -> Option<Place> {
    let own = measurements.iter().filter(|m| {
        (&m.experiment, m.metric.name) == (&endpoint.experiment, endpoint.metric.as_str())
            && is_at(endpoint, level, m.place())
    });
    own.map(Measurement::place).max()
}

/// The valid figures of two arms at a place of an endpoint.
fn figures<'a>(
    measurements: &'a [Measurement],
    endpoint: &Primary,
    arms: [&str; 2],
    place: Place,
) -> Option<[&'a Measurement; 2]> {
    let of = |arm: &str| {
        measurements
            .iter()
            .filter(move |m| {
                m.valid
                    && (&m.experiment, m.metric.name) == (&endpoint.experiment, endpoint.metric.as_str())
                    && m.place() == place
                    && m.arm == arm
            })
            .collect::<Vec<_>>()
    };
    let others = of(arms[1]);
    let both = |one: &'a Measurement| {
        let other = others.iter().find(|other| same_place(one, other))?;
        Some([one, *other])
    };
    of(arms[0]).into_iter().find_map(both)
}

/// Two arms compared as an endpoint asks.
fn compare_as(
    measurements: &[Measurement],
    endpoint: &Primary,
    arms: [&str; 2],
    places: &[Place],
) -> Option<Pair> {
    let at = |place: &Place| figures(measurements, endpoint, arms, *place);
    match places {
        [place] if endpoint.from.is_none() => at(place).and_then(|[one, other]| pair(one, other)),
        [place, from] => grown(at(place)?, at(from)?),
        _ => None,
    }
}

/// What became of every primary endpoint, all judged as one family.
pub(super) fn endpoints(plan: &Plan, measurements: &[Measurement]) -> Vec<Endpoint> {
    let (twin, reference) = (twin_of(&plan.reference), plan.reference.as_str());
    let mut found = Vec::new();
    let mut questions = Vec::new();
    // A plan of a later version may name a metric that this one does not know.
    let known = plan.primary.iter().filter_map(|p| Some((p, Metric::named(&p.metric)?)));
    for (declared, metric) in known {
        let levels = [Some(declared.level), declared.from].into_iter().flatten();
        let places: Vec<Place> =
            levels.filter_map(|level| place_of(measurements, declared, level)).collect();
        let compare = |arms| compare_as(measurements, declared, arms, &places);
        let pair = compare([declared.arm.as_str(), declared.against.as_str()]);
        let floor = match plan.has_twin() {
            true => Floor::of(compare([twin.as_str(), reference]).and_then(|pair| pair.moments)),
            false => Floor::NotMeasured,
        };
        questions.push(Question {
            difference: pair.as_ref().and_then(|pair| pair.moments),
            ratio: pair.as_ref().and_then(|pair| pair.relative),
            floor,
        });
        found.push((declared, metric, places, pair, floor));
    }
    let rulings = judge(&questions, MARGIN);
    let endpoint = |((declared, metric, places, pair, floor), ruling): (_, Ruling)| {
        endpoint((declared, metric), places, pair, floor, &ruling)
    };
    found.into_iter().zip(rulings).map(endpoint).collect()
}

fn endpoint(
    (declared, metric): (&Primary, &'static Metric),
    places: Vec<Place>,
    pair: Option<Pair>,
    floor: Floor,
    ruling: &Ruling,
) -> Endpoint {
    let compared_as = match (metric.scale, declared.from) {
        (Scale::Log, None) => ComparedAs::Ratio,
        _ => ComparedAs::Difference,
    };
    let effect = ruling.detectable.map(|effect| shown(effect, compared_as));
    let is_said = |effect: &f64| compared_as == ComparedAs::Difference || *effect < EFFECT_MAX;
    let not_measured = pair.is_none().then_some(Cause::NotMeasured);
    let (ratio, difference) = pair.map(|pair| (pair.ratio, pair.difference)).unzip();
    Endpoint {
        declared: declared.clone(),
        metric,
        unit: metric.unit,
        ratio: ratio.flatten(),
        difference,
        compared_as,
        noise_floor: match floor {
            Floor::At(floor) => Some(shown(floor, compared_as)),
            Floor::Unknown | Floor::NotMeasured => None,
        },
        ruling: Ruled {
            verdict: ruling.verdict,
            cause: not_measured.or(ruling.cause),
            smallest_effect: effect.filter(is_said),
            tests: ruling.tests,
        },
        places,
    }
}

/// Compares every arm with the baseline, with the reference, and with what an endpoint compares it
/// with, wherever both have valid figures; and enters the verdicts of the endpoints.
pub(super) fn comparisons(
    plan: &Plan,
    measurements: &[Measurement],
    floors: &[NoiseFloor],
    endpoints: &[Endpoint],
) -> Vec<Comparison> {
    let twin = twin_of(&plan.reference);
    let mut compared = Vec::new();
    for one in measurements.iter().filter(|m| m.valid && m.arm != twin) {
        for against in others(plan, one) {
            let other = measurements.iter().find(|other| {
                other.valid
                    && other.arm == *against
                    && other.arm != one.arm
                    && same_place(one, other)
            });
            compared.extend(other.and_then(|other| compare(one, other, floors)));
        }
    }
    for comparison in &mut compared {
        let is_here = |e: &&Endpoint| {
            let Primary { experiment, arm, against, from, .. } = &e.declared;
            from.is_none()
                && (experiment, e.metric) == (&comparison.experiment, comparison.metric)
                && (arm, against) == (&comparison.arm, &comparison.against)
                && e.place() == Some(comparison.place())
        };
        comparison.ruling = endpoints.iter().find(is_here).map(|e| e.ruling.clone());
    }
    compared
}

/// The arms with which a figure is compared.
fn others<'a>(plan: &'a Plan, one: &Measurement) -> Vec<&'a String> {
    let mut others: Vec<&String> = Vec::new();
    // The baseline compared with the reference says nothing that its inverse does not.
    if one.arm != plan.baseline {
        others.extend([&plan.baseline, &plan.reference]);
    }
    let declared = plan.primary.iter().filter(|p| {
        (&p.experiment, p.metric.as_str(), &p.arm)
            == (&one.experiment, one.metric.name, &one.arm)
    });
    others.extend(declared.map(|p| &p.against));
    let mut seen = std::collections::BTreeSet::new();
    others.retain(|arm| seen.insert(arm.as_str()));
    others
}

fn compare(one: &Measurement, other: &Measurement, floors: &[NoiseFloor]) -> Option<Comparison> {
    let pair = pair(one, other)?;
    let is_here = |floor: &&NoiseFloor| {
        (&floor.experiment, floor.metric, floor.place(), floor.connections)
            == (&one.experiment, one.metric, one.place(), one.connections)
            && floor.rate == one.rate
    };
    Some(Comparison {
        experiment: one.experiment.clone(),
        metric: one.metric,
        level: one.level,
        users: one.users,
        arm: one.arm.clone(),
        against: other.arm.clone(),
        ratio: pair.ratio,
        difference: pair.difference,
        compared_as: pair.compared_as,
        noise_floor: floors.iter().find(is_here).and_then(|floor| floor.floor),
        ruling: None,
    })
}

#[cfg(test)]
mod tests;
