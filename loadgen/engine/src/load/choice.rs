//! Whose turn it is: which of a worker's users makes the next journey.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::random::{mix, uniform};

/// How users are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum UserChoice {
    /// One after the other, so that all come equally often.
    #[default]
    InTurn,
    /// Each as likely as any other.
    Uniform,
    /// User k (from 1) with a likelihood in proportion to k^-s: few users make most of the
    /// requests.
    Zipf(f64),
}

/// Exponents beyond this leave all requests to one user.
const EXPONENT_MAX: f64 = 10.0;
/// Draws that are refused one after the other; more has never been seen, and the last one is as
/// good.
const DRAWS_MAX: u64 = 64;

impl UserChoice {
    /// The user, from 0, of journey `n` among `users`.
    pub fn pick(self, seed: u64, n: u64, users: u32) -> u32 {
        let all = u64::from(users);
        match self {
            Self::InTurn => (n % all) as u32,
            Self::Uniform => (mix(seed, n) % all) as u32,
            Self::Zipf(s) => zipf(mix(seed, n), users, s) - 1,
        }
    }
}

/// A rank from 1 to `users` by rejection-inversion (Hoermann and Derflinger, "Rejection-inversion
/// to generate variates from monotone discrete distributions", ACM TOMACS 6(3), 1996): draws from
/// the area under x^-s, which has an inverse, and refuses the few that lie above the steps.
fn zipf(seed: u64, users: u32, s: f64) -> u32 {
    let area =
        |x: f64| if (s - 1.0).abs() < 1e-9 { x.ln() } else { (x.powf(1.0 - s) - 1.0) / (1.0 - s) };
    let inverse = |y: f64| {
        if (s - 1.0).abs() < 1e-9 { y.exp() } else { (y * (1.0 - s) + 1.0).powf(1.0 / (1.0 - s)) }
    };
    let from = area(1.5) - 1.0;
    let to = area(f64::from(users) + 0.5);
    let mut rank = 1.0;
    for draw in 0..DRAWS_MAX {
        let y = to + uniform(seed, draw) * (from - to);
        let x = inverse(y);
        rank = x.round().clamp(1.0, f64::from(users));
        if y >= area(rank + 0.5) - rank.powf(-s) {
            break;
        }
    }
    rank as u32
}

/// A text that is no choice of users.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected `in-turn`, `uniform` or `zipf:S` with S above 0 and at most 10, found `{0}`")]
pub struct ChoiceError(String);

impl FromStr for UserChoice {
    type Err = ChoiceError;

    fn from_str(text: &str) -> Result<Self, ChoiceError> {
        match text.split_once(':') {
            None if text == "in-turn" => Ok(Self::InTurn),
            None if text == "uniform" => Ok(Self::Uniform),
            Some(("zipf", s)) => match s.parse() {
                Ok(s) if s > 0.0 && s <= EXPONENT_MAX => Ok(Self::Zipf(s)),
                _ => Err(ChoiceError(text.into())),
            },
            _ => Err(ChoiceError(text.into())),
        }
    }
}

impl fmt::Display for UserChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InTurn => f.write_str("in-turn"),
            Self::Uniform => f.write_str("uniform"),
            Self::Zipf(s) => write!(f, "zipf:{s}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(choice: UserChoice, users: u32, draws: u64) -> Vec<u64> {
        let mut counts = vec![0; users as usize];
        (0..draws).for_each(|n| counts[choice.pick(11, n, users) as usize] += 1);
        counts
    }

    #[test]
    fn in_turn_and_uniform() {
        assert_eq!(counts(UserChoice::InTurn, 4, 10), [3, 3, 2, 2]);
        let uniform = counts(UserChoice::Uniform, 10, 100_000);
        assert!(uniform.iter().all(|n| (9_600..10_400).contains(n)), "{uniform:?}");
    }

    #[test]
    fn zipf_has_the_likelihoods_of_its_definition() {
        for s in [0.5, 1.0, 1.1, 2.0] {
            let (users, draws) = (50u32, 200_000u64);
            let found = counts(UserChoice::Zipf(s), users, draws);
            let total: f64 = (1..=users).map(|k| f64::from(k).powf(-s)).sum();
            // Chi-squared with 49 degrees of freedom: 85.4 is exceeded once in a thousand times.
            let chi: f64 = (1..=users)
                .zip(&found)
                .map(|(k, n)| {
                    let expected = f64::from(k).powf(-s) / total * draws as f64;
                    (*n as f64 - expected).powi(2) / expected
                })
                .sum();
            assert!(chi < 85.4, "s = {s}: {chi}");
        }
        assert_eq!(UserChoice::Zipf(1.1).pick(1, 2, 1), 0);
    }

    #[test]
    fn it_reads_what_it_prints() {
        for text in ["in-turn", "uniform", "zipf:1.1"] {
            assert_eq!(text.parse::<UserChoice>().unwrap().to_string(), text);
        }
        for text in ["", "zipf", "zipf:", "zipf:0", "zipf:-1", "zipf:NaN", "zipf:11", "random"] {
            assert!(text.parse::<UserChoice>().is_err(), "{text}");
        }
    }
}
