//! Refresh sessions in this process: a table in 256 parts, each behind a lock of its own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as TableEntry;
use parking_lot::Mutex;

use super::{Family, RefreshStore, Rotation, SecretDigest};
use crate::clock::Timestamp;
use crate::stores::memory::hash;
use crate::stores::{SessionData, SessionId, StoreError, StoreStats};
use crate::users::UserId;

const SHARDS: usize = 256;
/// Slots looked at under one hold of a lock by a sweep.
const SWEEP_STEP: usize = 1024;

/// The secret that was current before, and when it was replaced.
struct Previous {
    secret: SecretDigest,
    replaced: Timestamp,
}

struct Record {
    id: SessionId,
    family: Family,
    previous: Option<Previous>,
}

#[repr(align(128))]
#[derive(Default)]
struct Shard {
    table: Mutex<HashTable<Box<Record>>>,
    operations: AtomicU64,
}

/// The store.
///
/// In its form it is [`crate::stores::memory`], for the same reasons: an id is random already and
/// is its own hash, a sweep goes in small steps, what is swept goes back to the allocator. The
/// locks have no shared side, because every operation on a family changes it. What it holds is
/// bounded by the logins of one life of a family: a refresh replaces two digests in place and adds
/// nothing. Never hold two locks, nor one over an await.
pub struct RefreshMemory {
    shards: Box<[Shard]>,
    swept: AtomicU64,
}

impl Default for RefreshMemory {
    fn default() -> Self {
        let shards = (0..SHARDS).map(|_| Shard::default()).collect();
        Self { shards, swept: AtomicU64::new(0) }
    }
}

impl RefreshMemory {
    /// Slots of all tables, free ones included: what a test of giving memory back looks at.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.shards.iter().map(|shard| shard.table.lock().capacity()).sum()
    }

    fn shard(&self, id: SessionId) -> &Shard {
        let shard = &self.shards[usize::from(id.as_bytes()[8]) % SHARDS];
        shard.operations.fetch_add(1, Ordering::Relaxed);
        shard
    }

    /// Removes what `goes` in one part, so many slots under one hold of its lock, and shrinks its
    /// table when three quarters are free. A table that grows between two steps moves its records,
    /// so only a single step is sure to see all of them.
    fn clear(shard: &Shard, step: usize, goes: impl Fn(&Record) -> bool) -> u64 {
        let mut removed = 0;
        let mut from = 0_usize;
        loop {
            // Freed after the lock is released.
            let mut gone = Vec::new();
            let mut table = shard.table.lock();
            let to = table.num_buckets().min(from.saturating_add(step));
            let found = (from..to).filter_map(|bucket| table.get_bucket(bucket));
            let ids: Vec<_> = found.filter(|record| goes(record)).map(|record| record.id).collect();
            for id in ids {
                let entry = table.find_entry(hash(id), |record| record.id == id);
                gone.extend(entry.ok().map(|entry| entry.remove().0));
            }
            from = to;
            let done = from == table.num_buckets();
            if done && table.len() * 4 < table.capacity() {
                let keep = table.len() * 2;
                table.shrink_to(keep, |record| hash(record.id));
            }
            drop(table);
            removed += gone.len() as u64;
            if done {
                return removed;
            }
        }
    }
}

impl Record {
    fn is_live(&self, now: Timestamp) -> bool {
        now < self.family.expires
    }

    /// What becomes of this secret; [`Rotation::Reused`] is the caller's to carry out.
    fn judge(
        &mut self,
        shown: &SecretDigest,
        new: SecretDigest,
        now: Timestamp,
        grace: Duration,
    ) -> Rotation {
        if self.family.secret == *shown {
            let secret = std::mem::replace(&mut self.family.secret, new);
            self.previous = Some(Previous { secret, replaced: now });
            let Family { data, expires, .. } = &self.family;
            return Rotation::Rotated { data: data.clone(), expires: *expires };
        }
        match &self.previous {
            Some(Previous { secret, replaced })
                if secret == shown && now < replaced.plus(grace) =>
            {
                Rotation::Late
            }
            _ => Rotation::Reused,
        }
    }
}

impl RefreshStore for RefreshMemory {
    const NAME: &'static str = "memory";

    async fn begin(&self, id: SessionId, family: Family) -> Result<bool, StoreError> {
        let record = Box::new(Record { id, family, previous: None });
        let mut table = self.shard(id).table.lock();
        let place = table.entry(hash(id), |other| other.id == id, |other| hash(other.id));
        match place {
            TableEntry::Occupied(_) => Ok(false),
            TableEntry::Vacant(vacant) => {
                vacant.insert(record);
                Ok(true)
            }
        }
    }

    async fn rotate(
        &self,
        id: SessionId,
        shown: SecretDigest,
        new: SecretDigest,
        now: Timestamp,
        grace: Duration,
    ) -> Result<Rotation, StoreError> {
        let mut table = self.shard(id).table.lock();
        let Ok(mut entry) = table.find_entry(hash(id), |record| record.id == id) else {
            return Ok(Rotation::Unknown);
        };
        if !entry.get().is_live(now) {
            return Ok(Rotation::Unknown);
        }
        let rotation = entry.get_mut().judge(&shown, new, now, grace);
        if rotation == Rotation::Reused {
            entry.remove();
        }
        Ok(rotation)
    }

    async fn update(
        &self,
        id: SessionId,
        data: SessionData,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut table = self.shard(id).table.lock();
        let record = table.find_mut(hash(id), |record| record.id == id);
        let Some(record) = record.filter(|record| record.is_live(now)) else { return Ok(false) };
        record.family.data = data;
        Ok(true)
    }

    async fn end(&self, id: SessionId) -> Result<bool, StoreError> {
        let mut table = self.shard(id).table.lock();
        let removed =
            table.find_entry(hash(id), |record| record.id == id).ok().map(|entry| entry.remove().0);
        drop(table);
        Ok(removed.is_some())
    }

    async fn end_all_of_user(&self, user: UserId) -> Result<u64, StoreError> {
        let mut removed = 0;
        for shard in &self.shards {
            removed += Self::clear(shard, usize::MAX, |record| record.family.data.user.id == user);
            tokio::task::yield_now().await;
        }
        let counted = &self.shards[user.number() as usize % SHARDS];
        counted.operations.fetch_add(1, Ordering::Relaxed);
        Ok(removed)
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut removed = 0;
        for shard in &self.shards {
            removed += Self::clear(shard, SWEEP_STEP, |record| !record.is_live(now));
            tokio::task::yield_now().await;
        }
        self.swept.fetch_add(removed, Ordering::Relaxed);
        Ok(removed)
    }

    async fn stats(&self) -> Result<StoreStats, StoreError> {
        let mut stats =
            StoreStats { swept: self.swept.load(Ordering::Relaxed), ..StoreStats::default() };
        for shard in &self.shards {
            stats.sessions += shard.table.lock().len() as u64;
            stats.operations += shard.operations.load(Ordering::Relaxed);
        }
        Ok(stats)
    }
}
