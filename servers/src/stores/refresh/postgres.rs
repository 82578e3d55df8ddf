//! Refresh sessions in PostgreSQL: a table of families, each refresh one statement.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio_postgres::Row;

use super::{Family, RefreshStore, Rotation, SecretDigest};
use crate::clock::Timestamp;
use crate::contract::StoreProcess;
use crate::error::ServeError;
use crate::stores::patience::Patience;
use crate::stores::postgres::database::{Database, Needs};
use crate::stores::postgres::pool::{Connections, said};
use crate::stores::postgres::row::{Columns, data, millis, moment, number, span, text};
use crate::stores::postgres::table::Table;
use crate::stores::postgres::{STORE, SWEEP_STEP, could_not, counts};
use crate::stores::{SessionData, SessionId, StoreError, StoreStats};
use crate::users::UserId;

/// Wide columns first: PostgreSQL pads to their alignment.
const TABLE: Table = Table {
    name: "authbench_families",
    make: "
        CREATE TABLE authbench_families (
            expires bigint NOT NULL, replaced bigint, user_id integer NOT NULL,
            id bytea PRIMARY KEY,
            secret bytea NOT NULL, previous bytea, name text NOT NULL, role text NOT NULL, cart text
        ) WITH (fillfactor = 90);
        CREATE INDEX authbench_families_of_user ON authbench_families (user_id);
        CREATE INDEX authbench_families_by_end ON authbench_families (expires);",
    form: "table p: expires bigint!, replaced bigint, user_id integer!, id bytea!, secret bytea!, \
           previous bytea, name text!, role text!, cart text; indexes: 1, 3, 4 primary",
};

const BEGIN: &str = "INSERT INTO authbench_families
    (id, user_id, name, role, cart, secret, expires)
    VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING";
/// The same rows in one statement and one commit, which only a fill asks.
const BEGIN_MANY: &str = "INSERT INTO authbench_families
    (id, user_id, name, role, cart, secret, expires)
    SELECT * FROM unnest($1::bytea[], $2::integer[], $3::text[], $4::text[], $5::text[],
        $6::bytea[], $7::bigint[]) ON CONFLICT (id) DO NOTHING";
/// `shown` is 0 for the current secret, 1 for the one before within its grace, and 2 for any other.
/// The row is locked before it is judged, and what follows changes that row and no older one.
const ROTATE: &str = "
    WITH family AS (
        SELECT id, user_id, name, role, cart, expires,
            CASE WHEN secret = $2 THEN 0
                WHEN previous = $2 AND $4 < replaced + $5 THEN 1 ELSE 2 END AS shown
        FROM authbench_families WHERE id = $1 AND $4 < expires FOR UPDATE
    ), rotated AS (
        UPDATE authbench_families SET previous = secret, secret = $3, replaced = $4
        WHERE id = (SELECT id FROM family WHERE shown = 0)
    ), ended AS (
        DELETE FROM authbench_families WHERE id = (SELECT id FROM family WHERE shown = 2)
    ) SELECT user_id, name, role, cart, expires, shown FROM family";
const UPDATE: &str = "UPDATE authbench_families
    SET user_id = $2, name = $3, role = $4, cart = $5 WHERE id = $1 AND $6 < expires";
const END: &str = "DELETE FROM authbench_families WHERE id = $1";
const END_ALL: &str = "DELETE FROM authbench_families WHERE user_id = $1";
/// A family that somebody else has in hand is left for the next sweep.
const SWEEP: &str = "DELETE FROM authbench_families WHERE id = ANY (ARRAY (
        SELECT id FROM authbench_families WHERE expires <= $1
        ORDER BY expires LIMIT $2 FOR UPDATE SKIP LOCKED
    ))";
const COUNT: &str = "SELECT count(*), pg_total_relation_size('authbench_families'),
    pg_database_size(current_database()) FROM authbench_families";
const STATEMENTS: &[&str] = &[BEGIN, ROTATE, UPDATE, END, END_ALL, SWEEP, COUNT];

/// The store.
///
/// A refresh locks the family's row, judges the secret that was shown, and then replaces it or
/// removes the row: one statement, so one round trip, and of two that show the same secret the
/// second sees what the first has done. It is answered after its commit is on the disk: a secret
/// that was replaced must not be the current one again after a crash. Nothing that a refresh
/// changes has an index.
///
/// Digests are compared where they lie, and so not in constant time. How long that takes tells of
/// the digest, which is no secret that can be shown: to make one that begins like it is a search,
/// and to make the whole of it is to have the secret.
#[derive(Debug)]
pub struct RefreshPostgres {
    database: Database,
    operations: AtomicU64,
    swept: AtomicU64,
}

