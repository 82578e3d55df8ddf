//! Disturbed trials run again, because what disturbed them was no server's doing. Only doubts about
//! disturbance decide, never a figure, and the last attempt counts, whether better or worse.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::experiment::Judged;
use crate::plan::{Plan, TrialPlan};
use crate::record::{Doubt, Refused, TrialOutcome, TrialRecord};

/// How often trials that run together are repeated at most.
const REPEATS_MAX: usize = 2;
/// The share of a campaign's planned time that repeats may take, and what they may take of a short
/// one, ms.
const SHARE: f64 = 0.1;
const SHORT_MS: u64 = 20_000;

/// The time that repeats may still take.
pub(super) struct Budget {
    left_ms: u64,
}

impl Budget {
    /// That of a plan, without what attempts before a resumption took, by trial.
    pub(super) fn new(plan: &Plan, before: &BTreeMap<u32, Vec<Refused>>) -> Self {
        let all_ms = ((plan.trials_ms() as f64 * SHARE) as u64).max(SHORT_MS);
        // Trials that ran together took their time once.
        let groups = plan.trials.chunk_by(TrialPlan::is_together_with);
        let spent = groups.map(|trials| {
            let took = |trial: &TrialPlan| {
                let refused = before.get(&trial.index)?;
                Some(refused.iter().map(|attempt| attempt.wall_ms).sum::<u64>())
            };
            trials.iter().filter_map(took).max().unwrap_or(0)
        });
        Self { left_ms: all_ms.saturating_sub(spent.sum()) }
    }

    /// Takes the time of another attempt, if there is as much.
    fn take(&mut self, wall_ms: u64) -> bool {
        let left = self.left_ms.checked_sub(wall_ms);
        self.left_ms = left.unwrap_or(self.left_ms);
        left.is_some()
    }
}

/// Runs trials that belong together, and again while they are disturbed and time is left. `before`
/// are the attempts that a resumed campaign had refused; `refuse` keeps what an attempt left when
/// another follows it.
pub(super) fn attempt(
    before: Vec<Refused>,
    budget: &mut Budget,
    mut run: impl FnMut() -> Result<Vec<TrialRecord>>,
    mut refuse: impl FnMut(&[TrialRecord]) -> Result<()>,
) -> Result<Vec<TrialRecord>> {
    let mut refused = before;
    loop {
        let mut records = run()?;
        let wall_ms = records.iter().map(|record| record.wall_ms).max().unwrap_or(0);
        let why = disturbance(&records).filter(|_| refused.len() < REPEATS_MAX);
        let Some(why) = why.filter(|_| budget.take(wall_ms)) else {
            records.iter_mut().for_each(|record| record.refused.clone_from(&refused));
            return Ok(records);
        };
        refused.push(Refused { why: why.clone(), wall_ms });
        for record in &mut records {
            record.refused.clone_from(&refused);
            // A campaign that ends here has to run it again.
            let cause = format!("it was disturbed and had to run again: {why}");
            record.outcome = TrialOutcome::Failed { cause };
        }
        refuse(&records)?;
    }
}

