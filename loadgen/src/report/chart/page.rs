//! The charts of a report as figures of its page, each complete: heading, how to read it, drawing,
//! and its figures as a table.

use maud::{Markup, html};

use super::draw::{Frame, inside};
use super::drawing::{Drawing, Places};
use super::sweep::sweeps;
use super::table::table;
use super::{certainty, context, crossover, percentiles, rate};
use crate::report::analysis::Analysis;

/// Up to so many arms a chart names where not all are measured.
const FEW: usize = 2;

/// A chart of the page.
pub(in crate::report) struct Figure {
    /// Where it belongs.
    pub(in crate::report) section: Section,
    /// The arms that it shows.
    pub(in crate::report) arms: Vec<String>,
    /// The whole `figure`.
    pub(in crate::report) markup: Markup,
}

/// Sections of the page that have charts, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::report) enum Section {
    /// Latency over offered rate.
    Rate,
    /// Over concurrent users.
    Users,
    /// Response times of all requests.
    Percentiles,
    /// What grows as state grows.
    Growth,
    /// Over logged-in users.
    Population,
    /// Distance of the store and work of the handler.
    Context,
    /// Where two arms cost the same.
    Crossover,
    /// The reference compared with itself.
    Certainty,
    /// What belongs to no other.
    Other,
}

/// Every chart that has a figure, with its section, in the order of the page.
pub(super) fn drawings(analysis: &Analysis) -> Vec<(Section, Drawing)> {
    let mut all: Vec<(Section, Drawing)> = Vec::new();
    let rate = rate::rate(analysis);
    let has_rate = rate.is_some();
    all.extend(rate.map(|drawing| (Section::Rate, drawing)));
    for experiment in &analysis.experiments {
        let section = section(&experiment.name);
        let shown = sweeps(analysis, &experiment.name);
        // The chart over the rate, the drills and the matrix have the same figures.
        let is_shown_elsewhere = |id: &str| match id {
            "curve-response_p99_us" => has_rate,
            "replicas-round_robin_refused_share" | "replicas-lost_after_death_share" => true,
            _ => false,
        };
        let shown = shown.into_iter().filter(|of| !is_shown_elsewhere(&of.id));
        all.extend(shown.map(|drawing| (section, told(analysis, section, drawing))));
    }
    all.extend(percentiles::percentiles(analysis).map(|of| (Section::Percentiles, of)));
    all.extend(context::context(analysis).into_iter().map(|of| (Section::Context, of)));
    all.extend(crossover::crossover(analysis).map(|of| (Section::Crossover, of)));
    all.extend(certainty::certainty(analysis).map(|of| (Section::Certainty, of)));
    all.sort_by_key(|(section, _)| *section);
    all
}

/// A chart whose title says what grows, where a section has several that do, and whose note names
/// its arms where they are few.
fn told(analysis: &Analysis, section: Section, mut drawing: Drawing) -> Drawing {
    let along = &drawing.across.name;
    if section == Section::Growth && !along.is_empty() && !drawing.is_rows() {
        drawing.title = format!("{}, over {along}", drawing.title);
    }
    let names: Vec<&str> = drawing.series.iter().map(|series| series.name.as_str()).collect();
    if names.len() <= FEW && names.len() < analysis.arms.len() {
        drawing.note.push_str(&format!(" Measured of {} only.", names.join(" and ")));
    }
    drawing
}

fn section(experiment: &str) -> Section {
    match experiment {
        "curve" | "capacity" => Section::Rate,
        "concurrency" => Section::Users,
        "cart" | "denylist" => Section::Growth,
        "population" | "memory" => Section::Population,
        _ => Section::Other,
    }
}

/// The charts of the page.
pub(in crate::report) fn page_figures(analysis: &Analysis) -> Vec<Figure> {
    let figure = |(section, drawing): (Section, Drawing)| Figure {
        section,
        arms: drawing.series.iter().map(|series| series.name.clone()).collect(),
        markup: markup(analysis, section, &drawing),
    };
    drawings(analysis).into_iter().map(figure).collect()
}

/// A chart that stands alone.
pub(in crate::report) struct Alone {
    pub(in crate::report) id: String,
    pub(in crate::report) title: String,
    /// How to read it, in a line.
    pub(in crate::report) says: String,
    /// What its series are called.
    pub(in crate::report) series: Vec<String>,
    pub(in crate::report) width: f64,
    pub(in crate::report) height: f64,
    pub(in crate::report) drawn: Markup,
}

