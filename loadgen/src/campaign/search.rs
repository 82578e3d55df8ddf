//! Carries out a search: one load after the other on the same server, as the search says.
//!
//! Every probe logs its users in anew and opens its connections anew, so that none inherits a queue
//! from the one before.

use super::trial::{Stage, measured_load};
use crate::error::Result;
use crate::experiment::search::{Next, judged, next};
use crate::plan::SearchPlan;
use crate::record::SearchRecord;

/// Looks for the highest rate that the server holds.
pub(super) fn search(stage: &Stage<'_>, plan: &SearchPlan) -> Result<SearchRecord> {
    let driver = stage.driver(&plan.journey, None)?;
    let mut record = SearchRecord::default();
    while let Next::Probe { load, seed, rate_rps, confirms } =
        next(plan, stage.seed, &record.probes)
    {
        // An interrupt during Measure is no error to a load; what came before it is no answer here.
        let load = measured_load(&driver, &load, seed, stage.server)?;
        if driver.interrupt.signal().is_some() {
            break;
        }
        record.probes.push(judged(plan, rate_rps, confirms, &load));
    }
    Ok(record)
}
