//! What sentences are made of: how much a ratio is, what limits it, and whether it may lead.

use crate::experiment::Metric;
use crate::report::figure::digits;
use crate::report::figures::{Comparison, Measurement, Ruled};
use crate::report::key::Key;
use crate::report::known::is_narrow;
use crate::report::words;
use crate::stats::{Cause, Estimate, Verdict};
use crate::units::grouped;

/// `24 % more (20 % to 28 %)`: the figure first, and then what a verdict adds to it or takes from
/// it.
pub(super) fn by_how_much(
    ratio: &Estimate,
    ruling: Option<&Ruled>,
    more: &str,
    less: &str,
) -> String {
    let percent = |ratio: f64| format!("{} %", digits((ratio - 1.0).abs() * 100.0));
    let Some((lo, hi)) = ratio.interval else {
        return "an unknown difference (one trial has no interval)".into();
    };
    let sign = |ratio: f64| if ratio < 1.0 { '-' } else { '+' };
    let signed = |ratio: f64| format!("{}{}", sign(ratio), percent(ratio));
    if ruling.is_some_and(|ruling| ruling.verdict == Verdict::Equivalent) {
        return format!("the same within the margin ({} to {})", signed(lo), signed(hi));
    }
    let (point, limits) = (ratio.point, limits(ruling));
    if lo > 1.0 {
        format!("{} {more} ({} to {}){limits}", percent(point), percent(lo), percent(hi))
    } else if hi < 1.0 {
        format!("{} {less} ({} to {}){limits}", percent(point), percent(hi), percent(lo))
    } else {
        let (point, lo, hi) = (signed(point), signed(lo), signed(hi));
        format!("{point} ({lo} to {hi}), which holds no difference{limits}")
    }
}

/// Why an endpoint is not settled, and what would have been seen; nothing where it is, and of what
/// is exploratory.
pub(super) fn limits(ruling: Option<&Ruled>) -> String {
    match ruling.and_then(|ruling| ruling.cause.map(|cause| (cause, ruling))) {
        // The interval has said it.
        None | Some((Cause::Noise | Cause::NoInterval, _)) => String::new(),
        Some((cause, ruling)) => format!(", {}", words::cause(cause, ruling.tests.family_size)),
    }
}

/// The smallest effect that an endpoint could have found, where it found none.
pub(super) fn missed(c: &Comparison) -> String {
    let smallest = c.ruling.as_ref().filter(|r| r.verdict == Verdict::Inconclusive);
    let smallest = smallest.and_then(|ruling| ruling.smallest_effect);
    smallest.map_or_else(String::new, |effect| {
        let effect = words::effect(effect, c.compared_as, c.key.metric.unit);
        format!("; effects below {effect} would likely be missed (80 % power)")
    })
}

/// Whether a comparison makes a headline: its ratio is known well enough, or settled.
pub(super) fn leads(c: &Comparison) -> bool {
    let settled = c.verdict().is_some_and(|verdict| verdict != Verdict::Inconclusive);
    let apart = |ratio: &Estimate| ratio.interval.is_some_and(|(lo, hi)| lo > 1.0 || hi < 1.0);
    settled || c.ratio.as_ref().is_some_and(|ratio| is_narrow(ratio) && apart(ratio))
}

pub(super) fn users(comparison: &Comparison) -> String {
    grouped(comparison.key.users.unwrap_or(0))
}

/// The first valid figure of an arm in a metric.
pub(super) fn valid_figure<'a>(
    measurements: &'a [Measurement],
    metric: &Metric,
    arm: &str,
) -> Option<&'a Measurement> {
    measurements.iter().find(|m| m.valid && m.key.metric == metric && m.key.arm == arm)
}

/// The most users of whom a slope was measured. A table grows in steps, and the next may be larger.
pub(super) fn measured_users(measurements: &[Measurement], slope: &Measurement) -> Option<u64> {
    let Key { experiment, arm, .. } = &slope.key;
    let own = measurements.iter().filter(|m| m.key.experiment == *experiment && m.key.arm == *arm);
    own.filter_map(|m| m.key.users).max()
}
