//! Rates that follow from a pilot: shares of what the pilot of the same experiment and block found.
//!
//! What it found is read from its record, so a campaign that is resumed runs the rest of a block at
//! the rates at which it began.

use crate::load::LoadModel;
use crate::plan::{Action, TrialPlan};
use crate::record::{TrialOutcome, TrialRecord};

/// These trials with every rate known.
///
/// # Errors
/// Why a rate is not known, a clause.
pub(super) fn resolved(
    trials: &[TrialPlan],
    records: &[TrialRecord],
) -> Result<Vec<TrialPlan>, String> {
    trials.iter().map(|trial| of(trial, records)).collect()
}

fn of(trial: &TrialPlan, records: &[TrialRecord]) -> Result<TrialPlan, String> {
    let mut trial = trial.clone();
    let place = (trial.experiment.clone(), trial.block);
    for load in trial.actions.iter_mut().filter_map(Action::load_mut) {
        if let LoadModel::PilotShare(share) = load.model {
            let (experiment, block) = &place;
            let pilot = found(experiment, *block, records)
                .ok_or_else(|| format!("the pilot of block {} found no rate", block + 1))?;
            load.model = LoadModel::Poisson(share.of(pilot));
        }
    }
    Ok(trial)
}

/// Right answers per second of the pilot of this experiment and block.
fn found(experiment: &str, block: u32, records: &[TrialRecord]) -> Option<f64> {
    let is_here = |r: &&TrialRecord| {
        (r.trial.experiment.as_str(), r.trial.block) == (experiment, block)
            && r.outcome == TrialOutcome::Complete
    };
    let rates = records.iter().filter(is_here).flat_map(TrialRecord::pilots);
    rates.map(|load| load.counts.goodput_rps()).find(|rate| *rate > 0.0)
}
