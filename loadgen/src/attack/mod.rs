//! Attacks a server as a stranger would, and reports for every case what a sound one answers and
//! what this one did.

mod attacker;
mod cases;
mod ecdsa;
mod edit;
mod exchange;
mod forge;
mod key;
mod listener;
mod login;
mod moment;
mod options;
mod public;
mod race;
mod recipe;
mod request;
mod signed;
mod text;
mod weakness;
mod wire;

use std::time::Instant;

use servers::contract::Target;

use crate::error::{Error, Interrupt, Result};
use crate::proc::{Fleet, Kept};
use crate::record::{Attacked, CaseOutcome, CaseRecord};
use crate::sanitise::{REMARK, fit};
use attacker::Attacker;
use cases::{Finding, Row, suite};
pub use exchange::{Answered, Exchange, Expectation, Visit, visit};
use key::Key;
use options::patiently;
pub use options::{CUT_SHORT, GUESSES, LEEWAY, Options, Standard, WITHIN};
pub use weakness::{Severity, Source, Weakness, weakness};
use wire::{LIMITED, NO_CONNECTION};

/// Rows whose property is a fact to know and no weakness.
const STATED: &[&str] = &["0c"];
/// The finding while a server refuses good credentials and logins alike.
const SHUT_OUT: &str = "not tried: good credentials and logins are refused, so the server may \
    block this client; raise its limits for it and repeat";

/// Hears which case is next.
pub type Progress<'a> = &'a mut dyn FnMut(&str);

/// Attacks a running server. A signal ends that early, with the cases that were tried so far: only
/// `interrupt` says that these are not all.
///
/// One suite for every scheme: the target's descriptor and the credential that a login gives decide
/// what applies, never a name. A case that cannot be made is reported as not applicable, with the
/// reason, and never left out. After every case the good credential must still work, and no answer
/// may be a 5xx. An arm of ours must give the exact answer, the same for every refusal; a
/// stranger's server only has to refuse.
///
/// Nothing here may time anything, or send anything to a server that the caller did not name.
///
/// # Errors
/// `Config` where its descriptor cannot be attacked, `Target` where it does not do what the
/// descriptor says, `Interrupted` when a signal comes before the first case.
pub fn target(
    target: &Target,
    options: &Options,
    interrupt: &Interrupt,
    progress: Progress<'_>,
) -> Result<Attacked> {
    let ends = Instant::now() + options.within;
    let signing_key = target.token.as_ref().and_then(|keys| keys.signing_key.as_deref());
    let Some(text) = signing_key else {
        return attack(Attacker::new(target, None, options, interrupt, ends)?, progress);
    };
    let key = {
        let seen = Attacker::new(target, None, options, interrupt, ends)?;
        let token = seen.token.as_ref().ok_or_else(|| {
            Error::Config(format!(
                "target `{}`: expected a token, because it has a signing_key, found {}",
                target.name,
                seen.form.name()
            ))
        })?;
        Key::given(token.algorithm(), text)
            .map_err(|why| Error::Config(format!("target `{}`: signing_key: {why}", target.name)))?
    };
    attack(Attacker::new(target, Some(&key), options, interrupt, ends)?, progress)
}

/// Starts a server of this arm, attacks it and stops it. This includes requests that need its key,
/// a second server of the arm, or the store's.
///
/// # Errors
/// As for [`target`], and what starting a server says.
pub fn arm(
    arm: &str,
    options: &Options,
    interrupt: &Interrupt,
    progress: Progress<'_>,
) -> Result<Attacked> {
    progress("starting it");
    let fleet = Fleet::open(arm, &[])?;
    let server = fleet.start(Kept::ALL, &patiently())?;
    let target = &server.ready().target;
    let ends = Instant::now() + options.within;
    let key = {
        let seen = Attacker::new(target, None, options, interrupt, ends)?;
        match (&seen.token, fleet.key()) {
            (Some(token), Some(file)) => token.key(seen.form, file)?,
            _ => None,
        }
    };
    let mut attacker = Attacker::new(target, key.as_ref(), options, interrupt, ends)?;
    attacker.fleet = Some(&fleet);
    Ok(Attacked { target: arm.into(), ..attack(attacker, progress)? })
}

fn attack(mut attacker: Attacker<'_>, progress: Progress<'_>) -> Result<Attacked> {
    let mut cases = Vec::new();
    for row in suite() {
        if attacker.interrupt.signal().is_some() {
            break;
        }
        progress(&format!("{} {}", row.id, row.what));
        match carry_out(&mut attacker, &row) {
            // What was tried before it is known.
            Err(Error::Interrupted(..)) => break,
            case => cases.push(case?),
        }
    }
    Ok(Attacked { target: attacker.target.name.clone(), spared: None, cases })
}

/// Carries out a case, and sees that the good credential outlived it.
fn carry_out(attacker: &mut Attacker<'_>, row: &Row) -> Result<CaseRecord> {
    if let Some(why) = attacker.shut_out.clone().filter(|_| !attacker.is_time_up()) {
        if attacker.renew().is_err() {
            return Ok(record(attacker, row, &Finding::new(CaseOutcome::Failed, why)));
        }
        attacker.shut_out = None;
    }
    let renewed = if attacker.ends_soon() { attacker.renew() } else { Ok(()) };
    let mut finding = match renewed.and_then(|()| row.work.carry_out(attacker, row)) {
        // A server that stops answering has failed a case, and the others are tried as well.
        Err(Error::Target(why)) => Finding::new(CaseOutcome::Failed, why),
        finding => finding?,
    };
    // A rate limit says nothing about a credential either.
    if finding.outcome == CaseOutcome::NotApplicable || finding.found.contains(LIMITED) {
        return Ok(record(attacker, row, &finding));
    }
    if let Err(found) = attacker.good(&attacker.a.clone()) {
        credential_lost(attacker, row, &mut finding, &found)?;
    }
    Ok(record(attacker, row, &finding))
}

