//! The worker on a scripted server with a clock set by hand: every expectation is exact.

mod renewals;
mod setup;
mod shares;
mod stop;

use std::sync::atomic::{AtomicBool, Ordering};

use contract::Target;

use super::*;
use crate::error::Interrupt;
use crate::journey::Script;
use crate::load::{Closed, Constant, LoadModel, Poisson, Spread, UserChoice, Visits};
use crate::part::Part;
use crate::record::Counts;
use crate::setup::{Keep, Pass, Route, SetupFault};
use crate::transport::mock::{Mock, Reply, Seen};
use crate::transport::{Failure, Outcome};

const MS: u64 = 1_000_000;
const S: u64 = 1_000 * MS;

fn script() -> Script {
    let target: Target = toml::from_str(
        r#"
        name = "mock"
        base_url = "http://127.0.0.1:1"
        [login]
        path = "/login"
        fields = {}
        credential = "json:/token"
        send = "header:Authorization: Bearer {credential}"
        [journeys.browse]
        steps = [{ name = "me", path = "/me", check = { json = "/user_id", equals = "{n}" } }]
        [journeys.two]
        steps = [{ name = "one", path = "/1" }, { name = "two", path = "/2" }]
        "#,
    )
    .unwrap();
    Script::new(&target, "browse").unwrap()
}

fn plan(model: LoadModel, users: u32, connections: u32, measure_ns: u64) -> LoadPlan {
    LoadPlan {
        model,
        journey: "browse".into(),
        users,
        choice: UserChoice::Uniform,
        connections,
        warmup_ns: 0,
        measure_ns,
        drain_ns: 5 * S,
        timeout_ns: 30 * S,
        prepare: None,
        renewal: None,
    }
}

fn open(rate: f64) -> LoadModel {
    LoadModel::Constant(Constant { rate_per_s: rate })
}

fn closed(think_ns: u64) -> LoadModel {
    LoadModel::Closed(Closed { think_ns, ..Closed::without_thinking() })
}

fn visits(rate: f64, requests: u32, think_ns: u64) -> LoadModel {
    LoadModel::Visits(Visits {
        rate_per_s: rate,
        random: false,
        requests,
        think_ns,
        spread: Spread::Fixed,
    })
}

/// The right answer after `ns`.
fn right(seen: &Seen, ns: u64) -> Reply {
    Reply::After(ns, 200, format!("{{\"user_id\":{}}}", seen.user))
}

struct Run {
    counts: Counts,
    response: crate::record::Histogram,
    service: crate::record::Histogram,
    lag: crate::record::Histogram,
    timeline: Vec<crate::record::Second>,
    seen: Vec<Seen>,
}

/// Logs in and runs `plan` on a server that does what `server` says of every request but logins,
/// which it answers at once with the token `t<user>`.
fn run(plan: &LoadPlan, mut server: impl FnMut(&Seen) -> Reply) -> Run {
    let script = script();
    let interrupt = Interrupt::default();
    let transport = Mock::new(move |seen| match seen.request {
        0 => Reply::After(0, 200, format!("{{\"token\":\"t{}\"}}", seen.user)),
        _ => server(seen),
    });
    let part = Part { worker: 0, workers: 1 };
    let setup = Setup {
        script: &script,
        part,
        connections: plan.connections,
        timeout_ns: plan.timeout_ns,
        ready_by_ns: u64::MAX,
        interrupt: &interrupt,
        stop: &AtomicBool::new(false),
        ready: None,
    };
    let mut worker = Worker { transport, setup, credentials: Arc::default() };
    let login = worker.login(0, plan.users, Keep::Credentials).unwrap();
    assert_eq!(login.users, plan.users);
    let harvest = worker.load(plan, 1, None, || Some(0)).unwrap().unwrap();
    let seen = worker.transport.seen.into_iter().filter(|seen| seen.request > 0).collect();
    let (counts, steps, timeline, _) = harvest.recorder.into_parts();
    assert!(counts.balanced(), "{counts:?}");
    let step = steps.into_iter().next().unwrap();
    Run { counts, response: step.response, service: step.service, lag: step.lag, timeline, seen }
}

