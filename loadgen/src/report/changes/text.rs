//! A comparison of two campaigns as aligned tables, for a terminal.
//!
//! Metrics stand under the names that `--fail-if` takes, and every row names its metric, so that
//! `grep` finds them. What is to be read first comes last, where a terminal shows it: the count of
//! verdicts and what became of the bounds.

use super::bound::{Judgement, Outcome, less_one};
use super::model::{Change, Changes, Side, at};
use crate::experiment::Better;
use crate::report::figure::{figure, range, signed, signed_range};
use crate::report::words::{self, swept};
use crate::sanitise::Page;
use crate::stats::{Estimate, Verdict};
use crate::units::grouped;

/// What the intervals are, and what they are not.
const NOTE: &str = "Changes are of geometric means of trials, B beside A, with 95 % intervals by \
Welch's t:
they hold how trials vary within each campaign, and not what else changed between them. Verdicts
are corrected for the number of comparisons in each family (Holm); intervals and bounds are not.";

impl Changes {
    /// The tables.
    pub fn text(&self, judgements: &[Judgement]) -> Page {
        let mut page = Page::default();
        for (letter, side) in [("A", &self.a), ("B", &self.b)] {
            page.line(&format!("{letter}  {}", describe(side)));
        }
        for difference in &self.differences {
            let (what, a, b) = (difference.what, &difference.a, &difference.b);
            page.line(&format!("differs: {what}: {a} in A, {b} in B"));
        }
        for (letter, side, other) in [("A", &self.a, &self.b), ("B", &self.b, &self.a)] {
            // What is doubtful in both alike makes neither the other's better.
            let own = side.doubts.iter().filter(|doubt| !other.doubts.contains(doubt));
            own.for_each(|doubt| page.line(&format!("doubt in {letter}: {doubt}")));
            if !side.usable {
                page.line(&format!("{letter} has no figure that may be used: nothing is compared"));
            }
        }
        for (letter, only) in [("A", &self.only_in_a), ("B", &self.only_in_b)] {
            if !only.is_empty() {
                page.line(&format!("only in {letter}: {}", only.join("; ")));
            }
        }
        for group in self.groups() {
            page.line("");
            page.line(&heading(group[0]));
            table(&group, &mut page);
        }
        page.line("");
        page.line(&self.totals());
        self.changed().iter().for_each(|row| page.line(row));
        NOTE.lines().for_each(|row| page.line(row));
        for judgement in judgements {
            page.line("");
            self.judged(judgement).iter().for_each(|row| page.line(row));
        }
        page
    }

    /// Figures of one experiment and level, which make a table.
    fn groups(&self) -> Vec<Vec<&Change>> {
        let mut groups: Vec<Vec<&Change>> = Vec::new();
        for change in &self.changes {
            match groups.iter_mut().find(|group| group[0].key.same_load(&change.key)) {
                Some(group) => group.push(change),
                None => groups.push(vec![change]),
            }
        }
        groups
    }

    fn totals(&self) -> String {
        let count = |verdict| {
            self.changes.iter().filter(|c| c.valid && c.verdict == verdict).count() as u64
        };
        let invalid = self.changes.iter().filter(|c| !c.valid).count() as u64;
        format!(
            "{} figures in both: {} higher, {} lower, {} equivalent (within {:.0} %), {} \
             inconclusive, {} invalid",
            grouped(self.changes.len() as u64),
            grouped(count(Verdict::Higher)),
            grouped(count(Verdict::Lower)),
            grouped(count(Verdict::Equivalent)),
            self.margin * 100.0,
            grouped(count(Verdict::Inconclusive)),
            grouped(invalid),
        )
    }

    /// The figures that are higher or lower, a line each.
    fn changed(&self) -> Vec<String> {
        let is_other = |c: &&Change| matches!(c.verdict, Verdict::Higher | Verdict::Lower);
        let row = |change: &Change| {
            let [metric, _, _, _, by, interval, verdict] = row(change);
            format!("  {verdict}: {metric}, {}: {by} ({interval})", change.place())
        };
        self.changes.iter().filter(is_other).map(row).collect()
    }

