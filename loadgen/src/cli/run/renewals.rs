//! What a run prints of credentials that ended and were renewed.

use std::collections::BTreeMap;

use serde::Serialize;

use super::distribution::Distribution;
use crate::record::LoadRecord;
use crate::report::figure;
use crate::sanitise::Page;
use crate::units::grouped;

/// Renewals of a load. Their time is in the response time of the requests that waited for them.
#[derive(Debug, Serialize)]
pub(super) struct RenewalFigures {
    per_s: f64,
    refreshed: u64,
    logged_in: u64,
    /// Logins after a refresh that was refused or had no answer.
    fell_back: u64,
    failed: u64,
    errors: BTreeMap<String, u64>,
    /// Requests that were refused because their credential had ended.
    refused: u64,
    waited: u64,
    /// Answers that changed the cookies of their user.
    rolled: u64,
    time_us: Distribution,
}

impl RenewalFigures {
    /// `None` where users do not renew.
    pub(super) fn new(load: &LoadRecord) -> Option<Self> {
        let renewals = load.renewals.as_ref()?;
        let seconds = load.counts.window_ns as f64 / 1e9;
        Some(Self {
            per_s: if seconds > 0.0 { renewals.renewed() as f64 / seconds } else { 0.0 },
            refreshed: renewals.refreshed,
            logged_in: renewals.logged_in,
            fell_back: renewals.fell_back,
            failed: renewals.failed,
            errors: renewals.errors.clone(),
            refused: renewals.refused,
            waited: renewals.waited,
            rolled: renewals.rolled,
            time_us: Distribution::new(&renewals.time),
        })
    }

    pub(super) fn add_counts(&self, page: &mut Page) {
        page.line(&format!(
            "  renewals     {}, {} refreshed, {} logged in again, {} failed",
            figure(self.per_s, "requests/s"),
            grouped(self.refreshed),
            grouped(self.logged_in),
            grouped(self.failed),
        ));
        page.line(&format!(
            "  ended        {} requests were refused for it, {} waited for a renewal",
            grouped(self.refused),
            grouped(self.waited),
        ));
        if self.fell_back > 0 {
            let fell_back = grouped(self.fell_back);
            page.line(&format!("  fell back    {fell_back} logins followed a refused refresh"));
        }
        if self.rolled > 0 {
            let rolled = grouped(self.rolled);
            page.line(&format!(
                "  rolled       {rolled} answers changed the cookies of their user"
            ));
        }
        for (class, count) in &self.errors {
            page.line(&format!("  not renewed  {class}: {}", grouped(*count)));
        }
    }

    /// Whether its row marks a guess.
    pub(super) fn guesses(&self) -> bool {
        self.row().is_some() && self.time_us.guesses()
    }

    /// How long renewals took, as a row of the times.
    pub(super) fn row(&self) -> Option<String> {
        let has_any = self.refreshed + self.logged_in > 0;
        has_any.then(|| format!("  {:<10} {}", "renewal", self.time_us.cells()))
    }
}
