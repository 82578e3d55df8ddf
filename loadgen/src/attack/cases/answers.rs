//! What answers allow others: pages of another origin to read them, caches to keep them; and other
//! places in which a server looks for a credential, or tells it.

use super::row::{Expected, Finding, Row, Work, steps};
use super::shots::{Shot, Shots, listed};
use crate::attack::attacker::Attacker;
use crate::attack::recipe::percent_encoded;
use crate::attack::request::Field;
use crate::attack::wire::Reply;
use crate::error::Result;
use crate::record::CaseOutcome::{Accepted, Allowed, Failed, Property, Refused};

/// Origins of an attacker; `{host}` stands for the server's.
const ORIGINS: &[&str] = &[
    "https://attacker.example",
    "null",
    "http://{host}.attacker.example",
    "http://attacker-{host}",
];
/// Headers in which programs carry a session or a token.
pub(super) const HEADERS: &[&str] =
    &["X-Session-Id", "X-Session", "Session-Id", "X-Auth-Token", "X-Access-Token", "X-Token"];

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row {
            id: "50b",
            what: "the credential in other headers",
            expected: Expected::MissingHere,
            work: Work::Shots(other_headers),
        },
        steps("50c", "the credential in an address that a login gives", "not there", in_address),
        steps("53a", "an answer to a page of another origin", "not to be read there", read_by_page),
        steps("53b", "a change that a page of another origin asks for", "not allowed", preflight),
        steps("54a", "caches, and the answer to A", "no-store", cached_step),
        steps("58a", "answers with a 5xx that a repetition did not have", "none", by_chance),
        steps("54b", "caches, and the answer to a login", "no-store", cached_login),
    ]
}

fn other_headers(attacker: &Attacker<'_>) -> Shots {
    let credential = attacker.a.text();
    let own = attacker.header().map(|(name, _)| name).unwrap_or_default();
    let with = |(name, value): (&str, String)| {
        let mut fields = attacker.bare();
        fields.push((name.into(), value.into_bytes()));
        Shot::Fields(fields)
    };
    let named = HEADERS.iter().copied().chain(attacker.cookie());
    let mut pairs: Vec<(&str, String)> = named
        .filter(|name| !name.eq_ignore_ascii_case(own))
        .map(|name| (name, credential.clone()))
        .collect();
    if attacker.cookie().is_some() {
        pairs.push(("Authorization", format!("Bearer {credential}")));
    }
    listed(pairs.into_iter().map(with).collect())
}

fn in_address(attacker: &mut Attacker<'_>) -> Result<Finding> {
    let credential = attacker.a.text();
    let encoded = percent_encoded(&credential);
    let reply = &attacker.a.reply;
    let names = ["location", "refresh", "content-location", "link"];
    let told = names.into_iter().find(|name| {
        reply.all(name).any(|value| {
            let value = String::from_utf8_lossy(value);
            value.contains(&credential) || value.contains(&encoded)
        })
    });
    Ok(match told {
        Some(name) => Finding::new(Failed, format!("in `{name}` of the answer to the login")),
        None => Finding::new(Refused, "not there"),
    })
}

/// What an answer lets this origin do with a user's cookies.
fn lets_read(reply: &Reply, origin: &str) -> Option<String> {
    let allowed = reply.header("access-control-allow-origin")?;
    let with_cookies = reply.header("access-control-allow-credentials");
    let is_so = allowed == origin && with_cookies.as_deref() == Some("true");
    is_so.then(|| format!("{} lets `{origin}` read it, with credentials", reply.status))
}

