//! How do throughput, latency and CPU change as concurrent users grow?

use serde::Deserialize;

use super::{Cell, Cells, ChartPlan, Experiment, METRICS, Observation, levels};
use crate::error::Result;
use crate::load::{Closed, LoadModel, Spread, UserChoice};
use crate::plan::{Action, LoadPlan};
use crate::record::{ActionRecord, Doubt, LoadRecord, TrialRecord};
use crate::spec::Spec;
use crate::units::Span;

/// A closed loop at several numbers of users, each on a connection of their own.
pub(super) struct Scaling;

#[derive(Deserialize)]
struct Table {
    scaling: Settings,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    users: Vec<u32>,
    #[serde(default = "five")]
    blocks: u32,
    #[serde(default = "half_a_second")]
    warmup: Span,
    #[serde(default = "three_seconds")]
    measure: Span,
    #[serde(default)]
    think: Span,
}

fn five() -> u32 {
    5
}

fn half_a_second() -> Span {
    Span::from_millis(500)
}

fn three_seconds() -> Span {
    Span::from_millis(3000)
}

/// Each user holds a connection, and one process may have so many.
const USERS_MAX: u32 = 16_000;
const TIMEOUT: Span = Span::from_millis(5000);
const DRAIN: Span = Span::from_millis(2000);

impl Experiment for Scaling {
    fn name(&self) -> &'static str {
        "scaling"
    }

    fn question(&self) -> &'static str {
        "How do throughput, latency and CPU change as concurrent users grow?"
    }

    fn method(&self) -> &'static str {
        "Closed load: every user has a connection and a credential of their own, reads GET /me, \
         and asks again once the answer has come, and a think time has passed where the campaign \
         sets one. Without think time, latency is what saturation makes of it: its mean is the \
         number of users divided by throughput."
    }

    fn charts(&self) -> &'static [ChartPlan] {
        const fn chart(metric: &'static str, title: &'static str, y_log: bool) -> ChartPlan {
            ChartPlan { metric, title, x_label: "concurrent users", x_log: true, y_log }
        }
        const CHARTS: &[ChartPlan] = &[
            chart("throughput_rps", "Throughput", false),
            chart("server_cpu_us_per_request", "Server CPU per request", false),
            chart("response_p50_us", "Response time, p50", true),
            chart("response_p99_us", "Response time, p99", true),
        ];
        CHARTS
    }

    fn expand(&self, spec: &Spec) -> Result<Cells> {
        let Settings { users, blocks, warmup, measure, think } = spec.section::<Table>()?.scaling;
        let users = spec.users.clone().unwrap_or(users);
        let users = levels(spec, "scaling", "users", users, 1, 1..=USERS_MAX)?;
        if measure < Span::from_millis(100) {
            return Err(
                spec.refuse(format!("[scaling] measure: expected at least 100ms, found {measure}"))
            );
        }
        let cell = |arm: &String, users: u32| Cell {
            arm: arm.clone(),
            level: users,
            actions: vec![Action::Load(LoadPlan {
                model: LoadModel::Closed(Closed { think_ns: think.ns(), spread: Spread::Fixed }),
                journey: "browse".into(),
                users,
                choice: UserChoice::InTurn,
                connections: users,
                warmup_ns: warmup.ns(),
                measure_ns: measure.ns(),
                drain_ns: DRAIN.ns(),
                timeout_ns: TIMEOUT.ns(),
            })],
        };
        let cells = spec
            .arms
            .iter()
            .flat_map(|arm| users.iter().map(move |users| cell(arm, *users)))
            .collect();
        Ok(Cells { blocks, cells })
    }

    fn observe(&self, record: &TrialRecord) -> Vec<Observation> {
        loads(record)
            .flat_map(|(plan, load)| {
                METRICS.iter().filter_map(move |metric| {
                    let value = (metric.of_load)(load)?;
                    Some(Observation {
                        users: Some(u64::from(plan.users)),
                        connections: plan.connections,
                        rate: plan.model.offered_rps(),
                        metric: metric.name,
                        value,
                    })
                })
            })
            .collect()
    }

    fn doubts(&self, record: &TrialRecord) -> Vec<Doubt> {
        loads(record).flat_map(|(plan, load)| load.doubts(plan.model.is_open())).collect()
    }
}

/// The loads of a trial beside what was planned.
fn loads(record: &TrialRecord) -> impl Iterator<Item = (&LoadPlan, &LoadRecord)> {
    record.trial.actions.iter().zip(&record.actions).filter_map(|pair| match pair {
        (Action::Load(plan), ActionRecord::Load(load)) => Some((plan, &**load)),
        _ => None,
    })
}
