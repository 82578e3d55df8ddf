//! What the experiment `context` says of arms together: how much closer they are to each other as
//! handlers do more work, and from how much work on the choice no longer matters.

use std::collections::BTreeMap;

use super::analysis::Analysis;
use super::figure::{figure, range, times, times_range};
use super::figures::Measurement;
use super::key::Lookup;
use super::table::{Cell, Column, Row, Table};
use crate::experiment::context::{COST, NAME, Point, distance, label};
use crate::stats::{Estimate, Scale, estimate, paired_ratio};

/// The relative difference between schemes that does not matter: 3 %.
const NO_MATTER: f64 = 0.03;

/// How an arm compares with the reference at a point.
///
/// An arm costs floor + a per request and another floor + b, so with work w in both the predicted
/// ratio is (floor + a + w) / (floor + b + w). Both costs are those without work at the same
/// distance, block by block, so a prediction has an interval as a measurement has.
#[derive(Debug)]
pub(super) struct Comparison {
    point: Point,
    arm: String,
    measured: Estimate,
    predicted: Estimate,
    valid: bool,
}

/// The handler work from which on no scheme costs more than [`NO_MATTER`] more than another, us of
/// CPU time per request.
#[derive(Debug)]
pub(super) struct Indifference {
    /// How far away the stores behind a socket are, us.
    pub(super) distance_us: u32,
    /// The scheme that costs most without work.
    pub(super) dearest: String,
    /// The one that costs least.
    pub(super) cheapest: String,
    /// The work; 0 where they are that close without any.
    pub(super) work_us: Estimate,
    /// Whether the figures that it follows from may be used.
    pub(super) valid: bool,
}

/// The tables of this experiment that are of arms together.
pub(super) fn tables(analysis: &Analysis, experiment: &str) -> Vec<Table> {
    if experiment != NAME {
        return Vec::new();
    }
    [ratios(analysis), thresholds(analysis)].into_iter().flatten().collect()
}

fn ratios(analysis: &Analysis) -> Option<Table> {
    let mut rows = Vec::new();
    let mut before = None;
    for Comparison { point, arm, measured, predicted, valid } in comparisons(analysis) {
        let ratio = |of: &Estimate| Cell::Figure {
            figure: times(of.point),
            interval: times_range(of),
            valid,
            finding: None,
        };
        rows.push(Row {
            opens_group: before.replace(point) != Some(point),
            cells: vec![
                Cell::Text(label(point.level())),
                Cell::Arm { name: arm, role: "" },
                ratio(&measured),
                ratio(&predicted),
                Cell::Text(measured.n.to_string()),
            ],
        });
    }
    (!rows.is_empty()).then(|| Table {
        title: format!("CPU per request compared with {}", analysis.reference),
        note: "Server and store, arm divided by reference, paired by block. Predicted is (cost of \
               the arm + work) / (cost of the reference + work), with both costs from the point \
               without work at the same distance; waiting costs nothing in it."
            .into(),
        columns: columns(&["Point", "Arm"], &["Measured", "Predicted", "n"]),
        rows,
    })
}

fn thresholds(analysis: &Analysis) -> Option<Table> {
    let row = |found: Indifference| Row {
        opens_group: true,
        cells: vec![
            Cell::Text(distance(found.distance_us)),
            Cell::Arm { name: found.dearest, role: "" },
            Cell::Arm { name: found.cheapest, role: "" },
            Cell::Figure {
                figure: figure(found.work_us.point, "us"),
                interval: range(&found.work_us, "us"),
                valid: found.valid,
                finding: None,
            },
            Cell::Text(found.work_us.n.to_string()),
        ],
    };
    let rows: Vec<_> = indifference(analysis).into_iter().map(row).collect();
    (!rows.is_empty()).then(|| Table {
        title: format!("Work from which on no scheme costs {:.0} % more", NO_MATTER * 100.0),
        note: "CPU time of the handler per request, computed from what the dearest and the \
               cheapest scheme cost without work, block by block. It is about CPU time: what a \
               round trip adds to a response time stays."
            .into(),
        columns: columns(&["Distance", "Dearest", "Cheapest"], &["Work", "n"]),
        rows,
    })
}

