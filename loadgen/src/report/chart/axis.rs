//! The arithmetic of an axis: its ends, its round ticks, which cover the values, and where a value
//! stands. Linear values start at 0, because a bar that starts elsewhere exaggerates; values that
//! are not positive are on no logarithmic axis, because hiding one is worse than crowding.

use crate::units::grouped;

/// More levels than these are labelled at decades.
const LEVELS_MAX: usize = 7;

/// An axis; values outside its ends stand at its ends.
pub(super) struct Axis {
    /// Round values and their labels, ascending.
    pub(super) ticks: Vec<(f64, String)>,
    /// What the tick labels leave unsaid: the unit.
    pub(super) note: String,
    lo: f64,
    hi: f64,
    spacing: Spacing,
}

/// How values are spaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spacing {
    Linear,
    /// By their ratios.
    Log,
    /// Percents by what lies beyond them: from 90 to 99 as far as from 99 to 99.9.
    Tail,
}

use Spacing::{Linear, Log, Tail};

impl Axis {
    /// An axis of values in a metric's unit.
    pub(super) fn of_values(values: &[f64], unit: &str, log: bool) -> Self {
        let (min, max) = ends(values);
        let (scale, name) = scaled(unit, max.abs().max(min.abs()));
        if log && min > 0.0 {
            let label = |value: f64| match unit {
                "us" => time(value),
                _ => format!("{} {name}", plain(value / scale)).trim_end().into(),
            };
            let rounds = log_ticks(min / scale, max / scale);
            let ticks = rounds.into_iter().map(|t| (t * scale, label(t * scale))).collect();
            return Self::new(ticks, String::new(), Log);
        }
        let ticks = linear_ticks(min.min(0.0) / scale, max.max(0.0) / scale, 6)
            .into_iter()
            .map(|(tick, label)| (tick * scale, label))
            .collect();
        Self::new(ticks, name.into(), Linear)
    }

    /// An axis of percentiles, each with its label.
    pub(super) fn of_percentiles(percents: &[f64]) -> Self {
        let ticks = percents.iter().map(|percent| (*percent, format!("p{percent}"))).collect();
        Self::new(ticks, String::new(), Tail)
    }

    /// An axis of words, whose places are the whole numbers from 0.
    pub(super) fn of_words(words: &[String]) -> Self {
        let ticks = words.iter().enumerate().map(|(i, word)| (i as f64, word.clone())).collect();
        Self::new(ticks, String::new(), Linear)
    }

    /// An axis of levels; at most `characters` of labels fit on it.
    pub(super) fn of_levels(levels: &[f64], log: bool, characters: usize) -> Self {
        let (min, max) = ends(levels);
        let label = |value: f64| (value, plain(value));
        if log && min > 0.0 {
            let mut ticks = levels.to_vec();
            ticks.sort_by(f64::total_cmp);
            ticks.dedup();
            let between: Vec<f64> =
                decades(min, max).into_iter().filter(|t| (min..=max).contains(t)).collect();
            if ticks.len() > LEVELS_MAX && between.len() > 1 {
                ticks = between;
            }
            let ticks = thinned(ticks.into_iter().map(label).collect(), characters);
            return Self { ticks, note: String::new(), lo: min, hi: max, spacing: Log };
        }
        let fits = |ticks: &Vec<(f64, String)>| width(ticks) <= characters;
        let ticks = (1..=5)
            .rev()
            .map(|steps| linear_ticks(min.min(0.0), max.max(0.0), steps))
            .find(fits)
            .unwrap_or_else(|| linear_ticks(min.min(0.0), max.max(0.0), 1));
        Self::new(ticks, String::new(), Linear)
    }

    fn new(ticks: Vec<(f64, String)>, note: String, spacing: Spacing) -> Self {
        let (lo, hi) = ends(&ticks.iter().map(|(tick, _)| *tick).collect::<Vec<_>>());
        Self { ticks, note, lo, hi, spacing }
    }

    /// Where a value stands, 0 at the low end and 1 at the high one.
    pub(super) fn share(&self, value: f64) -> f64 {
        let place = |v: f64| match self.spacing {
            Linear => v,
            Log => v.max(f64::MIN_POSITIVE).ln(),
            Tail => -(1.0 - v / 100.0).max(f64::MIN_POSITIVE).ln(),
        };
        let (lo, hi) = (place(self.lo), place(self.hi));
        if hi > lo { ((place(value) - lo) / (hi - lo)).clamp(0.0, 1.0) } else { 0.5 }
    }

