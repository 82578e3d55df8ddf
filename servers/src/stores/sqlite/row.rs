//! The table of sessions: its statements, and how a session is written in columns and read from
//! them.

use crate::cart::Cart;
use crate::clock::Timestamp;
use crate::stores::{Session, SessionData};
use crate::users::{Name, Role, User, UserId};

/// `ends` is the earlier of the absolute and the idle expiry: what a sweep looks for.
pub(super) const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS sessions (
        id BLOB PRIMARY KEY, user INTEGER NOT NULL, name TEXT NOT NULL, role TEXT NOT NULL,
        cart TEXT, created INTEGER NOT NULL, expires INTEGER NOT NULL,
        last_seen INTEGER NOT NULL, ends INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS sessions_of_user ON sessions (user);
    CREATE INDEX IF NOT EXISTS sessions_by_end ON sessions (ends);";
/// A file may have been left by a server with another idle timeout.
pub(super) const MEND: &str = "UPDATE sessions SET ends = min(expires, last_seen + ?1)
    WHERE ends <> min(expires, last_seen + ?1)";
pub(super) const READ: &str =
    "SELECT user, name, role, cart, created, expires, last_seen FROM sessions WHERE id = ?1";
pub(super) const CREATE: &str = "INSERT INTO sessions VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
    ON CONFLICT (id) DO NOTHING";
pub(super) const UPDATE: &str = "UPDATE sessions SET user = ?2, name = ?3, role = ?4, cart = ?5
    WHERE id = ?1 AND ?6 < expires AND ?6 < max(last_seen, ?7) + ?8";
pub(super) const TOUCH: &str = "UPDATE sessions
    SET last_seen = max(last_seen, ?2), ends = min(expires, max(last_seen, ?2) + ?3)
    WHERE id = ?1";
pub(super) const DELETE: &str = "DELETE FROM sessions WHERE id = ?1";
pub(super) const DELETE_ALL: &str = "DELETE FROM sessions WHERE user = ?1";
pub(super) const USED: &str =
    "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
pub(super) const SWEEP: &str = "DELETE FROM sessions
    WHERE id IN (SELECT id FROM sessions WHERE ends <= ?1 LIMIT ?2)";

/// The far end of time, and of an idle timeout that is not set: two of them can be added.
pub(super) const FOR_EVER: i64 = i64::MAX / 4;

pub(super) fn millis(moment: Timestamp) -> i64 {
    i64::try_from(moment.millis()).map_or(FOR_EVER, |ms| ms.min(FOR_EVER))
}

#[allow(clippy::needless_pass_by_value, reason = "it is what `map_err` hands over")]
pub(super) fn said(error: rusqlite::Error) -> String {
    error.to_string()
}

pub(super) fn session(row: &rusqlite::Row<'_>) -> rusqlite::Result<Session> {
    let odd = || rusqlite::Error::IntegralValueOutOfRange(0, 0);
    let moment = |column| {
        let millis = u64::try_from(row.get::<usize, i64>(column)?).map_err(|_| odd())?;
        Ok::<_, rusqlite::Error>(Timestamp::from_millis(millis))
    };
    let id = UserId::new(row.get(0)?).ok_or_else(odd)?;
    let name = Name::new(row.get_ref(1)?.as_str()?).ok_or_else(odd)?;
    let role = Role::parse(row.get_ref(2)?.as_str()?).ok_or_else(odd)?;
    let cart = match row.get_ref(3)?.as_str_or_null()? {
        None => Cart::default(),
        Some(text) => {
            // Owned, because an item with an escape in it is not to be had as it stands.
            let items: Vec<String> = serde_json::from_str(text).map_err(|_| odd())?;
            Cart::of(items.iter().map(String::as_str)).map_err(|_| odd())?
        }
    };
    Ok(Session {
        data: SessionData { user: User { id, name, role }, cart },
        created: moment(4)?,
        expires: moment(5)?,
        last_seen: moment(6)?,
    })
}

pub(super) fn text(cart: &Cart) -> Option<String> {
    // A list of strings can always be written as JSON.
    (!cart.is_empty()).then(|| serde_json::to_string(cart).unwrap_or_default())
}
