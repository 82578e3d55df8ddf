//! How a credential is carried: missing, twice, in the wrong words, in the wrong place. If a server
//! chose one of two, an attacker could have planted it; and headers that a proxy adds do not
//! identify a user.

use super::row::{Expected, Finding, Row, Work};
use super::shots::{Shot, Shots, listed};
use crate::attack::attacker::Attacker;
use crate::attack::forge::Token;
use crate::attack::request::Field;
use crate::error::Result;
use crate::record::CaseOutcome;

pub(super) fn rows() -> Vec<Row> {
    use Expected::{Allowed, Ambiguous, Missing, Refused, RefusedHere};
    let row = |id, what, expected, shots| Row { id, what, expected, work: Work::Shots(shots) };
    vec![
        row("0a", "the credential of A, as it is", Allowed, |a| {
            listed(vec![Shot::Credential(a.a.credential().to_vec())])
        }),
        Row {
            id: "0c",
            what: "the credential, read by somebody without the key",
            expected: Expected::Words("what it says of the user"),
            work: Work::Steps(read_without_key),
        },
        Row {
            id: "0d",
            what: "the answer to A, and whether it names the user",
            expected: Expected::Words("the answer names the user"),
            work: Work::Steps(says_for_whom),
        },
        Row {
            id: "1a",
            what: "no credential",
            expected: Missing,
            work: Work::Steps(no_credential),
        },
        row("1b", "an empty credential", Refused, |a| in_place(a, |_| String::new())),
        row("2a", "another authentication scheme, Basic", Refused, |a| {
            header(a, |_| "Basic dXNlcjpwYXNzd29yZA==".into())
        }),
        row("2b", "the credential without `Bearer`", RefusedHere, |a| header(a, str::to_owned)),
        row("2c", "`Bearer` without a credential", Refused, |a| header(a, |_| "Bearer".into())),
        row("2d", "two credentials in one header", Refused, |a| {
            header(a, |good| format!("Bearer {good} {good}"))
        }),
        row("2e", "two spaces behind `Bearer`", RefusedHere, |a| {
            header(a, |good| format!("Bearer  {good}"))
        }),
        row("2f", "a tab behind `Bearer`", RefusedHere, |a| {
            header(a, |good| format!("Bearer\t{good}"))
        }),
        row("2g", "the credential in quotes", RefusedHere, |a| {
            header(a, |good| format!("Bearer \"{good}\""))
        }),
        row("2h", "`bearer` in lower case (RFC 9110, 11.1)", Allowed, |a| {
            header(a, |good| format!("bearer {good}"))
        }),
        row("2i", "`BEARER` in upper case (RFC 9110, 11.1)", Allowed, |a| {
            header(a, |good| format!("BEARER {good}"))
        }),
        row("3a", "the same credential twice", Ambiguous, |a| twice(a, a.a.credential())),
        row("3b", "A's credential and then B's", Ambiguous, |a| twice(a, a.b.credential())),
        row("3c", "a credential in the header and one in a cookie", Ambiguous, header_and_cookie),
        row("41a", "A's cookie and then B's in one header", Ambiguous, |a| {
            cookies(a, |name, one, other| format!("{name}={one}; {name}={other}"))
        }),
        row("41b", "B's cookie and then A's in one header", Ambiguous, |a| {
            cookies(a, |name, one, other| format!("{name}={other}; {name}={one}"))
        }),
        row("41c", "the cookie's name in another case", Missing, |a| {
            cookies(a, |name, one, _| format!("{}={one}", flipped(name)))
        }),
        row("41d", "the value under another cookie's name", Missing, |a| {
            cookies(a, |name, one, _| format!("{name}2={one}"))
        }),
        row("41e", "the value in quotes", RefusedHere, |a| {
            cookies(a, |name, one, _| format!("{name}=\"{one}\""))
        }),
        row("41f", "an empty cookie", Refused, |a| cookies(a, |name, _, _| format!("{name}="))),
        row("41g", "`$Version` before the cookie", Allowed, |a| {
            cookies(a, |name, one, _| format!("$Version=1; {name}={one}"))
        }),
        row("41h", "200 other cookies before it", Allowed, |a| {
            cookies(a, |name, one, _| {
                let others: String = (0..200).map(|n| format!("c{n}={n}; ")).collect();
                format!("{others}{name}={one}")
            })
        }),
        row("46a", "forged X-Forwarded-For, -Proto, -Host and Forwarded", Allowed, |a| {
            forwarded(a, a.fields(a.a.credential()))
        }),
        row("46b", "the same without a credential", Missing, |a| forwarded(a, a.bare())),
        row("46c", "headers in which proxies name a user", Missing, proxied_user),
        row("50a", "the credential in the query", Missing, query),
    ]
}

/// What a credential tells anyone who gets hold of it: signed is not encrypted.
fn read_without_key(attacker: &mut Attacker<'_>) -> Result<Finding> {
    let found = match attacker.signed() {
        Some(signed) => {
            let object = signed.says.as_deref().and_then(|says| {
                serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(says).ok()
            });
            let says = match (object, signed.says.is_some()) {
                (Some(object), _) => named(object.keys()),
                (None, true) => "its value is readable by anybody".into(),
                (None, false) => NOTHING.into(),
            };
            format!("{}: {says}", signed.maker.name())
        }
        None => {
            let token = Token::read(&attacker.a.text(), attacker.form, None);
            named(token.unwrap_or_default().claims.keys())
        }
    };
    Ok(Finding::new(CaseOutcome::Property, found))
}

const NOTHING: &str = "nothing can be read of it";

