//! What the trials so far say, for a reader who watches a campaign before there is a report.

use std::collections::BTreeMap;

use crate::experiment::{self, Judged, METRICS, Metric};
use crate::record::{Doubt, TrialRecord};

/// Figures that are shown of a trial.
const FIGURES_MAX: usize = 3;

/// The last trial of each arm, and the worst doubt.
#[derive(Debug, Default)]
pub struct Latest {
    trials: BTreeMap<String, LastTrial>,
    worst: Option<Doubt>,
    invalid: usize,
    ended: usize,
}

/// What the last trial of an arm measured.
#[derive(Clone, Debug, PartialEq)]
pub struct LastTrial {
    /// Its experiment.
    pub experiment: String,
    /// Its level.
    pub level: u32,
    /// Its most important figures, those with the most users.
    pub figures: Vec<(&'static Metric, f64)>,
    /// Whether they may be used.
    pub valid: bool,
}

impl Latest {
    /// Takes in a trial that has ended.
    pub fn see(&mut self, record: &TrialRecord) {
        let judged = Judged::new(record);
        self.ended += 1;
        self.invalid += usize::from(!judged.valid);
        // A doubt that invalidates outlasts those that only warn; of equals the last one is shown.
        let keeps = |worst: &Doubt, doubt: &Doubt| worst.invalidates && !doubt.invalidates;
        for doubt in judged.doubts {
            if !self.worst.as_ref().is_some_and(|worst| keeps(worst, &doubt)) {
                self.worst = Some(doubt);
            }
        }
        let trial = &record.trial;
        let last = LastTrial {
            experiment: trial.experiment.clone(),
            level: trial.level,
            figures: figures(record),
            valid: judged.valid,
        };
        self.trials.insert(trial.name().to_string(), last);
    }

    /// The last trial of each arm, by the arm's name.
    pub fn trials(&self) -> impl Iterator<Item = (&str, &LastTrial)> {
        self.trials.iter().map(|(arm, last)| (arm.as_str(), last))
    }

    /// The worst doubt so far.
    pub fn worst(&self) -> Option<&Doubt> {
        self.worst.as_ref()
    }

    /// How many trials are invalid, and how many have ended.
    pub fn invalid(&self) -> (usize, usize) {
        (self.invalid, self.ended)
    }
}

/// The figures of the charts that answer its experiment; the metrics that readers ask for first
/// where that has no charts.
fn figures(record: &TrialRecord) -> Vec<(&'static Metric, f64)> {
    let Some(experiment) = experiment::find(&record.trial.experiment) else { return Vec::new() };
    let seen = experiment.observe(record);
    let top = |metric: &'static Metric| {
        let values = seen.iter().filter(|observation| observation.metric == metric);
        Some((metric, values.max_by_key(|observation| observation.users)?.value))
    };
    let charted = experiment.charts().iter().map(|chart| chart.metric);
    let asked_first = METRICS.iter().copied().filter(|metric| metric.is_key);
    let mut figures: Vec<(&Metric, f64)> = Vec::new();
    for (metric, value) in charted.chain(asked_first).filter_map(top) {
        if figures.len() < FIGURES_MAX && figures.iter().all(|(known, _)| *known != metric) {
            figures.push((metric, value));
        }
    }
    figures
}
