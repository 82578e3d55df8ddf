//! The closed model: each user waits for the answer, thinks, and asks again.

use serde::{Deserialize, Serialize};

use crate::random::exponential;

/// A fixed population.
///
/// Throughput and latency are tied to each other here (N = X * (R + Z), Little's law), so a closed
/// run shows what a fixed population gets, not what a rate does to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Closed {
    /// Mean time between an answer and the user's next request, ns. With 0, as many users are
    /// active as there are connections, and each takes the next user's credential in turn.
    pub think_ns: u64,
    /// How think times are spread.
    pub spread: Spread,
    /// The requests of Measure after which the load ends, Measure being the longest that it may
    /// take; `None`: it ends with Measure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u32>,
}

/// How think times are spread around their mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Spread {
    /// All of the same length.
    #[default]
    Fixed,
    /// Exponential: as spread as memory-less users are.
    Exponential,
}

impl Closed {
    /// Users who never think.
    pub const fn without_thinking() -> Self {
        Self { think_ns: 0, spread: Spread::Fixed, requests: None }
    }

    /// The think time of a user, `seed`, after request `n` of theirs, ns.
    pub fn think_ns(&self, seed: u64, n: u64) -> u64 {
        match self.spread {
            Spread::Fixed => self.think_ns,
            Spread::Exponential => (self.think_ns as f64 * exponential(seed, n)) as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn think_times_have_their_mean() {
        let fixed = Closed { think_ns: 7, ..Closed::without_thinking() };
        assert!((0..9).all(|n| fixed.think_ns(n, n) == 7));
        let spread = Closed { think_ns: 1_000_000, spread: Spread::Exponential, ..fixed };
        let times: Vec<u64> = (0..50_000).map(|n| spread.think_ns(3, n)).collect();
        let mean = times.iter().sum::<u64>() as f64 / times.len() as f64;
        assert!((mean / 1e6 - 1.0).abs() < 0.02, "{mean}");
        assert!(times.iter().any(|ns| *ns > 3_000_000) && times.iter().any(|ns| *ns < 100_000));
    }
}
