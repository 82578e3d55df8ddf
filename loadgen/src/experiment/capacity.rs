//! What rate does a server hold, so that users still get their answers in time?

use std::collections::BTreeMap;

use serde::Deserialize;

use super::check::levels;
use super::metric::{self, Metric};
use super::question::{Cell, Cells, ChartPlan, Experiment, Observation, Over, Summary};
use super::search::{End, Found, Next, next};
use crate::error::Result;
use crate::plan::{Action, SearchPlan};
use crate::record::{ActionRecord, Doubt, SearchRecord, TrialRecord};
use crate::spec::Spec;
use crate::stats::{Bounds, Estimate, between};
use crate::units::{Rate, Span, grouped};

/// A search for the highest rate that holds, on one server.
pub(super) struct Capacity;

#[derive(Deserialize)]
struct Table {
    capacity: Settings,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    users: Vec<u32>,
    blocks: u32,
    connections: u32,
    slo: Span,
    errors: f64,
    from: String,
    to: String,
    resolution: f64,
    warmup: Span,
    probe: Span,
    confirm: Span,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            users: vec![1000],
            blocks: 5,
            connections: 64,
            slo: Span::from_millis(10),
            errors: 0.001,
            from: "1000/s".into(),
            to: "256000/s".into(),
            resolution: 0.05,
            warmup: Span::from_millis(300),
            probe: Span::from_millis(1500),
            confirm: Span::from_millis(5000),
        }
    }
}

const USERS_MAX: u32 = 1_000_000;
const CONNECTIONS_MAX: u32 = 16_000;
const TIMEOUT: Span = Span::from_millis(5000);
const DRAIN: Span = Span::from_millis(1000);
/// With fewer requests in a probe fewer than ten would lie beyond p99.
const REQUESTS_MIN: f64 = 1000.0;
/// Far more than a search needs: doubling, bisecting, each failure asked twice.
const PROBES_MAX: u32 = 40;

