//! What the stores cost by themselves, at a thousand and at a hundred thousand live sessions, and
//! next to them their client libraries alone, under `library`.

#![allow(clippy::print_stderr, reason = "what is passed over is said")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::redis::AsyncConnectionConfig;
use ::redis::aio::MultiplexedConnection;
use benches::{NOW, fill, fill_at_once, in_rounds, ready, session, user};
use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};
use rusqlite::Connection;
use servers::clock::Timestamp;
use servers::stores::bounded::Bounded;
use servers::stores::memory::MemoryStore;
use servers::stores::mutex::MutexStore;
use servers::stores::patience::Patience;
use servers::stores::postgres::PostgresStore;
use servers::stores::redis::{RedisStore, Space};
use servers::stores::sqlite::SqliteStore;
use servers::stores::tower::TowerStore;
use servers::stores::{SessionId, SessionStore, missing_program};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_postgres::{Client, NoTls, Statement};

const LEVELS: [u32; 2] = [1_000, 100_000];
const ROUND: u32 = 256;
const AT_ONCE: u64 = 64;
/// A timer costs the same whatever its length, and a busy machine must not end a benchmark.
const PATIENCE: Patience = Patience::new(Duration::from_secs(60));

/// `get` finds another session each time.
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

/// `put` creates one under an id made beforehand, and is undone untimed after every round, so that
/// the level stays.
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

/// `logout-all` is the scan that stands in for an index from user to sessions. It is a unit of its
/// own, and needs a runtime to yield to.
fn logout_all<S: SessionStore>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    runtime: &Runtime,
    store: &S,
    level: u32,
) {
    let name = S::NAME;
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
        let sqlite = Arc::new(SqliteStore::open(None, None, PATIENCE).expect("a file"));
        let ids = elsewhere(&mut group, &runtime(), &sqlite, level);
        sqlite_library(&mut group, sqlite.path(), &ids);
        redis(&mut group, level);
        postgres(&mut group, level);
    }
    group.finish();
}

fn in_process<S: SessionStore>(group: &mut BenchmarkGroup<'_, WallTime>, store: &S, level: u32) {
    let ids = fill(store, level);
    get(group, S::NAME, store, &ids);
    put(group, S::NAME, store, level);
    logout_all(group, &runtime(), store, level);
    let left = ready(SessionStore::stats(store)).expect("a store").sessions;
    assert_eq!(left, u64::from(level), "a benchmark of the store must leave its level");
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// A store that answers from elsewhere: the way there and back is part of the figure. The ids it is
/// filled with.
///
/// One at a time, the round trip is most of the figure; `get-64` has 64 under way, as a server with
/// many users does.
fn elsewhere<S: SessionStore>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    runtime: &Runtime,
    store: &Arc<S>,
    level: u32,
) -> Vec<SessionId> {
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
    logout_all(group, runtime, &**store, level);
    let left = runtime.block_on(SessionStore::stats(&**store)).expect("a store").sessions;
    assert_eq!(left, u64::from(level), "a benchmark of the store must leave its level");
    ids
}

/// User, name, role, cart, and when it began, ends and was last seen.
type SqliteRow = (u32, String, String, Option<String>, i64, i64, i64);

/// The library alone: the same statement on the same file, on the thread that asks.
fn sqlite_library(group: &mut BenchmarkGroup<'_, WallTime>, file: &Path, ids: &[SessionId]) {
    let connection = Connection::open(file).expect("the store's file");
    let read = "SELECT user, name, role, cart, created, expires, last_seen FROM sessions
                WHERE id = ?1";
    let get = |id: SessionId| {
        let mut statement = connection.prepare_cached(read).expect("a statement");
        let row = statement.query_row([id.as_bytes()], |row| SqliteRow::try_from(row));
        row.expect("a session")
    };
    let mut next = ids.iter().cycle();
    group.bench_function(BenchmarkId::new("sqlite/library/get", ids.len()), |bencher| {
        bencher.iter(|| get(black_box(*next.next().expect("an endless cycle"))));
    });
}

