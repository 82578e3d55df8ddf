//! `report.md`: the same content for a pull request or a chat. Names are escaped, and no figure is
//! computed here.

use std::fmt::Write as _;

use super::analysis::{Analysis, Sentence};
use super::attacks;
use super::claims::result::ClaimVerdict;
use super::claims::tables;
use super::instructions;
use super::table::{Cell, Table};
use super::tables::key_tables;
use super::words;
use crate::sanitise::{markdown as text, padded, right_aligned, visible, width};

/// Sets an analysis as Markdown.
pub(super) fn render(analysis: &Analysis) -> String {
    let summary = words::summary(analysis).join(" · ");
    let mut out = format!("# {}\n\n{}\n", text(&analysis.name), text(&summary));
    if let Some((heading, warning)) = words::warning(analysis) {
        let _ = write!(out, "\n> **{heading}.** {}\n", text(&warning));
    }
    out.push_str(&claimed(analysis));
    out.push_str(&answer(analysis));
    for experiment in &analysis.experiments {
        let (question, method) = (text(&experiment.question), text(&experiment.method));
        let _ = write!(out, "\n## {question}\n\n{method}\n");
        for (i, remark) in experiment.remarks.iter().enumerate() {
            let _ = writeln!(out, "{}- {}", if i == 0 { "\n" } else { "" }, text(remark));
        }
        for of in key_tables(analysis, &experiment.name) {
            let (title, note) = (text(&of.title), text(&of.note));
            let _ = write!(out, "\n### {title}\n\n{note}\n\n{}", table(&of));
        }
    }
    if let Some(counts) = instructions::table(analysis) {
        let (title, note) = (text(&counts.title), text(&counts.note));
        let _ = write!(out, "\n## {title}\n\n{note}\n\n{}", table(&counts));
    }
    out.push_str(&doubts(analysis));
    out.push_str(&withstood(analysis));
    out.push_str("\n## What the numbers do not mean\n\n");
    for caution in words::cautions(analysis) {
        let _ = writeln!(out, "- {}", text(&caution));
    }
    out.push_str(&again(analysis));
    out
}

fn claimed(analysis: &Analysis) -> String {
    if !analysis.usable() {
        return String::new();
    }
    let mut out = String::from("\n## What people say, and what was found here\n");
    if analysis.claims.iter().any(|claim| claim.verdict == ClaimVerdict::NotSettled) {
        let _ = write!(out, "\n{}\n", words::MORE_BLOCKS);
    }
    for claim in &analysis.claims {
        let (mark, word) = words::claim(claim.verdict);
        let (says, answer) = (text(&claim.says), text(&claim.words));
        let _ = write!(out, "\n### {mark} {word}: \"{says}\"\n\n{answer}\n\n");
        let _ = writeln!(out, "{}", text(&words::coverage(claim)));
        for of in tables(claim) {
            let at = if of.note.is_empty() { String::new() } else { format!(", {}", of.note) };
            let _ = write!(out, "\n{}{}:\n\n{}", text(&of.title), text(&at), table(&of));
        }
    }
    out
}

fn answer(analysis: &Analysis) -> String {
    if !analysis.usable() {
        return String::new();
    }
    let mut out = format!("\n## The answer\n\n{}\n\n", text(&words::scope(analysis)));
    let (first, coarse): (Vec<&Sentence>, Vec<&Sentence>) =
        analysis.answer.iter().partition(|sentence| sentence.headline);
    first.iter().for_each(|sentence| out.push_str(&said(sentence)));
    if !coarse.is_empty() {
        let _ = write!(out, "\n### {}\n\n", words::COARSE);
        coarse.iter().for_each(|sentence| out.push_str(&said(sentence)));
    }
    let _ = write!(out, "\nCite this: {}\n", text(&words::cite(analysis)));
    out
}

fn said(sentence: &Sentence) -> String {
    let verdict = sentence.verdict.map(words::verdict);
    let verdict = verdict.map_or_else(String::new, |(mark, word)| format!(" ({mark} {word})"));
    format!("- **{}**: {}{verdict}\n", text(&sentence.topic), text(&sentence.text))
}

fn doubts(analysis: &Analysis) -> String {
    let mut out = String::from("\n## What the tool doubts in its own numbers\n\n");
    let doubts = words::doubts(analysis);
    if doubts.is_empty() {
        out.push_str("Nothing that it can see.\n");
    }
    for summary in doubts {
        let doubt = &summary.doubt;
        let tag = if doubt.invalidates { "**Invalidates.** " } else { "" };
        let places = match summary.places.as_slice() {
            [place] => place.clone(),
            [first, rest @ ..] => format!("{first}; and {} more places", rest.len()),
            [] => String::new(),
        };
        let _ = writeln!(
            out,
            "- {tag}{}. Remedy: {}. ({})",
            text(&words::capital(&doubt.what)),
            text(&doubt.remedy),
            text(&places)
        );
    }
    out
}

fn withstood(analysis: &Analysis) -> String {
    if analysis.attacks.is_empty() {
        return String::new();
    }
    let (counts, matrix) = (attacks::counts(analysis), attacks::matrix(analysis));
    let mut out = format!(
        "\n## {}\n\n{}\n\n{}\n\n{}",
        text(&counts.title),
        text(attacks::NOTE),
        text(&counts.note),
        table(&counts)
    );
    out.push('\n');
    for (arm, remark) in attacks::remarks(analysis) {
        let _ = writeln!(out, "- {}: {}", text(&arm), text(&remark));
    }
    let (title, note) = (text(&matrix.title), text(&matrix.note));
    let _ = write!(out, "\n### {title}\n\n{note}\n\n{}", table(&matrix));
    out
}

