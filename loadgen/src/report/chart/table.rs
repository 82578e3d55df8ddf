//! The figures of a chart as a table: one row per series where its places fit side by side, else
//! one row per figure.

use maud::{Markup, html};

use super::arms::arm_name;
use super::drawing::{Drawing, Places, Point, Series};
use crate::report::figure::{figure, range};
use crate::units::grouped;

/// More places than these do not fit side by side.
const COLUMNS_MAX: usize = 8;

/// The table of a chart.
pub(super) fn table(drawing: &Drawing) -> Markup {
    let mut places: Vec<f64> = drawing.figures().map(|point| point.x).collect();
    places.sort_by(f64::total_cmp);
    places.dedup();
    let has_dots = drawing.series.iter().any(|series| !series.dots.is_empty());
    if drawing.is_rows() {
        rows(drawing)
    } else if has_dots || places.len() > COLUMNS_MAX {
        every(drawing)
    } else {
        crossed(drawing, &places)
    }
}

/// A place for a reader: `64`, `p99`, `12,300 /s`.
fn place(drawing: &Drawing, x: f64) -> String {
    if let Some(word) = drawing.word(x) {
        return word;
    }
    match drawing.across.places {
        Places::Percentiles => format!("p{x}"),
        _ if !drawing.across.unit.is_empty() => figure(x, drawing.across.unit),
        _ if x.fract() == 0.0 => grouped(x as u64),
        _ => x.to_string(),
    }
}

fn reading(drawing: &Drawing, point: &Point) -> Markup {
    html! {
        (figure(point.y(), drawing.unit).trim_end())
        @if !point.valid { " (invalid)" }
        " " small { (range(&point.estimate, drawing.unit)) }
    }
}

fn crossed(drawing: &Drawing, places: &[f64]) -> Markup {
    let found = |series: &Series, x: f64| series.points.iter().find(|point| point.x == x).cloned();
    html! {
        table {
            caption { (drawing.name) " by " (drawing.across.name) }
            thead {
                tr {
                    th scope="col" { "Arm" }
                    @for x in places { th.number scope="col" { (place(drawing, *x)) } }
                }
            }
            tbody {
                @for series in &drawing.series {
                    tr data-arm=(series.name) {
                        th scope="row" { (arm_name(&series.name)) }
                        @for x in places {
                            td.number {
                                @if let Some(point) = found(series, *x) {
                                    (reading(drawing, &point))
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A row for every figure, without symbols: there may be hundreds.
fn every(drawing: &Drawing) -> Markup {
    let said = |point: &Point| match (point.failed, point.note.as_str()) {
        (_, note) if !note.is_empty() => note.to_string(),
        (true, _) => "failed".into(),
        (false, _) => range(&point.estimate, drawing.unit),
    };
    html! {
        table {
            thead {
                tr {
                    th scope="col" { "Arm" }
                    th.number scope="col" { (drawing.across.name) }
                    th.number scope="col" { (drawing.name) }
                    th scope="col" { "95 % interval, or what happened" }
                }
            }
            tbody {
                @for series in &drawing.series {
                    @for point in series.points.iter().chain(&series.dots) {
                        tr data-arm=(series.name) {
                            th scope="row" { (series.name) }
                            td.number { (place(drawing, point.x)) }
                            td.number { (figure(point.y(), drawing.unit)) }
                            td { (said(point)) }
                        }
                    }
                }
            }
        }
    }
}

fn rows(drawing: &Drawing) -> Markup {
    html! {
        table {
            thead {
                tr {
                    th scope="col" { (drawing.across.name) }
                    th.number scope="col" { (drawing.name) }
                    th.number scope="col" { "95 % interval" }
                    th.number scope="col" { "n" }
                }
            }
            tbody {
                @for series in &drawing.series {
                    @for point in &series.points {
                        tr data-arm=(series.name) {
                            th scope="row" {
                                @if drawing.word(point.x).as_ref() == Some(&series.name) {
                                    (arm_name(&series.name))
                                } @else {
                                    (series.name) " " (point.note)
                                }
                            }
                            td.number { (figure(point.y(), drawing.unit)) }
                            td.number { (range(&point.estimate, drawing.unit)) }
                            td.number { (point.estimate.n) }
                        }
                    }
                }
            }
        }
    }
}
