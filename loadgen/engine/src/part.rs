//! What a worker is told before it begins, and which part of a load it carries.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::error::Interrupt;
use crate::journey::{Mismatch, Script};
use crate::transport::Outcome;

/// How often a waiting worker looks for an interrupt at least, ns.
pub(super) const INTERRUPT_CHECK_NS: u64 = 50_000_000;

/// Which part of a load a worker carries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) worker: u32,
    pub(super) workers: u32,
}

impl Part {
    /// How many of `all` things, dealt out in turn, are this worker's.
    pub(super) const fn of(self, all: u32) -> u32 {
        (all + self.workers - 1 - self.worker) / self.workers
    }

    /// Number of this worker's thing `index` among all of them.
    pub(super) fn number(self, index: u32) -> u64 {
        u64::from(index) * u64::from(self.workers) + u64::from(self.worker)
    }
}

/// What a worker is told before it begins.
#[derive(Clone, Copy)]
pub(super) struct Setup<'a> {
    pub(super) script: &'a Script,
    pub(super) part: Part,
    /// Connections of this worker.
    pub(super) connections: u32,
    pub(super) timeout_ns: u64,
    /// When everything before a load has to be done, ns.
    pub(super) ready_by_ns: u64,
    pub(super) interrupt: &'a Interrupt,
    /// Set when there is no point in going on: the server has ended.
    pub(super) stop: &'a AtomicBool,
    /// How many users of all workers are ready for the load, for anyone who watches.
    pub(super) ready: Option<&'a AtomicU32>,
}

impl Setup<'_> {
    /// Counts a user who is ready for the load.
    pub(super) fn count_ready(&self) {
        if let Some(ready) = self.ready {
            ready.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether the load has to end now. Nothing else is published with either flag.
    pub(super) fn stopped(&self) -> bool {
        self.interrupt.signal().is_some() || self.stop.load(Ordering::Relaxed)
    }
}

pub(super) const fn outcome_of(mismatch: Mismatch) -> Outcome {
    match mismatch {
        Mismatch::Status(status) => Outcome::Status(status),
        Mismatch::WrongUser => Outcome::WrongUser,
        Mismatch::Check => Outcome::Check,
        Mismatch::Encoded => Outcome::Encoded,
        Mismatch::Missing(_) => Outcome::NoCredential,
        Mismatch::TooLong(_) => Outcome::LongCredential,
        Mismatch::Redirect(astray) => Outcome::Redirect(astray),
    }
}
