//! Charts as files of their own, from the drawings of the page: `charts.svg`, a sheet of four for a
//! README or a slide, and one file per chart (`authbench report DIR --charts OUT`). Each has its
//! own style and follows the reader's light or dark; colours are those of the page's style sheet.

use maud::{Markup, PreEscaped, html};

use super::analysis::Analysis;
use super::chart::{Alone, alone, symbols};
use super::html::STYLE;
use crate::sanitise;

const COLUMNS: f64 = 2.0;
/// Charts on a sheet.
const MOST: usize = 4;
const HEADING: f64 = 44.0;
const MARGIN: f64 = 16.0;
/// What says most of the question, first: what a user waits, how much is answered, and what many
/// logged-in users cost in CPU time and memory.
const FIRST: &[&str] = &[
    "rate",
    "concurrency-throughput_rps",
    "population-cpu_us_per_request",
    "memory-server_allocated_bytes",
    "concurrency-cpu_us_per_request",
    "concurrency-response_p99_us",
];
const RULES: &str = include_str!("chart/alone.css");

/// Sets four charts on one sheet.
pub(super) fn render(analysis: &Analysis) -> String {
    let mut charts = alone(analysis, false);
    let order = |chart: &Alone| FIRST.iter().position(|id| *id == chart.id).unwrap_or(FIRST.len());
    charts.sort_by_key(order);
    charts.truncate(MOST);
    let width = charts.iter().map(|chart| chart.width + MARGIN).fold(0.0, f64::max);
    let mut placed = Vec::new();
    let mut top = 0.0;
    for row in charts.chunks(COLUMNS as usize) {
        let lefts = [0.0, width];
        placed.extend(row.iter().zip(lefts).map(|(chart, left)| (chart, left, top)));
        top += row.iter().map(|chart| chart.height).fold(0.0, f64::max) + HEADING + MARGIN;
    }
    let cells = html! {
        @for (chart, left, top) in &placed { (cell(chart, *left, *top)) }
    };
    let columns = COLUMNS.min(charts.len() as f64);
    file(&charts, columns * width + MARGIN, top.max(MARGIN), "sheet", &cells)
}

/// Every chart as a file: its name and text.
pub fn chart_files(analysis: &Analysis) -> Vec<(String, String)> {
    let file_of = |chart: Alone| {
        let (width, height) = (chart.width + 2.0 * MARGIN, chart.height + HEADING + MARGIN);
        let drawn = cell(&chart, 0.0, 0.0);
        let name = format!("{}.svg", chart.id);
        let charts = std::slice::from_ref(&chart);
        (name, sanitise::document(&file(charts, width, height, "", &drawn)).into_owned())
    };
    alone(analysis, true).into_iter().map(file_of).collect()
}

fn file(charts: &[Alone], width: f64, height: f64, class: &str, drawn: &Markup) -> String {
    let titles: Vec<&str> = charts.iter().map(|chart| chart.title.as_str()).collect();
    let svg = html! {
        svg class=(class) xmlns="http://www.w3.org/2000/svg" role="img"
            viewBox=(format!("0 0 {width} {height}")) width=(width) height=(height) {
            title { (titles.join("; ")) }
            style { (PreEscaped(style(charts))) }
            defs { (used_symbols(charts)) }
            rect.ground width=(width) height=(height) {}
            (drawn)
        }
    };
    let mut text = svg.into_string();
    text.push('\n');
    text
}

fn used_symbols(charts: &[Alone]) -> Markup {
    symbols(|name| {
        let used = format!("#shape-{name}\"");
        charts.iter().any(|chart| chart.drawn.0.contains(&used))
    })
}

fn cell(chart: &Alone, left: f64, top: f64) -> Markup {
    html! {
        g transform=(format!("translate({} {})", left + MARGIN, top + MARGIN)) {
            text.title y="14" { (chart.title) }
            text y="31" { (chart.says) }
            g transform=(format!("translate(0 {HEADING})")) { (chart.drawn) }
        }
    }
}

