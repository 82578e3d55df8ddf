//! What a target file can say: users from a file, cookies, logins of several requests, captures and
//! checks; and what a plain URL takes in place of one.

use std::fs;
use std::net::SocketAddr;
use std::sync::Mutex;

use serde_json::Value;

use super::field::{
    BOTH, ONE, Seen, answer, authbench, figures, measured, run, server, stderr, stdout,
    with_tokens, written,
};
use super::sockets::Request;

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
fn a_check_of_a_target_follows_the_same_redirects() {
    let folder = tempfile::tempdir().unwrap();
    let check = |text: &str, code: i32| {
        let output = authbench(&["target", "check", &written(folder.path(), text)]);
        let said = stdout(&output);
        assert_eq!(output.status.code(), Some(code), "{said}{}", stderr(&output));
        said
    };
    let (address, _) = with_a_form("after?x=1#top");
    let said = check(&in_steps(address), 0);
    assert!(said.contains("302 is a redirect, followed") && said.contains("/confirm/42"), "{said}");
    assert!(said.contains("all answers as expected"), "{said}");
    let short = check(&in_steps(address).replace("redirects = 3", "redirects = 1"), 4);
    assert!(short.contains("302 is a redirect that is not followed"), "{short}");
    assert!(short.contains("not sent because the login failed"), "{short}");
    let (address, _) = with_a_form("/loop");
    assert!(check(&in_steps(address), 4).contains("is not followed"));
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

/// Fault 12: a target says what is right.
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
    for (expects, found) in [
        ("check = { json = '/ok', equals = false }", "expected `false`, found `true`"),
        ("check = { json = '/ok', equals = 'true' }", "the boolean `true`, which a target file"),
        ("check = { json = '/nk', equals = true }", "found nothing there"),
    ] {
        let said = stdout(&authbench(&["target", "check", &target("200", expects)]));
        assert!(said.contains(found), "{expects}: {said}");
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
