//! Logins of one request or several, with and without a token against forgery.

use super::*;

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
