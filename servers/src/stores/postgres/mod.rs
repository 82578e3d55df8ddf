//! Sessions in PostgreSQL: the table that a service has next to its other tables.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio_postgres::Row;

use super::{
    Place, Session, SessionData, SessionId, SessionStore, StoreError, StoreStats, is_live,
};
use crate::clock::Timestamp;
use crate::contract::StoreProcess;
use crate::error::ServeError;
use crate::stores::patience::Patience;
use crate::users::UserId;

pub mod database;
mod home;
pub mod own;
pub mod pool;
pub mod row;
pub mod table;

use database::{Database, Needs};
pub use own::STORE;
use pool::{Connections, said};
use row::{Columns, data, millis, moment, number, span, text};
use table::Table;

/// Where a PostgreSQL is.
pub const PLACE: Place = Place {
    store: STORE,
    url: "postgres://HOST:PORT/DB",
    program: Some(own::PROGRAM),
    is_file: false,
};
/// Most rows that one step of a sweep looks at.
pub const SWEEP_STEP: i64 = 256;

/// Wide columns first: PostgreSQL pads to their alignment. `ends` is a moment before which the
/// session does not end, and what a sweep looks for; reading moves `last_seen` only, which has no
/// index, so that PostgreSQL need not touch one either (a heap-only update, for which the pages
/// keep some room).
const TABLE: Table = Table {
    name: "authbench_sessions",
    make: "
        CREATE TABLE authbench_sessions (
            created bigint NOT NULL, expires bigint NOT NULL, last_seen bigint NOT NULL,
            ends bigint NOT NULL, user_id integer NOT NULL, id bytea PRIMARY KEY,
            name text NOT NULL, role text NOT NULL, cart text
        ) WITH (fillfactor = 90);
        CREATE INDEX authbench_sessions_of_user ON authbench_sessions (user_id);
        CREATE INDEX authbench_sessions_by_end ON authbench_sessions (ends);",
    form: "table p: created bigint!, expires bigint!, last_seen bigint!, ends bigint!, \
           user_id integer!, id bytea!, name text!, role text!, cart text; \
           indexes: 4, 5, 6 primary",
};
/// Another server may have left sessions that end sooner with this one's idle timeout.
const MEND: &str = "UPDATE authbench_sessions SET ends = least(expires, last_seen + $1)
    WHERE ends > least(expires, last_seen + $1)";

const READ: &str = "SELECT user_id, name, role, cart, created, expires, last_seen
    FROM authbench_sessions WHERE id = $1";
/// The commit of activity does not wait for the disk, and so neither does the next request of its
/// user, which waits for the row.
const READ_AND_TOUCH: &str = "UPDATE authbench_sessions SET last_seen = greatest(last_seen, $2)
    WHERE id = $1 AND $2 < expires AND $2 < last_seen + $3
    RETURNING user_id, name, role, cart, created, expires, last_seen,
        set_config('synchronous_commit', 'off', true)";
const CREATE: &str = "INSERT INTO authbench_sessions
    (id, user_id, name, role, cart, created, expires, last_seen, ends)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (id) DO NOTHING";
/// The same rows in one statement and one commit. Only a fill asks it, so a connection prepares it
/// at the first one: backends that serve requests do not hold it.
const CREATE_MANY: &str = "INSERT INTO authbench_sessions
    (id, user_id, name, role, cart, created, expires, last_seen, ends)
    SELECT * FROM unnest($1::bytea[], $2::integer[], $3::text[], $4::text[], $5::text[],
        $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[]) ON CONFLICT (id) DO NOTHING";
const UPDATE: &str = "UPDATE authbench_sessions
    SET user_id = $2, name = $3, role = $4, cart = $5
    WHERE id = $1 AND $6 < expires AND $6 < last_seen + $7";
const DELETE: &str = "DELETE FROM authbench_sessions WHERE id = $1";
const DELETE_ALL: &str = "DELETE FROM authbench_sessions WHERE user_id = $1";
/// A row that was used since its `ends` was written gets a later one, and is not looked at again
/// until then. One that somebody else has in hand is left for the next sweep.
const SWEEP: &str = "
    WITH due AS (
        SELECT id, least(expires, last_seen + $2) AS end_now FROM authbench_sessions
        WHERE ends <= $1 ORDER BY ends LIMIT $3 FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM authbench_sessions
        WHERE id = ANY (ARRAY (SELECT id FROM due WHERE end_now <= $1)) RETURNING 1
    ), moved AS (
        UPDATE authbench_sessions SET ends = least(expires, last_seen + $2)
        WHERE id = ANY (ARRAY (SELECT id FROM due WHERE end_now > $1)) RETURNING 1
    ) SELECT (SELECT count(*) FROM due), (SELECT count(*) FROM gone), (SELECT count(*) FROM moved)";
