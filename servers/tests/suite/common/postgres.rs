//! One PostgreSQL for a whole test binary, and a schema of it for every store that is opened. It
//! has a thread of its own, because some tests open their stores outside of any runtime, and ends
//! with the process. Without PostgreSQL, [`super::available_arms`] leaves out the arms that need
//! it.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::PATIENT;
use servers::stores::postgres::PostgresStore;
use servers::stores::postgres::own::Instance;
use servers::stores::refresh::postgres::RefreshPostgres;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, NoTls};

struct Shared {
    instance: Instance,
    runtime: Runtime,
}

/// Tests run at the same time, one of them counts statements, and none of them ends the server.
const SETTINGS: &[&str] =
    &["max_connections=400", "shared_preload_libraries=pg_stat_statements", "fsync=off"];

static SHARED: LazyLock<Shared> = LazyLock::new(|| {
    let start = || {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let instance = runtime.block_on(Instance::start(SETTINGS)).unwrap();
        Shared { instance, runtime }
    };
    std::thread::spawn(start).join().unwrap()
});
static SCHEMAS: AtomicU32 = AtomicU32::new(0);

/// A connection of the test's own.
pub async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// The test's own work, on a thread where nothing else is awaited.
fn aside<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    std::thread::spawn(move || SHARED.runtime.block_on(work)).join().unwrap()
}

/// The shared server, without a schema of its own.
pub fn server() -> String {
    SHARED.instance.url().to_owned()
}

/// Where a store has a schema that nobody else uses.
pub fn url() -> String {
    let schema = format!("s{}", SCHEMAS.fetch_add(1, Ordering::Relaxed));
    let url = format!("{}?options=-c%20search_path%3D{schema}", server());
    aside(async move {
        let client = connect(SHARED.instance.url()).await;
        client.batch_execute(&format!("CREATE SCHEMA {schema}")).await.unwrap();
    });
    url
}

/// A store in such a schema, its connections kept by the shared runtime.
pub fn open(idle: Option<Duration>) -> PostgresStore {
    let url = url();
    aside(async move { PostgresStore::open(Some(&url), idle, PATIENT).await.unwrap() })
}

/// The same for refresh sessions.
pub fn open_refresh() -> RefreshPostgres {
    let url = url();
    aside(async move { RefreshPostgres::open(Some(&url), PATIENT).await.unwrap() })
}
