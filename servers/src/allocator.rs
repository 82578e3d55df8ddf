//! What the allocator says of this process.

use std::hint::black_box;

use tikv_jemalloc_ctl::{Access, AsName, epoch, stats, thread};

/// Whether this process allocates from jemalloc, seen by allocating and asking whether it noticed:
/// the library may be linked, and answer, and not be the allocator.
pub(crate) fn runs_on_jemalloc() -> bool {
    let Ok(allocated) = thread::allocatedp::read() else { return false };
    let before = allocated.get();
    drop(black_box(vec![1_u8; 4096]));
    allocated.get() >= before + 4096
}

/// What the program has allocated and not freed, bytes. jemalloc counts as allocated what a thread
/// has freed and keeps at hand, half a mebibyte after a burst of connections, which it gives back
/// as it goes on allocating: memory would fall as users log in. The figures are a snapshot that is
/// taken when the epoch is advanced.
pub(crate) fn allocated() -> Option<u64> {
    epoch::advance().ok()?;
    // 4096 stands for all arenas (`MALLCTL_ARENAS_ALL`).
    let at_hand = ["stats.arenas.4096.tcache_bytes\0", "stats.arenas.4096.tcache_stashed_bytes\0"];
    let at_hand = at_hand.into_iter().map(|name| Access::<usize>::read(name.name()));
    let at_hand = at_hand.sum::<Result<usize, _>>().ok()?;
    Some(stats::allocated::read().ok()?.saturating_sub(at_hand) as u64)
}
