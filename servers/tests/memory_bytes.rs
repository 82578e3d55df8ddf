//! What a session costs in the memory store, in bytes that jemalloc has handed out: at most 160
//! each at a million sessions of the standard record, everything counted. It is a slope, so what
//! the process had before does not count.

#![allow(clippy::unwrap_used, reason = "tests, and their helpers, which clippy does not exempt")]

use std::time::Duration;

use servers::cart::Cart;
use servers::clock::Timestamp;
use servers::stores::memory::MemoryStore;
use servers::stores::{Session, SessionData, SessionId, SessionStore};
use servers::users::{User, UserId};
use tikv_jemalloc_ctl::{epoch, stats};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn allocated() -> usize {
    epoch::advance().unwrap();
    stats::allocated::read().unwrap()
}

/// Fault 24: a sweep gives the memory back.
/// Fault 26: a session leaves nothing.
#[tokio::test]
async fn a_session_stays_under_its_bar_and_is_given_back() {
    let now = Timestamp::from_seconds(2_000_000_000);
    let before = allocated();
    let store = MemoryStore::new(None);
    let mut filled = 0;
    for level in [1_000, 10_000, 100_000, 460_000, 1_000_000_u32] {
        for n in filled..level {
            let user = User::of(UserId::new(n).unwrap());
            let data = SessionData { user, cart: Cart::default() };
            let session = Session::begin(data, now, Duration::from_secs(900));
            assert!(store.create(SessionId::generate().unwrap(), session).await.unwrap());
        }
        filled = level;
        let bytes = (allocated() - before) as f64 / f64::from(level);
        println!("{level:>9} sessions: {bytes:.1} bytes each");
        assert!(level < 100_000 || bytes <= 160.0, "{bytes} bytes at {level}");
    }
    let full = allocated() - before;
    assert_eq!(store.sweep(now.plus(Duration::from_secs(900))).await.unwrap(), 1_000_000);
    let left = allocated().saturating_sub(before);
    println!("after the sweep: {left} of {full} bytes");
    assert!(left < full / 500, "{left} of {full} bytes kept");
}
