//! The answer in words. Direction, size and caution of a sentence come from an interval and, for a
//! primary endpoint, from its verdict; an arm without valid figures gets no sentence, and a figure
//! that is known too coarsely makes no headline.

mod declared;
mod more;
mod parts;

use super::analysis::Sentence;
use super::cost;
use super::figure::{figure, range, signed_range};
use super::figures::{Comparison, Endpoint, Measurement};
use super::key::Lookup;
use super::known::{NOTHING_BYTES, is_narrow};
use crate::experiment::metric::{self, Metric};
use crate::plan::Plan;
use crate::stats::Verdict;
use crate::units::grouped;
use parts::{
    by_how_much, floor_limit, is_apart, is_beneath_floor, leads, limits, measured_users, missed,
    users, valid_figure,
};

/// A sentence, and the comparisons whose figures it gives.
struct Told<'a> {
    sentence: Sentence,
    of: Vec<&'a Comparison>,
}

/// The sentences of the answer, the most wanted first.
pub(super) fn answer(
    plan: &Plan,
    measurements: &[Measurement],
    comparisons: &[Comparison],
    endpoints: &[Endpoint],
) -> Vec<Sentence> {
    let mut rivals: Vec<&String> =
        plan.arms.iter().filter(|a| **a != plan.baseline && **a != plan.reference).collect();
    // One arm and the baseline: the arm is compared with the baseline.
    let against = if rivals.is_empty() { &plan.baseline } else { &plan.reference };
    if rivals.is_empty() {
        rivals.push(&plan.reference);
    }
    let mut of_rivals: Vec<Told> = Vec::new();
    for rival in &rivals {
        of_rivals.extend(throughput(against, comparisons, rival));
        of_rivals.extend(cpu(plan, against, measurements, comparisons, rival));
        of_rivals.extend(tail(against, comparisons, rival));
    }
    // What was declared leads, in a sentence of its own where no other tells it.
    let is_told = |endpoint: &&Endpoint| {
        of_rivals.iter().flat_map(|told| &told.of).any(|c| endpoint.declares(c))
    };
    let untold = endpoints.iter().filter(|endpoint| !is_told(endpoint));
    let mut sentences: Vec<Sentence> = untold.filter_map(declared::sentence).collect();
    sentences.extend(of_rivals.into_iter().map(|told| told.sentence));
    for arm in plan.arms.iter().filter(|arm| **arm != plan.baseline) {
        sentences.extend(memory(plan, measurements, comparisons, arm));
        sentences.extend(more::many_users(measurements, arm));
        sentences.extend(more::connection(measurements, arm, &plan.baseline));
    }
    for rival in &rivals {
        sentences.extend(more::capacity(plan, against, measurements, comparisons, rival));
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
    metric: &Metric,
    arm: &str,
    against: &str,
) -> Option<&'a Comparison> {
    comparisons.top("concurrency", metric, |c| c.is_between(arm, against))
}

/// Of the metrics that say the same, the comparison that is a primary endpoint, or else the first.
fn preferred<'a>(
    comparisons: &'a [Comparison],
    metrics: [&Metric; 2],
    arm: &str,
    against: &str,
) -> Option<&'a Comparison> {
    let found = metrics.map(|metric| at_the_top(comparisons, metric, arm, against));
    let declared = found.iter().flatten().find(|c| c.ruling.is_some());
    declared.or(found.iter().flatten().next()).copied()
}

fn throughput<'a>(against: &str, comparisons: &'a [Comparison], arm: &str) -> Option<Told<'a>> {
    let c = preferred(comparisons, [metric::GOODPUT_RPS, metric::THROUGHPUT_RPS], arm, against)?;
    let ratio = c.ratio.as_ref()?;
    let how = by_how_much(ratio, c.ruling.as_ref(), "more", "fewer");
    let limit = floor_limit(c);
    let differs = is_apart(c) && limit.is_empty() && c.verdict() != Some(Verdict::Equivalent);
    let text = if differs {
        format!(
            "With {} concurrent users, requests per second of {arm} on the same core were {how}, \
             compared with {against}{}.",
            users(c),
            missed(c)
        )
    } else {
        format!(
            "With {} concurrent users, requests per second of {arm} compared with {against}: \
             {how}{limit}{}.",
            users(c),
            missed(c)
        )
    };
    let topic = "Throughput".into();
    let sentence = Sentence { topic, text, verdict: c.verdict(), headline: leads(c) };
    Some(Told { sentence, of: vec![c] })
}

