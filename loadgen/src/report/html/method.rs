//! The second half of the page: what is doubted, the data, how it was measured, and how to run or
//! quote it. No figure is computed here.

use maud::{Markup, html};

use super::tables;
use crate::report::analysis::Analysis;
use crate::report::chart::arm_name;
use crate::report::context;
use crate::report::table::Table;
use crate::report::tables::endpoints;
use crate::report::{attacks, instructions, words};

/// What the tool doubts in its own numbers.
pub(super) fn doubts(analysis: &Analysis) -> Markup {
    let doubts = words::doubts(analysis);
    html! {
        h3 #doubts { "What the tool doubts in its own numbers" }
        @if doubts.is_empty() { p { "Nothing that it can see." } }
        ul.doubts {
            @for summary in doubts {
                li {
                    @if summary.doubt.invalidates { strong.no { "Invalidates: " } }
                    (words::capital(&summary.doubt.what)) ". "
                    span.note { "Remedy: " (summary.doubt.remedy) "." }
                    @if let [place] = summary.places.as_slice() {
                        " " span.note { "Where: " (place) "." }
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

/// The primary endpoints, and what is exploratory.
pub(super) fn declared(analysis: &Analysis) -> Markup {
    html! {
        p { (words::scope(analysis)) }
        @for experiment in &analysis.experiments {
            @if let Some(table) = endpoints(analysis, &experiment.name) {
                details {
                    summary { (table.title) ", " (experiment.name) " (" (table.rows.len()) ")" }
                    p.note { (table.note) }
                    (tables::table(&table))
                }
            }
        }
        @if !analysis.answer.is_empty() && analysis.usable() {
            details {
                summary { "Every comparison in words (" (analysis.answer.len()) ")" }
                ul {
                    @for sentence in &analysis.answer {
                        li {
                            (sentence.text)
                            @if let Some(verdict) = sentence.verdict {
                                @let (mark, word) = words::verdict(verdict);
                                " " strong { (mark) " " (word) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The data: the script draws the table of all figures.
pub(super) fn data(analysis: &Analysis) -> Markup {
    html! {
        section #figures-section aria-labelledby="h-figures" {
            h2 #h-figures { "Data" }
            p.without-script.note {
                "With script, one table of all figures is here. measurements.csv and report.json "
                "hold the same figures; the tables beneath the charts need no script."
            }
            div.needs-script {
                div.tools role="search" {
                    label {
                        "Filter "
                        input type="search" id="filter" data-keep="f" placeholder="redis p99";
                    }
                    label {
                        "Experiment "
                        select #experiment data-keep="e" {
                            option value="" selected { "all" }
                            @for experiment in &analysis.experiments {
                                option { (experiment.name) }
                            }
                        }
                    }
                    label { input type="checkbox" id="primary" data-keep="p"; " primary only" }
                    button #copy-csv type="button" { "Copy as CSV" }
                    button #copy-markdown type="button" { "Copy as Markdown" }
                    output #shown {}
                }
                div.rows tabindex="0" role="region" aria-label="All figures" {
                    table #figures { thead {} tbody {} }
                }
                p { button #more type="button" { "Show all" } }
            }
        }
    }
}

/// How it was measured, and what that leaves out.
pub(super) fn method(analysis: &Analysis) -> Markup {
    html! {
        section #method aria-labelledby="h-method" {
            h2 #h-method { "How it was measured" }
            h3 { "What the numbers do not mean" }
            ul { @for caution in words::cautions(analysis) { li { (caution) } } }
            @for experiment in &analysis.experiments {
                details {
                    summary { (experiment.name) ": " (experiment.question) }
                    p { (experiment.method) }
                    p.note {
                        (experiment.blocks) " blocks, every trial on a fresh server process."
                        @if experiment.steadiness.judged > 0 {
                            " Loads of 5 s and more were judged for a steady state, by throughput "
                            "and p99 of every second; one that had none is among the doubts."
                        }
                    }
                    @if !experiment.remarks.is_empty() {
                        ul { @for remark in &experiment.remarks { li { (remark) } } }
                    }
                    @for table in context::tables(analysis, &experiment.name) { (folded(&table)) }
                }
            }
            @if let Some(table) = instructions::table(analysis) { (folded(&table)) }
            (withstood(analysis))
            h3 { "Machine and program" }
            (facts(&words::setting(analysis)))
            (notes(analysis))
        }
    }
}

fn folded(table: &Table) -> Markup {
    html! {
        details {
            summary { (table.title) " (" (table.rows.len()) ")" }
            p.note { (table.note) }
            (tables::table(table))
        }
    }
}

fn facts(facts: &[(&'static str, String)]) -> Markup {
    html! {
        table.facts-table {
            tbody { @for (name, fact) in facts { tr { th scope="row" { (name) } td { (fact) } } } }
        }
    }
}

fn withstood(analysis: &Analysis) -> Markup {
    let (counts, matrix) = (attacks::counts(analysis), attacks::matrix(analysis));
    html! {
        @if !analysis.attacks.is_empty() {
            h3 #attacks { (counts.title) }
            p { (attacks::NOTE) }
            p.note { (counts.note) }
            (tables::table(&counts))
            details {
                summary { "What each arm may do, and cannot" }
                ul {
                    @for (arm, remark) in attacks::remarks(analysis) { li { (arm) ": " (remark) } }
                }
            }
            (folded(&matrix))
        }
    }
}

fn notes(analysis: &Analysis) -> Markup {
    let said = words::notes(analysis);
    html! {
        @if !said.is_empty() {
            details {
                summary { "What the servers said of themselves" }
                dl {
                    @for (arm, notes) in said {
                        dt { @match arm { Some(arm) => (arm_name(arm)), None => "Every arm" } }
                        dd { ul { @for note in notes { li { (note) } } } }
                    }
                }
            }
        }
    }
}

/// How to run it again, and to quote it.
pub(super) fn again(analysis: &Analysis) -> Markup {
    html! {
        section #again aria-labelledby="h-again" {
            h2 #h-again { "Run it again, or quote it" }
            @for (what, command) in words::commands(analysis) {
                p { (what) ":" }
                pre tabindex="0" { code { (command) } }
            }
            p.note { "What these figures belong to, by SHA-256:" }
            (facts(&words::identity(analysis)))
            h3 #cite { "Cite this" }
            p { (words::cite(analysis)) }
        }
    }
}

/// The words of the report.
pub(super) fn glossary() -> Markup {
    html! {
        section #glossary aria-labelledby="h-glossary" {
            h2 #h-glossary { "Glossary" }
            dl { @for (word, meaning) in words::GLOSSARY { dt { (word) } dd { (meaning) } } }
        }
    }
}
