//! A table: created if it is missing, and refused if its columns are not ours.

use tokio_postgres::Client;

use super::pool::said;

/// A table of ours.
///
/// Rows of a table that lacks an index would be found by reading all of it, and a column more could
/// refuse every login; so what is there must be exactly what is made here. It is looked at before
/// anything is changed, and made by one server at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// The statements that make it.
    pub make: &'static str,
    /// Its kind, columns (with `!` where they cannot be null) and the columns of its indexes, as
    /// PostgreSQL tells them.
    pub form: &'static str,
}

/// The form of what has the name; no row where there is nothing.
const FORM: &str = "
    SELECT format('%s %s: %s; indexes: %s',
        CASE relkind WHEN 'r' THEN 'table' ELSE 'kind ' || relkind::text END, relpersistence,
        (SELECT string_agg(format('%s %s%s', attname, format_type(atttypid, atttypmod),
                CASE WHEN attnotnull THEN '!' END), ', ' ORDER BY attnum)
            FROM pg_attribute WHERE attrelid = class.oid AND attnum > 0 AND NOT attisdropped),
        (SELECT string_agg(format('%s%s%s', indkey, CASE WHEN indisprimary THEN ' primary'
                WHEN indisunique THEN ' unique' END,
                CASE WHEN indpred IS NOT NULL THEN ' partial' END),
                ', ' ORDER BY indkey::text)
            FROM pg_index WHERE indrelid = class.oid AND indisvalid))
    FROM pg_class AS class WHERE oid = to_regclass($1::text)";
/// Any number that others will not think of: who makes a table holds this lock.
const LOCK: &str = "SELECT pg_advisory_xact_lock(6127440031)";

/// Has the table there.
pub(super) async fn prepare(client: &mut Client, table: &Table) -> Result<(), String> {
    let Table { name, make, form: ours } = table;
    if client.query_opt(FORM, &[name]).await.map_err(said)?.is_none() {
        let transaction = client.transaction().await.map_err(said)?;
        transaction.batch_execute(LOCK).await.map_err(said)?;
        if transaction.query_opt(FORM, &[name]).await.map_err(said)?.is_none() {
            transaction.batch_execute(make).await.map_err(said)?;
        }
        transaction.commit().await.map_err(said)?;
    }
    let row = client.query_one(FORM, &[name]).await.map_err(said)?;
    let form: String = row.try_get(0).map_err(said)?;
    if form == *ours {
        return Ok(());
    }
    Err(format!(
        "its table `{name}` is another one: expected \"{ours}\", found \"{form}\"; rename it, or \
         name another database"
    ))
}
