//! How servers that took turns differ, round by round: each round is compared within itself, which
//! removes how fast the machine was in it.

/// The share of rounds to leave out at each end. In A/A pairs on a virtual machine a fifth gave
/// half the interval of plain totals at 1 and at 64 connections, and one tenth or a quarter nearly
/// the same (ARCHITECTURE.md has the table).
const TRIM: f64 = 0.2;
/// With fewer rounds a trimmed mean says no more than a total.
const ROUNDS_MIN: usize = 10;

/// The effect of each lane: how much the logarithm of its figure differs from the mean over the
/// lanes of the same round. `logs` has a row for each lane and in it a value for each round. The
/// effects sum to 0. `None` with fewer than two lanes or ten rounds, or if rows differ in length or
/// a value is not finite.
///
/// On a virtual machine one slice in ten is cut short: the host, or a thread of the kernel, had the
/// core. Such a slice says nothing of a server, but a total charges it to the one that had it. So
/// an effect is a trimmed mean over rounds, which leaves such slices out.
pub fn lane_effects(logs: &[Vec<f64>]) -> Option<Vec<f64>> {
    let rounds = logs.first()?.len();
    let even = logs.iter().all(|row| row.len() == rounds);
    if logs.len() < 2 || rounds < ROUNDS_MIN || !even {
        return None;
    }
    if logs.iter().flatten().any(|value| !value.is_finite()) {
        return None;
    }
    let lanes = logs.len() as f64;
    let of_round = |round: usize| logs.iter().map(|row| row[round]).sum::<f64>() / lanes;
    let means: Vec<f64> = (0..rounds).map(of_round).collect();
    let effect = |row: &Vec<f64>| {
        trimmed_mean(row.iter().zip(&means).map(|(value, mean)| value - mean).collect())
    };
    let mut effects: Vec<f64> = logs.iter().map(effect).collect();
    let centre = effects.iter().sum::<f64>() / lanes;
    effects.iter_mut().for_each(|effect| *effect -= centre);
    Some(effects)
}

/// The mean of what lies between the two ends (Tukey and McLaughlin 1963).
fn trimmed_mean(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let cut = (values.len() as f64 * TRIM) as usize;
    let kept = &values[cut..values.len() - cut];
    kept.iter().sum::<f64>() / kept.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trimming_leaves_out_a_fifth_at_each_end() {
        // scipy.stats.trim_mean([0, 1, 2, 3, 4, 5, 6, 7, 8, 1000], 0.2) = 4.5
        let values = [1000.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 0.0];
        assert!((trimmed_mean(values.to_vec()) - 4.5).abs() < 1e-12);
    }

    #[test]
    fn the_moods_of_a_machine_and_slices_that_were_cut_are_no_ones_effect() {
        // Three lanes that are 10 % and 20 % apart, on a machine that is twice as fast in every
        // other round; in one round of ten the third lane loses half of its slice.
        let value = |lane: usize, round: usize| {
            let mood = if round.is_multiple_of(2) { 1.0 } else { 2.0 };
            let cut = if lane == 2 && round % 10 == 3 { 0.5 } else { 1.0 };
            (mood * cut * [1.0f64, 1.1, 1.2][lane]).ln()
        };
        let row = |lane| (0..50).map(|round| value(lane, round)).collect::<Vec<f64>>();
        let logs = vec![row(0), row(1), row(2)];
        let effects = lane_effects(&logs).unwrap();
        let ratio = (effects[2] - effects[0]).exp();
        assert!((ratio - 1.2).abs() < 1e-9, "{ratio}");
        let total = |lane: usize| logs[lane].iter().map(|log| log.exp()).sum::<f64>();
        assert!(total(2) / total(0) < 1.15, "what totals say");
        assert!(effects.iter().sum::<f64>().abs() < 1e-12);
    }

    #[test]
    fn what_cannot_be_compared_has_no_effect() {
        let row = vec![0.0; 10];
        assert_eq!(lane_effects(&[row.clone(), row.clone()]), Some(vec![0.0, 0.0]));
        assert_eq!(lane_effects(&[]), None);
        assert_eq!(lane_effects(std::slice::from_ref(&row)), None);
        assert_eq!(lane_effects(&[row.clone(), vec![0.0; 9]]), None);
        assert_eq!(lane_effects(&[vec![0.0; 9], vec![0.0; 9]]), None);
        let mut wrong = row.clone();
        wrong[3] = f64::NEG_INFINITY;
        assert_eq!(lane_effects(&[row, wrong]), None);
    }
}
