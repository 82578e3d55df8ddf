//! Attacks on sessions and their cookies: unknown, malformed, planted and guessed ids, and the
//! attributes of the cookie.

use super::logout::log_out;
use super::row::{Expected, Finding, PASSER_BY, Row, Work, judge, knock, steps};
use super::shots::{Shot, Shots, listed};
use crate::attack::attacker::Attacker;
use crate::attack::forge::{Form, alike};
use crate::attack::wire::{Reply, Silence};
use crate::error::Result;
use crate::record::CaseOutcome::{self, Accepted, Failed, Property, Refused};

/// Guesses that are made before their answers are judged.
const AT_ONCE: usize = 64;

pub(super) fn rows() -> Vec<Row> {
    let row =
        |id, what, made| Row { id, what, expected: Expected::Refused, work: Work::Shots(made) };
    vec![
        row("35a", "an id that is well formed and unknown", |a| {
            ids(a, |id| vec![alike(id, 35, 1)])
        }),
        steps(
            "35b",
            "a login with an unknown id planted",
            "a new id; the other stays dead",
            planted,
        ),
        row("36a", "an id one character shorter, and one longer", |a| {
            ids(a, |id| {
                let (mut shorter, mut rest) = (id.to_owned(), id.chars());
                shorter.pop();
                rest.next();
                vec![shorter, rest.as_str().into(), format!("{id}A")]
            })
        }),
        row("36b", "ids of other characters", |a| {
            ids(a, |id| "!~*?+/=%$@ |&^".chars().map(|c| c.to_string().repeat(id.len())).collect())
        }),
        Row {
            id: "36c",
            what: "an id of 100 kB",
            expected: Expected::Status(&[401, 431]),
            work: Work::Shots(|a| ids(a, |_| vec!["A".repeat(100_000)])),
        },
        Row {
            id: "36d",
            what: "an id with a NUL",
            expected: Expected::Status(&[400, 401]),
            work: Work::Shots(|a| ids(a, |id| vec![format!("{id}\0"), format!("\0{id}")])),
        },
        row("36e", "a non-ASCII id", |a| {
            ids(a, |id| {
                let rest: String = id.chars().skip(1).collect();
                vec!["é".repeat(id.len() / 2), format!("{rest}\u{fffd}")]
            })
        }),
        row("36f", "an id that is a query", |a| {
            ids(a, |_| ["' OR '1'='1", "' OR 1=1 --", "x' UNION SELECT '1"].map(Into::into).into())
        }),
        row("36g", "an id that is a pattern or a command of a store", |a| {
            ids(a, |id| {
                let half = id.chars().take(id.chars().count() / 2);
                let prefix: String = half.chain(['*']).collect();
                [prefix.as_str(), "*", "?", "[a-z]*", "session:*", "%"].map(Into::into).into()
            })
        }),
        row("36h", "an id that is a path", |a| {
            ids(a, |_| ["../", "../../etc/passwd", "/dev/null", "."].map(Into::into).into())
        }),
        row("36i", "`null`, `undefined` and other empty values", |a| {
            let none = ["null", "undefined", "none", "None", "NaN", "0", "true", "[object Object]"];
            ids(a, |_| none_of(&none))
        }),
        steps(
            "37a",
            "the session from before the login",
            "a new id; the old one is dead",
            fixation,
        ),
    ]
}

/// Attributes of the cookie, and guessing.
pub(super) fn more_rows() -> Vec<Row> {
    vec![
        steps("42a", "the cookie and scripts", "HttpOnly", |a| {
            attribute(a, |cookie| cookie.has("httponly"))
        }),
        steps("42b", "the cookie and other sites", "SameSite=Lax or Strict", |a| {
            attribute(a, |cookie| cookie.has("samesite=lax") || cookie.has("samesite=strict"))
        }),
        steps("42c", "the cookie and plain HTTP", "Secure", |a| {
            attribute(a, |cookie| cookie.has("secure"))
        }),
        steps("42d", "the cookie and other hosts", "__Host-, Path=/, no Domain", |a| {
            attribute(a, |cookie| {
                let of_this_host = cookie.name.starts_with("__Host-") && cookie.has("path=/");
                of_this_host && !cookie.parts.iter().any(|part| part.starts_with("domain="))
            })
        }),
        steps("42e", "the cookie at the logout", "removed with the same attributes", removal),
        steps("39c", "a cookie that is refused", "removed with the same attributes", refused),
        steps("49a", "random credentials of the right form", "no hit", guesses),
    ]
}

