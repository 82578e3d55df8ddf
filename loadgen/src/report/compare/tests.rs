//! What a reader is told of comparisons: the floor, the families, the law, and what is missing.

use super::*;
use crate::record::{ActionRecord, TrialRecord};
use crate::report::tests::sample;
use crate::report::{Analysis, analyse};

const ARMS: [&str; 3] = ["none", "session@memory", "jwt-hs256"];

fn find<'a>(analysis: &'a Analysis, metric: &str, users: u64) -> &'a Comparison {
    let is = |c: &&Comparison| {
        (c.metric, c.users, c.arm.as_str(), c.against.as_str())
            == (metric, Some(users), "jwt-hs256", "session@memory")
    };
    analysis.comparisons.iter().find(is).unwrap()
}

#[test]
fn the_twin_is_measured_and_sets_a_floor_and_is_compared_with_nothing_else() {
    let analysis = sample::analysis();
    let twin = analysis.twin.clone().unwrap();
    assert_eq!(twin, "session@memory (again)");
    assert!(analysis.measurements.iter().any(|m| m.arm == twin));
    assert!(!analysis.arms.contains(&twin));
    assert!(analysis.comparisons.iter().all(|c| c.arm != twin && c.against != twin));
    for users in [10, 100, 1000] {
        let of = |f: &&NoiseFloor| f.metric == "throughput_rps" && f.users == Some(users);
        let floor = analysis.noise_floors.iter().find(of).unwrap();
        let (lo, hi) = floor.ratio.as_ref().unwrap().interval.unwrap();
        let reach = lo.ln().abs().max(hi.ln().abs());
        assert!((floor.floor.unwrap().ln_1p() - reach).abs() < 1e-9, "{floor:?}");
        assert_eq!(find(&analysis, "throughput_rps", users).noise_floor, floor.floor);
    }
}

#[test]
fn no_difference_below_the_floor_is_called_one() {
    let plan = sample::plan(&ARMS, 5);
    let at_rest = sample::analysis_of(&plan, |_| {});
    assert_eq!(find(&at_rest, "server_cpu_us_per_request", 100).verdict, Verdict::Higher);
    // The reference differs from itself by half: what jwt-hs256 adds is then no finding.
    let disturb = |record: &mut TrialRecord| {
        for action in &mut record.actions {
            if let (true, ActionRecord::Load(load)) = (record.trial.twin, action) {
                let server = load.server.as_mut().unwrap();
                server.cpu_ns = server.cpu_ns * 3 / 2;
            }
        }
    };
    let disturbed = sample::analysis_of(&plan, disturb);
    let found = find(&disturbed, "server_cpu_us_per_request", 100);
    assert_eq!((found.verdict, found.cause), (Verdict::Inconclusive, Some(Cause::NoiseFloor)));
    assert!(found.smallest_effect.unwrap() > 0.4, "{found:?}");
    let doubted =
        |analysis: &Analysis| analysis.doubts.iter().any(|d| d.doubt.code == "aa_pair_differs");
    assert!(doubted(&disturbed) && !doubted(&at_rest));
    // What the pair does not disturb is still found.
    assert_eq!(find(&disturbed, "throughput_rps", 100).verdict, Verdict::Lower);
}

#[test]
fn a_floor_that_is_lost_leaves_nothing_to_be_called_different() {
    let plan = sample::plan(&ARMS, 5);
    let analysis = sample::analysis_of(&plan, |record| {
        for action in &mut record.actions {
            if let (true, ActionRecord::Load(load)) = (record.trial.twin, action) {
                load.counts.errors.insert("wrong_user".into(), 1);
            }
        }
    });
    let found = find(&analysis, "server_cpu_us_per_request", 100);
    assert_eq!((found.verdict, found.cause), (Verdict::Inconclusive, Some(Cause::FloorUnknown)));
}

#[test]
fn an_older_campaign_without_a_twin_says_so_and_is_still_judged() {
    let mut plan = sample::plan(&ARMS, 5);
    plan.trials.retain(|trial| !trial.twin);
    let analysis = sample::analysis_of(&plan, |_| {});
    assert!(analysis.noise_floors.is_empty() && analysis.twin.is_none());
    let found = find(&analysis, "server_cpu_us_per_request", 100);
    assert_eq!((found.verdict, found.noise_floor), (Verdict::Higher, None));
    let cautions = crate::report::words::cautions(&analysis).join(" ");
    assert!(cautions.contains("has no noise floor"), "{cautions}");
}

