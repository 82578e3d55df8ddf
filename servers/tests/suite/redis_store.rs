//! The store in Redis, well and unwell: no 500, no login without a stored session, no credential
//! accepted that could not be checked, an answer in time, and everything as before soon after.

use std::time::{Duration, Instant};

use crate::common::redis::Redis;
use crate::common::{Answer, Arm, PATIENT, START, empty_redis, options};
use serde_json::{Value, json};
use servers::app;
use servers::clock::Timestamp;
use servers::schemes::SchemeOptions;
use servers::stores::patience::Patience;
use servers::stores::redis::{RedisStore, Space};
use servers::stores::{Session, SessionData, SessionId, SessionStore};
use servers::users::{PasswordHash, User, UserId};

/// An answer is due in half a second where Redis hangs, and at once where it is gone. The machine
/// may be busy, so this limit is generous and still shorter than [`PATIENT`]; the exact one is
/// tested under a clock moved by hand in `store_faults`.
const IN_TIME: Duration = Duration::from_secs(30);
/// From Redis answering again.
const BACK_TIME_MAX: Duration = Duration::from_secs(60);

async fn arm_at(name: &str, redis: &Redis, idle: Option<Duration>) -> Arm {
    Arm::named(name, SchemeOptions { store_url: Some(redis.url()), idle, ..options() }).await
}

/// One that gives up as soon as a server does. Of such an arm only a 503 can be expected: it may
/// give up on a Redis that is well where the machine is busy.
async fn hasty_arm_at(name: &str, redis: &Redis, idle: Option<Duration>) -> Arm {
    let (store_url, patience) = (Some(redis.url()), Patience::DEFAULT);
    Arm::named(name, SchemeOptions { store_url, idle, patience, ..options() }).await
}

