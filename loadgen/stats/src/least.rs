//! Least squares over three parameters: the normal equations, and the descent of Levenberg and
//! Marquardt (Marquardt, "An algorithm for least-squares estimation of nonlinear parameters",
//! SIAM J. 1963), which damps them where a full step leads uphill.

/// The most steps of a descent.
const STEPS_MAX: u32 = 500;
/// A step that lowers the sum of squares by a smaller share ends the descent.
const GAIN_MIN: f64 = 1e-14;
/// Damping beyond which no step is left to take.
const DAMPING_MAX: f64 = 1e15;
const DAMPING_MIN: f64 = 1e-15;

/// Normal equations: sums over rows of slopes and their residuals.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Normal {
    /// Products of slopes, summed.
    squares: [[f64; 3]; 3],
    /// Products of slopes and residuals, summed.
    gradient: [f64; 3],
    /// Squares of residuals, summed.
    loss: f64,
}

impl Normal {
    /// The sums over rows of three slopes and a residual (or, where parameters are linear, the
    /// target). A parameter that is held has slopes of 0.
    pub(super) fn of(rows: impl Iterator<Item = ([f64; 3], f64)>) -> Self {
        let mut sums = Self::default();
        for (slopes, residual) in rows {
            for i in 0..3 {
                for j in 0..3 {
                    sums.squares[i][j] += slopes[i] * slopes[j];
                }
                sums.gradient[i] += slopes[i] * residual;
            }
            sums.loss += residual * residual;
        }
        sums
    }

    /// The parameters at which these equations hold, with the diagonal raised by a share of itself;
    /// 0 for one that is held. `None` if they have no finite solution.
    pub(super) fn solve(&self, damping: f64) -> Option<[f64; 3]> {
        let mut rows = [[0.0; 4]; 3];
        for (i, row) in rows.iter_mut().enumerate() {
            row[..3].copy_from_slice(&self.squares[i]);
            row[3] = self.gradient[i];
            let diagonal = self.squares[i][i];
            row[i] = if diagonal > 0.0 { diagonal * (1.0 + damping) } else { 1.0 };
        }
        // Gauss's elimination with the largest pivot of each column.
        for column in 0..3 {
            let size = |row: &usize| rows[*row][column].abs();
            let pivot = (column..3).max_by(|a, b| size(a).total_cmp(&size(b)))?;
            rows.swap(column, pivot);
            let (above, below) = rows.split_at_mut(column + 1);
            for row in below {
                let share = row[column] / above[column][column];
                for (value, pivot) in row.iter_mut().zip(&above[column]).skip(column) {
                    *value -= share * pivot;
                }
            }
        }
        let mut solution = [0.0; 3];
        for row in (0..3).rev() {
            let known: f64 = (row + 1..3).map(|at| rows[row][at] * solution[at]).sum();
            solution[row] = (rows[row][3] - known) / rows[row][row];
        }
        solution.iter().all(|x| x.is_finite()).then_some(solution)
    }
}

/// The parameters to which the sum of squares descends from a start; `equations` gives the normal
/// equations at a place. `None` if it has not ended after 500 steps.
pub(super) fn descent(start: [f64; 3], equations: impl Fn([f64; 3]) -> Normal) -> Option<[f64; 3]> {
    let mut place = start;
    let mut here = equations(place);
    let mut damping = 1e-3;
    for _ in 0..STEPS_MAX {
        let next = here.solve(damping).map(|step| {
            let place = [place[0] - step[0], place[1] - step[1], place[2] - step[2]];
            (place, equations(place))
        });
        match next.filter(|(_, there)| there.loss < here.loss) {
            Some((found, there)) => {
                let gain = (here.loss - there.loss) / here.loss;
                (place, here) = (found, there);
                damping = (damping / 10.0).max(DAMPING_MIN);
                if gain < GAIN_MIN || here.loss < f64::MIN_POSITIVE {
                    return Some(place);
                }
            }
            // No step leads down, however short: this is a minimum.
            None if damping > DAMPING_MAX => return here.loss.is_finite().then_some(place),
            None => damping *= 10.0,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_through_points_is_found_in_one_solution() {
        // y = 2 + 3 x - 0.5 x², held parameters apart.
        let row = |x: f64| ([1.0, x, x * x], 2.0 + 3.0 * x - 0.5 * x * x);
        let found = Normal::of((0..5).map(f64::from).map(row)).solve(0.0).unwrap();
        for (found, expected) in found.into_iter().zip([2.0, 3.0, -0.5]) {
            assert!((found - expected).abs() < 1e-9, "{found}");
        }
        let held = Normal::of((1..5).map(|x| ([1.0, 0.0, 0.0], f64::from(x)))).solve(0.0);
        assert_eq!(held, Some([2.5, 0.0, 0.0]));
    }

    #[test]
    fn columns_that_say_the_same_have_no_solution_without_damping() {
        let twice = || Normal::of([1.0, 2.0].into_iter().map(|x| ([x, x, 0.0], x)));
        assert!(twice().solve(0.0).is_none_or(|x| x.iter().any(|x| x.abs() > 1e3)));
        let [first, second, _] = twice().solve(1e-9).unwrap();
        assert!((first + second - 1.0).abs() < 1e-6, "{first} {second}");
    }

    /// Misra1a of the NIST StRD: y = b1 (1 - exp(-b2 x)), from its first and harder start.
    /// https://www.itl.nist.gov/div898/strd/nls/data/misra1a.shtml
    #[test]
    fn a_reference_of_nist() {
        const DATA: [(f64, f64); 14] = [
            (10.07, 77.6),
            (14.73, 114.9),
            (17.94, 141.1),
            (23.93, 190.8),
            (29.61, 239.9),
            (35.18, 289.0),
            (40.02, 332.8),
            (44.82, 378.4),
            (50.76, 434.8),
            (55.05, 477.3),
            (61.01, 536.8),
            (66.40, 593.1),
            (75.47, 689.1),
            (81.78, 760.0),
        ];
        let equations = |b: [f64; 3]| {
            Normal::of(DATA.iter().map(|(y, x)| {
                let rest = (-b[1] * x).exp();
                ([1.0 - rest, b[0] * x * rest, 0.0], b[0] * (1.0 - rest) - y)
            }))
        };
        for start in [[500.0, 0.0001, 0.0], [250.0, 0.0005, 0.0]] {
            let [b1, b2, held] = descent(start, equations).unwrap();
            assert!((b1 / 2.389_421_291_8e2 - 1.0).abs() < 1e-7, "{b1}");
            assert!((b2 / 5.501_564_318_1e-4 - 1.0).abs() < 1e-7, "{b2}");
            assert!(held.abs() < 1e-12, "it is held");
        }
    }
}
