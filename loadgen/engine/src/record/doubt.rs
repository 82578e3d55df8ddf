//! What makes figures uncertain, with its remedy.

use serde::{Deserialize, Serialize};

/// A reason to distrust a figure, with its remedy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Doubt {
    /// Whether the figures may not be used at all.
    pub invalidates: bool,
    /// A short name that a program can test for.
    pub code: String,
    /// What was seen.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

/// The code of the doubt about a silence.
pub const STALL: &str = "stall";

/// Doubts about what a server did. A trial that has one is no accident of the measurement, so it
/// must not be left out while other trials of its cell stay in.
const OUTCOMES: &[&str] =
    &["no_answers", "none_in_time", "wrong_answers", "errors", "dropped", "turned_away"];

/// Doubts about what something else did to the machine or to the generator: the same trial at
/// another moment would not have them.
const DISTURBANCES: &[&str] =
    &[STALL, "generator_absent", "generator_contended", "server_contended", "lag", "disturbed"];

impl Doubt {
    /// A doubt that keeps the figures from being used.
    pub fn invalid(code: &str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::graded(true, code, what, remedy)
    }

    /// A doubt about figures that may still be used.
    pub fn caution(code: &str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::graded(false, code, what, remedy)
    }

    /// A doubt whose weight depends on what was found.
    pub fn graded(
        invalidates: bool,
        code: &str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { invalidates, code: code.into(), what: what.into(), remedy: remedy.into() }
    }

    /// Whether it is about what the server did, and not about what was done to it.
    pub fn is_outcome(&self) -> bool {
        OUTCOMES.contains(&self.code.as_str())
    }

    /// Whether it is about something that disturbed the measurement, and may be gone next time.
    pub fn is_disturbance(&self) -> bool {
        DISTURBANCES.contains(&self.code.as_str())
    }
}
