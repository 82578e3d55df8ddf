//! Carries out a plan: every arm attacked once, then a fresh server for every trial, its actions in
//! order, a record at the end.

mod act;
mod again;
mod drill;
mod gate;
mod latest;
mod pilot;
mod probe;
mod progress;
mod search;
mod stage;
mod together;
mod trial;

use std::collections::{BTreeMap, BTreeSet};

use servers::contract::Share;

use crate::error::{Error, Interrupt, Result};
use crate::experiment::{self, enough_valid};
use crate::plan::{Plan, TrialPlan};
use crate::proc::placed;
use crate::record::{ActionRecord, Begun, Placement, TrialOutcome, TrialRecord};

pub use gate::Spared;
pub use latest::{LastTrial, Latest};
pub use probe::Probe;
pub use progress::Progress;
pub use trial::run_trial;

/// Attacks every arm of a plan that is not spared, then runs every trial that is not done yet and
/// writes its record.
///
/// The campaign does not know which experiment a trial belongs to, and computes no figure. A trial
/// that fails leaves a record that says why, and the next one runs; only an interrupt or a disk
/// that does not take the record ends the campaign, and every record written before stays whole.
/// What a campaign that was ended before had done is not run again. Trials that something disturbed
/// are, at most twice.
///
/// # Errors
/// `Target` when an arm does not hold against the attacks, before anything is timed; `Interrupted`
/// when a signal comes, `Io` when a record cannot be written; else, after the last trial, `Target`
/// when one failed and `Invalid` when a cell has no figure that may be used. The records are there
/// in any case.
pub fn run(
    plan: &Plan,
    begun: &Begun,
    placement: &Placement,
    spared: Spared,
    interrupt: &Interrupt,
    progress: &mut dyn Progress,
) -> Result<()> {
    let hash = plan.hash();
    let mut records = begun.done.clone();
    if records.len() < plan.trials.len() {
        gate::pass(plan, &begun.folder, spared, interrupt, progress)?;
    }
    let mut budget = again::Budget::new(plan, &begun.refused);
    let done: BTreeSet<u32> = records.iter().map(|record| record.trial.index).collect();
    for trials in plan.trials.chunk_by(TrialPlan::is_together_with) {
        if trials.iter().all(|trial| done.contains(&trial.index)) {
            continue;
        }
        // Trials that ran together are compared round by round, so they run again together.
        let again = |record: &TrialRecord| trials.iter().any(|t| t.index == record.trial.index);
        records.retain(|record| !again(record));
        trials.iter().for_each(|trial| progress.begins(trial));
        let before = trials.iter().find_map(|trial| begun.refused.get(&trial.index).cloned());
        // Those of a level are placed alike.
        let place = trials.iter().find_map(TrialPlan::place);
        let placement = &place.map_or_else(|| placement.clone(), |place| placed(place, placement));
        let planned = pilot::resolved(trials, &records);
        let run = || -> Result<Vec<TrialRecord>> {
            let mut ended = match planned.as_deref() {
                Err(cause) => {
                    let failed = |trial| stage::never_run(&hash, trial, placement, cause);
                    trials.iter().map(failed).collect()
                }
                Ok([trial]) if trial.slices().is_none() => {
                    vec![run_trial(&hash, trial, placement, interrupt)?]
                }
                Ok(trials) => together::run_together(&hash, trials, placement, interrupt)?,
            };
            ended.iter_mut().for_each(|record| allow(plan.max_transport_errors, record));
            Ok(ended)
        };
        let write = |record: &TrialRecord, planned: &TrialPlan| -> Result<TrialRecord> {
            let (trial, origin) = (planned.clone(), Some(begun.origin.clone()));
            let record = TrialRecord { trial, origin, ..record.clone() };
            begun.folder.write_record(&record)?;
            Ok(record)
        };
        let refuse = |refused: &[TrialRecord]| {
            progress.repeats(refused);
            refused.iter().zip(trials).try_for_each(|pair| write(pair.0, pair.1).map(drop))
        };
        let ended = again::attempt(before.unwrap_or_default(), &mut budget, run, refuse)?;
        for (record, planned) in ended.iter().zip(trials) {
            let record = write(record, planned)?;
            progress.ended(&record);
            records.push(record);
        }
    }
    records.sort_by_key(|record| record.trial.index);
    judge(&records)
}

/// Notes in the loads of a trial which share of requests may end with their connection, where the
/// campaign says so.
fn allow(transport_errors: Option<Share>, record: &mut TrialRecord) {
    let Some(share) = transport_errors else { return };
    for action in &mut record.actions {
        if let ActionRecord::Load(load) = action {
            load.client.transport_errors_ppm = share.ppm();
        }
    }
}

/// Whether the records are what was hoped for.
fn judge(records: &[TrialRecord]) -> Result<()> {
    let failed: Vec<_> = records
        .iter()
        .filter_map(|record| match &record.outcome {
            TrialOutcome::Failed { cause } => Some(cause),
            TrialOutcome::Complete => None,
        })
        .collect();
    if let Some(first) = failed.first() {
        return Err(Error::Target(format!(
            "{} of {} trials failed, the first because {first}",
            failed.len(),
            records.len()
        )));
    }
    let cell = |record: &TrialRecord| {
        let trial = &record.trial;
        (trial.experiment.clone(), trial.name(), trial.level)
    };
    let mut cells: BTreeMap<_, (usize, usize, bool)> = BTreeMap::new();
    let mut reason = None;
    for record in records {
        let (valid, trials, at_fault) = cells.entry(cell(record)).or_default();
        *trials += 1;
        let doubts = experiment::doubts(record);
        *at_fault |= doubts.iter().any(|doubt| doubt.invalidates && doubt.is_outcome());
        match doubts.into_iter().find(|doubt| doubt.invalidates) {
            None => *valid += 1,
            Some(doubt) => drop(reason.get_or_insert(doubt)),
        }
    }
    let all = cells.len();
    cells.retain(|_, (valid, trials, at_fault)| *at_fault || !enough_valid(*valid, *trials));
    match (cells.keys().next(), reason) {
        (Some((experiment, arm, level)), Some(doubt)) => Err(Error::Invalid(format!(
            "{} of {all} cells are invalid, {experiment} of {arm} at level {level} among them: {}; \
             {}",
            cells.len(),
            doubt.what,
            doubt.remedy
        ))),
        _ => Ok(()),
    }
}
