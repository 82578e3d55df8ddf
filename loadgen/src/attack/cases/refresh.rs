//! Attacks on refresh tokens: sent twice, late, after a logout, and in place of an access token or
//! the other way round.

use super::logout::log_out;
use super::row::{Expected, Finding, PASSER_BY, Row, Work, steps};
use super::shots::{Shot, listed};
use crate::attack::attacker::Attacker;
use crate::attack::login::Login;
use crate::attack::wire::Reply;
use crate::error::Result;
use crate::record::CaseOutcome::{Accepted, Failed, Property, Refused};

/// If a replaced refresh token is sent again, two parties hold it, and the server cannot tell which
/// is the thief: its whole family has to end (RFC 9700, 4.14.2). Only two tabs of one user that
/// refresh at once are legitimate.
pub(super) fn rows() -> Vec<Row> {
    vec![
        steps("29a", "a refresh token from before the last", "refused, and its family too", |a| {
            tried(a, old_one)
        }),
        steps("29b", "a refresh token just replaced", "refused, the new one still good", |a| {
            tried(a, late_one)
        }),
        steps("29c", "the refresh token after its logout", "refused", |a| {
            tried(a, |a, login, token| {
                log_out(a, login).map_or_else(|finding| finding, |_| show(a, token))
            })
        }),
        steps("29d", "the refresh token after a logout everywhere", "refused", |a| {
            tried(a, after_all)
        }),
        Row {
            id: "30a",
            what: "a refresh token where an access token is due",
            expected: Expected::Refused,
            work: Work::Shots(|a| {
                let token = a.refresh_token(&a.a.reply).ok_or(NONE)?;
                listed(vec![Shot::Credential(token.into_bytes())])
            }),
        },
        steps("30b", "an access token where a refresh token is due", "refused", |a| {
            tried(a, |a, login, _| show(a, &login.text()))
        }),
    ]
}

const NONE: &str = "the login gives no refresh token";

/// The findings for a new login's refresh token.
fn tried(
    attacker: &mut Attacker<'_>,
    steps: fn(&mut Attacker<'_>, &Login, &str) -> Finding,
) -> Result<Finding> {
    let login = attacker.log_in(PASSER_BY)?;
    Ok(match attacker.refresh_token(&login.reply) {
        Some(token) => steps(attacker, &login, &token),
        None => Finding::not_applicable(NONE),
    })
}

/// The answer to a refresh, and the token in it where it went through.
fn answer(
    attacker: &mut Attacker<'_>,
    token: &str,
) -> std::result::Result<(Reply, Option<String>), Finding> {
    match attacker.refresh(token) {
        None => Err(Finding::not_applicable(NONE)),
        Some(Err(silence)) => Err(Finding::new(Failed, silence.to_string())),
        Some(Ok(reply)) => {
            let next = attacker.refresh_token(&reply);
            Ok((reply, next))
        }
    }
}

/// Shows a token that has to be refused.
fn show(attacker: &mut Attacker<'_>, token: &str) -> Finding {
    match answer(attacker, token) {
        Err(finding) => finding,
        Ok((reply, Some(_))) => Finding::new(Accepted, format!("{}, a new token", reply.status)),
        Ok((reply, None)) => {
            let refusals = if attacker.ours() { 401..402 } else { 400..500 };
            let right = refusals.contains(&reply.status);
            Finding::new(if right { Refused } else { Failed }, reply.status.to_string())
        }
    }
}

/// The token that a good one is replaced by.
fn next(attacker: &mut Attacker<'_>, token: &str) -> std::result::Result<String, Finding> {
    let (reply, next) = answer(attacker, token)?;
    next.ok_or_else(|| Finding::new(Failed, format!("{} for a good refresh token", reply.status)))
}

/// A thief shows a token that its user has long replaced.
fn old_one(attacker: &mut Attacker<'_>, _: &Login, first: &str) -> Finding {
    let newest = next(attacker, first).and_then(|second| next(attacker, &second));
    let newest = match newest {
        Ok(newest) => newest,
        Err(finding) => return finding,
    };
    let old = show(attacker, first);
    if old.outcome != Refused {
        return old;
    }
    let mut newest = show(attacker, &newest);
    newest.found = format!("{}, and {} for the newest", old.found, newest.found);
    if newest.outcome == Accepted {
        newest.outcome = if attacker.ours() { Failed } else { Property };
    }
    newest
}

/// Two tabs refresh with the same token, one after the other.
fn late_one(attacker: &mut Attacker<'_>, _: &Login, first: &str) -> Finding {
    let second = match next(attacker, first) {
        Ok(second) => second,
        Err(finding) => return finding,
    };
    let mut late = show(attacker, first);
    if late.outcome == Accepted && !attacker.ours() {
        return Finding::new(Property, format!("{}: it has a grace", late.found));
    }
    if late.outcome == Refused
        && let Err(newer) = next(attacker, &second)
    {
        late.outcome = if attacker.ours() { Failed } else { Property };
        late.found = format!("{}, and {}", late.found, newer.found);
    }
    late
}

fn after_all(attacker: &mut Attacker<'_>, login: &Login, token: &str) -> Finding {
    match attacker.log_out_everywhere(login) {
        None => Finding::not_applicable("the target file has no logout_all"),
        Some(Err(silence)) => Finding::new(Failed, silence.to_string()),
        Some(Ok(reply)) if !attacker.logged_out(&reply) => {
            Finding::new(Failed, format!("{} for the logout", reply.status))
        }
        Some(Ok(_)) => show(attacker, token),
    }
}
