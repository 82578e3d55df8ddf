//! Charts: one metric over a level, a line for every arm, with the interval of every point.
//!
//! A chart is first gathered from the analysis ([`Chart::new`]) and then drawn as inline SVG
//! ([`Chart::svg`]). An arm has the same colour, marker and dashes in every chart, because they
//! follow from its place in the campaign file. Colours come from the page's style sheet, so that
//! the same drawing serves light, dark and paper. Every coordinate is rounded: a rebuilt page is
//! the same page.

mod axis;
mod draw;
mod labels;

use maud::{Markup, html};

use super::analysis::Analysis;
use super::figures::Measurement;
use super::figure::{figure, range};
use super::key::Lookup;
use crate::experiment::{self, ChartPlan, Over};
use crate::units::grouped;

pub(super) use draw::marker;

/// How an arm looks in every chart: its place among the arms; the baseline is grey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// Number of its colour; 0 is the grey of the baseline.
    pub(super) colour: usize,
    /// Number of its marker.
    pub(super) marker: usize,
    /// Number of its dashes; 0 is a whole line.
    pub(super) dashes: usize,
}

/// Colours beside the grey of the baseline; the style sheet has as many.
pub(super) const COLOURS: usize = 6;
const MARKERS: usize = draw::SHAPES.len();
/// Dashes once the colours are used up; 1 is the baseline's.
const DASHES: [usize; 3] = [0, 2, 3];

/// The look of an arm.
pub(super) fn look(analysis: &Analysis, arm: &str) -> Look {
    // A twin is the same arm.
    let arm = if analysis.twin.as_deref() == Some(arm) { &analysis.reference } else { arm };
    if arm == analysis.baseline {
        return Look { colour: 0, marker: 0, dashes: 1 };
    }
    let others = analysis.arms.iter().filter(|other| **other != analysis.baseline);
    let place = others.take_while(|other| other.as_str() != arm).count();
    // Once the colours are used up, markers and dashes move on, so that no look comes back.
    let round = place / COLOURS;
    Look {
        colour: place % COLOURS + 1,
        marker: (place + round) % MARKERS + 1,
        dashes: DASHES[round % DASHES.len()],
    }
}

/// A chart, gathered and not yet drawn.
pub(super) struct Chart {
    id: String,
    plan: ChartPlan,
    unit: &'static str,
    series: Vec<Series>,
}

/// The line of an arm.
struct Series {
    arm: String,
    look: Look,
    points: Vec<Point>,
}

/// One figure.
struct Point {
    level: f64,
    value: f64,
    interval: Option<(f64, f64)>,
    n: u32,
    valid: bool,
    says: String,
}

/// The charts of an experiment.
pub(super) fn charts(analysis: &Analysis, experiment: &str) -> Vec<Chart> {
    let plans = experiment::find(experiment).map_or(&[][..], |e| e.charts());
    plans.iter().map(|plan| Chart::new(analysis, experiment, plan)).collect()
}

impl Chart {
    /// Gathers what a chart shows.
    pub(super) fn new(analysis: &Analysis, experiment: &str, plan: &ChartPlan) -> Self {
        let shown = || analysis.measurements.all_of(experiment, plan.metric);
        // Of a sweep of something else a chart over users shows the beginning: a line for every
        // level of it would be more lines than one can tell apart.
        let lowest = match plan.over {
            Over::Users => shown().map(|m| m.key.level).min().flatten(),
            Over::Level => None,
        };
        let series = |arm: &String| {
            let points: Vec<Point> = shown()
                .filter(|m| m.key.arm == *arm && (lowest.is_none() || m.key.level == lowest))
                .filter_map(|m| point(m, plan))
                .collect();
            let look = look(analysis, arm);
            (!points.is_empty()).then(|| Series { arm: arm.clone(), look, points })
        };
        Self {
            id: format!("{experiment}-{}", plan.metric.name),
            plan: *plan,
            unit: plan.metric.unit,
            series: analysis.arms.iter().filter_map(series).collect(),
        }
    }

