//! `claims.toml`, as it is read.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::experiment::Metric;
use crate::plan::Prices;

const CLAIMS: &str = include_str!("../../../claims.toml");

/// The whole file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// Patterns of arms, by the name that a claim uses for them.
    pub(super) groups: BTreeMap<String, Vec<String>>,
    /// Prices of a campaign that names none.
    pub(super) prices: Prices,
    /// The claims, in their order.
    pub(super) claim: Vec<Claim>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Claim {
    pub(super) says: String,
    pub(super) source: String,
    pub(super) covers: String,
    #[serde(default)]
    pub(super) leaves_out: String,
    pub(super) supported: String,
    pub(super) refuted: String,
    pub(super) depends: String,
    pub(super) test: Vec<Test>,
    pub(super) missing: Option<Missing>,
    /// What is said of the smallest and the largest figure, where the claim is refuted:
    /// `{least}` and `{most}` stand for a figure and its arm.
    #[serde(default)]
    pub(super) ends: String,
}

/// What is said where none of these arms was asked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Missing {
    pub(super) arms: Vec<String>,
    pub(super) words: String,
}

#[derive(Deserialize)]
pub(super) struct Test {
    /// What a yes in the matrix says.
    pub(super) asks: String,
    /// Its rows.
    pub(super) arms: Vec<String>,
    /// Its columns; empty for a test of single arms.
    #[serde(default)]
    pub(super) against: Vec<String>,
    /// Rows that do not count.
    #[serde(default)]
    pub(super) also: Vec<String>,
    #[serde(default)]
    pub(super) claim: Sense,
    #[serde(flatten)]
    pub(super) by: By,
}

/// Whether the claim is what is tested, or its opposite.
#[derive(Clone, Copy, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Sense {
    #[default]
    So,
    Not,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Direction {
    Higher,
    Lower,
}

/// How two arms are compared.
#[derive(Clone, Copy, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Compared {
    #[default]
    Ratio,
    Difference,
}

/// Whether bytes on the wire are on the bill.
#[derive(Clone, Copy, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Traffic {
    #[default]
    Billed,
    Free,
}

/// At which of the places that both arms have.
#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Where {
    Most,
    Fewest,
    Users(u64),
    Level(u32),
}

#[derive(Deserialize)]
#[serde(tag = "by", rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum By {
    Figure {
        experiments: Vec<String>,
        metrics: Vec<&'static Metric>,
        above: f64,
    },
    Pair {
        experiment: String,
        metric: &'static Metric,
        #[serde(rename = "where")]
        place: Where,
        is: Direction,
        #[serde(default)]
        scale: Compared,
        /// The share that a difference has to exceed for a yes, and to stay below for a no.
        margin: Option<f64>,
    },
    Growth {
        experiment: String,
        metric: &'static Metric,
        is: Direction,
        #[serde(default)]
        scale: Compared,
        margin: Option<f64>,
    },
    Crossover {
        experiments: Vec<String>,
        #[serde(default)]
        traffic: Traffic,
    },
    Work {
        experiment: String,
        metric: &'static Metric,
    },
    Distance {
        experiment: String,
        metric: &'static Metric,
        margin: Option<f64>,
    },
    Gate {},
    Property {
        case: String,
        begins: String,
    },
}

/// Reads the file.
///
/// # Panics
/// Never: the file is part of this program, and a test reads it.
pub(super) fn read() -> File {
    toml::from_str(CLAIMS).expect("claims.toml is part of this program")
}

/// The prices of a campaign that names none.
pub(in crate::report) fn default_prices() -> Prices {
    read().prices
}

impl File {
    /// Whether one of these patterns, or of those of a group that they name, fits an arm.
    pub(super) fn names(&self, patterns: &[String], arm: &str, baseline: &str) -> bool {
        patterns.iter().any(|pattern| match self.groups.get(pattern) {
            Some(group) => group.iter().any(|pattern| fits(pattern, arm)),
            None if pattern == "baseline" => arm == baseline,
            None => fits(pattern, arm),
        })
    }
}

/// Whether a pattern names an arm; `*` stands for anything, at its end.
fn fits(pattern: &str, arm: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => arm.starts_with(start),
        None => arm == pattern,
    }
}
