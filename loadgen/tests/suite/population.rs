//! Campaigns whose servers log their users in by themselves, from the file to the report. That the
//! users are there and nobody logged in over HTTP is asserted; how large a figure is, is not.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn campaign(folder: &Path, text: &str) -> Output {
    let file = folder.join("c.toml");
    fs::write(&file, text).unwrap();
    Command::new(env!("CARGO_BIN_EXE_authbench"))
        .arg("campaign")
        .arg(file)
        .args(["--allow-debug", "--skip-attacks", "--skip-missing", "--out"])
        .arg(folder.join("out"))
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Every record of a campaign that went well, though on a busy machine a figure of a debug build
/// may be invalid.
fn records(folder: &Path, text: &str) -> Vec<Value> {
    let output = campaign(folder, text);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!([Some(0), Some(3)].contains(&output.status.code()), "{said}");
    let mut records: Vec<Value> = fs::read_dir(folder.join("out/trials"))
        .unwrap()
        .map(|entry| serde_json::from_slice(&fs::read(entry.unwrap().path()).unwrap()).unwrap())
        .collect();
    records.sort_by_key(|record| record["trial"]["index"].as_u64());
    records
}

/// Fails unless this trial populated its server and loaded it with those users and no others.
fn check(record: &Value) {
    let users = record["trial"]["level"].as_u64().unwrap();
    let arm = record["trial"]["arm"].as_str().unwrap();
    let [populated, load] = record["actions"].as_array().unwrap().as_slice() else {
        panic!("{arm}: {record}")
    };
    assert_eq!((&populated["did"], &populated["users"]), (&"populate".into(), &users.into()));
    assert!(populated["credential_bytes"].as_u64() >= Some(users), "{arm}: {populated}");
    let login = &load["login"];
    assert_eq!(login["users"], users, "{arm}");
    assert_eq!(login["credential_bytes"], populated["credential_bytes"], "{arm}");
    assert_eq!(login["wall_ns"], 0, "{arm}: nobody logged in over HTTP");
    let counts = &load["counts"];
    assert!(counts["ok"].as_u64() > Some(0), "{arm}: {counts}");
    assert_eq!(counts["errors"], serde_json::json!({}), "{arm}: the right user each time");
    let memory = &load["server"]["memory"];
    if arm.starts_with("session") {
        assert_eq!(memory["live_sessions"], users, "{arm}");
    }
    let counted = ["redis", "sqlite", "postgres"].iter().any(|store| arm.ends_with(store));
    assert_eq!(memory["store_used_bytes"].as_u64() > Some(0), counted, "{arm}: {memory}");
}

const ARMS: &str = "'none', 'session@memory', 'session@sqlite', 'session@redis', \
                    'session@postgres', 'jwt-hs256'";

#[test]
fn users_who_were_logged_in_by_the_server_are_who_a_load_has() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "name = 'population'\narms = [{ARMS}]\nreference = 'session@memory'\n[population]\n\
         users = [40, 1500]\nrate = '1000/s'\nconnections = 3\nblocks = 1\nwarmup = '20ms'\n\
         measure = '150ms'\nslice = '0ms'\n"
    );
    let records = records(folder.path(), &text);
    // Two levels of each arm, and of the reference again.
    assert!(records.len() >= 10, "{}", records.len());
    records.iter().for_each(check);
    let csv = fs::read_to_string(folder.path().join("out/measurements.csv")).unwrap();
    for arm in ["none", "session@memory", "jwt-hs256"] {
        let row = format!("population,{arm},population,1,1500,3,1000,");
        assert!(csv.contains(&row), "{row} in: {csv}");
    }
}

#[test]
fn servers_that_are_up_together_are_populated_before_the_load_alternates() {
    let folder = tempfile::tempdir().unwrap();
    let records = records(
        folder.path(),
        "name = 'population'\narms = ['none', 'session@memory', 'jwt-hs256']\n[population]\n\
         users = [1500]\nrate = '1000/s'\nchoice = 'zipf:1'\nblocks = 1\nwarmup = '20ms'\n\
         measure = '150ms'\nslice = '10ms'\n",
    );
    assert_eq!(records.len(), 4, "three arms, and the reference again");
    for record in &records {
        check(record);
        assert!(!record["actions"][1]["slices"].as_array().unwrap().is_empty());
    }
}

#[test]
fn memory_is_the_same_whether_users_log_in_or_are_logged_in() {
    let folder = tempfile::tempdir().unwrap();
    let memory = |fill: &str| {
        let folder = folder.path().join(fill);
        fs::create_dir(&folder).unwrap();
        let text = format!(
            "name = 'memory'\narms = ['session@memory']\nbaseline = 'session@memory'\n[memory]\n\
             sessions = [0, 2000, 4000, 6000, 8000]\nblocks = 1\nsettle = '10ms'\nlogout = true\n\
             fill = '{fill}'\n"
        );
        records(&folder, &text).remove(0)
    };
    let (by_server, by_login) = (memory("admin"), memory("login"));
    let sessions = |record: &Value| -> Vec<(u64, u64)> {
        let snapshots = record["actions"].as_array().unwrap().iter();
        let snapshots = snapshots.filter(|did| did["did"] == "snapshot");
        snapshots
            .map(|did| {
                let live = did["memory"]["live_sessions"].as_u64().unwrap();
                (did["sessions"].as_u64().unwrap(), live)
            })
            .collect()
    };
    let expected = [(32, 32), (2000, 2000), (4000, 4000), (6000, 6000), (8000, 8000), (0, 0)];
    assert_eq!(sessions(&by_server), expected);
    assert_eq!(sessions(&by_login), expected);
    // A table grows in steps at the same numbers of sessions, so that the two take the same.
    let added = |record: &Value| {
        let allocated: Vec<i64> = record["actions"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|did| did["did"] == "snapshot")
            .map(|did| did["memory"]["allocated_bytes"].as_i64().unwrap())
            .collect();
        allocated[4] - allocated[0]
    };
    let (server, login) = (added(&by_server), added(&by_login));
    assert!((server - login).abs() * 20 < login, "{server} and {login} bytes");
}
