//! The answer in words: sentences that follow from the figures by rule, and say when they do not.
//!
//! No sentence is written before the data: the direction, the size and the caution of each come
//! from a comparison's ratio, interval and verdict. An arm without valid figures gets no sentence.

mod more;

use serde::Serialize;

use super::compare::Comparison;
use super::estimates::Measurement;
use super::figure::{digits, figure, range};
use super::words;
use crate::experiment::metric;
use crate::plan::Plan;
use crate::stats::{Cause, Estimate, Verdict};
use crate::units::grouped;

/// A sentence of the answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sentence {
    /// What it is about, a few words.
    pub topic: String,
    /// The sentence.
    pub text: String,
    /// What the comparison behind it says.
    pub verdict: Verdict,
}

/// The sentences of the answer, the most wanted first.
pub(super) fn answer(
    plan: &Plan,
    measurements: &[Measurement],
    comparisons: &[Comparison],
) -> Vec<Sentence> {
    let mut rivals: Vec<&String> =
        plan.arms.iter().filter(|a| **a != plan.baseline && **a != plan.reference).collect();
    // One arm beside the baseline is compared with the baseline.
    let against = if rivals.is_empty() { &plan.baseline } else { &plan.reference };
    if rivals.is_empty() {
        rivals.push(&plan.reference);
    }
    let mut sentences = Vec::new();
    for rival in &rivals {
        sentences.extend(throughput(against, comparisons, rival));
        sentences.extend(cpu(plan, against, measurements, comparisons, rival));
        sentences.extend(tail(against, comparisons, rival));
    }
    for arm in plan.arms.iter().filter(|arm| **arm != plan.baseline) {
        sentences.extend(memory(measurements, arm));
        sentences.extend(more::many_users(measurements, arm));
        sentences.extend(more::connection(measurements, arm));
    }
    for rival in &rivals {
        sentences.extend(more::capacity(against, measurements, comparisons, rival));
        sentences.extend(more::login(against, measurements, comparisons, rival));
    }
    for rival in &rivals {
        sentences.extend(wire(against, measurements, comparisons, rival));
    }
    sentences
}

/// The comparison of a metric at the highest level at which both arms have it.
fn at_the_top<'a>(
    comparisons: &'a [Comparison],
    metric: &str,
    arm: &str,
    against: &str,
) -> Option<&'a Comparison> {
    comparisons
        .iter()
        .filter(|c| c.metric == metric && c.arm == arm && c.against == against)
        .filter(|c| c.experiment == "scaling")
        .max_by_key(|c| c.users)
}

/// `24 % more (20 % to 28 %)`, as the verdict allows it to be said.
fn by_how_much(ratio: &Estimate, verdict: Verdict, more: &str, less: &str) -> String {
    let percent = |ratio: f64| format!("{} %", digits((ratio - 1.0).abs() * 100.0));
    let Some((lo, hi)) = ratio.interval else {
        return "an unknown difference (one trial has no interval)".into();
    };
    let sign = |ratio: f64| if ratio < 1.0 { '-' } else { '+' };
    let signed = |ratio: f64| format!("{}{}", sign(ratio), percent(ratio));
    match verdict {
        Verdict::Higher => {
            format!("{} {more} ({} to {})", percent(ratio.point), percent(lo), percent(hi))
        }
        Verdict::Lower => {
            format!("{} {less} ({} to {})", percent(ratio.point), percent(hi), percent(lo))
        }
        Verdict::Equivalent => {
            format!("the same within the margin ({} to {})", signed(lo), signed(hi))
        }
        Verdict::Inconclusive => {
            format!("a difference these data do not settle ({} to {})", signed(lo), signed(hi))
        }
    }
}

/// Why it is not settled, and what would have been seen; nothing where it is.
fn limits(c: &Comparison) -> String {
    let mut limits = String::new();
    match c.cause {
        Some(Cause::Noise | Cause::NoInterval) | None => {}
        Some(cause) => limits.push_str(&format!("; {}", words::cause(cause))),
    }
    if let (Verdict::Inconclusive, Some(from)) = (c.verdict, words::smallest_effect(c)) {
        limits.push_str(&format!("; one of {from} would have been found four times in five"));
    }
    limits
}

fn users(comparison: &Comparison) -> String {
    grouped(comparison.users.unwrap_or(0))
}

fn throughput(against: &str, comparisons: &[Comparison], arm: &str) -> Option<Sentence> {
    let c = at_the_top(comparisons, "goodput_rps", arm, against)?;
    let how = by_how_much(c.ratio.as_ref()?, c.verdict, "more", "fewer");
    let text = format!(
        "With {} concurrent users, {arm} answered {how} requests a second than {} did on the same \
         core.",
        users(c),
        against
    );
    let text = match c.verdict {
        Verdict::Higher | Verdict::Lower => text,
        _ => format!(
            "With {} concurrent users, requests a second of {arm} beside {}: {how}{}.",
            users(c),
            against,
            limits(c)
        ),
    };
    Some(Sentence { topic: "Throughput".into(), text, verdict: c.verdict })
}

