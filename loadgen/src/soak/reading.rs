//! What is read of a server while users come and go.

use std::time::Duration;

use serde::Serialize;

use crate::error::Result;
use crate::proc::{Server, descriptors, family_pss_bytes, memory, threads};

/// One reading.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Reading {
    /// Since the beginning, seconds.
    pub at_s: f64,
    /// Logins until then.
    pub logins: u64,
    /// Allocated and not freed, bytes.
    pub allocated_bytes: Option<f64>,
    /// Proportional set size, bytes.
    pub pss_bytes: Option<f64>,
    /// Open descriptors but those of connections, which are the users' own.
    pub descriptors: Option<f64>,
    /// Threads.
    pub threads: Option<f64>,
    /// Sessions that the store holds.
    pub sessions: Option<f64>,
    /// What the store holds by its own count, bytes.
    pub store_used_bytes: Option<f64>,
    /// What the store takes on the disk, bytes.
    pub store_disk_bytes: Option<f64>,
    /// Proportional set size of the store's server, bytes.
    pub store_pss_bytes: Option<f64>,
}

impl Reading {
    pub(super) fn take(server: &Server, at: Duration, logins: u64) -> Result<Self> {
        let stats = server.stats()?;
        let pid = server.ready().pid;
        let store = server.ready().store.as_ref();
        let number = |value: Option<u64>| value.map(|value| value as f64);
        Ok(Self {
            at_s: at.as_secs_f64(),
            logins,
            allocated_bytes: number(stats.allocated_bytes),
            pss_bytes: number(memory(pid).pss_bytes),
            descriptors: number(
                descriptors(pid).map(|open| open.saturating_sub(stats.connections)),
            ),
            threads: number(threads(pid)),
            sessions: number(stats.live_sessions),
            store_used_bytes: number(stats.store_used_bytes),
            store_disk_bytes: number(stats.store_disk_bytes),
            store_pss_bytes: number(store.and_then(|store| family_pss_bytes(store.pid))),
        })
    }
}

/// What a server may keep.
#[derive(Clone, Copy)]
pub struct Resource {
    /// What a person calls it.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Its value in a reading.
    pub read: fn(&Reading) -> Option<f64>,
    /// What may be added per login; `None` where it is only shown.
    pub allowed: Option<f64>,
    /// Whether it is judged, by the last reading.
    pub is_judged: fn(Option<&Reading>) -> bool,
}

/// A session takes more than a hundred bytes: one in a hundred that stays is found.
const BYTES: Option<f64> = Some(1.0);
/// One in a thousand that stays is found.
const COUNT: Option<f64> = Some(0.001);

const fn judged(
    name: &'static str,
    unit: &'static str,
    allowed: Option<f64>,
    read: fn(&Reading) -> Option<f64>,
) -> Resource {
    Resource { name, unit, read, allowed, is_judged: |_| true }
}

/// What is read, in the order of the table. The allocator's count is judged and not the operating
/// system's, which has what the allocator keeps for reuse. A store on a disk gives room back in its
/// own time (autovacuum), so what it uses there is shown.
pub const RESOURCES: &[Resource] = &[
    judged("allocated memory", "bytes", BYTES, |r| r.allocated_bytes),
    judged("open descriptors", "descriptors", COUNT, |r| r.descriptors),
    judged("threads", "threads", COUNT, |r| r.threads),
    judged("sessions in the store", "sessions", COUNT, |r| r.sessions),
    Resource {
        name: "store, its own count",
        unit: "bytes",
        read: |r| r.store_used_bytes,
        allowed: BYTES,
        is_judged: |last| last.is_some_and(|last| last.store_disk_bytes.is_none()),
    },
    judged("memory (PSS)", "bytes", None, |r| r.pss_bytes),
    judged("store memory (PSS)", "bytes", None, |r| r.store_pss_bytes),
    judged("store, on disk", "bytes", None, |r| r.store_disk_bytes),
];
