//! A record with what makes it doubtful: judged once, when records are read, and then only asked.

use super::doubts;
use crate::record::{Doubt, TrialOutcome, TrialRecord};

/// A trial's record and its doubts.
#[derive(Clone, Debug)]
pub struct Judged<'a> {
    /// What was recorded.
    pub record: &'a TrialRecord,
    /// What makes its figures doubtful ([`doubts`]).
    pub doubts: Vec<Doubt>,
    /// Whether its figures may be used: no doubt invalidates them.
    pub valid: bool,
}

impl<'a> Judged<'a> {
    /// Judges a record.
    pub fn new(record: &'a TrialRecord) -> Self {
        let doubts = doubts(record);
        let valid = !doubts.iter().any(|doubt| doubt.invalidates);
        Self { record, doubts, valid }
    }

    /// Whether the trial was carried out to its end.
    pub fn is_complete(&self) -> bool {
        self.record.outcome == TrialOutcome::Complete
    }

    /// Whether what invalidates it is what the server did, and no fault of the measurement.
    pub fn is_at_fault(&self) -> bool {
        self.doubts.iter().any(|doubt| doubt.invalidates && doubt.is_outcome())
    }
}
