//! What does a logged-in user cost the server, what a connection, and what comes back?

use serde::Deserialize;

use super::check::{count, levels, millis};
use super::metric::{self, Metric};
use super::question::{Axis, Cell, Cells, ChartPlan, Experiment, Observation, Over, Summary};
use crate::error::Result;
use crate::plan::{
    ADMIN_FILL, Action, ConnectPlan, FillPlan, LogoutPlan, PopulatePlan, Prepare, SnapshotPlan,
    TrialPlan,
};
use crate::record::{ActionRecord, Doubt, MemoryUse, SnapshotRecord, TrialRecord};
use crate::spec::Spec;
use crate::stats::{slope_over_trials, theil_sen};
use crate::units::{Span, grouped};

/// Logins in steps over few connections, connections in steps, and the slopes of memory over them.
pub(super) struct Memory;

#[derive(Deserialize)]
struct Table {
    memory: Settings,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    sessions: Vec<u32>,
    #[serde(default = "nothing")]
    data: Vec<u32>,
    #[serde(default)]
    idle_connections: Vec<u32>,
    #[serde(default)]
    logout: bool,
    #[serde(default)]
    fill: Way,
    expiry: Option<Span>,
    #[serde(default = "count::<5>")]
    blocks: u32,
    #[serde(default = "count::<32>")]
    connections: u32,
    #[serde(default = "millis::<500>")]
    settle: Span,
}

/// How users get logged in beyond the first reading.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Way {
    /// By the server itself, through the store's own create.
    #[default]
    Admin,
    /// Each by a login over HTTP, as a user does.
    Login,
}

fn nothing() -> Vec<u32> {
    vec![0]
}

/// A slope through fewer levels is a difference.
const LEVELS_MIN: usize = 5;
const SESSIONS_MAX: u32 = 10_000_000;
/// More than any arm keeps in a cart; what an arm does not take is a failed trial.
const ITEMS_MAX: u32 = 64;
const CONNECTIONS_MAX: u32 = 1024;
const IDLE_CONNECTIONS_MAX: u32 = 16_000;
const TIMEOUT: Span = Span::from_millis(5000);
/// The argument that only the servers of a trial about expiry have.
const TTL: &str = "--ttl";
/// How often the store of a trial about expiry is swept, and how long after the last session has
/// expired its memory is read: two sweeps and a little.
const SWEEP_EVERY: &str = "1s";
const SWEPT_AFTER: Span = Span::from_millis(2500);
/// An id and a user take more, so less is pages and bookkeeping, and a share of it says nothing.
const SESSION_BYTES_MIN: f64 = 32.0;
const GIB: f64 = 1_073_741_824.0;

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
        let mut settings = spec.section::<Table>()?.memory;
        let Settings { connections, .. } = settings;
        if !(1..=CONNECTIONS_MAX).contains(&connections) {
            return Err(spec.refuse(format!(
                "[memory] connections: expected 1 to {CONNECTIONS_MAX}, found {connections}"
            )));
        }
        // Before the first connection the server has not touched what every connection needs; that
        // would be counted as a cost of the first users.
        let sessions = settings.sessions.iter().map(|level| *level.max(&connections)).collect();
        settings.sessions =
            levels(spec, "memory", "sessions", sessions, LEVELS_MIN, 1..=SESSIONS_MAX)?;
        settings.data = levels(spec, "memory", "data", settings.data, 1, 0..=ITEMS_MAX)?;
        if !settings.idle_connections.is_empty() {
            let (field, range) = ("idle_connections", 0..=IDLE_CONNECTIONS_MAX);
            let asked = std::mem::take(&mut settings.idle_connections);
            settings.idle_connections = levels(spec, "memory", field, asked, LEVELS_MIN, range)?;
        }
        let whole = |ttl: Span| ttl.ns() >= 1_000_000_000 && ttl.ns().is_multiple_of(1_000_000_000);
        if let Some(ttl) = settings.expiry.filter(|ttl| !whole(*ttl)) {
            return Err(spec.refuse(format!(
                "[memory] expiry: expected whole seconds, at least 1s, because tokens count in \
                 seconds; found {ttl}"
            )));
        }
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

impl Settings {
    /// The trials of an arm: a slope for every size of a session, one of connections, and one that
    /// waits until everything has expired.
    fn cells(&self, arm: &str) -> Vec<Cell> {
        let cell = |level, more: &[&str], actions: Vec<Action>| {
            let mut server = Self::server(&actions);
            server.extend(more.iter().map(ToString::to_string));
            Cell { arm: arm.into(), level, server, actions }
        };
        let sessions = self.data.iter().map(|items| cell(*items, &[], self.sessions(*items)));
        let mut cells: Vec<Cell> = sessions.collect();
        if !self.idle_connections.is_empty() {
            cells.push(cell(0, &[], self.idle()));
        }
        if let Some(ttl) = self.expiry {
            let server = [TTL, &ttl.to_string(), "--sweep-every", SWEEP_EVERY];
            cells.push(cell(0, &server, self.expire(ttl)));
        }
        cells
    }

