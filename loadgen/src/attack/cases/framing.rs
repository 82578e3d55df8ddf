//! Malformed requests, which no client library sends: too long, cut wrongly, framed twice.

use super::row::{Expected, Finding, Row, Work};
use super::shots::{Shot, Shots, listed};
use crate::attack::attacker::Attacker;
use crate::attack::wire::Silence;
use crate::error::Result;
use crate::record::CaseOutcome;

/// Each carries the good credential of A, so that only the framing can refuse it, and has a
/// connection of its own. A stranger's server may have other limits, but fails a row that could
/// make two servers disagree on where a request ends.
pub(super) fn rows() -> Vec<Row> {
    use Expected::{Limit, Status};
    let row = |id, what, expected, shots| Row { id, what, expected, work: Work::Shots(shots) };
    vec![
        row("47a", "200 header fields", Limit(&[431]), |a| {
            step(a, "", &(0..200).map(|n| format!("X-{n}: {n}\r\n")).collect::<String>())
        }),
        row("47b", "a head of 420 kB", Limit(&[431]), |a| {
            step(a, "", &format!("X: {}\r\n", "x".repeat(420_000)))
        }),
        row("47c", "a path of 70 kB", Limit(&[414, 431]), |a| {
            step(a, &format!("?x={}", "x".repeat(70_000)), "")
        }),
        row("47d", "a login of 2 MB", Limit(&[413]), |a| {
            login(a, "HTTP/1.1", |_| {
                (format!("Content-Length: {}\r\n", 2 << 20), vec![b' '; 2 << 20])
            })
        }),
        row("47e", "a chunk without a length", Status(&[400]), |a| {
            login(a, "HTTP/1.1", |body| {
                let chunk = [b"zz\r\n", body, b"\r\n0\r\n\r\n"].concat();
                ("Transfer-Encoding: chunked\r\n".into(), chunk)
            })
        }),
        row("47f", "two lengths that differ", Status(&[400]), |a| {
            login(a, "HTTP/1.1", |body| {
                let lengths = format!("Content-Length: {}\r\nContent-Length: 1\r\n", body.len());
                (lengths, body.to_vec())
            })
        }),
        row("47g", "a length that is no number", Status(&[400]), |a| {
            login(a, "HTTP/1.1", |body| {
                (format!("Content-Length: +{}\r\n", body.len()), body.to_vec())
            })
        }),
        row("47h", "chunks in HTTP/1.0", Limit(&[400]), |a| {
            login(a, "HTTP/1.0", |body| ("Transfer-Encoding: chunked\r\n".into(), chunked(body)))
        }),
        row("47i", "a bare CR in a header", Status(&[400]), |a| step(a, "", "X: a\rb\r\n")),
        row("47j", "a NUL in a header", Status(&[400]), |a| step(a, "", "X: a\0b\r\n")),
        row("47k", "a space in a header's name", Status(&[400]), |a| step(a, "", "X y: z\r\n")),
        row("47l", "no HTTP at all", Status(&[400]), |_| {
            listed(vec![Shot::Raw(b"hello\r\n\r\n".to_vec())])
        }),
        Row {
            id: "47m",
            what: "a length and chunks, and a request behind",
            expected: Expected::Words("refused, or one answer and the end"),
            work: Work::Steps(both),
        },
        row("47n", "no host", Limit(&[400]), |a| hosts(a, |_| String::new())),
        row("47o", "two hosts", Limit(&[400]), |a| {
            hosts(a, |host| format!("Host: {host}\r\nHost: attacker.example\r\n"))
        }),
        row("47p", "an invalid host", Limit(&[400]), |a| {
            hosts(a, |host| format!("Host: attacker.example/{host}\r\n"))
        }),
        row("47q", "chunks in another coding", Limit(&[400, 501]), |a| {
            login(a, "HTTP/1.1", |body| {
                ("Transfer-Encoding: gzip, chunked\r\n".into(), chunked(body))
            })
        }),
        row("47r", "chunks twice over", Limit(&[400, 501]), |a| {
            login(a, "HTTP/1.1", |body| {
                ("Transfer-Encoding: chunked, chunked\r\n".into(), chunked(body))
            })
        }),
    ]
}

