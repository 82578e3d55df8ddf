//! Loads over agents, with a real nats-server: what they ask is what one process asks, and every
//! row of the table of failures in `docs/agents.md`. Without nats-server the tests name it and
//! pass, unless `AUTHBENCH_REQUIRE_NATS` is set.

mod cuts;
mod permissions;
mod ssh;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::deployments::{below, lives, until};

/// Longer than anything here may take on a machine that is busy.
const LONG: Duration = Duration::from_secs(60);
/// Where the engine's server may be.
const NATS: [&str; 2] = ["nats-server", "/usr/sbin/nats-server"];

pub(super) fn nats() -> Option<&'static str> {
    let works = |program: &&&str| Command::new(program).arg("--version").output().is_ok();
    let found = NATS.iter().find(works).copied();
    if found.is_none() {
        assert!(std::env::var_os("AUTHBENCH_REQUIRE_NATS").is_none(), "nats-server is missing");
        drop(writeln!(std::io::stderr(), "skipped: nats-server is missing"));
    }
    found
}

/// An engine of a test, which can be killed and started again on its port.
struct Engine {
    program: &'static str,
    folder: TempDir,
    port: u16,
    has_jetstream: bool,
    child: Started,
}

impl Engine {
    fn start(has_jetstream: bool) -> Option<Self> {
        let program = nats()?;
        let folder = TempDir::new().unwrap();
        // Free now, and so most likely still free in a moment.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Self::spawn(program, folder.path(), port, has_jetstream);
        Some(Self { program, folder, port, has_jetstream, child })
    }

    fn spawn(program: &str, folder: &Path, port: u16, has_jetstream: bool) -> Started {
        let mut command = Command::new(program);
        command.args(["-a", "127.0.0.1", "-p", &port.to_string()]);
        if has_jetstream {
            command.arg("-js").arg("-sd").arg(folder);
        }
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = Started(Some(command.spawn().unwrap()));
        until("nats-server listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        child
    }

    fn restart_after(&mut self, pause: Duration) {
        self.child = Started(None);
        thread::sleep(pause);
        self.child = Self::spawn(self.program, self.folder.path(), self.port, self.has_jetstream);
    }

    fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }
}

/// A server that remembers the paths that were asked for, and answers logins after so long.
pub(super) struct Logging {
    address: SocketAddr,
    paths: Arc<Mutex<Vec<String>>>,
}

impl Logging {
    pub(super) fn start(login_takes: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let paths: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&paths);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let log = Arc::clone(&log);
                thread::spawn(move || answer(&stream, &log, login_takes));
            }
        });
        Self { address, paths }
    }

    /// What was asked for apart from logins, sorted.
    pub(super) fn asked(&self) -> Vec<String> {
        let mut asked = self.paths.lock().unwrap().clone();
        asked.retain(|path| path != "/login");
        asked.sort();
        asked
    }

    pub(super) fn target(&self, folder: &Path) -> PathBuf {
        let path = folder.join("target.toml");
        let text = format!(
            "name = \"logging\"\nbase_url = \"http://{}\"\n[login]\npath = \"/login\"\n\
             fields = {{}}\ncredential = \"json:/t\"\n\
             send = \"header:Authorization: Bearer {{credential}}\"\n[journeys.browse]\n\
             steps = [{{ name = \"u\", path = \"/u/{{n}}\" }}]\n",
            self.address
        );
        fs::write(&path, text).unwrap();
        path
    }
}

