//! Cookies that go back by their paths, and what of them is the credential.

use super::*;

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
