//! The short answer, for a README: claims, and the figures that are asked for first. It stands
//! between two lines of a page ([`put_into`]), so that it can be written again.

use std::fmt::Write as _;

use super::analysis::Analysis;
use super::claims::result::{ClaimResult, ClaimVerdict};
use super::facts::facts;
use super::figure::figure;
use super::figures::Measurement;
use super::headline::{Headline, headline};
use super::key::Lookup;
use super::markdown::aligned;
use super::words;
use crate::experiment::metric::{self, Metric};
use crate::sanitise::{fit, markdown as text};
use crate::stats::Estimate;
use crate::units::counted;

/// The lines between which a page has the short answer.
pub const MARKS: [&str; 2] = ["<!-- authbench: summary -->", "<!-- authbench: end -->"];

/// What stands in the table, and the experiment that it is from.
const FIGURES: &[(&str, &Metric)] = &[
    ("concurrency", metric::THROUGHPUT_RPS),
    ("concurrency", metric::RESPONSE_P99_US),
    ("concurrency", metric::CPU_US_PER_REQUEST),
    ("memory", metric::BYTES_PER_SESSION),
    ("memory", metric::STORE_BYTES_PER_SESSION),
    ("concurrency", metric::REQUEST_WIRE_BYTES),
];

/// Sets the short answer of an analysis as Markdown.
pub fn summary(analysis: &Analysis) -> String {
    let mut out = String::new();
    if let Some((heading, warning)) = words::warning(analysis) {
        let _ = write!(out, "> **{heading}.** {}\n\n", text(&warning));
    }
    if !analysis.usable() {
        return out;
    }
    out.push_str(&opening(analysis));
    let unmeasured = |claim: &&ClaimResult| claim.verdict == ClaimVerdict::NotMeasured;
    for claim in analysis.claims.iter().filter(|claim| !unmeasured(claim)) {
        let (mark, word) = words::claim(claim.verdict);
        let (says, answer) = (text(&claim.says), text(&claim.words));
        let _ = writeln!(out, "- {mark} **{word}**: \"{says}\" {answer}");
    }
    let open: Vec<String> = analysis
        .claims
        .iter()
        .filter(unmeasured)
        .map(|claim| format!("\"{}\"", text(&claim.says)))
        .collect();
    if !open.is_empty() {
        let (mark, word) = words::claim(ClaimVerdict::NotMeasured);
        let _ = writeln!(out, "- {mark} **{word}** by this campaign: {}", open.join(" "));
    }
    if analysis.claims.iter().any(|claim| claim.verdict == ClaimVerdict::NotSettled) {
        let _ = writeln!(out, "\n{}", words::MORE_BLOCKS);
    }
    out.push_str(&figures(analysis));
    out
}

/// The sentence that answers, and those that say why.
fn opening(analysis: &Analysis) -> String {
    let Headline { says, lead } = headline(&facts(analysis), analysis.usable());
    let lead = lead.join(" ");
    format!("**{}** {}\n\n", text(&says), text(&lead)).replace("** \n", "**\n")
}

/// One row per arm: figures of the most users, and of a session without a cart.
fn figures(analysis: &Analysis) -> String {
    let figure_of = |experiment: &str, metric: &Metric, arm: &str| -> Option<&Measurement> {
        let is_own = |m: &Measurement| m.key.arm == arm && m.valid;
        let all = &analysis.measurements;
        match experiment {
            "concurrency" => all.top(experiment, metric, is_own),
            _ => all.all_of(experiment, metric).filter(|m| is_own(m)).min_by_key(|m| m.key.level),
        }
    };
    let found = |(experiment, metric): &&(&str, &Metric)| {
        analysis.arms.iter().any(|arm| figure_of(experiment, metric, arm).is_some())
    };
    let columns: Vec<_> = FIGURES.iter().filter(found).collect();
    let arms = || analysis.arms.iter();
    let users = arms()
        .filter_map(|arm| figure_of("concurrency", metric::THROUGHPUT_RPS, arm)?.key.users)
        .max();
    let Some(users) = users else { return String::new() };
    let heads = columns.iter().map(|(_, metric)| metric.label.to_owned());
    let mut lines = vec![std::iter::once("Arm".to_owned()).chain(heads).collect::<Vec<_>>()];
    for arm in arms() {
        let cells = columns.iter().map(|(experiment, metric)| {
            let shown = figure_of(experiment, metric, arm).map(|m| estimated(&m.estimate, m.unit));
            shown.map_or_else(|| "–".to_owned(), |shown| text(&shown))
        });
        lines.push(std::iter::once(text(arm)).chain(cells).collect());
    }
    let numeric: Vec<bool> = (0..=columns.len()).map(|i| i > 0).collect();
    let users = crate::units::grouped(users);
    format!(
        "\nWith {users} concurrent users, each figure with its 95 % interval:\n\n{}",
        aligned(lines, &numeric)
    )
}

