//! User-space instructions of issue, verify, look-up and of a whole request through the router, for
//! every arm, counted by callgrind: the same to a thousandth on any machine.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its figures")]

use std::hint::black_box;
use std::process::ExitCode;

use axum::body::Body;
use axum::extract::Request;
use benches::callgrind::{self, Run, counted, departures};
use benches::{NOW, browser_headers, clock, fill, in_process, options, ready, requests, user};
use http::StatusCode;
use http_body_util::BodyExt as _;
use loadgen::record::{InstructionCount, Instructions, Operation};
use servers::app::{App, router};
use servers::clock::Timestamp;
use servers::schemes::{ArmInfo, Scheme, SchemeOptions, Visitor, open};
use servers::stores::memory::MemoryStore;
use servers::stores::missing_program;
use servers::stores::mutex::MutexStore;
use servers::stores::patience::Patience;
use servers::stores::tower::TowerStore;
use servers::stores::{SessionId, SessionStore};
use servers::users::{PasswordHash, Users};
use servers::{ServeError, arms};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// The committed counts.
const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../loadgen/instructions.json");
/// The argument with which this executable runs itself under callgrind.
const INSIDE: &str = "--inside";
/// Rounds of each operation; the median counts.
const ROUNDS: u32 = 3;
/// Operations per round, each of another user.
const OPERATIONS: u32 = 64;
/// Rounds before them, which fill caches and make tables grow.
const WARMUPS: u32 = 2;
/// Sessions that a table in this process holds. With about 160 in each of 256 parts, none of which
/// grows between 113 and 224, no operation pays for growth.
const HELD: u32 = 40_000;
/// Under callgrind everything takes fifty times as long.
const PATIENCE: Patience = Patience::new(Duration::from_secs(600));

