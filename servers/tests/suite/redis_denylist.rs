//! The list that servers share over Redis: pushed in time, closed when nothing is heard, and whole
//! again when Redis is back.

use std::time::{Duration, Instant};

use crate::common::redis::Redis;
use crate::common::{Answer, Arm, credential_of, empty_redis, options};
use serde_json::{Value, json};
use servers::schemes::SchemeOptions;
use servers::stores::patience::Patience;

/// How long a copy of the list is relied on where a test waits for its end: many heartbeats, so
/// that a busy machine does not end it.
const FRESH_TIME: Duration = Duration::from_secs(3);
/// Longer than anything that a test waits for may take on a machine that is busy.
const SOON: Duration = Duration::from_secs(60);

async fn open(url: &str) -> Arm {
    let options = SchemeOptions { store_url: Some(url.into()), ..options() };
    Arm::named("jwt-denylist@redis", options).await
}

/// One that closes when nothing is heard for [`FRESH_TIME`].
async fn open_to_close(url: &str) -> Arm {
    let (store_url, patience) = (Some(url.into()), Patience::new(FRESH_TIME));
    Arm::named("jwt-denylist@redis", SchemeOptions { store_url, patience, ..options() }).await
}

/// Polls until the answer has this status.
async fn expect_soon(arm: &Arm, credential: &str, status: u16) -> Answer {
    let begun = Instant::now();
    loop {
        let answer = arm.me(credential).await;
        if answer.status == status {
            return answer.expect(status);
        }
        assert!(begun.elapsed() < SOON, "{status} wanted: {answer:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn expect_closed(arm: &Arm, credential: &str) {
    // What was heard last may be good for a while.
    expect_soon(arm, credential, 503).await;
    for _ in 0..3 {
        for answer in [
            arm.me(credential).await,
            arm.login_as("user-8", "password-8").await,
            arm.post("/cart", credential, &json!({ "item": "a" })).await,
            arm.post("/logout", credential, &Value::Null).await,
            arm.post("/logout-all", credential, &Value::Null).await,
        ] {
            let answer = answer.expect(503);
            assert_eq!(answer.header("retry-after"), "1");
        }
    }
    arm.me("no token").await.expect_refused();
    arm.login_as("user-8", "wrong").await.expect(401);
}

#[tokio::test]
async fn a_logout_at_one_server_is_one_at_every_server() {
    let Some(url) = empty_redis() else { return };
    let (here, there) = (open(&url).await, open(&url).await);
    for _ in 0..3 {
        let (one, two, kept) = (here.login(7).await, here.login(8).await, here.login(9).await);
        for credential in [&one, &two, &kept] {
            there.me(credential).await.expect(200);
        }
        here.post("/logout", &one, &Value::Null).await.expect(200);
        here.me(&one).await.expect_refused();
        expect_soon(&there, &one, 401).await.expect_refused();
        there.post("/logout-all", &two, &Value::Null).await.expect(200);
        there.me(&two).await.expect_refused();
        expect_soon(&here, &two, 401).await.expect_refused();
        for arm in [&here, &there] {
            arm.me(&kept).await.expect(200);
            arm.me(&arm.login(8).await).await.expect(200);
        }
    }
    assert!(here.open.upkeep.as_ref().unwrap().lag().unwrap() > Duration::ZERO);
}

/// The servers' own clocks say nothing of what was before and what was after: one is an hour ahead
/// of the other here, and the tokens and the logouts come from both.
#[tokio::test]
async fn before_and_after_are_told_apart_without_the_servers_clocks() {
    let Some(url) = empty_redis() else { return };
    let leeway = Duration::from_secs(7_200);
    let open = || {
        let options = SchemeOptions { store_url: Some(url.clone()), leeway, ..options() };
        Arm::named("jwt-denylist@redis", options)
    };
    let (ahead, behind) = (open().await, open().await);
    ahead.at(Duration::from_secs(3_600));
    for (one, other) in [(&ahead, &behind), (&behind, &ahead)] {
        for _ in 0..3 {
            let (before, too) = (one.login(7).await, other.login(7).await);
            other.post("/logout-all", &too, &Value::Null).await.expect(200);
            for arm in [one, other] {
                expect_soon(arm, &before, 401).await;
                expect_soon(arm, &too, 401).await;
                arm.me(&arm.login(7).await).await.expect(200);
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_starts_loads_the_list() {
    let Some(url) = empty_redis() else { return };
    let first = open(&url).await;
    let kept = first.login(9).await;
    let mut denied = Vec::new();
    for n in 0..50 {
        let token = first.login(n % 5).await;
        let path = if n % 10 < 5 { "/logout" } else { "/logout-all" };
        first.post(path, &token, &Value::Null).await.expect(200);
        denied.push(token);
    }
    drop(first);
    let second = open(&url).await;
    for token in &denied {
        second.me(token).await.expect_refused();
    }
    second.me(&kept).await.expect(200);
}

/// No round trip per request: Redis sees heartbeats and nothing else.
#[tokio::test]
async fn a_request_asks_no_redis() {
    let Some(redis) = Redis::start() else { return };
    let arm = open(&redis.url()).await;
    let token = arm.login(7).await;
    let (before, operations) = (redis.commands(), arm.operations().await);
    for _ in 0..200 {
        arm.me(&token).await.expect(200);
    }
    let mut asked = redis.commands();
    asked.retain(|name, calls| *calls > before.get(name).copied().unwrap_or_default());
    asked.remove("publish");
    assert!(asked.is_empty(), "{asked:?}");
    assert_eq!(arm.operations().await, operations);
}

/// Fault 13: revoked tokens stay revoked.
#[tokio::test]
async fn a_killed_redis_closes_and_what_was_denied_stays_so_when_it_is_back_empty() {
    let Some(mut redis) = Redis::start() else { return };
    let (here, there) = (open_to_close(&redis.url()).await, open_to_close(&redis.url()).await);
    for _ in 0..2 {
        let (token, all, kept) = (here.login(7).await, here.login(8).await, here.login(9).await);
        here.post("/logout", &token, &Value::Null).await.expect(200);
        there.post("/logout-all", &all, &Value::Null).await.expect(200);
        expect_soon(&there, &token, 401).await;
        expect_soon(&here, &all, 401).await;
        redis.kill();
        expect_closed(&here, &kept).await;
        expect_closed(&there, &kept).await;
        redis.restart();
        for arm in [&here, &there] {
            expect_soon(arm, &kept, 200).await;
            arm.me(&token).await.expect_refused();
            arm.me(&all).await.expect_refused();
            // A number from after the loss is still above one from before.
            arm.me(&login_soon(arm, 8).await).await.expect(200);
        }
        // Redis was given back what it had lost.
        let third = open(&redis.url()).await;
        third.me(&token).await.expect_refused();
        third.me(&all).await.expect_refused();
        third.me(&kept).await.expect(200);
        assert_eq!(here.open.app.panics() + there.open.app.panics(), 0);
    }
}

/// Fault 14: revoked tokens.
#[tokio::test]
async fn a_hung_redis_closes_in_time_and_a_logout_of_that_time_is_not_lost() {
    let Some(redis) = Redis::start() else { return };
    let (here, there) = (open_to_close(&redis.url()).await, open_to_close(&redis.url()).await);
    let token = here.login(7).await;
    redis.signal("STOP");
    expect_closed(&here, &token).await;
    redis.signal("CONT");
    // It may have been carried out when Redis went on: it was not said that it was.
    let after = expect_back(&there, &token).await;
    assert!([200, 401].contains(&after.status.as_u16()));
    let next = login_soon(&here, 9).await;
    expect_soon(&there, &next, 200).await;
    here.post("/logout", &next, &Value::Null).await.expect(200);
    expect_soon(&there, &next, 401).await;
}

/// Logs in as soon as that is possible: the copy of the list and the requests have a connection
/// each, and one may be back before the other.
async fn login_soon(arm: &Arm, n: u32) -> String {
    let begun = Instant::now();
    loop {
        let answer = arm.login_as(&format!("user-{n}"), &format!("password-{n}")).await;
        if answer.status != 503 {
            return credential_of(&answer.expect(200), &arm.open.credential);
        }
        assert!(begun.elapsed() < SOON, "{answer:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn expect_back(arm: &Arm, credential: &str) -> Answer {
    let begun = Instant::now();
    loop {
        let answer = arm.me(credential).await;
        if answer.status != 503 {
            return answer;
        }
        assert!(begun.elapsed() < SOON, "{answer:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A listener that is cut off while Redis answers everything else must not go unnoticed.
#[tokio::test]
async fn a_lost_subscription_is_had_again_with_what_was_missed() {
    let Some(redis) = Redis::start() else { return };
    let (here, there) = (open(&redis.url()).await, open(&redis.url()).await);
    for _ in 0..3 {
        let token = here.login(7).await;
        there.me(&token).await.expect(200);
        redis.ask::<i64>(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        here.post("/logout", &token, &Value::Null).await.expect(200);
        expect_soon(&there, &token, 401).await;
        expect_soon(&there, &here.login(9).await, 200).await;
    }
}

/// Fault 15: revoked tokens.
#[tokio::test]
async fn a_full_redis_takes_no_logout_and_goes_on_checking() {
    let Some(redis) = Redis::start() else { return };
    let arm = open(&redis.url()).await;
    let token = arm.login(7).await;
    redis.ask::<()>(&["CONFIG", "SET", "maxmemory", "100kb"]);
    for path in ["/logout", "/logout-all"] {
        arm.post(path, &token, &Value::Null).await.expect(503);
        arm.me(&token).await.expect(200);
    }
    arm.login_as("user-8", "password-8").await.expect(503);
    redis.ask::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    arm.post("/logout", &token, &Value::Null).await.expect(200);
    arm.me(&token).await.expect_refused();
}

/// An entry that cannot be read might deny what is asked for.
#[tokio::test]
async fn an_entry_that_is_none_closes_the_list() {
    let Some(redis) = Redis::start() else { return };
    let arm = open_to_close(&redis.url()).await;
    let token = arm.login(7).await;
    redis.ask::<()>(&["SET", "authbench:d:t:nonsense", "1"]);
    redis.ask::<i64>(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    expect_soon(&arm, &token, 503).await;
    redis.ask::<i64>(&["DEL", "authbench:d:t:nonsense"]);
    expect_soon(&arm, &token, 200).await;
}
