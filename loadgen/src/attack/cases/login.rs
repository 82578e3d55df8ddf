//! Attacks on the login: unknown names, and wrong or missing passwords. Anyone who can tell an
//! unknown name from a wrong password learns who has an account. Times are not compared, because
//! those of a busy machine mean nothing.

use serde_json::{Map, Value};
use servers::contract::{BodyFormat, Field};

use super::row::{Expected, Finding, Row, Work, same_words};
use crate::attack::attacker::Attacker;
use crate::attack::wire::{Reply, Silence};
use crate::error::Result;
use crate::record::CaseOutcome::{Accepted, Failed, Property, Refused};

const PASSWORD_BYTES: usize = 1 << 20;

pub(super) fn rows() -> Vec<Row> {
    let row = |id, what, expected, steps| Row {
        id,
        what,
        expected: Expected::Words(expected),
        work: Work::Steps(steps),
    };
    vec![
        row("48a", "an unknown name, and a wrong password", "the same answer", unknown_name),
        row("48b", "passwords that are empty, another's, or a query", "refused", wrong_passwords),
        row("48c", "a password of a megabyte", "400 or 413", long_password),
        row("48d", "a password that is no string", "refused", no_string),
    ]
}

/// What is found where there is no name and no password to replace.
pub(super) fn without_passwords() -> Finding {
    Finding::not_applicable("the login is not one request with {username} and {password}")
}

/// A field of a login's body, as this user with this in the place of the password.
fn with_password(field: &Field, name: &str, password: &Value) -> Value {
    match field {
        Field::Text(text) if text.contains("{password}") => password.clone(),
        Field::Text(text) => text.replace("{username}", name).into(),
        Field::Flag(flag) => (*flag).into(),
        Field::Whole(number) => (*number).into(),
        Field::Number(number) => (*number).into(),
        Field::List(fields) => {
            fields.iter().map(|field| with_password(field, name, password)).collect()
        }
        Field::Table(fields) => fields
            .iter()
            .map(|(key, field)| (key.clone(), with_password(field, name, password)))
            .collect(),
    }
}

/// The finding if an answer is worse than a refusal.
fn bad(attacker: &Attacker<'_>, reply: &std::result::Result<Reply, Silence>) -> Option<Finding> {
    match reply {
        Err(silence) => Some(Finding::new(Failed, silence.to_string())),
        Ok(reply) if reply.status >= 500 => Some(Finding::new(Failed, reply.status.to_string())),
        Ok(reply) if attacker.is_login(reply) && has_credential(attacker, reply) => {
            Some(Finding::new(Accepted, format!("{} a login", reply.status)))
        }
        Ok(_) => None,
    }
}

/// A form that is shown again may have the status of a login, and then has no credential.
fn has_credential(attacker: &Attacker<'_>, reply: &Reply) -> bool {
    attacker.ours() || attacker.gives_credential(reply)
}

fn unknown_name(attacker: &mut Attacker<'_>) -> Result<Finding> {
    if !attacker.takes_passwords() {
        return Ok(without_passwords());
    }
    let (name, _) = attacker.name_and_password(0);
    let unknown = attacker.try_log_in("authbench-nobody", "authbench-wrong");
    let wrong = attacker.try_log_in(&name, "authbench-wrong");
    for reply in [&unknown, &wrong] {
        if let Some(finding) = bad(attacker, reply) {
            return Ok(finding);
        }
    }
    let (Ok(unknown), Ok(wrong)) = (unknown, wrong) else {
        return Ok(Finding::new(Failed, "no answer"));
    };
    let found = format!("{} and {}", unknown.status, wrong.status);
    Ok(match (unknown.status == wrong.status, same_words(&unknown, &wrong)) {
        (false, _) => Finding::new(Failed, format!("{found}: they can be told apart")),
        (true, true) => Finding::new(Refused, format!("{found}, in the same words")),
        (true, false) if attacker.ours() => {
            Finding::new(Failed, format!("{found}, in other words: they can be told apart"))
        }
        (true, false) => Finding::new(Property, format!("{found}, in other words")),
    })
}

fn wrong_passwords(attacker: &mut Attacker<'_>) -> Result<Finding> {
    if !attacker.takes_passwords() {
        return Ok(without_passwords());
    }
    let (name, _) = attacker.name_and_password(0);
    let (_, others) = attacker.name_and_password(1);
    let mut last = String::new();
    for (username, password) in [
        (name.as_str(), ""),
        (&name, others.as_str()),
        (&name, "' OR '1'='1"),
        ("' OR '1'='1' --", "x"),
        (&name, "null"),
        ("", ""),
    ] {
        let reply = attacker.try_log_in(username, password);
        if let Some(finding) = bad(attacker, &reply) {
            let found = format!("{}, for `{username}` and `{password}`", finding.found);
            return Ok(Finding::new(finding.outcome, found));
        }
        last = reply.map_or_else(|why| why.to_string(), |reply| reply.status.to_string());
    }
    Ok(Finding::new(Refused, last))
}

fn long_password(attacker: &mut Attacker<'_>) -> Result<Finding> {
    if !attacker.takes_passwords() {
        return Ok(without_passwords());
    }
    let (name, _) = attacker.name_and_password(0);
    let reply = attacker.try_log_in(&name, &"x".repeat(PASSWORD_BYTES));
    if matches!(reply, Err(Silence::Closed)) && !attacker.ours() {
        return Ok(Finding::new(Refused, "closed"));
    }
    if let Some(finding) = bad(attacker, &reply) {
        return Ok(finding);
    }
    let status = reply.map_or(0, |reply| reply.status);
    let right = !attacker.ours() || [400, 413].contains(&status);
    Ok(Finding::new(if right { Refused } else { Failed }, status.to_string()))
}

fn no_string(attacker: &mut Attacker<'_>) -> Result<Finding> {
    let Some(login) = attacker
        .target
        .login
        .as_ref()
        .filter(|login| {
            login.format == BodyFormat::Json && login.csrf.is_none() && !login.fields.is_empty()
        })
        .filter(|_| attacker.takes_passwords())
    else {
        return Ok(Finding::not_applicable(
            "the login is no JSON with {username} and {password}, or needs a CSRF token",
        ));
    };
    let (name, _) = attacker.name_and_password(0);
    let mut last = String::new();
    for password in [r#"{"$ne":null}"#, r#"{"$gt":""}"#, "true", "null", "0", "[]", r#"["x"]"#] {
        let password: Value = serde_json::from_str(password).unwrap_or_default();
        let body: Map<String, Value> = login
            .fields
            .iter()
            .map(|(field, value)| (field.clone(), with_password(value, &name, &password)))
            .collect();
        let body = Value::Object(body).to_string();
        let bytes = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: \
             {}\r\n\r\n{body}",
            login.path,
            attacker.authority(),
            body.len()
        );
        let reply = attacker.send(bytes.as_bytes());
        if let Some(finding) = bad(attacker, &reply) {
            return Ok(Finding::new(finding.outcome, format!("{}, for {password}", finding.found)));
        }
        last = reply.map_or_else(|why| why.to_string(), |reply| reply.status.to_string());
    }
    Ok(Finding::new(Refused, last))
}