    /// What became of one bound: every figure that does not keep it, and how many do.
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

/// What a bound was held against.
fn found(judgement: &Judgement, change: &Change) -> String {
    let Some(quantity) = judgement.quantity(change) else {
        return format!(
            "no ratio, because a trial has {} or less; bound the figure or its difference",
            figure(0.0, change.unit)
        );
    };
    let unit = if judgement.of_change() { "share" } else { change.unit };
    let (point, range) = if judgement.signed() {
        (signed(quantity.point, unit), signed_range(&quantity, unit))
    } else {
        (figure(quantity.point, unit), range(&quantity, unit))
    };
    format!("{point} ({range})")
}

fn describe(side: &Side) -> String {
    let when = match side.started_unix_ms {
        0 => String::new(),
        ms => format!(", {}", words::utc(ms)),
    };
    format!(
        "{} ({}{when}, {} of {} trials, plan {})",
        side.label,
        side.campaign,
        side.trials_complete,
        side.trials_planned,
        side.plan.chars().take(12).collect::<String>()
    )
}

fn heading(change: &Change) -> String {
    let level = match change.key.users {
        Some(_) => at(change.key.users),
        None => " over all levels".into(),
    };
    let connections = grouped(change.key.connections.into());
    let rate = change
        .key
        .rate
        .map_or_else(String::new, |rate| format!(", {}", figure(rate, "requests/s")));
    let swept = swept(&change.key.experiment, change.key.level);
    format!("[{}]{level}{swept}, {connections} connections{rate}", change.key.experiment)
}

fn table(group: &[&Change], page: &mut Page) {
    let head = ["metric", "arm", "A", "B", "change", "interval", "verdict"].map(String::from);
    let rows: Vec<[String; 7]> =
        std::iter::once(head).chain(group.iter().map(|change| row(change))).collect();
    // Figures stand under each other by their last digits, words by their first letters.
    page.table("  ", &rows, &(2..5));
}

fn row(change: &Change) -> [String; 7] {
    let (of, unit): (Estimate, &str) = match &change.ratio {
        Some(ratio) => (less_one(ratio), "share"),
        None => (change.difference.clone(), change.unit),
    };
    [
        change.key.metric.name.into(),
        change.key.arm.to_string(),
        figure(change.a.point, change.unit),
        figure(change.b.point, change.unit),
        signed(of.point, unit),
        signed_range(&of, unit),
        verdict(change),
    ]
}

fn verdict(change: &Change) -> String {
    if !change.valid {
        return "INVALID".into();
    }
    let (mark, word) = words::verdict(change.verdict);
    let merit = match (change.key.metric.better, change.verdict) {
        (Better::Lower, Verdict::Lower) | (Better::Higher, Verdict::Higher) => ", better",
        (Better::Lower, Verdict::Higher) | (Better::Higher, Verdict::Lower) => ", worse",
        _ => "",
    };
    format!("{mark} {word}{merit}")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{sample_changes, slower};

    use crate::report::Bound;

    #[test]
    fn columns_stand_under_each_other() {
        let text = sample_changes(slower("jwt-hs256")).text(&[]);
        let table: Vec<&str> = text
            .lines()
            .skip_while(|line| !line.starts_with("[concurrency] at 10 users"))
            .skip(1)
            .take_while(|line| !line.is_empty())
            .collect();
        assert!(table.len() > 10, "{text}");
        let column = |line: &str, word: &str| {
            line.find(word).map(|at| line[..at].chars().count()).unwrap_or(usize::MAX)
        };
        let at = column(table[0], "verdict");
        for line in &table[1..] {
            let verdict: String = line.chars().skip(at).collect();
            assert!(["▲", "▼", "=", "?"].iter().any(|mark| verdict.starts_with(mark)), "{line}");
        }
        let slowed = table
            .iter()
            .find(|line| line.contains("server_cpu_us_per_request") && line.contains("jwt-hs256"));
        let slowed = slowed.unwrap();
        assert!(slowed.contains("+50.0 %") && slowed.ends_with("▲ higher, worse"), "{slowed}");
    }

    #[test]
    fn what_became_of_bounds_stands_last() {
        let found = sample_changes(slower("jwt-hs256"));
        let bound: Bound = "server_cpu_us_per_request > +20%".parse().unwrap();
        let text = found.text(&[bound.judge(&found).unwrap()]);
        let (_, last) = text.split_once("--fail-if").unwrap();
        assert_eq!(last.matches("FAILED").count(), 3, "{last}");
        assert!(last.contains("concurrency, jwt-hs256 at 1,000 users: +50.0 %"), "{last}");
        assert!(last.trim_end().ends_with("9 of 12"), "{last}");
    }

    #[test]
    fn a_difference_of_machines_is_said_before_any_figure() {
        let mut found = sample_changes(|_| {});
        found.differences.push(super::super::model::Difference {
            what: "kernel",
            a: "Linux 1".into(),
            b: "Linux 2".into(),
        });
        found.only_in_b.push("memory, none".into());
        let text = found.text(&[]);
        let head = text.split("\n\n").next().unwrap();
        assert!(head.contains("differs: kernel: Linux 1 in A, Linux 2 in B"), "{head}");
        assert!(head.contains("only in B: memory, none"), "{head}");
        assert!(head.starts_with("A  one (sample, "), "{head}");
    }
}
