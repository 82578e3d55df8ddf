//! The store in PostgreSQL: what it asks for, what it shares, and whose table it takes. See
//! `every_store.rs` for what all stores promise, and `postgres_faults.rs` for this one's faults.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use crate::common::postgres::{connect, server, url};
use crate::common::{Arm, PATIENT, is_here, options};
use serde_json::{Value, json};
use servers::app;
use servers::clock::Timestamp;
use servers::schemes::SchemeOptions;
use servers::stores::postgres::PostgresStore;
use servers::stores::postgres::own::Instance;
use servers::stores::postgres::pool::CONNECTIONS;
use servers::stores::{Session, SessionData, SessionId, SessionStore};
use servers::users::{PasswordHash, User, UserId};
use tokio_postgres::Client;

const ARM: &str = "session@postgres";

fn at(url: &str) -> SchemeOptions {
    SchemeOptions { store_url: Some(url.into()), ..options() }
}

fn now() -> Timestamp {
    Timestamp::from_seconds(2_000_000_000)
}

fn in_database(name: &str) -> String {
    let server = server();
    format!("{}/{name}", server.rsplit_once('/').unwrap().0)
}

/// Statements that PostgreSQL has carried out in this database, by its own account.
async fn statements(database: &str) -> Vec<(String, i64)> {
    let client = connect(&server()).await;
    // The lock lasts until the commit: let go before, another test would not see what was made.
    let make = "SELECT pg_advisory_xact_lock(1); CREATE EXTENSION IF NOT EXISTS pg_stat_statements";
    client.batch_execute(make).await.unwrap();
    let asked = "SELECT query, calls FROM pg_stat_statements JOIN pg_database ON oid = dbid
                 WHERE datname = $1 AND query NOT LIKE 'SELECT count(*)%' ORDER BY query";
    let rows = client.query(asked, &[&database]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

async fn reset(client: &Client, database: &str) {
    drop(statements(database).await);
    let reset = "SELECT pg_stat_statements_reset(0, oid) FROM pg_database WHERE datname = $1";
    client.query_one(reset, &[&database]).await.unwrap();
}

#[tokio::test]
async fn a_read_is_one_statement_and_nothing_else() {
    if !is_here("postgres") {
        return;
    }
    let client = connect(&server()).await;
    for (database, idle) in [("plain", None), ("idle", Some(Duration::from_secs(60)))] {
        client.batch_execute(&format!("CREATE DATABASE {database}")).await.unwrap();
        let arm = Arm::named(ARM, SchemeOptions { idle, ..at(&in_database(database)) }).await;
        let held = arm.login(7).await;
        reset(&client, database).await;
        for _ in 0..100 {
            arm.me(&held).await.expect(200);
        }
        let counted = statements(database).await;
        let [(query, 100)] = counted.as_slice() else { panic!("{counted:?}") };
        let expected = if idle.is_some() { "UPDATE" } else { "SELECT user_id" };
        assert!(query.starts_with(expected), "{query}");
        // A login is one statement, a logout one to find the session and one to end it.
        reset(&client, database).await;
        let other = arm.login(8).await;
        arm.post("/logout", &other, &Value::Null).await.expect(200);
        let counted = statements(database).await;
        assert_eq!(counted.iter().map(|(_, calls)| calls).sum::<i64>(), 3, "{counted:?}");
    }
}

#[tokio::test]
async fn a_refresh_is_one_statement_and_a_request_none() {
    if !is_here("postgres") {
        return;
    }
    let client = connect(&server()).await;
    client.batch_execute("CREATE DATABASE refreshed").await.unwrap();
    let arm = Arm::named("jwt-refresh@postgres", at(&in_database("refreshed"))).await;
    let login = arm.login_as("user-7", "password-7").await.expect(200).json();
    let text = |answer: &Value, name: &str| answer[name].as_str().unwrap().to_owned();
    let (access, mut held) = (text(&login, "access_token"), text(&login, "refresh_token"));
    let before = statements("refreshed").await;
    for _ in 0..10 {
        arm.me(&access).await.expect(200);
        held = text(&arm.refresh(&held).await.expect(200).json(), "refresh_token");
    }
    let after = statements("refreshed").await;
    let new: Vec<_> = after.iter().filter(|counted| !before.contains(counted)).collect();
    let [(query, 10)] = new.as_slice() else { panic!("{new:?}") };
    assert!(query.contains("WITH family AS"), "{query}");
}

#[tokio::test]
async fn servers_share_sessions_and_what_was_answered_outlives_them() {
    if !is_here("postgres") {
        return;
    }
    let url = url();
    let (one, other) = (Arm::named(ARM, at(&url)).await, Arm::named(ARM, at(&url)).await);
    let (stays, leaves) = (one.login(7).await, one.login(8).await);
    one.post("/cart", &stays, &json!({ "item": "\"\u{1f34e}\\" })).await.expect(200);
    assert_eq!(other.me(&leaves).await.expect(200).json()["user_id"], json!(8));
    other.post("/logout", &leaves, &Value::Null).await.expect(200);
    one.me(&leaves).await.expect_refused();
    assert_eq!((one.sessions().await, other.sessions().await), (1, 1));
    drop((one, other));
    let arm = Arm::named(ARM, at(&url)).await;
    let cart = arm.get("/cart", &stays).await.expect(200).json();
    assert_eq!(cart["items"], json!(["\"\u{1f34e}\\"]));
    arm.me(&leaves).await.expect_refused();
}

/// Reading moves no index: the sweep does, once, and a server with a shorter timeout does as well.
#[tokio::test]
async fn a_session_that_was_used_is_swept_at_its_later_end() {
    if !is_here("postgres") {
        return;
    }
    let url = url();
    let open = async |idle: u64| {
        let idle = Some(Duration::from_secs(idle));
        PostgresStore::open(Some(&url), idle, PATIENT).await.unwrap()
    };
    let client = connect(&url).await;
    let ends = async || {
        let row =
            client.query_one("SELECT ends - 2000000000000 FROM authbench_sessions", &[]).await;
        row.unwrap().get::<_, i64>(0)
    };
    let later = |seconds| now().plus(Duration::from_secs(seconds));
    let user = User::of(UserId::new(7).unwrap());
    let data = SessionData { user, cart: servers::cart::Cart::default() };
    let session = Session::begin(data, now(), Duration::from_secs(900));
    let (id, store) = (SessionId::generate().unwrap(), open(60).await);
    assert!(store.create(id, session).await.unwrap());
    assert!(store.touch(id, later(50)).await.unwrap());
    assert_eq!(ends().await, 60_000);
    assert_eq!(SessionStore::sweep(&store, later(60)).await, Ok(0));
    assert_eq!(ends().await, 110_000);
    assert_eq!(store.read(id, later(109)).await.unwrap().unwrap().last_seen, later(50));
    drop(store);
    let store = open(10).await;
    assert_eq!(ends().await, 60_000);
    assert_eq!(SessionStore::sweep(&store, later(59)).await, Ok(0));
    assert_eq!(SessionStore::sweep(&store, later(60)).await, Ok(1));
}

#[tokio::test]
async fn a_table_that_is_not_ours_is_refused_and_left_alone() {
    if !is_here("postgres") {
        return;
    }
    for other in [
        "CREATE TABLE authbench_sessions (id text)",
        "CREATE VIEW authbench_sessions AS SELECT 1 AS id",
        "ALTER TABLE authbench_sessions ADD COLUMN more text NOT NULL",
        "ALTER TABLE authbench_sessions SET UNLOGGED",
        "DROP INDEX authbench_sessions_by_end",
        "CREATE UNIQUE INDEX one_login_each ON authbench_sessions (user_id)",
    ] {
        let url = url();
        let client = connect(&url).await;
        if !other.starts_with("CREATE TABLE") && !other.starts_with("CREATE VIEW") {
            drop(Arm::named(ARM, at(&url)).await);
        }
        client.batch_execute(other).await.unwrap();
        let columns = "SELECT count(*) FROM pg_attribute
                       WHERE attrelid = to_regclass('authbench_sessions') AND attnum > 0";
        let before: i64 = client.query_one(columns, &[]).await.unwrap().get(0);
        let opened = app::open(ARM, &at(&url), PasswordHash::Derived).await;
        let error = opened.err().unwrap_or_else(|| panic!("{other}")).to_string();
        assert!(error.contains("table `authbench_sessions` is another one"), "{error}");
        let after: i64 = client.query_one(columns, &[]).await.unwrap().get(0);
        assert_eq!(before, after);
    }
}

/// Ten servers that start at once make one table.
#[tokio::test]
async fn the_table_is_made_once() {
    if !is_here("postgres") {
        return;
    }
    let url = url();
    let open = || {
        let url = url.clone();
        tokio::spawn(async move { PostgresStore::open(Some(&url), None, PATIENT).await.unwrap() })
    };
    let opened: Vec<_> = (0..4).map(|_| open()).collect();
    for store in opened {
        assert_eq!(SessionStore::stats(&store.await.unwrap()).await.unwrap().sessions, 0);
    }
}

#[tokio::test]
async fn a_place_that_cannot_be_is_refused_without_its_password() {
    for (url, expected) in [
        ("postgres://me:secret@127.0.0.1:1/db", "could not be opened"),
        ("postgres://me:secret@127.0.0.1:port/db", "expected store_url to be postgres://"),
        ("postgres:me:secret", "expected store_url to be postgres://"),
        ("sqlite:secret", "expected store_url to be postgres://"),
    ] {
        let opened = app::open(ARM, &at(url), PasswordHash::Derived).await;
        let error = opened.err().expect("a refusal").to_string();
        assert!(error.contains(expected) && !error.contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn one_of_its_own_is_no_roots_and_goes_with_its_server() {
    if !is_here("postgres") {
        return;
    }
    let store = PostgresStore::open(None, None, PATIENT).await.unwrap();
    let process = store.process().unwrap();
    assert!(process.name.starts_with("postgres 1"), "{}", process.name);
    let notes = store.notes().join(" ");
    let asked = format!("shared_buffers = 128MB, asked over {CONNECTIONS} connections");
    assert!(notes.contains(&asked), "{notes}");
    assert!(notes.contains("survives a crash (fsync = on, synchronous_commit = on)"), "{notes}");
    let folder = format!("/proc/{}", process.pid);
    assert_ne!(fs::metadata(&folder).unwrap().uid(), 0);
    let data = fs::read_link(format!("{folder}/cwd")).unwrap();
    assert_eq!(fs::metadata(&data).unwrap().mode() & 0o077, 0, "nobody else may read sessions");
    let client = connect(process.url.secret()).await;
    let setting = async |name: &str| {
        let row = client.query_one(&format!("SHOW {name}"), &[]).await.unwrap();
        row.get::<_, String>(0)
    };
    assert_eq!(setting("listen_addresses").await, "127.0.0.1");
    assert_eq!(setting("unix_socket_directories").await, "");
    assert_eq!(setting("autovacuum").await, "on");
    drop(store);
    assert!(!std::path::Path::new(&folder).exists());
    assert!(!data.exists());
}

#[tokio::test]
async fn a_password_is_asked_for() {
    if !is_here("postgres") {
        return;
    }
    let instance = Instance::start(&[]).await.unwrap();
    let (_, place) = instance.url().split_once('@').unwrap();
    let wrong = format!("postgres://postgres:wrong@{place}");
    let error = PostgresStore::open(Some(&wrong), None, PATIENT).await.unwrap_err();
    assert!(error.to_string().contains("password authentication failed"), "{error}");
}
