//! Makes text from outside fit to be shown: what a server, a record, a target file, a campaign file
//! or a file name says. Nothing here may change what is sent to a server, or drop a character
//! without a trace.

mod markup;
mod page;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::RangeInclusive;

use serde_json::Value;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

pub use markup::{csv, markdown};
pub use page::{Page, message, wrapped};

/// Most columns of a name: a user, a target, a line that a child says.
pub const NAME: usize = 80;
/// Most columns of a cell of a table on a terminal.
pub const CELL: usize = 120;
/// Most columns of one statement in a record: a cause, a finding, a note.
pub const REMARK: usize = 1_000;
/// Columns of a screen, beyond which text goes on in the next line.
pub const SCREEN: usize = 80;
/// Most columns of a line on a terminal: a screen of 24 lines of 80.
pub const LINE: usize = 1_920;

/// Characters that are not seen, in addition to control characters: they reorder, join or hide what
/// stands near them, or make two names look alike. (Unicode's `Default_Ignorable_Code_Point`, the
/// line and paragraph separators, and the other format characters that have no glyph.)
const UNSEEN: &[RangeInclusive<char>] = &[
    '\u{ad}'..='\u{ad}',
    '\u{34f}'..='\u{34f}',
    '\u{61c}'..='\u{61c}',
    '\u{115f}'..='\u{1160}',
    '\u{17b4}'..='\u{17b5}',
    '\u{180b}'..='\u{180f}',
    '\u{200b}'..='\u{200f}',
    '\u{2028}'..='\u{202e}',
    '\u{2060}'..='\u{206f}',
    '\u{3164}'..='\u{3164}',
    '\u{fdd0}'..='\u{fdef}',
    '\u{fe00}'..='\u{fe0f}',
    '\u{feff}'..='\u{feff}',
    '\u{ffa0}'..='\u{ffa0}',
    '\u{fff0}'..='\u{fffb}',
    '\u{13430}'..='\u{1343f}',
    '\u{1bca0}'..='\u{1bca3}',
    '\u{1d173}'..='\u{1d17a}',
    '\u{e0000}'..='\u{e0fff}',
];

/// Whether a reader does not see this character as such.
fn is_unseen(c: char) -> bool {
    // The last two of every plane are no characters, and XML forbids two of them.
    let noncharacter = u32::from(c) & 0xfffe == 0xfffe;
    c.is_control() || noncharacter || UNSEEN.iter().any(|range| range.contains(&c))
}

/// The text in one line, with an escape such as `\n` or `\u{1b}` in place of every character that
/// is not seen: such a character may drive a terminal, forge a line or a cell, or reverse what is
/// next to it. Ordinary names in any language stay as they are.
pub fn visible(text: &str) -> Cow<'_, str> {
    escaped(text, is_unseen)
}

/// A whole HTML, SVG, Markdown or CSV file, whose only control character is the line feed.
///
/// It is the last guard: what is in the file has been through [`markdown`], [`csv()`] or the
/// escaping of the HTML templates before.
pub fn document(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c != '\n' && is_unseen(c))
}

fn escaped(text: &str, hidden: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if hidden(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// JSON that says the same without a raw character that is not seen: `serde_json` escapes those
/// below U+0020 only. Line feeds stay, which stand between values in indented JSON.
pub fn json(text: &str) -> Cow<'_, str> {
    let hidden = |c: char| c != '\n' && is_unseen(c);
    if !text.chars().any(hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if hidden(c) {
            // Outside of strings JSON has no such character, so an escape of strings is right.
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// The text in one line of at most so many columns; what is cut is counted at its end.
pub fn fit(text: &str, columns: usize) -> String {
    let text = visible(text);
    let needed: usize = text.chars().map(room_of).sum();
    if needed <= columns {
        return text.into_owned();
    }
    let length = text.chars().count();
    let cut_off = |count: usize| format!("… ({count} more)");
    // The count has at most as many digits as the length, so the end never takes more than this.
    let with_count = columns.checked_sub(cut_off(length).chars().count());
    let mut room = with_count.unwrap_or_else(|| columns.saturating_sub(1));
    let kept: String = text
        .chars()
        .take_while(|c| {
            let fits = room_of(*c) <= room;
            room -= if fits { room_of(*c) } else { 0 };
            fits
        })
        .collect();
    match with_count {
        Some(_) => format!("{kept}{}", cut_off(length - kept.chars().count())),
        None if columns > 0 => format!("{kept}…"),
        None => String::new(),
    }
}

/// Room that a limit gives to a character: its columns, and one for a mark that has none, so that a
/// limit of columns bounds marks that pile up on one letter as well.
fn room_of(c: char) -> usize {
    c.width().unwrap_or(1).max(1)
}

/// Columns that the text takes on a terminal.
pub fn width(text: &str) -> usize {
    text.width()
}

/// The text with spaces behind it up to a width in columns. Format strings have widths too, but
/// they count characters, and panic beyond 65,535.
pub fn padded(text: &str, columns: usize) -> String {
    format!("{text}{}", spaces(text, columns))
}

/// The text with spaces before it up to a width in columns.
pub fn right_aligned(text: &str, columns: usize) -> String {
    format!("{}{text}", spaces(text, columns))
}

fn spaces(text: &str, columns: usize) -> String {
    " ".repeat(columns.saturating_sub(width(text)))
}

/// Makes every string of a value, names of fields included, fit for a statement. A string that
/// `keeps` holds for, which is data and not shown, stays as it is.
pub fn statements(value: &mut Value, keeps: &impl Fn(&str) -> bool) {
    match value {
        Value::String(text) if !keeps(text) => *text = fit(text, REMARK),
        Value::Array(values) => values.iter_mut().for_each(|value| statements(value, keeps)),
        Value::Object(fields) => {
            let all = std::mem::take(fields);
            for (name, mut value) in all {
                statements(&mut value, keeps);
                fields.insert(fit(&name, REMARK), value);
            }
        }
        _ => {}
    }
}
