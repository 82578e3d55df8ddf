//! Two campaigns compared: what changed from A to B, figure by figure. Nothing is paired across the
//! campaigns: they share no block, and perhaps no machine and no plan, which the page says.

mod bound;
mod flat;
mod html;
mod junit;
mod markdown;
mod model;
mod row;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use super::analysis::{Analysis, DoubtSummary, WHOLE};
use super::figures::{MARGIN, Measurement};
use super::words::swept;
use crate::experiment::metric;
use crate::plan::Plan;
use crate::stats::{
    Apart, ApartQuestion, Estimate, Independent, Moments, Resampled, Scale, Verdict,
    independent_difference, independent_ratio, judge_apart,
};
use crate::units::grouped;
use model::{Basis, Change, Difference, Moved, at};

pub use bound::{Bound, Judgement, Outcome};
pub use flat::Comparison as FlatComparison;
pub use model::{Changes, Side};
pub use row::View;

/// One campaign of a comparison: its label, its plan and its analysis.
pub type Labelled<'a> = (&'a str, &'a Plan, &'a Analysis);

/// Compares two campaigns. Where the floor moved, other arms are compared relative to it, unless
/// `absolute` forbids it.
///
/// A change is B divided by A, estimated from the trials of each. Relative to the floor, it is that
/// of the arm's ratio to the floor, paired by block within each campaign. Verdicts are corrected as
/// in a report. A figure that may not be used in one of the campaigns gets no verdict.
pub fn changes(a: Labelled<'_>, b: Labelled<'_>, absolute: bool) -> Changes {
    let usable = a.2.usable() && b.2.usable();
    let (a_figures, b_figures) = (&a.2.measurements, &b.2.measurements);
    let floor = Some(&a.2.baseline).filter(|floor| **floor == b.2.baseline);
    let pairs: Vec<[&Measurement; 2]> = a_figures
        .iter()
        .filter_map(|one| {
            let other = b_figures.iter().find(|other| one.key.same_figure(&other.key))?;
            Some([one, other])
        })
        .collect();
    let mut changes: Vec<Change> = Vec::new();
    for [one, other] in &pairs {
        let Some(mut change) = change(one, other, usable) else { continue };
        let rests = |analysis: &Analysis, m: &Measurement| {
            analysis.primary.iter().any(|endpoint| endpoint.rests_on(&m.key))
        };
        change.primary = rests(a.2, one) && rests(b.2, other);
        changes.push(change);
    }
    let mut moved = Vec::new();
    if let Some(floor) = floor {
        moved = moved_floors(floor, &mut changes, !absolute);
        for change in changes.iter_mut().filter(|change| change.key.arm != *floor) {
            relate(change, floor, &pairs, &moved);
        }
    }
    judge_families(&mut changes, floor);
    let facts = a.1.differences(b.1).into_iter().chain(a.2.host.differences(&b.2.host));
    let mut differences: Vec<Difference> =
        facts.map(|(what, a, b)| Difference { what, a, b }).collect();
    differences.extend(logins(a_figures, b_figures));
    let (only_in_a, only_in_b) = (only(a_figures, b_figures), only(b_figures, a_figures));
    let (a, b) = (side(a.0, a.2), side(b.0, b.2));
    let same_trials = a.plan == b.plan
        && a.started_unix_ms == b.started_unix_ms
        && a.trials_complete == b.trials_complete
        && a.doubts == b.doubts;
    let same_figures = only_in_a.is_empty()
        && only_in_b.is_empty()
        && changes.iter().all(|change| change.identical);
    Changes {
        identical: same_trials && same_figures && differences.is_empty(),
        a,
        b,
        differences,
        margin: MARGIN,
        floor: floor.cloned(),
        moved,
        changes,
        only_in_a,
        only_in_b,
    }
}

