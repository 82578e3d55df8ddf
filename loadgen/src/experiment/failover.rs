//! One of the servers behind a proxy dies: who is logged out, and how long is nobody answered?

use serde::Deserialize;

use super::check::{drills, within};
use super::metric::{self, Metric};
use super::question::{Cells, ChartPlan, Experiment, Observation, TablePlan};
use crate::error::Result;
use crate::plan::{Action, DrillPlan, FailoverPlan, Variant};
use crate::record::{Doubt, DrillRecord, FailoverRecord, TrialRecord};
use crate::spec::Spec;
use crate::units::Span;

/// The death of a server behind a proxy.
pub(super) struct Failover;

#[derive(Deserialize)]
struct Table {
    failover: Settings,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    users: u32,
    blocks: u32,
    window: Span,
}

impl Default for Settings {
    fn default() -> Self {
        Self { users: 200, blocks: 3, window: Span::from_millis(10_000) }
    }
}

/// All of them ask at the same time, each over a connection.
const USERS_MAX: u32 = 1000;
const POLL: Span = Span::from_millis(5);
const WINDOW_MIN: Span = Span::from_millis(100);
const WINDOW_MAX: Span = Span::from_millis(60_000);

impl Experiment for Failover {
    fn name(&self) -> &'static str {
        "failover"
    }

    fn question(&self) -> &'static str {
        "One of the servers behind a proxy dies: who is logged out, and for how long is nobody \
         answered?"
    }

    fn method(&self) -> &'static str {
        "Users log in through the proxy and ask once. Then one of the servers is killed (SIGKILL), \
         and all users ask at the same time, every 5 ms, until they are let in or refused. Users \
         who are refused are logged out, and log in again. The time without an answer runs from \
         the kill to the answer of the user who had one last, so requests that all users make at \
         the same time are in it. A first request that fails is one that the proxy sent to the \
         dead server and did not, or may not, send to another one."
    }

    fn charts(&self) -> &'static [ChartPlan] {
        &[]
    }

    fn tables(&self) -> &'static [TablePlan] {
        const TABLES: &[TablePlan] = &[TablePlan {
            title: "One server dies",
            note: "Shares of all users, each of whom was logged in.",
            metrics: &[
                metric::LOST_AFTER_DEATH_SHARE,
                metric::FAILED_AFTER_DEATH_SHARE,
                metric::OUT_OF_SERVICE_US,
            ],
        }];
        TABLES
    }

    fn expand(&self, spec: &Spec) -> Result<Cells> {
        let Settings { users, blocks, window } = spec.section::<Table>()?.failover;
        let users = within(spec, "[failover] users", users, 1..=USERS_MAX)?;
        if !(WINDOW_MIN..=WINDOW_MAX).contains(&window) {
            return Err(spec.refuse(format!(
                "[failover] window: expected {WINDOW_MIN} to {WINDOW_MAX}, found {window}"
            )));
        }
        if let Some(arm) = spec.arms.iter().find(|arm| Variant::of(arm).servers() < 2) {
            return Err(spec.refuse(format!(
                "[failover]: expected arms of at least two servers, found `{arm}`; deploy them, as \
                 by a table [deployment] with `servers = 3` and `proxy = \"haproxy\"`"
            )));
        }
        let plan = FailoverPlan { users, poll_ns: POLL.ns(), window_ns: window.ns() };
        Ok(drills(spec, blocks, &DrillPlan::Failover(plan)))
    }

    fn observe(&self, record: &TrialRecord) -> Vec<Observation> {
        let Some((plan, found)) = both(record) else { return Vec::new() };
        let share = |part: u64, of: u64| (of > 0).then(|| part as f64 / of as f64);
        let figures: [(&'static Metric, Option<f64>); 3] = [
            (metric::LOST_AFTER_DEATH_SHARE, found.settled.refused_share()),
            (metric::FAILED_AFTER_DEATH_SHARE, share(found.first.failed, found.first.all())),
            (
                metric::OUT_OF_SERVICE_US,
                Some(found.longest_without_answer_ns as f64 / 1e3).filter(|us| *us > 0.0),
            ),
        ];
        let observation = |(metric, value): (_, Option<f64>)| {
            Some(Observation {
                users: Some(u64::from(plan.users)),
                connections: plan.users,
                rate: None,
                metric,
                value: value?,
            })
        };
        figures.into_iter().filter_map(observation).collect()
    }

    fn doubts(&self, record: &TrialRecord) -> Vec<Doubt> {
        let Some((plan, found)) = both(record) else { return Vec::new() };
        let users = u64::from(plan.users);
        let mut doubts = Vec::new();
        let strangers = users.saturating_sub(found.before.right);
        if strangers > 0 {
            doubts.push(Doubt::invalid(
                "not_let_in_before",
                format!("{strangers} users were not let in before a server was killed"),
                "see what the servers said; who was not let in cannot be logged out",
            ));
        }
        let silent = found.settled.failed + users.saturating_sub(found.settled.all());
        if silent > 0 {
            doubts.push(Doubt::invalid(
                "never_answered",
                format!("{silent} users had no answer for as long as they asked"),
                "raise `window`, or see what the proxy said",
            ));
        }
        let locked_out = found.relogins.refused + found.relogins.failed;
        if locked_out > 0 {
            doubts.push(Doubt::caution(
                "no_new_login",
                format!("{locked_out} users who were logged out could not log in again at once"),
                "see what the servers said",
            ));
        }
        doubts
    }
}

