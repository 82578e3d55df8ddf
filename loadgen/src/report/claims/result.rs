//! What a campaign says of a claim: a verdict, and the matrices of answers that it rests on.

use schemars::JsonSchema;
use serde::Serialize;

use crate::stats::Estimate;

/// A claim and what a campaign says of it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ClaimResult {
    /// The sentence.
    pub says: String,
    /// Who says it.
    pub source: String,
    /// The part of the sentence that the tests cover.
    pub covers: String,
    /// The part that they leave out; may be empty.
    pub leaves_out: String,
    /// What this campaign says of it.
    pub verdict: ClaimVerdict,
    /// That in words.
    pub words: String,
    /// The answers in a line; empty where nothing was measured.
    pub in_short: String,
    /// The answers, a matrix for each test that was measured.
    pub matrices: Vec<Matrix>,
}

/// What a campaign says of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClaimVerdict {
    /// Every part was measured, and every cell says yes.
    Supported,
    /// Every part was measured, and every cell says no.
    Refuted,
    /// Some say yes and some say no.
    Depends,
    /// A cell is open, or a part was not measured, and no two cells contradict each other.
    NotSettled,
    /// It was measured, and too many of its trials are invalid.
    NoValidFigure,
    /// This campaign has no figure for it.
    NotMeasured,
}

impl ClaimVerdict {
    /// In a word or two.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Supported => "supported",
            Self::Refuted => "refuted",
            Self::Depends => "depends",
            Self::NotSettled => "not settled",
            Self::NoValidFigure => "no valid figure",
            Self::NotMeasured => "not measured",
        }
    }
}

/// What one test of a claim found.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Matrix {
    /// What a yes says.
    pub asks: String,
    /// Where its figures were measured: `at 1,024 users`; may be empty.
    pub at: String,
    /// The cells, arm by arm.
    pub cells: Vec<ClaimCell>,
}

/// What an arm, or a pair of arms, says of a claim.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ClaimCell {
    /// The arm.
    pub arm: String,
    /// The arm that it is asked against; `None` in a test of single arms.
    pub against: Option<String>,
    /// Whether it counts; an arm that is asked for comparison does not.
    pub counts: bool,
    /// What it says.
    pub answer: Answer,
    /// The figure behind it, with its interval.
    pub found: String,
    /// Why it is not settled, as a clause; empty where it is.
    #[serde(skip)]
    pub(in crate::report) open: String,
    /// The same for programs, where one figure decides.
    pub estimate: Option<Estimate>,
    /// The unit of that figure; `ratio` for a ratio.
    pub unit: &'static str,
    /// Chance of so clear a yes to what is tested were it not so, corrected over the cells of the
    /// claim; held against 0.025.
    pub p_yes: Option<f64>,
    /// The same of a no.
    pub p_no: Option<f64>,
}

/// An answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The claim holds.
    Yes,
    /// It does not.
    No,
    /// These data do not tell.
    NotSettled,
}

impl Answer {
    pub(super) const fn told(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }

    pub(super) const fn opposite(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::NotSettled => Self::NotSettled,
        }
    }
}
