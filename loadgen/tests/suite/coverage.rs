//! `docs/attack-coverage.md`, compared with the suite: every row that it names is one, and what it
//! names no row for has a reason.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// The ids of all rows, tried or not.
fn suite() -> BTreeSet<String> {
    let mut attack = Command::new(env!("CARGO_BIN_EXE_authbench"));
    attack.args(["attack", "--arm", "session@memory", "--guesses", "1", "--format", "json"]);
    // A row that has no time left is listed as well.
    let output = attack.args(["--within", "1s"]).stdin(Stdio::null()).output().unwrap();
    let attacked: Value = serde_json::from_slice(&output.stdout).unwrap();
    let cases = attacked["cases"].as_array().unwrap();
    cases.iter().map(|case| case["id"].as_str().unwrap().to_string()).collect()
}

/// The words of a text that have the form of an id.
fn ids(text: &str) -> Vec<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let is_id = |word: &&str| {
        let digits = word.trim_end_matches(|c: char| c.is_ascii_lowercase());
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number && word.len() == digits.len() + 1
    };
    words.filter(is_id).collect()
}

#[test]
fn every_row_that_the_page_names_is_in_the_suite() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/attack-coverage.md");
    let page = fs::read_to_string(path).unwrap();
    let suite = suite();
    assert!(suite.len() > 200, "only {} rows are listed", suite.len());
    let lines =
        page.lines().filter(|line| line.starts_with("| ") && !line.ends_with("| remarks |"));
    let (mut named, mut checks) = (BTreeSet::new(), 0);
    for line in lines {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [check, rows, remarks] = cells[..] else { panic!("expected three cells: {line}") };
        assert!(!check.is_empty() && (!rows.is_empty() || !remarks.is_empty()), "{line}");
        let found = ids(rows);
        let listed: Vec<&str> = rows.split(", ").filter(|row| !row.is_empty()).collect();
        assert_eq!(found, listed, "expected ids with commas between: {line}");
        for id in found.into_iter().chain(ids(remarks)) {
            assert!(suite.contains(id), "the suite has no row {id}: {line}");
            named.insert(id);
        }
        checks += 1;
    }
    assert!(checks > 60 && named.len() > 80, "{checks} checks with {} rows", named.len());
}

#[test]
fn an_id_is_digits_and_a_letter() {
    assert_eq!(ids("12a, 4b and 3.3.1, 7, e4f380f, 32ab, `5f`"), ["12a", "4b", "5f"]);
}
