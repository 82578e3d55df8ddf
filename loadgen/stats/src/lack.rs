//! Whether a law fits: what it misses, compared with how trials of the same level differ.

use statrs::distribution::{ContinuousCDF as _, FisherSnedecor};

/// The F test of a law.
///
/// A law can be fitted to anything, and its parameters then have intervals that look like
/// knowledge. The scatter of repeated levels says how far off a mean may be by chance (pure error);
/// what the law misses beyond that is lack of fit (Draper and Smith, "Applied regression analysis",
/// 3rd edition, Wiley 1998, chapter 2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LackOfFit {
    /// Mean square of what the law misses, divided by that of pure error.
    pub f: f64,
    /// Degrees of freedom of the two.
    pub freedom: (u32, u32),
    /// The chance of an F at least this large if the law is true.
    pub p: f64,
}

/// A law whose test has a smaller p than this does not hold.
const ALPHA: f64 = 0.05;

impl LackOfFit {
    /// Tests a law of so many parameters that gives `fitted` at the levels where `levels` were
    /// measured. `removed` is the number of parameters that were estimated and taken out of the
    /// values before, such as how blocks differ. `None` where levels or trials are too few.
    ///
    /// # Panics
    /// If a level is empty, or there are not as many fitted values as levels.
    pub fn of(levels: &[Vec<f64>], fitted: &[f64], parameters: u32, removed: u32) -> Option<Self> {
        assert_eq!(levels.len(), fitted.len(), "a fitted value for every level");
        let (mut pure, mut missed, mut values) = (0.0, 0.0, 0);
        for (level, law) in levels.iter().zip(fitted) {
            assert!(!level.is_empty(), "a level without a value");
            let mean = level.iter().sum::<f64>() / level.len() as f64;
            pure += level.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
            missed += level.len() as f64 * (mean - law).powi(2);
            values += level.len() as u32;
        }
        let count = levels.len() as u32;
        let of_missed = count.checked_sub(parameters).filter(|freedom| *freedom > 0)?;
        let of_pure = values.checked_sub(count + removed).filter(|freedom| *freedom > 0)?;
        let f = (missed / f64::from(of_missed)) / (pure / f64::from(of_pure));
        let test = FisherSnedecor::new(of_missed.into(), of_pure.into()).ok()?;
        // Without any scatter whatever is missed is missed for certain.
        let p = if f.is_finite() { test.sf(f) } else { 0.0 };
        Some(Self { f, freedom: (of_missed, of_pure), p })
    }

    /// Whether these data fit the law.
    pub fn fits(&self) -> bool {
        self.p >= ALPHA
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Corrosion of alloys by their iron content: Draper and Smith's data, as in Faraway, "Linear
    /// models with R", section 6.3, whose table is F = 9.28 on 5 and 6 degrees, p = 0.0086.
    #[test]
    fn a_textbooks_line_does_not_fit() {
        let alloys: [(f64, &[f64]); 7] = [
            (0.01, &[127.6, 130.1, 128.0]),
            (0.48, &[124.0, 122.0]),
            (0.71, &[110.8, 113.1]),
            (0.95, &[103.9]),
            (1.19, &[101.5]),
            (1.44, &[92.3, 91.4]),
            (1.96, &[83.7, 86.2]),
        ];
        let all = || alloys.iter().flat_map(|(x, ys)| ys.iter().map(move |y| (*x, *y)));
        let n = all().count() as f64;
        let (x, y) = all().fold((0.0, 0.0), |(sx, sy), (x, y)| (sx + x / n, sy + y / n));
        let slope = all().map(|(a, b)| (a - x) * (b - y)).sum::<f64>()
            / all().map(|(a, _)| (a - x).powi(2)).sum::<f64>();
        let fitted: Vec<f64> = alloys.iter().map(|(a, _)| y + slope * (a - x)).collect();
        let levels: Vec<Vec<f64>> = alloys.iter().map(|(_, ys)| ys.to_vec()).collect();
        let found = LackOfFit::of(&levels, &fitted, 2, 0).unwrap();
        assert_eq!(found.freedom, (5, 6));
        assert!((found.f - 9.2756).abs() < 1e-3, "{found:?}");
        assert!((found.p - 0.008_623).abs() < 1e-5 && !found.fits(), "{found:?}");
    }

    #[test]
    fn what_cannot_be_tested_is_not() {
        let levels = vec![vec![1.0, 1.1], vec![2.0, 2.1], vec![3.0, 3.1]];
        assert!(LackOfFit::of(&levels, &[1.05, 2.05, 3.05], 2, 1).unwrap().fits());
        assert_eq!(LackOfFit::of(&levels, &[1.0, 2.0, 3.0], 3, 0), None, "no level is left");
        assert_eq!(LackOfFit::of(&levels, &[1.0, 2.0, 3.0], 2, 3), None, "no trial is left");
        let exact = vec![vec![1.0; 2], vec![2.0; 2], vec![5.0; 2]];
        assert!(!LackOfFit::of(&exact, &[1.0, 2.0, 3.0], 2, 0).unwrap().fits());
    }
}
