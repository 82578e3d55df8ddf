//! What makes figures doubtful: the doubts of trials, gathered by kind and place, and those of the
//! machine.

use std::collections::{BTreeMap, BTreeSet};

use super::analysis::{DoubtSummary, WHOLE};
use super::figures::NoiseFloor;
use super::words;
use crate::experiment::{self, Judged};
use crate::plan::Plan;
use crate::record::{Doubt, Host, Origin, TrialOutcome, TrialRecord};
use crate::units::grouped;

/// How many trials of an experiment, a level and an arm have a doubt.
type Places = BTreeMap<(String, u32, String), u32>;

pub(super) fn doubts(plan: &Plan, host: &Host, trials: &[Judged]) -> Vec<DoubtSummary> {
    let mut found: Vec<DoubtSummary> = Vec::new();
    let records: Vec<&TrialRecord> = trials.iter().map(|trial| trial.record).collect();
    for doubt in host_doubts(host, &records) {
        found.push(DoubtSummary { doubt, places: vec![WHOLE.into()] });
    }
    let mut by_code: BTreeMap<String, (Doubt, Places)> = BTreeMap::new();
    for Judged { record, doubts, .. } in trials {
        let trial = &record.trial;
        let failed = match &record.outcome {
            TrialOutcome::Complete => None,
            TrialOutcome::Failed { cause } => Some(Doubt {
                invalidates: true,
                code: "failed".into(),
                what: cause.clone(),
                remedy: "run the campaign again once the cause is gone".into(),
            }),
        };
        let repeated = record.refused.last().map(|attempt| Doubt {
            invalidates: false,
            code: "repeated".into(),
            what: format!(
                "trials were run again because something disturbed them, such as: {}",
                attempt.why
            ),
            remedy: "nothing: the last attempt counts, whatever it found; if many were, stop what \
                     else runs on this machine"
                .into(),
        });
        for doubt in doubts.iter().chain(&failed).chain(&repeated) {
            let (worst, places) = by_code
                .entry(doubt.code.clone())
                .or_insert_with(|| (doubt.clone(), BTreeMap::new()));
            // The words of one that does not invalidate may say so.
            if doubt.invalidates && !worst.invalidates {
                *worst = doubt.clone();
            }
            let place = (trial.experiment.clone(), trial.level, trial.name().to_string());
            *places.entry(place).or_default() += 1;
        }
    }
    for (doubt, places) in by_code.into_values() {
        let place = |((experiment, level, arm), count): ((String, u32, String), u32)| {
            let of = plan
                .trials
                .iter()
                .filter(|t| t.experiment == experiment && t.level == level && t.name() == arm)
                .count();
            let at = match level {
                0 => String::new(),
                level => {
                    let named = experiment::find(&experiment).map(|e| e.level(level));
                    format!(" at {}", named.unwrap_or_default())
                }
            };
            format!("{experiment}, {arm}{at}: {count} of {of} trials")
        };
        found.push(DoubtSummary { doubt, places: places.into_iter().map(place).collect() });
    }
    let missing = plan.trials.len().saturating_sub(records.len());
    if missing > 0 {
        found.push(DoubtSummary {
            doubt: Doubt {
                invalidates: false,
                code: "incomplete".into(),
                what: format!("{missing} of {} planned trials were not run", plan.trials.len()),
                remedy: "let the campaign run to its end".into(),
            },
            places: vec![WHOLE.into()],
        });
    }
    found
}

/// The doubt that follows from an A/A pair that differs: the campaign sees what is not there.
pub(super) fn pair_doubt(floors: &[NoiseFloor]) -> Option<DoubtSummary> {
    let place = |floor: &NoiseFloor| {
        let at = floor
            .key
            .users
            .map_or_else(String::new, |users| format!(" at {} users", grouped(users)));
        let swept = words::swept(&floor.key.experiment, floor.key.level);
        format!("{}, {}{at}{swept}", floor.key.experiment, floor.key.metric.label)
    };
    let places: Vec<String> = floors.iter().filter(|f| f.differs).map(place).collect();
    let doubt = Doubt {
        invalidates: false,
        code: "aa_pair_differs".into(),
        what: "the same arm, measured twice, differed from itself by more than chance".into(),
        remedy:
            "what is called a difference there is larger than that; find out what disturbs the \
                 machine, or repeat with more blocks (by chance it happens in one campaign of \
                 twenty)"
                .into(),
    };
    (!places.is_empty()).then_some(DoubtSummary { doubt, places })
}