/// The test that no published generator has automated: R/s for T with a server that stands still
/// for D. Response time is uniform on [0, D] for D/T of the requests.
/// The setup of the only worker of a load.
fn alone<'a>(
    script: &'a Script,
    interrupt: &'a Interrupt,
    stop: &'a AtomicBool,
    connections: u32,
) -> Setup<'a> {
    Setup {
        script,
        part: Part { worker: 0, workers: 1 },
        connections,
        timeout_ns: S,
        ready_by_ns: u64::MAX,
        interrupt,
        stop,
        ready: None,
    }
}

/// Fault 1: the percentiles of a stall are exact.
#[test]
fn a_stall_shows_in_the_response_time_and_not_in_the_service_time() {
    let (rate, stall) = (500.0, 1400 * MS);
    let server = |seen: &Seen| {
        let stalled = (4 * S..4 * S + stall).contains(&seen.sent_ns);
        right(seen, if stalled { 4 * S + stall - seen.sent_ns } else { 100_000 })
    };
    let run = run(&plan(open(rate), 16, 16, 10 * S), server);
    assert_eq!((run.counts.planned, run.counts.ok), (5000, 5000));
    for (quantile, expected_ms) in [(0.90, 400.0), (0.95, 900.0), (0.99, 1300.0), (1.0, 1400.0)] {
        let found_ms = run.response.quantile_ns(quantile) as f64 / 1e6;
        let error = (found_ms / expected_ms - 1.0).abs();
        assert!(error < 0.05, "p{}: {found_ms} ms, expected {expected_ms}", quantile * 100.0);
    }
    let service_p99_ms = run.service.quantile_ns(0.99) as f64 / 1e6;
    assert!(service_p99_ms < 1.0, "{service_p99_ms}");
}

/// A closed load of so many requests that may take a minute.
fn fixed(requests: u32, think_ns: u64) -> LoadModel {
    let closed = Closed { think_ns, ..Closed::without_thinking() };
    LoadModel::Closed(Closed { requests: Some(requests), ..closed })
}

#[test]
fn a_load_of_so_many_requests_ends_with_the_last_answer() {
    let after_1ms = |seen: &Seen| right(seen, MS);
    let run_1000 = run(&plan(fixed(1000, 0), 4, 4, 60 * S), after_1ms);
    let counts = &run_1000.counts;
    assert_eq!((counts.planned, counts.ok_in_window, counts.window_ns), (1000, 1000, 250 * MS));
    assert_eq!((run_1000.seen.len(), run_1000.timeline.len()), (1000, 1));
    // Users who think: two of ten requests each, 100 ms apart.
    let thinking = run(&plan(fixed(20, 100 * MS), 10, 10, 60 * S), after_1ms);
    assert_eq!((thinking.counts.ok, thinking.seen.len()), (20, 20));
    assert!((MS..=202 * MS).contains(&thinking.counts.window_ns), "{:?}", thinking.counts);
    // What Warmup sends does not count.
    let warm = LoadPlan { warmup_ns: 100 * MS, ..plan(fixed(40, 0), 4, 4, 60 * S) };
    let warm = run(&warm, after_1ms);
    assert_eq!((warm.counts.planned, warm.counts.ok, warm.counts.window_ns), (40, 40, 10 * MS));
    assert_eq!(warm.seen.len(), 400 + 40);
    // Failures count, and the time may be over before.
    let failing = |_: &Seen| Reply::Fail(MS, Failure::Reset);
    let failed = run(&plan(fixed(10, 0), 1, 1, 60 * S), failing);
    assert_eq!((failed.counts.sent, failed.counts.failed()), (10, 10));
    let short = run(&plan(fixed(1000, 0), 1, 1, 100 * MS), after_1ms);
    assert_eq!((short.counts.planned, short.counts.window_ns), (100, 100 * MS));
}

