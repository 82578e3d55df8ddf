//! The cache before a store, to the millisecond: a session that was ended elsewhere is good for the
//! stated span and no longer; one that was ended here is over at once, whatever slow request
//! follows.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::common::{Arm, START, empty_redis, options};
use serde_json::{Value, json};
use servers::cart::Cart;
use servers::clock::Timestamp;
use servers::schemes::SchemeOptions;
use servers::stores::cached::{Cached, SESSIONS_MAX, WAYS};
use servers::stores::memory::MemoryStore;
use servers::stores::{Session, SessionData, SessionId, SessionStore, StoreError, StoreStats};
use servers::users::{User, UserId};
use tokio::sync::Semaphore;

const SPAN: Duration = Duration::from_millis(1_000);
const TTL: Duration = Duration::from_secs(900);

fn at(ms: u64) -> Timestamp {
    Timestamp::from_seconds(START).plus(Duration::from_millis(ms))
}

fn data(n: u32) -> SessionData {
    SessionData { user: User::of(UserId::new(n).unwrap()), cart: Cart::default() }
}

/// A store that others change behind the cache, and whose reads can be held back.
#[derive(Clone)]
struct Slow {
    store: Arc<MemoryStore>,
    reads: Arc<Semaphore>,
}

impl Slow {
    fn new(idle: Option<Duration>) -> Self {
        let reads = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        Self { store: Arc::new(MemoryStore::new(idle)), reads }
    }
}

impl SessionStore for Slow {
    const NAME: &'static str = "slow";

    async fn create(&self, id: SessionId, session: Session) -> Result<bool, StoreError> {
        self.store.create(id, session).await
    }

    /// What is found now is answered when it may be.
    async fn read(&self, id: SessionId, now: Timestamp) -> Result<Option<Session>, StoreError> {
        let found = self.store.read(id, now).await;
        drop(self.reads.acquire().await.unwrap());
        found
    }

    async fn touch(&self, id: SessionId, now: Timestamp) -> Result<bool, StoreError> {
        self.store.touch(id, now).await
    }

    async fn update(
        &self,
        id: SessionId,
        data: SessionData,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.store.update(id, data, now).await
    }

    async fn delete(&self, id: SessionId) -> Result<bool, StoreError> {
        self.store.delete(id).await
    }

    async fn delete_all_of_user(&self, user: UserId) -> Result<u64, StoreError> {
        self.store.delete_all_of_user(user).await
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        SessionStore::sweep(&*self.store, now).await
    }

    async fn stats(&self) -> Result<StoreStats, StoreError> {
        SessionStore::stats(&*self.store).await
    }
}

async fn with_session(idle: Option<Duration>, ttl: Duration) -> (Slow, Cached<Slow>, SessionId) {
    let (slow, id) = (Slow::new(idle), SessionId::generate().unwrap());
    let cached = Cached::new(slow.clone(), SPAN, idle);
    assert!(cached.create(id, Session::begin(data(7), at(0), ttl)).await.unwrap());
    (slow, cached, id)
}

async fn is_there(cached: &Cached<Slow>, id: SessionId, ms: u64) -> bool {
    cached.read(id, at(ms)).await.unwrap().is_some()
}

#[tokio::test]
async fn what_was_ended_elsewhere_is_good_for_the_span_and_no_longer() {
    let (slow, cached, id) = with_session(None, TTL).await;
    assert!(is_there(&cached, id, 100).await);
    slow.store.delete(id).await.unwrap();
    for (ms, there) in [(100, true), (1_099, true), (1_100, false), (1_099, false), (100, false)] {
        assert_eq!(is_there(&cached, id, ms).await, there, "{ms}");
    }
    assert_eq!(cached.remembered(), 0);
}

