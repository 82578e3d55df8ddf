//! What people meet who point the command at their own server: each test replays a report.

use std::fs;
use std::io::{BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use loadgen::engine::{self, Addresses, Driver, TransportKind};
use loadgen::error::Interrupt;
use loadgen::journey::Script;
use loadgen::load::{Constant, LoadModel, UserChoice};
use loadgen::plan::LoadPlan;
use serde_json::Value;

use crate::sockets::{Request, read_request};

pub(crate) type Seen = Arc<Mutex<Vec<Request>>>;

/// Starts a server on this address that answers as `reply` says.
pub(crate) fn server_on(
    listener: TcpListener,
    reply: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static,
) -> Seen {
    let (seen, reply) = (Seen::default(), Arc::new(reply));
    let kept = Arc::clone(&seen);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (reply, kept) = (Arc::clone(&reply), Arc::clone(&kept));
            thread::spawn(move || converse(stream, &*reply, &kept));
        }
    });
    seen
}

pub(crate) fn server(
    reply: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static,
) -> (SocketAddr, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (address, server_on(listener, reply))
}

fn converse(stream: TcpStream, reply: &dyn Fn(&Request) -> Vec<u8>, seen: &Mutex<Vec<Request>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    while let Some(asked) = read_request(&mut reader) {
        seen.lock().unwrap().push(asked.clone());
        let answer = reply(&asked);
        if answer.is_empty() || writer.write_all(&answer).is_err() {
            return;
        }
    }
}

/// An answer with this status, these further fields and this body.
pub(crate) fn answer(status: u16, fields: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} X\r\n{fields}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

pub(super) fn authbench(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_authbench"));
    command.args(arguments).stdin(Stdio::null()).output().unwrap()
}

pub(super) fn run(arguments: &[&str]) -> Output {
    let one_user = ["--users", "1"];
    let users = if arguments.contains(&"--users") { &[] } else { &one_user[..] };
    authbench(&[&["run", "--allow-debug", "--duration", "200ms"], users, arguments].concat())
}

pub(super) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

pub(super) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What a run prints for programs.
pub(super) fn figures(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", stderr(output)))
}

/// Expects that a run measured something; on a busy machine it may then say that it was busy.
pub(super) fn measured(output: &Output) {
    // Text for people has the reason on top, JSON has it on standard error.
    let text = stderr(output) + &stdout(output);
    let busy = ["behind their schedule", "its core", "stood still", "had the cores"];
    let is_busy = busy.iter().any(|busy| text.contains(busy));
    let code = output.status.code();
    assert!(code == Some(0) || code == Some(3) && is_busy, "{code:?}: {text}");
}

pub(super) fn written(folder: &Path, text: &str) -> String {
    let path = folder.join("target.toml");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().into()
}

pub(super) const ONE: [&str; 2] = ["--rate", "5/s"];
pub(super) const BOTH: [&str; 2] = ["lean", "reqwest"];

