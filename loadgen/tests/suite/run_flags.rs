//! The flags of `authbench run` that people know from other generators: `-c`, `-d`, `-n`, `-o`,
//! stages of a ramp, thresholds, `--connect-to`.

use std::fs;
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use loadgen::engine::Load;
use loadgen::load::{Closed, LoadModel};
use serde_json::Value;

use crate::field::{answer, server};

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_authbench"));
    command.args(["run", "--allow-debug"]).args(arguments).stdin(Stdio::null());
    command.output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What a run prints for programs.
fn figures(arguments: &[&str]) -> Value {
    let output = run(&[arguments, &["--format", "json"]].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", stderr(&output)))
}

#[test]
fn so_many_requests_are_sent_and_no_more() {
    let (address, seen) = server(|_| answer(200, "", b"ok"));
    let url = format!("http://{address}/");
    for (flags, workers) in [(&["-n", "301"][..], "1"), (&["-n", "301"], "2")] {
        let before = seen.lock().unwrap().len();
        let figures = figures(&[&[&url, "-c", "4", "--workers", workers], flags].concat());
        assert_eq!(figures["counts"]["ok"], 301, "{figures}");
        assert_eq!((&figures["total"], &figures["connections"]), (&301.into(), &4.into()));
        assert_eq!(seen.lock().unwrap().len() - before, 301);
        // The load ended with its last answer, and not after the hour that it might have taken.
        assert!(figures["duration_s"].as_f64().unwrap() < 600.0, "{figures}");
        assert_eq!(figures["aborted"], false);
    }
    for arrivals in [&["--rate", "1k/s"][..], &["--rate", "1k", "--poisson"]] {
        let figures = figures(&[&[&url, "-n", "200"], arrivals].concat());
        assert_eq!(figures["counts"]["planned"], 200, "{figures}");
    }
}

#[test]
fn a_load_without_a_watcher_ends_with_its_requests_too() {
    let (address, seen) = server(|_| answer(200, "", b"ok"));
    let closed = Closed { requests: Some(50), ..Closed::without_thinking() };
    let began = Instant::now();
    let load = Load::get(&format!("http://{address}/")).unwrap().connections(2);
    let load = load.model(LoadModel::Closed(closed)).warmup(Duration::ZERO);
    let record = load.measure(Duration::from_secs(600)).run().unwrap();
    assert_eq!((record.counts.ok, seen.lock().unwrap().len()), (50, 50));
    assert!(began.elapsed() < Duration::from_secs(300), "it waited for its time to be over");
}

#[test]
fn what_is_left_when_the_time_is_over_is_told() {
    let (address, _) = server(|_| {
        sleep(Duration::from_millis(50));
        answer(200, "", b"ok")
    });
    let url = format!("http://{address}/");
    let output = run(&[&url, "-c", "1", "-n", "1000", "-d", "0m0.5s"]);
    let text = stdout(&output);
    assert!(text.contains("of 1,000 requests; raise --duration"), "{text}{}", stderr(&output));
    // An open load ends with its last request, or after its time.
    let open = figures(&[&url, "-n", "1000", "--rate", "100/s", "-d", "200ms"]);
    assert_eq!(open["counts"]["planned"], 20, "{open}");
}

#[test]
fn the_result_is_kept_in_a_file_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("result.json");
    let path = path.to_str().unwrap();
    let (address, _) = server(|_| answer(200, "", b"ok"));
    let url = format!("http://{address}/");
    let printed = stdout(&run(&[&url, "-c", "2", "-n", "50", "-o", path, "--format", "json"]));
    assert_eq!(fs::read_to_string(path).unwrap(), printed);
    let text = stdout(&run(&[&url, "-c", "2", "-n", "60", "-o", path]));
    assert!(text.contains("requests     60 ended"), "{text}");
    let kept: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(kept["requests"], 60);
    // Where there was no load, the file says why.
    let nobody = run(&["http://127.0.0.1:1/", "-n", "5", "-o", path]);
    assert_eq!(nobody.status.code(), Some(4), "{}", stderr(&nobody));
    let kept: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    assert!(kept["error"].as_str().unwrap().contains("refused"), "{kept}");
    let folder = run(&[&url, "-n", "5", "-o", folder.path().to_str().unwrap()]);
    assert_eq!(folder.status.code(), Some(5), "{}", stderr(&folder));
}

