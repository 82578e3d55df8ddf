//! Adds up what the workers bring home: once, when the load is over, because nothing is shared
//! while it runs. Histograms are merged and never averaged. A [`Share`] is what some workers
//! counted, in a form that other processes can send.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::driver::Driver;
use super::ends::Ends;
use super::worker::Harvest;
use crate::load::LoadModel;
use crate::plan::LoadPlan;
use crate::record::{
    ClientUse, Counts, GeneratorUse, LoadRecord, LoginRecord, OFTEN_PER_S, RenewalRecord, Second,
    StepRecord, VisitCounts, merge_lists,
};
use crate::transport::{Pacing, Wire};

pub(super) fn merge_logins(records: &[LoginRecord]) -> LoginRecord {
    let mut all = LoginRecord::default();
    records.iter().for_each(|record| all.merge(record));
    all
}

/// What workers counted, one or all together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Totals {
    counts: Counts,
    steps: Vec<StepRecord>,
    timeline: Vec<Second>,
    ends: Ends,
    generator: GeneratorUse,
    connections: u32,
    usable_connections: u32,
    /// What went over the wire; `None` where one of the transports does not see it.
    wire: Option<Wire>,
    wire_requests: u64,
    visits: Option<VisitCounts>,
    renewals: Option<RenewalRecord>,
    aborted: bool,
}

impl Default for Totals {
    fn default() -> Self {
        Self {
            counts: Counts::default(),
            steps: Vec::new(),
            timeline: Vec::new(),
            ends: Ends::default(),
            generator: GeneratorUse::default(),
            connections: 0,
            usable_connections: 0,
            wire: Some(Wire::default()),
            wire_requests: 0,
            visits: None,
            renewals: None,
            aborted: false,
        }
    }
}

impl From<Harvest> for Totals {
    fn from(harvest: Harvest) -> Self {
        let (counts, steps, timeline, ends) = harvest.recorder.into_parts();
        let share = |ns: u64| ns as f64 / counts.window_ns.max(1) as f64;
        let generator = GeneratorUse {
            workers: 1,
            cpu_ns: harvest.cpu_ns,
            busiest: share(harvest.cpu_ns),
            waited: share(harvest.waited_ns),
            absent_ns: harvest.absent_ns,
            ..GeneratorUse::default()
        };
        Self {
            counts,
            steps,
            timeline,
            ends,
            generator,
            connections: harvest.connections,
            usable_connections: harvest.usable,
            wire: harvest.wire,
            wire_requests: harvest.wire_requests,
            visits: harvest.visits,
            renewals: harvest.renewals,
            aborted: harvest.aborted,
        }
    }
}

impl Totals {
    /// Adds what another worker counted.
    fn merge(&mut self, other: Self) {
        self.counts.merge(&other.counts);
        merge_lists(&mut self.steps, other.steps, StepRecord::merge);
        merge_lists(&mut self.timeline, other.timeline, Second::merge);
        self.ends.merge(&other.ends);
        self.generator.merge(&other.generator);
        self.connections += other.connections;
        self.usable_connections += other.usable_connections;
        self.wire = self.wire.zip(other.wire).map(|(mut all, part)| {
            all.merge(&part);
            all
        });
        self.wire_requests += other.wire_requests;
        if let Some(visits) = other.visits {
            self.visits.get_or_insert_default().merge(&visits);
        }
        if let Some(renewals) = other.renewals {
            self.renewals.get_or_insert_default().merge(&renewals);
        }
        self.aborted |= other.aborted;
    }
}

/// What some workers of a load counted. Merging is associative and an empty share changes nothing,
/// so the record of all shares is the same however the workers were divided.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Share {
    totals: Totals,
    /// `None` where users do not log in before the load.
    login: Option<LoginRecord>,
    /// `None` in an empty share.
    client: Option<ClientUse>,
    /// How workers waited; more than one where machines differ.
    pacings: BTreeSet<Pacing>,
    /// Why TLS failed first; `None` where it did not.
    no_tls: Option<String>,
    /// By how much the last worker learnt too late when to begin, ns.
    late_ns: u64,
}

