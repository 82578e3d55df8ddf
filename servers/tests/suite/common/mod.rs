//! What the test suites share: an arm opened in process under a clock moved by hand. Credentials
//! are taken and sent as the arm's [`Credential`] says, so that a descriptor that does not fit its
//! server fails; no test names a header or cookie unless it is about that.

#![allow(unreachable_pub, reason = "what these helpers offer is the suite's")]

pub mod postgres;
pub mod redis;
pub mod socket;

use std::io::Write as _;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use servers::app::{self, OpenArm, Work};
use servers::clock::{Clock, Timestamp};
use servers::contract::{CredentialCarrier, CredentialSource};
use servers::schemes::{ArmInfo, Credential, SchemeOptions, arms};
use servers::schemes::{jwt_eddsa, jwt_es256, jwt_rs256};
use servers::stores::patience::Patience;
use servers::stores::redis::OwnRedis;
use servers::users::PasswordHash;

/// A whole second, so that what counts in seconds and what counts in milliseconds agree.
pub const START: u64 = 2_000_000_000;
/// What is right does not depend on how busy the machine is. A test that is about the limit has one
/// of its own.
pub const PATIENT: Patience = Patience::new(Duration::from_secs(60));
/// A secret key (RFC 8032, 7.1, test 1). Where an arm takes a private key, [`Arm::open`] puts one
/// in its place.
pub const KEY: &[u8] = b"\x9d\x61\xb1\x9d\xef\xfd\x5a\x60\xba\x84\x4a\xf4\x92\xec\x2c\xc4\
    \x44\x49\xc5\x69\x7b\x32\x69\x19\x70\x3b\xac\x03\x1c\xae\x7f\x60";
/// Another (test 2).
pub const OTHER_KEY: &[u8] = b"\x4c\xcd\x08\x9b\x28\xff\x96\xda\x9d\xb6\xc3\x46\xec\x11\x4e\x0f\
    \x5b\x8a\x31\x9f\x35\xab\xa6\x24\xda\x8c\xf6\xed\x4f\xb8\xa6\xfb";

static PRIVATE_KEYS: LazyLock<[[Vec<u8>; 2]; 3]> = LazyLock::new(|| {
    let two =
        |make: fn() -> Result<Vec<u8>, servers::ServeError>| [make().unwrap(), make().unwrap()];
    [two(jwt_rs256::KIND.generate), two(jwt_es256::KIND.generate), two(jwt_eddsa::KIND.generate)]
});

/// A key of the kind that the arm takes, one for each of the two secrets.
pub fn key_for(info: &ArmInfo, secret: &[u8]) -> Vec<u8> {
    // All arms of Ed25519, and all of P-256, take the same form of key.
    let arm = match info.arm {
        "paseto-v4-public" => "jwt-eddsa",
        "jwt-jwks" | "bff@redis" => "jwt-es256",
        arm => arm,
    };
    let kind = ["jwt-rs256", "jwt-es256", "jwt-eddsa"].iter().position(|kind| *kind == arm);
    let which = usize::from(secret == OTHER_KEY);
    kind.map_or(secret.to_vec(), |kind| PRIVATE_KEYS[kind][which].clone())
}

/// The Redis that the tests of one program share, and the next database of it that nobody has used.
static REDIS: LazyLock<Option<OwnRedis>> = LazyLock::new(|| {
    let start = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(OwnRedis::start(REDIS_DATABASES)).unwrap()
    };
    // A thread of its own: a test may run on a runtime already.
    is_here("redis").then(|| std::thread::spawn(start).join().unwrap())
});
static NEXT_DATABASE: AtomicU32 = AtomicU32::new(0);
const REDIS_DATABASES: u32 = 10_000;

/// A Redis without a key in it; `None`, with a message, where Redis is not installed.
pub fn empty_redis() -> Option<String> {
    let redis = REDIS.as_ref()?;
    let database = NEXT_DATABASE.fetch_add(1, Ordering::Relaxed);
    assert!(database < REDIS_DATABASES, "one database a test");
    Some(format!("{}/{database}", redis.url()))
}

