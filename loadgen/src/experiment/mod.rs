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
mod failover;
pub mod family;
mod judged;
mod load;
mod login;
mod memory;
pub mod metric;
mod mix;
mod population;
mod primary;
mod question;
mod registry;
mod renewal;
mod replicas;
mod restart;
mod revocation;
mod rounds;
pub mod search;
mod sliding;
mod steady;
mod wire;

pub use expand::expand;
pub use judged::Judged;
pub use metric::{Better, METRICS, Metric};
pub use mix::{mix_in_words, mix_of};
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_measured_and_every_experiment_measures_what_it_shows() {
        for metric in METRICS {
            let measured = EXPERIMENTS.iter().any(|experiment| experiment.measures(metric));
            assert!(measured, "no experiment measures {metric}");
        }
        for experiment in EXPERIMENTS {
            let in_tables = experiment.tables().iter().flat_map(|table| table.metrics);
            let in_charts = experiment.charts().iter().map(|chart| &chart.metric);
            for metric in in_tables.chain(in_charts) {
                assert!(experiment.measures(metric), "{}: {metric}", experiment.name());
            }
            assert!(METRICS.iter().any(|metric| !experiment.measures(metric)));
        }
    }
}
