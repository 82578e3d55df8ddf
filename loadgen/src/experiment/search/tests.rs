//! The search, against servers that are a rule: what it asks, what it finds, and where it gives up.

use super::*;

fn plan() -> SearchPlan {
    SearchPlan {
        journey: "browse".into(),
        users: 10,
        connections: 8,
        slo_ns: 10_000_000,
        errors_max: 0.001,
        from_rps: 1000.0,
        to_rps: 64_000.0,
        resolution: 0.05,
        warmup_ns: 1,
        probe_ns: 2,
        confirm_ns: 3,
        drain_ns: 4,
        timeout_ns: 5,
        probes_max: 40,
    }
}

fn probe(rate_rps: f64, confirms: bool, verdict: ProbeVerdict) -> ProbeRecord {
    ProbeRecord {
        rate_rps,
        confirms,
        planned: 0,
        dropped: 0,
        without_answer: 0,
        wrong_user: 0,
        achieved_rps: 0.0,
        response_ns_p99: 0,
        lag_ns_p99: 0,
        server_busy: 1.0,
        verdict,
        why: String::new(),
    }
}

/// Runs a search against a server that answers probe `n`, at a rate, to confirm or not, by a rule.
fn run(
    plan: &SearchPlan,
    seed: u64,
    rule: impl Fn(usize, f64, bool) -> ProbeVerdict,
) -> (Found, Vec<ProbeRecord>) {
    let mut probes = Vec::new();
    loop {
        match next(plan, seed, &probes) {
            Next::Done(found) => return (found, probes),
            Next::Probe { rate_rps, confirms, .. } => {
                assert!(probes.len() < plan.probes_max as usize, "the search has no end");
                let verdict = rule(probes.len(), rate_rps, confirms);
                probes.push(probe(rate_rps, confirms, verdict));
            }
        }
    }
}

fn up_to(capacity: f64) -> impl Fn(usize, f64, bool) -> ProbeVerdict {
    move |_, rate, _| if rate <= capacity { ProbeVerdict::Held } else { ProbeVerdict::Failed }
}

#[test]
fn it_finds_what_a_server_holds() {
    for capacity in [1001.0, 3333.0, 17_000.0, 40_000.0, 63_000.0] {
        for seed in 0..20 {
            let (found, probes) = run(&plan(), seed, up_to(capacity));
            let (held, failed) = (found.held_rps.unwrap(), found.failed_rps.unwrap());
            assert_eq!(found.end, End::Bracketed);
            assert!(held <= capacity && capacity < failed, "{capacity}: {held} to {failed}");
            assert!(failed <= held * 1.0501, "{held} to {failed}");
            assert!(probes.len() <= 20, "{} probes", probes.len());
            let last = probes.last().unwrap();
            assert!(last.confirms && last.rate_rps.to_bits() == held.to_bits());
            let confirmations = probes.iter().filter(|probe| probe.confirms).count();
            assert_eq!(confirmations, 1, "a longer probe is for the end");
        }
    }
}

#[test]
fn trials_do_not_agree_on_a_rate_because_they_try_the_same_ones() {
    let held: Vec<f64> =
        (0..30).map(|seed| run(&plan(), seed, up_to(20_000.0)).0.held_rps.unwrap()).collect();
    let mut different = held.clone();
    different.sort_by(f64::total_cmp);
    different.dedup();
    assert!(different.len() > 25, "{different:?}");
    assert_eq!(held[3].to_bits(), run(&plan(), 3, up_to(20_000.0)).0.held_rps.unwrap().to_bits());
}

#[test]
fn a_server_that_holds_nothing_and_one_that_holds_everything() {
    let (found, probes) = run(&plan(), 1, up_to(10.0));
    assert_eq!((found.held_rps, found.end), (None, End::Nowhere));
    assert_eq!(found.failed_rps, Some(1000.0), "the lowest rate was tried as well");
    assert_eq!(probes.len(), 4, "two rates, each twice");
    let (found, _) = run(&plan(), 1, up_to(1e9));
    assert_eq!((found.held_rps, found.failed_rps), (Some(64_000.0), None));
    assert_eq!(found.end, End::Limit);
}

