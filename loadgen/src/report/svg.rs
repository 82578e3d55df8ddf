//! `charts.svg`: the first charts on one sheet, for a README or a slide; the page has them all.
//!
//! The drawings and the style sheet are those of the page, so the sheet follows the reader's light
//! or dark too. It is no part of what a campaign leaves; `authbench report DIR --format svg` makes
//! it.

use maud::{Markup, PreEscaped, html};

use super::analysis::Analysis;
use super::chart::{Chart, charts};
use super::html::STYLE;

const COLUMNS: usize = 2;
const MOST: usize = 6;
/// Width of a chart with the space beside it, and height with its heading.
const CELL: (usize, usize) = (520, 350);
const MARGIN: usize = 18;

/// Sets the first charts on one sheet.
pub(super) fn render(analysis: &Analysis) -> String {
    let all: Vec<Chart> = analysis
        .experiments
        .iter()
        .flat_map(|experiment| charts(analysis, &experiment.name))
        .take(MOST)
        .collect();
    let (width, height) = (COLUMNS * CELL.0, all.len().div_ceil(COLUMNS) * CELL.1);
    let sheet = html! {
        svg.sheet xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {width} {height}"))
            width=(width) height=(height) font-family="system-ui, sans-serif" {
            style {
                (PreEscaped(STYLE))
                // Within a sheet a drawing has the size it was drawn at.
                ".sheet .chart { width: auto; height: auto; }"
            }
            rect width=(width) height=(height) fill="var(--paper)" {}
            @for (place, chart) in all.iter().enumerate() { (cell(place, chart)) }
        }
    };
    let mut text = sheet.into_string();
    text.push('\n');
    text
}

fn cell(place: usize, chart: &Chart) -> Markup {
    let (x, y) = (place % COLUMNS * CELL.0 + MARGIN, place / COLUMNS * CELL.1 + MARGIN);
    html! {
        g transform=(format!("translate({x} {y})")) {
            text y="14" fill="var(--ink)" font-size="17" font-weight="620" { (chart.title()) }
            g transform="translate(0 24)" { (chart.svg()) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chart_is_on_the_sheet_and_every_element_is_closed() {
        let analysis = crate::report::tests::sample::analysis();
        let sheet = render(&analysis);
        let charts: usize =
            analysis.experiments.iter().map(|e| charts(&analysis, &e.name).len()).sum();
        assert!(charts > 1);
        assert_eq!(sheet.matches("<svg class=\"chart\"").count(), charts);
        // A sheet is XML: unlike on a page, each opening tag needs its end.
        let opened = sheet.matches('<').count() - sheet.matches("</").count();
        assert_eq!(opened, sheet.matches("</").count());
    }
}
