//! How long a request waits for its store, and what follows from that for the parts of one call.

use std::time::Duration;

/// How long a request waits for its store.
///
/// There is one number, `serve --store-timeout`. The parts of a call (a connection, its answer) get
/// less than the whole, so that the store's own error comes before the limit that would hide it.
/// No store has another limit of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience(Duration);

impl Patience {
    /// 400 ms, so that a 503 is out within half a second.
    pub const DEFAULT: Self = Self(Duration::from_millis(400));

    /// Gives up a call after this time; what is 0 gives up at once.
    #[must_use]
    pub const fn new(call: Duration) -> Self {
        Self(call)
    }

    /// For a whole call.
    #[must_use]
    pub const fn call(self) -> Duration {
        self.0
    }

    /// For an answer, or for a new connection that takes several round trips: three quarters.
    #[must_use]
    pub fn answer(self) -> Duration {
        self.0 * 3 / 4
    }

    /// For a connection of a pool to become free: five eighths.
    #[must_use]
    pub fn free_connection(self) -> Duration {
        self.0 * 5 / 8
    }

    /// For the one connection that all requests share to be opened: half, because the answer is
    /// still to come.
    #[must_use]
    pub fn connect(self) -> Duration {
        self.0 / 2
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self::DEFAULT
    }
}
