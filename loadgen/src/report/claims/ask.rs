//! A test is asked of arms, or of pairs of arms: what each says before any correction.

use std::collections::BTreeSet;

use super::crossover;
use super::file::{By, File, Test, Traffic, Where};
use super::seen::{
    Cell, Said, Seen, Tested, contrast, ends, joined, mean, named, ratio_or_difference, shown,
    with_interval,
};
use crate::experiment::metric::{self, Metric};
use crate::record::CaseOutcome;
use crate::report::analysis::Analysis;
use crate::report::figure::{figure, range};
use crate::report::figures::Measurement;
use crate::report::key::Place;
use crate::report::words;
use crate::stats::{Estimate, Moments};
use crate::units::grouped;

/// A cell before the correction.
pub(super) struct Asked {
    pub(super) arm: String,
    pub(super) against: Option<String>,
    pub(super) counts: bool,
    /// Where it was measured, in parts between semicolons; may be empty.
    pub(super) at: String,
    pub(super) said: Said,
}

/// Whether a test would have had a cell if every figure were valid: its arms were measured, and not
/// all of it may be used.
pub(super) fn lacks_valid(file: &File, test: &Test, analysis: &Analysis) -> bool {
    let (experiments, metrics, is_change): (Vec<&String>, Vec<&Metric>, bool) = match &test.by {
        By::Figure { experiments, metrics, .. } => {
            (experiments.iter().collect(), metrics.to_vec(), false)
        }
        By::Crossover { experiments, .. } => {
            (experiments.iter().collect(), vec![metric::CPU_US_PER_REQUEST], false)
        }
        By::Pair { experiment, metric, .. } => (vec![experiment], vec![metric], false),
        By::Growth { experiment, metric, .. }
        | By::Work { experiment, metric }
        | By::Distance { experiment, metric, .. } => (vec![experiment], vec![metric], true),
        By::Gate {} | By::Property { .. } => return false,
    };
    let measured = |patterns: &[String]| -> Vec<&Measurement> {
        let is_of_test = |m: &&Measurement| {
            experiments.contains(&&m.key.experiment)
                && metrics.contains(&m.key.metric)
                && file.names(patterns, &m.key.arm, &analysis.baseline)
        };
        analysis.measurements.iter().filter(is_of_test).collect()
    };
    let (own, others) = (measured(&test.arms), measured(&test.against));
    let places: BTreeSet<Place> = own.iter().map(|m| m.key.place()).collect();
    !own.is_empty()
        && (test.against.is_empty() || !others.is_empty())
        && (!is_change || places.len() > 1)
        && own.iter().chain(&others).any(|m| !m.valid)
}

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
            By::Growth { experiment, metric, is, scale, margin } => {
                let places = self.places(experiment, metric, &[arm]);
                let (few, many) = ends(&places)?;
                let [own, other] = [many, few].map(|place| self.at(experiment, metric, place, arm));
                let size = mean(other?);
                let margin = self.margin(metric, *margin);
                // One arm at two levels: an A/A pair says nothing of that.
                let tested = contrast(&joined(own?, other?), *scale, *is, size, (margin, &[]));
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
            By::Pair { experiment, metric, place, is, scale, margin } => {
                let places = self.places(experiment, metric, &[arm, against]);
                let place = chosen(&places, *place)?;
                let values = |arm: &str| self.at(experiment, metric, place, arm);
                let both = |arm: &str, against: &str| Some(joined(values(arm)?, values(against)?));
                let (size, twins) = (mean(values(against)?), self.twins(both));
                let margin = self.margin(metric, *margin);
                let tested = contrast(&both(arm, against)?, *scale, *is, size, (margin, &twins));
                Some((format!("at {}", named(experiment, place)), tested))
            }
            By::Growth { experiment, metric, is, scale, margin } => {
                let places = self.places(experiment, metric, &[arm, against]);
                let (few, many) = ends(&places)?;
                let values = |place, arm: &str| self.at(experiment, metric, place, arm);
                let change = |arm: &str| {
                    Some(ratio_or_difference(*scale, values(many, arm)?, values(few, arm)?))
                };
                let both =
                    |arm: &str, against: &str| Some(joined(&change(arm)?, &change(against)?));
                let (size, twins) = (mean(values(few, arm)?), self.twins(both));
                let margin = self.margin(metric, *margin);
                let tested = contrast(&both(arm, against)?, *scale, *is, size, (margin, &twins));
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
            By::Distance { experiment, metric, margin } => {
                self.distance(experiment, (metric, *margin), arm, against)
            }
            By::Figure { .. } | By::Gate {} | By::Property { .. } => None,
        }
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

fn chosen(places: &[Place], wanted: Where) -> Option<Place> {
    match wanted {
        Where::Most => places.last().copied(),
        Where::Fewest => places.first().copied(),
        Where::Users(users) => places.iter().copied().find(|place| place.1 == Some(users)),
        Where::Level(level) => places.iter().copied().find(|place| place.0 == Some(level)),
    }
}

fn between(experiment: &str, few: Place, many: Place) -> String {
    match (few, many) {
        ((None, Some(few)), (None, Some(_))) => {
            format!("from {} to {}", grouped(few), named(experiment, many))
        }
        _ => format!("from {} to {}", named(experiment, few), named(experiment, many)),
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
    let unit = found.first().map_or("", |m| m.unit);
    Said::Tested(Tested {
        // One of several may say yes: the smallest p value counts as often as there are figures.
        yes: above.reduce(f64::min).map(|p| (p * found.len() as f64).min(1.0)),
        no: below.and_then(|all| all.into_iter().reduce(f64::max)),
        found: texts.join("; "),
        estimate: estimates.into_iter().next().flatten().filter(|_| alone),
        unit: if alone { unit } else { "" },
        undecided: format!("lies on both sides of {}", figure(bound, unit)),
        is_difference: false,
        is_beneath_floor: false,
    })
}

/// Mean and error over the blocks of a figure, on the plain scale, as its bound is.
fn moments_of(m: &Measurement) -> Option<Moments> {
    Moments::of(&m.by_block.values().copied().collect::<Vec<_>>())
}
