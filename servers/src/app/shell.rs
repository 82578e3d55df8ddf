//! What the handlers of an arm share.

use super::work::Calibrated;
use crate::users::Users;

/// What the handlers share.
pub(super) struct Shell<S> {
    pub(super) scheme: S,
    pub(super) users: Users,
    pub(super) work: Option<Calibrated>,
}

impl<S> Shell<S> {
    /// What a protected handler does once it knows whose request it is.
    pub(super) async fn work(&self) {
        if let Some(work) = &self.work {
            work.carry_out().await;
        }
    }
}
