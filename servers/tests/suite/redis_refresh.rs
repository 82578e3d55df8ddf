//! Refresh sessions in Redis, well and unwell: no 500, no pair for a token that could not be
//! checked, no login that was answered and is lost where Redis keeps what it is given, and
//! everything as before soon after it is back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::common::redis::Redis;
use crate::common::{Answer, Arm, PATIENT, START, options};
use serde_json::{Value, json};
use servers::cart::Cart;
use servers::clock::{Clock, Timestamp};
use servers::schemes::SchemeOptions;
use servers::stores::patience::Patience;
use servers::stores::refresh::redis::RefreshRedis;
use servers::stores::refresh::{Family, RefreshStore, SecretDigest};
use servers::stores::{SessionData, SessionId};
use servers::users::{User, UserId};

/// An answer is due in half a second where Redis hangs, and at once where it is gone. The machine
/// may be busy, so this limit is generous and still shorter than [`PATIENT`]; the exact one is
/// tested under a clock moved by hand in `refresh`.
const IN_TIME: Duration = Duration::from_secs(30);
/// From Redis answering again.
const BACK_TIME_MAX: Duration = Duration::from_secs(60);

async fn arm_at(redis: &Redis) -> Arm {
    let options = SchemeOptions { store_url: Some(redis.url()), ..options() };
    Arm::named("jwt-refresh@redis", options).await
}

/// One that gives up as soon as a server does. Of such an arm only a 503 can be expected: it may
/// give up on a Redis that is well where the machine is busy.
async fn hasty_arm_at(redis: &Redis) -> Arm {
    let (store_url, patience) = (Some(redis.url()), Patience::DEFAULT);
    Arm::named("jwt-refresh@redis", SchemeOptions { store_url, patience, ..options() }).await
}

/// The access token and the refresh token of an answer.
fn pair(answer: Answer) -> (String, String) {
    let answer = answer.expect(200).json();
    let text = |name: &str| answer[name].as_str().unwrap().to_owned();
    (text("access_token"), text("refresh_token"))
}

async fn login(arm: &Arm, n: u32) -> (String, String) {
    pair(arm.login_as(&format!("user-{n}"), &format!("password-{n}")).await)
}

