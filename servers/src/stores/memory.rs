//! Sessions in this process: a table in 256 parts, each behind a lock of its own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as TableEntry;
use parking_lot::RwLock;

use super::{Session, SessionData, SessionId, SessionStore, StoreError, StoreStats, is_live};
use crate::clock::Timestamp;
use crate::users::UserId;

const SHARDS: usize = 256;
/// Slots looked at under one hold of a lock by a sweep.
const SWEEP_STEP: usize = 1024;

/// A session and its id: one allocation of 80 bytes.
struct Record {
    id: SessionId,
    data: SessionData,
    created: Timestamp,
    expires: Timestamp,
    /// Atomic, so that a read may note the activity under the shared lock.
    last_seen: AtomicU64,
}

impl Record {
    fn session(&self) -> Session {
        Session {
            data: self.data.clone(),
            created: self.created,
            expires: self.expires,
            last_seen: self.last_seen(),
        }
    }

    fn last_seen(&self) -> Timestamp {
        Timestamp::from_millis(self.last_seen.load(Ordering::Relaxed))
    }

    fn is_live(&self, idle: Option<Duration>, now: Timestamp) -> bool {
        is_live(self.expires, self.last_seen(), idle, now)
    }
}

/// What lies in the table. `user` and `expires` repeat the record, so that scans need not follow
/// it.
struct Slot {
    record: Box<Record>,
    user: UserId,
    /// Seconds since the epoch, rounded down: before it the absolute expiry cannot have passed.
    expires: u32,
}

impl Slot {
    /// Whether its session is over; follows the pointer only where the slot does not settle it.
    fn may_go(&self, idle: Option<Duration>, now: Timestamp) -> bool {
        let maybe = idle.is_some() || u64::from(self.expires) <= now.seconds();
        maybe && !self.record.is_live(idle, now)
    }
}

/// One part. The counter lies in the line that the lock has just made ours, and costs nothing
/// there.
#[repr(align(128))]
#[derive(Default)]
struct Shard {
    table: RwLock<HashTable<Slot>>,
    operations: AtomicU64,
    writes: AtomicU64,
}

/// The store.
///
/// Why not a concurrent map off the shelf: a record must be found in one probe, swept a little at
/// a time, and given back to the allocator, at a known number of bytes, and each of the usual maps
/// misses one of these. An id is random already, so its bytes are the hash and choose the part; a
/// client cannot make ids collide, because only the server makes them. A table's slot is 16 bytes
/// (a pointer, the user, the expiry), so that the free slots of a grown table cost little, and
/// sweeping and logging a user out everywhere read slots in a row and do not chase pointers.
///
/// No index from user to sessions is kept: [`SessionStore::delete_all_of_user`] scans every slot,
/// some milliseconds at a million sessions, yielding as it goes. Never hold two locks, nor one
/// over an await.
pub struct MemoryStore {
    shards: Box<[Shard]>,
    idle: Option<Duration>,
    swept: AtomicU64,
}

impl MemoryStore {
    /// An empty store whose sessions also end after `idle` without activity.
    #[must_use]
    pub fn new(idle: Option<Duration>) -> Self {
        let shards = (0..SHARDS).map(|_| Shard::default()).collect();
        Self { shards, idle, swept: AtomicU64::new(0) }
    }

