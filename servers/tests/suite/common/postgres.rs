//! One PostgreSQL for a whole test binary, and a schema of it for every store that is opened. It
//! has a thread of its own, because some tests open stores outside of any runtime, and ends with
//! the process. Without PostgreSQL, [`super::available_arms`] leaves out the arms that need it.

use std::path::Path;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::PATIENT;
use servers::error::StoreError;
use servers::stores::own::{Home, OwnServer, free_port, password};
use servers::stores::postgres::PostgresStore;
use servers::stores::postgres::own::{PROGRAM, STORE};
use servers::stores::refresh::postgres::RefreshPostgres;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, NoTls};

/// Users that a PostgreSQL may run as where we are root, as for the servers.
const USERS: [&str; 2] = ["postgres", "nobody"];
/// Ports that are tried: another process may take one before PostgreSQL does.
const PORT_TRIES: u32 = 3;

/// A data directory for servers to copy. `initdb` takes more CPU time than most tests, so each test
/// program runs it once.
struct Template {
    data: String,
    password: String,
    /// Removes the folder when the program ends, as it does for a store's server.
    _keeper: OwnServer,
}

static TEMPLATE: LazyLock<Template> = LazyLock::new(|| {
    let password = password().unwrap();
    let home = Home::make(STORE, &USERS, &[("password", &password)]).unwrap();
    let data = home.path().join("data").display().to_string();
    let make = ["-D", &data, "-U", STORE, "-A", "scram-sha-256", "--pwfile", "password"];
    let quick = ["-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"];
    let initdb = PROGRAM.require().unwrap().with_file_name("initdb");
    home.run(&initdb, &[make.as_slice(), &quick].concat()).unwrap();
    let _keeper = OwnServer::start(home, Path::new("sleep"), &["infinity"], "TERM").unwrap();
    Template { data, password, _keeper }
});

/// A PostgreSQL of a test's own, on a copy of the template. Those that a server starts by itself
/// are tested with the stores.
pub struct Own {
    server: OwnServer,
    url: String,
}

impl Own {
    /// Starts one with these settings, each `name=value`.
    pub async fn start(settings: &[&str]) -> Self {
        let mut tries = 1;
        loop {
            match Self::try_start(settings).await {
                Err(error) if tries < PORT_TRIES && error.found.contains("could not bind") => {
                    tries += 1;
                }
                outcome => return outcome.unwrap(),
            }
        }
    }

    async fn try_start(settings: &[&str]) -> Result<Self, StoreError> {
        let Template { data, password, .. } = &*TEMPLATE;
        let home = Home::make(STORE, &USERS, &[])?;
        home.run(Path::new("cp"), &["-r", data, "data"])?;
        let data = home.path().join("data").display().to_string();
        let port = free_port().unwrap().to_string();
        let mut arguments = vec!["-D", &data, "-p", &port];
        let always = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "huge_pages=off"];
        let room = ["max_connections=160"];
        for setting in always.iter().chain(&room).chain(settings) {
            arguments.extend(["-c", setting]);
        }
        let server = OwnServer::start(home, &PROGRAM.require().unwrap(), &arguments, "QUIT")?;
        let url = format!("postgres://{STORE}:{password}@127.0.0.1:{port}/postgres");
        drop(server.ready(|| tokio_postgres::connect(&url, NoTls)).await?);
        Ok(Self { server, url })
    }

    /// A URL that leads to it, with its password.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub const fn server(&self) -> &OwnServer {
        &self.server
    }
}

struct Shared {
    instance: Own,
    runtime: Runtime,
}

/// Tests run at the same time, one of them counts statements, and none of them ends the server.
const SETTINGS: &[&str] =
    &["max_connections=400", "shared_preload_libraries=pg_stat_statements", "fsync=off"];

static SHARED: LazyLock<Shared> = LazyLock::new(|| {
    let start = || {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let instance = runtime.block_on(Own::start(SETTINGS));
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