/// The charts of the page without it; those that are wide there are so here if that is wanted.
pub(in crate::report) fn alone(analysis: &Analysis, keeps_wide: bool) -> Vec<Alone> {
    let alone = |(_, mut drawing): (Section, Drawing)| {
        drawing.is_wide &= keeps_wide;
        let frame = Frame::new(&drawing);
        Alone {
            says: drawing.note.split_inclusive(". ").next().unwrap_or_default().trim().into(),
            series: drawing.series.iter().map(|series| series.name.clone()).collect(),
            width: frame.width,
            height: frame.height,
            drawn: inside(&drawing, &frame),
            id: drawing.id,
            title: drawing.title,
        }
    };
    drawings(analysis).into_iter().map(alone).collect()
}

fn svg(drawing: &Drawing, heading: &str) -> Markup {
    let frame = Frame::new(drawing);
    html! {
        svg viewBox=(format!("0 0 {} {}", frame.width, frame.height)) role="group"
            aria-labelledby=(heading) { (inside(drawing, &frame)) }
    }
}

fn markup(analysis: &Analysis, section: Section, drawing: &Drawing) -> Markup {
    let heading = format!("chart-{}", drawing.id);
    let is_crossover = section == Section::Crossover;
    let unit = if is_crossover { "money" } else { drawing.unit };
    let along = match drawing.across.places {
        Places::Words { .. } | Places::Rows(_) => "",
        Places::Percentiles => "th percentile",
        // The page appends it to the number.
        _ if is_crossover => "requests per user and hour",
        _ => &drawing.across.name,
    };
    let plot = svg(drawing, &heading);
    // The script draws the crossover for the width that there is.
    let narrow = (drawing.is_wide && !is_crossover)
        .then(|| svg(&Drawing { is_wide: false, ..drawing.clone() }, &heading));
    html! {
        figure.chart.card.wide[drawing.is_wide] data-chart=(drawing.id) data-x-name=(along)
            data-x-unit=(drawing.across.unit) data-y-name=(drawing.name) data-unit=(unit)
            data-layout=[drawing.is_rows().then_some("rows")] {
            figcaption {
                h3 id=(heading) { (drawing.title) }
                span.note { (drawing.note) }
            }
            @if is_crossover {
                p #crossover-says aria-live="polite" { (crossover::says(analysis)) }
            }
            @match narrow {
                Some(narrow) => {
                    div.plot.broad { (plot) }
                    div.plot.narrow { (narrow) }
                }
                // Without script it scrolls on a narrow screen, so it has to have the focus.
                None if is_crossover => {
                    div.plot tabindex="0" role="region" aria-label=(drawing.title) { (plot) }
                }
                None => div.plot { (plot) },
            }
            details {
                summary { @if is_crossover { "Every pair" } @else { "The figures as a table" } }
                div.scroll tabindex="0" role="region"
                    aria-label={ (drawing.title) ", figures" } {
                    @if is_crossover { (crossover::table(analysis)) } @else { (table(drawing)) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::drawing::{Across, Point, Series};
    use super::*;
    use crate::report::tests::sample;
    use crate::stats::Estimate;

    fn drawing(along: &str, arms: &[&str]) -> Drawing {
        let estimate = Estimate { point: 1.0, interval: None, n: 1, method: String::new() };
        let series = |arm: &&str| Series {
            name: (*arm).into(),
            points: vec![Point::new(1.0, estimate.clone()), Point::new(2.0, estimate.clone())],
            ..Series::default()
        };
        Drawing {
            id: "of".into(),
            title: "CPU per request".into(),
            note: "Less is better.".into(),
            is_wide: false,
            across: Across {
                name: along.into(),
                unit: "",
                places: Places::Levels { is_log: false },
            },
            name: "CPU".into(),
            unit: "us",
            is_log: false,
            series: arms.iter().map(series).collect(),
            limit: None,
            rings: Vec::new(),
        }
    }

    #[test]
    fn charts_of_what_grows_are_titled_by_it_and_name_the_arms_where_they_are_few() {
        let analysis = sample::analysis();
        let arms: Vec<&str> = analysis.arms.iter().map(String::as_str).collect();
        assert_eq!(arms.len(), 3);
        let all = told(&analysis, Section::Growth, drawing("items in the cart", &arms));
        let one = told(&analysis, Section::Growth, drawing("revoked tokens", &arms[2..]));
        assert_eq!(all.title, "CPU per request, over items in the cart");
        assert_eq!(one.title, "CPU per request, over revoked tokens");
        assert_eq!(all.note, "Less is better.");
        assert_eq!(one.note, "Less is better. Measured of jwt-hs256 only.");
        assert_eq!(
            told(&analysis, Section::Users, drawing("users", &arms)).title,
            "CPU per request"
        );
    }
}
