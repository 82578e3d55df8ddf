//! What other work and a store's distance do to a difference.

use super::*;

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
