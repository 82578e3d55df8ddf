//! What a record of the memory experiment says: readings, the slopes through them, what came back.

use crate::experiment::metric::{self, Metric};
use crate::experiment::question::Observation;
use crate::plan::{Action, TrialPlan};
use crate::record::{ActionRecord, MemoryUse, SnapshotRecord, TrialRecord};
use crate::stats::theil_sen;

/// An id and a user take more, so less is pages and bookkeeping, and a share of it says nothing.
const SESSION_BYTES_MIN: f64 = 32.0;
pub(super) const GIB: f64 = 1_073_741_824.0;

pub(super) type Reading = fn(&MemoryUse) -> Option<u64>;

const ALLOCATED: Reading = |memory| memory.allocated_bytes;
const RESIDENT: Reading = |memory| memory.pss_bytes;
const STORE: Reading = |memory| memory.store_bytes;
const STORE_USED: Reading = |memory| memory.store_used_bytes;
const STORE_DISK: Reading = |memory| memory.store_disk_bytes;

/// What a slope is over.
pub(super) type Along = fn(&SnapshotRecord) -> Option<u64>;

pub(super) const SESSIONS: Along = |snapshot| Some(snapshot.sessions);
pub(super) const CONNECTIONS: Along = |snapshot| snapshot.memory.connections;

pub(super) const READINGS: [(&Metric, Reading); 6] = [
    (metric::SERVER_RSS_BYTES, |memory| Some(memory.rss_bytes)),
    (metric::SERVER_PSS_BYTES, RESIDENT),
    (metric::SERVER_ALLOCATED_BYTES, ALLOCATED),
    (metric::STORE_MEMORY_BYTES, STORE),
    (metric::STORE_USED_BYTES, STORE_USED),
    (metric::STORE_DISK_BYTES, STORE_DISK),
];

pub(super) const SLOPES: [(&Metric, Reading); 5] = [
    (metric::BYTES_PER_SESSION, ALLOCATED),
    (metric::RESIDENT_BYTES_PER_SESSION, RESIDENT),
    (metric::STORE_BYTES_PER_SESSION, STORE),
    (metric::STORE_USED_BYTES_PER_SESSION, STORE_USED),
    (metric::STORE_DISK_BYTES_PER_SESSION, STORE_DISK),
];

pub(super) const CONNECTION_SLOPES: [(&Metric, Reading); 2] =
    [(metric::BYTES_PER_CONNECTION, ALLOCATED), (metric::RESIDENT_BYTES_PER_CONNECTION, RESIDENT)];

pub(super) const AFTER_LOGOUT: [(&Metric, Reading); 3] = [
    (metric::RETURNED_AFTER_LOGOUT, ALLOCATED),
    (metric::RESIDENT_RETURNED_AFTER_LOGOUT, RESIDENT),
    (metric::STORE_RETURNED_AFTER_LOGOUT, STORE),
];

pub(super) const AFTER_EXPIRY: [(&Metric, Reading); 3] = [
    (metric::RETURNED_AFTER_EXPIRY, ALLOCATED),
    (metric::RESIDENT_RETURNED_AFTER_EXPIRY, RESIDENT),
    (metric::STORE_RETURNED_AFTER_EXPIRY, STORE),
];

/// What is read out of a trial.
pub(super) struct Seen<'a> {
    pub(super) record: &'a TrialRecord,
    pub(super) connections: u32,
}

impl Seen<'_> {
    fn of(&self, users: Option<u64>, metric: &'static Metric, value: f64) -> Observation {
        Observation { users, connections: self.connections, rate: None, metric, value }
    }

    pub(super) fn sessions(&self) -> Vec<Observation> {
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

    pub(super) fn slopes(
        &self,
        slopes: &[(&'static Metric, Reading)],
        over: Along,
    ) -> Vec<Observation> {
        let slope = |(metric, read): &(&'static Metric, Reading)| {
            let slope = theil_sen(&points(self.record, *read, over))?;
            Some(self.of(None, metric, slope))
        };
        slopes.iter().filter_map(slope).collect()
    }

    /// The share of what the users had added that came back, where they had added anything; and
    /// what each logout left, which a list of revoked tokens does where nothing was there before.
    pub(super) fn came_back(&self, shares: &[(&'static Metric, Reading)]) -> Vec<Observation> {
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
pub(super) fn only_logs_in(trial: &TrialPlan) -> bool {
    let populates = |action: &Action| matches!(action, Action::Populate(_));
    let logs_in = |action: &Action| matches!(action, Action::Fill(fill) if fill.prepare.is_none());
    trial.actions.iter().any(logs_in) && !trial.actions.iter().any(populates)
}

/// The first reading at which the store held another number of sessions than it should, and both
/// numbers. A store that counts none while everybody is logged in counts something else, such as
/// revoked tokens.
pub(super) fn lost(record: &TrialRecord) -> Option<(u64, u64)> {
    let counts = snapshots(record)
        .filter(|snapshot| snapshot.sessions > 0)
        .any(|snapshot| snapshot.memory.live_sessions.is_some_and(|live| live > 0));
    snapshots(record).filter(|_| counts).find_map(|snapshot| {
        let live = snapshot.memory.live_sessions?;
        (live != snapshot.sessions).then_some((live, snapshot.sessions))
    })
}

/// Memory over sessions or connections, as one trial read it while users were logged in.
pub(super) fn points(record: &TrialRecord, read: Reading, over: Along) -> Vec<(f64, f64)> {
    let point = |s: &SnapshotRecord| Some((over(s)? as f64, read(&s.memory)? as f64));
    filled(record).filter_map(point).collect()
}

/// The readings while users were logged in.
fn filled(record: &TrialRecord) -> impl Iterator<Item = &SnapshotRecord> {
    snapshots(record).filter(|snapshot| snapshot.sessions > 0)
}

pub(super) fn snapshots(record: &TrialRecord) -> impl Iterator<Item = &SnapshotRecord> {
    record.actions.iter().filter_map(|did| match did {
        ActionRecord::Snapshot(snapshot) => Some(snapshot),
        _ => None,
    })
}

/// The connections that should be open at each reading.
pub(super) fn planned_connections(trial: &TrialPlan) -> impl Iterator<Item = u64> {
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

pub(super) fn connections(record: &TrialRecord) -> u32 {
    let connections = |action: &Action| match action {
        Action::Fill(fill) => Some(fill.connections),
        _ => None,
    };
    record.trial.actions.iter().filter_map(connections).max().unwrap_or(0)
}
