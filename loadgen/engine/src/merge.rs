//! Adds up what the workers bring home: once, when the load is over, because nothing is shared
//! while it runs. Histograms are merged and never averaged.

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
#[derive(Clone, Debug, PartialEq)]
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

/// The record of a load, from what its workers counted.
pub(super) fn merge(
    driver: &Driver,
    plan: &LoadPlan,
    client: ClientUse,
    login: LoginRecord,
    harvests: Vec<Harvest>,
) -> LoadRecord {
    let mut all = Totals::default();
    harvests.into_iter().map(Totals::from).for_each(|part| all.merge(part));
    let Totals { mut counts, steps, timeline, ends, wire, visits, renewals, .. } = all;
    counts.longest_silence_ns = longest_silence_ns(plan, ends, counts.window_ns);
    assert!(counts.balanced(), "a request was lost in the accounts: {counts:?}");
    let closed = matches!(&plan.model, LoadModel::Closed(closed) if closed.think_ns == 0);
    let generator = GeneratorUse {
        pacing: driver.pacing.to_string(),
        spins: driver.pacing == Pacing::Spin || (!closed && driver.pacing.spins()),
        peak_rss_bytes: own_peak_rss_bytes(),
        ..all.generator
    };
    let bytes_sent = wire.map(|wire| wire.bytes_sent);
    let of_a_request = bytes_sent.and_then(|bytes| bytes.checked_div(all.wire_requests));
    LoadRecord {
        model: plan.model.label(),
        offered_rps: plan.model.offered_rps(),
        login: driver.script.login.filter(|_| visits.is_none()).map(|_| login),
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
        client,
        generator,
        server: None,
        slices: Vec::new(),
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