    fn fill(&self, first: u32, users: u32, items: u32) -> Action {
        Action::Fill(FillPlan {
            first_user: u64::from(first),
            users,
            connections: self.connections.min(users),
            timeout_ns: TIMEOUT.ns(),
            prepare: (items > 0).then(|| Prepare { journey: "cart".into(), times: items }),
            keep: self.logout,
        })
    }

    /// What takes so many logged-in users to this level. The first on each connection log in over
    /// HTTP in any case, and so do users who fill a cart.
    fn log_in(&self, logged_in: u32, level: u32, items: u32) -> Vec<Action> {
        let over_http = match self.fill {
            Way::Admin if items == 0 => self.connections.clamp(logged_in, level),
            _ => level,
        };
        let mut actions = Vec::new();
        if over_http > logged_in {
            actions.push(self.fill(logged_in, over_http - logged_in, items));
        }
        if level > over_http {
            let users = level - over_http;
            let keep = self.logout;
            actions.push(Action::Populate(PopulatePlan {
                first_user: over_http,
                users,
                leave: false,
                keep,
            }));
        }
        actions
    }

    /// Further arguments of the servers of a trial with these actions.
    fn server(actions: &[Action]) -> Vec<String> {
        let populates = actions.iter().any(|action| matches!(action, Action::Populate(_)));
        if populates { ADMIN_FILL.map(String::from).to_vec() } else { Vec::new() }
    }

    fn snapshot(&self, sessions: u32) -> Action {
        Action::Snapshot(SnapshotPlan {
            sessions: u64::from(sessions),
            settle_ns: self.settle.ns(),
        })
    }

    /// Logins up to each level in turn, and after the last everybody logs out where that is asked.
    fn sessions(&self, items: u32) -> Vec<Action> {
        let mut actions = Vec::new();
        let mut logged_in = 0;
        for &level in &self.sessions {
            actions.extend(self.log_in(logged_in, level, items));
            logged_in = level;
            actions.push(self.snapshot(level));
        }
        if self.logout {
            let (connections, timeout_ns) = (self.connections, TIMEOUT.ns());
            actions.push(Action::Logout(LogoutPlan { connections, timeout_ns }));
            actions.push(self.snapshot(0));
        }
        actions
    }

    /// Connections up to each level in turn, each opened by a user of its step.
    fn idle(&self) -> Vec<Action> {
        let without = Self { logout: false, ..self.copy() };
        let mut logged_in = self.connections;
        let mut actions = vec![without.fill(0, logged_in, 0)];
        let mut open = 0;
        for &level in &self.idle_connections {
            if level > open {
                actions.push(Action::Connect(ConnectPlan {
                    user: u64::from(logged_in),
                    connections: level - open,
                    timeout_ns: TIMEOUT.ns(),
                }));
                (logged_in, open) = (logged_in + 1, level);
            }
            actions.push(self.snapshot(logged_in));
        }
        actions
    }

    /// All log in, and the server is left alone until all have expired.
    fn expire(&self, ttl: Span) -> Vec<Action> {
        let without = Self { logout: false, ..self.copy() };
        let (first, top) = (self.sessions[0], self.sessions[self.sessions.len() - 1]);
        let mut actions = without.log_in(0, first, 0);
        actions.push(self.snapshot(first));
        actions.extend(without.log_in(first, top, 0));
        actions.push(self.snapshot(top));
        let settle_ns = ttl.ns() + SWEPT_AFTER.ns();
        actions.push(Action::Snapshot(SnapshotPlan { sessions: 0, settle_ns }));
        actions
    }

    fn copy(&self) -> Self {
        Self {
            sessions: self.sessions.clone(),
            data: self.data.clone(),
            idle_connections: self.idle_connections.clone(),
            ..*self
        }
    }
}

/// What a trial is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sessions,
    Connections,
    Expiry,
}

impl Kind {
    fn of(trial: &TrialPlan) -> Self {
        let connects = |action: &Action| matches!(action, Action::Connect(_));
        if trial.actions.iter().any(connects) {
            Self::Connections
        } else if trial.server.iter().any(|argument| argument == TTL) {
            Self::Expiry
        } else {
            Self::Sessions
        }
    }
}

type Reading = fn(&MemoryUse) -> Option<u64>;