/// The step with A's credential, and with these lines in the place of its host.
fn hosts(attacker: &Attacker<'_>, lines: fn(&str) -> String) -> Shots {
    let host = attacker.authority();
    let text = String::from_utf8(step_bytes(attacker, "", ""));
    let text = text.map_err(|_| "the credential is no text")?;
    let own = format!("Host: {host}\r\n");
    listed(vec![Shot::Raw(text.replacen(&own, &lines(host), 1).into_bytes())])
}

fn chunked(body: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", body.len()).as_bytes(), body, b"\r\n0\r\n\r\n"].concat()
}

/// The step with A's credential, with this behind its path and among its headers.
fn step_bytes(attacker: &Attacker<'_>, query: &str, more: &str) -> Vec<u8> {
    let mut out = format!(
        "{}{query} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n",
        attacker.line(),
        attacker.authority()
    )
    .into_bytes();
    for (name, value) in attacker.fields(attacker.a.credential()) {
        out.extend([name.as_bytes(), b": ", &value, b"\r\n"].concat());
    }
    out.extend_from_slice(more.as_bytes());
    out.extend_from_slice(b"\r\n");
    out
}

fn step(attacker: &Attacker<'_>, query: &str, more: &str) -> Shots {
    if !attacker.line().starts_with("GET ") {
        return Err("the first step is no GET".into());
    }
    if !query.is_empty() && attacker.line().contains('?') {
        return Err("the first step's path has a query of its own".into());
    }
    listed(vec![Shot::Raw(step_bytes(attacker, query, more))])
}

/// A right login, its length or coding and its body made from the right body.
fn login_bytes(
    attacker: &Attacker<'_>,
    version: &str,
    framed: fn(&[u8]) -> (String, Vec<u8>),
) -> std::result::Result<Vec<u8>, String> {
    let (path, kind, body) = attacker.login_parts().ok_or("the login has no body")?;
    let (framing, body) = framed(&body);
    let head = format!(
        "POST {path} {version}\r\nHost: {}\r\nConnection: close\r\nContent-Type: {kind}\r\n\
         {framing}\r\n",
        attacker.authority()
    );
    Ok([head.into_bytes(), body].concat())
}

fn login(attacker: &Attacker<'_>, version: &str, framed: fn(&[u8]) -> (String, Vec<u8>)) -> Shots {
    listed(vec![Shot::RawLogin(login_bytes(attacker, version, framed)?)])
}

/// hyper drops a length that comes with chunks, as RFC 9112, 6.3, allows, and closes. What must not
/// be is an answer to what stands behind: a proxy that reads the length sees no request there.
fn both(attacker: &mut Attacker<'_>) -> Result<Finding> {
    let bytes = login_bytes(attacker, "HTTP/1.1", |body| {
        ("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n".into(), chunked(body))
    });
    let Ok(bytes) = bytes else {
        return Ok(Finding::not_applicable("the login has no body"));
    };
    let text = String::from_utf8_lossy(&bytes).replace("Connection: close\r\n", "");
    let bytes = [text.into_bytes(), step_bytes(attacker, "", "")].concat();
    Ok(match attacker.raw(&bytes) {
        Err(Silence::Closed) if !attacker.ours() => Finding::new(CaseOutcome::Refused, "closed"),
        Err(silence) => Finding::new(CaseOutcome::Failed, silence.to_string()),
        Ok(replies) => {
            let statuses: Vec<_> = replies.iter().map(|reply| reply.status.to_string()).collect();
            let found = statuses.join(", then ");
            match replies.as_slice() {
                [one] if one.status >= 500 => Finding::new(CaseOutcome::Failed, found),
                [one] if (400..500).contains(&one.status) => {
                    Finding::new(CaseOutcome::Refused, found)
                }
                [_] => Finding::new(CaseOutcome::Property, format!("{found}: reads the chunks")),
                [first, ..] if (400..500).contains(&first.status) => {
                    Finding::new(CaseOutcome::Refused, found)
                }
                _ => Finding::new(CaseOutcome::Accepted, format!("{found}: what stood behind")),
            }
        }
    })
}
