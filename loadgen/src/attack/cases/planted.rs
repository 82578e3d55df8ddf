//! A session that an attacker plants outside of a cookie: a link with an id in it needs nothing of
//! the victim but a click.

use super::answers::HEADERS;
use super::row::{Finding, PASSER_BY, Row, knock, steps};
use super::sessions::not_in_a_cookie;
use crate::attack::attacker::Attacker;
use crate::attack::forge::alike;
use crate::attack::recipe::percent_encoded;
use crate::attack::request::{Added, Field};
use crate::attack::wire::{LIMITED, NO_CONNECTION};
use crate::error::{Error, Result};
use crate::record::CaseOutcome::{Accepted, Refused};

/// Names of an id in a query.
const NAMES: &[&str] = &["sid", "session", "session_id", "sessionid", "PHPSESSID", "JSESSIONID"];

pub(super) fn rows() -> Vec<Row> {
    vec![
        steps("37b", "a login with an id planted in the query", "a new id", |a| {
            planted(a, |name, id| (query(name, id), Vec::new()))
        }),
        steps("37c", "a login with an id planted in headers", "a new id", |a| {
            planted(a, |_, id| (String::new(), headers(id)))
        }),
    ]
}

fn query(own: &str, id: &str) -> String {
    let names = NAMES.iter().copied().filter(|name| *name != own).chain([own]);
    let pairs = names.map(|name| format!("{name}={}", percent_encoded(id)));
    pairs.collect::<Vec<_>>().join("&")
}

fn headers(id: &str) -> Vec<Field> {
    HEADERS.iter().map(|name| ((*name).into(), id.as_bytes().to_vec())).collect()
}

/// Whether a login failed because it was not tried.
fn is_untried(why: &str) -> bool {
    [LIMITED, NO_CONNECTION].iter().any(|mark| why.contains(mark))
}

/// A query, and header fields.
type Planted = (String, Vec<Field>);

/// Plants an id that nobody has, and one of a session of the attacker's.
fn planted(attacker: &mut Attacker<'_>, made: fn(&str, &str) -> Planted) -> Result<Finding> {
    let Some(name) = attacker.cookie() else { return Ok(not_in_a_cookie()) };
    let unknown = alike(&attacker.a.text(), 37, 1);
    let earlier = attacker.log_in(PASSER_BY)?.text();
    for id in [unknown, earlier] {
        let before = knock(attacker, id.as_bytes());
        let (query, fields) = made(name, &id);
        let more = Added { fields: &fields, query: &query };
        let login = match attacker.log_in_added(PASSER_BY + 1, more) {
            Ok(login) => login,
            // Nobody can take over a login that was refused for what was added.
            Err(Error::Target(why)) if !is_untried(&why) => continue,
            Err(error) => return Err(error),
        };
        if login.text() == id {
            return Ok(Finding::new(Accepted, "the login took the planted id"));
        }
        let after = knock(attacker, id.as_bytes());
        if after.outcome == Accepted && after.found != before.found {
            let found = format!("another id, and {} for the planted one", after.found);
            return Ok(Finding::new(Accepted, found));
        }
    }
    Ok(Finding::new(Refused, "another id, or no login"))
}
