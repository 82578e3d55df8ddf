//! How far equal arms of a campaign seem to differ.

use super::CONFIDENCE;
use super::compare::Moments;

/// The noise floor of one metric at one place, from the campaign's A/A pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Floor {
    /// The campaign has no such pair: it was made by an older version.
    NotMeasured,
    /// It has one, with fewer than two valid blocks here.
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
