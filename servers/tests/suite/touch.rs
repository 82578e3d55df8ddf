//! What an idle timeout writes (`--touch`): how often, as each store counts it, and that nobody
//! stays logged in for longer or is logged out much earlier for it.

use std::time::{Duration, Instant};

use crate::common::{Arm, available_arms, options};
use servers::app;
use servers::schemes::{ArmInfo, SchemeOptions, arms, session};
use servers::stores::Touch;
use servers::users::PasswordHash;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const IDLE: Duration = Duration::from_secs(600);
const ONCE_A_MINUTE: Touch = Touch::AtMostEvery(MINUTE);

fn has_sessions(info: &ArmInfo) -> bool {
    session::SCHEMES.contains(&info.scheme)
}

fn touching(touch: Touch) -> SchemeOptions {
    let ttl = Duration::from_secs(3_600);
    SchemeOptions { ttl, idle: Some(IDLE), touch: Some(touch), ..options() }
}

async fn session_arms(touch: Touch) -> Vec<Arm> {
    let mut opened = Vec::new();
    for info in available_arms().into_iter().filter(|info| has_sessions(info)) {
        opened.push(Arm::open(info, touching(touch)).await);
    }
    assert!(opened.len() >= 4, "memory, mutex, tower and sqlite need no program");
    opened
}

async fn writes(arm: &Arm) -> u64 {
    arm.open.upkeep.as_ref().unwrap().stats().await.unwrap().writes.unwrap()
}

/// The writes since `before`, once there are so many; SQLite writes behind the answer.
async fn writes_reach(arm: &Arm, before: u64, expected: u64) -> u64 {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let written = writes(arm).await - before;
        if written >= expected || Instant::now() > deadline {
            return written;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A hundred requests of one user, a second apart.
async fn hundred_requests(arm: &Arm) -> u64 {
    let credential = arm.login(7).await;
    let before = writes(arm).await;
    for n in 1..=100 {
        arm.at(SECOND * n);
        arm.me(&credential).await.expect(200);
    }
    before
}

#[tokio::test]
async fn every_use_is_written_always() {
    for arm in session_arms(Touch::Always).await {
        let before = hundred_requests(&arm).await;
        if arm.info.store == Some("sqlite") {
            // Rows are written in groups: what is used again meanwhile is one row.
            let written = writes_reach(&arm, before, 1).await;
            assert!((1..=100).contains(&written), "{}: {written}", arm.info.arm);
        } else {
            assert_eq!(writes_reach(&arm, before, 100).await, 100, "{}", arm.info.arm);
        }
    }
}

#[tokio::test]
async fn one_use_a_minute_is_written_once_a_minute() {
    for arm in session_arms(ONCE_A_MINUTE).await {
        let before = hundred_requests(&arm).await;
        assert_eq!(writes_reach(&arm, before, 1).await, 1, "{}", arm.info.arm);
        let other = arm.login(8).await;
        arm.me(&other).await.expect(200);
        assert_eq!(writes_reach(&arm, before, 2).await, 2, "{}: only a login", arm.info.arm);
    }
}

#[tokio::test]
async fn no_use_is_written_never() {
    for arm in session_arms(Touch::Never).await {
        let before = hundred_requests(&arm).await;
        // A login is written after all that came before it.
        arm.login(8).await;
        assert_eq!(writes(&arm).await - before, 1, "{}", arm.info.arm);
    }
}

#[tokio::test]
async fn changes_and_ends_are_writes_too() {
    for arm in session_arms(Touch::Never).await {
        let before = writes(&arm).await;
        let credential = arm.login(7).await;
        arm.post("/cart", &credential, &serde_json::json!({ "item": "apple" })).await.expect(200);
        arm.login(7).await;
        assert_eq!(writes(&arm).await - before, 3, "{}", arm.info.arm);
        arm.post("/logout-all", &credential, &serde_json::json!({})).await.expect(200);
        arm.me(&credential).await.expect_refused();
        assert_eq!(writes(&arm).await - before, 5, "{}", arm.info.arm);
    }
}

/// Logs in at 0, is used at `used`, and is asked at `asked`.
async fn is_live(arm: &Arm, user: u32, used: Duration, asked: Duration) -> bool {
    arm.at(Duration::ZERO);
    let credential = arm.login(user).await;
    arm.at(used);
    arm.me(&credential).await.expect(200);
    arm.at(asked);
    arm.me(&credential).await.status.is_success()
}

#[tokio::test]
async fn a_session_ends_as_the_policy_says_to_the_millisecond() {
    let ms = Duration::from_millis(1);
    // What is used, and when the session ends after that.
    let minute_less = MINUTE - ms;
    let cases = [
        (Touch::Always, minute_less, minute_less + IDLE),
        (Touch::Always, IDLE - ms, 2 * IDLE - ms),
        // A use within the minute is not known, and the session ends as if it had not been.
        (ONCE_A_MINUTE, minute_less, IDLE),
        (ONCE_A_MINUTE, MINUTE, MINUTE + IDLE),
        (ONCE_A_MINUTE, IDLE - ms, 2 * IDLE - ms),
        (Touch::Never, MINUTE, IDLE),
        (Touch::Never, IDLE - ms, IDLE),
    ];
    let mut user = 0;
    for touch in [Touch::Always, ONCE_A_MINUTE, Touch::Never] {
        for arm in session_arms(touch).await {
            for (_, used, ends) in cases.iter().filter(|(of, ..)| *of == touch) {
                user += 2;
                let name = arm.info.arm;
                assert!(is_live(&arm, user, *used, *ends - ms).await, "{name} {touch:?} {used:?}");
                assert!(!is_live(&arm, user + 1, *used, *ends).await, "{name} {touch:?} {used:?}");
            }
        }
    }
}

#[tokio::test]
async fn who_is_active_stays_until_the_absolute_end() {
    for arm in session_arms(ONCE_A_MINUTE).await {
        let credential = arm.login(7).await;
        for n in 1..120 {
            arm.at(30 * SECOND * n);
            let answer = arm.me(&credential).await;
            assert_eq!(answer.status, 200, "{} after {n} half minutes: {answer:?}", arm.info.arm);
        }
        arm.at(3_600 * SECOND);
        arm.me(&credential).await.expect_refused();
    }
}

#[tokio::test]
async fn a_policy_without_sessions_or_without_a_timeout_is_refused() {
    let refused = async |arm: &str, options: SchemeOptions| {
        let opened = app::open(arm, &options, PasswordHash::Derived).await;
        opened.err().unwrap().to_string()
    };
    for info in arms().iter().filter(|info| !has_sessions(info)) {
        let error = refused(info.arm, touching(ONCE_A_MINUTE)).await;
        assert!(error.contains("without sessions") && error.contains(info.arm), "{error}");
    }
    let error = refused("session@memory", SchemeOptions { idle: None, ..touching(Touch::Never) });
    assert!(error.await.contains("idle timeout"));
    for span in [Duration::ZERO, IDLE, 2 * IDLE] {
        let error = refused("session@memory", touching(Touch::AtMostEvery(span))).await;
        assert!(error.contains("shorter than idle"), "{error}");
    }
}

#[tokio::test]
async fn the_schemes_with_sessions_are_those_that_say_so() {
    for info in available_arms() {
        let arm = Arm::open(info, options()).await;
        let says = arm.open.notes.iter().any(|note| note.starts_with("Sessions end"));
        assert_eq!(says, has_sessions(info), "{}", info.arm);
    }
}
