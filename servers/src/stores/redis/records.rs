//! What Redis keeps of users, whatever it is: one value under each id, and an index by user.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::{Client, FromRedisValue, Script, ScriptInvocation, cmd};

use super::facts::{Kind, field};
use super::link::{self, Link};
use super::own::OwnRedis;
use super::scripts::{DELETE_STEP, GRACE_MS, Scripts};
use super::value::millis;
use crate::clock::Timestamp;
use crate::contract::StoreProcess;
use crate::error::ServeError;
use crate::stores::patience::Patience;
use crate::stores::{SESSION_ID_CHARS, SessionId, StoreError, StoreStats};
use crate::users::UserId;

/// Keys that one step of a sweep looks at, about.
const SWEEP_STEP: u32 = 512;
/// Steps of one sweep: 32,768 keys, after which the next one goes on.
const SWEEP_STEPS: u32 = 64;

/// The records of one kind in one Redis.
///
/// Sessions and refresh sessions are such records, of one [`Kind`] each. A value has a head of
/// fixed width, which begins with two moments, of which the second is the end; behind it is what a
/// session is about (`value`). Keys have a time to live and indexes have none. What is done to both
/// is here and in `scripts`, for every kind; what only one kind does is a script of its own, in the
/// same words.
///
/// An index entry of a record that is gone is garbage, and a live record without one must never be.
pub(in crate::stores) struct Records {
    kind: Kind,
    link: Link,
    scripts: Scripts,
    own: Option<OwnRedis>,
    idle: Option<Duration>,
    operations: AtomicU64,
    writes: AtomicU64,
    swept: AtomicU64,
    /// Where the sweep goes on.
    cursor: AtomicU64,
}

impl Records {
    /// The records in the Redis of this URL, or in one of its own; they also end after `idle`
    /// without activity.
    ///
    /// # Errors
    /// Where the URL is invalid, the program is missing, or Redis does not answer.
    pub(in crate::stores) async fn open(
        kind: Kind,
        url: Option<&str>,
        idle: Option<Duration>,
        patience: Patience,
    ) -> Result<Self, ServeError> {
        let own = match url {
            Some(_) => None,
            None => Some(OwnRedis::start(1).await?),
        };
        let url = url.or(own.as_ref().map(OwnRedis::url)).unwrap_or_default();
        let at = Self::at(kind, url, idle, patience)?;
        let records = Self { own, ..at };
        // A wrong password is found out here and not by the first request.
        records.link.ask::<()>("be reached", &cmd("PING")).await?;
        Ok(records)
    }

    /// The records in the Redis of this URL, which is first asked when something is asked of them.
    ///
    /// # Errors
    /// [`ServeError::Option`] where the URL is invalid.
    pub(in crate::stores) fn at(
        kind: Kind,
        url: &str,
        idle: Option<Duration>,
        patience: Patience,
    ) -> Result<Self, ServeError> {
        Ok(Self {
            link: Link::new(link::client(url)?, patience),
            scripts: Scripts::new(&kind),
            kind,
            own: None,
            idle,
            operations: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            swept: AtomicU64::new(0),
            cursor: AtomicU64::new(0),
        })
    }

    pub(super) const fn client(&self) -> &Client {
        self.link.client()
    }

    pub(super) const fn own(&self) -> Option<&OwnRedis> {
        self.own.as_ref()
    }

    pub(super) const fn idle(&self) -> Option<Duration> {
        self.idle
    }

    /// The idle limit as scripts take it.
    pub(super) fn idle_millis(&self) -> i64 {
        self.idle.map_or(-1, |idle| i64::try_from(idle.as_millis()).unwrap_or(1 << 52))
    }

    pub(in crate::stores) fn notes(&self) -> Vec<String> {
        let redis = match &self.own {
            Some(own) => format!(
                "Redis {} of this server's own, over TCP on the loopback address and on this \
                 server's cores: no snapshot, no log, no eviction; the sessions go with it.",
                own.version()
            ),
            None => "Redis is reached by a URL and set up as it is; every key that expires in its \
                     database is counted as a session."
                .into(),
        };
        let connection = format!(
            "All requests share one connection; Redis removes a session by itself {} s after its \
             end, and such ones are not counted as swept.",
            GRACE_MS / 1_000
        );
        vec![redis, connection]
    }

    pub(in crate::stores) fn process(&self) -> Option<StoreProcess> {
        self.own.as_ref().map(OwnRedis::process)
    }

    fn count(&self) {
        self.operations.fetch_add(1, Ordering::Relaxed);
    }

    fn key(&self, id: SessionId) -> String {
        let mut key = String::with_capacity(self.kind.key.len() + SESSION_ID_CHARS);
        key.push_str(self.kind.key);
        id.encode(&mut key);
        key
    }

    fn index(&self, user: UserId) -> String {
        format!("{}{user}", self.kind.index)
    }

