//! `run`: what is refused, what is printed, and how it ends.

use std::fs;
use std::io::Read as _;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::servers::Server;
use super::{authbench, refused, stderr, stdout};

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