impl Experiment for Capacity {
    fn name(&self) -> &'static str {
        "capacity"
    }

    fn question(&self) -> &'static str {
        "Which rate does the server hold with p99 under its limit?"
    }

    fn method(&self) -> &'static str {
        "Users read GET /me over a fixed number of connections, as behind a reverse proxy, at a \
         rate that does not wait for the answers (Poisson arrivals, because users come \
         independently of each other). On one server the rate is doubled until it no longer holds, \
         bisected, and what was found is confirmed by a longer load; where that fails, the search \
         steps back and closes the gap with longer loads. A rate holds while the p99 response \
         time, counted from when a request was due, is within the limit of the campaign file \
         (10 ms unless it says otherwise) and less than 0.1 % of the requests go without a right \
         answer; requests that wait when a load ends are still sent and count. A rate is given up \
         after failing twice. So the capacity of a trial lies between the highest rate that was \
         confirmed and the lowest that failed, and the estimate over trials takes it as that \
         (interval censoring); single trials are compared by the middle of their bracket. Where \
         the generator could offer no more, a doubt says so, and the capacity is only known to be \
         more than what held."
    }

    fn charts(&self) -> &'static [ChartPlan] {
        const CHARTS: &[ChartPlan] = &[ChartPlan {
            metric: metric::CAPACITY_RPS,
            title: "Capacity",
            over: Over::Users,
            x_label: "users",
            x_log: true,
            y_log: false,
        }];
        CHARTS
    }

    fn mixes(&self) -> bool {
        true
    }

    fn expand(&self, spec: &Spec) -> Result<Cells> {
        let settings = spec.section::<Table>()?.capacity;
        let users = spec.users.clone().unwrap_or_else(|| settings.users.clone());
        let users = levels(spec, "capacity", "users", users, 1, 1..=USERS_MAX)?;
        let search = settings.search(spec)?;
        let cell = |arm: &String, users: u32| Cell {
            arm: arm.clone(),
            level: users,
            server: Vec::new(),
            actions: vec![Action::Search(SearchPlan {
                users,
                connections: search.connections.min(users),
                ..search.clone()
            })],
        };
        let cells = spec
            .arms
            .iter()
            .flat_map(|arm| users.iter().map(move |users| (arm, *users)))
            .map(|(arm, users)| cell(arm, users))
            .collect();
        Ok(Cells { blocks: settings.blocks, cells })
    }

    fn measures(&self, metric: &Metric) -> bool {
        [metric::CAPACITY_RPS, metric::BEYOND_CAPACITY_RPS].contains(&metric)
    }

    fn observe(&self, record: &TrialRecord) -> Vec<Observation> {
        let observed = |(plan, search): (&SearchPlan, &SearchRecord)| {
            let found = found(plan, record, search)?;
            let observation = |metric, value: Option<f64>| {
                value.map(|value| Observation {
                    users: Some(u64::from(plan.users)),
                    connections: plan.connections,
                    rate: None,
                    metric,
                    value,
                })
            };
            // What is open at one end has no value, but it counts in the estimate over trials.
            let both = found.held_rps.zip(found.failed_rps);
            let bracket = both.filter(|_| found.end == End::Bracketed);
            let middle = bracket.map(|(held, failed)| (held * failed).sqrt());
            let beyond = bracket.map(|(_, failed)| failed);
            Some([
                observation(metric::CAPACITY_RPS, middle),
                observation(metric::BEYOND_CAPACITY_RPS, beyond),
            ])
        };
        searches(record).filter_map(observed).flatten().flatten().collect()
    }

    fn summarise(&self, trials: &[&TrialRecord], _: u32, _: u64) -> Vec<Summary> {
        let mut by_users: BTreeMap<u32, (u32, Vec<Bounds>)> = BTreeMap::new();
        for trial in trials {
            for (plan, search) in searches(trial) {
                let Some(bounds) = found(plan, trial, search).and_then(bounds) else { continue };
                by_users.entry(plan.users).or_insert((plan.connections, vec![])).1.push(bounds);
            }
        }
        let summary = |(users, (connections, trials)): (u32, (u32, Vec<Bounds>))| {
            let estimate = between(&trials).or_else(|| at_least(&trials))?;
            Some(Summary {
                level: None,
                users: Some(u64::from(users)),
                connections,
                metric: metric::CAPACITY_RPS,
                estimate,
                resampled: None,
            })
        };
        by_users.into_iter().filter_map(summary).collect()
    }

    fn doubts(&self, record: &TrialRecord) -> Vec<Doubt> {
        searches(record)
            .map(|(plan, search)| (plan, search, found(plan, record, search)))
            .flat_map(|(plan, search, found)| {
                let wrong = search.probes.iter().map(|probe| probe.wrong_user).sum::<u64>();
                let wrong = (wrong > 0).then(|| {
                    Doubt::invalid(
                        "wrong_answers",
                        format!("{} answers did not name the user who asked", grouped(wrong)),
                        "mend the server, or the check in the target file",
                    )
                });
                wrong.into_iter().chain(found.and_then(|found| doubt(plan, found)))
            })
            .collect()
    }
}

impl Settings {
    /// The search, but for its users.
    fn search(&self, spec: &Spec) -> Result<SearchPlan> {
        let refuse = |field: &str, expected: &str, found: String| {
            Err(spec.refuse(format!("[capacity] {field}: expected {expected}, found {found}")))
        };
        let rate = |field: &str, text: &str| {
            text.parse::<Rate>()
                .map(Rate::per_second)
                .map_err(|e| spec.refuse(format!("[capacity] {field}: {e}")))
        };
        let (from_rps, to_rps) = (rate("from", &self.from)?, rate("to", &self.to)?);
        let seconds = self.probe.duration().as_secs_f64();
        if from_rps * seconds < REQUESTS_MIN {
            let expected = "at least 1,000 requests in a probe at the lowest rate";
            return refuse("from", expected, format!("{} in {}", self.from, self.probe));
        }
        if to_rps < 2.0 * from_rps {
            return refuse("to", "at least twice `from`", self.to.clone());
        }
        if !(1..=CONNECTIONS_MAX).contains(&self.connections) {
            return refuse("connections", "1 to 16,000", self.connections.to_string());
        }
        if !(0.0..0.5).contains(&self.errors) {
            return refuse("errors", "a share from 0 to below 0.5", self.errors.to_string());
        }
        if !(0.01..=0.5).contains(&self.resolution) {
            return refuse("resolution", "a share from 0.01 to 0.5", self.resolution.to_string());
        }
        if self.slo < Span::from_millis(1) || self.slo >= TIMEOUT {
            return refuse("slo", "from 1ms to below 5s", self.slo.to_string());
        }
        if self.confirm < self.probe {
            return refuse("confirm", "at least the length of a probe", self.confirm.to_string());
        }
        Ok(SearchPlan {
            journey: "browse".into(),
            users: 0,
            connections: self.connections,
            slo_ns: self.slo.ns(),
            errors_max: self.errors,
            from_rps,
            to_rps,
            resolution: self.resolution,
            warmup_ns: self.warmup.ns(),
            probe_ns: self.probe.ns(),
            confirm_ns: self.confirm.ns(),
            drain_ns: DRAIN.ns(),
            timeout_ns: TIMEOUT.ns(),
            probes_max: PROBES_MAX,
        })
    }
}

