//! Campaigns made up figure by figure, in which an easier rule would give the wrong verdict.

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

/// Requests per second with the most users, of four arms beside the baseline.
fn throughput(noise: f64) -> Analysis {
    let arms = ["none", "session@memory", "session@redis", "jwt-hs256", "jwt-rs256"];
    let mut analysis = campaign(&arms);
    let values = [("none", 121e3), ("session@memory", 119e3), ("session@redis", 76e3)];
    for (arm, value) in values {
        add(
            &mut analysis,
            "concurrency",
            metric::THROUGHPUT_RPS,
            arm,
            users(1024),
            &about(value, noise),
        );
    }
    for (arm, value) in [("jwt-hs256", 103e3), ("jwt-rs256", 70e3)] {
        add(
            &mut analysis,
            "concurrency",
            metric::THROUGHPUT_RPS,
            arm,
            users(1024),
            &around(value, noise),
        );
    }
    analysis
}

const MORE: &str = "answers more requests";

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
fn what_was_not_measured_says_so() {
    let mut analysis = sample::analysis();
    analysis.measurements.clear();
    for claim in claims(&analysis) {
        assert_eq!(claim.verdict, ClaimVerdict::NotMeasured, "{}", claim.says);
        assert!(claim.matrices.is_empty() && claim.in_short.is_empty());
        assert!(!claim.covers.is_empty());
    }
}

#[test]
fn better_than_one_session_and_worse_than_another_depends() {
    // Against `session@memory` alone, the reference, it would be refuted.
    let analysis = throughput(0.01);
    let claim = result(&analysis, MORE);
    assert_eq!(claim.verdict, ClaimVerdict::Depends);
    for (arm, against, answer) in [
        ("jwt-hs256", "session@memory", Answer::No),
        ("jwt-hs256", "session@redis", Answer::Yes),
        ("jwt-rs256", "session@memory", Answer::No),
        ("jwt-rs256", "session@redis", Answer::No),
    ] {
        assert_eq!(cell(&claim, arm, against).answer, answer, "{arm} {against}");
    }
    assert_eq!(
        claim.in_short,
        "jwt-hs256: yes against session@redis; no against session@memory. \
         jwt-rs256: no against session@memory, session@redis"
    );
    let ratio = cell(&claim, "jwt-hs256", "session@redis").estimate.as_ref().unwrap();
    assert!((ratio.point - 1.355).abs() < 0.01 && ratio.n == 6, "{ratio:?}");
    assert_eq!(claim.matrices[0].at, "at 1,024 users");
}

#[test]
fn a_matrix_reads_alike_in_every_format() {
    let mut analysis = throughput(0.01);
    analysis.claims = claims(&analysis);
    let page = |name: &str| {
        let format = crate::report::FORMATS.iter().find(|format| format.name == name).unwrap();
        format.render(&analysis)
    };
    let short = crate::report::summary(&analysis);
    let line = "jwt-hs256: yes against session@redis; no against session@memory. ";
    assert!(short.contains("± **depends**: \"A server answers more requests"), "{short}");
    assert!(!short.contains(line), "a README has no room for every pair: {short}");
    let found = "✓ yes: 1.36 × (1.3";
    assert!(page("html").contains(line));
    for name in ["md", "html"] {
        assert!(page(name).contains(found), "{name}");
        assert!(page(name).contains("against session@redis"), "{name}");
    }
    let json: serde_json::Value = serde_json::from_str(&page("json")).unwrap();
    let claims = json["claims"].as_array().unwrap();
    let claim = claims.iter().find(|of| of["says"].as_str().unwrap().contains(MORE)).unwrap();
    assert_eq!(claim["verdict"], "depends");
    assert_eq!(claim["matrices"][0]["cells"][0]["against"], "session@memory");
    assert_eq!(claim["matrices"][0]["cells"][0]["answer"], "no");
}

