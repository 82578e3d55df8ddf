//! The target files that we ship, compared with the servers that they describe.
//!
//! Every file is read and lowered in any case. Where npm or pip can install what a server needs,
//! that server is started from a copy outside the repository and driven for real: every journey,
//! its logout, and a login whose CSRF token is forged. Where something is missing, the test says
//! so by name on stderr and passes; `AUTHBENCH_REQUIRE_NODE=1` (or `_PYTHON`) makes it fail where
//! the programs are missing.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use loadgen::journey::Script;
use serde_json::Value;
use servers::contract::{Journey, LoginStep, Step, Target};

/// How long an installation may take.
const INSTALL: Duration = Duration::from_secs(120);
/// How long a server may take until it is ready.
const READY: Duration = Duration::from_secs(30);
const USERS: u64 = 8;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("targets")
}

fn target(name: &str) -> Target {
    let text = fs::read_to_string(folder().join(name).with_extension("toml")).unwrap();
    toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn every_target_file_is_one_with_every_journey() {
    let mut seen = Vec::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap();
        let target = target(name);
        assert_eq!(target.name, name);
        assert!(folder().join(name).is_dir(), "{name} has no server");
        for journey in target.journeys.keys() {
            let script = Script::new(&target, journey).unwrap();
            assert_eq!(script.csrf.is_some(), target.login.as_ref().unwrap().csrf.is_some());
            let checked = |request: usize| script.requests[request].check.is_some();
            assert!(script.steps.clone().all(checked), "{name}, {journey}: a step without a check");
            assert_eq!(script.logout, Some(script.requests.len() - 1));
        }
        assert!(target.journeys.contains_key("browse"), "{name}");
        seen.push(name.to_string());
    }
    seen.sort();
    assert_eq!(seen, ["django", "express-jwt", "express-session", "oidc"]);
}

#[test]
fn express_with_sessions_and_a_token_in_the_session() {
    let Some(place) = npm_install("express-session", 18) else { return };
    let server = Server::start(node(&place, "express-session"));
    drive("express-session", &server, place.path(), Logout::Ends);
    let mut forged = target("express-session");
    let headers = &mut forged.login.as_mut().unwrap().headers;
    headers.insert("X-CSRF-Token".into(), "forged".into());
    refused(&forged, &server, place.path());
}

#[test]
fn express_with_bearer_tokens() {
    let Some(place) = npm_install("express-jwt", 18) else { return };
    let server = Server::start(node(&place, "express-jwt"));
    drive("express-jwt", &server, place.path(), Logout::ChangesNothing);
}

#[test]
fn openid_connect_by_the_code_flow_with_pkce() {
    let Some(place) = npm_install("oidc", 20) else { return };
    let server = Server::start(node(&place, "oidc"));
    drive("oidc", &server, place.path(), Logout::Ends);
    // Each exchange of the flow is shown, and none of what it carries.
    let path = described(&target("oidc"), &server, place.path());
    let output = authbench(&["target", "check", path.to_str().unwrap(), "--user", "7"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said} {}", stderr(&output));
    for part in ["GET /login", "GET /oidc/auth?", "GET /callback?code=***", "GET /me"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("password-7"), "{said}");
    let wrong = |change: fn(&mut LoginStep)| {
        let mut wrong = target("oidc");
        wrong.login.as_mut().unwrap().step.iter_mut().for_each(change);
        let (output, _) = run(&wrong, &server, place.path(), "browse", "1s");
        assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
        stderr(&output)
    };
    let said = wrong(|step| {
        if let Some(password) = step.fields.get_mut("password") {
            *password = "wrong".into();
        }
    });
    assert!(said.contains("status 401") && said.contains("sign in"), "{said}");
    // A flow that is left halfway is no login.
    let said = wrong(|step| step.redirects = step.redirects.min(2));
    assert!(said.contains("redirect"), "{said}");
}

#[test]
fn django_with_its_sessions_and_its_csrf_middleware() {
    let Some(place) = pip_install("django") else { return };
    let mut command = Command::new(place.path().join(".venv/bin/python"));
    command.arg(place.path().join("django/server.py"));
    let server = Server::start(command);
    drive("django", &server, place.path(), Logout::Ends);
    let mut forged = target("django");
    let fields = &mut forged.login.as_mut().unwrap().fields;
    fields.insert("csrfmiddlewaretoken".into(), "f".repeat(64).into());
    refused(&forged, &server, place.path());
}

/// What a logout does to the credential.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Logout {
    Ends,
    ChangesNothing,
}

