//! Comparisons, which of them get a verdict, and the noise floor under them. Only the primary
//! endpoints are judged, all as one family ([`crate::stats::judge`]); every other comparison is
//! exploratory and has no verdict.

use super::figures::{ComparedAs, Comparison, Endpoint, MARGIN, Measurement, NoiseFloor, Ruled};
use super::key::{Key, Lookup, Place};
use crate::experiment::Metric;
use crate::plan::{Arm, Plan, Primary};
use crate::stats::{
    Cause, Estimate, Floor, Moments, Question, Ruling, Scale, Verdict, estimate, judge, log_ratios,
    paired_difference, paired_ratio, resampled_difference, resampled_ratio,
};

/// The largest smallest effect that is shown: with two blocks it can be any number, and beyond a
/// factor of a thousand none would be found.
const EFFECT_MAX: f64 = 1000.0;

/// Two figures of the same metric, level and load, paired.
struct Pair {
    ratio: Option<Estimate>,
    difference: Estimate,
    compared_as: ComparedAs,
    /// On the scale of what is compared.
    moments: Option<Moments>,
    /// What is compared with the margin.
    relative: Option<Moments>,
}

fn pair(one: &Measurement, other: &Measurement) -> Option<Pair> {
    let row = one.key.metric;
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
        // Equal values in every block are a ratio of 1, even if both are 0.
        Moments::of(&differences)
    } else {
        log_ratios(&pairs).and_then(|logs| Moments::of(&logs))
    };
    let moments = match scale {
        Scale::Log => log_ratio,
        Scale::Linear => Moments::of(&differences),
    };
    // A ratio of slopes of which one may be 0 can be anything.
    let has_ratio =
        scale == Scale::Log || [one, other].into_iter().all(|m| excludes_0(&m.estimate));
    let mut ratio = paired_ratio(&pairs).filter(|_| has_ratio);
    let mut difference = paired_difference(&pairs)?;
    if row.is_exact {
        let (of, than) = (one.estimate.point, other.estimate.point);
        ratio = ratio.map(|ratio| Estimate { point: of / than, ..ratio.as_exact() });
        difference = Estimate { point: of - than, ..difference.as_exact() };
    }
    Some(Pair { ratio, difference, compared_as, moments, relative: log_ratio })
}

fn excludes_0(figure: &Estimate) -> bool {
    figure.interval.is_none_or(|(lo, hi)| lo > 0.0 || hi < 0.0)
}

/// The values of two arms in the blocks that both have.
fn by_block(one: &Measurement, other: &Measurement) -> Vec<(f64, f64)> {
    let both = |(block, value): (&u32, &f64)| Some((*value, *other.by_block.get(block)?));
    one.by_block.iter().filter_map(both).collect()
}

/// How much the difference of two arms has grown from one level to another, in the metric's unit:
/// both differences are paired by block, and so is their difference. The margin applies to its
/// share of what the other arm has at the level itself.
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

