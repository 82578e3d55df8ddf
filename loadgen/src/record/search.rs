//! What a search for the highest rate found, probe by probe.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The outcome of a search.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SearchRecord {
    /// Every probe, in order.
    pub probes: Vec<ProbeRecord>,
}

/// One load at one rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProbeRecord {
    /// The rate that was asked for, requests per second.
    pub rate_rps: f64,
    /// Whether it was a longer one, to confirm a rate.
    pub confirms: bool,
    /// Requests that were due.
    pub planned: u64,
    /// Requests that could not be sent before the probe's Drain was over.
    pub dropped: u64,
    /// Requests that were sent and got no right answer.
    pub without_answer: u64,
    /// Of those, the ones whose answer named another user.
    pub wrong_user: u64,
    /// Requests that ended, a second.
    pub achieved_rps: f64,
    /// Response time at p99 of the right answers, ns.
    pub response_ns_p99: u64,
    /// Schedule lag at p99, ns.
    pub lag_ns_p99: u64,
    /// CPU time of the server, and of its store where that was started with it, as a share of what
    /// the server's threads had.
    pub server_busy: f64,
    /// What it says of the rate.
    pub verdict: ProbeVerdict,
    /// Why, in words; empty where it held.
    pub why: String,
}

/// What a probe says of its rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProbeVerdict {
    /// The server held it.
    Held,
    /// It did not.
    Failed,
    /// The generator could not offer it, so it says nothing of the server.
    NotOffered,
    /// Something else had the cores, so it says nothing of either.
    Disturbed,
}
