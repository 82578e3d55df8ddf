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
mod options;
mod race;
mod request;
mod text;
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
use options::{CUT_SHORT, patiently};
pub use options::{GUESSES, Options, Standard, WITHIN};
use wire::Silence;

/// Hears which case is next.
pub type Progress<'a> = &'a mut dyn FnMut(&str);

/// Attacks a running server.
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
/// descriptor says, `Interrupted` when a signal comes.
pub fn target(
    target: &Target,
    options: &Options,
    interrupt: &Interrupt,
    progress: Progress<'_>,
) -> Result<Attacked> {
    let ends = Instant::now() + options.within;
    attack(Attacker::new(target, None, options, interrupt, ends)?, progress)
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
        attacker.interrupt.check_or(CUT_SHORT)?;
        progress(&format!("{} {}", row.id, row.what));
        let case = match carry_out(&mut attacker, &row) {
            // A server that stops answering has failed a case, and the others are tried as well.
            Err(Error::Target(why)) => {
                record(&attacker, &row, &Finding::new(CaseOutcome::Failed, why))
            }
            case => case?,
        };
        cases.push(case);
    }
    Ok(Attacked { target: attacker.target.name.clone(), spared: None, cases })
}

/// Carries out a case, and sees that the good credential outlived it.
fn carry_out(attacker: &mut Attacker<'_>, row: &Row) -> Result<CaseRecord> {
    let mut finding = row.work.carry_out(attacker, row)?;
    // A rate limit says nothing about a credential either.
    let limited = Silence::Limited.to_string();
    if finding.outcome != CaseOutcome::NotApplicable
        && !finding.found.contains(&limited)
        && let Err(found) = attacker.good(&attacker.a.clone())
    {
        finding.outcome = finding.outcome.min(CaseOutcome::Failed);
        if found == limited {
            finding.found.push_str(&format!("; and then {limited}"));
            return Ok(record(attacker, row, &finding));
        }
        finding.found.push_str(&format!("; the good credential stopped working: {found}"));
        // The cases that follow must not suffer for this one.
        match attacker.log_in(0) {
            Ok(login) => attacker.a = login,
            Err(Error::Target(why)) => finding.found.push_str(&format!("; {why}")),
            Err(error) => return Err(error),
        }
    }
    Ok(record(attacker, row, &finding))
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
    let limited = Silence::Limited.to_string();
    let (untried, bad): (Vec<_>, Vec<_>) =
        attacked.bad().partition(|case| case.found.contains(&limited));
    let bad: Vec<_> = bad
        .into_iter()
        .map(|case| {
            let (id, what, word) = (&case.id, &case.what, case.outcome.word());
            format!("{id} ({what}): {word}, expected {}, found {}", case.expected, case.found)
        })
        .collect();
    match bad.as_slice() {
        [] if untried.is_empty() => Ok(()),
        [] => Err(Error::Target(format!(
            "`{}` answered {} of {} cases with 429, too many requests: what it would have done \
             is not known; raise its limit for this client and repeat",
            attacked.target,
            untried.len(),
            attacked.run()
        ))),
        [first, rest @ ..] => {
            let mut more = match rest.len() {
                0 => String::new(),
                n => format!("; and {n} more"),
            };
            if !untried.is_empty() {
                more += &format!("; {} others got 429 and were not tried", untried.len());
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
