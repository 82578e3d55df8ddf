//! What a chart shows, gathered from the analysis: a line for every arm, a point for every figure,
//! and the axis that holds them.

use super::axis::Axis;
use super::look::{Look, look};
use crate::experiment::{ChartPlan, Over};
use crate::report::analysis::Analysis;
use crate::report::figure::{figure, range};
use crate::report::figures::Measurement;
use crate::report::key::Lookup;
use crate::units::grouped;

/// With more lines than this their bands are a fog; the whiskers say the same.
const BANDS_MAX: usize = 6;

/// A chart, gathered and not yet drawn.
pub(in crate::report) struct Chart {
    pub(super) id: String,
    pub(super) plan: ChartPlan,
    pub(super) unit: &'static str,
    pub(super) series: Vec<Series>,
}

/// The line of an arm.
pub(super) struct Series {
    pub(super) arm: String,
    pub(super) look: Look,
    pub(super) points: Vec<Point>,
}

/// One figure.
pub(super) struct Point {
    pub(super) level: f64,
    pub(super) value: f64,
    pub(super) interval: Option<(f64, f64)>,
    pub(super) n: u32,
    pub(super) valid: bool,
    pub(super) says: String,
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

    /// Whether intervals are shown as bands too.
    pub(super) fn has_bands(&self) -> bool {
        self.series.len() <= BANDS_MAX
    }

    pub(super) fn points(&self) -> impl Iterator<Item = &Point> {
        self.series.iter().flat_map(|series| &series.points)
    }

    /// The axis of values: it holds every point, and of an interval what is not far beyond them, so
    /// that one wild interval does not press all lines flat.
    pub(super) fn y(&self) -> Axis {
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
        Axis::of_values(&values, self.unit, self.plan.y_log)
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
