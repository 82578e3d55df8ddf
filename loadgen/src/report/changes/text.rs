//! A comparison of two campaigns for a terminal: text in 80 columns, tables in 100. The outcomes of
//! the bounds come last, where a terminal shows them.

use super::bound::{Judgement, Outcome};
use super::model::Changes;
use super::row::{NOTE, Row, View, describe, found};
use crate::sanitise::{Page, fit, padded, right_aligned, width};

/// Columns of a table.
const COLUMNS: usize = 100;
/// Columns that the place of a figure has in any case.
const PLACE_LEAST: usize = 16;

impl Changes {
    /// The comparison as lines; `A` and `B` of one campaign are one sentence.
    pub fn text(&self, view: &View, judgements: &[Judgement]) -> Page {
        let mut page = Page::default();
        if self.identical {
            // A line for scripts.
            page.line(&self.sameness());
        } else {
            self.head(view, &mut page);
            let [changed, others] = self.rows(view);
            page.text(&self.totals(view), 0);
            tables(&changed, &mut page);
            if view.all && !others.is_empty() {
                page.line("");
                page.line("Not changed, or not known to be:");
                tables(&others, &mut page);
            }
            page.line("");
            page.text(NOTE, 0);
        }
        for judgement in judgements {
            page.line("");
            self.judged(judgement).iter().for_each(|row| page.text(row, 4));
        }
        page
    }

    fn head(&self, view: &View, page: &mut Page) {
        for (letter, side) in [("A", &self.a), ("B", &self.b)] {
            page.text(&format!("{letter}  {}", describe(side)), 3);
        }
        self.caveats(view.all).iter().for_each(|line| page.text(line, 2));
        if let Some(moved) = self.floor_moved() {
            page.text(&moved, 2);
        }
        page.line("");
    }

    /// The outcomes of one bound: every figure that does not keep it, and how many do.
    fn judged(&self, judgement: &Judgement) -> Vec<String> {
        let mut rows = vec![format!("--fail-if '{}'", judgement.bound)];
        for (outcome, word) in [
            (Outcome::Broken, "FAILED"),
            (Outcome::Invalid, "INVALID"),
            (Outcome::Inconclusive, "inconclusive"),
        ] {
            for (at, _) in judgement.outcomes.iter().filter(|(_, found)| *found == outcome) {
                let change = &self.changes[*at];
                let found = found(judgement, change);
                rows.push(format!("  {word:<12}  {}: {found}", change.place()));
            }
        }
        let kept = judgement.count(Outcome::Kept);
        if kept > 0 {
            rows.push(format!("  {:<12}  {kept} of {}", "kept", judgement.outcomes.len()));
        }
        rows
    }
}

