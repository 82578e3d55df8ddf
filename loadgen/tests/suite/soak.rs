//! `authbench soak` against a real server: what grows is found, and what people see of it.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn soak(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_authbench"))
        .arg("soak")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Fault 26: sessions that outlive the soak pile up, as those of a server that forgets none would.
#[test]
fn a_server_that_forgets_no_session_is_found() {
    let output = soak(&[
        "--arm",
        "session@memory",
        "--duration",
        "20s",
        "--rate",
        "40",
        "--ttl",
        "1h",
        "--format",
        "json",
    ]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{stderr}");
    assert!(stderr.contains("sessions in the store: 0."), "{stderr}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let grown = |name: &str| {
        let all = found["grown"].as_array().unwrap();
        all.iter().find(|grown| grown["name"] == name).unwrap().clone()
    };
    let sessions = grown("sessions in the store");
    assert_eq!(sessions["outcome"], "grows");
    // Of two that log in, one logs out.
    let slope = sessions["per_login"]["point"].as_f64().unwrap();
    assert!((0.4..0.6).contains(&slope), "{sessions}");
    assert_ne!(grown("open descriptors")["outcome"], "grows", "{found}");
    let churned = &found["churned"];
    assert!(churned["logins"].as_u64().unwrap() > 0 && churned["failed"] == 0, "{churned}");
    assert!(found["readings"].as_array().unwrap().len() > 20);
}

#[test]
fn a_soak_that_makes_no_sense_is_refused() {
    for (arguments, part) in [
        (&["--arm", "session@memori"][..], "session@memori"),
        (&["--arm", "none", "--duration", "5s"], "--duration"),
        (&["--arm", "none", "--rate", "0"], "--rate"),
        (&["--arm", "none", "--ttl", "10ms"], "--ttl"),
    ] {
        let output = soak(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(part), "{stderr}");
    }
}
