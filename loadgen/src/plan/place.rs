//! How many cores a server gets, as data.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Cores of a trial's server; the generator has the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlacePlan {
    /// Cores of the server.
    pub server_cores: u32,
    /// Whether it is measured although there are too few cores for that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
}