fn none_of(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

fn ids(attacker: &Attacker<'_>, made: impl Fn(&str) -> Vec<String>) -> Shots {
    if attacker.form != Form::Id {
        return Err(format!("the credential is {}, not an id", attacker.form.name()));
    }
    let texts = made(&attacker.a.text());
    listed(texts.into_iter().map(|text| Shot::Credential(text.into_bytes())).collect())
}

pub(super) fn not_in_a_cookie() -> Finding {
    Finding::not_applicable("the credential is not in a cookie, so nobody can plant it")
}

fn planted(attacker: &mut Attacker<'_>) -> Result<Finding> {
    if attacker.cookie().is_none() {
        return Ok(not_in_a_cookie());
    }
    if attacker.a.before.is_some() {
        return Ok(Finding::not_applicable("a login here has a session already: see 37a"));
    }
    let unknown = alike(&attacker.a.text(), 35, 2);
    let login = attacker.log_in_with(PASSER_BY, unknown.as_bytes())?;
    if login.credential() == unknown.as_bytes() {
        return Ok(Finding::new(Accepted, "the login took the planted id"));
    }
    let mut finding = knock(attacker, unknown.as_bytes());
    finding.found = format!("another id, and {} for the planted one", finding.found);
    Ok(finding)
}

fn fixation(attacker: &mut Attacker<'_>) -> Result<Finding> {
    if attacker.cookie().is_none() {
        return Ok(not_in_a_cookie());
    }
    let (before, login) = if attacker.a.before.is_some() {
        let login = attacker.log_in(PASSER_BY)?;
        (login.before.clone().unwrap_or_default(), login)
    } else {
        let earlier = attacker.log_in(PASSER_BY)?;
        let login = attacker.log_in_with(PASSER_BY + 1, earlier.credential())?;
        (earlier.credential().to_vec(), login)
    };
    if login.credential() == before {
        return Ok(Finding::new(Accepted, "the id stayed the same through the login"));
    }
    if let Err(found) = attacker.good(&login) {
        return Ok(Finding::new(Failed, format!("{found} for the new id")));
    }
    let mut finding = knock(attacker, &before);
    let still = finding.outcome == Accepted;
    if still && (!attacker.ours() || matches!(log_out(attacker, &login), Ok(Some(_)))) {
        finding.outcome = Property;
        finding.found = "another id; the earlier one, which was good, stays so".into();
    } else {
        finding.found = format!("another id, and {} for the old one", finding.found);
    }
    Ok(finding)
}

/// A cookie as a server sets it, in lower case but for its name.
struct SetCookie {
    name: String,
    parts: Vec<String>,
}

impl SetCookie {
    fn has(&self, attribute: &str) -> bool {
        self.parts.iter().any(|part| part == attribute)
    }

    /// The attributes that tell a browser how to keep it.
    fn kept_by(&self) -> Vec<&str> {
        let of_time = |part: &&str| !part.starts_with("max-age") && !part.starts_with("expires");
        let mut parts: Vec<_> = self.parts.iter().map(String::as_str).filter(of_time).collect();
        parts.sort_unstable();
        parts
    }
}

fn set_cookie<'a>(values: impl Iterator<Item = &'a [u8]>, name: &str) -> Option<SetCookie> {
    values
        .filter_map(|value| {
            let text = String::from_utf8_lossy(value).into_owned();
            let (pair, attributes) = text.split_once(';').unwrap_or((&text, ""));
            let (found, _) = pair.split_once('=')?;
            let parts = attributes.split(';').map(|part| part.trim().to_ascii_lowercase());
            (found == name).then(|| SetCookie { name: found.into(), parts: parts.collect() })
        })
        .last()
}

fn attribute(attacker: &Attacker<'_>, right: fn(&SetCookie) -> bool) -> Result<Finding> {
    let Some(name) = attacker.cookie() else {
        return Ok(Finding::not_applicable("the credential is not in a cookie"));
    };
    let Some(cookie) = set_cookie(attacker.a.reply.all("set-cookie"), name) else {
        return Ok(Finding::not_applicable("the login sets no cookie of that name"));
    };
    let found = [&[cookie.name.as_str()][..], &cookie.kept_by()].concat().join("; ");
    let otherwise = if attacker.ours() { Failed } else { Property };
    let outcome = if right(&cookie) { CaseOutcome::Allowed } else { otherwise };
    Ok(Finding::new(outcome, found))
}

