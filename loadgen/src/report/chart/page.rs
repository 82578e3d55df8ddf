//! The charts of a report as figures of its page, each with its section; and how an arm looks on
//! it: family, shape and hollowness follow from its name alone, its colour from the style sheet.

use maud::{Markup, html};

use super::charts;
use crate::report::analysis::Analysis;

/// A chart of the page.
pub(in crate::report) struct Figure {
    /// Where it belongs.
    pub(in crate::report) section: Section,
    /// Unique on the page; its heading is `chart-ID`.
    #[allow(dead_code)]
    pub(in crate::report) id: String,
    /// The whole `figure`.
    pub(in crate::report) markup: Markup,
}

/// Sections of the page that have charts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::report) enum Section {
    /// Latency over offered rate.
    Rate,
    /// Over concurrent users.
    Users,
    /// Response times of all requests.
    #[allow(dead_code)]
    Percentiles,
    /// What grows as state grows.
    Growth,
    /// Over logged-in users.
    Population,
    /// Distance of the store and work of the handler.
    Context,
    /// Where two arms cost the same.
    #[allow(dead_code)]
    Crossover,
    /// The reference compared with itself.
    #[allow(dead_code)]
    Certainty,
    /// What belongs to no other.
    Other,
}

/// How an arm is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) struct Look {
    /// `floor`, `session`, `token`, `hybrid`, or `other`.
    pub(in crate::report) family: &'static str,
    /// The symbol, one of [`shapes`].
    pub(in crate::report) shape: &'static str,
    /// Whether the symbol is hollow.
    pub(in crate::report) open: bool,
}

/// The look of an arm.
pub(in crate::report) fn look(arm: &str) -> Look {
    let begins = |start: &[&str]| start.iter().any(|start| arm.starts_with(start));
    let (family, shape) = match arm {
        "none" => ("floor", "circle"),
        _ if begins(&["jwt-denylist", "jwt-refresh"]) => ("hybrid", "diamond"),
        _ if begins(&["session", "opaque"]) => ("session", "circle"),
        _ if begins(&["jwt", "jwe", "paseto", "cookie-sealed"]) => ("token", "down"),
        _ => ("other", "circle"),
    };
    Look { family, shape, open: arm == "none" }
}

/// The symbols, once per page.
pub(in crate::report) fn shapes() -> Markup {
    html! {
        svg.shapes aria-hidden="true" {
            symbol #shape-circle viewBox="-7 -7 14 14" overflow="visible" { circle r="4.6" {} }
            symbol #shape-down viewBox="-7 -7 14 14" overflow="visible" {
                path d="M0 5.4L5 -3.8H-5Z" {}
            }
            symbol #shape-diamond viewBox="-7 -7 14 14" overflow="visible" {
                path d="M0 -5.8L5.8 0L0 5.8L-5.8 0Z" {}
            }
        }
    }
}

/// The symbol of an arm, wherever the arm is named.
pub(in crate::report) fn glyph(arm: &str) -> Markup {
    let Look { family, shape, open } = look(arm);
    html! {
        svg.glyph.open[open] viewBox="-7 -7 14 14" aria-hidden="true" data-arm=(arm)
            data-family=(family) {
            use href={ "#shape-" (shape) } x="-7" y="-7" width="14" height="14" {}
        }
    }
}

/// An arm's symbol and name.
pub(in crate::report) fn arm_name(arm: &str) -> Markup {
    html! { span.arm-name { (glyph(arm)) (arm) } }
}

/// The charts of the page.
pub(in crate::report) fn page_figures(analysis: &Analysis) -> Vec<Figure> {
    let section = |experiment: &str| match experiment {
        "curve" | "capacity" => Section::Rate,
        "concurrency" => Section::Users,
        "cart" | "denylist" => Section::Growth,
        "population" | "memory" => Section::Population,
        "context" => Section::Context,
        _ => Section::Other,
    };
    let of_experiment = |experiment: &str| {
        let drawn = charts(analysis, experiment);
        drawn.into_iter().filter(|chart| !chart.series.is_empty()).collect::<Vec<_>>()
    };
    let all = analysis.experiments.iter().flat_map(|experiment| {
        of_experiment(&experiment.name).into_iter().map(|chart| {
            let heading = format!("chart-{}", chart.id);
            let markup = html! {
                figure.chart.card data-chart=(chart.id) data-x-name="" data-x-unit=""
                    data-y-name=(chart.title()) data-unit=(chart.unit) {
                    figcaption {
                        h3 id=(heading) { (chart.title()) }
                        span.note { (chart.caption()) }
                    }
                    div.plot { (chart.svg()) }
                }
            };
            Figure { section: section(&experiment.name), id: chart.id, markup }
        })
    });
    all.collect()
}
