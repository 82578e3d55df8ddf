//! Shares of a load: however its workers are divided among processes, the record is the same.

use std::ops::Range;

use proptest::prelude::*;

use super::*;
use crate::driver::{Among, Driver};
use crate::lost::planned_for;
use crate::merge::Share;
use crate::record::{LoadRecord, LoginRecord};
use crate::worker::Harvest;

/// A server that is slow, wrong or silent now and then, as the number of the user and the moment
/// say.
fn moody(seen: &Seen) -> Reply {
    if seen.request == 0 {
        return Reply::After(MS, 200, format!("{{\"token\":\"t{}\"}}", seen.user));
    }
    match (seen.user * 31 + seen.sent_ns / MS) % 23 {
        0 => Reply::Fail(2 * MS, Failure::Reset),
        1 => Reply::After(3 * MS, 503, String::new()),
        2 => Reply::After(MS, 200, "{\"user_id\":1234567}".into()),
        3 => Reply::Never,
        n => right(seen, n * MS),
    }
}

/// What one of the workers of a load brings home, and what its server saw of it. What the thread
/// used is a number of the worker's own, because it is read from a real clock.
fn harvest(driver: &Driver, plan: &LoadPlan, part: Part) -> (Harvest, Vec<(u64, u64)>) {
    let setup = Setup {
        script: &driver.script,
        part,
        connections: part.of(plan.connections),
        timeout_ns: plan.timeout_ns,
        ready_by_ns: u64::MAX,
        interrupt: &driver.interrupt,
        stop: &AtomicBool::new(false),
        ready: None,
    };
    let transport = Mock::new(moody);
    let mut worker = Worker { transport, setup, credentials: Arc::default() };
    let harvest = worker.load(plan, 5, None, || Some(0)).unwrap().unwrap();
    let seen = worker.transport.seen.iter().map(|seen| (seen.user, seen.sent_ns)).collect();
    let cpu_ns = u64::from(part.worker + 1) * 1_000_003;
    (Harvest { cpu_ns, waited_ns: cpu_ns / 7, ..harvest }, seen)
}

/// The share of these workers, of `of`, as it arrives after it was sent, and what servers saw.
fn share(plan: &LoadPlan, workers: Range<u32>, of: u32) -> (Share, Vec<(u64, u64)>) {
    let driver = Driver::new(script(), Vec::new(), 1, Interrupt::default()).unwrap();
    let login = LoginRecord { users: workers.len() as u32, ..LoginRecord::default() };
    let (harvests, seen): (Vec<_>, Vec<_>) =
        workers.map(|worker| harvest(&driver, plan, Part { worker, workers: of })).unzip();
    let share = Share::new(&driver, driver.client_use(), login, harvests);
    let sent = serde_json::to_string(&share).unwrap();
    let arrived: Share = serde_json::from_str(&sent).unwrap();
    assert_eq!(arrived, share);
    (arrived, seen.concat())
}

/// The record of these shares, in the bytes in which it is kept. The peak of memory is this test's.
fn record(plan: &LoadPlan, shares: impl IntoIterator<Item = Share>) -> String {
    let mut all = Share::default();
    shares.into_iter().for_each(|share| all.merge(share));
    let mut record = all.record(plan, 0);
    record.generator.peak_rss_bytes = 0;
    serde_json::to_string(&record).unwrap()
}

/// The same when the workers are divided at these places.
fn divided(plan: &LoadPlan, of: u32, cuts: &[u32]) -> (String, Vec<(u64, u64)>) {
    let ends = cuts.iter().copied().chain([of]);
    let mut base = 0;
    let (shares, seen): (Vec<_>, Vec<_>) = ends
        .map(|end| {
            let workers = std::mem::replace(&mut base, end)..end;
            let nobody = || (Share::default(), Vec::new());
            if workers.is_empty() { nobody() } else { share(plan, workers, of) }
        })
        .unzip();
    let mut seen = seen.concat();
    seen.sort_unstable();
    (record(plan, shares), seen)
}

fn models() -> [LoadModel; 5] {
    [
        open(300.0),
        LoadModel::Poisson(Poisson { rate_per_s: 300.0 }),
        closed(0),
        closed(70 * MS),
        visits(40.0, 3, 20 * MS),
    ]
}

