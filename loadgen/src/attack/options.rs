//! How a server is attacked, and what it is held to.

use std::time::Duration;

use crate::transport::Trust;

/// Random credentials that a server is asked for.
pub const GUESSES: u32 = 10_000;

/// What a server is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standard {
    /// The answers that our arms promise, to the status and the byte.
    Ours,
    /// That attacks are refused, in whatever words.
    Stranger,
}

/// How to attack.
#[derive(Clone, Debug)]
pub struct Options {
    /// The journey whose first step is asked for.
    pub journey: String,
    /// Which certificates are believed.
    pub trust: Trust,
    /// What the server is held to.
    pub standard: Standard,
    /// How many random credentials are tried.
    pub guesses: u32,
    /// How long the suite may take; a case that is not tried by then has failed.
    pub within: Duration,
}

/// How long the suite may take unless somebody says otherwise.
pub const WITHIN: Duration = Duration::from_secs(30 * 60);

impl Options {
    /// What an arm of ours is attacked with.
    pub fn ours() -> Self {
        Self {
            journey: "browse".into(),
            trust: Trust::System,
            standard: Standard::Ours,
            guesses: GUESSES,
            within: WITHIN,
        }
    }
}

/// What a signal leaves of a suite.
pub(super) const CUT_SHORT: &str = "interrupted before every case was tried";

/// Arguments for a server that waits for its store however busy the machine is: a 503 that comes of
/// that would say nothing about what the server refuses.
pub(super) fn patiently() -> Vec<String> {
    ["--store-timeout", "8s"].map(String::from).to_vec()
}
