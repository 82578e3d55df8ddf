//! Mixes of journeys by weight, and logins that are few at a time.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use loadgen::engine::{self, Driver, Phase, Watcher};
use loadgen::error::Interrupt;
use loadgen::journey::Script;
use loadgen::load::{Closed, LoadModel, UserChoice};
use loadgen::plan::LoadPlan;
use serde_json::Value;

use super::field::{BOTH, Seen, answer, authbench, figures, server, stderr, stdout, written};

/// Three journeys: two of two steps and one of one.
fn shop(address: SocketAddr) -> String {
    let step = |name: &str| format!("{{ name = '{name}', path = '/{name}/{{n}}' }}");
    format!(
        "name = 't'\nbase_url = 'http://{address}'\n[login]\npath = '/login'\n\
         fields = {{ u = '{{username}}' }}\ncredential = 'header:X-T'\n\
         send = 'header:X-T: {{credential}}'\n[logout]\npath = '/logout'\n\
         [journeys.browse]\nsteps = [{}, {}]\n[journeys.cart]\nsteps = [{}]\n\
         [journeys.open]\nanonymous = true\nsteps = [{}]\n\
         [journeys.shop]\nmix = {{ browse = 3, cart = 1 }}\n",
        step("list"),
        step("book"),
        step("add"),
        step("home")
    )
}

/// How often each path was asked for, without the user's number.
fn paths(seen: &Seen) -> BTreeMap<String, u32> {
    let mut paths = BTreeMap::new();
    for asked in seen.lock().unwrap().iter() {
        let first = asked.path().split('/').nth(1).unwrap_or_default();
        *paths.entry(first.to_string()).or_default() += 1;
    }
    paths
}

#[test]
fn journeys_are_mixed_by_their_weights_and_counted_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let (address, seen) = server(|_| answer(200, "X-T: t\r\n", b"{}"));
    let target = written(folder.path(), &shop(address));
    let load = ["-n", "700", "--allow-debug", "--format=json"];
    for model in [&["-c", "4"][..], &["-c", "4", "--users", "9"], &["--rate", "2k/s", "-c", "2"]] {
        for transport in BOTH {
            for journey in ["shop", "browse=3,cart=1"] {
                seen.lock().unwrap().clear();
                let how = ["run", "--target", &target, "--transport", transport, "--journey"];
                let output = authbench(&[&how[..], &[journey], &load, model].concat());
                let figures = figures(&output);
                assert_eq!(figures["counts"]["ok"], 700, "{model:?}: {}", stderr(&output));
                let paths = paths(&seen);
                // Of seven requests six are of `browse`. A loop of its own may have begun another
                // cycle when the load ended.
                let is_near = |name: &str, share: u32| paths[name].abs_diff(share) <= 12;
                assert!(is_near("add", 100), "{model:?}: {paths:?}");
                assert!(is_near("list", 300) && is_near("book", 300), "{model:?}: {paths:?}");
                let steps = figures["steps"].as_array().unwrap();
                let names: Vec<_> = steps.iter().map(|step| &step["name"]).collect();
                assert_eq!(names, ["browse/list", "browse/book", "cart/add"]);
            }
        }
    }
}

