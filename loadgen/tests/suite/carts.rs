//! What users do apart from a load, against every arm that needs no program: fill carts, log in as
//! what is measured, log out all at once, hold connections. The servers are real and in this
//! process; nothing here is timed.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use loadgen::engine::{self, Driver, Phase};
use loadgen::error::Interrupt;
use loadgen::journey::Script;
use loadgen::load::{Closed, LoadModel, UserChoice};
use loadgen::plan::{ConnectPlan, FillPlan, GrowPlan, LoadPlan, LogoutPlan, Prepare};
use loadgen::record::LoadRecord;
use servers::contract::{AdminStats, Check, Journey, ReadyLine, Step};
use servers::{ArmInfo, ServeOptions, bind, serve};
use tokio::sync::oneshot;

const TIMEOUT_NS: u64 = 5_000_000_000;

/// Serves an arm while `act` drives it.
fn with_server(arm: &str, act: impl FnOnce(&ReadyLine)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let (ready, line) = oneshot::channel();
    // On a busy machine a store answers late.
    let options = ServeOptions { store_timeout: Duration::from_secs(60), ..ServeOptions::new(arm) };
    let task = runtime.spawn(async move {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let (public, admin) = (bind(any).unwrap(), bind(any).unwrap());
        let ready = |line: &ReadyLine| ready.send(line.clone()).unwrap();
        serve(options, public, admin, ready, async { drop(stopped.await) }).await
    });
    act(&line.blocking_recv().unwrap());
    stop.send(()).unwrap();
    runtime.block_on(task).unwrap().unwrap();
}

/// Every arm that can be served here without a program of its own.
fn arms() -> impl Iterator<Item = &'static ArmInfo> {
    let here = |info: &&ArmInfo| info.store.and_then(servers::stores::missing_program).is_none();
    servers::arms().iter().filter(here)
}

fn stats(line: &ReadyLine) -> AdminStats {
    let mut stream = TcpStream::connect(line.admin).unwrap();
    stream.write_all(b"GET /stats HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap()
}

fn driver(line: &ReadyLine, journey: &str, prepare: Option<&str>) -> Driver {
    let mut target = line.target.clone();
    let item = target.journeys["cart"].steps[0].check.clone().unwrap().equals;
    for (name, place) in [("third", "/items/2"), ("fourth", "/items/3")] {
        let step = Step {
            name: name.into(),
            method: "GET".into(),
            path: "/cart".into(),
            check: Some(Check { json: Some(place.into()), equals: item.clone(), contains: None }),
            body: None,
            credential: None,
            ..target.journeys["browse"].steps[0].clone()
        };
        target.journeys.insert(name.into(), Journey { steps: vec![step], ..Journey::default() });
    }
    let script = Script::prepared(&target, journey, prepare).unwrap();
    Driver::new(script, vec![], 2, Interrupt::default()).unwrap()
}

fn load(driver: &Driver, prepare: Option<Prepare>) -> LoadRecord {
    let plan = LoadPlan {
        model: LoadModel::Closed(Closed::without_thinking()),
        journey: String::new(),
        users: 6,
        choice: UserChoice::InTurn,
        connections: 3,
        warmup_ns: 0,
        measure_ns: 50_000_000,
        drain_ns: 30_000_000_000,
        timeout_ns: TIMEOUT_NS,
        prepare,
        renewal: None,
    };
    engine::load(driver, &plan, 1, |_: Phase| {}).unwrap()
}

#[test]
fn what_users_put_into_their_carts_is_there_and_nothing_else() {
    let three = || Some(Prepare { journey: "cart".into(), times: 3 });
    for info in arms().filter(|info| info.authenticates) {
        with_server(info.arm, |line| {
            let third = load(&driver(line, "third", Some("cart")), three());
            assert!(third.counts.ok > 0, "{}: {:?}", info.arm, third.counts);
            assert_eq!(third.counts.failed(), 0, "{}: {:?}", info.arm, third.counts);
            let fourth = load(&driver(line, "fourth", Some("cart")), three());
            assert_eq!(fourth.counts.ok, 0, "{}: {:?}", info.arm, fourth.counts);
            let [class] = fourth.counts.errors.keys().collect::<Vec<_>>()[..] else {
                panic!("{}: {:?}", info.arm, fourth.counts)
            };
            assert_eq!(class, "wrong_user", "{}: there is no fourth item", info.arm);
        });
    }
}

#[test]
fn a_login_is_measured_without_a_login_before_it() {
    for info in arms() {
        with_server(info.arm, |line| {
            let load = load(&driver(line, "login", None), None);
            assert!(load.counts.ok > 0 && load.login.is_none(), "{}", info.arm);
            assert_eq!(load.counts.failed(), 0, "{}: {:?}", info.arm, load.counts);
            let live = stats(line).live_sessions;
            if info.scheme == "session" {
                // Requests that had not ended when the load did may have been carried out.
                assert!(live.unwrap() >= load.counts.ok, "{}: {live:?}", info.arm);
            }
        });
    }
}

#[test]
fn one_user_goes_on_until_an_item_is_refused() {
    let grow = |line: &ReadyLine, most| {
        let plan = GrowPlan { user: 7, journey: "cart".into(), most, timeout_ns: TIMEOUT_NS };
        engine::grow(&driver(line, "browse", Some("cart")), &plan).unwrap()
    };
    for (arm, word) in [("session@memory", "cart_full"), ("cookie-sealed", "cookie_full")] {
        with_server(arm, |line| {
            let end = grow(line, 100);
            let refusal = end.refusal.unwrap();
            assert_eq!(refusal.status, Some(409), "{arm}");
            assert_eq!(refusal.said, format!("{{\"error\":\"{word}\"}}"));
            assert!((30..=64).contains(&end.made), "{arm}: {}", end.made);
            let before = grow(line, end.made);
            assert_eq!((before.made, before.refusal), (end.made, None), "{arm}");
        });
    }
}

#[test]
fn all_who_are_kept_log_out_and_those_who_are_not_stay() {
    with_server("session@memory", |line| {
        let fill = |first_user, users, keep| {
            let plan = FillPlan {
                first_user,
                users,
                connections: 3,
                timeout_ns: TIMEOUT_NS,
                prepare: None,
                keep,
            };
            engine::fill(&driver(line, "browse", None), &plan).unwrap().1
        };
        assert!(fill(0, 5, false).is_none());
        let kept = fill(5, 50, true).unwrap();
        assert_eq!(stats(line).live_sessions, Some(55));
        let plan = LogoutPlan { connections: 3, timeout_ns: TIMEOUT_NS };
        let done = engine::log_out(&driver(line, "browse", None), &kept, &plan).unwrap();
        assert_eq!((done.users, done.service.count()), (50, 50));
        assert_eq!(stats(line).live_sessions, Some(5));
    });
}

#[test]
fn connections_stay_open_until_they_are_let_go() {
    with_server("session@memory", |line| {
        let plan = |user| ConnectPlan { user, connections: 40, timeout_ns: TIMEOUT_NS };
        let open = |user| engine::connect(&driver(line, "browse", None), &plan(user)).unwrap();
        let (record, first) = open(0);
        assert_eq!((record.users, record.service.count()), (40, 40), "each carried a request");
        let (_, second) = open(1);
        assert_eq!((stats(line).connections, stats(line).live_sessions), (80, Some(2)));
        drop(first);
        // The server hears of it in its own time.
        let waiting = (0..500).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            stats(line).connections == 40
        });
        assert!(waiting, "{} connections are open", stats(line).connections);
        drop(second);
    });
}