/// All of it, because a count kept by one server is wrong if there is another server: 30 to 75 ms
/// where there are a million, and it is asked for a few times in a campaign.
const COUNT: &str = "SELECT count(*), pg_total_relation_size('authbench_sessions'),
    pg_database_size(current_database()) FROM authbench_sessions";
const STATEMENTS: &[&str] =
    &[READ, READ_AND_TOUCH, CREATE, UPDATE, DELETE, DELETE_ALL, SWEEP, COUNT];

/// The store.
///
/// Every call is one prepared statement, and so one round trip and one transaction: what must be
/// decided at one moment is decided there, whatever other servers ask. Only `create` inserts;
/// everything else is an `UPDATE` or a `DELETE` of a row that is there, and PostgreSQL looks at it
/// again after it has waited for another, so nothing here can bring a session back.
///
/// A login or a logout is answered after its commit is on the disk, where PostgreSQL is set up as
/// it is shipped. Activity is no such promise: its commit does not wait.
#[derive(Debug)]
pub struct PostgresStore {
    database: Database,
    idle: Option<Duration>,
    operations: AtomicU64,
    writes: AtomicU64,
    swept: AtomicU64,
}

impl PostgresStore {
    /// The store at this URL, or in a PostgreSQL of its own; its sessions also end after `idle`
    /// without activity, which must be the same for every server that shares it.
    ///
    /// # Errors
    /// See [`Database::open`].
    pub async fn open(
        url: Option<&str>,
        idle: Option<Duration>,
        patience: Patience,
    ) -> Result<Self, ServeError> {
        let mend = Some((MEND, span(idle)));
        let needs = Needs { table: &TABLE, statements: STATEMENTS, mend };
        let database = Database::open(url, needs, patience).await?;
        let [operations, writes, swept] = [0, 0, 0].map(AtomicU64::new);
        Ok(Self { database, idle, operations, writes, swept })
    }

    fn counted(&self) -> &Connections {
        self.operations.fetch_add(1, Ordering::Relaxed);
        self.database.connections()
    }

    async fn touched(&self, id: SessionId, now: Timestamp) -> Result<Option<Row>, String> {
        let (id, idle) = (id.as_bytes().as_slice(), span(self.idle));
        let row = self.counted().row(READ_AND_TOUCH, &[&id, &millis(now), &idle]).await?;
        self.wrote(row.is_some().into());
        Ok(row)
    }

    /// Counts so many rows written.
    fn wrote(&self, rows: u64) -> u64 {
        self.writes.fetch_add(rows, Ordering::Relaxed);
        rows
    }
}

/// An error of this operation, of what was found.
pub fn could_not(operation: &'static str) -> impl Fn(String) -> StoreError {
    move |found| StoreError { store: STORE, operation, found }
}

/// What a table says of itself: its rows, the bytes of it and of its indexes, and those of its
/// database.
///
/// # Errors
/// Where the row holds something else.
pub fn counts(row: Option<&Row>) -> Result<StoreStats, String> {
    let row = row.ok_or("no answer")?;
    let count = |column: usize| {
        let count: i64 = row.try_get(column).map_err(said)?;
        Ok::<_, String>(u64::try_from(count).unwrap_or_default())
    };
    Ok(StoreStats {
        sessions: count(0)?,
        used_bytes: Some(count(1)?),
        disk_bytes: Some(count(2)?),
        ..StoreStats::default()
    })
}

fn session(row: &Row) -> Result<Session, String> {
    Ok(Session {
        data: data(row)?,
        created: moment(row, 4)?,
        expires: moment(row, 5)?,
        last_seen: moment(row, 6)?,
    })
}

impl SessionStore for PostgresStore {
    const NAME: &'static str = STORE;

    fn notes(&self) -> Vec<String> {
        let mut notes = self.database.notes("A login or a logout");
        if self.idle.is_some() {
            notes.push(
                "With an idle timeout every read writes, in one UPDATE whose commit does not wait \
                 for the disk: a crash may end a session a second too early."
                    .into(),
            );
        }
        notes
    }

    fn process(&self) -> Option<StoreProcess> {
        self.database.process()
    }