fn named<'a>(claims: impl Iterator<Item = &'a String>) -> String {
    let claims: Vec<&str> = claims.map(String::as_str).collect();
    if claims.is_empty() {
        return NOTHING.into();
    }
    format!("readable by anybody: {}", claims.join(", "))
}

/// Whether an answer says for whom it is. Without that nobody sees who got into whose account.
fn says_for_whom(attacker: &mut Attacker<'_>) -> Result<Finding> {
    Ok(if attacker.is_named() {
        Finding::new(CaseOutcome::Allowed, "it names the user")
    } else {
        let found = "it names nobody, so access to other accounts cannot be seen: give the first \
                     step a check with the user's name";
        Finding::new(CaseOutcome::Property, found)
    })
}

/// Something made from the good credential, sent in its place.
fn in_place(attacker: &Attacker<'_>, made: fn(&str) -> String) -> Shots {
    listed(vec![Shot::Credential(made(&attacker.a.text()).into_bytes())])
}

/// A value made from the good credential, in the header that carries it.
fn header(attacker: &Attacker<'_>, made: fn(&str) -> String) -> Shots {
    let (name, template) = attacker.header().ok_or("the credential is in a cookie")?;
    if !template.starts_with("Bearer ") {
        return Err("the credential is not sent as `Bearer`".into());
    }
    let mut fields = attacker.bare();
    fields.push((name.into(), made(&attacker.a.text()).into_bytes()));
    listed(vec![Shot::Fields(fields)])
}

fn twice(attacker: &Attacker<'_>, other: &[u8]) -> Shots {
    let mut fields = attacker.bare();
    fields.push(attacker.carrier(attacker.a.credential()));
    fields.push(attacker.carrier(other));
    listed(vec![Shot::Fields(fields)])
}

fn header_and_cookie(attacker: &Attacker<'_>) -> Shots {
    let mut all = Vec::new();
    let mut with = |other: Field| {
        let mut fields = attacker.bare();
        fields.push(attacker.carrier(attacker.a.credential()));
        fields.push(other);
        all.push(Shot::Fields(fields));
    };
    let credential = attacker.b.text();
    if attacker.cookie().is_some() {
        with(("Authorization".into(), format!("Bearer {credential}").into_bytes()));
    } else {
        for name in ["__Host-session", "session"] {
            with(("Cookie".into(), format!("{name}={credential}").into_bytes()));
        }
    }
    listed(all)
}

fn cookies(attacker: &Attacker<'_>, made: fn(&str, &str, &str) -> String) -> Shots {
    let name = attacker.cookie().ok_or("the credential is not in a cookie")?;
    let value = made(name, &attacker.a.text(), &attacker.b.text());
    let mut fields = attacker.bare();
    match fields.iter_mut().find(|(name, _)| name.eq_ignore_ascii_case("cookie")) {
        Some((_, others)) => others.extend_from_slice(format!("; {value}").as_bytes()),
        None => fields.push(("Cookie".into(), value.into_bytes())),
    }
    listed(vec![Shot::Fields(fields)])
}

/// The other case for every letter.
fn flipped(name: &str) -> String {
    let flip = |c: char| {
        if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }
    };
    name.chars().map(flip).collect()
}

fn forwarded(_: &Attacker<'_>, mut fields: Vec<Field>) -> Shots {
    for (name, value) in [
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "localhost"),
        ("Forwarded", "for=127.0.0.1;proto=https;host=localhost"),
    ] {
        fields.push((name.into(), value.into()));
    }
    listed(vec![Shot::Fields(fields)])
}

fn proxied_user(attacker: &Attacker<'_>) -> Shots {
    let names = ["X-User-Id", "X-User", "X-Remote-User", "Remote-User", "X-Forwarded-User"];
    let named = |name: &str| {
        let mut fields = attacker.bare();
        fields.push((name.into(), b"1".to_vec()));
        Shot::Fields(fields)
    };
    listed(names.map(named).into())
}

fn query(attacker: &Attacker<'_>) -> Shots {
    let credential = attacker.a.text();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~%".contains(c);
    if !credential.chars().all(plain) {
        return Err("the credential cannot stand in a query as it is".into());
    }
    let own = attacker.cookie().unwrap_or("authorization");
    let names = ["access_token", "token", "jwt", "sid", "session", own];
    listed(names.into_iter().map(|name| Shot::Query(format!("{name}={credential}"))).collect())
}

/// All other answers are compared with this one, so it has a row of its own.
fn no_credential(attacker: &mut Attacker<'_>) -> Result<Finding> {
    let reply = attacker.anonymous.clone();
    let status = reply.status;
    if attacker.is_for_a(&reply) {
        return Ok(Finding::new(CaseOutcome::Accepted, format!("{status} as A")));
    }
    if status >= 500 {
        return Ok(Finding::new(CaseOutcome::Failed, status.to_string()));
    }
    if !attacker.ours() {
        return Ok(Finding::new(CaseOutcome::Refused, status.to_string()));
    }
    let challenge = reply.header("www-authenticate").unwrap_or_default();
    let faults = [
        (status != 401, "another status than 401"),
        (challenge.is_empty(), "no challenge (WWW-Authenticate)"),
        (challenge.contains("error="), "an error in the challenge"),
        (reply.header("set-cookie").is_some(), "a cookie that nobody asked for"),
        (
            reply.header("cache-control").as_deref() != Some("no-store"),
            "no `Cache-Control: no-store`",
        ),
    ];
    Ok(match faults.iter().find(|(found, _)| *found) {
        None => Finding::new(CaseOutcome::Refused, status.to_string()),
        Some((_, fault)) => Finding::new(CaseOutcome::Failed, format!("{status}, with {fault}")),
    })
}
