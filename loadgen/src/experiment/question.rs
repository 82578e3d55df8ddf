//! What an experiment is: a question, how it is asked, and what a trial answers.

use super::Metric;
use crate::error::Result;
use crate::plan::{Action, TrialPlan};
use crate::record::{Doubt, TrialRecord};
use crate::spec::Spec;
use crate::stats::{Estimate, Resampled};
use crate::units::{counted, grouped};

/// A question, how it is asked, and what an answer says.
///
/// It is two pure functions. [`Experiment::expand`] turns its table in the campaign file into
/// cells: an arm, a level and a list of actions. [`Experiment::observe`] turns the record of one
/// trial into values of metrics.
pub trait Experiment: Sync {
    /// Its name, which is that of its table in a campaign file.
    fn name(&self) -> &'static str;

    /// The question, for a heading.
    fn question(&self) -> &'static str;

    /// How it is asked, a sentence for the report.
    fn method(&self) -> &'static str;

    /// The charts that show the answer.
    fn charts(&self) -> &'static [ChartPlan];

    /// The tables that show the answer, one row per arm; if empty, those that follow from the
    /// metrics.
    fn tables(&self) -> &'static [TablePlan] {
        &[]
    }

    /// The trials of one block, and how many blocks there are.
    ///
    /// # Errors
    /// `Config` when its table in the campaign file is malformed or asks for nonsense.
    fn expand(&self, spec: &Spec) -> Result<Cells>;

    /// Whether trials of it can measure a metric, with some table and some arm. What its charts and
    /// tables show is measured; beyond that, each experiment says for itself.
    fn measures(&self, metric: &Metric) -> bool {
        let in_tables = self.tables().iter().flat_map(|table| table.metrics);
        let in_charts = self.charts().iter().map(|chart| &chart.metric);
        in_tables.chain(in_charts).any(|shown| **shown == *metric)
    }

    /// What the campaign file would have to say for these trials, which are all that it plans for
    /// one arm, to measure at a level a metric that the experiment can measure; `None` where they
    /// do.
    fn needs(&self, _metric: &Metric, _trials: &[&TrialPlan], _level: u32) -> Option<&'static str> {
        None
    }

    /// What one trial measured.
    fn observe(&self, record: &TrialRecord) -> Vec<Observation>;

    /// What the valid trials of one arm say together and none of them alone, such as the parameters
    /// of a law; it takes the place of what single trials say of the same metric. `blocks` is how
    /// often the plan runs each cell, and `seed` is the plan's.
    fn summarise(&self, _trials: &[&TrialRecord], _blocks: u32, _seed: u64) -> Vec<Summary> {
        Vec::new()
    }

    /// What makes one trial's figures doubtful.
    fn doubts(&self, record: &TrialRecord) -> Vec<Doubt>;

    /// What happened in one trial that is no figure: clauses that begin with a verb, whose subject
    /// is the arm. The same words in several trials are told once.
    fn remarks(&self, _record: &TrialRecord) -> Vec<String> {
        Vec::new()
    }

    /// What the valid trials of one arm say together that is no figure: clauses as in `remarks`,
    /// such as that a law does not hold. Its arguments are those of `summarise`.
    fn conclusions(&self, _trials: &[&TrialRecord], _blocks: u32, _seed: u64) -> Vec<String> {
        Vec::new()
    }

    /// What its figures are kept apart by in addition to users, which is the level of their trials;
    /// `None` where the level is the number of users, or nothing.
    fn axis(&self) -> Option<Axis> {
        None
    }

    /// Whether its users may make a mix of journeys in place of GET /me.
    fn mixes(&self) -> bool {
        false
    }

    /// Whether its figures are told apart by the level of their trials. Where they are not, the
    /// name of a metric says what a level would.
    fn has_levels(&self) -> bool {
        true
    }

    /// What a level of its trials is, for the list of what would run.
    fn level(&self, level: u32) -> String {
        match level {
            0 => "all levels in one trial".into(),
            users => counted(users.into(), "user"),
        }
    }

    /// What stands for a level in the column of its axis.
    fn level_cell(&self, level: u32) -> String {
        grouped(level.into())
    }
}

/// A sweep of something else than users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    /// Head of its column.
    pub label: &'static str,
    /// What follows its number in a sentence; empty where [`Experiment::level`] says it all.
    pub noun: &'static str,
    /// What is said in place of the number 0; empty where that is the ordinary case.
    pub at_zero: &'static str,
}

/// A chart of one metric over a level, a line for every arm.
#[derive(Clone, Copy, Debug)]
pub struct ChartPlan {
    /// The metric on the vertical axis.
    pub metric: &'static Metric,
    /// Heading.
    pub title: &'static str,
    /// What lies along it.
    pub over: Over,
    /// What that is, with its unit.
    pub x_label: &'static str,
    /// Whether levels are spaced by their ratios.
    pub x_log: bool,
    /// Whether values are spaced by their ratios.
    pub y_log: bool,
}

/// What a chart is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// Users who were logged in.
    Users,
    /// The experiment's own axis.
    Level,
}

/// A table of some metrics side by side.
#[derive(Clone, Copy, Debug)]
pub struct TablePlan {
    /// Heading.
    pub title: &'static str,
    /// How to read it, a sentence or two.
    pub note: &'static str,
    /// The metrics that are its columns.
    pub metrics: &'static [&'static Metric],
}

/// The trials of one block.
#[derive(Clone, Debug)]
pub struct Cells {
    /// How often each cell is run, each time on a fresh server.
    pub blocks: u32,
    /// The cells of one block.
    pub cells: Vec<Cell>,
}

impl Cells {
    /// So many blocks of a cell for every arm at every level of a sweep.
    pub(super) fn of_every_arm<L>(
        spec: &Spec,
        blocks: u32,
        levels: &[L],
        cell: impl Fn(&String, &L) -> Cell,
    ) -> Self {
        let mut cells = Vec::with_capacity(spec.arms.len() * levels.len());
        for arm in &spec.arms {
            cells.extend(levels.iter().map(|level| cell(arm, level)));
        }
        Self { blocks, cells }
    }
}

/// One trial of a block.
#[derive(Clone, Debug)]
pub struct Cell {
    /// The arm that is served.
    pub arm: String,
    /// The point of the sweep; 0 where nothing is swept.
    pub level: u32,
    /// Further arguments of `authbench serve`.
    pub server: Vec<String>,
    /// What is done, in order.
    pub actions: Vec<Action>,
}

/// One value that a trial measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation {
    /// Users who were logged in; `None` for a figure of all levels, such as a slope.
    pub users: Option<u64>,
    /// Connections that carried the load.
    pub connections: u32,
    /// The rate that was asked for, requests per second.
    pub rate: Option<f64>,
    /// The metric.
    pub metric: &'static Metric,
    /// Its value.
    pub value: f64,
}

/// A figure that all trials of an arm give together.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Level of the trials, where the experiment has an axis.
    pub level: Option<u32>,
    /// Users who were logged in; `None` for a figure of all levels.
    pub users: Option<u64>,
    /// The most connections that carried a load.
    pub connections: u32,
    /// The metric.
    pub metric: &'static Metric,
    /// The figure.
    pub estimate: Estimate,
    /// Its values in campaigns drawn anew, where it has none in a single trial; their logarithms
    /// where the metric is compared as a ratio.
    pub resampled: Option<Resampled>,
}
