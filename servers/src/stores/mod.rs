//! Where a stateful scheme keeps its sessions: the trait, and what a session is.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::cart::Cart;
use crate::clock::Timestamp;
use crate::contract::StoreProcess;
pub use crate::error::StoreError;
use crate::users::{User, UserId};

pub mod bounded;
pub mod cached;
pub mod denylist;
pub mod filter;
pub mod folder;
pub mod memory;
pub mod mutex;
pub mod own;
pub mod patience;
mod places;
pub mod postgres;
pub mod redis;
pub mod refresh;
pub mod relay;
pub mod sqlite;
pub mod tower;

pub use places::{ISSUER, PLACES, missing_program, place};

/// A store that is at a place of its own, outside of this process's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The store, as in the name of an arm.
    pub store: &'static str,
    /// How a URL of one is written.
    pub url: &'static str,
    /// The program to start if no URL names a running one; `None` if the store has no program, or
    /// is this one.
    pub program: Option<own::Program>,
    /// Whether it is a file, without a server.
    pub is_file: bool,
}

/// Characters of a session id as text: 128 bits in base64url without padding.
pub const SESSION_ID_CHARS: usize = 22;

/// 128 bits from the operating system's generator, which are all that a client knows of a session.
///
/// `Debug` shows no more than a few bits: an id is a secret and must not end up in a log.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId([u8; 16]);

impl SessionId {
    /// A new id. No batch of random bytes is kept: a system call costs less than explaining one.
    ///
    /// # Errors
    /// Where the system has no random bytes.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// The id of these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Reads the one text that [`SessionId::encode`] writes for an id: exactly 22 characters of
    /// the alphabet, and no bit set beyond the 128th. Anything else is refused before a store is
    /// asked.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() != SESSION_ID_CHARS {
            return None;
        }
        let mut bytes = [0; 16];
        match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
            Ok(16) => Some(Self(bytes)),
            _ => None,
        }
    }

    /// Appends the id as text.
    pub fn encode(&self, to: &mut String) {
        URL_SAFE_NO_PAD.encode_string(self.0, to);
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({:02x}..)", self.0[0])
    }
}

/// What a session is about, and what a request may change of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionData {
    /// The facts about the user, the same that a token carries.
    pub user: User,
    /// The cart.
    pub cart: Cart,
}

/// A session as a store gives it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// What it is about.
    pub data: SessionData,
    /// When it was created.
    pub created: Timestamp,
    /// When it ends whatever happens: from this millisecond on it is gone.
    pub expires: Timestamp,
    /// When it was last used, as far as `touch` was told.
    pub last_seen: Timestamp,
}

impl Session {
    /// A session that begins now and lives for `ttl` at most.
    #[must_use]
    pub fn begin(data: SessionData, now: Timestamp, ttl: Duration) -> Self {
        Self { data, created: now, expires: now.plus(ttl), last_seen: now }
    }
}

/// Whether a session is still one at `now`: before its absolute expiry, and not idle for too long.
#[must_use]
pub fn is_live(
    expires: Timestamp,
    last_seen: Timestamp,
    idle: Option<Duration>,
    now: Timestamp,
) -> bool {
    now < expires && idle.is_none_or(|idle| now < last_seen.plus(idle))
}

/// What a store finds where a session should say whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// This.
    Data(SessionData),
    /// What is no longer good: there is no such session.
    Over,
    /// What nobody can have written: an error of the store.
    Unreadable,
}

/// When the use of a session puts its idle timeout off. A store writes for it then, and at no other
/// time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Touch {
    /// On every request.
    #[default]
    Always,
    /// Where the last time was so long ago. A session may end as much earlier than so long after
    /// its last use; never later.
    AtMostEvery(Duration),
    /// Never: the session ends so long after the login.
    Never,
}

/// What a store tells about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Sessions held, expired and not yet swept ones included.
    pub sessions: u64,
    /// Operations carried out since the start: every call but `sweep` and `stats`.
    pub operations: u64,
    /// Sessions removed by `sweep` since the start.
    pub swept: u64,
    /// Bytes that the sessions take by the store's own count, indexes included; `None` where it
    /// has none but the allocator's.
    pub used_bytes: Option<u64>,
    /// Bytes that the store takes on the disk; `None` where it is not on one.
    pub disk_bytes: Option<u64>,
    /// Writes since the start for what was asked of the store, `sweep` left out: one for each
    /// session that was created, changed, put off or removed. `None` where they are not counted.
    pub writes: Option<u64>,
}