/// A hit is no read: it must not put the end of the span off.
/// Fault 20: a clock that goes back is not believed.
#[tokio::test]
async fn no_use_puts_the_span_off_and_a_clock_that_goes_back_is_not_believed() {
    let (slow, cached, id) = with_session(None, TTL).await;
    for ms in (100..1_000).step_by(100) {
        assert!(is_there(&cached, id, ms).await);
    }
    slow.store.delete(id).await.unwrap();
    assert!(is_there(&cached, id, 1_099).await);
    assert!(!is_there(&cached, id, 1_100).await);
    let (slow, cached, id) = with_session(None, TTL).await;
    assert!(is_there(&cached, id, 5_000).await);
    slow.store.delete(id).await.unwrap();
    assert!(!is_there(&cached, id, 4_999).await);
    assert!(!is_there(&cached, id, 5_000).await, "and it is forgotten by then");
}

#[tokio::test]
async fn a_session_ends_in_the_cache_when_it_ends() {
    let (_, cached, id) = with_session(None, Duration::from_millis(600)).await;
    assert!(is_there(&cached, id, 100).await && is_there(&cached, id, 599).await);
    assert!(!is_there(&cached, id, 600).await);
    let idle = Some(Duration::from_millis(300));
    let (slow, cached, id) = with_session(idle, TTL).await;
    let touch = async |ms| cached.read_and_touch(id, at(ms)).await.unwrap().is_some();
    assert!(touch(100).await && touch(399).await && touch(698).await, "in the cache it was used");
    assert!(!touch(998).await);
    assert_eq!(slow.store.read(id, at(399)).await.unwrap().unwrap().last_seen, at(100));
}

#[tokio::test]
async fn what_is_changed_here_is_changed_at_once() {
    let (_, cached, id) = with_session(None, TTL).await;
    assert!(is_there(&cached, id, 1).await);
    let cart = Cart::default().with("a").unwrap();
    assert!(cached.update(id, SessionData { cart, ..data(7) }, at(2)).await.unwrap());
    assert_eq!(cached.read(id, at(3)).await.unwrap().unwrap().data.cart.items().len(), 1);
    assert!(cached.touch(id, at(4)).await.unwrap());
    assert_eq!(cached.read(id, at(5)).await.unwrap().unwrap().last_seen, at(4));
    let other = SessionId::generate().unwrap();
    assert!(cached.create(other, Session::begin(data(8), at(0), TTL)).await.unwrap());
    assert!(is_there(&cached, other, 6).await);
    assert_eq!(cached.delete_all_of_user(data(7).user.id).await, Ok(1));
    assert!(!is_there(&cached, id, 6).await && is_there(&cached, other, 6).await);
    assert!(cached.delete(other).await.unwrap());
    assert!(!is_there(&cached, other, 6).await);
}

/// The store answered before the logout, and its answer comes after it.
#[tokio::test]
async fn a_slow_read_brings_no_session_back() {
    for all in [false, true] {
        let (slow, cached, id) = with_session(None, TTL).await;
        let cached = Arc::new(cached);
        let held = slow.reads.acquire_many(u32::MAX >> 4).await.unwrap();
        slow.reads.forget_permits(usize::MAX);
        let read = tokio::spawn({
            let cached = Arc::clone(&cached);
            async move { is_there(&cached, id, 1).await }
        });
        tokio::task::yield_now().await;
        if all {
            assert_eq!(cached.delete_all_of_user(data(7).user.id).await, Ok(1));
        } else {
            assert!(cached.delete(id).await.unwrap());
        }
        drop(held);
        assert!(read.await.unwrap(), "it was there when it was asked for");
        assert_eq!(cached.remembered(), 0);
        assert!(!is_there(&cached, id, 2).await);
    }
}

/// Somebody hangs up while the store is at it: what it did by then must not be passed over.
#[tokio::test]
async fn a_change_that_was_given_up_is_no_reason_to_believe_the_cache() {
    let (_, cached, id) = with_session(None, TTL).await;
    assert!(is_there(&cached, id, 1).await);
    let removal = cached.delete(id);
    drop(removal);
    assert_eq!(cached.remembered(), 1, "one that was never begun changed nothing");
    let never = Cached::new(Never, SPAN, None);
    assert!(never.read(id, at(1)).await.unwrap().is_some());
    let given_up = tokio::time::timeout(Duration::from_millis(1), never.delete(id)).await;
    assert!(given_up.is_err());
    assert_eq!(never.remembered(), 0);
    // What is read while the store is at it may be from before.
    let mut removal = Box::pin(never.delete(id));
    let begun =
        std::future::poll_fn(|context| Poll::Ready(removal.as_mut().poll(context).is_pending()));
    assert!(begun.await);
    assert!(never.read(id, at(1)).await.unwrap().is_some());
    drop(removal);
    assert_eq!(never.remembered(), 0);
}

