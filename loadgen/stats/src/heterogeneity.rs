//! Whether several campaigns found the same effect.

use statrs::distribution::{ChiSquared, ContinuousCDF as _, FisherSnedecor};

use super::compare::Moments;

/// How far several campaigns disagree.
///
/// Cochran's Q weighs every campaign by the inverse of its variance (W. G. Cochran, "The
/// combination of estimates from different experiments", Biometrics 10, 1954). Chi-squared is right
/// for Q only if the variances are known; from five blocks they are not, and it would find
/// heterogeneity too often. So use the p value of Welch's F ("On the comparison of several mean
/// values", Biometrika 38, 1951), whose numerator is Q and which knows the number of blocks.
/// I-squared is that of Higgins and Thompson (2002).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heterogeneity {
    /// Campaigns that were compared.
    pub studies: u32,
    /// The mean of all, weighted by the inverse of the variances.
    pub mean: f64,
    /// Cochran's Q.
    pub q: f64,
    /// Chance of a Q at least this large, if campaigns agree and the variances are known:
    /// chi-squared with `studies - 1` degrees of freedom.
    pub p_known: f64,
    /// The same if variances are estimated from a few blocks: Welch's F.
    pub p: f64,
    /// Share of Q beyond what chance explains, 0 to 1.
    pub i_squared: f64,
}

/// Compares campaigns; `None` with fewer than two, or if one does not vary at all.
pub fn heterogeneity(studies: &[Moments]) -> Option<Heterogeneity> {
    let known = |one: &Moments| one.error > 0.0 && one.error.is_finite() && one.mean.is_finite();
    if studies.len() < 2 || !studies.iter().all(known) {
        return None;
    }
    let weights: Vec<f64> = studies.iter().map(|one| one.error.powi(-2)).collect();
    let total: f64 = weights.iter().sum();
    let weighted = |(one, weight): (&Moments, &f64)| one.mean * weight;
    let mean = studies.iter().zip(&weights).map(weighted).sum::<f64>() / total;
    let squares = studies.iter().zip(&weights).map(|(one, w)| w * (one.mean - mean).powi(2));
    let q: f64 = squares.sum();
    let freedom = studies.len() as f64 - 1.0;
    Some(Heterogeneity {
        studies: studies.len() as u32,
        mean,
        q,
        p_known: ChiSquared::new(freedom).ok()?.sf(q),
        p: welch(studies, &weights, q)?,
        i_squared: if q > freedom { (q - freedom) / q } else { 0.0 },
    })
}

