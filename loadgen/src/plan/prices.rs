//! What memory, CPU time and traffic cost, for the report.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Prices in any currency: only their ratios count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// Of a GiB of memory for an hour.
    pub memory_gib_hour: f64,
    /// Of an hour of CPU time.
    pub cpu_hour: f64,
    /// Of 10^9 bytes on the wire.
    pub traffic_gb: f64,
    /// Where they are from.
    pub source: String,
}