/// A store's CPU time is on the same bill, where it was measured.
const COSTS: [&Metric; 2] = [metric::CPU_US_PER_REQUEST, metric::SERVER_CPU_US_PER_REQUEST];

/// What two arms cost compared, where a campaign asks it first: at an endpoint of it, or else at
/// the first of [`cost::EXPERIMENTS`].
fn leading_cost<'a>(
    comparisons: &'a [Comparison],
    arm: &str,
    against: &str,
) -> Option<&'a Comparison> {
    let of_pair = |experiment: &'static str, metric: &'static Metric| {
        let all = comparisons.all_of(experiment, metric);
        let all = all.filter(|c| c.is_between(arm, against));
        all.min_by_key(|c| cost::order(experiment, c.key.place()))
    };
    let is_declared = |c: &&Comparison| {
        let there = comparisons.all_of(&c.key.experiment, c.key.metric);
        there
            .filter(|other| other.key.arm == arm && other.key.place() == c.key.place())
            .any(|other| other.ruling.is_some())
    };
    let found = || {
        let of_metrics = |at| COSTS.into_iter().filter_map(move |metric| of_pair(at, metric));
        cost::EXPERIMENTS.into_iter().flat_map(of_metrics)
    };
    found().find(is_declared).or_else(|| found().next())
}

/// Under what load a cost was measured.
fn load_of(c: &Comparison, floor: &Measurement) -> String {
    match (c.key.experiment.as_str(), floor.key.rate) {
        ("curve", _) => format!("at {} % of what the baseline can do", c.key.level.unwrap_or(0)),
        ("population", Some(rate)) => {
            format!(
                "at {} requests per second with {} users logged in",
                grouped(rate as u64),
                users(c)
            )
        }
        _ => format!("with {} concurrent users in a closed loop", users(c)),
    }
}

fn cpu<'a>(
    plan: &Plan,
    against: &str,
    measurements: &[Measurement],
    comparisons: &'a [Comparison],
    arm: &str,
) -> Option<Told<'a>> {
    let c = leading_cost(comparisons, arm, against)?;
    let over = |arm: &str| {
        comparisons.all_of(&c.key.experiment, c.key.metric).find(|other| {
            other.key.place() == c.key.place() && other.is_between(arm, &plan.baseline)
        })
    };
    let cost = |arm: &str| {
        let over = over(arm)?;
        let d = &over.difference;
        let (lo, hi) = d.interval?;
        let holds_0 = lo <= 0.0 && hi >= 0.0;
        let limits = limits(over.ruling.as_ref()) + floor_limit(over);
        let text = if holds_0 {
            format!("no measurable cost ({})", signed_range(d, "us"))
        } else {
            format!("{} ({}){limits}", figure(d.point, "us"), range(d, "us"))
        };
        Some((text, is_narrow(d) && !is_beneath_floor(over), holds_0))
    };
    let here = measurements.all_of(&c.key.experiment, c.key.metric);
    let mut of_floor =
        here.filter(|m| m.key.place() == c.key.place() && m.key.arm == plan.baseline);
    let floor = of_floor.find(|m| m.valid)?;
    let (own, own_is_known, _) = cost(arm)?;
    let (other, other_is_known) = match cost(against) {
        Some((other, is_known, holds_0)) => {
            (format!("; {other} with {against}"), is_known || holds_0)
        }
        None => (String::new(), true),
    };
    let what = if c.key.metric == COSTS[0] { "server and store CPU" } else { "server CPU" };
    let text = format!(
        "What authentication costs in {what} per request, {} and on top of {} without any: {own} \
         with {arm}{other}.",
        load_of(c, floor),
        figure(floor.estimate.point, "us"),
    );
    let headline = own_is_known && other_is_known;
    // The verdict is that of the arm alone: one of the other arm has a sentence of its own.
    let of: Vec<&Comparison> = over(arm).into_iter().collect();
    let verdict = of.iter().find_map(|c| c.verdict());
    Some(Told { sentence: Sentence { topic: "CPU".into(), text, verdict, headline }, of })
}