/// The text of one column, however it was wrapped.
fn unwrapped(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn answers_that_ask_for_a_login_are_told_as_such() {
    let (address, _) = server(|_| answer(401, "", b"no"));
    let url = format!("http://{address}/me");
    let output = run(&[&url, "-c", "2", "-n", "1500"]);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(4), "{text}");
    assert!(text.contains("found 1,500 status_401;"), "{text}");
    let how = "asks for a login; describe it in a target file (`--target FILE`, see \
               docs/target-files.md)";
    assert!(text.contains(&format!("{url} {how}")), "{text}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("free.toml");
    let steps = "[journeys.browse]\nsteps = [{ name = 'me', path = '/me' }]\n";
    fs::write(&file, format!("name = 'free'\nbase_url = 'http://{address}'\n{steps}")).unwrap();
    let text = stderr(&run(&["--target", file.to_str().unwrap(), "-c", "2", "-n", "20"]));
    let how = format!("http://{address} asks for a login; describe it as `[login]`");
    assert!(text.contains(&how), "{text}");
    // Another wrong answer is not a matter of logins, and the address is told, not the name.
    let (address, _) = server(|_| answer(404, "", b"no"));
    fs::write(&file, format!("name = 'free'\nbase_url = 'http://{address}'\n{steps}")).unwrap();
    let output = run(&["--target", file.to_str().unwrap(), "-c", "2", "-n", "20"]);
    let text = stderr(&output);
    assert!(text.contains(&format!("that the server runs at http://{address} and")), "{text}");
    let page = stdout(&output);
    let times = page.lines().find(|line| line.starts_with("  response")).unwrap();
    assert_eq!(unwrapped(times), "response – – – – –", "{page}");
    assert!(page.starts_with("INVALID: ") && !page.contains("lie beyond this"), "{page}");
    assert!(page.lines().all(|line| line.chars().count() <= 80), "{page}");
}

#[test]
fn connections_that_no_user_has_are_told() {
    let (address, _) = server(|_| answer(200, "", b"ok"));
    let url = format!("http://{address}/");
    let told = |arguments: &[&str]| stderr(&run(&[&[&url, "-n", "40"], arguments].concat()));
    let text = told(&["--users", "2", "-c", "5"]);
    assert!(text.contains("--connections 5 is more than --users 2"), "{text}");
    assert!(text.contains("2 are used"), "{text}");
    assert!(!told(&["--users", "5", "-c", "2"]).contains("is more than"));
    assert!(!told(&["--users", "2", "-c", "5", "--rate", "200/s"]).contains("is more than"));
}

#[test]
fn what_ended_after_the_window_is_counted_apart() {
    let (address, _) = server(|_| {
        sleep(Duration::from_millis(300));
        answer(200, "", b"ok")
    });
    let url = format!("http://{address}/");
    // Of four users each has a request under way when the time is over.
    let text = stdout(&run(&[&url, "-c", "4", "-d", "700ms"]));
    let all = unwrapped(&text);
    assert!(all.contains("ended in the window, ") && all.contains(" after it: "), "{text}");
}

#[test]
fn each_stage_is_reported() {
    let (address, _) = server(|_| answer(200, "", b"ok"));
    let url = format!("http://{address}/");
    let stages = ["--stage", "0/s:1s", "--stage", "100/s:1s", "--stage", "100/s:500ms"];
    let arguments = [&[url.as_str(), "-c", "4"], &stages[..]].concat();
    let figures = figures(&arguments);
    assert_eq!(figures["counts"]["planned"], 100, "{figures}");
    let told = figures["stages"].as_array().unwrap();
    let values = |field: &str| told.iter().map(|s| s[field].clone()).collect::<Vec<_>>();
    assert_eq!(values("to_rps"), [0.0, 100.0, 100.0]);
    assert_eq!(values("seconds"), [1, 1, 0]);
    assert_eq!(values("offered_rps"), [0.0.into(), 50.0.into(), Value::Null]);
    assert!(told[1]["response_us"]["p99"].as_f64().unwrap() > 0.0, "{figures}");
    // What was due in the second stage may be answered in the third on a busy machine.
    let ended = told[1]["achieved_rps"].as_f64().unwrap();
    assert!(ended > 0.0 && ended <= 51.0, "{figures}");
    let text = stdout(&run(&arguments));
    assert!(text.contains("stage 2  0/s to 100/s, 1s"), "{text}");
}

#[test]
fn what_cannot_be_run_so_is_refused_with_a_sentence() {
    for (arguments, part) in [
        (&["-n", "0"][..], "0 is not in"),
        (&["-n", "many"], "expected a whole number such as `64`"),
        (&["-n", "5", "--stage", "5/s:1s"], "cannot be used with"),
        (&["-n", "5", "--visits", "5/s"], "cannot be used with"),
        (&["-n", "100", "--rate", "0.01/s"], "arrive within 1h, found 100 at 0.01/s"),
        (&["-d", "1m30"], "a duration such as `250ms`, `30s` or `1m30s`"),
        (&["-d", "30s1m"], "a duration such as"),
        (&["-d", "1ms"], "--duration of at least 10ms"),
        (&["-d", "2h"], "found 2h"),
        (&["--rate", "5kk/s"], "a rate such as `5000/s`, `5k/s`"),
        (&["--stage", "0/s:10s"], "a --stage with a rate above 0"),
        (&["--stage", "x/s:10s"], "expected a stage such as `1000/s:30s`"),
    ] {
        let output = run(&[&["http://127.0.0.1:1/"], arguments].concat());
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(part), "{arguments:?}: {text}");
    }
}

