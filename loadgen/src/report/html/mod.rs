//! `report.html`: one file that opens anywhere, offline, and asks nothing of any network.
//!
//! The order is that of a reader's questions: the answer, the charts, the figures, what the tool
//! doubts in them, how they were made, how to make them again. Templates are checked and every text
//! is escaped by `maud`, so a hostile name cannot become markup. There is no script; light, dark
//! and paper are the style sheet's work. No figure is computed here.

mod tables;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::analysis::{Analysis, ExperimentSummary, Sentence};
use super::attacks;
use super::chart::{Figure, Section, arm_name, page_figures, shapes};
use super::claims;
use super::instructions;
use super::tables::{every_comparison, every_measurement, key_tables};
use super::words;

/// Colours and rules that charts share with drawings that stand alone.
pub(super) const STYLE: &str = include_str!("style.css");
const PAGE_STYLE: &str = include_str!("page.css");
/// Sentences of a topic on the first screen; with many arms the others fold away.
const SENTENCES_MAX: usize = 3;

/// Sets an analysis as a page.
pub(super) fn render(analysis: &Analysis) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (analysis.name) " · authbench" }
                style { (PreEscaped(STYLE)) (PreEscaped(PAGE_STYLE)) }
            }
            body {
                (top(analysis))
                main {
                    (in_charts(analysis))
                    (in_figures(analysis))
                    (in_doubt(analysis))
                    (withstood(analysis))
                    (setting(analysis))
                    (again(analysis))
                    (glossary())
                }
            }
        }
    };
    let mut text = page.into_string();
    text.push('\n');
    text
}

/// The first screen: what this is, and the answer or why there is none.
fn top(analysis: &Analysis) -> Markup {
    html! {
        header {
            p.eyebrow { "authbench report" }
            h1 { (analysis.name) }
            ul.facts { @for fact in words::summary(analysis) { li { (fact) } } }
            @if let Some((heading, warning)) = words::warning(analysis) {
                div.banner role="alert" {
                    strong { (heading) }
                    p { (warning) " " a href="#doubts" { "What happened, and what to do" } }
                }
            }
            @if analysis.usable() {
                (claimed(analysis))
                (answer(analysis))
            }
            nav aria-label="Sections" {
                a href="#charts" { "Charts" }
                a href="#figures" { "Figures" }
                a href="#doubts" { "Doubts" }
                @if !analysis.attacks.is_empty() { a href="#attacks" { "Attacks" } }
                a href="#setting" { "Method" }
                a href="#again" { "Run it again" }
                a href="#glossary" { "Glossary" }
            }
        }
    }
}

/// What people say, and what this campaign says of it.
fn claimed(analysis: &Analysis) -> Markup {
    html! {
        section.claims aria-labelledby="claims" {
            h2 #claims { "What people say, and what was found here" }
            @for claim in &analysis.claims {
                @let (mark, word) = words::claim(claim.verdict);
                details.claim {
                    summary {
                        span class={ "verdict " (word.replace(' ', "-")) } { (mark) " " (word) }
                        " " q { (claim.says) } " " (claim.words)
                        @if !claim.in_short.is_empty() { small { (claim.in_short) "." } }
                    }
                    p.method { "Said by: " (claim.source) ". " (words::coverage(claim)) }
                    @for of in claims::tables(claim) {
                        h4 { (of.title) }
                        @if !of.note.is_empty() { p.note { (words::capital(&of.note)) "." } }
                        (tables::table(analysis, &of))
                    }
                }
            }
        }
    }
}

/// The sentences, those of a topic together, topics in the order of their first sentence; behind
/// them those whose figures are known too coarsely to be read first.
fn answer(analysis: &Analysis) -> Markup {
    let (first, coarse): (Vec<&Sentence>, Vec<&Sentence>) =
        analysis.answer.iter().partition(|sentence| sentence.headline);
    html! {
        section.answer aria-labelledby="answer" {
            h2 #answer { "The answer" }
            p.note { (words::scope(analysis)) }
            @if first.is_empty() {
                p {
                    "No comparison of these arms is known well enough to be put into a headline; "
                    "the charts and tables show what was measured."
                }
            }
            (topics(&first))
            @if !coarse.is_empty() {
                details {
                    summary { (words::COARSE) " (" (coarse.len()) ")" }
                    (topics(&coarse))
                }
            }
            p.note { strong { "Cite this: " } (words::cite(analysis)) }
        }
    }
}

fn topics(sentences: &[&Sentence]) -> Markup {
    let mut topics: Vec<(&str, Vec<&Sentence>)> = Vec::new();
    for sentence in sentences {
        match topics.iter_mut().find(|(topic, _)| *topic == sentence.topic) {
            Some((_, together)) => together.push(sentence),
            None => topics.push((&sentence.topic, vec![sentence])),
        }
    }
    html! {
        dl {
            @for (topic, together) in topics {
                dt { (topic) }
                @let (first, more) = together.split_at(together.len().min(SENTENCES_MAX));
                dd {
                    @for sentence in first { (said(sentence)) }
                    @if !more.is_empty() {
                        details {
                            summary { (more.len()) " more" }
                            @for sentence in more { (said(sentence)) }
                        }
                    }
                }
            }
        }
    }
}

fn said(sentence: &Sentence) -> Markup {
    html! {
        p {
            (sentence.text)
            @if let Some(verdict) = sentence.verdict { " " (tables::verdict(verdict, None)) }
        }
    }
}

