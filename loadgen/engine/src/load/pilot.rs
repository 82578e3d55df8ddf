//! The open model whose rate is not known when the plan is made: a share of what a pilot of the
//! same block finds. So one plan is right on a fast machine and on a slow one, and still says
//! everything but a number that is measured, recorded, and the same for every arm.

use serde::{Deserialize, Serialize};

use super::Poisson;

/// Poisson arrivals at a share of a pilot's rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PilotShare {
    /// The share, percent.
    pub percent: u32,
}

impl PilotShare {
    /// The process once the pilot's rate is known, requests per second.
    pub fn of(self, pilot_per_s: f64) -> Poisson {
        Poisson { rate_per_s: pilot_per_s * f64::from(self.percent) / 100.0 }
    }
}
