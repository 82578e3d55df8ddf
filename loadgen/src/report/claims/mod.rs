//! The sentences that people believe, and what this campaign says of each. Claims are data
//! (`claims.toml`); a cell that rests on trials is decided by its own interval, after Holm's
//! correction over all cells of its claim.

mod ask;
mod context;
mod crossover;
mod file;
pub(super) mod result;
mod seen;
mod set;

use super::analysis::Analysis;
use super::words;
use crate::stats::{CONFIDENCE, holm};
use ask::Asked;
use file::{Claim, File, Sense};
use result::{Answer, ClaimCell, ClaimResult, ClaimVerdict, Matrix};
use seen::Said;

pub(super) use crossover::{Costs, UNIT as CROSSOVER_UNIT, costs};
pub(super) use file::default_prices;
pub(super) use set::tables;

/// Level of a one-sided test: a yes and a 95 % interval that excludes its bound are the same.
const ALPHA: f64 = (1.0 - CONFIDENCE) / 2.0;

/// What this campaign says of every claim, in the order of the file.
pub(super) fn claims(analysis: &Analysis) -> Vec<ClaimResult> {
    let file = file::read();
    file.claim.iter().map(|claim| weigh(&file, claim, analysis)).collect()
}

fn weigh(file: &File, claim: &Claim, analysis: &Analysis) -> ClaimResult {
    let asked: Vec<Vec<Asked>> =
        claim.test.iter().map(|test| ask::ask(file, test, analysis)).collect();
    let cells = settle(asked);
    let matrices: Vec<Matrix> = claim
        .test
        .iter()
        .zip(cells)
        .filter(|(_, cells)| !cells.is_empty())
        .map(|(test, cells)| matrix(&test.asks, test.claim, cells))
        .collect();
    let verdict = verdict(&matrices, unasked(claim, &matrices).is_empty());
    ClaimResult {
        says: claim.says.clone(),
        source: claim.source.clone(),
        covers: claim.covers.clone(),
        leaves_out: claim.leaves_out.clone(),
        verdict,
        words: words(file, claim, verdict, &matrices, &analysis.baseline),
        in_short: set::in_short(&matrices, &analysis.baseline),
        matrices,
    }
}

/// The answers of all tests of a claim, corrected over all of their cells.
fn settle(asked: Vec<Vec<Asked>>) -> Vec<Vec<(Asked, ClaimCell)>> {
    let all = || asked.iter().flatten();
    let corrected = |p: fn(&Said) -> Option<f64>| {
        let there: Vec<f64> = all().filter_map(|cell| p(&cell.said)).collect();
        holm(&there)
    };
    let (yes, no) = (corrected(Said::p_yes), corrected(Said::p_no));
    let size = yes.len().max(no.len());
    let (mut yes, mut no) = (yes.into_iter(), no.into_iter());
    let mut cell = |asked: Asked| {
        let p_yes = asked.said.p_yes().and_then(|_| yes.next());
        let p_no = asked.said.p_no().and_then(|_| no.next());
        let cell = settled(&asked, p_yes, p_no, size);
        (asked, cell)
    };
    asked.into_iter().map(|test| test.into_iter().map(&mut cell).collect()).collect()
}

/// A cell whose p values are corrected. A difference that is real and below the margin is a no; one
/// below the noise floor is no yes.
fn settled(asked: &Asked, p_yes: Option<f64>, p_no: Option<f64>, size: usize) -> ClaimCell {
    let below = |p: Option<f64>| p.is_some_and(|p| p <= ALPHA);
    let (answer, mut found) = match &asked.said {
        Said::Fact { yes, found } => (Answer::told(*yes), found.clone()),
        Said::Tested(tested) if below(p_no) => (Answer::No, tested.found.clone()),
        Said::Tested(tested) if below(p_yes) && tested.is_beneath_floor => {
            (Answer::NotSettled, tested.found.clone() + words::BENEATH_FLOOR)
        }
        Said::Tested(tested) if below(p_yes) => (Answer::Yes, tested.found.clone()),
        Said::Tested(tested) => (Answer::NotSettled, tested.found.clone()),
    };
    let alone = below(asked.said.p_yes()) || below(asked.said.p_no());
    if answer == Answer::NotSettled && alone && !below(p_yes) {
        found.push_str(&format!(", not significant after correction for {size} cells"));
    }
    let tested = match &asked.said {
        Said::Fact { .. } => None,
        Said::Tested(tested) => Some(tested),
    };
    ClaimCell {
        arm: asked.arm.clone(),
        against: asked.against.clone(),
        counts: asked.counts,
        answer,
        found,
        estimate: tested.and_then(|tested| tested.estimate.clone()),
        unit: tested.map_or("", |tested| tested.unit),
        p_yes,
        p_no,
    }
}

