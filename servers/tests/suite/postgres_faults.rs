//! What a server does while its PostgreSQL is dead, silent, full, locked or read-only: a 503 in
//! time for every request that needs it, and everything as before once it is back, without a
//! restart. Each test has a PostgreSQL of its own; recovery has only a bound that is far from it.

#![allow(clippy::print_stderr, reason = "what was measured or passed over is said")]

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::postgres::{Own, connect};
use crate::common::{Answer, Arm, is_here, options};
use serde_json::{Value, json};
use servers::app;
use servers::schemes::SchemeOptions;
use servers::stores::own::OwnServer;
use servers::stores::patience::Patience;
use servers::stores::postgres::pool::CONNECTIONS;
use servers::users::PasswordHash;
use tokio::runtime::Handle;
use tokio_postgres::NoTls;

const ARM: &str = "session@postgres";
/// Far beyond the 400 ms that a call of a hasty arm may take, and shorter than a patient one waits.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
const RECOVERY_TIME_MAX: Duration = Duration::from_secs(60);

async fn start(settings: &[&str]) -> (Own, Arm) {
    let instance = Own::start(settings).await;
    let arm = Arm::named(ARM, at(instance.url())).await;
    (instance, arm)
}

/// A second server over the same PostgreSQL, which gives up as soon as a server does. Of it only a
/// 503 can be expected: where the machine is busy it may give up on a PostgreSQL that is well.
async fn hasty(instance: &Own) -> Arm {
    Arm::named(ARM, SchemeOptions { patience: Patience::DEFAULT, ..at(instance.url()) }).await
}

fn at(url: &str) -> SchemeOptions {
    SchemeOptions { store_url: Some(url.into()), ..options() }
}

async fn in_time(call: impl Future<Output = Answer>) -> Answer {
    let begun = Instant::now();
    let answer = call.await;
    assert!(begun.elapsed() < ANSWER_TIME_MAX, "{:?}", begun.elapsed());
    answer
}

async fn unavailable(call: impl Future<Output = Answer>) {
    let answer = in_time(call).await.expect(503);
    assert_eq!(answer.text, r#"{"error":"unavailable"}"#);
    assert_eq!(answer.header("retry-after"), "1");
    assert!(!answer.headers.contains_key("set-cookie"));
}

/// Everything that needs the store, by a user who is logged in.
async fn all_unavailable(arm: &Arm, held: &str) {
    unavailable(arm.login_as("user-8", "password-8")).await;
    unavailable(arm.me(held)).await;
    unavailable(arm.post("/cart", held, &json!({ "item": "a" }))).await;
    unavailable(arm.post("/logout", held, &Value::Null)).await;
    unavailable(arm.post("/logout-all", held, &Value::Null)).await;
    arm.me("no id").await.expect_refused();
}

/// Waits until the server answers again; nothing but a 503 may come before.
async fn recovered(arm: &Arm, held: &str, what: &str) {
    let begun = Instant::now();
    loop {
        let answer = in_time(arm.me(held)).await;
        if answer.status == 200 {
            break;
        }
        answer.expect(503);
        assert!(begun.elapsed() < RECOVERY_TIME_MAX, "{what}: not back");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    eprintln!("{what}: answered again after {:?}", begun.elapsed());
    assert_eq!(arm.open.app.panics(), 0);
}

fn kill(signal: &str, pids: &[u32]) {
    let pids = pids.iter().map(u32::to_string);
    assert!(Command::new("kill").arg(signal).args(pids).status().unwrap().success());
}

/// A server's process and those that it started.
fn family(parent: u32) -> Vec<u32> {
    let is_child = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after_name =
            stat.rsplit_once(") ").map(|(_, rest)| rest.to_owned()).unwrap_or_default();
        after_name.split(' ').nth(1) == Some(&parent.to_string())
    };
    let all = fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    [parent].into_iter().chain(pids.filter(is_child)).collect()
}

/// The same server once more, on the same data and the same port.
struct Again(Child);

impl Again {
    fn start(command: &[String], folder: &Path) -> Self {
        let owner = fs::metadata(folder).unwrap();
        let mut again = Command::new(&command[0]);
        again.args(&command[1..]).current_dir(folder).stderr(Stdio::null());
        if fs::metadata("/proc/self").unwrap().uid() == 0 {
            again.uid(owner.uid()).gid(owner.gid());
        }
        Self(again.spawn().unwrap())
    }
}

impl Drop for Again {
    fn drop(&mut self) {
        kill("-QUIT", &[self.0.id()]);
        self.0.wait().unwrap();
    }
}

fn command_of(server: &OwnServer) -> Vec<String> {
    let line = fs::read(format!("/proc/{}/cmdline", server.pid())).unwrap();
    let words = line.split(|byte| *byte == 0);
    let mut words: Vec<_> = words.map(|word| String::from_utf8(word.to_vec()).unwrap()).collect();
    words.pop();
    let program = fs::read_link(format!("/proc/{}/exe", server.pid())).unwrap();
    words[0] = program.to_str().unwrap().to_owned();
    words
}

/// A crash: no warning, no orderly stop. What was answered before is there after it.
/// Fault 18: restarted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_started_again() {
    if !is_here("postgres") {
        return;
    }
    let (instance, arm) = start(&[]).await;
    let command = command_of(instance.server());
    let (held, ended) = (arm.login(7).await, arm.login(9).await);
    arm.post("/logout", &ended, &Value::Null).await.expect(200);
    let pids = family(instance.server().pid());
    kill("-KILL", &pids);
    while instance.server().is_running() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for _ in 0..3 {
        all_unavailable(&arm, &held).await;
    }
    let again = Again::start(&command, instance.server().folder());
    // It recovers from its log first, which is no time of ours.
    while tokio_postgres::connect(instance.url(), NoTls).await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    recovered(&arm, &held, "killed and started again").await;
    arm.me(&ended).await.expect_refused();
    arm.login(8).await;
    assert_eq!(arm.sessions().await, 2);
    drop(again);
}

