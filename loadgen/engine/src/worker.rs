//! One worker: a loop on one thread that plans, sends, waits and counts.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use super::core::Core;
use super::part::{INTERRUPT_CHECK_NS, Setup};
use super::recorder::{Recorder, SECOND_NS};
use super::users::Credentials;
use super::watch::Tick;
use crate::plan::LoadPlan;
use crate::record::{RenewalRecord, VisitCounts};
use crate::transport::{Transport, Until, Wire};

/// A request that is due within so long after a look at other things has to be met, ns.
const SHORTLY_NS: u64 = 1_000_000;

/// A transport, its users, and what the worker was told.
///
/// The loop asks the load model what is due, starts it on an idle connection, and lets the
/// transport report what has ended. Nothing in it is shared with another thread but the flag of an
/// interrupt, and nothing in it depends on a server's scheme. A request that is due is never
/// skipped: it is sent late, and shows as lag, or it is dropped, and is counted.
pub(super) struct Worker<'a, T> {
    pub(super) transport: T,
    pub(super) setup: Setup<'a>,
    /// Shared where the users were logged in before the load, so that a million are held once.
    pub(super) credentials: Arc<Credentials>,
}

/// What one worker brings home.
#[derive(Debug)]
pub(super) struct Harvest {
    pub(super) recorder: Recorder,
    pub(super) connections: u32,
    /// Connections that it could have used.
    pub(super) usable: u32,
    /// The longest time by which it came back late from a wait, ns.
    pub(super) absent_ns: u64,
    pub(super) visits: Option<VisitCounts>,
    pub(super) renewals: Option<RenewalRecord>,
    /// Whether the load was cut.
    pub(super) aborted: bool,
    /// What went over the wire during Measure; `None` where the transport does not see it.
    pub(super) wire: Option<Wire>,
    /// Requests that were sent meanwhile, whenever they were due.
    pub(super) wire_requests: u64,
    /// CPU time of the worker's thread during Measure, ns.
    pub(super) cpu_ns: u64,
    /// Time during Measure in which it was ready to run and another thread had its core, ns.
    pub(super) waited_ns: u64,
}

impl<T: Transport> Worker<'_, T> {
    /// Runs this worker's part of a load. `start` is called when everything is made that takes
    /// time, and gives the moment at which to begin; `None` when there is nothing to begin.
    pub(super) fn load(
        &mut self,
        plan: &LoadPlan,
        seed: u64,
        ticks: Option<&Sender<Tick>>,
        start: impl FnOnce() -> Option<u64>,
    ) -> io::Result<Option<Harvest>> {
        let Self { transport, setup, credentials } = self;
        let mut core = Core::new(*setup, credentials, plan, seed);
        let Some(start_ns) = start() else { return Ok(None) };
        core.begin(start_ns);
        let mut edges = Edges::new(core.recorder.window.clone());
        let mut check_ns = start_ns + setup.timeout_ns;
        let (mut aborted, mut absent_ns) = (false, 0);
        let mut tick_ns = match ticks {
            Some(_) => edges.window.start + SECOND_NS,
            None => u64::MAX,
        };
        let mut now = transport.now();
        loop {
            let is_through = core.is_through(now);
            if is_through || setup.stopped() && now < core.end_ns {
                aborted = !is_through;
                core.cut(now);
                edges.window = core.recorder.window.clone();
            }
            edges.cross(now, transport.wire(), core.sent());
            if let Some(ticks) = ticks
                && now >= tick_ns
            {
                let second = (tick_ns - edges.window.start) / SECOND_NS - 1;
                // The watcher may be gone; the load is not.
                let _ = ticks.send(core.recorder.tick(setup.part.worker, second));
                tick_ns += SECOND_NS;
            }
            if now >= check_ns {
                check_ns = core.time_out(transport, now, setup.timeout_ns);
            }
            core.plan(now);
            core.start(transport, now);
            if now >= core.end_ns {
                break;
            }
            let look_ns = check_ns.min(edges.next_ns()).min(tick_ns);
            let (wake_ns, look_ns) = (core.wake_ns(), look_ns.min(now + INTERRUPT_CHECK_NS));
            // What is due just after the next look would be late if that look were slept to.
            let due = wake_ns <= look_ns + SHORTLY_NS;
            let until = Until { ns: wake_ns.min(look_ns), due };
            transport.poll(until, |ended| core.ended(&ended))?;
            now = transport.now();
            absent_ns = absent_ns.max(now.saturating_sub(until.ns));
        }
        core.drain(transport, plan.drain_ns, setup.timeout_ns, || setup.stopped())?;
        let (connections, visits) = (core.connections_used(), core.visit_counts());
        let (usable, renewals) = (core.connections_usable(), core.take_renewals());
        Ok(Some(Harvest {
            absent_ns,
            usable,
            recorder: core.recorder,
            connections,
            visits,
            renewals,
            aborted,
            wire: edges.wire(),
            wire_requests: edges.requests(),
            cpu_ns: edges.cpu_ns(),
            waited_ns: edges.waited_ns(),
        }))
    }
}