/// A test's cells as the claim sees them; what was measured elsewhere than the first says where.
fn matrix(asks: &str, claim: Sense, cells: Vec<(Asked, ClaimCell)>) -> Matrix {
    let at = cells.first().map_or_else(String::new, |(asked, _)| asked.at.clone());
    let seen = |(asked, mut cell): (Asked, ClaimCell)| {
        if claim == Sense::Not {
            cell.answer = cell.answer.opposite();
        }
        if asked.at != at && !asked.at.is_empty() {
            cell.found.push_str(&format!(", {}", asked.at));
        }
        cell
    };
    let cells = cells.into_iter().map(seen).collect();
    Matrix { asks: asks.into(), at, cells }
}

/// Yes and no together are an answer. One of them alone is one only if no cell is open, and no part
/// of the sentence is without a cell: each may say the other.
fn verdict(matrices: &[Matrix], is_complete: bool) -> ClaimVerdict {
    let cells = || matrices.iter().flat_map(|of| &of.cells).filter(|cell| cell.counts);
    let says = |answer| cells().any(|cell| cell.answer == answer);
    match (says(Answer::Yes), says(Answer::No)) {
        (true, true) => ClaimVerdict::Depends,
        _ if says(Answer::NotSettled) => ClaimVerdict::NotSettled,
        (true, false) if is_complete => ClaimVerdict::Supported,
        (false, true) if is_complete => ClaimVerdict::Refuted,
        _ if cells().next().is_some() => ClaimVerdict::NotSettled,
        _ => ClaimVerdict::NotMeasured,
    }
}

/// The parts of a claim that this campaign has no figure for.
fn unasked<'a>(claim: &'a Claim, matrices: &[Matrix]) -> Vec<&'a str> {
    let asked = |asks: &str| matrices.iter().any(|of| of.asks == asks);
    claim.test.iter().map(|test| test.asks.as_str()).filter(|asks| !asked(asks)).collect()
}

/// The verdict in words, with what is open and what was not asked.
fn words(
    file: &File,
    claim: &Claim,
    verdict: ClaimVerdict,
    matrices: &[Matrix],
    baseline: &str,
) -> String {
    let cells = || matrices.iter().flat_map(|of| &of.cells).filter(|cell| cell.counts);
    let mut said = match verdict {
        ClaimVerdict::Supported => claim.supported.clone(),
        ClaimVerdict::Refuted => claim.refuted.clone(),
        ClaimVerdict::Depends => claim.depends.clone(),
        ClaimVerdict::NotSettled => {
            let settled = |answer| cells().filter(|cell| cell.answer == answer).count();
            let (yes, no, all) = (settled(Answer::Yes), settled(Answer::No), cells().count());
            let (said, word) = if yes > 0 { (yes, "yes") } else { (no, "no") };
            match said {
                0 => "These data do not settle it; more blocks may.".into(),
                _ if said == all => format!("What was measured says {word}."),
                1 => format!("1 of {all} answers is {word}; the others are open."),
                _ => format!("{said} of {all} answers are {word}; the others are open."),
            }
        }
        ClaimVerdict::NotMeasured => return "This campaign has no figure for it.".into(),
    };
    if let Some(missing) = &claim.missing
        && !cells().any(|cell| file.names(&missing.arms, &cell.arm, baseline))
    {
        said.push_str(&format!(" {}", missing.words));
    }
    let left: Vec<String> =
        unasked(claim, matrices).into_iter().map(|asks| format!("\"{asks}\"")).collect();
    if !left.is_empty() {
        said.push_str(&format!(" Not measured here: {}.", left.join("; ")));
    }
    said
}

#[cfg(test)]
mod tests;
