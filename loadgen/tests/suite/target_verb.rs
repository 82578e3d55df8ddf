//! `authbench target check` and `from-har`: what they show and write, and that no secret is in it.
//! Recordings are written by hand here, and what is drafted from them is tried on a server.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use loadgen::sanitise::document;
use serde_json::{Value, json};

use crate::field::{answer, server};
use crate::sockets::Request;

fn authbench(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_authbench"));
    command.arg("target").args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Writes a file; its path.
fn written(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().into()
}

fn pairs(pairs: &[(&str, &str)]) -> Value {
    pairs.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect()
}

/// A recorded request without a body.
fn got(url: &str, headers: &[(&str, &str)]) -> Value {
    json!({ "method": "GET", "url": url, "headers": pairs(headers) })
}

/// A recorded request with one.
fn posted(url: &str, headers: &[(&str, &str)], media_type: &str, body: &str) -> Value {
    json!({ "method": "POST", "url": url, "headers": pairs(headers),
            "postData": { "mimeType": media_type, "text": body } })
}

fn answered(status: u16, headers: &[(&str, &str)], media_type: &str, body: &str) -> Value {
    json!({ "status": status, "headers": pairs(headers),
            "content": { "mimeType": media_type, "text": body } })
}

fn har(calls: &[(Value, Value)]) -> String {
    let entries: Vec<_> = calls
        .iter()
        .map(|(request, response)| json!({ "request": request, "response": response }))
        .collect();
    json!({ "log": { "version": "1.2", "entries": entries } }).to_string()
}

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
/// Secrets of the recordings.
const SECRETS: [&str; 4] = ["Hunter-2", "sess-ann7-f00d", "csrf-one", "tok.ann7.c0ffee"];

/// A server with a form, a token against forgery, and sessions.
fn with_sessions(asked: &Request) -> Vec<u8> {
    let cookies = asked.values("cookie").join("; ");
    let user = || cookies.split("sid=sess-").nth(1).map(|rest| rest.split('-').next().unwrap());
    match (asked.line.split(' ').next().unwrap(), asked.path()) {
        ("GET", "/login") => {
            let page = "<form><input type='hidden' name='_csrf' value='csrf-two'></form>";
            answer(200, "Set-Cookie: pre=visit; Path=/\r\n", page.as_bytes())
        }
        ("POST", "/login") if asked.body.contains("_csrf=csrf-two") && cookies == "pre=visit" => {
            let fields: Vec<&str> = asked.body.split('&').collect();
            let value =
                |name: &str| fields.iter().find_map(|field| field.strip_prefix(name)).unwrap();
            let (name, password) = (value("username="), value("password="));
            let n = name.strip_prefix("ann").unwrap();
            if password != format!("password-{n}") {
                return answer(403, "", b"wrong password");
            }
            let cookie = format!("Set-Cookie: sid=sess-{name}-beef; HttpOnly\r\nLocation: /\r\n");
            answer(302, &cookie, b"")
        }
        ("GET", "/me") => match user() {
            Some(user) => answer(200, "", json!({ "user": user }).to_string().as_bytes()),
            None => answer(401, "", b"{}"),
        },
        ("POST", "/cart") if asked.values("x-csrf-token") == ["csrf-two"] => answer(201, "", b"{}"),
        _ => answer(404, "", b"{}"),
    }
}

/// What a browser records of a visit to it.
fn recorded_sessions(origin: &str) -> String {
    let url = |path: &str| format!("{origin}{path}");
    let page = "<form><input type='hidden' name='_csrf' value='csrf-one'></form>";
    let cookie = ("Cookie", "pre=visit; sid=sess-ann7-f00d");
    let logged_in = [("Set-Cookie", "sid=sess-ann7-f00d; HttpOnly"), ("Location", "/")];
    let body = "_csrf=csrf-one&username=ann7&password=Hunter-2";
    har(&[
        (
            got(&url("/login"), &[]),
            answered(200, &[("Set-Cookie", "pre=visit")], "text/html", page),
        ),
        (got(&url("/app.js"), &[]), answered(200, &[], "text/javascript", "x")),
        (
            posted(&url("/login"), &[("Cookie", "pre=visit")], FORM, body),
            answered(302, &logged_in, "", ""),
        ),
        (
            got(&url("/me"), &[cookie, ("Authorization", "Basic SHVudGVy")]),
            answered(200, &[], JSON, r#"{"user":"ann7"}"#),
        ),
        (got(&url("/logo.png"), &[cookie]), answered(200, &[], "image/png", "")),
        (got("https://other.example/count?token=abc", &[]), answered(200, &[], JSON, "{}")),
        (
            posted(
                &url("/cart"),
                &[cookie, ("X-CSRF-Token", "csrf-one")],
                JSON,
                r#"{"item":"book"}"#,
            ),
            answered(201, &[], JSON, "{}"),
        ),
        (posted(&url("/logout"), &[cookie], "", ""), answered(302, &[], "", "")),
    ])
}

#[test]
fn a_login_with_a_form_is_drafted_and_works() {
    let folder = tempfile::tempdir().unwrap();
    let (address, _) = server(with_sessions);
    let recording =
        written(folder.path(), "a.har", &recorded_sessions(&format!("http://{address}")));
    let path = folder.path().join("a.toml");
    let path = path.to_str().unwrap();
    let output = authbench(&["from-har", &recording, "-o", path]);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = fs::read_to_string(path).unwrap();
    for line in [
        "username = \"ann{n}\"",
        "password = \"password-{n}\"",
        "format = \"form\"",
        "expect_status = 302",
        "credential = \"cookie:sid\"",
        "send = \"cookie:sid\"",
        "token = \"html:_csrf\"",
        "cookies = [\"pre\"]",
        "name = \"post cart\"",
        "headers = { \"X-CSRF-Token\" = \"{csrf}\" }",
        "check = { json = \"/user\", equals = \"{username}\" }",
        "[logout]",
    ] {
        assert!(text.lines().any(|found| found == line), "no `{line}` in {text}");
    }
    for gone in [&SECRETS[..], &["app.js", "logo.png", "other.example", "SHVudGVy"]].concat() {
        assert!(!text.contains(gone), "{gone}: {text}");
    }
    assert!(stderr(&output).contains("1 requests to other hosts"), "{}", stderr(&output));

    let checked = authbench(&["check", path, "--user", "12"]);
    assert!(checked.status.success(), "{}{}", stdout(&checked), stderr(&checked));
    let shown = stdout(&checked);
    assert!(shown.contains("check: expected `ann12`, found `ann12`"), "{shown}");
    assert!(shown.contains("> Cookie: sid=***"), "{shown}");
    assert!(shown.contains("4 requests sent, all answers as expected"), "{shown}");
    for secret in ["password-12", "csrf-two", "sess-ann12-beef"] {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
}

#[test]
fn a_login_with_a_token_is_drafted_and_works() {
    let (address, _) = server(|asked: &Request| match asked.path() {
        "/api/login" => {
            let body: Value = serde_json::from_str(&asked.body).unwrap();
            let name = body["email"].as_str().unwrap();
            if body["passwd"] != "password-3" || body["remember"] != true {
                return answer(401, "", b"{}");
            }
            let token = json!({ "data": { "accessToken": format!("tok.{name}.beef") } });
            answer(200, "", token.to_string().as_bytes())
        }
        _ => match asked.values("authorization").first().and_then(|t| t.strip_prefix("Token tok."))
        {
            Some(_) => answer(200, "", b"{}"),
            None => answer(401, "", b"{}"),
        },
    });
    let url = |path: &str| format!("http://{address}{path}");
    let login = r#"{"email":"ann7@example.com","passwd":"Hunter-2","remember":true}"#;
    let token = r#"{"data":{"accessToken":"tok.ann7.c0ffee","name":"Ann"}}"#;
    let carried = [("Authorization", "Token tok.ann7.c0ffee")];
    let text = har(&[
        (posted(&url("/api/register"), &[], JSON, login), answered(200, &[], JSON, token)),
        (posted(&url("/api/login"), &[], JSON, login), answered(200, &[], JSON, token)),
        (
            got(&url("/api/users/ann7%40example.com?api_key=s3cr3t&page=2"), &carried),
            answered(304, &[], JSON, ""),
        ),
        (
            posted(&url("/api/note"), &carried, JSON, r#"{"text":"hi","pin":1234}"#),
            answered(200, &[], JSON, "{}"),
        ),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let recording = written(folder.path(), "a.har", &text);
    let output = authbench(&["from-har", &recording]);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    for line in [
        "username = \"ann{n}@example.com\"",
        "path = \"/api/login\"",
        "credential = \"json:/data/accessToken\"",
        "send = \"header:Authorization: Token {credential}\"",
        "path = \"/api/users/{username}?api_key=FILL-IN&page=2\"",
        "body = \"{\\\"text\\\":\\\"hi\\\",\\\"pin\\\":\\\"FILL-IN\\\"}\"",
    ] {
        assert!(text.lines().any(|found| found == line), "no `{line}` in {text}");
    }
    for secret in [&SECRETS[..], &["s3cr3t", "1234"]].concat() {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    assert!(stderr(&output).contains("FILL-IN stands where"), "{}", stderr(&output));
    let path = written(folder.path(), "a.toml", &text);
    let checked = authbench(&["check", &path, "--user", "3"]);
    assert!(checked.status.success(), "{}{}", stdout(&checked), stderr(&checked));
    assert!(!stdout(&checked).contains("tok.ann3"), "{}", stdout(&checked));
}

/// As OpenStack has it, and with values of every type.
#[test]
fn a_login_with_nested_json_is_drafted_and_works() {
    let (address, seen) = server(|asked: &Request| {
        if asked.path() != "/v3/auth/tokens" {
            let is_known = asked.values("x-auth-token") == ["tok.ann3.beef"];
            return if is_known { answer(200, "", b"{}") } else { answer(401, "", b"{}") };
        }
        let body: Value = serde_json::from_str(&asked.body).unwrap();
        let user = &body["auth"]["identity"]["password"]["user"];
        let is_right = user["name"] == "ann3" && user["password"] == "password-3";
        let status = if is_right { 201 } else { 401 };
        answer(status, "X-Subject-Token: tok.ann3.beef\r\n", b"{}")
    });
    let url = |path: &str| format!("http://{address}{path}");
    let login = r#"{"auth":{"identity":{"methods":["password"],"password":{"user":{
        "domain":{"id":"default"},"name":"ann7","password":"Hunter-2"}}},
        "scope":null,"hours":8,"ratio":0.5,"keep":true,"tags":[],"otp":123456}}"#;
    let given = [("X-Subject-Token", "tok.ann7.c0ffee")];
    let carried = [("X-Auth-Token", "tok.ann7.c0ffee")];
    let text = har(&[
        (posted(&url("/v3/auth/tokens"), &[], JSON, login), answered(201, &given, JSON, "{}")),
        (got(&url("/servers"), &carried), answered(200, &[], JSON, "{}")),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let output = authbench(&["from-har", &written(folder.path(), "a.har", &text)]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("are null are left out"), "{}", stderr(&output));
    let text = stdout(&output);
    for secret in [&SECRETS[..], &["123456"]].concat() {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    let path = written(folder.path(), "a.toml", &text);
    let checked = authbench(&["check", &path, "--user", "3"]);
    assert!(checked.status.success(), "{text}{}{}", stdout(&checked), stderr(&checked));
    let sent: Value = serde_json::from_str(&seen.lock().unwrap()[0].body).unwrap();
    let user = json!({ "domain": { "id": "default" }, "name": "ann3", "password": "password-3" });
    let identity = json!({ "methods": ["password"], "password": { "user": user } });
    let rest = json!({ "identity": identity, "hours": 8, "ratio": 0.5, "keep": true, "tags": [],
                       "otp": "FILL-IN" });
    assert_eq!(sent, json!({ "auth": rest }));
}

#[test]
fn a_recording_without_a_login_has_a_journey_without_one() {
    let folder = tempfile::tempdir().unwrap();
    let call = |url: &str| (got(url, &[]), answered(200, &[], "text/html", "<p>"));
    let calls =
        [call("http://h:1/"), call("http://h:1/"), call("http://h:1/a b"), call("http://cdn/")];
    let recording = written(folder.path(), "a.har", &har(&calls));
    let output = authbench(&["from-har", &recording]);
    let (text, said) = (stdout(&output), stderr(&output));
    assert!(output.status.success() && said.contains("no login was recorded"), "{said}");
    assert!(text.contains("base_url = \"http://h:1\"") && !text.contains("[login]"), "{text}");
    assert_eq!(
        text.matches("[[journeys.browse.steps]]").count(),
        1,
        "a page twice in a row: {text}"
    );
}

#[test]
fn recordings_that_make_no_target_are_refused_with_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let login = r#"{"user":"ann7","password":"Hunter-2"}"#;
    let at = "http://h:1/login";
    let ok = || answered(200, &[], JSON, "{}");
    let token = answered(200, &[], JSON, r#"{"token":"tok.ann7.c0ffee"}"#);
    for (text, part) in [
        (String::new(), "expected a HAR file"),
        ("{\"log\":{}}".into(), "missing field `entries`"),
        (har(&[]), "found none but for scripts and pictures"),
        (har(&[(posted(at, &[], JSON, login), ok())]), "keep sensitive data: export it again"),
        (har(&[(posted(at, &[], JSON, login), token)]), "expected requests after the login"),
    ] {
        let recording = written(folder.path(), "a.har", &text);
        let output = authbench(&["from-har", &recording]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{part}: {said}");
        assert!(said.contains(part) && said.contains("a.har"), "{part}: {said}");
        assert!(output.stdout.is_empty() && !said.contains("Hunter-2"), "{said}");
    }
    let output = authbench(&["from-har", "no.har"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

#[test]
fn what_a_recording_says_reaches_no_terminal_unchanged() {
    const HOSTILE: &str = "\u{1b}[2J\u{202e}\u{e0041}\"\n[logout]\npath='/x'";
    let folder = tempfile::tempdir().unwrap();
    let login = json!({ "user": HOSTILE, "password": "Hunter-2", HOSTILE: HOSTILE }).to_string();
    let token = json!({ "token": "tok.ann7.c0ffee", HOSTILE: HOSTILE }).to_string();
    let body = json!({ HOSTILE: HOSTILE }).to_string();
    let cookie = format!("{HOSTILE}=1");
    let (a, b) = ("http://h:1/login", "http://h:1/%1b%5b2J?a=%0a");
    let carried = [("Authorization", "Bearer tok.ann7.c0ffee"), ("X-Requested-With", HOSTILE)];
    let text = har(&[
        (posted(a, &[], JSON, &login), answered(200, &[("Set-Cookie", &cookie)], JSON, &token)),
        (posted(b, &carried[..1], JSON, &body), answered(200, &[], JSON, "{}")),
        (posted(b, &carried, HOSTILE, &body), answered(200, &[], JSON, "{}")),
    ]);
    let recording = written(folder.path(), "a.har", &text);
    let output = authbench(&["from-har", &recording]);
    let printed = format!("{}{}", stdout(&output), stderr(&output));
    assert_eq!(document(&printed), printed, "{printed}");
    assert!(output.status.success(), "{printed}");
    let target: servers::contract::Target = toml::from_str(&stdout(&output)).unwrap();
    assert!(target.logout.is_none(), "a forged table: {printed}");
    let fields = &target.login.as_ref().unwrap().fields;
    assert_eq!(fields[HOSTILE], "{username}".into(), "the same text, in its hole");
    // A header with a line break cannot be sent, so that step is left out.
    assert!(stderr(&output).contains("is left out"), "{printed}");
    assert_eq!(target.journeys["browse"].steps.len(), 1);
}

/// A target file for a server with tokens.
fn with_tokens(address: impl std::fmt::Display) -> String {
    format!(
        "name = 't'\nbase_url = 'http://{address}'\n[login]\npath = '/login'\n\
         fields = {{ username = '{{username}}', password = '{{password}}' }}\n\
         credential = 'json:/access_token'\nsend = 'header:Authorization: Bearer {{credential}}'\n\
         [journeys.browse]\nsteps = [{{ name = 'me', path = '/me', check = {{ json = '/user', \
         equals = '{{username}}' }} }}]\n"
    )
}

#[test]
fn a_check_says_what_was_found_and_shows_no_secret() {
    let (address, seen) = server(|asked: &Request| match asked.path() {
        "/login" => {
            answer(200, "Set-Cookie: other=c00kie-value\r\n", b"{\"access_token\":\"t0p-secret\"}")
        }
        _ => answer(200, "", b"{\"user\":\"user-8\",\"echo\":\"t0p-secret\"}"),
    });
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), "t.toml", &with_tokens(address));
    let output = authbench(&["check", &path, "--user", "7"]);
    let (shown, said) = (stdout(&output), stderr(&output));
    assert_eq!(output.status.code(), Some(4), "{shown}{said}");
    for part in [
        "t at http://",
        "> POST /login HTTP/1.1",
        "> {\"password\":\"***\",\"username\":\"user-7\"}",
        "< set-cookie: other=***",
        "ok      `json:/access_token`: found",
        "> Authorization: Bearer ***",
        "< {\"user\":\"user-8\",\"echo\":\"***\"}",
        "FAILED  check: expected `user-7`, found `user-8`",
        "2 requests sent, 1 not answered as expected",
    ] {
        assert!(shown.to_lowercase().contains(&part.to_lowercase()), "no `{part}` in {shown}");
    }
    assert!(said.contains("`me`: check: expected `user-7`, found `user-8`"), "{said}");
    for secret in ["password-7", "t0p-secret", "c00kie-value"] {
        assert!(!shown.contains(secret) && !said.contains(secret), "{secret}: {shown}{said}");
    }
    assert_eq!(seen.lock().unwrap().len(), 2, "each request once");

    let right = authbench(&["check", &path, "--user", "8"]);
    assert!(right.status.success(), "{}", stderr(&right));
    assert!(stdout(&right).contains("2 requests sent, all answers as expected"));
    let url = authbench(&["check", &format!("http://{address}/me")]);
    assert!(url.status.success(), "{}", stderr(&url));
}

#[test]
fn a_check_ends_where_the_login_fails() {
    let (address, seen) = server(|_| answer(422, "", b"{\"detail\":\"password-0 is too short\"}"));
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), "t.toml", &with_tokens(address));
    let output = authbench(&["check", &path]);
    let shown = stdout(&output);
    assert_eq!(output.status.code(), Some(4), "{shown}");
    assert!(shown.contains("FAILED  status: expected 200, found 422"), "{shown}");
    assert!(shown.contains("1 not sent because the login failed"), "{shown}");
    assert!(shown.contains("*** is too short"), "{shown}");
    assert_eq!(seen.lock().unwrap().len(), 1);
    for (arguments, code, part) in [
        (&["check", "no.toml"][..], 2, "no.toml"),
        (&["check", &path, "--journey", "x"], 2, "expected a journey"),
        (&["check", "http://127.0.0.1:1/"], 4, "no connection"),
        (&["check"], 2, "<FILE|URL>"),
        (&["chek"], 2, "check"),
    ] {
        let output = authbench(arguments);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains(part), "{arguments:?}: {text}");
    }
}
