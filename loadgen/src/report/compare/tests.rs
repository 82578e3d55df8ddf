//! What a report says about comparisons: which have a verdict, the floor, growth, the law, and what
//! is missing.

use super::*;
use crate::experiment::{family, metric};
use crate::record::{ActionRecord, LoadRecord, TrialRecord};
use crate::report::tests::sample;
use crate::report::{Analysis, analyse};

const ARMS: [&str; 3] = ["none", "session@memory", "jwt-hs256"];
const CPU: &Metric = metric::SERVER_CPU_US_PER_REQUEST;

fn find<'a>(analysis: &'a Analysis, metric: &Metric, users: u64) -> &'a Comparison {
    let is_wanted = |c: &&Comparison| {
        (c.key.metric, c.key.users, c.key.arm.as_str(), c.against.as_str())
            == (metric, Some(users), "jwt-hs256", "session@memory")
    };
    analysis.comparisons.iter().find(is_wanted).unwrap()
}

fn ruling(comparison: &Comparison) -> (Verdict, Option<Cause>) {
    let ruling = comparison.ruling.as_ref().unwrap();
    (ruling.verdict, ruling.cause)
}

/// Changes the loads of a trial.
fn loads(record: &mut TrialRecord, change: impl Fn(&mut LoadRecord)) {
    for action in &mut record.actions {
        if let ActionRecord::Load(load) = action {
            change(load);
        }
    }
}

/// Makes the server of a load take so many more microseconds per request.
fn add_us(load: &mut LoadRecord, us: u64) {
    let ended = load.counts.ended_in_window;
    load.server.as_mut().unwrap().cpu_ns += us * 1000 * ended;
}

#[test]
fn only_what_was_declared_has_a_verdict() {
    let analysis = sample::analysis();
    let declared = |c: &Comparison| {
        let arm = |p: &&Primary| c.key.arm == p.arm && c.against == p.against;
        let own = |p: &&Primary| {
            (&p.experiment, p.metric.as_str()) == (&c.key.experiment, c.key.metric.name)
                && p.from.is_none()
        };
        let has_level = |p: &&Primary| c.key.users.is_none_or(|users| users == u64::from(p.level));
        sample::plan(&ARMS, 5).primary.iter().any(|p| arm(&p) && own(&p) && has_level(&p))
    };
    assert!(analysis.comparisons.iter().any(declared));
    for comparison in &analysis.comparisons {
        assert_eq!(comparison.ruling.is_some(), declared(comparison), "{comparison:?}");
    }
    // As clear a difference as any, and not an endpoint.
    let (_, hi) =
        find(&analysis, metric::THROUGHPUT_RPS, 10).ratio.as_ref().unwrap().interval.unwrap();
    assert!(hi < 0.95 && find(&analysis, metric::THROUGHPUT_RPS, 10).ruling.is_none());
}

#[test]
fn all_endpoints_are_one_family_and_nothing_else_is_in_it() {
    // Levels and metrics that are not endpoints make no verdict harder.
    let few = sample::analysis_of(&sample::plan_at(&[10, 1000], &ARMS, 5), |_| {});
    let many = sample::analysis_of(&sample::plan_at(&[10, 30, 100, 300, 1000], &ARMS, 5), |_| {});
    assert!(many.comparisons.len() > few.comparisons.len() + 20);
    let p = |analysis: &Analysis| {
        let tests = |e: &Endpoint| (e.ruling.tests.family_size, e.ruling.tests.p_difference_holm);
        analysis.primary.iter().map(tests).collect::<Vec<_>>()
    };
    assert!(!few.primary.is_empty());
    for (one, other) in p(&few).into_iter().zip(p(&many)) {
        assert_eq!((one.0, other.0), (few.primary.len() as u32, few.primary.len() as u32));
    }
    let experiments: std::collections::BTreeSet<_> =
        few.primary.iter().map(|e| &e.declared.experiment).collect();
    assert_eq!(experiments.len(), 2, "endpoints of both experiments are corrected together");
    for endpoint in &few.primary {
        let tests = endpoint.ruling.tests;
        assert!(tests.p_difference_holm >= tests.p_difference, "{endpoint:?}");
        let inconclusive = endpoint.ruling.verdict == Verdict::Inconclusive;
        assert_eq!(endpoint.ruling.cause.is_some(), inconclusive, "{endpoint:?}");
    }
}

