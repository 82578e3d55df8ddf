//! A store behind a local cache whose staleness is bounded and stated.

use std::time::Duration;

use parking_lot::Mutex;

use super::{Session, SessionData, SessionId, SessionStore, StoreError, StoreStats, is_live};
use crate::clock::Timestamp;
use crate::contract::StoreProcess;
use crate::users::UserId;

/// Most sessions that are remembered.
pub const SESSIONS_MAX: usize = SETS * WAYS;
/// Places of a set.
pub const WAYS: usize = 16;
const SETS: usize = 4096;

struct Entry {
    id: SessionId,
    session: Session,
    asked_at: Timestamp,
    /// When it was last asked for, in the set's own count.
    used: u64,
}

#[derive(Default)]
struct Set {
    count: u64,
    /// How often something was removed from it because it had changed.
    removals: u64,
    entries: Vec<Entry>,
}

/// The store with its cache.
///
/// What was read counts for a span from the moment at which it was asked for, and while the session
/// itself lives. So another server's logout takes effect here within that span; this one's takes
/// effect at once. For the latter it does not do to remove the entry: a slow read from before the
/// logout would put it back. So every removal is counted, and a read is kept only where none was
/// counted since before it began. That is why this is no cache off the shelf: the usual ones cannot
/// insert on the condition that nothing was removed.
///
/// Sets of [`WAYS`] places behind a lock each, as in `jwt-cached`; in a full one the session that
/// was not asked for the longest makes room. Activity that the cache has answered is not written to
/// the store, so an idle session may end early by the same span: closed, and not open. Never hold a
/// lock over an await.
pub struct Cached<S> {
    store: S,
    staleness: Duration,
    idle: Option<Duration>,
    sets: Box<[Mutex<Set>]>,
}

/// What a change makes out of date; forgotten when it begins, and again when it is over, however it
/// ends: it may have been made by then.
struct Changing<'a> {
    sets: &'a [Mutex<Set>],
    what: What,
}

#[derive(Clone, Copy)]
enum What {
    Session(SessionId),
    SessionsOf(UserId),
}

impl<'a> Changing<'a> {
    fn begin(sets: &'a [Mutex<Set>], what: What) -> Self {
        let changing = Self { sets, what };
        changing.forget();
        changing
    }

    fn forget(&self) {
        match self.what {
            What::Session(id) => {
                let mut set = set(self.sets, id).lock();
                set.removals += 1;
                set.entries.retain(|entry| entry.id != id);
            }
            What::SessionsOf(user) => {
                for set in self.sets {
                    let mut set = set.lock();
                    set.removals += 1;
                    set.entries.retain(|entry| entry.session.data.user.id != user);
                }
            }
        }
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.forget();
    }
}

/// An id is random, so its bytes are the hash; only the server makes them.
fn set(sets: &[Mutex<Set>], id: SessionId) -> &Mutex<Set> {
    let [a, b, ..] = *id.as_bytes();
    &sets[usize::from(u16::from_be_bytes([a, b])) % SETS]
}

impl<S: SessionStore> Cached<S> {
    /// This store behind an empty cache; `idle` is the store's.
    pub fn new(store: S, staleness: Duration, idle: Option<Duration>) -> Self {
        Self { store, staleness, idle, sets: (0..SETS).map(|_| Mutex::default()).collect() }
    }

