//! When requests arrive: arithmetic on a seed and a number, without clock, sleep or channel.

mod choice;
mod closed;
mod constant;
mod pilot;
mod poisson;
mod stages;
mod visits;

use serde::{Deserialize, Serialize};

use crate::random::mix;
pub use choice::UserChoice;
pub use closed::{Closed, Spread};
pub use constant::Constant;
pub use pilot::PilotShare;
pub use poisson::Poisson;
pub use stages::{Stage, Stages};
pub use visits::Visits;

/// Seed of the arrivals of a load, apart from its other draws.
const ARRIVAL_DRAWS: u64 = 1;

/// When requests arrive.
///
/// A load model says when request n is due. The engine asks and obeys; what comes late is late by
/// the engine's fault and shows as schedule lag, because the plan does not move. `closed` is a
/// fixed number of users who each wait for the answer; `constant`, `poisson` and `stages` are
/// arrivals that answers cannot slow down; `visits` are users who come and go (Schroeder, Wierman
/// and Harchol-Balter, "Open versus closed: a cautionary tale", NSDI 2006). Every figure is
/// labelled with its model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "model", rename_all = "snake_case")]
pub enum LoadModel {
    /// Users who send the next request after the answer and a think time.
    Closed(Closed),
    /// Arrivals at a constant rate.
    Constant(Constant),
    /// Arrivals of a Poisson process.
    Poisson(Poisson),
    /// Arrivals of a Poisson process at a share of a rate that is found first.
    PilotShare(PilotShare),
    /// Arrivals at a rate that changes in stages.
    Stages(Stages),
    /// Users who arrive at a rate, stay for some requests and leave.
    Visits(Visits),
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
            Self::PilotShare(share) => format!("open, Poisson {} % of the pilot", share.percent),
            Self::Stages(stages) => {
                let ends: Vec<_> =
                    stages.stages.iter().map(|stage| format!("{}/s", stage.rate_per_s)).collect();
                format!("open, ramp 0/s to {}", ends.join(" to "))
            }
            Self::Visits(visits) => {
                let arrive = if visits.random { "at random" } else { "evenly" };
                let think = match (visits.think_ns as f64 / 1e6, visits.spread) {
                    (0.0, _) => "no think time".into(),
                    (ms, Spread::Fixed) => format!("think time {ms} ms"),
                    (ms, Spread::Exponential) => format!("exponential think time of {ms} ms"),
                };
                format!(
                    "partly open, {} users/s {arrive}, {} requests each, {think}",
                    visits.rate_per_s, visits.requests
                )
            }
        }
    }

    /// Mean requests per second that are asked for; `None` for a model in which that depends on the
    /// answers, or on what a pilot finds.
    pub fn offered_rps(&self) -> Option<f64> {
        match self {
            Self::Closed(_) | Self::Visits(_) | Self::PilotShare(_) => None,
            Self::Constant(constant) => Some(constant.rate_per_s),
            Self::Poisson(poisson) => Some(poisson.rate_per_s),
            Self::Stages(stages) => Some(stages.mean_per_s()),
        }
    }

    /// Whether something arrives whatever the answers do.
    pub const fn is_open(&self) -> bool {
        !matches!(self, Self::Closed(_))
    }
}

/// The arrivals of an open model, in order: a function of the model and the seed.
#[derive(Clone, Debug)]
pub struct Arrivals {
    model: LoadModel,
    seed: u64,
    taken: u64,
    due_ns: Option<f64>,
}

impl Arrivals {
    /// All arrivals of this model. A closed one has none.
    pub fn new(model: &LoadModel, seed: u64) -> Self {
        let model = match model {
            LoadModel::Visits(Visits { rate_per_s, random: true, .. }) => {
                LoadModel::Poisson(Poisson { rate_per_s: *rate_per_s })
            }
            LoadModel::Visits(Visits { rate_per_s, random: false, .. }) => {
                LoadModel::Constant(Constant { rate_per_s: *rate_per_s })
            }
            other => other.clone(),
        };
        let mut arrivals = Self { model, seed, taken: 0, due_ns: Some(0.0) };
        arrivals.due_ns = arrivals.due_of_next();
        arrivals
    }

    /// The arrivals of a load that is run with this seed.
    pub fn of_load(model: &LoadModel, seed: u64) -> Self {
        Self::new(model, mix(seed, ARRIVAL_DRAWS))
    }

    /// The length of a window that begins at `from_ns` and holds the next `count` arrivals, and no
    /// more, ns; `None` where it would exceed `most_ns`.
    pub fn window_ns(mut self, from_ns: u64, count: u32, most_ns: u64) -> Option<u64> {
        while self.due_ns()? < from_ns {
            self.take();
        }
        for _ in 0..count {
            self.take();
            let is_within = self.due_ns()? - from_ns <= most_ns;
            is_within.then_some(())?;
        }
        Some(self.due_ns()? - from_ns)
    }

    /// When the next arrival is due, ns after the start; `None` after the last one.
    pub fn due_ns(&self) -> Option<u64> {
        self.due_ns.map(|ns| ns as u64)
    }

