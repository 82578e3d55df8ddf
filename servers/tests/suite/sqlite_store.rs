//! The store in a file: what outlives a restart, and what another process can do to it.
//!
//! What every store promises is in `every_store.rs`; here is what only this one does.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use crate::common::{Arm, PATIENT, options, skipped};
use rusqlite::Connection;
use serde_json::{Value, json};
use servers::app;
use servers::clock::Timestamp;
use servers::schemes::SchemeOptions;
use servers::stores::patience::Patience;
use servers::stores::sqlite::SqliteStore;
use servers::stores::{Session, SessionData, SessionId, SessionStore};
use servers::users::{PasswordHash, User, UserId};

const TTL: Duration = Duration::from_secs(900);

fn now() -> Timestamp {
    Timestamp::from_seconds(2_000_000_000)
}

fn session(n: u32) -> Session {
    let user = User::of(UserId::new(n).unwrap());
    Session::begin(SessionData { user, cart: servers::cart::Cart::default() }, now(), TTL)
}

/// Fault 19: what was answered is in the file.
#[tokio::test]
async fn what_was_answered_outlives_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("s.sqlite").display());
    let at_the_url = || SchemeOptions { store_url: Some(url.clone()), ..options() };
    let arm = Arm::named("session@sqlite", at_the_url()).await;
    let (stays, leaves) = (arm.login(7).await, arm.login(8).await);
    arm.post("/cart", &stays, &json!({ "item": "\"\u{1f34e}\\" })).await.expect(200);
    arm.post("/logout", &leaves, &Value::Null).await.expect(200);
    drop(arm);
    let mode = folder.path().join("s.sqlite").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "nobody else may read sessions");
    let arm = Arm::named("session@sqlite", at_the_url()).await;
    assert_eq!(arm.sessions().await, 1);
    assert_eq!(arm.me(&stays).await.expect(200).json()["user_id"], json!(7));
    let cart = arm.get("/cart", &stays).await.expect(200).json();
    assert_eq!(cart["items"], json!(["\"\u{1f34e}\\"]));
    arm.me(&leaves).await.expect_refused();
}

/// Activity is written late, and at the end; and the file may have another idle timeout next time.
#[tokio::test]
async fn activity_outlives_an_orderly_stop_and_a_changed_timeout_is_heeded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sqlite");
    let open =
        |idle| SqliteStore::open(Some(&path), Some(Duration::from_secs(idle)), PATIENT).unwrap();
    let (id, used) = (SessionId::generate().unwrap(), now().plus(Duration::from_secs(59)));
    let store = open(60);
    assert!(store.create(id, session(7)).await.unwrap());
    assert!(store.touch(id, used).await.unwrap());
    drop(store);
    let store = open(60);
    let later = used.plus(Duration::from_secs(59));
    assert_eq!(store.read(id, later).await.unwrap().unwrap().last_seen, used);
    drop(store);
    let store = open(10);
    assert_eq!(SessionStore::sweep(&store, used.plus(Duration::from_secs(9))).await, Ok(0));
    assert_eq!(SessionStore::sweep(&store, used.plus(Duration::from_secs(10))).await, Ok(1));
}

/// Fault 19: a file that is held.
#[tokio::test]
async fn a_file_that_another_process_holds_is_a_503_in_time_and_reads_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sqlite");
    let store_url = Some(format!("sqlite:{}", path.display()));
    let open = |patience| {
        let options = SchemeOptions { store_url: store_url.clone(), patience, ..options() };
        Arm::named("session@sqlite", options)
    };
    // Two servers over one file: of the one that gives up soon only a 503 can be expected.
    let (arm, hasty) = (open(PATIENT).await, open(Patience::DEFAULT).await);
    let credential = arm.login(7).await;
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let begun = Instant::now();
    let answer = hasty.login_as("user-8", "password-8").await.expect(503);
    assert!(begun.elapsed() < PATIENT.call() / 2, "{:?}", begun.elapsed());
    assert_eq!(answer.header("retry-after"), "1");
    hasty.post("/logout", &credential, &Value::Null).await.expect(503);
    arm.me(&credential).await.expect(200);
    other.execute_batch("ROLLBACK").unwrap();
    arm.login(8).await;
    assert_eq!(arm.sessions().await, 2, "the login that was refused left nothing");
    arm.me(&credential).await.expect(200);
    let whole: String = other.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(whole, "ok");
}

