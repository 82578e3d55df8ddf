//! What does a logged-in user cost the server?

use serde::Deserialize;

use super::{Cell, Cells, ChartPlan, Experiment, Observation, Summary, levels};
use crate::error::Result;
use crate::plan::{Action, FillPlan, SnapshotPlan};
use crate::record::{ActionRecord, Doubt, MemoryUse, SnapshotRecord, TrialRecord};
use crate::spec::Spec;
use crate::stats::{slope_over_trials, theil_sen};
use crate::units::Span;

/// Logins in steps over few connections, and the slope of memory over them.
pub(super) struct Memory;

#[derive(Deserialize)]
struct Table {
    memory: Settings,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    sessions: Vec<u32>,
    #[serde(default = "five")]
    blocks: u32,
    #[serde(default = "thirty_two")]
    connections: u32,
    #[serde(default = "half_a_second")]
    settle: Span,
}

fn five() -> u32 {
    5
}

fn thirty_two() -> u32 {
    32
}

fn half_a_second() -> Span {
    Span::from_millis(500)
}

/// A slope through fewer levels is a difference.
const LEVELS_MIN: usize = 5;
const SESSIONS_MAX: u32 = 10_000_000;
const CONNECTIONS_MAX: u32 = 1024;
const TIMEOUT: Span = Span::from_millis(5000);

impl Experiment for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn question(&self) -> &'static str {
        "What does a logged-in user cost the server?"
    }

    fn method(&self) -> &'static str {
        "Users log in step by step over a few connections, which are closed after each step; then \
         the server is left alone for a moment and its memory is read. The first reading comes \
         after one login a connection. The cost of a user is the slope through the readings \
         (Theil-Sen, one slope a trial), so what the program itself takes drops out. A table takes \
         its memory in steps as it grows, so a slope up to another number of users may differ by a \
         tenth, which no interval between trials shows."
    }

    fn charts(&self) -> &'static [ChartPlan] {
        const fn chart(metric: &'static str, title: &'static str) -> ChartPlan {
            ChartPlan { metric, title, x_label: "logged-in users", x_log: false, y_log: false }
        }
        const CHARTS: &[ChartPlan] = &[
            chart("server_allocated_bytes", "Server memory, allocated"),
            chart("server_pss_bytes", "Server memory, proportional set size"),
        ];
        CHARTS
    }

    fn expand(&self, spec: &Spec) -> Result<Cells> {
        let Settings { sessions, blocks, connections, settle } = spec.section::<Table>()?.memory;
        if !(1..=CONNECTIONS_MAX).contains(&connections) {
            return Err(spec.refuse(format!(
                "[memory] connections: expected 1 to {CONNECTIONS_MAX}, found {connections}"
            )));
        }
        // Before the first connection the server has not touched what every connection needs; that
        // would be counted as a cost of the first users.
        let sessions = sessions.into_iter().map(|level| level.max(connections)).collect();
        let sessions = levels(spec, "memory", "sessions", sessions, LEVELS_MIN, 1..=SESSIONS_MAX)?;
        let mut actions = Vec::new();
        let mut logged_in = 0;
        for level in sessions {
            if level > logged_in {
                actions.push(Action::Fill(FillPlan {
                    first_user: u64::from(logged_in),
                    users: level - logged_in,
                    connections: connections.min(level - logged_in),
                    timeout_ns: TIMEOUT.ns(),
                }));
                logged_in = level;
            }
            actions.push(Action::Snapshot(SnapshotPlan {
                sessions: u64::from(level),
                settle_ns: settle.ns(),
            }));
        }
        let cell = |arm: &String| Cell { arm: arm.clone(), level: 0, actions: actions.clone() };
        Ok(Cells { blocks, cells: spec.arms.iter().map(cell).collect() })
    }

    fn observe(&self, record: &TrialRecord) -> Vec<Observation> {
        let connections = connections(record);
        let observation =
            |users, metric, value| Observation { users, connections, rate: None, metric, value };
        let mut observations = Vec::new();
        for snapshot in snapshots(record) {
            for (metric, read) in READINGS {
                if let Some(bytes) = read(&snapshot.memory) {
                    observations.push(observation(Some(snapshot.sessions), metric, bytes as f64));
                }
            }
        }
        for (metric, read) in SLOPES {
            if let Some(slope) = theil_sen(&points(record, read)) {
                observations.push(observation(None, metric, slope));
            }
        }
        let (users, wall_ns) = record.actions.iter().fold((0, 0), |(users, ns), did| match did {
            ActionRecord::Fill(fill) => (users + u64::from(fill.users), ns + fill.wall_ns),
            _ => (users, ns),
        });
        if wall_ns > 0 {
            let rate = users as f64 * 1e9 / wall_ns as f64;
            observations.push(observation(None, "login_rps", rate));
        }
        observations
    }

    fn summarise(&self, trials: &[&TrialRecord], _blocks: u32, seed: u64) -> Vec<Summary> {
        let connections = trials.iter().map(|trial| connections(trial)).max().unwrap_or(0);
        let slope = |(metric, read): (&'static str, Reading)| {
            let points: Vec<_> = trials.iter().map(|trial| points(trial, read)).collect();
            let estimate = slope_over_trials(&points, seed)?;
            Some(Summary { connections, metric, estimate, resampled: None })
        };
        SLOPES.into_iter().filter_map(slope).collect()
    }

    fn doubts(&self, record: &TrialRecord) -> Vec<Doubt> {
        let wrong = snapshots(record)
            .filter(|s| s.memory.live_sessions.is_some_and(|live| live != s.sessions))
            .map(|s| format!("{} instead of {}", s.memory.live_sessions.unwrap_or(0), s.sessions))
            .next();
        let doubt = |found| Doubt {
            invalidates: true,
            code: "live_sessions".into(),
            what: format!("the store held {found} sessions when memory was read"),
            remedy: "sessions expired or were lost during the fill: lengthen their lifetime".into(),
        };
        wrong.map(doubt).into_iter().collect()
    }
}

type Reading = fn(&MemoryUse) -> Option<u64>;

const READINGS: [(&str, Reading); 4] = [
    ("server_rss_bytes", |memory| Some(memory.rss_bytes)),
    ("server_pss_bytes", |memory| memory.pss_bytes),
    ("server_allocated_bytes", |memory| memory.allocated_bytes),
    ("store_memory_bytes", |memory| memory.store_bytes),
];

const SLOPES: [(&str, Reading); 3] = [
    ("bytes_per_session", |memory| memory.allocated_bytes),
    ("resident_bytes_per_session", |memory| memory.pss_bytes),
    ("store_bytes_per_session", |memory| memory.store_bytes),
];

/// Memory over logged-in users, as one trial read it.
fn points(record: &TrialRecord, read: Reading) -> Vec<(f64, f64)> {
    snapshots(record).filter_map(|s| Some((s.sessions as f64, read(&s.memory)? as f64))).collect()
}

fn snapshots(record: &TrialRecord) -> impl Iterator<Item = &SnapshotRecord> {
    record.actions.iter().filter_map(|did| match did {
        ActionRecord::Snapshot(snapshot) => Some(snapshot),
        _ => None,
    })
}

fn connections(record: &TrialRecord) -> u32 {
    let of = |action: &Action| match action {
        Action::Fill(fill) => Some(fill.connections),
        _ => None,
    };
    record.trial.actions.iter().filter_map(of).max().unwrap_or(0)
}