impl Share {
    /// The share of the workers that brought these harvests home.
    pub(super) fn new(
        driver: &Driver,
        client: ClientUse,
        login: LoginRecord,
        harvests: Vec<Harvest>,
    ) -> Self {
        let mut totals = Totals::default();
        harvests.into_iter().map(Totals::from).for_each(|part| totals.merge(part));
        totals.generator.peak_rss_bytes = own_peak_rss_bytes();
        let logs_in = driver.script.login.is_some() && totals.visits.is_none();
        Self {
            totals,
            login: logs_in.then_some(login),
            client: Some(client),
            pacings: BTreeSet::from([driver.pacing]),
            no_tls: None,
            late_ns: 0,
        }
    }

    /// The same where TLS may have failed for some worker, and the last one learnt so late when to
    /// begin.
    pub(super) fn seen(self, no_tls: Option<String>, late_ns: u64) -> Self {
        Self { no_tls, late_ns, ..self }
    }

    /// Adds what other workers counted.
    pub fn merge(&mut self, other: Self) {
        self.totals.merge(other.totals);
        if let Some(login) = other.login {
            self.login.get_or_insert_default().merge(&login);
        }
        match (&mut self.client, other.client) {
            (Some(client), Some(other)) => client.merge(&other),
            (client, other) => *client = client.take().or(other),
        }
        self.pacings.extend(other.pacings);
        self.no_tls = self.no_tls.take().or(other.no_tls);
        self.late_ns = self.late_ns.max(other.late_ns);
    }

    /// Why TLS failed, where no request got the right answer.
    pub fn no_tls(&self) -> Option<&str> {
        self.no_tls.as_deref().filter(|_| self.totals.counts.ok == 0)
    }

    /// By how much the last worker learnt too late when to begin, ns.
    pub const fn late_ns(&self) -> u64 {
        self.late_ns
    }

    /// Length of the Measure phase that these workers saw, ns.
    pub const fn window_ns(&self) -> u64 {
        self.totals.counts.window_ns
    }

    /// Whether the load was ended before its time.
    pub const fn is_cut(&self) -> bool {
        self.totals.aborted
    }

    /// Requests that were due.
    pub const fn planned(&self) -> u64 {
        self.totals.counts.planned
    }

    /// What the generator used in a load of this plan.
    pub fn generator(&self, plan: &LoadPlan) -> GeneratorUse {
        let closed = matches!(&plan.model, LoadModel::Closed(closed) if closed.think_ns == 0);
        let spins = |pacing: &Pacing| *pacing == Pacing::Spin || (!closed && pacing.spins());
        let names: Vec<_> = self.pacings.iter().map(ToString::to_string).collect();
        GeneratorUse {
            pacing: names.join(", "),
            spins: self.pacings.iter().any(spins),
            ..self.totals.generator.clone()
        }
    }

    /// The record of this load, of whose requests `lost` were planned for workers that brought
    /// nothing home.
    ///
    /// # Panics
    /// If a request is in no account, which would be a fault of the engine.
    pub fn record(self, plan: &LoadPlan, lost: u64) -> LoadRecord {
        let generator = self.generator(plan);
        let all = self.totals;
        let Totals { mut counts, steps, timeline, ends, wire, visits, renewals, .. } = all;
        counts.planned += lost;
        counts.lost = lost;
        counts.longest_silence_ns = longest_silence_ns(plan, ends, counts.window_ns);
        assert!(counts.balanced(), "a request was lost in the accounts: {counts:?}");
        let bytes_sent = wire.map(|wire| wire.bytes_sent);
        let of_a_request = bytes_sent.and_then(|bytes| bytes.checked_div(all.wire_requests));
        LoadRecord {
            model: plan.model.label(),
            offered_rps: plan.model.offered_rps(),
            login: self.login,
            connections: all.connections,
            usable_connections: all.usable_connections,
            request_wire_bytes: of_a_request.unwrap_or(0),
            counts,
            steps,
            visits,
            renewals,
            aborted: all.aborted,
            timeline,
            bytes_sent,
            requests_written: wire.map(|_| all.wire_requests),
            bytes_received: wire.map(|wire| wire.bytes_received),
            closed_by_server: wire.map(|wire| wire.closed_by_server),
            client: self.client.unwrap_or_default(),
            generator,
            server: None,
            slices: Vec::new(),
            agents: Vec::new(),
        }
    }
}

