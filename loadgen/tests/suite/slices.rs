//! Campaigns in which one load alternates between the arms of a level, from the file to the report.
//! Each arm has its slices, records and figures; how slices are made is tested in the engine.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const CAMPAIGN: &str = "name = 'slices'\narms = ['none', 'session@memory', 'jwt-hs256']\n\
                        [concurrency]\nusers = [2, 4]\nblocks = 2\nwarmup = '20ms'\n\
                        measure = '100ms'\nslice = '10ms'\n";

fn campaign(folder: &Path, text: &str) -> Output {
    let file = folder.join("c.toml");
    fs::write(&file, text).unwrap();
    Command::new(env!("CARGO_BIN_EXE_authbench"))
        .arg("campaign")
        .arg(file)
        .args(["--allow-debug", "--skip-attacks", "--out"])
        .arg(folder.join("out"))
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn every_arm_of_a_level_has_its_slices_and_its_record() {
    let folder = tempfile::tempdir().unwrap();
    let output = campaign(folder.path(), CAMPAIGN);
    // A figure of a debug build on a busy machine may be invalid, which is 3.
    let text = String::from_utf8_lossy(&output.stderr);
    assert!([Some(0), Some(3)].contains(&output.status.code()), "{text}");
    let mut records = 0;
    for entry in fs::read_dir(folder.path().join("out/trials")).unwrap() {
        let record: Value =
            serde_json::from_slice(&fs::read(entry.unwrap().path()).unwrap()).unwrap();
        let load = &record["actions"][0];
        let slices = load["slices"].as_array().unwrap();
        // Of each slice 8 ms count, and 13 of them make 100 ms and a little more.
        assert_eq!(slices.len(), 13, "{record}");
        assert_eq!(load["counts"]["window_ns"], 104_000_000);
        let ok: u64 = slices.iter().map(|slice| slice["ok"].as_u64().unwrap()).sum();
        assert!(ok >= load["counts"]["ok"].as_u64().unwrap());
        assert!(slices.iter().all(|slice| slice["ns"].as_u64() >= Some(10_000_000)));
        let used = |part: &str| slices.iter().map(|slice| slice[part].as_u64().unwrap()).sum();
        let server: u64 = used("server_cpu_ns");
        assert_eq!(load["server"]["cpu_ns"], server);
        records += 1;
    }
    // Two levels and two blocks of three arms and the reference again.
    assert_eq!(records, 16);
    let csv = fs::read_to_string(folder.path().join("out/measurements.csv")).unwrap();
    for arm in ["none", "session@memory", "session@memory (again)", "jwt-hs256"] {
        let row = format!("concurrency,{arm},slices,1,4,4,,,server_cpu_us_per_request,");
        assert!(csv.contains(&row), "{row} in: {csv}");
    }
}

#[test]
fn a_trial_that_is_lost_runs_again_with_those_that_it_ran_with() {
    let folder = tempfile::tempdir().unwrap();
    campaign(folder.path(), CAMPAIGN);
    let trials = folder.path().join("out/trials");
    let mut files: Vec<_> = fs::read_dir(&trials).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort_unstable();
    assert_eq!(files.len(), 16);
    let began = |file: &Path| {
        let record: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        record["started_unix_ms"].as_u64().unwrap()
    };
    let before: Vec<u64> = files.iter().map(|file| began(file)).collect();
    // Four trials run together: three arms, and the reference again.
    assert!(before.chunks(4).all(|group| group.iter().all(|at| *at == group[0])), "{before:?}");
    fs::remove_file(&files[6]).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_authbench"))
        .arg("campaign")
        .arg(folder.path().join("c.toml"))
        .args(["--allow-debug", "--skip-attacks", "--resume", "--out"])
        .arg(folder.path().join("out"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!([Some(0), Some(3)].contains(&output.status.code()), "{text}");
    let after: Vec<u64> = files.iter().map(|file| began(file)).collect();
    assert_eq!((&before[..4], &before[8..]), (&after[..4], &after[8..]), "they were complete");
    assert!(after[4..8].iter().all(|at| *at == after[4] && *at > before[6]), "{after:?}");
}

#[test]
fn a_slice_of_no_sensible_length_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for slice in ["1ms", "2s"] {
        let output = campaign(folder.path(), &CAMPAIGN.replace("10ms", slice));
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains("[concurrency] slice: expected 0ms (none) or 5ms to 1s"), "{text}");
    }
}
