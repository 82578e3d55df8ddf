//! Sessions in Redis: the store that most people mean when they say that sessions need one.
//!
//! A session is one string (`value`), under its id, with a time to live; reading one is a plain
//! `GET` and nothing else. Whatever has to look before it changes is a script (`scripts`), so that
//! every request is one round trip over one shared connection (`link`). Each user has an index, a
//! sorted set of ids, so that a logout everywhere need not look at every session there is.
//!
//! The end of a session is decided by the time that the caller gives, here as in every store. Redis
//! removes a session by itself a minute after that; `sweep` walks the indexes a part at a time and
//! removes what is over and what the indexes still name. An index entry of a session that is gone
//! is garbage, and a live session without an index entry must never be.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::{Client, cmd};

use super::{
    Place, Session, SessionData, SessionId, SessionStore, StoreError, StoreStats, is_live,
};
use crate::clock::Timestamp;
use crate::contract::StoreProcess;
use crate::error::ServeError;
use crate::users::UserId;

mod denied;
pub mod denylist;
mod link;
mod own;
mod scripts;
mod value;

use link::{Link, STORE};
pub use own::{OwnRedis, PROGRAM};
use scripts::{DELETE_STEP, GRACE_MS, Scripts};

/// How a URL of one is written.
pub const URL: &str = "redis://[[USER]:PASSWORD@]HOST:PORT[/DATABASE]";
/// Where it is.
pub const PLACE: Place = Place { store: STORE, url: URL, program: Some(PROGRAM) };

/// Keys that one step of a sweep looks at, about.
const SWEEP_STEP: u32 = 512;
/// Steps of one sweep: 32,768 keys, after which the next one goes on.
const SWEEP_STEPS: u32 = 64;

/// The store.
pub struct RedisStore {
    link: Link,
    scripts: Scripts,
    own: Option<OwnRedis>,
    idle: Option<Duration>,
    operations: AtomicU64,
    swept: AtomicU64,
    /// Where the sweep goes on.
    cursor: AtomicU64,
}

impl RedisStore {
    /// The store in the Redis of this URL, or in one of its own; its sessions also end after `idle`
    /// without activity.
    ///
    /// # Errors
    /// Where the URL is none, the program is missing, or Redis does not answer.
    pub async fn open(url: Option<&str>, idle: Option<Duration>) -> Result<Self, ServeError> {
        let own = match url {
            Some(_) => None,
            None => Some(OwnRedis::start(1).await?),
        };
        let at = Self::at(url.or(own.as_ref().map(OwnRedis::url)).unwrap_or_default(), idle)?;
        let store = Self { own, ..at };
        // A wrong password is found out here and not by the first request.
        store.link.ask::<()>("be reached", &cmd("PING")).await?;
        Ok(store)
    }

    /// The store in the Redis of this URL, which is first asked when something is asked of the
    /// store.
    ///
    /// # Errors
    /// [`ServeError::Option`] where the URL is none.
    pub fn at(url: &str, idle: Option<Duration>) -> Result<Self, ServeError> {
        Ok(Self {
            link: Link::new(link::client(url)?),
            scripts: Scripts::new(),
            own: None,
            idle,
            operations: AtomicU64::new(0),
            swept: AtomicU64::new(0),
            cursor: AtomicU64::new(0),
        })
    }

    /// Where it is, for those who read beside it.
    #[must_use]
    pub const fn client(&self) -> &Client {
        self.link.client()
    }

    fn count(&self) {
        self.operations.fetch_add(1, Ordering::Relaxed);
    }

    /// The idle limit as scripts take it.
    fn idle_millis(&self) -> i64 {
        self.idle.map_or(-1, |idle| i64::try_from(idle.as_millis()).unwrap_or(1 << 52))
    }

    /// A value as the live session that it is.
    fn live(&self, found: Option<&[u8]>, now: Timestamp) -> Result<Option<Session>, StoreError> {
        let Some(found) = found else { return Ok(None) };
        let session = value::decode(found).ok_or_else(|| StoreError {
            store: STORE,
            operation: "read a session",
            found: format!("a value of {} bytes that is none", found.len()),
        })?;
        Ok(is_live(session.expires, session.last_seen, self.idle, now).then_some(session))
    }

    async fn touched(
        &self,
        operation: &'static str,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        self.count();
        let mut script = self.scripts.touch.key(session_key(id));
        script.arg(value::millis(now)).arg(self.idle_millis());
        let found: Option<Vec<u8>> = self.link.run(operation, &script).await?;
        let session = self.live(found.as_deref(), now)?;
        Ok(session.map(|session| Session { last_seen: session.last_seen.max(now), ..session }))
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("own", &self.own).finish_non_exhaustive()
    }
}

