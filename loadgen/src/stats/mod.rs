//! The statistics that verdicts rest on: small, pure, and shown to be right by simulation.
//!
//! n is the number of trials, never of requests: requests of one process are not independent. An
//! interval comes from Student's t over the blocks, on the logarithm for figures that are ratios by
//! nature (rates, times, bytes) and on the plain scale for slopes and differences. A percentile
//! bootstrap is not offered: with 3 to 10 blocks it covers far less than it says, and the tests
//! here show both.

mod interval;
mod slope;

use serde::{Deserialize, Serialize};

pub use interval::{Scale, estimate, paired_difference, paired_ratio};
pub use slope::theil_sen;

/// Confidence of every interval.
pub const CONFIDENCE: f64 = 0.95;

/// A figure that never travels without its doubt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The best guess.
    pub point: f64,
    /// Where the truth lies with 95 % confidence; `None` where one trial says nothing of it.
    pub interval: Option<(f64, f64)>,
    /// Trials it rests on.
    pub n: u32,
    /// How the point and the interval were obtained.
    pub method: String,
}

/// What a comparison says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The first is lower than the second.
    Lower,
    /// The first is higher than the second.
    Higher,
    /// The two differ by less than the margin.
    Equivalent,
    /// The data do not tell.
    Inconclusive,
}

impl Verdict {
    /// The verdict on a ratio: `margin` is the relative difference that still counts as equal.
    ///
    /// Lower or higher needs the whole interval on one side of 1, equivalent the whole interval
    /// within the margin (two one-sided tests; Schuirmann 1987). A difference that is both real and
    /// within the margin is called equivalent, because it does not matter.
    pub fn on_ratio(ratio: &Estimate, margin: f64) -> Self {
        let Some((lo, hi)) = ratio.interval else { return Self::Inconclusive };
        if lo >= 1.0 / (1.0 + margin) && hi <= 1.0 + margin {
            Self::Equivalent
        } else if hi < 1.0 {
            Self::Lower
        } else if lo > 1.0 {
            Self::Higher
        } else {
            Self::Inconclusive
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts() {
        let ratio = |interval| Estimate { point: 1.0, interval, n: 5, method: String::new() };
        for (interval, verdict) in [
            (Some((0.99, 1.01)), Verdict::Equivalent),
            (Some((1.01, 1.02)), Verdict::Equivalent),
            (Some((0.80, 0.90)), Verdict::Lower),
            (Some((0.95, 0.99)), Verdict::Lower),
            (Some((1.10, 1.20)), Verdict::Higher),
            (Some((0.90, 1.01)), Verdict::Inconclusive),
            (Some((0.50, 2.00)), Verdict::Inconclusive),
            (None, Verdict::Inconclusive),
        ] {
            assert_eq!(Verdict::on_ratio(&ratio(interval), 0.03), verdict, "{interval:?}");
        }
    }
}