fn load(model: usize, choice: UserChoice) -> LoadPlan {
    let plan = plan(models()[model].clone(), 40, 12, S);
    LoadPlan { warmup_ns: 100 * MS, timeout_ns: 200 * MS, choice, ..plan }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_record_is_the_same_however_the_workers_are_divided(
        model in 0..5_usize,
        choice in prop::sample::select(vec![
            UserChoice::InTurn, UserChoice::Uniform, UserChoice::Zipf(1.1),
        ]),
        of in 1..7_u32,
        mut cuts in prop::collection::vec(0..7_u32, 0..5),
    ) {
        cuts.iter_mut().for_each(|cut| *cut = (*cut).min(of));
        cuts.sort_unstable();
        let plan = load(model, choice);
        let (whole, seen_whole) = divided(&plan, of, &[]);
        let (parts, seen_parts) = divided(&plan, of, &cuts);
        prop_assert_eq!(whole, parts);
        prop_assert_eq!(seen_whole, seen_parts);
    }

    #[test]
    fn what_is_lost_is_what_the_workers_would_have_planned(
        model in 0..2_usize,
        choice in prop::sample::select(vec![
            UserChoice::InTurn, UserChoice::Uniform, UserChoice::Zipf(1.1),
        ]),
        base in 0..5_u32,
        workers in 1..3_u32,
    ) {
        let plan = load(model, choice);
        let lost = base..base + workers;
        let found = planned_for(&script(), &plan, 5, (lost.clone(), 7), plan.measure_ns);
        let (share, _) = share(&plan, lost, 7);
        prop_assert_eq!(found, Some(share.planned()));
        prop_assert!(share.planned() > 0 || choice != UserChoice::InTurn);
    }
}

#[test]
fn three_agents_of_two_workers_equal_six_workers() {
    for model in 0..5 {
        let plan = load(model, UserChoice::Uniform);
        let (six, seen_by_six) = divided(&plan, 6, &[]);
        let (three, seen_by_three) = divided(&plan, 6, &[2, 4]);
        assert_eq!(six, three, "{}", plan.model.label());
        assert_eq!(seen_by_six, seen_by_three);
        let record: LoadRecord = serde_json::from_str(&six).unwrap();
        assert!(record.counts.ok > 100 && record.counts.errors.len() > 2, "{:?}", record.counts);
        assert_eq!(record.generator.workers, 6);
    }
}

#[test]
fn what_a_dead_agent_had_to_bring_is_in_the_accounts() {
    let plan = load(0, UserChoice::InTurn);
    let whole = divided(&plan, 6, &[]).0;
    let whole: LoadRecord = serde_json::from_str(&whole).unwrap();
    let mut left = share(&plan, 0..2, 6).0;
    left.merge(share(&plan, 4..6, 6).0);
    let lost = planned_for(&script(), &plan, 5, (2..4, 6), left.window_ns()).unwrap();
    let record = left.record(&plan, lost);
    assert!(lost > 0 && record.counts.balanced());
    assert_eq!((record.counts.planned, record.counts.lost), (whole.counts.planned, lost));
    // Nobody knows what a closed load would have asked.
    assert_eq!(planned_for(&script(), &load(2, UserChoice::InTurn), 5, (2..4, 6), S), None);
}

#[test]
fn a_load_has_no_more_workers_than_users_or_connections() {
    let plan = LoadPlan { users: 8, connections: 5, ..load(0, UserChoice::InTurn) };
    assert!(Among::check(5, &plan).is_ok());
    for (users, connections) in [(8, 5), (5, 8)] {
        let plan = LoadPlan { users, connections, ..plan.clone() };
        let error = Among::check(6, &plan).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("at most 5 workers on all agents"), "{error}");
    }
    let driver = Driver::new(script(), Vec::new(), 2, Interrupt::default()).unwrap();
    let among = |base, of| Driver { among: Some(Among { base, of }), ..driver.clone() };
    assert_eq!(among(2, 4).workers_of(&plan).unwrap(), (2..4, 4));
    assert_eq!(driver.workers_of(&plan).unwrap(), (0..2, 2));
    assert_eq!(among(3, 4).workers_of(&plan).unwrap_err().exit_code(), 1);
    assert_eq!(among(0, 6).workers_of(&plan).unwrap_err().exit_code(), 2);
}
