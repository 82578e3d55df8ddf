//! What every store promises, checked for every line of the registry. The model applies the
//! promises of [`servers::stores`] literally; a logout and a slow write meet at the same moment a
//! thousand times, and the session stays out.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crate::common::{PATIENT, empty_redis};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use servers::cart::Cart;
use servers::clock::{Clock, Timestamp};
use servers::schemes::SchemeOptions;
use servers::schemes::bff::InsideToken;
use servers::schemes::issuer::OpaqueTokens;
use servers::stores::cached::Cached;
use servers::stores::memory::MemoryStore;
use servers::stores::mutex::MutexStore;
use servers::stores::postgres::PostgresStore;
use servers::stores::redis::{RedisStore, Space};
use servers::stores::sqlite::SqliteStore;
use servers::stores::tower::TowerStore;
use servers::stores::{Session, SessionData, SessionId, SessionStore};
use servers::users::{User, UserId};
use tokio::sync::Barrier;

const TTL: Duration = Duration::from_millis(5_000);
const PAIRS: u32 = 1_000;
/// Pairs that go at the same time: a store that commits in groups need not take a minute.
const AT_ONCE: u32 = 50;

/// The issuer is a thread of this process, which speaks HTTP.
fn issuer(idle: Option<Duration>) -> OpaqueTokens {
    let open = async move {
        let options = SchemeOptions { idle, patience: PATIENT, ..SchemeOptions::default() };
        OpaqueTokens::open(&options).await.unwrap()
    };
    // A thread of its own: a test may run on a runtime already.
    std::thread::spawn(|| runtime().block_on(open)).join().unwrap()
}

/// Sessions in Redis that hold a token.
fn backend(idle: Option<Duration>) -> RedisStore<InsideToken> {
    let clock = Clock::manual(Timestamp::from_seconds(2_000_000_000));
    let inside = InsideToken::new(&SchemeOptions { clock, ..SchemeOptions::default() }).unwrap();
    let url = empty_redis().unwrap();
    RedisStore::holding_at(inside, Space::Backend, &url, idle, PATIENT).unwrap()
}

#[test]
fn a_session_with_a_token_in_it_is_the_model() {
    if crate::common::is_here("redis") {
        is_the_model(24, backend);
    }
}

#[test]
fn a_logout_beats_a_slow_write_of_a_token() {
    if crate::common::is_here("redis") {
        a_logout_beats_a_slow_write(backend);
    }
}

fn redis_store(idle: Option<Duration>) -> RedisStore {
    RedisStore::at(Space::Sessions, &empty_redis().unwrap(), idle, PATIENT).unwrap()
}

/// Lines of `name: type, cases of the model, opened by`. A store whose program is missing is passed
/// over, with a word.
macro_rules! every_store {
    ($($name:ident: $store:ty, $cases:literal, $open:expr;)+) => {
        const LISTED: &[&str] = &[$(<$store as SessionStore>::NAME),+];

        $(mod $name {
            use super::*;

            const HERE: fn() -> bool = || crate::common::is_here(<$store as SessionStore>::NAME);

            fn open(idle: Option<Duration>) -> $store {
                let open: fn(Option<Duration>) -> $store = $open;
                open(idle)
            }

            /// Fault 24: no store sweeps what lives.
            #[test]
            fn is_the_model() {
                if HERE() {
                    super::is_the_model($cases, open);
                }
            }

            /// Fault 25: a logout wins.
            #[test]
            fn a_logout_beats_a_slow_write() {
                if HERE() {
                    super::a_logout_beats_a_slow_write(open);
                }
            }

            #[test]
            fn an_id_has_one_creator() {
                if HERE() {
                    super::an_id_has_one_creator(open);
                }
            }
        })+
    };
}

every_store! {
    memory: MemoryStore, 256, MemoryStore::new;
    mutex: MutexStore, 256, MutexStore::new;
    tower: TowerStore, 256, TowerStore::new;
    // Fewer cases, because every write of each waits for the disk.
    sqlite: SqliteStore, 24, |idle| SqliteStore::open(None, idle, PATIENT).unwrap();
    redis: RedisStore, 48, redis_store;
    issuer: OpaqueTokens, 24, issuer;
    postgres: PostgresStore, 24, crate::common::postgres::open;
}

