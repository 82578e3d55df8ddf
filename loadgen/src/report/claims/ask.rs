//! A test is asked of arms, or of pairs of arms: what each says before any correction.
//!
//! Figures come from the values of valid trials by block, so that any two arms of an experiment can
//! be compared, and each pair has the interval of its own paired differences.

use std::collections::BTreeMap;

use super::crossover;
use super::file::{By, Compared, Direction, File, Test, Traffic, Where};
use crate::experiment::Metric;
use crate::record::CaseOutcome;
use crate::report::analysis::Analysis;
use crate::report::figures::Measurement;
use crate::report::key::{Lookup, Place};
use crate::report::figure::{figure, range, signed, signed_range, times, times_range};
use crate::report::words;
use crate::stats::{CONFIDENCE, Estimate, Moments, log_ratios};
use crate::units::grouped;

/// A cell before the correction.
pub(super) struct Asked {
    pub(super) arm: String,
    pub(super) against: Option<String>,
    pub(super) counts: bool,
    /// Where it was measured; may be empty.
    pub(super) at: String,
    pub(super) said: Said,
}

/// What a cell says.
pub(super) enum Said {
    /// A fact that rests on no statistics.
    Fact {
        yes: bool,
        found: String,
    },
    Tested(Tested),
}

/// A figure, and the chance of so clear a yes or no were it not so; `None` where it has none.
pub(super) struct Tested {
    pub(super) yes: Option<f64>,
    pub(super) no: Option<f64>,
    pub(super) found: String,
    pub(super) estimate: Option<Estimate>,
    pub(super) unit: &'static str,
}

impl Said {
    pub(super) fn p_yes(&self) -> Option<f64> {
        match self {
            Self::Fact { .. } => None,
            Self::Tested(tested) => tested.yes,
        }
    }

    pub(super) fn p_no(&self) -> Option<f64> {
        match self {
            Self::Fact { .. } => None,
            Self::Tested(tested) => tested.no,
        }
    }
}

/// Values of valid trials by block.
pub(super) type Blocks = BTreeMap<u32, f64>;

/// What a cell says and where; `None` where it was not measured, or not validly.
pub(super) type Cell = Option<(String, Said)>;

/// The cells of a test that were measured, row by row.
pub(super) fn ask(file: &File, test: &Test, analysis: &Analysis) -> Vec<Asked> {
    let seen = Seen { analysis };
    let names = |patterns: &[String], arm: &str| file.names(patterns, arm, &analysis.baseline);
    let mut asked = Vec::new();
    for (patterns, counts) in [(&test.arms, true), (&test.also, false)] {
        for arm in analysis.arms.iter().filter(|arm| names(patterns, arm)) {
            let mut add = |against: Option<&String>, cell: Cell| {
                asked.extend(cell.map(|(at, said)| Asked {
                    arm: arm.clone(),
                    against: against.cloned(),
                    counts,
                    at,
                    said,
                }));
            };
            if test.against.is_empty() {
                add(None, seen.alone(&test.by, arm));
            }
            for other in analysis.arms.iter().filter(|other| names(&test.against, other)) {
                if other != arm {
                    add(Some(other), seen.pair(&test.by, arm, other));
                }
            }
        }
    }
    asked
}

/// A campaign as a test sees it.
pub(super) struct Seen<'a> {
    pub(super) analysis: &'a Analysis,
}

