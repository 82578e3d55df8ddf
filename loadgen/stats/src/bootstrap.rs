//! Resampling of whole blocks, seeded: a block is what a campaign repeats, so a block is drawn with
//! everything that was measured in it.

use super::compare::Moments;
use crate::random::mix;

/// How often a campaign is resampled.
pub const REPLICATES: u32 = 400;

/// How often each of `blocks` blocks is drawn, in each of [`REPLICATES`] campaigns (Efron,
/// "Bootstrap methods: another look at the jackknife", Annals of Statistics 7, 1979). The same seed
/// and number of blocks give the same draws, so that two arms are drawn block by block together.
pub fn draws(blocks: u32, seed: u64) -> impl Iterator<Item = Vec<u32>> {
    (0..REPLICATES).map(move |replicate| {
        let mut times = vec![0; blocks as usize];
        for draw in 0..blocks {
            let block = mix(mix(seed, u64::from(replicate)), u64::from(draw)) % u64::from(blocks);
            times[block as usize] += 1;
        }
        times
    })
}

/// An estimator and its values in resampled campaigns.
///
/// The replicates give the scatter of an estimator that has no formula for it. The width of an
/// interval still comes from Student's t: with few blocks the percentiles of the replicates cover
/// less than they say (`interval.rs` and `slope.rs` show it).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resampled {
    /// Blocks that it rests on.
    pub blocks: u32,
    /// Its value in the campaign itself.
    pub value: f64,
    /// Its value in each campaign of [`draws`], in their order; not finite where it has no value.
    pub replicates: Vec<f64>,
}

/// The share of replicates that must have a value.
const WITH_VALUE: f64 = 0.95;

impl Resampled {
    /// The value and its standard error; `None` with one block, or if too many replicates have no
    /// value. Replicates scatter less than campaigns do, by (n - 1) / n in variance, so this
    /// divides by that factor: for a mean the result is the usual standard error.
    pub fn moments(&self) -> Option<Moments> {
        let values: Vec<f64> = self.replicates.iter().copied().filter(|v| v.is_finite()).collect();
        let enough = values.len() as f64 >= WITH_VALUE * self.replicates.len() as f64;
        if self.blocks < 2 || !self.value.is_finite() || !enough {
            return None;
        }
        let of = Moments::of(&values)?;
        let deviation = of.error * f64::from(of.n).sqrt();
        let n = f64::from(self.blocks);
        let error = deviation * (n / (n - 1.0)).sqrt();
        Some(Moments { n: self.blocks, mean: self.value, error })
    }

    /// This minus another of the same draws.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        let pairs = self.replicates.iter().zip(&other.replicates);
        Self {
            blocks: self.blocks.min(other.blocks),
            value: self.value - other.value,
            replicates: pairs.map(|(one, other)| one - other).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::uniform;

    #[test]
    fn every_campaign_has_its_number_of_blocks() {
        let all: Vec<Vec<u32>> = draws(5, 3).collect();
        assert_eq!(all.len(), REPLICATES as usize);
        assert!(all.iter().all(|times| times.iter().sum::<u32>() == 5));
        assert_eq!(all, draws(5, 3).collect::<Vec<_>>());
        assert_ne!(all, draws(5, 4).collect::<Vec<_>>());
        let drawn: u32 = all.iter().map(|times| times[0]).sum();
        assert!((340..460).contains(&drawn), "each block about as often: {drawn}");
    }

    #[test]
    fn of_a_mean_it_finds_the_usual_standard_error() {
        let values: Vec<f64> = (0..6).map(|i| uniform(2, i)).collect();
        let mean = |times: &[u32]| {
            values.iter().zip(times).map(|(v, t)| v * f64::from(*t)).sum::<f64>() / 6.0
        };
        let resampled = Resampled {
            blocks: 6,
            value: mean(&[1; 6]),
            replicates: draws(6, 1).map(|times| mean(&times)).collect(),
        };
        let usual = Moments::of(&values).unwrap();
        let found = resampled.moments().unwrap();
        assert!((found.error / usual.error - 1.0).abs() < 0.08, "{found:?} {usual:?}");
        let nothing = resampled.minus(&resampled);
        assert_eq!(nothing.moments().unwrap().p_difference(), 1.0);
    }

    #[test]
    fn replicates_without_a_value_leave_none() {
        let mut resampled = Resampled { blocks: 3, value: 1.0, replicates: vec![1.0; 100] };
        assert!(resampled.moments().is_some());
        resampled.replicates[..6].fill(f64::NAN);
        assert_eq!(resampled.moments(), None);
    }
}