impl RefreshPostgres {
    /// The store at this URL, or in a PostgreSQL of its own.
    ///
    /// # Errors
    /// See [`Database::open`].
    pub async fn open(url: Option<&str>, patience: Patience) -> Result<Self, ServeError> {
        let needs = Needs { table: &TABLE, statements: STATEMENTS, mend: None };
        let database = Database::open(url, needs, patience).await?;
        Ok(Self { database, operations: AtomicU64::default(), swept: AtomicU64::default() })
    }

    fn counted(&self) -> &Connections {
        self.operations.fetch_add(1, Ordering::Relaxed);
        self.database.connections()
    }
}

fn rotation(row: Option<&Row>) -> Result<Rotation, String> {
    let Some(row) = row else { return Ok(Rotation::Unknown) };
    match row.try_get::<_, i32>(5).map_err(said)? {
        0 => Ok(Rotation::Rotated { data: data(row)?, expires: moment(row, 4)? }),
        1 => Ok(Rotation::Late),
        _ => Ok(Rotation::Reused),
    }
}

impl RefreshStore for RefreshPostgres {
    const NAME: &'static str = STORE;

    fn notes(&self) -> Vec<String> {
        self.database.notes("A refresh")
    }

    fn process(&self) -> Option<StoreProcess> {
        self.database.process()
    }

    async fn begin(&self, id: SessionId, family: Family) -> Result<bool, StoreError> {
        let Family { data: SessionData { user, cart }, secret, expires } = family;
        let begun = self
            .counted()
            .changed(
                BEGIN,
                &[
                    &id.as_bytes().as_slice(),
                    &number(user.id),
                    &user.name.as_str(),
                    &user.role.as_str(),
                    &text(&cart),
                    &secret.as_bytes().as_slice(),
                    &millis(expires),
                ],
            )
            .await;
        Ok(begun.map_err(could_not("begin a refresh session"))? == 1)
    }

    async fn begin_many(&self, families: Vec<(SessionId, Family)>) -> Result<u64, StoreError> {
        self.operations.fetch_add(families.len() as u64, Ordering::Relaxed);
        let who = Columns::of(families.iter().map(|(id, family)| (id, &family.data)));
        let secrets: Vec<&[u8]> =
            families.iter().map(|(_, family)| family.secret.as_bytes().as_slice()).collect();
        let expires: Vec<i64> = families.iter().map(|(_, family)| millis(family.expires)).collect();
        let begun = self
            .database
            .connections()
            .changed(
                BEGIN_MANY,
                &[&who.ids, &who.users, &who.names, &who.roles, &who.carts, &secrets, &expires],
            )
            .await;
        begun.map_err(could_not("begin refresh sessions"))
    }

    async fn rotate(
        &self,
        id: SessionId,
        shown: SecretDigest,
        new: SecretDigest,
        now: Timestamp,
        grace: Duration,
    ) -> Result<Rotation, StoreError> {
        let row = self
            .counted()
            .row(
                ROTATE,
                &[
                    &id.as_bytes().as_slice(),
                    &shown.as_bytes().as_slice(),
                    &new.as_bytes().as_slice(),
                    &millis(now),
                    &span(Some(grace)),
                ],
            )
            .await;
        let rotation = row.and_then(|row| rotation(row.as_ref()));
        rotation.map_err(could_not("refresh a session"))
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
                ],
            )
            .await;
        Ok(changed.map_err(could_not("update a refresh session"))? == 1)
    }

    async fn end(&self, id: SessionId) -> Result<bool, StoreError> {
        let ended = self.counted().changed(END, &[&id.as_bytes().as_slice()]).await;
        Ok(ended.map_err(could_not("end a refresh session"))? == 1)
    }

    async fn end_all_of_user(&self, user: UserId) -> Result<u64, StoreError> {
        let ended = self.counted().changed(END_ALL, &[&number(user)]).await;
        ended.map_err(could_not("end a user's refresh sessions"))
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut removed = 0;
        loop {
            let values = (millis(now), SWEEP_STEP);
            let step = self.database.connections().changed(SWEEP, &[&values.0, &values.1]).await;
            let step = step.map_err(could_not("sweep"))?;
            self.swept.fetch_add(step, Ordering::Relaxed);
            removed += step;
            if step < SWEEP_STEP.cast_unsigned() {
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
            ..counted
        })
    }
}
