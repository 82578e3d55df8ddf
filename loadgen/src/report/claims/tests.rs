//! Campaigns made up figure by figure, in which an easier rule would give the wrong verdict.

mod cells;
mod growth;
mod rates;
mod surroundings;

use super::file::{By, read};
use super::*;
use crate::experiment::context::Point;
use crate::experiment::metric::{self, Metric};
use crate::record::{AttackRecord, Attacked, CaseOutcome, CaseRecord};
use crate::report::figure::significant;
use crate::report::figures::Measurement;
use crate::report::key::Key;
use crate::report::tests::sample;
use crate::stats::{Scale, estimate};

const MORE: &str = "answers more requests";

/// A campaign of these arms without a figure.
fn campaign(arms: &[&str]) -> Analysis {
    let mut analysis = sample::analysis_of(&sample::plan_at(&[10], arms, 2), |_| {});
    analysis.measurements.clear();
    analysis
}

/// Where a figure was measured: level and users.
type At = (Option<u32>, Option<u64>);

fn users(users: u64) -> At {
    (None, Some(users))
}

/// Adds a figure with a value for each block.
fn add(
    of: &mut Analysis,
    experiment: &str,
    metric: &'static Metric,
    arm: &str,
    at: At,
    values: &[f64],
) {
    of.measurements.push(Measurement {
        key: Key {
            experiment: experiment.into(),
            arm: arm.into(),
            level: at.0,
            users: at.1,
            connections: 1,
            rate: None,
            metric,
        },
        unit: metric.unit,
        estimate: estimate(values, metric.scale).unwrap(),
        valid: true,
        by_block: (0..).zip(values.iter().copied()).collect(),
        resampled: None,
    });
}

/// Six blocks of a value, each a little off.
fn about(value: f64, noise: f64) -> [f64; 6] {
    [0.7, -1.1, 0.4, 1.2, -0.9, -0.3].map(|off| value * (1.0 + noise * off))
}

/// The same noise in another order.
fn around(value: f64, noise: f64) -> [f64; 6] {
    [-0.9, 0.4, 1.2, -0.3, 0.7, -1.1].map(|off| value * (1.0 + noise * off))
}

fn result(analysis: &Analysis, part: &str) -> ClaimResult {
    let all = claims(analysis);
    all.into_iter().find(|claim| claim.says.contains(part)).expect(part)
}

fn cell<'a>(claim: &'a ClaimResult, arm: &str, against: &str) -> &'a ClaimCell {
    let is_it = |cell: &&ClaimCell| {
        cell.arm == arm && cell.against.as_deref().unwrap_or_default() == against
    };
    claim.matrices.iter().flat_map(|matrix| &matrix.cells).find(is_it).expect(arm)
}

#[test]
fn every_claim_names_experiments_that_there_are_and_bounds_what_is_linear() {
    let file = read();
    assert!(file.claim.len() >= 15);
    for test in file.claim.iter().flat_map(|claim| &claim.test) {
        let experiments = match &test.by {
            By::Figure { experiments, .. } | By::Crossover { experiments, .. } => {
                experiments.iter().map(String::as_str).collect()
            }
            By::Pair { experiment, .. }
            | By::Growth { experiment, .. }
            | By::Work { experiment, .. }
            | By::Distance { experiment, .. } => vec![experiment.as_str()],
            By::Gate {} | By::Property { .. } => vec![],
        };
        for name in experiments {
            assert!(crate::experiment::find(name).is_some(), "{name}");
        }
        let single = matches!(test.by, By::Figure { .. } | By::Gate {} | By::Property { .. });
        assert!(!single || test.against.is_empty(), "{}", test.asks);
        if let By::Figure { metrics, .. } = &test.by {
            // Its bound is on the plain scale, and so is its test.
            assert!(metrics.iter().all(|m| m.scale == Scale::Linear), "{metrics:?}");
        }
    }
}

#[test]
fn a_hop_is_not_what_a_queue_takes() {
    const HOP: &str = "network hop";
    let tested = |many: bool, few: Option<f64>| {
        let mut analysis = campaign(&["none", "session@redis"]);
        let mut add = |arm, at, values: &[f64]| {
            add(&mut analysis, "concurrency", metric::SERVICE_P50_US, arm, users(at), values);
        };
        if many {
            add("none", 1024, &about(8000.0, 0.02));
            add("session@redis", 1024, &around(12_800.0, 0.02));
        }
        if let Some(us) = few {
            add("none", 1, &about(50.0, 0.002));
            add("session@redis", 1, &around(us, 0.002));
            let half = (Some(50), Some(1000));
            let (none, redis) = (about(30.0, 0.002), around(us - 20.0, 0.002));
            let p50 = metric::SERVICE_P50_US;
            self::add(&mut analysis, "curve", p50, "none", half, &none);
            self::add(&mut analysis, "curve", p50, "session@redis", half, &redis);
        }
        result(&analysis, HOP)
    };
    assert_eq!(tested(true, None).verdict, ClaimVerdict::NotMeasured);
    assert_eq!(tested(true, Some(50.1)).verdict, ClaimVerdict::Refuted);
    let hop = tested(true, Some(112.0));
    assert_eq!(hop.verdict, ClaimVerdict::Supported);
    let found = &cell(&hop, "session@redis", "none").found;
    assert!(found.starts_with("+62") && found.contains("µs"), "{found}");
}