/// The p value of Welch's F with these weights and this Q.
fn welch(studies: &[Moments], weights: &[f64], q: f64) -> Option<f64> {
    let k = studies.len() as f64;
    let total: f64 = weights.iter().sum();
    let terms = studies.iter().zip(weights);
    let lambda: f64 =
        terms.map(|(one, w)| (1.0 - w / total).powi(2) / (f64::from(one.n) - 1.0)).sum();
    let f = q / (k - 1.0) / (1.0 + 2.0 * (k - 2.0) / (k * k - 1.0) * lambda);
    let freedom = (k * k - 1.0) / (3.0 * lambda);
    Some(FisherSnedecor::new(k - 1.0, freedom).ok()?.sf(f))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{mix, normal};

    /// Trials of BCG vaccine against tuberculosis (Colditz and others, JAMA 271, 1994): cases and
    /// others among the vaccinated, and among those who were not.
    const BCG: [[f64; 4]; 13] = [
        [4.0, 119.0, 11.0, 128.0],
        [6.0, 300.0, 29.0, 274.0],
        [3.0, 228.0, 11.0, 209.0],
        [62.0, 13536.0, 248.0, 12619.0],
        [33.0, 5036.0, 47.0, 5761.0],
        [180.0, 1361.0, 372.0, 1079.0],
        [8.0, 2537.0, 10.0, 619.0],
        [505.0, 87886.0, 499.0, 87892.0],
        [29.0, 7470.0, 45.0, 7232.0],
        [17.0, 1699.0, 65.0, 1600.0],
        [186.0, 50448.0, 141.0, 27197.0],
        [5.0, 2493.0, 3.0, 2338.0],
        [27.0, 16886.0, 29.0, 17825.0],
    ];

    #[test]
    fn q_and_i_squared_are_those_of_a_published_example() {
        // The logarithms of the relative risks, as metafor's documentation analyses them:
        // Q(12) = 152.2330, and I-squared 92.12 % (DerSimonian and Laird).
        let studies = BCG.map(|[sick, well, sick_without, well_without]| {
            let (of, without) = (sick + well, sick_without + well_without);
            let mean = ((sick / of) / (sick_without / without)).ln();
            let variance = 1.0 / sick - 1.0 / of + 1.0 / sick_without - 1.0 / without;
            Moments { n: 1_000_000, mean, error: variance.sqrt() }
        });
        let found = heterogeneity(&studies).unwrap();
        assert!((found.q - 152.2330).abs() < 1e-3, "{found:?}");
        assert!((found.i_squared - 0.9212).abs() < 1e-4, "{found:?}");
        assert!(found.p_known < 1e-20 && found.p < 1e-20, "{found:?}");
    }

    #[test]
    fn p_values_from_few_values_are_those_of_welch() {
        // R 4: oneway.test(extra ~ group, sleep) gives p = 0.07939, and
        // oneway.test(count ~ spray, InsectSprays) gives p = 7.999e-12.
        let sleep = [
            vec![0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0],
            vec![1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4],
        ];
        let sprays = [
            vec![10, 7, 20, 14, 14, 12, 10, 23, 17, 20, 14, 13],
            vec![11, 17, 21, 11, 16, 14, 17, 17, 19, 21, 7, 13],
            vec![0, 1, 7, 2, 3, 1, 2, 1, 3, 0, 1, 4],
            vec![3, 5, 12, 6, 4, 3, 5, 5, 5, 5, 2, 4],
            vec![3, 5, 3, 5, 3, 6, 1, 1, 3, 2, 6, 4],
            vec![11, 9, 15, 22, 15, 16, 13, 10, 26, 26, 24, 13],
        ];
        let p = |groups: &[Vec<f64>]| {
            let moments: Vec<Moments> = groups.iter().map(|g| Moments::of(g).unwrap()).collect();
            heterogeneity(&moments).unwrap().p
        };
        let found = p(&sleep);
        assert!((found - 0.07939).abs() < 1e-5, "{found}");
        let sprays = sprays.map(|group| group.into_iter().map(f64::from).collect::<Vec<_>>());
        let found = p(&sprays);
        assert!((found / 7.999e-12 - 1.0).abs() < 1e-3, "{found}");
    }

    #[test]
    fn campaigns_of_few_blocks_that_agree_are_seldom_said_to_differ() {
        let campaigns = 4000;
        let seldom = |p: fn(&Heterogeneity) -> f64| {
            let found = (0..campaigns).filter(|campaign| {
                let study = |n: u64| {
                    let noise = [0.02, 0.05, 0.10][n as usize];
                    let draw = |i| noise * normal(mix(31, *campaign), 10 * n + i);
                    Moments::of(&(0..5).map(draw).collect::<Vec<_>>()).unwrap()
                };
                p(&heterogeneity(&[study(0), study(1), study(2)]).unwrap()) < 0.05
            });
            found.count() as f64 / campaigns as f64
        };
        let (welch, known) = (seldom(|h| h.p), seldom(|h| h.p_known));
        assert!((0.03..=0.07).contains(&welch), "{welch}");
        assert!(known > 0.09, "chi-squared alone would have done: {known}");
    }

    #[test]
    fn one_campaign_and_what_does_not_vary_have_no_answer() {
        let one = Moments { n: 5, mean: 1.0, error: 0.1 };
        assert_eq!(heterogeneity(&[one]), None);
        assert_eq!(heterogeneity(&[one, Moments { error: 0.0, ..one }]), None);
        let same = heterogeneity(&[one, one]).unwrap();
        assert!(same.q < 1e-12 && same.i_squared == 0.0 && same.p > 0.99, "{same:?}");
    }
}
