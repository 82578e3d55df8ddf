//! The one place that writes to stdout and stderr.

use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::path::Path;

use crate::error::{Error, Result};
use crate::sanitise::{self, Page, message};

/// Writes a line of data.
///
/// It takes no text as it is: lines, pages and messages are made fit for a terminal, and JSON has
/// an escape for every character that is not seen. A reader that goes away (`authbench ... | head`)
/// is no error, and colour appears on a terminal only, unless `NO_COLOR` is set.
///
/// # Errors
/// `Io` when stdout does not take it; a reader that went away is no error.
pub(super) fn line(text: &str) -> Result<()> {
    let mut one = Page::default();
    one.line(text);
    page(&one)
}

/// Writes lines of data.
///
/// # Errors
/// `Io` when stdout does not take them; a reader that went away is no error.
pub(super) fn page(page: &Page) -> Result<()> {
    raw(page)
}

/// Writes a JSON value, whole whatever its length.
///
/// # Errors
/// `Io` when stdout does not take it; a reader that went away is no error.
pub(super) fn json(text: &str) -> Result<()> {
    raw(&format!("{}\n", sanitise::json(text)))
}

/// Writes a whole document, HTML, Markdown or XML, whose only control character is the line feed.
///
/// # Errors
/// `Io` when stdout does not take it, unless its reader went away.
pub(super) fn document(text: &str) -> Result<()> {
    raw(&sanitise::document(text))
}

fn raw(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            Err(Error::io("cannot be written", Path::new("standard output"), e))
        }
        _ => Ok(()),
    }
}

/// Writes a remark on stderr.
pub(super) fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", message(text));
}

/// Writes an error on stderr.
pub(super) fn error(text: &str) {
    let mark = if colour() { "\u{1b}[31;1merror:\u{1b}[0m" } else { "error:" };
    let _ = writeln!(std::io::stderr().lock(), "{mark} {}", message(text));
}

/// Whether a person watches stderr.
pub(super) fn watched() -> bool {
    std::io::stderr().is_terminal()
}

fn colour() -> bool {
    watched() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
