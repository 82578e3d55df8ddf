//! Bounds that a comparison must keep: `response_p99_us > +5%` says what must not be.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Serialize;

use super::model::{Change, Changes};
use crate::experiment::{METRICS, Metric};
use crate::report::side::{Beyond, known_metric, number, units};
use crate::stats::Estimate;

/// What must not be true of a comparison.
///
/// ```text
/// METRIC[@ARM][/USERS]  >|>=|<|<=  LIMIT
/// LIMIT:  +5%  -3%      the change from A to B
///         +2us -64KiB   the difference, B minus A
///         20ms 5000/s   the figure of B itself
/// ```
///
/// So a sign makes it a limit of the change, and its absence one of the figure. A bound is broken
/// only if the whole interval lies beyond the limit, and kept only if the whole interval lies on
/// this side of it; anything between is inconclusive.
#[derive(Clone, Debug)]
pub struct Bound {
    text: String,
    metric: &'static Metric,
    arm: Option<String>,
    users: Option<u64>,
    beyond: Beyond,
    limit: Limit,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Limit {
    /// Of the change: 0.05 is 5 % more.
    Change(f64),
    /// Of B minus A, in the metric's unit.
    Difference(f64),
    /// Of B, in the metric's unit.
    Figure(f64),
}

/// The outcome of a bound at one figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The whole interval lies beyond the limit.
    Broken,
    /// The whole interval lies on this side of it.
    Kept,
    /// The limit lies within the interval, or the figure has no interval.
    Inconclusive,
    /// The figure may not be used.
    Invalid,
}

/// A bound, and its outcome at every figure that it is about.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The bound as it was given.
    pub bound: String,
    /// Each figure's place in [`Changes::changes`], and the outcome there.
    pub outcomes: Vec<(usize, Outcome)>,
    limit: Limit,
}

impl Judgement {
    /// How many figures have this outcome.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.outcomes.iter().filter(|(_, found)| *found == outcome).count()
    }

    /// What is compared with the limit, at one figure.
    pub(super) fn quantity(&self, change: &Change) -> Option<Estimate> {
        quantity(self.limit, change)
    }

    /// Whether that is a share and not in the metric's unit.
    pub(super) const fn of_change(&self) -> bool {
        matches!(self.limit, Limit::Change(_))
    }

    /// Whether that has a sign.
    pub(super) const fn signed(&self) -> bool {
        !matches!(self.limit, Limit::Figure(_))
    }
}

impl Bound {
    /// Compares every figure that the bound is about with its limit.
    ///
    /// # Errors
    /// A sentence if it is about no figure: a bound that a slip of the pen made empty must not
    /// pass.
    pub fn judge(&self, changes: &Changes) -> Result<Judgement, String> {
        let is_meant = |change: &Change| {
            change.key.metric == self.metric
                && self.arm.as_ref().is_none_or(|arm| *arm == change.key.arm)
                && self.users.is_none_or(|users| Some(users) == change.key.users)
        };
        let outcomes: Vec<_> = changes
            .changes
            .iter()
            .enumerate()
            .filter(|(_, change)| is_meant(change))
            .map(|(at, change)| (at, self.outcome(change)))
            .collect();
        if outcomes.is_empty() {
            return Err(format!("{self}: {}", self.not_found(changes)));
        }
        Ok(Judgement { bound: self.text.clone(), outcomes, limit: self.limit })
    }

    fn outcome(&self, change: &Change) -> Outcome {
        if !change.valid {
            return Outcome::Invalid;
        }
        let found = quantity(self.limit, change).and_then(|estimate| estimate.interval);
        let Some((lo, hi)) = found else { return Outcome::Inconclusive };
        let (Limit::Change(limit) | Limit::Difference(limit) | Limit::Figure(limit)) = self.limit;
        let (broken, kept) = match self.beyond {
            Beyond::Above => (lo > limit, hi <= limit),
            Beyond::AboveOrAt => (lo >= limit, hi < limit),
            Beyond::Below => (hi < limit, lo >= limit),
            Beyond::BelowOrAt => (hi <= limit, lo > limit),
        };
        match (broken, kept) {
            (true, _) => Outcome::Broken,
            (_, true) => Outcome::Kept,
            _ => Outcome::Inconclusive,
        }
    }