fn both(record: &TrialRecord) -> Option<(&FailoverPlan, &FailoverRecord)> {
    match (record.trial.actions.first()?, record.drill()?) {
        (Action::Drill(DrillPlan::Failover(plan)), DrillRecord::Failover(found)) => {
            Some((plan, found))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::recorded::{codes, figure, trial};
    use super::super::sample::whole;
    use super::*;
    use crate::record::Asked;

    fn asked(right: u64, refused: u64, failed: u64) -> Asked {
        Asked { right, refused, failed }
    }

    fn record(found: FailoverRecord) -> TrialRecord {
        let table = "[deployment]\nservers = 2\nproxy = 'nginx'\n[failover]\nusers = 10";
        trial(table, &DrillRecord::Failover(found))
    }

    #[test]
    fn shares_are_those_of_users_and_of_their_first_requests() {
        let found = FailoverRecord {
            servers: 2,
            before: asked(10, 0, 0),
            first: asked(4, 4, 2),
            settled: asked(5, 5, 0),
            longest_without_answer_ns: 3_000_000,
            relogins: asked(5, 0, 0),
        };
        let record = record(found);
        let value = |metric| figure(&Failover, &record, metric);
        assert_eq!(value(metric::LOST_AFTER_DEATH_SHARE), Some(0.5));
        assert_eq!(value(metric::FAILED_AFTER_DEATH_SHARE), Some(0.2));
        assert_eq!(value(metric::OUT_OF_SERVICE_US), Some(3_000.0));
        assert_eq!(codes(&Failover, &record), []);
    }

    #[test]
    fn users_who_were_never_known_or_never_answered_invalidate() {
        let found = FailoverRecord {
            before: asked(9, 1, 0),
            settled: asked(8, 1, 1),
            relogins: asked(0, 0, 1),
            ..FailoverRecord::default()
        };
        let found = codes(&Failover, &record(found));
        let expected =
            [("not_let_in_before", true), ("never_answered", true), ("no_new_login", false)];
        assert_eq!(found, expected.map(|(code, invalid)| (code.to_string(), invalid)));
    }

    #[test]
    fn an_arm_that_is_one_server_is_refused() {
        for (deployment, part) in [
            ("", "found `none`"),
            ("[deployment]\nproxy='nginx'\n", "found `none x1 nginx`"),
            ("[deployment]\nservers=2\nproxy='nginx'\n[failover]\nusers=0\n", "users"),
            ("[deployment]\nservers=2\nproxy='nginx'\n[failover]\nwindow='1ms'\n", "window"),
        ] {
            let table = if deployment.contains("[failover]") { "" } else { "[failover]\n" };
            let text = format!("name='t'\narms=['none']\n{deployment}{table}");
            let error = whole(&text).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
    }
}