/// A place for sessions. The module's documentation says what an implementation promises.
///
/// Every method fails with [`StoreError`] where the store could not be asked.
///
/// # Writing a store
///
/// One file, one `impl` of [`SessionStore`], one line in the registry of `schemes`, and one in the
/// list of `servers/tests/suite/every_store.rs`. Keep four promises, which the conformance and
/// model tests check for every store:
///
/// 1. **Only [`SessionStore::create`] creates.** `update` and `touch` change what is there and
///    live, and answer `false` otherwise: a slow request must never bring a logged-out session
///    back.
/// 2. **Nothing extends the absolute expiry.** It is set at creation; activity moves the idle one
///    only.
/// 3. **Expired is gone**, from the millisecond on at which it expires, whether swept or not.
/// 4. **An error is an error**: a store that cannot answer says so and does not say "no such
///    session". One that can hang is wrapped in [`bounded::Bounded`].
///
/// Time is always an argument. A store starts no tasks of its own, but for what a connection needs;
/// its owner calls `sweep`.
pub trait SessionStore: Send + Sync + 'static {
    /// What stands behind the `@` in the name of an arm.
    const NAME: &'static str;

    /// What a reader of figures should know about how the store was set up, one sentence each.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// The server of the store, where one was started for this store.
    fn process(&self) -> Option<StoreProcess> {
        None
    }

    /// Creates the session; `false`, and nothing changed, if this id is taken.
    fn create(
        &self,
        id: SessionId,
        session: Session,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Creates each of these sessions as [`SessionStore::create`] does; how many. A store that can
    /// be given many at a time should take them so, and leave what single creations leave.
    fn create_many(
        &self,
        sessions: Vec<(SessionId, Session)>,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send {
        async move {
            let creations = sessions.into_iter().map(|(id, session)| self.create(id, session));
            let created = in_flight(creations).await?;
            Ok(created.into_iter().map(u64::from).sum())
        }
    }

    /// The live session of this id.
    fn read(
        &self,
        id: SessionId,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<Session>, StoreError>> + Send;

    /// Notes that the live session of this id was used now; `false` if it does not exist.
    fn touch(
        &self,
        id: SessionId,
        now: Timestamp,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Reads and touches; a store that can do both in one operation should.
    fn read_and_touch(
        &self,
        id: SessionId,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<Session>, StoreError>> + Send {
        async move {
            let Some(session) = self.read(id, now).await? else { return Ok(None) };
            let touched = self.touch(id, now).await?;
            Ok(touched.then_some(Session { last_seen: session.last_seen.max(now), ..session }))
        }
    }

    /// Replaces the data of the live session of this id, the last writer winning; `false` if it
    /// does not exist. It changes neither the creation nor the expiry.
    fn update(
        &self,
        id: SessionId,
        data: SessionData,
        now: Timestamp,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Removes the session of this id, live or not; `false` if it does not exist.
    fn delete(&self, id: SessionId) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Removes every session of a user that was created before this call began; how many.
    fn delete_all_of_user(
        &self,
        user: UserId,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Removes expired sessions, in small steps that stall no request, and gives memory back; how
    /// many.
    fn sweep(&self, now: Timestamp) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Figures about the store.
    fn stats(&self) -> impl Future<Output = Result<StoreStats, StoreError>> + Send;
}

/// Calls of a store that are under way at a time where it is asked for many: enough that it never
/// waits for the next one, and so few that the last of them is answered well within its time.
const IN_FLIGHT: usize = 128;

/// The answers to many calls in their order, or the first error.
pub(crate) async fn in_flight<T, E>(
    calls: impl Iterator<Item: Future<Output = Result<T, E>>>,
) -> Result<Vec<T>, E> {
    stream::iter(calls).buffered(IN_FLIGHT).try_collect().await
}

/// A future in a box, for what happens a few times a second and not a few times a request.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The side of a store that the server's housekeeping sees, whatever the store's type.
pub trait Upkeep: Send + Sync {
    /// See [`SessionStore::sweep`].
    fn sweep(&self, now: Timestamp) -> Boxed<'_, Result<u64, StoreError>>;
    /// See [`SessionStore::stats`].
    fn stats(&self) -> Boxed<'_, Result<StoreStats, StoreError>>;
    /// How far behind the store what this server knows of it may be, as it was last measured;
    /// `None` where every request asks the store itself.
    fn lag(&self) -> Option<Duration> {
        None
    }
}

impl<S: SessionStore> Upkeep for S {
    fn sweep(&self, now: Timestamp) -> Boxed<'_, Result<u64, StoreError>> {
        Box::pin(SessionStore::sweep(self, now))
    }

    fn stats(&self) -> Boxed<'_, Result<StoreStats, StoreError>> {
        Box::pin(SessionStore::stats(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_text() {
        let id = SessionId::generate().unwrap();
        let mut text = String::new();
        id.encode(&mut text);
        assert_eq!(text.len(), SESSION_ID_CHARS);
        assert_eq!(SessionId::parse(text.as_bytes()), Some(id));
        assert!(!format!("{id:?}").contains(&text[..4]));
        let zero = "A".repeat(22);
        assert_eq!(SessionId::parse(zero.as_bytes()), Some(SessionId([0; 16])));
        // The last character carries two bits of the id; the other four must be zero.
        for last in "BCDEFHIP_-/+= ".chars() {
            let text = format!("{}{last}", "A".repeat(21));
            assert_eq!(SessionId::parse(text.as_bytes()), None, "{text}");
        }
        for text in ["", "A", &"A".repeat(21), &"A".repeat(23), &"A".repeat(24)] {
            assert_eq!(SessionId::parse(text.as_bytes()), None, "{text}");
        }
    }
}
