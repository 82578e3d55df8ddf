//! A comparison of two campaigns for a pull request: the changed rows are seen, the rest folds.

use std::fmt::Write as _;

use super::bound::{Judgement, Outcome};
use super::model::Changes;
use super::row::{NOTE, Row, View, describe, found};
use crate::sanitise::markdown as text;

impl Changes {
    /// The comparison as GitHub's Markdown.
    pub fn markdown(&self, view: &View, judgements: &[Judgement]) -> String {
        if self.identical && judgements.is_empty() {
            return format!("{}\n", text(&self.sameness()));
        }
        let [changed, others] = self.rows(view);
        let mut out = format!("### authbench: {}\n", text(&self.totals(view)));
        if let Some(moved) = self.floor_moved() {
            let _ = write!(out, "\n> {}\n", text(&moved));
        }
        for judgement in judgements {
            out.push_str(&self.bound_in_markdown(judgement));
        }
        if !changed.is_empty() {
            let _ = write!(out, "\n{}", table(&changed));
        }
        if view.all && !others.is_empty() {
            let title = "Not changed, or not known to be";
            fold(&mut out, &format!("{title} ({})", others.len()), &table(&others));
        }
        let mut about = String::new();
        for (letter, side) in [("A", &self.a), ("B", &self.b)] {
            let _ = writeln!(about, "- {letter}: {}", text(&describe(side)));
        }
        for caveat in self.caveats(view.all) {
            let _ = writeln!(about, "- {}", text(&caveat));
        }
        let _ = writeln!(about, "\n{}", text(NOTE));
        fold(&mut out, "What was compared, and how", &about);
        out
    }

    fn bound_in_markdown(&self, judgement: &Judgement) -> String {
        let count = |outcome| judgement.count(outcome);
        let mut out = format!(
            "\n**--fail-if {}**: {} exceeded, {} kept, {} inconclusive, {} invalid\n\n",
            text(&judgement.bound),
            count(Outcome::Broken),
            count(Outcome::Kept),
            count(Outcome::Inconclusive),
            count(Outcome::Invalid),
        );
        let broken = judgement.outcomes.iter().filter(|(_, found)| *found == Outcome::Broken);
        for (at, _) in broken {
            let change = &self.changes[*at];
            let place = text(&change.place());
            let _ = writeln!(out, "- ✗ {place}: {}", text(&found(judgement, change)));
        }
        out
    }
}

fn fold(out: &mut String, title: &str, content: &str) {
    let _ = write!(out, "\n<details><summary>{}</summary>\n\n{content}\n</details>\n", text(title));
}

fn table(rows: &[Row<'_>]) -> String {
    let mut out = String::from("| | Metric | Arm | Where | A | B | Change | 95 % interval |\n");
    out.push_str("|---|---|---|---|---:|---:|---:|---|\n");
    for row in rows {
        let (metric, arm) = row.group();
        let cells = [&row.verdict, metric, arm, &row.place, &row.a, &row.b, &row.by, &row.interval];
        let cells: Vec<String> = cells.iter().map(|cell| text(cell)).collect();
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::tests::{sample_changes, slower};
    use super::*;

    #[test]
    fn changed_rows_are_seen_and_the_rest_folds() {
        let mut found = sample_changes(slower("jwt-hs256"));
        found.a.label = "x|y<b>".into();
        let view = View { all: true, ..View::default() };
        let page = found.markdown(&view, &[]);
        let (seen, folded) = page.split_once("<details>").unwrap();
        assert!(seen.contains("| ▲ worse | server_cpu_us_per_request | jwt-hs256 |"), "{seen}");
        assert!(!seen.contains("identical |") && folded.contains("identical |"), "{page}");
        assert!(folded.contains("x\\|y&lt;b>") && !page.contains("<b>"), "{folded}");
        assert_eq!(page.matches("<details>").count(), page.matches("</details>").count());
        let borders = |line: &str| line.replace("\\|", "").matches('|').count();
        let rows: Vec<&str> = page.lines().filter(|line| line.starts_with('|')).collect();
        assert!(rows.len() > 20 && rows.iter().all(|row| borders(row) == 9), "{page}");
    }

    #[test]
    fn a_copy_is_one_line() {
        let page = sample_changes(|_| {}).markdown(&View::default(), &[]);
        assert_eq!(page.lines().count(), 1, "{page}");
    }
}
