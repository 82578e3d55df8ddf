//! The questions that a campaign asks of every arm, one file each. `campaign` starts the servers
//! and drives them; `report` makes estimates and pages. To add an experiment, write a file and a
//! line in [`EXPERIMENTS`].

mod capacity;
mod cart;
mod check;
mod concurrency;
pub mod context;
mod cores;
mod curve;
mod denylist;
mod expand;
mod expiry;
pub mod family;
mod judged;
mod load;
mod login;
mod memory;
pub mod metric;
mod population;
mod primary;
mod question;
mod registry;
mod replicas;
mod restart;
mod revocation;
mod rounds;
pub mod search;
mod sliding;
mod steady;

pub use expand::expand;
pub use judged::Judged;
pub use metric::{Better, METRICS, Metric};
pub use question::{
    Axis, Cell, Cells, ChartPlan, Experiment, Observation, Over, Summary, TablePlan,
};
pub use registry::{EXPERIMENTS, doubts, find};
pub use rounds::paces;
pub use steady::{Steadiness, steadiness};

/// Whether so many valid trials of a cell stand for all of them: two in three do.
pub const fn enough_valid(valid: usize, trials: usize) -> bool {
    valid > 0 && valid * 3 >= trials * 2
}

#[cfg(test)]
mod recorded;
#[cfg(test)]
mod sample;