/// A user makes a journey to its end, and users do not all begin with the same one.
#[test]
fn a_journey_is_made_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let (address, seen) = server(|_| answer(200, "X-T: t\r\n", b"{}"));
    let target = written(folder.path(), &shop(address));
    let how = ["run", "--target", &target, "--journey", "shop", "-n", "400", "-c", "8"];
    let output = authbench(&[&how[..], &["--allow-debug", "--format=json"]].concat());
    assert_eq!(figures(&output)["counts"]["ok"], 400, "{}", stderr(&output));
    let mut of_users = BTreeMap::<String, Vec<String>>::new();
    for asked in seen.lock().unwrap().iter().filter(|asked| asked.path() != "/login") {
        let parts: Vec<_> = asked.path().split('/').collect();
        of_users.entry(parts[2].into()).or_default().push(parts[1].into());
    }
    assert_eq!(of_users.len(), 8);
    let mut firsts = BTreeMap::new();
    for paths in of_users.values() {
        *firsts.entry(paths[0].clone()).or_insert(0) += 1;
        for pair in paths.windows(2) {
            assert_eq!(pair[0] == "list", pair[1] == "book", "{paths:?}");
        }
    }
    assert!(firsts.len() == 2 && !firsts.contains_key("book"), "{firsts:?}");
    // Visitors, too: a login, four requests, a logout.
    seen.lock().unwrap().clear();
    let visits = ["--visits", "50/s", "--requests", "4", "-d", "400ms", "-c", "4"];
    let how = ["run", "--target", &target, "--journey", "shop", "--allow-debug"];
    authbench(&[&how[..], &visits].concat());
    let paths = paths(&seen);
    assert!(paths["add"] > 0 && paths["list"] > paths["add"], "{paths:?}");
}

#[test]
fn a_mix_that_cannot_be_made_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let target = written(folder.path(), &shop("127.0.0.1:1".parse().unwrap()));
    for (journey, why) in [
        ("browse=9,basket=1", "expected a journey among browse, cart, open, shop, found `basket`"),
        ("browse=0,cart=1", "weights of at least 1"),
        ("browse=9999,cart=2", "add up to 10000 at most"),
        ("browse=1,browse=2", "each journey once"),
        ("browse=x", "expected a journey, or a mix"),
        ("browse,open", "all anonymous, or none of them"),
        ("shop=1,cart=1", "found `shop` without"),
    ] {
        let output =
            authbench(&["run", "--allow-debug", "--target", &target, "--journey", journey]);
        assert_eq!(output.status.code(), Some(2), "{journey}: {}", stderr(&output));
        assert!(stderr(&output).contains(why), "{journey}: {}", stderr(&output));
    }
    let both = "name = 't'\nbase_url = 'http://h'\n[journeys.browse]\nmix = { a = 1 }\nsteps = \
                [{ name = 'a', path = '/' }]\n";
    let target = written(folder.path(), both);
    let output = authbench(&["run", "--allow-debug", "--target", &target]);
    assert!(stderr(&output).contains("found both"), "{}", stderr(&output));
}

/// What a watcher is told of Setup.
#[derive(Default)]
struct Told(Vec<u32>);

impl Watcher for &mut Told {
    fn enter(&mut self, _: Phase) {}

    fn users_ready(&mut self, users: u32) {
        self.0.push(users);
    }
}

