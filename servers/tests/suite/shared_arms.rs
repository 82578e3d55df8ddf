//! What several servers of an arm share: a key, and a store outside of them. Users cross between
//! two servers opened with what [`servers::share`] made; which arms let them in follows from where
//! an arm keeps what it knows.

use std::time::Duration;

use crate::common::{Arm, available_arms};
use servers::clock::Clock;
use servers::schemes::{ArmInfo, SchemeOptions};
use servers::users::PasswordHash;
use servers::{Shared, app, share};

/// A server that was given what is shared.
async fn server(info: &ArmInfo, key: Option<Vec<u8>>, store_url: Option<String>) -> Arm {
    let options =
        SchemeOptions { key, store_url, clock: Clock::System, ..SchemeOptions::default() };
    let open = app::open(info.arm, &options, PasswordHash::Derived).await.unwrap();
    Arm { info: *info, open, clock: Clock::System, options }
}

/// How late another server may learn of a logout: the staleness of a cache, and time to spare.
const LATE_MAX: Duration = Duration::from_secs(5);
const WAIT: Duration = Duration::from_millis(20);

/// Whether what is looked up at each request is in the memory of one server.
fn keeps_to_itself(info: &ArmInfo, shared: &Shared) -> bool {
    info.stateful && !info.refreshes && shared.secrets.store_url.is_none()
}

#[tokio::test]
async fn servers_with_the_shared_key_and_store_know_each_others_users() {
    let mut crossed = 0;
    for info in available_arms() {
        let shared = share(info.arm, None).await.unwrap();
        let give = || server(info, shared.secrets.key.clone(), shared.secrets.store_url.clone());
        let (one, other) = (give().await, give().await);
        let credential = one.login(7).await;
        one.me(&credential).await.expect(200);
        let there = other.me(&credential).await;
        if keeps_to_itself(info, &shared) {
            there.expect_refused();
            continue;
        }
        there.expect(200);
        crossed += 1;
        // Without what is shared it is another service.
        if info.authenticates {
            server(info, None, None).await.me(&credential).await.expect_refused();
        }
    }
    assert!(crossed >= 5, "{crossed}");
}

#[tokio::test]
async fn a_logout_holds_at_the_other_server_where_the_store_is_shared() {
    let mut held = 0;
    for info in available_arms().into_iter().filter(|info| info.revokes) {
        let shared = share(info.arm, None).await.unwrap();
        if shared.secrets.store_url.is_none() {
            continue;
        }
        let give = || server(info, shared.secrets.key.clone(), shared.secrets.store_url.clone());
        let (one, other) = (give().await, give().await);
        let credential = one.login(7).await;
        other.me(&credential).await.expect(200);
        one.post("/logout", &credential, &serde_json::Value::Null).await.expect(200);
        // At once where the store is asked; a cache and a list that is pushed may take their while.
        let mut there = other.me(&credential).await;
        for _ in 0..LATE_MAX.as_millis() / WAIT.as_millis() {
            if there.status != 200 {
                break;
            }
            tokio::time::sleep(WAIT).await;
            there = other.me(&credential).await;
        }
        there.expect_refused();
        drop((one, other));
        // A server that comes after both finds it so.
        give().await.me(&credential).await.expect_refused();
        held += 1;
    }
    assert!(held >= 1);
}

#[tokio::test]
async fn a_key_is_made_where_an_arm_has_one() {
    for info in available_arms() {
        let shared = share(info.arm, None).await.unwrap();
        let ids =
            ["none", "session", "session-cached", "opaque-introspection", "introspection-http"];
        let has_key = !ids.contains(&info.scheme);
        assert_eq!(shared.secrets.key.is_some(), has_key, "{}", info.arm);
        if let Some(key) = &shared.secrets.key {
            let again = share(info.arm, None).await.unwrap();
            assert_ne!(again.secrets.key.as_ref(), Some(key), "{}", info.arm);
        }
    }
}
