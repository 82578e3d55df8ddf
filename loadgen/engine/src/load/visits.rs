//! The partly open model: users arrive at a rate, log in, make some requests, log out and leave.

use serde::{Deserialize, Serialize};

use super::{Closed, Spread};

/// Users who come and go.
///
/// Arrivals do not wait for the server, and what a user does once there does: between closed and
/// open, and what most sites see (Schroeder, Wierman and Harchol-Balter, NSDI 2006, section 2).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Visits {
    /// Users who arrive, a second, above 0.
    pub rate_per_s: f64,
    /// Whether they arrive at random (a Poisson process) or evenly.
    pub random: bool,
    /// Requests that each makes between login and logout, at least 1; the steps of the journey,
    /// over and over.
    pub requests: u32,
    /// Mean time between an answer and the user's next request, ns.
    pub think_ns: u64,
    /// How think times are spread.
    pub spread: Spread,
}

impl Visits {
    /// The think time of visit `seed` after its request `n`, ns.
    pub fn think_ns(&self, seed: u64, n: u64) -> u64 {
        let closed = Closed { think_ns: self.think_ns, spread: self.spread, requests: None };
        closed.think_ns(seed, n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visitors_think_as_closed_users_do() {
        let visits = Visits {
            rate_per_s: 1.0,
            random: true,
            requests: 3,
            think_ns: 7,
            spread: Spread::Fixed,
        };
        assert_eq!(visits.think_ns(1, 2), 7);
        let spread = Visits { think_ns: 1_000_000, spread: Spread::Exponential, ..visits };
        assert_ne!(spread.think_ns(1, 2), spread.think_ns(1, 3));
        assert_eq!(spread.think_ns(1, 2), spread.think_ns(1, 2));
    }
}