#[test]
fn a_campaign_that_declared_nothing_has_no_verdict_and_says_so() {
    let mut plan = sample::plan(&ARMS, 5);
    plan.primary.clear();
    let analysis = sample::analysis_of(&plan, |_| {});
    assert!(analysis.comparisons.iter().all(|c| c.ruling.is_none()));
    assert!(analysis.answer.iter().all(|sentence| sentence.verdict.is_none()));
    let page = crate::report::FORMATS[1].render(&analysis);
    assert_eq!(page.matches("declared no primary endpoint").count(), 1, "{page}");
    for badge in ["▲ higher", "▼ lower", "= equivalent", "? inconclusive"] {
        assert!(!page.contains(badge), "{badge}");
    }
}

/// The endpoint about growth of CPU time of this arm.
fn growth<'a>(analysis: &'a Analysis, arm: &str) -> &'a Endpoint {
    let is_growth = |e: &&Endpoint| e.declared.from.is_some() && e.declared.arm == arm;
    analysis.primary.iter().find(is_growth).unwrap()
}

#[test]
fn growth_is_that_of_the_difference_and_not_of_the_ratio() {
    // An idle core wakes up for every request, so with few users every arm, the floor included,
    // costs 18 us more: the ratio to it grows, and what an arm adds does not.
    let idle = |record: &mut TrialRecord| {
        if record.trial.level == 10 {
            loads(record, |load| add_us(load, 18));
        }
    };
    let analysis = sample::analysis_of(&sample::plan(&ARMS, 5), idle);
    for arm in ["session@memory", "jwt-hs256"] {
        let grown = growth(&analysis, arm);
        let (lo, hi) = grown.difference.as_ref().unwrap().interval.unwrap();
        assert!(lo < 0.0 && hi > 0.0, "{grown:?}");
        assert!(!matches!(grown.ruling.verdict, Verdict::Higher | Verdict::Lower), "{grown:?}");
        let ratio = |users: u64| {
            let is_wanted = |c: &&Comparison| {
                (c.key.metric, c.key.users, c.key.arm.as_str(), c.against.as_str())
                    == (CPU, Some(users), arm, "none")
            };
            analysis.comparisons.iter().find(is_wanted).unwrap().ratio.clone().unwrap()
        };
        let (few, many) = (ratio(10).interval.unwrap(), ratio(1000).interval.unwrap());
        assert!(few.1 < many.0, "the old rule: the ratio grows significantly");
    }
}

#[test]
fn growth_that_is_there_is_found_and_its_interval_holds_it() {
    let dearer = |record: &mut TrialRecord| {
        if record.trial.level == 1000 && record.trial.arm == "jwt-hs256" {
            loads(record, |load| add_us(load, 3));
        }
    };
    let analysis = sample::analysis_of(&sample::plan(&ARMS, 5), dearer);
    let grown = growth(&analysis, "jwt-hs256");
    assert_eq!(
        (grown.ruling.verdict, grown.compared_as),
        (Verdict::Higher, ComparedAs::Difference)
    );
    let (lo, hi) = grown.difference.as_ref().unwrap().interval.unwrap();
    assert!(lo < 3.0 && hi > 3.0, "{grown:?}");
    assert_ne!(growth(&analysis, "session@memory").ruling.verdict, Verdict::Higher);
    let said = |s: &&crate::report::Sentence| s.text.contains("growth of what jwt-hs256");
    let sentence = analysis.answer.iter().find(said).unwrap();
    assert!(sentence.text.contains("10 to 1,000 users"), "{}", sentence.text);
}