/// `-- --write` commits the counts to `loadgen/instructions.json`. `-- --check`, which CI runs,
/// names each count that has grown by more than 2 %, and fails. Without valgrind it says so and
/// does nothing, unless `AUTHBENCH_REQUIRE_VALGRIND` is set. Without `--bench`, and in a debug
/// build, every operation is only carried out.
fn main() -> ExitCode {
    let asked = |flag: &str| std::env::args().any(|argument| argument == flag);
    if asked(INSIDE) {
        return carry_out(ROUNDS);
    }
    // `cargo bench NAME` gives every benchmark the name that was asked for.
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    if filter.is_some_and(|filter| !"instructions".contains(&filter)) {
        return ExitCode::SUCCESS;
    }
    // As criterion tells them apart: `cargo test --benches` does not say `--bench`.
    if asked("--test") || !asked("--bench") || cfg!(debug_assertions) {
        return carry_out(1);
    }
    let Some(valgrind) = callgrind::version() else {
        eprintln!("skipped: instructions, because `valgrind` is missing");
        let required = std::env::var_os("AUTHBENCH_REQUIRE_VALGRIND").is_some();
        return if required { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    };
    let outcome = callgrind::run(INSIDE).and_then(|run| collect(valgrind, &run));
    match outcome.and_then(|found| judge(&found, asked("--check"), asked("--write"))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("error: {sentence}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the counts next to the committed ones, and writes or checks them.
fn judge(found: &Instructions, check: bool, write: bool) -> Result<(), String> {
    let committed = Instructions::committed();
    println!("{:<34} {:>12} {:>10} {:>12}", "user-space instructions", "count", "spread", "change");
    for count in &found.counts {
        let InstructionCount { arm, operation, median, least, most } = count;
        let share = |n: u64, of: u64| n as f64 / of as f64 * 100.0;
        let change = committed.find(arm, *operation).map_or("new".into(), |before| {
            format!("{:+.2} %", share(*median, before.median) - 100.0)
        });
        let name = format!("{}/{arm}", operation.name());
        let spread = share(most - least, *median);
        println!("{name:<34} {median:>12} {spread:>8.2} % {change:>12}");
    }
    if write {
        let text = serde_json::to_string_pretty(found).map_err(|e| e.to_string())?;
        std::fs::write(COMMITTED, text + "\n").map_err(|e| format!("{COMMITTED}: {e}"))?;
    }
    if !check {
        return Ok(());
    }
    let named = departures(&committed, found, |arm| {
        arms().iter().any(|info| info.arm == arm && info.store.and_then(missing_program).is_some())
    });
    if named.is_empty() {
        println!("no count exceeds the committed one by more than 2 %");
        return Ok(());
    }
    Err(format!(
        "expected no count to exceed the committed one by more than 2 %, found:\n  {}\n\
         committed with {}, {}; counted with {}, {}. Mend the code, or say in the change why it \
         costs more and renew the counts: cargo bench --bench instructions -- --write",
        named.join("\n  "),
        committed.compiler,
        committed.valgrind,
        found.compiler,
        found.valgrind,
    ))
}

/// The counts, from what the program under callgrind printed and what it counted: a line a round.
fn collect(valgrind: String, run: &Run) -> Result<Instructions, String> {
    let lines: Vec<&str> = run.printed.lines().collect();
    if lines.is_empty() || lines.len() != run.totals.len() {
        let (said, counted) = (lines.len(), run.totals.len());
        return Err(format!("expected a count for each of {said} rounds, found {counted}"));
    }
    let mut counts: Vec<InstructionCount> = Vec::new();
    let rounds = ROUNDS as usize;
    for (lines, totals) in lines.chunks(rounds).zip(run.totals.chunks(rounds)) {
        let named = Operation::ALL
            .into_iter()
            .find_map(|operation| Some((operation, lines[0].strip_prefix(operation.name())?)));
        let Some((operation, arm)) = named.filter(|_| lines.iter().all(|l| *l == lines[0])) else {
            return Err(format!("expected {ROUNDS} rounds of one operation, found {lines:?}"));
        };
        let each = |total: u64| (total + u64::from(OPERATIONS) / 2) / u64::from(OPERATIONS);
        let mut totals = totals.to_vec();
        totals.sort_unstable();
        counts.push(InstructionCount {
            arm: arm.trim_start_matches('/').into(),
            operation,
            median: each(totals[rounds / 2]),
            least: each(totals[0]),
            most: each(totals[rounds - 1]),
        });
    }
    Ok(Instructions {
        compiler: loadgen::proc::describe().compiler,
        profile: "bench".into(),
        valgrind,
        rounds: ROUNDS,
        operations: OPERATIONS,
        counts,
    })
}

/// Carries every operation out, so many rounds of each.
fn carry_out(rounds: u32) -> ExitCode {
    for info in arms() {
        if let Some(missing) = info.store.and_then(missing_program) {
            let required = std::env::var_os("AUTHBENCH_REQUIRE_STORES").is_some();
            assert!(!required, "no `{}`: install {}", missing.name, missing.package);
            eprintln!("skipped: {}, because `{}` is missing", info.arm, missing.name);
            continue;
        }
        let wait = Wait::of(info);
        let options = SchemeOptions { clock: clock(), patience: PATIENCE, ..options() };
        let counting = Counting { info, wait: &wait, rounds };
        let opened: Result<Task, ServeError> = wait.value(open(info.arm, &options, Opened));
        opened.expect("an arm")(&counting);
        match info.arm {
            "session@memory" => counting.look_up(&MemoryStore::new(None)),
            "session@mutex" => counting.look_up(&MutexStore::new(None)),
            "session@tower" => counting.look_up(&TowerStore::new(None)),
            _ => {}
        }
    }
    ExitCode::SUCCESS
}

/// The work on an opened arm, which is returned because a runtime that opens it cannot wait inside
/// of that.
type Task = Box<dyn FnOnce(&Counting<'_>)>;

struct Opened;

impl Visitor for Opened {
    type Output = Task;

    fn visit<S: Scheme>(self, scheme: S) -> Task {
        Box::new(|counting| counting.arm(scheme))
    }
}

/// How the end of a future is waited for.
enum Wait {
    /// The value is ready at once: no runtime is in the count.
    AtOnce,
    /// On a runtime of one thread.
    On(Runtime),
}

impl Wait {
    fn of(info: &ArmInfo) -> Self {
        if in_process(info) {
            return Self::AtOnce;
        }
        Self::On(Builder::new_current_thread().enable_all().build().expect("a runtime"))
    }

    fn value<T>(&self, future: impl Future<Output = T>) -> T {
        match self {
            Self::AtOnce => ready(future),
            Self::On(runtime) => runtime.block_on(future),
        }
    }
}

/// There is one thread, a clock that stands, and an allocator that does nothing by the clock. Ids,
/// keys and nonces are left to chance, and a round of many operations is a mean over them. If a
/// store is a process or a thread of its own, only this process is counted, and the machine decides
/// how often it asks the kernel for an answer that is under way: the least and the most of the
/// rounds say how much.
struct Counting<'a> {
    info: &'a ArmInfo,
    wait: &'a Wait,
    rounds: u32,
}

impl Counting<'_> {
    /// Counts rounds of an operation on what is prepared uncounted.
    fn count<T>(&self, operation: Operation, prepare: impl Fn() -> Vec<T>, once: impl Fn(T)) {
        for _ in 0..WARMUPS {
            prepare().into_iter().for_each(&once);
        }
        for _ in 0..self.rounds {
            let mut prepared = prepare();
            assert_eq!(prepared.len(), OPERATIONS as usize, "a count is divided by them");
            counted(&mut || prepared.drain(..).for_each(&once));
            println!("{}/{}", operation.name(), self.info.arm);
        }
    }

    fn arm<S: Scheme>(&self, scheme: S) {
        let headers = browser_headers();
        let issue = |n| {
            let issued = self.wait.value(scheme.issue(user(n), black_box(&headers)));
            drop(black_box(issued.expect("a credential")));
        };
        if self.info.scheme == "session" && in_process(self.info) {
            (0..HELD).for_each(issue);
        }
        self.count(Operation::Issue, || (0..OPERATIONS).collect(), issue);
        let requests = self.wait.value(requests(&scheme, OPERATIONS));
        self.count(
            Operation::Verify,
            || requests.iter().collect(),
            |headers| {
                let found = self.wait.value(scheme.authenticate(black_box(headers)));
                black_box(found.expect("a user"));
            },
        );
        let app = App::new(router(scheme, Users::new(PasswordHash::Derived)));
        let request = |headers: &http::HeaderMap| {
            let mut request = Request::new(Body::empty());
            *request.uri_mut() = http::Uri::from_static("/me");
            *request.headers_mut() = headers.clone();
            request
        };
        self.count(
            Operation::Request,
            || requests.iter().map(request).collect(),
            |request| {
                let (status, body) = self.wait.value(async {
                    let answer = app.call(request).await;
                    let status = answer.status();
                    (status, answer.into_body().collect().await.expect("a body").to_bytes())
                });
                assert!(status == StatusCode::OK && !black_box(body).is_empty());
            },
        );
    }

    fn look_up<S: SessionStore>(&self, store: &S) {
        let ids = fill(store, HELD);
        let now = Timestamp::from_seconds(NOW);
        let every = ids.len() / OPERATIONS as usize;
        self.count(
            Operation::LookUp,
            || ids.iter().step_by(every).take(OPERATIONS as usize).copied().collect(),
            |id: SessionId| {
                let found = self.wait.value(store.read(black_box(id), now)).expect("a store");
                black_box(found.expect("a session"));
            },
        );
    }
}
