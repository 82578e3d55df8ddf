//! The load that several experiments share: GET /me by users who are logged in, in slices that
//! alternate between the servers of a level.

use super::metric::{self, METRICS, Metric};
use super::question::{Cell, Observation};
use super::steady;
use crate::error::Result;
use crate::load::{Closed, LoadModel, PilotShare, Poisson, UserChoice};
use crate::plan::{Action, LoadPlan, SlicesPlan, Slicing, TrialPlan, Variant};
use crate::record::{ActionRecord, Doubt, LoadRecord, TrialRecord};
use crate::spec::Spec;
use crate::units::{Rate, Span, grouped};

/// Each user of a closed load holds a connection, and one process may have so many.
pub(super) const CONNECTIONS_MAX: u32 = 16_000;
/// A slice has to be longer than what is cut of it, and shorter than the machine's moods.
const SLICE_MIN: Span = Span::from_millis(5);
const SLICE_MAX: Span = Span::from_millis(1000);
const MEASURE_MIN: Span = Span::from_millis(100);
const TIMEOUT: Span = Span::from_millis(5000);
const DRAIN: Span = Span::from_millis(2000);
/// The argument that starts a relay between a server and its store.
pub(super) const STORE_DELAY: &str = "--store-delay";

/// Whether a load may have windows of its own instead of slices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slices {
    /// It may, with a slice of 0 ms.
    Optional,
    /// Its servers are always compared in slices.
    Required,
}

/// Refuses lengths that cannot be measured.
pub(super) fn check_lengths(
    spec: &Spec,
    table: &str,
    measure: Span,
    slice: Span,
    slices: Slices,
) -> Result<()> {
    check_window(spec, table, "measure", measure)?;
    let none = slices == Slices::Optional && slice == Span::default();
    if none || (SLICE_MIN..=SLICE_MAX).contains(&slice) {
        return Ok(());
    }
    let none = if slices == Slices::Optional { "0ms (none) or " } else { "" };
    Err(spec.refuse(format!(
        "[{table}] slice: expected {none}{SLICE_MIN} to {SLICE_MAX}, found {slice}"
    )))
}

/// Refuses a window that is too short to measure anything.
pub(super) fn check_window(spec: &Spec, table: &str, field: &str, window: Span) -> Result<()> {
    if window < MEASURE_MIN {
        return Err(spec.refuse(format!(
            "[{table}] {field}: expected at least {MEASURE_MIN}, found {window}"
        )));
    }
    Ok(())
}

/// A load of GET /me: its model, the users and how the next of them is chosen, the connections,
/// and the lengths of warm-up and window.
pub(super) fn browse(
    model: LoadModel,
    (users, choice): (u32, UserChoice),
    connections: u32,
    (warmup, measure): (Span, Span),
) -> LoadPlan {
    LoadPlan {
        model,
        journey: "browse".into(),
        users,
        choice,
        connections,
        warmup_ns: warmup.ns(),
        measure_ns: measure.ns(),
        drain_ns: DRAIN.ns(),
        timeout_ns: TIMEOUT.ns(),
        prepare: None,
        renewal: None,
    }
}

/// The level of a pilot.
pub(super) const PILOT: u32 = 0;
/// What a pilot is called among levels.
pub(super) const PILOT_LEVEL: &str = "the pilot";
/// Beyond what the baseline holds nothing settles, but how an arm fails there may be asked.
pub(super) const PERCENT_MAX: u32 = 200;

/// The pilot of a block: the baseline under a closed, saturating load, so that other loads of the
/// block may have a share of what it answers.
pub(super) fn pilot(spec: &Spec, users: u32, connections: u32, lengths: (Span, Span)) -> Cell {
    let model = LoadModel::Closed(Closed::without_thinking());
    let load = browse(model, (users, UserChoice::Uniform), connections, lengths);
    let actions = vec![Action::Pilot(load)];
    Cell { arm: spec.baseline.clone(), level: PILOT, server: Vec::new(), actions }
}

/// Poisson arrivals at what a campaign file asks for: `5000/s`, or `50%` of what the pilot finds.
pub(super) fn arrivals(spec: &Spec, place: &str, text: &str) -> Result<LoadModel> {
    let refuse = || {
        spec.refuse(format!(
            "{place}: expected a rate such as `5000/s`, or a share of what the baseline can do \
             such as `50%`, at most {PERCENT_MAX}%; found `{text}`"
        ))
    };
    if let Some(share) = text.strip_suffix('%') {
        let percent = share.parse().ok().filter(|percent| (1..=PERCENT_MAX).contains(percent));
        let percent = percent.ok_or_else(refuse)?;
        return Ok(LoadModel::PilotShare(PilotShare { percent }));
    }
    let rate: Rate = text.parse().map_err(|_| refuse())?;
    Ok(LoadModel::Poisson(Poisson { rate_per_s: rate.per_second() }))
}