    /// Slots of all tables, free ones included: what a test of giving memory back looks at.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.shards.iter().map(|shard| shard.table.read().capacity()).sum()
    }

    fn shard(&self, id: SessionId) -> &Shard {
        let shard = self.shard_of(id);
        shard.operations.fetch_add(1, Ordering::Relaxed);
        shard
    }

    fn shard_of(&self, id: SessionId) -> &Shard {
        &self.shards[usize::from(id.as_bytes()[8]) % SHARDS]
    }

    /// Counts a write, where there was one.
    fn wrote(&self, id: SessionId, done: bool) {
        if done {
            self.shard_of(id).writes.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn is_live(&self, record: &Record, now: Timestamp) -> bool {
        record.is_live(self.idle, now)
    }

    /// [`SessionStore::sweep`] under this idle timeout, for a store whose clients each have their
    /// own.
    pub(crate) async fn sweep_under(&self, idle: Option<Duration>, now: Timestamp) -> u64 {
        let mut removed = 0;
        for shard in &self.shards {
            removed += sweep_shard(shard, idle, now);
            tokio::task::yield_now().await;
        }
        self.swept.fetch_add(removed, Ordering::Relaxed);
        removed
    }

    /// Calls `with` for the live record of this id under the shared lock.
    fn find<T>(&self, id: SessionId, now: Timestamp, with: impl FnOnce(&Record) -> T) -> Option<T> {
        let table = self.shard(id).table.read();
        let slot = table.find(hash(id), |slot| slot.record.id == id)?;
        self.is_live(&slot.record, now).then(|| with(&slot.record))
    }
}

/// Removes what has expired in one part and shrinks its table when three quarters are free.
fn sweep_shard(shard: &Shard, idle: Option<Duration>, now: Timestamp) -> u64 {
    let mut removed = 0;
    let mut from = 0;
    let mut expired = Vec::new();
    loop {
        let buckets = {
            let table = shard.table.read();
            let to = table.num_buckets().min(from + SWEEP_STEP);
            let slots = (from..to).filter_map(|bucket| table.get_bucket(bucket));
            expired.extend(slots.filter(|s| s.may_go(idle, now)).map(|s| s.record.id));
            table.num_buckets()
        };
        removed += remove_expired(shard, &expired, idle, now);
        expired.clear();
        from += SWEEP_STEP;
        if from >= buckets {
            break;
        }
    }
    let mut table = shard.table.write();
    if table.len() * 4 < table.capacity() {
        let keep = table.len() * 2;
        table.shrink_to(keep, |slot| hash(slot.record.id));
    }
    removed
}

/// Removes these, where they are still expired: one may have been touched since it was seen.
fn remove_expired(shard: &Shard, ids: &[SessionId], idle: Option<Duration>, now: Timestamp) -> u64 {
    if ids.is_empty() {
        return 0;
    }
    // Freed after the lock is released.
    let mut gone = Vec::with_capacity(ids.len());
    let mut table = shard.table.write();
    for &id in ids {
        let found = table.find_entry(hash(id), |slot| slot.record.id == id);
        if let Ok(entry) = found
            && entry.get().may_go(idle, now)
        {
            gone.push(entry.remove().0);
        }
    }
    drop(table);
    gone.len() as u64
}

/// The first half of the id; the ninth byte chooses the shard and is no part of it.
pub(super) fn hash(id: SessionId) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *id.as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

impl SessionStore for MemoryStore {
    const NAME: &'static str = "memory";

    async fn create(&self, id: SessionId, session: Session) -> Result<bool, StoreError> {
        let user = session.data.user.id;
        let expires = u32::try_from(session.expires.seconds()).unwrap_or(u32::MAX);
        let record = Box::new(Record {
            id,
            data: session.data,
            created: session.created,
            expires: session.expires,
            last_seen: AtomicU64::new(session.last_seen.millis()),
        });
        let mut table = self.shard(id).table.write();
        let place = table.entry(hash(id), |slot| slot.record.id == id, |slot| hash(slot.record.id));
        match place {
            TableEntry::Occupied(_) => Ok(false),
            TableEntry::Vacant(vacant) => {
                vacant.insert(Slot { record, user, expires });
                self.wrote(id, true);
                Ok(true)
            }
        }
    }

    async fn read(&self, id: SessionId, now: Timestamp) -> Result<Option<Session>, StoreError> {
        Ok(self.find(id, now, Record::session))
    }

    async fn touch(&self, id: SessionId, now: Timestamp) -> Result<bool, StoreError> {
        Ok(self.read_and_touch(id, now).await?.is_some())
    }

    async fn read_and_touch(
        &self,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        Ok(self.find(id, now, |record| {
            record.last_seen.fetch_max(now.millis(), Ordering::Relaxed);
            self.wrote(id, true);
            record.session()
        }))
    }

    async fn update(
        &self,
        id: SessionId,
        data: SessionData,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut table = self.shard(id).table.write();
        let Some(slot) = table.find_mut(hash(id), |slot| slot.record.id == id) else {
            return Ok(false);
        };
        if !self.is_live(&slot.record, now) {
            return Ok(false);
        }
        slot.user = data.user.id;
        slot.record.data = data;
        self.wrote(id, true);
        Ok(true)
    }

    async fn delete(&self, id: SessionId) -> Result<bool, StoreError> {
        let mut table = self.shard(id).table.write();
        let removed = table
            .find_entry(hash(id), |slot| slot.record.id == id)
            .ok()
            .map(|entry| entry.remove().0);
        drop(table);
        self.wrote(id, removed.is_some());
        Ok(removed.is_some())
    }

    async fn delete_all_of_user(&self, user: UserId) -> Result<u64, StoreError> {
        let mut removed = 0;
        for shard in &self.shards {
            let of_user = |slot: &&Slot| slot.user == user;
            let ids: Vec<SessionId> =
                shard.table.read().iter().filter(of_user).map(|slot| slot.record.id).collect();
            for id in ids {
                let mut table = shard.table.write();
                let found = table.find_entry(hash(id), |slot| slot.record.id == id);
                removed += u64::from(found.map(|entry| entry.remove().0).is_ok());
            }
            tokio::task::yield_now().await;
        }
        let counted = &self.shards[user.number() as usize % SHARDS];
        counted.operations.fetch_add(1, Ordering::Relaxed);
        counted.writes.fetch_add(removed, Ordering::Relaxed);
        Ok(removed)
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        Ok(self.sweep_under(self.idle, now).await)
    }

    async fn stats(&self) -> Result<StoreStats, StoreError> {
        let mut stats =
            StoreStats { swept: self.swept.load(Ordering::Relaxed), ..StoreStats::default() };
        let mut writes = 0;
        for shard in &self.shards {
            stats.sessions += shard.table.read().len() as u64;
            stats.operations += shard.operations.load(Ordering::Relaxed);
            writes += shard.writes.load(Ordering::Relaxed);
        }
        Ok(StoreStats { writes: Some(writes), ..stats })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_and_a_slot_have_the_sizes_that_the_header_promises() {
        assert_eq!(size_of::<Record>(), 80);
        assert_eq!(size_of::<Slot>(), 16);
    }
}
