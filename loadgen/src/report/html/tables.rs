//! Sets a [`Table`] as HTML. A table scrolls inside its own frame, what is invalid says so in
//! words, and a row of one arm carries its name, so that it can be hidden.

use maud::{Markup, html};

use crate::report::chart::arm_name;
use crate::report::table::{Cell, Row, Table};
use crate::report::words;

/// Sets a table.
pub(super) fn table(table: &Table) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(table.title) {
            table {
                thead {
                    tr {
                        @for column in &table.columns {
                            th scope="col" .number[column.numeric] {
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
    let arm = row.cells.iter().find_map(|cell| match cell {
        Cell::Arm { name, .. } => Some(name),
        _ => None,
    });
    html! {
        tr.opens[row.opens_group] data-arm=[arm] {
            @for (cell, column) in row.cells.iter().zip(&table.columns) {
                @match cell {
                    Cell::Arm { .. } => th scope="row" { (content(cell)) },
                    _ => td .number[column.numeric] { (content(cell)) },
                }
            }
        }
    }
}

fn content(cell: &Cell) -> Markup {
    html! {
        @match cell {
            Cell::Empty => "–",
            Cell::Text(text) => (text),
            Cell::Arm { name, role } => {
                (arm_name(name))
                @if !role.is_empty() { " " small { (role) } }
            },
            Cell::Figure { figure, interval, valid, finding } => {
                @if !valid { strong { "INVALID " } }
                (figure)
                @if !interval.is_empty() { " " small { (interval) } }
                @if let Some(finding) = finding {
                    @let (mark, word) = words::verdict(finding.verdict);
                    " " (mark) " " (word)
                    @if let Some(from) = &finding.from { " (from " (from) ")" }
                }
            },
        }
    }
}
