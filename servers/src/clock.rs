//! The time as the servers see it: whole milliseconds since the Unix epoch.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment: milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment this many milliseconds after the epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// The moment this many seconds after the epoch; the far end of time if that overflows.
    #[must_use]
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down: the unit of a token's claims.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0 / 1000
    }

    /// This moment and a while; the far end of time if that overflows.
    #[must_use]
    pub fn plus(self, while_: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(while_.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// Where the time comes from.
///
/// Expiry is decided at an exact boundary, so tests must be able to stand on it: a [`Clock`] is
/// either the system's or one that a test moves by hand. It is an enum and not a trait object,
/// since it is read once a request. Nothing else in this crate may ask the system for the time of
/// day.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The system's time of day.
    #[default]
    System,
    /// A clock moved by hand.
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// A clock that stands at `start` until [`Clock::set`].
    #[must_use]
    pub fn manual(start: Timestamp) -> Self {
        Self::Manual(Arc::new(AtomicU64::new(start.millis())))
    }

    /// The time now. A system clock before 1970 reads as 1970, where every credential is refused.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
            }
            Self::Manual(now) => Timestamp(now.load(Ordering::SeqCst)),
        }
    }

    /// Moves a manual clock, and every clone of it, to `now`; a system clock is left alone.
    pub fn set(&self, now: Timestamp) {
        if let Self::Manual(cell) = self {
            cell.store(now.millis(), Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_with_its_clones_and_seconds_round_down() {
        let clock = Clock::manual(Timestamp::from_millis(1_999));
        let other = clock.clone();
        assert_eq!(other.now().seconds(), 1);
        clock.set(Timestamp::from_seconds(2));
        assert_eq!(other.now().seconds(), 2);
    }

    #[test]
    fn time_saturates_and_does_not_wrap() {
        let end = Timestamp::from_millis(u64::MAX);
        assert_eq!(end.plus(Duration::from_secs(1)), end);
        assert_eq!(Timestamp::from_seconds(u64::MAX), end);
    }
}
