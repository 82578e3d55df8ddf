//! What will run, in full: nothing optional, ordered, seeded, hashed, printable.

mod arm;
mod drill;
mod place;
mod prices;
mod primary;
mod search;
mod variant;

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use servers::contract::Share;

pub use arm::Arm;
pub use drill::{
    DrillPlan, ExpiryPlan, FailoverPlan, ReplicasPlan, RestartPlan, RevocationPlan, WatchPlan,
};
pub use engine::plan::{
    ADMIN_FILL, ConnectPlan, FillPlan, GrowPlan, LoadPlan, LogoutPlan, PopulatePlan, Prepare,
    RenewalPlan, SlicesPlan, Slicing,
};
pub use place::PlacePlan;
pub use prices::Prices;
pub use primary::Primary;
pub use search::SearchPlan;
pub use variant::Variant;

use crate::random::mix;

/// Version of the plan's form on disk. In version 1 the experiment `concurrency` had another name.
pub const PLAN_SCHEMA: u32 = 2;

/// Everything a campaign will do.
///
/// A [`Plan`] is made before anything is started and written next to the records. A trial is a list
/// of [`Action`]s on one fresh server process, and the campaign carries them out without knowing
/// which experiment they belong to. This module reads no clock and draws no unseeded randomness:
/// the same spec and seed give the same plan, byte for byte.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// [`PLAN_SCHEMA`].
    pub schema: u32,
    /// Name of the campaign.
    pub name: String,
    /// Arguments of `authbench campaign` that make this plan again.
    pub again: Vec<String>,
    /// Seed of every random choice.
    pub seed: u64,
    /// The arms that are compared.
    pub arms: Vec<String>,
    /// The arm that every table subtracts.
    pub baseline: String,
    /// The arm that the other arms are compared with.
    pub reference: String,
    /// The experiments, in order.
    pub experiments: Vec<String>,
    /// The primary endpoints: only these comparisons get verdicts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub primary: Vec<Primary>,
    /// Prices that the campaign file gives; `None`: those that the report has by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prices: Option<Prices>,
    /// The share of requests of a load that may end with their connection; `None`: 0.1 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub max_transport_errors: Option<Share>,
    /// The trials, in the order in which they run.
    pub trials: Vec<TrialPlan>,
}

/// One fresh server process and what is done to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrialPlan {
    /// Position in the plan, from 0.
    pub index: u32,
    /// The experiment it belongs to.
    pub experiment: String,
    /// The arm that is served, or a [`Variant`] of one.
    pub arm: String,
    /// Whether this is the reference's second trial of the block: the A/A pair, which shows how
    /// much an arm differs from itself.
    #[serde(default, skip_serializing_if = "is_false")]
    pub twin: bool,
    /// The block it belongs to, from 0.
    pub block: u32,
    /// The point of the sweep (users, or what the experiment sweeps); 0 where the trial is not one
    /// point of a sweep.
    pub level: u32,
    /// Seed of this trial's load.
    pub seed: u64,
    /// Further arguments of `authbench serve`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub server: Vec<String>,
    /// What is done, in order.
    pub actions: Vec<Action>,
}

/// One thing that is done to the server of a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Action {
    /// Logs in as many new users, each once, over a few connections, and forgets them.
    Fill(FillPlan),
    /// Has the server log users in by itself, without a request for each.
    Populate(PopulatePlan),
    /// Waits, and then reads the server's memory.
    Snapshot(SnapshotPlan),
    /// Gives the server so many cores and the generator the others; it is the first action of its
    /// trial, and holds for the whole of it.
    Place(PlacePlan),
    /// Logs users in and has them make a journey while everything is measured.
    Load(LoadPlan),
    /// The same, to find the rate that other trials of its block take shares of
    /// ([`crate::load::LoadModel::PilotShare`]).
    Pilot(LoadPlan),
    /// The same, in slices that alternate with those of the other trials of its level and block:
    /// their servers are up together. It is the last action of its trial.
    Slices(SlicesPlan),
    /// Logs out everyone whose credential a fill has kept.
    Logout(LogoutPlan),
    /// Has one user make a journey until it is refused; what follows in the trial is then left out.
    Grow(GrowPlan),
    /// Opens connections and leaves them idle.
    Connect(ConnectPlan),
    /// Looks for the highest rate that the server holds.
    Search(SearchPlan),
    /// Starts, stops and replaces servers of its own and looks at who stays logged in. It is the
    /// only action of its trial.
    Drill(DrillPlan),
}

