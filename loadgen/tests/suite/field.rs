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
fn server_on(
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

fn authbench(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_authbench"));
    command.args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn run(arguments: &[&str]) -> Output {
    let one_user = ["--users", "1"];
    let users = if arguments.contains(&"--users") { &[] } else { &one_user[..] };
    authbench(&[&["run", "--allow-debug", "--duration", "200ms"], users, arguments].concat())
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What a run prints for programs.
fn figures(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", stderr(output)))
}

/// Expects that a run measured something; on a busy machine it may then say that it was busy.
fn measured(output: &Output) {
    let text = stderr(output);
    let busy = ["behind their schedule", "its core", "stood still", "had the cores"];
    let is_busy = busy.iter().any(|busy| text.contains(busy));
    let code = output.status.code();
    assert!(code == Some(0) || code == Some(3) && is_busy, "{code:?}: {text}");
}

fn written(folder: &Path, text: &str) -> String {
    let path = folder.join("target.toml");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().into()
}

const ONE: [&str; 2] = ["--rate", "5/s"];
const BOTH: [&str; 2] = ["lean", "reqwest"];

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
    assert!(stderr(&output).contains("no request was due"), "{}", stderr(&output));
}

/// A descriptor of a server with bearer tokens.
fn with_tokens(address: SocketAddr) -> String {
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

/// The names that logins brought, in the order in which they came.
fn names(seen: &Seen) -> Vec<String> {
    let seen = seen.lock().unwrap();
    let logins = seen.iter().filter(|asked| asked.path() == "/login");
    let body = |asked: &Request| serde_json::from_str::<Value>(&asked.body).unwrap();
    let mut names: Vec<_> =
        logins.map(|asked| body(asked)["username"].as_str().unwrap().to_string()).collect();
    names.sort();
    names
}

/// A server that gives everyone their name as a token, and says whose it is.
fn names_as_tokens() -> (SocketAddr, Seen) {
    server(|asked| {
        if asked.path() == "/login" {
            let body: Value = serde_json::from_str(&asked.body).unwrap();
            let token = serde_json::json!({ "access_token": body["username"] });
            return answer(200, "", token.to_string().as_bytes());
        }
        let user = asked.values("authorization")[0].trim_start_matches("Bearer ").to_string();
        answer(200, "", serde_json::json!({ "user": user }).to_string().as_bytes())
    })
}

#[test]
fn users_come_from_a_file_or_from_a_first_number_with_zeros() {
    let folder = tempfile::tempdir().unwrap();
    let (address, seen) = names_as_tokens();
    let text = with_tokens(address);
    let rows = "username,password,dept\nann,\"a,\"\"b\",north\nbob x,pw,south\ncy,pw,east\n";
    fs::write(folder.path().join("users.csv"), rows).unwrap();
    let in_file = format!("{text}[users]\nfile = 'users.csv'\n")
        .replace("[login]", "headers = { X-Dept = '{dept}' }\n[login]");
    let counted = format!("{text}[users]\nfirst = 9\npad = 3\nusername = 'u{{n}}'\n");
    let later = in_file.replace("file =", "first = 1\nfile =");
    for transport in BOTH {
        for (text, users, logged_in) in [
            (&in_file, "3", &["ann", "bob x", "cy"][..]),
            (&later, "2", &["bob x", "cy"]),
            (&counted, "2", &["u009", "u010"]),
        ] {
            seen.lock().unwrap().clear();
            let target = written(folder.path(), text);
            let how = ["--target", &target, "--users", users, "--transport", transport];
            measured(&run(&[&how, &ONE[..]].concat()));
            assert_eq!(names(&seen), logged_in, "{transport}");
            let south =
                seen.lock().unwrap().iter().any(|asked| asked.values("x-dept") == ["south"]);
            assert_eq!(south, text.contains("users.csv"), "a column in a header");
        }
    }
    let refused = |text: &str, more: &[&str]| {
        let target = written(folder.path(), text);
        let output = run(&[&["--target", &target], more].concat());
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        stderr(&output)
    };
    let few = refused(&in_file, &["--users", "4"]);
    assert!(few.contains("at least 4 users in") && few.contains("found 3"), "{few}");
    assert!(few.contains("users.csv") && few.contains("--users"), "{few}");
    let slip = refused(&in_file.replace("{dept}", "{detp}"), &[]);
    assert!(slip.contains("did you mean {dept}?") && slip.contains("{username}"), "{slip}");
    fs::write(folder.path().join("users.csv"), "username,dept\nann,north\n").unwrap();
    let without = refused(&in_file, &["--users", "1"]);
    assert!(without.contains("found `{password}`"), "{without}");
    fs::write(folder.path().join("users.csv"), "").unwrap();
    assert!(refused(&in_file, &[]).contains("found an empty file"));
}

/// A target whose users log in to a session in cookies, with these further lines.
fn with_cookies(address: SocketAddr, more: &str) -> String {
    format!(
        "name = 't'\nbase_url = 'http://{address}'\n{more}\n[login]\npath = '/login'\n\
         fields = {{ username = '{{username}}' }}\ncredential = 'cookie:session'\n\
         send = 'cookie:session'\n[journeys.browse]\nsteps = [{{ name = 'me', path = '/me' }}, \
         {{ name = 'renew', path = '/auth/renew' }}]\n"
    )
}

#[test]
fn all_cookies_of_a_login_go_back_in_one_header_by_their_paths() {
    let folder = tempfile::tempdir().unwrap();
    let (address, seen) = server(|asked| {
        let cookies = match asked.path() {
            "/login" => {
                let set = [
                    "session=s1; path=/; httponly",
                    "session.sig=x_y-z; path=/; httponly",
                    "long=1; Path=/auth",
                    "old=1; Path=/",
                    "old=; Path=/; Max-Age=0",
                ];
                let fields: String = set.map(|cookie| format!("Set-Cookie: {cookie}\r\n")).concat();
                return answer(200, &fields, b"{}");
            }
            "/me" => ["session=s1; session.sig=x_y-z"],
            _ => ["session=s1; long=1; session.sig=x_y-z"],
        };
        answer(if asked.values("cookie") == cookies { 200 } else { 401 }, "", b"{}")
    });
    for transport in BOTH {
        let target = written(folder.path(), &with_cookies(address, ""));
        let how = ["--target", &target, "--users", "2", "--rate", "50/s", "--transport", transport];
        let output = run(&[&how[..], &["--format", "json"]].concat());
        measured(&output);
        assert_eq!(figures(&output)["errors"], serde_json::json!({}), "{transport}");
    }
    let visits = ["--visits", "20/s", "--requests", "2", "--format", "json"];
    let target = written(folder.path(), &with_cookies(address, ""));
    let output = run(&[&["--target", &target], &visits[..]].concat());
    measured(&output);
    assert_eq!(figures(&output)["errors"], serde_json::json!({}));
    let alone = with_cookies(address, "cookies = { keep = false }");
    let output = run(&[&["--target", &written(folder.path(), &alone)], &ONE[..]].concat());
    assert_eq!(output.status.code(), Some(4), "{}", stdout(&output));
    assert!(seen.lock().unwrap().iter().any(|asked| asked.values("cookie") == ["session=s1"]));
    let slip = with_cookies(address, "cookies = { renwe = true }");
    let refused = run(&["--target", &written(folder.path(), &slip)]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("did you mean `renew`?"), "{}", stderr(&refused));
}

/// As with sessions that are signed anew with every answer: only the last signature is good.
#[test]
fn cookies_that_answers_renew_are_followed_where_a_target_asks_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let last = Mutex::new(std::collections::HashMap::<String, u64>::new());
    let (address, _) = server(move |asked| {
        let mut last = last.lock().unwrap();
        if asked.path() == "/login" {
            let user: String = asked.body.chars().filter(char::is_ascii_digit).collect();
            last.insert(user.clone(), 0);
            let set =
                format!("Set-Cookie: session={user}; Path=/\r\nSet-Cookie: sig=0; Path=/\r\n");
            return answer(200, &(set + "Set-Cookie: first=1; Path=/\r\n"), b"{}");
        }
        let cookies = asked.values("cookie").concat();
        let user = cookies["session=".len()..].split(';').next().unwrap().to_string();
        let count = last.get_mut(&user).unwrap();
        let first = if *count == 0 { "; first=1" } else { "" };
        if cookies != format!("session={user}; sig={count}{first}") {
            return answer(401, "", b"{}");
        }
        *count += 1;
        let set =
            format!("Set-Cookie: sig={count}; Path=/\r\nSet-Cookie: first=; Path=/; Max-Age=0\r\n");
        answer(200, &set, b"{}")
    });
    for transport in BOTH {
        for (more, errors) in [("cookies = { renew = true }", false), ("", true)] {
            let target = written(folder.path(), &with_cookies(address, more));
            let how = ["--target", &target, "--users", "3", "--transport", transport];
            let output = run(&[&how[..], &["--format", "json"]].concat());
            let counts = &figures(&output)["counts"];
            assert!(counts["ok"].as_u64().unwrap() > if errors { 2 } else { 30 }, "{counts:#}");
            let refused = figures(&output)["errors"]["status_401"].as_u64().unwrap_or(0);
            assert_eq!(refused > 0, errors, "{transport}: {}", stdout(&output));
        }
    }
}

/// As with a form of a web application: a page with a token, a POST that redirects twice, and a
/// session in a cookie that the first redirect sets. `leads` says where the POST leads.
fn with_a_form(leads: &'static str) -> (SocketAddr, Seen) {
    let found = |location: &str, fields: &str| {
        answer(302, &format!("Location: {location}\r\n{fields}"), b"")
    };
    server(move |asked| {
        let cookie = asked.values("cookie").concat();
        let path = asked.path().to_string();
        let names = |text: &str, n: &u8| text.contains(&format!("session=s{n}"));
        let session = (0..4).find(|n| names(&cookie, n));
        let form = |n: &u8| format!("token={n}%2B&user={{\"name\":\"user-{n}\",\"ok\":true}}");
        match (path.as_str(), session) {
            ("/sso/login", None) if cookie == "pre=1" => {
                match (0..4).find(|n| asked.body == form(n)) {
                    Some(n) => found(leads, &format!("Set-Cookie: session=s{n}; Path=/\r\n")),
                    None => answer(400, "", asked.body.as_bytes()),
                }
            }
            ("/sso/after?x=1", Some(_)) if cookie.contains("pre=1") => {
                found("../home", "Set-Cookie: pre=; Path=/; Max-Age=0\r\n")
            }
            ("/home", Some(_)) if !cookie.contains("pre") => answer(200, "", b"code=42;"),
            ("/confirm/42", Some(_)) => answer(204, "", b""),
            ("/me", Some(n)) => answer(200, "", format!("{{\"user\":\"user-{n}\"}}").as_bytes()),
            ("/loop", _) => found("/loop", ""),
            (page, None) if page.starts_with("/login?u=") && cookie.is_empty() => {
                let n = &page["/login?u=".len()..];
                let page = format!("<form><input name=\"_csrf\" value=\"{n}&#43;\"></form>");
                answer(200, "Set-Cookie: pre=1; Path=/\r\n", page.as_bytes())
            }
            _ => answer(404, "", cookie.as_bytes()),
        }
    })
}

/// The target file of such a server.
fn in_steps(address: SocketAddr) -> String {
    format!(
        r#"
        name = "t"
        base_url = "http://{address}"
        [login]
        credential = "cookie:session"
        send = "cookie:session"
        [[login.step]]
        name = "form"
        path = "/login?u={{n}}"
        capture = {{ csrf = "html:_csrf" }}
        [[login.step]]
        name = "submit"
        path = "/sso/login"
        format = "form"
        body = 'token={{csrf}}&user={{"name":"{{username}}","ok":true}}'
        redirects = 3
        capture = {{ code = "regex:code=([0-9]+)" }}
        [[login.step]]
        name = "confirm"
        path = "/confirm/{{code}}"
        expect_status = 204
        [journeys.browse]
        [[journeys.browse.steps]]
        name = "me"
        path = "/me"
        check = {{ json = "/user", equals = "{{username}}" }}
        [logout]
        path = "/home"
        method = "GET"
        expect_status = 200
        "#
    )
}

#[test]
fn a_login_of_several_requests_captures_values_and_follows_redirects() {
    let folder = tempfile::tempdir().unwrap();
    let (address, seen) = with_a_form("after?x=1#top");
    let text = in_steps(address);
    let target = written(folder.path(), &text);
    for transport in BOTH {
        let how = ["--target", &target, "--users", "2", "--transport", transport];
        for load in [&["--rate", "50/s"][..], &["--visits", "20/s", "--requests", "1"]] {
            seen.lock().unwrap().clear();
            let output = run(&[&how[..], load, &["--format", "json"]].concat());
            measured(&output);
            let page = figures(&output);
            assert_eq!(page["errors"], serde_json::json!({}), "{transport}: {page:#}");
            let asked = seen.lock().unwrap();
            let paths: Vec<_> = asked.iter().map(|asked| asked.path().to_string()).collect();
            assert!(paths.contains(&"/confirm/42".into()), "{paths:?}");
        }
    }
    let output = authbench(&["attack", "--target", &target, "--format", "json", "--guesses", "5"]);
    assert!(!stderr(&output).contains("cannot be attacked"), "{}", stderr(&output));
    assert!(!stderr(&output).contains("the login of user"), "{}", stderr(&output));
    let refused = |text: &str, code: i32| {
        let output = run(&["--target", &written(folder.path(), text), "--users", "1"]);
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        stderr(&output)
    };
    let short = refused(&text.replace("redirects = 3", "redirects = 1"), 4);
    assert!(short.contains("step `submit redirected`") && short.contains("raise it"), "{short}");
    let none = refused(&text.replace("redirects = 3", ""), 4);
    assert!(none.contains("step `submit`") && none.contains("status 302"), "{none}");
    assert!(none.contains("Location: after?x=1"), "{none}");
    let lacking = refused(&text.replace("html:_csrf", "html:token"), 4);
    assert!(
        lacking.contains("step `form`") && lacking.contains("without `html:token`"),
        "{lacking}"
    );
    for (leads, why) in [
        ("/loop", "one redirect more than `redirects` allows"),
        ("http://example.com/", "a redirect to another host"),
        ("#", "without a Location"),
    ] {
        let (address, _) = with_a_form(leads);
        let said = refused(&in_steps(address), 4);
        assert!(said.contains(why) && said.contains("Location: "), "{said}");
    }
}

#[test]
fn a_login_in_steps_that_cannot_work_is_refused_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let (address, seen) = with_a_form("/home");
    let text = in_steps(address);
    for (from, to, why) in [
        ("path = \"/login?u={n}\"", "path = \"/login?u={code}\"", "a cycle"),
        ("capture = { csrf = \"html:_csrf\" }", "", "where no token is known"),
        ("path = \"/login?u={n}\"", "path = \"/login?u={csrf}\"", "only its own answer gives"),
        (
            "[[login.step]]\n        name = \"form\"",
            "path = \"/x\"\n[[login.step]]\n name = \"form\"",
            "found both",
        ),
        ("capture = { csrf", "captuer = { csrf", "did you mean `capture`?"),
        ("html:_csrf", "htm:_csrf", "expected `cookie:NAME`"),
        ("regex:code=([0-9]+)", "regex:code=(", "expected a pattern"),
        ("csrf = \"html", "password = \"html", "a name of its own"),
        ("{csrf}", "{crsf}", "did you mean {csrf}?"),
        ("redirects = 3", "redirects = 30", "at most 20"),
        ("redirects = 3", "redirects = 300", "`300`"),
        ("redirects = 3", "fields = { a = 1 }", "found both"),
        ("format = \"form\"", "format = \"from\"", "did you mean `form`?"),
        (
            "name = \"confirm\"",
            "name = \"confirm\"\nbody = ''\nmethod = \"GET\"",
            "expected a GET without",
        ),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        let output = run(&["--target", &written(folder.path(), &changed)]);
        assert_eq!(output.status.code(), Some(2), "{to}: {}", stderr(&output));
        assert!(stderr(&output).contains(why), "{to}: {}", stderr(&output));
    }
    let late = text
        .replace("path = \"/sso/login\"", "path = \"/sso/{late}\"")
        .replace("expect_status = 204", "expect_status = 204\ncapture = { late = \"header:X\" }")
        .replace("/confirm/{code}", "/confirm");
    let output = run(&["--target", &written(folder.path(), &late)]);
    let moved = "which step `confirm` captures after it; move `confirm` before `submit`";
    assert!(stderr(&output).contains(moved), "{}", stderr(&output));
    assert!(seen.lock().unwrap().is_empty());
}

#[test]
fn checks_look_for_texts_and_booleans_and_accept_several_statuses() {
    let folder = tempfile::tempdir().unwrap();
    let (address, _) = server(|asked| match asked.path() {
        "/304" => answer(304, "", b""),
        "/201" => answer(201, "", b"{\"ok\":true,\"text\":\"hello user-0, 7 new\",\"n\":7}"),
        _ => answer(200, "", b"{\"ok\":true,\"text\":\"hello user-0, 7 new\",\"n\":7}"),
    });
    let target = |path: &str, expects: &str| {
        let text = format!(
            "name = 't'\nbase_url = 'http://{address}'\n[journeys.browse]\nsteps = [{{ name = \
             'a', path = '/{path}', {expects} }}]\n"
        );
        written(folder.path(), &text)
    };
    for transport in BOTH {
        for (path, expects, class) in [
            ("304", "expect_status = [200, 304]", None),
            ("201", "expect_status = [200, 201], check = { contains = 'hello {username},' }", None),
            ("201", "expect_status = [200, 204]", Some("status_201")),
            ("200", "check = { json = '/ok', equals = true, contains = '7 new' }", None),
            ("200", "check = { json = '/ok', equals = false }", Some("check")),
            ("200", "check = { json = '/ok', equals = 'true' }", Some("wrong_user")),
            ("200", "check = { json = '/n', equals = 7 }", None),
            ("200", "check = { json = '/n', equals = 8 }", Some("wrong_user")),
            ("200", "check = { contains = 'hello user-1' }", Some("check")),
            ("200", "check = { json = '/n', equals = 7, contains = 'bye' }", Some("check")),
        ] {
            let target = target(path, expects);
            let how = ["--target", &target, "--transport", transport, "--users", "1"];
            let output = run(&[&how[..], &ONE[..], &["--format", "json"]].concat());
            let errors = figures(&output)["errors"].clone();
            match class {
                None => {
                    measured(&output);
                    assert_eq!(errors, serde_json::json!({}), "{expects}");
                }
                Some(class) => {
                    assert_eq!(output.status.code(), Some(4), "{expects}: {errors}");
                    assert!(errors[class].as_u64() > Some(0), "{expects}: {errors}");
                }
            }
        }
    }
    for (expects, why) in [
        ("expect_status = []", "an empty list"),
        ("expect_status = 'ok'", "a status such as 200"),
        ("expect_status = [99]", "found 99"),
        ("check = {}", "found neither"),
        ("check = { json = '/a' }", "found `json` without `equals`"),
        ("check = { equals = 'a' }", "found `equals` without `json`"),
        ("check = { contains = '' }", "found neither"),
        ("check = { json = '/a', equals = [1] }", "or a boolean"),
        ("check = { json = 'a', equals = 'b' }", "a JSON pointer"),
        ("check = { contians = 'a' }", "did you mean `contains`?"),
        ("check = { contains = '{usrname}' }", "did you mean {username}?"),
    ] {
        let output = run(&["--target", &target("200", expects)]);
        assert_eq!(output.status.code(), Some(2), "{expects}: {}", stderr(&output));
        assert!(stderr(&output).contains(why), "{expects}: {}", stderr(&output));
    }
}

#[test]
fn a_plain_url_takes_a_method_a_body_and_statuses() {
    let (address, seen) = server(|asked| match asked.body.as_str() {
        "{\"n\":0}" => answer(204, "", b""),
        "" => answer(302, "Location: /\r\n", b""),
        _ => answer(200, "", b"ok"),
    });
    let url = format!("http://{address}/items");
    let kind = ["--header", "Content-Type: application/json"];
    for transport in BOTH {
        for (flags, line, body) in [
            (
                &["--method", "PUT", "--body", "{\"n\":{n}}", "--status", "204"][..],
                "PUT",
                "{\"n\":0}",
            ),
            (&["--body", "a&b \"c\"", "--status", "200,204"], "POST", "a&b \"c\""),
            (&["--method", "DELETE", "--status", "302"], "DELETE", ""),
        ] {
            seen.lock().unwrap().clear();
            let how = [&[url.as_str()][..], &ONE, &kind, &["--transport", transport]].concat();
            measured(&run(&[&how[..], flags].concat()));
            let first = seen.lock().unwrap()[0].clone();
            assert!(first.line.starts_with(&format!("{line} /items ")), "{}", first.line);
            assert_eq!(first.body, body, "{transport}");
            assert_eq!(first.values("content-type"), ["application/json"]);
        }
    }
    for (flags, why) in [
        (&["--method", "get"][..], "did you mean `GET`?"),
        (&["--method", "G T"], "expected an HTTP method"),
        (&["--status", "20"], "expected --status from 200 to 999, found 20"),
        (&["--status", "ok"], "ok"),
        (&["--body", "{{n}}"], "did you mean {n}?"),
    ] {
        let output = run(&[&[url.as_str()][..], flags].concat());
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(why), "{flags:?}: {}", stderr(&output));
    }
    let target = run(&["--target", "x.toml", "--method", "PUT"]);
    assert_eq!(target.status.code(), Some(2), "{}", stderr(&target));
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
            drain_ns: 3_000_000_000,
            timeout_ns: 2_000_000_000,
            prepare: None,
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