fn text(id: SessionId) -> String {
    let mut text = String::with_capacity(super::SESSION_ID_CHARS);
    id.encode(&mut text);
    text
}

fn session_key(id: SessionId) -> String {
    let mut key = String::with_capacity(12 + super::SESSION_ID_CHARS);
    key.push_str("authbench:s:");
    id.encode(&mut key);
    key
}

fn index_key(user: UserId) -> String {
    format!("authbench:u:{user}")
}

impl SessionStore for RedisStore {
    const NAME: &'static str = STORE;

    fn notes(&self) -> Vec<String> {
        let mut notes = match &self.own {
            Some(own) => vec![format!(
                "Redis {} of this server's own, over TCP on the loopback address and on this \
                 server's cores: no snapshot, no log, no eviction; the sessions go with it.",
                own.version()
            )],
            None => vec![
                "Redis is the one of --store-url, set up as it is; every key that expires in its \
                 database is counted as a session."
                    .into(),
            ],
        };
        notes.push(format!(
            "All requests share one connection; Redis removes a session by itself {} s after its \
             end, and such ones are not counted as swept.",
            GRACE_MS / 1_000
        ));
        notes
    }

    fn process(&self) -> Option<StoreProcess> {
        self.own.as_ref().map(OwnRedis::process)
    }

    async fn create(&self, id: SessionId, session: Session) -> Result<bool, StoreError> {
        self.count();
        let mut script = self.scripts.create.key(session_key(id));
        script.key(index_key(session.data.user.id)).arg(value::encode(&session)).arg(text(id));
        script.arg(value::millis(session.created)).arg(value::millis(session.expires));
        script.arg(self.idle_millis());
        self.link.run("create a session", &script).await
    }

    async fn read(&self, id: SessionId, now: Timestamp) -> Result<Option<Session>, StoreError> {
        self.count();
        let mut command = cmd("GET");
        command.arg(session_key(id));
        let found: Option<Vec<u8>> = self.link.ask("read a session", &command).await?;
        self.live(found.as_deref(), now)
    }

    async fn touch(&self, id: SessionId, now: Timestamp) -> Result<bool, StoreError> {
        Ok(self.touched("touch a session", id, now).await?.is_some())
    }

    async fn read_and_touch(
        &self,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        self.touched("read a session", id, now).await
    }

    async fn update(
        &self,
        id: SessionId,
        data: SessionData,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.count();
        let mut bytes = Vec::new();
        value::encode_data(&data, &mut bytes);
        let mut script = self.scripts.update.key(session_key(id));
        script.key(index_key(data.user.id)).arg(bytes).arg(text(id));
        script.arg(value::millis(now)).arg(self.idle_millis());
        self.link.run("update a session", &script).await
    }

    async fn delete(&self, id: SessionId) -> Result<bool, StoreError> {
        self.count();
        let mut script = self.scripts.delete.key(session_key(id));
        script.arg(text(id));
        self.link.run("delete a session", &script).await
    }

    async fn delete_all_of_user(&self, user: UserId) -> Result<u64, StoreError> {
        self.count();
        let mut script = self.scripts.delete_all.key(index_key(user));
        script.arg(DELETE_STEP);
        let mut removed = 0;
        loop {
            let (step, more): (u64, bool) =
                self.link.run("delete a user's sessions", &script).await?;
            removed += step;
            if !more {
                return Ok(removed);
            }
        }
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut removed = 0;
        for _ in 0..SWEEP_STEPS {
            let mut scan = cmd("SCAN");
            scan.arg(self.cursor.load(Ordering::Relaxed));
            scan.arg("MATCH").arg("authbench:u:*").arg("COUNT").arg(SWEEP_STEP);
            let (next, indexes): (u64, Vec<Vec<u8>>) = self.link.ask("sweep", &scan).await?;
            if !indexes.is_empty() {
                let mut script = self.scripts.sweep.key(indexes);
                script.arg(value::millis(now)).arg(self.idle_millis());
                let step: u64 = self.link.run("sweep", &script).await?;
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

    async fn stats(&self) -> Result<StoreStats, StoreError> {
        let mut info = cmd("INFO");
        info.arg("keyspace");
        let info: String = self.link.ask("count", &info).await?;
        let database = format!("db{}", self.client().get_connection_info().redis_settings().db());
        let sessions = own::field(&info, &database).and_then(|found| {
            found.split(',').find_map(|part| part.strip_prefix("expires=")?.parse().ok())
        });
        Ok(StoreStats {
            // A database without a key is not in the list.
            sessions: sessions.unwrap_or_default(),
            operations: self.operations.load(Ordering::Relaxed),
            swept: self.swept.load(Ordering::Relaxed),
        })
    }
}
