//! What a chart shows, gathered and not yet drawn: series of figures over an axis, each figure with
//! its interval and n. The values are those of the analysis, unchanged.

use super::axis::Axis;
use crate::stats::Estimate;

/// A chart.
#[derive(Clone)]
pub(super) struct Drawing {
    /// Unique on the page.
    pub(super) id: String,
    pub(super) title: String,
    /// How to read it.
    pub(super) note: String,
    /// Whether it takes the full width of the page.
    pub(super) is_wide: bool,
    pub(super) across: Across,
    /// What its values are.
    pub(super) name: String,
    /// Unit of its values.
    pub(super) unit: &'static str,
    /// Whether values are spaced by their ratios.
    pub(super) is_log: bool,
    pub(super) series: Vec<Series>,
    /// A line across at this value, and what it is.
    pub(super) limit: Option<(f64, String)>,
    /// Points where two lines cross.
    pub(super) rings: Vec<(f64, f64)>,
}

/// What the figures lie over.
#[derive(Clone)]
pub(super) struct Across {
    pub(super) name: String,
    pub(super) unit: &'static str,
    pub(super) places: Places,
}

/// The places of figures.
#[derive(Clone)]
pub(super) enum Places {
    /// Levels, by their ratios if that is said.
    Levels { is_log: bool },
    /// Values of a unit, from 0.
    Values,
    /// Percents of the requests.
    Percentiles,
    /// Words from left to right, and what some of them have in common: its first and last place.
    Words { words: Vec<String>, groups: Vec<(usize, usize, String)> },
    /// Rows from the top, each with its name; values lie along them.
    Rows(Vec<String>),
}

/// Figures of an arm, or of a metric.
#[derive(Clone, Default)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) points: Vec<Point>,
    /// Figures of single loads, drawn small.
    pub(super) dots: Vec<Point>,
    /// Block, place and value of single trials.
    pub(super) trials: Vec<(u32, f64, f64)>,
}

/// One figure.
#[derive(Clone)]
pub(super) struct Point {
    /// Where it is: a level, a value, or the number of a word or row.
    pub(super) x: f64,
    pub(super) estimate: Estimate,
    /// Whether it may be used.
    pub(super) valid: bool,
    /// Whether it is of a load that did not hold.
    pub(super) failed: bool,
    /// What else to say of it.
    pub(super) note: String,
    /// Whether no line leads to it from the point before.
    pub(super) begins: bool,
}

impl Point {
    pub(super) fn new(x: f64, estimate: Estimate) -> Self {
        Self { x, estimate, valid: true, failed: false, note: String::new(), begins: false }
    }

    pub(super) fn y(&self) -> f64 {
        self.estimate.point
    }

    /// Its interval, if it has ends.
    pub(super) fn interval(&self) -> Option<(f64, f64)> {
        self.estimate.interval.filter(|(lo, hi)| lo.is_finite() && hi.is_finite())
    }
}

impl Drawing {
    pub(super) fn is_rows(&self) -> bool {
        matches!(self.across.places, Places::Rows(_))
    }

    /// Every figure, large and small.
    pub(super) fn figures(&self) -> impl Iterator<Item = &Point> {
        self.series.iter().flat_map(|series| series.points.iter().chain(&series.dots))
    }

    /// What a place is, where it has a word and no number.
    pub(super) fn word(&self, x: f64) -> Option<String> {
        let place = x as usize;
        match &self.across.places {
            Places::Words { words, groups } => {
                let word = words.get(place)?;
                let group =
                    groups.iter().find(|(first, last, _)| (*first..=*last).contains(&place));
                Some(group.map_or_else(|| word.clone(), |(.., of)| format!("{word}, {of}")))
            }
            Places::Rows(rows) => rows.get(place).cloned(),
            _ => None,
        }
    }

    /// The axis of values: it holds every figure, and of an interval what is not far beyond them,
    /// so that one wild interval does not press all lines flat.
    pub(super) fn values(&self) -> Axis {
        let points: Vec<f64> = self.figures().map(Point::y).collect();
        let top = points.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let bottom = points.iter().copied().fold(f64::INFINITY, f64::min);
        let (room_above, room_below) = if self.is_log && bottom > 0.0 {
            (top * 3.0, bottom / 3.0)
        } else {
            let room = (top - bottom.min(0.0)) * 0.5;
            (top + room, bottom.min(-0.0) - if bottom < 0.0 { room } else { 0.0 })
        };
        let bounds = self.figures().filter_map(Point::interval).flat_map(|(lo, hi)| [lo, hi]);
        let trials = self.series.iter().flat_map(|series| &series.trials).map(|trial| trial.2);
        let around = bounds.chain(trials).map(|bound| bound.clamp(room_below, room_above));
        let limit = self.limit.iter().map(|(value, _)| *value);
        let values: Vec<f64> = points.iter().copied().chain(around).chain(limit).collect();
        Axis::of_values(&values, self.unit, self.is_log)
    }

    /// The axis of places; `characters` of labels fit on it.
    pub(super) fn places(&self, characters: usize) -> Axis {
        let places: Vec<f64> = self.figures().map(|point| point.x).collect();
        match &self.across.places {
            Places::Levels { is_log } => Axis::of_levels(&places, *is_log, characters),
            Places::Values => Axis::of_levels(&places, false, characters),
            Places::Percentiles => {
                let mut percents = places;
                percents.sort_by(f64::total_cmp);
                percents.dedup();
                Axis::of_percentiles(&percents)
            }
            Places::Words { words, .. } | Places::Rows(words) => Axis::of_words(words),
        }
    }
}