    async fn create(&self, id: SessionId, session: Session) -> Result<bool, StoreError> {
        let Session { data: SessionData { user, cart }, created, expires, last_seen } = session;
        let ends = millis(expires).min(millis(last_seen) + span(self.idle));
        let changed = self
            .counted()
            .changed(
                CREATE,
                &[
                    &id.as_bytes().as_slice(),
                    &number(user.id),
                    &user.name.as_str(),
                    &user.role.as_str(),
                    &text(&cart),
                    &millis(created),
                    &millis(expires),
                    &millis(last_seen),
                    &ends,
                ],
            )
            .await;
        Ok(self.wrote(changed.map_err(could_not("create a session"))?) == 1)
    }

    async fn create_many(&self, sessions: Vec<(SessionId, Session)>) -> Result<u64, StoreError> {
        self.operations.fetch_add(sessions.len() as u64, Ordering::Relaxed);
        let column = |part: fn(&Session) -> i64| -> Vec<i64> {
            sessions.iter().map(|(_, session)| part(session)).collect()
        };
        let idle = span(self.idle);
        let last_seen = column(|session| millis(session.last_seen));
        let expires = column(|session| millis(session.expires));
        let ends: Vec<i64> =
            expires.iter().zip(&last_seen).map(|(ends, seen)| *ends.min(&(seen + idle))).collect();
        let who = Columns::of(sessions.iter().map(|(id, session)| (id, &session.data)));
        let changed = self
            .database
            .connections()
            .changed(
                CREATE_MANY,
                &[
                    &who.ids,
                    &who.users,
                    &who.names,
                    &who.roles,
                    &who.carts,
                    &column(|session| millis(session.created)),
                    &expires,
                    &last_seen,
                    &ends,
                ],
            )
            .await;
        Ok(self.wrote(changed.map_err(could_not("create sessions"))?))
    }

    async fn read(&self, id: SessionId, now: Timestamp) -> Result<Option<Session>, StoreError> {
        let row = self.counted().row(READ, &[&id.as_bytes().as_slice()]).await;
        let found = row.and_then(|row| row.as_ref().map(session).transpose());
        let found = found.map_err(could_not("read a session"))?;
        Ok(found.filter(|found| is_live(found.expires, found.last_seen, self.idle, now)))
    }

    async fn touch(&self, id: SessionId, now: Timestamp) -> Result<bool, StoreError> {
        let touched = self.touched(id, now).await;
        touched.map(|row| row.is_some()).map_err(could_not("touch a session"))
    }

    async fn read_and_touch(
        &self,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        let touched = self.touched(id, now).await;
        let found = touched.and_then(|row| row.as_ref().map(session).transpose());
        found.map_err(could_not("read a session"))
    }

    async fn update(
        &self,
        id: SessionId,
        data: SessionData,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let SessionData { user, cart } = data;
        let changed = self
            .counted()
            .changed(
                UPDATE,
                &[
                    &id.as_bytes().as_slice(),
                    &number(user.id),
                    &user.name.as_str(),
                    &user.role.as_str(),
                    &text(&cart),
                    &millis(now),
                    &span(self.idle),
                ],
            )
            .await;
        Ok(self.wrote(changed.map_err(could_not("update a session"))?) == 1)
    }

    async fn delete(&self, id: SessionId) -> Result<bool, StoreError> {
        let changed = self.counted().changed(DELETE, &[&id.as_bytes().as_slice()]).await;
        Ok(self.wrote(changed.map_err(could_not("delete a session"))?) == 1)
    }

    async fn delete_all_of_user(&self, user: UserId) -> Result<u64, StoreError> {
        let changed = self.counted().changed(DELETE_ALL, &[&number(user)]).await;
        changed.map(|rows| self.wrote(rows)).map_err(could_not("delete a user's sessions"))
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut removed = 0;
        loop {
            let values = (millis(now), span(self.idle));
            let step =
                self.database.connections().row(SWEEP, &[&values.0, &values.1, &SWEEP_STEP]).await;
            let step = step.and_then(|row| {
                let row = row.ok_or("no answer")?;
                let count = |column: usize| row.try_get::<_, i64>(column).map_err(said);
                Ok((count(0)?, u64::try_from(count(1)?).unwrap_or_default()))
            });
            let (due, gone) = step.map_err(could_not("sweep"))?;
            self.swept.fetch_add(gone, Ordering::Relaxed);
            removed += gone;
            if due < SWEEP_STEP {
                return Ok(removed);
            }
        }
    }

    async fn stats(&self) -> Result<StoreStats, StoreError> {
        let row = self.database.connections().row(COUNT, &[]).await;
        let counted = row.and_then(|row| counts(row.as_ref())).map_err(could_not("count"))?;
        Ok(StoreStats {
            operations: self.operations.load(Ordering::Relaxed),
            swept: self.swept.load(Ordering::Relaxed),
            writes: Some(self.writes.load(Ordering::Relaxed)),
            ..counted
        })
    }
}