/// That memory per session is of other numbers of logins; `None` where it is of the same, or
/// where one campaign has none.
fn logins(a: &[Measurement], b: &[Measurement]) -> Option<Difference> {
    let numbers = |figures: &[Measurement]| -> BTreeSet<u64> {
        let of_memory = figures.iter().filter(|m| {
            m.key.experiment == "memory" && m.key.metric == metric::SERVER_ALLOCATED_BYTES
        });
        of_memory.filter_map(|m| m.key.users).collect()
    };
    let [a, b] = [numbers(a), numbers(b)];
    let text = |numbers: &BTreeSet<u64>| {
        numbers.iter().map(|users| grouped(*users)).collect::<Vec<_>>().join(" ")
    };
    let what = "logins of memory per session, which depends on how full the table is";
    (!a.is_empty() && !b.is_empty() && a != b).then(|| Difference {
        what,
        a: text(&a),
        b: text(&b),
    })
}

/// Units that scale with the machine's speed; memory and counts do not.
const SCALED: &[&str] = &["us", "requests/s"];

/// Where the floor moved: the metrics of experiments in which it is higher or lower at a level.
fn moved_floors(floor: &str, changes: &mut [Change], applied: bool) -> Vec<Moved> {
    let of_floor = |change: &&mut Change| change.key.arm == floor;
    judge_family(changes.iter_mut().filter(of_floor).collect());
    let mut moved: Vec<Moved> = Vec::new();
    let is_scaled = |c: &&Change| SCALED.contains(&c.unit) && c.is_changed();
    for change in changes.iter().filter(|c| c.key.arm == floor).filter(is_scaled) {
        let Some(ratio) = change.ratio.as_ref().map(|ratio| ratio.point) else { continue };
        let experiment = &change.key.experiment;
        let known = moved
            .iter_mut()
            .find(|known| known.experiment == *experiment && known.metric == change.key.metric);
        match known {
            Some(known) if known.ratio.ln().abs() < ratio.ln().abs() => known.ratio = ratio,
            Some(_) => {}
            None => moved.push(Moved {
                experiment: experiment.clone(),
                metric: change.key.metric,
                ratio,
                applied,
            }),
        }
    }
    moved
}

/// Adds the change relative to the floor, which is judged if the floor moved.
fn relate(change: &mut Change, floor: &str, pairs: &[[&Measurement; 2]], moved: &[Moved]) {
    let Some(own) = pairs.iter().find(|[one, _]| one.key == change.key) else { return };
    let is_floor = |[one, _]: &&[&Measurement; 2]| {
        one.key.arm == floor && one.key.same_thing(&change.key) && !one.key.metric.is_exact
    };
    let Some(floors) = pairs.iter().find(is_floor) else { return };
    let Some(found) = relative(own, floors) else { return };
    change.relative = Some(found.estimate);
    let is_moved = |known: &Moved| {
        known.applied
            && known.experiment == change.key.experiment
            && known.metric == change.key.metric
    };
    // A figure without a verdict gets none relative to the floor either.
    if moved.iter().any(is_moved) && change.basis == Basis::Ratio {
        change.basis = Basis::Relative;
        let valid = change.question.is_some() && floors.iter().all(|floor| floor.valid);
        let apart = found.apart.filter(|_| valid);
        change.question = apart.map(|apart| ApartQuestion { apart, of_ratio: true });
    }
}

/// The second's ratio to its floor, divided by the first's.
fn relative(
    [one, other]: &[&Measurement; 2],
    [floor_of_one, floor_of_other]: &[&Measurement; 2],
) -> Option<Independent> {
    if let (Some(a), Some(b)) = (&one.resampled, &other.resampled) {
        let (a_floor, b_floor) = (&floor_of_one.resampled, &floor_of_other.resampled);
        let to = |of: &Resampled, floor: &Resampled| of.minus(floor).moments();
        let (a, b) = (to(a, a_floor.as_ref()?)?, to(b, b_floor.as_ref()?)?);
        return (one.key.metric.scale == Scale::Log).then(|| ratio_of(b, a));
    }
    let ratios = |of: &Measurement, floor: &Measurement| -> Vec<f64> {
        let both = |(block, value): (&u32, &f64)| Some(value / floor.by_block.get(block)?);
        of.by_block.iter().filter_map(both).collect()
    };
    independent_ratio(&ratios(other, floor_of_other), &ratios(one, floor_of_one))
}

/// What only the first has: a place if they share nothing there, else the figure.
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
    let basis = if ratio.is_some() { Basis::Ratio } else { Basis::Difference };
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
        relative: None,
        difference: difference.estimate,
        basis,
        verdict: Verdict::Inconclusive,
        valid,
        primary: false,
        identical: one.estimate == other.estimate
            && one.by_block == other.by_block
            && one.resampled == other.resampled,
        question,
    })
}

