//! What happens with several server processes, behind whatever spreads requests over them?

use serde::Deserialize;

use super::check::{drills, levels, within};
use super::metric::{self, Metric};
use super::question::{Cells, ChartPlan, Experiment, Observation, Over, TablePlan};
use crate::error::Result;
use crate::plan::{Action, DrillPlan, ReplicasPlan, TrialPlan};
use crate::record::{Doubt, DrillRecord, ReplicasRecord, ReplicasStep, TrialRecord};
use crate::spec::Spec;
use crate::units::{Span, grouped};

/// One, two and more servers of an arm, and users who meet them.
pub(super) struct Replicas;

#[derive(Deserialize)]
struct Table {
    replicas: Settings,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    servers: Vec<u32>,
    users: u32,
    blocks: u32,
    warmup: Span,
    measure: Span,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            servers: vec![1, 2, 4],
            users: 32,
            blocks: 3,
            warmup: Span::from_millis(500),
            measure: Span::from_millis(1000),
        }
    }
}

const SERVERS_MAX: u32 = 16;
const USERS_MAX: u32 = 1000;
/// Requests of each user to find out who is let in: a round over four servers.
const REQUESTS: u32 = 4;

impl Experiment for Replicas {
    fn name(&self) -> &'static str {
        "replicas"
    }

    fn question(&self) -> &'static str {
        "What happens with several server processes, behind round-robin, sticky, or after one dies?"
    }

    fn method(&self) -> &'static str {
        "As many server processes as the number of users divided by those a server has share \
         the token key, and the store where it is outside of a server. Users log in at one \
         after the other. Sticky: each asks the server that logged them in. Round-robin: each \
         asks one server after the other. Then every server gets a closed load of its own \
         users, all at the same time, and the requests that ended are divided by the CPU time \
         that all servers and the store's server took for them; scaling efficiency is that \
         figure at the most servers, divided by that at the fewest. At last one server is \
         killed, and every user asks once: its users ask the next one. On few cores the \
         processes share them, so that requests per second of wall clock cannot grow with \
         processes; what a request costs still tells what sharing a store adds."
    }

    fn charts(&self) -> &'static [ChartPlan] {
        const fn chart(metric: &'static Metric, title: &'static str) -> ChartPlan {
            let x_label = "users of all servers";
            ChartPlan { metric, title, over: Over::Users, x_label, x_log: true, y_log: false }
        }
        const CHARTS: &[ChartPlan] = &[
            chart(metric::ROUND_ROBIN_REFUSED_SHARE, "Refused behind round-robin"),
            chart(metric::LOST_AFTER_DEATH_SHARE, "Logged out when one server dies"),
            chart(metric::REQUESTS_PER_CPU_S, "Requests per second of CPU, all servers and store"),
        ];
        CHARTS
    }

    fn tables(&self) -> &'static [TablePlan] {
        const TABLES: &[TablePlan] = &[
            TablePlan {
                title: "Who is let in",
                note: "Shares of requests that were refused though their user had logged in.",
                metrics: &[
                    metric::STICKY_REFUSED_SHARE,
                    metric::ROUND_ROBIN_REFUSED_SHARE,
                    metric::ROUND_ROBIN_UNREFRESHED_SHARE,
                    metric::LOST_AFTER_DEATH_SHARE,
                ],
            },
            TablePlan {
                title: "What the servers and the store cost together",
                note: "Each figure with its 95 % interval over n trials.",
                metrics: &[metric::REQUESTS_PER_CPU_S, metric::THROUGHPUT_RPS],
            },
            TablePlan {
                title: "Scaling efficiency",
                note: "Requests per CPU second at the most servers, divided by those at the \
                       fewest: 100 % where a request costs the same however many there are.",
                metrics: &[metric::SCALING_EFFICIENCY],
            },
        ];
        TABLES
    }

    fn expand(&self, spec: &Spec) -> Result<Cells> {
        let Settings { servers, users, blocks, warmup, measure } =
            spec.section::<Table>()?.replicas;
        let servers = levels(spec, "replicas", "servers", servers, 1, 1..=SERVERS_MAX)?;
        let users_per_server = within(spec, "[replicas] users", users, 1..=USERS_MAX)?;
        if measure < Span::from_millis(100) {
            return Err(spec
                .refuse(format!("[replicas] measure: expected at least 100ms, found {measure}")));
        }
        let plan = ReplicasPlan {
            servers,
            users_per_server,
            requests: REQUESTS,
            warmup_ns: warmup.ns(),
            measure_ns: measure.ns(),
        };
        Ok(drills(spec, blocks, &DrillPlan::Replicas(plan)))
    }

    fn needs(&self, metric: &Metric, trials: &[&TrialPlan], _level: u32) -> Option<&'static str> {
        let servers = trials.iter().find_map(|trial| match trial.actions.first()? {
            Action::Drill(DrillPlan::Replicas(plan)) => Some(plan.servers.as_slice()),
            _ => None,
        });
        let servers = servers.unwrap_or_default();
        let has_several = servers.last().is_some_and(|most| *most > 1);
        if metric == metric::SCALING_EFFICIENCY && servers.len() < 2 {
            return Some("two numbers of `servers` or more");
        }
        let of_death = metric == metric::LOST_AFTER_DEATH_SHARE;
        (of_death && !has_several).then_some("a number of `servers` above 1")
    }

    fn observe(&self, record: &TrialRecord) -> Vec<Observation> {
        let Some((plan, found)) = both(record) else { return Vec::new() };
        let mut observations = Vec::new();
        for step in &found.steps {
            let death = step.after_death.and_then(|asked| asked.refused_share());
            let refreshed = step.round_robin_refreshed.and_then(|asked| asked.refused_share());
            for (metric, value) in [
                (metric::STICKY_REFUSED_SHARE, step.sticky.refused_share()),
                (metric::ROUND_ROBIN_REFUSED_SHARE, step.round_robin.refused_share()),
                (metric::ROUND_ROBIN_UNREFRESHED_SHARE, refreshed),
                (metric::LOST_AFTER_DEATH_SHARE, death),
                (metric::THROUGHPUT_RPS, throughput(step)),
                (metric::REQUESTS_PER_CPU_S, per_cpu_second(step)),
            ] {
                observations.extend(value.map(|value| Observation {
                    users: Some(u64::from(step.users)),
                    connections: step.servers * plan.users_per_server,
                    rate: None,
                    metric,
                    value,
                }));
            }
        }
        observations.extend(efficiency(found).map(|value| Observation {
            users: None,
            connections: found.steps.last().map_or(0, |s| s.servers * plan.users_per_server),
            rate: None,
            metric: metric::SCALING_EFFICIENCY,
            value,
        }));
        observations
    }

    fn doubts(&self, record: &TrialRecord) -> Vec<Doubt> {
        let Some((plan, found)) = both(record) else { return Vec::new() };
        let mut doubts = Vec::new();
        let asked = |step: &ReplicasStep| {
            let others = [step.after_death, step.round_robin_refreshed];
            let others: u64 = others.into_iter().flatten().map(|asked| asked.failed).sum();
            step.sticky.failed + step.round_robin.failed + others
        };
        let failed: u64 = found.steps.iter().map(asked).sum();
        if failed > 0 {
            doubts.push(Doubt::invalid(
                "requests_lost",
                format!("{failed} requests were neither let in nor refused"),
                "see what the servers said; such requests are in no share",
            ));
        }
        let shares = || found.steps.iter().flat_map(|step| &step.shares);
        let (ended, ok) = shares().fold((0, 0), |(e, ok), s| (e + s.ended, ok + s.ok));
        if (ended - ok) * 1000 > ended || ended == 0 {
            doubts.push(Doubt::invalid(
                "replicas_errors",
                format!(
                    "{} of {} requests under load got no right answer",
                    grouped(ended - ok),
                    grouped(ended)
                ),
                "requests that fail cost less: repeat once the cause is gone",
            ));
        }
        let most = plan.servers.iter().max().copied().unwrap_or(1);
        let cores = record.placement.server.len();
        if cores > 0 && most as usize > cores {
            doubts.push(Doubt::caution(
                "servers_share_cores",
                format!("{most} servers shared {cores} core{}", if cores == 1 { "" } else { "s" }),
                "read requests per CPU second; scaling by the wall clock needs one core per server",
            ));
        }
        doubts
    }
}