fn answer(stream: &TcpStream, log: &Mutex<Vec<String>>, login_takes: Duration) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while matches!(reader.read_line(&mut line), Ok(1..)) {
        let path = line.split(' ').nth(1).unwrap_or_default().to_string();
        let mut body = 0;
        while line.trim() != "" {
            line.clear();
            reader.read_line(&mut line).unwrap();
            if let Some(length) = line.to_lowercase().strip_prefix("content-length: ") {
                body = length.trim().parse().unwrap();
            }
        }
        reader.read_exact(&mut vec![0; body]).unwrap();
        line.clear();
        if path == "/login" {
            thread::sleep(login_takes);
        }
        log.lock().unwrap().push(path);
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{\"t\":\"x\"}";
        if (&*stream).write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_authbench");

/// A process of a test, which ends with it.
struct Started(Option<Child>);

impl Started {
    fn new(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(Some(command.spawn().unwrap()))
    }

    fn kill(&mut self) {
        self.0.as_mut().unwrap().kill().unwrap();
    }

    /// Its exit code, and what it said on both streams.
    fn end(mut self) -> (Option<i32>, String, String) {
        let child = self.0.take().unwrap();
        told(&child.wait_with_output().unwrap())
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn told(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// A run of a test: its engine, its server, its folder and its name.
struct Stage {
    engine: Engine,
    server: Logging,
    folder: TempDir,
}

impl Stage {
    fn new(login_takes: Duration) -> Option<Self> {
        let engine = Engine::start(true)?;
        let (server, folder) = (Logging::start(login_takes), TempDir::new().unwrap());
        Some(Self { engine, server, folder })
    }

    fn coordinate(&self, agents: u32, more: &[&str]) -> Started {
        let target = self.server.target(self.folder.path());
        let mut command = Command::new(PROGRAM);
        command.args(["run", "--allow-debug", "--format", "json", "--run", "r", "--target"]);
        command.arg(target).args(["--engine", &self.engine.url()]);
        command.args(["--agents", &agents.to_string(), "--users", "24", "-c", "12"]);
        Started::new(command.args(more))
    }

    fn agent(&self, index: u32, more: &[&str]) -> Started {
        self.agent_of(Path::new(PROGRAM), index, &self.server.address.to_string(), more)
    }

    fn agent_of(&self, program: &Path, index: u32, allowed: &str, more: &[&str]) -> Started {
        let mut command = Command::new(program);
        command.args(["agent", "--allow-debug", "--role", "load", "--run", "r", "--engine"]);
        command.arg(self.engine.url()).args(["--index", &index.to_string()]);
        command.args(["--allow-target", allowed, "--keep"]).arg(self.folder.path());
        Started::new(command.args(more))
    }

    /// Waits until the server was asked for so many of these.
    fn wait_for(&self, path: &str, count: usize) {
        let began = Instant::now();
        let asked = || {
            let paths = self.server.paths.lock().unwrap();
            paths.iter().filter(|asked| asked.starts_with(path)).count()
        };
        while asked() < count {
            assert!(began.elapsed() < LONG, "{} requests of {path}", asked());
            thread::sleep(Duration::from_millis(10));
        }
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

fn has_doubt(summary: &Value, code: &str) -> bool {
    summary["doubts"].as_array().unwrap().iter().any(|doubt| doubt["code"] == code)
}

/// What a server is asked by a run with these flags, and the summary.
fn run(flags: &[&str]) -> (Vec<String>, Value) {
    let (server, folder) = (Logging::start(Duration::ZERO), TempDir::new().unwrap());
    let mut command = Command::new(PROGRAM);
    command.args(["run", "--allow-debug", "--format", "json", "--rate", "200/s", "-d", "2s"]);
    command.args(["--users", "24", "-c", "12", "--target"]).arg(server.target(folder.path()));
    let (code, out, err) = told(&command.args(flags).stdin(Stdio::null()).output().unwrap());
    // 3 says that this machine was busy; every request is in the accounts anyway.
    assert!(matches!(code, Some(0 | 3)), "{code:?} {err}");
    (server.asked(), json(&out))
}

#[test]
fn three_agents_of_two_workers_ask_what_one_process_asks() {
    if nats().is_none() {
        return;
    }
    let (by_one, of_one) = run(&[]);
    let (by_three, of_three) = run(&["--agents", "3", "--workers", "2"]);
    assert_eq!(by_one.len(), 400);
    assert_eq!(by_one, by_three);
    for counts in [&of_one["counts"], &of_three["counts"]] {
        assert_eq!((number(&counts["planned"]), number(&counts["ok"])), (400, 400));
    }
    let agents = of_three["agents"].as_array().unwrap();
    assert_eq!(agents.len(), 3);
    for agent in agents {
        assert_eq!((&agent["end"], &agent["workers"]), (&"whole".into(), &2.into()));
        // One machine has one clock.
        let (offset, bound) = (&agent["clock_offset_ms"], &agent["clock_bound_ms"]);
        assert!(offset.as_f64().unwrap().abs() <= bound.as_f64().unwrap() + 1e-3, "{agent}");
    }
    assert!(has_doubt(&of_three, "agents_share_a_machine"), "{of_three}");
    assert_eq!(of_three["login"]["users"], 24);
}

#[test]
fn one_agent_does_what_local_mode_does() {
    if nats().is_none() {
        return;
    }
    let (by_one, of_one) = run(&["--seed", "7", "--poisson"]);
    let (by_agent, of_agent) = run(&["--seed", "7", "--poisson", "--agents", "1"]);
    assert_eq!(by_one, by_agent);
    for count in ["planned", "sent", "ok"] {
        assert_eq!(of_one["counts"][count], of_agent["counts"][count], "{count}");
    }
    assert!(of_one.get("agents").is_none() && !has_doubt(&of_agent, "agents_share_a_machine"));
}

#[test]
fn without_an_engine_nothing_is_sent() {
    let (server, folder) = (Logging::start(Duration::ZERO), TempDir::new().unwrap());
    let target = server.target(folder.path());
    let start = |engine: &str| {
        let mut command = Command::new(PROGRAM);
        command.args(["run", "--allow-debug", "--agents", "2", "--run", "r", "--target"]);
        told(&command.arg(&target).args(["--engine", engine]).output().unwrap())
    };
    let (code, _, err) = start("nats://127.0.0.1:1");
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("127.0.0.1:1 cannot be reached") && err.contains("nothing was sent"));
    if let Some(engine) = Engine::start(false) {
        let (code, _, err) = start(&engine.url());
        assert_eq!(code, Some(2), "{err}");
        assert!(err.contains("expected an engine with JetStream"), "{err}");
    }
    assert!(server.paths.lock().unwrap().is_empty());
}

#[test]
fn flags_that_cannot_hold_for_agents_are_refused() {
    let (server, folder) = (Logging::start(Duration::ZERO), TempDir::new().unwrap());
    let target = server.target(folder.path()).display().to_string();
    for (flags, part) in [
        (&["--agents", "7", "--users", "6", "-c", "6"][..], "at most 6 workers on all agents"),
        (&["--agents", "2", "--workers", "4", "-c", "7"], "at most 7 workers on all agents"),
        (&["--agents", "2", "--transport", "reqwest"], "--transport lean"),
        (&["--agents", "2", "--lease", "1s"], "expected --lease of at least 4s"),
        (&["--agents", "2", "--run", "a.b"], "letters, digits"),
        (&["--engine", "nats://127.0.0.1:1"], "--agents"),
        (&["--agents", "2", "--insecure"], "--insecure"),
        (&["--agents", "2", "--hosts", "g1"], "--hosts"),
        (&["--hosts", "g1,-oProxyCommand=x"], "--hosts of names as ssh knows them"),
        (&["--ssh-config", "x"], "--hosts"),
        (&["--agents", "0"], "0 is not in"),
    ] {
        let mut command = Command::new(PROGRAM);
        command.args(["run", "--allow-debug", "--target", &target]).args(flags);
        let (code, _, err) = told(&command.output().unwrap());
        assert_eq!(code, Some(2), "{flags:?}: {err}");
        assert!(err.contains(part), "{flags:?}: {err}");
    }
    let agent = |flags: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command.args(["agent", "--allow-debug", "--engine", "nats://127.0.0.1:1"]);
        command.args(["--role", "load", "--allow-target", "127.0.0.1:1"]).args(flags);
        told(&command.env("NO_INDEX", "one").output().unwrap())
    };
    for (flags, part) in [
        (&["--run", "r"][..], "--index"),
        (&["--run", "r", "--index-from", "NO_INDEX"], "NO_INDEX, found `one`"),
        (&["--run", "r", "--index", "0"], "127.0.0.1:1 cannot be reached"),
        (&["--run", "r r", "--index", "0"], "letters, digits"),
    ] {
        let (code, _, err) = agent(flags);
        assert_eq!(code, Some(2), "{flags:?}: {err}");
        assert!(err.contains(part), "{flags:?}: {err}");
    }
    assert!(server.paths.lock().unwrap().is_empty());
}

#[test]
fn agents_that_do_not_fit_are_named_and_nothing_is_sent() {
    // A target that it may not load.
    let Some(stage) = Stage::new(Duration::ZERO) else { return };
    let foreign = stage.agent_of(Path::new(PROGRAM), 0, "127.0.0.1:1", &[]);
    let (code, _, err) = stage.coordinate(1, &[]).end();
    assert_eq!(code, Some(2), "{err}");
    let place = stage.server.address.to_string();
    assert!(err.contains("agent 0") && err.contains(&format!("the target is {place}")), "{err}");
    let (code, _, err) = foreign.end();
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("may load 127.0.0.1:1"), "{err}");
    assert!(stage.server.paths.lock().unwrap().is_empty());

    // Another build: the same program with a byte behind its end.
    let stage = Stage::new(Duration::ZERO).unwrap();
    let other = stage.folder.path().join("authbench");
    let mut bytes = fs::read(PROGRAM).unwrap();
    bytes.push(0);
    fs::write(&other, &bytes).unwrap();
    fs::set_permissions(&other, fs::metadata(PROGRAM).unwrap().permissions()).unwrap();
    let other = stage.agent_of(&other, 0, &stage.server.address.to_string(), &[]);
    let (code, _, err) = stage.coordinate(1, &[]).end();
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("another build") && err.contains("nothing was sent"), "{err}");
    assert_eq!(other.end().0, Some(2));
    assert!(stage.server.paths.lock().unwrap().is_empty());
}

#[test]
fn agents_that_do_not_come_are_named() {
    let Some(stage) = Stage::new(Duration::ZERO) else { return };
    let there = stage.agent(1, &[]);
    let (code, _, err) = stage.coordinate(3, &["--join", "4s"]).end();
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("1 of 3 agents came within 4 s, without 0, 2; nothing was sent"), "{err}");
    assert_eq!(there.end().0, Some(2));
    assert!(stage.server.paths.lock().unwrap().is_empty());
    // The name is used, and so is the run.
    let (code, _, err) = stage.coordinate(1, &[]).end();
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("has a run `r` already"), "{err}");
    let (code, _, err) = stage.agent(0, &["--join", "1s"]).end();
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("no coordinator of run `r` answered"), "{err}");
}

