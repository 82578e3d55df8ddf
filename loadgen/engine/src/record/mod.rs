//! What a load counted and saw: facts, and why some of them are to be distrusted.

mod agents;
mod client;
mod doubt;
mod grouped;
mod hdr_log;
mod histogram;
mod merge;
mod renewals;
mod rules;
mod users;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use client::ClientUse;
pub use doubt::{Doubt, STALL};
pub use grouped::grouped;
pub use histogram::Histogram;
pub use merge::merge_lists;
pub use renewals::RenewalRecord;
pub(crate) use rules::OFTEN_PER_S;
pub use rules::{ENCODED, NOTHING_SENT, OVER_LIMIT, SAMPLES_BEYOND};
pub use users::{GrowRecord, Refusal};

/// The outcome of a load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LoadRecord {
    /// The load model, in words.
    pub model: String,
    /// The mean rate that was asked for, requests per second; `None` where that depends on answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered_rps: Option<f64>,
    /// The logins before it; `None` where the target needs none.
    pub login: Option<LoginRecord>,
    /// Connections that carried at least one request.
    pub connections: u32,
    /// Connections that could have carried one, given the users and the requests there were.
    #[serde(default)]
    pub usable_connections: u32,
    /// Bytes of one request as the first user sends it.
    pub request_wire_bytes: u64,
    /// Requests of the Measure phase.
    pub counts: Counts,
    /// Requests of the Measure phase, step by step of the journey.
    pub steps: Vec<StepRecord>,
    /// The users who came and went; `None` but for a partly open load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visits: Option<VisitCounts>,
    /// Credentials that ended and were renewed; `None` where users do not renew theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewals: Option<RenewalRecord>,
    /// Whether Measure was ended before its time, so that these are the figures of its beginning.
    #[serde(default)]
    pub aborted: bool,
    /// The Measure phase second by second.
    pub timeline: Vec<Second>,
    /// Bytes written to sockets during Measure; `None` where the transport does not see them.
    pub bytes_sent: Option<u64>,
    /// Requests that these bytes are of: those written between the same two readings. Under
    /// overload they are fewer than were sent, because a request that waits for a connection is
    /// sent and not yet written. `None` likewise, and in older records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_written: Option<u64>,
    /// Bytes read from sockets during Measure; `None` likewise.
    pub bytes_received: Option<u64>,
    /// Connections the server closed; `None` likewise.
    pub closed_by_server: Option<u64>,
    /// How requests went out.
    #[serde(default)]
    pub client: ClientUse,
    /// What the generator used during Measure.
    pub generator: GeneratorUse,
    /// What the server process used during Measure; `None` for a server that is not ours.
    pub server: Option<ServerUse>,
    /// The slices of Measure, where the load alternated between several servers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<SliceRecord>,
    /// The agents that carried the load; none where it was one process.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<AgentUse>,
}

/// One agent of a load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AgentUse {
    /// Its index among the agents.
    pub index: u32,
    /// The name of its host.
    pub host: String,
    /// A digest of what tells its machine from others while it runs.
    pub machine: String,
    /// Number of its first worker among all.
    pub base: u32,
    /// Its workers.
    pub workers: u32,
    /// How far its clock is ahead of the coordinator's, ns. No latency uses it.
    pub offset_ns: i64,
    /// The most by which that may be wrong, ns.
    pub bound_ns: u64,
    /// Whether a clock jumped, so that no offset fits all readings.
    #[serde(default)]
    pub jumped: bool,
    /// By how much its last worker learnt too late when to begin, ns.
    pub late_ns: u64,
    /// The longest time in which nothing was heard of it and that ended in time, ns; 0 where it was
    /// always heard.
    #[serde(default)]
    pub silent_ns: u64,
    /// How it ended.
    pub end: AgentEnd,
    /// What it used.
    pub generator: GeneratorUse,
}

/// How an agent ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AgentEnd {
    /// It carried its share to the end.
    #[default]
    Whole,
    /// It was stopped, and its share is what it had done until then.
    Cut,
    /// Its share never arrived.
    Lost,
}

