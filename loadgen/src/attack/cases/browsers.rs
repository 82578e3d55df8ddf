//! What another site makes a browser send: a change with the user's cookie, or a login as somebody
//! else (cross-site request forgery).

use super::row::{Finding, PASSER_BY, Row, steps};
use crate::attack::attacker::Attacker;
use crate::attack::request::Field;
use crate::error::Result;
use crate::record::CaseOutcome::{Accepted, Allowed, Failed, Property, Refused};

/// Fields that a browser adds.
type Said = &'static [(&'static str, &'static str)];

/// A page of another origin, in a browser without Fetch Metadata. `{host}` stands for the server's.
const ORIGINS: &[Said] = &[
    &[("Origin", "https://attacker.example")],
    &[("Origin", "null")],
    &[("Origin", "http://{host}.attacker.example")],
    &[("Origin", "http://attacker.example/{host}")],
];
/// The same in one with it.
const SITES: &[Said] = &[
    &[("Sec-Fetch-Site", "cross-site")],
    &[("Sec-Fetch-Site", "same-site")],
    &[("Sec-Fetch-Site", "cross-site"), ("Origin", "https://attacker.example")],
];

/// A browser says in `Sec-Fetch-Site` and `Origin` which site made it send a request. It sends a
/// credential in a header only if a script of the server's own does, so servers with such
/// credentials are not attacked. What a stranger's server lets through is a property and not a
/// fault: the `SameSite` of its cookie (row 42b) may keep such requests from coming at all.
pub(super) fn rows() -> Vec<Row> {
    vec![
        steps("45a", "a logout that another origin asks for (Origin)", "403", |a| {
            foreign_logout(a, ORIGINS)
        }),
        steps("45b", "a logout that another site asks for (Sec-Fetch-Site)", "403", |a| {
            foreign_logout(a, SITES)
        }),
        steps("45c", "a login that another site asks for", "403", foreign_login),
        steps("45d", "a login and a logout that its own page asks for", "let through", own_page),
    ]
}

fn not_in_a_cookie() -> Finding {
    Finding::not_applicable("the credential is not in a cookie, so no browser sends it by itself")
}

fn fields(attacker: &Attacker<'_>, said: Said) -> Vec<Field> {
    let host = attacker.authority();
    said.iter()
        .map(|(name, value)| ((*name).into(), value.replace("{host}", host).into()))
        .collect()
}

fn shown(said: Said) -> String {
    said.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join(", ")
}

/// The meaning of this status in an answer to a change that another site asked for.
fn judged(attacker: &Attacker<'_>, status: u16, was_done: bool, said: Said) -> Finding {
    match (was_done, attacker.ours()) {
        (true, true) => Finding::new(Accepted, format!("{status} with {}", shown(said))),
        (true, false) => Finding::new(Property, format!("{status} with {}", shown(said))),
        (false, true) if status != 403 => {
            Finding::new(Failed, format!("{status} with {}", shown(said)))
        }
        (false, _) if status >= 500 => Finding::new(Failed, status.to_string()),
        (false, _) => Finding::new(Refused, status.to_string()),
    }
}

fn foreign_logout(attacker: &mut Attacker<'_>, all: &[Said]) -> Result<Finding> {
    if attacker.cookie().is_none() {
        return Ok(not_in_a_cookie());
    }
    let mut last = Finding::new(Refused, "");
    for &said in all {
        let login = attacker.log_in(PASSER_BY)?;
        let fields = fields(attacker, said);
        let reply = match attacker.log_out_with(&login, &fields) {
            None => return Ok(Finding::not_applicable("the target file has no logout")),
            Some(Err(silence)) => return Ok(Finding::new(Failed, silence.to_string())),
            Some(Ok(reply)) => reply,
        };
        last = judged(attacker, reply.status, attacker.logged_out(&reply), said);
        if last.outcome == Refused
            && let Err(found) = attacker.good(&login)
        {
            return Ok(Finding::new(Failed, format!("{found} after a logout that was refused")));
        }
        if last.outcome != Refused {
            break;
        }
    }
    Ok(last)
}

fn foreign_login(attacker: &mut Attacker<'_>) -> Result<Finding> {
    if attacker.cookie().is_none() {
        return Ok(not_in_a_cookie());
    } else if !attacker.logs_in_at_once() {
        return Ok(Finding::not_applicable("the login is not one request"));
    }
    let mut last = Finding::new(Refused, "");
    for &said in ORIGINS.iter().chain(SITES) {
        let fields = fields(attacker, said);
        let reply = match attacker.try_log_in_with(PASSER_BY, &fields) {
            Err(silence) => return Ok(Finding::new(Failed, silence.to_string())),
            Ok(reply) => reply,
        };
        let logged_in = attacker.is_login(&reply) && attacker.gives_credential(&reply);
        last = judged(attacker, reply.status, logged_in, said);
        if last.outcome != Refused {
            break;
        }
    }
    Ok(last)
}

/// What an honest page sends. A server that refuses it cannot be used from a browser, and may say
/// that it is not meant for one.
fn own_page(attacker: &mut Attacker<'_>) -> Result<Finding> {
    if attacker.cookie().is_none() {
        return Ok(not_in_a_cookie());
    } else if !attacker.logs_in_at_once() {
        return Ok(Finding::not_applicable("the login is not one request"));
    }
    let scheme = attacker.target.base_url.split("://").next().unwrap_or("http");
    let origin = format!("{scheme}://{}", attacker.authority());
    let origin: Field = ("Origin".into(), origin.into());
    let metadata: Field = ("Sec-Fetch-Site".into(), "same-origin".into());
    for fields in [vec![origin.clone()], vec![metadata.clone(), origin.clone()]] {
        let bad = if attacker.ours() { Failed } else { Property };
        let reply = match attacker.try_log_in_with(PASSER_BY, &fields) {
            Err(silence) => return Ok(Finding::new(Failed, silence.to_string())),
            Ok(reply) => reply,
        };
        if !attacker.is_login(&reply) {
            return Ok(Finding::new(bad, format!("{} for the login", reply.status)));
        }
        let login = attacker.log_in(PASSER_BY)?;
        match attacker.log_out_with(&login, &fields) {
            None => {}
            Some(Err(silence)) => return Ok(Finding::new(Failed, silence.to_string())),
            Some(Ok(reply)) if attacker.logged_out(&reply) => {}
            Some(Ok(reply)) => {
                return Ok(Finding::new(bad, format!("{} for the logout", reply.status)));
            }
        }
    }
    Ok(Finding::new(Allowed, "let through"))
}
