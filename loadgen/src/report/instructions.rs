//! The table of instructions per operation, next to the CPU time that the campaign measured.

use super::analysis::Analysis;
use super::figure::{figure, range};
use super::figures::Measurement;
use super::key::Lookup;
use super::table::{Cell, Column, Row, Table};
use super::words::capital;
use crate::experiment::metric;
use crate::record::{Instructions, Operation};
use crate::units::grouped;

/// The table; `None` where the program of the campaign counted none of its arms.
///
/// Counts come with the program and not from trials, so they have no interval and are never
/// compared or judged: they say whether a difference in CPU time is one of work or of the machine.
pub(super) fn table(analysis: &Analysis) -> Option<Table> {
    let counted = analysis.host.instructions.as_ref()?;
    let measured = measured(analysis);
    let rows: Vec<Row> =
        analysis.arms.iter().filter_map(|arm| row(counted, arm, &measured)).collect();
    let label = |label: String| Column { label, hint: "", numeric: true };
    let mut columns = vec![Column { label: "Arm".into(), hint: "", numeric: false }];
    columns.extend(Operation::ALL.map(|operation| label(capital(operation.name()))));
    columns.extend(measured.first().map(|m| {
        let users = m.key.users.map(|users| format!(", {} users", grouped(users)));
        label(format!("Server CPU per request{}", users.unwrap_or_default()))
    }));
    (!rows.is_empty()).then(|| Table {
        title: "Instructions per operation".into(),
        note: format!(
            "User-space instructions of the code that this program was built from, counted on one \
             thread by {} with {}: the same on any machine, and no measurement of this campaign. A \
             request is GET /me through the router, without the HTTP connection and the kernel. A \
             store that is a process of its own is not in them, nor is the wait for it.",
            counted.valgrind, counted.compiler
        ),
        columns,
        rows,
    })
}

fn row(counted: &Instructions, arm: &str, measured: &[&Measurement]) -> Option<Row> {
    let counts = Operation::ALL.map(|operation| counted.find(arm, operation));
    if counts.iter().all(Option::is_none) {
        return None;
    }
    let mut cells = vec![Cell::Arm { name: arm.into(), role: "" }];
    cells.extend(
        counts.map(|count| count.map_or(Cell::Empty, |count| Cell::Text(grouped(count.median)))),
    );
    if !measured.is_empty() {
        let of_arm = measured.iter().find(|m| m.key.arm == arm);
        cells.push(of_arm.map_or(Cell::Empty, |m| Cell::Figure {
            figure: figure(m.estimate.point, m.unit),
            interval: range(&m.estimate, m.unit),
            valid: m.valid,
            finding: None,
        }));
    }
    Some(Row { opens_group: false, cells })
}

/// CPU time per request of every arm, in the first experiment that has it, at its highest level.
fn measured(analysis: &Analysis) -> Vec<&Measurement> {
    let cpu = metric::SERVER_CPU_US_PER_REQUEST;
    let at_the_most = |name: &str| {
        let last = analysis.measurements.places(name, cpu).pop()?;
        let all = analysis.measurements.all_of(name, cpu);
        Some(all.filter(|m| m.key.place() == last).collect())
    };
    analysis.experiments.iter().find_map(|e| at_the_most(&e.name)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Host, InstructionCount};
    use crate::report::tests::sample;

    fn analysis(arms: &[&str]) -> Analysis {
        let counts = arms.iter().flat_map(|arm| {
            [(Operation::Verify, 1234), (Operation::Request, 56_789)].map(|(operation, median)| {
                let (least, most) = (median, median);
                InstructionCount { arm: (*arm).into(), operation, median, least, most }
            })
        });
        let counts = Instructions { counts: counts.collect(), ..Instructions::default() };
        let host = Host { instructions: Some(counts), ..sample::host() };
        Analysis { host, ..sample::analysis() }
    }

    #[test]
    fn counted_arms_of_the_campaign_stand_beside_their_cpu_time() {
        let table = table(&analysis(&["jwt-hs256", "an arm of no campaign"])).unwrap();
        assert_eq!(table.columns.last().unwrap().label, "Server CPU per request, 1,000 users");
        let [row] = table.rows.as_slice() else { panic!("{:?}", table.rows) };
        assert_eq!(row.cells.len(), table.columns.len());
        assert_eq!(row.cells[0], Cell::Arm { name: "jwt-hs256".into(), role: "" });
        assert_eq!(row.cells[1], Cell::Empty);
        assert_eq!(row.cells[2], Cell::Text("1,234".into()));
        assert_eq!(row.cells[4], Cell::Text("56,789".into()));
        assert!(matches!(row.cells[5], Cell::Figure { .. }), "{:?}", row.cells[5]);
    }

    #[test]
    fn without_counts_of_its_arms_a_campaign_has_no_table() {
        assert!(table(&sample::analysis()).is_none(), "an older record has no counts");
        assert!(table(&analysis(&["an arm of no campaign"])).is_none());
    }

    #[test]
    fn pages_show_it() {
        let analysis = analysis(&["jwt-hs256"]);
        for format in crate::report::FORMATS.iter().filter(|f| ["html", "md"].contains(&f.name)) {
            let page = format.render(&analysis);
            assert!(page.contains("Instructions per operation"), "{}", format.name);
            assert!(page.contains("56,789"), "{}", format.name);
        }
        let without = crate::report::FORMATS[0].render(&sample::analysis());
        assert!(!without.contains("Instructions per operation"));
    }
}
