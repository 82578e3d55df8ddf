//! The mix of journeys that users of a campaign make in place of GET /me, where its file asks for
//! one. Every load of an experiment makes it, its pilot too, so that shares are of the same work.

use super::question::Cell;
use super::{EXPERIMENTS, find};
use crate::error::Result;
use crate::plan::{Action, Plan};
use crate::spec::Spec;

/// The journeys of every arm whose users are logged in, and what a report says of each.
const JOURNEYS: [(&str, &str); 2] = [
    ("browse", "reads GET /me"),
    (
        "cart",
        "adds an item with POST /cart; a session holds 64 and refuses more, and where the cart \
         travels in the credential it does not grow, because a load keeps the credentials that it \
         began with",
    ),
];
/// The most that weights may add up to: the length of the cycle that a load repeats.
const WEIGHTS_MAX: u32 = 10_000;

/// The mix that a campaign file asks for, as a load is told it: `browse=9,cart=1`.
///
/// # Errors
/// `Config` for an unknown journey or weights out of range, and where no experiment would make it.
pub(super) fn asked(spec: &Spec) -> Result<Option<String>> {
    let Some(mix) = &spec.mix else { return Ok(None) };
    let known = || JOURNEYS.map(|(name, _)| name).join(" and ");
    if let Some(other) = mix.keys().find(|name| !JOURNEYS.iter().any(|(known, _)| known == name)) {
        return Err(spec
            .refuse(format!("mix: expected journeys of the arms, {}, found `{other}`", known())));
    }
    let all = mix.values().try_fold(0_u32, |all, weight| all.checked_add(*weight));
    let fits = all.is_some_and(|all| (1..=WEIGHTS_MAX).contains(&all));
    if !fits || mix.values().any(|weight| *weight == 0) {
        return Err(spec.refuse(format!(
            "mix: expected weights of at least 1 that add up to {WEIGHTS_MAX} at most, such as \
             `mix = {{ browse = 9, cart = 1 }}`"
        )));
    }
    let makes = |name: &String| matches!(find(name), Some(experiment) if experiment.mixes());
    if !spec.experiments.iter().any(makes) {
        let those: Vec<_> = EXPERIMENTS.iter().filter(|e| e.mixes()).map(|e| e.name()).collect();
        return Err(spec.refuse(format!(
            "mix: expected an experiment whose users make it ({}), found {}",
            those.join(", "),
            spec.experiments.join(", ")
        )));
    }
    let parts: Vec<_> = mix.iter().map(|(name, weight)| format!("{name}={weight}")).collect();
    Ok(Some(parts.join(",")))
}

/// Has the users of these cells make a mix.
pub(super) fn make(mix: &str, cells: &mut [Cell]) {
    let actions = cells.iter_mut().flat_map(|cell| &mut cell.actions);
    for journey in actions.filter_map(Action::journey_mut) {
        mix.clone_into(journey);
    }
}

/// The mix of an experiment's loads; `None` where its users make a single journey.
pub fn mix_of<'a>(plan: &'a Plan, experiment: &str) -> Option<&'a str> {
    let trials = plan.trials.iter().filter(|trial| trial.experiment == experiment);
    let actions = trials.flat_map(|trial| &trial.actions);
    actions.filter_map(Action::journey).find(|journey| journey.contains('='))
}

/// What a report says of it, after the method of the experiment.
pub fn mix_in_words(plan: &Plan, experiment: &str) -> Option<String> {
    let mix = mix_of(plan, experiment)?;
    let parts = JOURNEYS.iter().filter_map(|(name, does)| {
        let weight = mix.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='))?;
        Some(format!("{weight} of {name}, which {does}"))
    });
    Some(format!(
        "In this campaign users make a mix of journeys in place of GET /me, by weight: {}. A \
         figure per request is one of that mix.",
        parts.collect::<Vec<_>>().join(", and ")
    ))
}

#[cfg(test)]
mod tests {
    use super::super::sample::whole;
    use super::*;

    const TABLES: &str = "[curve]\nload=[50]\nblocks=2\n[sliding]\nblocks=2\n";

    fn plan(mix: &str) -> Result<Plan> {
        whole(&format!("name='t'\narms=['none','session@memory']\n{mix}\n{TABLES}"))
    }

    fn refused(mix: &str) -> String {
        plan(mix).unwrap_err().to_string()
    }

    #[test]
    fn every_load_of_an_experiment_makes_the_mix_and_the_pilot_too() {
        let plan = plan("mix = { cart = 1, browse = 9 }").unwrap();
        let journeys = |experiment: &str| {
            let trials = plan.trials.iter().filter(|trial| trial.experiment == experiment);
            let mut found: Vec<_> =
                trials.flat_map(|trial| &trial.actions).filter_map(Action::journey).collect();
            found.sort_unstable();
            found.dedup();
            found
        };
        assert!(plan.trials.iter().any(crate::plan::TrialPlan::is_pilot));
        assert_eq!(journeys("curve"), ["browse=9,cart=1"]);
        assert_eq!(journeys("sliding"), ["browse"], "its question is about reads");
        let said = mix_in_words(&plan, "curve").unwrap();
        assert!(said.contains("9 of browse, which reads") && said.contains("1 of cart,"));
        assert_eq!(mix_in_words(&plan, "sliding"), None);
    }

    #[test]
    fn a_campaign_without_a_mix_is_planned_as_before() {
        let without = plan("").unwrap();
        assert_eq!(mix_of(&without, "curve"), None);
        let with = plan("mix = { browse = 1, cart = 1 }").unwrap();
        assert_ne!(without.hash(), with.hash(), "records of one do not count for the other");
    }

    #[test]
    fn what_no_load_could_make_is_refused() {
        assert!(refused("mix = { browse = 9, pay = 1 }").contains("found `pay`"));
        for weights in ["browse = 0, cart = 1", "browse = 10000, cart = 1", "", "cart = 4294967295"]
        {
            let said = refused(&format!("mix = {{ {weights} }}"));
            assert!(said.contains("add up to 10000 at most"), "{weights}: {said}");
        }
        assert!(refused("mix = { browse = -1 }").contains("line 3"));
        assert!(refused("mix = 'browse=9'").contains("line 3"));
        let text = "name='t'\narms=['none','session@memory']\nmix={cart=1}\n[sliding]\nblocks=2\n";
        let said = whole(text).unwrap_err().to_string();
        assert!(said.contains("(concurrency, curve, capacity, population)"), "{said}");
        assert!(said.contains("found sliding"), "{said}");
    }
}
