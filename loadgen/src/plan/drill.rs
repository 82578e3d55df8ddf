//! Drills: what is done to servers that are several, or that are stopped and replaced.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One drill.
///
/// A load asks what a server costs; a drill asks who is still let in once something has happened: a
/// logout, the end of a lifetime, another process in place of the first. Each drill starts the
/// servers it needs by itself, so its trial has no other action. All counts and times are bounded
/// here, before anything is started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "drill", rename_all = "snake_case")]
pub enum DrillPlan {
    /// Users log out, and their credentials are tried again and again.
    Revocation(RevocationPlan),
    /// Credentials are tried around the end of their lifetime, and replaced.
    Expiry(ExpiryPlan),
    /// The server is stopped, and another one started in its place.
    Restart(RestartPlan),
    /// The same users, over more and more servers.
    Replicas(ReplicasPlan),
    /// One of the servers behind a proxy is killed.
    Failover(FailoverPlan),
}

/// How a credential is tried again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WatchPlan {
    /// Pause between two tries, ns.
    pub poll_ns: u64,
    /// How long a credential that is not refused is tried, ns.
    pub window_ns: u64,
    /// Users who are watched at a time.
    pub in_flight: u32,
}

/// Users who log out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RevocationPlan {
    /// Users who log out in each case.
    pub users: u32,
    /// How their credentials are watched from the answer to the logout on.
    pub watch: WatchPlan,
}

/// Credentials that come to the end of their lifetime.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExpiryPlan {
    /// Users who are watched, for each leeway.
    pub users: u32,
    /// Lifetime of a credential, whole seconds, s.
    pub ttl_s: u64,
    /// The leeways for clocks that are tried, each on a server of its own, ms.
    pub leeways_ms: Vec<u64>,
    /// Pause between two tries, ns.
    pub poll_ns: u64,
    /// How long beyond lifetime and leeway a credential that is not refused is tried, ns.
    pub beyond_ns: u64,
    /// Logins of which the cost of one is taken.
    pub renewals: u32,
    /// Users who replace their credential whenever its lifetime is over.
    pub active_users: u32,
    /// How many times each of them does.
    pub rounds: u32,
}

/// A server that is replaced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RestartPlan {
    /// Users who are logged in when it is.
    pub users: u32,
    /// Connections over which those who were logged out log in again.
    pub connections: u32,
    /// When a login that has no answer counts as failed, ns.
    pub timeout_ns: u64,
}

/// More and more servers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReplicasPlan {
    /// Numbers of servers, ascending.
    pub servers: Vec<u32>,
    /// Users for each server.
    pub users_per_server: u32,
    /// Requests of each user to find out who is let in.
    pub requests: u32,
    /// Length of Warmup of the load on each number of servers, ns.
    pub warmup_ns: u64,
    /// Length of its Measure, ns.
    pub measure_ns: u64,
}

/// A server behind a proxy that is killed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FailoverPlan {
    /// Users who are logged in when it is.
    pub users: u32,
    /// Pause between two requests of a user who has no answer, ns.
    pub poll_ns: u64,
    /// How long a user who has none goes on asking, ns.
    pub window_ns: u64,
}

/// Rough costs for the time that a drill will take; they are never a measurement.
const SERVER_MS: u64 = 60;
const LOGINS_PER_MS: u64 = 10;
/// Logout and logout everywhere, each on the same server and on another.
const REVOCATIONS: u64 = 4;

impl DrillPlan {
    /// About how long it takes, ms.
    pub(super) fn expected_ms(&self) -> u64 {
        match self {
            // An arm that refuses at once is done sooner.
            Self::Revocation(plan) => {
                let rounds = u64::from(plan.users / plan.watch.in_flight.max(1)) + 1;
                rounds * plan.watch.window_ns / 1_000_000 * REVOCATIONS / 2 + 4 * SERVER_MS
            }
            Self::Expiry(plan) => {
                let leeway = plan.leeways_ms.iter().max().copied().unwrap_or(0);
                let watched = plan.ttl_s * 1000 + leeway + plan.beyond_ns / 1_000_000 + 1000;
                let renewed = (u64::from(plan.rounds) + 1) * plan.ttl_s * 1000;
                watched + renewed + u64::from(plan.renewals) / LOGINS_PER_MS + 4 * SERVER_MS
            }
            Self::Restart(plan) => {
                3 * (u64::from(plan.users) * 2 / LOGINS_PER_MS + 2 * SERVER_MS) + SERVER_MS
            }
            Self::Replicas(plan) => {
                let each = (plan.warmup_ns + plan.measure_ns) / 1_000_000 + 100;
                plan.servers.iter().map(|n| each + u64::from(*n) * SERVER_MS).sum()
            }
            // Users have an answer long before they would give up.
            Self::Failover(plan) => {
                u64::from(plan.users) * 4 / LOGINS_PER_MS
                    + plan.window_ns / 10_000_000
                    + 10 * SERVER_MS
            }
        }
    }

    /// The most connections that it has open at a time.
    pub(super) fn connections(&self) -> u32 {
        match self {
            Self::Revocation(plan) => plan.watch.in_flight * 2,
            Self::Expiry(plan) => plan.users * plan.leeways_ms.len() as u32,
            Self::Restart(plan) => plan.connections,
            Self::Failover(plan) => plan.users,
            Self::Replicas(plan) => {
                plan.servers.iter().max().copied().unwrap_or(1) * plan.users_per_server * 2
            }
        }
    }
}