/// The rules, and from the page's style sheet the colours that these charts need: first those for
/// light, then those for dark.
fn style(charts: &[Alone]) -> String {
    let (mut light, mut dark) = (String::new(), String::new());
    for (name, in_light, in_dark) in colours(STYLE) {
        if let Some(variable) = name.strip_prefix("--") {
            if RULES.contains(&format!("var(--{variable})")) {
                light.push_str(&format!("svg{{--{variable}:{in_light}}}"));
                dark.push_str(&format!("svg{{--{variable}:{in_dark}}}"));
            }
        } else if charts.iter().flat_map(|chart| &chart.series).any(|arm| selects(name, arm)) {
            light.push_str(&format!("{name}{{--arm:{in_light}}}"));
            dark.push_str(&format!("{name}{{--arm:{in_dark}}}"));
        }
    }
    format!("{RULES}{light}\n@media (prefers-color-scheme:dark){{{dark}}}")
}

/// The colours of a style sheet: a variable or the selector of an arm, for light and for dark.
fn colours(style: &str) -> Vec<(&str, &str, &str)> {
    style
        .lines()
        .filter_map(|line| {
            let (before, rest) = line.split_once(": light-dark(")?;
            let (in_light, rest) = rest.split_once(", ")?;
            let (in_dark, _) = rest.split_once(')')?;
            let before = before.trim();
            let name = before.strip_suffix("{ --arm").map_or(before, str::trim);
            Some((name, in_light, in_dark))
        })
        .collect()
}

/// Whether a selector such as `[data-arm^="jwt"], [data-arm^="jwe"]` selects an arm.
fn selects(selector: &str, arm: &str) -> bool {
    selector.split(", ").any(|one| {
        one == "[data-arm]"
            || one
                .strip_prefix("[data-arm^=\"")
                .and_then(|rest| rest.strip_suffix("\"]"))
                .is_some_and(|begins| arm.starts_with(begins))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample;

    /// A file is XML: unlike on a page, each opening tag needs its end.
    fn assert_closed(svg: &str) {
        let ends = svg.matches("</").count();
        assert_eq!(svg.matches('<').count() - ends, ends + svg.matches("/>").count());
    }

    #[test]
    fn four_charts_are_on_the_sheet_and_every_element_is_closed() {
        let sheet = render(&sample::analysis());
        assert_eq!(sheet.matches("<text class=\"title\"").count(), MOST);
        assert_closed(&sheet);
        let first = sheet.find("Throughput").unwrap();
        assert!(first < sheet.find("Server memory, allocated").unwrap());
    }

    #[test]
    fn every_chart_is_a_file_that_needs_nothing_else() {
        let files = chart_files(&sample::analysis());
        assert!(files.len() >= 6);
        for (name, svg) in files {
            assert!(name.ends_with(".svg") && !name.contains('/'), "{name}");
            assert_closed(&svg);
            assert!(svg.contains("prefers-color-scheme:dark"));
            assert!(!svg.contains("http://www.w3.org/1999") && !svg.contains("url("));
            let used: Vec<&str> =
                svg.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
            assert!(!used.is_empty(), "{name}");
            assert!(used.iter().all(|id| svg.contains(&format!("id=\"{id}\""))), "{name}");
        }
    }

    #[test]
    fn colours_are_those_of_the_style_sheet_and_only_those_needed() {
        let sheet = "--ink: light-dark(#111111, #eeeeee);\n\
                     [data-arm^=\"jwt\"], [data-arm^=\"jwe\"] { --arm: light-dark(#b05a03, \
                     #f89d41); \
                     }\n";
        assert_eq!(
            colours(sheet),
            [
                ("--ink", "#111111", "#eeeeee"),
                ("[data-arm^=\"jwt\"], [data-arm^=\"jwe\"]", "#b05a03", "#f89d41"),
            ]
        );
        assert!(selects("[data-arm^=\"jwt\"], [data-arm^=\"jwe\"]", "jwe-dir"));
        assert!(!selects("[data-arm^=\"jwt\"]", "session@memory"));
        let drawn = render(&sample::analysis());
        assert!(drawn.contains("[data-arm^=\"session@memory\"]{--arm:#0f2686}"));
        assert!(drawn.contains("[data-arm^=\"session@memory\"]{--arm:#4e78c7}"));
        assert!(!drawn.contains("session@postgres"));
        assert!(drawn.contains("svg{--ink:#16191d}") && drawn.contains("svg{--ink:#e9ecef}"));
    }
}