/// Whether a busy machine made a run invalid, which comes before thresholds.
fn is_disturbed(output: &Output) -> bool {
    output.status.code() == Some(3) && stderr(output).contains("INVALID")
}

#[test]
fn a_threshold_passes_or_fails_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let (xml, json) = (path("run.xml"), path("run.json"));
    let (address, _) = server(|_| answer(200, "", b"ok"));
    let url = format!("http://{address}/");
    let (kept, broken) = ("response_p50_us > 600s", "throughput_rps < 10000k/s");
    let fail_if = ["--fail-if", kept, "--fail-if", broken];
    let arguments = [&[&url, "-c", "2", "-n", "100", "--junit", &xml, "-o", &json], &fail_if[..]];
    let output = run(&arguments.concat());
    let text = stdout(&output);
    assert!(text.contains("passed       response_p50_us > 600s: found "), "{text}");
    assert!(text.contains("failed       throughput_rps < 10000k/s: found "), "{text}");
    let result: Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    let outcomes: Vec<_> =
        result["thresholds"].as_array().unwrap().iter().map(|t| t["outcome"].clone()).collect();
    assert_eq!(outcomes, ["passed", "failed"]);
    assert!(result["thresholds"][1]["found"].as_f64().unwrap() > 0.0, "{result}");
    let cases = fs::read_to_string(&xml).unwrap();
    if is_disturbed(&output) {
        assert!(cases.contains("tests=\"2\" failures=\"2\""), "{cases}");
        return;
    }
    assert_eq!(output.status.code(), Some(6), "{}", stderr(&output));
    assert!(stderr(&output).contains("1 of 2 thresholds failed, the first `throughput_rps"));
    assert!(cases.contains("tests=\"2\" failures=\"1\""), "{cases}");
    let output = run(&[&url, "-c", "2", "-n", "100", "--fail-if", kept]);
    assert!(output.status.success() || is_disturbed(&output), "{}", stderr(&output));
}

