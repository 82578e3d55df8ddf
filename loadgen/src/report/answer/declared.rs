//! A sentence for a primary endpoint that no other sentence tells.

use super::parts::{by_how_much, limits};
use crate::report::analysis::Sentence;
use crate::report::figure::{signed, signed_range};
use crate::report::figures::{ComparedAs, Endpoint};
use crate::report::known::is_narrow;
use crate::report::words;
use crate::stats::Verdict;

/// What an endpoint says.
pub(super) fn sentence(endpoint: &Endpoint) -> Option<Sentence> {
    let Endpoint { declared, ruling, .. } = endpoint;
    if endpoint.metric.is_told && declared.from.is_none() {
        return None;
    }
    let difference = endpoint.difference.as_ref()?;
    let found = match (&endpoint.ratio, endpoint.compared_as) {
        (Some(ratio), ComparedAs::Ratio) => by_how_much(ratio, Some(ruling), "more", "less"),
        _ => {
            let point = signed(difference.point, endpoint.unit);
            let range = signed_range(difference, endpoint.unit);
            match ruling.verdict {
                Verdict::Equivalent => format!("none beyond the margin, {point} ({range})"),
                _ => format!("{point} ({range}){}", limits(Some(ruling))),
            }
        }
    };
    let label = endpoint.metric.label;
    let (arm, against) = (&declared.arm, &declared.against);
    let place = words::place_of(endpoint);
    let what = match declared.from {
        Some(_) => format!("growth of what {arm} has more than {against}, {place}"),
        None => format!("{arm} compared with {against}, {place}"),
    };
    let settled = ruling.verdict != Verdict::Inconclusive;
    let narrow = endpoint.ratio.as_ref().unwrap_or(difference);
    Some(Sentence {
        topic: label.into(),
        text: format!("{label}, {what}: {found}."),
        verdict: Some(ruling.verdict),
        headline: settled && (ruling.verdict == Verdict::Equivalent || is_narrow(narrow)),
    })
}
