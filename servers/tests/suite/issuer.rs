//! Tokens of an issuer: keys that are fetched, remembered and replaced, questions that are asked
//! over HTTP, and what happens while nobody answers them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::common::{Arm, KEY, OTHER_KEY, START, key_for, options};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, header};
use serde_json::{Value, json};
use servers::clock::Timestamp;
use servers::schemes::issuer::{FETCH_EVERY, KEYS_FRESH, OwnIssuer};
use servers::schemes::jwt_jwks::{self, IssuedTokens};
use servers::schemes::{Issued, Reason, Rejection, Scheme as _, SchemeOptions};
use servers::stores::patience::Patience;
use servers::users::{User, UserId};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const MILLI: Duration = Duration::from_millis(1);

/// Options with a key for P-256.
fn keyed(secret: &[u8]) -> SchemeOptions {
    SchemeOptions { key: Some(key_for(&jwt_jwks::INFO, secret)), ..options() }
}

/// An issuer, and a server that was told where it is.
async fn pair() -> (OwnIssuer, IssuedTokens, SchemeOptions) {
    let options = keyed(KEY);
    let issuer = OwnIssuer::start(&options, vec![options.key.clone().unwrap()]).await.unwrap();
    let store_url = Some(issuer.url().to_owned());
    let options = SchemeOptions { store_url, ..options };
    (issuer, jwt_jwks::open(&options).await.unwrap(), options)
}

async fn login(server: &IssuedTokens, n: u32) -> String {
    let user = User::of(UserId::new(n).unwrap());
    match server.issue(user, &HeaderMap::new()).await.unwrap() {
        Issued::Token(token) => token.access_token,
        other => panic!("{other:?}"),
    }
}

async fn ask(server: &IssuedTokens, token: &str) -> Result<u32, Rejection> {
    let value = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
    let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
    server.authenticate(&headers).await.map(|user| user.id.number())
}

/// The token with this name of a key.
fn renamed(token: &str, kid: &str) -> String {
    let rest = token.split_once('.').unwrap().1;
    let text = json!({ "typ": "at+jwt", "alg": "ES256", "kid": kid }).to_string();
    format!("{}.{rest}", URL_SAFE_NO_PAD.encode(text))
}

fn at(options: &SchemeOptions, after: Duration) {
    options.clock.set(Timestamp::from_seconds(START).plus(after));
}

fn is_unknown(answer: &Result<u32, Rejection>) -> bool {
    *answer == Err(Rejection::Invalid(Reason::Key))
}

#[tokio::test]
async fn known_keys_are_asked_for_once() {
    let (issuer, server, _) = pair().await;
    for n in 0..50 {
        let token = login(&server, n).await;
        assert_eq!(ask(&server, &token).await, Ok(n));
    }
    assert_eq!((issuer.published(), server.keys().fetches()), (Some(1), 1));
}

#[tokio::test]
async fn a_new_key_is_fetched_once_and_the_old_one_stays_good() {
    let (issuer, server, options) = pair().await;
    let mut tokens = vec![login(&server, 0).await];
    for n in 1..=3 {
        issuer.rotate().await.unwrap();
        tokens.push(login(&server, n).await);
        for (n, token) in (0..).zip(&tokens) {
            assert_eq!(ask(&server, token).await, Ok(n));
            assert_eq!(ask(&server, token).await, Ok(n));
        }
        assert_eq!(issuer.published(), Some(u64::from(n) + 1));
        at(&options, FETCH_EVERY * n);
    }
    // Four are published: the first one goes with the next.
    issuer.rotate().await.unwrap();
    assert_eq!(ask(&server, &login(&server, 4).await).await, Ok(4));
    assert!(is_unknown(&ask(&server, &tokens[0]).await));
    assert_eq!(ask(&server, &tokens[1]).await, Ok(1));
}

#[tokio::test]
async fn a_flood_of_unknown_names_is_one_fetch_an_interval() {
    let (issuer, server, options) = pair().await;
    let token = login(&server, 7).await;
    let server = Arc::new(server);
    for round in 0..3 {
        let flood: Vec<_> = (0..300)
            .map(|n| {
                let (server, token) = (Arc::clone(&server), renamed(&token, &format!("k-{n}")));
                tokio::spawn(async move { ask(&server, &token).await })
            })
            .collect();
        for answer in flood {
            assert!(is_unknown(&answer.await.unwrap()));
        }
        assert_eq!(issuer.published(), Some(2 + round), "the first one, and one a round");
        assert_eq!(ask(&server, &token).await, Ok(7));
        at(&options, FETCH_EVERY * (u32::try_from(round).unwrap() + 1) - MILLI);
        assert!(is_unknown(&ask(&server, &renamed(&token, "early")).await));
        assert_eq!(issuer.published(), Some(2 + round));
        at(&options, FETCH_EVERY * (u32::try_from(round).unwrap() + 1));
    }
    // What is no name of a key is worth no question at all.
    let long = "x".repeat(65);
    for kid in ["", "a b", "a\u{e4}", &long] {
        assert!(is_unknown(&ask(&server, &renamed(&token, kid)).await));
    }
    assert_eq!(issuer.published(), Some(4));
}

