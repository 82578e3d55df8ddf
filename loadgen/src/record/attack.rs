//! The outcome of attacking servers, one row per case: `attacks.json`, next to a campaign's
//! records: what was sent, what a sound server answers, and what this one answered. Whether an arm
//! may be timed follows from these facts alone.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Version of the form of `attacks.json`.
pub const ATTACKS_SCHEMA: u32 = 1;

/// The attacks that a campaign made on its arms before it timed any.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AttackRecord {
    /// [`ATTACKS_SCHEMA`].
    pub schema: u32,
    /// Hash of the plan it belongs to.
    pub plan: String,
    /// The arms, in the order of the plan.
    pub arms: Vec<Attacked>,
}

/// The outcome of attacking one server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attacked {
    /// The arm, or the name of the target.
    pub target: String,
    /// Why it was not attacked; absent where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spared: Option<String>,
    /// The cases, in the order of the suite.
    pub cases: Vec<CaseRecord>,
}

/// One case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CaseRecord {
    /// The number of the attack in the suite's list, and a letter.
    pub id: String,
    /// What is sent.
    pub what: String,
    /// What a sound server answers.
    pub expected: String,
    /// What this one answered, or why it was not asked.
    pub found: String,
    /// What that means.
    pub outcome: CaseOutcome,
}

/// The outcome of a case.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum CaseOutcome {
    /// The attack got through.
    Accepted,
    /// It did not get through, but the answer was wrong: a 5xx, none, another than it should be, or
    /// the good credential stopped working.
    Failed,
    /// It was refused as it should be.
    Refused,
    /// It is no attack, and was let through as it should be.
    Allowed,
    /// What the server chose where it may choose, or cannot do by its nature.
    Property,
    /// It does not apply to this server.
    NotApplicable,
}

impl CaseOutcome {
    /// Every outcome, the worst first.
    pub const ALL: [Self; 6] = [
        Self::Accepted,
        Self::Failed,
        Self::Refused,
        Self::Allowed,
        Self::Property,
        Self::NotApplicable,
    ];

    /// In a word or two. The one that must not be overlooked is in capitals.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Accepted => "ACCEPTED",
            Self::Failed => "FAILED",
            Self::Refused => "refused",
            Self::Allowed => "allowed",
            Self::Property => "property",
            Self::NotApplicable => "not applicable",
        }
    }

    /// Whether a server with it must not be timed.
    pub const fn is_bad(self) -> bool {
        matches!(self, Self::Accepted | Self::Failed)
    }
}

impl Attacked {
    /// A server that was not attacked, and why.
    pub fn spared(target: &str, why: &str) -> Self {
        Self { target: target.into(), spared: Some(why.into()), cases: Vec::new() }
    }

    /// How many cases came out so.
    pub fn count(&self, outcome: CaseOutcome) -> usize {
        self.cases.iter().filter(|case| case.outcome == outcome).count()
    }

    /// How many cases were carried out.
    pub fn run(&self) -> usize {
        self.cases.len() - self.count(CaseOutcome::NotApplicable)
    }

    /// The cases for which it must not be timed.
    pub fn bad(&self) -> impl Iterator<Item = &CaseRecord> {
        self.cases.iter().filter(|case| case.outcome.is_bad())
    }
}