/// Silent and not gone: what is asked is given up, and nothing piles up here or there. What nobody
/// waited for is not carried out late, but for what was on its way.
/// Fault 18: hanging.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hung() {
    if !is_here("postgres") {
        return;
    }
    let (instance, arm) = start(&["shared_preload_libraries=pg_stat_statements"]).await;
    let held = arm.login(7).await;
    let arm = std::sync::Arc::new(hasty(&instance).await);
    let client = connect(instance.url()).await;
    client.batch_execute("CREATE EXTENSION pg_stat_statements").await.unwrap();
    let before = Handle::current().metrics().num_alive_tasks();
    let pids = family(instance.server().pid());
    kill("-STOP", &pids);
    all_unavailable(&arm, &held).await;
    for _ in 0..4 {
        let many = (0..100).map(|_| {
            let (arm, held) = (std::sync::Arc::clone(&arm), held.clone());
            tokio::spawn(async move { unavailable(arm.me(&held)).await })
        });
        for one in many.collect::<Vec<_>>() {
            one.await.unwrap();
        }
    }
    let after = Handle::current().metrics().num_alive_tasks();
    assert!(after <= before + 2 * CONNECTIONS, "{before} tasks before, {after} after");
    kill("-CONT", &pids);
    recovered(&arm, &held, "stopped and continued").await;
    let reads = "SELECT calls FROM pg_stat_statements WHERE query LIKE 'SELECT user_id%'";
    let reads: i64 = client.query_one(reads, &[]).await.unwrap().get(0);
    eprintln!("{reads} reads that nobody waited for were carried out, of some 400");
    assert!(reads <= 2 * CONNECTIONS as i64, "{reads}");
    let ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'authbench'";
    let begun = Instant::now();
    loop {
        let count: i64 = client.query_one(ours, &[]).await.unwrap().get(0);
        // Those of the patient arm and of the hasty one.
        if count <= 2 * CONNECTIONS as i64 {
            return;
        }
        assert!(begun.elapsed() < RECOVERY_TIME_MAX, "more connections than the pools have");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The pool has its connections from the start; it is in trouble only where it has to make new
/// ones.
/// Fault 18: out of connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_connection_left() {
    if !is_here("postgres") {
        return;
    }
    let room = CONNECTIONS + 4;
    let (instance, arm) = start(&[&format!("max_connections={room}")]).await;
    let held = arm.login(7).await;
    let mut others = Vec::new();
    for _ in CONNECTIONS..room {
        others.push(connect(instance.url()).await);
    }
    arm.me(&held).await.expect(200);
    arm.login(8).await;
    let opened = app::open(ARM, &at(instance.url()), PasswordHash::Derived).await;
    let error = opened.err().expect("no room").to_string();
    assert!(error.contains("too many clients"), "{error}");
    let end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
               WHERE application_name = 'authbench'";
    assert_eq!(others[0].query(end, &[]).await.unwrap().len(), CONNECTIONS);
    for _ in 0..CONNECTIONS {
        others.push(connect(instance.url()).await);
    }
    for _ in 0..2 {
        all_unavailable(&arm, &held).await;
    }
    drop(others);
    recovered(&arm, &held, "room for connections again").await;
}

