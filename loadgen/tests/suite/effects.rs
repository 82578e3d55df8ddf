//! Effects of a known size, which a campaign has to find, and the checks against witnesses. A debug
//! build on a busy machine finds them too: CPU time is the scheduler's count, and what is asked of
//! an interval leaves room for emptied caches.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Output, Stdio};

use loadgen::experiment::{find, metric};
use loadgen::record::TrialRecord;
use loadgen::stats::paired_difference;
use serde_json::Value;

fn authbench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_authbench"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Runs it, expects this exit code, and gives what stands on stderr.
fn refused(arguments: &[&str], code: i32) -> String {
    let output = authbench(arguments);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    text
}

#[test]
fn a_variant_is_an_arm_with_other_flags_wherever_an_arm_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("variants.toml");
    let variant = "session@memory+ttl=60s+idle=30s";
    let text = format!(
        "name = 'variants'\narms = ['none', 'session@memory', '{variant}']\n\
         [concurrency]\nusers = [2]\nblocks = 2\nwarmup = '20ms'\nmeasure = '100ms'\n"
    );
    fs::write(&file, text).unwrap();
    let out = dir.path().join("out");
    let (file, folder) = (file.to_str().unwrap(), out.to_str().unwrap());
    let run = authbench(&["campaign", file, "--out", folder, "--allow-debug"]);
    // 3: the machine was too busy for valid figures.
    assert!(matches!(run.status.code(), Some(0 | 3)), "{}", String::from_utf8_lossy(&run.stderr));
    let report: Value =
        serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap();
    assert_eq!(report["arms"][2], variant);
    let notes = |arm: &str| report["notes"][arm].to_string();
    assert!(notes(variant).contains("live for 60 s"), "{}", notes(variant));
    assert!(notes("session@memory").contains("live for 900 s"), "{}", notes("session@memory"));
    let attacked: Vec<_> =
        report["attacks"].as_array().unwrap().iter().map(|a| &a["target"]).collect();
    assert_eq!(attacked, ["none", "session@memory", variant]);
    let measured = |arm: &str| {
        let all = report["measurements"].as_array().unwrap();
        all.iter().filter(|m| m["arm"] == arm).count()
    };
    assert!(measured(variant) > 0);
}

/// The experiment whose load the seeded effect is found in: an open one. In a closed load a slower
/// server lets the generator fall asleep between its answers, and pays for waking it with each: the
/// same 50 us came out as 57 us there, and as 50.1 us (49.7 to 50.5) here, on a quiet machine.
const EXPERIMENT: &str = "population";

/// The interval of what requests of an arm cost more than those of `none`, us of CPU time, and
/// whether the report of the campaign says so. Where the report leaves trials out, because others
/// had the cores for a while, it is taken from the trials themselves.
fn added_cpu_us(arm: &str) -> (f64, f64, bool) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("seeded.toml");
    let text = format!(
        "name = 'seeded'\narms = ['none', '{arm}']\n\
         [{EXPERIMENT}]\nusers = [100]\nrate = '2000/s'\nblocks = 5\nwarmup = '100ms'\n\
         measure = '400ms'\n"
    );
    fs::write(&file, text).unwrap();
    let out = dir.path().join("out");
    let (file, folder) = (file.to_str().unwrap(), out.to_str().unwrap());
    let flags = ["--out", folder, "--allow-debug", "--skip-attacks"];
    let run = authbench(&[&["campaign", file], &flags[..]].concat());
    assert!(matches!(run.status.code(), Some(0 | 3)), "{}", String::from_utf8_lossy(&run.stderr));
    let mut costs = BTreeMap::new();
    for entry in fs::read_dir(out.join("trials")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let record: TrialRecord = serde_json::from_str(&text).unwrap();
        let observed = find(EXPERIMENT).unwrap().observe(&record);
        let cost = observed.iter().find(|o| o.metric == metric::SERVER_CPU_US_PER_REQUEST).unwrap();
        if !record.trial.twin {
            costs.insert((record.trial.arm, record.trial.block), cost.value);
        }
    }
    let pair = |block| (costs[&(arm.to_string(), block)], costs[&("none".to_string(), block)]);
    let pairs: Vec<_> = (0..5).map(pair).collect();
    let report: Value =
        serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap();
    let told = report["comparisons"].as_array().unwrap().iter().find(|c| {
        c["metric"] == "server_cpu_us_per_request" && c["arm"] == arm && c["against"] == "none"
    });
    let end = |n: usize| told.and_then(|told| told["difference"]["interval"][n].as_f64());
    if let Some((lo, hi)) = end(0).zip(end(1)) {
        return (lo, hi, true);
    }
    let (lo, hi) = paired_difference(&pairs).unwrap().interval.unwrap();
    (lo, hi, false)
}