/// A place for a store that would otherwise start a server for each of the arms that tests open.
fn shared_place(store: Option<&str>) -> Option<String> {
    match store {
        Some("redis") => empty_redis(),
        Some("postgres") => Some(postgres::url()),
        _ => None,
    }
}

/// Options under a manual clock that stands at [`START`].
pub fn options() -> SchemeOptions {
    SchemeOptions {
        clock: Clock::manual(Timestamp::from_seconds(START)),
        key: Some(KEY.to_vec()),
        patience: PATIENT,
        ..SchemeOptions::default()
    }
}

/// An open arm.
pub struct Arm {
    pub info: ArmInfo,
    pub open: OpenArm,
    pub clock: Clock,
    pub options: SchemeOptions,
}

/// An answer, read to its end.
#[derive(Debug, PartialEq)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Fails unless the answer has this status, is JSON, and may not be stored.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/json");
        assert_eq!(self.header("cache-control"), "no-store");
        self.json();
        self
    }

    /// Fails unless this is the 401 of an invalid credential.
    #[track_caller]
    pub fn expect_refused(self) -> Self {
        let answer = self.expect(401);
        assert_eq!(answer.text, r#"{"error":"unauthorized"}"#);
        let cookie = answer.headers.get(header::SET_COOKIE);
        assert!(cookie.is_none_or(|cookie| cookie.as_bytes().ends_with(b"; Max-Age=0")));
        assert!(answer.header("www-authenticate").contains(r#"realm="authbench""#));
        answer
    }
}

/// The arms of the registry whose store's program is on this machine. A missing one is named and
/// passed over, or a failure where `AUTHBENCH_REQUIRE_STORES` is set, as in CI.
pub fn available_arms() -> Vec<&'static ArmInfo> {
    arms().iter().filter(|info| info.store.is_none_or(is_here)).collect()
}

/// Whether the program of this store is here; see [`available_arms`].
pub fn is_here(store: &str) -> bool {
    let Some(program) = servers::stores::missing_program(store) else { return true };
    let (name, package) = (program.name, program.package);
    let required = std::env::var_os("AUTHBENCH_REQUIRE_STORES").is_some();
    assert!(!required, "{store}: no `{name}`; install {package}");
    skipped(&format!("the store {store}, because `{name}` is missing (package {package})"));
    false
}

/// Says past the test harness what is passed over, and why.
pub fn skipped(what: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {what}");
}

/// Every arm that there is here, each opened anew.
pub async fn every_arm() -> Vec<Arm> {
    let mut all = Vec::new();
    for info in available_arms() {
        all.push(Arm::open(info, options()).await);
    }
    assert!(all.len() >= 3);
    all
}

impl Arm {
    pub async fn open(info: &ArmInfo, options: SchemeOptions) -> Self {
        Self::working(info, options, Work::default()).await
    }

    /// The arm, whose protected handlers do this work.
    pub async fn working(info: &ArmInfo, options: SchemeOptions, work: Work) -> Self {
        let key = options.key.map(|key| key_for(info, &key));
        let previous_keys = options.previous_keys.iter().map(|key| key_for(info, key)).collect();
        let store_url = options.store_url.or_else(|| shared_place(info.store));
        let options = SchemeOptions { key, previous_keys, store_url, ..options };
        let hash = PasswordHash::Derived;
        let open = app::open_working(info.arm, &options, hash, work).await.unwrap();
        Self { info: *info, open, clock: options.clock.clone(), options }
    }

    pub async fn named(arm: &str, options: SchemeOptions) -> Self {
        Self::open(arms().iter().find(|info| info.arm == arm).unwrap(), options).await
    }

    /// Whether a credential is a name of something that the server keeps, and is looked up.
    pub fn looks_up(&self) -> bool {
        self.info.stateful && !self.info.refreshes
    }

    /// How long the credential of a login is given for.
    pub fn ttl(&self) -> Duration {
        let SchemeOptions { ttl, access_ttl, .. } = self.options;
        if self.info.refreshes { ttl.min(access_ttl) } else { ttl }
    }

    /// How long after a login the credential is first refused.
    pub fn lifetime(&self) -> Duration {
        if self.looks_up() { self.ttl() } else { self.ttl() + self.options.leeway }
    }

    /// Puts the clock this far after [`START`].
    pub fn at(&self, after: Duration) {
        self.clock.set(Timestamp::from_seconds(START).plus(after));
    }

    pub async fn call(&self, request: Request) -> Answer {
        let (parts, body) = self.open.app.call(request).await.into_parts();
        let text = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(text.to_vec()).unwrap(),
        }
    }

    pub async fn get(&self, path: &str, credential: &str) -> Answer {
        self.call(self.carrying("GET", path, credential).body(Body::empty()).unwrap()).await
    }

    pub async fn post(&self, path: &str, credential: &str, body: &Value) -> Answer {
        let request = self
            .carrying("POST", path, credential)
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()));
        self.call(request.unwrap()).await
    }

    pub async fn me(&self, credential: &str) -> Answer {
        self.get("/me", credential).await
    }

    pub async fn login_as(&self, username: &str, password: &str) -> Answer {
        self.call(login_request(username, password)).await
    }

    /// Logs the user in and takes the credential from where the descriptor says that it is.
    pub async fn login(&self, n: u32) -> String {
        let answer = self.login_as(&format!("user-{n}"), &format!("password-{n}")).await;
        credential_of(&answer.expect(200), &self.open.credential)
    }

    /// Shows a refresh token, which is no header's matter.
    pub async fn refresh(&self, refresh_token: &str) -> Answer {
        let body = json!({ "refresh_token": refresh_token }).to_string();
        let request = Request::post("/refresh").header("content-type", "application/json");
        self.call(request.body(Body::from(body)).unwrap()).await
    }

    /// Store operations so far; 0 without a store.
    pub async fn operations(&self) -> u64 {
        match &self.open.upkeep {
            Some(store) => store.stats().await.unwrap().operations,
            None => 0,
        }
    }

    /// Sessions in the store; 0 without a store.
    pub async fn sessions(&self) -> u64 {
        match &self.open.upkeep {
            Some(store) => store.stats().await.unwrap().sessions,
            None => 0,
        }
    }

    pub fn carrying(&self, method: &str, path: &str, credential: &str) -> http::request::Builder {
        let (name, value) = carried(&self.open.credential.carrier, credential);
        Request::builder().method(method).uri(path).header(name, value)
    }
}

