//! The target files that we ship, and the servers that they describe, driven and attacked. What
//! those need is installed once (`targets/places.rs`); a test without it says so and passes, unless
//! `AUTHBENCH_REQUIRE_NODE`, `_PYTHON`, `_RAILS` or `_STORES` is 1.

mod places;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use loadgen::journey::Script;
use serde_json::Value;
use servers::contract::{Cookies, Journey, LoginStep, Step, Target};

pub(crate) use places::npm_install;
use places::{Place, python, rails};

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
    let expected = [
        "connect-redis",
        "cookie-session",
        "django",
        "express-jwt",
        "express-session",
        "fastapi",
        "flask",
        "oidc",
        "rails",
    ];
    assert_eq!(seen, expected);
}

/// express-session writes a session back when its request ends, even if a logout destroyed it in
/// the meantime: it lives again.
const REVIVED: &[&str] = &["38d"];

#[test]
fn express_with_sessions_and_a_token_in_the_session() {
    let Some(place) = npm_install("express-session", 18) else { return };
    let server = Server::start(node(&place, "express-session"));
    drive("express-session", &server, Logout::Ends);
    let mut forged = target("express-session");
    let headers = &mut forged.login.as_mut().unwrap().headers;
    headers.insert("X-CSRF-Token".into(), "forged".into());
    refused(&forged, &server);
    attack("express-session", &server, REVIVED);
}

#[test]
fn express_with_bearer_tokens() {
    let Some(place) = npm_install("express-jwt", 18) else { return };
    let server = Server::start(node(&place, "express-jwt"));
    drive("express-jwt", &server, Logout::ChangesNothing);
    attack("express-jwt", &server, &[]);
}

#[test]
fn express_with_sessions_in_signed_cookies() {
    let Some(place) = npm_install("cookie-session", 18) else { return };
    let server = Server::start(node(&place, "cookie-session"));
    drive("cookie-session", &server, Logout::ChangesNothing);
    attack("cookie-session", &server, &[]);
}

#[test]
fn express_with_sessions_in_redis() {
    let Some(redis) = Redis::start() else { return };
    let Some(place) = npm_install("connect-redis", 18) else { return };
    let mut command = node(&place, "connect-redis");
    command.env("REDIS_SOCKET", redis.socket());
    let server = Server::start(command);
    drive("connect-redis", &server, Logout::Ends);
    attack("connect-redis", &server, REVIVED);
}

#[test]
fn openid_connect_by_the_code_flow_with_pkce() {
    let Some(place) = npm_install("oidc", 20) else { return };
    let server = Server::start(node(&place, "oidc"));
    drive("oidc", &server, Logout::Ends);
    // Each exchange of the flow is shown, and none of what it carries.
    let file = server.file(&target("oidc"));
    let output = authbench(&["target", "check", "--user", "7"], &file);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said} {}", stderr(&output));
    for part in ["GET /login", "GET /oidc/auth?", "GET /callback?code=***", "GET /me"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("password-7"), "{said}");
    let wrong = |change: fn(&mut LoginStep)| {
        let mut wrong = target("oidc");
        wrong.login.as_mut().unwrap().step.iter_mut().for_each(change);
        let (output, _) = run(&wrong, &server, "browse", "1s");
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
    let Some(command) = python("django") else { return };
    let server = Server::start(command);
    drive("django", &server, Logout::Ends);
    let mut forged = target("django");
    let fields = &mut forged.login.as_mut().unwrap().fields;
    fields.insert("csrfmiddlewaretoken".into(), "f".repeat(64).into());
    refused(&forged, &server);
    attack("django", &server, &[]);
}

#[test]
fn fastapi_with_bearer_tokens() {
    let Some(command) = python("fastapi") else { return };
    let server = Server::start(command);
    drive("fastapi", &server, Logout::ChangesNothing);
    // h11 takes the chunks and keeps the connection, which RFC 9112, 6.1, does not allow it.
    attack("fastapi", &server, &["47m"]);
}

#[test]
fn flask_with_its_signed_cookie() {
    let Some(command) = python("flask") else { return };
    let server = Server::start(command);
    drive("flask", &server, Logout::ChangesNothing);
    // gunicorn finds the broken chunk while Flask reads the body, and nothing makes a 400 of it.
    attack("flask", &server, &["47e"]);
}

#[test]
fn rails_with_its_encrypted_cookie_and_its_authenticity_tokens() {
    let Some(command) = rails() else { return };
    let server = Server::start(command);
    drive("rails", &server, Logout::ChangesNothing);
    let mut forged = target("rails");
    let submit = forged.login.as_mut().unwrap().step.last_mut().unwrap();
    submit.fields.insert("authenticity_token".into(), "f".repeat(64).into());
    refused(&forged, &server);
    attack("rails", &server, &[]);
}

/// What a logout does to a copy of the credential.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Logout {
    Ends,
    ChangesNothing,
}

