//! A comparison of two campaigns for programs: one object per figure, no object inside another.

use schemars::JsonSchema;
use serde::Serialize;

use super::bound::{Judgement, Outcome};
use super::model::{Basis, Change, Changes, Difference, Moved, Side};
use super::row::View;
use crate::experiment::Metric;
use crate::stats::{Estimate, Verdict};

/// Version of the form.
const COMPARISON_SCHEMA: u32 = 2;

/// What `authbench compare --format json` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Comparison<'a> {
    /// Version of this form.
    schema: u32,
    /// The campaign that is compared with.
    a: &'a Side,
    /// The campaign that is compared.
    b: &'a Side,
    /// Whether both are the same campaign.
    identical: bool,
    /// What of plan, program and machine differs.
    differences: &'a [Difference],
    /// The relative change that counts as none.
    margin: f64,
    /// The arm that is the floor of both; `null` where each has another.
    floor: Option<&'a str>,
    /// Where the floor moved.
    floor_moved: &'a [Moved],
    /// Every figure that both have, of the arms and metrics that were asked for.
    changes: Vec<Row<'a>>,
    /// Cells that only the first has, in words.
    only_in_a: &'a [String],
    /// Cells that only the second has, in words.
    only_in_b: &'a [String],
    /// The outcome of every bound at every figure that it is about.
    bounds: Vec<BoundRow<'a>>,
}

/// The change of one figure. Intervals are of 95 %; `null` stands for no interval.
#[derive(Debug, Serialize, JsonSchema)]
struct Row<'a> {
    /// The experiment.
    experiment: &'a str,
    /// The arm.
    arm: &'a str,
    /// Level of the trials, where the experiment sweeps something else than users.
    level: Option<u32>,
    /// Users who were logged in; `null` for a figure of all levels.
    users: Option<u64>,
    /// Connections that carried the load.
    connections: u32,
    /// Requests per second that were asked for; `null` for a closed load.
    rate: Option<f64>,
    /// The metric.
    metric: &'static Metric,
    /// Its unit.
    unit: &'static str,
    /// The figure in A.
    a: f64,
    /// Lower end of its interval.
    a_lo: Option<f64>,
    /// Upper end of its interval.
    a_hi: Option<f64>,
    /// Trials of A.
    a_n: u32,
    /// The figure in B.
    b: f64,
    /// Lower end of its interval.
    b_lo: Option<f64>,
    /// Upper end of its interval.
    b_hi: Option<f64>,
    /// Trials of B.
    b_n: u32,
    /// B divided by A; `null` where a value is not positive.
    ratio: Option<f64>,
    /// Lower end of its interval.
    ratio_lo: Option<f64>,
    /// Upper end of its interval.
    ratio_hi: Option<f64>,
    /// The same after each is divided by its floor, block by block.
    relative: Option<f64>,
    /// Lower end of its interval.
    relative_lo: Option<f64>,
    /// Upper end of its interval.
    relative_hi: Option<f64>,
    /// B minus A, in the metric's unit.
    difference: f64,
    /// Lower end of its interval.
    difference_lo: Option<f64>,
    /// Upper end of its interval.
    difference_hi: Option<f64>,
    /// Which of the three the verdict is about.
    basis: Basis,
    /// The verdict, corrected for the number of comparisons in its family.
    verdict: Verdict,
    /// Whether B does better; `null` where neither can be said.
    better: Option<bool>,
    /// Whether both figures may be used.
    valid: bool,
    /// Whether a primary endpoint of both campaigns rests on it.
    primary: bool,
    /// Whether every trial of both has the same value.
    identical: bool,
}

/// The outcome of a bound at one figure.
#[derive(Debug, Serialize, JsonSchema)]
struct BoundRow<'a> {
    /// The bound as it was given.
    bound: &'a str,
    /// The experiment.
    experiment: &'a str,
    /// The arm.
    arm: &'a str,
    /// Level of the trials.
    level: Option<u32>,
    /// Users who were logged in.
    users: Option<u64>,
    /// The metric.
    metric: &'static Metric,
    /// The outcome.
    outcome: Outcome,
}

impl Changes {
    /// The comparison for programs: every figure of the arms and metrics that are wanted, changed
    /// or not.
    pub fn flat<'a>(&'a self, view: &View, judgements: &'a [Judgement]) -> Comparison<'a> {
        let taken = self.changes.iter().filter(|change| view.takes(change));
        let bounds = judgements.iter().flat_map(|judgement| {
            let outcomes = judgement.outcomes.iter();
            outcomes.map(|(at, outcome)| bound_row(&judgement.bound, &self.changes[*at], *outcome))
        });
        Comparison {
            schema: COMPARISON_SCHEMA,
            a: &self.a,
            b: &self.b,
            identical: self.identical,
            differences: &self.differences,
            margin: self.margin,
            floor: self.floor.as_deref(),
            floor_moved: &self.moved,
            changes: taken.map(row).collect(),
            only_in_a: &self.only_in_a,
            only_in_b: &self.only_in_b,
            bounds: bounds.collect(),
        }
    }
}

fn ends(estimate: Option<&Estimate>) -> (Option<f64>, Option<f64>) {
    estimate.and_then(|estimate| estimate.interval).unzip()
}

fn row(change: &Change) -> Row<'_> {
    let Change { key, a, b, ratio, relative, difference, .. } = change;
    let (a_lo, a_hi) = ends(Some(a));
    let (b_lo, b_hi) = ends(Some(b));
    let (ratio_lo, ratio_hi) = ends(ratio.as_ref());
    let (relative_lo, relative_hi) = ends(relative.as_ref());
    let (difference_lo, difference_hi) = ends(Some(difference));
    Row {
        experiment: &key.experiment,
        arm: &key.arm,
        level: key.level,
        users: key.users,
        connections: key.connections,
        rate: key.rate,
        metric: key.metric,
        unit: change.unit,
        a: a.point,
        a_lo,
        a_hi,
        a_n: a.n,
        b: b.point,
        b_lo,
        b_hi,
        b_n: b.n,
        ratio: ratio.as_ref().map(|ratio| ratio.point),
        ratio_lo,
        ratio_hi,
        relative: relative.as_ref().map(|relative| relative.point),
        relative_lo,
        relative_hi,
        difference: difference.point,
        difference_lo,
        difference_hi,
        basis: change.basis,
        verdict: change.verdict,
        better: change.better(),
        valid: change.valid,
        primary: change.primary,
        identical: change.identical,
    }
}

fn bound_row<'a>(bound: &'a str, change: &'a Change, outcome: Outcome) -> BoundRow<'a> {
    let key = &change.key;
    BoundRow {
        bound,
        experiment: &key.experiment,
        arm: &key.arm,
        level: key.level,
        users: key.users,
        metric: key.metric,
        outcome,
    }
}
