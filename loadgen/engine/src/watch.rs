//! What the thread that started a load does while its workers run it: it tells the watcher
//! when a phase begins and, if they want to know, how the load is going, and asks whether to go on.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use crate::error::Interrupt;
use crate::plan::LoadPlan;
use crate::record::Histogram;

/// How often a watcher is asked whether to go on.
pub(super) const ASK_EVERY: Duration = Duration::from_millis(50);

/// Where a load is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Connections are opened and users log in.
    Setup,
    /// Requests are sent and not counted.
    Warmup,
    /// Requests are sent and counted.
    Measure,
    /// Nothing new is sent; answers are awaited.
    Drain,
}

/// Watches a load, on the thread that started it.
///
/// A worker shares nothing; once a second, and only for a watcher who asked for it, it sends a copy
/// of what it has counted.
pub trait Watcher {
    /// A phase begins.
    fn enter(&mut self, phase: Phase);

    /// So many users have logged in by now; told about twenty times per second of Setup.
    fn users_ready(&mut self, _users: u32) {}

    /// Whether [`Watcher::second`] is to be called.
    fn wants_seconds(&self) -> bool {
        false
    }

    /// A second of Measure is over.
    fn second(&mut self, _progress: &Progress) {}

    /// Whether the load is to go on; asked about twenty times a second. After a no it ends as an
    /// interrupt ends it.
    fn go_on(&mut self) -> bool {
        true
    }
}

impl<F: FnMut(Phase)> Watcher for F {
    fn enter(&mut self, phase: Phase) {
        self(phase);
    }
}

/// How a load is going: what all workers have counted in Measure so far.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Whole seconds of Measure that are over.
    pub seconds: u64,
    /// Requests that were due.
    pub planned: u64,
    /// Requests that ended.
    pub ended: u64,
    /// Of those, the ones that ended in the last second.
    pub ended_in_second: u64,
    /// Right answers.
    pub ok: u64,
    /// Response times of the right answers.
    pub response: Histogram,
}

/// What one worker has counted when a second of Measure is over.
#[derive(Debug)]
pub(super) struct Tick {
    pub(super) worker: u32,
    pub(super) seconds: u64,
    pub(super) planned: u64,
    pub(super) ended: u64,
    pub(super) ok: u64,
    /// Response times of the right answers of this second.
    pub(super) response: Histogram,
}

/// Puts the ticks of the workers together.
pub(super) struct Ticks {
    wanted: bool,
    /// Whether every worker has ended its load.
    over: bool,
    /// Each worker holds a copy while its load lasts, so that the end of all of them is heard.
    send: Option<Sender<Tick>>,
    receive: Receiver<Tick>,
    last: Vec<(u64, u64, u64)>,
    /// Number of the first worker.
    base: u32,
    /// Ticks of the second that is not complete yet.
    arrived: usize,
    progress: Progress,
}

impl Ticks {
    pub(super) fn new(workers: Range<u32>, wanted: bool) -> Self {
        let (send, receive) = channel();
        let progress = Progress {
            seconds: 0,
            planned: 0,
            ended: 0,
            ended_in_second: 0,
            ok: 0,
            response: Histogram::coarse(),
        };
        Self {
            wanted,
            over: false,
            send: Some(send),
            receive,
            last: vec![(0, 0, 0); workers.len()],
            base: workers.start,
            arrived: 0,
            progress,
        }
    }

    /// Whether workers have to send ticks.
    pub(super) const fn wanted(&self) -> bool {
        self.wanted
    }

    /// Where a worker sends its ticks, and what it drops when its load has ended.
    pub(super) fn sender(&self) -> Option<Sender<Tick>> {
        self.send.clone()
    }

    /// No further worker gets a sender, so that the end of the last one is the end of the load.
    pub(super) fn close(&mut self) {
        self.send = None;
    }

    /// Waits so long at most for a tick; how the load is going, when the second is complete.
    fn wait(&mut self, timeout: Duration) -> Option<&Progress> {
        let tick = match self.receive.recv_timeout(timeout) {
            Ok(tick) => tick,
            Err(RecvTimeoutError::Timeout) => return None,
            Err(RecvTimeoutError::Disconnected) => {
                self.over = true;
                return None;
            }
        };
        self.last[(tick.worker - self.base) as usize] = (tick.planned, tick.ended, tick.ok);
        self.progress.response.merge(&tick.response);
        self.arrived += 1;
        if !self.arrived.is_multiple_of(self.last.len()) {
            return None;
        }
        let before = self.progress.ended;
        let sum = |of: fn(&(u64, u64, u64)) -> u64| self.last.iter().map(of).sum();
        self.progress.planned = sum(|last| last.0);
        self.progress.ended = sum(|last| last.1);
        self.progress.ok = sum(|last| last.2);
        self.progress.ended_in_second = self.progress.ended.saturating_sub(before);
        self.progress.seconds = tick.seconds;
        Some(&self.progress)
    }
}

/// Calls `watcher` as the phases after Setup begin, `start_ns` after `epoch`, or at once when the
/// load has ended before. Sets `stop` when it wants the load to end.
pub(super) fn walk_phases(
    plan: &LoadPlan,
    (epoch, start_ns): (Instant, u64),
    interrupt: &Interrupt,
    stop: &AtomicBool,
    ticks: &mut Ticks,
    watcher: &mut impl Watcher,
) {
    let measure_ns = start_ns + plan.warmup_ns;
    for (phase, at_ns) in [
        (Phase::Warmup, start_ns),
        (Phase::Measure, measure_ns),
        (Phase::Drain, measure_ns + plan.measure_ns),
    ] {
        let at = Duration::from_nanos(at_ns);
        while let Some(left) = at.checked_sub(epoch.elapsed())
            && interrupt.signal().is_none()
            && !stop.load(Ordering::Relaxed)
            && !ticks.over
        {
            if let Some(progress) = ticks.wait(left.min(ASK_EVERY)) {
                watcher.second(progress);
            }
            if !watcher.go_on() {
                // Nothing else is published with the flag, so no ordering is needed.
                stop.store(true, Ordering::Relaxed);
            }
        }
        watcher.enter(phase);
    }
}
