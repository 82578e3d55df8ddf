//! What every store of refresh sessions promises, checked for every line of the registry. The model
//! remembers every secret it gave out and judges one by where it stands among them; pairs of
//! operations meet at the same moment, a thousand times each.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crate::common::{PATIENT, empty_redis};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use servers::cart::Cart;
use servers::clock::{Clock, Timestamp};
use servers::stores::refresh::memory::RefreshMemory;
use servers::stores::refresh::postgres::RefreshPostgres;
use servers::stores::refresh::redis::RefreshRedis;
use servers::stores::refresh::{Family, RefreshStore, Rotation, SecretDigest};
use servers::stores::{SessionData, SessionId};
use servers::users::{User, UserId};
use tokio::sync::Barrier;

const TTL: Duration = Duration::from_secs(900);
const GRACE: Duration = Duration::from_millis(1_000);
const NOW: Timestamp = Timestamp::from_seconds(2_000_000_000);
const PAIRS: u32 = 1_000;
/// Pairs that go at the same time: a store that commits in groups need not take a minute.
const AT_ONCE: u32 = 50;

/// Lines of `name: type, cases of the model, opened by`. A store whose program is missing is passed
/// over, with a word.
macro_rules! every_refresh_store {
    ($($name:ident: $store:ty, $cases:literal, $open:expr;)+) => {
        const LISTED: &[&str] = &[$(<$store as RefreshStore>::NAME),+];

        $(mod $name {
            use super::*;

            const HERE: fn() -> bool = || crate::common::is_here(<$store as RefreshStore>::NAME);

            fn open() -> $store {
                let open: fn() -> $store = $open;
                open()
            }

            #[test]
            fn is_the_model() {
                if HERE() {
                    super::is_the_model($cases, open);
                }
            }

            /// Fault 25: one refresh wins.
            #[test]
            fn of_two_refreshes_one_wins() {
                if HERE() {
                    super::of_two_refreshes_one_wins(open());
                }
            }

            /// Fault 25: a logout wins over a refresh.
            #[test]
            fn a_logout_beats_a_refresh() {
                if HERE() {
                    super::a_logout_beats_a_refresh(open());
                }
            }

            #[test]
            fn an_id_has_one_beginning() {
                if HERE() {
                    super::an_id_has_one_beginning(open());
                }
            }
        })+
    };
}

every_refresh_store! {
    memory: RefreshMemory, 256, RefreshMemory::default;
    postgres: RefreshPostgres, 24, crate::common::postgres::open_refresh;
    redis: RefreshRedis, 48, open_redis;
}

fn open_redis() -> RefreshRedis {
    RefreshRedis::at(&empty_redis().unwrap(), Clock::manual(NOW), PATIENT).unwrap()
}

