//! The table of the primary endpoints, each with its p value before and after the correction: a
//! reader has to see how many verdicts were asked for at once.

use crate::report::analysis::Analysis;
use crate::report::figure::{signed, signed_range, times, times_range};
use crate::report::figures::{ComparedAs, Endpoint};
use crate::report::table::{Cell, Column, Finding, Row, Table, arm, cell, finding};
use crate::report::words;
use crate::stats::Estimate;

fn column(label: &str, numeric: bool) -> Column {
    Column { label: label.into(), hint: "", numeric }
}

/// The primary endpoints of an experiment; `None` when it has none.
pub(in crate::report) fn endpoints(analysis: &Analysis, experiment: &str) -> Option<Table> {
    let own = analysis.primary.iter().filter(|e| e.declared.experiment == experiment);
    let rows: Vec<Row> = own
        .map(|endpoint| Row { opens_group: false, cells: of_endpoint(analysis, endpoint) })
        .collect();
    (!rows.is_empty()).then(|| without_empty_columns(Table {
        title: "Primary endpoints".into(),
        note: format!(
            "Declared before the campaign ran, and the only comparisons with a verdict. p is the \
             chance of so large a difference between equal arms (paired t test over blocks), first \
             of this endpoint alone and then after Holm's correction over all {} of the campaign; \
             a difference needs the second to be at most 0.05, and to exceed the noise floor. For \
             equivalence, the corrected p value of two one-sided tests has to be at most 0.025.",
            analysis.primary.len()
        ),
        columns: vec![
            column("Metric", false),
            column("Where", false),
            column("Arm", false),
            column("Against", false),
            column("Found", true),
            column("p", true),
            column("p (Holm)", true),
            column("p equivalent (Holm)", true),
            column("Noise floor", true),
            column("Found from", true),
            column("Why not", false),
        ],
        rows,
    }))
}

/// The same without the columns in which no row has anything, such as the tests of equivalence of
/// what has no margin.
fn without_empty_columns(table: Table) -> Table {
    let Table { columns, rows, .. } = &table;
    let used = |i: usize| rows.iter().any(|row| row.cells[i] != Cell::Empty);
    let used: Vec<bool> = (0..columns.len()).map(used).collect();
    let row = |row: Row| Row { cells: keep(row.cells, &used), ..row };
    Table {
        columns: keep(table.columns, &used),
        rows: table.rows.into_iter().map(row).collect(),
        ..table
    }
}

fn of_endpoint(analysis: &Analysis, endpoint: &Endpoint) -> Vec<Cell> {
    let Endpoint { declared, unit, ruling, compared_as, .. } = endpoint;
    let p = |p: Option<f64>| p.map_or(Cell::Empty, |p| Cell::Text(words::p_value(p)));
    let effect = |of: Option<f64>| {
        of.map_or(Cell::Empty, |of| Cell::Text(words::effect(of, *compared_as, unit)))
    };
    // The smallest effect has a column here.
    let finding = Finding { from: None, ..finding(endpoint.metric, *compared_as, ruling) };
    let found = endpoint.difference.as_ref().map(|difference| {
        compared(endpoint.ratio.as_ref(), difference, *compared_as, unit, Some(finding))
    });
    vec![
        Cell::Text(endpoint.metric.label.into()),
        Cell::Text(words::place_of(endpoint)),
        arm(analysis, &declared.arm),
        arm(analysis, &declared.against),
        found.unwrap_or(Cell::Empty),
        p(ruling.tests.p_difference),
        p(ruling.tests.p_difference_holm),
        p(ruling.tests.p_equivalence_holm),
        effect(endpoint.noise_floor),
        effect(ruling.smallest_effect),
        ruling
            .cause
            .map_or(Cell::Empty, |cause| Cell::Text(words::cause(cause, ruling.tests.family_size))),
    ]
}

fn keep<T>(all: Vec<T>, used: &[bool]) -> Vec<T> {
    all.into_iter().zip(used).filter(|(_, used)| **used).map(|(one, _)| one).collect()
}

/// The ratio, or the difference where that is what is compared.
fn compared(
    ratio: Option<&Estimate>,
    difference: &Estimate,
    compared_as: ComparedAs,
    unit: &str,
    finding: Option<Finding>,
) -> Cell {
    match (ratio, compared_as) {
        (Some(ratio), ComparedAs::Ratio) => {
            cell(times(ratio.point), times_range(ratio), true, finding)
        }
        _ => {
            let interval = signed_range(difference, unit);
            cell(signed(difference.point, unit), interval, true, finding)
        }
    }
}