#[test]
fn an_agent_that_is_lost_in_setup_ends_the_run() {
    let Some(stage) = Stage::new(Duration::from_secs(1)) else { return };
    let (left, mut lost) = (stage.agent(0, &[]), stage.agent(1, &[]));
    // A login at a time takes a second, so setup lasts.
    let run = stage.coordinate(2, &["--login-concurrency", "2", "--timeout", "30s"]);
    stage.wait_for("/login", 2);
    lost.kill();
    let (code, _, err) = run.end();
    assert_eq!(code, Some(3), "{err}");
    assert!(err.contains("agent 1 (") && err.contains("was lost during setup"), "{err}");
    let (code, _, err) = left.end();
    assert_eq!(code, Some(3), "{err}");
    assert!(err.contains("was lost during setup"), "{err}");
    assert_eq!(stage.server.asked(), Vec::<String>::new(), "the load did not begin");
}

/// The flags of a load that lasts until something ends it.
const LOAD: [&str; 6] = ["--rate", "200/s", "-d", "60s", "--lease", "4s"];

#[test]
fn an_agent_that_is_lost_in_measure_leaves_a_partial_record() {
    let Some(stage) = Stage::new(Duration::ZERO) else { return };
    let (left, mut lost) = (stage.agent(0, &[]), stage.agent(1, &[]));
    let run = stage.coordinate(2, &LOAD);
    stage.wait_for("/u/", 300);
    lost.kill();
    let (code, out, err) = run.end();
    assert_eq!(code, Some(3), "{err}");
    assert!(err.contains("agent 1 (") && err.contains("was lost during measure"), "{err}");
    let summary = json(&out);
    let counts = &summary["counts"];
    let [planned, sent, dropped, lost] =
        ["planned", "sent", "dropped", "lost"].map(|name| number(&counts[name]));
    assert_eq!(planned, sent + dropped + lost);
    // Half of the users are the lost agent's.
    assert!(lost * 3 > planned && lost * 3 < planned * 2, "{counts}");
    let ends = [0, 1].map(|index: usize| summary["agents"][index]["end"].clone());
    assert_eq!(ends, ["cut", "lost"]);
    assert!(has_doubt(&summary, "agent_lost"), "{summary}");
    assert_eq!(left.end().0, Some(3));
}

