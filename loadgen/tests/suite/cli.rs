//! The command as its users meet it: exit codes, messages, files, signals. It is the debug build
//! with the hidden `--allow-debug`, so no figure is tested here.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

fn authbench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_authbench"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Runs it, expects this exit code, and gives what stands on stderr.
fn refused(arguments: &[&str], code: i32) -> String {
    let output = authbench(arguments);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    text
}

/// A campaign that takes a second or two.
const TINY: &str = "name = 'tiny'\narms = ['none', 'session@memory', 'jwt-hs256']\n\
                    [concurrency]\nusers = [2, 4]\nblocks = 2\nwarmup = '20ms'\nmeasure = '100ms'\n\
                    [memory]\nsessions = [0, 20, 40, 60, 80]\nblocks = 2\nconnections = 4\n\
                    settle = '10ms'\n";

fn tiny(folder: &Path) -> String {
    let path = folder.join("tiny.toml");
    fs::write(&path, TINY).unwrap();
    path.to_str().unwrap().into()
}

/// Every file below a folder with its bytes.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_string();
        if path.is_dir() {
            let inner = contents(&path);
            found.extend(inner.into_iter().map(|(file, bytes)| (format!("{name}/{file}"), bytes)));
        } else {
            found.insert(name, fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn a_campaign_leaves_its_files_and_the_report_is_rebuilt_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let campaign = tiny(dir.path());
    let target = out.to_str().unwrap();
    let output = authbench(&["campaign", &campaign, "--out", target, "--allow-debug"]);
    // A figure of a debug build on a busy machine may be invalid; it must then say so with 3.
    let code = output.status.code().unwrap();
    assert!([0, 3].contains(&code), "{code}: {}", stderr(&output));
    let before = contents(&out);
    for file in
        ["plan.json", "host.json", "report.html", "report.md", "report.json", "measurements.csv"]
    {
        assert!(before.get(file).is_some_and(|bytes| !bytes.is_empty()), "{file}");
    }
    let trials = before.keys().filter(|name| name.starts_with("trials/")).count();
    assert_eq!(trials, 2 * 8 + 2 * 4, "three arms, and the reference again");

    let report: Value = serde_json::from_slice(&before["report.json"]).unwrap();
    assert_eq!(report["trials_complete"], 24);
    let csv = String::from_utf8(before["measurements.csv"].clone()).unwrap();
    for metric in
        ["goodput_rps", "response_p50_us", "server_cpu_us_per_request", "bytes_per_session"]
    {
        for arm in ["none", "session@memory", "session@memory (again)", "jwt-hs256"] {
            let row = |line: &str| line.contains(&format!(",{arm},")) && line.contains(metric);
            assert!(csv.lines().any(row), "{metric} of {arm} is missing");
        }
    }

    for file in ["report.html", "report.md", "report.json", "measurements.csv"] {
        fs::remove_file(out.join(file)).unwrap();
    }
    assert!(authbench(&["report", target]).status.success());
    assert_eq!(contents(&out), before);

    let name = before.keys().find(|name| name.starts_with("trials/0000-")).unwrap();
    let record = String::from_utf8(before[name].clone()).unwrap();
    for changed in [record.replacen("\"plan\": \"", "\"plan\": \"0", 1), record[..99].into()] {
        fs::write(out.join(name), changed).unwrap();
        let text = refused(&["report", target], 2);
        assert!(text.contains("trials/0000-"), "the file is named: {text}");
    }
    fs::write(out.join(name), record).unwrap();

    let again = refused(&["campaign", &campaign, "--out", target, "--allow-debug"], 2);
    assert!(again.contains("holds a campaign already"), "{again}");
    assert_eq!(contents(&out), before, "a refused campaign changes nothing");
}

#[test]
fn bad_input_is_refused_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let out = out.to_str().unwrap();
    let file = |text: &str| {
        let path = dir.path().join("c.toml");
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_string()
    };
    let campaign = |text: &str| {
        let path = file(text);
        refused(&["campaign", &path, "--out", out, "--allow-debug"], 2)
    };
    let wrong_type = campaign("name = 'x'\narms = ['none']\n[concurrency]\nusers = ['many']\n");
    assert!(wrong_type.contains("c.toml") && wrong_type.contains("line 4"), "{wrong_type}");
    let misspelt = campaign("name = 'x'\narms = ['none']\n[concurrency]\nuzers = [1]\n");
    assert!(misspelt.contains("uzers") && misspelt.contains("line 4"), "{misspelt}");
    let unknown = campaign("name = 'x'\narms = ['none', 'jwt-none']\n[concurrency]\nusers = [1]\n");
    assert!(unknown.contains("jwt-none") && unknown.contains("authbench schemes"), "{unknown}");
    let level = campaign("name = 'x'\narms = ['none']\n[concurrency]\nusers = [0]\n");
    assert!(level.contains("expected levels from 1"), "{level}");

    let arms =
        refused(&["campaign", "quick", "--arms", "none,nope", "--out", out, "--allow-debug"], 2);
    assert!(arms.contains("unknown arm `nope`"), "{arms}");
    let preset = refused(&["campaign", "fast", "--out", out, "--allow-debug"], 2);
    assert!(preset.contains("expected a preset (quick"), "{preset}");
    let slip = refused(&["campaign", "quik", "--out", out, "--allow-debug"], 2);
    assert!(slip.contains("did you mean `quick`?"), "{slip}");
    let family = refused(&["plan", "quick", "--arms", "none,session"], 2);
    assert!(family.contains("did you mean one of `session@memory`, "), "{family}");
    let spaced = authbench(&["plan", "quick", "--arms", "none, session@memory ,jwt-hs256"]);
    assert!(spaced.status.success(), "{}", String::from_utf8_lossy(&spaced.stderr));
    let missing = refused(&["campaign", "no.toml", "--out", out, "--allow-debug"], 2);
    assert!(missing.contains("no.toml"), "{missing}");
    refused(&["campaign", "quick", "--users", "x", "--out", out], 2);
    refused(&["campaign", "--nope"], 2);
    let debug = refused(&["campaign", "quick", "--out", out], 2);
    assert!(debug.contains("--release"), "{debug}");
    assert!(!Path::new(out).exists(), "nothing is half-written");
}

