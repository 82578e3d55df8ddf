//! One user's login and one journey, request by request, for somebody who wants to see them: what
//! was sent, what came back, and which of the descriptor's expectations it met.

use std::time::{Duration, Instant};

use servers::contract::Target;

use super::request::written;
use super::wire::{Reply, Wire};
use crate::error::{Interrupt, Result};
use crate::journey::{FIELD_END, Mismatch, Request, Script, Who};
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
    let login: Vec<usize> = [script.csrf, script.login].into_iter().flatten().collect();
    let route: Vec<usize> = login.iter().copied().chain(script.steps.clone()).collect();
    let (mut visit, mut held) = (Visit::default(), Vec::new());
    for (index, &request) in route.iter().enumerate() {
        interrupt.check()?;
        let who = Who { n: user, credential: &held };
        let sent = written(&script, request, who, &[]);
        let (answer, findings, new) = match wire.ask(&sent) {
            Ok(reply) => {
                let (findings, new) = judged(&script, request, who, &reply);
                let Reply { status, headers, body } = reply;
                (Ok(Answered { status, headers, body }), findings, new)
            }
            Err(silence) => {
                let what = format!("expected an answer, found {silence}");
                (Err(silence.to_string()), vec![Expectation { is_met: false, what }], None)
            }
        };
        let is_failed = findings.iter().any(|finding| !finding.is_met);
        let name = script.requests[request].name.clone();
        visit.exchanges.push(Exchange { name, sent, answer, findings });
        if let Some(new) = new {
            let values = new.split(|byte| *byte == FIELD_END).map(<[u8]>::to_vec);
            visit.held.extend(values.filter(|value| !value.is_empty()));
            held = new;
        }
        if is_failed && login.contains(&request) {
            visit.left = route.len() - index - 1;
            break;
        }
    }
    Ok(visit)
}

/// What was expected of an answer, and what is held of the user from now on, where it changes.
fn judged(
    script: &Script,
    request: usize,
    who: Who<'_>,
    reply: &Reply,
) -> (Vec<Expectation>, Option<Vec<u8>>) {
    let wanted = &script.requests[request];
    let mismatch = reply.with(|answer| script.judge(request, who, answer)).err();
    let mut findings = vec![Expectation {
        is_met: !matches!(mismatch, Some(Mismatch::Status(_))),
        what: format!("status: expected {}, found {}", wanted.expect_status, reply.status),
    }];
    if !findings[0].is_met {
        return (findings, None);
    }
    findings.extend(checked(wanted, who, reply, mismatch));
    if wanted.captures.is_empty() {
        return (findings, None);
    }
    let captured = reply.with(|answer| script.capture(request, who.credential, answer));
    let sources: Vec<String> = wanted.captures.iter().map(ToString::to_string).collect();
    let met = |source: &String| Expectation { is_met: true, what: format!("{source}: found") };
    let (place, why) = match captured {
        Ok(held) => {
            findings.extend(sources.iter().map(met));
            return (findings, Some(held));
        }
        Err(Mismatch::Missing(place)) => (place, "expected in the answer, found nothing"),
        Err(Mismatch::TooLong(place)) => (place, "expected at most 64 KiB, found more"),
        Err(_) => (0, "expected in the body, found it compressed"),
    };
    let (before, rest) = sources.split_at(usize::from(place).min(sources.len()));
    findings.extend(before.iter().map(met));
    let source = rest.first().map_or("", String::as_str);
    findings.push(Expectation { is_met: false, what: format!("{source}: {why}") });
    (findings, None)
}

/// The outcome of a request's check, where it has one.
fn checked(
    wanted: &Request,
    who: Who<'_>,
    reply: &Reply,
    mismatch: Option<Mismatch>,
) -> Option<Expectation> {
    let (pointer, expected) = wanted.check.as_ref()?;
    let found = match (pointer.find(&reply.body), mismatch) {
        (_, Some(Mismatch::Encoded)) => "a compressed body".into(),
        (Some(found), _) => {
            let text = String::from_utf8_lossy(&found);
            format!("`{}`", text.chars().take(SHOWN).collect::<String>())
        }
        (None, _) => "nothing there".into(),
    };
    let what = format!("check: expected `{}`, found {found}", expected.text(who));
    Some(Expectation { is_met: mismatch.is_none(), what })
}
