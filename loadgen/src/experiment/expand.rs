//! The plan of a campaign: every experiment's cells, block after block, in an order that its seed
//! draws.

use serde::Deserialize;

use super::question::{Cell, Cells};
use super::{EXPERIMENTS, find, mix, primary};
use crate::error::Result;
use crate::plan::{Action, Arm, PLAN_SCHEMA, Plan, Prices, TrialPlan, trial_seed};
use crate::random::shuffle;
use crate::spec::Spec;

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
    let mix = mix::asked(spec)?;
    for name in &spec.experiments {
        let experiment = find(name).ok_or_else(|| {
            let known: Vec<_> = EXPERIMENTS.iter().map(|e| e.name()).collect();
            spec.unknown(name, &known)
        })?;
        let Cells { blocks, mut cells } = experiment.expand(spec)?;
        if !(1..=1000).contains(&blocks) {
            return Err(spec.refuse(format!("[{name}]: expected 1 to 1000 blocks, found {blocks}")));
        }
        if let Some(mix) = mix.as_deref().filter(|_| experiment.mixes()) {
            mix::make(mix, &mut cells);
        }
        for block in 0..blocks {
            for Place { cell, twin } in ordered(spec, name, block, &cells) {
                let measured =
                    if twin { Arm::twin_of(&cell.arm) } else { cell.arm.as_str().into() };
                trials.push(TrialPlan {
                    index: trials.len() as u32,
                    experiment: name.clone(),
                    arm: cell.arm.clone(),
                    twin,
                    block,
                    level: cell.level,
                    seed: trial_seed(spec.seed, name, &measured, cell.level, block),
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
        max_transport_errors: spec.max_transport_errors,
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
    cell.actions.iter().any(Action::is_pilot)
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

#[cfg(test)]
mod tests {
    use super::super::sample::whole;
    use super::*;
    use crate::spec::Overrides;

    /// Fault 33: every block has its own order.
    #[test]
    fn every_block_has_every_cell_once_in_an_order_of_its_own() {
        let text = "name='t'\narms=['none','a','b']\n[concurrency]\nusers=[1,10]\nblocks=6\n";
        let plan = whole(text).unwrap();
        // Three arms and the reference's twin, at two levels, in six blocks.
        assert_eq!(plan.trials.len(), 48);
        type Order = [(Arm, u32)];
        let orders: Vec<Vec<(Arm, u32)>> = plan
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
        let tables = "[concurrency]\nusers=[1,10]\nblocks=4\n\
                      [memory]\nsessions=[0,100,200,300,400]\nblocks=4\n";
        let planned = |arms: &str| whole(&format!("name='t'\narms=[{arms}]\n{tables}")).unwrap();
        let plan = planned("'none','a','b'");
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
        assert!(!planned("'none'").has_twin(), "nothing is compared");
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
        let planned = |prices: &str| {
            whole(&format!("name='t'\narms=['none']\n[concurrency]\nusers=[1]\n{prices}")).unwrap()
        };
        let table = "[prices]\nmemory_gib_hour=0.5\ncpu_hour=4\ntraffic_gb=0\nsource='ours'\n";
        assert_eq!(planned("").prices, None);
        assert_eq!(planned(table).prices.unwrap().cpu_hour, 4.0);
        assert_eq!(planned(table).experiments, ["concurrency"]);
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
            ("[nope]\n", "line 3: unknown table `[nope]`; expected one of name, seed, arms,"),
            ("[nope]\n", "or an experiment: [concurrency], [curve], "),
            (
                "\n[concurency]\n",
                "line 4: unknown table `[concurency]`; did you mean `[concurrency]`?",
            ),
            ("seeds = 1\n[concurrency]\n", "line 3: unknown field `seeds`; did you mean `seed`?"),
            ("[[primery]]\nusers=1\n", "unknown table `[primery]`; did you mean `[[primary]]`?"),
            ("\"prises\" = 1\n", "line 3: unknown field `prises`; did you mean `[prices]`?"),
            ("[concurrency]\nusers=[]\n", "[concurrency] users"),
            ("[concurrency]\nusers=[0]\n", "found 0"),
            ("[concurrency]\nusers=[1]\nblocks=0\n", "blocks"),
            ("[concurrency]\nusers=[1]\nmeasure='0s'\n", "measure"),
            ("[concurrency]\nuser=[1]\n", "line 4"),
            ("[concurrency]\nuser=[1]\n", "did you mean `users`?"),
            (
                "[concurrency]\nusers=[1]\nwarmup=100\n",
                "integer `100`, expected a duration such as",
            ),
            ("[concurrency]\nusers=[1]\nwarmup='-1s'\n", "line 5"),
            ("[concurrency]\nusers=[1]\n[prices]\ncpu_hour=1\n", "missing field"),
            (
                "[concurrency]\nusers=[1]\n[prices]\nmemory_gib_hour=1\ncpu_hour=-1\ntraffic_gb=0\n\
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