#[test]
fn a_second_start_of_an_agent_is_refused() {
    let Some(stage) = Stage::new(Duration::ZERO) else { return };
    let first = stage.agent(0, &[]);
    let run = stage.coordinate(1, &["--rate", "200/s", "-d", "5s"]);
    stage.wait_for("/u/", 20);
    let (code, _, err) = stage.agent(0, &[]).end();
    assert_eq!(code, Some(3), "{err}");
    assert!(err.contains("a second start is refused"), "{err}");
    let (code, out, err) = run.end();
    assert!(matches!(code, Some(0 | 3)), "{err}");
    assert_eq!(json(&out)["agents"][0]["end"], "whole");
    assert_eq!(first.end().0, Some(0));
}

#[test]
fn a_run_whose_coordinator_died_is_collected() {
    let Some(stage) = Stage::new(Duration::ZERO) else { return };
    let agents = [stage.agent(0, &[]), stage.agent(1, &[])];
    let mut run = stage.coordinate(2, &LOAD);
    stage.wait_for("/u/", 100);
    run.kill();
    for agent in agents {
        let (code, _, err) = agent.end();
        assert_eq!(code, Some(3), "{err}");
        assert!(err.contains("was not heard within the lease"), "{err}");
    }
    let out = stage.folder.path().join("collected");
    let collect = |run: &str| {
        let mut command = Command::new(PROGRAM);
        command.args(["collect", run, "--engine", &stage.engine.url(), "--out"]).arg(&out);
        told(&command.output().unwrap())
    };
    let (_, printed, err) = collect("r");
    let summary = json(&fs::read_to_string(out.join("summary.json")).unwrap());
    let sent = number(&summary["counts"]["sent"]);
    assert_eq!(sent, stage.server.asked().len() as u64, "{printed}{err}");
    assert_eq!(summary["agents"][1]["end"], "cut");
    assert!(printed.contains("agent 1"), "{printed}");
    let (code, _, err) = collect("another");
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("the engine has nothing of run `another`"), "{err}");
}

