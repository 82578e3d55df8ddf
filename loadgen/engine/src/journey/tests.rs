//! Descriptors lowered into scripts, and what the scripts then send, accept and hold.

mod cookies;
mod logins;
mod refreshes;

use contract::{BodyFormat, Cookies, Step, Target};

use super::*;

fn target() -> Target {
    toml::from_str(
        r#"
        name = "t"
        base_url = "http://127.0.0.1:80"
        headers = { X-Trace = "u{n}" }
        [login]
        path = "/login"
        fields = { password = "{password}", username = "{username}" }
        credential = "cookie:sid"
        send = "cookie:sid"
        [journeys.browse]
        steps = [{ name = "me", path = "/me", check = { json = "/user_id", equals = "{n}" } }]
        "#,
    )
    .unwrap()
}

#[test]
fn the_scheme_decides_on_tls_and_on_the_port() {
    for (base_url, tls, host, port) in [
        ("http://a.test", false, "a.test", 80),
        ("https://a.test", true, "a.test", 443),
        ("https://a.test:8443/", true, "a.test", 8443),
        ("https://[::1]", true, "::1", 443),
        ("http://[::1]:81", false, "::1", 81),
    ] {
        let target = Target { base_url: base_url.into(), ..target() };
        let script = Script::new(&target, "browse").unwrap();
        assert_eq!((script.tls, script.host_and_port()), (tls, (host, port)), "{base_url}");
        assert_eq!(script.origin(), base_url.trim_end_matches('/'));
    }
}

/// A target with this table `[login.csrf]`, whose login and steps use the token.
fn guarded(csrf: &str, after: &str) -> Target {
    let text = format!(
        r#"
        name = "t"
        base_url = "http://127.0.0.1:80"
        headers = {{ Cookie = "lang=en" }}
        [login]
        path = "/login"
        format = "form"
        fields = {{ username = "{{username}}", token = "{{csrf}}" }}
        headers = {{ X-CSRF = "{{csrf}}" }}
        credential = "cookie:sid"
        send = "cookie:sid"
        [login.csrf]
        path = "/form?u={{n}}"
        {csrf}
        [journeys.browse]
        steps = [{{ name = "me", path = "/me" }}]
        [journeys.cart]
        steps = [{{ name = "add", method = "POST", path = "/cart", {after} }}]
        "#
    );
    toml::from_str(&text).unwrap()
}

const WHO: Who<'static> = Who { n: 5, credential: b"abc" };

fn answer<'a>(status: u16, headers: &'a [httparse::Header<'a>], body: &'a [u8]) -> Answer<'a> {
    Answer { status, headers, body }
}

/// The user of whom this is held.
fn user(held: &[u8]) -> Who<'_> {
    Who { n: 5, credential: held }
}

fn set(cookie: &str) -> httparse::Header<'_> {
    httparse::Header { name: "Set-Cookie", value: cookie.as_bytes() }
}

/// A request's headers and body as they are sent when `held` is held of the user.
fn sent(request: &Request, held: &str) -> (Vec<(String, String)>, String) {
    let who = Who { n: 5, credential: held.as_bytes() };
    let headers = request.headers.iter().map(|(name, value)| (name.clone(), value.text(who)));
    (headers.collect(), request.body.as_ref().map_or_else(String::new, |body| body.text(who)))
}

fn pairs(headers: &[(&str, &str)]) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

#[test]
fn a_descriptor_becomes_requests() {
    let script = Script::new(&target(), "browse").unwrap();
    let login = &script.requests[script.login.unwrap()];
    assert_eq!(
        login.body.as_ref().unwrap().text(WHO),
        r#"{"password":"password-5","username":"user-5"}"#
    );
    let me = &script.requests[script.steps.start];
    let (headers, _) = sent(me, "abc");
    assert_eq!(headers, pairs(&[("X-Trace", "u5"), ("Cookie", "sid=abc")]));
    assert_eq!(
        (script.csrf, script.login, script.steps, script.logout),
        (None, Some(0), 1..2, None)
    );
}

#[test]
fn a_form_is_encoded() {
    let mut target = target();
    let login = target.login.as_mut().unwrap();
    login.format = BodyFormat::Form;
    login.fields.insert("username".into(), "a b&{username}".into());
    let script = Script::new(&target, "browse").unwrap();
    let body = script.requests[0].body.as_ref().unwrap().text(WHO);
    assert_eq!(body, "password=password-5&username=a+b%26user-5");
    for (format, body) in [(BodyFormat::Json, "{}"), (BodyFormat::Form, "")] {
        let login = target.login.as_mut().unwrap();
        (login.format, login.fields) = (format, std::collections::BTreeMap::new());
        let script = Script::new(&target, "browse").unwrap();
        assert_eq!(sent(&script.requests[0], "").1, body);
    }
}