/// A figure with its interval, where the interval says more than the figure.
fn estimated(estimate: &Estimate, unit: &str) -> String {
    let point = figure(estimate.point, unit);
    let is_told = |(lo, hi): (f64, f64)| figure(lo, unit) == point && figure(hi, unit) == point;
    if estimate.is_exact() || estimate.interval.is_some_and(is_told) {
        return point;
    }
    words::estimate(estimate, unit)
}

/// The figures of a terminal: those of [`FIGURES`] that fit it.
const BRIEF: &[(&Metric, &str)] = &[
    (metric::THROUGHPUT_RPS, "throughput"),
    (metric::RESPONSE_P99_US, "p99"),
    (metric::CPU_US_PER_REQUEST, "CPU/request"),
];

/// A table of 80 columns for a terminal, one row per arm, with the most users of `concurrency`; a
/// figure that may not be used is marked. No line where that was not measured.
pub fn brief(analysis: &Analysis) -> Vec<String> {
    let figure_of = |arm: &str, metric: &Metric| {
        analysis.measurements.top("concurrency", metric, |m| m.key.arm == arm)
    };
    let Some(most) = analysis
        .measurements
        .all_of("concurrency", metric::THROUGHPUT_RPS)
        .filter_map(|m| m.key.users)
        .max()
    else {
        return Vec::new();
    };
    let mut is_marked = false;
    let mut cell = |arm: &str, metric: &Metric| {
        let Some(m) = figure_of(arm, metric) else { return "–".to_owned() };
        is_marked |= !m.valid;
        let mark = if m.valid { ' ' } else { '!' };
        format!("{}{mark}", figure(m.estimate.point, m.unit))
    };
    let line = |name: &str, cells: Vec<String>| {
        let cells: String = cells.iter().map(|cell| format!(" {cell:>15}")).collect();
        format!("{:<28}{cells}", fit(name, 28)).trim_end().to_owned()
    };
    let head = counted(most, "user");
    let mut lines = vec![line(&head, BRIEF.iter().map(|(_, head)| format!("{head} ")).collect())];
    for arm in &analysis.arms {
        lines.push(line(arm, BRIEF.iter().map(|(metric, _)| cell(arm, metric)).collect()));
    }
    if is_marked {
        lines.push("! invalid: may not be used".to_owned());
    }
    lines
}

/// The page with this between its two [`MARKS`]; `None` where it does not have both, in this order.
pub fn put_into(page: &str, summary: &str) -> Option<String> {
    let (before, rest) = page.split_once(MARKS[0])?;
    let (_, after) = rest.split_once(MARKS[1])?;
    Some(format!("{before}{}\n\n{}\n{}{after}", MARKS[0], summary.trim(), MARKS[1]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample;

    #[test]
    fn every_claim_and_every_arm_is_in_it() {
        let analysis = sample::analysis();
        let text = summary(&analysis);
        for claim in &analysis.claims {
            assert!(text.contains(&claim.says), "{text}");
        }
        for arm in &analysis.arms {
            assert!(text.contains(&format!("\n| {arm}")), "{text}");
        }
        assert!(text.contains("With 1,000 concurrent users"), "{text}");
        assert!(!text.contains("(again)"), "{text}");
    }

    #[test]
    fn a_terminal_shows_every_arm_in_80_columns_and_marks_what_is_invalid() {
        let mut analysis = sample::analysis();
        let lines = brief(&analysis);
        assert_eq!(lines.len(), 1 + analysis.arms.len(), "{lines:#?}");
        assert!(lines[0].starts_with("1,000 users"), "{lines:#?}");
        assert!(lines.iter().all(|line| line.chars().count() <= 80 && !line.contains('!')));
        analysis.measurements.iter_mut().for_each(|m| m.valid = false);
        let lines = brief(&analysis);
        assert!(lines[1].ends_with('!') && lines.last().unwrap().starts_with("! invalid"));
        analysis.measurements.clear();
        assert!(brief(&analysis).is_empty());
    }

    #[test]
    fn an_interval_that_reads_like_its_figure_is_not_said() {
        let of = |lo, point, hi| {
            let interval = Some((lo, hi));
            Estimate { point, interval, n: 3, method: String::new() }
        };
        assert_eq!(estimated(&of(112.9, 113.0, 113.1), "bytes"), "113 bytes");
        assert_eq!(estimated(&of(90.0, 90.0, 90.0).as_exact(), "bytes"), "90.0 bytes");
        assert_eq!(estimated(&of(2.0, 2.5, 3.0), "us"), "2.50 µs (2.00 to 3.00 µs)");
    }

    #[test]
    fn a_page_is_changed_between_its_marks_only() {
        let page = format!("above\n{}\nold\n{}\nbelow\n", MARKS[0], MARKS[1]);
        let new = put_into(&page, "new\n").unwrap();
        assert_eq!(new, format!("above\n{}\n\nnew\n{}\nbelow\n", MARKS[0], MARKS[1]));
        assert_eq!(put_into(&new, "new\n").unwrap(), new);
        assert_eq!(put_into("no marks", "new"), None);
        assert_eq!(put_into(&format!("{} {}", MARKS[1], MARKS[0]), "new"), None);
    }
}