#[tokio::test]
async fn old_keys_are_asked_for_again_and_one_that_is_gone_is_refused() {
    let (issuer, server, options) = pair().await;
    let long = SchemeOptions { ttl: KEYS_FRESH * 4, ..options.clone() };
    let other = jwt_jwks::open(&long).await.unwrap();
    let token = login(&other, 7).await;
    assert_eq!(ask(&other, &token).await, Ok(7));
    // More of them than are published.
    for _ in 0..4 {
        issuer.rotate().await.unwrap();
    }
    at(&options, KEYS_FRESH - MILLI);
    assert_eq!(ask(&other, &token).await, Ok(7), "believed until then");
    assert_eq!(other.keys().fetches(), 1);
    at(&options, KEYS_FRESH);
    assert!(is_unknown(&ask(&other, &token).await));
    assert_eq!(other.keys().fetches(), 2, "for its age, and not for the name as well");
    drop(server);
}

#[tokio::test]
async fn without_an_issuer_known_keys_go_on_and_others_are_unavailable() {
    let (issuer, server, options) = pair().await;
    let token = login(&server, 7).await;
    let other = renamed(&token, "other");
    assert!(is_unknown(&ask(&server, &other).await), "it was asked, and does not have it");
    drop(issuer);
    assert!(is_unknown(&ask(&server, &other).await), "no question is due");
    at(&options, FETCH_EVERY);
    for _ in 0..3 {
        assert!(matches!(ask(&server, &other).await, Err(Rejection::Store(_))));
        assert_eq!(ask(&server, &token).await, Ok(7));
    }
    assert_eq!(server.keys().fetches(), 3, "a failed question counts");
    at(&options, KEYS_FRESH);
    assert_eq!(ask(&server, &token).await, Ok(7), "however old its key is");
    let user = User::of(UserId::new(7).unwrap());
    let refused = server.issue(user, &HeaderMap::new()).await;
    assert!(matches!(refused, Err(Rejection::Store(_))), "{refused:?}");
}

/// An issuer that takes connections, says `jwks` to the first question, and nothing more.
async fn silent(jwks: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut held: Vec<TcpStream> = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            if held.is_empty() {
                let mut request = [0; 1024];
                assert!(stream.read(&mut request).await.unwrap() > 0);
                let length = jwks.len();
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{jwks}");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            held.push(stream);
        }
    });
    url
}

