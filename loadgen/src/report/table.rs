//! A table as data, and the cells that several tables share: a format supplies punctuation only,
//! so HTML and Markdown cannot disagree. No figure is computed here.

use super::analysis::Analysis;
use super::figures::{ComparedAs, Ruled};
use super::words;
use crate::experiment::{Better, Metric};
use crate::stats::Verdict;

/// A table, ready to be set.
#[derive(Debug)]
pub(super) struct Table {
    /// Heading.
    pub(super) title: String,
    /// How to read it, a sentence.
    pub(super) note: String,
    /// The columns.
    pub(super) columns: Vec<Column>,
    /// The rows, each with a cell for every column.
    pub(super) rows: Vec<Row>,
}

/// A column's head.
#[derive(Debug)]
pub(super) struct Column {
    /// What stands in it.
    pub(super) label: String,
    /// Which direction is better, in words; may be empty.
    pub(super) hint: &'static str,
    /// Whether it holds numbers, which are set flush right.
    pub(super) numeric: bool,
}

/// A row.
#[derive(Debug)]
pub(super) struct Row {
    /// Whether it is the first of a level.
    pub(super) opens_group: bool,
    /// Its cells.
    pub(super) cells: Vec<Cell>,
}

/// A cell.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    /// Nothing was measured.
    Empty,
    /// Words, or a plain count.
    Text(String),
    /// An arm; `role` says whether others are compared with it.
    Arm {
        /// Its name.
        name: String,
        /// `baseline`, `reference` or nothing.
        role: &'static str,
    },
    /// A figure with its interval.
    Figure {
        /// The figure with its unit.
        figure: String,
        /// Its interval.
        interval: String,
        /// Whether it may be used.
        valid: bool,
        /// What a comparison says.
        finding: Option<Finding>,
    },
}

/// What a comparison says, and whether that is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// What it says.
    pub(super) verdict: Verdict,
    /// Whether the arm does better; `None` where neither can be said.
    pub(super) better: Option<bool>,
    /// Where it is inconclusive, the smallest effect that would have been seen.
    pub(super) from: Option<String>,
}

pub(super) fn arm(analysis: &Analysis, name: &str) -> Cell {
    let role = match name {
        _ if name == analysis.baseline => "baseline",
        _ if name == analysis.reference => "reference",
        _ => "",
    };
    Cell::Arm { name: name.into(), role }
}

pub(super) fn cell(
    figure: String,
    interval: String,
    valid: bool,
    finding: Option<Finding>,
) -> Cell {
    Cell::Figure { figure, interval, valid, finding }
}

pub(super) fn finding(metric: &Metric, compared_as: ComparedAs, ruling: &Ruled) -> Finding {
    let inconclusive = ruling.verdict == Verdict::Inconclusive;
    let Metric { unit, better, .. } = metric;
    let from = ruling.smallest_effect.filter(|_| inconclusive);
    Finding {
        verdict: ruling.verdict,
        better: merit(ruling.verdict, *better),
        from: from.map(|effect| words::effect(effect, compared_as, unit)),
    }
}

fn merit(verdict: Verdict, better: Better) -> Option<bool> {
    match (verdict, better) {
        (Verdict::Higher, Better::Higher) | (Verdict::Lower, Better::Lower) => Some(true),
        (Verdict::Higher, Better::Lower) | (Verdict::Lower, Better::Higher) => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merit_follows_from_the_direction_of_the_metric() {
        assert_eq!(merit(Verdict::Higher, Better::Higher), Some(true));
        assert_eq!(merit(Verdict::Higher, Better::Lower), Some(false));
        assert_eq!(merit(Verdict::Lower, Better::Lower), Some(true));
        assert_eq!(merit(Verdict::Equivalent, Better::Lower), None);
        assert_eq!(merit(Verdict::Lower, Better::Neither), None);
    }
}
