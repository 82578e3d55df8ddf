//! What do latency and cost become as the load approaches what the server can do?

use serde::Deserialize;

use super::check::{levels, within};
use super::load::{
    self, CONNECTIONS_MAX, PERCENT_MAX, PILOT, PILOT_LEVEL, Slices, browse, check_lengths,
    check_window, cut, loads,
};
use super::metric::{self, Metric};
use super::question::{Axis, Cell, Cells, ChartPlan, Experiment, Observation, Over};
use crate::error::Result;
use crate::load::{LoadModel, PilotShare, UserChoice};
use crate::plan::{LoadPlan, TrialPlan};
use crate::record::{Doubt, LoadRecord, TrialRecord};
use crate::spec::Spec;
use crate::units::{Rate, Span, grouped};

/// Open loads at shares of what the baseline can do, the same rates for every arm.
pub(super) struct Curve;

#[derive(Deserialize)]
struct Table {
    curve: Settings,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    load: Vec<u32>,
    capacity: Option<String>,
    users: u32,
    connections: u32,
    blocks: u32,
    pilot: Span,
    warmup: Span,
    measure: Span,
    slice: Span,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            load: vec![10, 25, 50, 70, 85, 95],
            capacity: None,
            users: 1000,
            connections: 64,
            blocks: 6,
            pilot: Span::from_millis(1000),
            warmup: Span::from_millis(300),
            measure: Span::from_millis(1500),
            slice: Span::from_millis(15),
        }
    }
}

/// Up to this share a load is cut into slices, and beyond it has a window of its own: at a
/// utilisation u a queue needs some 1 / (1 - u)^2 service times to settle, which at 70 % is a
/// fraction of a millisecond and at 95 % several.
const SLICED_PERCENT_MAX: u32 = 70;
const USERS_MAX: u32 = 1_000_000;
/// A server that answers a smaller share of what is due while it is due does not hold the rate: its
/// queue grows for as long as the load lasts.
const HELD_MIN: f64 = 0.98;

