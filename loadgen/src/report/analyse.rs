//! Estimates, comparisons and doubts of a whole campaign, from its records alone.

use super::analysis::{Analysis, ExperimentSummary};
use super::answer::answer;
use super::claims::{claims, default_prices};
use super::compare::{comparisons, endpoints, noise_floors};
use super::doubts::{doubts, pair_doubt};
use super::estimates::measurements;
use super::figures::MARGIN;
use super::percentiles::percentiles;
use super::probes::probes;
use crate::experiment::{self, Experiment, Judged, steadiness};
use crate::plan::Plan;
use crate::record::{AttackRecord, Host, TrialRecord};

/// Analyses a campaign.
pub fn analyse(plan: &Plan, host: Host, records: &[TrialRecord]) -> Analysis {
    let judged: Vec<Judged> = records.iter().map(Judged::new).collect();
    let complete: Vec<&Judged> = judged.iter().filter(|trial| trial.is_complete()).collect();
    let measurements = measurements(plan, &complete);
    let noise_floors = noise_floors(plan, &measurements);
    let primary = endpoints(plan, &measurements);
    let comparisons = comparisons(plan, &measurements, &noise_floors, &primary);
    let mut doubts = doubts(plan, &host, &judged);
    doubts.extend(pair_doubt(&noise_floors));
    let answer = answer(plan, &measurements, &comparisons, &primary);
    let began = records.iter().map(|record| record.started_unix_ms).min().unwrap_or(0);
    let ended = records.iter().map(|record| record.started_unix_ms + record.wall_ms).max();
    let analysis = Analysis {
        name: plan.name.clone(),
        plan: plan.hash(),
        again: plan.again.clone(),
        seed: plan.seed,
        arms: plan.arms.clone(),
        baseline: plan.baseline.clone(),
        reference: plan.reference.clone(),
        twin: plan.twin(),
        margin: MARGIN,
        prices: plan.prices.clone().unwrap_or_else(default_prices),
        answer,
        experiments: summaries(plan, &complete),
        doubts,
        host,
        measurements,
        primary,
        comparisons,
        noise_floors,
        probes: probes(&complete),
        percentiles: percentiles(&plan.names(), &complete),
        trials_planned: plan.trials.len(),
        trials_complete: complete.len(),
        trials_invalid: complete.iter().filter(|trial| !trial.valid).count(),
        started_unix_ms: began,
        wall_ms: ended.unwrap_or(began) - began,
        placement: placement(records),
        notes: records
            .iter()
            .filter_map(|r| Some((r.trial.arm.clone(), r.server.as_ref()?.notes.clone())))
            .collect(),
        attacks: Vec::new(),
        claims: Vec::new(),
    };
    analysis.with_attacks(None)
}

fn summaries(plan: &Plan, complete: &[&Judged]) -> Vec<ExperimentSummary> {
    let summary = |name: &String| {
        let experiment = experiment::find(name)?;
        let mix = experiment::mix_in_words(plan, name);
        let trials = || plan.trials.iter().filter(|t| t.experiment == *name);
        let blocks = trials().map(|t| t.block + 1);
        Some(ExperimentSummary {
            name: name.clone(),
            question: experiment.question().into(),
            method: match mix {
                Some(mix) => format!("{} {mix}", experiment.method()),
                None => experiment.method().into(),
            },
            remarks: remarks(plan, experiment, complete),
            blocks: blocks.max().unwrap_or(0),
            steadiness: steadiness(trials()),
        })
    };
    plan.experiments.iter().filter_map(summary).collect()
}

/// What happened in the trials of an experiment, arm by arm and in the order of levels. The same
/// words of several trials are said once, with how many of how many trials say so, unless all do.
fn remarks(plan: &Plan, experiment: &dyn Experiment, complete: &[&Judged]) -> Vec<String> {
    let mut said = Vec::new();
    let of_experiment = plan.trials.iter().filter(|t| t.experiment == experiment.name());
    let blocks = of_experiment.map(|trial| trial.block + 1).max().unwrap_or(0);
    for arm in &plan.arms {
        let valid = complete.iter().filter(|judged| judged.valid).map(|judged| judged.record);
        let own = |r: &&TrialRecord| r.trial.experiment == experiment.name() && r.trial.arm == *arm;
        let trials: Vec<&TrialRecord> = valid.filter(own).collect();
        let clauses = trials.iter().flat_map(|record| {
            experiment.remarks(record).into_iter().map(|clause| (clause, record.trial.level))
        });
        let levels: Vec<u32> = trials.iter().map(|record| record.trial.level).collect();
        said.extend(gathered(arm, clauses.collect(), &levels));
        let first: Vec<&TrialRecord> = trials.into_iter().filter(|r| !r.trial.twin).collect();
        let together = experiment.conclusions(&first, blocks, plan.seed);
        said.extend(together.into_iter().map(|clause| format!("{arm} {clause}.")));
    }
    said
}

/// What an arm's trials say at their levels, of all that it had at `levels`.
fn gathered(arm: &str, clauses: Vec<(String, u32)>, levels: &[u32]) -> Vec<String> {
    let mut of_arm: Vec<(String, Vec<u32>)> = Vec::new();
    for (clause, level) in clauses {
        match of_arm.iter_mut().find(|(known, _)| *known == clause) {
            Some((_, said_at)) => said_at.push(level),
            None => of_arm.push((clause, vec![level])),
        }
    }
    of_arm.sort_by_key(|(_, said_at)| said_at.iter().min().copied());
    let sentence = |(clause, said_at): (String, Vec<u32>)| {
        let all = levels.iter().filter(|level| said_at.contains(level)).count();
        match said_at.len() {
            count if count == all => format!("{arm} {clause}."),
            count => format!("{arm} {clause} ({count} of {all} trials)."),
        }
    };
    of_arm.into_iter().map(sentence).collect()
}

fn placement(records: &[TrialRecord]) -> String {
    let Some(record) = records.first() else { return "nothing ran".into() };
    let list = |cores: &[usize]| match cores {
        [] => "no core of their own".to_string(),
        [core] => format!("core {core}"),
        _ => {
            let cores: Vec<_> = cores.iter().map(ToString::to_string).collect();
            format!("cores {}", cores.join(", "))
        }
    };
    let placement = &record.placement;
    format!("server on {}, generator on {}", list(&placement.server), list(&placement.generator))
}

impl Analysis {
    /// The same with the results of attacking the arms.
    #[must_use]
    pub fn with_attacks(self, attacks: Option<AttackRecord>) -> Self {
        let attacks = attacks.map_or_else(Vec::new, |attacks| attacks.arms);
        let with = Self { attacks, ..self };
        Self { claims: claims(&with), ..with }
    }
}

#[cfg(test)]
mod tests {
    use super::gathered;

    #[test]
    fn what_one_trial_says_is_not_said_of_all() {
        let missed = |level: u32| (format!("did not hold {level} %"), level);
        let levels = [25, 70, 25, 70, 95];
        let said = gathered("none", vec![missed(70), missed(25), missed(70)], &levels);
        assert_eq!(said, ["none did not hold 25 % (1 of 2 trials).", "none did not hold 70 %."]);
        assert_eq!(gathered("none", vec![missed(25)], &[25, 25]).len(), 1);
        assert_eq!(gathered("none", Vec::new(), &levels), Vec::<String>::new());
    }
}
