//! `jwt-refresh` seen from outside, for every store: a replaced token that comes back late ends
//! everything, two tabs do not, and neither token is ever taken for the other. The clock is moved
//! by hand, to the millisecond.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::common::{
    Answer, Arm, KEY, OTHER_KEY, START, available_arms, login_request, options, reissued,
};
use axum::body::Body;
use axum::extract::Request;
use http_body_util::BodyExt;
use parking_lot::Mutex;
use serde_json::{Value, json};
use servers::app::{self, App};
use servers::clock::Timestamp;
use servers::schemes::SchemeOptions;
use servers::schemes::jwt_refresh::{GRACE, REFRESH_TOKEN_CHARS, RefreshedTokens};
use servers::stores::bounded::Bounded;
use servers::stores::patience::Patience;
use servers::stores::refresh::memory::RefreshMemory;
use servers::stores::refresh::{Family, RefreshStore, Rotation, SecretDigest};
use servers::stores::{SessionData, SessionId, StoreError, StoreStats};
use servers::users::{PasswordHash, UserId, Users};

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);

/// The two tokens of an answer.
#[derive(Clone, Debug)]
struct Pair {
    access: String,
    refresh: String,
}

impl Pair {
    fn of(answer: Answer) -> Self {
        let answer = answer.expect(200).json();
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        Self { access: text("access_token"), refresh: text("refresh_token") }
    }
}

async fn every_arm(options: SchemeOptions) -> Vec<Arm> {
    let mut all = Vec::new();
    for info in available_arms().into_iter().filter(|info| info.refreshes) {
        let clock = options.clock.now();
        let options = SchemeOptions { clock: crate::common::options().clock, ..options.clone() };
        options.clock.set(clock);
        all.push(Arm::open(info, options).await);
    }
    assert!(!all.is_empty());
    all
}

async fn login(arm: &Arm, n: u32) -> Pair {
    Pair::of(arm.login_as(&format!("user-{n}"), &format!("password-{n}")).await)
}

#[tokio::test]
async fn the_answers_are_these() {
    for arm in every_arm(options()).await {
        let login = arm.login_as("user-7", "password-7").await.expect(200).json();
        let refreshed =
            arm.refresh(login["refresh_token"].as_str().unwrap()).await.expect(200).json();
        for answer in [&login, &refreshed] {
            assert_eq!(answer["token_type"], json!("Bearer"));
            assert_eq!(answer["expires_in"], json!(300));
            assert_eq!(answer["refresh_token"].as_str().unwrap().len(), REFRESH_TOKEN_CHARS);
            assert_eq!(answer.as_object().unwrap().len(), 4, "{answer}");
        }
        let credential = login["access_token"].as_str().unwrap();
        let cart = arm.post("/cart", credential, &json!({ "item": "a" })).await.expect(200).json();
        assert!(cart["refresh_token"].is_null() && cart["access_token"].is_string(), "{cart}");
        let logout = arm.post("/logout", credential, &Value::Null).await.expect(200).json();
        let reason = "refresh tokens only: an access token is good until it expires";
        assert_eq!(logout, json!({ "revoked": true, "credentials": 1, "reason": reason }));
        assert!(
            arm.open.notes.iter().any(|note| note.contains("for up to 302 s after its logout"))
        );
    }
}