    fn not_found(&self, changes: &Changes) -> String {
        let of_metric = || changes.changes.iter().filter(|c| c.key.metric == self.metric);
        let mut arms: Vec<&str> = of_metric().map(|c| c.key.arm.as_str()).collect();
        arms.sort_unstable();
        arms.dedup();
        let mut users: Vec<u64> = of_metric().filter_map(|c| c.key.users).collect();
        users.sort_unstable();
        users.dedup();
        let users: Vec<_> = users.iter().map(ToString::to_string).collect();
        if arms.is_empty() {
            let mut known: Vec<_> = changes.changes.iter().map(|c| c.key.metric.name).collect();
            known.sort_unstable();
            known.dedup();
            return format!("expected a metric that both campaigns have: {}", known.join(", "));
        }
        format!(
            "expected an arm and a number of users at which both campaigns have it: arms {}; users \
             {}",
            arms.join(", "),
            if users.is_empty() { "none".into() } else { users.join(", ") }
        )
    }
}

/// What is compared with a limit.
fn quantity(limit: Limit, change: &Change) -> Option<Estimate> {
    match limit {
        Limit::Change(_) | Limit::Difference(_) if change.identical => {
            Some(Estimate { point: 0.0, interval: Some((0.0, 0.0)), ..change.difference.clone() })
        }
        // From nothing to nothing is no change, although it has no ratio.
        Limit::Change(_) if change.difference.interval == Some((0.0, 0.0)) => {
            Some(change.difference.clone())
        }
        Limit::Change(_) => change.ratio.as_ref().map(less_one),
        Limit::Difference(_) => Some(change.difference.clone()),
        Limit::Figure(_) => Some(change.b.clone()),
    }
}

/// A ratio as a change: 1.05 is 5 % more.
pub(super) fn less_one(ratio: &Estimate) -> Estimate {
    Estimate {
        point: ratio.point - 1.0,
        interval: ratio.interval.map(|(lo, hi)| (lo - 1.0, hi - 1.0)),
        ..ratio.clone()
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--fail-if '{}'", self.text)
    }
}

const FORM: &str = "expected METRIC[@ARM][/USERS], one of > >= < <=, and a limit: `response_p99_us \
                    > +5%`, `throughput_rps@session@memory/100 < -3%`, `service_p99_us > 20ms`";

impl FromStr for Bound {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (what, beyond, limit) = Beyond::split(text).ok_or(FORM)?;
        let (what, users) = match what.rsplit_once('/') {
            Some((what, users)) => {
                let number = users.parse().map_err(|_| {
                    format!("expected a number of users after `/`, found `{users}`; {FORM}")
                })?;
                (what, Some(number))
            }
            None => (what, None),
        };
        let (name, arm) = match what.split_once('@') {
            Some((name, arm)) => (name, Some(arm)),
            None => (what, None),
        };
        if arm.is_some_and(str::is_empty) {
            return Err(format!("expected an arm after `@`; {FORM}"));
        }
        let metric = known_metric(name, METRICS)?;
        let limit = read_limit(limit, metric)?;
        Ok(Self { text: text.into(), metric, arm: arm.map(Into::into), users, beyond, limit })
    }
}

