//! What the admin listener tells and takes.

use serde::{Deserialize, Serialize};

/// What the admin listener tells about the inside of a server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AdminStats {
    /// [`crate::CONTRACT_VERSION`] of the server.
    pub authbench: u32,
    /// Milliseconds since the server was ready.
    pub uptime_ms: u64,
    /// Sessions the store holds, expired and not yet swept ones included; `None` without a store.
    pub live_sessions: Option<u64>,
    /// Operations the store has carried out since the start; `None` without a store.
    pub store_operations: Option<u64>,
    /// Expired sessions removed by the sweep since the start; `None` without a store.
    pub swept_sessions: Option<u64>,
    /// Bytes that the store's sessions take by its own count: Redis' `used_memory`, PostgreSQL's
    /// `pg_total_relation_size`, SQLite's pages; `None` where it has no count but the
    /// allocator's.
    #[serde(default)]
    pub store_used_bytes: Option<u64>,
    /// Bytes that the store takes on the disk: PostgreSQL's database, SQLite's file and log; `None`
    /// where it is not on one.
    #[serde(default)]
    pub store_disk_bytes: Option<u64>,
    /// Writes of the store since the start, the sweep's left out: one for each session that was
    /// created, changed, put off or removed; `None` where they are not counted.
    #[serde(default)]
    pub store_writes: Option<u64>,
    /// How far behind the store what this server knows of it was when that was last measured,
    /// microseconds; `None` where nothing is known but by asking it.
    #[serde(default)]
    pub store_lag_us: Option<u64>,
    /// Bytes the program has allocated and not freed (jemalloc `stats.allocated` without what its
    /// threads keep at hand, `tcache_bytes`); `None` where the process does not run on jemalloc.
    pub allocated_bytes: Option<u64>,
    /// Bytes in pages that hold at least one allocation (jemalloc `stats.active`).
    pub active_bytes: Option<u64>,
    /// Bytes of physical memory mapped by the allocator (jemalloc `stats.resident`).
    pub resident_bytes: Option<u64>,
    /// Handlers that panicked since the start.
    pub panics: u64,
    /// Open connections on the public listener.
    pub connections: u64,
    /// Times the public listener could not accept for want of descriptors or memory.
    #[serde(default)]
    pub accept_errors: u64,
    /// Requests that came in on public connections; `None` where they are not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wire_requests: Option<u64>,
    /// Bytes that came in on public connections, those of TLS and of frames included; `None` where
    /// they are not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wire_read_bytes: Option<u64>,
    /// Bytes that went out on public connections, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wire_written_bytes: Option<u64>,
}

/// Path of the admin listener's `POST` that logs a [`Population`] in; only a server that was
/// started with `--admin-fill` has it.
pub const POPULATE_PATH: &str = "/populate";
/// What the line begins with that ends the answer to a [`Population`] early and says why. No
/// credential begins with it.
pub const FAULT_MARK: u8 = b'!';

/// Users to be logged in at once, without a password and without a request each. The answer has
/// the credential of each on a line of its own, in the order of their numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Population {
    /// Number of the first user.
    pub first: u32,
    /// How many there are.
    pub users: u32,
    /// Whether each logs out again, with that credential: what logouts leave is left then.
    #[serde(default)]
    pub leave: bool,
}