/// The longest time without an end where requests are due often, ns.
fn longest_silence_ns(plan: &LoadPlan, mut ends: Ends, window_ns: u64) -> u64 {
    if let LoadModel::Stages(stages) = &plan.model {
        for calm in stages.calm(OFTEN_PER_S) {
            let since = |ns: u64| ns.saturating_sub(plan.warmup_ns);
            ends.expect_none(since(calm.start)..since(calm.end));
        }
    }
    ends.longest_silence_ns(window_ns)
}

/// Highest resident set size of this process so far; 0 where the kernel does not tell.
fn own_peak_rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{Constant, Stage, Stages, UserChoice};
    use crate::record::Histogram;

    #[test]
    fn a_stage_in_which_nothing_is_due_is_no_silence() {
        const S: u64 = 1_000_000_000;
        let stage = |rate_per_s, s| Stage { rate_per_s, length_ns: s * S };
        let stages = vec![stage(0.0, 5), stage(500.0, 0), stage(500.0, 5), stage(0.0, 0)];
        let stages = Stages { stages: [stages, vec![stage(0.0, 5)]].concat() };
        let plan = LoadPlan {
            model: LoadModel::Stages(stages),
            journey: "browse".into(),
            users: 1,
            choice: UserChoice::Uniform,
            connections: 1,
            warmup_ns: 2 * S,
            measure_ns: 13 * S,
            drain_ns: 0,
            timeout_ns: S,
            prepare: None,
            renewal: None,
        };
        // Answers from 5 s to 10 s, but for half a second.
        let mut ends = Ends::new(&(2 * S..15 * S));
        (3000..8000)
            .filter(|ms| !(5000..5500).contains(ms))
            .for_each(|ms| ends.mark(ms * S / 1000));
        assert_eq!(longest_silence_ns(&plan, ends.clone(), 13 * S), S / 2);
        let constant = LoadModel::Constant(Constant { rate_per_s: 500.0 });
        let plan = LoadPlan { model: constant, ..plan };
        assert_eq!(longest_silence_ns(&plan, ends, 13 * S), 5 * S);
    }

    /// What a worker counted of whose numbers one is `n`; no two differ in the same way.
    fn totals(n: u64) -> Totals {
        let mut response = Histogram::new();
        response.record(n);
        let second = Second { ended: n, ok: n / 2, response: response.clone() };
        let (service, lag) = (response.clone(), Histogram::new());
        let mut ends = Ends::new(&(0..n * 1_000_000_000));
        ends.mark(n * 100_000_000);
        let wire = Wire { bytes_sent: n, closed_by_server: 2 * n, ..Wire::default() };
        Totals {
            counts: Counts { window_ns: n, planned: n, sent: n, ok: n, ..Counts::default() },
            steps: vec![StepRecord { name: "me".into(), response, service, lag }],
            timeline: vec![second; n as usize],
            ends,
            generator: GeneratorUse { workers: 1, cpu_ns: n, ..GeneratorUse::default() },
            connections: n as u32,
            usable_connections: 2 * n as u32,
            wire: (n != 2).then_some(wire),
            wire_requests: n,
            renewals: (n > 1).then(|| RenewalRecord { refreshed: n, ..RenewalRecord::default() }),
            visits: (n > 1).then(|| VisitCounts { arrived: n, ..VisitCounts::default() }),
            aborted: n == 3,
        }
    }

    fn sum(mut left: Totals, right: Totals) -> Totals {
        left.merge(right);
        left
    }

    #[test]
    fn it_does_not_matter_which_workers_are_added_up_first() {
        let [a, b, c] = [1, 2, 3].map(totals);
        let left = sum(sum(a.clone(), b.clone()), c.clone());
        assert_eq!(left, sum(a, sum(b, c)));
        assert_eq!((left.counts.ok, left.connections, left.timeline.len()), (6, 6, 3));
        assert_eq!((left.wire, left.aborted), (None, true));
        for n in [1, 2, 3] {
            assert_eq!(sum(totals(n), Totals::default()), totals(n));
            assert_eq!(sum(Totals::default(), totals(n)), totals(n));
        }
    }
}
