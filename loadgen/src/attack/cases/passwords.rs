//! Passwords that are nearly right: a server that compares less than all of one, or other than it
//! was chosen, lets more passwords in than its owner knows.

use super::login::without_passwords;
use super::row::{Finding, Row, steps};
use crate::attack::attacker::Attacker;
use crate::error::Result;
use crate::record::CaseOutcome::{Accepted, Failed, Property, Refused};

/// The user whose password is tried; others than A, whose login may be locked by now.
const OWNER: u64 = 1;
/// Why a password was not tried.
const LOCKED: &str = "the right password does not work here either, so no other was tried";
/// Characters that some servers compare.
const START: usize = 8;

pub(super) fn rows() -> Vec<Row> {
    vec![
        steps("48e", "the password without its end, or with another", "refused", |a| {
            tried(a, Accepted, |right| {
                let characters: Vec<char> = right.chars().collect();
                let all = characters.len();
                let start = |count: usize| characters[..count].iter().collect::<String>();
                let last = characters.last().copied().unwrap_or('x');
                let other = if last == 'x' { 'y' } else { 'x' };
                let but_last = start(all.saturating_sub(1));
                vec![
                    but_last.clone() + &other.to_string(),
                    but_last,
                    start(all / 2),
                    start(START.min(all)),
                ]
            })
        }),
        steps("48f", "the password with something behind it", "refused", |a| {
            tried(a, Accepted, |right| vec![format!("{right}x"), format!("{right}\0x")])
        }),
        steps("48g", "the password in another case", "refused", |a| {
            tried(a, Accepted, |right| vec![right.to_uppercase(), right.to_lowercase()])
        }),
        // NIST SP 800-63B, 3.1.1.2, lets a server forgive these.
        steps("48h", "the password with spaces around it", "refused", |a| {
            tried(a, Property, |right| vec![format!("{right} "), format!(" {right}")])
        }),
    ]
}

/// Tries passwords that are made of the right one, which has to work before and after them: a
/// locked account refuses everything.
fn tried(
    attacker: &mut Attacker<'_>,
    outcome: crate::record::CaseOutcome,
    made: fn(&str) -> Vec<String>,
) -> Result<Finding> {
    if !attacker.takes_passwords() {
        return Ok(without_passwords());
    }
    let (name, right) = attacker.name_and_password(OWNER);
    let mut others = made(&right);
    others.retain(|other| *other != right && !other.is_empty());
    others.dedup();
    if others.is_empty() {
        return Ok(Finding::not_applicable("the password has no such other"));
    }
    if let Some(finding) = unlocked(attacker, &name, &right) {
        return Ok(finding);
    }
    for other in &others {
        match attacker.try_log_in(&name, other) {
            Err(silence) => return Ok(Finding::new(Failed, silence.to_string())),
            Ok(reply) if reply.status >= 500 => {
                return Ok(Finding::new(Failed, reply.status.to_string()));
            }
            Ok(reply) if attacker.is_login(&reply) && attacker.gives_credential(&reply) => {
                let bad = if attacker.ours() { Accepted } else { outcome };
                let found = format!("{} a login by {}", reply.status, difference(other, &right));
                return Ok(Finding::new(bad, found));
            }
            Ok(_) => {}
        }
    }
    if let Some(finding) = unlocked(attacker, &name, &right) {
        return Ok(finding);
    }
    Ok(Finding::new(Refused, format!("{} of {} refused", others.len(), others.len())))
}

/// The finding if the right password does not work.
fn unlocked(attacker: &mut Attacker<'_>, name: &str, right: &str) -> Option<Finding> {
    match attacker.try_log_in(name, right) {
        Ok(reply) if attacker.is_login(&reply) => None,
        Ok(reply) => {
            let why = format!("{}: {}", LOCKED, reply.status);
            Some(Finding::not_applicable(why))
        }
        Err(silence) => Some(Finding::new(Failed, silence.to_string())),
    }
}

/// How a password differs from the right one, without telling either.
fn difference(other: &str, right: &str) -> String {
    let (all, length) = (right.chars().count(), other.chars().count());
    if other.trim() == right {
        "the password with a space".into()
    } else if other.starts_with(right) {
        format!("the {all} characters of the password and more behind")
    } else if right.starts_with(other) {
        format!("the first {length} of {all} characters of the password")
    } else if other.eq_ignore_ascii_case(right) {
        "the password in another case".into()
    } else {
        format!("the password of {all} characters with another last one")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_tells_no_password() {
        for (other, said) in [
            ("Secret7 ", "the password with a space"),
            ("Secret7x", "the 7 characters of the password and more behind"),
            ("Secret", "the first 6 of 7 characters of the password"),
            ("SECRET7", "the password in another case"),
            ("Secretx", "the password of 7 characters with another last one"),
        ] {
            assert_eq!(difference(other, "Secret7"), said);
        }
    }
}