#[tokio::test]
async fn an_issuer_that_hangs_is_given_up_in_time() {
    let (_issuer, signer, options) = pair().await;
    let token = login(&signer, 7).await;
    let public = {
        let url = options.store_url.clone().unwrap();
        let address = url.rsplit_once('@').unwrap().1.to_owned();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = b"GET /jwks.json HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    };
    let limit = Duration::from_millis(400);
    let hasty = SchemeOptions {
        store_url: Some(silent(public).await),
        patience: Patience::new(limit),
        ..options.clone()
    };
    let server = Arc::new(jwt_jwks::open(&hasty).await.unwrap());
    assert_eq!(ask(&server, &token).await, Ok(7));
    let since = Instant::now();
    let waiting: Vec<_> = (0..50)
        .map(|n| {
            let (server, token) = (Arc::clone(&server), renamed(&token, &format!("k-{n}")));
            tokio::spawn(async move { ask(&server, &token).await })
        })
        .collect();
    for answer in waiting {
        assert!(matches!(answer.await.unwrap(), Err(Rejection::Store(_))));
    }
    let took = since.elapsed();
    assert!(took >= limit / 2 && took < limit * 10, "{took:?} for all of them together");
    assert_eq!(server.keys().fetches(), 2);
    assert_eq!(ask(&server, &token).await, Ok(7));
}

#[tokio::test]
async fn a_server_does_not_open_without_its_issuer() {
    let store_url = Some("http://127.0.0.1:9".to_owned());
    for arm in ["jwt-jwks", "introspection-http"] {
        let options = SchemeOptions { store_url: store_url.clone(), ..keyed(KEY) };
        let opened = servers::app::open(arm, &options, servers::PasswordHash::Derived).await;
        let error = opened.err().unwrap().to_string();
        assert!(error.contains("the store `issuer` could not"), "{error}");
    }
}

#[tokio::test]
async fn only_who_has_the_secret_is_answered() {
    let issuer = OwnIssuer::start(&options(), Vec::new()).await.unwrap();
    let address = issuer.url().rsplit_once('@').unwrap().1.to_owned();
    for url in [
        format!("http://{address}"),
        format!("http://server:wrong@{address}"),
        format!("http://other:{}@{address}", &issuer.url()[14..46]),
    ] {
        let options = SchemeOptions { store_url: Some(url), ..options() };
        let hash = servers::PasswordHash::Derived;
        let opened = servers::app::open("introspection-http", &options, hash).await;
        let error = opened.err().unwrap().to_string();
        assert!(error.contains("401"), "{error}");
        assert!(!error.contains("wrong"), "{error}");
    }
}

/// What the standard says of a question and its answer (RFC 7662, 2), by hand.
#[tokio::test]
async fn the_endpoint_is_the_standards() {
    let issuer = OwnIssuer::start(&options(), Vec::new()).await.unwrap();
    let store_url = Some(issuer.url().to_owned());
    let arm = Arm::named("introspection-http", SchemeOptions { store_url, ..options() }).await;
    let token = arm.login(7).await;
    let (secret, address) = issuer.url().split_once("//").unwrap().1.split_once('@').unwrap();
    let basic = base64::engine::general_purpose::STANDARD.encode(secret);
    let introspect = async |form: &str, basic: &str| {
        let length = form.len();
        let request = format!(
            "POST /introspect HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
             authorization: Basic {basic}\r\ncontent-length: {length}\r\n\
             content-type: application/x-www-form-urlencoded\r\n\r\n{form}"
        );
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().to_owned(), body.to_owned())
    };
    let (status, body) = introspect(&format!("token={token}"), &basic).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, "200");
    assert_eq!(body["active"], true);
    assert_eq!((&body["sub"], &body["username"]), (&json!("7"), &json!("User 7")));
    assert_eq!((&body["iat"], &body["exp"]), (&json!(START), &json!(START + 900)));
    assert_eq!(body["token_type"], "Bearer");
    // The least that may be said of one that is not.
    let unknown = "A".repeat(22);
    for form in [&*format!("token={unknown}"), "token=x", "token=", "token=%00"] {
        assert_eq!(introspect(form, &basic).await, ("200".into(), r#"{"active":false}"#.into()));
    }
    for form in ["", "token", "token=a&token=b", "tok=a"] {
        assert_eq!(introspect(form, &basic).await.0, "400", "{form}");
    }
    assert_eq!(introspect(&format!("token={token}"), "eDp5").await.0, "401");
    arm.post("/logout", &token, &Value::Null).await.expect(200);
    let ended = introspect(&format!("token={token}"), &basic).await;
    assert_eq!(ended, ("200".into(), r#"{"active":false}"#.into()));
}

/// Two servers that ask one issuer, one of which ends sessions that are not used.
#[tokio::test]
async fn each_server_has_its_own_idle_timeout() {
    let issuer = OwnIssuer::start(&options(), Vec::new()).await.unwrap();
    let store_url = Some(issuer.url().to_owned());
    let patient = SchemeOptions { store_url, ..options() };
    let idle = Some(Duration::from_secs(60));
    let strict = SchemeOptions { idle, ..patient.clone() };
    let patient = Arm::named("introspection-http", patient).await;
    let strict = Arm::named("introspection-http", strict).await;
    let token = strict.login(7).await;
    for arm in [&patient, &strict] {
        arm.me(&token).await.expect(200);
    }
    // Both have one clock.
    strict.at(Duration::from_secs(60));
    strict.me(&token).await.expect_refused();
    patient.me(&token).await.expect(200);
}

/// A token in a session whose key is no longer known is no session, and no fault of the store.
#[tokio::test]
async fn a_session_with_a_token_under_another_key_is_over() {
    let Some(url) = crate::common::empty_redis() else { return };
    let open = async |key: &[u8], previous: &[&[u8]]| {
        let previous_keys = previous.iter().map(|key| key.to_vec()).collect();
        let (key, store_url) = (Some(key.to_vec()), Some(url.clone()));
        let options = SchemeOptions { key, previous_keys, store_url, ..options() };
        Arm::named("bff@redis", options).await
    };
    let (before, after) = (open(KEY, &[]).await, open(OTHER_KEY, &[]).await);
    let during = open(OTHER_KEY, &[KEY]).await;
    let credential = before.login(7).await;
    assert_eq!(credential.len(), 22, "no token leaves the server");
    before.me(&credential).await.expect(200);
    during.me(&credential).await.expect(200);
    after.me(&credential).await.expect_refused();
}