#[test]
fn an_endpoint_without_figures_is_told_and_still_counts() {
    let analysis = sample::analysis_of(&sample::plan(&ARMS, 5), |record| {
        if record.trial.arm == "jwt-hs256" {
            loads(record, |load| {
                load.counts.errors.insert("wrong_user".into(), 1);
            });
        }
    });
    let lost = analysis.primary.iter().filter(|e| e.declared.arm == "jwt-hs256");
    let lost: Vec<&Endpoint> = lost.filter(|e| e.declared.experiment == "concurrency").collect();
    assert!(lost.len() >= 4);
    for endpoint in lost {
        assert_eq!(endpoint.ruling.cause, Some(Cause::NotMeasured), "{endpoint:?}");
        assert_eq!(endpoint.ruling.tests.family_size as usize, analysis.primary.len());
    }
    let page = crate::report::FORMATS[1].render(&analysis);
    assert!(page.contains("there is no valid figure of both arms"), "{page}");
}

#[test]
fn the_twin_is_measured_and_sets_a_floor_and_is_compared_with_nothing_else() {
    let analysis = sample::analysis();
    let twin = analysis.twin.clone().unwrap();
    assert_eq!(twin, "session@memory (again)");
    assert!(analysis.measurements.iter().any(|m| m.key.arm == twin));
    assert!(analysis.arms.iter().all(|arm| twin != *arm));
    assert!(analysis.comparisons.iter().all(|c| c.key.arm != twin && c.against != twin));
    for users in [10, 100, 1000] {
        let is_wanted =
            |f: &&NoiseFloor| f.key.metric == metric::THROUGHPUT_RPS && f.key.users == Some(users);
        let floor = analysis.noise_floors.iter().find(is_wanted).unwrap();
        let (lo, hi) = floor.ratio.as_ref().unwrap().interval.unwrap();
        let reach = lo.ln().abs().max(hi.ln().abs());
        assert!((floor.floor.unwrap().ln_1p() - reach).abs() < 1e-9, "{floor:?}");
        assert_eq!(find(&analysis, metric::THROUGHPUT_RPS, users).noise_floor, floor.floor);
    }
    for endpoint in analysis.primary.iter().filter(|e| e.compared_as == ComparedAs::Ratio) {
        let is_under = |f: &&NoiseFloor| {
            (f.key.metric, Some(f.key.place())) == (endpoint.metric, endpoint.place())
        };
        let floor = analysis.noise_floors.iter().find(is_under).unwrap().floor;
        assert_eq!(endpoint.noise_floor, floor, "{endpoint:?}");
    }
}

/// Fault 33: a difference must pass the noise floor.
#[test]
fn no_difference_below_the_floor_is_called_one() {
    let plan = sample::plan(&ARMS, 5);
    let at_rest = sample::analysis_of(&plan, |_| {});
    assert_eq!(find(&at_rest, CPU, 1000).verdict(), Some(Verdict::Higher));
    // The reference differs from itself by half, so what jwt-hs256 adds is not a finding.
    let disturb = |record: &mut TrialRecord| {
        if record.trial.twin {
            loads(record, |load| {
                let server = load.server.as_mut().unwrap();
                server.cpu_ns = server.cpu_ns * 3 / 2;
            });
        }
    };
    let disturbed = sample::analysis_of(&plan, disturb);
    let found = find(&disturbed, CPU, 1000);
    assert_eq!(ruling(found), (Verdict::Inconclusive, Some(Cause::NoiseFloor)));
    assert!(found.ruling.as_ref().unwrap().smallest_effect.unwrap() > 0.4, "{found:?}");
    let doubted =
        |analysis: &Analysis| analysis.doubts.iter().any(|d| d.doubt.code == "aa_pair_differs");
    assert!(doubted(&disturbed) && !doubted(&at_rest));
    // What the pair does not disturb is still found.
    assert_eq!(find(&disturbed, metric::THROUGHPUT_RPS, 1000).verdict(), Some(Verdict::Lower));
}