/// The reference compared with its twin, wherever both have valid figures.
pub(super) fn noise_floors(plan: &Plan, measurements: &[Measurement]) -> Vec<NoiseFloor> {
    let mut floors = Vec::new();
    for one in measurements.iter().filter(|m| m.valid && m.key.arm.is_twin()) {
        let is_first =
            |m: &&Measurement| m.valid && m.key.arm == plan.reference && one.key.same_thing(&m.key);
        let first = measurements.iter().find(is_first).filter(|_| !one.key.metric.is_exact);
        let Some(pair) = first.and_then(|first| pair(one, first)) else { continue };
        let floor = match Floor::of(pair.moments) {
            Floor::At(floor) => Some(shown(floor, pair.compared_as)),
            Floor::Unknown | Floor::NotMeasured => None,
        };
        floors.push(NoiseFloor {
            key: Key { arm: plan.reference.as_str().into(), ..one.key.clone() },
            ratio: pair.ratio,
            difference: pair.difference,
            compared_as: pair.compared_as,
            floor,
            differs: false,
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
            declares(p, &floor.key)
                && [Some(p.level), p.from]
                    .into_iter()
                    .flatten()
                    .any(|at| is_at(p, at, floor.key.place()))
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

/// Whether an endpoint is about the metric of a figure.
fn declares(endpoint: &Primary, figure: &Key) -> bool {
    endpoint.experiment == figure.experiment && endpoint.metric == figure.metric.name
}

/// An effect on the scale of a test, as a reader sees it: a share for a ratio.
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
fn place_of(
    measurements: &[Measurement],
    (endpoint, metric): (&Primary, &Metric),
    level: u32,
) -> Option<Place> {
    let places = measurements.places(&endpoint.experiment, metric);
    places.into_iter().rfind(|place| is_at(endpoint, level, *place))
}

/// The valid figures of two arms at a place of an endpoint.
fn figures<'a>(
    measurements: &'a [Measurement],
    (endpoint, metric): (&Primary, &Metric),
    arms: [&str; 2],
    place: Place,
) -> Option<[&'a Measurement; 2]> {
    let valid = |which: usize| {
        let here = measurements.all_of(&endpoint.experiment, metric);
        here.filter(move |m| m.valid && m.key.place() == place && m.key.arm == arms[which])
    };
    let both = |one: &'a Measurement| {
        let other = valid(1).find(|other| one.key.same_thing(&other.key))?;
        Some([one, other])
    };
    valid(0).find_map(both)
}

/// Two arms, compared as an endpoint declares.
fn compare_as(
    measurements: &[Measurement],
    endpoint: (&Primary, &Metric),
    arms: [&str; 2],
    places: &[Place],
) -> Option<Pair> {
    let both = |place: &Place| figures(measurements, endpoint, arms, *place);
    match places {
        [place] if endpoint.0.from.is_none() => {
            both(place).and_then(|[one, other]| pair(one, other))
        }
        [place, from] => grown(both(place)?, both(from)?),
        _ => None,
    }
}

/// The outcome of every primary endpoint, all judged as one family.
pub(super) fn endpoints(plan: &Plan, measurements: &[Measurement]) -> Vec<Endpoint> {
    let (twin, reference) = (Arm::twin_of(&plan.reference), plan.reference.as_str());
    let mut found = Vec::new();
    let mut questions = Vec::new();
    // A plan of a later version may name a metric that this one does not know.
    let known = plan.primary.iter().filter_map(|p| Some((p, Metric::named(&p.metric)?)));
    for (declared, metric) in known {
        let levels = [Some(declared.level), declared.from].into_iter().flatten();
        let places: Vec<Place> =
            levels.filter_map(|level| place_of(measurements, (declared, metric), level)).collect();
        let compare = |arms| compare_as(measurements, (declared, metric), arms, &places);
        let pair = compare([declared.arm.as_str(), declared.against.as_str()]);
        let floor = if plan.has_twin() {
            Floor::of(compare([twin.as_str(), reference]).and_then(|pair| pair.moments))
        } else {
            Floor::NotMeasured
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
    let moments = pair.as_ref().and_then(|pair| pair.moments);
    let (ratio, difference) = pair.map(|pair| (pair.ratio, pair.difference)).unzip();
    Endpoint {
        moments,
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
    let mut compared = Vec::new();
    for one in measurements.iter().filter(|m| m.valid && !m.key.arm.is_twin()) {
        for against in others(plan, one) {
            let other = measurements.iter().find(|other| {
                other.valid
                    && other.key.arm == *against
                    && other.key.arm != one.key.arm
                    && one.key.same_thing(&other.key)
            });
            compared.extend(other.and_then(|other| compare(one, other, floors)));
        }
    }
    for comparison in &mut compared {
        let declared = endpoints.iter().find(|endpoint| endpoint.declares(comparison));
        comparison.ruling = declared.map(|endpoint| endpoint.ruling.clone());
    }
    compared
}

/// The arms with which a figure is compared.
fn others<'a>(plan: &'a Plan, one: &Measurement) -> Vec<&'a String> {
    let mut others: Vec<&String> = Vec::new();
    // The baseline compared with the reference says nothing that its inverse does not.
    if one.key.arm != plan.baseline {
        others.extend([&plan.baseline, &plan.reference]);
    }
    let declared = plan.primary.iter().filter(|p| declares(p, &one.key) && p.arm == one.key.arm);
    others.extend(declared.map(|p| &p.against));
    let mut seen = std::collections::BTreeSet::new();
    others.retain(|arm| seen.insert(arm.as_str()));
    others
}

fn compare(one: &Measurement, other: &Measurement, floors: &[NoiseFloor]) -> Option<Comparison> {
    let pair = pair(one, other)?;
    let floor = floors.iter().find(|floor| floor.key.same_thing(&one.key));
    Some(Comparison {
        key: one.key.clone(),
        against: other.key.arm.to_string(),
        ratio: pair.ratio,
        difference: pair.difference,
        compared_as: pair.compared_as,
        noise_floor: floor.and_then(|floor| floor.floor),
        ruling: None,
    })
}

#[cfg(test)]
mod tests;
