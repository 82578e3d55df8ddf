//! What a load is asked to do: nothing optional, and nothing of campaigns.

mod users;

use serde::{Deserialize, Serialize};

pub use users::{ADMIN_FILL, ConnectPlan, FillPlan, GrowPlan, LogoutPlan, PopulatePlan, Prepare};

use crate::load::{LoadModel, UserChoice};

/// A load, its phases and its users.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LoadPlan {
    /// When requests arrive.
    pub model: LoadModel,
    /// The journey that users make.
    pub journey: String,
    /// Users, each with a credential of their own.
    pub users: u32,
    /// Whose turn it is, where a connection or an arrival belongs to no user.
    pub choice: UserChoice,
    /// Keep-alive connections.
    pub connections: u32,
    /// Length of Warmup, ns.
    pub warmup_ns: u64,
    /// Length of Measure, ns.
    pub measure_ns: u64,
    /// How long Drain waits for answers, ns.
    pub drain_ns: u64,
    /// When a request that has no answer counts as failed, ns.
    pub timeout_ns: u64,
    /// What each user does before, after logging in; `None`: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepare: Option<Prepare>,
    /// How users renew a credential that ends meanwhile; `None`: as the target says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal: Option<RenewalPlan>,
}

/// Users who renew their credential during a load: through the refresh of their target where it
/// has one, and else by a new login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RenewalPlan {
    /// How long a credential lives, ns. Users know it and renew theirs when it is over, the first
    /// time at a moment of it that is drawn for each. `None`: the answers say how long, or else a
    /// refusal says that it is over.
    pub lifetime_ns: Option<u64>,
}

/// A load in slices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SlicesPlan {
    /// The load; its Measure is all its slices end to end.
    pub load: LoadPlan,
    /// How it is cut.
    pub slicing: Slicing,
}

/// How a load alternates between the servers of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Slicing {
    /// Rounds before those that count.
    pub warmup_rounds: u32,
    /// Rounds that count; in each round every server has one slice.
    pub rounds: u32,
    /// Length of a slice, without the wait for its last answers, ns.
    pub length_ns: u64,
    /// How much of its beginning is not counted, ns.
    pub cut_ns: u64,
}

impl Slicing {
    /// Slices of this length, less this much of their start: as many as `warmup_ns` takes, and as
    /// many more as give Measure at least `measure_ns`.
    ///
    /// # Panics
    /// If nothing of a slice is left.
    pub fn new(length_ns: u64, cut_ns: u64, warmup_ns: u64, measure_ns: u64) -> Self {
        assert!(cut_ns < length_ns, "something of a slice must be left");
        let rounds =
            |ns: u64, slice_ns: u64| u32::try_from(ns.div_ceil(slice_ns)).unwrap_or(u32::MAX);
        Self {
            warmup_rounds: rounds(warmup_ns, length_ns),
            rounds: rounds(measure_ns, length_ns - cut_ns),
            length_ns,
            cut_ns,
        }
    }

    /// Length of a server's Measure, its slices end to end, ns.
    pub fn measured_ns(self) -> u64 {
        u64::from(self.rounds) * (self.length_ns - self.cut_ns)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}