#[test]
fn few_users_log_in_at_a_time_and_a_watcher_hears_how_many_have() {
    let (now, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (at_once, most_at_once) = (Arc::clone(&now), Arc::clone(&most));
    let (address, _) = server(move |asked| {
        if asked.path() == "/login" {
            let logging_in = at_once.fetch_add(1, Ordering::SeqCst) + 1;
            most_at_once.fetch_max(logging_in, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(30));
            at_once.fetch_sub(1, Ordering::SeqCst);
        }
        answer(200, "X-T: t\r\n", b"{}")
    });
    for (concurrency, workers, expected) in
        [(Some(1), 1, 1), (Some(3), 1, 3), (Some(2), 2, 2), (None, 1, 8)]
    {
        most.store(0, Ordering::SeqCst);
        let mut target: servers::contract::Target = toml::from_str(&shop(address)).unwrap();
        target.login.as_mut().unwrap().concurrency = concurrency;
        let script = Script::new(&target, "browse").unwrap();
        let driver = Driver::new(script, vec![], workers, Interrupt::default()).unwrap();
        let plan = LoadPlan {
            model: LoadModel::Closed(Closed::without_thinking()),
            journey: "browse".into(),
            users: 16,
            choice: UserChoice::InTurn,
            connections: 8,
            warmup_ns: 0,
            measure_ns: 100_000_000,
            drain_ns: 30_000_000_000,
            timeout_ns: 10_000_000_000,
            prepare: None,
            renewal: None,
        };
        let mut told = Told::default();
        let load = engine::load(&driver, &plan, 1, &mut told).unwrap();
        let most = most.load(Ordering::SeqCst);
        // On a busy machine fewer may meet.
        assert!(most <= expected && (most > 3 || expected <= 3), "{concurrency:?}: {most}");
        assert_eq!(load.login.unwrap().users, 16);
        assert_eq!(load.connections, 8, "the load has all connections");
        assert!(told.0.is_sorted() && told.0.iter().all(|users| *users <= 16), "{:?}", told.0);
        if concurrency == Some(1) {
            assert!(told.0.iter().any(|users| (1..16).contains(users)), "{:?}", told.0);
        }
    }
}

#[test]
fn a_login_concurrency_without_logins_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let flag = ["--login-concurrency", "4"];
    let output = authbench(&[&["run", "--allow-debug", "http://127.0.0.1:1/"], &flag[..]].concat());
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("--login-concurrency is about logins"), "{}", stderr(&output));
    let (address, _) = server(|_| answer(200, "X-T: t\r\n", b"{}"));
    let zero = shop(address).replace("[login]\n", "[login]\nconcurrency = 0\n");
    let target = written(folder.path(), &zero);
    let output = authbench(&["run", "--allow-debug", "--target", &target]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("`concurrency` of at least 1"), "{}", stderr(&output));
    let paced = written(folder.path(), &shop(address));
    let how = ["run", "--allow-debug", "--target", &paced, "-n", "20", "-c", "4", "--format=json"];
    let output = authbench(&[&how[..], &flag].concat());
    assert_eq!(figures(&output)["counts"]["ok"], 20, "{}", stderr(&output));
}

/// What a campaign file asks for is in its plan, its records and its report.
#[test]
fn a_campaign_makes_a_mix_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let text = |mix: &str| {
        format!(
            "name = 'mixed'\narms = ['none', 'session@memory', 'jwt-hs256']\n{mix}\n[population]\n\
             users = [400]\nrate = '400/s'\nconnections = 8\nblocks = 1\nwarmup = '100ms'\n\
             measure = '500ms'\n"
        )
    };
    let file = written(folder.path(), &text("mix = { browse = 3, cart = 1 }"));
    let planned = stdout(&authbench(&["plan", &file]));
    assert!(planned.contains("users make the mix browse=3,cart=1"), "{planned}");
    let out = folder.path().join("out");
    let out = out.to_str().unwrap();
    let output = authbench(&["campaign", &file, "--allow-debug", "--out", out]);
    // A figure of a debug build on a busy machine may be invalid, which is 3.
    assert!([Some(0), Some(3)].contains(&output.status.code()), "{}", stderr(&output));
    let mut looked_at = 0;
    for entry in fs::read_dir(folder.path().join("out/trials")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let record: Value = serde_json::from_str(&text).unwrap();
        let load = &record["actions"][1];
        assert_eq!(load["counts"]["errors"], serde_json::json!({}), "{load:#}");
        let steps = load["steps"].as_array().unwrap();
        let names: Vec<_> = steps.iter().map(|step| step["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["browse/me", "cart/add"]);
        assert!(text.contains("\"browse=3,cart=1\""), "the plan of the trial");
        looked_at += 1;
    }
    assert_eq!(looked_at, 4, "three arms and the reference again");
    let page = fs::read_to_string(folder.path().join("out/report.md")).unwrap();
    assert!(page.contains("3 of browse, which reads GET /me, and 1 of cart, which adds"), "{page}");
    for (mix, found) in [
        ("mix = { browse = 3, buy = 1 }", "found `buy`"),
        ("mix = { browse = 0 }", "weights of at least 1"),
        ("mix = 'browse=3,cart=1'", "line 3"),
    ] {
        let refused = authbench(&["plan", &written(folder.path(), &text(mix))]);
        assert_eq!(refused.status.code(), Some(2), "{mix}");
        assert!(stderr(&refused).contains(found), "{mix}: {}", stderr(&refused));
    }
}
