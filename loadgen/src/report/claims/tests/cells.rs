//! Verdicts from the cells of a matrix: what decides, what is noise, what the correction costs.

use super::growth::PROBLEM;
use super::*;

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
    let claim = result(&growth::costs("population", &figures, 0.01), PROBLEM);
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
