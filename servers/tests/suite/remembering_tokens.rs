//! Tokens about which the server remembers something: the cache and the denylist. Their second way
//! to decide must never say yes where the first says no, nor forget a no while the token could be
//! used.

use std::time::Duration;

use crate::common::{Arm, START, available_arms, options, reissued};
use serde_json::{Value, json};
use servers::cart::Cart;
use servers::clock::Timestamp;
use servers::schemes::bearer::Tokens;
use servers::schemes::jwt_cached::{self, TOKENS_MAX};
use servers::schemes::{Reason, Rejection};
use servers::users::{User, UserId};

fn user(n: u32) -> User {
    User::of(UserId::new(n).unwrap())
}

#[tokio::test]
async fn a_changed_token_never_hits_and_expiry_counts_at_every_hit() {
    let options = options();
    let tokens = jwt_cached::open(&options).await.unwrap();
    let good = tokens.sign(user(7), &Cart::default(), None).unwrap().access_token.into_bytes();
    assert_eq!(tokens.remembered(), 0, "issuing is no verifying");
    assert_eq!(tokens.verify(&good).unwrap(), tokens.verify(&good).unwrap());
    assert_eq!(tokens.remembered(), 1);
    for place in 0..good.len() {
        for bit in 0..8 {
            let mut changed = good.clone();
            changed[place] ^= 1 << bit;
            assert!(tokens.verify(&changed).is_err(), "{place} {bit}");
        }
    }
    assert_eq!(tokens.remembered(), 1, "only good tokens are remembered");
    let end = (START + 902) * 1000;
    options.clock.set(Timestamp::from_millis(end - 1));
    tokens.verify(&good).unwrap();
    options.clock.set(Timestamp::from_millis(end));
    assert_eq!(tokens.verify(&good), Err(Rejection::Invalid(Reason::Expired)));
    assert_eq!(tokens.remembered(), 0);
    options.clock.set(Timestamp::from_seconds(START));
    tokens.verify(&good).unwrap();
    options.clock.set(Timestamp::from_seconds(START - 3));
    assert_eq!(tokens.verify(&good), Err(Rejection::Invalid(Reason::NotYet)));
}

/// Fault 26: a cache is bounded.
#[tokio::test]
async fn the_cache_is_bounded_and_what_it_forgets_is_verified_again() {
    let tokens = jwt_cached::open(&options()).await.unwrap();
    let first = tokens.sign(user(0), &Cart::default(), None).unwrap().access_token;
    tokens.verify(first.as_bytes()).unwrap();
    for n in 0..u32::try_from(TOKENS_MAX).unwrap() * 5 / 4 {
        let token = tokens.sign(user(n), &Cart::default(), None).unwrap().access_token;
        assert_eq!(tokens.verify(token.as_bytes()).unwrap().user, user(n));
    }
    assert!((TOKENS_MAX / 2..=TOKENS_MAX).contains(&tokens.remembered()));
    assert_eq!(tokens.verify(first.as_bytes()).unwrap().user, user(0));
    let before = tokens.remembered();
    let items = vec!["x".repeat(64); 20];
    let cart = Cart::of(items.iter().map(String::as_str)).unwrap();
    let long = tokens.sign(user(1), &cart, None).unwrap().access_token;
    assert_eq!(tokens.verify(long.as_bytes()).unwrap().cart, cart);
    assert_eq!(tokens.remembered(), before, "a long token is not remembered");
}

/// The arms with a list that are on this machine.
async fn with_a_list() -> Vec<Arm> {
    let mut arms = Vec::new();
    for info in available_arms().into_iter().filter(|info| info.scheme == "jwt-denylist") {
        arms.push(Arm::open(info, options()).await);
    }
    assert!(!arms.is_empty());
    arms
}

/// An entry may be forgotten when the token could not be used any more, and not a moment before.
#[tokio::test]
async fn a_denied_token_is_refused_until_it_would_have_expired_and_swept_then() {
    // A filter forgets by whole generations, which its own tests hold.
    for arm in with_a_list().await.into_iter().filter(|arm| arm.info.store != Some("filter")) {
        let store = arm.open.upkeep.clone().unwrap();
        let (one, other) = (arm.login(7).await, arm.login(7).await);
        let moved = arm.post("/cart", &one, &json!({ "item": "a" })).await.expect(200);
        let moved = reissued(&moved, &arm.open.credential).unwrap();
        arm.post("/logout", &moved, &Value::Null).await.expect(200);
        arm.me(&moved).await.expect_refused();
        let all = arm.login(8).await;
        arm.post("/logout-all", &all, &Value::Null).await.expect(200);
        let end = arm.lifetime();
        for after in [Duration::ZERO, end / 2, end - Duration::from_millis(1)] {
            arm.at(after);
            assert_eq!(store.sweep(arm.clock.now()).await, Ok(0));
            arm.me(&one).await.expect_refused();
            arm.me(&all).await.expect_refused();
            arm.me(&other).await.expect(200);
        }
        arm.at(end);
        assert_eq!(store.sweep(arm.clock.now()).await, Ok(1));
        arm.me(&one).await.expect_refused();
        arm.at(end + Duration::from_secs(2));
        assert_eq!(store.sweep(arm.clock.now()).await, Ok(1));
        assert_eq!(arm.sessions().await, 0);
    }
}

/// At one and the same millisecond: before is refused, after is good, however often.
#[tokio::test]
async fn a_logout_everywhere_tells_before_from_after_within_a_moment() {
    for arm in with_a_list().await {
        for _ in 0..5 {
            let (one, two) = (arm.login(7).await, arm.login(7).await);
            let moved = arm.post("/cart", &one, &json!({ "item": "a" })).await.expect(200);
            let moved = reissued(&moved, &arm.open.credential).unwrap();
            let answer = arm.post("/logout-all", &two, &Value::Null).await.expect(200).json();
            assert_eq!(answer, json!({ "revoked": true, "credentials": null }));
            for credential in [&one, &two, &moved] {
                arm.me(credential).await.expect_refused();
                arm.post("/cart", credential, &json!({ "item": "a" })).await.expect_refused();
            }
            arm.me(&arm.login(7).await).await.expect(200);
        }
        assert_eq!(arm.sessions().await, 1, "one note a user");
    }
}
