//! How fast something grows over time, from readings that depend on those before them.

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::Estimate;

/// The fewest readings of a segment: a mean of one says nothing of what varies around it.
const READINGS_MIN: usize = 2;

/// The slope of a line through the means of so many segments of equal count, with Student's
/// interval; `None` when there are fewer than three segments of two readings, or a value that is
/// not finite.
///
/// Readings that follow each other closely are alike, and a line through all of them would claim
/// more than they say. Means of segments that are long compared with what readings remember are
/// nearly independent. Points are (x, y) in the order of x; what is left over by equal segments is
/// taken from the front.
pub fn growth(points: &[(f64, f64)], segments: usize) -> Option<Estimate> {
    let length = points.len().checked_div(segments)?;
    if segments < 3 || length < READINGS_MIN {
        return None;
    }
    if points.iter().any(|(x, y)| !x.is_finite() || !y.is_finite()) {
        return None;
    }
    let rest = points.len() - segments * length;
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (x, y): (Vec<f64>, Vec<f64>) = points[rest..]
        .chunks(length)
        .map(|segment| {
            let (x, y): (Vec<f64>, Vec<f64>) = segment.iter().copied().unzip();
            (mean(&x), mean(&y))
        })
        .unzip();
    let (middle, level) = (mean(&x), mean(&y));
    let spread: f64 = x.iter().map(|x| (x - middle).powi(2)).sum();
    if spread == 0.0 {
        return None;
    }
    let slope = x.iter().zip(&y).map(|(x, y)| (x - middle) * (y - level)).sum::<f64>() / spread;
    let residual = |(x, y): (&f64, &f64)| (y - level - slope * (x - middle)).powi(2);
    let freedom = (segments - 2) as f64;
    let error = (x.iter().zip(&y).map(residual).sum::<f64>() / freedom / spread).sqrt();
    let half = StudentsT::new(0.0, 1.0, freedom).ok()?.inverse_cdf(0.975) * error;
    Some(Estimate {
        point: slope,
        interval: Some((slope - half, slope + half)),
        n: segments as u32,
        method: "line through means of segments, Student's t".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{mix, normal};

    /// Two readings a segment, both with its mean.
    fn twice(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
        points.iter().flat_map(|(x, y)| [(*x, y - 0.5), (*x, y + 0.5)]).collect()
    }

    #[test]
    fn a_worked_example() {
        // Slope 0.425, standard error 0.3049, t of 3 degrees of freedom 3.1824.
        let y = [1.0, 2.0, 1.3, 3.75, 2.25];
        let points: Vec<_> = (1..=5).map(f64::from).zip(y).collect();
        let found = growth(&twice(&points), 5).unwrap();
        let (lo, hi) = found.interval.unwrap();
        assert!((found.point - 0.425).abs() < 1e-12, "{found:?}");
        assert!((lo - (0.425 - 0.9703)).abs() < 1e-3, "{found:?}");
        assert!((hi - (0.425 + 0.9703)).abs() < 1e-3, "{found:?}");
    }

    #[test]
    fn too_little_gives_nothing() {
        let line: Vec<_> = (0..20).map(|x| (f64::from(x), f64::from(x))).collect();
        for (points, segments) in [(&line[..], 0), (&line, 2), (&line[..5], 3), (&[], 10)] {
            assert_eq!(growth(points, segments), None, "{segments}");
        }
        assert_eq!(growth(&[(1.0, 1.0); 12], 3), None, "no time passes");
        let mut broken = line.clone();
        broken[3].1 = f64::NAN;
        assert_eq!(growth(&broken, 5), None);
        assert!((growth(&line, 5).unwrap().point - 1.0).abs() < 1e-12);
        // The three that are left over come from the front.
        let mut late = vec![(-3.0, 900.0), (-2.0, 900.0), (-1.0, 900.0)];
        late.extend(&line);
        assert!((growth(&late, 10).unwrap().point - 1.0).abs() < 1e-12);
    }

    /// Share of 1,000 series with this slope whose interval covers it: each reading keeps 0.8 of
    /// how far off the one before it was.
    #[test]
    fn intervals_cover_where_readings_remember() {
        let covers = |series: u64| {
            let mut off = 0.0;
            let points: Vec<_> = (0..240_u64)
                .map(|n| {
                    off = 0.8 * off + normal(mix(series, 7), n);
                    (n as f64, 0.02 * n as f64 + off)
                })
                .collect();
            let (lo, hi) = growth(&points, 10).unwrap().interval.unwrap();
            lo <= 0.02 && 0.02 <= hi
        };
        let share = (0..1000).filter(|series| covers(*series)).count() as f64 / 1000.0;
        assert!((0.92..=0.98).contains(&share), "{share}");
    }
}
