//! Text for a terminal: lines and tables for stdout, messages for stderr.

use std::fmt;
use std::ops::{Deref, Range};

use super::{CELL, LINE, fit, padded, right_aligned, width};

/// Lines of a message; a screen has 24.
const MESSAGE_LINES: usize = 24;
/// Columns of its first line. An error may list every metric, and then say what was found.
const FIRST_LINE: usize = 2 * LINE;
/// Columns of its further lines.
const FURTHER_LINE: usize = 400;
/// How they are set in.
const INDENT: &str = "  ";

/// Lines for stdout, none longer than a screen and none with a control character.
///
/// A [`Page`] takes whole lines only, so a line feed in what comes from outside cannot begin
/// another one. A message may have several lines (a quotation of a file, the last words of a
/// child); those after the first are set in, so that none passes for a message of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page(String);

impl Page {
    /// Adds a line.
    pub fn line(&mut self, text: &str) {
        self.0.push_str(fit(text, LINE).trim_end());
        self.0.push('\n');
    }

    /// Adds rows of cells whose columns are as wide as their widest cell, each row behind `indent`.
    /// The columns in `flush_right` are set so, as figures are; the others flush left.
    pub fn table<const N: usize>(
        &mut self,
        indent: &str,
        rows: &[[String; N]],
        flush_right: &Range<usize>,
    ) {
        let rows: Vec<[String; N]> =
            rows.iter().map(|row| row.each_ref().map(|cell| fit(cell, CELL))).collect();
        let widest = |column: usize| rows.iter().map(|row| width(&row[column])).max();
        let widths: Vec<usize> = (0..N).map(|column| widest(column).unwrap_or(0)).collect();
        for row in &rows {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, columns))| {
                let placed = if flush_right.contains(&column) { right_aligned } else { padded };
                placed(cell, *columns)
            });
            let cells: Vec<String> = cells.collect();
            self.line(&format!("{indent}{}", cells.join("  ")));
        }
    }
}

impl Deref for Page {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A message for stderr: its first line, and further ones that are set in, a screen at most.
pub fn message(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().split('\n').collect();
    let whole = lines.len() <= MESSAGE_LINES;
    let shown = if whole { lines.len() } else { MESSAGE_LINES - 1 };
    let further = &lines[1..shown];
    // All or none of them: a quotation points at columns of the line above.
    let are_set_in = further.iter().all(|line| line.is_empty() || line.starts_with(INDENT));
    let indent = if are_set_in { "" } else { INDENT };
    let mut out = fit(lines[0], FIRST_LINE);
    for line in further {
        out.push('\n');
        if !line.is_empty() {
            out.push_str(&fit(&format!("{indent}{line}"), FURTHER_LINE));
        }
    }
    if !whole {
        out.push_str(&format!("\n{INDENT}… ({} more lines)", lines.len() - shown));
    }
    out
}
