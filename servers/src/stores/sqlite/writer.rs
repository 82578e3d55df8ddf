//! The thread that writes: what waits together is committed together.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use tokio::sync::{mpsc, oneshot};

use super::row::{CREATE, DELETE, DELETE_ALL, FOR_EVER, SWEEP, TOUCH, UPDATE, millis, said, text};
use crate::clock::Timestamp;
use crate::stores::{Session, SessionData, SessionId};
use crate::users::UserId;

/// Most writes under one commit.
const BATCH: usize = 256;
/// Most rows that one step of a sweep removes.
pub(super) const SWEEP_STEP: u32 = 256;

pub(super) enum Write {
    Create(SessionId, Session),
    CreateMany(Vec<(SessionId, Session)>),
    Update(SessionId, SessionData, Timestamp),
    Delete(SessionId),
    DeleteAllOf(UserId),
    SweepStep(Timestamp),
    Flush,
}

/// What is answered is the number of rows changed, or what SQLite said.
pub(super) type Answer = oneshot::Sender<Result<u64, String>>;

pub(super) struct AskedWrite {
    pub(super) write: Write,
    pub(super) answer: Answer,
}

impl AskedWrite {
    /// Whether it is not to be done any more: nobody would be given the session, nor told of the
    /// change. A removal is done anyway.
    fn given_up(&self) -> bool {
        let creates = matches!(self.write, Write::Create(..) | Write::CreateMany(_));
        (creates || matches!(self.write, Write::Update(..))) && self.answer.is_closed()
    }
}

/// What reads and the writer share.
pub(super) struct Shared {
    pub(super) idle: Option<Duration>,
    /// Activity that is not in the file yet. An entry is dropped after it has been committed.
    pub(super) touched: Mutex<HashMap<SessionId, Timestamp>>,
    pub(super) flush_due: AtomicU64,
    pub(super) sessions: AtomicU64,
    /// Rows written for what was asked, once they are committed.
    pub(super) writes: AtomicU64,
}

impl Shared {
    pub(super) fn idle_millis(&self) -> i64 {
        let idle = self.idle.map(|idle| i64::try_from(idle.as_millis()).unwrap_or(FOR_EVER));
        idle.map_or(FOR_EVER, |idle| idle.min(FOR_EVER))
    }

    pub(super) fn touched_at(&self, id: SessionId) -> Timestamp {
        self.touched.lock().get(&id).copied().unwrap_or_default()
    }
}

/// Commits in groups: what has come in while the last group was on its way to the disk is the next.
pub(super) fn write_until_closed(
    mut connection: Connection,
    shared: &Shared,
    mut asked: mpsc::Receiver<AskedWrite>,
) {
    let mut group = Vec::with_capacity(BATCH);
    while let Some(first) = asked.blocking_recv() {
        group.push(first);
        while group.len() < BATCH
            && let Ok(next) = asked.try_recv()
        {
            group.push(next);
        }
        group.retain(|asked| !asked.given_up());
        if group.is_empty() {
            continue;
        }
        let done = commit(&mut connection, shared, &group);
        for (n, AskedWrite { answer, .. }) in group.drain(..).enumerate() {
            let rows = done.as_ref().map(|rows| rows.get(n).copied().unwrap_or_default());
            drop(answer.send(rows.map_err(Clone::clone)));
        }
    }
    // The last activity: lost where this fails, as it would be in a crash.
    let (answer, _) = oneshot::channel();
    drop(commit(&mut connection, shared, &[AskedWrite { write: Write::Flush, answer }]));
}

/// All of these or none; how many rows each changed.
fn commit(
    connection: &mut Connection,
    shared: &Shared,
    group: &[AskedWrite],
) -> Result<Vec<u64>, String> {
    let mut flushed = Vec::new();
    let mut rows = Vec::with_capacity(group.len());
    let (mut created, mut removed, mut written) = (0, 0, 0);
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(said)?;
    for asked in group {
        if matches!(asked.write, Write::Flush | Write::SweepStep(_)) {
            flush(&transaction, shared, &mut flushed).map_err(said)?;
        }
        let changed = apply(&transaction, shared, &asked.write).map_err(said)?;
        if !matches!(asked.write, Write::SweepStep(_)) {
            written += changed;
        }
        match asked.write {
            Write::Create(..) | Write::CreateMany(_) => created += changed,
            Write::Update(..) | Write::Flush => {}
            Write::Delete(_) | Write::DeleteAllOf(_) | Write::SweepStep(_) => removed += changed,
        }
        rows.push(changed);
    }
    transaction.commit().map_err(said)?;
    shared.sessions.fetch_add(created, Ordering::Relaxed);
    shared.sessions.fetch_sub(removed, Ordering::Relaxed);
    shared.writes.fetch_add(written + flushed.len() as u64, Ordering::Relaxed);
    let mut touched = shared.touched.lock();
    for (id, moment) in flushed {
        if touched.get(&id) == Some(&moment) {
            touched.remove(&id);
        }
    }
    if touched.len() < touched.capacity() / 4 {
        touched.shrink_to_fit();
    }
    Ok(rows)
}

fn apply(transaction: &Transaction<'_>, shared: &Shared, write: &Write) -> rusqlite::Result<u64> {
    let rows = match write {
        Write::Create(id, session) => create(transaction, shared, id, session)?,
        Write::CreateMany(sessions) => {
            let mut created = 0;
            for (id, session) in sessions {
                created += create(transaction, shared, id, session)?;
            }
            created
        }
        Write::Update(id, SessionData { user, cart }, now) => {
            transaction.prepare_cached(UPDATE)?.execute(params![
                id.as_bytes(),
                user.id.number(),
                user.name.as_str(),
                user.role.as_str(),
                text(cart),
                millis(*now),
                millis(shared.touched_at(*id)),
                shared.idle_millis(),
            ])?
        }
        Write::Delete(id) => transaction.prepare_cached(DELETE)?.execute([id.as_bytes()])?,
        Write::DeleteAllOf(user) => {
            transaction.prepare_cached(DELETE_ALL)?.execute([user.number()])?
        }
        Write::SweepStep(now) => {
            transaction.prepare_cached(SWEEP)?.execute(params![millis(*now), SWEEP_STEP])?
        }
        Write::Flush => 0,
    };
    Ok(rows as u64)
}

fn create(
    transaction: &Transaction<'_>,
    shared: &Shared,
    id: &SessionId,
    session: &Session,
) -> rusqlite::Result<usize> {
    let Session { data: SessionData { user, cart }, created, expires, last_seen } = session;
    let ends = millis(*expires).min(millis(*last_seen) + shared.idle_millis());
    transaction.prepare_cached(CREATE)?.execute(params![
        id.as_bytes(),
        user.id.number(),
        user.name.as_str(),
        user.role.as_str(),
        text(cart),
        millis(*created),
        millis(*expires),
        millis(*last_seen),
        ends,
    ])
}

/// Writes what was touched and not written yet. It stays in memory until it is committed, so that
/// no reader finds it in neither place.
fn flush(
    transaction: &Transaction<'_>,
    shared: &Shared,
    flushed: &mut Vec<(SessionId, Timestamp)>,
) -> rusqlite::Result<()> {
    let touched: Vec<_> = shared.touched.lock().iter().map(|(&id, &moment)| (id, moment)).collect();
    let mut statement = transaction.prepare_cached(TOUCH)?;
    for &(id, moment) in &touched {
        statement.execute(params![id.as_bytes(), millis(moment), shared.idle_millis()])?;
    }
    flushed.extend(touched);
    Ok(())
}