#[test]
fn an_engine_that_is_killed_and_started_again_ends_no_load() {
    let Some(mut stage) = Stage::new(Duration::ZERO) else { return };
    let agents = [stage.agent(0, &[]), stage.agent(1, &[])];
    let run = stage.coordinate(2, &["--rate", "200/s", "-d", "12s", "--lease", "60s"]);
    stage.wait_for("/u/", 200);
    stage.engine.restart_after(Duration::from_secs(4));
    let (code, out, err) = run.end();
    assert!(matches!(code, Some(0 | 3)), "{err}");
    let summary = json(&out);
    assert_eq!((number(&summary["counts"]["planned"]), &summary["aborted"]), (2400, &false.into()));
    for (index, agent) in agents.into_iter().enumerate() {
        assert_eq!(summary["agents"][index]["end"], "whole", "{err}");
        assert_eq!(agent.end().0, Some(0));
    }
    assert!(has_doubt(&summary, "contact_lost"), "{summary}");
}

#[test]
fn a_signal_leaves_a_valid_partial_result() {
    let Some(stage) = Stage::new(Duration::ZERO) else { return };
    let agents = [stage.agent(0, &[]), stage.agent(1, &[])];
    let run = stage.coordinate(2, &LOAD);
    stage.wait_for("/u/", 300);
    signal(&run, "-INT");
    let (code, out, err) = run.end();
    assert_eq!(code, Some(130), "{err}");
    let summary = json(&out);
    assert_eq!(summary["aborted"], true);
    assert_eq!(number(&summary["counts"]["sent"]), stage.server.asked().len() as u64);
    for agent in agents {
        assert_eq!(agent.end().0, Some(130));
    }
}

/// What the engine carries under this subject, from the first message that holds this text, and a
/// connection on which it can be said again.
fn overhear(
    engine: &Engine,
    subject: &str,
    text: &str,
    then: impl FnOnce(),
) -> (TcpStream, String) {
    let stream = TcpStream::connect(("127.0.0.1", engine.port)).unwrap();
    let mut say = &stream;
    write!(say, "CONNECT {{\"verbose\":false}}\r\nSUB {subject} 1\r\nPING\r\n").unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    let mut then = Some(then);
    loop {
        line.clear();
        reader.read_line(&mut line).unwrap();
        match line.split_whitespace().next() {
            // The engine has taken the subscription in.
            Some("PONG") => then.take().into_iter().for_each(|then| then()),
            Some("PING") => say.write_all(b"PONG\r\n").unwrap(),
            Some("MSG") => {
                let bytes = line.split_whitespace().next_back().unwrap().parse::<usize>().unwrap();
                let mut payload = vec![0; bytes + 2];
                reader.read_exact(&mut payload).unwrap();
                let payload = String::from_utf8(payload).unwrap().trim().to_string();
                if payload.contains(text) {
                    return (stream, payload);
                }
            }
            _ => {}
        }
    }
}

