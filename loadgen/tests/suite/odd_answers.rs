//! Odd answers, one by one: how each is counted, whether its connection is kept, and that the next
//! request gets its own answer. `docs/odd-answers.md` has the same rows.

mod case;
mod cases;
mod requests;
mod server;

use std::fmt::Write as _;
use std::path::Path;
use std::thread;

use loadgen::engine::{self, Driver, TransportKind};
use loadgen::error::Interrupt;
use loadgen::journey::Script;
use loadgen::load::{Constant, LoadModel, UserChoice};
use loadgen::plan::LoadPlan;
use loadgen::record::LoadRecord;

use case::{After, Case};
use cases::cases;
use server::{Server, When, server};

/// Requests of each load: the odd one and those that follow it.
const REQUESTS: u64 = 3;

/// Three requests of one user, 250 ms apart, on one connection.
fn plan() -> LoadPlan {
    LoadPlan {
        model: LoadModel::Constant(Constant { rate_per_s: 4.0 }),
        journey: "browse".into(),
        users: 1,
        choice: UserChoice::InTurn,
        connections: 1,
        warmup_ns: 0,
        measure_ns: REQUESTS * 250_000_000,
        drain_ns: 20_000_000_000,
        timeout_ns: 2_000_000_000,
        prepare: None,
        renewal: None,
    }
}

/// The load on a server that gives this case's answer first. What is asked for later is right in
/// any case, so it is asked in the same way.
fn load(case: &Case, transport: TransportKind) -> (LoadRecord, Server) {
    let server = server(case.odd.clone());
    let (method, status, is_checked) = case.asked;
    let check = if is_checked { ", check = { json = '/user_id', equals = '{n}' }" } else { "" };
    let statuses = if status == 200 { "200".into() } else { format!("[200, {status}]") };
    let text = format!(
        "name = 't'\nbase_url = 'http://{}'\n[journeys.browse]\nsteps = [{{ name = 'me', path = \
         '/me', method = '{method}', expect_status = {statuses}{check} }}]\n",
        server.address
    );
    let script = Script::new(&toml::from_str(&text).unwrap(), "browse").unwrap();
    let driver = Driver::new(script, vec![], 1, Interrupt::default()).unwrap();
    let driver = Driver { transport, ..driver };
    let load = engine::load(&driver, &plan(), 1, |_| {}).unwrap();
    (load, server)
}

/// How the first request counted; what else was counted where the others were not right.
fn first_end(load: &LoadRecord) -> String {
    let counts = &load.counts;
    let mut errors = counts.errors.iter();
    match (counts.sent, counts.ok, errors.next(), errors.next()) {
        (REQUESTS, REQUESTS, None, _) => "ok".into(),
        (REQUESTS, ok, Some((class, 1)), None) if ok == REQUESTS - 1 => class.clone(),
        _ => format!("{counts:?}"),
    }
}

/// What is wrong with a case through both transports.
fn faults(case: &Case) -> Vec<String> {
    let mut faults = Vec::new();
    let (lean, server) = load(case, TransportKind::Lean);
    let (end, seen) = (first_end(&lean), server.seen());
    if !case.counted.contains(&end.as_str()) {
        faults.push(format!("{}: expected {:?}, found {end}", case.name, case.counted));
    }
    let is_right = match (case.odd.when, case.after) {
        (When::Unasked, _) => seen.len() == 3 && seen[1..] == [1, 1],
        (_, After::Kept) => seen == [0, 0, 0],
        (_, After::Closed) => seen == [0, 1, 1],
    };
    if !is_right {
        faults.push(format!("{}: {:?}, but connections {seen:?}", case.name, case.after));
    }
    let (realistic, _) = load(case, TransportKind::Reqwest { http2_only: false });
    let end = first_end(&realistic);
    let expected = case.reqwest.map_or(case.counted.to_vec(), |class| vec![class]);
    if !expected.contains(&end.as_str()) {
        faults.push(format!("{}, reqwest: expected {expected:?}, found {end}", case.name));
    }
    faults
}

#[test]
fn an_odd_answer_is_counted_as_the_page_says_and_the_next_is_right() {
    let cases = cases();
    assert!(cases.len() > 100, "{} cases", cases.len());
    let faults: Vec<String> = thread::scope(|scope| {
        let parts = cases.chunks(cases.len().div_ceil(8));
        let running: Vec<_> = parts
            .map(|part| scope.spawn(|| part.iter().flat_map(faults).collect::<Vec<_>>()))
            .collect();
        running.into_iter().flat_map(|part| part.join().unwrap()).collect()
    });
    assert!(faults.is_empty(), "{faults:#?}");
}

/// The rows of the page.
fn table() -> String {
    let mut table = String::from(
        "| answer | counts as | connection | why | others |\n| --- | --- | --- | --- | --- |\n",
    );
    for case in cases() {
        let classes: Vec<_> = case.counted.iter().map(|class| format!("`{class}`")).collect();
        let classes = classes.join(" or ");
        let reqwest = case.reqwest.map(|class| format!("; reqwest: `{class}`"));
        let after = match case.after {
            After::Kept => "kept",
            After::Closed => "closed",
        };
        let (reqwest, name, why) = (reqwest.unwrap_or_default(), case.name, case.why);
        writeln!(table, "| {name} | {classes}{reqwest} | {after} | {why} | {} |", case.peers)
            .unwrap();
    }
    table
}

/// A page with this table between the marks of this name.
fn with_table(page: &str, name: &str, table: &str) -> String {
    let [begin, end] = [format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->\n")];
    let (before, rest) = page.split_once(&begin).expect("the first mark");
    let (_, after) = rest.split_once(&end).expect("the second mark");
    format!("{before}{begin}\n{table}\n{end}{after}")
}

#[test]
fn the_page_has_the_rows_that_are_tested() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/odd-answers.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let right = with_table(&page, "odd answers", &table());
    let right = with_table(&right, "requests", &requests::table());
    if page != right {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("odd-answers.md");
        std::fs::write(&kept, right).unwrap();
        panic!("docs/odd-answers.md has other rows; {} has the right ones", kept.display());
    }
}