/// The finding for the answers to requests with each of these origins.
fn origins(
    attacker: &mut Attacker<'_>,
    send: impl Fn(&mut Attacker<'_>, Field) -> std::result::Result<Reply, String>,
) -> Finding {
    for origin in ORIGINS {
        let origin = origin.replace("{host}", attacker.authority());
        let field = ("Origin".to_string(), origin.clone().into_bytes());
        let reply = match send(attacker, field) {
            Ok(reply) => reply,
            Err(found) => return Finding::new(Failed, found),
        };
        if let Some(found) = lets_read(&reply, &origin) {
            // No browser adds a credential in a header by itself.
            let outcome = if attacker.cookie().is_some() { Accepted } else { Property };
            return Finding::new(outcome, found);
        }
        if reply.header("access-control-allow-origin").as_deref() == Some("*") {
            return Finding::new(Property, "any origin may read it, without credentials");
        }
    }
    Finding::new(Refused, format!("none of {} origins may", ORIGINS.len()))
}

fn read_by_page(attacker: &mut Attacker<'_>) -> Result<Finding> {
    Ok(origins(attacker, |attacker, origin| {
        let mut fields = attacker.fields(attacker.a.credential());
        fields.push(origin);
        attacker.ask(&fields).map_err(|why| why.to_string())
    }))
}

/// The question that a browser asks before a change (Fetch, 4.8, CORS-preflight fetch).
fn preflight(attacker: &mut Attacker<'_>) -> Result<Finding> {
    let line = attacker.line();
    let path = line.split(' ').nth(1).unwrap_or("/").to_string();
    Ok(origins(attacker, |attacker, (name, origin)| {
        let request = format!(
            "OPTIONS {path} HTTP/1.1\r\nHost: {}\r\n{name}: {}\r\n\
             Access-Control-Request-Method: PUT\r\n\
             Access-Control-Request-Headers: content-type\r\n\r\n",
            attacker.authority(),
            String::from_utf8_lossy(&origin)
        );
        attacker.send(request.as_bytes()).map_err(|why| why.to_string())
    }))
}

fn cached_step(attacker: &mut Attacker<'_>) -> Result<Finding> {
    if !attacker.line().starts_with("GET ") {
        return Ok(Finding::not_applicable("the first step is no GET"));
    }
    let fields = attacker.fields(attacker.a.credential());
    Ok(match attacker.ask(&fields) {
        Err(silence) => Finding::new(Failed, silence.to_string()),
        Ok(reply) => {
            let by_header = attacker.cookie().is_none();
            cached(&reply, by_header)
        }
    })
}

fn cached_login(attacker: &mut Attacker<'_>) -> Result<Finding> {
    // Caches do not keep the answer to a POST unless it says so (RFC 9110, 9.3.3).
    Ok(cached(&attacker.a.reply, true))
}

/// A stranger's server may fail by chance; a case is judged by the answer to its repetition.
fn by_chance(attacker: &mut Attacker<'_>) -> Result<Finding> {
    Ok(match attacker.mended() {
        _ if attacker.ours() => Finding::not_applicable("a 5xx of an arm is never repeated"),
        0 => Finding::new(Allowed, "none"),
        count => Finding::new(Property, format!("{count} of them")),
    })
}

/// What a cache may do with an answer that is for one user (RFC 9111, 3 and 4.2.2).
fn cached(reply: &Reply, is_kept_only_if_told: bool) -> Finding {
    let text: Vec<String> =
        reply.all("cache-control").map(|value| String::from_utf8_lossy(value).into()).collect();
    let text = text.join(", ").to_lowercase();
    let says = |name: &str| text.split(',').any(|part| part.trim().split('=').next() == Some(name));
    let lasts = |name: &str| {
        let mut parts = text.split(',').filter_map(|part| part.trim().split_once('='));
        parts.any(|(key, value)| key == name && value.trim_matches('"') != "0")
    };
    let vary = reply.header("vary").unwrap_or_default().to_lowercase();
    let is_keyed = ["cookie", "authorization", "*"].iter().any(|name| vary.contains(name));
    let quoted = if text.is_empty() { "no Cache-Control".into() } else { format!("`{text}`") };
    if says("no-store") {
        return Finding::new(Allowed, quoted);
    }
    if says("private") || says("no-cache") {
        let found = format!("{quoted}: the user's own browser keeps it");
        return Finding::new(Property, found);
    }
    let is_shared = says("public") || lasts("s-maxage");
    let is_fresh = is_shared || lasts("max-age") && !is_kept_only_if_told;
    match (is_fresh, is_keyed) {
        (true, false) => Finding::new(Failed, format!("{quoted}: a cache gives it to others")),
        (true, true) => Finding::new(Property, format!("{quoted}, with `Vary: {vary}`")),
        (false, _) => Finding::new(Property, format!("{quoted}: a cache may guess")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_cache_may_keep_for_others_fails() {
        let outcome = |control: &str, vary: &str, told: bool| {
            let field = |name: &str, value: &str| (name.to_string(), value.as_bytes().to_vec());
            let headers = vec![field("Cache-Control", control), field("Vary", vary)];
            cached(&Reply { status: 200, headers, body: Vec::new() }, told).outcome
        };
        for (control, vary, told, expected) in [
            ("no-store", "", false, Allowed),
            ("public, no-store", "", false, Allowed),
            ("private, max-age=60", "", false, Property),
            ("public, max-age=60", "", true, Failed),
            ("s-maxage=60", "Origin", true, Failed),
            ("s-maxage=0, max-age=0", "", false, Property),
            ("max-age=60", "", false, Failed),
            ("max-age=60", "", true, Property),
            ("max-age=60", "Accept, Cookie", false, Property),
            ("", "", false, Property),
        ] {
            assert_eq!(outcome(control, vary, told), expected, "{control}, {vary}, {told}");
        }
    }
}