/// The ratio and the difference of a figure that single trials do not have: its standard errors
/// come from resampled campaigns.
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
        // A figure that is compared as a ratio was resampled as a logarithm.
        Scale::Log => {
            let plain = estimate(point, None, "difference of the points");
            (Some(ratio_of(b, a)), Independent { estimate: plain, apart: None })
        }
        Scale::Linear => {
            let method = "difference, bootstrap over blocks, Welch's t";
            let estimate = estimate(point, Some(apart.interval()), method);
            (None, Independent { estimate, apart: Some(apart) })
        }
    })
}

/// The ratio of two that were resampled as logarithms.
fn ratio_of(one: Moments, other: Moments) -> Independent {
    let apart = Apart::between(one, other);
    let (lo, hi) = apart.interval();
    let estimate = Estimate {
        point: apart.mean.exp(),
        interval: Some((lo.exp(), hi.exp())),
        n: one.n.min(other.n),
        method: "ratio, bootstrap over blocks, Welch's t on logs".into(),
    };
    Independent { estimate, apart: Some(apart) }
}

/// Gives verdicts to all but the floor, family by family: the figures of primary endpoints are one,
/// and what is exploratory makes one per experiment and family of metrics.
fn judge_families(changes: &mut [Change], floor: Option<&String>) {
    let mut families = BTreeMap::new();
    for change in
        changes.iter_mut().filter(|change| floor.is_none_or(|floor| change.key.arm != *floor))
    {
        let exploratory = || (change.key.experiment.clone(), change.key.metric.family);
        let key = (!change.primary).then(exploratory);
        families.entry(key).or_insert_with(Vec::new).push(change);
    }
    families.into_values().for_each(judge_family);
}

