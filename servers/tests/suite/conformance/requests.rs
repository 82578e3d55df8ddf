//! Requests that are malformed, hostile, too large or never complete, in every arm.

use super::in_a_cookie;
use crate::common::{Arm, carried, every_arm, reissued};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::get;
use serde_json::json;
use servers::app::App;

#[tokio::test]
async fn a_malformed_session_id_asks_no_store() {
    for arm in every_arm().await.into_iter().filter(Arm::looks_up) {
        for id in [
            "",
            "A",
            "AAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAAB",
            "AAAAAAAAAAAAAAAAAAAAA=",
            "AAAAAAAAAAAAAAAAAAAAA*",
            "\"AAAAAAAAAAAAAAAAAAAAAA\"",
            "../../../etc/passwd...",
            "' OR '1'='1' -- AAAAAA",
            "AAAAAAAAAAA AAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAA\u{e9}",
            "*?[a-z]*?[a-z]*?[a-z]A",
        ] {
            arm.me(id).await.expect_refused();
        }
        assert_eq!(arm.operations().await, 0, "{}", arm.info.arm);
        arm.me("AAAAAAAAAAAAAAAAAAAAAA").await.expect_refused();
        assert_eq!(arm.operations().await, 1, "a well-formed id is looked up");
    }
}

#[tokio::test]
async fn two_credentials_in_one_request_are_a_400() {
    for arm in every_arm().await {
        let (one, other) = (arm.login(7).await, arm.login(8).await);
        let carrier = &arm.open.credential.carrier;
        let ((name, first), (_, second)) = (carried(carrier, &one), carried(carrier, &other));
        let mut requests = vec![
            Request::get("/me").header(&name, &first).header(&name, &second),
            Request::get("/me").header(&name, &first).header(&name, &first),
        ];
        if name == "cookie" {
            let both = format!("a=b; {first}; c=d; {second}");
            requests.push(Request::get("/me").header(&name, both));
        }
        if arm.info.authenticates {
            let second = if name == "cookie" {
                ("authorization", "Bearer x")
            } else {
                ("cookie", "__Host-session=AAAAAAAAAAAAAAAAAAAAAA")
            };
            requests.push(Request::get("/me").header(&name, &first).header(second.0, second.1));
        }
        for request in requests {
            let answer = arm.call(request.body(Body::empty()).unwrap()).await.expect(400);
            assert_eq!(answer.text, r#"{"error":"invalid_request"}"#, "{}", arm.info.arm);
        }
        arm.me(&one).await.expect(200);
    }
}

#[tokio::test]
async fn other_cookies_are_nobodys_business() {
    for arm in every_arm().await.into_iter().filter(|arm| arm.info.authenticates) {
        let credential = arm.login(7).await;
        let (name, value) = carried(&arm.open.credential.carrier, &credential);
        let many: Vec<_> = (0..200).map(|n| format!("c{n}={n}")).collect();
        for cookies in ["__host-session=x; $Version=1; =; a; ;;", "Session=1", &many.join("; ")] {
            let request = Request::get("/me").header(&name, &value).header("cookie", cookies);
            arm.call(request.body(Body::empty()).unwrap()).await.expect(200);
        }
    }
}

#[tokio::test]
async fn forwarded_headers_change_nothing() {
    for arm in every_arm().await {
        let mut plain = arm.me(&arm.login(7).await).await;
        for name in ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded"] {
            let request = arm.carrying("GET", "/me", &arm.login(7).await).header(name, "evil");
            let answer = arm.call(request.body(Body::empty()).unwrap()).await;
            assert_eq!(answer, plain);
            plain = answer;
        }
    }
}