/// One slice of a load that alternates between several servers, from its first request to its last
/// answer, the beginning that is not counted elsewhere included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SliceRecord {
    /// How long it took, ns.
    pub ns: u64,
    /// Right answers.
    pub ok: u64,
    /// Those that came after the beginning that is not counted, and before the wait for the last
    /// answers: the pace of a load that has settled.
    #[serde(default)]
    pub ok_in_window: u64,
    /// CPU time of the server, ns.
    pub server_cpu_ns: u64,
    /// CPU time of the store's server and of what it started, ns.
    pub store_cpu_ns: u64,
    /// CPU time of the relay between the two, ns.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub relay_cpu_ns: u64,
    /// CPU time of the proxy before the servers and of what it started, ns.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub proxy_cpu_ns: u64,
    /// Time in which the server's threads were ready to run and others had their cores, ns.
    pub server_waited_ns: u64,
    /// Time since this server's slice before, ns.
    #[serde(default)]
    pub idle_ns: u64,
    /// CPU time of the server and of its store in that time, in which others were measured, ns.
    #[serde(default)]
    pub idle_cpu_ns: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// Requests of a Measure phase. A request belongs to it when it was planned in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Counts {
    /// Length of the phase, ns.
    pub window_ns: u64,
    /// Requests that were due.
    pub planned: u64,
    /// Requests that were sent.
    pub sent: u64,
    /// Requests that could not be sent before Drain was over.
    pub dropped: u64,
    /// Requests of agents that brought no share of the load home, as the plan has them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost: u64,
    /// Right answers.
    pub ok: u64,
    /// Other ends, by class.
    pub errors: BTreeMap<String, u64>,
    /// Requests that had no end when the drain was over.
    pub unfinished: u64,
    /// Requests that had to wait for a free connection.
    pub queued: u64,
    /// The longest time within the phase in which no request ended, ns; exact to 10 ms.
    pub longest_silence_ns: u64,
    /// Requests that ended within the phase, whenever they were planned.
    pub ended_in_window: u64,
    /// Right answers that came within the phase, whenever they were planned.
    pub ok_in_window: u64,
}

impl Counts {
    /// Requests that ended otherwise than with the right answer.
    pub fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Requests that were sent and did not get the right answer: a request without an end is as bad
    /// as one with a wrong one, and would else be in no figure at all.
    pub fn without_answer(&self) -> u64 {
        self.failed() + self.unfinished
    }

    /// Whether every request is accounted for: planned = sent + dropped + lost, and
    /// sent = ok + errors + unfinished.
    pub fn balanced(&self) -> bool {
        let total =
            |parts: &[u64]| parts.iter().try_fold(0_u64, |sum, part| sum.checked_add(*part));
        // What a file says may exceed what can be counted.
        let errors: Vec<u64> = self.errors.values().copied().collect();
        let ended = total(&errors).and_then(|failed| total(&[self.ok, failed, self.unfinished]));
        total(&[self.sent, self.dropped, self.lost]) == Some(self.planned)
            && ended == Some(self.sent)
    }

    /// Requests that ended, a second.
    pub fn achieved_rps(&self) -> f64 {
        per_second(self.ended_in_window, self.window_ns)
    }

    /// Right answers, a second.
    pub fn goodput_rps(&self) -> f64 {
        per_second(self.ok_in_window, self.window_ns)
    }
}

fn per_second(count: u64, window_ns: u64) -> f64 {
    if window_ns == 0 { 0.0 } else { count as f64 * 1e9 / window_ns as f64 }
}

/// Users of a partly open load who arrived in the Measure phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VisitCounts {
    /// Users who arrived.
    pub arrived: u64,
    /// Users who made all their requests and left.
    pub completed: u64,
    /// Users who left because a request failed.
    pub failed: u64,
    /// Users who found too many others there to be let in by the generator.
    pub turned_away: u64,
}

impl VisitCounts {
    /// Users whose visit had not ended when the load did.
    pub const fn still_there(&self) -> u64 {
        let left = self.arrived.saturating_sub(self.completed);
        left.saturating_sub(self.failed).saturating_sub(self.turned_away)
    }
}

/// Requests that ended within one second of Measure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Second {
    /// Requests that ended.
    pub ended: u64,
    /// Right answers.
    pub ok: u64,
    /// Response times of the right answers.
    pub response: Histogram,
}

/// Requests of one step of a journey.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StepRecord {
    /// Name of the step.
    pub name: String,
    /// From the planned moment to the last byte of a right answer.
    pub response: Histogram,
    /// From the write to the last byte of a right answer.
    pub service: Histogram,
    /// From the planned moment to the write, of every request that was sent.
    pub lag: Histogram,
}

/// What the generator used during Measure.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GeneratorUse {
    /// Worker threads.
    pub workers: u32,
    /// CPU time of all workers, ns.
    pub cpu_ns: u64,
    /// The highest share of its core that a worker used, 0 to 1.
    pub busiest: f64,
    /// The largest share of the phase that a worker was ready to run and another thread had its
    /// core, 0 to 1.
    pub waited: f64,
    /// How workers waited for requests that were due: `auto` sleeps and spins the last stretch,
    /// `spin` never sleeps, `sleep` always does. A closed load without think time waits for answers
    /// only.
    pub pacing: String,
    /// Whether workers spun, so that their CPU time says nothing of saturation or of cost.
    pub spins: bool,
    /// The longest time by which a worker came back late from a wait, ns.
    #[serde(default)]
    pub absent_ns: u64,
    /// Highest resident set size of this process so far, bytes.
    pub peak_rss_bytes: u64,
}

