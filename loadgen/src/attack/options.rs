//! How a server is attacked, and how strictly it is judged.

use std::time::Duration;

use crate::transport::Trust;

/// Random credentials that a server is asked for.
pub const GUESSES: u32 = 10_000;

/// How strictly a server is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standard {
    /// It must give the answers that our arms promise, to the status and the byte.
    Ours,
    /// It must refuse attacks, in its own words.
    Stranger,
}

/// How to attack.
#[derive(Clone, Debug)]
pub struct Options {
    /// The journey whose first step is requested.
    pub journey: String,
    /// Which certificates are trusted.
    pub trust: Trust,
    /// How strictly the server is judged.
    pub standard: Standard,
    /// How many random credentials are tried.
    pub guesses: u32,
    /// How long after its end a token may still be good: clocks differ.
    pub leeway: Duration,
    /// How long the suite may take; a case that is not tried by then has failed.
    pub within: Duration,
}

/// How long the suite may take by default.
pub const WITHIN: Duration = Duration::from_secs(30 * 60);

/// The leeway that a token gets by default; libraries allow for up to a minute.
pub const LEEWAY: Duration = Duration::from_secs(60);

impl Options {
    /// The options for an arm of ours.
    pub fn ours() -> Self {
        Self {
            journey: "browse".into(),
            trust: Trust::System,
            standard: Standard::Ours,
            guesses: GUESSES,
            leeway: LEEWAY,
            within: WITHIN,
        }
    }
}

/// What a signal leaves of a suite.
pub const CUT_SHORT: &str = "interrupted before every case was tried";

/// Arguments for a server that waits for its store even on a busy machine: a 503 because of a busy
/// machine says nothing about what the server refuses.
pub(super) fn patiently() -> Vec<String> {
    ["--store-timeout", "8s"].map(String::from).to_vec()
}