#[test]
fn a_load_that_makes_no_sense_is_refused() {
    for (arguments, part) in [
        (&["run"][..], "<URL|--arm"),
        (&["run", "--arm", "nope", "--allow-debug"], "unknown arm"),
        (&["run", "not a url", "--allow-debug"], "expected a URL"),
        (&["run", "http://127.0.0.1:1/", "--rate", "0/s"], "above 0"),
        (&["run", "http://127.0.0.1:1/", "--rate", "NaN"], "a rate such as"),
        (&["run", "http://127.0.0.1:1/", "--rate", "1000000000000/s"], "at most"),
        (&["run", "http://127.0.0.1:1/", "--rate=-5/s"], "a rate such as"),
        (&["run", "http://127.0.0.1:1/", "--users", "0"], "0 is not in"),
        (&["run", "http://127.0.0.1:1/", "--connections", "99999"], "not in"),
        (&["run", "http://127.0.0.1:1/", "--duration", "0s", "--allow-debug"], "at least 10ms"),
        (&["run", "http://127.0.0.1:1/", "--header", "x", "--allow-debug"], "Name: value"),
        (&["run", "http://127.0.0.1:1/", "--http2", "--allow-debug"], "--transport reqwest"),
        (&["run", "http://127.0.0.1:1/", "--transport", "curl"], "lean, reqwest"),
        (&["run", "http://127.0.0.1:1/", "--insecure", "--allow-debug"], "an https:// target"),
        (&["run", "https://127.0.0.1:1/", "--insecure", "--ca", "x"], "cannot be used with"),
        (&["run", "https://127.0.0.1:1/", "--ca", "no.pem", "--allow-debug"], "no.pem"),
        (&["run", "https://127.0.0.1:1/", "--ca", "Cargo.toml", "--allow-debug"], "found none"),
        (&["run", "--target", "no.toml", "--allow-debug"], "no.toml"),
        (&["run", "--arm", "none", "--journey", "x", "--allow-debug"], "expected a journey"),
        (&["report", "."], "plan.json"),
        (&["report", ".", "--format", "pdf"], "expected --format among"),
        (&["serve", "nope"], "unknown arm"),
        (&["serve", "none", "--cores", "4096"], "expected --cores among"),
        (&["serve", "none", "--ttl", "1.5s"], "whole number of seconds"),
        (&["serve", "none", "--access-ttl", "0s"], "access_ttl to be a whole number of seconds"),
    ] {
        let text = refused(arguments, 2);
        assert!(text.contains(part), "{arguments:?}: {text}");
    }
}

