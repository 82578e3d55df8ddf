//! The results of what users did apart from a load.

use serde::{Deserialize, Serialize};

/// How far one user came who made a journey until it was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GrowRecord {
    /// How often the journey was made.
    pub made: u32,
    /// Bytes of the credential after that; `None` where it ended with a refusal.
    pub credential_bytes: Option<u64>,
    /// How it ended; `None` when nothing was refused.
    pub refusal: Option<Refusal>,
}

/// An answer that was not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Refusal {
    /// Its class.
    pub outcome: String,
    /// Its status, where that was what was wrong with it.
    pub status: Option<u16>,
    /// How its body begins.
    pub said: String,
}
