//! The questions that a campaign asks of every arm, one file each.
//!
//! An experiment is two pure functions. [`Experiment::expand`] turns its table in the campaign file
//! into cells: an arm, a level and a list of actions. [`Experiment::observe`] turns the record of
//! one trial into values of metrics. What lies between, starting servers and driving them, is the
//! same for all and belongs to `campaign`; what follows, estimates and pages, to `report`. To add
//! one, write a file and a line in [`EXPERIMENTS`].

mod memory;
mod metric;
mod scaling;

pub use metric::{Better, METRICS, Metric, metric};

use crate::error::{Error, Result};
use crate::plan::{Action, PLAN_SCHEMA, Plan, TrialPlan, trial_seed};
use crate::random::shuffle;
use crate::record::{Doubt, TrialRecord};
use crate::spec::Spec;

/// Every experiment there is.
pub const EXPERIMENTS: &[&dyn Experiment] = &[&scaling::Scaling, &memory::Memory];

/// A question, how it is asked, and what an answer says.
pub trait Experiment: Sync {
    /// Its name, which is that of its table in a campaign file.
    fn name(&self) -> &'static str;

    /// The question, for a heading.
    fn question(&self) -> &'static str;

    /// How it is asked, a sentence for the report.
    fn method(&self) -> &'static str;

    /// The charts that show the answer.
    fn charts(&self) -> &'static [ChartPlan];

    /// The trials of one block, and how many blocks there are.
    ///
    /// # Errors
    /// `Config` when its table in the campaign file is malformed or asks for nonsense.
    fn expand(&self, spec: &Spec) -> Result<Cells>;

    /// What one trial measured.
    fn observe(&self, record: &TrialRecord) -> Vec<Observation>;

    /// What makes one trial's figures doubtful.
    fn doubts(&self, record: &TrialRecord) -> Vec<Doubt>;
}

/// A chart of one metric over a level, a line for every arm.
#[derive(Clone, Copy, Debug)]
pub struct ChartPlan {
    /// The metric on the vertical axis.
    pub metric: &'static str,
    /// Heading.
    pub title: &'static str,
    /// What the level is, with its unit.
    pub x_label: &'static str,
    /// Whether levels are spaced by their ratios.
    pub x_log: bool,
    /// Whether values are spaced by their ratios.
    pub y_log: bool,
}

/// The trials of one block.
#[derive(Clone, Debug)]
pub struct Cells {
    /// How often each cell is run, each time on a fresh server.
    pub blocks: u32,
    /// The cells of one block.
    pub cells: Vec<Cell>,
}

/// One trial of a block.
#[derive(Clone, Debug)]
pub struct Cell {
    /// The arm that is served.
    pub arm: String,
    /// The point of the sweep; 0 where there is none.
    pub level: u32,
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
    /// The rate that was asked for, requests a second.
    pub rate: Option<f64>,
    /// Name of the metric.
    pub metric: &'static str,
    /// Its value.
    pub value: f64,
}

/// Whether so many valid trials of a cell stand for all of them: two in three do.
pub const fn enough_valid(valid: usize, trials: usize) -> bool {
    valid > 0 && valid * 3 >= trials * 2
}

/// The experiment of this name.
pub fn find(name: &str) -> Option<&'static dyn Experiment> {
    EXPERIMENTS.iter().copied().find(|experiment| experiment.name() == name)
}

/// Makes the plan of a campaign: every experiment's cells, block after block, each block in an
/// order of its own that depends on the seed alone, so that drift hits every arm alike. Within a
/// block the arms of a level follow each other: what is compared is measured in the same minute.
///
/// # Errors
/// `Config` when the spec asks for an unknown experiment or for nonsense.
pub fn expand(spec: &Spec) -> Result<Plan> {
    let mut trials = Vec::new();
    for name in &spec.experiments {
        let experiment = find(name).ok_or_else(|| {
            let known: Vec<_> = EXPERIMENTS.iter().map(|e| format!("[{}]", e.name())).collect();
            spec.refuse(format!(
                "expected an experiment among {}, found `{name}`",
                known.join(", ")
            ))
        })?;
        let Cells { blocks, cells } = experiment.expand(spec)?;
        if !(1..=1000).contains(&blocks) {
            return Err(spec.refuse(format!("[{name}]: expected 1 to 1000 blocks, found {blocks}")));
        }
        for block in 0..blocks {
            for cell in ordered(spec.seed, name, block, &cells) {
                trials.push(TrialPlan {
                    index: trials.len() as u32,
                    experiment: name.clone(),
                    arm: cell.arm.clone(),
                    block,
                    level: cell.level,
                    seed: trial_seed(spec.seed, name, &cell.arm, cell.level, block),
                    actions: cell.actions.clone(),
                });
            }
        }
    }
    Ok(Plan {
        schema: PLAN_SCHEMA,
        name: spec.name.clone(),
        again: again(spec),
        seed: spec.seed,
        arms: spec.arms.clone(),
        baseline: spec.baseline.clone(),
        reference: spec.reference.clone(),
        experiments: spec.experiments.clone(),
        trials,
    })
}

