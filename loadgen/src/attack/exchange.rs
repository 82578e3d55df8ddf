//! One user's login and one journey, request by request, for somebody who wants to see them: what
//! was sent, what came back, and which of the descriptor's expectations it met.

use std::time::{Duration, Instant};

use servers::contract::Target;

use super::request::{Added, written};
use super::wire::{Reply, Wire};
use crate::error::{Interrupt, Result};
use crate::journey::{FIELD_END, Mismatch, Request, Script, Value, Who};
use crate::transport::Trust;

/// Characters of a value that a finding repeats.
const SHOWN: usize = 60;

/// A request and its answer.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// What the descriptor calls the request.
    pub name: String,
    /// The request as it was sent.
    pub sent: Vec<u8>,
    /// Its answer, or why nothing came.
    pub answer: std::result::Result<Answered, String>,
    /// What was expected of it.
    pub findings: Vec<Expectation>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answered {
    /// Status code.
    pub status: u16,
    /// Header fields.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Body.
    pub body: Vec<u8>,
}

/// One expectation, and whether it was met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// Whether it was met.
    pub is_met: bool,
    /// What was expected and found. It may repeat a value out of the answer.
    pub what: String,
}

/// What one user did.
#[derive(Clone, Debug, Default)]
pub struct Visit {
    /// Every exchange in order. The first that fails in the login is the last.
    pub exchanges: Vec<Exchange>,
    /// Every value that was held of the user: credential, token, cookies.
    pub held: Vec<Vec<u8>>,
    /// Requests that were not sent, because the login had failed.
    pub left: usize,
}

impl Visit {
    /// Notes what is held of the user now.
    fn hold(&mut self, held: &[u8]) {
        let values = held.split(|byte| *byte == FIELD_END).map(<[u8]>::to_vec);
        self.held.extend(values.filter(|value| !value.is_empty()));
    }

    /// Exchanges in which an expectation was not met.
    pub fn failed(&self) -> usize {
        let is_failed = |exchange: &&Exchange| exchange.findings.iter().any(|f| !f.is_met);
        self.exchanges.iter().filter(is_failed).count()
    }
}

/// Lets one user log in and make one journey, each request once.
///
/// # Errors
/// `Config` when the descriptor cannot work, `Interrupted` when a signal comes. That a server fails
/// is no error but a finding.
pub fn visit(
    target: &Target,
    journey: &str,
    user: u64,
    trust: &Trust,
    within: Duration,
    interrupt: &Interrupt,
) -> Result<Visit> {
    let script = Script::new(target, journey)?;
    let mut wire = Wire::new(&script, trust, Instant::now() + within)?;
    let (mut visit, mut held) = (Visit::default(), Vec::new());
    let mut at = script.login.map(|_| script.logins.start);
    let mut hops = 0;
    while let Some(request) = at {
        interrupt.check()?;
        let who = Who { n: user, credential: &held };
        let reply = ask(&script, &mut wire, (request, hops), who, &mut visit);
        let onward =
            reply.and_then(|r| r.with(|answer| script.onward(request, hops, who, answer)).ok());
        let Some(onward) = onward else {
            visit.left =
                script.login.map_or(0, |last| last - request.min(last)) + script.steps.len();
            return Ok(visit);
        };
        (held, hops, at) = (onward.held, onward.hops, onward.next);
        visit.hold(&held);
    }
    for request in script.steps.clone() {
        interrupt.check()?;
        let who = Who { n: user, credential: &held };
        let reply = ask(&script, &mut wire, (request, 0), who, &mut visit);
        if script.requests[request].captures.is_empty() {
            continue;
        }
        let captured =
            reply.and_then(|r| r.with(|answer| script.capture(request, who, answer)).ok());
        if let Some(captured) = captured {
            held = captured;
            visit.hold(&held);
        }
    }
    Ok(visit)
}