/// Removes without ever saying so.
struct Never;

impl SessionStore for Never {
    const NAME: &'static str = "never";
    async fn create(&self, _: SessionId, _: Session) -> Result<bool, StoreError> {
        Ok(true)
    }
    async fn read(&self, _: SessionId, _: Timestamp) -> Result<Option<Session>, StoreError> {
        Ok(Some(Session::begin(data(7), at(0), TTL)))
    }
    async fn touch(&self, _: SessionId, _: Timestamp) -> Result<bool, StoreError> {
        Ok(true)
    }
    async fn update(&self, _: SessionId, _: SessionData, _: Timestamp) -> Result<bool, StoreError> {
        Ok(true)
    }
    async fn delete(&self, _: SessionId) -> Result<bool, StoreError> {
        std::future::pending().await
    }
    async fn delete_all_of_user(&self, _: UserId) -> Result<u64, StoreError> {
        std::future::pending().await
    }
    async fn sweep(&self, _: Timestamp) -> Result<u64, StoreError> {
        Ok(0)
    }
    async fn stats(&self) -> Result<StoreStats, StoreError> {
        Ok(StoreStats::default())
    }
}

#[tokio::test]
async fn the_cache_is_bounded_and_a_sweep_empties_it() {
    let cached = Cached::new(Never, SPAN, None);
    for n in 0..u64::try_from(SESSIONS_MAX).unwrap() * 5 / 4 {
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&u16::try_from(n % 4_096).unwrap().to_be_bytes());
        bytes[8..].copy_from_slice(&n.to_be_bytes());
        assert!(cached.read(SessionId::from_bytes(bytes), at(1)).await.unwrap().is_some());
    }
    assert_eq!(cached.remembered(), SESSIONS_MAX);
    assert_eq!(SESSIONS_MAX, 4_096 * WAYS);
    SessionStore::sweep(&cached, at(1_000)).await.unwrap();
    assert_eq!(cached.remembered(), SESSIONS_MAX);
    SessionStore::sweep(&cached, at(1_001)).await.unwrap();
    assert_eq!(cached.remembered(), 0);
}

/// The arm itself, at two servers over one Redis and under one clock.
#[tokio::test]
async fn another_servers_logout_is_known_within_the_stated_span() {
    for (cache_ttl, stated) in [(SPAN, "1000 ms"), (Duration::from_millis(250), "250 ms")] {
        let Some(url) = empty_redis() else { return };
        let shared = options();
        let open = || {
            let options =
                SchemeOptions { store_url: Some(url.clone()), cache_ttl, ..shared.clone() };
            Arm::named("session-cached@redis", options)
        };
        let (here, there) = (open().await, open().await);
        assert!(here.open.notes.iter().any(|note| note.contains(stated)), "{:?}", here.open.notes);
        let (held, other) = (here.login(7).await, here.login(7).await);
        there.me(&held).await.expect(200);
        there.me(&other).await.expect(200);
        let asked = there.operations().await;
        here.post("/logout", &held, &Value::Null).await.expect(200);
        here.me(&held).await.expect_refused();
        here.post("/cart", &other, &json!({ "item": "a" })).await.expect(200);
        for (after, status, items) in [
            (Duration::ZERO, 200, 0),
            (cache_ttl - Duration::from_millis(1), 200, 0),
            (cache_ttl, 401, 1),
        ] {
            there.at(after);
            there.me(&held).await.expect(status);
            let cart = there.get("/cart", &other).await.expect(200).json();
            assert_eq!(cart["items"].as_array().unwrap().len(), items);
        }
        assert_eq!(there.operations().await, asked + 2, "one read of each when the span was over");
    }
}
