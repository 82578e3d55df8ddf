//! The statistics that verdicts rest on: small, pure, and shown to be right by simulation. n counts
//! trials, never requests: requests of one process are not independent. Every method names its
//! source, and every test the origin of its numbers.

mod bootstrap;
mod censored;
mod compare;
mod floor;
mod growth;
mod heterogeneity;
mod holm;
mod independent;
mod interval;
mod judge;
mod lack;
mod least;
mod power;
mod quotient;
pub mod random;
mod rounds;
mod slope;
mod steady;
mod usl;

use serde::{Deserialize, Serialize};

pub use bootstrap::{REPLICATES, Resampled, draws};
pub use censored::{Bounds, between};
pub use compare::Moments;
pub use floor::Floor;
pub use growth::growth;
pub use heterogeneity::{Heterogeneity, heterogeneity};
pub use holm::holm;
pub use independent::{
    Apart, ApartQuestion, Independent, independent_difference, independent_ratio, judge_apart,
};
pub use interval::{
    Scale, estimate, exact, log_ratios, paired_difference, paired_ratio, resampled,
    resampled_difference, resampled_ratio,
};
pub use judge::{Cause, Question, Ruling, Tests, judge};
pub use lack::LackOfFit;
pub use power::{POWER, Planned, planned};
pub use quotient::quotient;
pub use rounds::lane_effects;
pub use slope::{slope_over_trials, theil_sen};
pub use steady::{SECONDS_MIN, Series, steady_from};
pub use usl::{LEVELS_MIN, Level, Usl, UslFit, fit_levels};

/// Confidence of every interval.
///
/// An interval comes from Student's t over the blocks, on the logarithm for rates, times and bytes,
/// and on the plain scale for slopes and differences. A percentile bootstrap is used only where
/// tests show that it covers what it says, which with 3 to 10 blocks it does not.
pub const CONFIDENCE: f64 = 0.95;

/// A figure that never travels without its doubt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