/// The searches of a trial, each with its plan.
fn searches(record: &TrialRecord) -> impl Iterator<Item = (&SearchPlan, &SearchRecord)> {
    record.trial.actions.iter().zip(&record.actions).filter_map(|pair| match pair {
        (Action::Search(plan), ActionRecord::Search(search)) => Some((plan, search)),
        _ => None,
    })
}

/// What a search found; `None` when it was not carried to its end.
fn found(plan: &SearchPlan, record: &TrialRecord, search: &SearchRecord) -> Option<Found> {
    match next(plan, record.trial.seed, &search.probes) {
        Next::Done(found) => Some(found),
        Next::Probe { .. } => None,
    }
}

/// Between which rates a trial's capacity lies, as far as its search tells.
fn bounds(found: Found) -> Option<Bounds> {
    let bounds = Bounds { least: found.held_rps, most: found.failed_rps };
    (bounds.least.is_some() || bounds.most.is_some()).then_some(bounds)
}

/// What is known where nothing failed in any trial: that it is more.
fn at_least(trials: &[Bounds]) -> Option<Estimate> {
    let least = trials.iter().map(|trial| trial.least).collect::<Option<Vec<f64>>>()?;
    Some(Estimate {
        point: least.iter().copied().reduce(f64::min)?,
        interval: None,
        n: least.len() as u32,
        method: "at least: the lowest rate that held, where none failed in any trial".into(),
    })
}

fn doubt(plan: &SearchPlan, found: Found) -> Option<Doubt> {
    let doubt = match found.end {
        End::Bracketed => return None,
        End::NotOffered => Doubt::graded(
            found.held_rps.is_none(),
            "at_least",
            "the generator could not offer more, so the server holds at least what is said here",
            "give the generator more cores, or the server fewer",
        ),
        End::Limit => Doubt::caution(
            "at_least",
            "the highest rate that was to be tried held, so the server holds at least that",
            "raise `to` in the table [capacity]",
        ),
        End::Nowhere => Doubt::caution(
            "nothing_held",
            format!(
                "a rate of {:.0} requests per second did not hold, so there is no capacity",
                plan.from_rps
            ),
            "lower `from` in the table [capacity], or allow a longer time with `slo`",
        ),
        End::Exhausted => Doubt::caution(
            "not_confirmed",
            "no rate was confirmed by a longer load",
            "the server's or the machine's speed changes from second to second: lengthen `probe`, \
             and stop what else runs here",
        ),
        End::Disturbed => Doubt::invalid(
            "disturbed",
            "something else had the cores while a rate was tried, three times in a row",
            "stop what else runs on this machine, and repeat",
        ),
    };
    Some(doubt)
}

#[cfg(test)]
mod tests {
    use super::super::sample::{plan, record};
    use super::*;
    use crate::record::{ProbeRecord, ProbeVerdict};

