//! What the stores cost by themselves, at a thousand and at a hundred thousand live sessions.
//!
//! `get` finds a session, another one each time; `put` creates one under an id made beforehand,
//! and is undone untimed after every round, so that the level stays. `logout-all` is the scan that
//! stands in for an index from user to sessions: it is in a unit of its own, and needs a runtime
//! to yield to. A store with threads of its own is asked from a runtime throughout.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use benches::{NOW, fill, fill_at_once, in_rounds, ready, session, user};
use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};
use servers::clock::Timestamp;
use servers::stores::memory::MemoryStore;
use servers::stores::mutex::MutexStore;
use servers::stores::sqlite::SqliteStore;
use servers::stores::tower::TowerStore;
use servers::stores::{SessionId, SessionStore};
use tokio::runtime::Builder;

const LEVELS: [u32; 2] = [1_000, 100_000];
const ROUND: u32 = 256;

fn get<S: SessionStore>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    store: &S,
    ids: &[SessionId],
) {
    let now = Timestamp::from_seconds(NOW);
    let mut next = ids.iter().cycle();
    group.bench_function(BenchmarkId::new(format!("{name}/get"), ids.len()), |bencher| {
        bencher.iter(|| {
            let id = *next.next().expect("an endless cycle");
            ready(store.read(black_box(id), now)).expect("a store").expect("a session")
        });
    });
}

fn put<S: SessionStore>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    store: &S,
    level: u32,
) {
    let ids: Vec<_> = (0..ROUND).map(|_| SessionId::generate().expect("random bytes")).collect();
    let create = |n: u64| {
        let n = usize::try_from(n).unwrap_or_default();
        let created = ready(store.create(black_box(ids[n]), session(level))).expect("a store");
        assert!(created);
    };
    let undo = || {
        for id in &ids {
            ready(store.delete(*id)).expect("a store");
        }
    };
    group.bench_function(BenchmarkId::new(format!("{name}/put"), level), |bencher| {
        bencher.iter_custom(|iterations| in_rounds(iterations, ROUND.into(), create, undo));
    });
}

fn logout_all<S: SessionStore>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    store: &S,
    level: u32,
) {
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    let nobody = user(level + 1).id;
    let scan = || runtime.block_on(store.delete_all_of_user(black_box(nobody))).expect("a store");
    assert_eq!(scan(), 0);
    group.throughput(Throughput::Elements(level.into()));
    group.bench_function(BenchmarkId::new(format!("{name}/logout-all"), level), |bencher| {
        bencher.iter(scan);
    });
}

fn stores(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("store");
    for level in LEVELS {
        in_process(&mut group, &MemoryStore::new(None), level);
        in_process(&mut group, &MutexStore::new(None), level);
        in_process(&mut group, &TowerStore::new(None), level);
        threaded(&mut group, &Arc::new(SqliteStore::open(None, None).expect("a file")), level);
    }
    group.finish();
}

fn in_process<S: SessionStore>(group: &mut BenchmarkGroup<'_, WallTime>, store: &S, level: u32) {
    let ids = fill(store, level);
    get(group, S::NAME, store, &ids);
    put(group, S::NAME, store, level);
    logout_all(group, S::NAME, store, level);
    let left = ready(SessionStore::stats(store)).expect("a store").sessions;
    assert_eq!(left, u64::from(level), "a benchmark of the store must leave its level");
}

/// A store that answers from threads of its own: the way there and back is part of the figure.
fn threaded<S: SessionStore>(group: &mut BenchmarkGroup<'_, WallTime>, store: &Arc<S>, level: u32) {
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    let now = Timestamp::from_seconds(NOW);
    let ids = runtime.block_on(fill_at_once(store, level));
    let mut next = ids.iter().cycle();
    group.bench_function(BenchmarkId::new(format!("{}/get", S::NAME), level), |bencher| {
        bencher.iter(|| {
            let id = *next.next().expect("an endless cycle");
            let found = runtime.block_on(store.read(black_box(id), now));
            found.expect("a store").expect("a session")
        });
    });
    group.bench_function(BenchmarkId::new(format!("{}/put", S::NAME), level), |bencher| {
        bencher.iter_custom(|iterations| {
            let mut spent = Duration::ZERO;
            for _ in 0..iterations {
                let id = SessionId::generate().expect("random bytes");
                let begun = Instant::now();
                let created = runtime.block_on(store.create(id, session(level)));
                spent += begun.elapsed();
                assert!(created.expect("a store"));
                assert!(runtime.block_on(store.delete(id)).expect("a store"));
            }
            spent
        });
    });
    logout_all(group, S::NAME, &**store, level);
    let left = runtime.block_on(SessionStore::stats(&**store)).expect("a store").sessions;
    assert_eq!(left, u64::from(level), "a benchmark of the store must leave its level");
}

criterion_group!(benches, stores);
criterion_main!(benches);
