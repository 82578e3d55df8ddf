//! The questions that a campaign asks of every arm, one file each.
//!
//! An experiment is two pure functions. [`Experiment::expand`] turns its table in the campaign file
//! into cells: an arm, a level and a list of actions. [`Experiment::observe`] turns the record of
//! one trial into values of metrics. What lies between, starting servers and driving them, is the
//! same for all and belongs to `campaign`; what follows, estimates and pages, to `report`. To add
//! one, write a file and a line in [`EXPERIMENTS`].

mod capacity;
mod cart;
pub mod context;
mod cores;
mod curve;
mod denylist;
mod expiry;
mod family;
mod login;
mod memory;
mod metric;
mod population;
mod primary;
mod replicas;
mod restart;
mod revocation;
mod rounds;
mod scaling;
pub mod search;
mod sliding;
mod steady;

pub use family::{SCALABILITY, family};
pub use metric::{Better, METRICS, Metric, metric};
pub use rounds::{PACED, paces};
pub use steady::{Steadiness, steadiness};

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::plan::{Action, DrillPlan, PLAN_SCHEMA, Plan, Prices, TrialPlan, trial_seed, twin_of};
use crate::random::shuffle;
use crate::record::{Doubt, TrialRecord};
use crate::spec::Spec;
use crate::stats::{Estimate, Resampled};
use crate::units::grouped;

/// Every experiment there is.
pub const EXPERIMENTS: &[&dyn Experiment] = &[
    &scaling::Scaling,
    &curve::Curve,
    &capacity::Capacity,
    &memory::Memory,
    &population::Population,
    &denylist::Denylist,
    &login::Login,
    &cart::Cart,
    &revocation::Revocation,
    &expiry::Expiry,
    &restart::Restart,
    &replicas::Replicas,
    &cores::Cores,
    &context::Context,
    &sliding::Sliding,
];

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

    /// The tables that show the answer, a row an arm; empty: those that follow from the metrics.
    fn tables(&self) -> &'static [TablePlan] {
        &[]
    }

    /// The trials of one block, and how many blocks there are.
    ///
    /// # Errors
    /// `Config` when its table in the campaign file is malformed or asks for nonsense.
    fn expand(&self, spec: &Spec) -> Result<Cells>;

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

    /// What its figures are kept apart by beside users, which is the level of their trials; `None`
    /// where the level is the number of users, or nothing.
    fn axis(&self) -> Option<Axis> {
        None
    }

    /// What a level of its trials is, for the list of what would run.
    fn level(&self, level: u32) -> String {
        match level {
            0 => "all levels in one trial".into(),
            users => format!("{} users", grouped(u64::from(users))),
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
    pub metric: &'static str,
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
    pub metrics: &'static [&'static str],
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
    /// The rate that was asked for, requests a second.
    pub rate: Option<f64>,
    /// Name of the metric.
    pub metric: &'static str,
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
    /// Name of the metric.
    pub metric: &'static str,
    /// The figure.
    pub estimate: Estimate,
    /// Its values in campaigns drawn anew, where it has none in a single trial; their logarithms
    /// where the metric is compared as a ratio.
    pub resampled: Option<Resampled>,
}

/// Whether so many valid trials of a cell stand for all of them: two in three do.
pub const fn enough_valid(valid: usize, trials: usize) -> bool {
    valid > 0 && valid * 3 >= trials * 2
}

/// What makes a trial's figures doubtful, by its experiment and by what its host took away; nothing
/// where the experiment is unknown.
pub fn doubts(record: &TrialRecord) -> Vec<Doubt> {
    let own = find(&record.trial.experiment).map_or_else(Vec::new, |e| e.doubts(record));
    record.with_steal(own)
}

/// The experiment of this name.
pub fn find(name: &str) -> Option<&'static dyn Experiment> {
    EXPERIMENTS.iter().copied().find(|experiment| experiment.name() == name)
}

