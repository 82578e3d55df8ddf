//! Two campaigns compared, as data.

use schemars::JsonSchema;
use serde::Serialize;

use crate::experiment::{self, Better, Metric};
use crate::report::key::Key;
use crate::report::words::swept;
use crate::stats::{ApartQuestion, Estimate, Verdict};
use crate::units::grouped;

/// Two campaigns compared.
#[derive(Clone, Debug)]
pub struct Changes {
    /// The campaign that is compared with.
    pub a: Side,
    /// The campaign that is compared.
    pub b: Side,
    /// What of plan, program and machine differs.
    pub differences: Vec<Difference>,
    /// The relative change that counts as none.
    pub margin: f64,
    /// Whether both are the same campaign: equal figures of equal trials.
    pub identical: bool,
    /// The floor of both campaigns; `None` where each has another.
    pub floor: Option<String>,
    /// Where the floor moved, so that other arms are compared relative to it.
    pub moved: Vec<Moved>,
    /// Every figure that both have.
    pub changes: Vec<Change>,
    /// Cells that only the first has, in words.
    pub only_in_a: Vec<String>,
    /// Cells that only the second has, in words.
    pub only_in_b: Vec<String>,
}

/// One of the two campaigns.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Side {
    /// How it was named: its folder.
    pub label: String,
    /// Name of the campaign.
    pub campaign: String,
    /// Hash of its plan.
    pub plan: String,
    /// When its first trial began, milliseconds since 1970.
    pub started_unix_ms: u64,
    /// Trials that were planned.
    pub trials_planned: usize,
    /// Trials that were carried out.
    pub trials_complete: usize,
    /// Whether any of its figures may be used.
    pub usable: bool,
    /// What makes its figures doubtful, where that goes for all of them or forbids their use.
    pub doubts: Vec<String>,
}

/// A fact that differs between the two campaigns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Difference {
    /// What it is.
    pub what: &'static str,
    /// Its value in the first.
    pub a: String,
    /// Its value in the second.
    pub b: String,
}

/// A metric of an experiment in which the floor moved.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Moved {
    /// The experiment.
    pub experiment: String,
    /// The metric.
    pub metric: &'static Metric,
    /// The floor's largest change in it: B divided by A.
    pub ratio: f64,
    /// Whether other arms are compared relative to it.
    pub applied: bool,
}

/// What a change is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// B divided by A.
    Ratio,
    /// The same of what the arm is relative to the floor, block by block.
    Relative,
    /// B minus A.
    Difference,
}

/// The change of one figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Which figure.
    pub key: Key,
    /// Unit of the metric.
    pub unit: &'static str,
    /// The figure in the first campaign.
    pub a: Estimate,
    /// The figure in the second.
    pub b: Estimate,
    /// The second divided by the first; `None` where a trial's value is not positive.
    pub ratio: Option<Estimate>,
    /// The same after both are divided by the floor's figure, block by block; `None` for the floor
    /// itself, and where a value is not positive.
    pub relative: Option<Estimate>,
    /// The second minus the first, in the metric's unit.
    pub difference: Estimate,
    /// Which of the three the verdict is about.
    pub basis: Basis,
    /// What that says after the correction for the number of comparisons in its family.
    pub verdict: Verdict,
    /// Whether both figures may be used; the verdict is inconclusive where they may not.
    pub valid: bool,
    /// Whether a primary endpoint of both campaigns rests on it.
    pub primary: bool,
    /// Whether every trial of both has the same value.
    pub identical: bool,
    pub(super) question: Option<ApartQuestion>,
}

impl Change {
    /// Where it stands: `concurrency, jwt-hs256 at 1,000 users`.
    pub(super) fn place(&self) -> String {
        let rate = match self.key.rate {
            Some(rate) => format!(", {} requests/s", grouped(rate.round() as u64)),
            None => String::new(),
        };
        let (at, swept) = (at(self.key.users), swept(&self.key.experiment, self.key.level));
        format!("{}, {}{at}{swept}{rate}", self.key.experiment, self.key.arm)
    }

    /// The same without the arm, and short enough for a column.
    pub(super) fn cell(&self) -> String {
        let users = match self.key.users {
            Some(1) => ", 1 user".into(),
            Some(users) => format!(", {} users", grouped(users)),
            None => String::new(),
        };
        // A level stands for its rate.
        let rate = match self.key.rate.filter(|_| self.key.level.is_none()) {
            Some(rate) => format!(", {}/s", grouped(rate.round() as u64)),
            None => String::new(),
        };
        let found = experiment::find(&self.key.experiment);
        let level = match found.and_then(|found| found.axis().zip(self.key.level)) {
            Some((axis, at)) if axis.noun.is_empty() => {
                let level = found.map_or_else(String::new, |found| found.level_cell(at));
                // What a share is of is said where there is room.
                format!(", {}", level.split(" of what").next().unwrap_or_default())
            }
            _ => swept(&self.key.experiment, self.key.level),
        };
        format!("{}{users}{level}{rate}", self.key.experiment)
    }

    /// Whether its verdict is that it changed.
    pub(super) fn is_changed(&self) -> bool {
        self.valid && matches!(self.verdict, Verdict::Lower | Verdict::Higher)
    }

    /// Whether the second campaign does better; `None` where neither can be said.
    pub(super) fn better(&self) -> Option<bool> {
        match (self.key.metric.better, self.verdict) {
            _ if !self.valid => None,
            (Better::Lower, Verdict::Lower) | (Better::Higher, Verdict::Higher) => Some(true),
            (Better::Lower, Verdict::Higher) | (Better::Higher, Verdict::Lower) => Some(false),
            _ => None,
        }
    }
}

/// Where a figure stands: ` at 1,000 users`; nothing for one of all levels.
pub(super) fn at(users: Option<u64>) -> String {
    match users {
        Some(1) => " at 1 user".into(),
        Some(users) => format!(" at {} users", grouped(users)),
        None => String::new(),
    }
}
