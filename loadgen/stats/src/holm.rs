//! Holm's correction: many comparisons, and still one chance in twenty of a wrong one.

/// The p values of a family, adjusted so that each may be compared with the level of the whole
/// family (Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal
/// of Statistics 6, 1979).
///
/// Of twenty comparisons of equal arms, one is expected to look different at the 5 % level. The
/// step-down procedure bounds the chance that any true "no difference" of a family is rejected,
/// however its tests depend on each other: metrics of one trial do.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut largest: f64 = 0.0;
    for (rank, index) in order.into_iter().enumerate() {
        let left = (p_values.len() - rank) as f64;
        largest = largest.max((p_values[index] * left).min(1.0));
        adjusted[index] = largest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-12, "{found:?} instead of {expected:?}");
        }
    }

    #[test]
    fn it_is_that_of_reference_implementations() {
        // statsmodels.stats.multitest.multipletests(method="holm"), R's p.adjust(method = "holm").
        close(&holm(&[0.01, 0.04, 0.03, 0.005, 0.2]), &[0.04, 0.09, 0.09, 0.025, 0.2]);
        close(&holm(&[0.5, 0.6]), &[1.0, 1.0]);
        close(&holm(&[0.03]), &[0.03]);
        close(&holm(&[]), &[]);
    }

    #[test]
    fn a_smaller_p_value_never_has_a_larger_correction() {
        close(&holm(&[0.010, 0.011, 0.012]), &[0.030, 0.030, 0.030]);
    }
}
