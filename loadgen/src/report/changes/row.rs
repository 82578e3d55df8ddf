//! Which rows of a comparison are shown, and what stands in them, for every format.

use super::bound::{Judgement, less_one};
use super::model::{Basis, Change, Changes, Moved, Side};
use crate::experiment::Metric;
use crate::report::figure::{figure, range, signed, signed_range};
use crate::report::words;
use crate::stats::{Estimate, Verdict};
use crate::units::grouped;

/// How to read the intervals.
pub(super) const NOTE: &str = "Intervals are 95 %, by Welch's t over trials: they hold how trials \
vary within each campaign, and not what else changed between them. Verdicts are corrected by Holm: \
the primary endpoints (*) as one family, the rest, which is exploratory, per experiment and kind \
of metric. Intervals and bounds are not corrected.";

/// Which rows are shown; verdicts do not depend on it.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Only these arms; empty for all.
    pub arms: Vec<String>,
    /// Only these metrics; empty for all.
    pub metrics: Vec<&'static Metric>,
    /// Also what did not change.
    pub all: bool,
}

impl View {
    /// Whether a figure is of these arms and metrics.
    pub(super) fn takes(&self, change: &Change) -> bool {
        (self.arms.is_empty() || self.arms.iter().any(|arm| change.key.arm == *arm))
            && (self.metrics.is_empty() || self.metrics.contains(&change.key.metric))
    }

    /// What is wrong with it: an arm or a metric without a figure that both campaigns have.
    ///
    /// # Errors
    /// A sentence that names those that they have.
    pub fn check(&self, changes: &Changes) -> Result<(), String> {
        let of_both = |name: fn(&Change) -> &str| {
            let mut names: Vec<&str> = changes.changes.iter().map(name).collect();
            names.sort_unstable();
            names.dedup();
            names
        };
        let arms = of_both(|change| &change.key.arm);
        if let Some(unknown) = self.arms.iter().find(|arm| !arms.contains(&arm.as_str())) {
            return Err(format!("--arm: expected one of {}; found `{unknown}`", arms.join(", ")));
        }
        let metrics = of_both(|change| change.key.metric.name);
        match self.metrics.iter().find(|metric| !metrics.contains(&metric.name)) {
            Some(unknown) => Err(format!(
                "--metric: expected one of {}; found `{}`",
                metrics.join(", "),
                unknown.name
            )),
            None => Ok(()),
        }
    }
}

/// A row, ready to be set.
pub(super) struct Row<'a> {
    pub(super) change: &'a Change,
    /// Where the figure stands, without its arm.
    pub(super) place: String,
    pub(super) a: String,
    pub(super) b: String,
    /// What the verdict is about.
    pub(super) by: String,
    pub(super) interval: String,
    pub(super) verdict: String,
}

impl Changes {
    /// The rows that changed, those of primary endpoints first, and the others.
    pub(super) fn rows(&self, view: &View) -> [Vec<Row<'_>>; 2] {
        let mut taken: Vec<&Change> = self.changes.iter().filter(|c| view.takes(c)).collect();
        let mut arms: Vec<&str> = Vec::new();
        for change in &self.changes {
            if !arms.contains(&change.key.arm.as_str()) {
                arms.push(&change.key.arm);
            }
        }
        let arm = |change: &Change| arms.iter().position(|arm| change.key.arm == *arm);
        taken.sort_by_cached_key(|c| (!c.primary, c.key.metric.order(), arm(c)));
        let (changed, others): (Vec<&Change>, Vec<&Change>) =
            taken.into_iter().partition(|change| change.is_changed());
        [changed, others].map(|group| group.into_iter().map(Row::of).collect())
    }

    /// How many of the figures that are shown have each verdict.
    pub(super) fn totals(&self, view: &View) -> String {
        let taken: Vec<&Change> = self.changes.iter().filter(|c| view.takes(c)).collect();
        let count = |is_so: &dyn Fn(&Change) -> bool| {
            grouped(taken.iter().filter(|change| is_so(change)).count() as u64)
        };
        let so = |verdict| move |c: &Change| c.valid && !c.identical && c.verdict == verdict;
        let parts = [
            (count(&|c| c.is_changed() && c.better() == Some(false)), "worse"),
            (count(&|c| c.is_changed() && c.better() == Some(true)), "better"),
            (count(&|c| c.is_changed() && c.better().is_none()), "higher or lower"),
            (count(&so(Verdict::Equivalent)), "equivalent"),
            (count(&so(Verdict::Inconclusive)), "inconclusive"),
            (count(&|c| c.valid && c.identical), "identical"),
            (count(&|c| !c.valid), "INVALID"),
        ];
        let parts: Vec<String> = parts
            .into_iter()
            .filter(|(count, _)| count != "0")
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        format!(
            "{} of {} figures changed: {} (equivalent: within {:.0} %).",
            count(&Change::is_changed),
            grouped(taken.len() as u64),
            parts.join(", "),
            self.margin * 100.0
        )
    }