#[tokio::test]
async fn a_temporary_file_goes_with_its_store() {
    let store = SqliteStore::open(None, None, PATIENT).unwrap();
    let path = store.path().to_path_buf();
    assert!(path.exists());
    drop(store);
    assert!(!path.parent().unwrap().exists());
}

#[tokio::test]
async fn a_place_that_cannot_be_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let (stranger, text) = (folder.path().join("other.sqlite"), folder.path().join("text"));
    let other = Connection::open(&stranger).unwrap();
    other.execute_batch("CREATE TABLE sessions (id TEXT)").unwrap();
    std::fs::write(&text, "this is no database, and is long enough to be seen as none").unwrap();
    let [linked, dangling, fifo] =
        ["link", "dangling", "fifo"].map(|name| folder.path().join(name));
    std::os::unix::fs::symlink(&text, &linked).unwrap();
    std::os::unix::fs::symlink(folder.path().join("made"), &dangling).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let url = |path: &std::path::Path| format!("sqlite:{}", path.display());
    for (arm, url, expected) in [
        ("session@sqlite", url(&linked), "expected a file, found a symbolic link"),
        ("session@sqlite", url(&dangling), "expected a file, found a symbolic link"),
        ("session@sqlite", url(&fifo), "fifo"),
        ("session@sqlite", "sqlite:/nowhere/s.sqlite".to_owned(), "/nowhere/s.sqlite"),
        ("session@sqlite", url(&stranger), "other.sqlite: "),
        ("session@sqlite", url(&text), "not a database"),
        ("session@sqlite", "redis://:secret@host".into(), "expected store_url to be sqlite:PATH"),
        ("session@sqlite", "sqlite:".into(), "expected store_url to be sqlite:PATH"),
        ("session@sqlite", "s.sqlite".into(), "expected store_url to be sqlite:PATH"),
        ("session@sqlite", "secret:x".into(), "expected store_url to be sqlite:PATH"),
        ("session@memory", url(&text), "expected store_url to be left out"),
        ("none", url(&text), "expected store_url to be left out"),
    ] {
        let options = SchemeOptions { store_url: Some(url), ..options() };
        let opened = app::open(arm, &options, PasswordHash::Derived).await;
        let error = opened.err().expect("a refusal").to_string();
        assert!(error.contains(expected) && !error.contains("secret"), "{error}");
    }
    assert!(!folder.path().join("made").exists(), "no link is followed");
}

/// A small file system, unmounted with this value.
struct Small(std::path::PathBuf);

impl Drop for Small {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(&self.0).status();
    }
}

/// Fault 19: a disk that is full.
#[tokio::test]
async fn a_full_disk_takes_no_login_and_goes_on_reading() {
    let folder = tempfile::tempdir().unwrap();
    let small = folder.path().join("small");
    std::fs::create_dir(&small).unwrap();
    let mut mount = std::process::Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "size=1m", "authbench-test"]).arg(&small);
    let mounted = mount.stderr(std::process::Stdio::null()).status();
    if !mounted.is_ok_and(|status| status.success()) {
        skipped("a disk that is full, because only root may mount one");
        return;
    }
    let small = Small(small);
    let url = format!("sqlite:{}", small.0.join("s.sqlite").display());
    let arm =
        Arm::named("session@sqlite", SchemeOptions { store_url: Some(url), ..options() }).await;
    let held = arm.login(7).await;
    let filler = small.0.join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    drop(file);
    let mut logins = 1;
    loop {
        let answer = arm.login_as("user-8", "password-8").await;
        if answer.status != 200 {
            answer.expect(503);
            break;
        }
        logins += 1;
        assert!(logins < 10_000, "the disk does not become full");
    }
    arm.login_as("user-8", "password-8").await.expect(503);
    arm.me(&held).await.expect(200);
    assert_eq!(arm.sessions().await, logins, "a login is a session that is stored, and no other");
    std::fs::remove_file(&filler).unwrap();
    arm.me(&arm.login(9).await).await.expect(200);
    arm.post("/logout", &held, &Value::Null).await.expect(200);
    arm.me(&held).await.expect_refused();
    assert_eq!(arm.open.app.panics(), 0);
}
