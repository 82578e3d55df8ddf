//! When requests arrive: arithmetic on a seed and a number, without clock, sleep or channel.
//!
//! A load model says when request n is due. The engine asks and obeys; what comes late is late by
//! the engine's fault and shows as schedule lag, because the plan does not move. `closed` is a
//! fixed number of users who each wait for the answer; `constant`, `poisson` and `stages` are
//! arrivals that answers cannot slow down (Schroeder, Wierman and Harchol-Balter, "Open versus
//! closed: a cautionary tale", NSDI 2006). Every figure is labelled with its model.

mod choice;
mod closed;
mod constant;
mod poisson;
mod stages;

use serde::{Deserialize, Serialize};

pub use choice::UserChoice;
pub use closed::{Closed, Spread};
pub use constant::Constant;
pub use poisson::Poisson;
pub use stages::{Stage, Stages};

use crate::random::mix;

/// When requests arrive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "model", rename_all = "snake_case")]
pub enum LoadModel {
    /// Users who send the next request after the answer and a think time.
    Closed(Closed),
    /// Arrivals at a constant rate.
    Constant(Constant),
    /// Arrivals of a Poisson process.
    Poisson(Poisson),
    /// Arrivals at a rate that changes in stages.
    Stages(Stages),
}

impl LoadModel {
    /// What reports call the model, with its parameter.
    pub fn label(&self) -> String {
        match self {
            Self::Closed(Closed { think_ns: 0, .. }) => "closed, no think time".into(),
            Self::Closed(closed) => {
                let ms = closed.think_ns as f64 / 1e6;
                match closed.spread {
                    Spread::Fixed => format!("closed, think time {ms} ms"),
                    Spread::Exponential => format!("closed, exponential think time of {ms} ms"),
                }
            }
            Self::Constant(constant) => format!("open, constant {}/s", constant.rate_per_s),
            Self::Poisson(poisson) => format!("open, Poisson {}/s", poisson.rate_per_s),
            Self::Stages(stages) => {
                let ends: Vec<_> =
                    stages.stages.iter().map(|stage| format!("{}/s", stage.rate_per_s)).collect();
                format!("open, ramp 0/s to {}", ends.join(" to "))
            }
        }
    }

    /// Mean requests a second that are asked for; `None` for a closed model, which asks for none.
    pub fn offered_rps(&self) -> Option<f64> {
        match self {
            Self::Closed(_) => None,
            Self::Constant(constant) => Some(constant.rate_per_s),
            Self::Poisson(poisson) => Some(poisson.rate_per_s),
            Self::Stages(stages) => Some(stages.mean_per_s()),
        }
    }
}

/// The arrivals of an open model that one worker carries, in order. Those of all workers together
/// are the model's.
#[derive(Clone, Debug)]
pub struct Arrivals {
    model: LoadModel,
    seed: u64,
    worker: u64,
    workers: u64,
    taken: u64,
    due_ns: Option<f64>,
}

impl Arrivals {
    /// Arrivals of worker `worker` of `workers`.
    pub fn new(model: &LoadModel, seed: u64, worker: u32, workers: u32) -> Self {
        let model = match model {
            // Independent processes of a share of the rate each make up one of the whole rate.
            LoadModel::Poisson(Poisson { rate_per_s }) => {
                LoadModel::Poisson(Poisson { rate_per_s: rate_per_s / f64::from(workers) })
            }
            other => other.clone(),
        };
        let (worker, workers) = (u64::from(worker), u64::from(workers));
        let seed = mix(seed, worker);
        let mut arrivals = Self { model, seed, worker, workers, taken: 0, due_ns: Some(0.0) };
        arrivals.due_ns = arrivals.due_of_next();
        arrivals
    }

    /// When the next arrival is due, ns after the start; `None` when there is none.
    pub fn due_ns(&self) -> Option<u64> {
        self.due_ns.map(|ns| ns as u64)
    }

    /// How many have been taken.
    pub const fn taken(&self) -> u64 {
        self.taken
    }

    /// Takes the next arrival.
    pub fn take(&mut self) {
        self.taken += 1;
        self.due_ns = self.due_of_next();
    }

    fn due_of_next(&self) -> Option<f64> {
        let n = self.taken * self.workers + self.worker;
        match &self.model {
            LoadModel::Closed(_) => None,
            LoadModel::Constant(constant) => Some(constant.arrival_ns(n) as f64),
            LoadModel::Poisson(poisson) => {
                Some(self.due_ns? + poisson.gap_ns(self.seed, self.taken))
            }
            LoadModel::Stages(stages) => stages.arrival_ns(n).map(|ns| ns as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn first(model: &LoadModel, seed: u64, worker: u32, workers: u32, count: usize) -> Vec<u64> {
        let mut arrivals = Arrivals::new(model, seed, worker, workers);
        let mut due = Vec::new();
        while due.len() < count
            && let Some(ns) = arrivals.due_ns()
        {
            due.push(ns);
            arrivals.take();
        }
        due
    }

    #[test]
    fn the_shares_of_the_workers_make_up_the_whole_schedule() {
        let stage = Stage { rate_per_s: 100.0, length_ns: 2_000_000_000 };
        for model in [
            LoadModel::Constant(Constant { rate_per_s: 333.0 }),
            LoadModel::Stages(Stages { stages: vec![stage, stage] }),
        ] {
            let mut shared: Vec<u64> =
                (0..3).flat_map(|worker| first(&model, 1, worker, 3, 50)).collect();
            shared.sort_unstable();
            assert_eq!(shared, first(&model, 1, 0, 1, 150), "{model:?}");
        }
    }

    #[test]
    fn the_shares_of_a_poisson_process_have_its_rate_and_differ() {
        let model = LoadModel::Poisson(Poisson { rate_per_s: 1000.0 });
        let within = |due: &[u64]| due.iter().filter(|ns| **ns < 10_000_000_000).count();
        let of = |worker| first(&model, 1, worker, 2, 20_000);
        let (one, two) = (of(0), of(1));
        assert_ne!(one[..10], two[..10]);
        let total = within(&one) + within(&two);
        assert!((9_700..10_300).contains(&total), "{total}");
    }

    #[test]
    fn a_closed_model_has_no_arrivals() {
        let closed = LoadModel::Closed(Closed::without_thinking());
        assert_eq!(Arrivals::new(&closed, 1, 0, 1).due_ns(), None);
    }

    proptest! {
        #[test]
        fn arrivals_come_in_order_and_depend_on_the_seed_alone(
            seed: u64,
            rate in 0.1f64..1e6,
            workers in 1u32..5,
        ) {
            for model in [
                LoadModel::Constant(Constant { rate_per_s: rate }),
                LoadModel::Poisson(Poisson { rate_per_s: rate }),
            ] {
                let due = first(&model, seed, workers - 1, workers, 100);
                prop_assert_eq!(due.len(), 100);
                prop_assert!(due.windows(2).all(|pair| pair[0] <= pair[1]));
                prop_assert_eq!(due, first(&model, seed, workers - 1, workers, 100));
            }
        }
    }
}
