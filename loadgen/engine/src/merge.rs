//! Adds up what the workers bring home: once, when the load is over, because nothing is shared
//! while it runs. Histograms are merged and never averaged.

use super::ends::Ends;
use super::recorder::Recorder;
use super::worker::Harvest;
use super::{Driver, Pacing};
use crate::load::LoadModel;
use crate::plan::LoadPlan;
use crate::record::{
    ClientUse, Counts, GeneratorUse, LoadRecord, LoginRecord, Second, StepRecord, VisitCounts,
};
use crate::transport::Wire;

pub(super) fn merge_logins(records: Vec<LoginRecord>) -> LoginRecord {
    let mut all = LoginRecord::default();
    for record in records {
        all.users += record.users;
        all.wall_ns = all.wall_ns.max(record.wall_ns);
        all.credential_bytes += record.credential_bytes;
        all.service.merge(&record.service);
    }
    all
}

/// The record of a load, from what its workers counted.
pub(super) fn merge(
    driver: &Driver,
    plan: &LoadPlan,
    client: ClientUse,
    login: LoginRecord,
    harvests: Vec<Harvest>,
) -> LoadRecord {
    let mut counts = Counts::default();
    let mut steps: Vec<StepRecord> = Vec::new();
    let mut timeline: Vec<Second> = Vec::new();
    let closed = matches!(&plan.model, LoadModel::Closed(closed) if closed.think_ns == 0);
    let mut generator = GeneratorUse {
        workers: harvests.len() as u32,
        pacing: driver.pacing.to_string(),
        spins: driver.pacing == Pacing::Spin || (!closed && driver.pacing.spins()),
        peak_rss_bytes: own_peak_rss_bytes(),
        ..GeneratorUse::default()
    };
    let (mut connections, mut all_wire, mut wire_requests) = (0, Some(Wire::default()), 0);
    let mut visits: Option<VisitCounts> = None;
    let (mut aborted, mut usable_connections) = (false, 0);
    let mut ends: Option<Ends> = None;
    for harvest in harvests {
        let Harvest { recorder, connections: used, wire, cpu_ns, waited_ns, .. } = harvest;
        aborted |= harvest.aborted;
        if let Some(more) = harvest.visits {
            visits.get_or_insert_default().merge(&more);
        }
        let (part, part_steps, part_timeline, part_ends) = Recorder::into_parts(recorder);
        match &mut ends {
            Some(ends) => ends.merge(&part_ends),
            None => ends = Some(part_ends),
        }
        usable_connections += harvest.usable;
        generator.absent_ns = generator.absent_ns.max(harvest.absent_ns);
        let share = |ns: u64| ns as f64 / part.window_ns.max(1) as f64;
        generator.busiest = generator.busiest.max(share(cpu_ns));
        generator.waited = generator.waited.max(share(waited_ns));
        generator.cpu_ns += cpu_ns;
        counts.merge(&part);
        connections += used;
        wire_requests += harvest.wire_requests;
        all_wire = all_wire.zip(wire).map(|(all, part)| all.plus(part));
        if steps.is_empty() {
            (steps, timeline) = (part_steps, part_timeline);
        } else {
            for (step, more) in steps.iter_mut().zip(&part_steps) {
                step.response.merge(&more.response);
                step.service.merge(&more.service);
                step.lag.merge(&more.lag);
            }
            for (second, more) in timeline.iter_mut().zip(&part_timeline) {
                second.ended += more.ended;
                second.ok += more.ok;
                second.response.merge(&more.response);
            }
        }
    }
    counts.longest_silence_ns = ends.map_or(0, |ends| ends.longest_silence_ns(counts.window_ns));
    assert!(counts.balanced(), "a request was lost in the accounts: {counts:?}");
    let bytes_sent = all_wire.map(|wire| wire.bytes_sent);
    let request_wire_bytes = bytes_sent.and_then(|b| b.checked_div(wire_requests)).unwrap_or(0);
    LoadRecord {
        model: plan.model.label(),
        offered_rps: plan.model.offered_rps(),
        login: driver.script.login.filter(|_| visits.is_none()).map(|_| login),
        connections,
        usable_connections,
        request_wire_bytes,
        counts,
        steps,
        visits,
        aborted,
        timeline,
        bytes_sent,
        bytes_received: all_wire.map(|wire| wire.bytes_received),
        closed_by_server: all_wire.map(|wire| wire.closed_by_server),
        client,
        generator,
        server: None,
        slices: Vec::new(),
    }
}

/// Highest resident set size of this process so far; 0 where the kernel does not tell.
fn own_peak_rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
