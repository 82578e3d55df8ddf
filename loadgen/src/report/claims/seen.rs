//! A campaign as a test sees it: values of valid trials by block, so that any two arms of an
//! experiment can be compared, and each pair has the interval of its own paired differences.

use std::collections::BTreeMap;

use super::file::{Compared, Direction};
use crate::experiment::Metric;
use crate::report::analysis::Analysis;
use crate::report::figure::{figure, range, signed, signed_range, times, times_range};
use crate::report::figures::Measurement;
use crate::report::key::{Lookup, Place};
use crate::report::words;
use crate::stats::{CONFIDENCE, Estimate, Floor, Moments, log_ratios};
use crate::units::counted;

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
#[derive(Default)]
pub(super) struct Tested {
    pub(super) yes: Option<f64>,
    pub(super) no: Option<f64>,
    pub(super) found: String,
    pub(super) estimate: Option<Estimate>,
    pub(super) unit: &'static str,
    /// Whether the reference differs from itself by as much.
    pub(super) is_beneath_floor: bool,
    /// What its interval does where it decides nothing: `lies on both sides of the margin`.
    pub(super) undecided: String,
    /// Whether the figure is a difference, which has a sign.
    pub(super) is_difference: bool,
}

impl Tested {
    /// Its interval as people read it, if one figure decides and has one.
    pub(super) fn interval(&self) -> Option<String> {
        let estimate = self.estimate.as_ref().filter(|estimate| estimate.interval.is_some())?;
        Some(match self.unit {
            "ratio" => times_range(estimate),
            unit if self.is_difference => signed_range(estimate, unit),
            unit => range(estimate, unit),
        })
    }
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

/// A campaign as a test sees it.
pub(super) struct Seen<'a> {
    pub(super) analysis: &'a Analysis,
}

impl Seen<'_> {
    /// The margin that a test states, or that of the report.
    pub(super) fn margin(&self, metric: &Metric, stated: Option<f64>) -> Margin {
        let share = stated.unwrap_or(self.analysis.margin);
        Margin { share, unit: metric.unit, is_stated: stated.is_some() }
    }

    /// What is said of the reference and its second run, as of any two arms; empty where they have
    /// no figures.
    pub(super) fn twins(
        &self,
        pairs: impl FnOnce(&str, &str) -> Option<Vec<(f64, f64)>>,
    ) -> Vec<(f64, f64)> {
        let twin = self.analysis.twin.as_ref();
        twin.and_then(|twin| pairs(twin, &self.analysis.reference)).unwrap_or_default()
    }

    /// The figures of an arm that may be used, of these metrics, over everything that was measured.
    pub(super) fn figures(
        &self,
        experiment: &str,
        metrics: &[&Metric],
        arm: &str,
    ) -> Vec<&Measurement> {
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
}

/// A place as words.
pub(super) fn named(experiment: &str, (level, users): Place) -> String {
    let users = users.map(|users| counted(users, "user"));
    let swept = words::swept(experiment, level);
    users.map_or_else(|| swept.trim_start_matches(", ").to_owned(), |users| users + &swept)
}

/// The first place and the last, where they are two.
pub(super) fn ends(places: &[Place]) -> Option<(Place, Place)> {
    let (few, many) = (*places.first()?, *places.last()?);
    (few != many).then_some((few, many))
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

pub(super) fn mean(values: &Blocks) -> f64 {
    values.values().sum::<f64>() / values.len() as f64
}

/// What counts as no difference: this share of a figure in this unit.
#[derive(Clone, Copy)]
pub(super) struct Margin {
    share: f64,
    unit: &'static str,
    /// Whether the claim states it, because its words say more than that there is a difference.
    is_stated: bool,
}

/// Whether the first of pairs is higher, or lower, than the second: yes if any difference is shown,
/// or one above the margin if the claim states one; no if it is shown to be no larger than the
/// margin, which for a difference is that share of `size`. `twins` are the pairs of the reference
/// and itself, empty in a campaign without an A/A pair.
pub(super) fn contrast(
    pairs: &[(f64, f64)],
    scale: Compared,
    is: Direction,
    size: f64,
    (margin, twins): (Margin, &[(f64, f64)]),
) -> Said {
    let moments = moments_of(pairs, scale);
    let (bound, mut tested) = match scale {
        Compared::Ratio => (margin.share.ln_1p(), Tested::ratio(moments, pairs)),
        Compared::Difference => {
            (margin.share * size.abs(), Tested::difference(moments, pairs, margin.unit))
        }
    };
    tested.is_beneath_floor = match (moments, Floor::of(moments_of(twins, scale))) {
        (Some(moments), Floor::At(floor)) => moments.mean.abs() <= floor,
        _ => false,
    };
    let least = if margin.is_stated { bound } else { 0.0 };
    if margin.is_stated && scale == Compared::Difference && moments.is_some() {
        tested.found.push_str(&format!(", margin {}", figure(bound, margin.unit)));
    }
    let toward = if is == Direction::Lower { -1.0 } else { 1.0 };
    let margin_of = match scale {
        Compared::Ratio => times((toward * bound).exp()),
        Compared::Difference => signed(toward * bound, margin.unit),
    };
    tested.undecided = if margin.is_stated {
        format!("holds the margin, {margin_of}")
    } else {
        format!("holds no difference and the margin, {margin_of}")
    };
    tested.yes = moments.map(|m| match is {
        Direction::Higher => m.p_above(least),
        Direction::Lower => m.p_below(-least),
    });
    tested.no = moments.map(|m| match is {
        Direction::Higher => m.p_below(bound),
        Direction::Lower => m.p_above(-bound),
    });
    Said::Tested(tested)
}

/// Of paired differences, on the scale on which they are compared.
fn moments_of(pairs: &[(f64, f64)], scale: Compared) -> Option<Moments> {
    match scale {
        Compared::Ratio => Moments::of(&log_ratios(pairs)?),
        Compared::Difference => Moments::of(&pairs.iter().map(|(a, b)| a - b).collect::<Vec<_>>()),
    }
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
        Self { found, estimate, unit: "ratio", ..Self::default() }
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
        Self { found, estimate, unit, is_difference: true, ..Self::default() }
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
