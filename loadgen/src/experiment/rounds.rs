//! The pace of servers that took turns: what their rounds say that their totals do not.

use std::collections::BTreeMap;

use crate::load::LoadModel;
use crate::record::{SliceRecord, TrialRecord};
use crate::stats::lane_effects;

/// What the totals of a trial are to be multiplied by, by the trial's place in the plan. A trial
/// that shared no load, or whose load was to keep a rate, is not in it: there is nothing to
/// correct.
///
/// Trials that shared a load are compared round by round ([`lane_effects`]). What each answered per
/// second is then told by two figures: the level of all of them by their totals, and what they
/// differ by by their rounds.
pub fn paces(records: &[&TrialRecord]) -> BTreeMap<u32, f64> {
    let mut together: BTreeMap<_, Vec<&TrialRecord>> = BTreeMap::new();
    for record in records.iter().filter(|record| is_closed(record)) {
        let trial = &record.trial;
        let group = (&trial.experiment, trial.block, trial.level, record.started_unix_ms);
        together.entry(group).or_default().push(record);
    }
    together.into_values().flat_map(|lanes| of_group(&lanes).unwrap_or_default()).collect()
}

fn is_closed(record: &TrialRecord) -> bool {
    let slices = record.trial.slices();
    slices.is_some_and(|slices| matches!(slices.load.model, LoadModel::Closed(_)))
}

fn of_group(lanes: &[&TrialRecord]) -> Option<Vec<(u32, f64)>> {
    let slices: Vec<&[SliceRecord]> =
        lanes.iter().map(|lane| lane.loads().next().map_or(&[][..], |load| &load.slices)).collect();
    // All windows are of the same length.
    let pace = |slice: &SliceRecord| (slice.ok_in_window as f64).ln();
    let logs: Vec<Vec<f64>> =
        slices.iter().map(|slices| slices.iter().map(pace).collect()).collect();
    let effects = lane_effects(&logs)?;
    let total = |slices: &&[SliceRecord]| {
        let mean = slices.iter().map(|s| s.ok_in_window).sum::<u64>() as f64 / slices.len() as f64;
        mean.ln()
    };
    let totals: Vec<f64> = slices.iter().map(total).collect();
    let level = totals.iter().sum::<f64>() / totals.len() as f64;
    let factors = effects.iter().zip(&totals).map(|(effect, total)| (effect - total + level).exp());
    Some(lanes.iter().map(|lane| lane.trial.index).zip(factors).collect())
}

#[cfg(test)]
mod tests {
    use super::super::sample::{load, plan, record};
    use super::*;
    use crate::record::ActionRecord;

    const CLOSED: &str = "[concurrency]\nusers=[8]\nblocks=1\nslice='15ms'\n";

    /// The trials of one block, whose lanes answer so many requests in each slice.
    fn block(table: &str, ok: impl Fn(usize, usize) -> u64) -> Vec<TrialRecord> {
        let of_lane = |(lane, trial)| {
            let slice =
                |round| SliceRecord { ok_in_window: ok(lane, round), ..SliceRecord::default() };
            let mut load = load(1000);
            load.slices = (0..40).map(slice).collect();
            record(trial, vec![ActionRecord::Load(Box::new(load))])
        };
        plan(table).unwrap().trials.iter().enumerate().map(of_lane).collect()
    }

    fn paces_of(records: &[TrialRecord]) -> BTreeMap<u32, f64> {
        paces(&records.iter().collect::<Vec<_>>())
    }

    #[test]
    fn a_server_is_not_charged_for_slices_that_the_machine_cut() {
        // Two equal servers; one slice in ten of the second is cut to a tenth.
        let cut = |lane, round| if lane == 1 && round % 10 == 0 { 100 } else { 1000 };
        let records = block(CLOSED, cut);
        let paces = paces_of(&records);
        let paces: Vec<f64> = records.iter().map(|r| paces[&r.trial.index]).collect();
        let total = |lane: usize| {
            let slices = &records[lane].loads().next().unwrap().slices;
            slices.iter().map(|slice| slice.ok_in_window).sum::<u64>() as f64
        };
        assert!(total(1) / total(0) < 0.92, "totals call it 9 % slower");
        let ratio = total(1) * paces[1] / (total(0) * paces[0]);
        assert!((ratio - 1.0).abs() < 1e-9, "{ratio}");
        assert!((paces[0] * paces[1] - 1.0).abs() < 1e-9, "the level is that of the totals");
    }

    #[test]
    fn only_closed_loads_that_ran_together_are_corrected() {
        let one = block(CLOSED, |_, _| 1000);
        assert_eq!(paces_of(&one[..1]), BTreeMap::new());
        let mut apart = one.clone();
        apart[1].started_unix_ms += 60_000;
        assert_eq!(paces_of(&apart), BTreeMap::new());
        let whole = block("[concurrency]\nusers=[8]\nblocks=1\nslice='0ms'\n", |_, _| 1000);
        assert_eq!(paces_of(&whole), BTreeMap::new());
        assert_eq!(paces_of(&block(CLOSED, |_, _| 0)), BTreeMap::new());
    }
}
