//! The memory that unfinished answers may take, all of a load together.
//!
//! It is touched only where an answer that is in pieces needs more room, so an answer that arrives
//! whole pays nothing for it. It is the one count that workers share while a load runs: a share for
//! each would refuse an answer that fits. It must never be exceeded, nor lose what was given back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Failure;
use crate::limits::Limit;

/// Bytes that are left for answers in pieces; its clones are the same budget.
#[derive(Clone, Debug)]
pub struct Budget(Arc<AtomicUsize>);

impl Budget {
    /// A budget of so many bytes.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    /// A claim of no bytes yet.
    pub(super) fn claim(&self) -> Claim {
        Claim { budget: self.clone(), bytes: 0 }
    }

    #[cfg(test)]
    pub(super) fn left(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// How large an answer will be here, bytes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Extent {
    /// It has said so.
    Announced(usize),
    /// More would be over a limit.
    AtMost(usize),
}

/// Bytes that one answer has of the budget; dropping it gives them back.
#[derive(Debug)]
pub(super) struct Claim {
    budget: Budget,
    bytes: usize,
}

impl Claim {
    /// Makes room for `more` bytes of an answer of this extent.
    ///
    /// # Errors
    /// `Over(Buffered)` when the budget does not allow it; nothing has changed then.
    pub(super) fn make_room(
        &mut self,
        bytes: &mut Vec<u8>,
        more: usize,
        extent: Extent,
    ) -> Result<(), Failure> {
        let needed = bytes.len() + more;
        if needed <= bytes.capacity() {
            return Ok(());
        }
        // Growing by a factor keeps copying linear, and what is announced takes no memory before a
        // part of it has come. Steps are longer where the end is known: less is copied and freed.
        let wanted = match extent {
            Extent::Announced(all) => (bytes.capacity() * 4).min(all),
            Extent::AtMost(most) => (bytes.capacity() * 2).min(most),
        };
        let wanted = wanted.max(needed);
        let extra = wanted - self.bytes;
        // Nothing else is published with the count, so it needs no ordering.
        self.budget
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(extra))
            .map_err(|_| Failure::Over(Limit::Buffered))?;
        self.bytes = wanted;
        bytes.reserve_exact(wanted - bytes.len());
        Ok(())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.budget.0.fetch_add(self.bytes, Ordering::Relaxed);
    }
}
