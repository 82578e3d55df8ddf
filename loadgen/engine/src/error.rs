//! What can go wrong, sorted by who has to act, which is what the exit code says.

use std::path::{Path, PathBuf};

/// Why a command ended without doing what it was asked to.
///
/// Functions that say `Config` may also give a `Flag`, a `File` or a `Runtime`: what is at fault is
/// the same, and these have their words in one place.
///
/// A failed request is not an error: it is data (see `transport::Outcome`). An error here ends the
/// command, and its text says what was expected, what was found and what to do. Only `main.rs`
/// turns one into the end of the process.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The flags, the campaign file or this machine do not allow it: exit 2.
    #[error("{0}")]
    Config(String),
    /// The value of a flag cannot be used: exit 2.
    #[error("expected {flag} {expected}, found {found}")]
    Flag {
        /// The flag, such as `--timeout`.
        flag: &'static str,
        /// What it may be, such as `of at least 1ms`.
        expected: String,
        /// What it was.
        found: String,
    },
    /// What is in a file that the user named cannot be used: exit 2.
    #[error("{}: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// This machine lets no runtime start for asynchronous work: exit 2.
    #[error("cannot start the async runtime of {part}: {source}")]
    Runtime {
        /// The part of the program that needs it.
        part: &'static str,
        /// What the operating system answered.
        source: std::io::Error,
    },
    /// The figures that were obtained may not be used: exit 3.
    #[error("{0}")]
    Invalid(String),
    /// The server under test did not do its part: exit 4.
    #[error("{0}")]
    Target(String),
    /// A result could not be read or written: exit 5.
    #[error("{}: {what}: {source}", path.display())]
    Io {
        /// What was being done.
        what: &'static str,
        /// The file or folder it was done to.
        path: PathBuf,
        /// What the operating system answered.
        source: std::io::Error,
    },
    /// Figures are beyond a bound that the user set: exit 6.
    #[error("{0}")]
    Bound(String),
    /// A signal ended it: exit 130 (SIGINT) or 143 (SIGTERM).
    #[error("{0}")]
    Interrupted(String, Signal),
    /// A fault of authbench itself: exit 1.
    #[error("this is a fault of authbench: {0}")]
    Bug(String),
}

/// The signal that interrupted a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT, as from Ctrl-C.
    Int,
    /// SIGTERM.
    Term,
}

impl Error {
    /// An error about a file or folder.
    pub fn io(what: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io { what, path: path.into(), source }
    }

    /// An error about the value of a flag.
    pub fn flag(
        flag: &'static str,
        expected: impl Into<String>,
        found: impl std::fmt::Display,
    ) -> Self {
        Self::Flag { flag, expected: expected.into(), found: found.to_string() }
    }

    /// An error about what is in a file.
    pub fn file(path: &Path, why: impl Into<String>) -> Self {
        Self::File { path: path.into(), why: why.into() }
    }

    /// What to make of a runtime that does not start.
    pub fn runtime(part: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Runtime { part, source }
    }

    /// An error about a file that the user named to be read: one that is not there is a slip of the
    /// command line.
    pub fn unreadable(path: &Path, source: std::io::Error) -> Self {
        let what = "cannot be read";
        match source.kind() {
            std::io::ErrorKind::NotFound => Self::file(path, format!("{what}: {source}")),
            _ => Self::io(what, path, source),
        }
    }

    /// The exit code that tells a script who has to act.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Bug(_) => 1,
            Self::Config(_) | Self::Flag { .. } | Self::File { .. } | Self::Runtime { .. } => 2,
            Self::Invalid(_) => 3,
            Self::Target(_) => 4,
            Self::Io { .. } => 5,
            Self::Bound(_) => 6,
            Self::Interrupted(_, Signal::Int) => 130,
            Self::Interrupted(_, Signal::Term) => 143,
        }
    }
}

/// Result of a command or one of its parts.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Tells every part of the program that a signal has come; cheap to ask and to clone.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(std::sync::Arc<std::sync::atomic::AtomicUsize>);

impl Interrupt {
    /// The number that stands for no signal is 0; signals are stored by their own numbers.
    pub const fn flag(&self) -> &std::sync::Arc<std::sync::atomic::AtomicUsize> {
        &self.0
    }

    /// The signal that has come, if one has.
    pub fn signal(&self) -> Option<Signal> {
        // Nothing else is published with the number, so no ordering is needed.
        match self.0.load(std::sync::atomic::Ordering::Relaxed) {
            0 => None,
            number if number == SIGTERM => Some(Signal::Term),
            _ => Some(Signal::Int),
        }
    }

    /// Lets the caller continue unless a signal has come.
    ///
    /// # Errors
    /// `Interrupted`, once a signal has come.
    pub fn check(&self) -> Result<()> {
        self.check_or("interrupted")
    }

    /// The same with a text of one's own.
    ///
    /// # Errors
    /// `Interrupted` with `text`, once a signal has come.
    pub fn check_or(&self, text: &str) -> Result<()> {
        self.signal().map_or(Ok(()), |signal| Err(Error::Interrupted(text.into(), signal)))
    }

    /// The error of a wait that this ended.
    pub fn error(&self) -> Error {
        Error::Interrupted("interrupted".into(), self.signal().unwrap_or(Signal::Int))
    }
}

/// Number of SIGINT on every Unix.
pub const SIGINT: usize = 2;
/// Number of SIGTERM on every Unix.
pub const SIGTERM: usize = 15;

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn a_signal_ends_what_looks_for_one() {
        let interrupt = Interrupt::default();
        assert!(interrupt.check().is_ok());
        interrupt.flag().store(SIGTERM, Ordering::Relaxed);
        assert_eq!(interrupt.check().map_err(|error| error.exit_code()), Err(143));
        assert_eq!(interrupt.check_or("halfway").map_err(|e| e.to_string()), Err("halfway".into()));
        assert_eq!(interrupt.error().exit_code(), 143);
    }
}