#[test]
fn a_target_file_is_read_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.toml");
    fs::write(&path, "name = 't'\nbase_url = 'http://127.0.0.1:1'\njourneys = 3\n").unwrap();
    let text = refused(&["run", "--target", path.to_str().unwrap(), "--allow-debug"], 2);
    assert!(text.contains("t.toml") && text.contains("line 3"), "{text}");
}

#[test]
fn a_target_that_is_not_there_or_does_not_log_in_is_the_targets_failure() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{free}/");
    let nobody = ["run", url.as_str(), "--duration", "200ms", "--allow-debug"];
    let text = refused(&nobody, 4);
    assert!(text.contains("connection refused") && text.contains("check that"), "{text}");

    let server = Server::start("session@memory");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.toml");
    let descriptor = format!(
        "name = 't'\nbase_url = 'http://{}'\n\
         users = {{ username = 'nobody-{{n}}', password = 'x' }}\n\
         [login]\npath = '/login'\n\
         fields = {{ username = '{{username}}', password = '{{password}}' }}\n\
         credential = 'cookie:__Host-session'\nsend = 'cookie:__Host-session'\n\
         [journeys.browse]\nsteps = [{{ name = 'me', path = '/me' }}]\n",
        server.address
    );
    fs::write(&path, descriptor).unwrap();
    let text = refused(&["run", "--target", path.to_str().unwrap(), "--allow-debug"], 4);
    assert!(text.contains("the login of user ") && text.contains("status 401"), "{text}");
}

#[test]
fn a_run_prints_one_object_with_the_fields_of_the_contract() {
    let output = authbench(&[
        "run",
        "--arm",
        "session@memory",
        "--users",
        "5",
        "--duration",
        "300ms",
        "--warmup",
        "50ms",
        "--format",
        "json",
        "--allow-debug",
    ]);
    let run: Value = serde_json::from_str(&stdout(&output)).unwrap();
    for field in [
        "requests",
        "errors",
        "duration_s",
        "offered_rps",
        "achieved_rps",
        "goodput_rps",
        "bytes_sent",
        "bytes_received",
        "doubts",
    ] {
        assert!(run.get(field).is_some(), "{field}");
    }
    for field in ["min", "mean", "p50", "p75", "p90", "p95", "p99", "p999", "p9999", "max"] {
        for time in ["response_us", "service_us"] {
            assert!(run[time][field].as_f64().unwrap() > 0.0, "{time}.{field}");
        }
    }
    for field in ["p50", "p99", "max"] {
        assert!(run["schedule_lag_us"][field].is_f64(), "{field}");
    }
    for field in ["cpu_s", "cpu_us_per_request", "peak_rss_bytes"] {
        assert!(run["generator"][field].as_f64().unwrap() > 0.0, "{field}");
    }
    assert!(run["requests"].as_u64().unwrap() > 0);
    assert_eq!(run["errors"], serde_json::json!({}));
    assert_eq!(run["login"]["users"], 5);
}