/// A reading of the server's memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SnapshotPlan {
    /// Users who are logged in at this point.
    pub sessions: u64,
    /// How long the server is left alone before, ns.
    pub settle_ns: u64,
}

/// Rough costs for the time that a plan will take; they are never a measurement.
const SERVER_START_AND_STOP_MS: u64 = 20;
const LOGINS_PER_MS: u64 = 40;
const POPULATED_PER_MS: u64 = 200;
const ATTACKS_MS: u64 = 4_000;
const SLICE_ENDS_NS: u64 = 1_000_000;
/// A slice ends with an answer on each connection that has one under way.
const ANSWER_NS: u64 = 12_000;

impl Action {
    /// Whether it finds the rate of other trials.
    pub const fn is_pilot(&self) -> bool {
        matches!(self, Self::Pilot(_))
    }

    /// About how long it takes, ms; `logs_in` says whether the users of a load have to.
    fn expected_ms(&self, logs_in: bool) -> u64 {
        let logins = |load: &LoadPlan| {
            if logs_in { logins_ms(load.users, load.prepare.as_ref()) } else { 0 }
        };
        match self {
            Self::Fill(fill) => logins_ms(fill.users, fill.prepare.as_ref()) + 5,
            Self::Populate(populate) => u64::from(populate.users) / POPULATED_PER_MS + 5,
            Self::Snapshot(snapshot) => snapshot.settle_ns / 1_000_000 + 5,
            Self::Place(_) => 0,
            Self::Load(load) | Self::Pilot(load) => {
                (load.warmup_ns + load.measure_ns) / 1_000_000 + logins(load) + 30
            }
            Self::Slices(SlicesPlan { load, slicing }) => {
                let rounds = u64::from(slicing.warmup_rounds + slicing.rounds);
                let awaited_ns = u64::from(load.connections) * ANSWER_NS;
                rounds * (slicing.length_ns + awaited_ns + SLICE_ENDS_NS) / 1_000_000
                    + logins(load)
                    + 30
            }
            // As many logouts as the fills before it have kept; they are not known here.
            Self::Logout(_) => 500,
            Self::Grow(_) => 50,
            Self::Connect(connect) => u64::from(connect.connections) / 4 + 5,
            Self::Search(search) => search.expected_ms(),
            Self::Drill(drill) => drill.expected_ms(),
        }
    }

    /// The load that it is, likewise.
    pub const fn load_mut(&mut self) -> Option<&mut LoadPlan> {
        match self {
            Self::Load(load) | Self::Pilot(load) | Self::Slices(SlicesPlan { load, .. }) => {
                Some(load)
            }
            _ => None,
        }
    }

    /// The load that it is, whether alone or in slices.
    pub const fn load(&self) -> Option<&LoadPlan> {
        match self {
            Self::Load(load) | Self::Pilot(load) | Self::Slices(SlicesPlan { load, .. }) => {
                Some(load)
            }
            _ => None,
        }
    }

    /// The journey that its users make again and again; `None` where there is no such load.
    pub fn journey(&self) -> Option<&str> {
        match self {
            Self::Search(search) => Some(&search.journey),
            other => Some(&other.load()?.journey),
        }
    }

    /// The same, to be changed while the plan is made.
    pub const fn journey_mut(&mut self) -> Option<&mut String> {
        match self {
            Self::Load(load) | Self::Pilot(load) | Self::Slices(SlicesPlan { load, .. }) => {
                Some(&mut load.journey)
            }
            Self::Search(search) => Some(&mut search.journey),
            _ => None,
        }
    }

