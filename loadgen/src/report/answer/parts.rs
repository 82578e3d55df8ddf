//! What sentences are made of: how much a ratio is, what limits it, and whether it may lead.

use crate::experiment::Metric;
use crate::report::figure::digits;
use crate::report::figures::{ComparedAs, Comparison, Measurement, Ruled};
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
        format!("{point} ({lo} to {hi}), no difference shown{limits}")
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

/// What the noise floor takes from an exploratory figure; nothing from one that lies beyond it or
/// shows no difference by itself, and nothing from an endpoint, whose verdict has done so.
pub(super) fn floor_limit(c: &Comparison) -> &'static str {
    if is_beneath_floor(c) && is_apart(c) { words::BENEATH_FLOOR } else { "" }
}

/// Whether the reference differs from itself by as much as two arms do, in a comparison that no
/// verdict settles.
pub(super) fn is_beneath_floor(c: &Comparison) -> bool {
    let effect = match c.compared_as {
        ComparedAs::Ratio => c.ratio.as_ref().map(|ratio| ratio.point.ln().abs().exp_m1()),
        ComparedAs::Difference => Some(c.difference.point.abs()),
    };
    c.ruling.is_none() && effect.zip(c.noise_floor).is_some_and(|(effect, floor)| effect <= floor)
}

/// Whether the interval of a comparison holds a difference only.
pub(super) fn is_apart(c: &Comparison) -> bool {
    c.ratio.as_ref().and_then(|ratio| ratio.interval).is_some_and(|(lo, hi)| lo > 1.0 || hi < 1.0)
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

/// Whether a comparison makes a headline: a verdict settles it, or its ratio is known well enough
/// and lies beyond the noise floor.
pub(super) fn leads(c: &Comparison) -> bool {
    let settled = c.verdict().is_some_and(|verdict| verdict != Verdict::Inconclusive);
    let is_known = c.ratio.as_ref().is_some_and(is_narrow) && is_apart(c);
    settled || is_known && !is_beneath_floor(c)
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
