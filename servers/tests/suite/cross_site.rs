//! What another site can make a browser do: send a request with the user's cookie, or log the
//! browser in as somebody else. Every arm with a cookie refuses the same changes by the same
//! headers. And what a cookie that is not valid is answered with.

use crate::common::{Answer, Arm, every_arm};
use axum::body::Body;
use axum::extract::Request;
use http::header::SET_COOKIE;
use serde_json::json;
use servers::contract::CredentialSource;

const HOST: &str = "shop.example:8080";

/// What a request says of where it comes from, and whether a change is refused for it.
const ORIGINS: &[(&[(&str, &str)], bool)] = &[
    (&[], false),
    (&[("sec-fetch-site", "same-origin")], false),
    (&[("sec-fetch-site", "none")], false),
    (&[("sec-fetch-site", "cross-site")], true),
    (&[("sec-fetch-site", "same-site")], true),
    (&[("sec-fetch-site", "Same-Origin")], true),
    (&[("sec-fetch-site", "")], true),
    (&[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")], true),
    (&[("sec-fetch-site", "same-origin"), ("origin", "https://attacker.example")], false),
    (&[("sec-fetch-site", "cross-site"), ("origin", "http://shop.example:8080")], true),
    (&[("origin", "http://shop.example:8080")], false),
    (&[("origin", "https://shop.example:8080")], false),
    (&[("origin", "https://SHOP.example:8080")], false),
    (&[("origin", "https://attacker.example")], true),
    (&[("origin", "null")], true),
    (&[("origin", "")], true),
    (&[("origin", "shop.example:8080")], true),
    (&[("origin", "http://shop.example")], true),
    (&[("origin", "http://shop.example:80")], true),
    (&[("origin", "http://shop.example:8080.attacker.example")], true),
    (&[("origin", "http://attacker.example/shop.example:8080")], true),
    (&[("origin", "http://attackershop.example:8080")], true),
    (&[("origin", "http://user@shop.example:8080")], true),
    (&[("origin", "http://shop.example:8080"), ("origin", "http://attacker.example")], true),
];

fn in_cookie(arm: &Arm) -> bool {
    matches!(arm.open.credential.source, CredentialSource::Cookie(_))
}

/// A request with this user's credential, and with these fields in addition.
async fn ask(arm: &Arm, line: (&str, &str), credential: &str, fields: &[(&str, &str)]) -> Answer {
    let (method, path) = line;
    let mut request = arm.carrying(method, path, credential).header("host", HOST);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let body = json!({ "item": "a" }).to_string();
    let request = request.header("content-type", "application/json").body(Body::from(body));
    arm.call(request.unwrap()).await
}

#[tokio::test]
async fn a_change_that_another_site_asks_for_is_refused_where_a_cookie_goes_with_it() {
    for arm in every_arm().await {
        for (fields, is_foreign) in ORIGINS {
            let refused = *is_foreign && in_cookie(&arm);
            for path in ["/cart", "/logout", "/logout-all"] {
                let credential = arm.login(7).await;
                let answer = ask(&arm, ("POST", path), &credential, fields).await;
                let shown = format!("{} {path} {fields:?}: {answer:?}", arm.info.arm);
                assert_eq!(answer.status, if refused { 403 } else { 200 }, "{shown}");
                if refused {
                    assert_eq!(answer.text, r#"{"error":"cross_origin"}"#, "{shown}");
                    assert!(!answer.headers.contains_key(SET_COOKIE), "{shown}");
                    let cart = arm.get("/cart", &credential).await.expect(200).json();
                    assert_eq!(cart["items"], json!([]), "{shown}");
                }
            }
            // To read is no change, and another site cannot see what was read.
            let credential = arm.login(7).await;
            for path in ["/me", "/cart"] {
                ask(&arm, ("GET", path), &credential, fields).await.expect(200);
            }
        }
    }
}

/// A login carries no cookie yet; what it would plant is one of the attacker's.
#[tokio::test]
async fn another_site_cannot_log_a_browser_in() {
    for arm in every_arm().await {
        for (fields, is_foreign) in ORIGINS {
            let mut request = Request::post("/login").header("host", HOST);
            for (name, value) in *fields {
                request = request.header(*name, *value);
            }
            let body = json!({ "username": "user-7", "password": "password-7" }).to_string();
            let request =
                request.header("content-type", "application/json").body(Body::from(body)).unwrap();
            let before = arm.sessions().await;
            let answer = arm.call(request).await;
            let refused = *is_foreign && in_cookie(&arm);
            let shown = format!("{} {fields:?}: {answer:?}", arm.info.arm);
            assert_eq!(answer.status, if refused { 403 } else { 200 }, "{shown}");
            if refused {
                assert!(!answer.headers.contains_key(SET_COOKIE), "{shown}");
                assert_eq!(arm.sessions().await, before, "{shown}");
            }
        }
    }
}

/// Dead, malformed and unknown alike, so that the removal tells nothing; and no cookie is set where
/// none was shown.
#[tokio::test]
async fn a_cookie_that_is_not_valid_is_removed_as_it_was_set() {
    for arm in every_arm().await {
        let login = arm.login_as("user-7", "password-7").await.expect(200);
        let removal = in_cookie(&arm).then(|| {
            let set = login.header("set-cookie");
            let (pair, attributes) = set.split_once(';').unwrap();
            let name = pair.split_once('=').unwrap().0;
            format!("{name}=;{attributes}; Max-Age=0")
        });
        let expected = removal.as_deref().unwrap_or_default();
        let mut refused = vec!["".into(), "x".into(), "A".repeat(22), "A".repeat(5000)];
        if arm.info.revokes {
            let ended = arm.login(7).await;
            arm.post("/logout", &ended, &json!(null)).await.expect(200);
            refused.push(ended);
        }
        let expired = arm.login(7).await;
        refused.push(expired);
        for credential in refused.iter().filter(|_| arm.info.authenticates) {
            arm.at(arm.lifetime());
            for line in [
                ("GET", "/me"),
                ("GET", "/cart"),
                ("POST", "/cart"),
                ("POST", "/logout"),
                ("POST", "/logout-all"),
            ] {
                let answer = ask(&arm, line, credential, &[]).await.expect_refused();
                let shown = format!("{} {line:?} {credential:.30}", arm.info.arm);
                assert_eq!(answer.header("set-cookie"), expected, "{shown}");
            }
        }
        let nothing = Request::get("/me").body(Body::empty()).unwrap();
        let answer = arm.call(nothing).await.expect_refused();
        assert!(!answer.headers.contains_key(SET_COOKIE), "{}", arm.info.arm);
        let other = Request::get("/me").header("cookie", "other=x").body(Body::empty()).unwrap();
        let answer = arm.call(other).await.expect_refused();
        assert!(!answer.headers.contains_key(SET_COOKIE), "{}", arm.info.arm);
    }
}