const ALLOCATED: Reading = |memory| memory.allocated_bytes;
const RESIDENT: Reading = |memory| memory.pss_bytes;
const STORE: Reading = |memory| memory.store_bytes;
const STORE_USED: Reading = |memory| memory.store_used_bytes;
const STORE_DISK: Reading = |memory| memory.store_disk_bytes;

/// What a slope is over.
type Along = fn(&SnapshotRecord) -> Option<u64>;

const SESSIONS: Along = |snapshot| Some(snapshot.sessions);
const CONNECTIONS: Along = |snapshot| snapshot.memory.connections;

const READINGS: [(&Metric, Reading); 6] = [
    (metric::SERVER_RSS_BYTES, |memory| Some(memory.rss_bytes)),
    (metric::SERVER_PSS_BYTES, RESIDENT),
    (metric::SERVER_ALLOCATED_BYTES, ALLOCATED),
    (metric::STORE_MEMORY_BYTES, STORE),
    (metric::STORE_USED_BYTES, STORE_USED),
    (metric::STORE_DISK_BYTES, STORE_DISK),
];

const SLOPES: [(&Metric, Reading); 5] = [
    (metric::BYTES_PER_SESSION, ALLOCATED),
    (metric::RESIDENT_BYTES_PER_SESSION, RESIDENT),
    (metric::STORE_BYTES_PER_SESSION, STORE),
    (metric::STORE_USED_BYTES_PER_SESSION, STORE_USED),
    (metric::STORE_DISK_BYTES_PER_SESSION, STORE_DISK),
];

const CONNECTION_SLOPES: [(&Metric, Reading); 2] =
    [(metric::BYTES_PER_CONNECTION, ALLOCATED), (metric::RESIDENT_BYTES_PER_CONNECTION, RESIDENT)];

const AFTER_LOGOUT: [(&Metric, Reading); 3] = [
    (metric::RETURNED_AFTER_LOGOUT, ALLOCATED),
    (metric::RESIDENT_RETURNED_AFTER_LOGOUT, RESIDENT),
    (metric::STORE_RETURNED_AFTER_LOGOUT, STORE),
];

const AFTER_EXPIRY: [(&Metric, Reading); 3] = [
    (metric::RETURNED_AFTER_EXPIRY, ALLOCATED),
    (metric::RESIDENT_RETURNED_AFTER_EXPIRY, RESIDENT),
    (metric::STORE_RETURNED_AFTER_EXPIRY, STORE),
];

/// What is read out of a trial.
struct Seen<'a> {
    record: &'a TrialRecord,
    connections: u32,
}