/// Makes the plan of a campaign: every experiment's cells, block after block, each block in an
/// order of its own that depends on the seed alone, so that drift hits every arm alike. Within a
/// block the arms of a level follow each other: what is compared is measured in the same minute.
/// Where arms are compared, the reference runs twice in every block, the second time as an arm like
/// any other: the A/A pair.
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
            for Place { cell, twin } in ordered(spec, name, block, &cells) {
                let seed_of = if twin { twin_of(&cell.arm) } else { cell.arm.clone() };
                trials.push(TrialPlan {
                    index: trials.len() as u32,
                    experiment: name.clone(),
                    arm: cell.arm.clone(),
                    twin,
                    block,
                    level: cell.level,
                    seed: trial_seed(spec.seed, name, &seed_of, cell.level, block),
                    server: cell.server.clone(),
                    actions: cell.actions.clone(),
                });
            }
        }
    }
    let primary = primary::resolved(spec, &trials)?;
    Ok(Plan {
        schema: PLAN_SCHEMA,
        name: spec.name.clone(),
        again: again(spec),
        seed: spec.seed,
        arms: spec.arms.clone(),
        baseline: spec.baseline.clone(),
        reference: spec.reference.clone(),
        experiments: spec.experiments.clone(),
        primary,
        prices: prices(spec)?,
        trials,
    })
}

/// The prices of a campaign file that gives any.
fn prices(spec: &Spec) -> Result<Option<Prices>> {
    #[derive(Deserialize)]
    struct Only {
        prices: Option<Prices>,
    }
    let prices = spec.section::<Only>()?.prices;
    if let Some(Prices { memory_gib_hour, cpu_hour, traffic_gb, .. }) = &prices {
        let all = [
            ("memory_gib_hour", memory_gib_hour),
            ("cpu_hour", cpu_hour),
            ("traffic_gb", traffic_gb),
        ];
        if let Some((field, price)) = all.iter().find(|(_, p)| !(p.is_finite() && **p >= 0.0)) {
            return Err(spec
                .refuse(format!("[prices] {field}: expected a price, 0 or more; found {price}")));
        }
    }
    Ok(prices)
}

/// A cell's place in a block: its own, or that of the reference's twin.
struct Place<'a> {
    cell: &'a Cell,
    twin: bool,
}

/// The cells of one block in their order: levels shuffled, and the arms of each.
fn ordered<'a>(spec: &Spec, name: &str, block: u32, cells: &'a [Cell]) -> Vec<Place<'a>> {
    let seed = spec.seed;
    let mut levels: Vec<u32> = cells.iter().map(|cell| cell.level).collect();
    levels.sort_unstable();
    levels.dedup();
    shuffle(&mut levels, trial_seed(seed, name, "levels", 0, block));
    // What others take their rate from comes first.
    levels.sort_by_key(|level| !cells.iter().any(|cell| cell.level == *level && is_pilot(cell)));
    let of_level = |level: u32| {
        let of_level = || cells.iter().filter(|cell| cell.level == level);
        let mut arms: Vec<Place> = of_level().map(|cell| Place { cell, twin: false }).collect();
        if spec.arms.len() > 1 {
            let is_reference = |cell: &&Cell| cell.arm == spec.reference && !is_pilot(cell);
            let reference = of_level().filter(is_reference);
            arms.extend(reference.map(|cell| Place { cell, twin: true }));
        }
        shuffle(&mut arms, trial_seed(seed, name, "arms", level, block));
        arms
    };
    levels.into_iter().flat_map(of_level).collect()
}

/// Whether other trials of the block take their rate from it.
fn is_pilot(cell: &Cell) -> bool {
    cell.actions.iter().any(|action| matches!(action, Action::Pilot(_)))
}

/// Arguments that make the same plan of the same campaign file.
fn again(spec: &Spec) -> Vec<String> {
    let mut arguments = vec![spec.origin.clone(), "--arms".into(), spec.arms.join(",")];
    for (flag, levels) in [("--users", &spec.users), ("--cores", &spec.cores)] {
        let levels = levels.iter().flatten().map(ToString::to_string).collect::<Vec<_>>();
        if !levels.is_empty() {
            arguments.extend([flag.into(), levels.join(",")]);
        }
    }
    if spec.allow_shared {
        arguments.push("--allow-shared".into());
    }
    arguments.extend(["--seed".into(), spec.seed.to_string()]);
    arguments
}

/// A cell for every arm with the one drill that it is.
fn drills(spec: &Spec, blocks: u32, drill: &DrillPlan) -> Cells {
    let actions = || vec![Action::Drill(drill.clone())];
    let cell =
        |arm: &String| Cell { arm: arm.clone(), level: 0, server: Vec::new(), actions: actions() };
    Cells { blocks, cells: spec.arms.iter().map(cell).collect() }
}

/// A number as a human wrote it, within a range.
fn within(
    spec: &Spec,
    place: &str,
    found: u32,
    range: std::ops::RangeInclusive<u32>,
) -> Result<u32> {
    if range.contains(&found) {
        return Ok(found);
    }
    let (least, most) = (range.start(), range.end());
    Err(spec.refuse(format!("{place}: expected {least} to {most}, found {found}")))
}