pub fn login_request(username: &str, password: &str) -> Request {
    let body = json!({ "username": username, "password": password });
    Request::post("/login")
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap()
}

/// The credential that replaces the one of the request, where the answer holds one.
pub fn reissued(answer: &Answer, credential: &Credential) -> Option<String> {
    match &credential.source {
        CredentialSource::Json(pointer) => answer.json().pointer(pointer)?.as_str().map(Into::into),
        CredentialSource::Cookie(_) if answer.headers.contains_key(header::SET_COOKIE) => {
            Some(credential_of(answer, credential))
        }
        _ => None,
    }
}

/// The header that carries a credential, as bytes, because a tampered one need not be text.
pub fn carried(carrier: &CredentialCarrier, credential: &str) -> (String, String) {
    match carrier {
        CredentialCarrier::Cookie(name) => ("cookie".into(), format!("{name}={credential}")),
        CredentialCarrier::Header { name, template } => {
            (name.clone(), template.replace("{credential}", credential))
        }
    }
}

pub fn credential_of(answer: &Answer, credential: &Credential) -> String {
    match &credential.source {
        CredentialSource::Json(pointer) => match answer.json().pointer(pointer).unwrap() {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        },
        CredentialSource::Cookie(name) => {
            let cookie = answer.header("set-cookie");
            let value = cookie.strip_prefix(&format!("{name}=")).unwrap();
            value.split(';').next().unwrap().to_owned()
        }
        CredentialSource::Header(name) => answer.header(name).to_owned(),
        CredentialSource::Html(name) => panic!("no arm answers with a page that holds {name}"),
        CredentialSource::Regex(text) => panic!("no arm needs the pattern {text}"),
    }
}