/// `library/get` is the same `GET` over a connection of the same kind of the client library alone:
/// what lies between the two is ours.
fn redis(group: &mut BenchmarkGroup<'_, WallTime>, level: u32) {
    if let Some(missing) = missing_program("redis") {
        let required = std::env::var_os("AUTHBENCH_REQUIRE_STORES").is_some();
        assert!(!required, "no `{}`: install {}", missing.name, missing.package);
        eprintln!("skipped: redis, because `{}` is missing", missing.name);
        return;
    }
    let runtime = runtime();
    let opened = RedisStore::open(Space::Sessions, None, None, PATIENCE);
    let store = runtime.block_on(opened).expect("a Redis of its own");
    let store = Arc::new(store);
    let ids = elsewhere(group, &runtime, &store, level);
    // The same limits of time as the store's: a timer is part of such a connection.
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(PATIENCE.connect()))
        .set_response_timeout(Some(PATIENCE.answer()))
        .set_pipeline_buffer_size(1024);
    let opened = store.client().get_multiplexed_async_connection_with_config(&config);
    let connection = runtime.block_on(opened).expect("a connection");
    let keys: Vec<Arc<str>> = ids.iter().map(|id| key(*id).into()).collect();
    let found = async |mut connection: MultiplexedConnection, key: Arc<str>| {
        let value: Vec<u8> =
            ::redis::cmd("GET").arg(&*key).query_async(&mut connection).await.expect("a value");
        assert!(value.len() > 24);
    };
    let mut next = keys.iter().cycle();
    group.bench_function(BenchmarkId::new("redis/library/get", level), |bencher| {
        bencher.iter(|| {
            let key = next.next().expect("an endless cycle");
            runtime.block_on(found(connection.clone(), Arc::clone(key)));
        });
    });
    let mut next = keys.iter().cycle();
    group.throughput(Throughput::Elements(AT_ONCE));
    group.bench_function(BenchmarkId::new("redis/library/get-64", level), |bencher| {
        bencher.iter(|| {
            at_once(&runtime, || {
                let key = next.next().expect("an endless cycle");
                found(connection.clone(), Arc::clone(key))
            });
        });
    });
    let mut next = ids.iter().cycle();
    let now = Timestamp::from_seconds(NOW);
    group.bench_function(BenchmarkId::new("redis/get-64", level), |bencher| {
        bencher.iter(|| {
            at_once(&runtime, || {
                let (id, store) = (*next.next().expect("an endless cycle"), Arc::clone(&store));
                async move {
                    let found = store.read(black_box(id), now).await.expect("a store");
                    assert!(found.is_some());
                }
            });
        });
    });
}

/// `library/get` is the same prepared statement on one connection of tokio-postgres. What lies
/// between the two is the pool, the limit of time and reading the row; `library/get-in-time` has
/// the limit of time as well, which costs a timer if nothing else sets one.
fn postgres(group: &mut BenchmarkGroup<'_, WallTime>, level: u32) {
    if let Some(missing) = missing_program("postgres") {
        let required = std::env::var_os("AUTHBENCH_REQUIRE_STORES").is_some();
        assert!(!required, "no `{}`: install {}", missing.name, missing.package);
        eprintln!("skipped: postgres, because `{}` is missing", missing.name);
        return;
    }
    let runtime = runtime();
    let opened = PostgresStore::open(None, None, PATIENCE);
    let store = Arc::new(Bounded::new(
        runtime.block_on(opened).expect("a PostgreSQL of its own"),
        PATIENCE,
    ));
    let ids = elsewhere(group, &runtime, &store, level);
    let url = store.process().expect("a PostgreSQL of its own").url;
    let library = runtime.block_on(Library::connect(url.secret()));
    let mut next = ids.iter().cycle();
    group.bench_function(BenchmarkId::new("postgres/library/get", level), |bencher| {
        bencher.iter(|| {
            let id = *next.next().expect("an endless cycle");
            runtime.block_on(library.get(black_box(id)));
        });
    });
    let mut next = ids.iter().cycle();
    group.bench_function(BenchmarkId::new("postgres/library/get-in-time", level), |bencher| {
        bencher.iter(|| {
            let id = *next.next().expect("an endless cycle");
            let in_time = async { timeout(PATIENCE.call(), library.get(black_box(id))).await };
            runtime.block_on(in_time).expect("an answer in time");
        });
    });
    let mut next = ids.iter().cycle();
    group.throughput(Throughput::Elements(AT_ONCE));
    group.bench_function(BenchmarkId::new("postgres/library/get-64", level), |bencher| {
        bencher.iter(|| {
            at_once(&runtime, || {
                let (id, library) = (*next.next().expect("an endless cycle"), library.clone());
                async move { library.get(black_box(id)).await }
            });
        });
    });
    let mut next = ids.iter().cycle();
    let now = Timestamp::from_seconds(NOW);
    group.bench_function(BenchmarkId::new("postgres/get-64", level), |bencher| {
        bencher.iter(|| {
            at_once(&runtime, || {
                let (id, store) = (*next.next().expect("an endless cycle"), Arc::clone(&store));
                async move {
                    let found = store.read(black_box(id), now).await.expect("a store");
                    assert!(found.is_some());
                }
            });
        });
    });
}

/// The client library alone: one connection, and the statement that the store reads with.
#[derive(Clone)]
struct Library(Arc<(Client, Statement)>);

impl Library {
    async fn connect(url: &str) -> Self {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a connection");
        tokio::spawn(connection);
        let read = "SELECT user_id, name, role, cart, created, expires, last_seen
                    FROM authbench_sessions WHERE id = $1";
        let read = client.prepare(read).await.expect("a statement");
        Self(Arc::new((client, read)))
    }

    async fn get(&self, id: SessionId) {
        let (client, read) = &*self.0;
        let found = client.query_opt(read, &[&id.as_bytes().as_slice()]).await.expect("an answer");
        assert!(found.is_some());
    }
}

fn key(id: SessionId) -> String {
    let mut key = "authbench:s:".to_owned();
    id.encode(&mut key);
    key
}

/// Runs as many of these at the same time as a benchmark of many does.
fn at_once<F: Future<Output = ()> + Send + 'static>(runtime: &Runtime, mut one: impl FnMut() -> F) {
    runtime.block_on(async {
        let mut all = JoinSet::new();
        for _ in 0..AT_ONCE {
            all.spawn(one());
        }
        while let Some(done) = all.join_next().await {
            done.expect("a value");
        }
    });
}

criterion_group!(benches, stores);
criterion_main!(benches);
