//! The check matrix: what every arm was attacked with before it was timed, and the results. No
//! result is judged here.

use super::analysis::Analysis;
use super::table::{Cell, Column, Row, Table};
use crate::record::{Attacked, CaseOutcome};

/// What stands above the tables.
pub(super) const NOTE: &str = "Before anything was timed, every arm was attacked on a server of \
    its own: with the credentials, tokens, cookies and requests that a sound server refuses. An \
    arm that lets one through is not timed.";

fn text(label: &str, numeric: bool) -> Column {
    Column { label: label.into(), hint: "", numeric }
}

fn attacked(analysis: &Analysis) -> impl Iterator<Item = &Attacked> {
    analysis.attacks.iter().filter(|arm| arm.spared.is_none())
}

/// How many cases ended how, one row per arm.
pub(super) fn counts(analysis: &Analysis) -> Table {
    let mut columns = vec![text("arm", false), text("cases run", true)];
    columns.extend(CaseOutcome::ALL.map(|outcome| text(outcome.word(), true)));
    let row = |arm: &Attacked| {
        let count = |n: usize| Cell::Text(n.to_string());
        let mut cells = vec![Cell::Arm { name: arm.target.clone(), role: "" }, count(arm.run())];
        cells.extend(CaseOutcome::ALL.map(|outcome| count(arm.count(outcome))));
        Row { opens_group: false, cells }
    };
    Table {
        title: "What the arms withstood".into(),
        note: "ACCEPTED: an attack got through. FAILED: it did not, and the answer was wrong. \
               Allowed: no attack, and let through as it should be. Property: what a scheme cannot \
               do, or may choose."
            .into(),
        columns,
        rows: attacked(analysis).map(row).collect(),
    }
}

/// One row per case, one column per arm.
pub(super) fn matrix(analysis: &Analysis) -> Table {
    let mut columns = vec![text("case", false), text("what is sent", false)];
    columns.extend(attacked(analysis).map(|arm| text(&arm.target, false)));
    let mut cases: Vec<(&str, &str)> = Vec::new();
    for case in attacked(analysis).flat_map(|arm| &arm.cases) {
        if !cases.iter().any(|(id, _)| *id == case.id) {
            cases.push((&case.id, &case.what));
        }
    }
    let outcome = |arm: &Attacked, id: &str| {
        let case = arm.cases.iter().find(|case| case.id == id);
        match case.map(|case| case.outcome) {
            None => Cell::Empty,
            Some(outcome) => Cell::Text(outcome.word().into()),
        }
    };
    let row = |(id, what): &(&str, &str)| {
        let mut cells = vec![Cell::Text((*id).into()), Cell::Text((*what).into())];
        cells.extend(attacked(analysis).map(|arm| outcome(arm, id)));
        Row { opens_group: false, cells }
    };
    Table {
        title: "Every case and every arm".into(),
        note: "What was expected and found stands in attacks.json.".into(),
        columns,
        rows: cases.iter().map(row).collect(),
    }
}

/// What is not in the tables: arms that were spared, and properties, an arm and a sentence each.
///
/// A reader has to know the properties even of an arm that withstood everything.
pub(super) fn remarks(analysis: &Analysis) -> Vec<(String, String)> {
    let mut remarks = Vec::new();
    for arm in &analysis.attacks {
        if let Some(why) = &arm.spared {
            remarks.push((arm.target.clone(), format!("not attacked: {why}")));
        }
        for case in &arm.cases {
            if case.outcome.is_bad() || case.outcome == CaseOutcome::Property {
                let (id, what, word) = (&case.id, &case.what, case.outcome.word());
                let text = format!("{word} {id}, {what}: {}", case.found);
                remarks.push((arm.target.clone(), text));
            }
        }
    }
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{ATTACKS_SCHEMA, AttackRecord, CaseRecord};
    use crate::report::tests::sample;
    use crate::report::{FORMATS, html, markdown};

    fn analysis() -> Analysis {
        let case = |id: &str, outcome, found: &str| CaseRecord {
            id: id.into(),
            what: format!("what <{id}> is"),
            expected: "401".into(),
            found: found.into(),
            outcome,
        };
        let arms = vec![
            Attacked::spared("none", "the floor authenticates nobody"),
            Attacked {
                target: "session@memory".into(),
                spared: None,
                cases: vec![
                    case("1a", CaseOutcome::Refused, "401"),
                    case("4a", CaseOutcome::NotApplicable, "no token"),
                ],
            },
            Attacked {
                target: "jwt-hs256".into(),
                spared: None,
                cases: vec![
                    case("1a", CaseOutcome::Refused, "401"),
                    case("4a", CaseOutcome::Accepted, "200"),
                    case("38a", CaseOutcome::Property, "cannot revoke"),
                ],
            },
        ];
        let record = AttackRecord { schema: ATTACKS_SCHEMA, plan: String::new(), arms };
        sample::analysis().with_attacks(Some(record))
    }

    #[test]
    fn the_matrix_has_a_row_a_case_and_a_column_an_arm() {
        let table = matrix(&analysis());
        let labels: Vec<_> = table.columns.iter().map(|column| column.label.as_str()).collect();
        assert_eq!(labels, ["case", "what is sent", "session@memory", "jwt-hs256"]);
        let cells: Vec<Vec<_>> = table.rows.iter().map(|row| row.cells[2..].to_vec()).collect();
        let text = |text: &str| Cell::Text(text.into());
        assert_eq!(
            cells,
            [
                [text("refused"), text("refused")],
                [text("not applicable"), text("ACCEPTED")],
                [Cell::Empty, text("property")],
            ]
        );
    }

    #[test]
    fn both_pages_show_it_and_a_campaign_without_attacks_has_no_trace_of_it() {
        let (with, without) = (analysis(), sample::analysis());
        for render in [html::render, markdown::render] {
            let page = render(&with);
            for part in [
                "Every case and every arm",
                "ACCEPTED",
                "cannot revoke",
                "the floor authenticates nobody",
                "what &lt;4a&gt; is",
            ] {
                let part =
                    if page.starts_with('#') { part.replace("&gt;", ">") } else { part.into() };
                assert!(page.contains(&part), "{part}");
            }
        }
        for format in FORMATS {
            let page = format.render(&without);
            assert!(!page.to_lowercase().contains("attack"), "{}", format.file);
        }
    }
}
