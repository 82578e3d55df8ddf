//! Credentials that end, and the requests that renew them.

use super::*;

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
