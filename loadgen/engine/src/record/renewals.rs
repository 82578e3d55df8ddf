//! Credentials that ended during a load and were renewed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::doubt::Doubt;
use super::grouped::grouped;
use super::histogram::Histogram;

/// Credentials that ended in the Measure phase. A renewal belongs to it when the request that began
/// it does.
///
/// What a renewal takes is in the response time of each request that waited for it, and here by
/// itself. Its own requests are in no other count.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RenewalRecord {
    /// Renewals by a refresh.
    pub refreshed: u64,
    /// Renewals by a new login.
    pub logged_in: u64,
    /// Of these, the ones that followed a refresh that was refused or had no answer.
    pub fell_back: u64,
    /// Renewals that gave no new credential; who waited for them has failed as `not_renewed`.
    pub failed: u64,
    /// Refreshes and logins of renewals that did not give a new credential, by class.
    pub errors: BTreeMap<String, u64>,
    /// Requests that were refused because their credential had ended, and sent again with the next
    /// one. Their end is counted once.
    pub refused: u64,
    /// Requests that waited for a renewal, their own or another's.
    pub waited: u64,
    /// Answers that changed the cookies of their user.
    pub rolled: u64,
    /// From the first request of a renewal to the last byte of its last answer, where it gave a
    /// new credential.
    pub time: Histogram,
}

/// A load with more renewals than this share of its requests is one of renewals.
const MOST: f64 = 0.5;

impl RenewalRecord {
    /// Renewals that gave a new credential.
    pub const fn renewed(&self) -> u64 {
        self.refreshed + self.logged_in
    }

    /// Adds another worker's renewals.
    pub fn merge(&mut self, other: &Self) {
        self.refreshed += other.refreshed;
        self.logged_in += other.logged_in;
        self.fell_back += other.fell_back;
        self.failed += other.failed;
        for (class, count) in &other.errors {
            *self.errors.entry(class.clone()).or_default() += count;
        }
        self.refused += other.refused;
        self.waited += other.waited;
        self.rolled += other.rolled;
        self.time.merge(&other.time);
    }

    /// What makes the figures of a load of so many requests with these renewals doubtful.
    pub(super) fn doubt(&self, sent: u64, found: &mut Vec<Doubt>) {
        let all = self.renewed() + self.failed;
        if all as f64 > MOST * sent as f64 {
            found.push(Doubt::caution(
                "mostly_renewals",
                format!(
                    "{} renewals for {} requests: this is a load of renewals",
                    grouped(all),
                    grouped(sent)
                ),
                "let credentials live longer, or renew them less far ahead",
            ));
        }
        if self.failed > 0 {
            let errors: Vec<_> =
                self.errors.iter().map(|(c, n)| format!("{} {c}", grouped(*n))).collect();
            found.push(Doubt::caution(
                "renewals_failed",
                format!(
                    "{} of {} renewals failed: {}",
                    grouped(self.failed),
                    grouped(all),
                    errors.join(", ")
                ),
                "check what [refresh] and [login] describe, and the server's own log",
            ));
        }
    }
}
