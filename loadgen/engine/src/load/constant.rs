//! The open model with a constant rate: request n is due at n / rate, whatever the answers do.

use serde::{Deserialize, Serialize};

/// Arrivals at a constant rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Constant {
    /// Requests per second, above 0.
    pub rate_per_s: f64,
}

impl Constant {
    /// When arrival `n` is due, ns after the start. Computed from n, not by adding intervals, so
    /// that no rounding error builds up.
    pub fn arrival_ns(&self, n: u64) -> u64 {
        (n as f64 * 1e9 / self.rate_per_s) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_are_where_the_rate_puts_them() {
        for (rate, n, due) in [
            (1.0, 0, 0),
            (1.0, 1, 1_000_000_000),
            (1000.0, 1000, 1_000_000_000),
            (3.0, 1, 333_333_333),
            (3.0, 3, 1_000_000_000),
            (0.5, 2, 4_000_000_000),
            (10_000.0, 36_000_000, 3_600_000_000_000),
            (1e7, 7, 700),
        ] {
            assert_eq!(Constant { rate_per_s: rate }.arrival_ns(n), due, "{rate}/s, n = {n}");
        }
    }
}
