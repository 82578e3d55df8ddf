//! Sentences about many users, connections, capacity and logins. Each follows from a figure and its
//! interval by rule.

use super::parts::{by_how_much, floor_limit, leads, measured_users, missed, valid_figure};
use crate::experiment::metric::{self, Metric};
use crate::plan::{Action, Plan};
use crate::report::analysis::Sentence;
use crate::report::figure::{chosen, figure, range};
use crate::report::figures::{Comparison, Measurement};
use crate::report::key::Lookup;
use crate::report::known::{BEYOND_MAX, NOTHING_BYTES, is_narrow};
use crate::stats::{Estimate, Scale, estimate, paired_difference};
use crate::units::grouped;

/// Numbers of users that people argue about, and that no machine here can hold.
const MANY: [(&str, f64); 2] = [("10 million", 1e7), ("100 million", 1e8)];

/// A slope that is more than the allocator's bookkeeping.
fn takes(slope: &Measurement) -> bool {
    slope.estimate.interval.is_some_and(|(lo, _)| lo > 0.0) && slope.estimate.point >= NOTHING_BYTES
}

/// What a slope comes to for many users: `9.78 GiB (9.60 to 9.95 GiB)`; without the interval where
/// `users` is far beyond the `measured` ones.
fn times(slope: &Estimate, users: f64, measured: u64) -> String {
    let scaled = Estimate {
        point: slope.point * users,
        interval: slope.interval.map(|(lo, hi)| (lo * users, hi * users)),
        ..slope.clone()
    };
    let point = figure(scaled.point, "bytes");
    if users > BEYOND_MAX * measured as f64 {
        return point;
    }
    format!("{point} ({})", range(&scaled, "bytes"))
}

/// What many users would take, of the server and of its store: on the disk, where it keeps them
/// there, because its memory is a buffer of a fixed size.
pub(super) fn many_users(measurements: &[Measurement], arm: &str) -> Option<Sentence> {
    let own = valid_figure(measurements, metric::BYTES_PER_SESSION, arm)?;
    let on_disk =
        valid_figure(measurements, metric::STORE_DISK_BYTES_PER_SESSION, arm).filter(|m| takes(m));
    let in_store = match on_disk {
        Some(on_disk) => Some((on_disk, "its store's disk")),
        None => valid_figure(measurements, metric::STORE_BYTES_PER_SESSION, arm)
            .map(|m| (m, "its store")),
    };
    let parts: Vec<(Estimate, u64, &str)> = [Some((own, "the server")), in_store]
        .into_iter()
        .flatten()
        .filter(|(slope, _)| takes(slope))
        .filter_map(|(slope, whose)| {
            let (each, measured) = widest(measurements, slope)?;
            Some((each, measured, whose))
        })
        .collect();
    let measured = parts.iter().map(|(_, measured, _)| *measured).min()?;
    let total = |(name, users): (&str, f64)| {
        let each = parts
            .iter()
            .map(|(each, _, whose)| format!("{} of {whose}", times(each, users, measured)));
        format!("{name} users would take {}", each.collect::<Vec<_>>().join(" and "))
    };
    let each: Vec<String> = parts.iter().map(|(each, ..)| figure(each.point, "bytes")).collect();
    let text = format!(
        "At {} per user, measured up to {} users, {} with {arm}.",
        each.join(" and "),
        grouped(measured),
        MANY.map(total).join(", and ")
    );
    let headline = parts.iter().all(|(each, ..)| is_narrow(each));
    Some(Sentence { topic: "Many users".into(), text, verdict: None, headline })
}

/// What a slope is the slope of.
const READINGS: [(&Metric, &Metric); 3] = [
    (metric::BYTES_PER_SESSION, metric::SERVER_ALLOCATED_BYTES),
    (metric::STORE_BYTES_PER_SESSION, metric::STORE_MEMORY_BYTES),
    (metric::STORE_DISK_BYTES_PER_SESSION, metric::STORE_DISK_BYTES),
];

/// What a user takes, over as many users as the campaign has a reading of, and how many those are:
/// `population` may log in more than `memory` does.
fn widest(measurements: &[Measurement], slope: &Measurement) -> Option<(Estimate, u64)> {
    let filled = measured_users(measurements, slope);
    let wider = || {
        let (_, reading) = READINGS.into_iter().find(|(of, _)| *of == slope.key.metric)?;
        let own = measurements.all_of("population", reading);
        let own: Vec<_> = own.filter(|m| m.valid && m.key.arm == slope.key.arm).collect();
        let few = own.iter().min_by_key(|m| m.key.users)?;
        let many = own.iter().max_by_key(|m| m.key.users)?;
        let (least, most) = (few.key.users?, many.key.users?);
        let each = |(block, bytes): (&u32, &f64)| {
            Some((bytes - few.by_block.get(block)?) / (most - least) as f64)
        };
        let each: Vec<f64> = many.by_block.iter().filter_map(each).collect();
        (most > least && Some(most) > filled).then_some((estimate(&each, Scale::Linear)?, most))
    };
    wider().or_else(|| Some((slope.estimate.clone(), filled?)))
}