    /// The connections that it opens.
    fn connections(&self) -> u32 {
        match self {
            Self::Fill(fill) => fill.connections,
            Self::Populate(_) | Self::Snapshot(_) | Self::Place(_) => 0,
            Self::Load(load) | Self::Pilot(load) | Self::Slices(SlicesPlan { load, .. }) => {
                load.connections
            }
            Self::Logout(logout) => logout.connections,
            Self::Grow(_) => 1,
            Self::Connect(connect) => connect.connections,
            Self::Search(search) => search.connections,
            Self::Drill(drill) => drill.connections(),
        }
    }
}

/// About how long so many logins and what follows them take, ms.
fn logins_ms(users: u32, prepare: Option<&Prepare>) -> u64 {
    let requests = 1 + prepare.map_or(0, |prepare| u64::from(prepare.times));
    u64::from(users) * requests / LOGINS_PER_MS
}

impl TrialPlan {
    /// How its server is placed, where it says so.
    pub fn place(&self) -> Option<&PlacePlan> {
        self.actions.iter().find_map(|action| match action {
            Action::Place(place) => Some(place),
            _ => None,
        })
    }

    /// Whether other trials of its block take their rate from it.
    pub fn is_pilot(&self) -> bool {
        self.actions.iter().any(Action::is_pilot)
    }

    /// The slices that it ends with, where its server is up together with others.
    pub fn slices(&self) -> Option<&SlicesPlan> {
        self.before_slices().map(|(slices, _)| slices)
    }

    /// The slices that it ends with, and what is done to its server alone before.
    pub fn before_slices(&self) -> Option<(&SlicesPlan, &[Action])> {
        match self.actions.as_slice() {
            [before @ .., Action::Slices(slices)] => Some((slices, before)),
            _ => None,
        }
    }

    /// Whether both alternate in the same load.
    pub fn is_together_with(&self, other: &Self) -> bool {
        let place = |trial: &Self| (trial.experiment.clone(), trial.block, trial.level);
        self.slices().is_some() && self.slices() == other.slices() && place(self) == place(other)
    }

    /// About how long the trial takes, ms.
    pub fn expected_ms(&self) -> u64 {
        let keeps = |action: &Action| matches!(action, Action::Populate(of) if of.keep);
        let logs_in = !self.actions.iter().any(keeps);
        let expected = self.actions.iter().map(|action| action.expected_ms(logs_in));
        expected.sum::<u64>() + SERVER_START_AND_STOP_MS
    }

    /// The most connections that are open at a time: those that stay open, and those of one action.
    fn connections(&self) -> u32 {
        let (mut held, mut most) = (0, 0);
        for action in &self.actions {
            most = most.max(held + action.connections());
            if let Action::Connect(connect) = action {
                held += connect.connections;
            }
        }
        most
    }

    /// What reports call its arm: `session@memory`, and `session@memory (again)` for the twin.
    pub fn name(&self) -> Arm {
        if self.twin { Arm::twin_of(&self.arm) } else { self.arm.as_str().into() }
    }