/// Puts every journey of a target file on its server, and then its logout.
fn drive(name: &str, server: &Server, place: &Path, logout: Logout) {
    let mut target = target(name);
    let described = target.logout.clone().unwrap();
    let leave = Step {
        name: "leave".into(),
        method: described.method,
        path: described.path,
        headers: described.headers,
        body: None,
        format: Default::default(),
        expect_status: described.expect_status,
        check: None,
        credential: None,
    };
    let journeys: Vec<String> = target.journeys.keys().cloned().collect();
    target.journeys.insert("leave".into(), Journey { steps: vec![leave], anonymous: false });
    for journey in journeys {
        let (output, run) = run(&target, server, place, &journey, "1s");
        let code = output.status.code().unwrap();
        let error = stderr(&output);
        // A figure of a debug build on a busy machine may be invalid; it must then say why.
        let reason = code == 3 && error.contains("INVALID: ");
        assert!(code == 0 || reason, "{name}, {journey}: {code}: {error}");
        assert_eq!(run["errors"], serde_json::json!({}), "{name}, {journey}: {run}");
        assert!(run["counts"]["ok"].as_u64().unwrap() > 0, "{name}, {journey}: {run}");
        assert_eq!(run["login"]["users"], USERS);
    }
    let (output, run) = run(&target, server, place, "leave", "200ms");
    let right = run["counts"]["ok"].as_u64().unwrap();
    match logout {
        // The first one of each user is right, and ends what the second one would need.
        Logout::Ends => assert_eq!(right, USERS, "{name}: {run} {}", stderr(&output)),
        Logout::ChangesNothing => {
            assert!(right > USERS, "{name}: {run}");
            assert_eq!(run["errors"], serde_json::json!({}));
        }
    }
}

/// A login with a forged token ends the run and is told as what it is.
fn refused(target: &Target, server: &Server, place: &Path) {
    let (output, _) = run(target, server, place, "browse", "1s");
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(4), "{text}");
    assert!(text.contains("the login of user") && text.contains("login itself"), "{text}");
    assert!(text.contains("status 403") && text.contains("csrf"), "{text}");
}

/// Runs a load on the server; the outcome, and the object it printed.
fn run(
    target: &Target,
    server: &Server,
    place: &Path,
    journey: &str,
    duration: &str,
) -> (Output, Value) {
    let path = described(target, server, place);
    let [users, path] = [&USERS.to_string(), path.to_str().unwrap()];
    let output = authbench(&[
        "run",
        "--allow-debug",
        "--format",
        "json",
        "--timeout",
        "10s",
        "--users",
        users,
        "--journey",
        journey,
        "--duration",
        duration,
        "--target",
        path,
    ]);
    let printed = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output, printed)
}

/// A file that describes this server where it is.
fn described(target: &Target, server: &Server, place: &Path) -> PathBuf {
    let target = Target { base_url: server.url.clone(), ..target.clone() };
    let path = place.join("target.toml");
    fs::write(&path, toml::to_string(&target).unwrap()).unwrap();
    path
}

fn authbench(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_authbench"));
    command.args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A process that ends with the test, whatever becomes of the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // SIGTERM first: a server may have processes of its own to end.
        let pid = rustix::process::Pid::from_raw(self.0.id() as i32).unwrap();
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            let _ = self.ended_within(Duration::from_secs(5));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn ended_within(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.0.try_wait() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }
}

/// A server that is ready.
struct Server {
    url: String,
    _process: Running,
}