impl Seen<'_> {
    /// What an arm says by itself.
    fn alone(&self, by: &By, arm: &str) -> Cell {
        match by {
            By::Figure { experiments, metrics, above } => {
                let measured = |experiment: &String| {
                    let found = self.figures(experiment, metrics, arm);
                    (!found.is_empty()).then_some(found)
                };
                let found = experiments.iter().find_map(measured)?;
                Some((String::new(), beyond(&found, *above)))
            }
            By::Growth { experiment, metric, is, scale } => {
                let places = self.places(experiment, metric, &[arm]);
                let (few, many) = ends(&places)?;
                let [own, other] = [many, few].map(|place| self.at(experiment, metric, place, arm));
                let size = mean(other?);
                let tested =
                    contrast(&joined(own?, other?), *scale, *is, size, self.margin(metric));
                Some((between(experiment, few, many), tested))
            }
            By::Gate {} => self.gate(arm),
            By::Property { case, begins } => {
                let attacked = self.analysis.attacks.iter().find(|of| of.target == arm)?;
                let case = attacked.cases.iter().find(|of| of.id == *case)?;
                let yes = case.found.starts_with(begins);
                let fact = Said::Fact { yes, found: case.found.clone() };
                (case.outcome != CaseOutcome::NotApplicable).then(|| (String::new(), fact))
            }
            By::Pair { .. } | By::Crossover { .. } | By::Work { .. } | By::Distance { .. } => None,
        }
    }

    /// What an arm says against another.
    fn pair(&self, by: &By, arm: &str, against: &str) -> Cell {
        match by {
            By::Pair { experiment, metric, place, is, scale } => {
                let places = self.places(experiment, metric, &[arm, against]);
                let place = chosen(&places, *place)?;
                let own = self.at(experiment, metric, place, arm)?;
                let other = self.at(experiment, metric, place, against)?;
                let pairs = joined(own, other);
                let tested = contrast(&pairs, *scale, *is, mean(other), self.margin(metric));
                Some((format!("at {}", named(experiment, place)), tested))
            }
            By::Growth { experiment, metric, is, scale } => {
                let places = self.places(experiment, metric, &[arm, against]);
                let (few, many) = ends(&places)?;
                let at = |place, arm| self.at(experiment, metric, place, arm);
                let change = |arm| Some(ratio_or_difference(*scale, at(many, arm)?, at(few, arm)?));
                let pairs = joined(&change(arm)?, &change(against)?);
                let size = mean(at(few, arm)?);
                let tested = contrast(&pairs, *scale, *is, size, self.margin(metric));
                Some((between(experiment, few, many), tested))
            }
            By::Crossover { experiments, traffic } => {
                let mut prices = self.analysis.prices.clone();
                if *traffic == Traffic::Free {
                    prices.traffic_gb = 0.0;
                }
                crossover::ask(self, &prices, experiments, arm, against)
            }
            By::Work { experiment, metric } => self.work(experiment, metric, arm, against),
            By::Distance { experiment, metric } => self.distance(experiment, metric, arm, against),
            By::Figure { .. } | By::Gate {} | By::Property { .. } => None,
        }
    }

    pub(super) fn margin(&self, metric: &Metric) -> Margin {
        Margin { share: self.analysis.margin, unit: metric.unit }
    }

    /// The figures of an arm that may be used, of these metrics, over everything that was measured.
    fn figures(&self, experiment: &str, metrics: &[&Metric], arm: &str) -> Vec<&Measurement> {
        let wanted = |m: &&Measurement| {
            m.valid
                && m.key.arm == arm
                && m.key.experiment == experiment
                && metrics.contains(&m.key.metric)
        };
        self.analysis.measurements.iter().filter(wanted).collect()
    }

    /// The places at which all of these arms have a valid figure, ascending.
    pub(super) fn places(&self, experiment: &str, metric: &Metric, arms: &[&str]) -> Vec<Place> {
        let mut places = self.analysis.measurements.places(experiment, metric);
        places.retain(|place| {
            arms.iter().all(|arm| self.at(experiment, metric, *place, arm).is_some())
        });
        places
    }

    /// The values of an arm at a place, if they may be used.
    pub(super) fn at(
        &self,
        experiment: &str,
        metric: &Metric,
        place: Place,
        arm: &str,
    ) -> Option<&Blocks> {
        let found = self.analysis.measurements.find(experiment, metric, place, arm)?;
        (found.valid && !found.by_block.is_empty()).then_some(&found.by_block)
    }

    fn gate(&self, arm: &str) -> Cell {
        let attacks = &self.analysis.attacks;
        let attacked = attacks.iter().find(|of| of.target == arm && of.spared.is_none())?;
        let bad = attacked.bad().count();
        let found = match bad {
            0 => format!("{} cases, none got through", attacked.run()),
            bad => format!("{bad} of {} cases failed", attacked.run()),
        };
        Some((String::new(), Said::Fact { yes: bad == 0, found }))
    }
}