/// Sends a request, to which `hops` redirects led, and notes how it went; its answer, if there was
/// one.
fn ask(
    script: &Script,
    wire: &mut Wire,
    (request, hops): (usize, u8),
    who: Who<'_>,
    visit: &mut Visit,
) -> Option<Reply> {
    let sent = written(script, request, who, Added::default());
    let (answer, findings, reply) = match wire.ask(&sent) {
        Ok(reply) => {
            let Reply { status, headers, body } = reply.clone();
            let findings = judged(script, (request, hops), who, &reply);
            (Ok(Answered { status, headers, body }), findings, Some(reply))
        }
        Err(silence) => {
            let what = format!("expected an answer, found {silence}");
            (Err(silence.to_string()), vec![Expectation { is_met: false, what }], None)
        }
    };
    let name = script.requests[request].name.clone();
    visit.exchanges.push(Exchange { name, sent, answer, findings });
    reply
}

/// What was expected of an answer.
fn judged(
    script: &Script,
    (request, hops): (usize, u8),
    who: Who<'_>,
    reply: &Reply,
) -> Vec<Expectation> {
    let wanted = &script.requests[request];
    if wanted.redirect.is_some() && (300..400).contains(&reply.status) {
        let led = reply.with(|answer| script.onward(request, hops, who, answer));
        let what = match &led {
            Ok(_) => format!("status: {} is a redirect, followed", reply.status),
            Err(_) => format!("status: {} is a redirect that is not followed", reply.status),
        };
        return vec![Expectation { is_met: led.is_ok(), what }];
    }
    let is_accepted = script.accepts(request, reply.status);
    let mut findings = vec![Expectation {
        is_met: is_accepted,
        what: format!("status: expected {}, found {}", wanted.expect_status, reply.status),
    }];
    if !is_accepted {
        return findings;
    }
    let mismatch = reply.with(|answer| script.judge(request, who, answer)).err();
    findings.extend(checked(wanted, who, reply, mismatch));
    if wanted.captures.is_empty() {
        return findings;
    }
    let captured = reply.with(|answer| script.capture(request, who, answer));
    let sources: Vec<String> = wanted.captures.iter().map(ToString::to_string).collect();
    let met = |source: &String| Expectation { is_met: true, what: format!("{source}: found") };
    let came = |place: u8| {
        let capture = wanted.captures.get(usize::from(place));
        capture.map_or_else(String::new, |it| reply.with(|answer| answer.sets_instead(it)))
    };
    let (place, why) = match captured {
        Ok(_) => {
            findings.extend(sources.iter().map(met));
            return findings;
        }
        Err(Mismatch::Missing(place)) => {
            (place, format!("expected in the answer, found nothing{}", came(place)))
        }
        Err(Mismatch::TooLong(place)) => (place, "expected at most 64 KiB, found more".into()),
        Err(_) => (0, "expected in the body, found it compressed".into()),
    };
    let (before, rest) = sources.split_at(usize::from(place).min(sources.len()));
    findings.extend(before.iter().map(met));
    let source = rest.first().map_or("", String::as_str);
    findings.push(Expectation { is_met: false, what: format!("{source}: {why}") });
    findings
}

/// The outcome of a request's check, where it has one.
fn checked(
    wanted: &Request,
    who: Who<'_>,
    reply: &Reply,
    mismatch: Option<Mismatch>,
) -> Option<Expectation> {
    let check = wanted.check.as_ref()?;
    let text = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        format!("`{}`", text.chars().take(SHOWN).collect::<String>())
    };
    let (expected, found) = match (&check.json, &check.contains) {
        (Some((pointer, value)), _) => {
            let expected = match value {
                Value::Text(template) => template.text(who),
                Value::Flag(flag) => flag.to_string(),
            };
            let found = match (pointer.find(&reply.body), pointer.find_flag(&reply.body), value) {
                (Some(found), ..) => text(&found),
                (None, Some(flag), Value::Text(_)) => {
                    format!("the boolean `{flag}`, which a target file has without quotes")
                }
                (None, Some(flag), Value::Flag(_)) => format!("`{flag}`"),
                (None, None, _) => "nothing there".into(),
            };
            (expected, found)
        }
        (None, Some(contained)) => {
            let found = if mismatch.is_none() { "it" } else { "a body without it" };
            (contained.text(who), found.into())
        }
        (None, None) => return None,
    };
    let is_encoded = matches!(mismatch, Some(Mismatch::Encoded));
    let found = if is_encoded { "a compressed body".into() } else { found };
    let what = format!("check: expected `{expected}`, found {found}");
    Some(Expectation { is_met: mismatch.is_none(), what })
}