#[test]
fn noise_settles_nothing_and_is_not_taken_for_no_figure() {
    let claim = result(&throughput(0.6), MORE);
    assert_eq!(claim.verdict, ClaimVerdict::NotSettled);
    assert_eq!(claim.matrices[0].cells.len(), 4);
    let mut invalid = throughput(0.01);
    invalid.measurements.iter_mut().for_each(|m| m.valid = false);
    let claim = result(&invalid, MORE);
    assert_eq!(claim.verdict, ClaimVerdict::NoValidFigure);
    assert_eq!(claim.words, "Measured, but too few trials of it are valid; run it again.");
    // What was measured of one side only was not measured.
    invalid.measurements.retain(|m| m.key.arm.starts_with("jwt"));
    assert_eq!(result(&invalid, MORE).verdict, ClaimVerdict::NotMeasured);
    let mut one_block = throughput(0.01);
    one_block.measurements.iter_mut().for_each(|m| m.by_block.retain(|block, _| *block == 0));
    let claim = result(&one_block, MORE);
    assert_eq!(claim.verdict, ClaimVerdict::NotSettled);
    assert!(claim.matrices[0].cells[0].found.ends_with("one block"));
    assert!(claim.words.contains("and session@memory 0.8"), "{}", claim.words);
    assert!(claim.words.ends_with(" ×, one block."), "{}", claim.words);
}

#[test]
fn what_is_not_settled_says_why() {
    let words = result(&throughput(0.6), MORE).words;
    let why = "None of 4 answers is settled: for jwt-hs256 and session@memory the interval, 0.";
    assert!(words.starts_with(why), "{words}");
    let bound = " ×, holds no difference and the margin, 1.03 ×.";
    assert!(words.contains(bound), "{words}");
    let figures = [("none", 10.0, 10.0), ("session@memory", 10.5, 11.55)];
    let claim = result(&costs("population", &figures, 0.01), PROBLEM);
    let bound = " µs, holds the margin, +1.05 µs.";
    assert!(claim.words.starts_with("The only answer is open: "), "{}", claim.words);
    assert!(claim.words.contains(bound), "{}", claim.words);
}

#[test]
fn bytes_on_the_wire_are_named_from_the_least_to_the_most() {
    let mut analysis = campaign(&["none", "session@memory", "jwt-hs256"]);
    for (arm, bytes) in [("none", 58.0), ("session@memory", 90.0), ("jwt-hs256", 404.0)] {
        let metric = metric::REQUEST_WIRE_BYTES;
        add(&mut analysis, "concurrency", metric, arm, users(10), &[bytes; 3]);
    }
    let claim = result(&analysis, "free on the wire");
    assert_eq!(claim.verdict, ClaimVerdict::Refuted);
    assert_eq!(
        claim.words,
        "Every request carries it: an id is short, a token is not. It adds from 32.0 bytes \
         (session@memory) to 346 bytes (jwt-hs256)."
    );
}

#[test]
fn no_words_of_a_claim_point_at_a_matrix_that_a_readme_lacks() {
    for claim in read().claim {
        for words in [&claim.supported, &claim.refuted, &claim.depends] {
            assert!(!words.to_lowercase().contains("matrix"), "{words}");
        }
    }
}

#[test]
fn a_difference_within_the_margin_is_a_no() {
    let mut analysis = campaign(&["none", "session@memory", "jwt-hs256"]);
    for (arm, values) in
        [("session@memory", about(100e3, 0.002)), ("jwt-hs256", around(101.5e3, 0.002))]
    {
        add(&mut analysis, "concurrency", metric::THROUGHPUT_RPS, arm, users(10), &values);
    }
    let claim = result(&analysis, MORE);
    let ratio = cell(&claim, "jwt-hs256", "session@memory").estimate.clone().unwrap();
    assert!(ratio.interval.is_some_and(|(lo, hi)| lo > 1.0 && hi < 1.03));
    assert_eq!(claim.verdict, ClaimVerdict::Refuted);
}

