//! What the records of a campaign come to: figures, comparisons, primary endpoints, noise floors.
//! Plain data, made by `estimates` and `compare` and shown by every page, so that no file that
//! makes some of it needs one that reads it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::key::{Key, KeyOfComparison, Keyed, Place};
use crate::experiment::Metric;
use crate::plan::Primary;
use crate::stats::{Cause, Estimate, Moments, Resampled, Tests, Verdict};

/// The relative difference that still counts as equal. A smaller one would decide no choice of a
/// scheme, and two cores cannot tell it from noise.
pub(super) const MARGIN: f64 = 0.03;

/// One figure: a metric of an arm at a level.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Measurement {
    /// Which figure.
    #[serde(flatten)]
    pub key: Key,
    /// Unit of the metric.
    pub unit: &'static str,
    /// The figure with its interval.
    pub estimate: Estimate,
    /// Whether it may be used: false when fewer than two thirds of the trials are valid; the figure
    /// is then of all of them.
    pub valid: bool,
    /// The values of the trials, by block.
    #[serde(skip)]
    pub by_block: BTreeMap<u32, f64>,
    /// Its values in campaigns drawn anew, where single trials have none.
    #[serde(skip)]
    pub resampled: Option<Resampled>,
}

impl Keyed for Measurement {
    fn key(&self) -> &Key {
        &self.key
    }
}

/// Two arms compared, in one metric at one level.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Comparison {
    /// Which figure is compared.
    #[serde(flatten, serialize_with = "Key::without_load")]
    #[schemars(with = "KeyOfComparison<'static>")]
    pub key: Key,
    /// The arm it is compared with.
    pub against: String,
    /// Arm divided by the other; `None` where a value is not positive.
    pub ratio: Option<Estimate>,
    /// Arm minus the other, in the metric's unit.
    pub difference: Estimate,
    /// The scale on which arms are compared in this metric.
    pub compared_as: ComparedAs,
    /// What is called no difference, because the reference differs as much from itself: a share for
    /// a ratio, the metric's unit for a difference; `None` without a valid A/A pair.
    pub noise_floor: Option<f64>,
    /// What the campaign says of it; `None` where it is exploratory.
    pub ruling: Option<Ruled>,
}

impl Comparison {
    /// Its verdict; `None` where it is exploratory.
    pub fn verdict(&self) -> Option<Verdict> {
        self.ruling.as_ref().map(|ruling| ruling.verdict)
    }

    /// Whether it compares this arm with that one.
    pub(super) fn is_between(&self, arm: &str, against: &str) -> bool {
        self.key.arm == arm && self.against == against
    }
}

impl Keyed for Comparison {
    fn key(&self) -> &Key {
        &self.key
    }
}

/// What of two arms is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ComparedAs {
    /// The ratio: rates, times, bytes.
    Ratio,
    /// The difference: what may be 0 or less.
    Difference,
}

/// A primary endpoint, and its outcome.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Endpoint {
    /// What was declared.
    #[serde(flatten)]
    pub declared: Primary,
    /// Its metric.
    #[serde(skip)]
    pub metric: &'static Metric,
    /// Unit of the metric.
    pub unit: &'static str,
    /// Arm divided by the other; `None` for a growth, and where a value is not positive.
    pub ratio: Option<Estimate>,
    /// Arm minus the other, or how much that has grown, in the metric's unit; `None` where it was
    /// not measured.
    pub difference: Option<Estimate>,
    /// What is tested, and so the scale of the noise floor and the smallest effect.
    pub compared_as: ComparedAs,
    /// See [`Comparison::noise_floor`].
    pub noise_floor: Option<f64>,
    /// The verdict and its tests.
    #[serde(flatten)]
    pub ruling: Ruled,
    /// On the scale of what is tested; `None` with fewer than two blocks.
    #[serde(skip)]
    pub(super) moments: Option<Moments>,
    /// Where its figures stand, and those that it grows from.
    #[serde(skip)]
    pub(super) places: Vec<Place>,
}

impl Endpoint {
    /// Where its figures stand; `None` where nothing was measured.
    pub(super) fn place(&self) -> Option<Place> {
        self.places.first().copied()
    }

    /// Whether this comparison is what was declared.
    pub(super) fn declares(&self, comparison: &Comparison) -> bool {
        let Primary { experiment, arm, against, from, .. } = &self.declared;
        from.is_none()
            && comparison.key.measures(experiment, self.metric)
            && comparison.is_between(arm, against)
            && self.place() == Some(comparison.key.place())
    }

    /// Whether a figure is one of those that it compares.
    pub(super) fn rests_on(&self, figure: &Key) -> bool {
        let Primary { experiment, arm, against, .. } = &self.declared;
        figure.measures(experiment, self.metric)
            && [arm, against].into_iter().any(|arm| figure.arm == *arm)
            && self.places.contains(&figure.place())
    }
}

/// What the campaign says of a primary endpoint, after the correction for all of them and the noise
/// floor.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Ruled {
    /// What it says.
    pub verdict: Verdict,
    /// Why it says nothing, when it is inconclusive.
    pub cause: Option<Cause>,
    /// The smallest true effect that would have been called a difference with 80 % power: a share
    /// for a ratio, the metric's unit for a difference.
    pub smallest_effect: Option<f64>,
    /// The tests, with their p values before and after the correction.
    pub tests: Tests,
}

/// The reference compared with its twin: what a campaign shows where there is nothing to see.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct NoiseFloor {
    /// Which figure was measured twice.
    #[serde(flatten, serialize_with = "Key::without_load")]
    #[schemars(with = "KeyOfComparison<'static>")]
    pub key: Key,
    /// The second run divided by the first; `None` where a value is not positive.
    pub ratio: Option<Estimate>,
    /// The second run minus the first, in the metric's unit.
    pub difference: Estimate,
    /// What is tested, and so the scale of the floor.
    pub compared_as: ComparedAs,
    /// What is called no difference: a share for a ratio, the metric's unit for a difference.
    pub floor: Option<f64>,
    /// Whether the two runs differ by more than chance, corrected over all pairs that matter: the
    /// campaign then shows a difference between equals.
    pub differs: bool,
    /// On the scale of what is tested.
    #[serde(skip)]
    pub(super) moments: Option<Moments>,
}

impl Keyed for NoiseFloor {
    fn key(&self) -> &Key {
        &self.key
    }
}