fn doubt(invalidates: bool, code: &str, what: String, remedy: &str) -> Doubt {
    Doubt { invalidates, code: code.into(), what, remedy: remedy.into() }
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
mod recorded;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{
        ActionRecord, ClientUse, Counts, GeneratorUse, LoadRecord, Placement, RECORD_SCHEMA,
        ServerUse, TrialOutcome,
    };
    use crate::spec::Overrides;

    /// The plan of a campaign with the arms `none` and `a` and these tables, without the twin of
    /// `a`, which is planned for every experiment alike.
    pub(super) fn plan(tables: &str) -> Result<Plan> {
        let mut plan = whole(&format!("name='t'\narms=['none','a']\n{tables}"))?;
        plan.trials.retain(|trial| !trial.twin);
        Ok(plan)
    }

    fn whole(text: &str) -> Result<Plan> {
        expand(&Spec::parse("t.toml", text, Overrides::default())?)
    }

    /// A record of this trial that went well.
    pub(super) fn record(trial: &TrialPlan, actions: Vec<ActionRecord>) -> TrialRecord {
        TrialRecord {
            schema: RECORD_SCHEMA,
            plan: String::new(),
            trial: trial.clone(),
            started_unix_ms: 0,
            wall_ms: 0,
            placement: Placement::default(),
            server: None,
            actions,
            timeline: vec![],
            steal: 0.0,
            origin: None,
            outcome: TrialOutcome::Complete,
        }
    }

    /// A load of a second that answered so many requests rightly, on a server that used half of it.
    pub(super) fn load(ok: u64) -> LoadRecord {
        LoadRecord {
            model: String::new(),
            offered_rps: None,
            login: None,
            connections: 8,
            usable_connections: 8,
            request_wire_bytes: 100,
            counts: Counts {
                window_ns: 1_000_000_000,
                planned: ok,
                sent: ok,
                ok,
                ended_in_window: ok,
                ok_in_window: ok,
                ..Counts::default()
            },
            steps: vec![],
            timeline: vec![],
            bytes_sent: None,
            bytes_received: None,
            visits: None,
            aborted: false,
            slices: vec![],
            closed_by_server: None,
            client: ClientUse::default(),
            generator: GeneratorUse { workers: 1, busiest: 0.5, ..GeneratorUse::default() },
            server: Some(ServerUse {
                interval_ns: 1_000_000_000,
                threads: 1,
                cpu_ns: 500_000_000,
                ..ServerUse::default()
            }),
        }
    }

    #[test]
    fn every_block_has_every_cell_once_in_an_order_of_its_own() {
        let text = "name='t'\narms=['none','a','b']\n[scaling]\nusers=[1,10]\nblocks=6\n";
        let plan = whole(text).unwrap();
        // Three arms and the reference's twin, at two levels, in six blocks.
        assert_eq!(plan.trials.len(), 48);
        type Order = [(String, u32)];
        let orders: Vec<Vec<(String, u32)>> = plan
            .trials
            .chunks(8)
            .map(|block| block.iter().map(|t| (t.name(), t.level)).collect())
            .collect();
        for order in &orders {
            let mut cells = order.clone();
            cells.sort();
            cells.dedup();
            assert_eq!(cells.len(), 8);
        }
        let levels = |order: &Order| order.iter().map(|cell| cell.1).collect::<Vec<_>>();
        let arms = |order: &Order| order[..4].iter().map(|cell| cell.0.clone()).collect::<Vec<_>>();
        for order in &orders {
            let of = levels(order);
            assert!(of[..4].iter().all(|level| *level == of[0]), "arms of a level stay together");
        }
        assert!(orders.windows(2).any(|pair| levels(&pair[0]) != levels(&pair[1])));
        assert!(orders.windows(2).any(|pair| arms(&pair[0]) != arms(&pair[1])));
        assert!(plan.trials.iter().enumerate().all(|(i, t)| t.index as usize == i));
    }

    #[test]
    fn the_reference_runs_twice_wherever_arms_are_compared() {
        let tables = "[scaling]\nusers=[1,10]\nblocks=4\n\
                      [memory]\nsessions=[0,100,200,300,400]\nblocks=4\n";
        let of = |arms: &str| whole(&format!("name='t'\narms=[{arms}]\n{tables}")).unwrap();
        let plan = of("'none','a','b'");
        let twins: Vec<_> = plan.trials.iter().filter(|trial| trial.twin).collect();
        assert_eq!(twins.len(), 12, "two levels and a fill, in four blocks");
        for twin in &twins {
            let is_like = |t: &&&TrialPlan| {
                !t.twin
                    && t.arm == twin.arm
                    && t.block == twin.block
                    && t.level == twin.level
                    && t.experiment == twin.experiment
            };
            let like = plan.trials.iter().collect::<Vec<_>>();
            let like = like.iter().find(is_like).unwrap();
            assert_eq!((twin.arm.as_str(), &twin.actions), ("a", &like.actions));
            assert_ne!(twin.seed, like.seed, "its load is drawn as that of another arm");
        }
        let first = |t: &TrialPlan| plan.trials.iter().position(|other| other == t).unwrap();
        let before = twins.iter().filter(|twin| {
            let like = plan.trials.iter().find(|t| {
                !t.twin
                    && (&t.arm, t.block, t.level) == (&twin.arm, twin.block, twin.level)
                    && t.experiment == twin.experiment
            });
            first(twin) < first(like.unwrap())
        });
        assert!((1..twins.len()).contains(&before.count()), "now before its like, now after");
        assert_eq!(plan.names(), ["none", "a", "a (again)", "b"]);
        assert!(twins[0].file_stem().ends_with("-a-again"));
        assert!(!of("'none'").has_twin(), "nothing is compared");
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
    fn prices_go_into_the_plan_where_a_campaign_gives_them() {
        let of = |prices: &str| {
            whole(&format!("name='t'\narms=['none']\n[scaling]\nusers=[1]\n{prices}")).unwrap()
        };
        let table = "[prices]\nmemory_gib_hour=0.5\ncpu_hour=4\ntraffic_gb=0\nsource='ours'\n";
        assert_eq!(of("").prices, None);
        assert_eq!(of(table).prices.unwrap().cpu_hour, 4.0);
        assert_eq!(of(table).experiments, ["scaling"]);
    }

    #[test]
    fn presets_are_planned_for_less_than_they_promise() {
        for (name, minutes) in [("quick", 2), ("standard", 35), ("arms", 110)] {
            let spec = Spec::load(name, Overrides::default()).unwrap();
            let ms = expand(&spec).unwrap().expected_ms();
            assert!(ms < minutes * 60_000, "{name}: {ms} ms");
        }
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
            ("[scaling]\nusers=[1]\n[prices]\ncpu_hour=1\n", "missing field"),
            (
                "[scaling]\nusers=[1]\n[prices]\nmemory_gib_hour=1\ncpu_hour=-1\ntraffic_gb=0\n\
                 source='x'\n",
                "[prices] cpu_hour: expected a price, 0 or more; found -1",
            ),
            ("[prices]\n", "at least one experiment"),
            ("[memory]\nsessions=[0,1]\n", "at least 5"),
            ("[memory]\nsessions=[0,10,20,30,40]\n", "at least 5"),
            ("[memory]\nsessions=[0,100,200,300,400]\ndata=[65]\n", "[memory] data"),
            ("[memory]\nsessions=[0,100,200,300,400]\nidle_connections=[0,1]\n", "at least 5"),
            ("[memory]\nsessions=[0,100,200,300,400]\nexpiry='1500ms'\n", "whole seconds"),
            ("[capacity]\nfrom='100/s'\n", "at least 1,000 requests"),
            ("[capacity]\nto='1500/s'\n", "[capacity] to"),
            ("[capacity]\nslo='5s'\n", "[capacity] slo"),
            ("[capacity]\nresolution=0.0\n", "resolution"),
            ("[capacity]\nerrors=0.5\n", "errors"),
            ("[capacity]\nconfirm='1s'\n", "confirm"),
            ("[login]\nusers=3\n", "as many as connections"),
            ("[login]\nconnections=0\n", "[login] connections"),
            ("[cart]\nitems=[]\n", "[cart] items"),
            ("[cart]\nmost=10\n", "[cart] most"),
            ("[revocation]\nusers=0\n", "[revocation] users"),
            ("[revocation]\npoll='10us'\n", "[revocation] poll"),
            ("[revocation]\nwindow='1h'\n", "10000 polls"),
            ("[expiry]\nttl='1500ms'\n", "whole seconds"),
            ("[restart]\nusers=0\n", "[restart] users"),
            ("[replicas]\nservers=[17]\n", "found 17"),
            ("[replicas]\nusers=0\n", "[replicas] users"),
        ] {
            let text = format!("name='t'\narms=['none']\n{tables}");
            let error = whole(&text).unwrap_err();
            assert!(error.to_string().contains(part), "{tables}: {error}");
            assert_eq!(error.exit_code(), 2);
        }
    }
}