/// A lock that somebody holds: the statements behind it end, and do not wait in a queue for it.
/// Fault 18: a table that another locks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locked() {
    if !is_here("postgres") {
        return;
    }
    let (instance, arm) = start(&[]).await;
    let held = arm.login(7).await;
    let other = connect(instance.url()).await;
    let hasty = hasty(&instance).await;
    other.batch_execute("BEGIN; LOCK TABLE authbench_sessions").await.unwrap();
    all_unavailable(&hasty, &held).await;
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    let looker = connect(instance.url()).await;
    let begun = Instant::now();
    loop {
        let count: i64 = looker.query_one(waiting, &[]).await.unwrap().get(0);
        if count == 0 {
            break;
        }
        assert!(begun.elapsed() < RECOVERY_TIME_MAX, "{count} statements wait on for a lock");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    other.batch_execute("ROLLBACK").await.unwrap();
    recovered(&hasty, &held, "unlocked").await;
    assert_eq!(arm.sessions().await, 1, "the logins that were refused left nothing");
}

/// Fault 18: read-only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_only() {
    if !is_here("postgres") {
        return;
    }
    let (instance, arm) = start(&[]).await;
    let held = arm.login(7).await;
    let other = connect(instance.url()).await;
    let set = async |value: &str| {
        let set = format!("ALTER SYSTEM SET default_transaction_read_only = {value}");
        other.batch_execute("SET default_transaction_read_only = off").await.unwrap();
        other.batch_execute(&set).await.unwrap();
        other.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    };
    set("on").await;
    // Its processes read their configuration when they are next asked, and some were just asked.
    let begun = Instant::now();
    loop {
        let answer = in_time(arm.login_as("user-8", "password-8")).await;
        if answer.status == 503 {
            break;
        }
        assert!(begun.elapsed() < RECOVERY_TIME_MAX, "it still writes");
        arm.me(&held).await.expect(200);
    }
    for _ in 0..3 {
        unavailable(arm.login_as("user-8", "password-8")).await;
        unavailable(arm.post("/cart", &held, &json!({ "item": "a" }))).await;
        unavailable(arm.post("/logout", &held, &Value::Null)).await;
        unavailable(arm.post("/logout-all", &held, &Value::Null)).await;
        in_time(arm.me(&held)).await.expect(200);
    }
    set("off").await;
    let begun = Instant::now();
    while in_time(arm.post("/logout", &held, &Value::Null)).await.status != 200 {
        assert!(begun.elapsed() < RECOVERY_TIME_MAX, "still read-only");
    }
    arm.me(&held).await.expect_refused();
    arm.login(8).await;
}

/// A file system of a few pages, unmounted when it is dropped.
struct Small(PathBuf);

impl Small {
    /// `None` where it cannot be mounted, as by anybody but root.
    fn mount(within: &Path) -> Option<Self> {
        let folder = within.join("small");
        fs::create_dir(&folder).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=512k,mode=700", "tmpfs"]).arg(&folder);
        let mounted = mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        let owner = fs::metadata(within).unwrap();
        chown(&folder, Some(owner.uid()), Some(owner.gid())).ok().filter(|()| mounted)?;
        Some(Self(folder))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        assert!(Command::new("umount").arg("-l").arg(&self.0).status().unwrap().success());
    }
}

/// No room for another session: no login, and everybody else goes on.
/// Fault 18: a disk that is full.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disk_full() {
    if !is_here("postgres") {
        return;
    }
    let instance = Own::start(&[]).await;
    let Some(small) = Small::mount(instance.server().folder()) else {
        let _ = writeln!(
            std::io::stderr(),
            "skipped: a disk that is full, because only root may mount one"
        );
        return;
    };
    let other = connect(instance.url()).await;
    let make = format!("CREATE TABLESPACE small LOCATION '{}'", small.0.display());
    other.batch_execute(&make).await.unwrap();
    let url = format!("{}?options=-c%20default_tablespace%3Dsmall", instance.url());
    let arm = Arm::named(ARM, at(&url)).await;
    let held = arm.login(7).await;
    let filler = small.0.join("filler");
    let mut file = File::create(&filler).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    drop(file);
    let mut logins = 1;
    loop {
        let answer = in_time(arm.login_as("user-8", "password-8")).await;
        if answer.status != 200 {
            answer.expect(503);
            break;
        }
        logins += 1;
        assert!(logins < 5_000, "the disk does not become full");
    }
    for _ in 0..3 {
        unavailable(arm.login_as("user-8", "password-8")).await;
        in_time(arm.me(&held)).await.expect(200);
    }
    assert_eq!(arm.sessions().await, logins, "a login is a session that is stored, and no other");
    fs::remove_file(&filler).unwrap();
    arm.login(9).await;
    arm.post("/logout", &held, &Value::Null).await.expect(200);
    assert_eq!(arm.open.app.panics(), 0);
}
