//! The law's fit against a published example, its bounds, and the coverage of its intervals.

use super::*;
use crate::CONFIDENCE;
use crate::random::{mix, normal};

fn points(of: &[(f64, f64)]) -> Vec<Point> {
    of.iter().map(|(users, value)| Point { users: *users, value: *value }).collect()
}

/// SPEC SDM91 on a Sun SPARCcenter 2000: the data set `specsdm91` of the R package `usl` (Möding),
/// after Gunther 2007, section 5.4.
const SPEC_SDM91: [(f64, f64); 7] = [
    (1.0, 64.9),
    (18.0, 995.9),
    (36.0, 1652.4),
    (72.0, 1853.2),
    (108.0, 1828.9),
    (144.0, 1775.0),
    (216.0, 1702.2),
];

fn close(found: f64, expected: f64) {
    assert!((found / expected - 1.0).abs() < 1e-4, "{found} instead of {expected}");
}

#[test]
fn a_published_example() {
    // The package's own result, errors on the plain scale: alpha 0.0277285, beta 0.0001044, gamma
    // 89.9952, peak at 96.5; scipy.optimize.least_squares agrees (0.02772841, 0.00010436577,
    // 89.995183).
    let law = bounded(&points(&SPEC_SDM91), Scale::Linear).unwrap();
    close(law.rate, 89.995_183_2);
    close(law.contention, 0.027_728_413_9);
    close(law.coherency, 0.000_104_365_772);
    close(law.peak().unwrap(), 96.519_43);
}

#[test]
fn the_same_with_errors_by_proportion() {
    // scipy.optimize.least_squares on logarithms.
    let law = bounded(&points(&SPEC_SDM91), Scale::Log).unwrap();
    close(law.rate, 67.942_314_4);
    close(law.contention, 0.013_452_435);
    close(law.coherency, 0.000_115_110_379);
}

#[test]
fn a_law_without_noise_is_found() {
    let law = Usl { rate: 20_000.0, contention: 0.12, coherency: 3e-6 };
    let of: Vec<_> = [1.0, 4.0, 16.0, 64.0, 256.0, 1000.0].map(|n| (n, law.at(n))).to_vec();
    let found = bounded(&points(&of), Scale::Log).unwrap();
    close(found.rate, law.rate);
    close(found.contention, law.contention);
    close(found.coherency, law.coherency);
    close(found.peak().unwrap(), (0.88f64 / 3e-6).sqrt());
}

#[test]
fn parameters_end_at_zero() {
    // Throughput that grows faster than users, and one that never falls.
    let faster: Vec<_> = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0].map(|n| (n, n * (1.0 + n))).to_vec();
    let law = bounded(&points(&faster), Scale::Log).unwrap();
    assert_eq!((law.contention, law.coherency, law.peak()), (0.0, 0.0, None));
    let amdahl = |n: f64| (n, 100.0 * n / (1.0 + 0.2 * (n - 1.0)) * (1.0 + 1e-4 * n));
    let law = bounded(&points(&[1.0, 2.0, 4.0, 8.0, 16.0, 32.0].map(amdahl)), Scale::Log).unwrap();
    assert_eq!(law.coherency, 0.0);
    assert!((law.contention - 0.2).abs() < 0.01, "{law:?}");
}

#[test]
fn five_levels_are_too_few() {
    let level = |n: f64| (n, vec![Some(n), Some(n)]);
    let levels: Vec<Level> = [1.0, 2.0, 4.0, 8.0, 16.0].map(level).to_vec();
    assert!(fit_levels(&levels, 1).is_none());
}