fn again(analysis: &Analysis) -> String {
    let mut out = String::from("\n## How to run it again\n\n```sh\n");
    for (what, command) in words::commands(analysis) {
        // A line of its own for each, whatever the campaign is called.
        let _ = write!(out, "# {what}\n{}\n", visible(&command).replace('`', " "));
    }
    out.push_str("```\n\n");
    for (name, fact) in words::identity(analysis) {
        let _ = writeln!(out, "- {name}: {}", text(&fact));
    }
    for (name, fact) in words::setting(analysis) {
        if !words::identity(analysis).iter().any(|(known, _)| *known == name) {
            let _ = writeln!(out, "- {name}: {}", text(&fact));
        }
    }
    out
}

/// A table whose columns are as wide as their widest cell.
fn table(table: &Table) -> String {
    let mut lines: Vec<Vec<String>> = vec![table.columns.iter().map(|c| text(&c.label)).collect()];
    lines.extend(table.rows.iter().map(|row| row.cells.iter().map(cell).collect()));
    let numeric: Vec<bool> = table.columns.iter().map(|column| column.numeric).collect();
    aligned(lines, &numeric)
}

/// The same of lines of cells, the first of which is the head.
///
/// Aligned, a table reads well unrendered too.
pub(super) fn aligned(mut lines: Vec<Vec<String>>, numeric: &[bool]) -> String {
    let widest = |i: usize| lines.iter().map(|line| width(&line[i])).max().unwrap_or(0);
    let widths: Vec<usize> = (0..numeric.len()).map(|i| widest(i).max(3)).collect();
    let rule = numeric.iter().zip(&widths).map(|(numeric, width)| {
        if *numeric { format!("{}:", "-".repeat(width - 1)) } else { "-".repeat(*width) }
    });
    lines.insert(1, rule.collect());
    let mut out = String::new();
    for line in lines {
        let cells = line.iter().zip(&widths).zip(numeric).map(|((cell, width), numeric)| {
            if *numeric { right_aligned(cell, *width) } else { padded(cell, *width) }
        });
        let _ = writeln!(out, "| {} |", cells.collect::<Vec<_>>().join(" | "));
    }
    out
}

fn cell(cell: &Cell) -> String {
    match cell {
        Cell::Empty => "–".into(),
        Cell::Text(words) => text(words),
        Cell::Arm { name, role: "" } => text(name),
        Cell::Arm { name, role } => text(&format!("{name} ({role})")),
        Cell::Figure { figure, interval, valid, finding } => {
            let mut out = text(figure);
            if !interval.is_empty() {
                let _ = write!(out, " ({})", text(interval));
            }
            if let Some(finding) = finding {
                let (mark, word) = words::verdict(finding.verdict);
                let _ = write!(out, " {mark} {word}");
                if let Some(from) = &finding.from {
                    let _ = write!(out, " from {}", text(from));
                }
            }
            if *valid { out } else { format!("INVALID {out}") }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;
    use crate::record::TrialRecord;
    use crate::report::tests::sample;

    #[test]
    fn columns_are_aligned_and_no_name_breaks_a_row() {
        let mut plan: Plan = sample::plan(&["none", "a", "b"], 2);
        let hostile = "x|y<b>`\n*";
        plan.arms[1] = hostile.into();
        plan.reference = hostile.into();
        for trial in plan.trials.iter_mut().filter(|t| t.arm == "a") {
            trial.arm = hostile.into();
        }
        let page = render(&sample::analysis_of(&plan, |_| {}));
        let mut tables: Vec<Vec<&str>> = vec![vec![]];
        for line in page.lines() {
            if line.starts_with('|') {
                tables.last_mut().unwrap().push(line);
            } else {
                tables.push(vec![]);
            }
        }
        tables.retain(|lines| !lines.is_empty());
        assert_eq!(tables.len(), 9);
        for lines in tables {
            let borders = |line: &str| line.replace("\\|", "").matches('|').count();
            for line in &lines {
                assert_eq!(line.chars().count(), lines[0].chars().count(), "{line}");
                assert_eq!(borders(line), borders(lines[0]), "{line}");
            }
        }
        assert!(page.contains("x\\|y&lt;b>\\`\\\\n\\*"));
        let (before, code) = page.split_once("```sh").unwrap();
        let (_, after) = code.split_once("```\n").unwrap();
        assert!(!before.contains("<b>") && !after.contains("<b>"));
    }

    #[test]
    fn the_answer_and_every_arm_are_there() {
        let analysis = sample::analysis();
        let page = render(&analysis);
        assert!(!analysis.answer.is_empty());
        for sentence in &analysis.answer {
            assert!(page.contains(&sentence.text), "{}", sentence.text);
        }
        assert!(page.contains("--arms none,session@memory,jwt-hs256"));
        assert!(!page.contains("INVALID") && !page.contains("**Invalid"));
        assert_eq!(page, render(&sample::analysis()));
    }

    #[test]
    fn nothing_valid_means_no_answer() {
        let spoil = |record: &mut TrialRecord| {
            for action in &mut record.actions {
                if let crate::record::ActionRecord::Load(load) = action {
                    load.counts.errors.insert("wrong_user".into(), 1);
                }
            }
        };
        let mut plan = sample::plan(&["none", "a", "b"], 2);
        plan.trials.retain(|trial| trial.experiment == "concurrency");
        let page = render(&sample::analysis_of(&plan, spoil));
        assert!(page.contains("> **Invalid.**"));
        assert!(!page.contains("## The answer"));
    }
}