#[test]
fn a_run_in_which_nothing_was_answered_in_time_is_no_success() {
    let (address, _) = server(|_| {
        thread::sleep(Duration::from_millis(1500));
        answer(200, "", b"ok")
    });
    let output = run(&[&format!("http://{address}/"), "--format", "json"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("no right answer came within the 0.2 s"),
        "{}",
        stderr(&output)
    );
    assert_eq!(
        (&figures(&output)["requests"], &figures(&output)["counts"]["ok"]),
        (&0.into(), &1.into())
    );

    let output =
        run(&[&format!("http://{address}/"), "--rate", "0.5/s", "--poisson", "--seed", "3"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stdout(&output).contains("no request was due"), "{}", stdout(&output));
}

/// A descriptor of a server with bearer tokens.
pub(super) fn with_tokens(address: SocketAddr) -> String {
    format!(
        "name = 't'\nbase_url = 'http://{address}'\n[login]\npath = '/login'\n\
         fields = {{ username = '{{username}}', password = '{{password}}' }}\n\
         credential = 'json:/access_token'\nsend = 'header:Authorization: Bearer {{credential}}'\n\
         [journeys.browse]\nsteps = [{{ name = 'me', path = '/me', check = {{ json = '/user', \
         equals = '{{username}}' }} }}]\n"
    )
}

#[test]
fn a_refused_login_keeps_the_servers_reason_and_no_password() {
    let folder = tempfile::tempdir().unwrap();
    let (address, _) = server(|asked| {
        let body = format!("{{\"detail\":\"Field\\n required\",\n \"input\":{}}}", asked.body);
        answer(422, "", body.as_bytes())
    });
    let target = written(folder.path(), &with_tokens(address));
    for command in ["run", "attack"] {
        let debug = if command == "run" { &["--allow-debug"][..] } else { &[] };
        let output = authbench(&[&[command, "--target", &target], debug].concat());
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(4), "{text}");
        assert!(text.contains("status 422, which says: {\"detail\":\"Field"), "{text}");
        assert!(text.contains("[password]") && !text.contains("password-0"), "{text}");
    }
}

#[test]
fn every_header_is_sent_as_often_as_it_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let (address, seen) = server(|_| answer(200, "", b"ok"));
    let target = written(
        folder.path(),
        &format!(
            "name = 't'\nbase_url = 'http://{address}'\nheaders = {{ Cookie = 'z=0', X-C = 'file', \
             X-B = ['1', '2'] }}\n[journeys.browse]\nsteps = [{{ name = 'a', path = '/' }}]\n"
        ),
    );
    let flags = ["Cookie: a=1", "Cookie: b=2", "X-A: 1", "x-a: 2", "x-c: flag"];
    let flags: Vec<&str> = flags.iter().flat_map(|flag| ["--header", flag]).collect();
    for transport in BOTH {
        seen.lock().unwrap().clear();
        let how = ["--target", &target, "--transport", transport];
        measured(&run(&[&how, &ONE[..], &flags].concat()));
        let first = seen.lock().unwrap()[0].clone();
        assert_eq!(first.values("cookie"), ["z=0; a=1; b=2"], "{transport}");
        for (name, values) in [("x-a", &["1", "2"][..]), ("x-b", &["1", "2"]), ("x-c", &["flag"])] {
            assert_eq!(first.values(name), values, "{transport}");
        }
    }
    for (headers, why) in
        [("X-A = 'a', x-a = 'b'", "several spellings"), ("X-A = []", "an empty list")]
    {
        let text = format!(
            "name = 't'\nbase_url = 'http://{address}'\nheaders = {{ {headers} }}\n\
             [journeys.browse]\nsteps = [{{ name = 'a', path = '/' }}]\n"
        );
        let refused = run(&["--target", &written(folder.path(), &text)]);
        assert_eq!(refused.status.code(), Some(2));
        assert!(stderr(&refused).contains(why), "{}", stderr(&refused));
    }
}

/// A target whose one step asks for this path, as this user.
fn asking(address: SocketAddr, username: &str, path: &str) -> String {
    format!(
        "name = \"t\"\nbase_url = \"http://{address}\"\n[users]\nusername = \"{username}\"\n\
         password = \"p\"\n[journeys.browse]\nsteps = [{{ name = \"me\", path = \"{path}\", \
         headers = {{ X-N = \"{{n}}\" }} }}]\n"
    )
}

#[test]
fn what_fills_a_hole_of_a_path_is_percent_encoded() {
    let folder = tempfile::tempdir().unwrap();
    let (address, seen) = server(|_| answer(200, "", b"ok"));
    for (username, path, sent) in [
        ("user+{n}@example.com", "/?u={username}", "/?u=user%2B0%40example.com"),
        ("John Doe {n}", "/{username}", "/John%20Doe%200"),
        ("jürgen-{n}", "/{username}", "/j%C3%BCrgen-0"),
        ("a&b#{n}", "/?u={username}&n={n}", "/?u=a%26b%230&n=0"),
        ("../{n}", "/%7B{username}", "/%7B..%2F0"),
    ] {
        for transport in BOTH {
            seen.lock().unwrap().clear();
            let target = written(folder.path(), &asking(address, username, path));
            let how = ["--target", &target, "--transport", transport];
            let output = run(&[&how, &ONE[..]].concat());
            measured(&output);
            assert_eq!(seen.lock().unwrap()[0].path(), sent, "{transport}");
        }
    }
    let output = run(&[&[&*format!("http://{address}?x=1")], &ONE[..]].concat());
    measured(&output);
    assert_eq!(seen.lock().unwrap().last().unwrap().path(), "/?x=1");
}