/// k6's case: 10/s, five that never answer, 950 ms.
/// Fault 2: what cannot be sent is counted.
#[test]
fn what_cannot_be_started_is_dropped_and_counted() {
    let run = run(&plan(open(10.0), 5, 5, 950 * MS), |_| Reply::Never);
    let Counts { planned, sent, dropped, unfinished, queued, ok, .. } = run.counts;
    assert_eq!((planned, sent, dropped, unfinished, queued, ok), (10, 5, 5, 5, 5, 0));
}

/// A queue at the end of the window is part of the load: its waits are the longest.
#[test]
fn what_waits_for_a_connection_at_the_end_is_sent_in_drain() {
    let server = |seen: &Seen| {
        let stalled = (950 * MS..S).contains(&seen.sent_ns);
        right(seen, if stalled { S - seen.sent_ns } else { MS / 10 })
    };
    let run = run(&plan(open(1000.0), 1, 1, S), server);
    let Counts { planned, sent, ok, ended_in_window, .. } = run.counts;
    assert_eq!((planned, sent, ok, ended_in_window), (1000, 1000, 1000, 950));
    let longest = run.response.quantile_ns(1.0);
    assert!((49 * MS..51 * MS).contains(&longest), "{longest}");
    assert!(run.seen.iter().filter(|seen| seen.sent_ns >= S).count() >= 49);
    // Twice what the server does: of the thousand that wait at the end a quarter has its turn.
    let mut plan = plan(open(2000.0), 1, 1, S);
    plan.drain_ns = 250 * MS;
    let run = self::run(&plan, |seen| right(seen, MS));
    let Counts { planned, sent, dropped, .. } = run.counts;
    assert_eq!(planned, 2000);
    assert!((1250..=1251).contains(&sent), "{sent} sent, {dropped} dropped");
}

#[test]
fn an_open_load_is_sent_when_it_is_due_whatever_the_answers_do() {
    let run = run(&plan(open(1000.0), 50, 50, S), |seen| right(seen, 20 * MS));
    let sent: Vec<_> = run.seen.iter().map(|seen| seen.sent_ns).collect();
    let due: Vec<_> = (0..1000).map(|n| n * MS).collect();
    assert_eq!(sent, due);
    assert_eq!(run.lag.max_ns(), 1, "lag of 0 is counted as the smallest duration");
    assert_eq!(run.counts.queued, 0);
}

#[test]
fn a_closed_load_asks_again_when_it_is_answered() {
    let run = run(&plan(closed(0), 4, 4, S), |seen| right(seen, 10 * MS));
    // 4 users, 10 ms an answer, 1 s: 100 requests each.
    assert_eq!((run.counts.planned, run.counts.ok), (400, 400));
    assert_eq!(run.counts.ended_in_window, 396, "the last four end when the window does");
    for seen in &run.seen {
        assert_eq!(seen.connection as u64, seen.user);
        assert_eq!(seen.credential, format!("t{}", seen.user));
    }
}

#[test]
fn more_users_than_connections_take_turns_and_all_get_theirs() {
    let mut plan = plan(closed(0), 7, 2, S);
    plan.choice = UserChoice::InTurn;
    let run = run(&plan, |seen| right(seen, 10 * MS));
    let mut times = [0u32; 7];
    run.seen.iter().for_each(|seen| times[seen.user as usize] += 1);
    assert!(times.iter().all(|n| (26..=30).contains(n)), "{times:?}");
    assert!(run.seen.iter().all(|seen| seen.credential == format!("t{}", seen.user)));
}

#[test]
fn users_think_between_an_answer_and_the_next_request() {
    let run = run(&plan(closed(90 * MS), 3, 3, S), |seen| right(seen, 10 * MS));
    for user in 0..3 {
        let sent: Vec<_> =
            run.seen.iter().filter(|seen| seen.user == user).map(|seen| seen.sent_ns).collect();
        assert!(sent[0] < 90 * MS);
        assert!(sent.windows(2).all(|pair| pair[1] - pair[0] == 100 * MS), "{sent:?}");
    }
}

