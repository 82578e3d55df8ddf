//! Sentences about many users, connections, capacity and logins.
//!
//! Each follows from a figure and its interval by rule. What is said of more users than were
//! measured says that it goes beyond them.

use super::{NOTHING_BYTES, Sentence, by_how_much};
use crate::report::compare::Comparison;
use crate::report::estimates::Measurement;
use crate::report::figure::{figure, range};
use crate::stats::{Estimate, Verdict};
use crate::units::grouped;

/// Numbers of users that people argue about, and that no machine here can hold.
const MANY: [(&str, f64); 2] = [("10 million", 1e7), ("100 million", 1e8)];

fn find<'a>(measurements: &'a [Measurement], metric: &str, arm: &str) -> Option<&'a Measurement> {
    measurements.iter().find(|m| m.valid && m.metric == metric && m.arm == arm)
}

/// What a slope comes to for many users: `9.78 GiB (9.60 to 9.95 GiB)`.
fn times(slope: &Estimate, users: f64) -> String {
    let scaled = Estimate {
        point: slope.point * users,
        interval: slope.interval.map(|(lo, hi)| (lo * users, hi * users)),
        ..slope.clone()
    };
    format!("{} ({})", figure(scaled.point, "bytes"), range(&scaled, "bytes"))
}

/// What many users would take, of the server and of its store.
pub(super) fn many_users(measurements: &[Measurement], arm: &str) -> Option<Sentence> {
    let own = find(measurements, "bytes_per_session", arm)?;
    let store = find(measurements, "store_bytes_per_session", arm);
    let takes = |m: &&Measurement| {
        m.estimate.interval.is_some_and(|(lo, _)| lo > 0.0) && m.estimate.point >= NOTHING_BYTES
    };
    let parts: Vec<(&Measurement, &str)> = [(Some(own), "the server"), (store, "its store")]
        .into_iter()
        .filter_map(|(slope, whose)| Some((slope.filter(takes)?, whose)))
        .collect();
    if parts.is_empty() {
        return None;
    }
    let of = |(name, users): (&str, f64)| {
        let each =
            parts.iter().map(|(m, whose)| format!("{} of {whose}", times(&m.estimate, users)));
        format!("{name} users would take {}", each.collect::<Vec<_>>().join(" and "))
    };
    let text = format!(
        "At that slope, which goes beyond what was measured, {} with {arm}.",
        MANY.map(of).join(", and ")
    );
    Some(Sentence { topic: "Many users".into(), text, verdict: Verdict::Higher })
}

/// What an open connection takes beside a logged-in user: which of the two is the bill?
pub(super) fn connection(measurements: &[Measurement], arm: &str) -> Option<Sentence> {
    let connection = find(measurements, "bytes_per_connection", arm)?;
    let estimate = &connection.estimate;
    estimate.interval.filter(|(lo, _)| *lo > 0.0)?;
    let users = find(measurements, "bytes_per_session", arm)
        .filter(|m| m.estimate.interval.is_some_and(|(lo, _)| lo > 0.0))
        .filter(|m| m.estimate.point >= NOTHING_BYTES)
        .map(|m| (estimate.point / m.estimate.point).round())
        .filter(|users| *users >= 2.0)
        .map(|users| format!(": as much as {} logged-in users", grouped(users as u64)));
    let text = format!(
        "An open, idle connection to {arm} takes {} of server memory ({}){}.",
        figure(estimate.point, "bytes"),
        range(estimate, "bytes"),
        users.unwrap_or_default(),
    );
    Some(Sentence { topic: "Connections".into(), text, verdict: Verdict::Higher })
}

/// What an arm holds, beside another.
pub(super) fn capacity(
    against: &str,
    measurements: &[Measurement],
    comparisons: &[Comparison],
    arm: &str,
) -> Option<Sentence> {
    let c = comparisons
        .iter()
        .filter(|c| c.metric == "capacity_rps" && c.arm == arm && c.against == against)
        .max_by_key(|c| c.place())?;
    let held = |arm: &str| {
        let is_here = |m: &&Measurement| m.metric == c.metric && m.place() == c.place();
        let m = measurements.iter().filter(is_here).find(|m| m.valid && m.arm == arm)?;
        Some(format!("{} ({})", figure(m.estimate.point, m.unit), range(&m.estimate, m.unit)))
    };
    let text = format!(
        "With p99 within its limit {arm} holds {} and {against} {}; requests a second beside \
         {against}: {}.",
        held(arm)?,
        held(against)?,
        by_how_much(c.ratio.as_ref()?, c.verdict, "more", "fewer"),
    );
    Some(Sentence { topic: "Capacity".into(), text, verdict: c.verdict })
}

/// What a login costs with an arm, beside another.
pub(super) fn login(
    against: &str,
    measurements: &[Measurement],
    comparisons: &[Comparison],
    arm: &str,
) -> Option<Sentence> {
    let is = |c: &&Comparison| c.metric == "login_cpu_us" && c.arm == arm && c.against == against;
    let c = comparisons.iter().find(is)?;
    let cost = |metric: &str, arm: &str| {
        let m = find(measurements, metric, arm)?;
        Some(format!("{} ({})", figure(m.estimate.point, m.unit), range(&m.estimate, m.unit)))
    };
    let argon2id = cost("argon2id_login_cpu_us", arm)
        .map(|cost| format!("; with argon2id {arm} needs {cost}"))
        .unwrap_or_default();
    let text = format!(
        "A login costs {} of server CPU with {arm} and {} with {against}, passwords \
         aside{argon2id}.",
        cost("login_cpu_us", arm)?,
        cost("login_cpu_us", against)?,
    );
    Some(Sentence { topic: "Login".into(), text, verdict: c.verdict })
}
