//! What several verbs share: the form of their data, and the refusal of a debug build.

use crate::error::{Error, Result};
use crate::experiment;

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

/// A span of time in minutes and seconds.
pub(super) fn minutes(ms: u64) -> String {
    let seconds = ms.div_ceil(1000);
    match (seconds / 60, seconds % 60) {
        (0, s) => format!("{s} s"),
        (m, s) => format!("{m} min {s} s"),
    }
}

/// What a level of an experiment is called.
pub(super) fn named(experiment: &str, level: u32) -> String {
    experiment::find(experiment).map_or_else(|| level.to_string(), |e| e.level(level))
}