/// What the pilots among these trials found, a clause; `None` without a pilot.
pub(super) fn of_pilots(trials: &[&TrialRecord]) -> Option<String> {
    let pilots = trials.iter().flat_map(|trial| trial.pilots());
    let rates: Vec<f64> = pilots.map(|load| load.counts.goodput_rps()).collect();
    let least = rates.iter().copied().reduce(f64::min)?;
    let most = rates.into_iter().reduce(f64::max)?;
    Some(format!(
        "answered {} to {} requests per second in the pilots, of which the loads are shares",
        grouped(least as u64),
        grouped(most as u64)
    ))
}

/// How long a slice is at least for each connection, ns: five times what a core takes to answer it
/// once. The first fifth, which is not counted, is then over when the queue has been gone through
/// once.
const SLICE_PER_CONNECTION_NS: u64 = 50_000;

/// This load in slices of such a length, less their first fifth; 0: as a load of its own.
pub(super) fn cut(load: LoadPlan, slice: Span) -> Action {
    if slice == Span::default() {
        return Action::Load(load);
    }
    let length_ns = slice.ns().max(u64::from(load.connections) * SLICE_PER_CONNECTION_NS);
    let slicing = Slicing::new(length_ns, length_ns / 5, load.warmup_ns, load.measure_ns);
    let load = LoadPlan { measure_ns: slicing.measured_ns(), ..load };
    Action::Slices(SlicesPlan { load, slicing })
}

/// The loads of a trial, each with its plan. A pilot is one of them.
pub(super) fn loads(record: &TrialRecord) -> impl Iterator<Item = (&LoadPlan, &LoadRecord)> {
    record.trial.actions.iter().zip(&record.actions).filter_map(|pair| match pair {
        (plan, ActionRecord::Load(load)) => Some((plan.load()?, &**load)),
        _ => None,
    })
}

/// What the loads at a level need to measure a metric (`Experiment::needs`).
pub(super) fn needs(metric: &Metric, trials: &[&TrialPlan], level: u32) -> Option<&'static str> {
    let at_level = || trials.iter().filter(|trial| trial.level == level);
    if metric == metric::STORE_WRITES_PER_REQUEST && !at_level().any(|t| t.slices().is_some()) {
        return Some("a load in slices, so a `slice` above 0ms");
    }
    let renews = |trial: &&TrialPlan| {
        let loads = trial.actions.iter().filter_map(Action::load);
        loads.into_iter().any(|load| load.renewal.is_some())
    };
    if metric::OF_RENEWALS.contains(&metric) && !at_level().any(renews) {
        return Some("users who renew their credential, so a table [renewal]");
    }
    if metric == metric::RELAY_CPU_US_PER_REQUEST && !at_level().any(|t| has_relay(t)) {
        return Some(
            "a store that is farther away: a level of [context] with a distance, or an arm with \
             `+store-delay=`",
        );
    }
    let of_proxy = [metric::PROXY_CPU_US_PER_REQUEST, metric::PROXY_MEMORY_BYTES];
    if of_proxy.contains(&metric) && !at_level().any(|t| Variant::of(&t.arm).is_deployed()) {
        return Some("servers behind a proxy, so a table [deployment]");
    }
    None
}

/// Whether a relay stands between the server of a trial and its store.
fn has_relay(trial: &TrialPlan) -> bool {
    let flags = Variant::of(&trial.arm).arguments(&trial.server);
    trial.server.iter().chain(&flags).any(|argument| argument == STORE_DELAY)
}

/// Every metric that a load gives. A pilot is a scale and no answer, and gives none.
pub(super) fn observed(record: &TrialRecord) -> Vec<Observation> {
    if record.trial.is_pilot() {
        return Vec::new();
    }
    let observed = |(plan, load)| {
        METRICS.iter().filter_map(move |metric| {
            Some(observation(plan, load, metric, (metric.of_load)(load)?))
        })
    };
    loads(record).flat_map(observed).collect()
}

/// A value at the place of a load: its users, connections and rate.
pub(super) fn observation(
    plan: &LoadPlan,
    load: &LoadRecord,
    metric: &'static Metric,
    value: f64,
) -> Observation {
    Observation {
        users: Some(u64::from(plan.users)),
        connections: plan.connections,
        rate: load.offered_rps.or(plan.model.offered_rps()),
        metric,
        value,
    }
}

/// What makes the figures of a trial's loads doubtful.
pub(super) fn doubts(record: &TrialRecord) -> Vec<Doubt> {
    let doubts = |(plan, load): (&LoadPlan, &LoadRecord)| {
        let own = load.doubts(plan.model.is_open());
        own.into_iter().chain(steady::doubt(plan, load)).collect::<Vec<_>>()
    };
    loads(record).flat_map(doubts).collect()
}