#[test]
fn a_mistyped_hole_and_a_line_break_are_refused_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let (address, seen) = server(|_| answer(200, "", b"ok"));
    let refused = |text: &str| {
        let output = run(&["--target", &written(folder.path(), text)]);
        assert_eq!(output.status.code(), Some(2), "{text}: {}", stderr(&output));
        stderr(&output)
    };
    for (path, meant) in [("/{user}", "{username}"), ("/${n}", "{n}"), ("/{{n}}", "{n}")] {
        let text = refused(&asking(address, "user-{n}", path));
        assert!(text.contains(&format!("did you mean {meant}?")), "{text}");
    }
    assert!(refused(&asking(address, "user-{N}", "/")).contains("did you mean {n}?"));
    let in_header = asking(address, "a\\r\\nX-Evil: 1", "/").replace("\"{n}\"", "\"{username}\"");
    assert!(refused(&in_header).contains("line breaks"));
    let lower = asking(address, "u", "/").replace("path", "method = \"post\", path");
    assert!(refused(&lower).contains("did you mean `POST`?"));
    assert!(seen.lock().unwrap().is_empty());
}

#[test]
fn a_server_that_limits_requests_costs_attack_rows_and_not_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let left = std::sync::atomic::AtomicI32::new(150);
    let (address, _) = server(move |asked| {
        if left.fetch_sub(1, std::sync::atomic::Ordering::SeqCst) <= 0 {
            return answer(429, "", b"{\"message\":\"Too many requests\"}");
        }
        let name = |n: u8| asked.body.contains(&format!("\"user-{n}\""));
        let sound = |n: u8| asked.body.contains(&format!("\"password-{n}\"")) && name(n);
        let of = |n: u8| format!("Bearer {}", format!("{n}sessionsessionsession").repeat(2));
        let known = (0..4).find(|n| asked.values("authorization") == [of(*n)]);
        match (asked.path(), (0..4).find(|n| sound(*n)), known) {
            ("/login", Some(n), _) => {
                let token = &of(n)[7..];
                answer(200, "", format!("{{\"access_token\":\"{token}\"}}").as_bytes())
            }
            ("/me", _, Some(n)) => answer(200, "", format!("{{\"user\":\"user-{n}\"}}").as_bytes()),
            _ => answer(401, "", b"{}"),
        }
    });
    let target = written(folder.path(), &with_tokens(address));
    let output = authbench(&["attack", "--target", &target, "--format", "json", "--guesses", "50"]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    let page = figures(&output);
    let found = |case: &&Value| case["found"].as_str().unwrap().contains("429: the server limits");
    let cases = page["cases"].as_array().unwrap();
    let (limited, tried): (Vec<_>, Vec<_>) = cases.iter().partition(found);
    assert!(limited.len() > 5 && tried.len() > 5, "{page:#}");
    assert!(limited.iter().all(|case| case["outcome"] == "failed"));
    assert!(stderr(&output).contains("429"), "{}", stderr(&output));
}

#[test]
fn a_name_with_several_addresses_reaches_the_one_that_listens() {
    let (there, seen) = server(|_| answer(200, "", b"ok"));
    let deaf = SocketAddr::from(([127, 0, 0, 2], there.port()));
    for transport in [TransportKind::Lean, TransportKind::Reqwest { http2_only: false }] {
        let target = engine::get(&format!("http://localhost:{}/", there.port())).unwrap();
        let script = Script::new(&target, "browse").unwrap();
        let driver = Driver {
            addresses: Addresses::new(vec![deaf, there]).unwrap(),
            transport,
            ..Driver::new(script, vec![], 1, Interrupt::default()).unwrap()
        };
        let plan = LoadPlan {
            model: LoadModel::Constant(Constant { rate_per_s: 50.0 }),
            journey: "browse".into(),
            users: 2,
            choice: UserChoice::InTurn,
            connections: 2,
            warmup_ns: 0,
            measure_ns: 200_000_000,
            drain_ns: 30_000_000_000,
            timeout_ns: 20_000_000_000,
            prepare: None,
            renewal: None,
        };
        let load = engine::load(&driver, &plan, 1, |_| {}).unwrap();
        assert_eq!(load.counts.ok, 10, "{:?}", load.counts);
    }
    assert_eq!(seen.lock().unwrap().len(), 20);
}

