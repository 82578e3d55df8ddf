//! The Universal Scalability Law: how much of a slowdown is waiting, and how much is agreeing.
//! Every fit is tested ([`LackOfFit`]), and one that fails its test is no law.

use super::Scale;
use super::bootstrap::{Resampled, draws};
use super::lack::LackOfFit;
use super::least::{Normal, descent};

/// With fewer levels the three parameters follow the noise.
pub const LEVELS_MIN: usize = 6;

/// The law with its three parameters.
///
/// X(N) = a N / (1 + s (N - 1) + k N (N - 1)) (Gunther, "Guerrilla capacity planning", Springer
/// 2007, chapters 4 and 5), fitted by nonlinear least squares (`descent`). Throughput falls
/// beyond a peak, because every pair of users costs something. N is the number of users if the
/// machine has a core for each, else the number of cores: users of one core leave it idle or find
/// it taken, and neither is contention.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usl {
    /// What one user gets, in the unit of the throughput.
    pub rate: f64,
    /// Contention: the share of the work that only one at a time can do.
    pub contention: f64,
    /// Coherency: what every pair of users adds, as a share of the work.
    pub coherency: f64,
}

impl Usl {
    /// Throughput with so many users.
    pub fn at(&self, users: f64) -> f64 {
        self.rate * users / self.load(users)
    }

    fn load(&self, users: f64) -> f64 {
        1.0 + self.contention * (users - 1.0) + self.coherency * users * (users - 1.0)
    }

    /// The number of users beyond which throughput falls; `None` if it never does.
    pub fn peak(&self) -> Option<f64> {
        let most = || ((1.0 - self.contention).max(0.0) / self.coherency).sqrt().max(1.0);
        (self.coherency > 0.0).then(most)
    }
}

/// A level: users (or cores), the throughputs of its blocks (`None` where a block has none).
pub type Level = (f64, Vec<Option<f64>>);

/// The law of an arm, and its parameters in resampled campaigns.
#[derive(Clone, Debug)]
pub struct UslFit {
    /// The law itself: contention and coherency are at least 0.
    pub law: Usl,
    /// Whether it holds; if not, the fields below mean nothing.
    pub lack: LackOfFit,
    /// Contention without that bound, so that its scatter about 0 is not cut in half.
    pub contention: Resampled,
    /// Coherency without that bound.
    pub coherency: Resampled,
    /// Logarithm of the peak; not finite in campaigns without one.
    pub ln_peak: Resampled,
}

/// Fits the law to throughputs by level and block, and to as many draws of the blocks; `None` with
/// fewer than six levels, fewer than two blocks in which every level was measured, or where there
/// is no fit. Other blocks are left out. Errors count by proportion.
pub fn fit_levels(levels: &[Level], seed: u64) -> Option<UslFit> {
    let blocks = levels.iter().map(|(_, values)| values.len()).max()?;
    let whole: Vec<usize> = (0..blocks)
        .filter(|block| {
            levels.iter().all(|(_, values)| values.get(*block).is_some_and(Option::is_some))
        })
        .collect();
    if levels.len() < LEVELS_MIN || whole.len() < 2 {
        return None;
    }
    let log = |values: &[Option<f64>]| -> Vec<f64> {
        whole.iter().filter_map(|block| values[*block]).map(f64::ln).collect()
    };
    let logs: Vec<(f64, Vec<f64>)> = levels.iter().map(|(n, values)| (*n, log(values))).collect();
    let blocks = whole.len() as u32;
    let points = |times: &[u32]| -> Vec<Point> {
        let mean = |logs: &[f64]| {
            let sum: f64 = logs.iter().zip(times).map(|(x, t)| x * f64::from(*t)).sum();
            sum / f64::from(blocks)
        };
        logs.iter().map(|(n, logs)| Point { users: *n, value: mean(logs).exp() }).collect()
    };
    let all = points(&vec![1; whole.len()]);
    let law = bounded(&all, Scale::Log)?;
    let free = free(&all, Scale::Log)?;
    // Each resampled fit is close to that of the whole campaign.
    let drawn: Vec<Option<Usl>> = draws(blocks, seed)
        .map(|times| descend(&points(&times), Scale::Log, free, [true; 3]))
        .collect();
    let resampled = |of: fn(&Usl) -> f64| Resampled {
        blocks,
        value: of(&free),
        replicates: drawn.iter().map(|law| law.as_ref().map_or(f64::NAN, of)).collect(),
    };
    Some(UslFit {
        law,
        lack: lack(&logs, &law)?,
        contention: resampled(|law| law.contention),
        coherency: resampled(|law| law.coherency),
        ln_peak: resampled(|law| law.peak().map_or(f64::NAN, f64::ln)),
    })
}

/// The test of the law, after removing how much faster or slower a block was as a whole: that moves
/// all levels alike, and says nothing about the law's form.
fn lack(logs: &[(f64, Vec<f64>)], law: &Usl) -> Option<LackOfFit> {
    let blocks = logs.first()?.1.len();
    let mean_of = |block: usize| {
        logs.iter().map(|(_, values)| values[block]).sum::<f64>() / logs.len() as f64
    };
    let means: Vec<f64> = (0..blocks).map(mean_of).collect();
    let mean = means.iter().sum::<f64>() / blocks as f64;
    let centred = |values: &Vec<f64>| -> Vec<f64> {
        values.iter().zip(&means).map(|(value, block)| value - block + mean).collect()
    };
    let levels: Vec<Vec<f64>> = logs.iter().map(|(_, values)| centred(values)).collect();
    let fitted: Vec<f64> = logs.iter().map(|(n, _)| law.at(*n).ln()).collect();
    LackOfFit::of(&levels, &fitted, 3, blocks as u32 - 1)
}