impl Experiment for Curve {
    fn name(&self) -> &'static str {
        "curve"
    }

    fn question(&self) -> &'static str {
        "What do latency and cost become as the load approaches what the server can do?"
    }

    fn method(&self) -> &'static str {
        "Users read GET /me over a fixed number of connections at a rate that does not wait for \
         answers (Poisson arrivals). The rates are shares of what the baseline answers in a \
         closed, saturating load, the pilot, with which each block begins, or of the rate that the \
         campaign file gives; every arm gets the same ones. Loads up to 70 % may alternate between \
         the servers in slices, because a queue settles within one; beyond that each is a window \
         of its own. An arm that answers less than 98 % of the requests while they are due does \
         not hold the rate. That is an outcome and stays in: its CPU time per request holds, its \
         response times are those of a growing queue and depend on how long the load lasts."
    }

    fn charts(&self) -> &'static [ChartPlan] {
        const fn chart(metric: &'static Metric, title: &'static str, y_log: bool) -> ChartPlan {
            let x_label = "load, % of what the baseline can do";
            ChartPlan { metric, title, over: Over::Level, x_label, x_log: false, y_log }
        }
        const CHARTS: &[ChartPlan] = &[
            chart(metric::RESPONSE_P50_US, "Response time, p50", true),
            chart(metric::RESPONSE_P99_US, "Response time, p99", true),
            chart(metric::CPU_US_PER_REQUEST, "CPU per request, server and store", false),
        ];
        CHARTS
    }

    fn axis(&self) -> Option<Axis> {
        Some(Axis { label: "Load, %", noun: "% of what the baseline can do", at_zero: PILOT_LEVEL })
    }

    fn level(&self, level: u32) -> String {
        match level {
            PILOT => PILOT_LEVEL.into(),
            percent => format!("{percent} % of what the baseline can do"),
        }
    }

    fn mixes(&self) -> bool {
        true
    }

    fn expand(&self, spec: &Spec) -> Result<Cells> {
        let settings = spec.section::<Table>()?.curve;
        let Settings { users, connections, blocks, slice, .. } = settings;
        let shares = levels(spec, "curve", "load", settings.load.clone(), 1, 1..=PERCENT_MAX)?;
        let users = within(spec, "[curve] users", users, 1..=USERS_MAX)?;
        let place = "[curve] connections";
        let connections = within(spec, place, connections, 1..=CONNECTIONS_MAX.min(users))?;
        check_lengths(spec, "curve", settings.measure, slice, Slices::Optional)?;
        check_window(spec, "curve", "pilot", settings.pilot)?;
        let capacity = settings.capacity.as_ref().map(|text| {
            text.parse::<Rate>()
                .map(Rate::per_second)
                .map_err(|e| spec.refuse(format!("[curve] capacity: {e}")))
        });
        let capacity = capacity.transpose()?;
        let share = |percent: u32| match capacity {
            Some(capacity) => LoadModel::Poisson(PilotShare { percent }.of(capacity)),
            None => LoadModel::PilotShare(PilotShare { percent }),
        };
        let cell = |arm: &String, percent: u32| {
            let whose = (users, UserChoice::Uniform);
            let lengths = (settings.warmup, settings.measure);
            let load = browse(share(percent), whose, connections, lengths);
            let slice = if percent <= SLICED_PERCENT_MAX { slice } else { Span::default() };
            let actions = vec![cut(load, slice)];
            Cell { arm: arm.clone(), level: percent, server: Vec::new(), actions }
        };
        let lengths = (settings.warmup, settings.pilot);
        let pilot = capacity.is_none().then(|| load::pilot(spec, users, connections, lengths));
        let arms = &spec.arms;
        let of_loads = shares.iter().flat_map(|at| arms.iter().map(move |arm| cell(arm, *at)));
        Ok(Cells { blocks, cells: pilot.into_iter().chain(of_loads).collect() })
    }

    fn measures(&self, metric: &Metric) -> bool {
        metric.is_of_load
    }

    fn needs(&self, metric: &Metric, trials: &[&TrialPlan], level: u32) -> Option<&'static str> {
        if metric == metric::STORE_WRITES_PER_REQUEST && level > SLICED_PERCENT_MAX {
            return Some("a level of at most 70, because no higher load runs in slices");
        }
        load::needs(metric, trials, level)
    }

    fn observe(&self, record: &TrialRecord) -> Vec<Observation> {
        // The pilot is a scale and no answer.
        load::observed(record)
    }

    fn doubts(&self, record: &TrialRecord) -> Vec<Doubt> {
        let mut doubts = load::doubts(record);
        if loads(record).any(|(plan, load)| does_not_hold(plan, load)) {
            // An overload drops requests and lets others hang; that is what not to hold means.
            doubts.retain(|doubt| doubt.code != "dropped");
            for doubt in doubts.iter_mut().filter(|doubt| doubt.code == "errors") {
                doubt.invalidates = false;
                if let Some(waiting) = still_waiting(record) {
                    doubt.what = waiting;
                    doubt.remedy =
                        "nothing: requests without an answer are what an overload leaves".into();
                }
            }
            doubts.push(Doubt::caution(
                "did_not_hold",
                "the arm did not hold the rate, so its queue grew for as long as the load lasted",
                "quote its response times as those of an overload, or not at all",
            ));
        }
        doubts
    }

    fn remarks(&self, record: &TrialRecord) -> Vec<String> {
        let level = record.trial.level;
        let missed = loads(record).any(|(plan, load)| does_not_hold(plan, load));
        missed.then(|| format!("did not hold {}", self.level(level))).into_iter().collect()
    }

    fn conclusions(&self, trials: &[&TrialRecord], _: u32, _: u64) -> Vec<String> {
        load::of_pilots(trials).into_iter().collect()
    }
}

/// How many requests an overload left without an answer, where none failed.
fn still_waiting(record: &TrialRecord) -> Option<String> {
    let (_, load) = loads(record).find(|(plan, load)| does_not_hold(plan, load))?;
    let counts = &load.counts;
    (counts.without_answer() == counts.unfinished).then(|| {
        format!(
            "{} of {} requests were still waiting when the load ended (overload)",
            grouped(counts.unfinished),
            grouped(counts.sent)
        )
    })
}