/// The first place and the last, where they are two.
pub(super) fn ends(places: &[Place]) -> Option<(Place, Place)> {
    let (few, many) = (*places.first()?, *places.last()?);
    (few != many).then_some((few, many))
}

fn chosen(places: &[Place], wanted: Where) -> Option<Place> {
    match wanted {
        Where::Most => places.last().copied(),
        Where::Fewest => places.first().copied(),
        Where::Users(users) => places.iter().copied().find(|place| place.1 == Some(users)),
        Where::Level(level) => places.iter().copied().find(|place| place.0 == Some(level)),
    }
}

fn named(experiment: &str, (level, users): Place) -> String {
    let users = users.map(|users| format!("{} users", grouped(users)));
    let swept = words::swept(experiment, level);
    users.map_or_else(|| swept.trim_start_matches(", ").to_owned(), |users| users + &swept)
}

fn between(experiment: &str, few: Place, many: Place) -> String {
    match (few, many) {
        ((None, Some(few)), (None, Some(_))) => {
            format!("from {} to {}", grouped(few), named(experiment, many))
        }
        _ => format!("from {} to {}", named(experiment, few), named(experiment, many)),
    }
}

pub(super) fn joined(own: &Blocks, other: &Blocks) -> Vec<(f64, f64)> {
    own.iter().filter_map(|(block, a)| Some((*a, *other.get(block)?))).collect()
}

pub(super) fn ratio_or_difference(scale: Compared, own: &Blocks, other: &Blocks) -> Blocks {
    let change = |(block, a): (&u32, &f64)| {
        let b = other.get(block)?;
        let change = match scale {
            Compared::Ratio => a / b,
            Compared::Difference => a - b,
        };
        Some((*block, change))
    };
    own.iter().filter_map(change).collect()
}

fn mean(values: &Blocks) -> f64 {
    values.values().sum::<f64>() / values.len() as f64
}

/// What counts as no difference: this share of a figure in this unit.
#[derive(Clone, Copy)]
pub(super) struct Margin {
    share: f64,
    unit: &'static str,
}

/// Whether the first of pairs is higher, or lower, than the second: yes where any difference is
/// shown, no where it is shown to be no larger than the margin, which for a difference is that
/// share of `size`.
pub(super) fn contrast(
    pairs: &[(f64, f64)],
    scale: Compared,
    is: Direction,
    size: f64,
    margin: Margin,
) -> Said {
    let (moments, bound, mut tested) = match scale {
        Compared::Ratio => {
            let moments = log_ratios(pairs).and_then(|logs| Moments::of(&logs));
            (moments, margin.share.ln_1p(), Tested::ratio(moments, pairs))
        }
        Compared::Difference => {
            let moments = Moments::of(&pairs.iter().map(|(a, b)| a - b).collect::<Vec<_>>());
            let tested = Tested::difference(moments, pairs, margin.unit);
            (moments, margin.share * size.abs(), tested)
        }
    };
    tested.yes = moments.map(|m| match is {
        Direction::Higher => m.p_above(0.0),
        Direction::Lower => m.p_below(0.0),
    });
    tested.no = moments.map(|m| match is {
        Direction::Higher => m.p_below(bound),
        Direction::Lower => m.p_above(-bound),
    });
    Said::Tested(tested)
}

