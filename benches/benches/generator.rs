//! The generator against its own bars: how it keeps a schedule, what a stall looks like, what a
//! request costs it compared with wrk, h2load and ab, and what a million users take.

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use clap::Parser as _;
use loadgen::cli::{self, Cli};
use loadgen::engine::{self, Driver, Phase};
use loadgen::error::Interrupt;
use loadgen::journey::Script;
use loadgen::load::{Closed, Constant, LoadModel, UserChoice};
use loadgen::plan::LoadPlan;
use loadgen::proc::{self, Server, ServerOptions};
use loadgen::record::LoadRecord;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const SECOND_NS: u64 = 1_000_000_000;

fn main() -> ExitCode {
    // As a child, this executable is `authbench`.
    if matches!(std::env::args().nth(1).as_deref(), Some("serve" | "run")) {
        return match cli::run(Cli::parse()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                cli::complain(&error);
                ExitCode::from(error.exit_code())
            }
        };
    }
    // As criterion tells them apart: `cargo test --benches` does not say `--bench`.
    let asked = |flag: &str| std::env::args().any(|argument| argument == flag);
    let brief = asked("--test") || !asked("--bench");
    // `cargo bench NAME` gives every benchmark the name that was asked for.
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    if filter.is_some_and(|filter| !"generator".contains(&filter)) {
        return ExitCode::SUCCESS;
    }
    println!("{:<58} {:>12} {:>14}  reached", "figure", "bar", "got");
    schedule(brief);
    stall(brief);
    cost(brief);
    users(brief);
    ExitCode::SUCCESS
}

/// Prints a figure that must not be above its bar.
///
/// Figures are those of this run on this machine. None is an assertion, because the machine may be
/// busy; with `--test`, or without `--bench`, everything runs once, briefly, and the bars mean
/// nothing.
fn show(name: &str, bar: f64, got: f64, unit: &str) {
    let reached = if got <= bar { "yes" } else { "NO" };
    println!("{name:<58} {bar:>9.2} {unit:<2} {got:>11.2} {unit:<2}  {reached}");
}

/// The arm `none`, and a driver of it on the other core.
fn none() -> (Server, Driver) {
    let placement = proc::place(&proc::usable_cores());
    let options = ServerOptions { cores: placement.server.clone(), ..ServerOptions::default() };
    let server = Server::start("none", &options).expect("a server");
    let script = Script::new(&server.ready().target, "browse").expect("a script");
    let driver = Driver::placed(script, &placement, Interrupt::default()).expect("a driver");
    (server, driver)
}

fn load(driver: &Driver, model: LoadModel, connections: u32, measure_ns: u64) -> LoadRecord {
    let plan = LoadPlan {
        model,
        journey: "browse".into(),
        users: connections,
        choice: UserChoice::InTurn,
        connections,
        warmup_ns: SECOND_NS / 5,
        measure_ns,
        drain_ns: 5 * SECOND_NS,
        timeout_ns: 10 * SECOND_NS,
        prepare: None,
        renewal: None,
    };
    let load = engine::load(driver, &plan, 1, |_: Phase| {}).expect("a load");
    assert!(load.counts.ok > 0 && load.counts.failed() == 0, "{:?}", load.counts);
    load
}

fn open(rate_per_s: f64) -> LoadModel {
    LoadModel::Constant(Constant { rate_per_s })
}

/// 10,000 requests per second on a free core; its p50 compared with that of one connection that
/// waits.
fn schedule(brief: bool) {
    let (_server, driver) = none();
    let measure_ns = if brief { SECOND_NS / 5 } else { 10 * SECOND_NS };
    let closed = load(&driver, LoadModel::Closed(Closed::without_thinking()), 1, measure_ns / 5);
    // A debug build on a busy machine must still answer.
    let rate = if brief { 200.0 } else { 10_000.0 };
    let open = load(&driver, open(rate), 64, measure_ns);
    let us = |ns: u64| ns as f64 / 1e3;
    show("schedule lag at 10,000/s, p99", 100.0, us(open.lag().quantile_ns(0.99)), "us");
    let (open_p50, closed_p50) =
        (us(open.response().quantile_ns(0.5)), us(closed.response().quantile_ns(0.5)));
    show("open p50 above closed p50", 50.0, open_p50 - closed_p50, "us");
}

/// A server that stands still for 1.4 s of 10 s: response time is uniform on [0, 1.4 s] for 14 % of
/// the requests, and service time is long for those alone that were on the wire.
fn stall(brief: bool) {
    let (server, driver) = none();
    let scale = if brief { 0.1 } else { 1.0 };
    let still = Duration::from_secs_f64(1.4 * scale);
    let pid = Pid::from_raw(server.ready().pid as i32).expect("a process id");
    let stop = thread::spawn(move || {
        thread::sleep(Duration::from_secs_f64(0.2 + 4.0 * scale));
        kill_process(pid, Signal::STOP).expect("our own child");
        thread::sleep(still);
        kill_process(pid, Signal::CONT).expect("our own child");
    });
    let rate = if brief { 200.0 } else { 2000.0 };
    let load = load(&driver, open(rate), 64, (10.0 * scale * 1e9) as u64);
    stop.join().expect("the server goes on");
    let still_ms = still.as_secs_f64() * 1e3;
    for (name, quantile, part) in
        [("p90", 0.9, 0.4), ("p95", 0.95, 0.9), ("p99", 0.99, 1.3), ("max", 1.0, 1.4)]
    {
        let expected_ms = still_ms * part / 1.4;
        let found_ms = load.response().quantile_ns(quantile) as f64 / 1e6;
        let error = (found_ms / expected_ms - 1.0).abs() * 100.0;
        show(&format!("stall: response {name} off from {expected_ms:.0} ms"), 5.0, error, "%");
    }
    let service_ms = load.service().quantile_ns(0.99) as f64 / 1e6;
    show("stall: service p99", 10.0, service_ms, "ms");
}