#[track_caller]
fn unavailable(answer: Answer, begun: Instant) {
    assert!(begun.elapsed() < IN_TIME, "{:?}", begun.elapsed());
    let answer = answer.expect(503);
    assert_eq!(answer.text, r#"{"error":"unavailable"}"#);
    assert_eq!(answer.header("retry-after"), "1");
}

/// Every request that needs the store is refused for now, and the others are not.
async fn expect_closed(arm: &Arm, held: &(String, String)) {
    let (access, refresh) = held;
    for _ in 0..2 {
        let begun = Instant::now();
        unavailable(arm.login_as("user-99", "password-99").await, begun);
        let begun = Instant::now();
        unavailable(arm.post("/cart", access, &json!({ "item": "a" })).await, begun);
        let begun = Instant::now();
        unavailable(arm.post("/logout-all", access, &Value::Null).await, begun);
        let begun = Instant::now();
        unavailable(arm.refresh(refresh).await, begun);
    }
    arm.me(access).await.expect(200);
    arm.refresh("no refresh token").await.expect_refused();
}

/// Polls with what is no pair's token until the store answers again.
async fn expect_back(arm: &Arm) {
    let nobodys = ["A".repeat(22), "A".repeat(22)].join(".");
    let begun = Instant::now();
    loop {
        let answer = arm.refresh(&nobodys).await;
        if answer.status != 503 {
            answer.expect_refused();
            return;
        }
        assert!(begun.elapsed() < BACK_TIME_MAX, "not back after {:?}", begun.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Refreshes for as long as it is answered. The last pair that it was given.
async fn refresh_on(
    arm: Arc<Arm>,
    mut held: (String, String),
    answered: Arc<AtomicU32>,
) -> (String, String) {
    loop {
        let begun = Instant::now();
        let answer = arm.refresh(&held.1).await;
        if answer.status != 200 {
            unavailable(answer, begun);
            return held;
        }
        held = pair(answer);
        answered.fetch_add(1, Ordering::Relaxed);
    }
}

/// Fault 13: refresh tokens.
#[tokio::test]
async fn a_redis_killed_while_many_refresh_loses_no_login_that_was_answered() {
    let Some(mut redis) = Redis::start_durable() else { return };
    let arm = Arc::new(arm_at(&redis).await);
    for round in 0..2 {
        let mut waiting = Vec::new();
        for n in 0..20 {
            waiting.push(pair(arm.refresh(&login(&arm, n).await.1).await));
        }
        let answered = Arc::new(AtomicU32::new(0));
        let mut busy = Vec::new();
        for n in 20..40 {
            let held = login(&arm, n).await;
            busy.push(tokio::spawn(refresh_on(Arc::clone(&arm), held, Arc::clone(&answered))));
        }
        while answered.load(Ordering::Relaxed) < 200 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        redis.kill();
        let mut doubtful = Vec::new();
        for one in busy {
            doubtful.push(one.await.unwrap());
        }
        expect_closed(&arm, &waiting[0]).await;
        redis.restart();
        expect_back(&arm).await;
        for (_, refresh) in &waiting {
            pair(arm.refresh(refresh).await);
        }
        // One that was under way may have been carried out: then its user logs in again.
        for (access, refresh) in &doubtful {
            let answer = arm.refresh(refresh).await;
            assert!([200, 401].contains(&answer.status.as_u16()), "{answer:?}");
            arm.me(access).await.expect(200);
        }
        let kept = arm.sessions().await;
        assert_eq!(kept, 40, "round {round}: every login that was answered, and no other");
        let (access, _) = login(&arm, 0).await;
        for n in 0..40 {
            let (other, _) = login(&arm, n).await;
            arm.post("/logout-all", &other, &Value::Null).await.expect(200);
        }
        arm.me(&access).await.expect(200);
        assert_eq!(arm.sessions().await, 0);
    }
    assert_eq!(arm.open.app.panics(), 0);
}

#[tokio::test]
async fn a_redis_that_forgets_refreshes_nobody_and_takes_new_logins() {
    let Some(mut redis) = Redis::start() else { return };
    let arm = arm_at(&redis).await;
    let held = login(&arm, 7).await;
    redis.kill();
    expect_closed(&arm, &held).await;
    redis.restart();
    expect_back(&arm).await;
    arm.refresh(&held.1).await.expect_refused();
    arm.post("/cart", &held.0, &json!({ "item": "a" })).await.expect_refused();
    assert_eq!(arm.sessions().await, 0, "no login of the time without a Redis was kept");
    pair(arm.refresh(&login(&arm, 7).await.1).await);
}

/// Fault 14: refresh tokens.
#[tokio::test]
async fn a_hung_redis_is_a_503_in_time_and_loses_no_family() {
    let Some(redis) = Redis::start() else { return };
    let arm = arm_at(&redis).await;
    let hasty = hasty_arm_at(&redis).await;
    let (held, other) = (login(&arm, 7).await, login(&arm, 8).await);
    redis.signal("STOP");
    let begun = Instant::now();
    unavailable(hasty.refresh(&held.1).await, begun);
    redis.signal("CONT");
    expect_back(&hasty).await;
    // It may have been carried out when Redis went on, and is late then.
    let answer = arm.refresh(&held.1).await;
    assert!([200, 401].contains(&answer.status.as_u16()), "{answer:?}");
    pair(arm.refresh(&other.1).await);
    assert_eq!(arm.sessions().await, 2);
}

#[tokio::test]
async fn a_full_redis_rotates_nothing_and_ends_what_was_copied() {
    let Some(redis) = Redis::start() else { return };
    let arm = arm_at(&redis).await;
    let (held, copied) = (login(&arm, 7).await, login(&arm, 8).await);
    let mut last = copied.clone();
    for _ in 0..2 {
        last = pair(arm.refresh(&last.1).await);
    }
    // Less than Redis needs for itself.
    redis.ask::<()>(&["CONFIG", "SET", "maxmemory", "100kb"]);
    unavailable(arm.login_as("user-9", "password-9").await, Instant::now());
    unavailable(arm.refresh(&held.1).await, Instant::now());
    arm.refresh(&copied.1).await.expect_refused();
    redis.ask::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    arm.refresh(&last.1).await.expect_refused();
    pair(arm.refresh(&held.1).await);
    assert_eq!(arm.sessions().await, 1);
}

/// As Redis counts: one script a call, and nothing but that; and a script that it has lost is sent
/// again.
#[tokio::test]
async fn every_call_is_one_round_trip() {
    let Some(redis) = Redis::start() else { return };
    let arm = arm_at(&redis).await;
    let round = async || {
        let (access, refresh) = login(&arm, 7).await;
        arm.post("/cart", &access, &json!({ "item": "a" })).await.expect(200);
        let (access, _) = pair(arm.refresh(&refresh).await);
        arm.post("/logout", &access, &Value::Null).await.expect(200);
        let (access, _) = login(&arm, 7).await;
        arm.post("/logout-all", &access, &Value::Null).await.expect(200);
    };
    round().await;
    let (before, operations) = (redis.commands(), arm.operations().await);
    round().await;
    let since = redis.commands();
    let calls = |name: &str| since.get(name).unwrap_or(&0) - before.get(name).unwrap_or(&0);
    assert_eq!((calls("evalsha"), calls("eval"), calls("script|load")), (6, 0, 0));
    assert_eq!(arm.operations().await, operations + 6);
    redis.ask::<()>(&["SCRIPT", "FLUSH"]);
    round().await;
}

#[tokio::test]
async fn redis_is_given_digests_and_no_secret_and_throws_away_what_is_over() {
    let Some(redis) = Redis::start() else { return };
    let now = Timestamp::from_seconds(START);
    let store = RefreshRedis::at(&redis.url(), Clock::manual(now), PATIENT).unwrap();
    let (id, secret) = (SessionId::from_bytes([1; 16]), [0x5a; 16]);
    let data = SessionData { user: User::of(UserId::new(7).unwrap()), cart: Cart::default() };
    let expires = now.plus(Duration::from_secs(900));
    let family = Family { data, secret: SecretDigest::of(&secret), expires };
    assert!(store.begin(id, family.clone()).await.unwrap());
    let new = SecretDigest::of(&[0x5b; 16]);
    store.rotate(id, family.secret, new, now, Duration::from_secs(1)).await.unwrap();

    let keys: Vec<String> = redis.ask(&["KEYS", "authbench:f:*"]);
    let [key] = &keys[..] else { panic!("one family: {keys:?}") };
    let value: Vec<u8> = redis.ask(&["GET", key]);
    // The user takes 7 bytes and those of the name, `User 7`, behind the head.
    assert_eq!(value.len(), 80 + 7 + 6);
    assert_eq!(
        (&value[16..48], &value[48..80]),
        (&new.as_bytes()[..], &family.secret.as_bytes()[..])
    );
    assert!(!value.windows(8).any(|part| part == [0x5a; 8] || part == [0x5b; 8]));

    // A minute longer than it lives, which a rotation does not change; some of it may have passed.
    let left: i64 = redis.ask(&["PTTL", key]);
    assert!((930_000..=960_000).contains(&left), "{left}");
    assert_eq!(redis.ask::<i64>(&["PTTL", "authbench:fu:7"]), -1);
    redis.ask::<()>(&["SET", key, "no family", "KEEPTTL"]);
    let refused = store.rotate(id, new, family.secret, now, Duration::from_secs(1)).await;
    assert!(refused.unwrap_err().to_string().contains("an unreadable value of 9 bytes"));
}
