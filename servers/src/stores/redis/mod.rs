//! Sessions in Redis: the store that most people mean when they say that sessions need one.

use std::fmt;
use std::time::Duration;

use redis::{Client, Script};

use super::patience::Patience;
use super::{
    Found, Place, Session, SessionData, SessionId, SessionStore, StoreError, StoreStats, is_live,
};
use crate::clock::Timestamp;
use crate::contract::StoreProcess;
use crate::error::ServeError;
use crate::users::UserId;

mod denied;
pub mod denylist;
pub(super) mod facts;
mod inside;
mod link;
mod own;
pub(super) mod records;
pub(super) mod scripts;
pub(super) mod value;

pub use facts::URL;
use facts::{Kind, STORE};
pub use inside::{Inside, Plain};
pub use own::{OwnRedis, PROGRAM};
use records::Records;

/// Where it is.
pub const PLACE: Place = Place { store: STORE, url: URL, program: Some(PROGRAM), is_file: false };

/// Whose sessions they are. Each scheme has keys of its own, so that an id which opens a session of
/// one opens nothing of another in the same Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// Of `session`.
    Sessions,
    /// Of `session-cached`.
    Cached,
    /// Of `opaque-introspection`.
    Opaque,
    /// Of `bff`.
    Backend,
}

impl Space {
    const fn kind(self) -> Kind {
        let (key, index) = match self {
            Self::Sessions => ("authbench:s:", "authbench:u:"),
            Self::Cached => ("authbench:c:", "authbench:cu:"),
            Self::Opaque => ("authbench:o:", "authbench:ou:"),
            Self::Backend => ("authbench:b:", "authbench:bu:"),
        };
        Kind { key, index, head: value::TIMES_BYTES }
    }
}

/// The store.
///
/// A session is one string (`value`), under its id, with a time to live; reading one is a plain
/// `GET` and nothing else. Whatever has to look before it changes is a script (`scripts`), so that
/// every request is one round trip over one shared connection (`link`). Each user has an index, a
/// sorted set of ids, so that a logout everywhere need not look at every session there is. All of
/// that is shared with refresh sessions (`records`).
///
/// The end of a session is decided by the time that the caller gives, here as in every store. Redis
/// removes a session by itself a minute after that; `sweep` walks the indexes a part at a time and
/// removes what is over and what the indexes still name. An index entry of a session that is gone
/// is garbage, and a live session without an index entry must never be.
pub struct RedisStore<I = Plain> {
    records: Records,
    touch: Script,
    inside: I,
}

impl RedisStore {
    /// The store of these sessions in the Redis of this URL, or in one of its own; they also end
    /// after `idle` without activity.
    ///
    /// # Errors
    /// Where the URL is invalid, the program is missing, or Redis does not answer.
    pub async fn open(
        space: Space,
        url: Option<&str>,
        idle: Option<Duration>,
        patience: Patience,
    ) -> Result<Self, ServeError> {
        Self::holding(Plain, space, url, idle, patience).await
    }

    /// The store of these sessions in the Redis of this URL, which is first asked when something is
    /// asked of the store.
    ///
    /// # Errors
    /// [`ServeError::Option`] where the URL is invalid.
    pub fn at(
        space: Space,
        url: &str,
        idle: Option<Duration>,
        patience: Patience,
    ) -> Result<Self, ServeError> {
        Self::holding_at(Plain, space, url, idle, patience)
    }
}

impl<I: Inside> RedisStore<I> {
    /// The same of sessions that hold this.
    ///
    /// # Errors
    /// See [`RedisStore::open`].
    pub async fn holding(
        inside: I,
        space: Space,
        url: Option<&str>,
        idle: Option<Duration>,
        patience: Patience,
    ) -> Result<Self, ServeError> {
        let records = Records::open(space.kind(), url, idle, patience).await?;
        Ok(Self::over(inside, space, records))
    }