impl Seen<'_> {
    fn of(&self, users: Option<u64>, metric: &'static Metric, value: f64) -> Observation {
        Observation { users, connections: self.connections, rate: None, metric, value }
    }

    fn sessions(&self) -> Vec<Observation> {
        let mut seen = Vec::new();
        for snapshot in filled(self.record) {
            for (metric, read) in READINGS {
                let bytes = read(&snapshot.memory);
                let users = Some(snapshot.sessions);
                seen.extend(bytes.map(|bytes| self.of(users, metric, bytes as f64)));
            }
        }
        seen.extend(self.slopes(&SLOPES, SESSIONS));
        let slope = |metric: &Metric| seen.iter().find(|s| s.metric == metric).map(|s| s.value);
        let both = slope(metric::BYTES_PER_SESSION).map(|own| {
            // A store without a server of its own has its memory in this process.
            own + slope(metric::STORE_BYTES_PER_SESSION).unwrap_or(0.0)
        });
        let per_gib = both.filter(|bytes| *bytes >= SESSION_BYTES_MIN).map(|bytes| GIB / bytes);
        seen.extend(per_gib.map(|users| self.of(None, metric::USERS_PER_GIB, users)));
        seen.extend(self.logins());
        if self.logout().is_some() {
            seen.extend(self.came_back(&AFTER_LOGOUT));
        }
        seen
    }

    fn slopes(&self, slopes: &[(&'static Metric, Reading)], over: Along) -> Vec<Observation> {
        let slope = |(metric, read): &(&'static Metric, Reading)| {
            let slope = theil_sen(&points(self.record, *read, over))?;
            Some(self.of(None, metric, slope))
        };
        slopes.iter().filter_map(slope).collect()
    }

    /// The share of what the users had added that came back, where they had added anything; and
    /// what each logout left, which a list of revoked tokens does where nothing was there before.
    fn came_back(&self, shares: &[(&'static Metric, Reading)]) -> Vec<Observation> {
        let last = snapshots(self.record).last().filter(|snapshot| snapshot.sessions == 0);
        let (Some(first), Some(full), Some(last)) =
            (filled(self.record).next(), filled(self.record).last(), last)
        else {
            return Vec::new();
        };
        let users = full.sessions.saturating_sub(first.sessions) as f64;
        let between = |read: Reading, from: &SnapshotRecord, to: &SnapshotRecord| {
            Some(read(&to.memory)? as f64 - read(&from.memory)? as f64)
        };
        let is_kept = |added: f64| users > 0.0 && added >= SESSION_BYTES_MIN * users;
        // Pages that a server maps without allocating from them are nothing that could come back.
        let keeps = between(ALLOCATED, first, full).is_none_or(is_kept);
        let is_resident = |metric: &Metric| {
            [metric::RESIDENT_RETURNED_AFTER_LOGOUT, metric::RESIDENT_RETURNED_AFTER_EXPIRY]
                .contains(&metric)
        };
        let share = |(metric, read): &(&'static Metric, Reading)| {
            let added = between(*read, first, full)?;
            let back = -between(*read, full, last)?;
            (is_kept(added) && (keeps || !is_resident(metric)))
                .then(|| self.of(None, metric, back / added))
        };
        let mut seen: Vec<Observation> = shares.iter().filter_map(share).collect();
        if let (Some(logout), Some(change)) = (self.logout(), between(ALLOCATED, full, last)) {
            let each = change / f64::from(logout.max(1));
            seen.push(self.of(None, metric::BYTES_PER_LOGOUT, each));
        }
        seen
    }

    /// How many logged out at the end; `None` if the trial has no logout.
    fn logout(&self) -> Option<u32> {
        self.record.actions.iter().find_map(|did| match did {
            ActionRecord::Logout(logout) => Some(logout.users),
            _ => None,
        })
    }

    /// Logins per second, where a login was all that users did and all of them did it.
    fn logins(&self) -> Option<Observation> {
        if !only_logs_in(&self.record.trial) {
            return None;
        }
        let pairs = self.record.trial.actions.iter().zip(&self.record.actions);
        let fills = pairs.filter_map(|pair| match pair {
            (Action::Fill(plan), ActionRecord::Fill(fill)) if plan.prepare.is_none() => Some(fill),
            _ => None,
        });
        let (users, wall_ns) = fills
            .fold((0, 0), |(users, ns), fill| (users + u64::from(fill.users), ns + fill.wall_ns));
        (wall_ns > 0).then(|| self.of(None, metric::LOGIN_RPS, users as f64 * 1e9 / wall_ns as f64))
    }
}

/// Whether a login is all that the users of a trial do, and all of them do it.
fn only_logs_in(trial: &TrialPlan) -> bool {
    let populates = |action: &Action| matches!(action, Action::Populate(_));
    let logs_in = |action: &Action| matches!(action, Action::Fill(fill) if fill.prepare.is_none());
    trial.actions.iter().any(logs_in) && !trial.actions.iter().any(populates)
}

/// The first reading at which the store held another number of sessions than it should, and both
/// numbers. A store that counts none while everybody is logged in counts something else, such as
/// revoked tokens.
fn lost(record: &TrialRecord) -> Option<(u64, u64)> {
    let counts = snapshots(record)
        .filter(|snapshot| snapshot.sessions > 0)
        .any(|snapshot| snapshot.memory.live_sessions.is_some_and(|live| live > 0));
    snapshots(record).filter(|_| counts).find_map(|snapshot| {
        let live = snapshot.memory.live_sessions?;
        (live != snapshot.sessions).then_some((live, snapshot.sessions))
    })
}

/// Memory over sessions or connections, as one trial read it while users were logged in.
fn points(record: &TrialRecord, read: Reading, over: Along) -> Vec<(f64, f64)> {
    let point = |s: &SnapshotRecord| Some((over(s)? as f64, read(&s.memory)? as f64));
    filled(record).filter_map(point).collect()
}

/// The readings while users were logged in.
fn filled(record: &TrialRecord) -> impl Iterator<Item = &SnapshotRecord> {
    snapshots(record).filter(|snapshot| snapshot.sessions > 0)
}

fn snapshots(record: &TrialRecord) -> impl Iterator<Item = &SnapshotRecord> {
    record.actions.iter().filter_map(|did| match did {
        ActionRecord::Snapshot(snapshot) => Some(snapshot),
        _ => None,
    })
}

/// The connections that should be open at each reading.
fn planned_connections(trial: &TrialPlan) -> impl Iterator<Item = u64> {
    let mut open = 0;
    trial.actions.iter().filter_map(move |action| match action {
        Action::Connect(connect) => {
            open += u64::from(connect.connections);
            None
        }
        Action::Snapshot(_) => Some(open),
        _ => None,
    })
}

fn connections(record: &TrialRecord) -> u32 {
    let connections = |action: &Action| match action {
        Action::Fill(fill) => Some(fill.connections),
        _ => None,
    };
    record.trial.actions.iter().filter_map(connections).max().unwrap_or(0)
}

#[cfg(test)]
mod tests;