/// Requests per second of all servers; each was measured over a window of its own, at the same
/// time.
fn throughput(step: &ReplicasStep) -> Option<f64> {
    let rate = |s: &crate::record::ServerShare| s.ended as f64 * 1e9 / s.window_ns.max(1) as f64;
    (!step.shares.is_empty()).then(|| step.shares.iter().map(rate).sum())
}

/// Requests for each second of CPU time of all servers and the store's server.
fn per_cpu_second(step: &ReplicasStep) -> Option<f64> {
    // The two readings of a server enclose nearly its window; requests are scaled to them.
    let requests = |s: &crate::record::ServerShare| {
        s.ended as f64 * s.interval_ns as f64 / s.window_ns.max(1) as f64
    };
    let cpu_ns: u64 = step.shares.iter().map(|share| share.cpu_ns).sum();
    let cpu_ns = cpu_ns + step.store_cpu_ns.unwrap_or(0);
    let all: f64 = step.shares.iter().map(requests).sum();
    (cpu_ns > 0).then(|| all * 1e9 / cpu_ns as f64)
}

/// What a second of CPU time does at the most servers, compared with the fewest.
fn efficiency(found: &ReplicasRecord) -> Option<f64> {
    let (first, last) = (found.steps.first()?, found.steps.last()?);
    (last.servers > first.servers).then_some(())?;
    Some(per_cpu_second(last)? / per_cpu_second(first)?)
}