    /// The sentence about a campaign and its own copy.
    pub(super) fn sameness(&self) -> String {
        let (a, b) = (&self.a, &self.b);
        format!(
            "identical: {} and {} hold the same {} figures of the same {} trials of campaign {} \
             (plan {})",
            a.label,
            b.label,
            grouped(self.changes.len() as u64),
            grouped(a.trials_complete as u64),
            a.campaign,
            short(&a.plan)
        )
    }

    /// That the floor moved, and what follows; `None` if it did not.
    pub(super) fn floor_moved(&self) -> Option<String> {
        let name = self.floor.as_ref().filter(|_| !self.moved.is_empty())?;
        let by = |moved: &Moved| {
            let share = signed((moved.ratio - 1.0) * 100.0, "%");
            format!("{} of {} {share}", moved.metric, moved.experiment)
        };
        let mut largest: Vec<&Moved> = self.moved.iter().collect();
        largest.sort_by(|a, b| b.ratio.ln().abs().total_cmp(&a.ratio.ln().abs()));
        let mut list: Vec<String> = largest.iter().take(3).map(|moved| by(moved)).collect();
        if largest.len() > 3 {
            list.push(format!("and {} more", largest.len() - 3));
        }
        let what = if self.moved.iter().any(|moved| moved.applied) {
            "Other arms are compared relative to it there (rel), because machine or program \
             changed for all; --absolute compares the figures themselves."
        } else {
            "Figures are compared as they are, so all arms moved with it."
        };
        Some(format!("The floor ({name}) moved: {}. {what}", list.join(", ")))
    }

    /// The facts that precede any figure: what differs, what is doubtful, what only one has.
    pub(super) fn caveats(&self, all: bool) -> Vec<String> {
        let mut said: Vec<String> = Vec::new();
        for difference in &self.differences {
            let (what, a, b) = (difference.what, &difference.a, &difference.b);
            said.push(format!("differs: {what}: {a} in A, {b} in B"));
        }
        for (letter, side, other) in [("A", &self.a, &self.b), ("B", &self.b, &self.a)] {
            // A doubt that both share favours neither.
            let own = side.doubts.iter().filter(|doubt| !other.doubts.contains(doubt));
            said.extend(own.map(|doubt| format!("doubt in {letter}: {doubt}")));
            if !side.usable {
                let words = "has no figure that may be used: nothing is compared";
                said.push(format!("{letter} {words}"));
            }
        }
        for (letter, only) in [("A", &self.only_in_a), ("B", &self.only_in_b)] {
            let shown = if all { only.len() } else { only.len().min(3) };
            if shown > 0 {
                let more = match only.len() - shown {
                    0 => String::new(),
                    more => format!("; and {more} more"),
                };
                said.push(format!("only in {letter}: {}{more}", only[..shown].join("; ")));
            }
        }
        said
    }
}

impl<'a> Row<'a> {
    fn of(change: &'a Change) -> Self {
        let ratio = match change.basis {
            Basis::Relative => &change.relative,
            Basis::Ratio => &change.ratio,
            Basis::Difference => &None,
        };
        let (estimate, unit): (Estimate, &str) = match ratio {
            Some(ratio) => (less_one(ratio), "share"),
            None => (change.difference.clone(), change.unit),
        };
        let relative = if change.basis == Basis::Relative { " rel" } else { "" };
        let star = if change.primary { " *" } else { "" };
        let exact = change.key.metric.is_exact;
        Self {
            change,
            place: change.cell(),
            a: figure(change.a.point, change.unit),
            b: figure(change.b.point, change.unit),
            by: format!("{}{relative}", signed(estimate.point, unit)),
            interval: if exact { "exact".into() } else { signed_range(&estimate, unit) },
            verdict: format!("{}{star}", verdict(change)),
        }
    }

    /// Metric and arm, under which rows stand together.
    pub(super) fn group(&self) -> (&'a str, &'a str) {
        (self.change.key.metric.name, &self.change.key.arm)
    }
}

fn verdict(change: &Change) -> String {
    if !change.valid {
        return "INVALID".into();
    }
    if change.identical {
        return "= identical".into();
    }
    let (mark, word) = words::verdict(change.verdict);
    let word = match change.better() {
        Some(true) => "better",
        Some(false) => "worse",
        None => word,
    };
    format!("{mark} {word}")
}

/// The figure that a bound is compared with.
pub(super) fn found(judgement: &Judgement, change: &Change) -> String {
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

/// One campaign in a line.
pub(super) fn describe(side: &Side) -> String {
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
        short(&side.plan)
    )
}

fn short(hash: &str) -> String {
    hash.chars().take(12).collect()
}