#[test]
fn a_floor_that_is_lost_leaves_nothing_to_be_called_different() {
    let plan = sample::plan(&ARMS, 5);
    let analysis = sample::analysis_of(&plan, |record| {
        if record.trial.twin {
            loads(record, |load| {
                load.counts.errors.insert("wrong_user".into(), 1);
            });
        }
    });
    let found = ruling(find(&analysis, CPU, 1000));
    assert_eq!(found, (Verdict::Inconclusive, Some(Cause::FloorUnknown)));
}

#[test]
fn an_older_campaign_without_a_twin_says_so_and_is_still_judged() {
    let mut plan = sample::plan(&ARMS, 5);
    plan.trials.retain(|trial| !trial.twin);
    let analysis = sample::analysis_of(&plan, |_| {});
    assert!(analysis.noise_floors.is_empty() && analysis.twin.is_none());
    let found = find(&analysis, CPU, 1000);
    assert_eq!((found.verdict(), found.noise_floor), (Some(Verdict::Higher), None));
    let cautions = crate::report::words::cautions(&analysis).join(" ");
    assert!(cautions.contains("has no noise floor"), "{cautions}");
}

#[test]
fn an_inconclusive_endpoint_says_what_it_could_have_seen() {
    // Two blocks settle little.
    let analysis = sample::analysis_of(&sample::plan(&ARMS, 2), |_| {});
    let open = |e: &&Endpoint| e.ruling.verdict == Verdict::Inconclusive && e.ratio.is_some();
    let endpoint = analysis.primary.iter().find(open).unwrap();
    assert!(endpoint.ruling.smallest_effect.unwrap() > 0.0);
    let page = crate::report::FORMATS[1].render(&analysis);
    assert!(page.contains("? inconclusive from "), "{page}");
    assert!(page.contains("would likely be missed (80 % power)"), "{page}");
    assert!(page.contains("### Noise floor: session@memory beside itself"));
    assert!(page.contains("### Primary endpoints"));
}

#[test]
fn what_does_not_vary_is_compared_without_an_interval() {
    let analysis = sample::analysis();
    let wire = analysis.comparisons.iter().filter(|c| c.key.metric == metric::REQUEST_WIRE_BYTES);
    let wire: Vec<_> = wire.collect();
    assert_eq!(wire.len(), 9);
    for c in wire {
        let ratio = c.ratio.as_ref().unwrap();
        assert!(ratio.is_exact() && ratio.interval.is_none() && c.difference.interval.is_none());
        assert_eq!(c.noise_floor, None);
    }
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
        let has = |m: &&Measurement| m.key.metric.family == family::SCALABILITY;
        let arms: Vec<String> =
            analysis.measurements.iter().filter(has).map(|m| m.key.arm.to_string()).collect();
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
    assert!(analysis.measurements.iter().all(|m| m.key.metric.family != family::SCALABILITY));
}

#[test]
fn slopes_that_may_be_0_have_no_ratio() {
    let analysis = sample::analysis();
    let is_slope = |m: &&Measurement| {
        m.key.metric == metric::BYTES_PER_SESSION && m.key.arm == "session@memory"
    };
    let own = analysis.measurements.iter().find(is_slope).unwrap();
    let with = |values: [f64; 3]| Measurement {
        estimate: estimate(&values, Scale::Linear).unwrap(),
        by_block: (0..).zip(values).collect(),
        resampled: None,
        ..own.clone()
    };
    let (kept, noise) = (with([112.0, 113.0, 114.0]), with([1.0, 60.0, 20.0]));
    // All positive, so logarithms would have a ratio: 0.09 (0.0004 to 20).
    let open = pair(&noise, &kept).unwrap();
    assert_eq!(open.ratio, None);
    assert!(open.difference.interval.is_some());
    assert!(pair(&with([1350.0, 1351.0, 1349.0]), &kept).unwrap().ratio.is_some());
}