/// A level's throughput.
#[derive(Clone, Copy, Debug)]
struct Point {
    users: f64,
    value: f64,
}

/// The best law with contention and coherency of at least 0: the free one if it qualifies, else the
/// best with one or both of them 0.
fn bounded(points: &[Point], scale: Scale) -> Option<Usl> {
    let start = start(points)?;
    let fits = |law: &Usl| law.contention >= 0.0 && law.coherency >= 0.0;
    if let Some(law) = descend(points, scale, start, [true; 3]).filter(fits) {
        return Some(law);
    }
    let with = |free: [bool; 3]| {
        let start = Usl {
            contention: if free[1] { start.contention } else { 0.0 },
            coherency: if free[2] { start.coherency } else { 0.0 },
            ..start
        };
        descend(points, scale, start, free).filter(fits)
    };
    let edges = [[true, true, false], [true, false, true], [true, false, false]];
    edges
        .into_iter()
        .filter_map(with)
        .min_by(|a, b| loss(points, scale, a).total_cmp(&loss(points, scale, b)))
}

/// The best law without bounds.
fn free(points: &[Point], scale: Scale) -> Option<Usl> {
    descend(points, scale, start(points)?, [true; 3])
}

/// A law to start from: N / X is linear in 1/a, s/a and k/a, so weighted least squares find
/// them; relative errors of X are about as large as those of N / X.
fn start(points: &[Point]) -> Option<Usl> {
    let row = |p: &Point| {
        let weight = p.value / p.users;
        [weight, weight * (p.users - 1.0), weight * p.users * (p.users - 1.0)]
    };
    // Columns are scaled to 1, because the small ones would not count otherwise.
    let size = |i: usize| points.iter().map(|p| row(p)[i].powi(2)).sum::<f64>().sqrt().max(1e-300);
    let sizes = [size(0), size(1), size(2)];
    let rows = points.iter().map(|p| {
        let row = row(p);
        ([row[0] / sizes[0], row[1] / sizes[1], row[2] / sizes[2]], 1.0)
    });
    let solution = Normal::of(rows).solve(1e-12)?;
    let [inverse, waiting, agreeing] = [0, 1, 2].map(|i| solution[i] / sizes[i]);
    if inverse > 0.0 {
        return Some(Usl {
            rate: 1.0 / inverse,
            contention: (waiting / inverse).max(0.0),
            coherency: (agreeing / inverse).max(0.0),
        });
    }
    // The first level is already saturated, so what one user gets is not known.
    let first = points.first()?;
    Some(Usl { rate: first.value, contention: 0.5, coherency: 0.0 })
}

/// The least squares from this start, over the free parameters.
fn descend(points: &[Point], scale: Scale, start: Usl, free: [bool; 3]) -> Option<Usl> {
    let users = points.iter().map(|p| p.users).fold(1.0, f64::max);
    // Each parameter in units of what matters over these levels; the rate as its logarithm.
    let units = [1.0, 1.0 / users, 1.0 / (users * users)];
    let law_of = |x: [f64; 3]| Usl {
        rate: x[0].exp(),
        contention: x[1] * units[1],
        coherency: x[2] * units[2],
    };
    let slopes = |point: &Point, law: &Usl| {
        let load = law.load(point.users).max(LOAD_MIN);
        // Of ln X; of X it is X times as much.
        let of_log = [
            1.0,
            -(point.users - 1.0) / load * units[1],
            -point.users * (point.users - 1.0) / load * units[2],
        ];
        let factor = match scale {
            Scale::Log => 1.0,
            Scale::Linear => law.rate * point.users / load,
        };
        [0, 1, 2].map(|i| if free[i] { of_log[i] * factor } else { 0.0 })
    };
    let from = [start.rate.ln(), start.contention / units[1], start.coherency / units[2]];
    let found = descent(from, |x| {
        let law = law_of(x);
        let rows = points.iter().map(|p| (slopes(p, &law), residual(p, scale, &law)));
        Normal::of(rows)
    })?;
    let law = law_of(found);
    let finite = [law.rate, law.contention, law.coherency].iter().all(|p| p.is_finite());
    (finite && law.rate > 0.0).then_some(law)
}

fn loss(points: &[Point], scale: Scale, law: &Usl) -> f64 {
    points.iter().map(|p| residual(p, scale, law).powi(2)).sum()
}

/// A law whose denominator falls to 0 within the levels is invalid; the descent must find it bad.
const LOAD_MIN: f64 = 1e-9;

fn residual(point: &Point, scale: Scale, law: &Usl) -> f64 {
    let value = law.rate * point.users / law.load(point.users).max(LOAD_MIN);
    match scale {
        Scale::Log => (value / point.value).ln(),
        Scale::Linear => value - point.value,
    }
}

#[cfg(test)]
mod tests;
