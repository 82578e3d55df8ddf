//! Whether the loads of a campaign had settled when they were measured. The time line of a record
//! is per second, so only a load of several seconds can be judged. What has not settled is a doubt
//! with its remedy, and the figures stay: they are those of a server on its way.

use crate::load::LoadModel;
use crate::plan::{LoadPlan, TrialPlan};
use crate::record::{Doubt, LoadRecord, Second};
use crate::stats::{SECONDS_MIN, Series, steady_from};

/// The change over a load that still counts as none: between trials of a second, throughput
/// scatters by 2 % and p99 by 11 % in results/reference/quick, and half of what one would see is of
/// no use.
const THROUGHPUT_TOLERANCE: f64 = 0.05;
const P99_TOLERANCE: f64 = 0.25;
/// A second with fewer right answers has fewer than ten beyond its p99, which then is noise.
const ANSWERS_MIN: u64 = 1000;
const SECOND_NS: u64 = 1_000_000_000;

/// How the loads of some trials stand to the rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Steadiness {
    /// Loads that are long enough to be judged.
    pub judged: u32,
    /// Loads that are too short, or whose rate is meant to change.
    pub not_judged: u32,
    /// The longest warm-up of those that are not judged, ms.
    pub fixed_warmup_ms: u64,
}

/// How many loads of these trials can be judged.
pub fn steadiness<'a>(trials: impl Iterator<Item = &'a TrialPlan>) -> Steadiness {
    let mut found = Steadiness::default();
    for action in trials.flat_map(|trial| &trial.actions) {
        let Some(load) = action.load() else { continue };
        if can_be_judged(load) {
            found.judged += 1;
        } else {
            found.not_judged += 1;
            found.fixed_warmup_ms = found.fixed_warmup_ms.max(load.warmup_ns / 1_000_000);
        }
    }
    found
}

fn can_be_judged(plan: &LoadPlan) -> bool {
    plan.measure_ns >= SECONDS_MIN as u64 * SECOND_NS && !matches!(plan.model, LoadModel::Stages(_))
}

/// The doubt about a load that had not settled when Measure began.
pub(super) fn doubt(plan: &LoadPlan, load: &LoadRecord) -> Option<Doubt> {
    if !can_be_judged(plan) || load.aborted {
        return None;
    }
    let whole = (load.counts.window_ns / SECOND_NS) as usize;
    let seconds = load.timeline.get(..whole)?;
    match steady_from(&series(seconds)) {
        Some(0) => None,
        Some(from) => Some(Doubt::caution(
            "late_steady_state",
            "throughput or p99 was steady only from a later second of Measure on",
            format!("lengthen the warm-up by {from} s"),
        )),
        None => Some(Doubt::caution(
            "no_steady_state",
            "no steady state: throughput or p99 kept changing while it was measured",
            "find out what grows or shrinks in the server, or measure for longer; do not quote \
             these figures as those of a steady server",
        )),
    }
}

fn series(seconds: &[Second]) -> Vec<Series> {
    let rates = seconds.iter().map(|second| second.ok as f64).collect();
    let mut series = vec![Series { values: rates, tolerance: THROUGHPUT_TOLERANCE }];
    if seconds.iter().all(|second| second.response.count() >= ANSWERS_MIN) {
        let p99 = |second: &Second| second.response.quantile_ns(0.99) as f64;
        let values = seconds.iter().map(p99).collect();
        series.push(Series { values, tolerance: P99_TOLERANCE });
    }
    series
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{Closed, UserChoice};
    use crate::plan::Action;
    use crate::record::{Counts, Histogram};

    fn plan(measure_s: u64) -> LoadPlan {
        LoadPlan {
            model: LoadModel::Closed(Closed::without_thinking()),
            journey: "browse".into(),
            users: 8,
            choice: UserChoice::InTurn,
            connections: 8,
            warmup_ns: 300_000_000,
            measure_ns: measure_s * SECOND_NS,
            drain_ns: 0,
            timeout_ns: 0,
            prepare: None,
            renewal: None,
        }
    }

    /// A load with so many right answers in each second, all as slow as stated.
    fn load(seconds: &[(u64, u64)]) -> LoadRecord {
        let second = |(ok, ns): &(u64, u64)| {
            let mut response = Histogram::coarse();
            (0..*ok).for_each(|_| response.record(*ns));
            Second { ended: *ok, ok: *ok, response }
        };
        LoadRecord {
            counts: Counts { window_ns: seconds.len() as u64 * SECOND_NS, ..Counts::default() },
            timeline: seconds.iter().map(second).collect(),
            ..engine::answered(0)
        }
    }

    fn code(seconds: &[(u64, u64)]) -> Option<String> {
        doubt(&plan(seconds.len() as u64), &load(seconds)).map(|doubt| doubt.code)
    }

    #[test]
    fn a_load_that_does_not_settle_is_doubted() {
        let even = [(2000, 5_000_000); 10];
        assert_eq!(code(&even), None);
        let mut slower = even;
        for (i, second) in slower.iter_mut().enumerate() {
            second.0 -= 80 * i as u64;
        }
        assert_eq!(code(&slower).as_deref(), Some("no_steady_state"));
        let mut tail = even;
        for (i, second) in tail.iter_mut().enumerate() {
            second.1 += 1_000_000 * i as u64;
        }
        assert_eq!(code(&tail).as_deref(), Some("no_steady_state"), "of p99 alone");
        let mut late = even;
        late[..3].copy_from_slice(&[(1100, 5_000_000), (1200, 5_000_000), (1300, 5_000_000)]);
        let doubt = doubt(&plan(10), &load(&late)).unwrap();
        assert_eq!(doubt.code, "late_steady_state");
        assert!(!doubt.invalidates && doubt.remedy.contains(" s"), "{doubt:?}");
    }

    #[test]
    fn short_loads_and_ramps_are_not_judged() {
        let ramp = [(1000, 5_000_000), (2000, 5_000_000), (3000, 5_000_000), (4000, 5_000_000)];
        assert_eq!(code(&ramp), None);
        let trial = |measure_s| TrialPlan {
            index: 0,
            experiment: "concurrency".into(),
            arm: "a".into(),
            twin: false,
            block: 0,
            level: 8,
            seed: 1,
            server: Vec::new(),
            actions: vec![Action::Load(plan(measure_s))],
        };
        let trials = [trial(1), trial(4), trial(5)];
        let found = steadiness(trials.iter());
        assert_eq!((found.judged, found.not_judged, found.fixed_warmup_ms), (1, 2, 300));
    }

    #[test]
    fn few_answers_a_second_say_nothing_of_p99() {
        let few: Vec<_> = (0..8).map(|i| (500, 5_000_000 + 5_000_000 * i)).collect();
        assert_eq!(code(&few), None);
    }
}