/// The good credential stopped working during a row: finds out why, and replaces it, because the
/// cases that follow must not suffer for this one.
fn credential_lost(
    attacker: &mut Attacker<'_>,
    row: &Row,
    finding: &mut Finding,
    found: &str,
) -> Result<()> {
    if found == LIMITED {
        finding.outcome = finding.outcome.min(CaseOutcome::Failed);
        finding.found.push_str(&format!("; and then {found}"));
        return Ok(());
    }
    let has_ended = attacker.ends_soon();
    match attacker.renew() {
        // Its time was over.
        Ok(()) if has_ended => {}
        Ok(()) => {
            finding.outcome = finding.outcome.min(CaseOutcome::Failed);
            finding.found.push_str(&format!("; the good credential stopped working: {found}"));
        }
        Err(Error::Target(why)) => {
            finding.outcome = finding.outcome.min(CaseOutcome::Failed);
            if attacker.is_time_up() {
                let lost = format!("; the good credential stopped working: {found}; {why}");
                finding.found.push_str(&lost);
                return Ok(());
            }
            let is_gone = why.contains(NO_CONNECTION);
            let why = if is_gone { why } else { format!("{found} for it, and no login: {why}") };
            finding.found.push_str(&format!("; the good credential stopped working: {why}"));
            let since = if is_gone { NO_CONNECTION } else { SHUT_OUT };
            attacker.shut_out = Some(format!("{since} since {} ({})", row.id, row.what));
            if !is_gone {
                finding.found.push_str(&format!("; {SHUT_OUT}"));
            }
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

fn record(attacker: &Attacker<'_>, row: &Row, finding: &Finding) -> CaseRecord {
    CaseRecord {
        id: row.id.into(),
        what: row.what.into(),
        expected: row.expected.text(attacker.options.standard).into(),
        found: fit(&finding.found, REMARK),
        outcome: finding.outcome,
    }
}

/// Whether a server with these findings may be timed.
///
/// # Errors
/// `Target`, with the cases that it failed.
pub fn judge(attacked: &Attacked) -> Result<()> {
    judged(attacked, attacked.bad())
}

/// Whether a server has none of the weaknesses either that are its own choice.
///
/// # Errors
/// `Target`, with the cases that it failed, and those that found a property.
pub fn judge_strictly(attacked: &Attacked) -> Result<()> {
    judged(attacked, attacked.cases.iter().filter(|case| is_weak(case)))
}

/// Whether a case failed, or found a property that is a weakness and not a fact to know.
fn is_weak(case: &CaseRecord) -> bool {
    let is_property = case.outcome == CaseOutcome::Property && !STATED.contains(&&*case.id);
    case.outcome.is_bad() || is_property
}

/// Whether a case is a finding; with `strict` a weak property is one.
pub fn is_finding(case: &CaseRecord, strict: bool) -> bool {
    if strict { is_weak(case) } else { case.outcome.is_bad() }
}

fn judged<'a>(attacked: &Attacked, bad: impl Iterator<Item = &'a CaseRecord>) -> Result<()> {
    let (untried, bad): (Vec<_>, Vec<_>) = bad.partition(|case| was_untried(case));
    let limited = untried.iter().filter(|case| case.found.contains(LIMITED)).count();
    let bad: Vec<_> = bad
        .into_iter()
        .map(|case| {
            let (id, what, word) = (&case.id, &case.what, case.outcome.word());
            format!("{id} ({what}): {word}, expected {}, found {}", case.expected, case.found)
        })
        .collect();
    match bad.as_slice() {
        [] if untried.is_empty() => Ok(()),
        [] if limited == untried.len() => Err(Error::Target(format!(
            "`{}` answered {} of {} cases with 429, too many requests: what it would have done \
             is not known; raise its limit for this client and repeat",
            attacked.target,
            untried.len(),
            attacked.run()
        ))),
        [] => Err(Error::Target(format!(
            "`{}` let {} of {} cases not be tried, because it limits or blocks this client or is \
             gone: what it would have done is not known; the first: {} ({}): {}",
            attacked.target,
            untried.len(),
            attacked.run(),
            untried[0].id,
            untried[0].what,
            untried[0].found
        ))),
        [first, rest @ ..] => {
            let mut more = match rest.len() {
                0 => String::new(),
                n => format!("; and {n} more"),
            };
            if !untried.is_empty() {
                let why = if limited == untried.len() { "got 429 and " } else { "" };
                more += &format!("; {} others {why}were not tried", untried.len());
            }
            Err(Error::Target(format!(
                "`{}` does not hold against {} of {} cases: {first}{more}",
                attacked.target,
                bad.len(),
                attacked.run()
            )))
        }
    }
}

/// Whether a case says nothing of the server, because it could not be tried.
pub fn was_untried(case: &CaseRecord) -> bool {
    let marks = [LIMITED, NO_CONNECTION, SHUT_OUT];
    case.outcome == CaseOutcome::Failed && marks.iter().any(|mark| case.found.contains(mark))
}