#[tokio::test]
async fn bad_requests_get_a_4xx_that_says_why() {
    for arm in every_arm().await {
        let login = r#"{"username":"user-7","password":"password-7"}"#;
        let padded = format!("{login}{}", " ".repeat(16 * 1024 - login.len()));
        let json = "application/json";
        let rows: Vec<(&str, &str, &str, String, u16)> = vec![
            ("POST", "/login", "application/json; charset=utf-8", login.into(), 200),
            ("POST", "/login", "Application/JSON", padded.clone(), 200),
            ("POST", "/login", json, format!("{padded} "), 413),
            ("POST", "/login", json, "x".repeat(2 << 20), 413),
            ("POST", "/login", json, String::new(), 400),
            ("POST", "/login", json, login[..20].into(), 400),
            ("POST", "/login", json, format!("{login}{login}"), 400),
            ("POST", "/login", json, r#"{"username":"user-7"}"#.into(), 400),
            ("POST", "/login", json, r#"{"username":7,"password":"x"}"#.into(), 400),
            ("POST", "/login", json, r#"["user-7","password-7"]"#.into(), 400),
            ("POST", "/login", json, login.replace('}', r#","username":"user-8"}"#), 400),
            ("POST", "/login", json, "[".repeat(10_000), 400),
            ("POST", "/login", json, "\u{feff}{}".into(), 400),
            ("POST", "/login", "text/plain", login.into(), 415),
            ("POST", "/login", "application/x-www-form-urlencoded", "a=b".into(), 415),
            ("POST", "/login", "application/jsonp", login.into(), 415),
            ("POST", "/login", "", login.into(), 415),
            ("GET", "/login", json, String::new(), 405),
            ("DELETE", "/me", json, String::new(), 405),
            ("POST", "/me", json, String::new(), 405),
            ("PUT", "/cart", json, String::new(), 405),
            ("GET", "/", json, String::new(), 404),
            ("GET", "/me/", json, String::new(), 404),
            ("GET", "/stats", json, String::new(), 404),
            ("GET", "/admin", json, String::new(), 404),
            ("GET", "//me", json, String::new(), 404),
            ("GET", "/%6de", json, String::new(), 404),
            ("GET", "/healthz", json, String::new(), 200),
        ];
        for (method, path, kind, body, status) in rows {
            let mut request = Request::builder().method(method).uri(path);
            if !kind.is_empty() {
                request = request.header("content-type", kind);
            }
            let shown = format!("{} {method} {path} {:.40}", arm.info.arm, body);
            let answer = arm.call(request.body(Body::from(body)).unwrap()).await;
            assert_eq!(answer.status.as_u16(), status, "{shown}: {answer:?}");
            let answer = answer.expect(status);
            assert_eq!(answer.headers.contains_key("allow"), status == 405, "{shown}");
            assert_eq!(answer.json()["error"].is_string(), status >= 400, "{shown}");
        }
        assert_eq!(arm.open.app.panics(), 0);
    }
}

/// Whatever a user may put into a cart, the credential that carries it can be sent.
#[tokio::test]
async fn the_longest_credential_fits_into_a_head() {
    // In JSON each of them is two characters, the most that an item can be made to take.
    let item = json!({ "item": "\"".repeat(servers::cart::ITEM_BYTES_MAX) });
    for arm in every_arm().await {
        let mut credential = arm.login(99_999_999).await;
        for _ in 0..servers::cart::ITEMS_MAX {
            let answer = arm.post("/cart", &credential, &item).await;
            if answer.status == 409 && in_a_cookie(&arm) {
                break;
            }
            let answer = answer.expect(200);
            credential = reissued(&answer, &arm.open.credential).unwrap_or(credential);
        }
        let (name, value) = carried(&arm.open.credential.carrier, &credential);
        let head = name.len() + value.len() + 1024;
        assert!(head < servers::serve::HEAD_BYTES_MAX, "{}: {head} bytes", arm.info.arm);
        let control = json!({ "item": "a\u{1}" });
        arm.post("/cart", &credential, &control).await.expect(400);
    }
}

/// A body of which nothing comes.
struct Silence;

impl hyper::body::Body for Silence {
    type Data = hyper::body::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Self::Data>, Self::Error>>> {
        std::task::Poll::Pending
    }
}

/// Fault 23: a body that does not come.
#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for_for_ever() {
    let arms = every_arm().await;
    // Not before: while the clock is moved, a store that is opened would not answer in time.
    tokio::time::pause();
    for arm in arms {
        let begun = tokio::time::Instant::now();
        let request = Request::post("/login").header("content-type", "application/json");
        let answer = arm.call(request.body(Body::new(Silence)).unwrap()).await.expect(408);
        assert_eq!(answer.text, r#"{"error":"body_too_slow"}"#);
        assert_eq!(begun.elapsed().as_secs(), servers::app::BODY_TIME_MAX.as_secs());
    }
}

/// Fault 9: a panic is a 500, counted.
#[tokio::test]
async fn a_panic_costs_one_request_and_is_counted() {
    let router = Router::new()
        .route("/now", get(async || -> &'static str { panic!("a test's panic") }))
        .route(
            "/later",
            get(async || -> &'static str {
                tokio::task::yield_now().await;
                panic!("a test's later panic")
            }),
        )
        .route("/fine", get(async || "fine"));
    let app = App::new(router);
    for (path, status, panics) in [("/now", 500, 1), ("/later", 500, 2), ("/fine", 200, 2)] {
        let answer = app.call(Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!((answer.status().as_u16(), app.panics()), (status, panics), "{path}");
    }
}