/// Readings of the worker's thread and transport where Measure begins and ends.
pub(super) struct Edges {
    window: Range<u64>,
    first: Option<Reading>,
    last: Option<Reading>,
}

#[derive(Clone, Copy)]
struct Reading {
    at_ns: u64,
    cpu_ns: u64,
    waited_ns: u64,
    wire: Option<Wire>,
    sent: u64,
}

impl Edges {
    pub(super) const fn new(window: Range<u64>) -> Self {
        Self { window, first: None, last: None }
    }

    pub(super) fn cross(&mut self, now: u64, wire: Option<Wire>, sent: u64) {
        let begun = self.first.is_none() && now >= self.window.start;
        let over = self.last.is_none() && now >= self.window.end;
        if begun || over {
            let reading = Reading {
                at_ns: now,
                cpu_ns: thread_cpu_ns(),
                waited_ns: thread_waited_ns(),
                wire,
                sent,
            };
            self.first.get_or_insert(reading);
            self.last = over.then_some(reading);
        }
    }

    pub(super) const fn next_ns(&self) -> u64 {
        if self.first.is_none() { self.window.start } else { self.window.end }
    }

    pub(super) fn wire(&self) -> Option<Wire> {
        let (first, last) = (self.first?.wire?, self.last?.wire?);
        Some(Wire {
            bytes_sent: last.bytes_sent - first.bytes_sent,
            bytes_received: last.bytes_received - first.bytes_received,
            connects: last.connects - first.connects,
            closed_by_server: last.closed_by_server - first.closed_by_server,
        })
    }

    /// Requests sent between the two readings.
    pub(super) fn requests(&self) -> u64 {
        let (Some(first), Some(last)) = (self.first, self.last) else { return 0 };
        last.sent - first.sent
    }

    pub(super) fn waited_ns(&self) -> u64 {
        let (Some(first), Some(last)) = (self.first, self.last) else { return 0 };
        last.waited_ns.saturating_sub(first.waited_ns)
    }

    /// CPU time of the window: the loop sees its edges a little late, so what was used between the
    /// two readings is scaled to the window's length.
    pub(super) fn cpu_ns(&self) -> u64 {
        let (Some(first), Some(last)) = (self.first, self.last) else { return 0 };
        let (used, elapsed) = (last.cpu_ns - first.cpu_ns, last.at_ns - first.at_ns);
        let window = self.window.end - self.window.start;
        if elapsed == 0 { 0 } else { (used as f64 * window as f64 / elapsed as f64) as u64 }
    }
}

/// Time this thread has spent on a run queue: the second number of its `schedstat`; 0 where the
/// kernel does not tell.
fn thread_waited_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().nth(1).and_then(|ns| ns.parse().ok()).unwrap_or(0)
}

fn thread_cpu_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests;
