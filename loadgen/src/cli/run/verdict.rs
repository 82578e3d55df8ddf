//! What the figures of a run are worth, as an exit code and a sentence.

use super::summary::Summary;
use crate::error::{Error, Interrupt, Result};
use crate::plan::LoadPlan;
use crate::record::{ENCODED, LoadRecord, NOTHING_SENT, OVER_LIMIT};
use crate::report::ThresholdResult;
use crate::units::{Span, grouped};

/// What a load was sent to, and how it logs in, for messages.
pub(super) struct Place {
    /// The URL that was given, or the address in the target file.
    pub(super) address: String,
    pub(super) is_url: bool,
    pub(super) logs_in: bool,
}

/// Whether what was printed may be used, as an exit code.
pub(super) fn verdict(
    place: &Place,
    summary: &Summary,
    load: &LoadRecord,
    plan: &LoadPlan,
    interrupt: &Interrupt,
) -> Result<()> {
    if let Some(signal) = interrupt.signal() {
        let measured = Span::from_millis(load.counts.window_ns / 1_000_000);
        let asked = Span::from_millis(plan.measure_ns / 1_000_000);
        let text = if load.aborted {
            let of_all = match summary.total {
                Some(total) => format!(" and {} of {} requests", load.counts.planned, total),
                None => format!(" instead of {asked}"),
            };
            format!("interrupted: these are the figures of {measured}{of_all}")
        } else {
            "interrupted while the last answers were awaited".into()
        };
        return Err(Error::Interrupted(text, signal));
    }
    let Some(doubt) = summary.doubts.iter().find(|doubt| doubt.invalidates) else { return Ok(()) };
    if load.counts.ok == 0 && doubt.code != NOTHING_SENT {
        let errors =
            load.counts.errors.iter().map(|(class, count)| format!("{} {class}", grouped(*count)));
        let errors: Vec<_> = errors.collect();
        let found = if errors.is_empty() { "no answer at all".into() } else { errors.join(", ") };
        let telling = [OVER_LIMIT, ENCODED];
        let over = summary.doubts.iter().filter(|doubt| telling.contains(&doubt.code.as_str()));
        let over: Vec<_> = over.map(|doubt| format!("{}; {}", doubt.what, doubt.remedy)).collect();
        let remedy = match over.as_slice() {
            [] if wants_login(load) && !place.logs_in => {
                let how = if place.is_url {
                    "describe it in a target file (`--target FILE`, see docs/target-files.md)"
                } else {
                    "describe it as `[login]` in the target file"
                };
                format!("{} asks for a login; {how}", place.address)
            }
            [] => format!(
                "check that the server runs at {} and that path, journey and headers are right{}",
                place.address,
                hint(place, load),
            ),
            over => over.join("; "),
        };
        return Err(Error::Target(format!(
            "no request got the right answer: found {found}; {remedy}"
        )));
    }
    // All connections were open before Measure, so a server that refuses one now has gone.
    if let Some(refused) = load.counts.errors.get("connect_refused") {
        return Err(Error::Target(format!(
            "{} was there when the load began and refused {} connections later; it ended or \
             stopped listening: see its own log",
            place.address,
            grouped(*refused)
        )));
    }
    Err(Error::Invalid(format!("INVALID: {}; {}", doubt.what, doubt.remedy)))
}

/// What may be the matter with a load whose answers were all wrong, a clause; empty where nothing
/// tells.
fn hint(place: &Place, load: &LoadRecord) -> String {
    if is_tls_likely(load) {
        return "; if it speaks TLS, its address is https://".into();
    }
    let Some((class, _)) = load.counts.errors.first_key_value() else { return String::new() };
    let status = class.strip_prefix("status_").and_then(|status| status.parse::<u16>().ok());
    match status.filter(|_| load.counts.errors.len() == 1) {
        Some(status @ 200..=399) if place.is_url => {
            format!("; if {status} is the right answer, add --status {status}")
        }
        Some(status @ 200..=399) => {
            format!("; if {status} is the right answer, the step needs `expect_status = {status}`")
        }
        _ => String::new(),
    }
}

/// Whether all that was found is that nobody is logged in.
fn wants_login(load: &LoadRecord) -> bool {
    let errors = &load.counts.errors;
    let is_refusal = |class: &String| ["status_401", "status_403"].contains(&class.as_str());
    !errors.is_empty() && errors.keys().all(is_refusal)
}

/// Whether a plain load failed as on a port that speaks TLS: such a server closes the connection,
/// sends an alert, or says with 400 what it expected.
fn is_tls_likely(load: &LoadRecord) -> bool {
    let like = ["malformed", "closed", "reset", "truncated", "status_400"];
    let errors = &load.counts.errors;
    load.client.verified.is_none()
        && !errors.is_empty()
        && errors.keys().all(|class| like.contains(&class.as_str()))
}

/// Whether every threshold was kept, as an exit code.
pub(super) fn bounds(thresholds: &[ThresholdResult]) -> Result<()> {
    let failed: Vec<_> = thresholds.iter().filter(|result| result.is_failed()).collect();
    let [first, ..] = failed.as_slice() else { return Ok(()) };
    Err(Error::Bound(format!(
        "{} of {} thresholds failed, the first `{}`: {}",
        failed.len(),
        thresholds.len(),
        first.threshold,
        first.found()
    )))
}
