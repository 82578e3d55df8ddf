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

/// A span of time in minutes and seconds, or in hours and minutes.
pub(super) fn minutes(ms: u64) -> String {
    let seconds = ms.div_ceil(1000);
    match (seconds / 60, seconds % 60) {
        (0, s) => format!("{s} s"),
        (m @ 0..60, s) => format!("{m} min {s} s"),
        _ => {
            let minutes = seconds.div_ceil(60);
            format!("{} h {} min", minutes / 60, minutes % 60)
        }
    }
}

/// What a level of an experiment is called.
pub(super) fn named(experiment: &str, level: u32) -> String {
    experiment::find(experiment).map_or_else(|| level.to_string(), |e| e.level(level))
}

#[cfg(test)]
mod tests {
    use super::minutes;

    #[test]
    fn a_time_is_written_in_the_units_that_fit_it() {
        for (ms, text) in [
            (0, "0 s"),
            (59_001, "1 min 0 s"),
            (104_000, "1 min 44 s"),
            (3_599_000, "59 min 59 s"),
            (3_600_000, "1 h 0 min"),
            (82_240_000, "22 h 51 min"),
        ] {
            assert_eq!(minutes(ms), text);
        }
    }
}