#[test]
fn a_figure_that_is_not_there_fails_its_threshold() {
    let folder = tempfile::tempdir().unwrap();
    let xml = folder.path().join("run.xml");
    let xml = xml.to_str().unwrap();
    let (address, _) = server(|_| answer(200, "", b"ok"));
    let url = format!("http://{address}/");
    let output = run(&[&url, "-n", "100", "-c", "2", "--fail-if", "response_p99_us > 1s"]);
    assert!(stdout(&output).contains("not measured: too few answers"), "{}", stdout(&output));
    assert!(output.status.code() == Some(6) || is_disturbed(&output), "{}", stderr(&output));
    // Where nobody answers, every test case fails with the reason.
    let nobody = ["http://127.0.0.1:1/", "--fail-if", "error_rate > 1%", "--junit", xml];
    assert_eq!(run(&nobody).status.code(), Some(4));
    let cases = fs::read_to_string(xml).unwrap();
    assert!(cases.contains("failures=\"1\"") && cases.contains("refused"), "{cases}");
}

#[test]
fn a_threshold_that_makes_no_sense_is_refused_before_the_load() {
    let url = "http://127.0.0.1:1/";
    for (arguments, part) in [
        (&["--fail-if", "response_p95_us > 20ms"][..], "did you mean `response_p99_us`?"),
        (&["--fail-if", "p99 > 20ms"], "did you mean one of `response_p99_us`"),
        (&["--fail-if", "capacity_rps < 5"], "which campaigns measure"),
        (&["--fail-if", "response_p99_us > +5%"], "authbench compare --fail-if"),
        (&["--fail-if", "response_p99_us > 5MiB"], "in us, µs, ms, s or without a unit"),
        (&["--fail-if", "20ms"], "expected METRIC"),
        (&["--fail-if", "server_rss_bytes > 64MiB"], "needs --arm"),
        (&["--junit", "x.xml"], "--fail-if"),
    ] {
        let output = run(&[&[url], arguments].concat());
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(part), "{arguments:?}: {text}");
    }
}

#[test]
fn another_place_is_connected_to_and_the_host_stays() {
    let (address, seen) = server(|_| answer(200, "", b"ok"));
    let (url, rule) = ("http://shop.invalid:81/", format!("shop.invalid:81:{address}"));
    let found = figures(&[url, "-n", "5", "-c", "1", "--connect-to", &rule]);
    assert_eq!(found["counts"]["ok"], 5, "{found}");
    assert_eq!(found["connected_to"], address.to_string());
    assert_eq!(seen.lock().unwrap()[0].values("host"), ["shop.invalid:81"]);
    for (arguments, code, part) in [
        (&[url, "-n", "5"][..], 4, "the host `shop.invalid` has no address"),
        (&[url, "--connect-to", "a:1:b:2"], 2, "which is at shop.invalid:81, found `a:1:b:2`"),
        (&[url, "--connect-to", "a:1"], 2, "expected HOST1:PORT1:HOST2:PORT2"),
        (&[url, "--connect-to", "::b:2", "--transport", "reqwest"], 2, "--transport lean"),
        (&["--arm", "none", "--connect-to", "::b:2"], 2, "cannot be used with"),
    ] {
        let output = run(arguments);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains(part), "{arguments:?}: {text}");
    }
}

#[test]
fn a_variable_stands_for_its_flag_and_the_flag_wins() {
    let (address, _) = server(|_| answer(200, "", b"ok"));
    let url = format!("http://{address}/");
    let with = |variables: &[(&str, &str)], flags: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_authbench"));
        command.args(["run", "--allow-debug", &url, "-n", "20", "--format", "json"]);
        command.args(flags).envs(variables.iter().copied()).stdin(Stdio::null()).output().unwrap()
    };
    let generator = |output: &Output| {
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        (found["generator"]["workers"].clone(), found["generator"]["pacing"].clone())
    };
    let both = [("AUTHBENCH_WORKERS", "2"), ("AUTHBENCH_PACING", "sleep")];
    assert_eq!(generator(&with(&both, &[])), (2.into(), "sleep".into()));
    assert_eq!(generator(&with(&both, &["--workers", "1"])), (1.into(), "sleep".into()));
    let output = with(&[("AUTHBENCH_WORKERS", "many")], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--workers"), "{}", stderr(&output));
}