#[test]
fn a_block_without_a_level_is_left_out() {
    let law = Usl { rate: 30_000.0, contention: 0.2, coherency: 5e-5 };
    let whole = campaign(law, 6, 1);
    let mut holed = whole.clone();
    holed[2].1[4] = None;
    let without = |levels: &[Level]| -> Vec<Level> {
        let rest = |values: &[Option<f64>]| [&values[..4], &values[5..]].concat();
        levels.iter().map(|(n, values)| (*n, rest(values))).collect()
    };
    let (found, expected) =
        (fit_levels(&holed, 1).unwrap(), fit_levels(&without(&whole), 1).unwrap());
    assert_eq!((found.law, found.lack), (expected.law, expected.lack));
    assert_eq!(found.lack.freedom, (3, 20));
    holed.iter_mut().for_each(|(_, values)| values.truncate(1));
    assert!(fit_levels(&holed, 1).is_none(), "one block has no scatter");
}

/// One user leaves a core idle between two requests, four keep it busy, and more add nothing: that
/// is one core, and no law of scaling.
#[test]
fn a_core_that_idles_with_one_user_has_no_law() {
    let means = [17_280.0, 118_160.0, 119_500.0, 118_900.0, 117_200.0, 112_400.0];
    let users = [1.0, 4.0, 16.0, 64.0, 256.0, 1024.0];
    let noisy = |n: f64, mean: f64| -> Level {
        let value = |block: u64| Some(mean * (0.024 * normal(17, block * 2048 + n as u64)).exp());
        (n, (0..6).map(value).collect())
    };
    let levels: Vec<Level> = users.into_iter().zip(means).map(|(n, mean)| noisy(n, mean)).collect();
    let found = fit_levels(&levels, 1).unwrap();
    assert_eq!(found.lack.freedom, (3, 25));
    assert!(found.lack.f > 50.0 && !found.lack.fits(), "{:?}", found.lack);
}

/// A campaign with this law: each block drifts by 2 %, each trial by 2.4 % of its own, as in
/// results/reference/quick.
fn campaign(law: Usl, blocks: u64, seed: u64) -> Vec<Level> {
    let users = [1.0, 4.0, 16.0, 64.0, 256.0, 1000.0];
    let level = |(place, users): (usize, f64)| {
        let of = |block: u64| {
            let drift = 0.02 * normal(seed, 100 * block);
            let own = 0.024 * normal(seed, 100 * block + 1 + place as u64);
            Some(law.at(users) * (drift + own).exp())
        };
        (users, (0..blocks).map(of).collect())
    };
    users.into_iter().enumerate().map(level).collect()
}

/// Shares of 100 campaigns whose intervals cover contention, coherency and the peak's logarithm.
fn coverage(law: Usl, blocks: u64) -> [f64; 3] {
    const CAMPAIGNS: u64 = 100;
    let mut covered = [0.0; 3];
    let mut fits = 0;
    for seed in 0..CAMPAIGNS {
        let fit = fit_levels(&campaign(law, blocks, mix(41, seed)), seed).unwrap();
        fits += u32::from(fit.lack.fits());
        let truths = [law.contention, law.coherency, law.peak().map_or(f64::NAN, f64::ln)];
        for (i, of) in [&fit.contention, &fit.coherency, &fit.ln_peak].into_iter().enumerate() {
            let (lo, hi) = of.moments().map_or((1.0, 0.0), |of| of.interval(CONFIDENCE));
            covered[i] += f64::from((lo..=hi).contains(&truths[i])) / CAMPAIGNS as f64;
        }
    }
    // A true law is refused once in twenty times, whatever the blocks drift.
    assert!((90..=99).contains(&fits), "{fits} of {CAMPAIGNS} fit");
    covered
}

#[test]
fn intervals_cover_the_parameters_as_often_as_they_say() {
    let law = Usl { rate: 30_000.0, contention: 0.2, coherency: 5e-5 };
    for blocks in [3, 5, 10] {
        // 100 campaigns leave two standard errors of 4.4 points.
        for share in coverage(law, blocks) {
            assert!((0.90..=0.99).contains(&share), "{blocks} blocks: {share}");
        }
    }
}

#[test]
fn they_do_so_where_coherency_is_nothing() {
    let [contention, coherency, _] =
        coverage(Usl { rate: 30_000.0, contention: 0.2, coherency: 0.0 }, 5);
    for share in [contention, coherency] {
        assert!((0.90..=0.99).contains(&share), "{contention} {coherency}");
    }
}