    /// The same of sessions that hold this, which is first asked when something is asked of it.
    ///
    /// # Errors
    /// See [`RedisStore::at`].
    pub fn holding_at(
        inside: I,
        space: Space,
        url: &str,
        idle: Option<Duration>,
        patience: Patience,
    ) -> Result<Self, ServeError> {
        Ok(Self::over(inside, space, Records::at(space.kind(), url, idle, patience)?))
    }

    fn over(inside: I, space: Space, records: Records) -> Self {
        Self { records, touch: scripts::script(&space.kind(), scripts::TOUCH), inside }
    }

    /// What is behind the head of a value.
    fn written(
        &self,
        operation: &'static str,
        data: &SessionData,
        mut value: Vec<u8>,
    ) -> Result<Vec<u8>, StoreError> {
        self.inside.write(data, &mut value).map_err(|found| StoreError {
            store: STORE,
            operation,
            found: found.into(),
        })?;
        Ok(value)
    }

    /// Where it is, for readers with a connection of their own.
    #[must_use]
    pub const fn client(&self) -> &Client {
        self.records.client()
    }

    /// A value as the live session that it is.
    fn live(&self, found: Option<&[u8]>, now: Timestamp) -> Result<Option<Session>, StoreError> {
        let Some(found) = found else { return Ok(None) };
        let unreadable = || value::unreadable("read a session", found);
        let ([last_seen, expires, created], rest) = value::moments(found).ok_or_else(unreadable)?;
        let data = match self.inside.read(rest) {
            Found::Data(data) => data,
            Found::Over => return Ok(None),
            Found::Unreadable => return Err(unreadable()),
        };
        let lives = is_live(expires, last_seen, self.records.idle(), now);
        Ok(lives.then_some(Session { data, created, expires, last_seen }))
    }

    async fn touched(
        &self,
        operation: &'static str,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        let mut script = self.records.script(&self.touch, id);
        script.arg(value::millis(now)).arg(self.records.idle_millis());
        let found: Option<Vec<u8>> = self.records.run(operation, &script).await?;
        let session = self.live(found.as_deref(), now)?;
        // Of several requests in one millisecond the script writes for the first.
        let moved = session.as_ref().is_some_and(|session| session.last_seen < now);
        self.records.wrote(moved.into());
        Ok(session.map(|session| Session { last_seen: session.last_seen.max(now), ..session }))
    }
}

impl<I> fmt::Debug for RedisStore<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("own", &self.records.own()).finish_non_exhaustive()
    }
}

impl<I: Inside> SessionStore for RedisStore<I> {
    const NAME: &'static str = STORE;

    fn notes(&self) -> Vec<String> {
        let mut notes = self.records.notes();
        notes.extend(self.inside.note());
        notes
    }

    fn process(&self) -> Option<StoreProcess> {
        self.records.process()
    }

    async fn create(&self, id: SessionId, session: Session) -> Result<bool, StoreError> {
        const OPERATION: &str = "create a session";
        let (user, life) = (session.data.user.id, session.created..session.expires);
        let value = self.written(OPERATION, &session.data, value::head(&session))?;
        self.records.create(OPERATION, id, user, value, life).await
    }

    async fn read(&self, id: SessionId, now: Timestamp) -> Result<Option<Session>, StoreError> {
        let found = self.records.read("read a session", id).await?;
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
        const OPERATION: &str = "update a session";
        let value = self.written(OPERATION, &data, Vec::new())?;
        self.records.update(OPERATION, id, data.user.id, value, now).await
    }

    async fn delete(&self, id: SessionId) -> Result<bool, StoreError> {
        self.records.delete("delete a session", id).await
    }

    async fn delete_all_of_user(&self, user: UserId) -> Result<u64, StoreError> {
        self.records.delete_all_of_user("delete a user's sessions", user).await
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.records.sweep(now).await
    }

    async fn stats(&self) -> Result<StoreStats, StoreError> {
        self.records.stats().await
    }
}