    /// The record of a trial whose server holds up to `capacity`, as the search would leave it.
    fn searched(capacity: f64, beyond: ProbeVerdict) -> TrialRecord {
        let plan = plan("[capacity]\nusers=[100]\nblocks=1\n").unwrap();
        let trial = &plan.trials[0];
        let Action::Search(search) = &trial.actions[0] else { panic!("{trial:?}") };
        let mut probes = Vec::new();
        while let Next::Probe { rate_rps, confirms, .. } = next(search, trial.seed, &probes) {
            probes.push(ProbeRecord {
                rate_rps,
                confirms,
                planned: 1000,
                dropped: 0,
                without_answer: 0,
                wrong_user: 0,
                achieved_rps: rate_rps,
                response_ns_p99: 1,
                lag_ns_p99: 0,
                server_busy: 1.0,
                verdict: if rate_rps <= capacity { ProbeVerdict::Held } else { beyond },
                why: String::new(),
            });
        }
        record(trial, vec![ActionRecord::Search(SearchRecord { probes })])
    }

    #[test]
    fn a_trial_gives_the_middle_of_its_bracket_and_the_first_rate_that_failed() {
        let record = searched(20_000.0, ProbeVerdict::Failed);
        let seen = Capacity.observe(&record);
        let [middle, failed] = seen.as_slice() else { panic!("{seen:?}") };
        assert_eq!(
            (middle.metric, failed.metric),
            (metric::CAPACITY_RPS, metric::BEYOND_CAPACITY_RPS)
        );
        assert_eq!((middle.users, middle.connections), (Some(100), 64));
        assert!((middle.value / 20_000.0 - 1.0).abs() < 0.05, "{seen:?}");
        assert!(failed.value > 20_000.0 && failed.value < middle.value * 1.03, "{seen:?}");
        assert_eq!(Capacity.doubts(&record), []);
    }

    #[test]
    fn at_least_is_said_where_the_generator_or_the_limit_was_reached() {
        let codes = |record: &TrialRecord| {
            let code = |d: Doubt| (d.code, d.invalidates);
            Capacity.doubts(record).into_iter().map(code).collect::<Vec<_>>()
        };
        let record = searched(20_000.0, ProbeVerdict::NotOffered);
        assert_eq!(codes(&record), [("at_least".into(), false)]);
        assert_eq!(Capacity.observe(&record), [], "no rate failed, so no value is known");
        assert_eq!(codes(&searched(1e9, ProbeVerdict::Failed)), [("at_least".into(), false)]);
        let record = searched(1.0, ProbeVerdict::Failed);
        assert_eq!(codes(&record), [("nothing_held".into(), false)], "the server's own outcome");
        assert_eq!(Capacity.observe(&record), []);
        let mut record = searched(20_000.0, ProbeVerdict::Failed);
        let ActionRecord::Search(search) = &mut record.actions[0] else { panic!() };
        search.probes[0].wrong_user = 1;
        assert_eq!(codes(&record), [("wrong_answers".into(), true)]);
    }

    #[test]
    fn all_trials_count_whichever_of_their_bounds_is_known() {
        let summary = |trials: &[&TrialRecord]| {
            let mut all = Capacity.summarise(trials, trials.len() as u32, 1);
            assert!(all.len() <= 1);
            all.pop().map(|summary| summary.estimate)
        };
        let [a, b, c] = [19_000.0, 20_000.0, 21_000.0].map(|x| searched(x, ProbeVerdict::Failed));
        let three = summary(&[&a, &b, &c]).unwrap();
        let (lo, hi) = three.interval.unwrap();
        assert!((19_500.0..20_500.0).contains(&three.point), "{three:?}");
        assert!(lo < 19_500.0 && hi > 20_500.0, "{three:?}");
        let nothing = searched(1.0, ProbeVerdict::Failed);
        let with_nothing = summary(&[&a, &b, &nothing]).unwrap();
        assert!(with_nothing.point < 10_000.0, "a bad day is not left out: {with_nothing:?}");
        // Where no rate failed in any trial it is known to be more, and no more than that.
        let open = searched(20_000.0, ProbeVerdict::NotOffered);
        let least = summary(&[&open, &open]).unwrap();
        assert!(least.interval.is_none() && least.method.starts_with("at least"), "{least:?}");
        assert!(least.point <= 20_000.0 && least.point > 9_000.0, "{least:?}");
        assert_eq!(summary(&[&nothing, &nothing]), None);
    }
}