fn cpu(
    plan: &Plan,
    against: &str,
    measurements: &[Measurement],
    comparisons: &[Comparison],
    arm: &str,
) -> Option<Sentence> {
    let name = "server_cpu_us_per_request";
    let c = at_the_top(comparisons, name, arm, against)?;
    let cost = |arm: &str| {
        let over = at_the_top(comparisons, name, arm, &plan.baseline)?;
        let d = &over.difference;
        d.interval?;
        Some(match over.verdict {
            Verdict::Higher | Verdict::Lower => {
                format!("{} ({})", figure(d.point, "us"), range(d, "us"))
            }
            Verdict::Equivalent => format!("no more than the margin ({})", range(d, "us")),
            Verdict::Inconclusive => {
                format!("nothing that these data can tell from none ({})", range(d, "us"))
            }
        })
    };
    let floor = measurements
        .iter()
        .filter(|m| (&m.experiment, m.place()) == (&c.experiment, c.place()))
        .find(|m| m.valid && m.metric == name && m.arm == plan.baseline)?;
    let beside = match cost(against) {
        Some(other) => format!(" and {other} with {against}"),
        None => String::new(),
    };
    let text = format!(
        "Authentication costs {} of server CPU a request with {arm}{beside}, on top of {} without \
         any.",
        cost(arm)?,
        figure(floor.estimate.point, "us"),
    );
    Some(Sentence { topic: "Server CPU".into(), text, verdict: c.verdict })
}

fn tail(against: &str, comparisons: &[Comparison], arm: &str) -> Option<Sentence> {
    let c = at_the_top(comparisons, "response_p99_us", arm, against)?;
    let how = by_how_much(c.ratio.as_ref()?, c.verdict, "higher", "lower");
    let text = format!(
        "The p99 response time of {arm} under that load, beside {against}: {how}{}.",
        limits(c)
    );
    Some(Sentence { topic: "Tail latency".into(), text, verdict: c.verdict })
}

fn memory(measurements: &[Measurement], arm: &str) -> Option<Sentence> {
    let slope =
        measurements.iter().find(|m| m.valid && m.metric == "bytes_per_session" && m.arm == arm)?;
    let (lo, hi) = slope.estimate.interval?;
    let per_user = &slope.estimate;
    let verdict = if lo > 0.0 {
        Verdict::Higher
    } else if hi < NOTHING_BYTES {
        Verdict::Equivalent
    } else {
        Verdict::Inconclusive
    };
    let text = match verdict {
        Verdict::Higher if per_user.point >= NOTHING_BYTES => {
            // No further than was measured: a table grows in steps, and the next may be larger.
            let most = measurements
                .iter()
                .filter(|m| m.experiment == slope.experiment && m.arm == arm)
                .filter_map(|m| m.users)
                .max()?;
            format!(
                "A logged-in user of {arm} takes {} of server memory ({}): {} for {} users.",
                figure(per_user.point, "bytes"),
                range(per_user, "bytes"),
                figure(per_user.point * most as f64, "bytes"),
                grouped(most),
            )
        }
        Verdict::Inconclusive => format!(
            "What a logged-in user of {arm} takes of server memory, these data do not settle ({}).",
            range(per_user, "bytes"),
        ),
        _ => format!(
            "A logged-in user of {arm} takes no server memory that could be measured (slope {}).",
            range(per_user, "bytes"),
        ),
    };
    Some(Sentence { topic: "Memory".into(), text, verdict })
}

/// A slope below this is the allocator's own bookkeeping, not a user's state: an id alone has 16.
const NOTHING_BYTES: f64 = 1.0;

fn wire(
    against: &str,
    measurements: &[Measurement],
    comparisons: &[Comparison],
    arm: &str,
) -> Option<Sentence> {
    let c = at_the_top(comparisons, "request_wire_bytes", arm, against)?;
    let bytes = |arm: &str| {
        let m = measurements
            .iter()
            .filter(|m| (&m.experiment, m.place()) == (&c.experiment, c.place()))
            .find(|m| m.metric == c.metric && m.arm == arm)?;
        Some(figure(m.estimate.point, metric(c.metric).unit))
    };
    let text = format!(
        "A request of {arm} is {} on the wire, one of {} {}: {} more a million requests.",
        bytes(arm)?,
        against,
        bytes(against)?,
        figure(c.difference.point * 1e6, "bytes"),
    );
    (c.difference.point > 0.0).then(|| Sentence { topic: "Wire".into(), text, verdict: c.verdict })
}
