//! What a campaign tells those who watch it.

use crate::plan::TrialPlan;
use crate::record::{Attacked, TrialRecord};

/// Hears how a campaign goes on.
pub trait Progress {
    /// An arm is attacked, with this case.
    fn attacks(&mut self, arm: &str, case: &str);
    /// The attacks on an arm are over.
    fn attacked(&mut self, attacked: &Attacked);
    /// A trial begins.
    fn begins(&mut self, trial: &TrialPlan);
    /// Trials that ran together were disturbed, and run again.
    fn repeats(&mut self, refused: &[TrialRecord]);
    /// A trial is over.
    fn ended(&mut self, record: &TrialRecord);
}