impl Tested {
    pub(super) fn ratio(moments: Option<Moments>, pairs: &[(f64, f64)]) -> Self {
        let method = "paired by block, Student's t on log ratios";
        let estimate = moments.map(|moments| shown(moments, method, f64::exp));
        let found = match (&estimate, pairs) {
            (Some(estimate), _) => with_interval(&times(estimate.point), estimate, times_range),
            (None, [(a, b)]) => format!("{}, one block", times(a / b)),
            (None, _) => "values without a ratio".into(),
        };
        Self { yes: None, no: None, found, estimate, unit: "ratio" }
    }

    fn difference(moments: Option<Moments>, pairs: &[(f64, f64)], unit: &'static str) -> Self {
        let method = "paired by block, Student's t on differences";
        let estimate = moments.map(|moments| shown(moments, method, |value| value));
        let found = match (&estimate, pairs) {
            (Some(estimate), _) => {
                with_interval(&signed(estimate.point, unit), estimate, |e| signed_range(e, unit))
            }
            (None, [(a, b)]) => format!("{}, one block", signed(a - b, unit)),
            (None, _) => "no block with both".into(),
        };
        Self { yes: None, no: None, found, estimate, unit }
    }
}

/// An estimate from moments; what is exact has no interval.
pub(super) fn shown(moments: Moments, method: &str, scale: impl Fn(f64) -> f64) -> Estimate {
    let (lo, hi) = moments.interval(CONFIDENCE);
    let exact = moments.error <= 1e-12 * moments.mean.abs();
    Estimate {
        point: scale(moments.mean),
        interval: (!exact).then(|| (scale(lo), scale(hi))),
        n: moments.n,
        method: if exact { "the same in every block".into() } else { method.into() },
    }
}

/// A figure and its interval, if it has one.
pub(super) fn with_interval(
    figure: &str,
    estimate: &Estimate,
    range: impl Fn(&Estimate) -> String,
) -> String {
    match estimate.interval {
        Some(_) => format!("{figure} ({})", range(estimate)),
        None => figure.into(),
    }
}

/// Whether one of the figures lies above a bound: yes where one is shown to, no where all are shown
/// not to.
fn beyond(found: &[&Measurement], bound: f64) -> Said {
    let moments: Vec<Option<Moments>> = found.iter().map(|m| moments_of(m)).collect();
    let above = moments.iter().flatten().map(|m| m.p_above(bound));
    let below: Option<Vec<f64>> =
        moments.iter().map(|m| Some(m.as_ref()?.p_below(bound))).collect();
    let described = |(m, moments): (&&Measurement, &Option<Moments>)| {
        let estimate = moments.map(|moments| shown(moments, "mean of trials, Student's t", |v| v));
        let label = words::in_a_sentence(m.key.metric);
        let at = words::swept(&m.key.experiment, m.key.level.filter(|level| *level > 0));
        let shown = match &estimate {
            Some(of) => with_interval(&figure(of.point, m.unit), of, |of| range(of, m.unit)),
            None => format!("{}, one block", figure(m.estimate.point, m.unit)),
        };
        (format!("{label}{at}: {shown}"), estimate)
    };
    let (texts, estimates): (Vec<String>, Vec<Option<Estimate>>) =
        found.iter().zip(&moments).map(described).unzip();
    let alone = found.len() == 1;
    Said::Tested(Tested {
        // One of several may say yes: the smallest p value counts as often as there are figures.
        yes: above.reduce(f64::min).map(|p| (p * found.len() as f64).min(1.0)),
        no: below.and_then(|all| all.into_iter().reduce(f64::max)),
        found: texts.join("; "),
        estimate: estimates.into_iter().next().flatten().filter(|_| alone),
        unit: found.first().filter(|_| alone).map_or("", |m| m.unit),
    })
}

/// Mean and error over the blocks of a figure, on the plain scale, as its bound is.
fn moments_of(m: &Measurement) -> Option<Moments> {
    Moments::of(&m.by_block.values().copied().collect::<Vec<_>>())
}