/// CPU time of the whole client process per request, compared with the cheapest peer that is
/// installed.
fn cost(brief: bool) {
    let (server, driver) = none();
    let url = format!("{}/healthz", server.ready().target.base_url);
    let core = driver.cores.first().copied().unwrap_or(0).to_string();
    let (rounds, seconds) = if brief { (1, 1) } else { (5, 4) };
    let levels: &[u32] = if brief { &[64] } else { &[64, 1000, 8000] };
    for connections in levels {
        let (c, s) = (connections.to_string(), seconds.to_string());
        let own = std::env::current_exe().expect("this executable").display().to_string();
        let span = format!("{s}s");
        let commands: [(&str, Vec<&str>); 4] = [
            (
                "ours",
                vec![
                    &own,
                    "run",
                    &url,
                    "--connections",
                    &c,
                    "--duration",
                    &span,
                    "--format",
                    "json",
                ],
            ),
            ("wrk", vec!["wrk", "-t1", "-c", &c, "-d", &s, &url]),
            ("h2load", vec!["h2load", "--h1", "-t1", "-c", &c, "-D", &s, &url]),
            ("ab", vec!["ab", "-q", "-k", "-c", &c, "-t", &s, "-n", "100000000", &url]),
        ];
        let mut costs = vec![Vec::new(); commands.len()];
        for _ in 0..rounds {
            for ((_, command), costs) in commands.iter().zip(&mut costs) {
                costs.extend(cpu_us_per_request(&core, command));
            }
        }
        let median = |costs: &mut Vec<f64>| {
            costs.sort_by(f64::total_cmp);
            costs.get(costs.len() / 2).copied()
        };
        let medians: Vec<_> = costs.iter_mut().map(median).collect();
        let best = (1..commands.len())
            .filter_map(|peer| Some((medians[peer]?, commands[peer].0)))
            .min_by(|a, b| a.0.total_cmp(&b.0));
        let (Some(ours), Some((best, peer))) = (medians[0], best) else {
            println!("client CPU at {connections} connections: none of wrk, h2load, ab is here");
            continue;
        };
        let name = format!("client CPU at {connections} connections, {ours:.2} us, to {peer}'s");
        show(&name, 0.85, ours / best, "");
    }
}

/// CPU time per request of a generator, pinned to `core`; `None` if it is not installed.
fn cpu_us_per_request(core: &str, command: &[&str]) -> Option<f64> {
    let before = children_cpu_s();
    let output = Command::new("taskset")
        .args(["-c", core])
        .args(command)
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let used = children_cpu_s() - before;
    let text = String::from_utf8_lossy(&output.stdout);
    let number = |text: &str| -> Option<f64> {
        text.split_whitespace().find_map(|word| word.trim_end_matches(',').parse().ok())
    };
    let requests = match serde_json::from_str::<Value>(&text) {
        Ok(json) => json["requests"].as_f64(),
        Err(_) => text.lines().find_map(|line| {
            let ours = ["requests in", "requests:", "Complete requests:"];
            ours.iter().any(|mark| line.contains(mark)).then(|| number(line)).flatten()
        }),
    };
    requests.filter(|requests| *requests > 0.0).map(|requests| used * 1e6 / requests)
}

/// CPU time of all children that have ended and were waited for, s (proc(5), `cutime` and `cstime`
/// in ticks of 10 ms).
fn children_cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let rest = stat.rsplit(')').next().unwrap_or_default();
    let ticks = |n: usize| rest.split_whitespace().nth(n).and_then(|t| t.parse::<f64>().ok());
    (ticks(13).unwrap_or(0.0) + ticks(14).unwrap_or(0.0)) / 100.0
}

/// A million users with a credential each: the whole generator process, and what a user takes
/// beyond the credential.
fn users(brief: bool) {
    let users: u32 = if brief { 10_000 } else { 1_000_000 };
    for (arm, whole_mib) in [("session@memory", 400.0), ("jwt-hs256", f64::INFINITY)] {
        let own = std::env::current_exe().expect("this executable");
        let output = Command::new(own)
            .args(["run", "--arm", arm, "--users", &users.to_string(), "--connections", "64"])
            .args(["--duration", "2s", "--format", "json"])
            .args(brief.then_some("--allow-debug"))
            .stderr(Stdio::null())
            .output()
            .expect("a run");
        let json: Value = serde_json::from_slice(&output.stdout).expect("figures");
        let peak = json["generator"]["peak_rss_bytes"].as_f64().unwrap_or(f64::INFINITY);
        let credentials = json["login"]["credential_bytes"].as_f64().unwrap_or(0.0);
        assert_eq!(json["login"]["users"].as_u64(), Some(users.into()), "all are logged in");
        let beyond = (peak - credentials) / f64::from(users);
        show(&format!("{users} users of {arm}: bytes beyond the credential"), 200.0, beyond, "B");
        if whole_mib.is_finite() {
            let mib = peak / f64::from(1 << 20);
            show(&format!("{users} users of {arm}: whole process"), whole_mib, mib, "M");
        }
    }
}
