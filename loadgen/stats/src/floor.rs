//! How far a campaign's arms seem to differ when they are the same.

use super::CONFIDENCE;
use super::compare::Moments;

/// What the A/A pair of a campaign says of one metric at one place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Floor {
    /// The campaign has no such pair: it was made by an older version.
    NotMeasured,
    /// It has one, and no two valid blocks of it here.
    Unknown,
    /// The end of the pair's interval that is farther from no difference.
    At(f64),
}

impl Floor {
    /// The floor that such a pair sets.
    pub fn of(pair: Option<Moments>) -> Self {
        pair.map_or(Self::Unknown, |pair| {
            let (lo, hi) = pair.interval(CONFIDENCE);
            Self::At(lo.abs().max(hi.abs()))
        })
    }
}