/// Share of CPU time taken away by the host beyond which figures are noisier than need be.
const STEAL_MAX: f64 = 0.02;

/// What of the machine makes every figure doubtful.
fn host_doubts(host: &Host, records: &[&TrialRecord]) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    let mut doubt = |invalidates, code: &str, what: String, remedy: &str| {
        doubts.push(Doubt { invalidates, code: code.into(), what, remedy: remedy.into() });
    };
    if host.profile == "debug" {
        doubt(
            true,
            "debug_build",
            "this is a debug build: its figures are those of unoptimised code".into(),
            "build with --release",
        );
    }
    let origins = || records.iter().map(|record| record.origin.as_ref());
    let places: BTreeSet<_> = origins().map(|origin| origin.map(Origin::place)).collect();
    if places.len() > 1 {
        doubt(
            false,
            "mixed",
            format!(
                "trials of {} machines or programs are mixed, and figures of this page are of them \
                 together",
                places.len()
            ),
            "run the campaign on one machine with one build",
        );
    }
    let starts: BTreeSet<_> = origins().flatten().map(|origin| origin.start).collect();
    if starts.len() > 1 {
        doubt(
            false,
            "resumed",
            format!(
                "the campaign was interrupted and resumed: it was run in {} parts",
                starts.len()
            ),
            "the machine may have changed between them: repeat it in one go before quoting \
             absolute figures",
        );
    }
    if records.iter().any(|record| record.placement.shared()) {
        doubt(
            false,
            "shared_cores",
            "server and generator ran on the same core".into(),
            "use a machine with at least two cores",
        );
    }
    if host.cores.len() == 2 {
        doubt(
            false,
            "two_cores",
            "server and generator had one core each; what the kernel does for both runs there too"
                .into(),
            "compare arms by ratio and by CPU time per request; repeat on more cores before \
             quoting requests per second",
        );
    }
    if host.virtualised {
        doubt(
            false,
            "virtual_machine",
            "this is a virtual machine: its speed depends on its neighbours".into(),
            "trust ratios within a block before bare times; repeat on a machine of your own",
        );
    }
    let steal = records.iter().map(|record| record.steal).fold(0.0, f64::max);
    if steal > STEAL_MAX {
        doubt(
            false,
            "steal",
            format!("the host took {:.0} % of the CPU time away in a trial", steal * 100.0),
            "repeat when the machine is quiet",
        );
    }
    doubts
}

#[cfg(test)]
mod tests {
    use crate::record::ActionRecord;
    use crate::report::tests::sample;

    #[test]
    fn the_words_of_a_doubt_are_those_of_a_trial_that_it_invalidates() {
        let plan = sample::plan(&["none", "session@memory", "jwt-hs256"], 5);
        let waited = |of_block: fn(u32) -> f64| {
            let analysis = sample::analysis_of(&plan, |record| {
                let waited = of_block(record.trial.block);
                for action in &mut record.actions {
                    if let ActionRecord::Load(load) = action {
                        load.generator.waited = waited;
                    }
                }
            });
            let mut found = analysis.doubts.into_iter();
            found.find(|d| d.doubt.code == "generator_contended").expect("a doubt").doubt
        };
        let below = waited(|_| 0.05);
        assert!(!below.invalidates && below.what.contains("less than the 15 %"), "{below:?}");
        let one = waited(|block| if block == 3 { 0.5 } else { 0.05 });
        assert!(one.invalidates && one.what.contains("more than the 15 %"), "{one:?}");
    }
}
