//! Charts: one metric over a level, a line for every arm, with the interval of every point.
//!
//! A chart is first gathered from the analysis ([`Chart::new`]) and then drawn as inline SVG
//! ([`Chart::svg`]). An arm has the same colour, marker and dashes in every chart, because they
//! follow from its place in the campaign file. Colours come from the page's style sheet, so that
//! the same drawing serves light, dark and paper. Every coordinate is rounded: a rebuilt page is
//! the same page.

mod axis;
mod draw;
mod gather;
mod labels;
mod look;
mod page;

use maud::{Markup, html};

use super::analysis::Analysis;
use crate::experiment;
use gather::Point;

pub(super) use gather::Chart;
pub(super) use page::{Figure, Section, arm_name, glyph, look, page_figures, shapes};

/// The charts of an experiment.
pub(super) fn charts(analysis: &Analysis, experiment: &str) -> Vec<Chart> {
    let plans = experiment::find(experiment).map_or(&[][..], |e| e.charts());
    plans.iter().map(|plan| Chart::new(analysis, experiment, plan)).collect()
}

impl Chart {
    /// Its heading.
    pub(super) fn title(&self) -> &'static str {
        self.plan.title
    }

    /// What its marks mean, and what it rests on.
    pub(super) fn caption(&self) -> String {
        let points: Vec<&Point> = self.points().collect();
        let with: Vec<u32> = points.iter().filter(|p| p.interval.is_some()).map(|p| p.n).collect();
        let marks = if self.has_bands() { "Whiskers and band" } else { "Whiskers" };
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
}

#[cfg(test)]
mod tests;