/// The cells of one block in their order: levels shuffled, and the arms of each.
fn ordered<'a>(seed: u64, name: &str, block: u32, cells: &'a [Cell]) -> Vec<&'a Cell> {
    let mut levels: Vec<u32> = cells.iter().map(|cell| cell.level).collect();
    levels.sort_unstable();
    levels.dedup();
    shuffle(&mut levels, trial_seed(seed, name, "levels", 0, block));
    let of_level = |level: u32| {
        let mut arms: Vec<&Cell> = cells.iter().filter(|cell| cell.level == level).collect();
        shuffle(&mut arms, trial_seed(seed, name, "arms", level, block));
        arms
    };
    levels.into_iter().flat_map(of_level).collect()
}

/// Arguments that make the same plan of the same campaign file.
fn again(spec: &Spec) -> Vec<String> {
    let mut arguments = vec![spec.origin.clone(), "--arms".into(), spec.arms.join(",")];
    if let Some(users) = &spec.users {
        let users: Vec<_> = users.iter().map(ToString::to_string).collect();
        arguments.extend(["--users".into(), users.join(",")]);
    }
    arguments.extend(["--seed".into(), spec.seed.to_string()]);
    arguments
}

/// Levels of a sweep as a human wrote them: at least `least`, each within `range`, made ascending.
fn levels(
    spec: &Spec,
    table: &str,
    field: &str,
    mut levels: Vec<u32>,
    least: usize,
    range: std::ops::RangeInclusive<u32>,
) -> Result<Vec<u32>, Error> {
    levels.sort_unstable();
    levels.dedup();
    if levels.len() < least {
        return Err(spec.refuse(format!(
            "[{table}] {field}: expected at least {least} different levels, found {}",
            levels.len()
        )));
    }
    if let Some(wrong) = levels.iter().find(|level| !range.contains(level)) {
        return Err(spec.refuse(format!(
            "[{table}] {field}: expected levels from {} to {}, found {wrong}",
            range.start(),
            range.end()
        )));
    }
    Ok(levels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Overrides;

    fn plan(text: &str) -> Result<Plan> {
        expand(&Spec::parse("t.toml", text, Overrides::default())?)
    }

    #[test]
    fn every_block_has_every_cell_once_in_an_order_of_its_own() {
        let text = "name='t'\narms=['none','a','b']\n[scaling]\nusers=[1,10]\nblocks=6\n";
        let plan = plan(text).unwrap();
        assert_eq!(plan.trials.len(), 36);
        let orders: Vec<Vec<(String, u32)>> = plan
            .trials
            .chunks(6)
            .map(|block| block.iter().map(|t| (t.arm.clone(), t.level)).collect())
            .collect();
        for order in &orders {
            let mut cells = order.clone();
            cells.sort();
            cells.dedup();
            assert_eq!(cells.len(), 6);
        }
        type Order = [(String, u32)];
        let levels = |order: &Order| order.iter().map(|cell| cell.1).collect::<Vec<_>>();
        let arms = |order: &Order| order[..3].iter().map(|cell| cell.0.clone()).collect::<Vec<_>>();
        for order in &orders {
            let of = levels(order);
            assert!(of[..3].iter().all(|level| *level == of[0]), "arms of a level stay together");
        }
        assert!(orders.windows(2).any(|pair| levels(&pair[0]) != levels(&pair[1])));
        assert!(orders.windows(2).any(|pair| arms(&pair[0]) != arms(&pair[1])));
        assert!(plan.trials.iter().enumerate().all(|(i, t)| t.index as usize == i));
    }

    #[test]
    fn the_same_seed_makes_the_same_plan() {
        let quick = |seed| {
            let overrides = Overrides { seed: Some(seed), ..Overrides::default() };
            expand(&Spec::load("quick", overrides).unwrap()).unwrap()
        };
        assert_eq!(quick(4).hash(), quick(4).hash());
        assert_ne!(quick(4).hash(), quick(5).hash());
    }

    #[test]
    fn quick_is_planned_for_under_two_minutes() {
        let spec = Spec::load("quick", Overrides::default()).unwrap();
        assert!(expand(&spec).unwrap().expected_ms() < 110_000);
    }

    #[test]
    fn nonsense_is_refused_with_its_place() {
        for (tables, part) in [
            ("[nope]\n", "found `nope`"),
            ("[scaling]\nusers=[]\n", "[scaling] users"),
            ("[scaling]\nusers=[0]\n", "found 0"),
            ("[scaling]\nusers=[1]\nblocks=0\n", "blocks"),
            ("[scaling]\nusers=[1]\nmeasure='0s'\n", "measure"),
            ("[scaling]\nuser=[1]\n", "line 4"),
            ("[scaling]\nusers=[1]\nwarmup='-1s'\n", "line 5"),
            ("[memory]\nsessions=[0,1]\n", "at least 5"),
            ("[memory]\nsessions=[0,10,20,30,40]\n", "at least 5"),
        ] {
            let text = format!("name='t'\narms=['none']\n{tables}");
            let error = plan(&text).unwrap_err();
            assert!(error.to_string().contains(part), "{tables}: {error}");
            assert_eq!(error.exit_code(), 2);
        }
    }
}
