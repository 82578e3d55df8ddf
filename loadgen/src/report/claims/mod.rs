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
use super::figure::figure;
use super::words;
use crate::stats::{CONFIDENCE, holm};
use ask::Asked;
use file::{Claim, File, Sense, Test};
use result::{Answer, ClaimCell, ClaimResult, ClaimVerdict, Matrix};
use seen::{Said, Tested};

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
    let mut verdict = verdict(&matrices, unasked(claim, &matrices).is_empty());
    let lacks_valid = |test: &Test| ask::lacks_valid(file, test, analysis);
    if verdict == ClaimVerdict::NotMeasured && claim.test.iter().any(lacks_valid) {
        verdict = ClaimVerdict::NoValidFigure;
    }
    ClaimResult {
        says: claim.says.clone(),
        source: claim.source.clone(),
        covers: claim.covers.clone(),
        leaves_out: claim.leaves_out.clone(),
        verdict,
        words: words(file, claim, verdict, &matrices, analysis),
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
    let open = match &asked.said {
        Said::Tested(tested) if answer == Answer::NotSettled && below(p_yes) => {
            tested.found.clone() + words::BENEATH_FLOOR
        }
        Said::Tested(tested) if answer == Answer::NotSettled => open(tested, alone, size),
        _ => String::new(),
    };
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
        open,
        estimate: tested.and_then(|tested| tested.estimate.clone()),
        unit: tested.map_or("", |tested| tested.unit),
        p_yes,
        p_no,
    }
}

/// Why a cell is not settled: `alone` if its own interval would settle it.
fn open(tested: &Tested, alone: bool, size: usize) -> String {
    match tested.interval() {
        Some(interval) if alone => format!(
            "the interval, {interval}, settles it alone, and not after the correction for {size} \
             answers"
        ),
        Some(interval) => format!("the interval, {interval}, {}", tested.undecided),
        None => tested.found.clone(),
    }
}

/// A test's cells as the claim sees them; what was measured elsewhere than the first says where.
fn matrix(asks: &str, claim: Sense, cells: Vec<(Asked, ClaimCell)>) -> Matrix {
    let at = cells.first().map_or_else(String::new, |(asked, _)| asked.at.clone());
    let seen = |(asked, mut cell): (Asked, ClaimCell)| {
        if claim == Sense::Not {
            cell.answer = cell.answer.opposite();
        }
        // What all cells have in common is said once, above them.
        let is_common = |own: &str| own.is_empty() || at.split("; ").any(|part| part == own);
        for own in asked.at.split("; ").filter(|own| !is_common(own)) {
            cell.found.push_str(&format!(", {own}"));
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
    analysis: &Analysis,
) -> String {
    let cells = || matrices.iter().flat_map(|of| &of.cells).filter(|cell| cell.counts);
    let mut said = match verdict {
        ClaimVerdict::Supported => claim.supported.clone(),
        ClaimVerdict::Refuted => claim.refuted.clone(),
        ClaimVerdict::Depends => claim.depends.clone(),
        ClaimVerdict::NotSettled => not_settled(&cells().collect::<Vec<_>>(), &analysis.baseline),
        ClaimVerdict::NoValidFigure => {
            return "Measured, but too few trials of it are valid; run it again.".into();
        }
        ClaimVerdict::NotMeasured => return "This campaign has no figure for it.".into(),
    };
    if let Some(ends) = ends(claim, verdict, matrices) {
        said.push_str(&format!(" {ends}"));
    }
    if let Some(missing) = &claim.missing
        && !cells().any(|cell| file.names(&missing.arms, &cell.arm, &analysis.baseline))
    {
        said.push_str(&format!(" {}", missing.words));
    }
    let asked = |asks: &str| matrices.iter().any(|of| of.asks == asks);
    let (invalid, unmeasured): (Vec<&Test>, Vec<&Test>) = claim
        .test
        .iter()
        .filter(|test| !asked(&test.asks))
        .partition(|test| ask::lacks_valid(file, test, analysis));
    for (left, why) in [(invalid, "No valid figure here"), (unmeasured, "Not measured here")] {
        if !left.is_empty() {
            said.push_str(&format!(" {why}: {}.", quoted(left.iter().map(|test| &test.asks))));
        }
    }
    said
}

fn quoted<'a>(asks: impl Iterator<Item = &'a String>) -> String {
    asks.map(|asks| format!("\"{asks}\"")).collect::<Vec<_>>().join("; ")
}

/// How many answers there are, and why the first open one is open.
fn not_settled(cells: &[&ClaimCell], baseline: &str) -> String {
    let count = |answer| cells.iter().filter(|cell| cell.answer == answer).count();
    let (yes, no, all) = (count(Answer::Yes), count(Answer::No), cells.len());
    let said = |said: usize, word: &str| match said {
        _ if said == all => format!("What was measured says {word}"),
        1 => format!("1 of {all} answers is {word}; the others are open"),
        _ => format!("{said} of {all} answers are {word}; the others are open"),
    };
    let settled = match (yes, no) {
        (0, 0) if all == 1 => "The only answer is open".into(),
        (0, 0) => format!("None of {all} answers is settled"),
        (yes, 0) => said(yes, "yes"),
        (_, no) => said(no, "no"),
    };
    let open = cells.iter().filter(|cell| cell.answer == Answer::NotSettled);
    // The one that tells most: an arm's own, with an interval.
    let shown = open.min_by_key(|cell| (cell.estimate.is_none(), cell.arm == baseline));
    let why = shown.map_or_else(String::new, |cell| {
        let against = cell.against.as_ref();
        let against = against.map_or_else(String::new, |of| format!(" and {of}"));
        format!(": for {}{against} {}", cell.arm, cell.open)
    });
    format!("{settled}{why}.")
}

/// The smallest and the largest figure of a refuted claim whose words ask for them.
fn ends(claim: &Claim, verdict: ClaimVerdict, matrices: &[Matrix]) -> Option<String> {
    if verdict != ClaimVerdict::Refuted || claim.ends.is_empty() {
        return None;
    }
    let cells = matrices.iter().flat_map(|of| &of.cells).filter(|cell| cell.counts);
    let mut known: Vec<(f64, &ClaimCell)> =
        cells.filter_map(|cell| Some((cell.estimate.as_ref()?.point, cell))).collect();
    known.sort_by(|a, b| a.0.total_cmp(&b.0));
    let end =
        |(point, cell): &(f64, &ClaimCell)| format!("{} ({})", figure(*point, cell.unit), cell.arm);
    let (least, most) = (known.first().map(end)?, known.last().map(end)?);
    Some(claim.ends.replace("{least}", &least).replace("{most}", &most))
}

#[cfg(test)]
mod tests;
