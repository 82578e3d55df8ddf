//! What a campaign file asks of the memory experiment, and the trials that follow from it.

use serde::Deserialize;

use crate::error::Result;
use crate::experiment::check::{count, levels, millis};
use crate::experiment::question::Cell;
use crate::plan::{
    ADMIN_FILL, Action, ConnectPlan, FillPlan, LogoutPlan, PopulatePlan, Prepare, SnapshotPlan,
    TrialPlan,
};
use crate::spec::Spec;
use crate::units::Span;

#[derive(Deserialize)]
struct Table {
    memory: Settings,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
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
    pub(super) blocks: u32,
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
impl Settings {
    /// The table of a campaign file.
    ///
    /// # Errors
    /// `Config` where it cannot be measured.
    pub(super) fn read(spec: &Spec) -> Result<Self> {
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
        Ok(settings)
    }

    /// The trials of an arm: a slope for every size of a session, one of connections, and one that
    /// waits until everything has expired.
    pub(super) fn cells(&self, arm: &str) -> Vec<Cell> {
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
pub(super) enum Kind {
    Sessions,
    Connections,
    Expiry,
}

impl Kind {
    pub(super) fn of(trial: &TrialPlan) -> Self {
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