fn tail<'a>(against: &str, comparisons: &'a [Comparison], arm: &str) -> Option<Told<'a>> {
    let c = at_the_top(comparisons, metric::RESPONSE_P99_US, arm, against)?;
    let how = by_how_much(c.ratio.as_ref()?, c.ruling.as_ref(), "higher", "lower");
    let text = format!(
        "With {} concurrent users, the p99 response time of {arm} compared with {against}: \
         {how}{}{}.",
        users(c),
        floor_limit(c),
        missed(c)
    );
    let topic = "Tail latency".into();
    let sentence = Sentence { topic, text, verdict: c.verdict(), headline: leads(c) };
    Some(Told { sentence, of: vec![c] })
}

fn memory(
    plan: &Plan,
    measurements: &[Measurement],
    comparisons: &[Comparison],
    arm: &str,
) -> Option<Sentence> {
    let slope = valid_figure(measurements, metric::BYTES_PER_SESSION, arm)?;
    let (lo, hi) = slope.estimate.interval?;
    let per_user = &slope.estimate;
    let (text, headline) = if lo > 0.0 && per_user.point >= NOTHING_BYTES {
        let most = measured_users(measurements, slope)?;
        let text = format!(
            "A logged-in user of {arm} takes {} of server memory ({}): {} for {} users.",
            figure(per_user.point, "bytes"),
            range(per_user, "bytes"),
            figure(per_user.point * most as f64, "bytes"),
            grouped(most),
        );
        (text, is_narrow(per_user))
    } else if hi < NOTHING_BYTES {
        let ends = range(per_user, "bytes");
        let point = figure(per_user.point, "bytes");
        let slope = if lo < hi { ends } else { format!("{point}, {ends}") };
        let text = format!(
            "A logged-in user of {arm} takes no server memory that could be measured (slope \
             {slope})."
        );
        (text, true)
    } else {
        let text = format!(
            "What a logged-in user of {arm} takes of server memory, these data do not settle ({}).",
            range(per_user, "bytes"),
        );
        (text, false)
    };
    let is_own = |c: &&Comparison| {
        c.key.metric == metric::BYTES_PER_SESSION && c.is_between(arm, &plan.baseline)
    };
    let verdict = comparisons.iter().find(is_own).and_then(Comparison::verdict);
    Some(Sentence { topic: "Memory".into(), text, verdict, headline })
}

fn wire(
    against: &str,
    measurements: &[Measurement],
    comparisons: &[Comparison],
    arm: &str,
) -> Option<Sentence> {
    let c = at_the_top(comparisons, metric::REQUEST_WIRE_BYTES, arm, against)?;
    let bytes = |arm: &str| {
        let m = measurements.find(&c.key.experiment, c.key.metric, c.key.place(), arm)?;
        Some(figure(m.estimate.point, c.key.metric.unit))
    };
    let text = format!(
        "A request of {arm} is {} on the wire, one of {} {}: {} more per million requests.",
        bytes(arm)?,
        against,
        bytes(against)?,
        figure(c.difference.point * 1e6, "bytes"),
    );
    // Exact: nothing is tested, and nothing is in doubt.
    let sentence = Sentence { topic: "Wire".into(), text, verdict: None, headline: true };
    (c.difference.point > 0.0).then_some(sentence)
}

#[cfg(test)]
mod tests;
