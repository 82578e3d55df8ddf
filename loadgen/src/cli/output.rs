//! The one place that writes to stdout and stderr.
//!
//! A reader that goes away (`authbench ... | head`) is no error, and colour appears on a terminal
//! only, unless `NO_COLOR` is set.

use std::io::{IsTerminal as _, Write as _};

/// Writes a line of data.
pub(super) fn line(text: &str) {
    // A closed pipe ends the reading, not the writing program.
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Writes data as it stands.
pub(super) fn raw(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Writes a remark on stderr.
pub(super) fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Writes an error on stderr.
pub(super) fn error(text: &str) {
    let mark = if colour() { "\u{1b}[31;1merror:\u{1b}[0m" } else { "error:" };
    note(&format!("{mark} {text}"));
}

/// Whether a person watches stderr.
pub(super) fn watched() -> bool {
    std::io::stderr().is_terminal()
}

fn colour() -> bool {
    watched() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
