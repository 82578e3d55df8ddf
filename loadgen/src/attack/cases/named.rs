//! Somebody else's name next to one's own credential: in the query, a header, the body, a cookie or
//! the path. A server that believes it gives every account to everybody who has one.

use serde_json::{Map, Value};

use super::row::{Expected, Row, Work};
use super::shots::{Shot, Shots, listed};
use crate::attack::attacker::Attacker;
use crate::attack::recipe::{percent_encoded, renamed};

const NAMES: &[&str] =
    &["user", "user_id", "userId", "uid", "id", "username", "account", "sub", "as"];
const HEADERS: &[&str] = &[
    "X-User-Id",
    "X-User",
    "X-UserId",
    "X-Username",
    "X-Remote-User",
    "Remote-User",
    "X-Forwarded-User",
    "X-Auth-User",
    "X-Authenticated-User",
    "X-Original-User",
    "X-Impersonate-User",
];

pub(super) fn rows() -> Vec<Row> {
    let row = |id, what, shots| Row { id, what, expected: Expected::AsA, work: Work::Shots(shots) };
    vec![
        row("52a", "B in the query, with A's credential", query),
        row("52b", "B in headers, with A's credential", headers),
        row("52c", "B in a body, with A's credential", body),
        row("52d", "B in other cookies, with A's credential", cookies),
        Row {
            id: "52e",
            what: "B's path with A's credential",
            expected: Expected::Refused,
            work: Work::Shots(path),
        },
    ]
}

/// B's name, where there is one, and B's number.
fn b(attacker: &Attacker<'_>) -> Vec<String> {
    let person = attacker.person(1);
    [person.name, person.number].into_iter().filter(|text| !text.is_empty()).collect()
}

fn query(attacker: &Attacker<'_>) -> Shots {
    let own = attacker.fields(attacker.a.credential());
    let said = |name: &'static str| {
        b(attacker).into_iter().map(move |text| format!("{name}={}", percent_encoded(&text)))
    };
    let queries = NAMES.iter().copied().flat_map(said);
    listed(queries.map(|query| Shot::Whole(attacker.request(&query, &own))).collect())
}

fn headers(attacker: &Attacker<'_>) -> Shots {
    let with = |(name, text): (&str, String)| {
        let mut fields = attacker.fields(attacker.a.credential());
        fields.push((name.into(), text.into_bytes()));
        Shot::Fields(fields)
    };
    let texts = b(attacker);
    let pairs = HEADERS.iter().flat_map(|name| texts.iter().map(|text| (*name, text.clone())));
    listed(pairs.map(with).collect())
}

fn body(attacker: &Attacker<'_>) -> Shots {
    let own: Map<String, Value> = serde_json::from_slice(&attacker.body()).unwrap_or_default();
    let mut shots = Vec::new();
    let mut push = |kind: &str, body: String| {
        let mut fields = attacker.fields(attacker.a.credential());
        fields.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
        fields.push(("Content-Type".into(), kind.into()));
        shots.push(Shot::Whole(attacker.request_with_body(&fields, body.as_bytes())));
    };
    for text in b(attacker) {
        let number = text.parse::<u64>().map(Value::from);
        for value in [Some(Value::from(text.clone())), number.ok()].into_iter().flatten() {
            let mut object = own.clone();
            object.extend(NAMES.iter().map(|name| ((*name).to_string(), value.clone())));
            push("application/json", Value::Object(object).to_string());
        }
        let pairs = NAMES.iter().map(|name| format!("{name}={}", percent_encoded(&text)));
        push("application/x-www-form-urlencoded", pairs.collect::<Vec<_>>().join("&"));
    }
    listed(shots)
}

fn cookies(attacker: &Attacker<'_>) -> Shots {
    let jar = attacker.jar();
    let (one, other) = (attacker.person(0), attacker.person(1));
    let mut jars = Vec::new();
    for (place, (name, value)) in jar.iter().enumerate() {
        if attacker.cookie() == Some(name.as_str()) {
            continue;
        }
        for made in renamed(value, &one, &other) {
            let mut jar = jar.clone();
            jar[place].1 = made;
            jars.push(jar);
        }
    }
    for text in b(attacker) {
        for name in NAMES.iter().filter(|name| jar.iter().all(|(own, _)| own != *name)) {
            jars.push([&jar[..], &[((*name).into(), percent_encoded(&text))]].concat());
        }
    }
    listed(jars.iter().map(|jar| Shot::Fields(attacker.with_jar(jar))).collect())
}

fn path(attacker: &Attacker<'_>) -> Shots {
    match attacker.step_of_b() {
        Some(request) => listed(vec![Shot::Whole(request)]),
        None => Err("the first step's path names no user".into()),
    }
}