fn columns(words: &[&str], numbers: &[&str]) -> Vec<Column> {
    let column = |label: &str, numeric| Column { label: label.into(), hint: "", numeric };
    let words = words.iter().map(|label| column(label, false));
    words.chain(numbers.iter().map(|label| column(label, true))).collect()
}

/// What every arm costs per request at every point.
fn costs(analysis: &Analysis) -> BTreeMap<(u32, &str), &Measurement> {
    let all = analysis.measurements.all_of(NAME, COST);
    all.filter_map(|m| Some(((m.key.level?, m.key.arm.as_str()), m))).collect()
}

/// Every arm compared with the reference at every point, in the order of points and arms.
pub(super) fn comparisons(analysis: &Analysis) -> Vec<Comparison> {
    let costs = costs(analysis);
    let mut levels: Vec<u32> = costs.keys().map(|(level, _)| *level).collect();
    levels.dedup();
    let reference = analysis.reference.as_str();
    let compare = |level: u32, arm: &String| {
        let point = Point::of_level(level);
        let base = point.without_work().level();
        let cost = |level, arm| costs.get(&(level, arm)).copied();
        let (one, other) = (cost(level, arm)?, cost(level, reference)?);
        let (one_bare, other_bare) = (cost(base, arm)?, cost(base, reference)?);
        let work = f64::from(point.cpu_us);
        let measured = paired_ratio(&pairs(one, other, 0.0))?;
        let predicted = paired_ratio(&pairs(one_bare, other_bare, work))?;
        let valid = [one, other, one_bare, other_bare].iter().all(|m| m.valid);
        Some(Comparison { point, arm: arm.clone(), measured, predicted, valid })
    };
    let arms = || analysis.arms.iter().filter(|arm| **arm != reference);
    levels.into_iter().flat_map(|level| arms().filter_map(move |arm| compare(level, arm))).collect()
}

/// The costs of two arms in the blocks that both have, with so much work added to each.
fn pairs(one: &Measurement, other: &Measurement, work: f64) -> Vec<(f64, f64)> {
    let both = |(block, cost): (&u32, &f64)| Some((cost + work, other.by_block.get(block)? + work));
    one.by_block.iter().filter_map(both).collect()
}