fn read_limit(text: &str, metric: &Metric) -> Result<Limit, String> {
    let units = units(metric.unit);
    let refuse = || {
        let names: Vec<_> = units.iter().map(|(name, _)| *name).collect();
        format!(
            "expected a limit of {}: a change such as `+5%`, a difference such as `+2{unit}`, or a \
             figure such as `2{unit}`, in {}; found `{text}`",
            metric.name,
            names.join(", "),
            unit = names[0],
        )
    };
    let (sign, rest) = match text.strip_prefix('+') {
        Some(rest) => (Some(1.0), rest),
        None => text.strip_prefix('-').map_or((None, text), |rest| (Some(-1.0), rest)),
    };
    let (number, unit) = number(rest).ok_or_else(refuse)?;
    if let (Some(sign), "%") = (sign, unit) {
        return Ok(Limit::Change(sign * number / 100.0));
    }
    let (_, factor) = units.iter().find(|(name, _)| *name == unit).ok_or_else(refuse)?;
    Ok(match sign {
        Some(sign) => Limit::Difference(sign * number * factor),
        None => Limit::Figure(number * factor),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{sample_changes, slower};
    use super::*;
    use crate::experiment::metric;

    fn bound(text: &str) -> Bound {
        text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn bounds_are_read() {
        for (text, metric, arm, users, beyond, limit) in [
            ("response_p99_us > +5%", metric::RESPONSE_P99_US, None, None, Beyond::Above, 0.05),
            ("response_p99_us>+5%", metric::RESPONSE_P99_US, None, None, Beyond::Above, 0.05),
            ("throughput_rps < -3 %", metric::THROUGHPUT_RPS, None, None, Beyond::Below, -0.03),
            (
                "throughput_rps@session@memory/100 <= -2.5%",
                metric::THROUGHPUT_RPS,
                Some("session@memory"),
                Some(100),
                Beyond::BelowOrAt,
                -0.025,
            ),
            (
                "goodput_rps@jwt-hs256 < +0%",
                metric::GOODPUT_RPS,
                Some("jwt-hs256"),
                None,
                Beyond::Below,
                0.0,
            ),
            ("error_rate/10>=+10%", metric::ERROR_RATE, None, Some(10), Beyond::AboveOrAt, 0.1),
        ] {
            let found = bound(text);
            assert_eq!(found.metric, metric, "{text}");
            assert_eq!((found.arm.as_deref(), found.users, found.beyond), (arm, users, beyond));
            assert_eq!(found.limit, Limit::Change(limit), "{text}");
        }
    }

    #[test]
    fn a_sign_makes_a_limit_one_of_the_change() {
        for (text, limit) in [
            ("response_p99_us > 20ms", Limit::Figure(20_000.0)),
            ("response_p99_us > 1.5 s", Limit::Figure(1.5e6)),
            ("response_p99_us > +20us", Limit::Difference(20.0)),
            ("service_p50_us < -3µs", Limit::Difference(-3.0)),
            ("credential_bytes > 4KiB", Limit::Figure(4096.0)),
            ("server_rss_bytes > +1MiB", Limit::Difference(1_048_576.0)),
            ("throughput_rps < 5000/s", Limit::Figure(5000.0)),
            ("error_rate > 0.1%", Limit::Figure(0.001)),
            ("error_rate > +0.1%", Limit::Change(0.001)),
        ] {
            assert_eq!(bound(text).limit, limit, "{text}");
        }
    }

    #[test]
    fn what_is_no_bound_is_refused() {
        for (text, part) in [
            ("", "expected METRIC"),
            ("response_p99_us", "expected METRIC"),
            ("response_p99_us = +5%", "expected METRIC"),
            ("> +5%", "found ``"),
            ("p99 > +5%", "found `p99`"),
            ("response_p99_us >", "found ``"),
            ("response_p99_us > 5%", "found `5%`"),
            ("response_p99_us > 5", "found `5`"),
            ("response_p99_us > five", "found `five`"),
            ("response_p99_us > ++5%", "found `++5%`"),
            ("response_p99_us > +5%%", "found `+5%%`"),
            ("response_p99_us > +1e3%", "found `+1e3%`"),
            ("response_p99_us > +.%", "found `+.%`"),
            ("response_p99_us > 5MiB", "in us, µs, ms, s"),
            ("response_p99_us >> +5%", "found `> +5%`"),
            ("response_p99_us/ten > +5%", "found `ten`"),
            ("response_p99_us@ > +5%", "after `@`"),
        ] {
            let error = text.parse::<Bound>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn only_a_whole_interval_breaks_or_keeps_a_bound() {
        let mut change = sample_changes(|_| {}).changes[0].clone();
        assert_eq!(bound("throughput_rps < +0%").outcome(&change), Outcome::Kept, "identical");
        change.identical = false;
        let outcome = |change: &Change, text: &str| bound(text).outcome(change);
        let ratio = |lo, hi| {
            Some(Estimate { point: 1.1, interval: Some((lo, hi)), n: 5, method: String::new() })
        };
        for (lo, hi, above, below) in [
            (1.06, 1.20, Outcome::Broken, Outcome::Kept),
            (1.04, 1.20, Outcome::Inconclusive, Outcome::Inconclusive),
            (0.90, 1.04, Outcome::Kept, Outcome::Broken),
        ] {
            change.ratio = ratio(lo, hi);
            assert_eq!(outcome(&change, "throughput_rps > +5%"), above, "{lo} to {hi}");
            assert_eq!(outcome(&change, "throughput_rps < +5%"), below, "{lo} to {hi}");
        }
        // At the limit itself, which a figure that never varies can be.
        change.ratio = ratio(1.0, 1.0);
        assert_eq!(outcome(&change, "throughput_rps > +0%"), Outcome::Kept);
        assert_eq!(outcome(&change, "throughput_rps >= +0%"), Outcome::Broken);
        assert_eq!(outcome(&change, "throughput_rps < +0%"), Outcome::Kept);
        assert_eq!(outcome(&change, "throughput_rps <= +0%"), Outcome::Broken);
        // Nothing on either side is no change, and nothing on one side has no ratio.
        let difference = |interval| Estimate {
            point: 0.0,
            interval: Some(interval),
            n: 5,
            method: String::new(),
        };
        change.ratio = None;
        change.difference = difference((0.0, 0.0));
        assert_eq!(outcome(&change, "throughput_rps > +5%"), Outcome::Kept);
        change.difference = difference((0.0, 0.1));
        assert_eq!(outcome(&change, "throughput_rps > +5%"), Outcome::Inconclusive);
        // No interval settles nothing, and an invalid figure less.
        change.ratio = ratio(2.0, 3.0);
        change.ratio.as_mut().unwrap().interval = None;
        assert_eq!(outcome(&change, "throughput_rps > +5%"), Outcome::Inconclusive);
        change.valid = false;
        assert_eq!(outcome(&change, "throughput_rps > +5%"), Outcome::Invalid);
    }

    #[test]
    fn a_bound_is_held_against_the_figures_that_it_is_about() {
        let found = sample_changes(slower("jwt-hs256"));
        let count = |text: &str, outcome| bound(text).judge(&found).unwrap().count(outcome);
        let all = "server_cpu_us_per_request > +20%";
        assert_eq!(count(all, Outcome::Broken), 3, "at three levels");
        assert_eq!(count(all, Outcome::Kept), 9, "of the other two arms, and the reference again");
        let one = "server_cpu_us_per_request@jwt-hs256/100 > +20%";
        assert_eq!(bound(one).judge(&found).unwrap().outcomes.len(), 1);
        assert_eq!(count(one, Outcome::Broken), 1);
        let memory = "server_cpu_us_per_request@session@memory > +20%";
        assert_eq!(count(memory, Outcome::Kept), 3);
        assert_eq!(count("server_cpu_us_per_request > 1s", Outcome::Kept), 12);
        assert_eq!(count("server_cpu_us_per_request@jwt-hs256 > +1us", Outcome::Broken), 3);
        for (text, part) in [
            ("response_p99_us@jwt > +5%", "arms jwt-hs256, none, session@memory"),
            ("response_p99_us/7 > +5%", "users 10, 100, 1000"),
            ("error_rate/7 > 1%", "--fail-if 'error_rate/7 > 1%'"),
        ] {
            let error = bound(text).judge(&found).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