#[test]
fn a_run_says_what_its_requests_went_through() {
    for (transport, http, wire) in [("lean", "1.1", true), ("reqwest", "1.1", false)] {
        let arguments = ["run", "--arm", "session@memory", "--users", "5", "--duration", "300ms"];
        let more = ["--transport", transport, "--format", "json", "--allow-debug"];
        let output = authbench(&[&arguments[..], &more].concat());
        let run: Value = serde_json::from_str(&stdout(&output)).unwrap();
        assert_eq!((&run["transport"], &run["http"]), (&transport.into(), &http.into()));
        assert_eq!((run["bytes_sent"].is_u64(), run["bytes_sent"].is_null()), (wire, !wire));
        assert!(run["counts"]["ok"].as_u64() > Some(0), "{run}");
        assert_eq!(run["errors"], serde_json::json!({}));
    }
}

#[test]
fn a_constant_rate_is_kept() {
    let output = authbench(&[
        "run",
        "--arm",
        "jwt-hs256",
        "--users",
        "5",
        "--rate",
        "200/s",
        "--duration",
        "1s",
        "--format",
        "json",
        "--allow-debug",
    ]);
    let run: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(run["counts"]["planned"], 200);
    assert_eq!(run["offered_rps"], 200.0);
    // A busy machine may answer late; more than was offered it cannot answer.
    let achieved = run["achieved_rps"].as_f64().unwrap();
    assert!(achieved > 0.0 && achieved <= 201.0, "{achieved}");
}

#[test]
fn an_interval_log_has_a_line_a_second_and_holds_every_answer() {
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.hlog");
    let output = authbench(&[
        "run",
        "--arm",
        "none",
        "--users",
        "2",
        "--rate",
        "100/s",
        "--poisson",
        "--duration",
        "1500ms",
        "--format",
        "json",
        "--allow-debug",
        "--hdr-log",
        path.to_str().unwrap(),
    ]);
    let run: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let log = fs::read(&path).unwrap();
    let mut lengths = Vec::new();
    let mut answers = 0;
    for entry in IntervalLogIterator::new(&log) {
        if let LogEntry::Interval(interval) = entry.unwrap() {
            lengths.push(interval.duration().as_millis());
            let bytes = base64::Engine::decode(
                &base64::engine::general_purpose::STANDARD,
                interval.encoded_histogram(),
            );
            let histogram: hdrhistogram::Histogram<u64> =
                Deserializer::new().deserialize(&mut bytes.unwrap().as_slice()).unwrap();
            answers += histogram.len();
        }
    }
    assert_eq!(lengths, [1000, 500]);
    assert!(answers > 50 && answers <= run["requests"].as_u64().unwrap(), "{answers}");
}

#[test]
fn a_ramp_asks_for_what_its_stages_say() {
    let output = authbench(&[
        "run",
        "--arm",
        "none",
        "--users",
        "5",
        "--stage",
        "200/s:500ms",
        "--stage",
        "200/s:500ms",
        "--format",
        "json",
        "--allow-debug",
    ]);
    let run: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(run["counts"]["planned"], 150, "half of 100 and all of 100");
    for (stage, part) in
        [("5/s", "expected a stage"), ("0/s:1s", "above 0"), ("5/s:0s", "longer than 0s")]
    {
        let text = refused(&["run", "--arm", "none", "--stage", stage, "--allow-debug"], 2);
        assert!(text.contains(part), "{text}");
    }
}

/// A server of ours in a process of its own.
struct Server {
    child: Child,
    address: String,
    ready: Value,
}

