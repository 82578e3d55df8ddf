//! The rate of requests at which two arms cost the same, and what moves it.

use super::*;

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

#[test]
fn costs_are_read_where_both_arms_keep_up() {
    let mut analysis = bill(2.0);
    for (arm, half_us) in [("session@memory", 8.0), ("jwt-hs256", 20.0)] {
        for (level, us, rate) in [(10, half_us + 1.0, 1000.0), (50, half_us, 5000.0)] {
            let at = (Some(level), Some(64));
            for (metric, value) in [
                (metric::CPU_US_PER_REQUEST, us),
                (metric::THROUGHPUT_RPS, rate),
                (metric::REQUEST_WIRE_BYTES, 100.0),
            ] {
                add(&mut analysis, "curve", metric, arm, at, &about(value, 0.001));
                analysis.measurements.last_mut().unwrap().key.rate = Some(rate);
            }
        }
    }
    let place = |analysis: &Analysis| result(analysis, CROSSOVER).matrices[0].at.clone();
    assert!(place(&analysis).contains("in curve with 64 users, 50 %"), "{}", place(&analysis));
    // At half load the token's server answers 4,000 of 5,000 requests per second.
    let is_answered = |m: &&mut Measurement| {
        let key = &m.key;
        key.arm == "jwt-hs256" && key.metric == metric::THROUGHPUT_RPS && key.level == Some(50)
    };
    let answered = analysis.measurements.iter_mut().find(is_answered).unwrap();
    answered.estimate.point = 4000.0;
    assert!(place(&analysis).contains("in curve with 64 users, 10 %"), "{}", place(&analysis));
    // A cell with a place of its own says it, and not the prices again.
    let second = "jwt-es256".to_owned();
    let all = analysis.measurements.clone();
    for mut m in all.into_iter().filter(|m| m.key.arm == "jwt-hs256") {
        if m.key.metric == metric::THROUGHPUT_RPS {
            m.estimate.point = m.key.rate.unwrap();
        }
        m.key.arm = second.as_str().into();
        analysis.measurements.push(m);
    }
    analysis.arms.push(second);
    let claim = result(&analysis, CROSSOVER);
    let found = &cell(&claim, "jwt-es256", "session@memory").found;
    let own = "costs less, requests as in curve with 64 users, 50 % of what the baseline can do";
    assert!(found.ends_with(own), "{found}");
}
