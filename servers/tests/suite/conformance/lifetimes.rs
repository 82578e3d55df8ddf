//! How long a credential is good, to the millisecond, in every arm.

use std::time::Duration;

use crate::common::{Arm, START, available_arms, every_arm, options, reissued};
use serde_json::json;
use servers::clock::Timestamp;
use servers::schemes::SchemeOptions;

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);

#[tokio::test]
async fn a_credential_expires_at_its_millisecond() {
    for arm in every_arm().await.into_iter().filter(|arm| arm.info.authenticates) {
        let credential = arm.login(7).await;
        let end = arm.lifetime();
        for (after, status) in
            [(end / 2, 200), (end - MILLI, 200), (end, 401), (end * 2, 401), (end - MILLI, 200)]
        {
            arm.at(after);
            arm.me(&credential).await.expect(status);
        }
        arm.at(end);
        arm.me(&credential).await.expect_refused();
    }
}

#[tokio::test]
async fn no_use_puts_the_absolute_expiry_off() {
    for arm in every_arm().await.into_iter().filter(|arm| arm.info.authenticates) {
        let mut credential = arm.login(7).await;
        let mut after = Duration::ZERO;
        while after + 60 * SECOND < arm.ttl() {
            after += 60 * SECOND;
            arm.at(after);
            let item = json!({ "item": after.as_secs().to_string() });
            let answer = arm.post("/cart", &credential, &item).await.expect(200);
            if let Some(new) = reissued(&answer, &arm.open.credential) {
                credential = new;
            }
            arm.me(&credential).await.expect(200);
        }
        arm.at(arm.lifetime());
        arm.me(&credential).await.expect_refused();
    }
}

#[tokio::test]
async fn an_idle_session_ends_and_a_used_one_does_not() {
    let idle = 60 * SECOND;
    for info in available_arms() {
        let arm = Arm::open(info, SchemeOptions { idle: Some(idle), ..options() }).await;
        if !arm.looks_up() {
            continue;
        }
        let credential = arm.login(7).await;
        for round in 1..=3 {
            arm.at((idle - MILLI) * round);
            arm.me(&credential).await.expect(200);
        }
        arm.at((idle - MILLI) * 3 + idle);
        arm.me(&credential).await.expect_refused();
        let credential = arm.login(7).await;
        arm.post("/cart", &credential, &json!({ "item": "a" })).await.expect(200);
        arm.me(&credential).await.expect(200);
    }
}

/// Fault 20: every arm goes by the one clock of its server.
#[tokio::test]
async fn nothing_is_answered_by_a_clock_of_its_own() {
    for arm in every_arm().await.into_iter().filter(|arm| arm.info.authenticates) {
        arm.clock.set(Timestamp::from_seconds(START + 10_000_000));
        let late = arm.login(7).await;
        arm.me(&late).await.expect(200);
        arm.at(10_000_000 * SECOND + arm.lifetime());
        arm.me(&late).await.expect_refused();
    }
}
