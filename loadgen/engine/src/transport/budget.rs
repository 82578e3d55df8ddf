//! The memory that unfinished answers may take, all of a load together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Failure;
use crate::limits::Limit;

/// Bytes that are left for answers in pieces; its clones are the same budget.
///
/// It is touched only where an answer that is in pieces needs more room, so an answer that arrives
/// whole pays nothing for it. It is the one count that workers share while a load runs: a share for
/// each would refuse an answer that fits. It must never be exceeded, nor lose what was given back.
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

/// An answer that has come to so many bytes gets room for this many at once: the largest buffers
/// are then few, and the allocator gives them back to the system as soon as they are freed.
const LONG: usize = 512 << 10;
const LEAP: usize = 32 << 20;

/// Bytes that one answer has of the budget; dropping it gives them back.
#[derive(Debug)]
pub(super) struct Claim {
    budget: Budget,
    bytes: usize,
}

impl Claim {
    /// Makes room for `more` bytes of an answer that has `most` in all.
    ///
    /// What is claimed follows the bytes that are there, and not the room for them: room that
    /// nothing was written to takes no memory. So the steps in which it grows can be long, and
    /// little is copied and freed on the way.
    ///
    /// # Errors
    /// `Over(Buffered)` when the budget does not allow it; nothing has changed then.
    pub(super) fn make_room(
        &mut self,
        bytes: &mut Vec<u8>,
        more: usize,
        most: usize,
    ) -> Result<(), Failure> {
        let needed = bytes.len() + more;
        if needed > self.bytes {
            let wanted = (needed + needed / 4).min(most).max(needed);
            let extra = wanted - self.bytes;
            // Nothing else is published with the count, so it needs no ordering.
            self.budget
                .0
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(extra))
                .map_err(|_| Failure::Over(Limit::Buffered))?;
            self.bytes = wanted;
        }
        if needed > bytes.capacity() {
            let is_long = bytes.capacity() >= LONG;
            let grown = bytes.capacity().saturating_mul(4).max(if is_long { LEAP } else { 0 });
            let room = grown.min(most).max(needed);
            bytes.reserve_exact(room - bytes.len());
        }
        Ok(())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.budget.0.fetch_add(self.bytes, Ordering::Relaxed);
    }
}
