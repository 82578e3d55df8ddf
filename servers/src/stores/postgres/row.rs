//! How what a store keeps is written in columns and read from them. A row that none of our servers
//! can have written is an error, and never a session with something else in it.

use std::time::Duration;

use tokio_postgres::Row;

use super::pool::said;
use crate::cart::Cart;
use crate::clock::Timestamp;
use crate::stores::{SessionData, SessionId};
use crate::users::{Name, Role, User, UserId};

/// The far end of time, and of a span without an end: two of them can be added.
const FOR_EVER: i64 = i64::MAX / 4;

/// A moment in milliseconds, as a column has it.
#[must_use]
pub fn millis(moment: Timestamp) -> i64 {
    i64::try_from(moment.millis()).map_or(FOR_EVER, |ms| ms.min(FOR_EVER))
}

/// A span in milliseconds; `None` lasts for ever.
#[must_use]
pub fn span(span: Option<Duration>) -> i64 {
    let span = span.map(|span| i64::try_from(span.as_millis()).unwrap_or(FOR_EVER));
    span.map_or(FOR_EVER, |span| span.min(FOR_EVER))
}

/// The number of a user, of which there are fewer than 2^31.
#[must_use]
pub const fn number(user: UserId) -> i32 {
    user.number().cast_signed()
}

/// A cart: nothing where it is empty.
#[must_use]
pub fn text(cart: &Cart) -> Option<String> {
    // A list of strings can always be written as JSON.
    (!cart.is_empty()).then(|| serde_json::to_string(cart).unwrap_or_default())
}

/// What many sessions are about, a column each, in the order in which they came.
#[derive(Debug, Default)]
pub struct Columns<'a> {
    /// Their ids.
    pub ids: Vec<&'a [u8]>,
    /// The numbers of their users.
    pub users: Vec<i32>,
    /// Their users' names.
    pub names: Vec<&'a str>,
    /// Their users' roles.
    pub roles: Vec<&'static str>,
    /// Their carts.
    pub carts: Vec<Option<String>>,
}

impl<'a> Columns<'a> {
    /// The columns of these.
    pub fn of(sessions: impl Iterator<Item = (&'a SessionId, &'a SessionData)>) -> Self {
        let mut columns = Self::default();
        for (id, SessionData { user, cart }) in sessions {
            columns.ids.push(id.as_bytes());
            columns.users.push(number(user.id));
            columns.names.push(user.name.as_str());
            columns.roles.push(user.role.as_str());
            columns.carts.push(text(cart));
        }
        columns
    }
}

fn odd(what: &str) -> String {
    format!("a row with an invalid {what}")
}

/// The moment in a column.
///
/// # Errors
/// If the column does not hold one.
pub fn moment(row: &Row, column: usize) -> Result<Timestamp, String> {
    let millis: i64 = row.try_get(column).map_err(said)?;
    u64::try_from(millis).map(Timestamp::from_millis).map_err(|_| odd("moment"))
}

/// What a session is about, in the first four columns: user, name, role and cart.
///
/// # Errors
/// Where it is nothing that was written here.
pub fn data(row: &Row) -> Result<SessionData, String> {
    let user: i32 = row.try_get(0).map_err(said)?;
    let id = u32::try_from(user).ok().and_then(UserId::new).ok_or_else(|| odd("user"))?;
    let name = Name::new(row.try_get(1).map_err(said)?).ok_or_else(|| odd("name"))?;
    let role = Role::parse(row.try_get(2).map_err(said)?).ok_or_else(|| odd("role"))?;
    let cart = match row.try_get::<_, Option<&str>>(3).map_err(said)? {
        None => Cart::default(),
        Some(text) => {
            // Owned, because an item with an escape in it is not to be had as it stands.
            let items: Vec<String> = serde_json::from_str(text).map_err(|_| odd("cart"))?;
            Cart::of(items.iter().map(String::as_str)).map_err(|_| odd("cart"))?
        }
    };
    Ok(SessionData { user: User { id, name, role }, cart })
}
