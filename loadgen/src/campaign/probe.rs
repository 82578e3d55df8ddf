//! Reads from outside, and by asking it, what a server uses while a load runs.

use std::time::Instant;

use crate::engine::{self, Driver, Phase, Watcher};
use crate::error::Result;
use crate::plan::LoadPlan;
use crate::proc::{Server, cpu_and_wait_ns, family_cpu_ns, family_pss_bytes, memory_of_all};
use crate::record::{LoadRecord, MemoryUse, ServerUse, WireUse};

pub(super) fn read_memory(server: &Server) -> Result<MemoryUse> {
    let outside = memory_of_all(server.serving());
    let inside = server.stats()?;
    Ok(MemoryUse {
        allocated_bytes: inside.allocated_bytes,
        live_sessions: inside.live_sessions,
        connections: Some(inside.connections),
        store_bytes: store_pid(server).and_then(family_pss_bytes),
        store_used_bytes: inside.store_used_bytes,
        store_disk_bytes: inside.store_disk_bytes,
        proxy_bytes: server.proxy().and_then(family_pss_bytes),
        ..outside
    })
}

/// The store's server, where it was started with this one.
pub(super) fn store_pid(server: &Server) -> Option<u32> {
    server.ready().store.as_ref().map(|store| store.pid)
}

/// What the relay before the store has used, where there is one.
pub(super) fn relay_cpu_ns(server: &Server) -> Option<u64> {
    server.ready().relay.map(|relay| cpu_and_wait_ns(relay.pid).0)
}

/// What has passed the public connections, if this server was told to count it. The question itself
/// goes over the admin listener, which is not counted.
fn wire(server: &Server) -> Option<WireUse> {
    if !server.ready().counts_wire {
        return None;
    }
    let stats = server.stats().ok()?;
    Some(WireUse {
        requests: stats.wire_requests?,
        read_bytes: stats.wire_read_bytes?,
        written_bytes: stats.wire_written_bytes?,
    })
}

/// Sessions that the store has written so far, where it counts them.
pub(super) fn store_writes(server: &Server) -> Option<u64> {
    server.stats().ok()?.store_writes
}

pub(super) fn measured_load(
    driver: &Driver,
    plan: &LoadPlan,
    seed: u64,
    server: &Server,
) -> Result<LoadRecord> {
    let mut probe = Probe { counts_writes: plan.renewal.is_some(), ..Probe::new(server) };
    let mut load = engine::load(driver, plan, seed, &mut probe)?;
    load.server = probe.used()?;
    Ok(load)
}

impl Watcher for &mut Probe<'_> {
    fn enter(&mut self, phase: Phase) {
        Probe::enter(self, phase);
    }

    fn go_on(&mut self) -> bool {
        !self.server.has_ended()
    }
}

/// CPU time up to a moment.
struct Reading {
    at: Instant,
    cpu_ns: u64,
    waited_ns: u64,
    store_cpu_ns: Option<u64>,
    relay_cpu_ns: Option<u64>,
    proxy_cpu_ns: Option<u64>,
    wire: Option<WireUse>,
    store_writes: Option<u64>,
}

impl Reading {
    fn of(server: &Server, counts_writes: bool) -> Self {
        let at = Instant::now();
        let (cpu_ns, waited_ns) = server.cpu_and_wait_ns();
        Self {
            at,
            cpu_ns,
            waited_ns,
            store_cpu_ns: store_pid(server).map(family_cpu_ns),
            relay_cpu_ns: relay_cpu_ns(server),
            proxy_cpu_ns: server.proxy().map(family_cpu_ns),
            wire: wire(server),
            store_writes: counts_writes.then(|| store_writes(server)).flatten(),
        }
    }
}

/// Reads what a server uses where the phases of a load begin.
pub struct Probe<'a> {
    server: &'a Server,
    /// Whether the store's writes are read too, which takes a question to the server.
    counts_writes: bool,
    before: Option<Reading>,
    used: Option<Result<ServerUse>>,
}

impl<'a> Probe<'a> {
    /// A probe of this server.
    pub const fn new(server: &'a Server) -> Self {
        Self { server, counts_writes: false, before: None, used: None }
    }

    /// To be called as each phase begins.
    pub fn enter(&mut self, phase: Phase) {
        match phase {
            Phase::Setup | Phase::Warmup => {}
            Phase::Measure => {
                self.before = Some(Reading::of(self.server, self.counts_writes));
            }
            Phase::Drain => {
                let Some(before) = &self.before else { return };
                let now = Reading::of(self.server, self.counts_writes);
                let since = |now: Option<u64>, before: Option<u64>| {
                    now.zip(before).map(|(now, before)| now.saturating_sub(before))
                };
                let used = ServerUse {
                    interval_ns: now.at.duration_since(before.at).as_nanos() as u64,
                    threads: self.server.ready().threads as u32,
                    cpu_ns: now.cpu_ns.saturating_sub(before.cpu_ns),
                    waited_ns: now.waited_ns.saturating_sub(before.waited_ns),
                    store_cpu_ns: since(now.store_cpu_ns, before.store_cpu_ns),
                    relay_cpu_ns: since(now.relay_cpu_ns, before.relay_cpu_ns),
                    proxy_cpu_ns: since(now.proxy_cpu_ns, before.proxy_cpu_ns),
                    store_writes: since(now.store_writes, before.store_writes),
                    wire: now.wire.zip(before.wire).map(|(now, then)| WireUse {
                        requests: now.requests - then.requests,
                        read_bytes: now.read_bytes - then.read_bytes,
                        written_bytes: now.written_bytes - then.written_bytes,
                    }),
                    memory: MemoryUse::default(),
                };
                let memory = read_memory(self.server);
                self.used = Some(memory.map(|memory| ServerUse { memory, ..used }));
            }
        }
    }

    /// What was used during Measure; `None` when the load did not come so far.
    ///
    /// # Errors
    /// `Target` when the server could not be asked.
    pub fn used(self) -> Result<Option<ServerUse>> {
        self.used.transpose()
    }
}
