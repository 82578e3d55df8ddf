//! How do throughput, latency and CPU change as concurrent users grow?

use serde::Deserialize;

use super::check::{count, levels, millis};
use super::load::{self, CONNECTIONS_MAX, Slices, browse, check_lengths, cut};
use super::metric::{self, Metric};
use super::question::{Cell, Cells, ChartPlan, Experiment, Observation, Over};
use crate::error::Result;
use crate::load::{Closed, LoadModel, UserChoice};
use crate::plan::TrialPlan;
use crate::record::{Doubt, TrialRecord};
use crate::spec::Spec;
use crate::units::Span;

/// A closed loop at several numbers of users, each on a connection of their own.
pub(super) struct Concurrency;

#[derive(Deserialize)]
struct Table {
    concurrency: Settings,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    users: Vec<u32>,
    #[serde(default = "count::<5>")]
    blocks: u32,
    #[serde(default = "millis::<500>")]
    warmup: Span,
    #[serde(default = "millis::<3000>")]
    measure: Span,
    #[serde(default)]
    think: Span,
    #[serde(default = "millis::<15>")]
    slice: Span,
}

impl Experiment for Concurrency {
    fn name(&self) -> &'static str {
        "concurrency"
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
        const fn chart(metric: &'static Metric, title: &'static str, y_log: bool) -> ChartPlan {
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
            chart(metric::THROUGHPUT_RPS, "Throughput", false),
            chart(metric::SERVER_CPU_US_PER_REQUEST, "Server CPU per request", false),
            chart(metric::RESPONSE_P50_US, "Response time, p50", true),
            chart(metric::RESPONSE_P99_US, "Response time, p99", true),
        ];
        CHARTS
    }

    fn mixes(&self) -> bool {
        true
    }

    fn expand(&self, spec: &Spec) -> Result<Cells> {
        let Settings { users, blocks, warmup, measure, think, slice } =
            spec.section::<Table>()?.concurrency;
        let users = spec.users.clone().unwrap_or(users);
        let users = levels(spec, "concurrency", "users", users, 1, 1..=CONNECTIONS_MAX)?;
        check_lengths(spec, "concurrency", measure, slice, Slices::Optional)?;
        let model = Closed { think_ns: think.ns(), ..Closed::without_thinking() };
        let cell = |arm: &String, users: u32| {
            let whose = (users, UserChoice::InTurn);
            let load = browse(LoadModel::Closed(model), whose, users, (warmup, measure));
            Cell {
                arm: arm.clone(),
                level: users,
                server: Vec::new(),
                actions: vec![cut(load, slice)],
            }
        };
        Ok(Cells::of_every_arm(spec, blocks, &users, |arm, users| cell(arm, *users)))
    }

    fn measures(&self, metric: &Metric) -> bool {
        metric.is_of_load
    }

    fn needs(&self, metric: &Metric, trials: &[&TrialPlan], level: u32) -> Option<&'static str> {
        load::needs(metric, trials, level)
    }

    fn observe(&self, record: &TrialRecord) -> Vec<Observation> {
        load::observed(record)
    }

    fn doubts(&self, record: &TrialRecord) -> Vec<Doubt> {
        load::doubts(record)
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::plan;

    #[test]
    fn a_slice_is_long_enough_for_its_connections() {
        let cut = |table: &str| {
            let trials = plan(table).unwrap().trials;
            let place = |trial: &crate::plan::TrialPlan| {
                trial.slices().map(|s| (s.slicing.length_ns / 1_000, s.slicing.cut_ns / 1_000))
            };
            let mut cut: Vec<_> = trials.iter().map(|trial| (trial.level, place(trial))).collect();
            cut.sort_unstable();
            cut.dedup();
            cut
        };
        let users = "[concurrency]\nusers=[8,1000]\nblocks=1\n";
        assert_eq!(cut(users), [(8, Some((15_000, 3_000))), (1000, Some((50_000, 10_000)))]);
        let whole = format!("{users}slice='0ms'\n");
        assert_eq!(cut(&whole), [(8, None), (1000, None)]);
    }
}