fn removal(attacker: &mut Attacker<'_>) -> Result<Finding> {
    let Some(name) = attacker.cookie() else {
        return Ok(Finding::not_applicable("the credential is not in a cookie"));
    };
    let login = attacker.log_in(PASSER_BY)?;
    Ok(match attacker.log_out(&login) {
        None => Finding::not_applicable("the target file has no logout"),
        Some(Err(silence)) => Finding::new(Failed, silence.to_string()),
        Some(Ok(reply)) => removes(attacker, name, &login.reply, &reply),
    })
}

/// What the answer does to an invalid cookie: a client that keeps it would send it again and again.
fn refused(attacker: &mut Attacker<'_>) -> Result<Finding> {
    let Some(name) = attacker.cookie() else {
        return Ok(Finding::not_applicable("the credential is not in a cookie"));
    };
    let dead = alike(&attacker.a.text(), 39, 1);
    let fields = attacker.fields(dead.as_bytes());
    Ok(match attacker.ask(&fields) {
        Err(silence) => Finding::new(Failed, silence.to_string()),
        Ok(reply) => removes(attacker, name, &attacker.a.reply, &reply),
    })
}

/// Whether an answer removes the cookie of this name as a login set it.
fn removes(attacker: &Attacker<'_>, name: &str, login: &Reply, reply: &Reply) -> Finding {
    let set = set_cookie(login.all("set-cookie"), name);
    let bad = if attacker.ours() { Failed } else { Property };
    match (set, set_cookie(reply.all("set-cookie"), name)) {
        (_, None) => Finding::new(bad, "not removed"),
        (Some(set), Some(removed)) if set.kept_by() != removed.kept_by() => {
            Finding::new(bad, format!("removed with {}", removed.kept_by().join("; ")))
        }
        (_, Some(removed)) if !removed.parts.iter().any(|part| ends_at_once(part)) => {
            Finding::new(bad, "set anew, and not removed")
        }
        _ => Finding::new(CaseOutcome::Allowed, "removed"),
    }
}

fn ends_at_once(attribute: &str) -> bool {
    matches!(attribute.split_once('='), Some(("max-age", "0" | "-1")))
        || attribute.contains("jan 1970")
        || attribute.contains("jan-1970")
}

/// Random credentials that differ from a good one only in its secret part.
fn guesses(attacker: &mut Attacker<'_>) -> Result<Finding> {
    let good = attacker.a.text();
    let seed = u64::from(std::process::id());
    // A token names its key and its user in the open: those parts are right.
    let (known, secret) = match attacker.form {
        Form::Jwt => good.split_at(good.rfind('.').map_or(0, |dot| dot + 1)),
        Form::Jwe => good.split_at(good.find('.').map_or(0, |dot| dot + 1)),
        Form::Paseto => good.split_at(good.match_indices('.').nth(1).map_or(0, |(dot, _)| dot + 1)),
        Form::Sealed | Form::Id => ("", good.as_str()),
    };
    let (secret, footer) = match attacker.form {
        Form::Paseto => secret.split_at(secret.find('.').unwrap_or(secret.len())),
        _ => (secret, ""),
    };
    let (all, mut tried) = (attacker.options.guesses, 0);
    for first in (0..all).step_by(AT_ONCE) {
        if attacker.interrupt.signal().is_some() {
            break;
        }
        if attacker.is_time_up() {
            let found = format!("{} ({first} guesses were)", Silence::TimeUp);
            return Ok(Finding::new(Failed, found));
        }
        let numbers = first..all.min(first.saturating_add(AT_ONCE as u32));
        let guess = |n: u32| format!("{known}{}{footer}", alike(secret, seed, n.into()));
        let guesses: Vec<_> = numbers.map(guess).filter(|guess| *guess != good).collect();
        for (reply, n) in attacker.ask_all(&guesses).iter().zip(first + 1..) {
            let finding = judge(attacker, Expected::Refused, reply, false);
            if finding.outcome.is_bad() {
                let found = format!("{} ({n} of {all})", finding.found);
                return Ok(Finding::new(finding.outcome, found));
            }
            tried += 1;
        }
    }
    Ok(Finding::new(Refused, format!("no hit in {tried}")))
}
