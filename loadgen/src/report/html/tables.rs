//! Sets a [`Table`] as HTML: punctuation for the table model, and nothing else.
//!
//! A table scrolls inside its own frame, so that the page itself never scrolls sideways. What is
//! invalid says so in words, and a verdict has a mark and a word beside its colour.

use maud::{Markup, html};

use crate::report::analysis::Analysis;
use crate::report::chart::glyph;
use crate::report::table::{Cell, Row, Table};
use crate::report::words;
use crate::stats::Verdict;

/// Sets a table.
pub(super) fn table(_: &Analysis, table: &Table) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(table.title) {
            table {
                thead {
                    tr {
                        @for column in &table.columns {
                            th scope="col" .num[column.numeric] {
                                (column.label)
                                @if !column.hint.is_empty() { small { (column.hint) } }
                            }
                        }
                    }
                }
                tbody { @for row in &table.rows { (line(table, row)) } }
            }
        }
    }
}

fn line(table: &Table, row: &Row) -> Markup {
    html! {
        tr.opens[row.opens_group] {
            @for (cell, column) in row.cells.iter().zip(&table.columns) {
                td .num[column.numeric] { (content(cell)) }
            }
        }
    }
}

fn content(cell: &Cell) -> Markup {
    html! {
        @match cell {
            Cell::Empty => span.none title="not measured" { "–" },
            Cell::Text(text) => (text),
            Cell::Arm { name, role } => span.arm-name {
                (glyph(name)) " " (name)
                @if !role.is_empty() { small { (role) } }
            },
            Cell::Figure { figure, interval, valid, finding } => {
                span.figure.refused[!valid] { (figure) }
                @if !valid { " " strong.tag { "invalid" } }
                @if let Some(finding) = finding {
                    " " (verdict(finding.verdict, finding.better))
                    @if let Some(from) = &finding.from { small { " from " (from) } }
                }
                @if !interval.is_empty() { span.interval { (interval) } }
            }
        }
    }
}

/// A verdict: mark and word; the colour, where there is one, says better or worse.
pub(super) fn verdict(verdict: Verdict, better: Option<bool>) -> Markup {
    let (mark, word) = words::verdict(verdict);
    let class = match better {
        Some(true) => "verdict better",
        Some(false) => "verdict worse",
        None => "verdict",
    };
    let merit = match better {
        Some(true) => "better",
        Some(false) => "worse",
        None => "",
    };
    html! {
        span class=(class) title=[(!merit.is_empty()).then_some(merit)] {
            span aria-hidden="true" { (mark) } " " (word)
        }
    }
}