    /// Whether values are spaced by their ratios.
    pub(super) fn is_log(&self) -> bool {
        self.spacing == Log
    }

    /// Whether a value lies beyond the ends.
    pub(super) fn beyond(&self, value: f64) -> bool {
        value < self.lo || value > self.hi
    }
}

fn ends(values: &[f64]) -> (f64, f64) {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if low <= high { (low, high) } else { (0.0, 1.0) }
}

/// The multiple of a metric's unit in which an axis up to `max` is labelled, and its name.
fn scaled(unit: &str, max: f64) -> (f64, &str) {
    let steps: &[(f64, &str)] = match unit {
        "us" => &[(1e6, "s"), (1e3, "ms"), (1.0, "µs")],
        "bytes" => &[(1_073_741_824.0, "GiB"), (1_048_576.0, "MiB"), (1024.0, "KiB")],
        "share" => &[(0.01, "%")],
        _ => &[],
    };
    steps.iter().copied().find(|(size, _)| max >= *size).unwrap_or(match unit {
        "us" => (1.0, "µs"),
        "share" => (0.01, "%"),
        _ => (1.0, unit),
    })
}

/// The least of 1, 2, 5 times a power of ten that is not below `value`, which is positive.
fn round_up(value: f64) -> f64 {
    let decade = 10f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|round| round * decade)
        .find(|round| *round >= value * (1.0 - 1e-9))
        .unwrap_or(decade * 10.0)
}

/// About `steps` round steps that cover both ends, with their labels.
fn linear_ticks(lo: f64, hi: f64, steps: u32) -> Vec<(f64, String)> {
    let hi = if hi > lo { hi } else { lo + 1.0 };
    let step = round_up((hi - lo) / f64::from(steps));
    let decimals = (-(step.log10() + 1e-9).floor()).clamp(0.0, 12.0) as usize;
    let first = (lo / step + 1e-9).floor() as i64;
    let last = (hi / step - 1e-9).ceil() as i64;
    (first..=last)
        .map(|i| {
            let tick = i as f64 * step;
            let sign = if i < 0 { "-" } else { "" };
            let label = match decimals {
                0 => format!("{sign}{}", grouped(tick.abs().round() as u64)),
                _ => format!("{tick:.decimals$}"),
            };
            (tick, label)
        })
        .collect()
}

/// Round values that cover two positive ends: 1, 2 and 5 over up to two decades; over four, decades
/// between a round value at each end; else decades alone.
fn log_ticks(min: f64, max: f64) -> Vec<f64> {
    let rounds: Vec<f64> = decades(min / 10.0, max * 10.0)
        .into_iter()
        .flat_map(|decade| [1.0, 2.0, 5.0].map(|round| round * decade))
        .collect();
    let below = |t: &&f64| **t <= min * (1.0 + 1e-9);
    let lo = rounds.iter().rfind(below).copied().unwrap_or(min);
    let least = if max > lo { max } else { lo * 1.5 };
    let hi = rounds.iter().find(|t| **t >= least * (1.0 - 1e-9)).copied().unwrap_or(max);
    let span = (hi / lo).log10();
    if span <= 2.0 {
        return rounds.into_iter().filter(|t| (lo..=hi).contains(t)).collect();
    }
    if span <= 4.0 {
        // An end that is a decade but for rounding must not stand there twice.
        let inner = decades(lo, hi).into_iter().filter(|t| *t > lo * 1.5 && *t < hi / 1.5);
        return [lo].into_iter().chain(inner).chain([hi]).collect();
    }
    let decades = decades(lo, hi);
    let every = decades.len().div_ceil(7);
    // Padding at the top keeps the last tick above the data when decades are skipped.
    let top = decades.last().copied().unwrap_or(hi);
    let padded = (1..every as i32).map(|i| top * 10f64.powi(i));
    decades.iter().copied().chain(padded).step_by(every).collect()
}

/// The powers of ten from the one below `min` to the one above `max`.
fn decades(min: f64, max: f64) -> Vec<f64> {
    let first = (min.log10() + 1e-9).floor() as i32;
    let last = (max.log10() - 1e-9).ceil() as i32;
    (first..=last.max(first)).map(|power| 10f64.powi(power)).collect()
}

