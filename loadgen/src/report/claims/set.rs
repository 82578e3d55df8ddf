//! A claim's matrices as a line and as tables, for every format alike.

use std::collections::BTreeMap;

use super::crossover;
use super::result::{Answer, ClaimCell, ClaimResult, Matrix};
use crate::report::table::{Cell, Column, Row, Table};
use crate::report::words;

/// The answers in a line: `jwt-hs256: yes against session@redis; no against session@memory`.
pub(super) fn in_short(matrices: &[Matrix], baseline: &str) -> String {
    let line = |matrix: &Matrix| {
        let answered = |counts: bool| {
            let cells: Vec<&ClaimCell> =
                matrix.cells.iter().filter(|cell| cell.counts == counts).collect();
            rows(&cells, baseline)
        };
        let (own, also) = (answered(true), answered(false));
        if also.is_empty() { own } else { format!("{own} (for comparison: {also})") }
    };
    match matrices {
        [matrix] => line(matrix),
        _ => {
            let parts = matrices.iter().map(|m| format!("{}: {}", m.asks, line(m)));
            parts.collect::<Vec<_>>().join(". ")
        }
    }
}

/// Arms that answer alike are named together.
fn rows(cells: &[&ClaimCell], baseline: &str) -> String {
    let single = cells.iter().all(|cell| cell.against.as_ref().is_none_or(|of| of == baseline));
    if single {
        return answers(cells, "for", |cell| cell.arm.clone());
    }
    let mut rows: Vec<(Vec<&str>, String)> = Vec::new();
    for arm in named(cells.iter().map(|cell| cell.arm.as_str())) {
        let own: Vec<&ClaimCell> = cells.iter().filter(|cell| cell.arm == arm).copied().collect();
        let said = answers(&own, "against", |cell| {
            let rate = crossover::in_short(cell).filter(|_| cell.answer == Answer::Yes);
            let rate = rate.map_or_else(String::new, |rate| format!(" ({rate})"));
            cell.against.clone().unwrap_or_default() + &rate
        });
        match rows.iter_mut().find(|(_, same)| *same == said) {
            Some((arms, _)) => arms.push(arm),
            None => rows.push((vec![arm], said)),
        }
    }
    let rows = rows.into_iter().map(|(arms, said)| format!("{}: {said}", arms.join(", ")));
    rows.collect::<Vec<_>>().join(". ")
}

/// `yes for a, b; no for c`.
fn answers(cells: &[&ClaimCell], link: &str, name: impl Fn(&ClaimCell) -> String) -> String {
    let named_with = |answer: Answer| {
        let names: Vec<String> =
            cells.iter().filter(|cell| cell.answer == answer).map(|cell| name(cell)).collect();
        let (_, word) = words::answer(answer);
        (!names.is_empty()).then(|| format!("{word} {link} {}", names.join(", ")))
    };
    let said = [Answer::Yes, Answer::No, Answer::NotSettled].into_iter().filter_map(named_with);
    said.collect::<Vec<_>>().join("; ")
}

/// Names in the order in which they come first.
fn named<'a>(all: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names = Vec::new();
    for name in all {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// A table for each matrix: a row per arm, a column per arm that it is asked against.
pub(in crate::report) fn tables(claim: &ClaimResult) -> Vec<Table> {
    claim.matrices.iter().map(table).collect()
}

fn table(matrix: &Matrix) -> Table {
    let against = named(matrix.cells.iter().map(|cell| cell.against.as_deref().unwrap_or("")));
    let arms = named(matrix.cells.iter().map(|cell| cell.arm.as_str()));
    let found: BTreeMap<(&str, &str), &ClaimCell> = matrix
        .cells
        .iter()
        .map(|cell| ((cell.arm.as_str(), cell.against.as_deref().unwrap_or("")), cell))
        .collect();
    let column = |label: String| Column { label, hint: "", numeric: false };
    let head = |against: &&str| match *against {
        "" => column("Answer".into()),
        against => column(format!("against {against}")),
    };
    let row = |arm: &&str| {
        let counts = matrix.cells.iter().any(|cell| cell.arm == *arm && cell.counts);
        let role = if counts { "" } else { "for comparison" };
        let cells = against.iter().map(|against| match found.get(&(*arm, *against)) {
            Some(cell) => {
                let (mark, word) = words::answer(cell.answer);
                Cell::Text(format!("{mark} {word}: {}", cell.found))
            }
            None => Cell::Empty,
        });
        let arm = Cell::Arm { name: (*arm).to_owned(), role };
        Row { opens_group: true, cells: std::iter::once(arm).chain(cells).collect() }
    };
    Table {
        title: matrix.asks.clone(),
        note: matrix.at.clone(),
        columns: std::iter::once(column("Arm".into())).chain(against.iter().map(head)).collect(),
        rows: arms.iter().map(row).collect(),
    }
}