/// What an open connection takes, and how many logged-in users take as much: which of the two is
/// the bill? Both by the memory that the system gave (PSS): what is allocated and never touched
/// costs nothing. A user's is what an arm takes more than the baseline, because PSS grows by some
/// bytes per login even where nothing is kept.
pub(super) fn connection(
    measurements: &[Measurement],
    arm: &str,
    baseline: &str,
) -> Option<Sentence> {
    let connection = valid_figure(measurements, metric::RESIDENT_BYTES_PER_CONNECTION, arm)?;
    let estimate = &connection.estimate;
    let (lo, hi) = estimate.interval.filter(|(lo, _)| *lo > 0.0)?;
    // Pages that a server maps without allocating from them are no price of a session.
    let allocated = valid_figure(measurements, metric::BYTES_PER_SESSION, arm);
    let session = valid_figure(measurements, metric::RESIDENT_BYTES_PER_SESSION, arm)
        .filter(|m| takes(m) && allocated.is_none_or(takes));
    let users = session.and_then(|session| {
        let session = more_than(session, measurements, baseline)?;
        let (least, most) = session.interval.filter(|(least, _)| *least > 0.0)?;
        let worth = Estimate {
            point: estimate.point / session.point,
            interval: Some((lo / most, hi / least)),
            ..estimate.clone()
        };
        let (lo, hi) = worth.interval.filter(|_| worth.point >= 2.0 && is_narrow(&worth))?;
        let whole = |users: f64| grouped(users.round() as u64);
        let (point, lo, hi) = (whole(worth.point), whole(lo), whole(hi));
        Some(format!(": as much as {point} logged-in users ({lo} to {hi}) by the same measure"))
    });
    let text = format!(
        "An open, idle connection to {arm} takes {} of server memory (PSS, {}){}.",
        figure(estimate.point, "bytes"),
        range(estimate, "bytes"),
        users.unwrap_or_default(),
    );
    let headline = is_narrow(estimate);
    Some(Sentence { topic: "Connections".into(), text, verdict: None, headline })
}

/// A slope less that of the baseline, where that was measured.
fn more_than(
    slope: &Measurement,
    measurements: &[Measurement],
    baseline: &str,
) -> Option<Estimate> {
    let Some(floor) = valid_figure(measurements, slope.key.metric, baseline) else {
        return Some(slope.estimate.clone());
    };
    let both = |(block, own): (&u32, &f64)| Some((*own, *floor.by_block.get(block)?));
    paired_difference(&slope.by_block.iter().filter_map(both).collect::<Vec<_>>())
}

/// What an arm holds, compared with another.
pub(super) fn capacity(
    plan: &Plan,
    against: &str,
    measurements: &[Measurement],
    comparisons: &[Comparison],
    arm: &str,
) -> Option<Sentence> {
    let c = comparisons
        .iter()
        .filter(|c| c.key.metric == metric::CAPACITY_RPS && c.is_between(arm, against))
        .max_by_key(|c| c.key.place())?;
    let held = |arm: &str| {
        let is_own = |m: &&Measurement| m.key.metric == c.key.metric && m.key.arm == arm;
        let mut own = measurements.iter().filter(is_own);
        let m = own.find(|m| m.valid && m.key.place() == c.key.place())?;
        Some(format!("{} ({})", figure(m.estimate.point, m.unit), range(&m.estimate, m.unit)))
    };
    let text = format!(
        "With p99 within {} {arm} holds {} and {against} {}; requests per second compared \
         with {against}: {}{}{}.",
        p99_limit(plan).unwrap_or_else(|| "its limit".into()),
        held(arm)?,
        held(against)?,
        by_how_much(c.ratio.as_ref()?, c.ruling.as_ref(), "more", "fewer"),
        floor_limit(c),
        missed(c),
    );
    Some(Sentence { topic: "Capacity".into(), text, verdict: c.verdict(), headline: leads(c) })
}

/// The limit that p99 had to keep while a rate was searched for.
pub(super) fn p99_limit(plan: &Plan) -> Option<String> {
    let limit_ns = plan.trials.iter().flat_map(|trial| &trial.actions).find_map(|action| {
        if let Action::Search(search) = action { Some(search.slo_ns) } else { None }
    });
    limit_ns.map(|ns| chosen(ns as f64 / 1e3, "us"))
}

/// What a login costs with an arm, compared with another.
pub(super) fn login(
    against: &str,
    measurements: &[Measurement],
    comparisons: &[Comparison],
    arm: &str,
) -> Option<Sentence> {
    let here = |c: &&Comparison| c.key.metric == metric::LOGIN_CPU_US && c.is_between(arm, against);
    let c = comparisons.iter().find(here)?;
    let cost = |metric: &Metric, arm: &str| {
        let m = valid_figure(measurements, metric, arm)?;
        let text = format!("{} ({})", figure(m.estimate.point, m.unit), range(&m.estimate, m.unit));
        Some((text, is_narrow(&m.estimate)))
    };
    let argon2id = cost(metric::ARGON2ID_LOGIN_CPU_US, arm)
        .map(|(cost, _)| format!("; with argon2id {arm} needs {cost}"))
        .unwrap_or_default();
    let (own, own_is_known) = cost(metric::LOGIN_CPU_US, arm)?;
    let (other, other_is_known) = cost(metric::LOGIN_CPU_US, against)?;
    let text = format!(
        "A login costs {own} of server CPU with {arm} and {other} with {against}, passwords \
         aside{argon2id}.",
    );
    let headline = own_is_known && other_is_known;
    Some(Sentence { topic: "Login".into(), text, verdict: c.verdict(), headline })
}
