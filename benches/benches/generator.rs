//! The generator against its own bars: how it keeps a schedule, what a stall looks like, what a
//! request costs it compared with a bare loop and with wrk, h2load, ab and oha, what a second
//! worker brings, and what a million users take.

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use benches::bare;
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
    // As a child, this executable is `authbench`, or the least that generator and server can be.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["bare", address, path, connections, seconds] => {
            return drive_bare(address, path, connections, seconds);
        }
        ["null", cores @ ..] => {
            let cores: Vec<usize> = cores.iter().filter_map(|core| core.parse().ok()).collect();
            bare::answer(&cores).expect("a port");
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
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
    println!("{:<70} {:>12} {:>14}  reached", "figure", "bar", "got");
    schedule(brief);
    stall(brief);
    cost(brief);
    workers(brief);
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
    println!("{name:<70} {bar:>9.2} {unit:<2} {got:>11.2} {unit:<2}  {reached}");
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

/// CPU time per request: of the loop alone compared with a bare one, which is the limit, and of the
/// whole client process compared with the cheapest peer that is installed.
fn cost(brief: bool) {
    let (server, driver) = none();
    let address = driver.script.authority.clone();
    let url = format!("{}/healthz", server.ready().target.base_url);
    let core = driver.cores.first().copied().unwrap_or(0).to_string();
    let (rounds, seconds) = if brief { (1, 1) } else { (7, 3) };
    let levels: &[u32] = if brief { &[64] } else { &[64, 1000, 8000] };
    for connections in levels {
        let (c, s) = (connections.to_string(), seconds.to_string());
        let own = std::env::current_exe().expect("this executable").display().to_string();
        let span = format!("{s}s");
        let of_ours: [&str; 7] = [&own, "run", &url, "--connections", &c, "--duration", &span];
        let commands: [(&str, Vec<&str>); 6] = [
            ("ours", [&of_ours[..], &["--format", "json"]].concat()),
            ("a bare loop", vec![&own, "bare", &address, "/healthz", &c, &s]),
            ("wrk", vec!["wrk", "-t1", "-c", &c, "-d", &s, &url]),
            ("h2load", vec!["h2load", "--h1", "-t1", "-c", &c, "-D", &s, &url]),
            ("ab", vec!["ab", "-q", "-k", "-c", &c, "-t", &s, "-n", "100000000", &url]),
            (
                "oha",
                vec!["oha", "--no-tui", "--output-format", "json", "-c", &c, "-z", &span, &url],
            ),
        ];
        let mut costs: [Vec<Option<Cost>>; 6] = Default::default();
        for _ in 0..rounds {
            for ((_, command), costs) in commands.iter().zip(&mut costs) {
                costs.push(cost_of(&core, command));
            }
        }
        let whole_us = |cost: &Cost| Some(cost.whole_us);
        if let Some((ratio, spread)) = ratio(&costs[0], &costs[1], |cost| cost.loop_us) {
            let name =
                format!("CPU of the loop at {connections} connections{spread}, to a bare one's");
            show(&name, 1.04, ratio, "");
        }
        let to_peers = (2..commands.len())
            .filter_map(|peer| Some((ratio(&costs[0], &costs[peer], whole_us)?, commands[peer].0)));
        let Some(((ratio, spread), peer)) = to_peers.max_by(|a, b| a.0.0.total_cmp(&b.0.0)) else {
            println!("client CPU at {connections} connections: no wrk, h2load, ab or oha is here");
            continue;
        };
        let name = format!("client CPU at {connections} connections{spread}, to {peer}'s");
        show(&name, 0.84, ratio, "");
    }
}

/// What a request cost a generator.
struct Cost {
    /// CPU time of the whole process per request, us.
    whole_us: f64,
    /// CPU time of the loop while it measured, per request, us; `None` where it does not say so.
    loop_us: Option<f64>,
}

/// The median over rounds of how many times as much ours cost, and how far the middle half of the
/// rounds spreads: both ran in turn, so a machine that drifts or is busy changes both.
fn ratio(
    ours: &[Option<Cost>],
    theirs: &[Option<Cost>],
    figure: impl Fn(&Cost) -> Option<f64>,
) -> Option<(f64, String)> {
    let figure = |cost: &Option<Cost>| cost.as_ref().and_then(&figure);
    let mut ratios: Vec<f64> = ours
        .iter()
        .zip(theirs)
        .filter_map(|(ours, theirs)| Some(figure(ours)? / figure(theirs)?))
        .collect();
    ratios.sort_by(f64::total_cmp);
    let quarter = |n: usize| ratios.get(ratios.len() * n / 4).copied();
    Some((quarter(2)?, format!(" ({:.2} to {:.2})", quarter(1)?, quarter(3)?)))
}

/// What a request costs a generator on `cores`; `None` if it is not installed.
fn cost_of(cores: &str, command: &[&str]) -> Option<Cost> {
    let before = children_cpu_s();
    let output = Command::new("taskset")
        .args(["-c", cores])
        .args(command)
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let used = children_cpu_s() - before;
    let text = String::from_utf8_lossy(&output.stdout);
    let number = |text: &str| -> Option<f64> {
        text.split_whitespace().find_map(|word| word.trim_end_matches(',').parse().ok())
    };
    let json: Value = serde_json::from_str(&text).unwrap_or_default();
    let of_oha = |json: &Value| json.get("statusCodeDistribution")?["200"].as_f64();
    let requests = json["requests"].as_f64().or_else(|| of_oha(&json)).or_else(|| {
        text.lines().find_map(|line| {
            let marks = ["requests in", "requests:", "Complete requests:"];
            marks.iter().any(|mark| line.contains(mark)).then(|| number(line)).flatten()
        })
    });
    let loop_us = json["generator"]["cpu_us_per_request"].as_f64();
    let requests = requests.filter(|requests| *requests > 0.0)?;
    Some(Cost { whole_us: used * 1e6 / requests, loop_us })
}

/// Prints what a bare loop found, as `run` prints it.
fn drive_bare(address: &str, path: &str, connections: &str, seconds: &str) -> ExitCode {
    let address = address.parse().expect("an address");
    let connections = connections.parse().expect("a number");
    let span = Duration::from_secs(seconds.parse().expect("seconds"));
    let found = bare::drive(address, path, connections, span).expect("answers");
    let generator = serde_json::json!({ "cpu_us_per_request": found.cpu_us_per_answer });
    println!("{}", serde_json::json!({ "requests": found.answers, "generator": generator }));
    ExitCode::SUCCESS
}

/// A server that answers everything with the same bytes, with a thread on each of these cores, and
/// its URL.
fn null(cores: &[String]) -> (Child, String) {
    let own = std::env::current_exe().expect("this executable");
    let mut command = Command::new(own);
    command.arg("null").args(cores).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("a server");
    let mut port = String::new();
    let printed = child.stdout.take().expect("its output");
    BufReader::new(printed).read_line(&mut port).expect("its port");
    (child, format!("http://127.0.0.1:{}/", port.trim()))
}

/// Two workers on two cores, compared with one on one core. The server has a thread on each of the
/// cores, so both are always busy and throughput follows from the cost of a request: 1.85 times as
/// much takes at most 2 / 1.85 of the cost.
fn workers(brief: bool) {
    let cores: Vec<String> = proc::usable_cores().iter().map(ToString::to_string).take(2).collect();
    let [_, second] = &cores[..] else {
        return println!("two workers: there is one core");
    };
    let (mut of_one, one) = null(std::slice::from_ref(second));
    let (mut of_two, two) = null(&cores);
    let (rounds, span) = if brief { (1, "1s") } else { (9, "3s") };
    let own = std::env::current_exe().expect("this executable").display().to_string();
    let run = |url: &str, cores: &str, connections: &str, workers: &str| {
        let command: [&str; 7] =
            [&own, "run", url, "--connections", connections, "--workers", workers];
        cost_of(cores, &[&command[..], &["--duration", span, "--format", "json"]].concat())
    };
    let both = cores.join(",");
    let pairs = (0..rounds).map(|_| (run(&two, &both, "128", "2"), run(&one, second, "64", "1")));
    let (with_two, with_one): (Vec<_>, Vec<_>) = pairs.unzip();
    if let Some((ratio, spread)) = ratio(&with_two, &with_one, |cost| cost.loop_us) {
        let name = format!("CPU of a request with two workers{spread}, to one's");
        show(&name, 2.0 / 1.85, ratio, "");
    }
    for server in [&mut of_one, &mut of_two] {
        // Its input ends with this, and so does it.
        drop(server.stdin.take());
        let _ = server.wait();
    }
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