impl Server {
    fn start(mut command: Command) -> Self {
        let command = command.env("PORT", "0").env("NODE_ENV", "production");
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut process = Running(child);
        let stdout = process.0.stdout.take().unwrap();
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            // What it prints later is read too: a full pipe would stop it.
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let line = lines.recv_timeout(READY).expect("a line within 30 s");
        let url = line.strip_prefix("ready ").expect("a line `ready URL`").to_string();
        Self { url, _process: process }
    }
}

fn node(place: &tempfile::TempDir, name: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(place.path().join(name).join("server.js"));
    command
}

/// Says that a test could not be done, past the capture of the test runner: a test that passes
/// without having tested anything must be seen.
pub(crate) fn skipped(what: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {what}");
}

/// An installer's log is long; the line with its error says enough.
pub(crate) fn brief(log: &str) -> &str {
    let error = |line: &&str| line.to_ascii_lowercase().contains("error");
    log.lines().find(error).unwrap_or(log.trim_end())
}

pub(crate) fn required(language: &str) -> bool {
    std::env::var(format!("AUTHBENCH_REQUIRE_{language}")).is_ok_and(|value| value == "1")
}

/// Whether this program is there, in this major version or a newer one.
pub(crate) fn there(program: &str, version: u32) -> bool {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let text = text.unwrap_or_default();
    let major = text.trim_start_matches('v').split('.').next().and_then(|n| n.parse().ok());
    major.is_some_and(|found: u32| found >= version)
}

/// A copy of a server's own files, outside the repository.
fn copy(name: &str) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let to = place.path().join(name);
    fs::create_dir(&to).unwrap();
    for entry in fs::read_dir(folder().join(name)).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
    place
}

/// Runs an installer; what it wrote where it failed.
pub(crate) fn install(command: &mut Command, log: &Path) -> Result<(), String> {
    let file = fs::File::create(log).unwrap();
    let command = command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
    let mut running = Running(command.spawn().map_err(|error| error.to_string())?);
    match running.ended_within(INSTALL) {
        Some(status) if status.success() => Ok(()),
        Some(_) => Err(fs::read_to_string(log).unwrap_or_default()),
        None => Err(format!("it took more than {} s", INSTALL.as_secs())),
    }
}

fn npm_install(name: &str, node: u32) -> Option<tempfile::TempDir> {
    for (program, version) in [("node", node), ("npm", 7)] {
        if !there(program, version) {
            let what = format!("{name}: `{program}` {version} or newer is not installed");
            assert!(!required("NODE"), "{what}");
            skipped(&what);
            return None;
        }
    }
    let place = copy(name);
    let mut command = Command::new("npm");
    command
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"])
        .args(["--fetch-timeout=30000", "--fetch-retries=1"])
        .current_dir(place.path().join(name));
    match install(&mut command, &place.path().join("npm.log")) {
        Ok(()) => Some(place),
        Err(found) => {
            // A registry that is away says nothing of our files; anything else does.
            assert!(!required("NODE") || is_unreachable(&found), "{name}: {found}");
            skipped(&format!("{name}: npm cannot install its packages: {}", brief(&found)));
            None
        }
    }
}

pub(crate) fn is_unreachable(found: &str) -> bool {
    let codes =
        ["ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH"];
    codes.iter().any(|code| found.contains(code)) || found.starts_with("it took more than")
}

fn pip_install(name: &str) -> Option<tempfile::TempDir> {
    let place = copy(name);
    let venv = place.path().join(".venv");
    let log = place.path().join("pip.log");
    let mut pip = Command::new(venv.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .args(["--timeout", "30", "--retries", "1", "-r"])
        .arg(place.path().join(name).join("requirements.txt"));
    let done = install(Command::new("python3").args(["-m", "venv"]).arg(&venv), &log)
        .and_then(|()| install(&mut pip, &log));
    match done {
        Ok(()) => Some(place),
        Err(found) => {
            assert!(!required("PYTHON"), "{name}: {found}");
            skipped(&format!(
                "{name}: python3 and pip cannot install its packages: {}",
                brief(&found)
            ));
            None
        }
    }
}