    /// How many have been taken, which is the number of the next.
    pub const fn taken(&self) -> u64 {
        self.taken
    }

    /// Takes the next arrival.
    pub fn take(&mut self) {
        self.taken += 1;
        self.due_ns = self.due_of_next();
    }

    fn due_of_next(&self) -> Option<f64> {
        let n = self.taken;
        match &self.model {
            LoadModel::Closed(_) | LoadModel::Visits(_) | LoadModel::PilotShare(_) => None,
            LoadModel::Constant(constant) => Some(constant.arrival_ns(n) as f64),
            LoadModel::Poisson(poisson) => Some(self.due_ns? + poisson.gap_ns(self.seed, n)),
            LoadModel::Stages(stages) => stages.arrival_ns(n).map(|ns| ns as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn first(model: &LoadModel, seed: u64, count: usize) -> Vec<u64> {
        let mut arrivals = Arrivals::new(model, seed);
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
    fn a_poisson_process_has_its_rate() {
        let model = LoadModel::Poisson(Poisson { rate_per_s: 2000.0 });
        let due = first(&model, 1, 30_000);
        let within = due.iter().filter(|ns| **ns < 10_000_000_000).count();
        assert!((19_500..20_500).contains(&within), "{within}");
    }

    #[test]
    fn visitors_arrive_as_requests_of_the_same_rate_do() {
        let visits = Visits {
            rate_per_s: 50.0,
            random: false,
            requests: 3,
            think_ns: 0,
            spread: Spread::Fixed,
        };
        let constant = LoadModel::Constant(Constant { rate_per_s: 50.0 });
        assert_eq!(first(&LoadModel::Visits(visits), 1, 100), first(&constant, 1, 100));
        let poisson = LoadModel::Poisson(Poisson { rate_per_s: 50.0 });
        let random = LoadModel::Visits(Visits { random: true, ..visits });
        assert_eq!(first(&random, 1, 100), first(&poisson, 1, 100));
        assert_eq!(random.offered_rps(), None);
    }

    #[test]
    fn a_window_can_hold_just_so_many_arrivals() {
        let (from_ns, most_ns) = (300_000_000, 60_000_000_000);
        for model in [
            LoadModel::Constant(Constant { rate_per_s: 700.0 }),
            LoadModel::Poisson(Poisson { rate_per_s: 700.0 }),
        ] {
            let length = Arrivals::of_load(&model, 7).window_ns(from_ns, 1000, most_ns).unwrap();
            let mut arrivals = Arrivals::of_load(&model, 7);
            let mut within = 0;
            while let Some(due) = arrivals.due_ns().filter(|due| *due < from_ns + length) {
                within += u32::from(due >= from_ns);
                arrivals.take();
            }
            assert_eq!(within, 1000, "{model:?}");
            assert_eq!(Arrivals::of_load(&model, 7).window_ns(from_ns, 100_000, most_ns), None);
        }
    }

    #[test]
    fn a_stage_without_a_rate_has_no_arrivals_and_one_without_length_jumps() {
        let stage = |rate_per_s, ms: u64| Stage { rate_per_s, length_ns: ms * 1_000_000 };
        let due = |stages: &[Stage]| {
            first(&LoadModel::Stages(Stages { stages: stages.to_vec() }), 1, 1000)
        };
        assert!(due(&[stage(0.0, 1000)]).is_empty());
        let after_a_pause = due(&[stage(0.0, 1000), stage(100.0, 1000), stage(0.0, 1000)]);
        assert_eq!((after_a_pause.len(), after_a_pause[0]), (100, 1_000_000_000));
        let at_once = due(&[stage(100.0, 0), stage(100.0, 1000)]);
        assert_eq!((at_once.len(), at_once[1]), (100, 10_000_000));
    }

    #[test]
    fn a_closed_model_has_no_arrivals() {
        let closed = LoadModel::Closed(Closed::without_thinking());
        assert_eq!(Arrivals::new(&closed, 1).due_ns(), None);
    }

    proptest! {
        #[test]
        fn arrivals_come_in_order_and_depend_on_the_seed_alone(
            seed: u64,
            rate in 0.1f64..1e6,
            stages in prop::collection::vec((0.0f64..1e4, 0u64..20_000_000_000), 1..5),
        ) {
            let stages = stages
                .into_iter()
                .map(|(rate_per_s, length_ns)| Stage { rate_per_s, length_ns })
                .collect();
            for model in [
                LoadModel::Constant(Constant { rate_per_s: rate }),
                LoadModel::Poisson(Poisson { rate_per_s: rate }),
                LoadModel::Stages(Stages { stages }),
            ] {
                let due = first(&model, seed, 100);
                prop_assert!(due.windows(2).all(|pair| pair[0] <= pair[1]));
                prop_assert_eq!(&due, &first(&model, seed, 100));
                if let LoadModel::Stages(stages) = &model {
                    prop_assert!(due.iter().all(|ns| *ns <= stages.length_ns()));
                } else {
                    prop_assert_eq!(due.len(), 100);
                }
            }
        }
    }
}