#[test]
fn a_user_may_allow_more_requests_to_end_with_their_connection() {
    let folder = tempfile::tempdir().unwrap();
    let count = std::sync::atomic::AtomicU32::new(0);
    let (address, _) = server(move |_| {
        let n = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        if n % 20 == 19 { Vec::new() } else { answer(200, "", b"ok") }
    });
    let step = "[journeys.browse]\nsteps = [{ name = 'a', path = '/' }]\n";
    let head = format!("name = 't'\nbase_url = 'http://{address}'\n");
    let allowing = |share: &str| format!("{head}max_transport_errors = '{share}'\n{step}");
    let rate = ["--rate", "200/s", "--connections", "1", "--format", "json"];
    for (text, flag, allowed, invalid) in [
        (head.clone() + step, None, "0.1%", true),
        (allowing("20%"), None, "20%", false),
        (allowing("0.1%"), Some("20%"), "20%", false),
        (allowing("1%"), None, "1%", true),
    ] {
        let target = written(folder.path(), &text);
        let flag: Vec<&str> = flag.map_or(vec![], |share| vec!["--max-transport-errors", share]);
        let output = run(&[&["--target", &target], &rate[..], &flag].concat());
        let page = figures(&output);
        assert!(page["errors"]["closed"].as_u64().unwrap() > 0, "{page:#}");
        assert_eq!(page["max_transport_errors"], allowed);
        let by_errors =
            page["doubts"].as_array().unwrap().iter().any(|doubt| {
                doubt["code"] == "errors" && doubt["invalidates"].as_bool() == Some(true)
            });
        assert_eq!(by_errors, invalid, "{page:#}");
        if by_errors {
            assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        } else {
            measured(&output);
        }
    }
    let refused = run(&["--target", &written(folder.path(), &allowing("often"))]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("expected a share"), "{}", stderr(&refused));
}

#[test]
fn a_compressed_answer_is_told_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let (address, seen) = server(|asked| {
        let (user, token) = (b"{\"user\":\"user-0\"}", b"{\"access_token\":\"t\"}");
        let plain = if asked.path() == "/login" { &token[..] } else { user };
        match asked.values("accept-encoding").first() {
            // Whatever gzip would make of it: nobody looks inside.
            Some(_) => answer(200, "Content-Encoding: gzip\r\n", &[0x1f, 0x8b, 8, 0, 1, 2]),
            None => answer(200, "", plain),
        }
    });
    let login = with_tokens(address);
    let no_login = login.split("[login]").next().unwrap().to_string();
    let no_login = no_login + &login[login.find("[journeys").unwrap()..];
    for transport in BOTH {
        for text in [&login, &no_login] {
            let target = written(folder.path(), text);
            let how = [&["--target", &target, "--transport", transport], &ONE[..]].concat();
            measured(&run(&how));
            let asking = [&how[..], &["--header", "Accept-Encoding: gzip"]].concat();
            let output = run(&asking);
            assert_eq!(output.status.code(), Some(4), "{}", stdout(&output));
            let text = stderr(&output);
            assert!(text.contains("compressed") && text.contains("Accept-Encoding"), "{text}");
        }
    }
    let asked = seen.lock().unwrap();
    assert!(asked.iter().any(|asked| asked.values("accept-encoding").is_empty()));
}

#[test]
fn a_port_that_speaks_tls_and_exact_statuses_are_named() {
    let (address, _) = server(|_| vec![0x15, 3, 1, 0, 2, 2, 10]);
    let output = run(&[&[&*format!("http://{address}/")], &ONE[..]].concat());
    assert_eq!(output.status.code(), Some(4));
    assert!(stderr(&output).contains("https://"), "{}", stderr(&output));

    let (address, _) = server(|_| answer(429, "", b""));
    let output = run(&[&[&*format!("http://{address}/")], &ONE[..]].concat());
    assert_eq!(output.status.code(), Some(4));
    let text = stderr(&output);
    assert!(text.contains("found 1 status_429") && !text.contains("https://"), "{text}");
    assert!(!text.contains("--status"), "{text}");

    let (address, _) = server(|_| answer(204, "", b""));
    let output = run(&[&[&*format!("http://{address}/")], &ONE[..]].concat());
    assert!(stderr(&output).contains("right answer, add --status 204"), "{}", stderr(&output));
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "name = 't'\nbase_url = 'http://{address}'\n[journeys.browse]\n\
         steps = [{{ name = 'me', path = '/' }}]\n"
    );
    let output = run(&[&["--target", &written(folder.path(), &text)], &ONE[..]].concat());
    assert!(stderr(&output).contains("needs `expect_status = 204`"), "{}", stderr(&output));
}

#[test]
fn an_arm_that_was_mistyped_is_guessed() {
    for command in [&["run", "--allow-debug"][..], &["attack"], &["serve"]] {
        let name = if command[0] == "serve" {
            vec!["session@memroy"]
        } else {
            vec!["--arm", "session@memroy"]
        };
        let output = authbench(&[command, &name].concat());
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains("did you mean `session@memory`?"), "{text}");
        assert!(!text.contains("jwt-hs256"), "{text}");
    }
}