#[test]
fn one_probe_that_fails_by_chance_is_asked_again() {
    for bad in 0..12 {
        let rule = |n, rate, confirms| match n {
            n if n == bad => ProbeVerdict::Failed,
            _ => up_to(20_000.0)(n, rate, confirms),
        };
        let (found, _) = run(&plan(), 1, rule);
        let (held, failed) = (found.held_rps.unwrap(), found.failed_rps.unwrap());
        assert!(held <= 20_000.0 && failed > 20_000.0, "probe {bad}: {held} to {failed}");
    }
}

#[test]
fn a_confirmation_that_fails_steps_back() {
    // Held for a short time up to 20,000/s, for a long one up to 17,000/s.
    let rule = |_, rate, confirms: bool| {
        let capacity = if confirms { 17_000.0 } else { 20_000.0 };
        if rate <= capacity { ProbeVerdict::Held } else { ProbeVerdict::Failed }
    };
    for seed in 0..20 {
        let (found, probes) = run(&plan(), seed, rule);
        let (held, failed) = (found.held_rps.unwrap(), found.failed_rps.unwrap());
        assert_eq!(found.end, End::Bracketed);
        assert!(held <= 17_000.0 && failed > 17_000.0, "{held} to {failed}");
        assert!(failed <= held * 1.0501, "the gap of the step back is closed: {held} to {failed}");
        assert!(probes.last().unwrap().confirms);
    }
    // Where the probes run out, or are disturbed, what is known is still a bracket.
    let plan_of_few = SearchPlan { probes_max: 16, ..plan() };
    let disturbed = |n, rate, confirms| match n {
        16.. => ProbeVerdict::Disturbed,
        _ => rule(n, rate, confirms),
    };
    for (plan, rule) in [(&plan_of_few, &rule as &dyn Fn(_, _, _) -> _), (&plan(), &disturbed)] {
        let (found, _) = run(plan, 1, rule);
        assert_eq!(found.end, End::Bracketed);
        assert!(found.held_rps.unwrap() <= 17_000.0 && found.failed_rps.unwrap() > 17_000.0);
    }
    // Never for a long time: it gives up, and names no rate.
    let never = |_, rate, confirms: bool| {
        if confirms { ProbeVerdict::Failed } else { up_to(20_000.0)(0, rate, false) }
    };
    let (found, _) = run(&plan(), 1, never);
    assert_eq!((found.held_rps, found.end), (None, End::Exhausted));
}

#[test]
fn what_the_generator_cannot_offer_ends_the_search_upwards() {
    let rule = |_, rate, _| match rate {
        rate if rate > 9_000.0 => ProbeVerdict::NotOffered,
        _ => ProbeVerdict::Held,
    };
    let (found, probes) = run(&plan(), 1, rule);
    assert_eq!((found.failed_rps, found.end), (None, End::NotOffered));
    let held = found.held_rps.unwrap();
    assert!(held <= 9_000.0 && held > 4_000.0, "{held}");
    assert!(probes.last().unwrap().confirms, "what is said to hold was confirmed");
    let nothing = |_, _, _| ProbeVerdict::NotOffered;
    let (found, probes) = run(&plan(), 1, nothing);
    assert_eq!((found.held_rps, found.end), (None, End::NotOffered));
    assert_eq!(probes.len(), 1);
}

#[test]
fn what_is_disturbed_is_asked_again_and_not_for_ever() {
    let once = |n, rate, confirms| match n {
        2 | 3 => ProbeVerdict::Disturbed,
        _ => up_to(20_000.0)(n, rate, confirms),
    };
    assert_eq!(run(&plan(), 1, once).0.end, End::Bracketed);
    let (found, probes) = run(&plan(), 1, |_, _, _| ProbeVerdict::Disturbed);
    assert_eq!((found.held_rps, found.end), (None, End::Disturbed));
    assert_eq!(probes.len(), 3);
}

