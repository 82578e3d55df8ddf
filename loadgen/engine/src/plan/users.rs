//! What users do apart from a load: they prepare, log in and out, and hold connections. Each is
//! plain data that the engine carries out; the experiment knows what it is for.

use serde::{Deserialize, Serialize};

/// What every user does after logging in and before anything is measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Prepare {
    /// The journey, each of whose answers may replace the credential.
    pub journey: String,
    /// How often it is made.
    pub times: u32,
}

/// Users who log in and stay logged in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FillPlan {
    /// Number of the first user.
    pub first_user: u64,
    /// How many log in.
    pub users: u32,
    /// Connections over which they do.
    pub connections: u32,
    /// When a request that has no answer counts as failed, ns.
    pub timeout_ns: u64,
    /// What each does after that; `None`: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepare: Option<Prepare>,
    /// Whether their credentials are kept: a load after it has these users, or they log out later.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub keep: bool,
}

/// Users whom the server logs in by itself, all at once, on its admin listener: the same
/// credentials and the same sessions as after as many logins, without the logins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PopulatePlan {
    /// Number of the first user.
    pub first_user: u32,
    /// How many are logged in.
    pub users: u32,
    /// Whether each logs out again at once, so that what logouts leave is left.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub leave: bool,
    /// Whether their credentials are kept: a load after it has these users, or they log out later.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub keep: bool,
}

/// The arguments of `authbench serve` for a server that logs users in by itself. Its store is given
/// more at a time than by any requests, and nobody waits for the answers, so it has longer for
/// each.
pub const ADMIN_FILL: [&str; 3] = ["--admin-fill", "--store-timeout", "10s"];

/// Everyone whose credential was kept logs out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LogoutPlan {
    /// Connections over which they do.
    pub connections: u32,
    /// When a request that has no answer counts as failed, ns.
    pub timeout_ns: u64,
}

/// One user who makes a journey until an answer is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GrowPlan {
    /// Number of the user.
    pub user: u64,
    /// The journey, each of whose answers may replace the credential.
    pub journey: String,
    /// How often it is made at most.
    pub most: u32,
    /// When a request that has no answer counts as failed, ns.
    pub timeout_ns: u64,
}

/// Connections that are opened in addition to those there are, carry one request each, and stay
/// open until the trial ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ConnectPlan {
    /// Number of the user who logs in for their requests.
    pub user: u64,
    /// How many are opened.
    pub connections: u32,
    /// When a request that has no answer counts as failed, ns.
    pub timeout_ns: u64,
}
