//! Sessions in this process, the naive way: one lock around one map of the standard library.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Session, SessionData, SessionId, SessionStore, StoreError, StoreStats, is_live};
use crate::clock::Timestamp;
use crate::users::UserId;

/// Sessions removed under one hold of the lock.
const STEP: usize = 1024;

type Map = HashMap<SessionId, Session>;

/// The store.
///
/// This is what many frameworks ship as their store in memory and many services write for
/// themselves. It is here to be compared with [`super::memory`], so it must stay naive in its form
/// and right in what it does: every request takes the one lock, reads included, because an
/// ordinary lock has no shared side; the map hashes ids although they are random; there is no
/// index, so that a sweep and a logout everywhere look at every session under the lock. What is
/// found is removed a step at a time, the lock released in between. Never hold the lock over an
/// await.
#[derive(Default)]
pub struct MutexStore {
    sessions: Mutex<Map>,
    idle: Option<Duration>,
    operations: AtomicU64,
    writes: AtomicU64,
    swept: AtomicU64,
}

impl MutexStore {
    /// An empty store whose sessions also end after `idle` without activity.
    #[must_use]
    pub fn new(idle: Option<Duration>) -> Self {
        Self { idle, ..Self::default() }
    }

    /// The map. No operation can panic half way, so a poisoned lock guards a whole map as well.
    fn lock(&self) -> MutexGuard<'_, Map> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counted(&self) -> MutexGuard<'_, Map> {
        self.operations.fetch_add(1, Ordering::Relaxed);
        self.lock()
    }

    /// Counts so many writes.
    fn wrote(&self, writes: u64) {
        self.writes.fetch_add(writes, Ordering::Relaxed);
    }

    fn is_live(&self, session: &Session, now: Timestamp) -> bool {
        is_live(session.expires, session.last_seen, self.idle, now)
    }

    /// Calls `with` for the live session of this id.
    fn find<T>(
        &self,
        id: SessionId,
        now: Timestamp,
        with: impl FnOnce(&mut Session) -> T,
    ) -> Option<T> {
        let mut sessions = self.counted();
        sessions.get_mut(&id).filter(|session| self.is_live(session, now)).map(with)
    }

    /// Removes every session that `goes`, in steps; how many. The first look is under one hold of
    /// the lock, because this map cannot be walked in parts.
    async fn remove(&self, goes: impl Fn(&Session) -> bool + Send) -> u64 {
        let ids: Vec<_> = {
            let sessions = self.lock();
            sessions.iter().filter(|(_, session)| goes(session)).map(|(&id, _)| id).collect()
        };
        let mut removed = 0;
        for step in ids.chunks(STEP) {
            removed += self.remove_step(step, &goes);
            tokio::task::yield_now().await;
        }
        removed
    }

    /// Removes these, where they still go: one may have been touched since it was seen.
    fn remove_step(&self, ids: &[SessionId], goes: impl Fn(&Session) -> bool) -> u64 {
        // Freed after the lock is released.
        let mut gone = Vec::with_capacity(ids.len());
        let mut sessions = self.lock();
        for id in ids {
            if sessions.get(id).is_some_and(&goes) {
                gone.extend(sessions.remove(id));
            }
        }
        if sessions.len() < sessions.capacity() / 4 {
            let keep = sessions.len() * 2;
            sessions.shrink_to(keep);
        }
        drop(sessions);
        gone.len() as u64
    }
}

impl SessionStore for MutexStore {
    const NAME: &'static str = "mutex";

    fn notes(&self) -> Vec<String> {
        vec![
            "Every request takes the one lock of the store; a sweep and a logout everywhere hold \
             it while they look at every session."
                .into(),
        ]
    }

    async fn create(&self, id: SessionId, session: Session) -> Result<bool, StoreError> {
        let mut sessions = self.counted();
        if sessions.contains_key(&id) {
            return Ok(false);
        }
        sessions.insert(id, session);
        self.wrote(1);
        Ok(true)
    }

    async fn read(&self, id: SessionId, now: Timestamp) -> Result<Option<Session>, StoreError> {
        Ok(self.find(id, now, |session| session.clone()))
    }

    async fn touch(&self, id: SessionId, now: Timestamp) -> Result<bool, StoreError> {
        Ok(self.read_and_touch(id, now).await?.is_some())
    }

    async fn read_and_touch(
        &self,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        Ok(self.find(id, now, |session| {
            session.last_seen = session.last_seen.max(now);
            self.wrote(1);
            session.clone()
        }))
    }

    async fn update(
        &self,
        id: SessionId,
        data: SessionData,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let changed = self.find(id, now, |session| session.data = data).is_some();
        self.wrote(changed.into());
        Ok(changed)
    }

    async fn delete(&self, id: SessionId) -> Result<bool, StoreError> {
        let removed = self.counted().remove(&id);
        self.wrote(removed.is_some().into());
        Ok(removed.is_some())
    }

    async fn delete_all_of_user(&self, user: UserId) -> Result<u64, StoreError> {
        self.operations.fetch_add(1, Ordering::Relaxed);
        let removed = self.remove(|session| session.data.user.id == user).await;
        self.wrote(removed);
        Ok(removed)
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        let removed = self.remove(|session| !self.is_live(session, now)).await;
        self.swept.fetch_add(removed, Ordering::Relaxed);
        Ok(removed)
    }

    async fn stats(&self) -> Result<StoreStats, StoreError> {
        Ok(StoreStats {
            sessions: self.lock().len() as u64,
            operations: self.operations.load(Ordering::Relaxed),
            swept: self.swept.load(Ordering::Relaxed),
            writes: Some(self.writes.load(Ordering::Relaxed)),
            ..StoreStats::default()
        })
    }
}
