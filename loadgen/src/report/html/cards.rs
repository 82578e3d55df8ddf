//! What people say, a card each: the verdict, one figure by rule, and the matrices behind it.

use maud::{Markup, html};

use super::tables;
use crate::report::analysis::Analysis;
use crate::report::claims;
use crate::report::claims::result::{Answer, ClaimCell, ClaimResult, ClaimVerdict, Matrix};
use crate::report::figure::{figure, range, times, times_range};
use crate::report::known::is_narrow;
use crate::report::words;
use crate::stats::Estimate;

/// The longest place, in bytes, that a card has room for.
const PLACE_MAX: usize = 60;

/// The section; nothing where no answer may be drawn.
pub(super) fn claims(analysis: &Analysis) -> Option<Markup> {
    let all = || analysis.claims.iter();
    let measured = all().filter(|claim| claim.verdict != ClaimVerdict::NotMeasured);
    let open: Vec<&ClaimResult> =
        all().filter(|claim| claim.verdict == ClaimVerdict::NotMeasured).collect();
    (analysis.usable() && all().next().is_some()).then(|| {
        html! {
            section #claims aria-labelledby="h-claims" {
                h2 #h-claims { "What people say" }
                @if all().any(|claim| claim.verdict == ClaimVerdict::NotSettled) {
                    p.note { (words::MORE_BLOCKS) }
                }
                div.claims { @for claim in measured { (card(claim)) } }
                @if !open.is_empty() {
                    details {
                        summary { "Not measured by this campaign (" (open.len()) ")" }
                        ul { @for claim in open { li { q { (claim.says) } } } }
                    }
                }
            }
        }
    })
}

fn card(claim: &ClaimResult) -> Markup {
    let (mark, word) = words::claim(claim.verdict);
    html! {
        article.claim.card {
            span class={ "verdict " (word.replace(' ', "-")) } { (mark) " " (word) }
            h3 { q { (claim.says) } }
            @if let Some((figure, of)) = leading(claim) {
                p.figure { (figure) small { (of) } }
            }
            p { (claim.words) }
            details {
                summary { "Every answer, and who says it" }
                @if !claim.in_short.is_empty() { p { (claim.in_short) "." } }
                p.note { "Said by: " (claim.source) ". " (words::coverage(claim)) }
                @for table in claims::tables(claim) {
                    h4 { (table.title) }
                    @if !table.note.is_empty() { p.note { (words::capital(&table.note)) "." } }
                    (tables::table(&table))
                }
            }
        }
    }
}

/// The figure of a card and what it is of: that of the first answer which says what the verdict
/// says and is known well enough; else how many answers say so.
fn leading(claim: &ClaimResult) -> Option<(String, String)> {
    let wanted = match claim.verdict {
        ClaimVerdict::Supported | ClaimVerdict::Depends => Answer::Yes,
        ClaimVerdict::Refuted => Answer::No,
        ClaimVerdict::NotSettled | ClaimVerdict::NoValidFigure | ClaimVerdict::NotMeasured => {
            return None;
        }
    };
    let cells = || {
        let counting = |matrix| move |cell: &&ClaimCell| cell.counts && is_of(matrix, cell);
        claim.matrices.iter().flat_map(move |matrix| {
            matrix.cells.iter().filter(counting(matrix)).map(move |cell| (matrix, cell))
        })
    };
    let settled = || cells().filter(move |(_, cell)| cell.answer == wanted);
    let told = settled().find_map(|(matrix, cell)| {
        let estimate = cell.estimate.as_ref().filter(|estimate| is_narrow(estimate))?;
        Some((set(estimate, cell.unit), of_what(matrix, cell, estimate)))
    });
    told.or_else(|| {
        let (matrix, _) = settled().next()?;
        let own = || cells().filter(|(other, _)| std::ptr::eq(*other, matrix));
        let said = own().filter(|(_, cell)| cell.answer == wanted).count();
        let (_, word) = words::answer(wanted);
        let one_by_one = own().all(|(_, cell)| cell.against.is_none());
        let what = if one_by_one { "arms" } else { "pairs of arms" };
        Some((format!("{said} of {}", own().count()), format!("{what}: {word}. {}", matrix.asks)))
    })
}

fn is_of(matrix: &Matrix, cell: &ClaimCell) -> bool {
    matrix.cells.iter().any(|own| std::ptr::eq(own, cell))
}

fn set(estimate: &Estimate, unit: &str) -> String {
    if unit == "ratio" { times(estimate.point) } else { figure(estimate.point, unit) }
}

fn of_what(matrix: &Matrix, cell: &ClaimCell, estimate: &Estimate) -> String {
    let mut text = cell.arm.clone();
    if let Some(against) = &cell.against {
        text.push_str(&format!(" compared with {against}"));
    }
    // The prices of a crossover, for one, are in the matrix.
    if !matrix.at.is_empty() && matrix.at.len() <= PLACE_MAX {
        text.push_str(&format!(", {}", matrix.at));
    }
    if estimate.interval.is_some() {
        let found = match cell.unit {
            "ratio" => times_range(estimate),
            unit => range(estimate, unit),
        };
        text.push_str(&format!(" ({found})"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(arm: &str, answer: Answer, estimate: Option<(f64, f64, f64)>) -> ClaimCell {
        ClaimCell {
            arm: arm.into(),
            against: None,
            counts: true,
            answer,
            found: String::new(),
            open: String::new(),
            estimate: estimate.map(|(lo, point, hi)| Estimate {
                point,
                interval: Some((lo, hi)),
                n: 5,
                method: String::new(),
            }),
            unit: "bytes",
            p_yes: None,
            p_no: None,
        }
    }

    fn claim(verdict: ClaimVerdict, cells: Vec<ClaimCell>) -> ClaimResult {
        ClaimResult {
            says: "so".into(),
            source: "they".into(),
            covers: "this".into(),
            leaves_out: String::new(),
            verdict,
            words: "It does.".into(),
            in_short: String::new(),
            matrices: vec![Matrix { asks: "More".into(), at: "at 5 users".into(), cells }],
        }
    }

    #[test]
    fn the_figure_of_a_card_says_what_its_verdict_says() {
        let cells = || {
            vec![
                cell("a", Answer::Yes, Some((10.0, 50.0, 90.0))),
                cell("b", Answer::Yes, Some((110.0, 113.0, 115.0))),
                cell("c", Answer::No, Some((2.0, 2.5, 3.0))),
                cell("d", Answer::NotSettled, Some((1.0, 1.1, 1.2))),
            ]
        };
        let told = |figure: &str, of: &str| Some((figure.to_owned(), of.to_owned()));
        for (verdict, found) in [
            (ClaimVerdict::Depends, told("113 bytes", "b, at 5 users (110 to 115 bytes)")),
            (ClaimVerdict::Refuted, told("2.50 bytes", "c, at 5 users (2.00 to 3.00 bytes)")),
            (ClaimVerdict::NotSettled, None),
        ] {
            assert_eq!(leading(&claim(verdict, cells())), found, "{verdict:?}");
        }
        let facts = vec![cell("a", Answer::Yes, None), cell("b", Answer::Yes, None)];
        let counted = told("2 of 2", "arms: yes. More");
        assert_eq!(leading(&claim(ClaimVerdict::Supported, facts)), counted);
    }
}