/// The work from which on schemes cost the same, at every distance; the floor is no scheme.
pub(super) fn indifference(analysis: &Analysis) -> Vec<Indifference> {
    let costs = costs(analysis);
    let mut distances: Vec<u32> =
        costs.keys().map(|(level, _)| Point::of_level(*level).distance_us).collect();
    distances.dedup();
    let least_work = |distance_us: u32| {
        let level = Point { distance_us, ..Point::default() }.level();
        let schemes = analysis.arms.iter().filter(|arm| **arm != analysis.baseline);
        let mut found: Vec<_> =
            schemes.filter_map(|arm| costs.get(&(level, arm.as_str())).copied()).collect();
        found.sort_by(|one, other| one.estimate.point.total_cmp(&other.estimate.point));
        let [cheapest, .., dearest] = found.as_slice() else { return None };
        // (dearest + work) / (cheapest + work) = 1 + NO_MATTER
        let work = |(dear, cheap): &(f64, f64)| (dear - (1.0 + NO_MATTER) * cheap) / NO_MATTER;
        let by_block: Vec<f64> = pairs(dearest, cheapest, 0.0).iter().map(work).collect();
        let Estimate { point, interval, n, method } = estimate(&by_block, Scale::Linear)?;
        // Less than no work is no work, and an interval that is cut there still covers the truth.
        let interval = interval.map(|(lo, hi)| (lo.max(0.0), hi.max(0.0)));
        Some(Indifference {
            distance_us,
            dearest: dearest.key.arm.to_string(),
            cheapest: cheapest.key.arm.to_string(),
            work_us: Estimate { point: point.max(0.0), interval, n, method },
            valid: dearest.valid && cheapest.valid,
        })
    };
    distances.into_iter().filter_map(least_work).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::key::Key;
    use crate::report::tests::sample;

    const FLOOR: f64 = 10.0;

    /// An analysis with these costs of a request without work, in three blocks that differ by a
    /// factor, and with the work of each point added to them.
    fn analysed(costs: &[(&str, f64)], points: &[Point]) -> Analysis {
        let arms: Vec<&str> = costs.iter().map(|(arm, _)| *arm).collect();
        let mut analysis = sample::analysis_of(&sample::plan(&arms, 2), |_| {});
        analysis.measurements.clear();
        for point in points {
            for (arm, cost) in costs {
                let blocks = [(0, 0.98), (1, 1.0), (2, 1.02)];
                let work = f64::from(point.cpu_us);
                let by_block: BTreeMap<u32, f64> =
                    blocks.map(|(block, drift)| (block, cost * drift + work)).into();
                let values: Vec<f64> = by_block.values().copied().collect();
                analysis.measurements.push(Measurement {
                    key: Key {
                        experiment: NAME.into(),
                        arm: (*arm).into(),
                        level: Some(point.level()),
                        users: Some(32),
                        connections: 32,
                        rate: None,
                        metric: COST,
                    },
                    unit: "us",
                    estimate: estimate(&values, Scale::Log).unwrap(),
                    valid: true,
                    by_block,
                    resampled: None,
                });
            }
        }
        analysis
    }

    fn arms() -> [(&'static str, f64); 4] {
        [("none", FLOOR), ("session@memory", FLOOR + 1.0), ("a", FLOOR + 2.0), ("b", FLOOR + 4.0)]
    }

    #[test]
    fn what_obeys_the_law_is_predicted() {
        let work = |cpu_us| Point { distance_us: 200, cpu_us, wait_ms: 0 };
        let found = comparisons(&analysed(&arms(), &[work(0), work(50), work(1_000)]));
        assert_eq!(found.len(), 9, "three arms beside the reference at three points");
        for Comparison { point, arm, measured, predicted, valid } in found {
            let expected = |added: f64| FLOOR + added + f64::from(point.cpu_us);
            let added = arms().iter().find(|(name, _)| *name == arm).unwrap().1 - FLOOR;
            let expected = expected(added) / expected(1.0);
            assert!((measured.point / expected - 1.0).abs() < 1e-3, "{measured:?} {expected}");
            assert!((predicted.point / measured.point - 1.0).abs() < 1e-9, "{arm} {point:?}");
            assert!(valid && predicted.n == 3);
        }
    }

    #[test]
    fn a_point_whose_base_was_not_measured_is_not_predicted() {
        let far = Point { distance_us: 1_000, cpu_us: 50, wait_ms: 0 };
        assert!(comparisons(&analysed(&arms(), &[Point::default(), far])).len() == 3);
    }

    #[test]
    fn the_work_is_that_at_which_the_extremes_are_three_per_cent_apart() {
        let analysis = analysed(&arms(), &[Point::default()]);
        let found = indifference(&analysis);
        let [Indifference { dearest, cheapest, work_us, .. }] = found.as_slice() else { panic!() };
        assert_eq!((dearest.as_str(), cheapest.as_str()), ("b", "session@memory"));
        // (14 + w) / (11 + w) = 1.03
        assert!((work_us.point - 89.0).abs() < 1e-6, "{work_us:?}");
        let (lo, hi) = work_us.interval.unwrap();
        assert!(lo < 89.0 && 89.0 < hi);
        let alike = [("none", 10.0), ("session@memory", 11.0), ("a", 11.1)];
        let found = indifference(&analysed(&alike, &[Point::default()]));
        assert_eq!(found[0].work_us.point, 0.0, "1 % apart without any work");
    }

    #[test]
    fn both_tables_are_there_for_this_experiment_alone() {
        let analysis = analysed(&arms(), &[Point::default()]);
        assert_eq!(tables(&analysis, NAME).len(), 2);
        assert!(tables(&analysis, "concurrency").is_empty());
        let nothing = analysed(&arms()[..1], &[Point::default()]);
        assert!(tables(&nothing, NAME).is_empty());
    }
}