#[test]
fn many_cells_ask_for_more_and_a_cell_says_that_it_was_the_correction() {
    // One-sided p = 0.01 at five degrees of freedom, and too much among twelve.
    let faster = [1.10, 1.0, 1.06, 1.10, 1.01, 1.06].map(|ratio| ratio * 100e3);
    let asked = |tokens: &[&str]| {
        let mut arms = vec!["none", "session@memory"];
        arms.extend(tokens);
        let mut analysis = campaign(&arms);
        let flat = [100e3; 6];
        add(
            &mut analysis,
            "concurrency",
            metric::THROUGHPUT_RPS,
            "session@memory",
            users(10),
            &flat,
        );
        for token in tokens {
            add(&mut analysis, "concurrency", metric::THROUGHPUT_RPS, token, users(10), &faster);
        }
        result(&analysis, MORE)
    };
    let alone = asked(&["jwt-a"]);
    let p = alone.matrices[0].cells[0].p_yes.unwrap();
    assert!((0.003..0.025).contains(&p), "{p}");
    assert_eq!(alone.verdict, ClaimVerdict::Supported);
    let tokens: Vec<String> = (0..12).map(|i| format!("jwt-{i}")).collect();
    let many = asked(&tokens.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(many.verdict, ClaimVerdict::NotSettled);
    let found = &many.matrices[0].cells[0].found;
    assert!(found.ends_with("not significant after correction for 12 cells"), "{found}");
}

/// CPU time per request at the fewest and the most users.
fn costs(experiment: &str, figures: &[(&str, f64, f64)], noise: f64) -> Analysis {
    let arms: Vec<&str> = figures.iter().map(|of| of.0).collect();
    let mut analysis = campaign(&arms);
    for (arm, few, many) in figures {
        for name in [metric::CPU_US_PER_REQUEST, metric::SERVER_CPU_US_PER_REQUEST] {
            add(&mut analysis, experiment, name, arm, users(1), &about(*few, noise));
            add(&mut analysis, experiment, name, arm, users(1_000_000), &around(*many, noise));
        }
    }
    analysis
}

/// The reference campaign: an idle core wakes up for every request, so the floor falls as load
/// grows, and the ratio to it rises where the cost that is added hardly does.
const FALLING_FLOOR: [(&str, f64, f64); 4] = [
    ("none", 26.2, 8.2),
    ("session@redis", 26.2 + 11.0, 8.2 + 4.3),
    ("session@postgres", 26.2 + 12.2, 8.2 + 14.3),
    ("jwt-denylist@redis", 26.2 + 0.4, 8.2 + 1.7),
];
const PROBLEM: &str = "sessions become a problem";

#[test]
fn users_at_once_are_no_users_logged_in() {
    let claim = result(&costs("concurrency", &FALLING_FLOOR, 0.01), PROBLEM);
    assert_eq!(claim.verdict, ClaimVerdict::NotMeasured);
}

#[test]
fn growth_is_that_of_the_difference_and_not_of_the_ratio() {
    // The ratio to the floor grows by 1.87 with postgres; what is added by 2.1 us of 38.4.
    let claim = result(&costs("population", &FALLING_FLOOR, 0.12), PROBLEM);
    let postgres = cell(&claim, "session@postgres", "none");
    assert_eq!(postgres.answer, Answer::NotSettled, "{}", postgres.found);
    assert_eq!(cell(&claim, "session@redis", "none").answer, Answer::No);
    // One cell says no, and the open one may say yes.
    assert_eq!(claim.verdict, ClaimVerdict::NotSettled);
    let said = "1 of 2 answers says no; the others are open: for session@postgres and none the \
                interval, ";
    assert!(claim.words.starts_with(said), "{}", claim.words);
    assert!((postgres.estimate.as_ref().unwrap().point - 2.1).abs() < 0.5, "{}", postgres.found);
    assert_eq!(claim.matrices[0].at, "from 1 to 1,000,000 users");
}

#[test]
fn a_problem_is_more_than_a_tenth_of_a_request() {
    let grown = |by: f64, noise: f64| {
        let figures = [("none", 10.0, 10.0), ("session@memory", 10.5, 10.5 + by)];
        result(&costs("population", &figures, noise), PROBLEM)
    };
    // Half a microsecond is real and no problem; two are one; one may be either.
    assert_eq!(grown(0.5, 0.002).verdict, ClaimVerdict::Refuted);
    assert_eq!(grown(2.0, 0.002).verdict, ClaimVerdict::Supported);
    assert_eq!(grown(1.05, 0.01).verdict, ClaimVerdict::NotSettled);
    let found = &grown(0.5, 0.002).matrices[0].cells[0].found;
    assert!(found.starts_with("+0.5") && found.ends_with(", margin 1.05 µs"), "{found}");
    let scale = |by: f64| {
        let figures =
            [("none", 10.0, 10.0), ("session@memory", 10.0, 10.0 + by), ("jwt-a", 10.0, 10.0)];
        result(&costs("population", &figures, 0.002), "Tokens scale better").verdict
    };
    assert_eq!(scale(0.5), ClaimVerdict::Refuted);
    assert_eq!(scale(2.0), ClaimVerdict::Supported);
}

#[test]
fn words_that_say_more_than_a_difference_state_how_much_more() {
    for part in [PROBLEM, "scale better", "distance of the store", "network hop"] {
        let file = read();
        let claim = file.claim.iter().find(|claim| claim.says.contains(part)).expect(part);
        for test in &claim.test {
            let stated = match &test.by {
                By::Pair { margin, .. }
                | By::Growth { margin, .. }
                | By::Distance { margin, .. } => *margin,
                _ => None,
            };
            assert_eq!(stated, Some(0.1), "{part}: {}", test.asks);
        }
    }
}

#[test]
fn what_is_true_of_tokens_too_is_shown_and_does_not_count() {
    let figures = [
        ("none", 10.0, 10.0),
        ("session@memory", 12.0, 16.0),
        ("jwt-hs256", 12.0, 12.0),
        ("jwt-denylist@redis", 13.0, 18.0),
    ];
    let claim = result(&costs("population", &figures, 0.002), PROBLEM);
    assert_eq!(claim.verdict, ClaimVerdict::Supported);
    assert_eq!(
        claim.in_short,
        "yes for session@memory (for comparison: yes for jwt-denylist@redis; no for jwt-hs256)"
    );
    let every = result(&costs("population", &figures, 0.002), "A request costs more");
    assert_eq!(every.verdict, ClaimVerdict::Depends);
    assert_eq!(cell(&every, "none", "").answer, Answer::No);
    let scale = result(&costs("population", &figures, 0.002), "Tokens scale better");
    assert_eq!(cell(&scale, "jwt-hs256", "session@memory").answer, Answer::Yes);
    assert_eq!(cell(&scale, "jwt-denylist@redis", "session@memory").answer, Answer::No);
    assert!(scale.words.contains("Not measured here: \"With more cores"), "{}", scale.words);
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
    assert_eq!(claim.verdict, ClaimVerdict::Supported);
    assert!(claim.words.contains("Not measured here: \"No more than 16 bytes per logout\""));
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

/// A session of 100 bytes and a token of 300 bytes more on the wire.
fn bill(extra_us: f64) -> Analysis {
    let mut analysis = campaign(&["none", "session@memory", "jwt-hs256"]);
    for (arm, bytes, wire, us) in
        [("session@memory", 100.0, 100.0, 8.0), ("jwt-hs256", 0.0, 400.0, 8.0 + extra_us)]
    {
        let at = (Some(0), None);
        add(&mut analysis, "memory", metric::BYTES_PER_SESSION, arm, at, &[bytes; 3]);
        add(&mut analysis, "concurrency", metric::REQUEST_WIRE_BYTES, arm, users(64), &[wire; 6]);
        let cpu = if us > 8.0 { around(us, 0.004) } else { about(us, 0.004) };
        add(&mut analysis, "concurrency", metric::CPU_US_PER_REQUEST, arm, users(64), &cpu);
    }
    analysis
}

const CROSSOVER: &str = "How often users ask";

#[test]
fn two_arms_cost_the_same_at_a_rate_that_follows_from_the_prices() {
    let analysis = bill(2.0);
    let claim = result(&analysis, CROSSOVER);
    assert_eq!(claim.verdict, ClaimVerdict::Supported);
    let both = cell(&claim, "jwt-hs256", "session@memory");
    // 100 bytes at 0.004445 per GiB-hour; 2 us at 0.04048 per hour, and 300 bytes at 0.008 per GB.
    let expected =
        100.0 / 1_073_741_824.0 * 0.004445 / (2.0 / 3.6e9 * 0.04048 + 300.0 / 1e9 * 0.008);
    let rate = both.estimate.as_ref().unwrap();
    assert!((rate.point / expected - 1.0).abs() < 0.02, "{} {expected}", rate.point);
    let (lo, hi) = rate.interval.unwrap();
    assert!(lo < expected && expected < hi && lo > 0.9 * expected, "{lo} {hi}");
    assert!(both.found.ends_with("below it jwt-hs256 costs less"), "{}", both.found);
    assert!(claim.matrices[0].at.contains("0.04048 per CPU hour"), "{}", claim.matrices[0].at);
    let line = format!("jwt-hs256: yes against session@memory ({})", significant(rate.point));
    assert!(claim.in_short.contains(&line), "{}", claim.in_short);
    // What spans more than twofold has no point that could be quoted.
    let wide = result(&bill(0.1), CROSSOVER);
    let free = &wide.matrices[1].cells[0];
    assert_eq!(free.answer, Answer::Yes, "{}", free.found);
    let (lo, hi) = free.estimate.as_ref().unwrap().interval.unwrap();
    assert!(hi > 2.0 * lo, "{}", free.found);
    let range = format!("session@memory ({} to {})", significant(lo), significant(hi));
    assert!(wide.in_short.contains(&range), "{}", wide.in_short);
}

#[test]
fn a_campaigns_prices_move_the_rate() {
    let mut dear = bill(2.0);
    dear.prices.memory_gib_hour *= 10.0;
    let rate = |analysis: &Analysis| {
        let claim = result(analysis, CROSSOVER);
        cell(&claim, "jwt-hs256", "session@memory").estimate.clone().unwrap().point
    };
    assert!((rate(&dear) / rate(&bill(2.0)) - 10.0).abs() < 1e-9);
}

#[test]
fn free_traffic_leaves_cpu_time_and_memory() {
    let claim = result(&bill(-2.0), CROSSOVER);
    assert_eq!(claim.verdict, ClaimVerdict::Depends);
    let answers: Vec<_> = claim.matrices.iter().map(|of| of.cells[0].answer).collect();
    assert_eq!(answers, [Answer::Yes, Answer::No]);
    assert_eq!(claim.matrices[1].cells[0].found, "jwt-hs256 costs less at any rate");
    assert!(claim.matrices[1].at.contains("nothing per GB"), "{}", claim.matrices[1].at);
}

#[test]
fn an_arm_that_costs_less_per_login_and_per_request_is_cheaper_at_any_rate() {
    let mut analysis = bill(-2.0);
    analysis.prices.traffic_gb = 0.0;
    let claim = result(&analysis, CROSSOVER);
    assert_eq!(claim.verdict, ClaimVerdict::Refuted);
    let found = &cell(&claim, "jwt-hs256", "session@memory").found;
    assert_eq!(found, "jwt-hs256 costs less at any rate");
    // Whether the token's requests cost more or less is open, and so is whether there is a rate.
    let mut open = bill(0.0);
    open.prices.traffic_gb = 0.0;
    let claim = result(&open, CROSSOVER);
    assert_eq!(claim.verdict, ClaimVerdict::NotSettled);
    assert_eq!(claim.matrices[0].cells[0].estimate, None);
}

/// A point of `context`.
fn point(distance_us: u32, cpu_us: u32) -> At {
    (Some(Point { distance_us, cpu_us, wait_ms: 0 }.level()), Some(64))
}

#[test]
fn work_hides_a_difference_and_the_rate_at_which_it_does_follows() {
    const WORK: &str = "real work";
    let with_work = |most: u32| {
        let mut analysis = campaign(&["none", "session@memory", "jwt-hs256"]);
        for work in [0, most] {
            let at = point(0, work);
            let us = f64::from(work);
            let name = metric::CPU_US_PER_REQUEST;
            let session = about(10.0 + us, 0.001);
            let token = around(11.5 + us, 0.001);
            add(&mut analysis, "context", name, "session@memory", at, &session);
            add(&mut analysis, "context", name, "jwt-hs256", at, &token);
        }
        result(&analysis, WORK)
    };
    let enough = with_work(1000);
    assert_eq!(enough.verdict, ClaimVerdict::Supported);
    // 1.5 us are 3 % of 50 us, of which 10 are there without any work.
    let found = &cell(&enough, "jwt-hs256", "session@memory").found;
    let (_, from) = found.split_once("; 3 % from ").unwrap();
    let from: f64 = from.split(' ').next().unwrap().parse().unwrap();
    assert!((from - 40.0).abs() < 1.0, "{found}");
    assert_eq!(with_work(20).verdict, ClaimVerdict::Refuted);
}

#[test]
fn a_distance_counts_for_those_who_go_there() {
    let mut analysis = campaign(&["none", "session@memory", "session@redis", "jwt-hs256"]);
    let name = metric::SERVICE_P50_US;
    for (arm, at, us) in [
        ("session@memory", point(0, 0), 400.0),
        ("jwt-hs256", point(0, 0), 450.0),
        ("session@redis", point(0, 0), 600.0),
        ("session@redis", point(5000, 0), 5600.0),
        ("session@redis", point(5000, 200), 5800.0),
    ] {
        let values = if arm == "jwt-hs256" { around(us, 0.01) } else { about(us, 0.01) };
        add(&mut analysis, "context", name, arm, at, &values);
    }
    let claim = result(&analysis, "distance of the store");
    assert_eq!(claim.verdict, ClaimVerdict::Supported);
    assert_eq!(claim.matrices[0].at, "from 0 µs to 5.00 ms away");
    let cells = &claim.matrices[0].cells;
    assert_eq!(cells.len(), 1, "an arm without a store has no distance");
    let ratio = cells[0].estimate.as_ref().unwrap().point;
    assert!((ratio - 5600.0 / 600.0).abs() < 0.1, "{ratio}");
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
