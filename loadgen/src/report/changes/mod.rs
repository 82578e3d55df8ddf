//! Two campaigns beside each other: what changed from A to B, figure by figure.
//!
//! A change is B divided by A, estimated from the trials of each, and gets a verdict like every
//! other comparison. Nothing is paired: the campaigns share no block, and perhaps no machine and no
//! plan, which is said and not hidden. A figure that may not be used in one of them gets no
//! verdict.

mod bound;
mod model;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use super::analysis::{Analysis, DoubtSummary, WHOLE};
use super::figures::{MARGIN, Measurement};
use super::words::swept;
use crate::plan::Plan;
use crate::stats::{
    Apart, ApartQuestion, Estimate, Independent, Resampled, Scale, Verdict, independent_difference,
    independent_ratio, judge_apart,
};
use model::{Change, Difference, at};

pub use bound::{Bound, Judgement, Outcome};
pub use model::{Changes, Side};

/// Puts two campaigns beside each other, each given by its label, its plan and its analysis.
pub fn changes(a: (&str, &Plan, &Analysis), b: (&str, &Plan, &Analysis)) -> Changes {
    let usable = a.2.usable() && b.2.usable();
    let (a_figures, b_figures) = (&a.2.measurements, &b.2.measurements);
    let mut changes = Vec::new();
    for one in a_figures {
        let other = b_figures.iter().find(|other| one.key.same_figure(&other.key));
        changes.extend(other.and_then(|other| change(one, other, usable)));
    }
    judge_families(&mut changes);
    let facts = a.1.differences(b.1).into_iter().chain(a.2.host.differences(&b.2.host));
    Changes {
        a: side(a.0, a.2),
        b: side(b.0, b.2),
        differences: facts.map(|(what, a, b)| Difference { what, a, b }).collect(),
        margin: MARGIN,
        changes,
        only_in_a: only(a_figures, b_figures),
        only_in_b: only(b_figures, a_figures),
    }
}

/// What the first has and the second has not: a place where they share nothing, else the figure.
fn only(of: &[Measurement], other: &[Measurement]) -> Vec<String> {
    let there = |m: &Measurement| other.iter().any(|other| m.key.same_figure(&other.key));
    let shared: BTreeSet<String> = of.iter().filter(|m| there(m)).map(place).collect();
    let mut seen = BTreeSet::new();
    let name = |m: &Measurement| match place(m) {
        place if shared.contains(&place) => format!("{place}: {}", m.key.metric.name),
        place => place,
    };
    of.iter().filter(|m| !there(m)).map(name).filter(|name| seen.insert(name.clone())).collect()
}

/// Where a figure stands: `concurrency, jwt-hs256 at 1,000 users`.
fn place(m: &Measurement) -> String {
    format!(
        "{}, {}{}{}",
        m.key.experiment,
        m.key.arm,
        at(m.key.users),
        swept(&m.key.experiment, m.key.level)
    )
}

fn side(label: &str, analysis: &Analysis) -> Side {
    let grave =
        |d: &&DoubtSummary| d.doubt.invalidates || d.places.iter().any(|place| place == WHOLE);
    Side {
        label: label.into(),
        campaign: analysis.name.clone(),
        plan: analysis.plan.clone(),
        started_unix_ms: analysis.started_unix_ms,
        trials_planned: analysis.trials_planned,
        trials_complete: analysis.trials_complete,
        usable: analysis.usable(),
        doubts: analysis.doubts.iter().filter(grave).map(|d| d.doubt.what.clone()).collect(),
    }
}

fn change(one: &Measurement, other: &Measurement, usable: bool) -> Option<Change> {
    let (ratio, difference) = match (&one.resampled, &other.resampled) {
        (Some(a), Some(b)) => resampled(one, a, other, b)?,
        _ => {
            let values = |m: &Measurement| m.by_block.values().copied().collect::<Vec<f64>>();
            let (a, b) = (values(one), values(other));
            (independent_ratio(&b, &a), independent_difference(&b, &a)?)
        }
    };
    let valid = usable && one.valid && other.valid;
    let question = match &ratio {
        _ if !valid => None,
        Some(ratio) => ratio.apart.map(|apart| ApartQuestion { apart, of_ratio: true }),
        None => difference.apart.map(|apart| ApartQuestion { apart, of_ratio: false }),
    };
    Some(Change {
        key: one.key.clone(),
        unit: one.unit,
        a: one.estimate.clone(),
        b: other.estimate.clone(),
        ratio: ratio.map(|ratio| ratio.estimate),
        difference: difference.estimate,
        verdict: Verdict::Inconclusive,
        valid,
        question,
    })
}

/// The ratio and the difference of what single trials have no value of: its standard errors come
/// from campaigns drawn anew.
fn resampled(
    one: &Measurement,
    a: &Resampled,
    other: &Measurement,
    b: &Resampled,
) -> Option<(Option<Independent>, Independent)> {
    let (a, b) = (a.moments()?, b.moments()?);
    let apart = Apart::between(b, a);
    let estimate = |point, interval, method: &str| Estimate {
        point,
        interval,
        n: a.n.min(b.n),
        method: method.into(),
    };
    let point = other.estimate.point - one.estimate.point;
    Some(match one.key.metric.scale {
        // What is compared as a ratio was drawn as a logarithm.
        Scale::Log => {
            let (lo, hi) = apart.interval();
            let method = "ratio, bootstrap over blocks, Welch's t on logs";
            let estimate_of = estimate(apart.mean.exp(), Some((lo.exp(), hi.exp())), method);
            let plain = estimate(point, None, "difference of the points");
            (
                Some(Independent { estimate: estimate_of, apart: Some(apart) }),
                Independent { estimate: plain, apart: None },
            )
        }
        Scale::Linear => {
            let method = "difference, bootstrap over blocks, Welch's t";
            let estimate = estimate(point, Some(apart.interval()), method);
            (None, Independent { estimate, apart: Some(apart) })
        }
    })
}

