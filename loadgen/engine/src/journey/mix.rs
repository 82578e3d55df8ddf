//! A mix of journeys by weight, lowered to one cycle of requests that a load repeats.
//!
//! Journeys are spread evenly over the cycle, so a short load has the shares of a long one.

use std::collections::BTreeMap;

use contract::{Journey, Step, Target};

/// The most journeys of a cycle.
const JOURNEYS_MAX: u32 = 10_000;

/// One cycle of a mix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mix {
    /// The request at each place, and which journey of the cycle it belongs to.
    places: Vec<(u32, u32)>,
    /// The places at which journeys begin.
    begins: Vec<u32>,
}

impl Mix {
    /// A cycle of journeys whose steps are the requests from `first` on, one journey after the
    /// other: so many steps each, and so often of all.
    fn new(first: usize, journeys: &[(usize, u32)]) -> Self {
        let common = journeys.iter().fold(0, |common, (_, weight)| divisor(common, *weight));
        let weights: Vec<i64> = journeys.iter().map(|(_, w)| i64::from(w / common)).collect();
        let all: i64 = weights.iter().sum();
        let mut mix = Self { places: Vec::new(), begins: Vec::new() };
        // Each is due as often as its weight says, and the one that is most overdue comes next.
        let mut overdue = vec![0; journeys.len()];
        for turn in 0..all as u32 {
            overdue.iter_mut().zip(&weights).for_each(|(overdue, weight)| *overdue += weight);
            let latest = |index: &usize| (overdue[*index], std::cmp::Reverse(*index));
            let next = (0..overdue.len()).max_by_key(latest).unwrap_or(0);
            overdue[next] -= all;
            let begins = first + journeys[..next].iter().map(|(steps, _)| steps).sum::<usize>();
            mix.begins.push(mix.places.len() as u32);
            let steps = begins..begins + journeys[next].0;
            mix.places.extend(steps.map(|request| (request as u32, turn)));
        }
        mix
    }

    /// The journey and the request at this place of a load.
    pub(super) fn step_at(&self, place: u64) -> (u64, u32) {
        let (cycle, index) = (place / self.places.len() as u64, place % self.places.len() as u64);
        let (request, journey) = self.places[index as usize];
        (cycle * self.begins.len() as u64 + u64::from(journey), request)
    }

    /// The place at which a user begins whose draw is this one.
    pub(super) fn begins(&self, draw: u64) -> u64 {
        u64::from(self.begins[(draw % self.begins.len() as u64) as usize])
    }
}

const fn divisor(mut a: u32, mut b: u32) -> u32 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// What users of a load do.
pub(super) struct Made {
    pub(super) steps: Vec<Step>,
    pub(super) anonymous: bool,
    /// The number of steps and the weight of each journey of a mix; empty for a single one.
    journeys: Vec<(usize, u32)>,
}

impl Made {
    /// The order of the steps, which are the requests from `first` on.
    pub(super) fn mix(&self, first: usize) -> Option<Mix> {
        (!self.journeys.is_empty()).then(|| Mix::new(first, &self.journeys))
    }
}

/// The journey of this name, or the mix that it is: `browse=9,cart=1`.
///
/// # Errors
/// What is wrong with it.
pub(super) fn find(target: &Target, text: &str) -> Result<Made, String> {
    let is_mix = text.contains(['=', ',']) && !target.journeys.contains_key(text);
    let weights = if is_mix { weights(text)? } else { single(target, text)?.mix.clone() };
    if weights.is_empty() {
        let journey = single(target, text)?;
        if journey.steps.is_empty() {
            return Err(format!("journey `{text}` has no step"));
        }
        let (steps, anonymous) = (journey.steps.clone(), journey.anonymous);
        return Ok(Made { steps, anonymous, journeys: Vec::new() });
    }
    if !is_mix && !single(target, text)?.steps.is_empty() {
        return Err(format!("expected `steps` or a `mix` in journey `{text}`, found both"));
    }
    mixed(target, text, &weights)
}

