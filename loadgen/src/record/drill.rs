//! The outcome of a drill: who was let in and who was not, when, and what it cost.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Histogram, LoginRecord};

/// The outcome of one drill.
///
/// Counts and times, per user where they are few. A credential that was not refused for as long as
/// it was watched is counted as such, and no time is made up for it. That a case could not be asked
/// (an arm without a key has none to lose) is `None`, which is not the same as 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "drill", rename_all = "snake_case")]
pub enum DrillRecord {
    /// Users logged out.
    Revocation(Box<RevocationRecord>),
    /// Credentials came to the end of their lifetime.
    Expiry(ExpiryRecord),
    /// The server was replaced.
    Restart(Box<RestartRecord>),
    /// The same users, over more and more servers.
    Replicas(ReplicasRecord),
    /// One of the servers behind a proxy was killed.
    Failover(FailoverRecord),
}

/// Requests with a credential, by what came back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Asked {
    /// The right answer, for the right user.
    pub right: u64,
    /// Refusals: 401 or 403.
    pub refused: u64,
    /// Anything else: another status, another user, no answer.
    pub failed: u64,
}

impl Asked {
    /// All of them.
    pub const fn all(&self) -> u64 {
        self.right + self.refused + self.failed
    }

    /// Share of refusals among right answers and refusals; `None` where there is neither.
    pub fn refused_share(&self) -> Option<f64> {
        let all = self.right + self.refused;
        (all > 0).then(|| self.refused as f64 / all as f64)
    }
}

/// Credentials that were watched from the answer to a logout on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Watched {
    /// Users who logged out and whose credential was watched.
    pub users: u32,
    /// Users whose credential the watched server did not know before the logout, which says nothing
    /// of the logout; they are not watched.
    pub unknown: u32,
    /// Users whose login, logout or first request failed; they are not watched.
    pub failed: u32,
    /// From the answer to the logout to the answer that refused the credential.
    pub rejected: Histogram,
    /// Users whose credential was still let in when the watching ended.
    pub still_accepted: u32,
    /// Times that a credential was let in after its logout, all users together.
    pub stale_accepts: u64,
    /// Users for whom that happened at least once.
    pub stale_users: u32,
    /// Tries that were neither let in nor refused.
    pub lost_tries: u64,
    /// From the start of a try to the start of the next one of the same user.
    pub pause: Histogram,
}

/// A case with one credential ended, and the same with all of a user's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Beside<T> {
    /// After a logout of the credential itself.
    pub logout: T,
    /// After a logout everywhere, asked for with another credential of the user.
    pub everywhere: T,
}

/// The outcome of logouts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RevocationRecord {
    /// Watched on the server that took the logout.
    pub same: Beside<Watched>,
    /// Watched on another server of the arm.
    pub replica: Beside<Watched>,
    /// Users of the server that took the logout who tried to refresh after it; `None` where nobody
    /// can refresh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refreshed: Option<Beside<Asked>>,
    /// Tried once on the server that replaced the one that took the logout.
    pub restarted: Beside<Asked>,
    /// The same of users who had not logged out.
    pub restarted_others: Asked,
}

/// Credentials around the end of their lifetime, at one leeway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lifetimes {
    /// The leeway for clocks, ms.
    pub leeway_ms: u64,
    /// For each user, when a try that was let in last was sent, counted from the answer to the
    /// login plus the lifetime, us; negative where it was before that.
    pub last_accepted_us: Vec<i64>,
    /// Users whose credential was still let in when the watching ended.
    pub still_accepted: u32,
    /// Users whose credential was refused at the first try, long before its end.
    pub refused_early: u32,
    /// Users whose login failed.
    pub failed: u32,
    /// Tries that were neither let in nor refused.
    pub lost_tries: u64,
    /// The longest pause between two tries of a user, us.
    pub longest_pause_us: u64,
}

/// Credentials that were replaced, and what that cost the server and its store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Renewals {
    /// Credentials that were replaced.
    pub renewed: u64,
    /// Tries that failed.
    pub failed: u64,
    /// Users who did so.
    pub users: u32,
    /// Length of the interval, ns.
    pub interval_ns: u64,
    /// CPU time of the server in it, ns.
    pub cpu_ns: u64,
    /// CPU time of the store's server in it, ns, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_cpu_ns: Option<u64>,
}

impl Renewals {
    /// CPU time of the server and of its store, ns.
    pub fn all_cpu_ns(&self) -> u64 {
        self.cpu_ns + self.store_cpu_ns.unwrap_or(0)
    }
}

/// The outcome of lifetimes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExpiryRecord {
    /// Around the end, for each leeway.
    pub lifetimes: Vec<Lifetimes>,
    /// How a credential is replaced: `login`, or `refresh` where the target has one.
    pub renewed_by: String,
    /// Many replacements at once.
    pub at_once: Renewals,
    /// Users who replace theirs whenever its lifetime is over.
    pub steady: Renewals,
}

/// A server that was replaced, and what happened to its users.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Replacement {
    /// Every user, asked once of the new server.
    pub users: Asked,
    /// From the moment the old server was told to stop to the first answer of the new one, ns.
    pub out_of_service_ns: u64,
    /// Users who were let in and tried to refresh; `None` where nobody can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refreshed: Option<Asked>,
    /// The logins of those who were refused, as fast as they could; `None` where nobody was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storm: Option<LoginRecord>,
}

/// The outcome of replacements.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RestartRecord {
    /// Key and store were kept, as far as the arm has them outside of the server.
    pub kept: Replacement,
    /// The key was made anew; `None` where the arm has no key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_key: Option<Replacement>,
    /// The store was gone with the server; `None` where it is in the server anyway, or nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_store: Option<Replacement>,
}

/// One of several servers under a load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServerShare {
    /// Requests that ended within Measure.
    pub ended: u64,
    /// Right answers among them.
    pub ok: u64,
    /// Length of Measure, ns.
    pub window_ns: u64,
    /// CPU time of the server, ns.
    pub cpu_ns: u64,
    /// Length of the interval in which that was used, ns.
    pub interval_ns: u64,
}

/// One number of servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReplicasStep {
    /// Servers.
    pub servers: u32,
    /// Users who were logged in, each at one server in turn.
    pub users: u32,
    /// Each user asked the server that logged them in.
    pub sticky: Asked,
    /// Each user asked one server after the other.
    pub round_robin: Asked,
    /// Each user tried to refresh at the server after the one that logged them in; `None` where
    /// nobody can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_robin_refreshed: Option<Asked>,
    /// After one of the servers had been killed each user asked the one that logged them in, or the
    /// next where that was dead; `None` where there was no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_death: Option<Asked>,
    /// The servers under a load of their own users at the same time.
    pub shares: Vec<ServerShare>,
    /// CPU time of the store's server meanwhile, ns, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_cpu_ns: Option<u64>,
}

/// The outcome of more and more servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReplicasRecord {
    /// The steps, in order.
    pub steps: Vec<ReplicasStep>,
}

/// The outcome of the death of a server behind a proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FailoverRecord {
    /// Servers before one of them was killed.
    pub servers: u32,
    /// Every user, asked once before.
    pub before: Asked,
    /// What the first request of every user after it came to.
    pub first: Asked,
    /// What it came to in the end: users went on asking until they were let in or refused.
    pub settled: Asked,
    /// From the kill to the answer of the user who had one last, ns.
    pub longest_without_answer_ns: u64,
    /// Users who had been refused and tried to log in again.
    pub relogins: Asked,
}