/// Characters that labels need in a row, with a gap between two.
fn width(ticks: &[(f64, String)]) -> usize {
    ticks.iter().map(|(_, label)| label.chars().count() + 2).sum()
}

/// Every n-th tick, so that the labels fit.
fn thinned(ticks: Vec<(f64, String)>, characters: usize) -> Vec<(f64, String)> {
    let every = width(&ticks).div_ceil(characters.max(1)).max(1);
    ticks.into_iter().step_by(every).collect()
}

/// A round time: `50 µs`, `1 ms`, `10 s`.
fn time(us: f64) -> String {
    let (size, unit) = scaled("us", us * (1.0 + 1e-9));
    format!("{} {unit}", plain(us / size))
}

/// A round number without trailing zeros.
fn plain(value: f64) -> String {
    if value >= 0.999 {
        return grouped(value.round() as u64);
    }
    let text = format!("{value:.9}");
    text.trim_end_matches('0').trim_end_matches('.').into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn ticks_are_round_and_labelled_in_the_unit_a_person_would_use() {
        for (values, unit, log, expected, note) in [
            (
                vec![41_000.0, 94_000.0],
                "requests/s",
                false,
                vec!["0", "20,000", "40,000", "60,000", "80,000", "100,000"],
                "requests/s",
            ),
            (vec![9.0, 22.0], "us", false, vec!["0", "5", "10", "15", "20", "25"], "µs"),
            (vec![0.1, 0.35], "us", false, vec!["0.0", "0.1", "0.2", "0.3", "0.4"], "µs"),
            (vec![4e7], "bytes", false, vec!["0", "10", "20", "30", "40"], "MiB"),
            (vec![-300.0, 400.0], "bytes", false, vec!["-400", "-200", "0", "200", "400"], "bytes"),
            (vec![0.0], "share", false, vec!["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"], "%"),
            (vec![150.0, 12_000.0], "us", true, vec!["100 µs", "1 ms", "10 ms", "20 ms"], ""),
            (vec![15.0, 80.0], "us", true, vec!["10 µs", "20 µs", "50 µs", "100 µs"], ""),
            (vec![0.0, 80.0], "us", true, vec!["0", "20", "40", "60", "80"], "µs"),
        ] {
            let axis = Axis::of_values(&values, unit, log);
            assert_eq!((labels(&axis), axis.note.as_str()), (expected, note), "{values:?}");
        }
    }

    #[test]
    fn levels_stand_at_decades_or_where_they_are() {
        for (levels, log, expected) in [
            (vec![8.0, 64.0, 2000.0], true, vec!["8", "64", "2,000"]),
            (
                vec![8.0, 16.0, 32.0, 64.0, 128.0, 512.0, 1000.0, 2000.0],
                true,
                vec!["10", "100", "1,000"],
            ),
            (vec![64.0], true, vec!["64"]),
            (vec![16.0, 64.0], true, vec!["16", "64"]),
            (vec![32.0, 100_000.0], false, vec!["0", "50,000", "100,000"]),
        ] {
            let axis = Axis::of_levels(&levels, log, 30);
            assert_eq!(labels(&axis), expected, "{levels:?}");
        }
    }

    proptest! {
        #[test]
        fn ticks_cover_the_values_in_order(
            values in prop::collection::vec(-1e9f64..1e9, 1..6),
            exponents in prop::collection::vec(-5f64..13.0, 1..6),
        ) {
            let positive: Vec<f64> = exponents.iter().map(|e| 10f64.powf(*e)).collect();
            for unit in ["us", "bytes", "requests/s", "share"] {
                for (values, log) in [(&values, false), (&positive, false), (&positive, true)] {
                    let axis = Axis::of_values(values, unit, log);
                    let ticks: Vec<f64> = axis.ticks.iter().map(|(tick, _)| *tick).collect();
                    prop_assert!((2..=12).contains(&ticks.len()), "{ticks:?}");
                    prop_assert!(ticks.windows(2).all(|pair| pair[0] < pair[1]), "{ticks:?}");
                    let slack = 1e-6;
                    for value in values {
                        let (first, last) = (ticks[0], ticks[ticks.len() - 1]);
                        prop_assert!(first - first.abs() * slack <= *value, "{ticks:?} {value}");
                        prop_assert!(last + last.abs() * slack >= *value, "{ticks:?} {value}");
                        prop_assert!((0.0..=1.0).contains(&axis.share(*value)));
                    }
                }
            }
        }
    }
}