/// Rows under their metric and arm, in columns that all rows of a metric share.
fn tables(rows: &[Row<'_>], page: &mut Page) {
    for metric in rows.chunk_by(|one, other| one.group().0 == other.group().0) {
        table(metric, page);
    }
}

fn table(rows: &[Row<'_>], page: &mut Page) {
    let mut cells: Vec<[String; 6]> = rows
        .iter()
        .map(|row| {
            let Row { place, a, b, by, interval, verdict, .. } = row;
            [place, a, b, by, interval, verdict].map(Clone::clone)
        })
        .collect();
    let widest = |cells: &[[String; 6]], column: usize| {
        cells.iter().map(|row| width(&row[column])).max().unwrap_or(0)
    };
    // Two columns before each cell.
    let taken: usize = (1..6).map(|column| widest(&cells, column) + 2).sum();
    let room = COLUMNS.saturating_sub(taken + 2).max(PLACE_LEAST);
    cells.iter_mut().for_each(|row| row[0] = fit(&row[0], room));
    let widths: Vec<usize> = (0..6).map(|column| widest(&cells, column)).collect();
    let mut group = None;
    for (row, cells) in rows.iter().zip(&cells) {
        if group != Some(row.group()) {
            group = Some(row.group());
            let (metric, arm) = row.group();
            page.line("");
            page.line(&format!("{metric}, {arm}"));
        }
        let set = cells.iter().zip(&widths).enumerate().map(|(column, (cell, columns))| {
            let placed = if (1..4).contains(&column) { right_aligned } else { padded };
            placed(cell, *columns)
        });
        page.line(&format!("  {}", set.collect::<Vec<_>>().join("  ")));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{sample_changes, slower, slower_machine};
    use super::*;
    use crate::experiment::Metric;
    use crate::report::Bound;

    fn all() -> View {
        View { all: true, ..View::default() }
    }

    #[test]
    fn changed_rows_stand_first_and_alone_unless_all_are_asked_for() {
        let found = sample_changes(slower("jwt-hs256"));
        let text = found.text(&View::default(), &[]);
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("  ")).collect();
        assert!(rows.len() > 3 && rows.iter().all(|row| row.contains("▲ worse")), "{text}");
        assert!(text.contains("server_cpu_us_per_request, jwt-hs256\n"), "{text}");
        assert!(text.contains("+50.0 %") && !text.contains("Not changed"), "{text}");
        let whole = found.text(&all(), &[]);
        let (first, second) = whole.split_once("Not changed").unwrap();
        assert!(first.contains("▲ worse") && !second.contains("worse"), "{whole}");
        assert!(second.contains("= identical"), "{whole}");
        assert!(whole.lines().all(|line| width(line) <= COLUMNS), "{whole}");
    }

    #[test]
    fn columns_stand_under_each_other() {
        let text = sample_changes(slower("jwt-hs256")).text(&all(), &[]);
        let (_, rows) = text.split_once("server_cpu_us_per_request, jwt-hs256\n").unwrap();
        let rows: Vec<&str> = rows.lines().take_while(|line| !line.is_empty()).collect();
        let column = |row: &&str| row.find('▲').map(|at| row[..at].chars().count());
        assert!(rows.len() > 2 && rows.iter().all(|row| column(row) == column(&rows[0])), "{text}");
    }

    #[test]
    fn rows_are_chosen_by_arm_and_metric() {
        let found = sample_changes(slower("jwt-hs256"));
        let metrics = vec![Metric::named("cpu_us_per_request").unwrap()];
        let view = View { arms: vec!["jwt-hs256".into()], metrics, all: true };
        let text = found.text(&view, &[]);
        let heads: Vec<&str> = text.lines().filter(|line| line.ends_with(", jwt-hs256")).collect();
        assert!(!heads.is_empty(), "{text}");
        assert!(heads.iter().all(|head| *head == "cpu_us_per_request, jwt-hs256"), "{text}");
        assert!(view.check(&found).is_ok());
        let unknown = View { arms: vec!["jwt".into()], ..View::default() };
        assert!(unknown.check(&found).unwrap_err().contains("found `jwt`"));
    }

    #[test]
    fn the_outcome_of_bounds_stands_last() {
        let found = sample_changes(slower("jwt-hs256"));
        let bound: Bound = "server_cpu_us_per_request > +20%".parse().unwrap();
        let text = found.text(&View::default(), &[bound.judge(&found).unwrap()]);
        let (_, last) = text.split_once("--fail-if").unwrap();
        assert_eq!(last.matches("FAILED").count(), 3, "{last}");
        assert!(last.contains("concurrency, jwt-hs256 at 1,000 users: +50.0 %"), "{last}");
        assert!(last.trim_end().ends_with("9 of 12"), "{last}");
    }

    #[test]
    fn a_floor_that_moved_is_said_before_any_figure() {
        let text = sample_changes(slower_machine).text(&View::default(), &[]);
        let said = text.find("The floor (none) moved:").unwrap();
        assert!(said < text.find("figures changed").unwrap(), "{text}");
        assert!(text.contains("+100 %") && text.contains("+50.0 % rel"), "{text}");
    }

    #[test]
    fn a_campaign_and_its_copy_are_one_sentence() {
        let text = sample_changes(|_| {}).text(&View::default(), &[]);
        assert!(text.lines().count() <= 2 && text.starts_with("identical: one and two"), "{text}");
    }

    #[test]
    fn a_difference_of_machines_is_said_before_any_figure() {
        let mut found = sample_changes(slower("none"));
        found.differences.push(super::super::model::Difference {
            what: "kernel",
            a: "Linux 1".into(),
            b: "Linux 2".into(),
        });
        found.only_in_b.push("memory, none".into());
        let text = found.text(&View::default(), &[]);
        let head = text.split("\n\n").next().unwrap();
        assert!(head.contains("differs: kernel: Linux 1 in A, Linux 2 in B"), "{head}");
        assert!(head.contains("only in B: memory, none"), "{head}");
        assert!(head.starts_with("A  one (sample, "), "{head}");
    }
}