#[test]
fn an_effect_of_50_us_is_found_with_an_interval_that_covers_it() {
    let mut seen = Vec::new();
    // A request costs a little more CPU time where neighbours empty the caches.
    let found = (0..3).any(|_| {
        let (lo, hi, is_told) = added_cpu_us("none+handler-cpu=50us");
        seen.push((lo, hi, is_told));
        lo > 0.0 && lo <= 55.0 && hi >= 45.0 && hi - lo < 50.0
    });
    // Where the cores are others' throughout, a request pays for being interrupted as well: no
    // report says a figure then, and what is left to find is that there is an effect.
    let is_busy = seen.iter().all(|(_, _, is_told)| !is_told);
    let has_effect = seen.iter().any(|(lo, hi, _)| *lo > 0.0 && *hi >= 45.0);
    assert!(
        found || is_busy && has_effect,
        "expected an interval that covers 50 us, found {seen:?}"
    );
}

#[test]
fn a_variant_that_no_server_can_be_is_refused_before_anything_is_started() {
    for (arm, says) in [
        ("session@memori+ttl=60s", "unknown arm"),
        ("none+", "expected a variant ARM+FLAG=VALUE"),
        ("none+ttl", "--ttl"),
        ("none+ttl=60s", "`none` has no credential that expires"),
        ("none+no-such-flag=1", "--no-such-flag"),
        ("none+ttl=soon", "soon"),
        ("none+ttl=60s+ttl=61s", "multiple times"),
        ("none+listen=127.0.0.1:80", "a campaign sets --listen by itself"),
        ("none+key-file=x", "a campaign sets --key-file by itself"),
        ("none+store-url-file=../x", "of letters, digits"),
    ] {
        let text = refused(&["run", "--arm", arm, "--allow-debug"], 2);
        assert!(text.contains(says), "{arm}: {text}");
        let text = refused(&["plan", "quick", "--arms", &format!("none,{arm}x")], 2);
        assert!(text.contains("expected") || text.contains("unknown arm"), "{arm}: {text}");
    }
    let text = refused(&["serve", "session@memory+ttl=60s"], 2);
    assert!(text.contains("is a variant"), "{text}");
}

/// Fault 34: so does the log of a real server.
#[test]
fn the_generator_agrees_with_its_witnesses() {
    let output = authbench(&[
        "doctor",
        "--cross-check",
        "--rounds",
        "2",
        "--allow-debug",
        "--format",
        "json",
    ]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let page: Value = serde_json::from_slice(&output.stdout).unwrap();
    let checked = &page["cross_check"];
    let arrivals = &checked["arrivals"];
    assert_eq!(arrivals["contradictions"], Value::Array(vec![]), "{stderr}");
    assert_eq!((&arrivals["missing"], &arrivals["surplus"]), (&Value::from(0), &Value::from(0)));
    assert!(arrivals["sent"].as_u64().unwrap() > 0 && arrivals["sent"] == arrivals["arrived"]);
    assert_eq!(arrivals["lateness"].as_array().unwrap().len(), 3);
    let wrk_is_here = checked["wrk"].is_string();
    assert_eq!(checked["throughput"].is_object(), wrk_is_here);
    assert!(wrk_is_here || std::env::var_os("AUTHBENCH_REQUIRE_WRK").is_none());
    if !wrk_is_here {
        eprintln!("skipped: the half with wrk, because `wrk` is missing");
        assert!(output.status.success(), "{stderr}");
    }
    // With wrk, others on this machine may disturb two rounds of a debug build: 3 is an answer.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{stderr}");
    refused(&["doctor", "--rounds", "3"], 2);
    let text = refused(&["doctor", "--cross-check", "--arm", "sesion", "--allow-debug"], 2);
    assert!(text.contains("unknown arm"), "{text}");
}