#[track_caller]
fn unavailable(answer: Answer, begun: Instant) {
    assert!(begun.elapsed() < IN_TIME, "{:?}", begun.elapsed());
    let answer = answer.expect(503);
    assert_eq!(answer.text, r#"{"error":"unavailable"}"#);
    assert_eq!(answer.header("retry-after"), "1");
    assert!(!answer.headers.contains_key("set-cookie"));
}

/// Every request that needs the store is refused for now, and the others are not.
async fn expect_closed(arm: &Arm, held: &str) {
    for _ in 0..2 {
        let now = Instant::now;
        let begun = now();
        unavailable(arm.login_as("user-8", "password-8").await, begun);
        for credential in [held, "AAAAAAAAAAAAAAAAAAAAAA"] {
            let begun = now();
            unavailable(arm.me(credential).await, begun);
            let begun = now();
            unavailable(arm.post("/cart", credential, &json!({ "item": "a" })).await, begun);
            let begun = now();
            unavailable(arm.post("/logout-all", credential, &Value::Null).await, begun);
        }
    }
    arm.me("no id").await.expect_refused();
    arm.login_as("user-8", "wrong").await.expect(401);
}

/// Polls until the store answers again.
async fn expect_back(arm: &Arm, held: &str) -> Answer {
    let begun = Instant::now();
    loop {
        let answer = arm.me(held).await;
        if answer.status != 503 {
            return answer;
        }
        assert!(begun.elapsed() < BACK_TIME_MAX, "not back after {:?}", begun.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Fault 13: sessions.
#[tokio::test]
async fn a_killed_redis_is_a_503_and_is_used_again_when_it_is_back() {
    let Some(mut redis) = Redis::start() else { return };
    let arm = arm_at("session@redis", &redis, None).await;
    for _ in 0..2 {
        let held = arm.login(7).await;
        redis.kill();
        expect_closed(&arm, &held).await;
        redis.restart();
        expect_back(&arm, &held).await.expect_refused();
        assert_eq!(arm.sessions().await, 0, "no login of the time without a Redis was kept");
    }
    let held = arm.login(7).await;
    arm.me(&held).await.expect(200);
    assert_eq!(arm.open.app.panics(), 0);
}

/// Fault 14: sessions.
#[tokio::test]
async fn a_hung_redis_is_a_503_for_everyone_in_time_and_loses_no_session() {
    let Some(redis) = Redis::start() else { return };
    for idle in [None, Some(Duration::from_secs(600))] {
        let arm = arm_at("session@redis", &redis, idle).await;
        let hasty = hasty_arm_at("session@redis", &redis, idle).await;
        let held = arm.login(7).await;
        redis.signal("STOP");
        let begun = Instant::now();
        let all = futures(&hasty, &held, 300).await;
        assert!(begun.elapsed() < IN_TIME, "{:?}", begun.elapsed());
        assert!(all.iter().all(|answer| answer.status == 503));
        expect_closed(&hasty, &held).await;
        redis.signal("CONT");
        expect_back(&hasty, &held).await.expect(200);
        arm.me(&held).await.expect(200);
        arm.me(&arm.login(9).await).await.expect(200);
        assert_eq!(hasty.open.app.panics(), 0);
    }
}

async fn futures(arm: &Arm, held: &str, count: usize) -> Vec<Answer> {
    let mut all: Vec<_> = (0..count).map(|_| Box::pin(arm.me(held))).collect();
    let mut answers = Vec::new();
    std::future::poll_fn(|context| {
        all.retain_mut(|one| match one.as_mut().poll(context) {
            std::task::Poll::Ready(answer) => {
                answers.push(answer);
                false
            }
            std::task::Poll::Pending => true,
        });
        if all.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    answers
}

/// Fault 14: a pause of its own.
#[tokio::test]
async fn a_paused_redis_is_a_503_and_goes_on() {
    let Some(redis) = Redis::start() else { return };
    let arm = arm_at("session@redis", &redis, None).await;
    let hasty = hasty_arm_at("session@redis", &redis, None).await;
    let held = arm.login(7).await;
    for pauses in 1.. {
        redis.ask::<()>(&["CLIENT", "PAUSE", "1500", "ALL"]);
        let (begun, answer) = (Instant::now(), hasty.me(&held).await);
        if answer.status == 503 {
            unavailable(answer, begun);
            break;
        }
        assert!(pauses < 20, "the pause is over whenever this test gets to run");
    }
    expect_back(&hasty, &held).await.expect(200);
    arm.me(&held).await.expect(200);
}

/// Fault 15: sessions.
#[tokio::test]
async fn a_full_redis_takes_no_login_and_goes_on_reading() {
    let Some(redis) = Redis::start() else { return };
    for idle in [None, Some(Duration::from_secs(60))] {
        let arm = arm_at("session@redis", &redis, idle).await;
        let (held, other) = (arm.login(7).await, arm.login(8).await);
        let sessions = arm.sessions().await;
        // Less than Redis needs for itself.
        redis.ask::<()>(&["CONFIG", "SET", "maxmemory", "100kb"]);
        for _ in 0..3 {
            unavailable(arm.login_as("user-9", "password-9").await, Instant::now());
            unavailable(arm.post("/cart", &held, &json!({ "item": "a" })).await, Instant::now());
            arm.at(Duration::from_secs(1));
            arm.me(&held).await.expect(200);
        }
        assert_eq!(arm.sessions().await, sessions, "no session that nobody was given");
        arm.post("/logout", &other, &Value::Null).await.expect(200);
        redis.ask::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
        arm.post("/cart", &held, &json!({ "item": "a" })).await.expect(200);
        arm.post("/logout", &arm.login(9).await, &Value::Null).await.expect(200);
        arm.post("/logout", &held, &Value::Null).await.expect(200);
    }
}

/// Fault 16: who is evicted is logged out, and nobody else.
#[tokio::test]
async fn sessions_that_redis_evicts_are_over_and_the_others_are_not() {
    let Some(redis) = Redis::start() else { return };
    let arm = arm_at("session@redis", &redis, None).await;
    let mut held = Vec::new();
    for n in 0..300 {
        held.push(arm.login(n).await);
    }
    redis.ask::<()>(&["CONFIG", "SET", "maxmemory-policy", "allkeys-random"]);
    let used = |name: &str| {
        let info: String = redis.ask(&["INFO"]);
        let line = info.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_start_matches(':').trim().parse::<u64>().unwrap()
    };
    // A little less than it has, so that it evicts some and not all.
    let limit = (used("used_memory") - 20_000).to_string();
    redis.ask::<()>(&["CONFIG", "SET", "maxmemory", &limit]);
    redis.ask::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    assert!(used("evicted_keys") > 0, "nothing was evicted");
    let (mut here, mut gone) = (0, 0);
    for (n, credential) in held.iter().enumerate() {
        let answer = arm.me(credential).await;
        if answer.status == 200 {
            assert_eq!(answer.json()["user_id"], json!(n));
            here += 1;
        } else {
            answer.expect_refused();
            gone += 1;
        }
    }
    assert!(here > 0 && gone > 0, "{here} stayed, {gone} are gone");
    arm.me(&arm.login(7).await).await.expect(200);
    assert_eq!(arm.open.app.panics(), 0);
}

/// Fault 15: a Redis that may only be read.
#[tokio::test]
async fn a_replica_takes_no_login_and_no_logout_is_said_to_be_done() {
    let Some(redis) = Redis::start() else { return };
    let arm = arm_at("session@redis", &redis, None).await;
    let held = arm.login(7).await;
    redis.ask::<()>(&["REPLICAOF", "127.0.0.1", "1"]);
    for _ in 0..3 {
        unavailable(arm.login_as("user-8", "password-8").await, Instant::now());
        unavailable(arm.post("/logout", &held, &Value::Null).await, Instant::now());
        unavailable(arm.post("/logout-all", &held, &Value::Null).await, Instant::now());
        arm.me(&held).await.expect(200);
    }
    redis.ask::<()>(&["REPLICAOF", "NO", "ONE"]);
    arm.post("/logout", &held, &Value::Null).await.expect(200);
    arm.me(&held).await.expect_refused();
    arm.me(&arm.login(8).await).await.expect(200);
}

/// As Redis counts: what is one operation here is one there.
#[tokio::test]
async fn an_authenticated_read_is_one_operation_of_redis() {
    let Some(redis) = Redis::start() else { return };
    for (idle, command) in [(None, "get"), (Some(Duration::from_secs(60)), "evalsha")] {
        let arm = arm_at("session@redis", &redis, idle).await;
        let held = arm.login(7).await;
        // The first one may have to bring its script along.
        arm.me(&held).await.expect(200);
        let (before, operations) = (redis.commands(), arm.operations().await);
        for n in 1..=50 {
            arm.at(Duration::from_secs(n));
            arm.me(&held).await.expect(200);
        }
        let mut asked = redis.commands();
        asked.retain(|name, calls| {
            *calls -= before.get(name).copied().unwrap_or_default();
            *calls > 0
        });
        assert_eq!(asked.remove(command), Some(50));
        // What the script does inside of Redis is counted as well.
        let inside = if idle.is_some() { vec!["get", "pexpire", "setrange"] } else { vec![] };
        assert_eq!(asked.into_keys().collect::<Vec<_>>(), inside);
        assert_eq!(arm.operations().await, operations + 50);
    }
}

#[tokio::test]
async fn forgotten_scripts_are_sent_again() {
    let Some(redis) = Redis::start() else { return };
    let arm = arm_at("session@redis", &redis, Some(Duration::from_secs(60))).await;
    for _ in 0..2 {
        redis.ask::<()>(&["SCRIPT", "FLUSH"]);
        let held = arm.login(7).await;
        arm.me(&held).await.expect(200);
        arm.post("/logout", &held, &Value::Null).await.expect(200);
    }
}

/// Redis throws a session away a while after its end, never before, and keeps no index for ever.
#[tokio::test]
async fn sessions_have_a_time_to_live_and_indexes_are_trimmed() {
    let Some(redis) = Redis::start() else { return };
    let (seconds, id) = (Duration::from_secs, |n| SessionId::from_bytes([n; 16]));
    let now = Timestamp::from_seconds(START);
    let user = User::of(UserId::new(7).unwrap());
    let data = SessionData { user, cart: servers::cart::Cart::default() };
    let idle = Some(seconds(100));
    let store = RedisStore::at(Space::Sessions, &redis.url(), idle, PATIENT).unwrap();
    let begin = |after, ttl| Session::begin(data.clone(), now.plus(seconds(after)), seconds(ttl));
    let keys: u64 = redis.ask(&["DBSIZE"]);
    assert_eq!(keys, 0);
    for (n, after, ttl) in [(1, 0, 50), (2, 0, 900), (3, 1_000, 50)] {
        assert!(store.create(id(n), begin(after, ttl)).await.unwrap());
    }
    let left = |n: u8| {
        let mut text = String::new();
        id(n).encode(&mut text);
        redis.ask::<i64>(&["PTTL", &format!("authbench:s:{text}")])
    };
    // A minute longer than the earlier of the two ends; some of it may have passed.
    for (n, ends) in [(1, 50), (2, 100), (3, 50)] {
        assert!(((ends + 30) * 1_000..=(ends + 60) * 1_000).contains(&left(n)), "{}", left(n));
    }
    assert!(store.touch(id(2), now.plus(seconds(850))).await.is_ok_and(|touched| !touched));
    assert!(store.touch(id(2), now.plus(seconds(90))).await.unwrap());
    assert!(left(2) > 120_000, "{}", left(2));
    assert_eq!(redis.ask::<i64>(&["PTTL", "authbench:u:7"]), -1);
    // The first one was over for so long at the third that Redis cannot have it any more.
    assert_eq!(redis.ask::<u64>(&["ZCARD", "authbench:u:7"]), 2);
    assert_eq!(SessionStore::sweep(&store, now.plus(seconds(1_049))).await, Ok(1));
    assert_eq!(SessionStore::sweep(&store, now.plus(seconds(1_050))).await, Ok(1));
    assert_eq!(
        redis.ask::<u64>(&["EXISTS", "authbench:u:7"]),
        0,
        "an empty index counts as no index"
    );
}

/// More keys than one sweep looks at: the next one goes on, and all of them come to the end.
/// Fault 24: a sweep is bounded.
#[tokio::test]
async fn a_sweep_ends_and_the_next_one_goes_on() {
    let Some(redis) = Redis::start() else { return };
    let mut pipe = redis::pipe();
    for n in 0..60_000 {
        pipe.cmd("ZADD").arg(format!("authbench:u:{n}")).arg(1).arg("gone").ignore();
    }
    pipe.exec(&mut redis.connection()).unwrap();
    let store = RedisStore::at(Space::Sessions, &redis.url(), None, PATIENT).unwrap();
    let now = Timestamp::from_seconds(START);
    assert_eq!(SessionStore::sweep(&store, now).await, Ok(0));
    let left: u64 = redis.ask(&["DBSIZE"]);
    assert!((1..60_000).contains(&left), "{left}");
    for _ in 0..3 {
        SessionStore::sweep(&store, now).await.unwrap();
    }
    assert_eq!(redis.ask::<u64>(&["DBSIZE"]), 0);
}

#[tokio::test]
async fn a_value_that_is_no_session_is_a_503() {
    let Some(redis) = Redis::start() else { return };
    for idle in [None, Some(Duration::from_secs(60))] {
        let arm = arm_at("session@redis", &redis, idle).await;
        let held = arm.login(7).await;
        for value in ["", "no session", &"x".repeat(200)] {
            redis.ask::<()>(&["SET", &format!("authbench:s:{held}"), value]);
            let answer = arm.me(&held).await;
            // What reads as a moment that has passed is over, and no more than that.
            assert!([401, 503].contains(&answer.status.as_u16()), "{answer:?}");
            assert!(idle.is_some() || answer.status == 503, "{answer:?}");
        }
        assert_eq!(arm.open.app.panics(), 0);
    }
}

/// Two servers over one Redis are one: what one does the other knows.
#[tokio::test]
async fn servers_share_the_sessions_of_one_redis() {
    let Some(url) = empty_redis() else { return };
    let open = || {
        let options = SchemeOptions { store_url: Some(url.clone()), ..options() };
        Arm::named("session@redis", options)
    };
    let (one, other) = (open().await, open().await);
    let (held, mine) = (one.login(7).await, other.login(7).await);
    one.post("/cart", &held, &json!({ "item": "a" })).await.expect(200);
    assert_eq!(other.get("/cart", &held).await.expect(200).json()["items"], json!(["a"]));
    other.post("/logout", &held, &Value::Null).await.expect(200);
    one.me(&held).await.expect_refused();
    one.post("/logout-all", &mine, &Value::Null).await.expect(200);
    other.me(&mine).await.expect_refused();
}

#[tokio::test]
async fn a_redis_of_its_own_is_told_and_goes_with_the_store() {
    if !crate::common::is_here("redis") {
        return;
    }
    let open = app::open("session@redis", &options(), PasswordHash::Derived).await.unwrap();
    let process = open.store.clone().unwrap();
    assert!(process.name.starts_with("redis ") && open.notes[1].contains(&process.name[6..]));
    let command = std::fs::read_to_string(format!("/proc/{}/cmdline", process.pid)).unwrap();
    let url = process.url.secret();
    let password = url.split([':', '@']).nth(2).unwrap();
    assert!(password.len() == 32 && !command.contains(password), "{command}");
    assert!(!format!("{process:?}").contains(password));
    let wrong = url.replace(password, "wrong");
    for (url, expected) in [
        (wrong.as_str(), "authentication failed"),
        ("redis://127.0.0.1:1", "the store `redis` could not be reached"),
        ("redis://:secret@host:port", "expected store_url to be redis://"),
        ("rediss://127.0.0.1", "expected store_url to be redis://"),
    ] {
        let options = SchemeOptions { store_url: Some(url.into()), ..options() };
        let refused = app::open("session@redis", &options, PasswordHash::Derived).await;
        let error = refused.err().expect("a refusal").to_string();
        assert!(error.contains(expected) && !error.contains("secret"), "{error}");
    }
    drop(open);
    assert!(!std::path::Path::new(&format!("/proc/{}", process.pid)).exists());
}

/// Who reads the store has no credential of this arm, and a token is no key of the store.
#[tokio::test]
async fn an_opaque_token_is_kept_as_a_digest() {
    let Some(redis) = Redis::start() else { return };
    let arm = arm_at("opaque-introspection@redis", &redis, None).await;
    let token = arm.login(7).await;
    let keys: Vec<String> = redis.ask(&["KEYS", "authbench:o:*"]);
    let [key] = &keys[..] else { panic!("one session: {keys:?}") };
    let stored = key.rsplit(':').next().unwrap();
    assert_ne!(stored, token);
    arm.me(stored).await.expect_refused();
    arm.me(&token).await.expect(200);
    let answer = arm.login_as("user-8", "password-8").await.expect(200).json();
    assert_eq!((&answer["token_type"], &answer["expires_in"]), (&json!("Bearer"), &json!(900)));
    let begun = redis.commands();
    arm.me(&token).await.expect(200);
    assert_eq!(redis.commands()["get"], begun["get"] + 1);
    let hasty = hasty_arm_at("opaque-introspection@redis", &redis, None).await;
    redis.signal("STOP");
    let begun = Instant::now();
    unavailable(hasty.me(&token).await, begun);
    redis.signal("CONT");
    expect_back(&hasty, &token).await.expect(200);
}
