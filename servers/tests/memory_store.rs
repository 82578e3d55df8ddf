//! The memory store against a model that cannot be wrong, under races, and back to nothing.
//!
//! The model is a plain map that applies the promises of [`servers::stores`] literally. A store to
//! come is added by one more call of `agrees_with_the_model`.

#![allow(clippy::unwrap_used, reason = "tests, and their helpers, which clippy does not exempt")]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
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

/// Ids 0 to 255 spread over shards by their ninth byte, and some share one.
fn id(n: u8) -> SessionId {
    let mut bytes = [0; 16];
    bytes[0] = n;
    bytes[8] = n % 3;
    SessionId::from_bytes(bytes)
}

#[derive(Clone, Debug)]
enum Op {
    Create { id: u8, user: u32, ttl_ms: u64 },
    Read { id: u8 },
    ReadAndTouch { id: u8 },
    Touch { id: u8 },
    Update { id: u8, user: u32, item: u8 },
    Delete { id: u8 },
    DeleteAllOf { user: u32 },
    Wait { ms: u64 },
    Sweep,
}

fn op() -> impl Strategy<Value = Op> {
    let (id, user) = (0..24_u8, 0..5_u32);
    prop_oneof![
        4 => (id.clone(), user.clone(), 0..5_000_u64)
            .prop_map(|(id, user, ttl_ms)| Op::Create { id, user, ttl_ms }),
        4 => id.clone().prop_map(|id| Op::Read { id }),
        2 => id.clone().prop_map(|id| Op::ReadAndTouch { id }),
        2 => id.clone().prop_map(|id| Op::Touch { id }),
        3 => (id.clone(), user.clone(), any::<u8>())
            .prop_map(|(id, user, item)| Op::Update { id, user, item }),
        2 => id.prop_map(|id| Op::Delete { id }),
        1 => user.prop_map(|user| Op::DeleteAllOf { user }),
        3 => (0..1_500_u64).prop_map(|ms| Op::Wait { ms }),
        1 => Just(Op::Sweep),
    ]
}

struct Model {
    sessions: HashMap<SessionId, Session>,
    idle: Option<Duration>,
    operations: u64,
    swept: u64,
}

impl Model {
    fn live(&mut self, id: SessionId, now: Timestamp) -> Option<&mut Session> {
        let idle = self.idle;
        self.sessions.get_mut(&id).filter(|s| is_live(s, idle, now))
    }
}

fn is_live(session: &Session, idle: Option<Duration>, now: Timestamp) -> bool {
    let absolute = now.millis() < session.expires.millis();
    match idle {
        None => absolute,
        Some(idle) => {
            absolute && now.millis() - session.last_seen.millis() < idle.as_millis() as u64
        }
    }
}

async fn agrees_with_the_model<S: SessionStore>(store: S, idle: Option<Duration>, ops: &[Op]) {
    let mut model = Model { sessions: HashMap::new(), idle, operations: 0, swept: 0 };
    let mut now = Timestamp::from_seconds(2_000_000_000);
    for op in ops {
        model.operations += u64::from(!matches!(op, Op::Wait { .. } | Op::Sweep));
        match *op {
            Op::Create { id: n, user, ttl_ms } => {
                let ttl = Duration::from_millis(ttl_ms);
                let session = Session::begin(data(user, None), now, ttl);
                let created = store.create(id(n), session.clone()).await.unwrap();
                assert_eq!(created, !model.sessions.contains_key(&id(n)), "{op:?}");
                model.sessions.entry(id(n)).or_insert(session);
            }
            Op::Read { id: n } => {
                let found = store.read(id(n), now).await.unwrap();
                assert_eq!(found.as_ref(), model.live(id(n), now).as_deref(), "{op:?}");
            }
            Op::ReadAndTouch { id: n } => {
                let found = store.read_and_touch(id(n), now).await.unwrap();
                let expected = model.live(id(n), now).map(|session| {
                    session.last_seen = now;
                    session.clone()
                });
                assert_eq!(found, expected, "{op:?}");
            }
            Op::Touch { id: n } => {
                let touched = store.touch(id(n), now).await.unwrap();
                let expected = model.live(id(n), now).map(|s| s.last_seen = now).is_some();
                assert_eq!(touched, expected, "{op:?}");
            }
            Op::Update { id: n, user, item } => {
                let data = data(user, Some(item));
                let updated = store.update(id(n), data.clone(), now).await.unwrap();
                let expected = model.live(id(n), now).map(|s| s.data = data).is_some();
                assert_eq!(updated, expected, "{op:?}");
            }
            Op::Delete { id: n } => {
                let deleted = store.delete(id(n)).await.unwrap();
                assert_eq!(deleted, model.sessions.remove(&id(n)).is_some(), "{op:?}");
            }
            Op::DeleteAllOf { user } => {
                let before = model.sessions.len();
                model.sessions.retain(|_, s| s.data.user.id.number() != user);
                let of_user = UserId::new(user).unwrap();
                let deleted = store.delete_all_of_user(of_user).await.unwrap();
                assert_eq!(deleted as usize, before - model.sessions.len(), "{op:?}");
            }
            Op::Wait { ms } => now = now.plus(Duration::from_millis(ms)),
            Op::Sweep => {
                let before = model.sessions.len();
                model.sessions.retain(|_, s| is_live(s, idle, now));
                let swept = store.sweep(now).await.unwrap();
                assert_eq!(swept as usize, before - model.sessions.len(), "{op:?}");
                model.swept += swept;
            }
        }
        let stats = store.stats().await.unwrap();
        assert_eq!(stats.sessions as usize, model.sessions.len());
        assert_eq!((stats.operations, stats.swept), (model.operations, model.swept));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_memory_store_is_the_model(
        ops in vec(op(), 1..120),
        idle in prop::option::of(1..4_000_u64),
    ) {
        let idle = idle.map(Duration::from_millis);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(agrees_with_the_model(MemoryStore::new(idle), idle, &ops));
    }
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
