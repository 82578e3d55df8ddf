//! `authbench target check`: one user's login and journey, each request sent once and shown with
//! its answer and with what was expected of it.

use std::path::Path;

use clap::Args;
use servers::contract::Target;

use super::super::place::PlaceArgs;
use super::super::run::{target_file, url_target};
use super::super::trust::TrustArgs;
use super::super::{output, signals};
use super::mask::Secrets;
use crate::attack::{Answered, Exchange, Visit, visit};
use crate::error::{Error, Result};
use crate::journey::Script;
use crate::sanitise::{NAME, Page, fit};
use crate::spec::located;
use crate::units::{Span, counted};

/// Flags of `authbench target check`.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Check this target file, or this address, which needs no login
    #[arg(value_name = "FILE|URL")]
    target: String,
    /// Make this journey
    #[arg(long, value_name = "NAME", default_value = "browse")]
    journey: String,
    /// Log in the user with this number
    #[arg(long, value_name = "N", default_value_t = 0)]
    user: u64,
    /// Give up after this time
    #[arg(long, value_name = "SPAN", default_value = "1m")]
    within: Span,
    /// Show up to this many lines of each body
    #[arg(long, value_name = "N", default_value_t = 20)]
    lines: usize,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    place: PlaceArgs,
}

/// Most columns of a line of a request or an answer.
const LINE: usize = 200;
/// Most bytes of a body that are looked at.
const BODY_MAX: usize = 1 << 20;

/// Tries a target out.
///
/// # Errors
/// `Config` when the target cannot be driven, `Target` when the server does not answer as the
/// target says. The exchanges are printed before that.
pub(super) fn check(args: &CheckArgs) -> Result<()> {
    if args.target.contains("://") {
        return exchange(args, url_target(&args.target)?, "");
    }
    let path = Path::new(&args.target);
    let advice = "; compare the exchange with the target file";
    exchange(args, target_file(path)?, advice).map_err(|error| located(error, path))
}

/// Makes the requests, and prints them; `advice` is what to do where an answer is not as expected.
fn exchange(args: &CheckArgs, mut target: Target, advice: &str) -> Result<()> {
    args.place.shape(&mut target, None)?;
    let interrupt = signals::listen()?;
    let (journey, trust) = (&args.journey, args.trust.trust());
    let visit = visit(&target, journey, args.user, &trust, args.within.duration(), &interrupt)?;
    let (_, password) = Script::new(&target, journey)?.population.name_and_password(args.user);
    let known = visit.held.iter().map(Vec::as_slice).chain([password.as_bytes()]);
    let secrets = Secrets::new(known);
    let mut page = Page::default();
    page.line(&format!(
        "{} at {}: user {}, journey {journey}",
        target.name, target.base_url, args.user
    ));
    for (index, exchange) in visit.exchanges.iter().enumerate() {
        page.line("");
        page.line(&format!("{}. {}", index + 1, fit(&exchange.name, NAME)));
        show(exchange, &secrets, args.lines, &mut page);
    }
    page.line("");
    page.line(&outcome(&visit));
    output::page(&page)?;
    if visit.failed() == 0 {
        return Ok(());
    }
    let first = visit.exchanges.iter().find_map(|exchange| {
        let wrong = exchange.findings.iter().find(|finding| !finding.is_met)?;
        Some(format!("`{}`: {}", fit(&exchange.name, NAME), secrets.text(&wrong.what)))
    });
    Err(Error::Target(format!("{}: {}{advice}", target.name, first.unwrap_or_default())))
}

fn outcome(visit: &Visit) -> String {
    let (all, failed) = (visit.exchanges.len() as u64, visit.failed());
    let left = match visit.left {
        0 => String::new(),
        left => format!(", {left} not sent because the login failed"),
    };
    match failed {
        0 => format!("{} sent, all answers as expected", counted(all, "request")),
        _ => format!("{} sent, {failed} not answered as expected{left}", counted(all, "request")),
    }
}

fn show(exchange: &Exchange, secrets: &Secrets, lines: usize, page: &mut Page) {
    show_sent(&exchange.sent, secrets, lines, page);
    match &exchange.answer {
        Ok(answer) => show_answer(answer, secrets, lines, page),
        Err(why) => page.line(&format!("  < {why}")),
    }
    for finding in &exchange.findings {
        let mark = if finding.is_met { "ok    " } else { "FAILED" };
        page.line(&format!("  {mark}  {}", fit(&secrets.text(&finding.what), LINE)));
    }
}

fn show_sent(sent: &[u8], secrets: &Secrets, lines: usize, page: &mut Page) {
    let end = sent.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(sent.len());
    let head = String::from_utf8_lossy(&sent[..end]).into_owned();
    let mut fields = head.split("\r\n");
    let first: Vec<&str> = fields.next().unwrap_or_default().split(' ').collect();
    if let [method, path, version] = first.as_slice() {
        page.line(&fit(&format!("  > {method} {} {version}", secrets.path(path)), LINE));
    }
    let mut media_type = String::new();
    for (name, value) in fields.filter_map(|field| field.split_once(": ")) {
        if name.eq_ignore_ascii_case("content-type") {
            media_type = value.into();
        }
        page.line(&fit(&format!("  > {name}: {}", secrets.header(name, value)), LINE));
    }
    show_body(">", &media_type, sent.get(end + 4..).unwrap_or_default(), secrets, lines, page);
}

fn show_answer(answer: &Answered, secrets: &Secrets, lines: usize, page: &mut Page) {
    page.line(&format!("  < HTTP/1.1 {}", answer.status));
    let mut media_type = String::new();
    for (name, value) in &answer.headers {
        let value = String::from_utf8_lossy(value);
        if name.eq_ignore_ascii_case("content-type") {
            media_type = value.clone().into_owned();
        }
        page.line(&fit(&format!("  < {name}: {}", secrets.header(name, &value)), LINE));
    }
    show_body("<", &media_type, &answer.body, secrets, lines, page);
}

fn show_body(
    mark: &str,
    media_type: &str,
    body: &[u8],
    secrets: &Secrets,
    lines: usize,
    page: &mut Page,
) {
    if body.is_empty() {
        return;
    }
    page.line(&format!("  {mark}"));
    let Ok(text) = std::str::from_utf8(body) else {
        let bytes = counted(body.len() as u64, "byte");
        return page.line(&format!("  {mark} ({bytes} that are no text)"));
    };
    // Masked whole, since a cut could leave half of a secret; what is too long for that is not
    // shown at all.
    if text.len() > BODY_MAX {
        let bytes = counted(text.len() as u64, "byte");
        return page.line(&format!("  {mark} ({bytes}, too long to be shown)"));
    }
    let masked = secrets.body(media_type, text);
    let all: Vec<&str> = masked.lines().filter(|line| !line.trim().is_empty()).collect();
    for line in all.iter().take(lines) {
        page.line(&fit(&format!("  {mark} {}", line.trim_end()), LINE));
    }
    if all.len() > lines {
        let rest = counted((all.len() - lines) as u64, "more line");
        page.line(&format!("  {mark} ({rest}; --lines shows more)"));
    }
}
