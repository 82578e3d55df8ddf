//! Where the labels at the ends of lines stand, so that none covers another: moved the least in the
//! sense of least squares, in their order and a gap apart. After the gaps are taken out this is an
//! isotonic regression (pool adjacent violators; Barlow and others, 1972).

/// Places for labels that want to be at `wishes`, at least `gap` apart and within `lo` to `hi`; in
/// the order of the wishes. Where they do not fit, the gap gives way.
pub(super) fn spread(wishes: &[f64], gap: f64, lo: f64, hi: f64) -> Vec<f64> {
    if wishes.is_empty() {
        return Vec::new();
    }
    let gap = match wishes.len() {
        1 => 0.0,
        n => gap.min((hi - lo) / (n - 1) as f64),
    };
    let mut order: Vec<usize> = (0..wishes.len()).collect();
    order.sort_by(|a, b| wishes[*a].total_cmp(&wishes[*b]));
    // Blocks of labels that stand gap to gap: the mean of their wishes, and how many they are.
    let mut blocks: Vec<(f64, usize)> = Vec::new();
    for (rank, index) in order.iter().enumerate() {
        blocks.push((wishes[*index] - rank as f64 * gap, 1));
        while let [.., (before, m), (after, n)] = blocks.as_slice()
            && before > after
        {
            let (m, n) = (*m, *n);
            let mean = (before * m as f64 + after * n as f64) / (m + n) as f64;
            blocks.truncate(blocks.len() - 2);
            blocks.push((mean, m + n));
        }
    }
    let highest = hi - (wishes.len() - 1) as f64 * gap;
    let places = blocks.into_iter().flat_map(|(mean, n)| std::iter::repeat_n(mean, n));
    let mut spread = vec![0.0; wishes.len()];
    for (rank, (index, place)) in order.into_iter().zip(places).enumerate() {
        spread[index] = place.clamp(lo, highest.max(lo)) + rank as f64 * gap;
    }
    spread
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn labels_move_only_as_far_as_they_must() {
        assert_eq!(spread(&[], 10.0, 0.0, 100.0), Vec::<f64>::new());
        assert_eq!(spread(&[20.0, 80.0], 10.0, 0.0, 100.0), [20.0, 80.0]);
        assert_eq!(spread(&[50.0, 50.0], 10.0, 0.0, 100.0), [45.0, 55.0]);
        assert_eq!(spread(&[99.0, 98.0, 5.0], 10.0, 0.0, 100.0), [100.0, 90.0, 5.0]);
    }

    proptest! {
        #[test]
        fn no_label_covers_another(wishes in prop::collection::vec(0.0f64..230.0, 1..12)) {
            let mut places = spread(&wishes, 17.0, 0.0, 230.0);
            places.sort_by(f64::total_cmp);
            prop_assert!(places.windows(2).all(|pair| pair[1] - pair[0] > 16.99));
            prop_assert!(places.iter().all(|place| (-1e-9..=230.0 + 1e-9).contains(place)));
        }
    }
}
