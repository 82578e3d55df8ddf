//! Facts, written once: what a trial did, counted and saw, and nothing that follows from it.

mod attack;
mod claim;
mod disk;
mod drill;
mod host;
mod instructions;
mod origin;
mod resume;
mod seal;
mod search;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use attack::{ATTACKS_SCHEMA, AttackRecord, Attacked, CaseOutcome, CaseRecord};
pub use claim::Claim;
pub use disk::Folder;
pub use drill::{
    Asked, Beside, DrillRecord, ExpiryRecord, FailoverRecord, Lifetimes, Renewals, Replacement,
    ReplicasRecord, ReplicasStep, RestartRecord, RevocationRecord, ServerShare, Watched,
};
pub use engine::record::{
    AgentEnd, AgentUse, ClientUse, Counts, Doubt, ENCODED, GeneratorUse, GrowRecord, Histogram,
    LoadRecord, LoginRecord, MemoryUse, NOTHING_SENT, OVER_LIMIT, Placement, Refusal,
    RenewalRecord, SAMPLES_BEYOND, STALL, Second, ServerUse, SliceRecord, StepRecord, VisitCounts,
    WireUse,
};
pub use host::Host;
pub use instructions::{InstructionCount, Instructions, Operation};
pub use origin::Origin;
pub use resume::{Begun, Mixing};
pub use search::{ProbeRecord, ProbeVerdict, SearchRecord};

use crate::plan::{Action, TrialPlan};

/// Version of the records' form on disk. The first had no checksum and no origin; it can still be
/// read.
pub const RECORD_SCHEMA: u32 = 2;

/// Everything about one trial.
///
/// Estimates, verdicts and pages are made from these types alone, so a report can be rebuilt, byte
/// for byte, years after the campaign. Every record carries a schema version, and a newer one than
/// this program knows is refused. No figure here is derived from another but for sums.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrialRecord {
    /// [`RECORD_SCHEMA`].
    pub schema: u32,
    /// Hash of the plan it belongs to.
    pub plan: String,
    /// Where it is from; `None` in records of schema 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// What was to be done.
    pub trial: TrialPlan,
    /// When it began, milliseconds since 1970 by the wall clock.
    pub started_unix_ms: u64,
    /// How long it took, ms.
    pub wall_ms: u64,
    /// Which cores the server and the generator had.
    pub placement: Placement,
    /// What the server said of itself; `None` when it did not start.
    pub server: Option<ServerFacts>,
    /// The outcome of each action, in the order of the plan; shorter when the trial failed, and
    /// where a user was refused what the rest of it would have needed.
    pub actions: Vec<ActionRecord>,
    /// The server process through the trial.
    pub timeline: Vec<ProcessSample>,
    /// Share of the machine's CPU time that its host took away during the trial, 0 to 1.
    pub steal: f64,
    /// Attempts before this one that were refused because something disturbed them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refused>,
    /// Whether it was carried out to its end.
    pub outcome: TrialOutcome,
}

/// An attempt at a trial that was refused, and so made again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refused {
    /// What disturbed it, a clause.
    pub why: String,
    /// How long it took, ms.
    pub wall_ms: u64,
}

impl TrialRecord {
    /// The outcome of the loads among the actions.
    pub fn loads(&self) -> impl Iterator<Item = &LoadRecord> {
        self.actions.iter().filter_map(|did| match did {
            ActionRecord::Load(load) => Some(&**load),
            _ => None,
        })
    }

    /// The outcome of the pilots among the actions.
    pub fn pilots(&self) -> impl Iterator<Item = &LoadRecord> {
        self.trial.actions.iter().zip(&self.actions).filter_map(|pair| match pair {
            (Action::Pilot(_), ActionRecord::Load(load)) => Some(&**load),
            _ => None,
        })
    }

    /// The outcome of its drill, where it is the trial of one.
    pub fn drill(&self) -> Option<&DrillRecord> {
        self.actions.iter().find_map(|did| match did {
            ActionRecord::Drill(drill) => Some(&**drill),
            _ => None,
        })
    }
}

impl TrialRecord {
    /// The same doubts, where silences that the machine's host may have caused invalidate: a guest
    /// whose core is taken away sees neither side wait.
    #[must_use]
    pub fn with_steal(&self, mut doubts: Vec<Doubt>) -> Vec<Doubt> {
        let mut cores = [self.placement.server.as_slice(), &self.placement.generator].concat();
        cores.sort_unstable();
        cores.dedup();
        let stolen_ns = (self.steal * self.wall_ms as f64 * 1e6 * cores.len().max(1) as f64) as u64;
        let stalled = self.loads().filter(|load| load.is_stalled()).map(|load| &load.counts);
        let long = stalled.filter(|counts| counts.longest_silence_ns * 20 > counts.window_ns);
        let longest_ns = long.map(|counts| counts.longest_silence_ns).max();
        if longest_ns.is_some_and(|longest_ns| stolen_ns * 2 >= longest_ns) {
            for doubt in doubts.iter_mut().filter(|doubt| doubt.code == STALL) {
                doubt.invalidates = true;
                doubt.what.push_str("; the host took the machine's time away for as long");
            }
        }
        doubts
    }
}

/// Whether a trial was carried out to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum TrialOutcome {
    /// It was.
    Complete,
    /// It was not, and why.
    Failed {
        /// The cause, as a sentence.
        cause: String,
    },
}

/// What a server said of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServerFacts {
    /// Its process.
    pub pid: u32,
    /// Threads that serve requests.
    pub threads: usize,
    /// Choices a reader of the figures should know.
    pub notes: Vec<String>,
    /// Name and version of the store's server that was started with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// Servers behind a proxy; `None` where it is one without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub servers: Option<u32>,
    /// Name and version of that proxy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
}

/// The outcome of one action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "did", rename_all = "snake_case")]
pub enum ActionRecord {
    /// Users logged in.
    Fill(LoginRecord),
    /// The server logged users in by itself; there are no service times.
    Populate(LoginRecord),
    /// The server's memory was read.
    Snapshot(SnapshotRecord),
    /// The server was given these cores.
    Place(Placement),
    /// Users made a journey.
    Load(Box<LoadRecord>),
    /// Users logged out.
    Logout(LoginRecord),
    /// A user made a journey until it was refused.
    Grow(GrowRecord),
    /// Connections were opened and left open; `users` counts them.
    Connect(LoginRecord),
    /// A rate was looked for.
    Search(SearchRecord),
    /// Servers were started, stopped and replaced.
    Drill(Box<DrillRecord>),
}

/// The server's memory at a point of a fill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SnapshotRecord {
    /// Users who were logged in.
    pub sessions: u64,
    /// What was read.
    pub memory: MemoryUse,
}

/// The server process at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessSample {
    /// Milliseconds since the trial began.
    pub at_ms: u64,
    /// Resident set size, bytes.
    pub rss_bytes: u64,
    /// CPU used since the sample before, 1 for one whole core.
    pub cpu_cores: f64,
}