#[test]
fn every_store_of_the_registry_is_in_the_list() {
    let arms = servers::arms().iter().filter(|info| info.refreshes);
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

/// The nth secret that is ever made.
fn secret(n: u32) -> SecretDigest {
    SecretDigest::of(&u128::from(n).to_le_bytes())
}

/// Ids spread over shards by their ninth byte, and some share one.
fn id(n: u8) -> SessionId {
    let mut bytes = [0; 16];
    bytes[0] = n;
    bytes[8] = n % 3;
    SessionId::from_bytes(bytes)
}

/// Which secret of a family is shown.
#[derive(Clone, Copy, Debug)]
enum Shown {
    /// So many before the current one.
    Back(usize),
    /// One that was never given out.
    Forged,
}

#[derive(Clone, Debug)]
enum Op {
    Begin { id: u8, user: u32, ttl_ms: u64 },
    Rotate { id: u8, shown: Shown },
    Update { id: u8, user: u32, item: u8 },
    End { id: u8 },
    EndAllOf { user: u32 },
    Wait { ms: u64 },
    Sweep,
}

fn op() -> impl Strategy<Value = Op> {
    let (id, user) = (0..16_u8, 0..5_u32);
    let shown = prop_oneof![
        6 => Just(Shown::Back(0)),
        3 => Just(Shown::Back(1)),
        1 => (2..4_usize).prop_map(Shown::Back),
        1 => Just(Shown::Forged),
    ];
    // Spans that hit the end of the grace, and a millisecond to either side of it, often.
    let ms = prop_oneof![
        4 => Just(0), 3 => 1..400_u64, 3 => 998..1_002_u64, 1 => 1_000..3_000_u64
    ];
    prop_oneof![
        5 => (id.clone(), user.clone(), 0..8_000_u64)
            .prop_map(|(id, user, ttl_ms)| Op::Begin { id, user, ttl_ms }),
        9 => (id.clone(), shown).prop_map(|(id, shown)| Op::Rotate { id, shown }),
        2 => (id.clone(), user.clone(), any::<u8>())
            .prop_map(|(id, user, item)| Op::Update { id, user, item }),
        1 => id.prop_map(|id| Op::End { id }),
        1 => user.prop_map(|user| Op::EndAllOf { user }),
        4 => ms.prop_map(|ms| Op::Wait { ms }),
        1 => Just(Op::Sweep),
    ]
}

struct Kept {
    data: SessionData,
    expires: Timestamp,
    /// All secrets there ever were, the current one last.
    secrets: Vec<u32>,
    replaced: Timestamp,
}

#[derive(Default)]
struct Model {
    families: HashMap<SessionId, Kept>,
    secrets: u32,
    operations: u64,
    swept: u64,
}

impl Model {
    fn next(&mut self) -> u32 {
        self.secrets += 1;
        self.secrets
    }

    fn live(&mut self, id: SessionId, now: Timestamp) -> Option<&mut Kept> {
        self.families.get_mut(&id).filter(|kept| now.millis() < kept.expires.millis())
    }

    /// The number of the secret that is meant; one that was never given out if no such secret
    /// exists.
    fn shown(&mut self, id: SessionId, shown: Shown) -> u32 {
        let forged = self.next();
        let Some(kept) = self.families.get(&id) else { return forged };
        match shown {
            Shown::Back(back) => kept.secrets.iter().rev().nth(back).copied().unwrap_or(forged),
            Shown::Forged => forged,
        }
    }

    fn rotate(&mut self, id: SessionId, shown: u32, new: u32, now: Timestamp) -> Rotation {
        let Some(kept) = self.live(id, now) else { return Rotation::Unknown };
        let back = kept.secrets.iter().rev().position(|secret| *secret == shown);
        match back {
            Some(0) => {
                kept.secrets.push(new);
                kept.replaced = now;
                Rotation::Rotated { data: kept.data.clone(), expires: kept.expires }
            }
            Some(1) if now.millis() - kept.replaced.millis() < GRACE.as_millis() as u64 => {
                Rotation::Late
            }
            _ => {
                self.families.remove(&id);
                Rotation::Reused
            }
        }
    }
}

async fn agrees_with_the_model<S: RefreshStore>(store: S, ops: &[Op]) {
    let (mut model, mut now) = (Model::default(), NOW);
    for op in ops {
        model.operations += u64::from(!matches!(op, Op::Wait { .. } | Op::Sweep));
        match *op {
            Op::Begin { id: n, user, ttl_ms } => {
                let (number, expires) = (model.next(), now.plus(Duration::from_millis(ttl_ms)));
                let data = data(user, None);
                let family = Family { data: data.clone(), secret: secret(number), expires };
                let begun = store.begin(id(n), family).await.unwrap();
                assert_eq!(begun, !model.families.contains_key(&id(n)), "{op:?}");
                let kept = Kept { data, expires, secrets: vec![number], replaced: now };
                model.families.entry(id(n)).or_insert(kept);
            }
            Op::Rotate { id: n, shown } => {
                let (shown, new) = (model.shown(id(n), shown), model.next());
                let rotation =
                    store.rotate(id(n), secret(shown), secret(new), now, GRACE).await.unwrap();
                assert_eq!(rotation, model.rotate(id(n), shown, new, now), "{op:?}");
            }
            Op::Update { id: n, user, item } => {
                let data = data(user, Some(item));
                let updated = store.update(id(n), data.clone(), now).await.unwrap();
                let expected = model.live(id(n), now).map(|kept| kept.data = data).is_some();
                assert_eq!(updated, expected, "{op:?}");
            }
            Op::End { id: n } => {
                let ended = store.end(id(n)).await.unwrap();
                assert_eq!(ended, model.families.remove(&id(n)).is_some(), "{op:?}");
            }
            Op::EndAllOf { user } => {
                let before = model.families.len();
                model.families.retain(|_, kept| kept.data.user.id.number() != user);
                let ended = store.end_all_of_user(UserId::new(user).unwrap()).await.unwrap();
                assert_eq!(ended as usize, before - model.families.len(), "{op:?}");
            }
            Op::Wait { ms } => now = now.plus(Duration::from_millis(ms)),
            Op::Sweep => {
                let before = model.families.len();
                model.families.retain(|_, kept| now.millis() < kept.expires.millis());
                let swept = store.sweep(now).await.unwrap();
                assert_eq!(swept as usize, before - model.families.len(), "{op:?}");
                model.swept += swept;
            }
        }
        let stats = store.stats().await.unwrap();
        assert_eq!(stats.sessions as usize, model.families.len());
        assert_eq!((stats.operations, stats.swept), (model.operations, model.swept));
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap()
}

fn is_the_model<S: RefreshStore>(cases: u32, open: fn() -> S) {
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let runtime = runtime();
    let outcome = TestRunner::new(config).run(&vec(op(), 1..160), |ops| {
        runtime.block_on(agrees_with_the_model(open(), &ops));
        Ok(())
    });
    outcome.unwrap();
}

/// Runs the pairs, some at a time; none may leave a family behind.
fn pairs<S: RefreshStore, P: Future<Output = ()> + Send + 'static>(
    store: S,
    pair: fn(Arc<S>, u32) -> P,
) {
    let store = Arc::new(store);
    runtime().block_on(async {
        for lot in 0..PAIRS / AT_ONCE {
            let users = lot * AT_ONCE..(lot + 1) * AT_ONCE;
            let pairs: Vec<_> = users.map(|n| tokio::spawn(pair(Arc::clone(&store), n))).collect();
            for pair in pairs {
                pair.await.unwrap();
            }
        }
        assert_eq!(store.stats().await.unwrap().sessions, 0);
    });
}

async fn begun<S: RefreshStore>(store: &S, n: u32) -> SessionId {
    let id = SessionId::generate().unwrap();
    let family = Family { data: data(n, None), secret: secret(0), expires: NOW.plus(TTL) };
    assert!(store.begin(id, family).await.unwrap());
    id
}

/// Two that show the same secret at the same moment.
async fn two_refreshes<S: RefreshStore>(store: Arc<S>, n: u32) {
    let id = begun(&*store, n).await;
    let barrier = Arc::new(Barrier::new(2));
    let both = [1, 2].map(|new| {
        let (store, barrier) = (Arc::clone(&store), Arc::clone(&barrier));
        tokio::spawn(async move {
            barrier.wait().await;
            (new, store.rotate(id, secret(0), secret(new), NOW, GRACE).await.unwrap())
        })
    });
    let (mut won, mut late) = (Vec::new(), 0);
    for one in both {
        match one.await.unwrap() {
            (new, Rotation::Rotated { data, expires }) => {
                assert_eq!((data.user, expires), (user(n), NOW.plus(TTL)));
                won.push(new);
            }
            (_, Rotation::Late) => late += 1,
            (_, other) => panic!("{other:?}"),
        }
    }
    assert_eq!((won.len(), late), (1, 1), "one wins, and the other one is late");
    // The winner's secret is the one that counts; the loser's was never given out.
    let (winner, loser) = (secret(won[0]), secret(3 - won[0]));
    let next = store.rotate(id, winner, secret(3), NOW, GRACE).await.unwrap();
    assert!(matches!(next, Rotation::Rotated { .. }), "{next:?}");
    assert_eq!(store.rotate(id, loser, secret(4), NOW, GRACE).await.unwrap(), Rotation::Reused);
}

fn of_two_refreshes_one_wins<S: RefreshStore>(store: S) {
    pairs(store, two_refreshes);
}

/// A refresh, and a cart of a slow request, in the very moment in which the user logs out.
async fn refresh_and_logout<S: RefreshStore>(store: Arc<S>, n: u32) {
    let id = begun(&*store, n).await;
    let barrier = Arc::new(Barrier::new(2));
    let slow = tokio::spawn({
        let (store, barrier) = (Arc::clone(&store), Arc::clone(&barrier));
        async move {
            barrier.wait().await;
            let rotation = store.rotate(id, secret(0), secret(1), NOW, GRACE).await.unwrap();
            assert!(matches!(rotation, Rotation::Rotated { .. } | Rotation::Unknown));
            store.update(id, data(n, Some(1)), NOW).await.unwrap();
        }
    });
    barrier.wait().await;
    if n.is_multiple_of(2) {
        assert!(store.end(id).await.unwrap());
    } else {
        assert_eq!(store.end_all_of_user(user(n).id).await.unwrap(), 1);
    }
    // Whichever came first, the family is out: with neither secret, at once and for good.
    for shown in [0, 1] {
        let rotation = store.rotate(id, secret(shown), secret(2), NOW, GRACE).await.unwrap();
        assert_eq!(rotation, Rotation::Unknown, "out at once");
    }
    slow.await.unwrap();
    let rotation = store.rotate(id, secret(1), secret(2), NOW, GRACE).await.unwrap();
    assert_eq!(rotation, Rotation::Unknown, "and for good");
    assert!(!store.update(id, data(n, Some(2)), NOW).await.unwrap());
}

fn a_logout_beats_a_refresh<S: RefreshStore>(store: S) {
    pairs(store, refresh_and_logout);
}

/// Of many that begin the same family at once, one does.
fn an_id_has_one_beginning<S: RefreshStore>(store: S) {
    let store = Arc::new(store);
    runtime().block_on(async {
        for _ in 0..20 {
            let (id, barrier) = (SessionId::generate().unwrap(), Arc::new(Barrier::new(4)));
            let beginners = [0, 1, 2, 3].map(|n| {
                let (store, barrier) = (Arc::clone(&store), Arc::clone(&barrier));
                tokio::spawn(async move {
                    barrier.wait().await;
                    let expires = NOW.plus(TTL);
                    let family = Family { data: data(n, None), secret: secret(n), expires };
                    store.begin(id, family).await.unwrap().then_some(n)
                })
            });
            let mut winners = Vec::new();
            for beginner in beginners {
                winners.extend(beginner.await.unwrap());
            }
            assert_eq!(winners.len(), 1, "{winners:?}");
            let shown = secret(winners[0]);
            let rotation = store.rotate(id, shown, secret(9), NOW, GRACE).await.unwrap();
            let data = data(winners[0], None);
            assert_eq!(rotation, Rotation::Rotated { data, expires: NOW.plus(TTL) });
        }
    });
}
