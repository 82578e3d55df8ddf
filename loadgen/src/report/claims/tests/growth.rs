//! Claims that something grows with users: by the difference, and by more than a margin.

use super::*;

/// CPU time per request at the fewest and the most users.
pub(super) fn costs(experiment: &str, figures: &[(&str, f64, f64)], noise: f64) -> Analysis {
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

pub(super) const PROBLEM: &str = "sessions become a problem";

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
    let said = "1 of 2 answers is no; the others are open: for session@postgres and none the \
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
}

#[test]
fn a_verdict_needs_every_part_of_its_sentence() {
    // By how much a session costs more with many users, and loses per core and per server.
    let scale = |by: f64, parts: usize| {
        let figures =
            [("none", 10.0, 10.0), ("session@memory", 10.0, 10.0 + by), ("jwt-a", 10.0, 10.0)];
        let mut analysis = costs("population", &figures, 0.002);
        let others = [("cores", metric::THROUGHPUT_RPS), ("replicas", metric::REQUESTS_PER_CPU_S)];
        for (experiment, metric) in others.into_iter().take(parts) {
            for (arm, most) in [("session@memory", 1.0 - by / 10.0), ("jwt-a", 1.0)] {
                let values = [about(100e3, 0.002), around(most * 100e3, 0.002)];
                for (at, values) in [32, 64].into_iter().zip(values) {
                    add(&mut analysis, experiment, metric, arm, users(at), &values);
                }
            }
        }
        result(&analysis, "Tokens scale better")
    };
    assert_eq!(scale(0.5, 2).verdict, ClaimVerdict::Refuted);
    assert_eq!(scale(2.0, 2).verdict, ClaimVerdict::Supported);
    for (by, word) in [(0.5, "no"), (2.0, "yes")] {
        let one_of_three = scale(by, 0);
        assert_eq!(one_of_three.verdict, ClaimVerdict::NotSettled, "{}", one_of_three.words);
        let words = format!("What was measured says {word}. Not measured here: \"With more cores");
        assert!(one_of_three.words.starts_with(&words), "{}", one_of_three.words);
    }
}

#[test]
fn a_claim_is_not_supported_by_what_the_same_arm_differs_by() {
    let faster = |again: Option<f64>| {
        let mut analysis = campaign(&["none", "session@memory", "jwt-hs256"]);
        let mut add = |arm: &str, values: &[f64]| {
            add(&mut analysis, "concurrency", metric::THROUGHPUT_RPS, arm, users(64), values);
        };
        add("session@memory", &about(100e3, 0.004));
        add("jwt-hs256", &around(105e3, 0.004));
        if let Some(again) = again {
            add("session@memory (again)", &around(again, 0.004));
        }
        result(&analysis, MORE)
    };
    assert_eq!(faster(None).verdict, ClaimVerdict::Supported);
    assert_eq!(faster(Some(101e3)).verdict, ClaimVerdict::Supported);
    let doubted = faster(Some(93e3));
    assert_eq!(doubted.verdict, ClaimVerdict::NotSettled);
    let found = &cell(&doubted, "jwt-hs256", "session@memory").found;
    assert!(found.ends_with(", the same arm differs as much from itself"), "{found}");
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
