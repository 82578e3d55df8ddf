//! Text inside Markdown and CSV, where some characters that are seen have a meaning as well.
//!
//! HTML needs nothing of the kind: its templates escape every text and attribute.

use super::fit;

/// Columns of one text in Markdown; a sentence of ours that names many places may be long.
const PARAGRAPH: usize = 4_000;

/// Text that stays text in GitHub's Markdown: no emphasis, code, link, image, HTML, table border,
/// heading, list or quotation, no address that is made a link unasked, and no new line.
pub fn markdown(text: &str) -> String {
    let text: Vec<char> = fit(text, PARAGRAPH).chars().collect();
    let mut out = String::with_capacity(text.len() + 16);
    let opening = opens_block(&text);
    for (place, c) in text.iter().enumerate() {
        let rest = &text[place + 1..];
        let before = place.checked_sub(1).map(|before| text[before]);
        let is_markup = match c {
            '|' | '*' | '`' | '[' | ']' | '\\' | '~' => true,
            // Between letters it is no emphasis, and most names of metrics have one there.
            '_' => !(is_word(before) && is_word(rest.first().copied())),
            ':' => rest.starts_with(&['/', '/']),
            '.' => ends_in_www(&text[..place]),
            _ => false,
        };
        match c {
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            // GitHub sets what stands between two of them as mathematics, escaped or not.
            '$' => out.push_str("&#36;"),
            // No escape keeps GitHub from linking an address of mail, a user or an issue; an empty
            // comment does.
            '@' if is_domain(rest) || (!is_word(before) && is_word(rest.first().copied())) => {
                out.push_str("@<!-- -->");
            }
            '#' if rest.first().is_some_and(char::is_ascii_digit) => out.push_str("#<!-- -->"),
            c if is_markup || opening == Some(place) => out.extend(['\\', *c]),
            c => out.push(*c),
        }
    }
    out
}

/// The character that would make the text a heading, a list, a quotation or a line.
fn opens_block(text: &[char]) -> Option<usize> {
    let start = text.iter().position(|c| !c.is_whitespace())?;
    let number = text[start..].iter().take_while(|c| c.is_ascii_digit()).count();
    let place = start + number;
    let ends = |c: Option<&char>| c.is_none_or(|c| c.is_whitespace());
    let next = text.get(place + 1);
    let opens = match text.get(place)? {
        '#' | '>' => number == 0,
        // A sign before a figure is not one of these.
        '-' | '+' | '=' => number == 0 && next.is_none_or(|c| !c.is_ascii_alphanumeric()),
        '.' | ')' => number > 0 && ends(next),
        _ => false,
    };
    opens.then_some(place)
}

fn is_word(c: Option<char>) -> bool {
    c.is_some_and(char::is_alphanumeric)
}

fn ends_in_www(text: &[char]) -> bool {
    text.len() >= 3 && text[text.len() - 3..].iter().all(|c| c.eq_ignore_ascii_case(&'w'))
}

/// Whether the text goes on as a domain with a dot in it.
fn is_domain(text: &[char]) -> bool {
    let name = |c: &&char| c.is_ascii_alphanumeric() || "-_".contains(**c);
    let label = text.iter().take_while(name).count();
    label > 0 && text.get(label) == Some(&'.') && is_word(text.get(label + 1).copied())
}

/// One field of CSV that holds text: quoted as RFC 4180 says, and with `'` before what a
/// spreadsheet would take for a formula and run. Figures are written as they are, without this.
pub fn csv(text: &str) -> String {
    let text = fit(text, super::REMARK);
    let runs = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
    let mark = if text.trim_start().starts_with(runs) { "'" } else { "" };
    // A tab or a line break is written as an escape by now.
    if text.contains([',', '"']) {
        format!("\"{mark}{}\"", text.replace('"', "\"\""))
    } else {
        format!("{mark}{text}")
    }
}