    /// Stem of the record's file: `0007-jwt-hs256`; a twin's is `0008-session@memory-again`.
    pub fn file_stem(&self) -> String {
        let again = if self.twin { "-again" } else { "" };
        // A deployment has spaces in its name.
        format!("{:04}-{}{again}", self.index, self.arm.replace(' ', "-"))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

impl Plan {
    /// Whether the reference is measured twice in every block.
    pub fn has_twin(&self) -> bool {
        self.trials.iter().any(|trial| trial.twin)
    }

    /// The arms as reports name them: those of the campaign file, and the twin after its like.
    pub fn names(&self) -> Vec<Arm> {
        let twin = self.twin();
        let with_twin = |arm: &String| {
            [Some(Arm::from(arm.as_str())), twin.clone().filter(|_| *arm == self.reference)]
        };
        self.arms.iter().flat_map(with_twin).flatten().collect()
    }

    /// The second run of the reference, if it is measured twice.
    pub fn twin(&self) -> Option<Arm> {
        self.has_twin().then(|| Arm::twin_of(&self.reference))
    }

    /// The most connections that any trial opens at a time.
    pub fn connections(&self) -> u32 {
        self.trials.iter().map(TrialPlan::connections).max().unwrap_or(0)
    }

    /// About how long the whole campaign takes, the attacks on its arms included, ms.
    pub fn expected_ms(&self) -> u64 {
        self.attacks_ms() + self.trials_ms()
    }

    /// About how long its arms are attacked, ms.
    pub fn attacks_ms(&self) -> u64 {
        self.arms.len() as u64 * ATTACKS_MS
    }

    /// About how long its trials take, ms.
    pub fn trials_ms(&self) -> u64 {
        self.trials.iter().map(TrialPlan::expected_ms).sum()
    }

    /// What differs between two plans, each with its value here and there; nothing when they are
    /// the same but for how they were asked for.
    pub fn differences(&self, there: &Self) -> Vec<(&'static str, String, String)> {
        let facts = |plan: &Self| {
            [
                ("name", plan.name.clone()),
                ("seed", plan.seed.to_string()),
                ("arms", plan.arms.join(",")),
                ("baseline", plan.baseline.clone()),
                ("reference", plan.reference.clone()),
                ("experiments", plan.experiments.join(",")),
                ("mix of journeys", plan.mixes()),
                ("primary endpoints", plan.primary.len().to_string()),
                ("trials", plan.trials.len().to_string()),
            ]
        };
        let mut found: Vec<_> = facts(self)
            .into_iter()
            .zip(facts(there))
            .filter(|((_, here), (_, there))| here != there)
            .map(|((name, here), (_, there))| (name, here, there))
            .collect();
        if found.is_empty() && self.hash() != there.hash() {
            let short = |plan: &Self| plan.hash()[..12].to_string();
            found.push(("levels or lengths of trials, plan", short(self), short(there)));
        }
        found
    }

    /// The mixes of journeys that users make, or that there is no such load.
    fn mixes(&self) -> String {
        let actions = self.trials.iter().flat_map(|trial| &trial.actions);
        let mixed = actions.filter_map(Action::journey).filter(|journey| journey.contains('='));
        let mixes: BTreeSet<&str> = mixed.collect();
        if mixes.is_empty() {
            return "none".into();
        }
        mixes.into_iter().collect::<Vec<_>>().join(" and ")
    }

    /// SHA-256 of the plan's JSON, in hex: records of another plan do not mix with it. How the plan
    /// was asked for does not count: the same campaign file has many paths.
    ///
    /// # Panics
    /// Never: a plan holds nothing that JSON cannot.
    pub fn hash(&self) -> String {
        let plan = Self { again: Vec::new(), ..self.clone() };
        let json = serde_json::to_vec(&plan).expect("a plan is plain data");
        sha256_hex(&json)
    }
}

/// SHA-256 in hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Seed of one trial: apart for every experiment, arm, level and block.
pub fn trial_seed(seed: u64, experiment: &str, arm: &str, level: u32, block: u32) -> u64 {
    let text = [experiment.as_bytes(), b"|", arm.as_bytes()].concat();
    let name = text.iter().fold(seed, |hash, byte| mix(hash, u64::from(*byte)));
    mix(mix(name, u64::from(level)), u64::from(block))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trial_seeds_differ() {
        let base = trial_seed(1, "concurrency", "a", 10, 0);
        for other in [
            trial_seed(2, "concurrency", "a", 10, 0),
            trial_seed(1, "memory", "a", 10, 0),
            trial_seed(1, "concurrency", "b", 10, 0),
            trial_seed(1, "concurrency", "a", 11, 0),
            trial_seed(1, "concurrency", "a", 10, 1),
        ] {
            assert_ne!(base, other);
        }
    }
}
