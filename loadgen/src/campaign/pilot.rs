//! Rates that follow from a pilot: shares of what the pilot of the same experiment and block found.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::expand;
    use crate::plan::Plan;
    use crate::record::{ActionRecord, Counts, LoadRecord, Placement};
    use crate::spec::{Overrides, Spec};

    fn plan() -> Plan {
        let text = "name = 't'\narms = ['none', 'a']\n[curve]\nload = [50, 95]\nblocks = 2\n";
        expand(&Spec::parse("t.toml", text, Overrides::default()).unwrap()).unwrap()
    }

    /// The record of a pilot that answered so many requests per second.
    fn pilot(trial: &TrialPlan, per_s: u64) -> TrialRecord {
        let counts = Counts { window_ns: 1_000_000_000, ok_in_window: per_s, ..Counts::default() };
        let load: LoadRecord = serde_json::from_value(serde_json::json!({
            "model": "", "login": null, "connections": 1, "request_wire_bytes": 1,
            "counts": counts, "steps": [], "timeline": [], "bytes_sent": null,
            "bytes_received": null, "closed_by_server": null, "server": null,
            "generator": crate::record::GeneratorUse::default(),
        }))
        .unwrap();
        let unfinished = super::super::stage::unfinished("", trial, &Placement::default());
        TrialRecord { actions: vec![ActionRecord::Load(Box::new(load))], ..unfinished }
    }

    #[test]
    fn every_load_of_a_block_has_its_share_of_the_blocks_pilot() {
        let plan = plan();
        let pilots: Vec<_> = plan.trials.iter().filter(|trial| trial.level == 0).collect();
        let records = [pilot(pilots[0], 80_000), pilot(pilots[1], 100_000)];
        for (block, at_half) in [(0, 40_000.0), (1, 50_000.0)] {
            let of_block: Vec<TrialPlan> =
                plan.trials.iter().filter(|t| t.block == block && t.level > 0).cloned().collect();
            assert_eq!(of_block.len(), 6, "two arms and the reference again, at two levels");
            for (planned, resolved) in of_block.iter().zip(resolved(&of_block, &records).unwrap()) {
                let rate = resolved.actions[0].load().unwrap().model.offered_rps().unwrap();
                assert!((rate / at_half - f64::from(planned.level) / 50.0).abs() < 1e-9, "{rate}");
            }
        }
    }

    #[test]
    fn without_its_pilot_a_load_is_not_run() {
        let plan = plan();
        let trial = plan.trials.iter().find(|trial| trial.block == 1 && trial.level > 0).unwrap();
        let pilots: Vec<_> = plan.trials.iter().filter(|trial| trial.level == 0).collect();
        let of_another_block = pilot(pilots[0], 80_000);
        let found_nothing = pilot(pilots[1], 0);
        let failed = TrialRecord {
            outcome: TrialOutcome::Failed { cause: "gone".into() },
            ..pilot(pilots[1], 80_000)
        };
        for records in [vec![], vec![of_another_block], vec![found_nothing], vec![failed]] {
            let cause = resolved(std::slice::from_ref(trial), &records).unwrap_err();
            assert_eq!(cause, "the pilot of block 2 found no rate");
        }
    }
}
