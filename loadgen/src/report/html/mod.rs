//! `report.html`: one file that opens anywhere, offline, and asks nothing of any network. The order
//! is that of a reader's questions: the answer and what to decide by, the reader's own system, the
//! charts, what people say, how sure it is, the data. It is complete without its script.

mod cards;
mod data;
mod drills;
mod matrix;
mod method;
mod system;
mod tables;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::analysis::Analysis;
use super::chart::{Figure, Section, page_figures, shapes};
use super::facts::{self, Facts};
use super::{headline, words};

/// The style sheet of the page and of its charts.
pub(super) const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("app.js");

/// Sections of charts: id, name in the navigation, heading, and the charts that belong there.
type Charts = (&'static str, &'static str, &'static str, &'static [Section]);

const CHARTS: &[Charts] = &[
    ("rate", "Rate", "At your rate, what does a user wait?", &[Section::Rate]),
    ("users", "Users", "As concurrent users grow", &[Section::Users, Section::Percentiles]),
    ("growth", "State", "What grows when the state grows", &[Section::Growth]),
    ("population", "Logged in", "As more users are logged in", &[Section::Population]),
    ("context", "Context", "What else a request does", &[Section::Context]),
    ("more", "More", "More experiments", &[Section::Other]),
];

/// Sets an analysis as a page.
pub(super) fn render(analysis: &Analysis) -> String {
    let facts = facts::facts(analysis);
    let figures = page_figures(analysis);
    let drills = drills::drills(analysis);
    let claims = cards::claims(analysis);
    let keys: Vec<&str> = analysis.arms.iter().map(String::as_str).collect();
    let crossover = placed(&figures, &[Section::Crossover]);
    let mut places = vec![("answer", "Answer"), ("system-section", "Your system")];
    let shown = CHARTS.iter().filter(|(.., sections)| !placed(&figures, sections).is_empty());
    places.extend(shown.clone().map(|(id, name, ..)| (*id, *name)));
    places.extend((!crossover.is_empty()).then_some(("crossover", "Crossover")));
    places.extend(drills.is_some().then_some(("drills", "Failures")));
    places.extend(claims.is_some().then_some(("claims", "Claims")));
    places.extend([("certainty", "How sure"), ("figures-section", "Data"), ("method", "Method")]);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            (head(analysis))
            body {
                a.skip href="#answer" { "Skip to the answer" }
                (shapes())
                (navigation(&places))
                main {
                    (answer(analysis, &facts, &keys))
                    (system::system(&facts, &analysis.prices))
                    @for charts in shown { (section(charts, &figures, &keys)) }
                    @if !crossover.is_empty() {
                        section #crossover aria-labelledby="h-crossover" {
                            h2 #h-crossover { "Where is the crossover?" }
                            p.note {
                                "Memory is paid per login, CPU time and bytes per request: how "
                                "often a logged-in user asks decides, not how many users there "
                                "are."
                            }
                            @for figure in crossover { (figure.markup) }
                        }
                    }
                    @if let Some(drills) = drills { (drills) }
                    @if let Some(claims) = claims { (claims) }
                    (certainty(analysis, &figures))
                    (method::data(analysis))
                    (method::method(analysis))
                    (method::again(analysis))
                    (method::glossary())
                }
                footer { "authbench " (analysis.host.authbench) }
                script type="application/json" id="data" {
                    (PreEscaped(data::data(analysis, &facts)))
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    let mut text = page.into_string();
    text.push('\n');
    text
}

/// Nothing may be loaded, and no script or style runs but the two of this page.
fn head(analysis: &Analysis) -> Markup {
    let hash = |text: &str| STANDARD.encode(digest(&SHA256, text.as_bytes()));
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; base-uri 'none'; \
         form-action 'none'",
        hash(SCRIPT),
        hash(STYLE),
    );
    html! {
        head {
            meta charset="utf-8";
            meta http-equiv="Content-Security-Policy" content=(policy);
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            title { (analysis.name) " · authbench" }
            style { (PreEscaped(STYLE)) }
        }
    }
}