#[test]
fn families_count_what_their_correction_covers() {
    let analysis = sample::analysis();
    let family = |name: &str| analysis.families.iter().find(|f| f.family == name).unwrap();
    // Two metrics, three levels; session and jwt with none, jwt with session.
    assert_eq!(family("throughput").comparisons, 2 * 3 * 3);
    for family in &analysis.families {
        let of = |c: &&Comparison| c.experiment == family.experiment && c.family == family.family;
        let own: Vec<&Comparison> = analysis.comparisons.iter().filter(of).collect();
        assert_eq!(own.len() as u32, family.different + family.equivalent + family.inconclusive);
        for comparison in own {
            assert_eq!(comparison.tests.family_size, family.comparisons, "{comparison:?}");
            let tests = comparison.tests;
            assert!(tests.p_difference_holm >= tests.p_difference);
            assert_eq!(comparison.cause.is_some(), comparison.verdict == Verdict::Inconclusive);
        }
    }
}

#[test]
fn an_inconclusive_comparison_says_what_it_could_have_seen() {
    // Two blocks settle little.
    let analysis = sample::analysis_of(&sample::plan(&ARMS, 2), |_| {});
    let open = |c: &&Comparison| c.verdict == Verdict::Inconclusive && c.ratio.is_some();
    let comparison = analysis.comparisons.iter().find(open).unwrap();
    assert!(comparison.smallest_effect.unwrap() > 0.0);
    let page = crate::report::FORMATS[1].render(&analysis);
    assert!(page.contains("? inconclusive from "), "{page}");
    assert!(page.contains("would have been found four times in five"), "{page}");
    assert!(page.contains("### Noise floor: session@memory beside itself"));
    assert!(page.contains("### What was compared"));
}

#[test]
fn what_is_the_same_in_every_block_is_equivalent() {
    let analysis = sample::analysis();
    let failed: Vec<_> = analysis.comparisons.iter().filter(|c| c.metric == "error_rate").collect();
    assert_eq!(failed.len(), 9);
    assert!(failed.iter().all(|c| c.verdict == Verdict::Equivalent && c.ratio.is_none()));
}

#[test]
fn a_law_is_over_cores_and_has_to_fit() {
    // Per core 10,000/s, and what `lost` of a number of cores takes away.
    let law = |cores: &[u32], lost: fn(f64) -> f64| {
        let plan = sample::plan_over_cores(cores, &ARMS, 4);
        let mut records = sample::records(&plan);
        for record in &mut records {
            // As much above as below the law at every level and in every block.
            let is_above = (record.trial.level.trailing_zeros() + record.trial.block) % 2 == 0;
            let noise = if is_above { 1.01 } else { 1.0 / 1.01 };
            let cores = f64::from(record.trial.level);
            for action in &mut record.actions {
                if let ActionRecord::Load(load) = action {
                    load.counts.ok_in_window = 1_000_000;
                    let per_s = 10_000.0 * cores / lost(cores) * noise;
                    load.counts.window_ns = (1e15 / per_s) as u64;
                }
            }
        }
        let analysis = analyse(&plan, sample::host(), &records);
        let has = |m: &&Measurement| m.metric.starts_with("usl_");
        let arms: Vec<String> =
            analysis.measurements.iter().filter(has).map(|m| m.arm.clone()).collect();
        let page = crate::report::FORMATS[1].render(&analysis);
        (arms, page)
    };
    let (many, few) = ([1, 2, 4, 8, 16, 32], [1, 2, 4, 8, 16]);
    let amdahl = |cores: f64| 1.0 + 0.05 * (cores - 1.0);
    let (arms, page) = law(&many, amdahl);
    for arm in ["none", "session@memory", "session@memory (again)", "jwt-hs256"] {
        assert!(arms.iter().filter(|of| *of == arm).count() >= 2, "{arm}: {arms:?}");
    }
    assert!(page.contains("### How the arms scale") && !page.contains("does not follow"), "{page}");
    assert!(page.contains("Scaling efficiency"), "{page}");
    // Saturated at four: no law, and the page says so.
    let (arms, page) = law(&many, |cores| (cores / 4.0).max(1.0));
    assert_eq!(arms, Vec::<String>::new());
    assert!(page.contains("none does not follow the Universal Scalability Law"), "{page}");
    assert!(!page.contains("### How the arms scale"), "{page}");
    let (arms, page) = law(&few, amdahl);
    assert_eq!(arms, Vec::<String>::new(), "five levels are too few");
    assert!(!page.contains("does not follow"), "{page}");
}

#[test]
fn users_of_one_core_have_no_law() {
    let plan = sample::plan_at(&[1, 4, 16, 64, 256, 1000], &ARMS, 4);
    let analysis = analyse(&plan, sample::host(), &sample::records(&plan));
    assert!(analysis.measurements.iter().all(|m| !m.metric.starts_with("usl_")));
}
