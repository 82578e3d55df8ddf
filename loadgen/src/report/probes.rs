//! The probes of capacity searches, one fact each, for the chart that shows all of them.

use schemars::JsonSchema;
use serde::Serialize;

use crate::experiment::Judged;
use crate::plan::{Action, Arm};
use crate::record::{ActionRecord, ProbeVerdict};

/// One load at one rate, as the search made it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Probe {
    /// The arm; the twin under its own name.
    pub arm: Arm,
    /// The block of its trial.
    pub block: u32,
    /// Users who were logged in.
    pub users: u32,
    /// The rate that was asked for, requests per second.
    pub rate_rps: f64,
    /// Response time p99 of the right answers, us.
    pub response_p99_us: f64,
    /// What that may be at most, us.
    pub limit_us: f64,
    /// Whether it was a longer one, to confirm a rate.
    pub confirms: bool,
    /// What it says of the rate.
    pub verdict: ProbeVerdict,
}

impl Probe {
    /// Whether the server held the rate.
    pub(super) fn held(&self) -> bool {
        self.verdict == ProbeVerdict::Held
    }

    /// Whether it says anything of the server.
    pub(super) fn is_told(&self) -> bool {
        matches!(self.verdict, ProbeVerdict::Held | ProbeVerdict::Failed)
    }
}

/// The probes of all trials that may be used, in their order.
pub(super) fn probes(complete: &[&Judged]) -> Vec<Probe> {
    let mut probes = Vec::new();
    for record in complete.iter().filter(|judged| judged.valid).map(|judged| judged.record) {
        for pair in record.trial.actions.iter().zip(&record.actions) {
            let (Action::Search(plan), ActionRecord::Search(search)) = pair else { continue };
            probes.extend(search.probes.iter().map(|probe| Probe {
                arm: record.trial.name(),
                block: record.trial.block,
                users: plan.users,
                rate_rps: probe.rate_rps,
                response_p99_us: probe.response_ns_p99 as f64 / 1e3,
                limit_us: plan.slo_ns as f64 / 1e3,
                confirms: probe.confirms,
                verdict: probe.verdict,
            }));
        }
    }
    probes
}
