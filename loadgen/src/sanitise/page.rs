//! Text for a terminal: lines and tables for stdout, messages for stderr.

use std::fmt;
use std::ops::{Deref, Range};

use super::{CELL, LINE, SCREEN, fit, padded, right_aligned, width};

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

    /// Adds a text that may be longer than a screen is wide: it goes on in further lines, behind
    /// `hanging` columns of spaces.
    pub fn text(&mut self, text: &str, hanging: usize) {
        let text = fit(text, LINE);
        let own = text.len() - text.trim_start_matches(' ').len();
        let (mut indent, mut rest) = (own, text.trim());
        let mut lines = Vec::new();
        // The first line has another indent than the others, so another length.
        let first = wrapped(rest, SCREEN.saturating_sub(own)).swap_remove(0);
        rest = rest.get(first.len()..).unwrap_or_default().trim_start();
        lines.push(first);
        if !rest.is_empty() {
            lines.extend(wrapped(rest, SCREEN.saturating_sub(hanging)));
        }
        for line in lines {
            self.line(&format!("{}{line}", " ".repeat(indent)));
            indent = hanging;
        }
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

/// Units that stay on the line of their number.
const UNITS: [&str; 14] =
    ["%", "×", "/s", "s", "ms", "µs", "us", "min", "h", "bytes", "kB", "KiB", "MiB", "GiB"];

/// Text in lines of at most so many columns, at least one line. A number and its unit stay
/// together, and a word that is longer than a line is cut.
pub fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let is_unit = UNITS.contains(&word.trim_end_matches([',', ';', ':', '.', ')']));
        match words.last_mut().filter(|last| is_unit && last.ends_with(|c: char| c.is_numeric())) {
            Some(number) => number.extend([" ", word]),
            None => words.push(word.into()),
        }
    }
    let (mut lines, mut line) = (Vec::new(), None::<String>);
    for mut word in words {
        if let Some(begun) = line.take() {
            if width(&begun) + 1 + width(&word) <= columns {
                line = Some(format!("{begun} {word}"));
                continue;
            }
            lines.push(begun);
        }
        while width(&word) > columns {
            let mut room = columns;
            let end = word.char_indices().find(|(_, c)| {
                let taken = width(c.encode_utf8(&mut [0; 4]));
                let is_full = taken > room;
                room = room.saturating_sub(taken);
                is_full
            });
            // One character at least, be it wider than the line.
            let least = word.chars().next().map_or(0, char::len_utf8);
            let rest = word.split_off(end.map_or(word.len(), |(place, _)| place).max(least));
            if rest.is_empty() {
                break;
            }
            lines.push(std::mem::replace(&mut word, rest));
        }
        line = Some(word);
    }
    lines.extend(line);
    lines
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