#[test]
fn every_store_of_the_registry_is_in_the_list() {
    let schemes = ["session", "introspection-http"];
    let arms = servers::arms().iter().filter(|info| schemes.contains(&info.scheme));
    let registered: BTreeSet<_> = arms.filter_map(|info| info.store).collect();
    assert_eq!(LISTED.iter().copied().collect::<BTreeSet<_>>(), registered);
    assert_eq!(LISTED.len(), registered.len(), "a store is listed twice");
}

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
    Create {
        id: u8,
        user: u32,
        ttl_ms: u64,
    },
    Read {
        id: u8,
    },
    ReadAndTouch {
        id: u8,
    },
    Touch {
        id: u8,
    },
    Update {
        id: u8,
        user: u32,
        item: u8,
    },
    Delete {
        id: u8,
    },
    DeleteAllOf {
        user: u32,
    },
    /// A login with a live session: the old id ends, a new one begins.
    Rotate {
        id: u8,
        to: u8,
    },
    Wait {
        ms: u64,
    },
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
        2 => id.clone().prop_map(|id| Op::Delete { id }),
        2 => (id.clone(), id).prop_map(|(id, to)| Op::Rotate { id, to }),
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
            Op::Rotate { id: n, to } => {
                let deleted = store.delete(id(n)).await.unwrap();
                assert_eq!(deleted, model.sessions.remove(&id(n)).is_some(), "{op:?}");
                let session = Session::begin(data(u32::from(n) % 5, None), now, TTL);
                let created = store.create(id(to), session.clone()).await.unwrap();
                assert_eq!(created, !model.sessions.contains_key(&id(to)), "{op:?}");
                model.sessions.entry(id(to)).or_insert(session);
                model.operations += 1;
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

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap()
}

fn is_the_model<S: SessionStore>(cases: u32, open: fn(Option<Duration>) -> S) {
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let runtime = runtime();
    let given = (vec(op(), 1..120), prop::option::of(1..4_000_u64));
    let outcome = TestRunner::new(config).run(&given, |(ops, idle)| {
        let idle = idle.map(Duration::from_millis);
        runtime.block_on(agrees_with_the_model(open(idle), idle, &ops));
        Ok(())
    });
    outcome.unwrap();
}

/// One user's session: read, and written after the read by a request that was slow, in the very
/// moment in which the user logs out.
async fn pair<S: SessionStore>(store: Arc<S>, n: u32, now: Timestamp) {
    let (id, user) = (SessionId::generate().unwrap(), user(n).id);
    assert!(store.create(id, Session::begin(data(n, None), now, TTL)).await.unwrap());
    let barrier = Arc::new(Barrier::new(2));
    let slow = tokio::spawn({
        let (store, barrier) = (Arc::clone(&store), Arc::clone(&barrier));
        async move {
            let session = store.read_and_touch(id, now).await.unwrap().unwrap();
            barrier.wait().await;
            let data = SessionData { cart: data(n, Some(1)).cart, ..session.data };
            store.update(id, data, now).await.unwrap();
            store.touch(id, now).await.unwrap();
            store.read_and_touch(id, now).await.unwrap();
        }
    });
    barrier.wait().await;
    if n.is_multiple_of(2) {
        assert!(store.delete(id).await.unwrap());
    } else {
        assert_eq!(store.delete_all_of_user(user).await.unwrap(), 1);
    }
    assert_eq!(store.read(id, now).await.unwrap(), None, "out at once");
    slow.await.unwrap();
    assert_eq!(store.read(id, now).await.unwrap(), None, "and for good");
    assert!(!store.update(id, data(n, Some(2)), now).await.unwrap());
}

fn a_logout_beats_a_slow_write<S: SessionStore>(open: fn(Option<Duration>) -> S) {
    let now = Timestamp::from_seconds(2_000_000_000);
    for idle in [None, Some(TTL)] {
        let store = Arc::new(open(idle));
        runtime().block_on(async {
            for lot in 0..PAIRS / 2 / AT_ONCE {
                let users = lot * AT_ONCE..(lot + 1) * AT_ONCE;
                let pairs: Vec<_> =
                    users.map(|n| tokio::spawn(pair(Arc::clone(&store), n, now))).collect();
                for pair in pairs {
                    pair.await.unwrap();
                }
            }
            assert_eq!(SessionStore::stats(&*store).await.unwrap().sessions, 0);
        });
    }
}

/// A cache must not remember what a slow request has read before the logout.
#[test]
fn a_logout_beats_a_slow_write_through_a_cache() {
    a_logout_beats_a_slow_write(|idle| Cached::new(MemoryStore::new(idle), TTL, idle));
}

/// Of many that create the same id at once, one does.
fn an_id_has_one_creator<S: SessionStore>(open: fn(Option<Duration>) -> S) {
    let now = Timestamp::from_seconds(2_000_000_000);
    let store = Arc::new(open(None));
    runtime().block_on(async {
        for _ in 0..20 {
            let (id, barrier) = (SessionId::generate().unwrap(), Arc::new(Barrier::new(4)));
            let creators: Vec<_> = (0..4)
                .map(|n| {
                    let (store, barrier) = (Arc::clone(&store), Arc::clone(&barrier));
                    tokio::spawn(async move {
                        barrier.wait().await;
                        let session = Session::begin(data(n, None), now, TTL);
                        store.create(id, session).await.unwrap().then_some(n)
                    })
                })
                .collect();
            let mut winners = Vec::new();
            for creator in creators {
                winners.extend(creator.await.unwrap());
            }
            assert_eq!(winners.len(), 1, "{winners:?}");
            let found = store.read(id, now).await.unwrap().unwrap();
            assert_eq!(found.data, data(winners[0], None));
        }
    });
}
