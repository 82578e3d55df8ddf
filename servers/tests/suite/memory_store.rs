//! The memory store under races of many writers, and back to nothing.
//!
//! What every store promises is in `every_store.rs`; here is what only this one does.

use std::sync::Arc;
use std::time::Duration;

use servers::cart::Cart;
use servers::clock::Timestamp;
use servers::stores::memory::MemoryStore;
use servers::stores::{Session, SessionData, SessionId, SessionStore};
use servers::users::{User, UserId};

const TTL: Duration = Duration::from_millis(5_000);

fn user(n: u32) -> User {
    User::of(UserId::new(n).unwrap())
}

fn data(n: u32, item: Option<u8>) -> SessionData {
    let cart = Cart::default();
    let cart = item.map_or(cart.clone(), |item| cart.with(&item.to_string()).unwrap());
    SessionData { user: user(n), cart }
}

/// Writers that were slow, and touches that were late, against logouts: what is out stays out.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_slow_write_never_brings_a_session_back() {
    let store = Arc::new(MemoryStore::new(Some(TTL)));
    let now = Timestamp::from_seconds(2_000_000_000);
    for round in 0..300_u32 {
        let id = SessionId::generate().unwrap();
        let other = SessionId::generate().unwrap();
        for id in [id, other] {
            assert!(store.create(id, Session::begin(data(7, None), now, TTL)).await.unwrap());
        }
        let mut tasks = Vec::new();
        for writer in 0..4_u8 {
            let store = Arc::clone(&store);
            tasks.push(tokio::spawn(async move {
                for _ in 0..20 {
                    let session = store.read(id, now).await.unwrap();
                    tokio::task::yield_now().await;
                    if let Some(session) = session {
                        let data = SessionData { cart: data(7, Some(writer)).cart, ..session.data };
                        store.update(id, data, now).await.unwrap();
                        store.touch(id, now).await.unwrap();
                        store.read_and_touch(id, now).await.unwrap();
                    }
                }
            }));
        }
        let logout = {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                tokio::task::yield_now().await;
                if round % 2 == 0 {
                    assert!(store.delete(id).await.unwrap());
                } else {
                    assert_eq!(store.delete_all_of_user(user(7).id).await.unwrap(), 2);
                }
                assert_eq!(store.read(id, now).await.unwrap(), None, "at once");
            })
        };
        logout.await.unwrap();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(store.read(id, now).await.unwrap(), None, "and for good");
        let left = store.read(other, now).await.unwrap();
        assert_eq!(left.is_some(), round % 2 == 0);
        store.delete(other).await.unwrap();
        assert_eq!(store.stats().await.unwrap().sessions, 0);
    }
}

/// The scheme's own slow request: it has read the session when the logout comes in between.
#[tokio::test]
async fn an_update_of_a_session_that_ended_meanwhile_is_lost_and_says_so() {
    let store = MemoryStore::new(None);
    let now = Timestamp::from_seconds(2_000_000_000);
    let id = SessionId::generate().unwrap();
    store.create(id, Session::begin(data(7, None), now, TTL)).await.unwrap();
    let read = store.read(id, now).await.unwrap().unwrap();
    assert!(!store.update(id, read.data.clone(), now.plus(TTL)).await.unwrap(), "expired");
    assert!(store.delete(id).await.unwrap());
    assert!(!store.update(id, read.data, now).await.unwrap());
    assert!(!store.touch(id, now).await.unwrap());
    assert_eq!(store.stats().await.unwrap().sessions, 0);
}

#[tokio::test]
async fn create_does_not_overwrite() {
    let store = MemoryStore::new(None);
    let now = Timestamp::from_seconds(2_000_000_000);
    let id = SessionId::generate().unwrap();
    assert!(store.create(id, Session::begin(data(7, None), now, TTL)).await.unwrap());
    assert!(!store.create(id, Session::begin(data(8, None), now, TTL)).await.unwrap());
    assert_eq!(store.read(id, now).await.unwrap().unwrap().data, data(7, None));
}

/// Fault 24: nothing else is taken.
#[tokio::test]
async fn a_sweep_takes_what_is_over_and_gives_the_slots_back() {
    let store = MemoryStore::new(None);
    let now = Timestamp::from_seconds(2_000_000_000);
    let mut kept = Vec::new();
    for n in 0..100_000_u32 {
        let id = SessionId::generate().unwrap();
        let ttl = if n % 100 == 0 { TTL * 2 } else { TTL };
        store.create(id, Session::begin(data(n, None), now, ttl)).await.unwrap();
        if n % 100 == 0 {
            kept.push(id);
        }
    }
    let full = store.slots();
    assert!(full >= 100_000);
    assert_eq!(store.sweep(now.plus(TTL - Duration::from_millis(1))).await.unwrap(), 0);
    assert_eq!(store.sweep(now.plus(TTL)).await.unwrap(), 99_000);
    assert!(store.slots() * 10 < full, "{} of {full}", store.slots());
    for id in kept {
        assert!(store.read(id, now.plus(TTL)).await.unwrap().is_some());
    }
    assert_eq!(store.sweep(now.plus(TTL * 2)).await.unwrap(), 1_000);
    assert_eq!(store.slots(), 0);
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.sessions, stats.swept), (0, 100_000));
}
