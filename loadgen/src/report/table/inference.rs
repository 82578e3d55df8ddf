//! The tables of what was compared: the families with their corrections, and every comparison.
//!
//! A verdict can only be weighed by a reader who sees how many others were asked for at the same
//! time. So every family says how many comparisons its correction covers and what became of them,
//! and every comparison shows its p value before and after it.

use super::{Cell, Column, Row, Table, arm, cell, finding, level};
use crate::experiment::metric;
use crate::report::analysis::Analysis;
use crate::report::compare::{ComparedAs, Comparison};
use crate::report::figure::{signed, signed_range, times, times_range};
use crate::report::words;

fn column(label: &str, numeric: bool) -> Column {
    Column { label: label.into(), hint: "", numeric }
}

/// The families of an experiment; `None` when nothing was compared.
pub(super) fn families(analysis: &Analysis, experiment: &str) -> Option<Table> {
    let row = |family: &crate::report::Family| {
        let metrics: Vec<&str> = family.metrics.iter().map(|name| metric(name).label).collect();
        let count = |count: u32| Cell::Text(count.to_string());
        Row {
            opens_group: false,
            cells: vec![
                Cell::Text(family.family.into()),
                Cell::Text(metrics.join(", ")),
                count(family.comparisons),
                count(family.different),
                count(family.equivalent),
                count(family.inconclusive),
            ],
        }
    };
    let rows: Vec<Row> =
        analysis.families.iter().filter(|f| f.experiment == experiment).map(row).collect();
    (!rows.is_empty()).then(|| Table {
        title: "What was compared".into(),
        note: format!(
            "Every arm with {} and with {}, at every level. Each row is a family, corrected \
             together by Holm's procedure over the comparisons that it counts: of twenty families \
             of arms that are equal, at most one calls any of them different.",
            analysis.baseline, analysis.reference
        ),
        columns: vec![
            column("Family", false),
            column("Metrics", false),
            column("Comparisons", true),
            column("Different", true),
            column("Equivalent", true),
            column("Inconclusive", true),
        ],
        rows,
    })
}

/// Every comparison of an experiment, a row each.
pub(in crate::report) fn every_comparison(analysis: &Analysis, experiment: &str) -> Table {
    let mut before = "";
    let mut rows = Vec::new();
    for comparison in analysis.comparisons.iter().filter(|c| c.experiment == experiment) {
        let opens_group = comparison.metric != before;
        rows.push(Row { opens_group, cells: cells(analysis, comparison) });
        before = comparison.metric;
    }
    Table {
        title: "Every comparison".into(),
        note: "p is the chance of so large a difference between equal arms (paired t test over \
               blocks), first of this comparison alone and then after Holm's correction over its \
               family; a difference needs the second to be at most 0.05, and to exceed the noise \
               floor. For equivalence, the corrected p value of two one-sided tests has to be at \
               most 0.025."
            .into(),
        columns: vec![
            column("Metric", false),
            column("Where", false),
            column("Arm", false),
            column("Against", false),
            column("Found", true),
            column("p", true),
            column("p (Holm)", true),
            column("p equivalent (Holm)", true),
            column("Family of", true),
            column("Noise floor", true),
            column("Seen from", true),
            column("Why not", false),
        ],
        rows,
    }
}

fn cells(analysis: &Analysis, c: &Comparison) -> Vec<Cell> {
    let unit = metric(c.metric).unit;
    let found = match (&c.ratio, c.compared_as) {
        (Some(ratio), ComparedAs::Ratio) => {
            cell(times(ratio.point), times_range(ratio), true, Some(finding_alone(c)))
        }
        _ => {
            let interval = signed_range(&c.difference, unit);
            cell(signed(c.difference.point, unit), interval, true, Some(finding_alone(c)))
        }
    };
    let p = |p: Option<f64>| p.map_or(Cell::Empty, |p| Cell::Text(words::p_value(p)));
    let effect = |of: Option<f64>| {
        of.map_or(Cell::Empty, |of| Cell::Text(words::effect(of, c.compared_as, unit)))
    };
    vec![
        Cell::Text(metric(c.metric).label.into()),
        Cell::Text(level(&c.experiment, c.place())),
        arm(analysis, &c.arm),
        arm(analysis, &c.against),
        found,
        p(c.tests.p_difference),
        p(c.tests.p_difference_holm),
        p(c.tests.p_equivalence_holm),
        Cell::Text(c.tests.family_size.to_string()),
        effect(c.noise_floor),
        effect(c.smallest_effect),
        c.cause.map_or(Cell::Empty, |cause| Cell::Text(words::cause(cause).into())),
    ]
}

/// What a comparison says, without the smallest effect, which has a column here.
fn finding_alone(comparison: &Comparison) -> super::Finding {
    super::Finding { from: None, ..finding(comparison) }
}