    /// Its heading.
    pub(super) fn title(&self) -> &'static str {
        self.plan.title
    }

    /// What its marks mean, and what it rests on.
    pub(super) fn caption(&self) -> String {
        let points: Vec<&Point> = self.points().collect();
        let with: Vec<u32> = points.iter().filter(|p| p.interval.is_some()).map(|p| p.n).collect();
        let marks = if draw::has_bands(self) { "Whiskers and band" } else { "Whiskers" };
        let mut says = match (with.iter().min(), with.iter().max()) {
            _ if points.is_empty() => return "No trial measured this.".into(),
            (Some(least), Some(most)) if least == most => {
                format!("{marks}: 95 % interval over {least} blocks.")
            }
            (Some(least), Some(most)) => {
                format!("{marks}: 95 % interval over {least} to {most} blocks.")
            }
            _ => "One trial a point, so no interval.".into(),
        };
        let y = self.y();
        if points.iter().filter_map(|p| p.interval).any(|(lo, hi)| y.beyond(lo) || y.beyond(hi)) {
            says.push_str(" A whisker without an end goes on beyond the chart.");
        }
        if points.iter().any(|p| !p.valid) {
            says.push_str(" Hollow and crossed out: invalid, and in no answer.");
        }
        says
    }

    /// The drawing.
    pub(super) fn svg(&self) -> Markup {
        let arms: Vec<&str> = self.series.iter().map(|s| s.arm.as_str()).collect();
        let describes = match arms.as_slice() {
            [] => "No data.".to_string(),
            _ => format!(
                "{} over {}, one line each for {}. The tables below have the same figures.",
                self.plan.title,
                self.plan.x_label,
                arms.join(", ")
            ),
        };
        html! {
            @if self.series.is_empty() {
                p.nodata { "No data." }
            } @else {
                (draw::svg(self, &describes))
            }
        }
    }

    fn points(&self) -> impl Iterator<Item = &Point> {
        self.series.iter().flat_map(|series| &series.points)
    }

    /// The axis of values: it holds every point, and of an interval what is not far beyond them, so
    /// that one wild interval does not press all lines flat.
    fn y(&self) -> axis::Axis {
        let points: Vec<f64> = self.points().map(|p| p.value).collect();
        let top = points.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let bottom = points.iter().copied().fold(f64::INFINITY, f64::min);
        let (room_above, room_below) = if self.plan.y_log && bottom > 0.0 {
            (top * 3.0, bottom / 3.0)
        } else {
            let room = (top - bottom.min(0.0)) * 0.5;
            (top + room, bottom.min(-0.0) - if bottom < 0.0 { room } else { 0.0 })
        };
        let bounds = self.points().filter_map(|p| p.interval).flat_map(|(lo, hi)| [lo, hi]);
        let bounds = bounds.map(|bound| bound.clamp(room_below, room_above));
        let values: Vec<f64> = points.iter().copied().chain(bounds).collect();
        axis::Axis::of_values(&values, self.unit, self.plan.y_log)
    }
}

/// A figure of no level has no place on a level's axis, and one that is no number none anywhere.
fn point(m: &Measurement, plan: &ChartPlan) -> Option<Point> {
    let level = match plan.over {
        Over::Users => m.key.users?,
        Over::Level => u64::from(m.key.level?),
    };
    let finite = |(lo, hi): &(f64, f64)| lo.is_finite() && hi.is_finite();
    let invalid = if m.valid { "" } else { "INVALID: " };
    m.estimate.point.is_finite().then(|| Point {
        level: level as f64,
        value: m.estimate.point,
        interval: m.estimate.interval.filter(finite),
        n: m.estimate.n,
        valid: m.valid,
        says: format!(
            "{invalid}{}, {} {}: {} ({}, n = {})",
            m.key.arm,
            grouped(level),
            plan.x_label,
            figure(m.estimate.point, m.unit),
            range(&m.estimate, m.unit),
            m.estimate.n,
        ),
    })
}

#[cfg(test)]
mod tests;
