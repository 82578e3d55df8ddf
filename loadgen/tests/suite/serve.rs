//! `authbench serve` as a command: what it refuses before it serves, what its help says, and what
//! the rest of the program has to know of its bounds.

use std::fs;
use std::process::{Command, Output, Stdio};

use servers::users::LOGINS_WAITING_MAX;

fn authbench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_authbench"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn refused(arguments: &[&str], part: &str) {
    let output = authbench(arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    assert!(said.contains(part), "{arguments:?}: {said}");
    assert!(output.stdout.is_empty(), "a ready line: {arguments:?}");
}

#[test]
fn a_weak_key_is_refused_in_either_flag() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let good = write("good", b"1f0c8b5ae7d34296b1a05c3e9d7f8264c0b9a8e7f6d5143322716058493eadbc");
    let zeros = write("zeros", &[0; 32]);
    let public =
        write("public", b"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----");
    for arm in ["jwt-hs256", "jwt-denylist@memory"] {
        for (weak, part) in [(&zeros, "follow a pattern"), (&public, "public-key cryptography")] {
            refused(&["serve", arm, "--key-file", weak], part);
            let arguments = ["serve", arm, "--key-file", &good, "--previous-key-file", weak];
            refused(&arguments, part);
        }
    }
}

#[test]
fn a_password_on_the_command_line_is_refused_and_not_repeated() {
    for url in ["redis://:hunter2@127.0.0.1:1", "postgres://me@127.0.0.1/db?password=hunter2"] {
        let store = url.split(':').next().unwrap();
        let output = authbench(&["serve", &format!("session@{store}"), "--store-url", url]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("--store-url-file") && !said.contains("hunter2"), "{said}");
    }
}

/// Fault 4: a server says what limit it needs.
#[test]
fn connections_that_cannot_be_open_are_refused() {
    refused(&["serve", "none", "--max-connections", "0"], "--max-connections");
    refused(&["serve", "none", "--max-connections", "4000000000"], "ulimit -n");
}

#[test]
fn the_help_says_what_is_bounded_and_what_is_not() {
    let help = String::from_utf8(authbench(&["serve", "--help"]).stdout).unwrap();
    let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in ["--max-connections <N>", "try to log in is not limited"] {
        assert!(words.contains(part), "{part}: {help}");
    }
    assert!(words.contains(&format!("{LOGINS_WAITING_MAX} logins wait")), "{help}");
}

/// A campaign whose logins the server would turn away would measure the turning away.
#[test]
fn a_campaign_sends_no_more_logins_at_once_than_a_server_lets_wait() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.toml");
    let file = path.to_str().unwrap();
    for (connections, code) in [(LOGINS_WAITING_MAX, 0), (LOGINS_WAITING_MAX + 1, 2)] {
        let campaign = "name = 'c'\narms = ['none']\n[login]\nblocks = 1\nconnections = ";
        fs::write(&path, format!("{campaign}{connections}\n")).unwrap();
        let output = authbench(&["plan", file]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{connections}: {said}");
    }
}
