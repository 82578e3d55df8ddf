//! What several verbs share: the form of their data, and the refusal of a debug build.

use crate::error::{Error, Result};

/// How a verb prints its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people.
    Text,
    /// For programs: one JSON value.
    Json,
}

/// Figures of a debug build are those of code that nobody runs.
pub(super) fn refuse_debug_build(allowed: bool, verb: &str) -> Result<()> {
    if cfg!(debug_assertions) && !allowed {
        return Err(Error::Config(format!(
            "this is a debug build, whose figures mean nothing; use `cargo run --release -- {verb} \
             ...`, or --allow-debug to try out the mechanics"
        )));
    }
    Ok(())
}
