//! Descriptors lowered into scripts, and what the scripts then send, accept and hold.

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
fn a_login_without_a_token_holds_the_credential_and_nothing_else() {
    let script = Script::new(&target(), "browse").unwrap();
    let credential =
        |headers: &[httparse::Header<'_>]| script.capture(0, user(b""), &answer(200, headers, b""));
    assert_eq!(credential(&[set("a=b"), set("sid=abc; Path=/")]).as_deref(), Ok(&b"abc"[..]));
    assert_eq!(credential(&[set("a=b")]), Err(Mismatch::Missing(0)));
    assert_eq!(credential(&[set("sid=a\tb")]), Err(Mismatch::Missing(0)));
    let long = |length| format!("sid={}", "x".repeat(length));
    assert!(credential(&[set(&long(CREDENTIAL_BYTES_MAX))]).is_ok());
    let longer = long(CREDENTIAL_BYTES_MAX + 1);
    assert_eq!(credential(&[set(&longer)]), Err(Mismatch::TooLong(0)));
}

/// As Django has it: the token is a cookie, the login sets it anew, and what writes brings it in a
/// header as well.
#[test]
fn a_token_in_a_cookie_goes_back_with_it_and_follows_what_the_login_sets() {
    let after = "headers = { x-csrf = \"{csrf}\" }";
    let target = guarded("token = \"cookie:csrftoken\"", after);
    let script = Script::new(&target, "cart").unwrap();
    assert_eq!((script.csrf, script.login, script.steps.clone()), (Some(0), Some(1), 2..3));
    assert_eq!(script.requests[0].path.text(WHO), "/form?u=5");
    assert_eq!(sent(&script.requests[0], "").0, pairs(&[("Cookie", "lang=en")]));

    let before = script.capture(0, user(b""), &answer(200, &[set("csrftoken=one")], b"")).unwrap();
    assert_eq!(before, b"one");
    let (headers, body) = sent(&script.requests[1], "one");
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let cookies = ("Cookie", "lang=en; csrftoken=one");
    assert_eq!(headers, pairs(&[cookies, ("X-CSRF", "one"), form]));
    assert_eq!(body, "token=one&username=user-5");

    let login = |headers: &[httparse::Header<'_>]| {
        let held = script.capture(1, user(&before), &answer(200, headers, b""));
        held.map(|held| String::from_utf8(held).unwrap())
    };
    let held = login(&[set("csrftoken=two"), set("sid=abc")]).unwrap();
    assert_eq!(held, "abc\ntwo");
    let (headers, _) = sent(&script.requests[2], &held);
    let cookies = ("Cookie", "lang=en; sid=abc; csrftoken=two");
    assert_eq!(headers, pairs(&[cookies, ("x-csrf", "two")]));
    assert_eq!(login(&[set("sid=abc")]).unwrap(), "abc\none", "it was not set anew");
    assert_eq!(login(&[set("csrftoken=two")]), Err(Mismatch::Missing(0)));
}

/// As with a token kept in the session: a cookie before the login, another one after it.
#[test]
fn a_token_of_a_session_needs_its_cookie_and_may_change_with_the_login() {
    let csrf = "token = \"json:/csrf\"\ncookies = [\"sid\"]\nafter_login = \"json:/next\"";
    let after = "format = \"form\", body = \"item=a&token={csrf}\"";
    let target = guarded(csrf, after);
    let script = Script::new(&target, "cart").unwrap();
    let json = br#"{"csrf":"a+b"}"#;
    let first = answer(200, &[], json);
    assert_eq!(script.capture(0, user(b""), &first), Err(Mismatch::Missing(1)), "no cookie");
    let cookie = [set("sid=early")];
    let before = script.capture(0, user(b""), &answer(200, &cookie, json)).unwrap();
    assert_eq!(before, b"a+b\nearly");
    let (headers, body) = sent(&script.requests[1], "a+b\nearly");
    assert!(headers.contains(&("Cookie".into(), "lang=en; sid=early".into())), "{headers:?}");
    assert_eq!(body, "token=a%2Bb&username=user-5");

    let login = |cookies: &[httparse::Header<'_>], body: &[u8]| {
        script.capture(1, user(&before), &answer(200, cookies, body))
    };
    let held = login(&[set("sid=late")], br#"{"next":"c=d"}"#).unwrap();
    assert_eq!(held, b"late\nc=d");
    let (headers, body) = sent(&script.requests[2], "late\nc=d");
    assert!(headers.contains(&("Cookie".into(), "lang=en; sid=late".into())), "{headers:?}");
    assert_eq!(body, "item=a&token=c%3Dd");
    assert_eq!(login(&[], br#"{"next":"c"}"#).as_deref(), Ok(&b"early\nc"[..]), "same session");
    assert_eq!(login(&[set("sid=late")], b"{}"), Err(Mismatch::Missing(1)));
}

#[test]
fn the_fields_of_a_login_may_be_nested() {
    let with = |format: &str, fields: &str| {
        let mut target = target();
        let login = format!(
            "path = '/l'\nformat = '{format}'\nfields = {{ {fields} }}\n\
             credential = 'cookie:sid'\nsend = 'cookie:sid'"
        );
        target.login = Some(toml::from_str(&login).unwrap());
        let script = Script::new(&target, "browse").map_err(|e| e.to_string())?;
        Ok::<_, String>(sent(&script.requests[0], "").1)
    };
    let fields = "user = { name = '{username}', tags = ['a\"', 1, 1.5, true] }, ok = false, n = 7";
    let json = r#"{"n":7,"ok":false,"user":{"name":"user-5","tags":["a\"",1,1.5,true]}}"#;
    assert_eq!(with("json", fields), Ok(json.into()));
    assert_eq!(with("form", "a = ['{n}', 'b c'], ok = true"), Ok("a=5&a=b+c&ok=true".into()));
    assert!(with("form", fields).unwrap_err().contains("`user` of a form"));
    assert!(with("raw", "a = 1").unwrap_err().contains("expected a `body`"));
    assert!(with("json", "a = inf").unwrap_err().contains("a number that JSON has"));
    let wrong = toml::from_str::<Target>("name = 't'\nbase_url = 'x'\n[login]\nfields = 3");
    assert!(wrong.is_err());
    for date in ["a = 2020-01-01", "a = { b = [2020-01-01] }"] {
        assert!(with("json", date).unwrap_err().contains("`a`, found a date"), "{date}");
        assert!(with("form", date).unwrap_err().contains("found a date"), "{date}");
    }
}

#[test]
fn a_login_may_be_a_get_or_have_a_raw_body() {
    let with = |login: &str| {
        let mut target = target();
        let rest = "\ncredential = 'cookie:sid'\nsend = 'cookie:sid'";
        target.login = Some(toml::from_str(&(login.to_string() + rest)).unwrap());
        Script::new(&target, "browse").map(|script| script.requests[0].clone())
    };
    let get = with("method = 'GET'\npath = '/l?u={username}&p={password}'").unwrap();
    assert_eq!((get.method.as_str(), get.body.is_none()), ("GET", true));
    assert_eq!(get.path.text(WHO), "/l?u=user-5&p=password-5");
    let raw = "path = '/l'\nformat = 'raw'\nheaders = { Content-Type = 'text/xml' }\n";
    let raw = with(&format!("{raw}body = '<u>{{username}}</u>'")).unwrap();
    let kind = ("Content-Type", "text/xml");
    assert_eq!(sent(&raw, ""), (pairs(&[("X-Trace", "u5"), kind]), "<u>user-5</u>".into()));
    let raw = with("path = '/l'\nformat = 'raw'\nbody = 'x'").unwrap();
    assert_eq!(sent(&raw, "").0, pairs(&[("X-Trace", "u5")]), "nobody says what it is");
    for (login, why) in [
        ("method = 'GET'\npath = '/l'\nfields = { a = 'b' }", "expected a GET without"),
        ("path = '/l'\nbody = 'x'\nfields = { a = 'b' }", "`fields` or a `body`"),
        ("fields = { a = 'b' }", "expected a `path`"),
        ("method = 'get'\npath = '/l'", "did you mean `GET`?"),
    ] {
        let refused = with(login).unwrap_err().to_string();
        assert!(refused.contains(why), "{refused}");
    }
}

#[test]
fn a_redirect_keeps_what_is_held_and_leads_on_the_same_host() {
    let mut target = target();
    let login = target.login.as_mut().unwrap();
    (login.redirects, login.expect_status) = (2, 200.into());
    let script = Script::new(&target, "browse").unwrap();
    assert_eq!((script.login, script.logins.clone(), script.steps.clone()), (Some(0), 0..2, 2..3));
    let to =
        |location: &'static str| httparse::Header { name: "Location", value: location.as_bytes() };
    let first = [set("sid=abc; Path=/"), to("/next?a=1")];
    let onward = script.onward(0, 0, user(b""), &answer(302, &first, b"")).unwrap();
    assert_eq!((onward.next, onward.hops), (Some(1), 1));
    let who = user(&onward.held);
    assert_eq!(script.requests[1].path.text(who), "/next?a=1");
    let held = String::from_utf8(onward.held.clone()).unwrap();
    assert_eq!(sent(&script.requests[1], &held).0[1], ("Cookie".into(), "sid=abc".into()));
    let again = script.onward(1, 1, who, &answer(303, &[to("/last")], b"")).unwrap();
    assert_eq!((again.next, again.hops), (Some(1), 2));
    let who = user(&again.held);
    let often = script.onward(1, 2, who, &answer(302, &[to("/last")], b""));
    assert_eq!(often, Err(Mismatch::Redirect(Astray::Often)));
    let done = script.onward(1, 2, who, &answer(200, &[set("b=2; Path=/")], b"")).unwrap();
    assert_eq!((done.next, field(&done.held, 0)), (None, &b"abc"[..]));
    let held = String::from_utf8(done.held).unwrap();
    let (headers, _) = sent(&script.requests[2], &held);
    assert_eq!(headers[1], ("Cookie".into(), "sid=abc; b=2".into()));
    for (status, headers, astray) in [
        (302, &[to("http://other/")][..], Astray::Elsewhere),
        (302, &[], Astray::Nowhere),
        (307, &[to("/x")], Astray::Again),
    ] {
        let found = script.onward(0, 0, user(b""), &answer(status, headers, b""));
        assert_eq!(found, Err(Mismatch::Redirect(astray)));
    }
    let none = script.onward(0, 0, user(b""), &answer(200, &[], b""));
    assert_eq!(none, Err(Mismatch::Missing(0)), "no cookie, in no answer");
}

/// As with cookie-session: the session in one cookie, and its signature in another.
#[test]
fn all_cookies_of_a_login_go_back_in_one_header_by_their_paths() {
    let mut target = target();
    target.cookies = Some(Cookies::default());
    target.headers.insert("Cookie".into(), "lang=en".into());
    let step = &mut target.journeys.get_mut("browse").unwrap().steps;
    step.push(Step { name: "other".into(), path: "/a/{n}".into(), ..step[0].clone() });
    step[0].headers.insert("cookie".into(), "own=1".into());
    let script = Script::new(&target, "browse").unwrap();
    let set =
        [set("sid=abc; Path=/"), set("sid.sig=x; Path=/"), set("a=5; Path=/a/5"), set("sid=abd")];
    let held = script.capture(0, user(b""), &answer(200, &set, b"")).unwrap();
    assert_eq!(field(&held, 0), b"abd");
    let held = String::from_utf8(held).unwrap();
    let cookies = |request: usize, held: &str| {
        let (headers, _) = sent(&script.requests[request], held);
        headers.into_iter().find(|(name, _)| name == "Cookie").unwrap().1
    };
    assert_eq!(cookies(1, &held), "lang=en; sid=abd; own=1; sid.sig=x");
    assert_eq!(cookies(2, &held), "lang=en; sid=abd; a=5; sid.sig=x");
    let bare = script.capture(0, user(b""), &answer(200, &set[..1], b"")).unwrap();
    assert_eq!(bare, b"abc", "without other cookies not a byte more is held");
    assert_eq!(cookies(2, "abc"), "lang=en; sid=abc");
}

#[test]
fn one_cookie_is_held_and_sent_as_without_a_jar() {
    let mut target = target();
    let without = Script::new(&target, "browse").unwrap();
    target.cookies = Some(Cookies::default());
    let with = Script::new(&target, "browse").unwrap();
    let login = [set("sid=abc; Path=/")];
    for script in [&without, &with] {
        let held = script.capture(0, user(b""), &answer(200, &login, b"")).unwrap();
        assert_eq!(held, b"abc");
        assert_eq!(sent(&script.requests[1], "abc"), sent(&without.requests[1], "abc"));
        // What no login gives shows that all there is gets sent as it stands.
        let (headers, _) = sent(&script.requests[1], "a\nb");
        assert_eq!(headers[1], ("Cookie".into(), "sid=a\nb".into()), "no field is looked for");
        assert!(!script.renew && script.requests[1].captures.is_empty(), "nor any Set-Cookie");
    }
}

#[test]
fn a_cookie_from_before_the_login_is_the_credential_unless_the_login_sets_it() {
    let mut target = guarded("token = \"json:/csrf\"", "body = '{csrf}'");
    target.cookies = Some(Cookies::default());
    let script = Script::new(&target, "cart").unwrap();
    let (json, early) = (br#"{"csrf":"t"}"#, [set("sid=early"), set("lb=1")]);
    let before = script.capture(0, user(b""), &answer(200, &early, json)).unwrap();
    let (headers, _) = sent(&script.requests[1], std::str::from_utf8(&before).unwrap());
    assert!(headers.contains(&("Cookie".into(), "lang=en; sid=early; lb=1".into())), "{headers:?}");
    let login = |cookies: &[httparse::Header<'_>]| {
        script.capture(1, user(&before), &answer(200, cookies, b"")).unwrap()
    };
    for (cookies, sid) in [(&[][..], "early"), (&[set("sid=late")], "late")] {
        let held = String::from_utf8(login(cookies)).unwrap();
        let (headers, body) = sent(&script.requests[2], &held);
        let expected = format!("lang=en; sid={sid}; lb=1");
        assert!(headers.contains(&("Cookie".into(), expected)), "{headers:?}");
        assert_eq!(body, "t");
    }
}

#[test]
fn answers_change_cookies_where_a_target_asks_for_it() {
    let mut target = target();
    let script = Script::new(&target, "browse").unwrap();
    let both = [set("sid=new"), set("b=2")];
    assert!(!script.renew && !script.changes(1, &answer(200, &both, b"")), "nothing by default");
    target.cookies = Some(Cookies { renew: true, ..Cookies::default() });
    let script = Script::new(&target, "browse").unwrap();
    assert!(script.renew && !script.changes(1, &answer(200, &[], b"")));
    let next = |held: &[u8], cookies: &[httparse::Header<'_>]| {
        assert!(script.changes(1, &answer(200, cookies, b"")));
        script.capture(1, user(held), &answer(200, cookies, b"")).unwrap()
    };
    let held = next(b"abc", &both);
    assert_eq!(held, b"new\n/\x1fb=2\x1e");
    assert_eq!(next(&held, &[set("c=3")]), b"new\n/\x1fb=2; c=3\x1e");
    assert_eq!(next(&held, &[set("sid=; Max-Age=0"), set("b=; Max-Age=0")]), b"");
    target.login = None;
    let refused = Script::new(&target, "browse").unwrap_err().to_string();
    assert!(refused.contains("expected a table [login]"), "{refused}");
}

#[test]
fn a_token_that_stays_is_held_only_where_it_is_used() {
    let csrf = "token = \"html:_csrf\"";
    let script = Script::new(&guarded(csrf, "body = '{\"t\":\"{csrf}\"}'"), "cart").unwrap();
    let page = br#"<form><input type="hidden" name="_csrf" value="t&quot;k"></form>"#;
    let before = script.capture(0, user(b""), &answer(200, &[], page)).unwrap();
    let sid = [set("sid=abc")];
    let login = answer(200, &sid, b"");
    let held = script.capture(1, user(&before), &login).unwrap();
    assert_eq!(held, b"abc\nt\"k");
    assert_eq!(sent(&script.requests[2], "abc\nt\"k").1, r#"{"t":"t\"k"}"#);

    let script = Script::new(&guarded(csrf, "body = '{}'"), "browse").unwrap();
    assert_eq!(script.capture(1, user(&before), &login).as_deref(), Ok(&b"abc"[..]));
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

/// A target with a bearer token that this refreshes.
fn refreshed(tables: &str) -> Target {
    let text = format!(
        r#"
        name = "t"
        base_url = "http://127.0.0.1:80"
        [login]
        path = "/login"
        fields = {{}}
        credential = "json:/token"
        send = "header:Authorization: Bearer {{credential}}"
        [journeys.browse]
        steps = [{{ name = "me", path = "/me" }}]
        [logout]
        path = "/logout"
        {tables}
        "#
    );
    toml::from_str(&text).unwrap()
}

#[test]
fn a_refresh_sends_the_newest_token_and_keeps_it_where_there_is_no_other() {
    let target = refreshed("[refresh]\npath='/r'\ntoken='json:/next'\nfield='t\"k'");
    let script = Script::renewing(&target, "browse", None).unwrap();
    let refresh = script.renewal.as_ref().unwrap().refresh.unwrap();
    assert_eq!((&script.logins, &script.steps), (&(0..1), &(1..2)));
    assert_eq!((script.logout, refresh), (Some(2), 3));
    let login = answer(200, &[], br#"{"token":"a1","next":"n1"}"#);
    let held = script.capture(0, user(b""), &login).unwrap();
    assert_eq!(held, b"a1\nn1");
    let (headers, body) = sent(&script.requests[refresh], "a1\nn1");
    assert_eq!(headers, pairs(&[("Content-Type", "application/json")]), "no ended credential");
    assert_eq!(body, r#"{"t\"k":"n1"}"#);
    let (headers, _) = sent(&script.requests[1], "a1\nn1");
    assert_eq!(headers, pairs(&[("Authorization", "Bearer a1")]));
    for (body, after) in [
        (r#"{"token":"a2","next":"n2"}"#, Ok(&b"a2\nn2"[..])),
        (r#"{"token":"a2"}"#, Ok(b"a2\nn1")),
        (r#"{"next":"n2"}"#, Err(Mismatch::Missing(0))),
    ] {
        let found = script.onward(refresh, 0, user(b"a1\nn1"), &answer(200, &[], body.as_bytes()));
        assert_eq!(found.as_ref().map(|onward| onward.held.as_slice()), after.as_ref().copied());
    }
    // Where nobody renews, nothing more is held than without it.
    let plain = Script::new(&target, "browse").unwrap();
    assert!(plain.renewal.is_none() && plain.requests.len() == 3);
    assert_eq!(plain.capture(0, user(b""), &login).unwrap(), b"a1");
    assert!(Script::renewing(&refreshed(""), "browse", None).unwrap().renewal.is_none());
}

#[test]
fn the_end_of_a_credential_is_what_a_target_or_an_answer_says() {
    let due = |renewal: &str, body: &str| {
        let target = refreshed(&format!("[renewal]\n{renewal}"));
        let script = Script::renewing(&target, "browse", None).unwrap();
        let renewal = script.renewal.unwrap();
        renewal.due_ns(&answer(200, &[], body.as_bytes()), 5).map(|ns| (ns - 5) / 1_000_000)
    };
    let said = "lifetime = 'json:/in'";
    assert_eq!(due("", r#"{"in":9}"#), None);
    assert_eq!(due("lifetime = 9", "{}"), Some(9_000));
    assert_eq!(due("lifetime = 9\nahead = 2", "{}"), Some(7_000));
    assert_eq!(due("lifetime = 9\nahead = 20", "{}"), Some(4_500), "half of its life");
    assert_eq!(due(said, r#"{"in":900}"#), Some(900_000));
    assert_eq!(due(said, r#"{"in":"1.5"}"#), Some(1_500));
    for unknown in ["{}", r#"{"in":"soon"}"#, r#"{"in":0}"#, r#"{"in":-1}"#, r#"{"in":"NaN"}"#] {
        assert_eq!(due(said, unknown), None, "{unknown}");
    }
    assert!(due(said, r#"{"in":1e300}"#).is_some());
}