fn both(record: &TrialRecord) -> Option<(&ReplicasPlan, &ReplicasRecord)> {
    match (record.trial.actions.first()?, record.drill()?) {
        (Action::Drill(DrillPlan::Replicas(plan)), DrillRecord::Replicas(found)) => {
            Some((plan, found))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::recorded::{codes, figure, figure_at, trial};
    use super::*;
    use crate::record::{Asked, ServerShare};

    fn asked(right: u64, refused: u64) -> Asked {
        Asked { right, refused, failed: 0 }
    }

    /// Servers that each answer 10,000 requests for so much CPU time.
    fn step(servers: u32, cpu_ms: u64) -> ReplicasStep {
        let share = ServerShare {
            ended: 10_000,
            ok: 10_000,
            window_ns: 1_000_000_000,
            cpu_ns: cpu_ms * 1_000_000,
            interval_ns: 1_000_000_000,
        };
        let users = servers * 32;
        ReplicasStep {
            servers,
            users,
            sticky: asked(u64::from(users) * 4, 0),
            round_robin: asked(u64::from(users) * 4 / u64::from(servers), 0),
            round_robin_refreshed: None,
            after_death: (servers > 1).then(|| asked(3, 1)),
            shares: vec![share; servers as usize],
            store_cpu_ns: None,
        }
    }

    fn record(steps: Vec<ReplicasStep>) -> TrialRecord {
        trial("[replicas]", &DrillRecord::Replicas(ReplicasRecord { steps }))
    }

    #[test]
    fn efficiency_is_what_a_cpu_second_does_at_the_most_beside_the_fewest() {
        let record = record(vec![step(1, 100), step(2, 110), step(4, 125)]);
        let value = |metric, users| figure_at(&Replicas, &record, metric, Some(users));
        assert_eq!(value(metric::REQUESTS_PER_CPU_S, 32), Some(100_000.0));
        assert_eq!(value(metric::REQUESTS_PER_CPU_S, 128), Some(80_000.0));
        assert_eq!(value(metric::THROUGHPUT_RPS, 128), Some(40_000.0));
        assert_eq!(figure(&Replicas, &record, metric::SCALING_EFFICIENCY), Some(0.8));
        assert_eq!(value(metric::LOST_AFTER_DEATH_SHARE, 32), None);
        assert_eq!(value(metric::LOST_AFTER_DEATH_SHARE, 64), Some(0.25));
        assert_eq!(codes(&Replicas, &record), [("servers_share_cores".into(), false)]);
    }

    #[test]
    fn a_stores_time_is_on_the_bill() {
        let with_store = ReplicasStep { store_cpu_ns: Some(100_000_000), ..step(1, 100) };
        let record = record(vec![with_store]);
        assert_eq!(figure(&Replicas, &record, metric::REQUESTS_PER_CPU_S), Some(50_000.0));
        assert_eq!(
            figure(&Replicas, &record, metric::SCALING_EFFICIENCY),
            None,
            "of one number of servers"
        );
    }

    #[test]
    fn shares_are_of_those_who_got_an_answer_and_others_invalidate() {
        let mut lame = step(2, 100);
        lame.round_robin = Asked { right: 50, refused: 50, failed: 10 };
        let record = record(vec![lame]);
        assert_eq!(figure(&Replicas, &record, metric::ROUND_ROBIN_REFUSED_SHARE), Some(0.5));
        assert!(codes(&Replicas, &record).contains(&("requests_lost".into(), true)));
    }
}
