//! What a reader is told, and what the server's thread shares with the campaign.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tokio::sync::watch;

/// What the server's thread and the campaign share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) states: watch::Sender<State>,
    /// The report so far; empty before the first one.
    pub(super) report: Mutex<Arc<str>>,
    /// What the `Host` of a request may say.
    pub(super) hosts: [String; 2],
    /// What every path begins with, so that other users of the machine cannot guess it.
    pub(super) token: String,
}

impl Shared {
    /// The report so far.
    pub(super) fn report(&self) -> Arc<str> {
        Arc::clone(&self.report.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a reader is told.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct State {
    pub(super) campaign: String,
    pub(super) ended: usize,
    pub(super) planned: usize,
    pub(super) invalid: usize,
    /// What is happening.
    pub(super) now: String,
    pub(super) left: String,
    pub(super) arms: Vec<ArmState>,
    pub(super) doubt: Option<DoubtState>,
    /// Counts the reports; 0 before the first one.
    pub(super) report: u64,
    /// What the campaign said when it ended.
    pub(super) over: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct ArmState {
    pub(super) arm: String,
    pub(super) trial: String,
    pub(super) figures: Vec<[String; 2]>,
    pub(super) valid: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct DoubtState {
    pub(super) invalidates: bool,
    pub(super) what: String,
    pub(super) remedy: String,
}