/// What a server process used during Measure.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServerUse {
    /// Length of the interval between the two readings, ns.
    pub interval_ns: u64,
    /// Threads that serve requests.
    pub threads: u32,
    /// CPU time of all its threads in that interval, ns.
    pub cpu_ns: u64,
    /// Time in which its threads were ready to run and others had their cores, ns.
    pub waited_ns: u64,
    /// CPU time of the store's server and of what it started in that interval, ns, where it was
    /// started with this server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_cpu_ns: Option<u64>,
    /// CPU time of the relay that puts the store farther away, ns; it is on no other bill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay_cpu_ns: Option<u64>,
    /// CPU time of the proxy before the servers and of what it started, ns, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_cpu_ns: Option<u64>,
    /// Sessions that the store has written, all its slices together: created, changed, put off or
    /// removed. `None` where they are not counted, and for a load that alternates with no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_writes: Option<u64>,
    /// What passed its public connections; `None` where it is not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wire: Option<WireUse>,
    /// Its memory when Measure ended.
    pub memory: MemoryUse,
}

/// What passed the public connections of a server, between two readings of its counters. They say
/// nothing of time: a request that was under way at a reading may have its bytes on the other side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WireUse {
    /// Requests.
    pub requests: u64,
    /// Bytes that came in, frames and TLS included.
    pub read_bytes: u64,
    /// Bytes that went out, likewise.
    pub written_bytes: u64,
}

impl ServerUse {
    /// Share of the time that its serving threads had, 0 to 1.
    pub fn busy(&self) -> f64 {
        let most = self.interval_ns as f64 * f64::from(self.threads);
        if most > 0.0 { self.cpu_ns as f64 / most } else { 0.0 }
    }

    /// The largest share of the time in which it can have waited for strangers, 0 to 1. A server
    /// waits for the store and the proxy that were started with it and have the same cores, for as
    /// long as those run; and one of several threads waits for itself.
    pub fn waited_for_strangers(&self) -> f64 {
        let interval = self.interval_ns.max(1);
        let threads = u64::from(self.threads.max(1));
        let parts = [self.store_cpu_ns, self.relay_cpu_ns, self.proxy_cpu_ns];
        let store: u64 = parts.into_iter().flatten().sum();
        let others = (interval * threads).saturating_sub(self.cpu_ns + store);
        let waited = self.waited_ns.saturating_sub(store * threads);
        waited.min(others) as f64 / interval as f64
    }
}

impl LoadRecord {
    /// Response times of all steps together.
    pub fn response(&self) -> Histogram {
        self.all(|step| &step.response)
    }

    /// Service times of all steps together.
    pub fn service(&self) -> Histogram {
        self.all(|step| &step.service)
    }

    /// Schedule lag of all steps together.
    pub fn lag(&self) -> Histogram {
        self.all(|step| &step.lag)
    }

    fn all(&self, of: impl Fn(&StepRecord) -> &Histogram) -> Histogram {
        let mut steps = self.steps.iter().map(of);
        let first = steps.next().cloned().unwrap_or_default();
        steps.fold(first, |mut all, step| {
            all.merge(step);
            all
        })
    }
}

/// Logins, one for each of many users, or another pass over them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LoginRecord {
    /// Users who are logged in.
    pub users: u32,
    /// How long it took, with what they did to prepare, ns.
    pub wall_ns: u64,
    /// Bytes of all their credentials, as they were then.
    pub credential_bytes: u64,
    /// From the write of a login to the last byte of its answer.
    pub service: Histogram,
}

/// Memory of a server process, bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MemoryUse {
    /// Resident set size.
    pub rss_bytes: u64,
    /// Proportional set size, where the kernel tells it.
    pub pss_bytes: Option<u64>,
    /// Pages that only this process has, and has changed.
    pub private_dirty_bytes: Option<u64>,
    /// Highest resident set size since the start.
    pub peak_rss_bytes: Option<u64>,
    /// Allocated and not freed, as the allocator counts it.
    pub allocated_bytes: Option<u64>,
    /// Sessions the store holds.
    pub live_sessions: Option<u64>,
    /// Connections that are open.
    pub connections: Option<u64>,
    /// Proportional set size of the store's server and of what it started, where it was started
    /// with this server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_bytes: Option<u64>,
    /// What the store's sessions take by its own count, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_used_bytes: Option<u64>,
    /// What the store takes on the disk, where it is on one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_disk_bytes: Option<u64>,
    /// Proportional set size of the proxy and of what it started, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_bytes: Option<u64>,
}

/// Cores of the two sides; empty where the operating system placed them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Placement {
    /// Cores the server may use.
    pub server: Vec<usize>,
    /// Cores the generator may use.
    pub generator: Vec<usize>,
}

impl Placement {
    /// Whether the two sides may run on the same core.
    pub fn shared(&self) -> bool {
        self.server.is_empty()
            || self.generator.is_empty()
            || self.server.iter().any(|core| self.generator.contains(core))
    }
}