#[test]
fn figures_decide_by_their_intervals() {
    let weighed = |values: &[f64]| {
        let mut analysis = campaign(&["none", "session@memory", "session@redis", "jwt-hs256"]);
        let at = (Some(0), None);
        add(&mut analysis, "memory", metric::BYTES_PER_SESSION, "session@memory", at, values);
        result(&analysis, "A session uses server memory")
    };
    for (values, verdict) in [
        ([95.0, 100.0, 105.0], ClaimVerdict::Supported),
        ([0.0, 0.1, 0.2], ClaimVerdict::Refuted),
        ([0.0, 20.0, 40.0], ClaimVerdict::NotSettled),
        ([16.0, 16.0, 16.0], ClaimVerdict::NotSettled),
    ] {
        let claim = weighed(&values);
        assert_eq!(claim.verdict, verdict, "{values:?}");
        assert_eq!(claim.matrices[0].cells.len(), 1);
    }
    let exact = weighed(&[112.0; 3]);
    assert_eq!(exact.matrices[0].cells[0].found, "allocated memory per session: 112 bytes");
}

#[test]
fn a_mixture_is_asked_for_each_advantage() {
    const MIXED: &str = "Both can be mixed";
    let list = "jwt-denylist@redis";
    let mut analysis = campaign(&["none", "session@memory", "jwt-hs256", list]);
    let at = (Some(0), None);
    add(&mut analysis, "memory", metric::BYTES_PER_SESSION, list, at, &[0.0; 3]);
    let claim = result(&analysis, MIXED);
    assert_eq!(claim.verdict, ClaimVerdict::NotSettled);
    assert!(claim.words.starts_with("What was measured says yes. Not measured here: \"No more"));
    assert!(claim.leaves_out.contains("503"));
    add(&mut analysis, "memory", metric::BYTES_PER_LOGOUT, list, at, &[90.0, 91.0, 92.0]);
    let claim = result(&analysis, MIXED);
    assert_eq!(claim.verdict, ClaimVerdict::Depends);
    for (arm, value) in [("session@memory", 119e3), ("jwt-hs256", 103e3)] {
        add(
            &mut analysis,
            "concurrency",
            metric::THROUGHPUT_RPS,
            arm,
            users(64),
            &about(value, 0.01),
        );
    }
    add(
        &mut analysis,
        "concurrency",
        metric::THROUGHPUT_RPS,
        list,
        users(64),
        &around(102.9e3, 0.01),
    );
    let claim = result(&analysis, MIXED);
    assert_eq!(cell(&claim, list, "session@memory").answer, Answer::No);
    assert_eq!(cell(&claim, list, "jwt-hs256").answer, Answer::Yes);
    assert_eq!(claim.matrices.len(), 3);
    let lists = result(&analysis, "list of revoked tokens grow");
    assert_eq!(lists.verdict, ClaimVerdict::Supported);
}

#[test]
fn attacks_decide_what_only_they_can() {
    let case = |id: &str, found: &str, outcome| CaseRecord {
        id: id.into(),
        what: String::new(),
        expected: String::new(),
        found: found.into(),
        outcome,
    };
    let attacked = |arms: &[(&str, &str)], outcome| {
        let arms = arms.iter().map(|(arm, found)| {
            let cases = vec![case("0c", found, CaseOutcome::Property), case("5a", "401", outcome)];
            Attacked { target: (*arm).into(), spared: None, cases }
        });
        let record = AttackRecord { schema: 1, plan: String::new(), arms: arms.collect() };
        campaign(&["none", "jwt-hs256", "jwe-dir"]).with_attacks(Some(record))
    };
    let (signed, sealed) = ("readable by anybody: sub, name", "nothing can be read");
    let held = attacked(&[("jwt-hs256", signed)], CaseOutcome::Refused);
    let encrypted = result(&held, "encrypted");
    assert_eq!(encrypted.verdict, ClaimVerdict::Refuted);
    let missing = "No encrypted token (JWE, PASETO local) was measured here.";
    assert!(encrypted.words.ends_with(missing), "{}", encrypted.words);
    assert_eq!(result(&held, "tampered").verdict, ClaimVerdict::Supported);
    let fell = attacked(&[("jwt-hs256", signed), ("jwe-dir", sealed)], CaseOutcome::Accepted);
    assert_eq!(result(&fell, "tampered").verdict, ClaimVerdict::Refuted);
    let encrypted = result(&fell, "encrypted");
    assert_eq!(encrypted.verdict, ClaimVerdict::Depends);
    assert!(!encrypted.words.contains(missing));
}
