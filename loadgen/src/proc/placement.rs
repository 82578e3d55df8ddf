//! Which cores the server and the generator get: disjoint sets, so that neither runs at the other's
//! expense. On two cores each has one; on more the server gets half and the generator the rest,
//! unless a trial says how many cores its server gets.

use crate::error::{Error, Result};
use crate::plan::{PlacePlan, Plan};
use crate::record::Placement;

/// Divides the cores this process may use. A single core cannot be divided: both sides share it,
/// and the report says so.
pub fn place(cores: &[usize]) -> Placement {
    let half = cores.len() / 2;
    if half == 0 {
        return Placement { server: cores.to_vec(), generator: cores.to_vec() };
    }
    Placement { server: cores[..half].to_vec(), generator: cores[half..].to_vec() }
}

/// Divides the same cores so that the server has as many as its plan says. What is left is the
/// generator's; where nothing is, both share all.
pub fn placed(plan: &PlacePlan, within: &Placement) -> Placement {
    let mut cores = [within.server.as_slice(), &within.generator].concat();
    cores.sort_unstable();
    cores.dedup();
    let server = (plan.server_cores as usize).min(cores.len());
    let generator = if server < cores.len() { &cores[server..] } else { &cores };
    Placement { server: cores[..server].to_vec(), generator: generator.to_vec() }
}

/// Refuses a plan whose servers would share cores with the generator, unless it says that they may.
///
/// # Errors
/// `Config` with the cores that it would need.
pub fn require_cores(plan: &Plan, cores: &[usize]) -> Result<()> {
    let places = plan.trials.iter().filter_map(|trial| Some((trial, trial.place()?)));
    let wanting = places.filter(|(_, place)| !place.shared);
    let Some((trial, place)) = wanting.max_by_key(|(_, place)| place.server_cores) else {
        return Ok(());
    };
    let needed = place.server_cores as usize + 1;
    if needed <= cores.len() {
        return Ok(());
    }
    Err(Error::Config(format!(
        "expected at least {needed} cores for [{}], {} for the server and one for the generator, \
         found {}; leave out the larger levels with --cores, or measure and doubt the figures with \
         --allow-shared",
        trial.experiment,
        place.server_cores,
        cores.len()
    )))
}

/// Keeps the calling thread, and what it starts, on these cores; empty: where it is. A refusal is
/// no error: placement is checked where the cores are chosen.
pub fn pin(cores: &[usize]) {
    if cores.is_empty() {
        return;
    }
    let mut set = rustix::thread::CpuSet::new();
    cores.iter().for_each(|core| set.set(*core));
    let _ = rustix::thread::sched_setaffinity(None, &set);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_divided() {
        assert_eq!(place(&[0, 1]), Placement { server: vec![0], generator: vec![1] });
        let of_five = place(&[0, 1, 2, 3, 4]);
        assert_eq!((of_five.server.len(), of_five.generator.len()), (2, 3));
        assert!(!of_five.shared());
        assert!(place(&[3]).shared());
    }

    #[test]
    fn a_plan_that_needs_more_cores_is_refused_with_their_number() {
        use crate::experiment::expand;
        use crate::spec::{Overrides, Spec};
        let plan = |allow_shared| {
            let text = "name = 't'\narms = ['none']\n[cores]\ncores = [1, 2, 4]\n";
            let overrides = Overrides { allow_shared, ..Overrides::default() };
            expand(&Spec::parse("t.toml", text, overrides).unwrap()).unwrap()
        };
        let error = require_cores(&plan(false), &[0, 1, 2, 3]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let text = error.to_string();
        assert!(
            text.contains("at least 5 cores for [cores]") && text.contains("found 4"),
            "{text}"
        );
        require_cores(&plan(false), &[0, 1, 2, 3, 4]).unwrap();
        require_cores(&plan(true), &[0]).unwrap();
        assert!(plan(true).again.contains(&"--allow-shared".to_string()));
        assert_ne!(plan(true).hash(), plan(false).hash());
    }

    #[test]
    fn a_server_gets_the_cores_of_its_plan_and_the_generator_the_rest() {
        let divided = |server_cores, cores: &[usize]| {
            let plan = PlacePlan { server_cores, shared: false };
            let Placement { server, generator } = placed(&plan, &place(cores));
            (server, generator)
        };
        assert_eq!(divided(1, &[0, 1, 2, 3]), (vec![0], vec![1, 2, 3]));
        assert_eq!(divided(3, &[0, 1, 2, 3]), (vec![0, 1, 2], vec![3]));
        assert_eq!(divided(4, &[0, 1]), (vec![0, 1], vec![0, 1]), "shared");
        assert_eq!(divided(1, &[5]), (vec![5], vec![5]));
    }
}