#[test]
fn warm_up_is_sent_and_not_counted() {
    let mut plan = plan(open(100.0), 5, 5, S);
    plan.warmup_ns = S;
    let run = run(&plan, |seen| {
        let warm = seen.sent_ns < S;
        right(seen, if warm { 100 * MS } else { MS })
    });
    assert_eq!((run.seen.len(), run.counts.planned), (200, 100));
    // The last of the warm-up still hold their connections when Measure begins.
    assert!(run.response.quantile_ns(0.5) <= MS + MS / 100);
}

#[test]
fn the_timeline_shows_when_requests_ended() {
    let mut plan = plan(open(100.0), 50, 50, 3 * S);
    plan.warmup_ns = S;
    // In the second second of Measure every answer takes 250 ms.
    let run = run(&plan, |seen| {
        right(seen, if (2 * S..3 * S).contains(&seen.sent_ns) { 250 * MS } else { MS })
    });
    let ok: Vec<_> = run.timeline.iter().map(|second| second.ok).collect();
    assert_eq!(ok, [100, 75, 125]);
    let slow = run.timeline[1].response.quantile_ns(0.5);
    assert!((245 * MS..255 * MS).contains(&slow), "{slow}");
    assert!(run.timeline.iter().all(|second| second.ended == second.ok));
}

/// Fault 8: only right answers have a latency.
/// Fault 34: every end is counted once.
#[test]
fn every_end_has_its_class() {
    let run = run(&plan(open(10.0), 1, 5, S), |seen| match seen.sent_ns / (100 * MS) {
        0 => Reply::After(MS, 200, "{\"user_id\":77}".into()),
        1 => Reply::After(MS, 401, "{\"user_id\":0}".into()),
        2 => Reply::After(MS, 503, String::new()),
        3 => Reply::Fail(MS, Failure::Reset),
        4 => Reply::Fail(MS, Failure::Truncated),
        _ => right(seen, MS),
    });
    let errors: Vec<_> = run.counts.errors.iter().map(|(c, n)| (c.as_str(), *n)).collect();
    assert_eq!(
        errors,
        [("reset", 1), ("status_401", 1), ("status_503", 1), ("truncated", 1), ("wrong_user", 1)]
    );
    assert_eq!((run.counts.ok, run.response.count()), (5, 5), "only right answers have a latency");
}

/// Fault 10: a timeout comes at its time, and the user goes on.
#[test]
fn no_answer_in_time_is_a_timeout_and_the_connection_is_used_again() {
    let mut plan = plan(open(10.0), 1, 1, S);
    plan.timeout_ns = 250 * MS;
    let run = run(&plan, |seen| if seen.sent_ns == 0 { Reply::Never } else { right(seen, MS) });
    assert_eq!(run.counts.errors.get("timeout"), Some(&1));
    let second = run.seen[1].sent_ns;
    assert!((250 * MS..255 * MS).contains(&second), "{second}");
    assert_eq!(run.counts.ok, 9);
}

#[test]
fn requests_that_never_end_time_out_after_the_window_too() {
    let mut plan = plan(closed(0), 2, 2, S);
    plan.timeout_ns = 600 * MS;
    let run = run(&plan, |_| Reply::Never);
    // Sent at 0 s and at 0.61 s; the second ones end at 1.21 s, long before the drain does.
    assert_eq!(run.counts.errors.get("timeout"), Some(&4));
    assert_eq!((run.counts.sent, run.counts.unfinished), (4, 0));
}

#[test]
fn a_server_that_refuses_is_not_hammered() {
    let run = run(&plan(closed(0), 2, 2, S), |_| Reply::Fail(0, Failure::ConnectRefused));
    assert_eq!(run.counts.ok, 0);
    assert!((190..=210).contains(&run.counts.failed()), "{}", run.counts.failed());
}

#[test]
fn the_same_seed_asks_the_same() {
    let seen = |seed| {
        let script = script();
        let interrupt = Interrupt::default();
        let stop = AtomicBool::new(false);
        let setup = alone(&script, &interrupt, &stop, 8);
        let transport = Mock::new(|seen: &Seen| right(seen, MS));
        let mut worker = Worker { transport, setup, credentials: Arc::default() };
        worker.load(&plan(open(200.0), 100, 8, S), seed, None, || Some(0)).unwrap().unwrap();
        worker.transport.seen.into_iter().map(|seen| seen.user).collect::<Vec<_>>()
    };
    assert_eq!(seen(1), seen(1));
    assert_ne!(seen(1), seen(2));
}

