//! The slope of a line through points of which some may be far off (Theil 1950, Sen 1968).

/// Median of the slopes between every two points; `None` when no two have different x.
pub fn theil_sen(points: &[(f64, f64)]) -> Option<f64> {
    let mut slopes = Vec::new();
    for (i, (x, y)) in points.iter().enumerate() {
        for (other_x, other_y) in &points[i + 1..] {
            if other_x != x {
                slopes.push((other_y - y) / (other_x - x));
            }
        }
    }
    slopes.sort_by(f64::total_cmp);
    match slopes.len() {
        0 => None,
        n if n % 2 == 1 => Some(slopes[n / 2]),
        n => Some(f64::midpoint(slopes[n / 2 - 1], slopes[n / 2])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_of_a_line_is_found_exactly() {
        let line: Vec<_> = (0..6).map(|x| (f64::from(x), 3.0 + 2.5 * f64::from(x))).collect();
        assert_eq!(theil_sen(&line), Some(2.5));
    }

    #[test]
    fn one_point_far_off_does_not_move_it() {
        let mut line: Vec<_> = (0..7).map(|x| (f64::from(x), 2.0 * f64::from(x))).collect();
        line[6].1 = 1e6;
        assert_eq!(theil_sen(&line), Some(2.0));
    }

    #[test]
    fn points_above_each_other_have_none() {
        assert_eq!(theil_sen(&[(1.0, 1.0), (1.0, 2.0)]), None);
        assert_eq!(theil_sen(&[]), None);
    }

    #[test]
    fn a_known_example() {
        // Slopes: 2, 1.5, 3, 1, 3.5, 6; their median is 2.5.
        let points = [(0.0, 0.0), (1.0, 2.0), (2.0, 3.0), (3.0, 9.0)];
        assert_eq!(theil_sen(&points), Some(2.5));
    }
}