    /// An operation that is this script for the record of this id.
    pub(in crate::stores) fn script<'a>(
        &self,
        script: &'a Script,
        id: SessionId,
    ) -> ScriptInvocation<'a> {
        self.count();
        script.key(self.key(id))
    }

    /// The answer of a script.
    pub(in crate::stores) async fn run<T: FromRedisValue>(
        &self,
        operation: &'static str,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, StoreError> {
        self.link.run(operation, script).await
    }

    /// The answer of a script that says whether it has changed a record.
    async fn change(
        &self,
        operation: &'static str,
        script: &ScriptInvocation<'_>,
    ) -> Result<bool, StoreError> {
        let changed: bool = self.run(operation, script).await?;
        self.wrote(changed.into());
        Ok(changed)
    }

    /// Counts so many records written.
    pub(in crate::stores) fn wrote(&self, records: u64) {
        self.writes.fetch_add(records, Ordering::Relaxed);
    }

    /// Writes a record, for as long as it lives, unless this id is taken.
    pub(in crate::stores) async fn create(
        &self,
        operation: &'static str,
        id: SessionId,
        user: UserId,
        value: Vec<u8>,
        life: Range<Timestamp>,
    ) -> Result<bool, StoreError> {
        let mut script = self.script(&self.scripts.create, id);
        script.key(self.index(user)).arg(value).arg(text(id));
        script.arg(millis(life.start)).arg(millis(life.end)).arg(self.idle_millis());
        self.change(operation, &script).await
    }

    /// The value of this id, over or not.
    pub(in crate::stores) async fn read(
        &self,
        operation: &'static str,
        id: SessionId,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.count();
        let mut command = cmd("GET");
        command.arg(self.key(id));
        self.link.ask(operation, &command).await
    }

    /// Replaces the data of the live record of this id, which are now of this user.
    pub(in crate::stores) async fn update(
        &self,
        operation: &'static str,
        id: SessionId,
        user: UserId,
        data: Vec<u8>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut script = self.script(&self.scripts.update, id);
        script.key(self.index(user)).arg(data).arg(text(id));
        script.arg(millis(now)).arg(self.idle_millis());
        self.change(operation, &script).await
    }

    pub(in crate::stores) async fn delete(
        &self,
        operation: &'static str,
        id: SessionId,
    ) -> Result<bool, StoreError> {
        let mut script = self.script(&self.scripts.delete, id);
        script.arg(text(id));
        self.change(operation, &script).await
    }

    pub(in crate::stores) async fn delete_all_of_user(
        &self,
        operation: &'static str,
        user: UserId,
    ) -> Result<u64, StoreError> {
        self.count();
        let mut script = self.scripts.delete_all.key(self.index(user));
        script.arg(DELETE_STEP);
        let mut removed = 0;
        loop {
            let (step, more): (u64, bool) = self.run(operation, &script).await?;
            removed += step;
            self.wrote(step);
            if !more {
                return Ok(removed);
            }
        }
    }

    pub(in crate::stores) async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut removed = 0;
        for _ in 0..SWEEP_STEPS {
            let mut scan = cmd("SCAN");
            scan.arg(self.cursor.load(Ordering::Relaxed));
            scan.arg("MATCH").arg(format!("{}*", self.kind.index)).arg("COUNT").arg(SWEEP_STEP);
            let (next, indexes): (u64, Vec<Vec<u8>>) = self.link.ask("sweep", &scan).await?;
            if !indexes.is_empty() {
                let mut script = self.scripts.sweep.key(indexes);
                script.arg(millis(now)).arg(self.idle_millis());
                let step: u64 = self.run("sweep", &script).await?;
                self.swept.fetch_add(step, Ordering::Relaxed);
                removed += step;
            }
            self.cursor.store(next, Ordering::Relaxed);
            if next == 0 {
                break;
            }
        }
        Ok(removed)
    }

    pub(in crate::stores) async fn stats(&self) -> Result<StoreStats, StoreError> {
        let info = self.link.info("keyspace").await?;
        let database = format!("db{}", self.client().get_connection_info().redis_settings().db());
        let sessions = field(&info, &database).and_then(|found| {
            found.split(',').find_map(|part| part.strip_prefix("expires=")?.parse().ok())
        });
        Ok(StoreStats {
            // A database without a key is not in the list.
            sessions: sessions.unwrap_or_default(),
            operations: self.operations.load(Ordering::Relaxed),
            swept: self.swept.load(Ordering::Relaxed),
            used_bytes: self.link.used_bytes().await?,
            disk_bytes: None,
            writes: Some(self.writes.load(Ordering::Relaxed)),
        })
    }
}

/// An id as scripts and indexes have it.
pub(in crate::stores) fn text(id: SessionId) -> String {
    let mut text = String::with_capacity(SESSION_ID_CHARS);
    id.encode(&mut text);
    text
}
