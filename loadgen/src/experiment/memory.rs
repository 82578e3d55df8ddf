//! What does a logged-in user cost the server, what a connection, and what comes back?

mod readings;
mod settings;

use super::metric::{self, Metric};
use super::question::{Axis, Cells, ChartPlan, Experiment, Observation, Over, Summary};
use crate::error::Result;
use crate::plan::{Action, TrialPlan};
use crate::record::{Doubt, TrialRecord};
use crate::spec::Spec;
use crate::stats::slope_over_trials;
use crate::units::grouped;

use readings::{
    AFTER_EXPIRY, AFTER_LOGOUT, CONNECTION_SLOPES, CONNECTIONS, READINGS, Reading, SESSIONS,
    SLOPES, Seen, connections, lost, only_logs_in, planned_connections, points, snapshots,
};
use settings::{Kind, Settings};

/// Logins in steps over few connections, connections in steps, and the slopes of memory over them.
pub(super) struct Memory;

impl Experiment for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn question(&self) -> &'static str {
        "What does a logged-in user cost the server, what a connection, and what comes back?"
    }

    fn method(&self) -> &'static str {
        "Users are logged in step by step; after each step the server is left alone for a moment \
         and its memory is read. The first user of each connection logs in over HTTP before the \
         first reading, so that what every connection touches is not counted as a user's. The \
         server logs the others in by itself, through the same code and the same create of its \
         store as a login, without a request for each; where the campaign says `fill = \
         \"login\"`, and where users fill a cart, each logs in over HTTP. A store has up to three \
         figures: the memory of its processes as the operating system sees it, which buffers of a \
         fixed size dominate; its own count (Redis' used_memory, PostgreSQL's \
         pg_total_relation_size, SQLite's pages); and what it takes on the disk. The cost of a \
         user is the slope through the readings (Theil-Sen, one slope a trial), so what the \
         program itself takes drops out. A table takes its memory in steps as it grows, so a \
         slope up to another number of users may differ by a tenth, which no interval between \
         trials shows; so users per GiB have none where that is more than tenfold beyond what was \
         filled. Where the campaign asks for it, users put items of about 60 bytes into \
         their carts before; connections are opened step by step, each left idle after one \
         request, on a server of their own, and their slope is without the kernel's buffers; and \
         memory is read once more after everybody has logged out, and on another server after all \
         sessions have expired and the store was swept. The share that came back is of what the \
         users had added since the first reading."
    }

    fn charts(&self) -> &'static [ChartPlan] {
        const fn chart(metric: &'static Metric, title: &'static str) -> ChartPlan {
            ChartPlan {
                metric,
                title,
                over: Over::Users,
                x_label: "logged-in users",
                x_log: false,
                y_log: false,
            }
        }
        const CHARTS: &[ChartPlan] = &[
            chart(metric::SERVER_ALLOCATED_BYTES, "Server memory, allocated"),
            chart(metric::SERVER_PSS_BYTES, "Server memory, proportional set size"),
        ];
        CHARTS
    }

    fn axis(&self) -> Option<Axis> {
        Some(Axis { label: "Items", noun: "items in the cart", at_zero: "" })
    }

    fn level(&self, level: u32) -> String {
        match level {
            0 => "all levels in one trial".into(),
            items => format!("all levels in one trial, {} items each", grouped(items.into())),
        }
    }

    fn expand(&self, spec: &Spec) -> Result<Cells> {
        let settings = Settings::read(spec)?;
        let cells = spec.arms.iter().flat_map(|arm| settings.cells(arm)).collect();
        Ok(Cells { blocks: settings.blocks, cells })
    }

    fn measures(&self, metric: &Metric) -> bool {
        let alone = [metric::USERS_PER_GIB, metric::BYTES_PER_LOGOUT, metric::LOGIN_RPS];
        let tables: [&[(&Metric, Reading)]; 5] =
            [&READINGS, &SLOPES, &CONNECTION_SLOPES, &AFTER_LOGOUT, &AFTER_EXPIRY];
        let read = tables.iter().flat_map(|table| table.iter().map(|(own, _)| *own));
        read.chain(alone).any(|own| own == metric)
    }

    fn needs(&self, metric: &Metric, trials: &[&TrialPlan], level: u32) -> Option<&'static str> {
        let at_level = || trials.iter().filter(|trial| trial.level == level);
        let has = |kind: Kind| at_level().any(|trial| Kind::of(trial) == kind);
        let logs_out = |action: &Action| matches!(action, Action::Logout(_));
        let lists = |table: &[(&Metric, Reading)]| table.iter().any(|(own, _)| *own == metric);
        let (is_there, need) = if lists(&CONNECTION_SLOPES) {
            (has(Kind::Connections), "`idle_connections`, and level 0")
        } else if lists(&AFTER_EXPIRY) {
            (has(Kind::Expiry), "`expiry`, and level 0")
        } else if lists(&AFTER_LOGOUT) || metric == metric::BYTES_PER_LOGOUT {
            let after_logout = at_level().any(|trial| trial.actions.iter().any(logs_out));
            (after_logout, "`logout = true`, and a level of `data`")
        } else if metric == metric::LOGIN_RPS {
            let is_asked =
                at_level().any(|trial| Kind::of(trial) == Kind::Sessions && only_logs_in(trial));
            (is_asked, "`fill = \"login\"`, and level 0 of `data`")
        } else {
            (has(Kind::Sessions), "a level of `data`")
        };
        (!is_there).then_some(need)
    }

    fn observe(&self, record: &TrialRecord) -> Vec<Observation> {
        let seen = Seen { record, connections: connections(record) };
        match Kind::of(&record.trial) {
            Kind::Sessions => seen.sessions(),
            Kind::Connections => seen.slopes(&CONNECTION_SLOPES, CONNECTIONS),
            Kind::Expiry => seen.came_back(&AFTER_EXPIRY),
        }
    }

    fn summarise(&self, trials: &[&TrialRecord], _blocks: u32, seed: u64) -> Vec<Summary> {
        let mut levels: Vec<u32> = trials.iter().map(|record| record.trial.level).collect();
        levels.sort_unstable();
        levels.dedup();
        let summary = |level: u32, kind: Kind, (metric, read): (&'static Metric, Reading), over| {
            let is_of = |r: &&&TrialRecord| r.trial.level == level && Kind::of(&r.trial) == kind;
            let trials = || trials.iter().filter(is_of);
            let points: Vec<_> = trials().map(|trial| points(trial, read, over)).collect();
            let connections = trials().map(|trial| connections(trial)).max().unwrap_or(0);
            let estimate = slope_over_trials(&points, seed)?;
            Some(Summary {
                level: Some(level),
                connections,
                metric,
                estimate,
                resampled: None,
                users: None,
            })
        };
        let sessions = SLOPES.map(|slope| (Kind::Sessions, slope, SESSIONS));
        let connections = CONNECTION_SLOPES.map(|slope| (Kind::Connections, slope, CONNECTIONS));
        let slopes: Vec<_> = sessions.into_iter().chain(connections).collect();
        let places = levels.iter().flat_map(|level| slopes.iter().map(|slope| (*level, *slope)));
        places
            .filter_map(|(level, (kind, slope, over))| summary(level, kind, slope, over))
            .collect()
    }

    fn doubts(&self, record: &TrialRecord) -> Vec<Doubt> {
        let mut doubts = Vec::new();
        if let Some((live, expected)) = lost(record) {
            doubts.push(Doubt::invalid(
                "live_sessions",
                format!(
                    "the store held {live} sessions instead of {expected} when memory was read"
                ),
                "sessions expired, were lost, or were not swept: lengthen their lifetime (`expiry` \
                 where the trial waits for it)",
            ));
        }
        let planned = planned_connections(&record.trial);
        let wrong = snapshots(record).zip(planned).find_map(|(snapshot, planned)| {
            let open = snapshot.memory.connections?;
            (open != planned).then_some((open, planned))
        });
        if let (Kind::Connections, Some((open, planned))) = (Kind::of(&record.trial), wrong) {
            doubts.push(Doubt::invalid(
                "connections",
                format!("{open} connections were open instead of {planned} when memory was read"),
                "the server closed some: shorten `settle`, or ask for fewer connections",
            ));
        }
        doubts
    }
}

#[cfg(test)]
mod tests;