impl Server {
    fn start(arm: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_authbench"))
            .args(["serve", arm, "--listen", "127.0.0.1:0"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let address = ready["address"].as_str().unwrap().to_string();
        Self { child, address, ready }
    }

    fn ask(address: &str, request: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn ended_within(&mut self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if self.child.try_wait().unwrap().is_some() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_served_arm_logs_in_and_tells_who_is_there() {
    let server = Server::start("jwt-hs256");
    assert_eq!(server.ready["arm"], "jwt-hs256");
    assert_eq!(server.ready["pid"], server.child.id());
    let body = r#"{"username":"user-7","password":"password-7"}"#;
    let login = format!(
        "POST /login HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = Server::ask(&server.address, &login);
    let token = answer.split("\"access_token\":\"").nth(1).unwrap().split('"').next().unwrap();
    let me = format!(
        "GET /me HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    assert!(Server::ask(&server.address, &me).contains("\"user_id\":7"));
    let admin = server.ready["admin"].as_str().unwrap();
    let stats = "GET /stats HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert!(Server::ask(admin, stats).contains("\"allocated_bytes\":"));
    assert!(Server::ask(&server.address, stats).starts_with("HTTP/1.1 404"));
}

/// Fault 32: a server ends with its parent.
#[test]
fn a_server_stops_when_its_parent_is_gone() {
    let mut server = Server::start("none");
    drop(server.child.stdin.take());
    assert!(
        server.ended_within(Duration::from_secs(60)),
        "stdin is closed and the server serves on"
    );
}

/// Fault 28: a full stdout is an error.
#[test]
fn figures_that_cannot_be_printed_are_an_error_and_a_reader_that_left_is_none() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_authbench"));
    let status = command.arg("schemes").stdout(full).status().unwrap();
    assert_eq!(status.code(), Some(5));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_authbench"));
    assert!(command.arg("schemes").stdout(writer).status().unwrap().success());
}

/// Fault 1: a server that stands still makes the run invalid.
/// Fault 10: hanging requests are told.
#[test]
fn a_server_that_hangs_makes_a_run_invalid() {
    let server = Server::start("none");
    let url = format!("http://{}/healthz", server.address);
    let mut run = Command::new(env!("CARGO_BIN_EXE_authbench"))
        .args(["run", &url, "--connections", "4", "--duration", "12s", "--allow-debug"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A line tells that five seconds of Measure are over.
    assert_eq!(run.stderr.as_mut().unwrap().read(&mut [0]).unwrap(), 1, "it ended by itself");
    let pid = rustix::process::Pid::from_raw(server.child.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    let code = run.wait().unwrap().code();
    let mut text = String::new();
    run.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(code, Some(3), "{text}");
    assert!(text.starts_with("INVALID"), "the reason comes first: {text}");
    // On a busy machine it may have been another program that kept the server.
    let silent = ["the server answered nothing for", "nothing was answered for"];
    assert!(silent.iter().any(|words| text.contains(words)), "{text}");
    // Which of the two it is depends on how long the requests have waited by the end.
    assert!(text.contains("unfinished") || text.contains("timeout"), "{text}");
}

/// Fault 31: a port in use is named.
#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let text = refused(&["serve", "none", "--listen", &address], 2);
    assert!(text.contains(&address), "{text}");
}

/// Fault 7: a campaign keeps its trials.
#[test]
fn an_interrupt_leaves_the_finished_trials_and_says_how_to_see_them() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let campaign = tiny(dir.path());
    let mut child = Command::new(env!("CARGO_BIN_EXE_authbench"))
        .args(["campaign", &campaign, "--allow-debug", "--out"])
        .arg(&out)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let third = lines.by_ref().map(Result::unwrap).find(|line| line.starts_with("[3/"));
    assert!(third.is_some());
    let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:?}");
    assert!(rest.last().unwrap().contains("report.html"), "{rest:?}");
    let left = contents(&out);
    let trials = left.keys().filter(|name| name.starts_with("trials/")).count();
    assert!((3..24).contains(&trials), "{trials}");
    let report: Value = serde_json::from_slice(&left["report.json"]).unwrap();
    assert_eq!(report["trials_complete"], trials);
}

#[test]
fn a_plan_says_what_would_run_and_runs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let campaign = tiny(dir.path());
    let text = stdout(&authbench(&["plan", &campaign]));
    assert!(text.contains("24 trials") && text.contains("[memory]"), "{text}");
    let plan: Value =
        serde_json::from_str(&stdout(&authbench(&["plan", &campaign, "--format", "json"])))
            .unwrap();
    assert_eq!(plan["trials"].as_array().unwrap().len(), 24);
    let doctor: Value =
        serde_json::from_str(&stdout(&authbench(&["doctor", "--format", "json"]))).unwrap();
    assert!(!doctor["findings"].as_array().unwrap().is_empty());
    let schemes: Value =
        serde_json::from_str(&stdout(&authbench(&["schemes", "--format", "json"]))).unwrap();
    let listed: Vec<_> = schemes.as_array().unwrap().iter().map(|arm| &arm["arm"]).collect();
    let registered: Vec<_> = servers::arms().iter().map(|info| info.arm).collect();
    assert_eq!(listed, registered);
}

#[test]
fn a_plan_names_its_endpoints_and_what_each_would_find() {
    let dir = tempfile::tempdir().unwrap();
    let file = |metric: &str| {
        let path = dir.path().join("c.toml");
        let text = format!(
            "name = 'c'\narms = ['none', 'jwt-hs256']\n[concurrency]\nusers = [10]\n[[primary]]\n\
             experiment = 'concurrency'\nmetric = '{metric}'\narm = 'jwt-*'\nagainst = 'none'\n"
        );
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_string()
    };
    let text = stdout(&authbench(&["plan", &file("throughput_rps")]));
    assert!(text.contains("primary endpoints: 1,") && text.contains("--noise DIR"), "{text}");
    let none = stdout(&authbench(&["plan", &tiny(dir.path())]));
    assert!(none.contains("primary endpoints: none"), "{none}");
    let refused = refused(&["plan", &file("speed")], 2);
    assert!(refused.contains("line 5, [[primary]]") && refused.contains("`speed`"), "{refused}");

    // With the noise that goes with a preset, and with that of the records that it is from.
    let records = concat!(env!("CARGO_MANIFEST_DIR"), "/../results/reference/quick");
    let json = |flags: &[&str]| -> Value {
        let arguments = [&["plan", "quick", "--format", "json"], flags].concat();
        serde_json::from_str(&stdout(&authbench(&arguments))).unwrap()
    };
    let (shipped, read) = (json(&[]), json(&["--noise", records]));
    assert_eq!(shipped["noise"], read["noise"]);
    assert_eq!(shipped["expected"], read["expected"]);
    let expected = shipped["expected"].as_array().unwrap();
    assert_eq!(expected.len(), shipped["primary"].as_array().unwrap().len());
    assert!(expected.iter().all(|e| e["smallest_effect"].as_f64().unwrap() > 0.0), "{shipped}");
}

/// Interrupts a run once it is `ready`; the object that it prints.
fn interrupted_run(flags: &[&str], ready: impl Fn(&mut Child)) -> Value {
    let mut child = Command::new(env!("CARGO_BIN_EXE_authbench"))
        .args(["run", "--arm", "session@memory", "--allow-debug", "--format", "json"])
        .args(flags)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    ready(&mut child);
    let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Fault 7: a run keeps its beginning.
#[test]
fn a_run_that_is_interrupted_prints_an_object_that_says_so() {
    // A line tells that five seconds of Measure are over.
    let measuring = |child: &mut Child| {
        let mut byte = [0];
        let read = child.stderr.as_mut().unwrap().read(&mut byte).unwrap();
        assert_eq!(read, 1, "it ended by itself");
    };
    let run = interrupted_run(&["--users", "2", "--duration", "10m"], measuring);
    assert_eq!(run["aborted"], true);
    assert!(run["duration_s"].as_f64().unwrap() < 600.0 && run["requests"].as_u64().unwrap() > 0);

    // Once there is a server, the logins of ten million users have begun or will soon.
    let logging_in = |child: &mut Child| {
        let children = format!("/proc/{0}/task/{0}/children", child.id());
        while fs::read_to_string(&children).unwrap().is_empty() {
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    let users = ["--users", "10000000", "--connections", "4", "--duration", "10m"];
    let run = interrupted_run(&users, logging_in);
    assert_eq!((&run["aborted"], &run["requests"]), (&true.into(), &0.into()));
    assert!(run["error"].as_str().unwrap().contains("interrupted"), "{run}");
}
