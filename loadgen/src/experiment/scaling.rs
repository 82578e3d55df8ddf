//! How do throughput, latency and CPU change as concurrent users grow?

use serde::Deserialize;

use super::{Cell, Cells, ChartPlan, Experiment, METRICS, Observation, Over, levels, steady};
use crate::error::Result;
use crate::load::{Closed, LoadModel, Spread, UserChoice};
use crate::plan::{Action, LoadPlan, SlicesPlan, Slicing};
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
    #[serde(default = "fifteen_milliseconds")]
    slice: Span,
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

fn fifteen_milliseconds() -> Span {
    Span::from_millis(15)
}

/// Each user holds a connection, and one process may have so many.
pub(super) const USERS_MAX: u32 = 16_000;
/// A slice has to be longer than what is cut of it, and shorter than the machine's moods.
pub(super) const SLICE_MIN: Span = Span::from_millis(5);
pub(super) const SLICE_MAX: Span = Span::from_millis(1000);
pub(super) const TIMEOUT: Span = Span::from_millis(5000);
pub(super) const DRAIN: Span = Span::from_millis(2000);

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
         sets one. The servers of a level are up together and take turns, unless the campaign asks \
         for windows of their own: one load alternates between them in slices of milliseconds, in \
         an order drawn for each round, and each slice begins and ends with no request under way. \
         What they answer per second is compared round by round (a trimmed mean of logarithms), so \
         that the moods of the machine are no one's figure. Without think time, latency is what \
         saturation makes of it: its mean is the number of users divided by throughput. No law of \
         scalability is fitted over users: on few cores a single user leaves them idle and a few \
         keep them busy, which is no property of a scheme. How throughput grows with cores is \
         asked by the experiment `cores`."
    }

    fn charts(&self) -> &'static [ChartPlan] {
        const fn chart(metric: &'static str, title: &'static str, y_log: bool) -> ChartPlan {
            ChartPlan {
                metric,
                title,
                over: Over::Users,
                x_label: "concurrent users",
                x_log: true,
                y_log,
            }
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
        let Settings { users, blocks, warmup, measure, think, slice } =
            spec.section::<Table>()?.scaling;
        let users = spec.users.clone().unwrap_or(users);
        let users = levels(spec, "scaling", "users", users, 1, 1..=USERS_MAX)?;
        if measure < Span::from_millis(100) {
            return Err(
                spec.refuse(format!("[scaling] measure: expected at least 100ms, found {measure}"))
            );
        }
        check_slice(spec, "scaling", slice)?;
        let cell = |arm: &String, users: u32| Cell {
            arm: arm.clone(),
            level: users,
            server: Vec::new(),
            actions: vec![cut(
                LoadPlan {
                    model: LoadModel::Closed(Closed {
                        think_ns: think.ns(),
                        spread: Spread::Fixed,
                    }),
                    journey: "browse".into(),
                    users,
                    choice: UserChoice::InTurn,
                    connections: users,
                    warmup_ns: warmup.ns(),
                    measure_ns: measure.ns(),
                    drain_ns: DRAIN.ns(),
                    timeout_ns: TIMEOUT.ns(),
                    prepare: None,
                },
                slice,
            )],
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
        let of = |(plan, load): (&LoadPlan, &LoadRecord)| {
            let own = load.doubts(plan.model.is_open());
            own.into_iter().chain(steady::doubt(plan, load)).collect::<Vec<_>>()
        };
        loads(record).flat_map(of).collect()
    }
}

/// Refuses slices of a length that cannot be measured.
pub(super) fn check_slice(spec: &Spec, table: &str, slice: Span) -> Result<()> {
    if slice == Span::default() || (SLICE_MIN..=SLICE_MAX).contains(&slice) {
        return Ok(());
    }
    Err(spec.refuse(format!(
        "[{table}] slice: expected 0ms (none) or {SLICE_MIN} to {SLICE_MAX}, found {slice}"
    )))
}

/// How long a slice is at least for each connection, ns: five times what a core takes to answer it
/// once. The first fifth, which is not counted, is then over when the queue has been gone through
/// once.
const SLICE_PER_CONNECTION_NS: u64 = 50_000;

/// This load in slices of such a length, of which the first fifth is cut; 0: as a load of its own.
pub(super) fn cut(load: LoadPlan, slice: Span) -> Action {
    if slice == Span::default() {
        return Action::Load(load);
    }
    let length_ns = slice.ns().max(u64::from(load.connections) * SLICE_PER_CONNECTION_NS);
    let slicing = Slicing::new(length_ns, length_ns / 5, load.warmup_ns, load.measure_ns);
    let load = LoadPlan { measure_ns: slicing.measured_ns(), ..load };
    Action::Slices(SlicesPlan { load, slicing })
}

/// The loads of a trial beside what was planned.
pub(super) fn loads(record: &TrialRecord) -> impl Iterator<Item = (&LoadPlan, &LoadRecord)> {
    record.trial.actions.iter().zip(&record.actions).filter_map(|pair| match pair {
        (plan, ActionRecord::Load(load)) => Some((plan.load()?, &**load)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::plan;

    #[test]
    fn a_slice_is_long_enough_for_its_connections() {
        let cut = |table: &str| {
            let trials = plan(table).unwrap().trials;
            let of = |trial: &crate::plan::TrialPlan| {
                trial.slices().map(|s| (s.slicing.length_ns / 1_000, s.slicing.cut_ns / 1_000))
            };
            let mut cut: Vec<_> = trials.iter().map(|trial| (trial.level, of(trial))).collect();
            cut.sort_unstable();
            cut.dedup();
            cut
        };
        let users = "[scaling]\nusers=[8,1000]\nblocks=1\n";
        assert_eq!(cut(users), [(8, Some((15_000, 3_000))), (1000, Some((50_000, 10_000)))]);
        let whole = format!("{users}slice='0ms'\n");
        assert_eq!(cut(&whole), [(8, None), (1000, None)]);
    }
}
