//! The faults that authbench is built to survive, and the tests that hold each: a test names its
//! fault in a comment above it, `/// Fault 8: ...`. `docs/faults.md` is written from this list and
//! those comments.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::tidy::sources;

/// Set, it lets the test write the page instead of comparing it.
const WRITE: &str = "AUTHBENCH_WRITE_PAGES";
/// How a comment begins that names a fault.
const MARK: &str = "/// Fault ";

/// Something that goes wrong during a measurement.
struct Fault {
    fault: &'static str,
    /// What a user sees.
    seen: &'static str,
    /// What no test here holds, and why; may be empty where a test names the fault.
    apart: &'static str,
}

const fn fault(fault: &'static str, seen: &'static str, apart: &'static str) -> Fault {
    Fault { fault, seen, apart }
}

/// The faults, numbered from 1.
const FAULTS: [Fault; 34] = [
    fault(
        "the server stands still for a while (coordinated omission)",
        "the response time counts from when a request was due, so it holds the pause; the service \
         time does not, and stands below it; the longest silence is a doubt",
        "",
    ),
    fault(
        "the generator cannot keep the rate",
        "dropped requests are counted, planned = sent + dropped, `INVALID`, exit 3",
        "A quota of CPU time needs a control group, which a test may not make. The scripted \
         server reaches the same counts exactly.",
    ),
    fault(
        "the generator is late by itself",
        "the schedule lag has a histogram of its own; a lag that shows in p99 makes the figures \
         invalid, as do a generator that stood still or waited for its core",
        "",
    ),
    fault(
        "file descriptors run out",
        "more connections than the limit allows are refused before the load, with the limit that \
         is needed (exit 2); during a load the class is `no_descriptors`, blamed on this side",
        "",
    ),
    fault(
        "local ports run out",
        "the next address of 127.0.0.0/8 is the source; beyond loopback the class is `no_ports`",
        "A range of a hundred ports needs a network namespace, so the test tells the dialer that \
         its ports are used up.",
    ),
    fault(
        "the server's queue of new connections is full",
        "the connection that was not opened is named, with what to check, and the run exits with 4",
        "The kernel's counts (ListenOverflows) are not in a report.",
    ),
    fault(
        "SIGINT or SIGTERM, once and twice",
        "the first stops new work and keeps what was measured, marked as ended early (exit 130 or \
         143); the second ends the process at once; every file is whole",
        "",
    ),
    fault(
        "the server dies during a load",
        "`connect_refused` and `reset` are counted, the run ends, says that signal 9 ended the \
         server, and exits with 4; failures have no latency",
        "",
    ),
    fault(
        "a handler panics",
        "that request gets a 500, the panic is counted, and the server serves on",
        "",
    ),
    fault(
        "the server hangs",
        "requests end as `timeout` after the set time and their users go on; exit 3",
        "",
    ),
    fault(
        "answers are truncated, malformed, too large, reset or for another request",
        "each has its class, a limit names the flag that raises it, and no request is sent twice",
        "",
    ),
    fault(
        "answers are fast and wrong",
        "every answer is checked; one that names another user makes the run invalid",
        "",
    ),
    fault(
        "Redis is killed and started again",
        "503 with `Retry-After` while it is gone, nothing half done, and the same server uses it \
         once it is back; sessions that it lost are 401",
        "Recovery has only a bound far above what it takes: two seconds are no promise on a busy \
         machine.",
    ),
    fault("Redis hangs", "503 within `--store-timeout`, and no session is lost", ""),
    fault("Redis is full or read-only", "no login without a stored session (503); reads go on", ""),
    fault(
        "Redis evicts sessions",
        "their users get 401, the others stay; in a memory experiment, sessions that are missing \
         are a doubt",
        "",
    ),
    fault(
        "the store is slow or far away",
        "every answer that needs it takes at least that much longer; arms without a store do not",
        "The relay has a constant delay: jitter, loss and bandwidth are not simulated.",
    ),
    fault(
        "PostgreSQL restarts, hangs, is full, locked, read-only or out of connections",
        "503 in time, no session that nobody was given, and the same server recovers",
        "",
    ),
    fault(
        "SQLite's file is held by another process, its disk is full, or its server is killed",
        "503 within the limit, reads go on, and what was answered outlives the server",
        "That a commit outlives a power failure is SQLite's promise and the disk's; no test cuts \
         the power.",
    ),
    fault(
        "the wall clock moves",
        "latencies come from the monotonic clock; credentials expire by the server's clock, as \
         they should",
        "A report does not say that the clock moved: no figure depends on it.",
    ),
    fault(
        "the machine is suspended, or its host takes its time away",
        "a silence that the machine caused invalidates the trial, which runs again; steal is a \
         doubt",
        "A test cannot suspend its machine: it stops the generator instead.",
    ),
    fault(
        "inputs are huge",
        "heads, targets and bodies beyond a limit get 431, 414 and 413; a file beyond its limit, \
         and more users than a target has, are refused with a reason",
        "",
    ),
    fault(
        "clients are slow: one byte at a time, or never reading",
        "they are cut off at their time, their number is limited, and the others are served; the \
         memory experiment measures what a connection takes",
        "What 2,000 slow connections do to the p99 of others depends on the machine: a test may \
         not decide it.",
    ),
    fault(
        "sessions expire under load",
        "a sweep takes what is over and nothing else, and gives the memory back",
        "What a sweep adds to p99 is measured by a campaign (`[memory]`, `expiry`), not by a test.",
    ),
    fault(
        "a logout or a refresh races another request",
        "a logout always wins, and of two refreshes one does, a thousand times for every store",
        "",
    ),
    fault(
        "memory or descriptors leak",
        "a session's bytes come back when it ends; a server that is used for long has as many \
         open files as before",
        "No test runs for an hour: `authbench soak` does.",
    ),
    fault(
        "the kernel kills the server for its memory",
        "as row 8: the signal is named, and the run exits with 4",
        "A limit of memory needs a control group, which a test may not make; the report cannot \
         tell the kernel's SIGKILL from another.",
    ),
    fault(
        "the disk of the results is full, or the campaign is killed while it writes",
        "the path and the reason (exit 5); earlier results stay, and every file that has its name \
         is whole",
        "The 200 kills end a process that resumes a folder and writes records as a campaign does. \
         Whole campaigns take a second to start in a debug build: they are killed at seven moments \
         that are looked for.",
    ),
    fault(
        "a write stops in the middle",
        "a file is written under another name, flushed, renamed, and its folder flushed; no \
         beginning of a file is taken for the whole",
        "",
    ),
    fault(
        "a campaign is resumed",
        "complete trials of this plan, program and machine are kept, the others run again; what \
         differs is named and refused unless `--mix` is given",
        "",
    ),
    fault(
        "two campaigns in one folder, a port in use",
        "the second is refused with the number of the first's process; ports are free ones by \
         default, and one in use is named",
        "",
    ),
    fault(
        "processes are left behind",
        "a server ends with its parent, a store with its server, however they end; the next run \
         clears what was left on the disk",
        "",
    ),
    fault(
        "neighbours make noise",
        "disturbed trials are marked and run again; arms run in an order of their own in each \
         block, and a difference must pass the noise of a pair of equal arms",
        "Frequency scaling and huge pages are described in `host.json`, where the machine tells \
         them.",
    ),
    fault(
        "requests get lost in the count",
        "planned = sent + dropped, sent = right + errors + unfinished; a record whose counts do \
         not add up is refused",
        "",
    ),
];

