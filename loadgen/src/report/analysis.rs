//! Everything that a report says, as data, before it is set in type: `analyse` makes it from
//! records alone, and the pages read it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::claims::result::ClaimResult;
use super::figures::{Comparison, Endpoint, Measurement, NoiseFloor};
use super::percentiles::Percentile;
use super::probes::Probe;
use crate::experiment::{Metric, Steadiness};
use crate::plan::{Arm, Prices};
use crate::record::{Attacked, Doubt, Host};
use crate::stats::Verdict;

/// Everything a report says, before it is set in type.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Analysis {
    /// Name of the campaign.
    pub name: String,
    /// Hash of its plan.
    pub plan: String,
    /// Arguments of `authbench campaign` that make its plan again.
    pub again: Vec<String>,
    /// Seed of its plan.
    pub seed: u64,
    /// The arms, in the order of the campaign file.
    pub arms: Vec<String>,
    /// The arm that every table subtracts.
    pub baseline: String,
    /// The arm that the other arms are compared with.
    pub reference: String,
    /// What the reference's second run of every block is called; `None` in a campaign without an
    /// A/A pair.
    pub twin: Option<Arm>,
    /// The relative difference that counts as equal.
    pub margin: f64,
    /// What memory, CPU time and traffic cost.
    pub prices: Prices,
    /// The machine and the program.
    pub host: Host,
    /// What people say of sessions and tokens, and what this campaign says of it.
    pub claims: Vec<ClaimResult>,
    /// The answer in words.
    pub answer: Vec<Sentence>,
    /// The experiments, in order.
    pub experiments: Vec<ExperimentSummary>,
    /// Every figure.
    pub measurements: Vec<Measurement>,
    /// The primary endpoints, which alone have verdicts.
    pub primary: Vec<Endpoint>,
    /// Every comparison with the baseline and with the reference.
    pub comparisons: Vec<Comparison>,
    /// The reference compared with its twin.
    pub noise_floors: Vec<NoiseFloor>,
    /// Every load that a capacity search made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub probes: Vec<Probe>,
    /// Response times from the fastest to the rarest, by concurrent users.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percentiles: Vec<Percentile>,
    /// What makes figures doubtful.
    pub doubts: Vec<DoubtSummary>,
    /// Trials that were planned.
    pub trials_planned: usize,
    /// Trials that were carried out.
    pub trials_complete: usize,
    /// Trials whose figures may not be used, and are not.
    pub trials_invalid: usize,
    /// When the first trial began, milliseconds since 1970.
    pub started_unix_ms: u64,
    /// From the beginning of the first trial to the end of the last, ms.
    pub wall_ms: u64,
    /// How server and generator were placed.
    pub placement: String,
    /// What the servers said of themselves, by arm.
    pub notes: BTreeMap<String, Vec<String>>,
    /// The results of attacking the arms, in their order; empty without a gate.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attacks: Vec<Attacked>,
}

/// One experiment of the campaign.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ExperimentSummary {
    /// Its name.
    pub name: String,
    /// Its question.
    pub question: String,
    /// How it was asked.
    pub method: String,
    /// What happened that is no figure, a sentence each, which begins with the arm.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
    /// How often each cell was run.
    pub blocks: u32,
    /// Whether its loads are long enough for the rule of steady state.
    pub steadiness: Steadiness,
}

/// A sentence of the answer.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Sentence {
    /// What it is about, a few words.
    pub topic: String,
    /// The sentence.
    pub text: String,
    /// What the primary endpoint behind it says; `None` where it is exploratory.
    pub verdict: Option<Verdict>,
    /// Whether its figures are known well enough to be read first: an interval that holds 0 or
    /// spans more than twofold makes no headline, unless it settles that two arms are alike.
    pub headline: bool,
}

/// The place of a doubt about every figure.
pub(super) const WHOLE: &str = "the whole campaign";

/// A doubt and where it applies.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct DoubtSummary {
    /// The doubt, as the first trial had it.
    pub doubt: Doubt,
    /// Where it applies: `concurrency, jwt-hs256 at 1,000 users: 2 of 5 trials`.
    pub places: Vec<String>,
}

impl Analysis {
    /// Whether an answer may be drawn from it: some figure is valid, and no doubt invalidates them
    /// all.
    pub fn usable(&self) -> bool {
        let all = |d: &DoubtSummary| d.doubt.invalidates && d.places.iter().any(|at| at == WHOLE);
        self.measurements.iter().any(|m| m.valid) && !self.doubts.iter().any(all)
    }

    /// The metrics that an experiment measured, in the order of the table.
    pub fn metrics(&self, experiment: &str) -> Vec<&'static Metric> {
        let mut metrics = Vec::new();
        for m in self.measurements.iter().filter(|m| m.key.experiment == experiment) {
            if !metrics.contains(&m.key.metric) {
                metrics.push(m.key.metric);
            }
        }
        metrics
    }
}
