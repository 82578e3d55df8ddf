//! What a campaign is to decide, declared before anything runs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A comparison of two arms that gets a verdict.
///
/// A campaign makes hundreds of comparisons, and among so many some look like a difference by
/// chance. So only those that were declared get a verdict, corrected for their number; a plan's
/// hash covers them, and nobody can choose them after the figures are known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Primary {
    /// The experiment.
    pub experiment: String,
    /// The metric.
    pub metric: String,
    /// The arm that is compared.
    pub arm: String,
    /// The arm that it is compared with.
    pub against: String,
    /// Level of the trials.
    pub level: u32,
    /// For the growth of a difference: the level whose difference is subtracted from that at
    /// `level`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u32>,
    /// Users who are logged in, where the trials of one level have figures for several numbers of
    /// users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<u32>,
}