fn navigation(places: &[(&str, &str)]) -> Markup {
    html! {
        nav aria-label="Sections" {
            div {
                strong { "authbench" }
                @for (id, name) in places { a href={ "#" (id) } { (name) } }
                button #theme .needs-script type="button"
                    aria-label="Switch between light and dark" { "◐" }
            }
        }
    }
}

/// The first screen: what this is, the answer or why it is missing, and what to decide by.
fn answer(analysis: &Analysis, facts: &Facts, keys: &[&str]) -> Markup {
    let headline = headline::headline(facts, analysis.usable());
    html! {
        section #answer aria-labelledby="h-answer" {
            (chips(analysis))
            @if let Some((heading, warning)) = words::warning(analysis) {
                div.banner role="alert" {
                    strong { (heading) ". " }
                    (warning) " " a href="#doubts" { "What happened, and what to do" }
                }
            }
            h1 #h-answer { (headline.says) }
            @for sentence in &headline.lead { p.lead { (sentence) } }
            @if analysis.usable() && !facts.arms.is_empty() {
                (matrix::legend(keys))
                (matrix::matrix(facts, &analysis.baseline))
            }
        }
    }
}

/// Validity, campaign, date, machine and noise in a line.
fn chips(analysis: &Analysis) -> Markup {
    let valid = analysis.trials_complete - analysis.trials_invalid;
    let all_valid = analysis.usable() && valid == analysis.trials_planned;
    let mark = if all_valid { "✓" } else { "!" };
    let cpu = &analysis.host.cpu_model;
    let cores = analysis.host.cores.len();
    html! {
        ul.facts {
            li.good[all_valid].bad[!all_valid] {
                (mark) " valid: " (valid) " of " (analysis.trials_planned) " trials"
            }
            li { (analysis.name) ", seed " (analysis.seed) }
            @if analysis.started_unix_ms > 0 {
                li { (words::utc(analysis.started_unix_ms)) ", " (words::wall(analysis.wall_ms)) }
            }
            li {
                @if !cpu.is_empty() { (cpu) ", " }
                (cores) @if cores == 1 { " core" } @else { " cores" }
                @if analysis.host.virtualised { ", virtual machine" }
            }
            @if let Some(noise) = words::noise(analysis) { li { (noise) } }
        }
    }
}

/// The charts of some sections, in their order.
fn placed<'a>(figures: &'a [Figure], sections: &[Section]) -> Vec<&'a Figure> {
    figures.iter().filter(|figure| sections.contains(&figure.section)).collect()
}

fn section(charts: &Charts, figures: &[Figure], keys: &[&str]) -> Markup {
    let (id, _, heading, sections) = charts;
    let placed = placed(figures, sections);
    let is_shown = |key: &&str| placed.iter().any(|of| of.arms.iter().any(|arm| arm == key));
    let keys: Vec<&str> = keys.iter().copied().filter(is_shown).collect();
    html! {
        section id=(id) aria-labelledby={ "h-" (id) } {
            h2 id={ "h-" (id) } { (heading) }
            (matrix::legend(&keys))
            div.grid-two { @for figure in placed { (figure.markup) } }
        }
    }
}

fn certainty(analysis: &Analysis, figures: &[Figure]) -> Markup {
    html! {
        section #certainty aria-labelledby="h-certainty" {
            h2 #h-certainty { "How sure is this?" }
            @if analysis.twin.is_some() {
                p.note {
                    (analysis.reference) " was measured twice in every block, under two names. How "
                    "far the pair reaches from no difference is the floor below which nothing is "
                    "called a difference."
                }
            }
            @for figure in placed(figures, &[Section::Certainty]) { (figure.markup) }
            (method::declared(analysis))
            (method::doubts(analysis))
        }
    }
}

#[cfg(test)]
mod tests;