/// A test that names a fault.
#[derive(Debug, PartialEq)]
struct Held {
    path: String,
    name: String,
}

/// The faults that the comments of a file name, each with the test below the comment.
fn marks(path: &str, text: &str) -> Result<Vec<(usize, Held)>, String> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(rest) = line.strip_prefix(MARK) else { continue };
        let place = format!("{path}:{}", at + 1);
        let number = rest.split_once(": ").and_then(|(number, _)| number.parse().ok());
        let number = number.ok_or_else(|| format!("{place}: expected `{MARK}N: ...`"))?;
        let above = |line: &&&str| line.starts_with("///") || line.starts_with("#[");
        let head: Vec<&str> = lines[at..].iter().take_while(above).copied().collect();
        let is_test = head.iter().any(|line| {
            ["#[test]", "#[tokio::test"].iter().any(|attribute| line.starts_with(attribute))
        });
        let signature = lines.get(at + head.len()).copied().unwrap_or_default();
        let name = signature.split_once("fn ").and_then(|(_, rest)| rest.split_once('('));
        let Some((name, _)) = name.filter(|_| is_test) else {
            return Err(format!("{place}: expected a test below the comment"));
        };
        found.push((number, Held { path: path.into(), name: name.into() }));
    }
    Ok(found)
}