/// What disturbed these trials; `None` if nothing did, or if anything else is wrong with them too:
/// a server that failed must not get a second chance.
fn disturbance(records: &[TrialRecord]) -> Option<String> {
    let judged: Vec<Judged> = records.iter().map(Judged::new).collect();
    if !judged.iter().all(Judged::is_complete) {
        return None;
    }
    let mut invalid = judged.iter().flat_map(|trial| &trial.doubts).filter(|d| d.invalidates);
    let first = invalid.clone().next()?;
    invalid.all(Doubt::is_disturbance).then(|| first.what.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::expand;
    use crate::record::{ActionRecord, Placement};
    use crate::spec::{Overrides, Spec};

    fn plan() -> Plan {
        let text = "name = 't'\narms = ['none', 'a']\n[concurrency]\nusers = [8]\nblocks = 3\n";
        expand(&Spec::parse("t.toml", text, Overrides::default()).unwrap()).unwrap()
    }

    /// What happens to an attempt.
    #[derive(Clone, Copy, PartialEq)]
    enum Met {
        Nothing,
        /// The generator stood still.
        Absence,
        /// The generator stood still, and the server answered wrongly.
        AbsenceAndErrors,
    }

    /// The records of the first block, one of whose loads met this; `ok` tells attempts apart.
    fn attempted(met: Met, ok: u64) -> Vec<TrialRecord> {
        let record = |(n, trial)| {
            let mut load = engine::answered(ok);
            if met == Met::AbsenceAndErrors {
                load.counts.errors.insert("wrong_user".into(), 1);
            }
            if met != Met::Nothing && n == 1 {
                load.generator.absent_ns = 200_000_000;
            }
            let unfinished = super::super::stage::unfinished("", trial, &Placement::default());
            let actions = vec![ActionRecord::Load(Box::new(load))];
            TrialRecord { actions, wall_ms: 1000, ..unfinished }
        };
        plan().trials.iter().filter(|trial| trial.block == 0).enumerate().map(record).collect()
    }

    /// Runs attempts that meet these in turn; what is kept, and how many attempts there were.
    fn kept(met: &[Met], before: Vec<Refused>, budget: &mut Budget) -> (Vec<TrialRecord>, u64) {
        let mut attempts = 0;
        let mut refusals = 0;
        let run = || {
            attempts += 1;
            let met = met.get(attempts as usize - 1).or(met.last()).unwrap();
            Ok(attempted(*met, 20_000 + attempts))
        };
        let records = attempt(before, budget, run, |records| {
            refusals += 1;
            for record in records {
                let TrialOutcome::Failed { cause } = &record.outcome else { panic!("is kept") };
                assert!(cause.contains("stood still for 200 ms"), "{cause}");
            }
            Ok(())
        });
        assert_eq!(refusals + 1, attempts);
        (records.unwrap(), attempts)
    }

    fn budget() -> Budget {
        Budget::new(&plan(), &BTreeMap::new())
    }

    fn answers(records: &[TrialRecord]) -> u64 {
        records[0].loads().next().unwrap().counts.ok
    }

    /// Fault 33: what is disturbed runs again.
    #[test]
    fn a_disturbed_group_runs_again_and_says_how_often() {
        let (records, attempts) = kept(&[Met::Absence, Met::Nothing], vec![], &mut budget());
        assert_eq!((attempts, answers(&records)), (2, 20_002));
        for record in &records {
            assert_eq!(record.outcome, TrialOutcome::Complete);
            let [refused] = record.refused.as_slice() else { panic!("{:?}", record.refused) };
            assert!(refused.why.contains("stood still") && refused.wall_ms == 1000, "{refused:?}");
        }
        let (records, attempts) = kept(&[Met::Nothing], vec![], &mut budget());
        assert!(attempts == 1 && records.iter().all(|record| record.refused.is_empty()));
    }

    #[test]
    fn the_last_of_three_attempts_counts_even_if_it_was_disturbed() {
        let (records, attempts) = kept(&[Met::Absence], vec![], &mut budget());
        assert_eq!((attempts, answers(&records)), (3, 20_003));
        assert_eq!(records[0].refused.len(), 2);
        assert!(records.iter().all(|record| record.outcome == TrialOutcome::Complete));
        assert!(!Judged::new(&records[1]).valid, "its doubt stays");
    }

    #[test]
    fn a_server_at_fault_gets_no_second_chance() {
        let (records, attempts) = kept(&[Met::AbsenceAndErrors], vec![], &mut budget());
        assert_eq!((attempts, records[0].refused.len()), (1, 0));
    }

    #[test]
    fn a_resumed_campaign_keeps_the_count_and_the_time_that_was_spent() {
        let before = vec![Refused { why: "before".into(), wall_ms: 1000 }];
        let (records, attempts) = kept(&[Met::Absence], before.clone(), &mut budget());
        assert_eq!((attempts, records[0].refused.len()), (2, 2));
        assert_eq!(records[0].refused[0], before[0]);
        let of_block = |block| plan().trials.into_iter().filter(move |trial| trial.block == block);
        let spent: BTreeMap<u32, Vec<Refused>> =
            of_block(1).map(|trial| (trial.index, before.clone())).collect();
        assert!(spent.len() > 1, "they ran together, and took their time once");
        assert_eq!(Budget::new(&plan(), &spent).left_ms, budget().left_ms - 1000);
    }

    #[test]
    fn repeats_take_a_bounded_share_of_the_campaign() {
        let mut budget = Budget { left_ms: 1500 };
        let (_, attempts) = kept(&[Met::Absence], vec![], &mut budget);
        assert_eq!((attempts, budget.left_ms), (2, 500));
        let (records, attempts) = kept(&[Met::Absence], vec![], &mut budget);
        assert_eq!((attempts, records[0].refused.len()), (1, 0));
    }
}
