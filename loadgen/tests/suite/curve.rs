//! The experiments `curve` and `cores`, from the file to the report: rates that follow from a
//! pilot, and servers on a number of cores. How large a figure is, is not asserted.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn campaign(folder: &Path, text: &str, flags: &[&str]) -> Output {
    let file = folder.join("c.toml");
    fs::write(&file, text).unwrap();
    Command::new(env!("CARGO_BIN_EXE_authbench"))
        .arg("campaign")
        .arg(file)
        .args(["--allow-debug", "--skip-attacks", "--out"])
        .arg(folder.join("out"))
        .args(flags)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn records(folder: &Path) -> Vec<Value> {
    let entries = fs::read_dir(folder.join("out/trials")).unwrap();
    let read = |path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    entries.map(|entry| read(entry.unwrap().path())).collect()
}

/// Fault 30: a resumed campaign has the same plan.
#[test]
fn a_curve_has_the_same_rates_for_every_arm_and_keeps_them_when_it_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let text = "name = 'curve'\narms = ['none', 'session@memory']\n\
                [curve]\nload = [10, 80]\nusers = 20\nconnections = 8\nblocks = 1\n\
                pilot = '200ms'\nwarmup = '20ms'\nmeasure = '200ms'\n";
    let output = campaign(folder.path(), text, &[]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // A figure of a debug build on a busy machine may be invalid, which is 3.
    assert!([Some(0), Some(3)].contains(&output.status.code()), "{said}");
    let rates = |records: &[Value], level: u64| -> Vec<f64> {
        let of_level = records.iter().filter(|record| record["trial"]["level"] == level);
        of_level.map(|r| r["actions"][0]["offered_rps"].as_f64().unwrap()).collect()
    };
    let all = records(folder.path());
    let pilot = all.iter().find(|record| record["trial"]["level"] == 0).unwrap();
    let counts = &pilot["actions"][0]["counts"];
    let answered = counts["ok_in_window"].as_f64().unwrap();
    let pilot_rps = answered * 1e9 / counts["window_ns"].as_f64().unwrap();
    for (level, percent) in [(10, 0.1), (80, 0.8)] {
        let found = rates(&all, level);
        assert_eq!(found.len(), 3, "two arms, and the reference again");
        assert!(found.iter().all(|rate| (rate / (pilot_rps * percent) - 1.0).abs() < 1e-6));
    }
    let csv = fs::read_to_string(folder.path().join("out/measurements.csv")).unwrap();
    assert!(csv.contains("curve,session@memory,curve,1,20,8,"), "{csv}");
    // A trial that is lost is run again at the rate of the pilot that is there.
    let lost = fs::read_dir(folder.path().join("out/trials")).unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        let record: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        (record["trial"]["level"] == 80).then_some(path)
    });
    fs::remove_file(lost.unwrap()).unwrap();
    let output = campaign(folder.path(), text, &["--resume"]);
    assert!([Some(0), Some(3)].contains(&output.status.code()));
    assert_eq!(rates(&records(folder.path()), 80), rates(&all, 80));
}

#[test]
fn cores_are_refused_where_there_are_too_few_and_measured_where_sharing_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let text = "name = 'cores'\narms = ['none']\n[cores]\ncores = [256]\nusers_per_core = 2\n\
                blocks = 1\nwarmup = '20ms'\nmeasure = '100ms'\n";
    let output = campaign(folder.path(), text, &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("expected at least 257 cores for [cores]"), "{said}");
    let output = campaign(folder.path(), text, &["--cores", "1,3", "--allow-shared"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!([Some(0), Some(3)].contains(&output.status.code()), "{said}");
    let records = records(folder.path());
    assert_eq!(records.len(), 2);
    for record in &records {
        let cores = record["trial"]["level"].as_u64().unwrap();
        assert_eq!(record["server"]["threads"], cores);
        assert_eq!(record["placement"], record["actions"][0].as_object().map(|placed| {
            let cores = |side: &str| placed[side].clone();
            serde_json::json!({ "server": cores("server"), "generator": cores("generator") })
        }).unwrap());
    }
}