/// Whether an open load was more than the server could do.
fn does_not_hold(plan: &LoadPlan, load: &LoadRecord) -> bool {
    let counts = &load.counts;
    let answered = counts.ok_in_window as f64;
    plan.model.is_open() && (counts.dropped > 0 || answered < HELD_MIN * counts.planned as f64)
}

#[cfg(test)]
mod tests {
    use super::super::sample::{load as answered, plan, record};
    use super::*;
    use crate::plan::Action;
    use crate::record::ActionRecord;

    const TABLE: &str = "[curve]\nload = [50, 95]\nblocks = 3\n";

    fn trial_at(level: u32) -> TrialPlan {
        let plan = plan(TABLE).unwrap();
        plan.trials.into_iter().find(|t| t.level == level && t.arm == "a").unwrap()
    }

    #[test]
    fn a_block_begins_with_its_pilot_and_every_arm_has_the_same_shares() {
        let plan = plan(TABLE).unwrap();
        for block in plan.trials.chunks(5) {
            assert!(matches!(block[0].actions[..], [Action::Pilot(_)]), "{:?}", block[0]);
            assert_eq!((block[0].arm.as_str(), block[0].level), ("none", 0));
            for trial in &block[1..] {
                let share = LoadModel::PilotShare(PilotShare { percent: trial.level });
                assert_eq!(trial.actions[0].load().unwrap().model, share);
                let sliced = matches!(trial.actions[..], [Action::Slices(_)]);
                assert_eq!(sliced, trial.level == 50, "a queue at 95 % settles in no slice");
            }
        }
        let given = super::super::sample::plan(&format!("{TABLE}capacity = '100000/s'\n")).unwrap();
        assert_eq!(given.trials.len(), 12, "no pilot");
        let load = given.trials.iter().find(|t| t.level == 50).unwrap().actions[0].load().unwrap();
        assert_eq!(load.model.offered_rps(), Some(50_000.0));
    }

    #[test]
    fn an_arm_that_does_not_hold_a_rate_is_an_outcome_and_no_invalid_trial() {
        let trial = trial_at(95);
        let mut load = answered(90_000);
        load.offered_rps = Some(100_000.0);
        (load.counts.planned, load.counts.sent, load.counts.dropped) = (100_000, 99_000, 1000);
        load.counts.unfinished = 60;
        let record = record(&trial, vec![ActionRecord::Load(Box::new(load))]);
        let codes: Vec<_> =
            Curve.doubts(&record).into_iter().map(|d| (d.code, d.invalidates)).collect();
        assert!(codes.contains(&("did_not_hold".into(), false)), "{codes:?}");
        let waiting = "60 of 99,000 requests were still waiting when the load ended (overload)";
        assert!(Curve.doubts(&record).iter().any(|d| d.what == waiting), "{codes:?}");
        assert!(codes.iter().all(|(_, invalidates)| !invalidates), "{codes:?}");
        assert_eq!(Curve.remarks(&record), ["did not hold 95 % of what the baseline can do"]);
        let seen = Curve.observe(&record);
        assert!(seen.iter().all(|o| o.rate == Some(100_000.0) && o.users == Some(1000)));
        assert!(seen.iter().any(|o| o.metric == metric::THROUGHPUT_RPS));
    }

    #[test]
    fn an_arm_that_holds_a_rate_is_not_remarked_on() {
        let trial = trial_at(95);
        let mut load = answered(100_000);
        load.counts.ok_in_window = 99_900;
        let record = record(&trial, vec![ActionRecord::Load(Box::new(load))]);
        assert_eq!(Curve.remarks(&record), Vec::<String>::new());
        assert_eq!(Curve.doubts(&record), []);
    }

    #[test]
    fn the_pilot_is_a_scale_and_no_figure() {
        let plan = plan(TABLE).unwrap();
        let trial = plan.trials.iter().find(|trial| trial.level == 0).unwrap();
        let answering = |ok| record(trial, vec![ActionRecord::Load(Box::new(answered(ok)))]);
        let (slow, fast) = (answering(90_000), answering(110_000));
        assert_eq!(Curve.observe(&slow), []);
        let said = Curve.conclusions(&[&slow, &fast], 3, 1);
        assert!(said[0].starts_with("answered 90,000 to 110,000 requests"), "{said:?}");
        assert!(Curve.conclusions(&[], 3, 1).is_empty());
    }
}