/// Gives verdicts to the changes of one family.
fn judge_family(mut family: Vec<&mut Change>) {
    let questions: Vec<_> = family.iter().map(|change| change.question).collect();
    for (change, verdict) in family.iter_mut().zip(judge_apart(&questions, MARGIN)) {
        let is_same = change.identical && change.valid;
        change.verdict = if is_same { Verdict::Equivalent } else { verdict };
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
        changes(("one", &plan, &a), ("two", &plan, &b), false)
    }

    /// Makes the servers of an arm need 1.5 times the CPU time.
    pub(super) fn slower(arm: &str) -> impl Fn(&mut TrialRecord) {
        move |record| {
            scale(record, |own, cpu_ns| if own == arm { cpu_ns * 3 / 2 } else { cpu_ns });
        }
    }

    /// Changes the CPU time of a trial's server.
    fn scale(record: &mut TrialRecord, changed: impl Fn(&str, u64) -> u64) {
        for did in &mut record.actions {
            if let ActionRecord::Load(load) = did
                && let Some(server) = &mut load.server
            {
                server.cpu_ns = changed(&record.trial.arm, server.cpu_ns);
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
                assert!(change.identical && change.verdict == Verdict::Equivalent, "{at:?}");
            }
        }
        assert!(!found.identical && found.moved.is_empty());
    }

    #[test]
    fn a_copy_is_identical_and_another_start_is_not() {
        assert!(sample_changes(|_| {}).identical);
        assert!(!sample_changes(|record| record.started_unix_ms += 1).identical);
    }

    /// Every server needs twice the CPU time, and one arm three times.
    pub(super) fn slower_machine(record: &mut TrialRecord) {
        scale(record, |arm, cpu_ns| if arm == "jwt-hs256" { cpu_ns * 3 } else { cpu_ns * 2 });
    }

    #[test]
    fn where_the_floor_moved_arms_are_compared_relative_to_it() {
        let found = sample_changes(slower_machine);
        let moved = found.moved.iter().map(|moved| moved.metric).collect::<Vec<_>>();
        assert!(CPU.iter().all(|metric| moved.contains(metric)), "{moved:?}");
        assert!(found.moved.iter().all(|moved| (moved.ratio - 2.0).abs() < 1e-6 && moved.applied));
        for change in found.changes.iter().filter(|c| CPU.contains(&c.key.metric)) {
            let arm = change.key.arm.as_str();
            let relative = change.relative.as_ref().map(|relative| relative.point);
            let (basis, expected, verdict) = match arm {
                "none" => (Basis::Ratio, None, Verdict::Higher),
                "jwt-hs256" => (Basis::Relative, Some(1.5), Verdict::Higher),
                _ => (Basis::Relative, Some(1.0), Verdict::Equivalent),
            };
            assert_eq!((change.basis, relative.is_some()), (basis, expected.is_some()), "{arm}");
            let off = relative.zip(expected).map_or(0.0, |(found, right)| (found - right).abs());
            assert!(off < 1e-6, "{arm}: {relative:?}");
            // The noise of the sample may allow no verdict, which is not the question here.
            let fine = change.verdict == verdict || arm.starts_with("session");
            assert!(fine && change.verdict != Verdict::Lower, "{arm}: {change:?}");
        }
        let plan = sample::plan(&["none", "session@memory", "jwt-hs256"], 5);
        let (a, b) =
            (sample::analysis_of(&plan, |_| {}), sample::analysis_of(&plan, slower_machine));
        let absolute = changes(("one", &plan, &a), ("two", &plan, &b), true);
        assert!(absolute.moved.iter().all(|moved| !moved.applied) && !absolute.moved.is_empty());
        assert!(absolute.changes.iter().all(|change| change.basis != Basis::Relative));
    }

    #[test]
    fn primary_endpoints_are_one_family_and_the_rest_has_others() {
        let found = sample_changes(slower("jwt-hs256"));
        assert!(found.changes.iter().any(|change| change.primary));
        let experiments: BTreeSet<_> =
            found.changes.iter().filter(|c| !c.primary).map(|c| &c.key.experiment).collect();
        assert!(experiments.len() > 1, "{experiments:?}");
    }

    #[test]
    fn other_plans_and_machines_are_named_and_only_what_both_have_is_compared() {
        let plan = sample::plan(&["none", "session@memory", "jwt-hs256"], 5);
        let other_plan = sample::plan(&["none", "jwt-hs256"], 3);
        let (a, mut b) =
            (sample::analysis_of(&plan, |_| {}), sample::analysis_of(&other_plan, |_| {}));
        b.host.kernel = "Linux 9".into();
        let found = changes(("one", &plan, &a), ("two", &other_plan, &b), false);
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
    fn memory_per_session_of_other_numbers_of_logins_is_named_as_such() {
        let plan = sample::plan(&["none", "session@memory", "jwt-hs256"], 5);
        let (a, mut b) = (sample::analysis_of(&plan, |_| {}), sample::analysis_of(&plan, |_| {}));
        assert_eq!(logins(&a.measurements, &b.measurements), None);
        b.measurements.retain(|m| m.key.experiment != "memory" || m.key.users != Some(100_000));
        let found = logins(&a.measurements, &b.measurements).unwrap();
        assert!(found.a.ends_with("75,000 100,000") && found.b.ends_with("75,000"), "{found:?}");
        let differences = changes(("one", &plan, &a), ("two", &plan, &b), false).differences;
        assert!(differences.contains(&found), "{differences:?}");
        b.measurements.retain(|m| m.key.experiment != "memory");
        assert_eq!(logins(&a.measurements, &b.measurements), None);
    }

    #[test]
    fn figures_that_may_not_be_used_get_no_verdict() {
        let plan = sample::plan(&["none", "jwt-hs256"], 5);
        let (a, mut b) =
            (sample::analysis_of(&plan, |_| {}), sample::analysis_of(&plan, slower("jwt-hs256")));
        b.measurements.iter_mut().for_each(|m| m.valid = m.key.arm != "jwt-hs256");
        let found = changes(("one", &plan, &a), ("two", &plan, &b), false);
        for change in &found.changes {
            assert_eq!(change.valid, change.key.arm != "jwt-hs256");
            assert!(change.valid || change.verdict == Verdict::Inconclusive);
        }
        b.measurements.iter_mut().for_each(|m| m.valid = false);
        let found = changes(("one", &plan, &a), ("two", &plan, &b), false);
        assert!(!found.b.usable && found.changes.iter().all(|change| !change.valid));
    }
}