fn mixed(target: &Target, text: &str, weights: &BTreeMap<String, u32>) -> Result<Made, String> {
    let all = weights.values().try_fold(0_u32, |all, weight| all.checked_add(*weight));
    if weights.values().any(|weight| *weight == 0) || all.is_none_or(|all| all > JOURNEYS_MAX) {
        return Err(format!(
            "expected weights of at least 1 that add up to {JOURNEYS_MAX} at most in the mix \
             `{text}`"
        ));
    }
    let (mut steps, mut journeys, mut kinds) = (Vec::new(), Vec::new(), Vec::new());
    for (name, weight) in weights {
        let journey = single(target, name)?;
        if !journey.mix.is_empty() || journey.steps.is_empty() {
            return Err(format!(
                "expected journeys with steps in the mix `{text}`, found `{name}` without"
            ));
        }
        let named = journey.steps.iter().cloned().map(|step| {
            let name = format!("{name}/{}", step.name);
            Step { name, ..step }
        });
        steps.extend(named);
        journeys.push((journey.steps.len(), *weight));
        kinds.push(journey.anonymous);
    }
    let anonymous = kinds.contains(&true);
    if anonymous && kinds.contains(&false) {
        return Err(format!(
            "expected journeys that are all anonymous, or none of them, in the mix `{text}`"
        ));
    }
    Ok(Made { steps, anonymous, journeys })
}

/// The journeys of a mix and their weights.
fn weights(text: &str) -> Result<BTreeMap<String, u32>, String> {
    let mut found = BTreeMap::new();
    for part in text.split(',') {
        let (name, weight) = part.split_once('=').unwrap_or((part, "1"));
        let (name, weight) = (name.trim(), weight.trim().parse().ok());
        let weight = weight.filter(|_| !name.is_empty());
        let is_new = weight.is_some_and(|weight| found.insert(name.into(), weight).is_none());
        if !is_new {
            return Err(format!(
                "expected a journey, or a mix such as `browse=9,cart=1` that has each journey \
                 once, found `{text}`"
            ));
        }
    }
    Ok(found)
}

/// The journey of this name.
pub(super) fn single<'a>(target: &'a Target, name: &str) -> Result<&'a Journey, String> {
    target.journeys.get(name).ok_or_else(|| {
        let known: Vec<_> = target.journeys.keys().map(String::as_str).collect();
        match known.as_slice() {
            [] => "it has no journey; it needs a table such as [journeys.browse]".into(),
            _ => format!("expected a journey among {}, found `{name}`", known.join(", ")),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn journeys_are_spread_over_a_cycle_by_their_weights() {
        // Two steps, requests 5 and 6, three times of four; one step, request 7.
        let mix = Mix::new(5, &[(2, 6), (1, 2)]);
        let requests: Vec<u32> = (0..8).map(|place| mix.step_at(place).1).collect();
        assert_eq!(requests, [5, 6, 5, 6, 7, 5, 6, 5], "the weights 3 and 1, then the next cycle");
        let journeys: Vec<u64> = (0..9).map(|place| mix.step_at(place).0).collect();
        assert_eq!(journeys, [0, 0, 1, 1, 2, 3, 3, 4, 4]);
        let begins: Vec<u64> = (0..5).map(|draw| mix.begins(draw)).collect();
        assert_eq!(begins, [0, 2, 4, 5, 0]);
    }

    #[test]
    fn a_mix_is_written_as_names_with_weights() {
        let expected = |pairs: &[(&str, u32)]| {
            Ok(pairs.iter().map(|(name, weight)| ((*name).into(), *weight)).collect())
        };
        assert_eq!(weights("browse=9,cart=1"), expected(&[("browse", 9), ("cart", 1)]));
        assert_eq!(weights("b, a = 2"), expected(&[("a", 2), ("b", 1)]));
        for text in ["a=,b", "=1,b", "a=x", "a=-1", "a,a", ",", "a=1=2"] {
            assert!(weights(text).unwrap_err().contains("browse=9,cart=1"), "{text}");
        }
    }
}
