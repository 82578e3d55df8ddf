//! When requests arrive: arithmetic on a seed and a number, without clock, sleep or channel.
//!
//! A load model says when request n is due. The engine asks and obeys; what comes late is late by
//! the engine's fault and shows as schedule lag, because the plan does not move. Two models are
//! here: `closed`, a fixed number of users who each wait for the answer, and `constant`, arrivals
//! at a rate that answers cannot slow down (Schroeder, Wierman and Harchol-Balter, "Open versus
//! closed: a cautionary tale", NSDI 2006). Every figure is labelled with its model.

mod closed;
mod constant;

use serde::{Deserialize, Serialize};

pub use closed::Closed;
pub use constant::Constant;

/// When requests arrive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "model", rename_all = "snake_case")]
pub enum LoadModel {
    /// Users who send the next request after the answer and a think time.
    Closed(Closed),
    /// Arrivals at a constant rate.
    Constant(Constant),
}

impl LoadModel {
    /// What reports call the model, with its parameter.
    pub fn label(&self) -> String {
        match self {
            Self::Closed(Closed { think_ns: 0 }) => "closed, no think time".into(),
            Self::Closed(closed) => {
                format!("closed, think time {} ms", closed.think_ns / 1_000_000)
            }
            Self::Constant(constant) => format!("open, constant {}/s", constant.rate_per_s),
        }
    }

    /// Requests a second that are asked for; `None` for a closed model, which asks for none.
    pub fn offered_rps(&self) -> Option<f64> {
        match self {
            Self::Closed(_) => None,
            Self::Constant(constant) => Some(constant.rate_per_s),
        }
    }

    /// The part of the load that worker `worker` of `workers` carries.
    #[must_use]
    pub fn share(&self, worker: u32, workers: u32) -> Share {
        match self {
            Self::Closed(closed) => Share::Closed(*closed),
            Self::Constant(constant) => Share::Open { all: *constant, worker, workers },
        }
    }
}

/// The part of a load that one worker carries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Share {
    /// The worker's own users, who wait for their answers.
    Closed(Closed),
    /// Every `workers`-th arrival.
    Open {
        /// The whole schedule.
        all: Constant,
        /// This worker.
        worker: u32,
        /// How many there are.
        workers: u32,
    },
}

impl Share {
    /// When this worker's arrival `i` is due, ns after the start; `None` for a closed model.
    pub fn arrival_ns(&self, i: u64) -> Option<u64> {
        match self {
            Self::Closed(_) => None,
            Self::Open { all, worker, workers } => {
                Some(all.arrival_ns(i * u64::from(*workers) + u64::from(*worker)))
            }
        }
    }

    /// The think time before the next request, ns; 0 for an open model.
    pub const fn think_ns(&self) -> u64 {
        match self {
            Self::Closed(closed) => closed.think_ns,
            Self::Open { .. } => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_of_the_workers_make_up_the_whole_schedule() {
        let constant = Constant { rate_per_s: 333.0 };
        let model = LoadModel::Constant(constant);
        let mut shared: Vec<u64> = (0..3)
            .flat_map(|worker| {
                let share = model.share(worker, 3);
                (0..50).map(move |i| share.arrival_ns(i).unwrap())
            })
            .collect();
        shared.sort_unstable();
        let whole: Vec<u64> = (0..150).map(|n| constant.arrival_ns(n)).collect();
        assert_eq!(shared, whole);
    }
}