#[test]
fn a_start_that_is_said_again_begins_nothing() {
    let Some(stage) = Stage::new(Duration::ZERO) else { return };
    let mut started = None;
    let (mut say, arm) = overhear(&stage.engine, "ab.r.down.0", "\"type\":\"arm\"", || {
        let run = stage.coordinate(1, &["--rate", "200/s", "-d", "3s"]);
        started = Some((stage.agent(0, &[]), run));
    });
    let (agent, run) = started.unwrap();
    stage.wait_for("/u/", 50);
    // As it was, and with another round and a moment far ahead.
    let later =
        arm.replace("\"round\":1", "\"round\":2").replace("\"start_ns\":", "\"start_ns\":9");
    assert_ne!(arm, later);
    for message in [&arm, &later, &arm] {
        let head = format!("PUB ab.r.down.0 {}\r\n", message.len());
        say.write_all(format!("{head}{message}\r\n").as_bytes()).unwrap();
    }
    let (code, out, err) = run.end();
    assert!(matches!(code, Some(0 | 3)), "{err}");
    let counts = &json(&out)["counts"];
    assert_eq!((number(&counts["planned"]), number(&counts["sent"])), (600, 600));
    assert_eq!((stage.server.asked().len(), agent.end().0), (600, Some(0)));
}

#[test]
fn an_agent_that_is_lost_in_warm_up_leaves_a_record_without_figures() {
    let Some(stage) = Stage::new(Duration::ZERO) else { return };
    let (mut lost, left) = (stage.agent(0, &[]), stage.agent(1, &[]));
    let run = stage.coordinate(2, &[&LOAD[..], &["--warmup", "60s"]].concat());
    stage.wait_for("/u/", 300);
    lost.kill();
    let (code, out, err) = run.end();
    assert_eq!(code, Some(3), "{err}");
    assert!(err.contains("agent 0 (") && err.contains("was lost during warm-up"), "{err}");
    let summary = json(&out);
    assert_eq!(number(&summary["counts"]["planned"]), 0, "{summary}");
    assert_eq!(summary["agents"][0]["end"], "lost");
    assert_eq!(left.end().0, Some(3));
}

fn signal(process: &Started, name: &str) {
    let pid = process.0.as_ref().unwrap().id().to_string();
    assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
}

#[test]
fn contact_that_returns_within_the_lease_ends_no_load() {
    let Some(stage) = Stage::new(Duration::ZERO) else { return };
    let (stopped, other) = (stage.agent(0, &[]), stage.agent(1, &[]));
    let run = stage.coordinate(2, &["--rate", "200/s", "-d", "10s", "--lease", "60s"]);
    stage.wait_for("/u/", 200);
    signal(&stopped, "-STOP");
    thread::sleep(Duration::from_secs(5));
    signal(&stopped, "-CONT");
    let (code, out, err) = run.end();
    assert!(matches!(code, Some(0 | 3)), "{err}");
    let summary = json(&out);
    assert_eq!(number(&summary["counts"]["planned"]), 2000);
    for (index, agent) in [stopped, other].into_iter().enumerate() {
        assert_eq!(summary["agents"][index]["end"], "whole", "{err}");
        assert_eq!(agent.end().0, Some(0));
    }
    assert!(has_doubt(&summary, "contact_lost"), "{summary}");
}

#[test]
fn what_a_killed_coordinator_started_ends_and_leaves_nothing() {
    if nats().is_none() {
        return;
    }
    let (server, folder) = (Logging::start(Duration::ZERO), TempDir::new().unwrap());
    // Folders of its own, so that what is left of them can be told.
    let temporary = TempDir::new().unwrap();
    let run = |more: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command.env("TMPDIR", temporary.path());
        command.args(["run", "--allow-debug", "--users", "24", "-c", "12", "--target"]);
        Started::new(command.arg(server.target(folder.path())).args(more))
    };
    let mut killed = run(&[&["--agents", "2"], &LOAD[..]].concat());
    until("there is a load", || server.asked().len() > 50);
    let started = below(killed.0.as_ref().unwrap().id());
    // Two agents, and the engine below its keeper.
    assert!(started.len() >= 4, "{started:?}");
    killed.kill();
    until("everything has ended", || !started.iter().any(|pid| lives(*pid)));
    // The next run removes what could not be removed any more.
    let (code, _, err) = run(&["--agents", "1", "--rate", "100/s", "-d", "1s"]).end();
    assert!(matches!(code, Some(0 | 3)), "{err}");
    let left: Vec<_> = fs::read_dir(temporary.path()).unwrap().map(Result::unwrap).collect();
    assert!(left.is_empty(), "{left:?}");
}
