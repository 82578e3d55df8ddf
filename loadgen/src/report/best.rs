//! Which arms of a column these data tell apart, and which are not worse than the best: by the
//! differences of their blocks, as verdicts are, and not by whether two intervals overlap.

use std::collections::{BTreeMap, BTreeSet};

use super::figures::MARGIN;
use crate::stats::{Floor, Moments, Question, Scale, Verdict, judge, log_ratios};

/// What the valid trials of an arm found, by block.
pub(super) type Blocks = BTreeMap<u32, f64>;

/// A column of figures that can be compared block by block.
#[derive(Debug)]
pub(super) struct Column {
    /// The figure that is shown for each arm, and its trials; `None` where it was not measured.
    pub(super) arms: Vec<Option<(f64, Blocks)>>,
    /// The scale on which two arms are compared.
    pub(super) scale: Scale,
    /// Whether more is better.
    pub(super) more: bool,
    /// How far the reference differs from itself.
    pub(super) floor: Floor,
}

impl Default for Column {
    fn default() -> Self {
        Self { arms: Vec::new(), scale: Scale::Log, more: false, floor: Floor::NotMeasured }
    }
}

impl Column {
    /// The best arm and all that are not worse by a verdict. There is no mark if fewer than two
    /// arms have two blocks, or if more than two thirds of them would have one: that says little.
    pub(super) fn marks(&self) -> Vec<bool> {
        let known = self.arms.iter().flatten().filter(|(_, blocks)| blocks.len() > 1).count();
        let marks = self.not_worse();
        let marked = marks.iter().filter(|mark| **mark).count();
        let says_little = known < 2 || marked * 3 > known * 2;
        if says_little { vec![false; marks.len()] } else { marks }
    }

    /// The best arm and all that are not worse by a verdict.
    fn not_worse(&self) -> Vec<bool> {
        let mut marks = vec![false; self.arms.len()];
        let known: Vec<(usize, f64)> =
            self.known().into_iter().map(|(row, point, _)| (row, point)).collect();
        let order = |a: &f64, b: &f64| if self.more { b.total_cmp(a) } else { a.total_cmp(b) };
        let Some((best, _)) = known.iter().min_by(|a, b| order(&a.1, &b.1)).copied() else {
            return marks;
        };
        let apart = self.apart(self.floor);
        for (row, _) in known {
            let worse = if self.more { apart.lower(row, best) } else { apart.lower(best, row) };
            marks[row] = !worse;
        }
        marks
    }

    /// The arms with two blocks or more: row, figure and blocks.
    fn known(&self) -> Vec<(usize, f64, &Blocks)> {
        let arms = self.arms.iter().enumerate();
        arms.filter_map(|(row, arm)| arm.as_ref().map(|(point, blocks)| (row, *point, blocks)))
            .filter(|(_, _, blocks)| blocks.len() > 1)
            .collect()
    }

    /// Which arms are told apart by more than the margin: a smaller difference decides nothing.
    pub(super) fn apart_by_margin(&self) -> Apart {
        self.apart(match self.floor {
            Floor::Unknown => Floor::Unknown,
            Floor::NotMeasured => Floor::At(MARGIN.ln_1p()),
            Floor::At(floor) => Floor::At(floor.max(MARGIN.ln_1p())),
        })
    }

    /// Which arms are told apart.
    ///
    /// All pairs are one family. The best is chosen after the fact, so with a correction for its
    /// own comparisons alone, one of seven equal arms would be called worse in a campaign of ten.
    fn apart(&self, floor: Floor) -> Apart {
        let known = self.known();
        let pairs: Vec<(usize, usize)> = (0..known.len())
            .flat_map(|one| (one + 1..known.len()).map(move |other| (one, other)))
            .collect();
        let question =
            |(one, other): &(usize, usize)| self.question(known[*one].2, known[*other].2, floor);
        let family: Vec<Question> = pairs.iter().map(question).collect();
        let rulings = judge(&family, MARGIN);
        let lower = pairs.into_iter().zip(rulings).filter_map(|((one, other), ruling)| {
            let (one, other) = (known[one].0, known[other].0);
            match ruling.verdict {
                Verdict::Lower => Some((one, other)),
                Verdict::Higher => Some((other, one)),
                _ => None,
            }
        });
        Apart(lower.collect())
    }

    /// What is asked of two arms, the first compared with the second.
    fn question(&self, one: &Blocks, other: &Blocks, floor: Floor) -> Question {
        let ratio = ratio(one, other);
        let difference = match self.scale {
            Scale::Log => ratio,
            Scale::Linear => difference(one, other),
        };
        Question { difference, ratio, floor }
    }
}

/// Pairs of rows of a column, the first of which has less by a verdict.
#[derive(Debug, Default)]
pub(super) struct Apart(BTreeSet<(usize, usize)>);

impl Apart {
    /// Whether the figure of a row is lower than another's by a verdict.
    pub(super) fn lower(&self, one: usize, other: usize) -> bool {
        self.0.contains(&(one, other))
    }
}

/// The floor of a column: what an A/A pair differs by.
pub(super) fn floor(twin: Option<&Blocks>, reference: Option<&Blocks>, scale: Scale) -> Floor {
    let Some((twin, reference)) = twin.zip(reference) else { return Floor::NotMeasured };
    Floor::of(match scale {
        Scale::Log => ratio(twin, reference),
        Scale::Linear => difference(twin, reference),
    })
}

