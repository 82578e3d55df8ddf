//! Which settings an arm has, as the registry says, compared with what the arm does with them.

use std::time::Duration;

use crate::common::{Arm, available_arms, every_arm, options};
use servers::contract::CredentialCarrier;
use servers::schemes::knobs::lacking;
use servers::schemes::{SchemeOptions, arms};
use servers::{PasswordHash, app};

#[tokio::test]
async fn an_arm_has_an_idle_timeout_if_an_unused_login_ends() {
    let idle = Duration::from_secs(60);
    for info in available_arms() {
        let arm = Arm::open(info, SchemeOptions { idle: Some(idle), ..options() }).await;
        let credential = arm.login(7).await;
        arm.at(2 * idle);
        let has_ended = arm.me(&credential).await.status == 401;
        for flag in ["idle", "touch"] {
            assert_eq!(lacking(info, flag).is_none(), has_ended, "{}: {flag}", info.arm);
        }
    }
}

#[tokio::test]
async fn an_arm_has_a_cookie_a_refresh_token_and_a_sweep_if_its_answers_say_so() {
    for arm in every_arm().await {
        let has = |flag| lacking(&arm.info, flag).is_none();
        let name = arm.info.arm;
        let in_cookie = matches!(arm.open.credential.carrier, CredentialCarrier::Cookie(_));
        assert_eq!(has("insecure-cookie"), in_cookie, "{name}");
        assert_eq!(has("access-ttl"), arm.open.refreshes, "{name}");
        assert_eq!(has("sweep-every"), arm.open.upkeep.is_some(), "{name}");
        assert_eq!(has("ttl"), arm.info.authenticates, "{name}");
    }
}

#[tokio::test]
async fn an_arm_has_a_key_if_it_refuses_a_short_one() {
    for info in available_arms() {
        let key = Some(vec![7; 3]);
        let given = SchemeOptions { key, ..SchemeOptions::default() };
        let refuses = app::open(info.arm, &given, PasswordHash::Derived).await.is_err();
        for flag in ["key-file", "previous-key-file", "leeway"] {
            assert_eq!(lacking(info, flag).is_none(), refuses, "{}: {flag}", info.arm);
        }
    }
}

#[test]
fn what_every_server_has_is_lacking_nowhere() {
    for info in arms() {
        for flag in ["listen", "threads", "handler-cpu", "max-connections", "password-hash"] {
            assert_eq!(lacking(info, flag), None, "{}", info.arm);
        }
    }
    let lacks =
        |arm: &str, flag| lacking(arms().iter().find(|info| info.arm == arm).unwrap(), flag);
    assert_eq!(lacks("session-cached@redis", "cache-ttl"), None);
    assert_eq!(lacks("jwt-cached", "cache-ttl"), Some("cache of sessions"));
    assert_eq!(lacks("session@redis", "store-delay"), None);
    assert_eq!(lacks("session@memory", "store-delay"), Some("store in Redis or PostgreSQL"));
    assert_eq!(lacks("session@sqlite", "store-timeout"), None);
    assert_eq!(lacks("session@mutex", "store-timeout"), Some("store that can hang"));
}