#[tokio::test]
async fn bad_bodies_get_a_4xx_that_says_why() {
    for arm in every_arm(options()).await {
        for (kind, body, status) in [
            ("application/json", String::new(), 400),
            ("application/json", "null".into(), 400),
            ("application/json", "{}".into(), 400),
            ("application/json", r#"{"refresh_token":7}"#.into(), 400),
            ("application/json", r#"["AAAA"]"#.into(), 400),
            ("application/json", r#"{"refresh_token":"a","refresh_token":"b"}"#.into(), 400),
            ("application/json", "x".repeat(2 << 20), 413),
            ("application/x-www-form-urlencoded", "refresh_token=a".into(), 415),
        ] {
            let request = Request::post("/refresh").header("content-type", kind);
            let answer = arm.call(request.body(Body::from(body)).unwrap()).await;
            assert!(answer.expect(status).json()["error"].is_string());
        }
        assert_eq!(arm.operations().await, 0);
        assert_eq!(arm.open.app.panics(), 0);
    }
}

#[tokio::test]
async fn every_refresh_makes_both_tokens_anew_and_the_old_access_token_lives_on() {
    for arm in every_arm(options()).await {
        let mut pair = login(&arm, 7).await;
        let mut seen = BTreeSet::new();
        let first = pair.access.clone();
        for n in 1..=10 {
            arm.at(SECOND * n);
            let next = Pair::of(arm.refresh(&pair.refresh).await);
            assert!(seen.insert(next.access.clone()) && seen.insert(next.refresh.clone()));
            assert_eq!(arm.me(&next.access).await.expect(200).json()["user_id"], json!(7));
            arm.me(&pair.access).await.expect(200);
            pair = next;
        }
        arm.me(&first).await.expect(200);
        assert_eq!(arm.sessions().await, 1, "a refresh adds nothing");
        assert_eq!(arm.operations().await, 11, "one operation a refresh, none a request");
    }
}

/// The second tab shows the token that the first one has just used, and takes the first one's pair.
#[tokio::test]
async fn two_tabs_are_told_apart_from_a_thief_by_the_grace() {
    for arm in every_arm(options()).await {
        for (after, lives) in
            [(Duration::ZERO, true), (GRACE - MILLI, true), (GRACE, false), (GRACE * 2, false)]
        {
            arm.at(SECOND);
            let first = login(&arm, 7).await;
            let second = Pair::of(arm.refresh(&first.refresh).await);
            arm.at(SECOND + after);
            let refused = arm.refresh(&first.refresh).await.expect_refused();
            assert_eq!(refused, arm.me("x").await.expect_refused(), "the same words");
            let next = arm.refresh(&second.refresh).await;
            if lives {
                Pair::of(next);
            } else {
                next.expect_refused();
                arm.refresh(&first.refresh).await.expect_refused();
            }
            // A property of the scheme: what is out stays good until it expires.
            arm.me(&first.access).await.expect(200);
            arm.me(&second.access).await.expect(200);
        }
    }
}

#[tokio::test]
async fn a_token_older_than_the_one_before_ends_the_family_within_the_grace_too() {
    for arm in every_arm(options()).await {
        let other = login(&arm, 7).await;
        let first = login(&arm, 7).await;
        let second = Pair::of(arm.refresh(&first.refresh).await);
        let third = Pair::of(arm.refresh(&second.refresh).await);
        arm.refresh(&first.refresh).await.expect_refused();
        for pair in [&first, &second, &third] {
            arm.refresh(&pair.refresh).await.expect_refused();
        }
        Pair::of(arm.refresh(&other.refresh).await);
        assert_eq!(arm.sessions().await, 1, "the other login is another family");
    }
}

#[tokio::test]
async fn neither_token_is_taken_for_the_other() {
    for arm in every_arm(options()).await {
        let pair = login(&arm, 7).await;
        let operations = arm.operations().await;
        arm.me(&pair.refresh).await.expect_refused();
        for (method, path) in [("GET", "/cart"), ("POST", "/logout"), ("POST", "/logout-all")] {
            let request = arm.carrying(method, path, &pair.refresh).body(Body::empty()).unwrap();
            arm.call(request).await.expect_refused();
        }
        arm.refresh(&pair.access).await.expect_refused();
        // A refresh is for who shows the token, whatever the headers say.
        for request in [
            arm.carrying("POST", "/refresh", &pair.access),
            arm.carrying("POST", "/refresh", &pair.refresh),
            Request::post("/refresh").header("cookie", format!("refresh_token={}", pair.refresh)),
        ] {
            let request = request.header("content-type", "application/json");
            arm.call(request.body(Body::from("{}")).unwrap()).await.expect(400);
        }
        assert_eq!(arm.operations().await, operations, "none of it asks the store");
        arm.me(&pair.access).await.expect(200);
        Pair::of(arm.refresh(&pair.refresh).await);
    }
}

/// A changed id is another family's, a changed secret is a wrong one, and what is no refresh token
/// in form asks no store.
#[tokio::test]
async fn a_refresh_token_changed_in_any_byte_is_refused_in_the_same_words() {
    for arm in every_arm(options()).await {
        let expected = arm.refresh("x").await.expect_refused();
        for place in 0..REFRESH_TOKEN_CHARS {
            for with in ['A', 'w', '0', '-', '_', '+', '=', '.', '~', ' '] {
                let good = login(&arm, 7).await;
                let mut changed = good.refresh.clone();
                changed.replace_range(place..=place, &with.to_string());
                if changed != good.refresh {
                    assert_eq!(arm.refresh(&changed).await.expect_refused(), expected);
                }
                let next = arm.refresh(&good.refresh).await;
                if changed == good.refresh || place < 22 || !well_formed(&changed) {
                    Pair::of(next);
                } else {
                    next.expect_refused();
                }
            }
        }
        let operations = arm.operations().await;
        let good = login(&arm, 7).await.refresh;
        let (family, secret) = good.split_once('.').unwrap();
        for shape in [
            "",
            ".",
            family,
            secret,
            &good[1..],
            &good[..REFRESH_TOKEN_CHARS - 1],
            &format!("{good}A"),
            &format!("{good}."),
            &format!(" {good}"),
            &format!("{family}{secret}A"),
            &format!("{family}:{secret}"),
            &"\u{e9}".repeat(22),
            &"A".repeat(10_000),
        ] {
            assert_eq!(arm.refresh(shape).await.expect_refused(), expected, "{shape}");
        }
        assert_eq!(arm.operations().await, operations + 1, "the login alone");
        Pair::of(arm.refresh(&good).await);
    }
}

fn well_formed(token: &str) -> bool {
    token.split_once('.').is_some_and(|(family, secret)| {
        [family, secret].iter().all(|part| SessionId::parse(part.as_bytes()).is_some())
    })
}

/// The family ends at its millisecond, however often it was refreshed, and no access token is given
/// for longer than it has left.
#[tokio::test]
async fn no_refresh_puts_the_absolute_expiry_off() {
    for arm in every_arm(options()).await {
        let end = arm.options.ttl;
        let mut pair = login(&arm, 7).await;
        for (after, left) in [(299, 300), (598, 300), (600, 300), (601, 299), (890, 10), (899, 1)] {
            arm.at(SECOND * after);
            let answer = arm.refresh(&pair.refresh).await.expect(200);
            assert_eq!(answer.json()["expires_in"], json!(left), "after {after} s");
            pair = Pair::of(answer);
        }
        arm.at(end - MILLI);
        pair = Pair::of(arm.refresh(&pair.refresh).await);
        arm.me(&pair.access).await.expect(200);
        arm.at(end);
        arm.refresh(&pair.refresh).await.expect_refused();
        assert_eq!(arm.sessions().await, 1, "expired is gone, swept or not");
        let over = end + arm.options.leeway;
        arm.at(over - MILLI);
        arm.me(&pair.access).await.expect(200);
        arm.at(over);
        arm.me(&pair.access).await.expect_refused();
    }
}

#[tokio::test]
async fn an_access_token_lives_for_its_own_time_and_never_longer_than_its_login() {
    for (ttl, access_ttl, expected) in [(900, 60, 60), (900, 300, 300), (60, 300, 60)] {
        let (ttl, access_ttl) = (SECOND * ttl, SECOND * access_ttl);
        for arm in every_arm(SchemeOptions { ttl, access_ttl, ..options() }).await {
            let answer = arm.login_as("user-7", "password-7").await.expect(200);
            assert_eq!(answer.json()["expires_in"], json!(expected));
            let pair = Pair::of(answer);
            let end = SECOND * expected + arm.options.leeway;
            arm.at(end - MILLI);
            arm.me(&pair.access).await.expect(200);
            arm.at(end);
            arm.me(&pair.access).await.expect_refused();
        }
    }
}

#[tokio::test]
async fn a_logout_ends_the_refreshing_of_one_login_and_everywhere_of_all() {
    for arm in every_arm(options()).await {
        let (one, two, three) = (login(&arm, 7).await, login(&arm, 7).await, login(&arm, 7).await);
        let yours = login(&arm, 8).await;
        arm.post("/logout", &one.access, &Value::Null).await.expect(200);
        arm.refresh(&one.refresh).await.expect_refused();
        let two = Pair::of(arm.refresh(&two.refresh).await);
        // What is out outlives it, and can change nothing.
        arm.me(&one.access).await.expect(200);
        arm.post("/cart", &one.access, &json!({ "item": "a" })).await.expect_refused();
        let again = arm.post("/logout", &one.access, &Value::Null).await.expect(200).json();
        assert_eq!(again["credentials"], json!(0));

        let all = arm.post("/logout-all", &two.access, &Value::Null).await.expect(200).json();
        assert_eq!(all["credentials"], json!(2));
        for pair in [&two, &three] {
            arm.refresh(&pair.refresh).await.expect_refused();
        }
        Pair::of(arm.refresh(&yours.refresh).await);
        let after = login(&arm, 7).await;
        Pair::of(arm.refresh(&after.refresh).await);
    }
}

#[tokio::test]
async fn a_login_ends_the_family_that_came_with_it() {
    for arm in every_arm(options()).await {
        let old = login(&arm, 7).await;
        let mut request = login_request("user-8", "password-8");
        let value = format!("Bearer {}", old.access).try_into().unwrap();
        request.headers_mut().insert("authorization", value);
        let new = Pair::of(arm.call(request).await);
        assert_eq!(arm.sessions().await, 1);
        arm.refresh(&old.refresh).await.expect_refused();
        let next = Pair::of(arm.refresh(&new.refresh).await);
        assert_eq!(arm.me(&next.access).await.json()["user_id"], json!(8));
    }
}

#[tokio::test]
async fn the_cart_outlives_the_access_token_that_carries_it() {
    for arm in every_arm(options()).await {
        let pair = login(&arm, 7).await;
        let answer = arm.post("/cart", &pair.access, &json!({ "item": "apple" })).await.expect(200);
        let carrying = reissued(&answer, &arm.open.credential).unwrap();
        arm.at(arm.lifetime());
        arm.me(&carrying).await.expect_refused();
        let next = Pair::of(arm.refresh(&pair.refresh).await);
        let cart = arm.get("/cart", &next.access).await.expect(200).json();
        assert_eq!(cart["items"], json!(["apple"]));
    }
}

/// A changed key ends no refreshing: the refresh token is under no key.
#[tokio::test]
async fn a_key_is_replaced_without_ending_a_family() {
    let key = |key: &[u8]| Some(key.to_vec());
    let store = Arc::new(RefreshMemory::default());
    let open = |key, previous_keys| {
        let options = SchemeOptions { key, previous_keys, ..options() };
        let scheme =
            RefreshedTokens::new("jwt-refresh@memory", Faulty::over(&store), &options).unwrap();
        App::new(app::router(scheme, Users::new(PasswordHash::Derived)))
    };
    let before = open(key(KEY), vec![]);
    let during = open(key(OTHER_KEY), vec![KEY.to_vec()]);
    let after = open(key(OTHER_KEY), vec![]);
    let old = Pair::of(call(&before, login_request("user-7", "password-7")).await);
    call(&during, me(&old.access)).await.expect(200);
    call(&after, me(&old.access)).await.expect_refused();
    let new = Pair::of(call(&after, refresh(&old.refresh)).await);
    call(&after, me(&new.access)).await.expect(200);
    call(&before, me(&new.access)).await.expect_refused();
}

#[tokio::test]
async fn a_sweep_takes_what_is_over_and_gives_the_slots_back() {
    let store = RefreshMemory::default();
    let now = Timestamp::from_seconds(START);
    for n in 0..50_000_u32 {
        let user = servers::users::User::of(UserId::new(n).unwrap());
        let data = SessionData { user, cart: Default::default() };
        let expires = now.plus(if n % 100 == 0 { SECOND * 2 } else { SECOND });
        let family = Family { data, secret: SecretDigest::of(&[0; 16]), expires };
        assert!(store.begin(SessionId::generate().unwrap(), family).await.unwrap());
    }
    let full = store.slots();
    assert!(full >= 50_000);
    assert_eq!(store.sweep(now.plus(SECOND - MILLI)).await, Ok(0));
    assert_eq!(store.sweep(now.plus(SECOND)).await, Ok(49_500));
    assert!(store.slots() * 10 < full, "{} of {full}", store.slots());
    assert_eq!(store.sweep(now.plus(SECOND * 2)).await, Ok(500));
    assert_eq!(store.slots(), 0);
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Fails,
    Hangs,
    /// Does what it is asked and then says nothing.
    DoesAndHangs,
}

/// A store that fails or hangs on command.
struct Faulty {
    store: Arc<RefreshMemory>,
    fault: Arc<Mutex<Option<Fault>>>,
}

impl Faulty {
    fn over(store: &Arc<RefreshMemory>) -> Self {
        Self { store: Arc::clone(store), fault: Arc::default() }
    }

    async fn through<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let fault = *self.fault.lock();
        match fault {
            None => call.await,
            Some(Fault::Fails) => {
                Err(StoreError { store: "faulty", operation: "answer", found: "a fault".into() })
            }
            Some(Fault::Hangs) => std::future::pending().await,
            Some(Fault::DoesAndHangs) => {
                drop(call.await);
                std::future::pending().await
            }
        }
    }
}

impl RefreshStore for Faulty {
    const NAME: &'static str = "faulty";

    async fn begin(&self, id: SessionId, family: Family) -> Result<bool, StoreError> {
        self.through(self.store.begin(id, family)).await
    }

    async fn rotate(
        &self,
        id: SessionId,
        shown: SecretDigest,
        new: SecretDigest,
        now: Timestamp,
        grace: Duration,
    ) -> Result<Rotation, StoreError> {
        self.through(self.store.rotate(id, shown, new, now, grace)).await
    }

    async fn update(
        &self,
        id: SessionId,
        data: SessionData,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.through(self.store.update(id, data, now)).await
    }

    async fn end(&self, id: SessionId) -> Result<bool, StoreError> {
        self.through(self.store.end(id)).await
    }

    async fn end_all_of_user(&self, user: UserId) -> Result<u64, StoreError> {
        self.through(self.store.end_all_of_user(user)).await
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.through(self.store.sweep(now)).await
    }

    async fn stats(&self) -> Result<StoreStats, StoreError> {
        self.through(self.store.stats()).await
    }
}

async fn call(app: &App, request: Request) -> Answer {
    let (parts, body) = app.call(request).await.into_parts();
    let text = body.collect().await.unwrap().to_bytes();
    let text = String::from_utf8(text.to_vec()).unwrap();
    Answer { status: parts.status, headers: parts.headers, text }
}

fn asking(method: &str, path: &str, access: &str, body: &Value) -> Request {
    let request = Request::builder().method(method).uri(path);
    let request = request.header("authorization", format!("Bearer {access}"));
    let request = request.header("content-type", "application/json");
    request.body(Body::from(body.to_string())).unwrap()
}

fn me(access: &str) -> Request {
    asking("GET", "/me", access, &Value::Null)
}

fn refresh(refresh_token: &str) -> Request {
    let body = json!({ "refresh_token": refresh_token }).to_string();
    let request = Request::post("/refresh").header("content-type", "application/json");
    request.body(Body::from(body)).unwrap()
}

/// No login without a stored family, no pair for a token that could not be checked, and no logout
/// that was not confirmed; what needs no store goes on.
#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_asked_is_a_503() {
    for fault in [Fault::Fails, Fault::Hangs, Fault::DoesAndHangs] {
        let store = Arc::new(RefreshMemory::default());
        let faulty = Faulty::over(&store);
        let switch = Arc::clone(&faulty.fault);
        let store_in_time = Bounded::new(faulty, Patience::DEFAULT);
        let scheme = RefreshedTokens::new("jwt-refresh@memory", store_in_time, &options()).unwrap();
        let app = App::new(app::router(scheme, Users::new(PasswordHash::Derived)));
        let pair = Pair::of(call(&app, login_request("user-7", "password-7")).await);
        *switch.lock() = Some(fault);
        for request in [
            login_request("user-8", "password-8"),
            refresh(&pair.refresh),
            asking("POST", "/cart", &pair.access, &json!({ "item": "a" })),
            asking("POST", "/logout", &pair.access, &Value::Null),
            asking("POST", "/logout-all", &pair.access, &Value::Null),
        ] {
            let begun = tokio::time::Instant::now();
            let answer = call(&app, request).await.expect(503);
            assert!(begun.elapsed() <= Duration::from_millis(500), "{:?}", begun.elapsed());
            assert_eq!(answer.text, r#"{"error":"unavailable"}"#, "{fault:?}");
            assert_eq!(answer.header("retry-after"), "1");
        }
        call(&app, me(&pair.access)).await.expect(200);
        call(&app, refresh("no refresh token")).await.expect_refused();
        *switch.lock() = None;
        let again = call(&app, refresh(&pair.refresh)).await;
        if fault == Fault::DoesAndHangs {
            // It was carried out, and ended: nobody was given anything, and nobody can refresh.
            again.expect_refused();
        } else {
            Pair::of(again);
            assert_eq!(store.stats().await.unwrap().sessions, 1);
        }
        Pair::of(call(&app, login_request("user-8", "password-8")).await);
        assert_eq!(app.panics(), 0);
    }
}