/// Fault 12: every answer is checked.
#[test]
fn only_the_right_answer_passes() {
    let script = Script::new(&target(), "browse").unwrap();
    let judge = |status, body: &str| {
        script.judge(script.steps.start, WHO, &answer(status, &[], body.as_bytes()))
    };
    assert_eq!(judge(200, r#"{"user_id":5}"#), Ok(()));
    assert_eq!(judge(200, r#"{"user_id":6}"#), Err(Mismatch::WrongUser));
    assert_eq!(judge(200, r#"{"user_id":55}"#), Err(Mismatch::WrongUser));
    assert_eq!(judge(200, "oops"), Err(Mismatch::WrongUser));
    assert_eq!(judge(401, r#"{"user_id":5}"#), Err(Mismatch::Status(401)));
}

#[test]
fn a_logout_is_the_last_request_and_carries_the_credential() {
    let mut target = target();
    let text = "path = '/logout'\nheaders = { X-Why = 'bye-{n}' }";
    target.logout = Some(toml::from_str(text).unwrap());
    let script = Script::new(&target, "browse").unwrap();
    assert_eq!((script.steps.clone(), script.logout), (1..2, Some(2)));
    let logout = script.requests.last().unwrap();
    assert_eq!((logout.method.as_str(), &logout.expect_status), ("POST", &204.into()));
    let headers = pairs(&[("X-Trace", "u5"), ("Cookie", "sid=abc"), ("X-Why", "bye-5")]);
    assert_eq!(sent(logout, "abc"), (headers, String::new()));
}

#[test]
fn a_steps_own_headers_and_encoding_count() {
    let mut target = target();
    let steps = "steps = [
        { name = 'a', method = 'POST', path = '/a', body = '{ \"u\": \"{username}\" }',
          headers = { x-trace = 'own', Cookie = 'b=2' } },
        { name = 'b', method = 'PUT', path = '/b', format = 'form', body = 'a=1&u={username}' },
        { name = 'c', method = 'PUT', path = '/c', body = 'x', headers = { Content-Type = 't/x' } },
    ]";
    target.users.username = Some("\"{n}\"".into());
    target.journeys.insert("own".into(), toml::from_str(steps).unwrap());
    let script = Script::new(&target, "own").unwrap();
    let sent: Vec<_> = script.requests[1..].iter().map(|request| sent(request, "abc")).collect();
    let json = ("Content-Type", "application/json");
    let headers = pairs(&[("X-Trace", "own"), ("Cookie", "sid=abc; b=2"), json]);
    assert_eq!(sent[0], (headers, r#"{ "u": "\"5\"" }"#.into()));
    assert_eq!(sent[1].0[2].1, "application/x-www-form-urlencoded");
    assert_eq!(sent[1].1, "a=1&u=%225%22");
    assert_eq!(sent[2].0[2], ("Content-Type".into(), "t/x".into()));
}

#[test]
fn a_descriptor_that_cannot_work_is_refused() {
    let refused = |change: &dyn Fn(&mut Target), journey: &str| {
        let mut target = target();
        change(&mut target);
        Script::new(&target, journey).unwrap_err().to_string()
    };
    assert!(refused(&|_| {}, "nope").contains("expected a journey among browse, found `nope`"));
    assert!(refused(&|t| t.journeys.clear(), "browse").contains("[journeys.browse]"));
    assert!(refused(&|t| t.base_url = "ftp://x".into(), "browse").contains("http://HOST:PORT"));
    assert!(refused(&|t| t.base_url = "http://x/y".into(), "browse").contains("found"));
    for framing in ["Content-Length", "transfer-encoding", "Connection"] {
        let with = |t: &mut Target| {
            t.headers.insert(framing.into(), "5".into());
        };
        assert!(refused(&with, "browse").contains("expected no header"), "{framing}");
    }
    for (base_url, why) in [
        ("http://user:pw@127.0.0.1", "without user and password"),
        ("http://127.0.0.1:99999", "a port from 1"),
        ("http://[::1]:0", "a port from 1"),
    ] {
        assert!(refused(&|t| t.base_url = base_url.into(), "browse").contains(why), "{base_url}");
    }
    assert!(refused(&|t| t.login.as_mut().unwrap().path = "login".into(), "browse").contains("/"));
    let bad_method = |t: &mut Target| {
        t.journeys.get_mut("browse").unwrap().steps[0].method = "G T".into();
    };
    assert!(refused(&bad_method, "browse").contains("step `me`: expected an HTTP method"));
    let bad_header = |t: &mut Target| {
        t.headers.insert("A".into(), "x\r\nB: y".into());
    };
    assert!(refused(&bad_header, "browse").contains("control character"));
    let bad_step_header = |t: &mut Target| {
        let step = &mut t.journeys.get_mut("browse").unwrap().steps[0];
        step.headers.insert("A B".into(), "x".into());
    };
    assert!(refused(&bad_step_header, "browse").contains("step `me`: `A B` is not a header name"));
    let bad_cookie = |t: &mut Target| {
        t.login.as_mut().unwrap().send = "cookie:a\r\nX: y".parse().unwrap();
    };
    assert!(refused(&bad_cookie, "browse").contains("not a cookie name"));
    let no_token = |t: &mut Target| {
        let step = &mut t.journeys.get_mut("browse").unwrap().steps[0];
        step.headers.insert("X-CSRF".into(), "{csrf}".into());
    };
    let text = refused(&no_token, "browse");
    assert!(text.contains("step `me`") && text.contains("needs a table [login.csrf]"), "{text}");

    let mut too_early = guarded("token = \"json:/t\"", "");
    too_early.headers.insert("X-CSRF".into(), "{csrf}".into());
    let text = Script::new(&too_early, "browse").unwrap_err().to_string();
    assert!(text.contains("where no token is known"), "{text}");
    let misspelt = toml::from_str::<Target>("name = 't'\nbase_url = 'x'\n[logout]\npaht = '/'\n");
    assert!(misspelt.unwrap_err().to_string().contains("paht"));
}

/// As where a token carries the cart: each answer has the next one, and what else is held stays.
#[test]
fn a_step_may_replace_the_credential_and_nothing_else() {
    let csrf = "token = \"json:/csrf\"\ncookies = [\"lang\"]";
    let after = "credential = \"json:/token\", body = '{\"t\":\"{csrf}\"}'";
    let script = Script::prepared(&guarded(csrf, after), "browse", Some("cart")).unwrap();
    let (prepare, steps) = (script.prepare.clone(), script.steps.clone());
    assert_eq!((prepare.clone(), steps), (2..3, 3..4), "what prepares comes first");
    let held = |headers: &[httparse::Header<'_>], body: &str| {
        let answer = answer(200, headers, body.as_bytes());
        String::from_utf8(script.capture(2, user(b"sid\nen\ntok"), &answer).unwrap()).unwrap()
    };
    assert_eq!(held(&[], r#"{"token":"next","csrf":"not this"}"#), "next\nen\ntok");
    assert_eq!(held(&[], "{}"), "sid\nen\ntok", "an answer without one leaves it");
    assert_eq!(held(&[set("lang=de")], r#"{"token":"n"}"#), "n\nde\ntok", "cookies as ever");
    let other = script.capture(3, user(b"sid"), &answer(200, &[], b"{}"));
    assert_eq!(other, Ok(vec![]), "others hold none");
}

#[test]
fn an_anonymous_journey_has_no_login_and_sends_no_credential() {
    let mut target = target();
    let mut login = target.journeys["browse"].clone();
    login.anonymous = true;
    login.steps[0].body = Some("{username}:{password}".into());
    target.journeys.insert("login".into(), login);
    let script = Script::new(&target, "login").unwrap();
    assert_eq!((script.login, script.logout, script.steps.clone()), (None, None, 0..1));
    let (headers, body) = sent(&script.requests[0], "");
    assert!(headers.iter().all(|(name, _)| name != "Cookie"), "{headers:?}");
    assert_eq!(body, "user-5:password-5");
    for (journey, prepare) in [("login", "browse"), ("browse", "login")] {
        let refused = Script::prepared(&target, journey, Some(prepare)).unwrap_err();
        assert!(refused.to_string().contains("anonymous"), "{refused}");
    }
    target.journeys.get_mut("login").unwrap().steps[0].credential =
        Some("json:/token".parse().unwrap());
    let refused = Script::new(&target, "login").unwrap_err().to_string();
    assert!(refused.contains("nobody logs in"), "{refused}");
}