/// Checks every journey of a target file on its server, puts load on each, and then logs out.
fn drive(name: &str, server: &Server, logout: Logout) {
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
    for journey in journeys {
        check(&target, server, &journey);
        let (output, run) = run(&target, server, &journey, "1s");
        let code = output.status.code().unwrap();
        let error = stderr(&output);
        // A figure of a debug build on a busy machine may be invalid; it must then say why.
        let reason = code == 3 && error.contains("INVALID: ");
        assert!(code == 0 || reason, "{name}, {journey}: {code}: {error}");
        assert_eq!(run["errors"], serde_json::json!({}), "{name}, {journey}: {run}");
        assert!(run["counts"]["ok"].as_u64().unwrap() > 0, "{name}, {journey}: {run}");
        assert_eq!(run["login"]["users"], USERS);
    }
    target.journeys.insert("leave".into(), Journey { steps: vec![leave], ..Journey::default() });
    // The users send a copy: a logout that only clears their cookies changes nothing for them.
    target.cookies = target.cookies.map(|cookies| Cookies { renew: false, ..cookies });
    let (output, run) = run(&target, server, "leave", "200ms");
    let right = run["counts"]["ok"].as_u64().unwrap();
    if logout == Logout::Ends {
        // The first one of each user is right, and ends what the second one would need.
        assert_eq!(right, USERS, "{name}: {run} {}", stderr(&output));
    } else {
        assert!(right > USERS, "{name}: {run}");
        assert_eq!(run["errors"], serde_json::json!({}));
    }
}

/// `authbench target check` finds all as the file says.
fn check(target: &Target, server: &Server, journey: &str) {
    let file = server.file(target);
    let output = authbench(&["target", "check", "--user", "7", "--journey", journey], &file);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}{}", stderr(&output));
    assert!(text.ends_with("all answers as expected\n"), "{text}");
    assert!(!text.contains("password-7"), "{text}");
}

/// A login with a forged token ends the run and is told as what it is.
fn refused(target: &Target, server: &Server) {
    let (output, _) = run(target, server, "browse", "1s");
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(4), "{text}");
    let named = ["login itself", "failed at the step `submit`"];
    assert!(text.contains("the login of user"), "{text}");
    assert!(named.iter().any(|name| text.contains(name)), "{text}");
    assert!(text.contains("status 403") && text.contains("csrf"), "{text}");
}

/// Attacks the server: these cases and no others are findings.
fn attack(name: &str, server: &Server, findings: &[&str]) {
    let file = server.file(&target(name));
    let output = authbench(&["attack", "--guesses", "100", "--format", "json", "--target"], &file);
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let cases = printed["cases"].as_array().unwrap_or_else(|| panic!("{}", stderr(&output)));
    let is_bad = |case: &&Value| ["accepted", "failed"].map(Value::from).contains(&case["outcome"]);
    let bad: Vec<&Value> = cases.iter().filter(is_bad).collect();
    let ids: Vec<&str> = bad.iter().map(|case| case["id"].as_str().unwrap()).collect();
    assert_eq!(ids, findings, "{name}: {bad:#?}");
    assert!(printed["counts"]["refused"].as_u64().unwrap() > 20, "{name}: {}", printed["counts"]);
    let expected = if findings.is_empty() { 0 } else { 4 };
    assert_eq!(output.status.code(), Some(expected), "{name}: {}", stderr(&output));
}

/// Runs a load on the server; the outcome, and the object it printed.
fn run(target: &Target, server: &Server, journey: &str, duration: &str) -> (Output, Value) {
    let users = USERS.to_string();
    let output = authbench(
        &[
            "run",
            "--allow-debug",
            "--format=json",
            "--timeout=10s",
            "--users",
            &users,
            "--journey",
            journey,
            "--duration",
            duration,
            "--target",
        ],
        &server.file(target),
    );
    let printed = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output, printed)
}

/// Runs authbench; the last argument is the target file.
fn authbench(arguments: &[&str], file: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_authbench"));
    command.args(arguments).arg(file).stdin(Stdio::null()).output().unwrap()
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

/// A server that is ready, and a folder for target files that lead to it.
struct Server {
    url: String,
    files: tempfile::TempDir,
    _process: Running,
}

impl Server {
    fn start(mut command: Command) -> Self {
        let files = tempfile::tempdir().unwrap();
        let log = files.path().join("stderr.log");
        command.env("PORT", "0").env("NODE_ENV", "production").stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(fs::File::create(&log).unwrap());
        let child = command.spawn().unwrap();
        let mut process = Running(child);
        let stdout = process.0.stdout.take().unwrap();
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            // What it prints later is read too: a full pipe would stop it.
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let line = lines.recv_timeout(READY).unwrap_or_else(|_| {
            panic!("no line within 30 s: {}", fs::read_to_string(&log).unwrap_or_default())
        });
        let url = line.strip_prefix("ready ").expect("a line `ready URL`").to_string();
        Self { url, files, _process: process }
    }

    /// A file of this target, at this server.
    fn file(&self, target: &Target) -> PathBuf {
        let target = Target { base_url: self.url.clone(), ..target.clone() };
        let path = self.files.path().join("target.toml");
        fs::write(&path, toml::to_string(&target).unwrap()).unwrap();
        path
    }
}

/// A Redis of the test's own, which only this user reaches and which keeps nothing.
struct Redis {
    folder: tempfile::TempDir,
    _process: Running,
}

impl Redis {
    fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--unixsocket", "redis.sock"]);
        command.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::null());
        let Ok(child) = command.spawn() else {
            assert!(!required("STORES"), "redis-server is not installed");
            skipped("connect-redis: redis-server is not installed");
            return None;
        };
        let redis = Self { folder, _process: Running(child) };
        let deadline = Instant::now() + READY;
        while UnixStream::connect(redis.socket()).is_err() {
            assert!(Instant::now() < deadline, "redis-server is not ready");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(redis)
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }
}

fn node(place: &Place, name: &str) -> Command {
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

pub(crate) fn is_unreachable(found: &str) -> bool {
    let codes =
        ["ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH"];
    codes.iter().any(|code| found.contains(code)) || found.starts_with("it took more than")
}
