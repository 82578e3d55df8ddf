//! The open model with random arrivals: gaps are independent and exponential, so arrivals come in
//! clumps, as those of many independent users do.

use serde::{Deserialize, Serialize};

use crate::random::exponential;

/// Arrivals of a Poisson process.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Poisson {
    /// Mean requests per second, above 0.
    pub rate_per_s: f64,
}

impl Poisson {
    /// The gap before arrival `n` of the process that `seed` draws, ns.
    pub fn gap_ns(&self, seed: u64, n: u64) -> f64 {
        exponential(seed, n) * 1e9 / self.rate_per_s
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_have_the_mean_and_the_spread_of_an_exponential() {
        let poisson = Poisson { rate_per_s: 2000.0 };
        let gaps: Vec<f64> = (0..100_000).map(|n| poisson.gap_ns(5, n) / 1e3).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((mean / 500.0 - 1.0).abs() < 0.01, "{mean}");
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.02, "{}", variance.sqrt() / mean);
        let long = gaps.iter().filter(|gap| **gap > 1500.0).count() as f64 / gaps.len() as f64;
        assert!((long / (-3.0f64).exp() - 1.0).abs() < 0.05, "{long}");
    }
}
