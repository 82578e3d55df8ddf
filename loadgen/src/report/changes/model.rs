//! Two campaigns beside each other, as data.

use serde::Serialize;

use crate::report::key::Key;
use crate::report::words::swept;
use crate::stats::{ApartQuestion, Estimate, Verdict};
use crate::units::grouped;

/// Two campaigns beside each other.
#[derive(Clone, Debug, Serialize)]
pub struct Changes {
    /// The campaign that is compared with.
    pub a: Side,
    /// The campaign that is compared.
    pub b: Side,
    /// What of plan, program and machine differs.
    pub differences: Vec<Difference>,
    /// The relative change that counts as none.
    pub margin: f64,
    /// Every figure that both have.
    pub changes: Vec<Change>,
    /// Cells that only the first has, in words.
    pub only_in_a: Vec<String>,
    /// Cells that only the second has, in words.
    pub only_in_b: Vec<String>,
}

/// One of the two campaigns.
#[derive(Clone, Debug, Serialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What it is.
    pub what: &'static str,
    /// Its value in the first.
    pub a: String,
    /// Its value in the second.
    pub b: String,
}

/// What became of one figure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Which figure.
    #[serde(flatten, serialize_with = "Key::without_no_level")]
    pub key: Key,
    /// Unit of the metric.
    pub unit: &'static str,
    /// The figure in the first campaign.
    pub a: Estimate,
    /// The figure in the second.
    pub b: Estimate,
    /// The second divided by the first; `None` where a trial's value is not positive.
    pub ratio: Option<Estimate>,
    /// The second minus the first, in the metric's unit.
    pub difference: Estimate,
    /// What the ratio says or, where there is none, the difference, after the correction for the
    /// number of comparisons in its family.
    pub verdict: Verdict,
    /// Whether both figures may be used; the verdict is inconclusive where they may not.
    pub valid: bool,
    #[serde(skip)]
    pub(super) question: Option<ApartQuestion>,
}

impl Change {
    /// Where it stands: `concurrency, jwt-hs256 at 1,000 users`.
    pub(super) fn place(&self) -> String {
        let rate = match self.key.rate {
            Some(rate) => format!(" at {} requests/s", grouped(rate.round() as u64)),
            None => String::new(),
        };
        let (at, swept) = (at(self.key.users), swept(&self.key.experiment, self.key.level));
        format!("{}, {}{at}{swept}{rate}", self.key.experiment, self.key.arm)
    }
}

/// Behind where a figure stands: ` at 1,000 users`; nothing for one of all levels.
pub(super) fn at(users: Option<u64>) -> String {
    users.map_or_else(String::new, |users| format!(" at {} users", grouped(users)))
}