fn pairs(one: &Blocks, other: &Blocks) -> Vec<(f64, f64)> {
    one.iter().filter_map(|(block, a)| Some((*a, *other.get(block)?))).collect()
}

fn difference(one: &Blocks, other: &Blocks) -> Option<Moments> {
    Moments::of(&pairs(one, other).iter().map(|(a, b)| a - b).collect::<Vec<_>>())
}

fn ratio(one: &Blocks, other: &Blocks) -> Option<Moments> {
    Moments::of(&log_ratios(&pairs(one, other))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{mix, normal};
    use crate::stats::{estimate, exact};

    /// A column of less-is-better figures with these values by block.
    fn column(arms: &[&[f64]], floor: Floor) -> Column {
        let arm = |values: &&[f64]| {
            let point = estimate(values, Scale::Log).or_else(|| exact(values))?.point;
            Some((point, (0..).zip(values.iter().copied()).collect()))
        };
        Column { arms: arms.iter().map(arm).collect(), floor, ..Column::default() }
    }

    /// Six blocks of a machine that drifts by a third, which all arms share.
    fn drifting(cost: f64, noise: [f64; 6]) -> Vec<f64> {
        let drift = [1.0, 1.3, 0.9, 1.2, 1.05, 0.85];
        drift.iter().zip(noise).map(|(drift, noise)| cost * drift * (1.0 + noise)).collect()
    }

    const NOISE: [[f64; 6]; 3] = [
        [0.002, -0.003, 0.001, 0.003, -0.002, -0.001],
        [-0.001, 0.002, 0.003, -0.003, 0.001, -0.002],
        [0.003, 0.001, -0.002, -0.001, 0.002, -0.003],
    ];

    #[test]
    fn blocks_decide_and_not_intervals_that_overlap() {
        let arms = [drifting(10.0, NOISE[0]), drifting(11.0, NOISE[1]), drifting(10.1, NOISE[2])];
        let intervals: Vec<(f64, f64)> = arms
            .iter()
            .map(|values| estimate(values, Scale::Log).unwrap().interval.unwrap())
            .collect();
        assert!(intervals[1].0 < intervals[0].1, "the intervals overlap: {intervals:?}");
        let arms: Vec<&[f64]> = arms.iter().map(Vec::as_slice).collect();
        assert_eq!(column(&arms, Floor::NotMeasured).marks(), [true, false, true]);
        let more = Column { more: true, ..column(&arms, Floor::NotMeasured) };
        assert_eq!(more.marks(), [false, true, false]);
        // As much as the reference differs from itself is no difference.
        assert_eq!(column(&arms, Floor::At(0.2)).marks(), [false; 3]);
        assert_eq!(column(&arms, Floor::At(0.05)).marks(), [true, false, true]);
    }

    #[test]
    fn without_two_blocks_an_arm_is_neither_best_nor_compared() {
        let (cheap, dear) = (drifting(10.0, NOISE[0]), drifting(20.0, NOISE[1]));
        let marks = |arms: &[&[f64]]| column(arms, Floor::NotMeasured).marks();
        assert_eq!(marks(&[&[1.0], &cheap, &dear]), [false, true, false]);
        assert_eq!(marks(&[&[1.0], &cheap]), [false, false]);
        assert_eq!(marks(&[]), Vec::<bool>::new());
        let mut lacks = column(&[&cheap, &cheap, &dear], Floor::NotMeasured);
        lacks.arms[1] = None;
        assert_eq!(lacks.marks(), [true, false, false]);
        // All alike: a mark on each says nothing.
        let alike = [drifting(10.0, NOISE[0]), drifting(10.0, NOISE[1])];
        assert_eq!(marks(&[&alike[0], &alike[1]]), [false, false]);
    }

    #[test]
    fn what_may_be_0_is_compared_by_differences() {
        let bytes = |values: [f64; 3]| Some((values[1], (0..).zip(values).collect()));
        let memory = Column {
            arms: vec![
                bytes([113.0, 113.1, 112.9]),
                bytes([0.0, 0.0, 0.0]),
                bytes([-0.4, 0.1, 0.6]),
                None,
            ],
            scale: Scale::Linear,
            ..Column::default()
        };
        assert_eq!(memory.marks(), [false, true, true, false]);
    }

    #[test]
    fn of_equal_arms_one_is_called_worse_in_at_most_one_campaign_of_twenty() {
        for blocks in [3, 6] {
            let wrong = (0..1000).filter(|campaign| {
                // Noise of 10 % lies beyond the margin, so that the correction alone protects them.
                let value = |arm: u64, block| 0.1 * normal(mix(mix(91, *campaign), arm), block);
                let arms: Vec<Vec<f64>> = (0..7)
                    .map(|arm| (0..blocks).map(|block| value(arm, block).exp()).collect())
                    .collect();
                let arms: Vec<&[f64]> = arms.iter().map(Vec::as_slice).collect();
                column(&arms, Floor::NotMeasured).not_worse().contains(&false)
            });
            let share = wrong.count() as f64 / 1000.0;
            assert!(share <= 0.06, "{blocks} blocks: {share}");
        }
    }
}