/// Gives verdicts, family by family, as within a campaign.
fn judge_families(changes: &mut [Change]) {
    let key = |change: &Change| (change.key.experiment.clone(), change.key.metric.family);
    let mut families = BTreeMap::new();
    for change in changes {
        families.entry(key(change)).or_insert_with(Vec::new).push(change);
    }
    for family in families.values_mut() {
        let questions: Vec<_> = family.iter().map(|change| change.question).collect();
        for (change, verdict) in family.iter_mut().zip(judge_apart(&questions, MARGIN)) {
            change.verdict = verdict;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::metric::{self, Metric};
    use crate::record::{ActionRecord, TrialRecord};
    use crate::report::tests::sample;

    /// Two campaigns of one plan; `spoil` changes every record of the second.
    pub(super) fn sample_changes(spoil: impl Fn(&mut TrialRecord)) -> Changes {
        let plan = sample::plan(&["none", "session@memory", "jwt-hs256"], 5);
        let (a, b) = (sample::analysis_of(&plan, |_| {}), sample::analysis_of(&plan, spoil));
        changes(("one", &plan, &a), ("two", &plan, &b))
    }

    /// Makes the servers of an arm need half as much CPU time again.
    pub(super) fn slower(arm: &str) -> impl Fn(&mut TrialRecord) {
        move |record| {
            for did in record.actions.iter_mut().filter(|_| record.trial.arm == arm) {
                if let ActionRecord::Load(load) = did
                    && let Some(server) = &mut load.server
                {
                    server.cpu_ns = server.cpu_ns * 3 / 2;
                }
            }
        }
    }

    /// The server's part of the CPU time, and the whole of it.
    const CPU: [&Metric; 2] = [metric::SERVER_CPU_US_PER_REQUEST, metric::CPU_US_PER_REQUEST];

    #[test]
    fn what_changed_is_found_and_nothing_else() {
        let found = sample_changes(slower("jwt-hs256"));
        assert_eq!(found.differences, []);
        assert_eq!((found.only_in_a.len(), found.only_in_b.len()), (0, 0));
        for change in &found.changes {
            let slowed = CPU.contains(&change.key.metric) && change.key.arm == "jwt-hs256";
            let at = (change.key.metric, &change.key.arm, change.key.users);
            assert_eq!(change.verdict == Verdict::Higher, slowed, "{at:?}: {change:?}");
            if slowed {
                let ratio = change.ratio.as_ref().unwrap();
                assert!((ratio.point - 1.5).abs() < 1e-6 && ratio.n == 5, "{ratio:?}");
            } else {
                assert_eq!(change.ratio.as_ref().map_or(1.0, |r| r.point), 1.0, "{at:?}");
                assert_ne!(change.verdict, Verdict::Lower, "{at:?}");
            }
        }
        assert!(found.changes.iter().any(|change| change.verdict == Verdict::Equivalent));
    }

    #[test]
    fn other_plans_and_machines_are_named_and_only_what_both_have_is_compared() {
        let plan = sample::plan(&["none", "session@memory", "jwt-hs256"], 5);
        let other_plan = sample::plan(&["none", "jwt-hs256"], 3);
        let (a, mut b) =
            (sample::analysis_of(&plan, |_| {}), sample::analysis_of(&other_plan, |_| {}));
        b.host.kernel = "Linux 9".into();
        let found = changes(("one", &plan, &a), ("two", &other_plan, &b));
        let named: Vec<_> = found.differences.iter().map(|d| d.what).collect();
        assert_eq!(named, ["arms", "reference", "primary endpoints", "trials", "kernel"]);
        assert!(found.changes.iter().all(|change| change.key.arm != "session@memory"));
        let only = "concurrency, session@memory at 1,000 users".to_string();
        assert!(found.only_in_a.contains(&only), "{:?}", found.only_in_a);
        // The reference of the second is measured twice there.
        let only = "concurrency, jwt-hs256 (again) at 1,000 users".to_string();
        assert!(found.only_in_b.contains(&only), "{:?}", found.only_in_b);
        for only in [&found.only_in_a, &found.only_in_b] {
            let distinct: BTreeSet<_> = only.iter().collect();
            assert_eq!(distinct.len(), only.len(), "a place is named once: {only:?}");
        }
        assert!(found.changes.iter().all(|change| change.difference.n == 3));
    }

    #[test]
    fn figures_that_may_not_be_used_get_no_verdict() {
        let plan = sample::plan(&["none", "jwt-hs256"], 5);
        let (a, mut b) =
            (sample::analysis_of(&plan, |_| {}), sample::analysis_of(&plan, slower("jwt-hs256")));
        b.measurements.iter_mut().for_each(|m| m.valid = m.key.arm != "jwt-hs256");
        let found = changes(("one", &plan, &a), ("two", &plan, &b));
        for change in &found.changes {
            assert_eq!(change.valid, change.key.arm != "jwt-hs256");
            assert!(change.valid || change.verdict == Verdict::Inconclusive);
        }
        b.measurements.iter_mut().for_each(|m| m.valid = false);
        let found = changes(("one", &plan, &a), ("two", &plan, &b));
        assert!(!found.b.usable && found.changes.iter().all(|change| !change.valid));
    }
}
