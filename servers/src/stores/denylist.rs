//! What was revoked before its time: the list in this process, and what a list promises.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::HashMap;
use parking_lot::RwLock;

use super::{Boxed, StoreError, StoreStats, Upkeep};
use crate::clock::Timestamp;
use crate::contract::StoreProcess;
use crate::users::UserId;

/// The id of a token: the number of its issue in the upper half, random bits in the lower one.
pub type DeniedId = u128;

/// The number of the issue in an id.
#[must_use]
pub fn number(id: DeniedId) -> u64 {
    u64::try_from(id >> 64).unwrap_or(u64::MAX)
}

/// A list of what was revoked.
///
/// A token is denied by its id until it would have expired. A logout everywhere denies every token
/// of a user that was issued before it: each id begins with the number of its issue, numbers only
/// go up, and the logout notes one. Where several servers share a list, one counter gives all of
/// them their numbers, because clocks of two servers do not tell before from after.
///
/// A list must never say that a token is good when it may have missed that it is not: where it
/// cannot be relied on, [`Denials::refuses`] is an error.
pub trait Denials: Upkeep + 'static {
    /// The number of an issue now: none that was noted by a logout everywhere is above it.
    fn issue(&self, now: Timestamp) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Whether this token is denied.
    ///
    /// # Errors
    /// Where the list may have missed something.
    fn refuses(&self, user: UserId, id: DeniedId) -> Result<bool, StoreError>;

    /// Denies a token until then; whether it was not denied before.
    fn deny(
        &self,
        id: DeniedId,
        until: Timestamp,
        now: Timestamp,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Denies every token of the user that was issued before this, until then.
    fn deny_all(
        &self,
        user: UserId,
        until: Timestamp,
        now: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// What a reader of figures should know about the list, one sentence each.
    fn notes(&self) -> Vec<String>;

    /// The server of the list, where one was started for it.
    fn process(&self) -> Option<StoreProcess> {
        None
    }
}

#[derive(Default)]
struct Lists {
    /// Denied tokens, each with when it may be forgotten.
    tokens: HashMap<DeniedId, Timestamp>,
    /// From which issue on a user's tokens are good, and when that may be forgotten.
    users: HashMap<UserId, (u64, Timestamp)>,
}

/// One entry, as lists tell each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Denied {
    /// This token.
    Token(DeniedId, Timestamp),
    /// Tokens of this user from before this issue.
    User(UserId, u64, Timestamp),
}

/// The list in this process.
#[derive(Default)]
pub struct Denylist {
    lists: RwLock<Lists>,
    /// The latest number of an issue given: microseconds, never going back.
    issued: AtomicU64,
    operations: AtomicU64,
    swept: AtomicU64,
}

impl Denylist {
    /// Whether this token is in the list.
    pub(super) fn has(&self, user: UserId, id: DeniedId) -> bool {
        let lists = self.lists.read();
        let before = lists.users.get(&user).is_some_and(|&(from, _)| number(id) < from);
        before || lists.tokens.contains_key(&id)
    }

    /// Adds an entry; whether it was new.
    pub(super) fn add(&self, denied: Denied) -> bool {
        let mut lists = self.lists.write();
        match denied {
            Denied::Token(id, until) => lists.tokens.insert(id, until).is_none(),
            Denied::User(user, from, until) => {
                let known = lists.users.get(&user).copied();
                let (least, last) = known.unwrap_or((from, until));
                lists.users.insert(user, (least.max(from), last.max(until)));
                known.is_none_or(|(least, _)| least < from)
            }
        }
    }

    /// Everything in the list.
    pub(super) fn all(&self) -> Vec<Denied> {
        let lists = self.lists.read();
        let tokens = lists.tokens.iter().map(|(&id, &until)| Denied::Token(id, until));
        let users =
            lists.users.iter().map(|(&user, &(from, until))| Denied::User(user, from, until));
        tokens.chain(users).collect()
    }

    /// A number that is not below the time, nor below one that was given.
    fn number(&self, now: Timestamp, step: u64) -> u64 {
        let now = now.millis().saturating_mul(1_000);
        let last = self.issued.fetch_max(now, Ordering::SeqCst);
        if step == 0 {
            return last.max(now);
        }
        self.issued.fetch_add(step, Ordering::SeqCst) + step
    }

    /// The number that a logout everywhere notes: above all that were given.
    pub(super) fn next_number(&self, now: Timestamp) -> u64 {
        self.number(now, 1)
    }

    fn count(&self) {
        self.operations.fetch_add(1, Ordering::Relaxed);
    }

    /// See [`Upkeep::sweep`].
    pub(super) fn forget_expired(&self, now: Timestamp) -> u64 {
        let mut lists = self.lists.write();
        let before = lists.tokens.len() + lists.users.len();
        lists.tokens.retain(|_, until| *until > now);
        lists.users.retain(|_, (_, until)| *until > now);
        if lists.tokens.len() * 4 < lists.tokens.capacity() {
            lists.tokens.shrink_to_fit();
        }
        let swept = (before - lists.tokens.len() - lists.users.len()) as u64;
        self.swept.fetch_add(swept, Ordering::Relaxed);
        swept
    }

    /// See [`Upkeep::stats`].
    pub(super) fn figures(&self) -> StoreStats {
        let lists = self.lists.read();
        StoreStats {
            sessions: (lists.tokens.len() + lists.users.len()) as u64,
            operations: self.operations.load(Ordering::Relaxed),
            swept: self.swept.load(Ordering::Relaxed),
            ..StoreStats::default()
        }
    }
}

impl Denials for Denylist {
    async fn issue(&self, now: Timestamp) -> Result<u64, StoreError> {
        Ok(self.number(now, 0))
    }

    fn refuses(&self, user: UserId, id: DeniedId) -> Result<bool, StoreError> {
        self.count();
        Ok(self.has(user, id))
    }

    async fn deny(
        &self,
        id: DeniedId,
        until: Timestamp,
        _now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.count();
        Ok(self.add(Denied::Token(id, until)))
    }

    async fn deny_all(
        &self,
        user: UserId,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.count();
        self.add(Denied::User(user, self.next_number(now), until));
        Ok(())
    }

    fn notes(&self) -> Vec<String> {
        vec!["The list is this server's own: no other server knows it.".into()]
    }
}

impl Upkeep for Denylist {
    fn sweep(&self, now: Timestamp) -> Boxed<'_, Result<u64, StoreError>> {
        let swept = self.forget_expired(now);
        Box::pin(async move { Ok(swept) })
    }

    fn stats(&self) -> Boxed<'_, Result<StoreStats, StoreError>> {
        let stats = self.figures();
        Box::pin(async move { Ok(stats) })
    }
}
