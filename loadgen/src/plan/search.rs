//! The search for the highest rate that a server holds, as data.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the search goes, and what a rate has to hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SearchPlan {
    /// The journey that users make.
    pub journey: String,
    /// Users, each with a credential of their own.
    pub users: u32,
    /// Keep-alive connections over which they come.
    pub connections: u32,
    /// What the p99 response time may be at most, ns.
    pub slo_ns: u64,
    /// The share of requests that may go without a right answer.
    pub errors_max: f64,
    /// The lowest rate that is tried, requests per second.
    pub from_rps: f64,
    /// The highest one.
    pub to_rps: f64,
    /// The search ends when the lowest rate that does not hold is so much more than the highest one
    /// that does, as a share.
    pub resolution: f64,
    /// Length of Warmup of every probe, ns.
    pub warmup_ns: u64,
    /// Length of Measure of a probe, ns.
    pub probe_ns: u64,
    /// Length of Measure of a confirmation, ns.
    pub confirm_ns: u64,
    /// How long Drain waits for answers, ns.
    pub drain_ns: u64,
    /// When a request that has no answer counts as failed, ns.
    pub timeout_ns: u64,
    /// Most probes, confirmations among them.
    pub probes_max: u32,
}

impl SearchPlan {
    /// About how long it takes, ms: as many doublings as the range has, bisections to the
    /// resolution, each failure asked twice, and one confirmation.
    pub(super) fn expected_ms(&self) -> u64 {
        let doublings = (self.to_rps / self.from_rps).log2().max(0.0) / 2.0;
        let bisections = (2f64.ln() / self.resolution.ln_1p()).log2().max(0.0).ceil();
        let probes = (doublings + 1.5 * bisections + 2.0).min(f64::from(self.probes_max));
        let probe_ms = (self.warmup_ns + self.probe_ns) as f64 / 1e6 + 60.0;
        (probes * probe_ms + self.confirm_ns as f64 / 1e6) as u64
    }
}