    /// How many sessions are remembered, for tests and figures.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.sets.iter().map(|set| set.lock().entries.len()).sum()
    }

    fn is_fresh(&self, entry: &Entry, now: Timestamp) -> bool {
        // A clock that went back knows nothing of how old an entry is.
        entry.asked_at <= now
            && now < entry.asked_at.plus(self.staleness)
            && is_live(entry.session.expires, entry.session.last_seen, self.idle, now)
    }

    /// What is remembered, or the count of removals before the store is asked.
    fn find(&self, id: SessionId, now: Timestamp, touch: bool) -> Result<Session, u64> {
        let mut set = set(&self.sets, id).lock();
        set.count += 1;
        let (count, removals) = (set.count, set.removals);
        let place = set.entries.iter().position(|entry| entry.id == id).ok_or(removals)?;
        if !self.is_fresh(&set.entries[place], now) {
            set.entries.swap_remove(place);
            return Err(removals);
        }
        let entry = &mut set.entries[place];
        entry.used = count;
        if touch {
            entry.session.last_seen = entry.session.last_seen.max(now);
        }
        Ok(entry.session.clone())
    }

    fn remember(&self, id: SessionId, session: &Session, now: Timestamp, removals: u64) {
        let mut set = set(&self.sets, id).lock();
        if set.removals != removals {
            return;
        }
        // Two requests may have asked the store at the same time.
        set.entries.retain(|entry| entry.id != id);
        if set.entries.len() >= WAYS {
            let oldest = (0..set.entries.len()).min_by_key(|&n| set.entries[n].used);
            set.entries.swap_remove(oldest.unwrap_or_default());
        }
        let used = set.count;
        set.entries.push(Entry { id, session: session.clone(), asked_at: now, used });
    }

    fn changing(&self, id: SessionId) -> Changing<'_> {
        Changing::begin(&self.sets, What::Session(id))
    }
}

impl<S: SessionStore> SessionStore for Cached<S> {
    const NAME: &'static str = S::NAME;

    fn notes(&self) -> Vec<String> {
        let mut notes = self.store.notes();
        notes.push(format!(
            "Up to {SESSIONS_MAX} sessions that were read are believed for {} ms: a logout at \
             another server takes effect here within that time, and here at once.",
            self.staleness.as_millis()
        ));
        notes
    }

    fn process(&self) -> Option<StoreProcess> {
        self.store.process()
    }

    async fn create(&self, id: SessionId, session: Session) -> Result<bool, StoreError> {
        let _changing = self.changing(id);
        self.store.create(id, session).await
    }

    async fn create_many(&self, sessions: Vec<(SessionId, Session)>) -> Result<u64, StoreError> {
        let _changing: Vec<_> = sessions.iter().map(|(id, _)| self.changing(*id)).collect();
        self.store.create_many(sessions).await
    }

    async fn read(&self, id: SessionId, now: Timestamp) -> Result<Option<Session>, StoreError> {
        let removals = match self.find(id, now, false) {
            Ok(session) => return Ok(Some(session)),
            Err(removals) => removals,
        };
        let found = self.store.read(id, now).await?;
        if let Some(session) = &found {
            self.remember(id, session, now, removals);
        }
        Ok(found)
    }

    async fn touch(&self, id: SessionId, now: Timestamp) -> Result<bool, StoreError> {
        let _changing = self.changing(id);
        self.store.touch(id, now).await
    }

    async fn read_and_touch(
        &self,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        let removals = match self.find(id, now, true) {
            Ok(session) => return Ok(Some(session)),
            Err(removals) => removals,
        };
        let found = self.store.read_and_touch(id, now).await?;
        if let Some(session) = &found {
            self.remember(id, session, now, removals);
        }
        Ok(found)
    }

    async fn update(
        &self,
        id: SessionId,
        data: SessionData,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let _changing = self.changing(id);
        self.store.update(id, data, now).await
    }

    async fn delete(&self, id: SessionId) -> Result<bool, StoreError> {
        let _changing = self.changing(id);
        self.store.delete(id).await
    }

    async fn delete_all_of_user(&self, user: UserId) -> Result<u64, StoreError> {
        let _changing = Changing::begin(&self.sets, What::SessionsOf(user));
        self.store.delete_all_of_user(user).await
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        for set in &self.sets {
            let mut set = set.lock();
            set.entries.retain(|entry| self.is_fresh(entry, now));
            if set.entries.is_empty() {
                set.entries = Vec::new();
            }
        }
        self.store.sweep(now).await
    }

    async fn stats(&self) -> Result<StoreStats, StoreError> {
        self.store.stats().await
    }
}