/// What the server sees of this load when so many workers carry it: who asked, and when.
fn seen_by_server(plan: &LoadPlan, workers: u32) -> Vec<(u64, u64)> {
    let script = script();
    let interrupt = Interrupt::default();
    let mut all = Vec::new();
    for worker in 0..workers {
        let part = Part { worker, workers };
        let setup = Setup {
            script: &script,
            part,
            connections: part.of(plan.connections),
            timeout_ns: S,
            ready_by_ns: u64::MAX,
            interrupt: &interrupt,
            stop: &AtomicBool::new(false),
            ready: None,
        };
        let transport = Mock::new(|seen: &Seen| right(seen, 0));
        let mut worker = Worker { transport, setup, credentials: Arc::default() };
        worker.load(plan, 5, None, || Some(0)).unwrap().unwrap();
        all.extend(worker.transport.seen.iter().map(|seen| (seen.sent_ns, seen.user)));
    }
    all.sort_unstable();
    all
}

#[test]
fn an_open_load_is_the_same_for_any_number_of_workers() {
    for model in [open(500.0), LoadModel::Poisson(Poisson { rate_per_s: 500.0 })] {
        for choice in [UserChoice::InTurn, UserChoice::Uniform, UserChoice::Zipf(1.1)] {
            let plan = LoadPlan { choice, ..plan(model.clone(), 100, 24, S) };
            let by_one = seen_by_server(&plan, 1);
            assert!(by_one.len() > 400, "{}", by_one.len());
            assert_eq!(by_one, seen_by_server(&plan, 3), "{model:?}, {choice}");
        }
    }
}

#[test]
fn visitors_log_in_ask_log_out_and_leave() {
    // 10 a second, 3 requests each with 100 ms between them, answers after 10 ms: a visit takes a
    // login, 3 requests and 2 pauses, and then ends, because the target has no logout.
    let plan = plan(visits(10.0, 3, 100 * MS), 1000, 8, 2 * S);
    let script = script();
    let interrupt = Interrupt::default();
    let stop = AtomicBool::new(false);
    let setup = alone(&script, &interrupt, &stop, 8);
    let transport = Mock::new(|seen: &Seen| match seen.request {
        0 => Reply::After(10 * MS, 200, format!("{{\"token\":\"t{}\"}}", seen.user)),
        // One of them gets a wrong answer and leaves.
        _ if seen.credential == "t7" => Reply::After(10 * MS, 503, String::new()),
        _ => right(seen, 10 * MS),
    });
    let mut worker = Worker { transport, setup, credentials: Arc::default() };
    let mut in_turn = plan.clone();
    in_turn.choice = UserChoice::InTurn;
    let harvest = worker.load(&in_turn, 1, None, || Some(0)).unwrap().unwrap();
    let visits = harvest.visits.unwrap();
    assert_eq!((visits.arrived, visits.failed, visits.turned_away), (20, 1, 0));
    // A visit that begins within the last 240 ms cannot end within Measure.
    assert_eq!(visits.completed, 17);
    let of_user = |n: u64| -> Vec<_> {
        let seen = worker.transport.seen.iter().filter(|seen| seen.user == n);
        seen.map(|seen| (seen.request, seen.sent_ns / MS, seen.credential.clone())).collect()
    };
    let token = || "t3".to_string();
    assert_eq!(
        of_user(3),
        [(0, 300, String::new()), (1, 310, token()), (1, 420, token()), (1, 530, token())]
    );
    assert_eq!(of_user(7).len(), 2);
    let (counts, steps, ..) = harvest.recorder.into_parts();
    assert!(counts.balanced(), "{counts:?}");
    let names: Vec<_> = steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, ["login", "me"]);
    assert_eq!(steps[0].response.count(), 20);
}
