//! The outcome of an attack for people, in 80 columns: what is wrong first, and what to do about
//! it; then what was tried, then what does not apply, gathered by why.

use crate::attack::{self, weakness};
use crate::record::{Attacked, CaseOutcome, CaseRecord};
use crate::sanitise::{Page, REMARK, SCREEN, fit, padded, wrapped};
use crate::units::grouped;

/// Columns of an id and of an outcome.
const ID: usize = 5;
const OUTCOME: usize = 10;

pub(super) fn text(attacked: &Attacked, strict: bool) -> Page {
    let mut page = Page::default();
    if let Some(why) = &attacked.spared {
        page.line(&format!("{}: not attacked: {why}", attacked.target));
        return page;
    }
    let (apply, not): (Vec<_>, Vec<_>) =
        attacked.cases.iter().partition(|case| case.outcome != CaseOutcome::NotApplicable);
    let is_bad = |case: &&CaseRecord| attack::is_finding(case, strict);
    let (bad, good): (Vec<_>, Vec<_>) = apply.into_iter().partition(is_bad);
    cells(["id", "outcome", "what was sent, and found"], &mut page);
    for case in bad {
        cells([&case.id, case.outcome.word(), &case.what], &mut page);
        cells(["", "", &format!("expected {}, found {}", case.expected, case.found)], &mut page);
        if let Some(about) = weakness(&case.id).filter(|_| !attack::was_untried(case)) {
            cells(["", "", &format!("{}: {}", about.name, about.remedy)], &mut page);
            let see = format!("see CWE-{} and {}", about.cwe, about.source.name());
            cells(["", "", &see], &mut page);
            cells(["", "", &about.source.url()], &mut page);
        }
    }
    for case in good {
        let text = format!("{}: {}", case.what, case.found);
        cells([&case.id, case.outcome.word(), &text], &mut page);
    }
    reasons(&not, &mut page);
    let count = |outcome| attacked.count(outcome);
    page.line("");
    let sum = format!(
        "{}: {} cases run: {} refused, {} allowed, {} properties, {} failed, {} accepted; {} not \
         applicable",
        attacked.target,
        attacked.run(),
        count(CaseOutcome::Refused),
        count(CaseOutcome::Allowed),
        count(CaseOutcome::Property),
        count(CaseOutcome::Failed),
        count(CaseOutcome::Accepted),
        count(CaseOutcome::NotApplicable),
    );
    page.text(&sum, 0);
    page
}

/// A row, whose last cell goes on in further lines.
fn cells([id, outcome, text]: [&str; 3], page: &mut Page) {
    let mut before = format!("{}{}", padded(id, ID), padded(outcome, OUTCOME));
    for line in wrapped(&fit(text, REMARK), SCREEN - ID - OUTCOME) {
        page.line(&format!("{before}{line}"));
        before = " ".repeat(ID + OUTCOME);
    }
}

/// What does not apply, by why.
fn reasons(cases: &[&CaseRecord], page: &mut Page) {
    let mut by_reason: Vec<(&str, Vec<&str>)> = Vec::new();
    for case in cases {
        match by_reason.iter_mut().find(|(why, _)| *why == case.found) {
            Some((_, ids)) => ids.push(&case.id),
            None => by_reason.push((&case.found, vec![&case.id])),
        }
    }
    if !by_reason.is_empty() {
        page.line("");
        page.line("Not applicable:");
    }
    for (why, ids) in by_reason {
        let text = format!("{why} ({}): {}", grouped(ids.len() as u64), ids.join(" "));
        page.text(&format!("  {text}"), 4);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::attacked;
    use super::*;

    #[test]
    fn what_is_wrong_stands_first_and_no_line_is_too_long() {
        let text = text(&attacked(), false);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].starts_with("id   outcome"), "{text}");
        assert!(lines[1].starts_with("2a   ACCEPTED  a thing"), "{text}");
        assert!(lines[2].contains("expected 401, found 200 as `0`"), "{text}");
        assert!(lines[3].contains("lax parsing of the header: parse"), "what to do: {text}");
        assert!(lines[4].contains("see CWE-1286 and RFC 6750, 2.1"), "{text}");
        assert!(lines[6].starts_with("1a   refused   a thing: 401"), "{text}");
        assert!(lines.iter().all(|line| line.chars().count() <= SCREEN), "{text}");
        assert!(text.contains("no token (60): 0x 1x"), "{text}");
        let sum =
            "t: 3 cases run: 1 refused, 0 allowed, 1 properties, 0 failed, 1 accepted; 60 not";
        assert!(text.ends_with(&format!("{sum}\napplicable\n")), "{text}");
    }

    #[test]
    fn properties_stand_first_where_they_fail() {
        let text = text(&attacked(), true);
        let ids: Vec<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
        let place = |id: &str| ids.iter().position(|other| *other == id).unwrap();
        assert!(place("2a") < place("2b") && place("2b") < place("1a"), "{text}");
    }
}