/// The tests of each fault, by its number.
fn held() -> BTreeMap<usize, Vec<Held>> {
    let mut by_fault: BTreeMap<usize, Vec<Held>> = BTreeMap::new();
    // This file has the form of a mark in its own tests.
    for (path, text) in sources().into_iter().filter(|(path, _)| !path.ends_with("/faults.rs")) {
        for (number, test) in marks(&path, &text).unwrap_or_else(|error| panic!("{error}")) {
            assert!((1..=FAULTS.len()).contains(&number), "{path}: there is no fault {number}");
            by_fault.entry(number).or_default().push(test);
        }
    }
    by_fault
}

fn page() -> String {
    let held = held();
    let mut page = String::from(
        "# Faults\n\n\
         What authbench does when something goes wrong, and the tests that hold it.\n\n\
         Each test names its fault in a comment, `/// Fault 8: ...`. This page is written from \
         those\ncomments and the list in [faults.rs](../loadgen/tests/suite/faults.rs):\n\n\
         ```text\n\
         AUTHBENCH_WRITE_PAGES=1 cargo test -p authbench --test suite the_page_of_faults\n\
         ```\n\n\
         | # | fault | what you see | tests |\n|---:|---|---|---|\n",
    );
    for (number, fault) in (1..).zip(&FAULTS) {
        let tests = held.get(&number).map_or(&[][..], Vec::as_slice);
        let link = |test: &Held| format!("[{}](../{})", test.name.replace('_', " "), test.path);
        let links: Vec<String> = tests.iter().map(link).collect();
        let tests = if links.is_empty() { "see below".into() } else { links.join("; ") };
        writeln!(page, "| {number} | {} | {} | {tests} |", fault.fault, fault.seen).unwrap();
    }
    page.push_str("\n## What no test holds\n\n| # | what, and why |\n|---:|---|\n");
    for (number, fault) in (1..).zip(&FAULTS).filter(|(_, fault)| !fault.apart.is_empty()) {
        writeln!(page, "| {number} | {} |", fault.apart).unwrap();
    }
    page
}

#[test]
fn every_fault_has_a_test_or_a_reason() {
    let held = held();
    for (number, fault) in (1..).zip(&FAULTS) {
        let has_test = held.get(&number).is_some_and(|tests| !tests.is_empty());
        let what = fault.fault;
        assert!(has_test || !fault.apart.is_empty(), "fault {number}, {what}: no test names it");
    }
    let tests: usize = held.values().map(Vec::len).sum();
    assert!(tests > 60, "only {tests} comments are found");
}

#[test]
fn the_page_of_faults_is_the_list() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/faults.md");
    if std::env::var_os(WRITE).is_some() {
        fs::write(&path, page()).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page(), "docs/faults.md is not what the list says: run this with {WRITE}=1");
}

#[test]
fn a_mark_is_read_where_a_test_follows_and_refused_elsewhere() {
    let mark = |number: &str| format!("{MARK}{number}: it ends.\n");
    let test = "/// More.\n#[tokio::test(start_paused)]\n#[cfg(unix)]\nasync fn it_ends() {\n";
    let two = format!("{}{}{test}", mark("8"), mark("27"));
    let held = || Held { path: "a.rs".into(), name: "it_ends".into() };
    assert_eq!(marks("a.rs", &two), Ok(vec![(8, held()), (27, held())]));
    assert_eq!(marks("a.rs", test), Ok(vec![]));
    for wrong in [
        format!("{}fn it_ends() {{\n", mark("8")),
        format!("{}\n{test}", mark("8")),
        format!("{MARK}8 it ends.\n{test}"),
        mark("8"),
    ] {
        let error = marks("a.rs", &wrong).unwrap_err();
        assert!(error.starts_with("a.rs:1: expected"), "{error}");
    }
}