fn question(experiment: &ExperimentSummary) -> Markup {
    html! {
        h3 { (experiment.question) }
        p.method { (experiment.method) }
        @if !experiment.remarks.is_empty() {
            ul.remarks {
                @for remark in &experiment.remarks { li { (remark) } }
            }
        }
    }
}

fn in_charts(analysis: &Analysis) -> Markup {
    html! {
        section #charts {
            h2 { "Charts" }
            (shapes())
            @for section in Section::ALL {
                @for figure in page_figures(analysis) {
                    @if figure.section == *section { (placed(&figure)) }
                }
            }
        }
    }
}

fn placed(figure: &Figure) -> Markup {
    html! { div id={ "place-" (figure.id) } { (figure.markup) } }
}

fn in_figures(analysis: &Analysis) -> Markup {
    html! {
        section #figures {
            h2 { "Figures" }
            @for experiment in &analysis.experiments {
                h3 { (experiment.question) }
                @for table in key_tables(analysis, &experiment.name) {
                    h4 { (table.title) }
                    p.note { (table.note) }
                    (tables::table(analysis, &table))
                }
                @let every = every_measurement(analysis, &experiment.name);
                details {
                    summary { (every.title) " (" (every.rows.len()) ")" }
                    p.note { (every.note) }
                    (tables::table(analysis, &every))
                }
                @let compared = every_comparison(analysis, &experiment.name);
                @if !compared.rows.is_empty() {
                    details {
                        summary { (compared.title) " (" (compared.rows.len()) ")" }
                        p.note { (compared.note) }
                        (tables::table(analysis, &compared))
                    }
                }
            }
            @if let Some(table) = instructions::table(analysis) {
                h3 { (table.title) }
                p.note { (table.note) }
                (tables::table(analysis, &table))
            }
        }
    }
}

fn in_doubt(analysis: &Analysis) -> Markup {
    let doubts = words::doubts(analysis);
    html! {
        section #doubts {
            h2 { "What the tool doubts in its own numbers" }
            @if doubts.is_empty() { p { "Nothing that it can see." } }
            ul.doubts {
                @for summary in doubts {
                    li.invalid[summary.doubt.invalidates] {
                        p.what {
                            @if summary.doubt.invalidates { strong.tag { "Invalidates" } " " }
                            (words::capital(&summary.doubt.what))
                        }
                        p.remedy { "Remedy: " (summary.doubt.remedy) "." }
                        @if let [place] = summary.places.as_slice() {
                            p.places { "Where: " (place) }
                        } @else {
                            details {
                                summary { "Where: " (summary.places.len()) " places" }
                                ul { @for place in &summary.places { li { (place) } } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn withstood(analysis: &Analysis) -> Markup {
    let (counts, matrix) = (attacks::counts(analysis), attacks::matrix(analysis));
    html! {
        @if !analysis.attacks.is_empty() {
            section #attacks {
                h2 { (counts.title) }
                p { (attacks::NOTE) }
                p.note { (counts.note) }
                (tables::table(analysis, &counts))
                ul.cautions {
                    @for (arm, remark) in attacks::remarks(analysis) { li { (arm) ": " (remark) } }
                }
                details {
                    summary { (matrix.title) " (" (matrix.rows.len()) ")" }
                    p.note { (matrix.note) }
                    (tables::table(analysis, &matrix))
                }
            }
        }
    }
}

fn facts(facts: &[(&'static str, String)]) -> Markup {
    html! {
        dl.facts {
            @for (name, fact) in facts { div { dt { (name) } dd { (fact) } } }
        }
    }
}

fn setting(analysis: &Analysis) -> Markup {
    html! {
        section #setting {
            h2 { "How it was measured" }
            @for experiment in &analysis.experiments {
                (question(experiment))
                p.note {
                    (experiment.blocks) " blocks, every trial on a fresh server process."
                    @if experiment.steadiness.judged > 0 {
                        " Loads of 5 s and more were judged for a steady state, by throughput and "
                        "p99 of every second; one that had none is among the doubts."
                    }
                }
            }
            h3 { "What the numbers do not mean" }
            ul.cautions { @for caution in words::cautions(analysis) { li { (caution) } } }
            h3 { "Machine and program" }
            (facts(&words::setting(analysis)))
            (notes(analysis))
        }
    }
}

fn notes(analysis: &Analysis) -> Markup {
    let said = words::notes(analysis);
    html! {
        @if !said.is_empty() {
            h3 { "What the servers said of themselves" }
            dl.notes {
                @for (arm, notes) in said {
                    dt {
                        @match arm {
                            Some(arm) => { (arm_name(arm)) }
                            None => "Every arm",
                        }
                    }
                    dd { ul { @for note in notes { li { (note) } } } }
                }
            }
        }
    }
}

fn again(analysis: &Analysis) -> Markup {
    html! {
        section #again {
            h2 { "How to run it again" }
            @for (what, command) in words::commands(analysis) {
                p { (what) ":" }
                pre { code { (command) } }
            }
            p.note { "What these figures belong to, by SHA-256:" }
            (facts(&words::identity(analysis)))
        }
    }
}

fn glossary() -> Markup {
    html! {
        section #glossary {
            h2 { "Glossary" }
            dl.glossary {
                @for (word, meaning) in words::GLOSSARY { div { dt { (word) } dd { (meaning) } } }
            }
        }
    }
}

#[cfg(test)]
mod tests;
