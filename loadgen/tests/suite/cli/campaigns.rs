//! `campaign`, `plan` and `report`: files, refusals, interrupts.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{authbench, contents, refused, stderr, stdout, tiny};

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
    let untried = refused(&["campaign", "quick", "--skip-attacks", "--out", out], 2);
    assert!(untried.contains("--allow-debug"), "only a debug build may: {untried}");
    let debug = refused(&["campaign", "quick", "--out", out], 2);
    assert!(debug.contains("--release"), "{debug}");
    assert!(!Path::new(out).exists(), "nothing is half-written");
}

/// Fault 7: a campaign keeps its trials.
#[test]
fn an_interrupt_leaves_the_finished_trials_and_says_how_to_see_them() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let campaign = tiny(dir.path());
    let mut child = Command::new(env!("CARGO_BIN_EXE_authbench"))
        .args(["campaign", &campaign, "--allow-debug", "--skip-attacks", "--out"])
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
    // A debug build may leave the attacks out, and says so of each arm.
    let attacked = report["attacks"].as_array().unwrap();
    let is_told = |arm: &Value| arm["spared"].as_str().unwrap().contains("--skip-attacks");
    assert!(attacked.len() == 3 && attacked.iter().all(is_told), "{attacked:?}");
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

/// A chart tells all arms apart: each has its row of looks, which a test of theirs compares, and
/// its colour.
#[test]
fn every_arm_has_a_symbol_and_a_colour_in_charts() {
    let looks = include_str!("../../../src/report/chart/arms.rs");
    let style = include_str!("../../../src/report/html/style.css");
    for info in servers::arms() {
        let arm = info.arm;
        assert!(looks.contains(&format!("    (\"{arm}\", \"")), "no look: {arm}");
        let rule = format!("[data-arm^=\"{arm}\"] {{ --arm: ");
        assert!(style.lines().any(|line| line.starts_with(&rule)), "no colour: {arm}");
    }
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