#[test]
fn there_are_no_more_probes_than_planned() {
    let plan = SearchPlan { probes_max: 3, ..plan() };
    let (found, probes) = run(&plan, 1, up_to(20_000.0));
    assert_eq!((found.held_rps, found.end), (None, End::Exhausted));
    assert_eq!(probes.len(), 3);
}

mod verdicts {
    use super::*;
    use crate::record::{GeneratorUse, Histogram, ServerUse, StepRecord};

    /// A load whose requests all took so long.
    fn load(response_ns: u64) -> LoadRecord {
        let mut response = Histogram::new();
        (0..10_000).for_each(|_| response.record(response_ns));
        let lag = Histogram::new();
        LoadRecord {
            steps: vec![StepRecord {
                name: String::new(),
                service: response.clone(),
                response,
                lag,
            }],
            generator: GeneratorUse { workers: 1, spins: true, ..GeneratorUse::default() },
            server: Some(ServerUse {
                interval_ns: 1_000_000_000,
                threads: 1,
                cpu_ns: 950_000_000,
                ..ServerUse::default()
            }),
            ..engine::answered(10_000)
        }
    }

    fn verdict(change: impl Fn(&mut LoadRecord)) -> ProbeVerdict {
        let mut load = load(1_000_000);
        change(&mut load);
        let probe = judged(&plan(), 10_000.0, false, &load);
        assert_eq!(probe.why.is_empty(), probe.verdict == ProbeVerdict::Held, "{}", probe.why);
        probe.verdict
    }

    fn slow(load: &mut LoadRecord) {
        *load = self::load(20_000_000);
    }

    fn late(load: &mut LoadRecord) {
        slow(load);
        load.counts.queued = 5000;
        (0..10_000).for_each(|_| load.steps[0].lag.record(8_000_000));
    }

    #[test]
    fn a_rate_is_held_or_missed_by_time_errors_or_drops() {
        assert_eq!(verdict(|_| {}), ProbeVerdict::Held);
        assert_eq!(verdict(slow), ProbeVerdict::Failed);
        let lost = |n: u64| {
            move |l: &mut LoadRecord| {
                l.counts.errors.insert("reset".into(), n);
            }
        };
        assert_eq!(verdict(lost(10)), ProbeVerdict::Held, "a share of 0.1 % is allowed");
        assert_eq!(verdict(lost(11)), ProbeVerdict::Failed);
        assert_eq!(verdict(|l| l.counts.dropped = 11), ProbeVerdict::Failed);
        assert_eq!(verdict(|l| l.counts.unfinished = 11), ProbeVerdict::Failed);
        let wrong = |l: &mut LoadRecord| {
            l.counts.errors.insert("wrong_user".into(), 1);
        };
        assert_eq!(verdict(wrong), ProbeVerdict::Failed, "one is enough");
        assert_eq!(verdict(|l| l.counts.planned = 0), ProbeVerdict::Failed);
    }

    #[test]
    fn what_the_generator_or_others_did_is_not_the_servers_failure() {
        assert_eq!(verdict(late), ProbeVerdict::Failed, "the server was busy all the time");
        let idle = |l: &mut LoadRecord| {
            late(l);
            l.server.as_mut().unwrap().cpu_ns = 500_000_000;
        };
        assert_eq!(verdict(idle), ProbeVerdict::NotOffered);
        let with_store = |l: &mut LoadRecord| {
            idle(l);
            l.server.as_mut().unwrap().store_cpu_ns = Some(450_000_000);
        };
        assert_eq!(verdict(with_store), ProbeVerdict::Failed, "the store was busy");
        let disturbed = |l: &mut LoadRecord| {
            slow(l);
            l.generator.waited = 0.5;
        };
        assert_eq!(verdict(disturbed), ProbeVerdict::Disturbed);
        let saturated = |l: &mut LoadRecord| {
            slow(l);
            l.generator.spins = false;
            l.generator.busiest = 0.99;
            l.server.as_mut().unwrap().cpu_ns = 500_000_000;
        };
        assert_eq!(verdict(saturated), ProbeVerdict::NotOffered);
        assert_eq!(
            verdict(|l| l.generator.waited = 0.5),
            ProbeVerdict::Held,
            "what was held in spite of it was held"
        );
    }
}
