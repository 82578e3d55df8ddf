//! Figures as people read them: three significant digits, with the unit.

use crate::stats::Estimate;
use crate::units::{Size, grouped};

/// A number in its metric's unit: `52,300 requests/s`, `18.2 us`, `1.20 ms`, `14.3 MiB`.
pub fn figure(value: f64, unit: &str) -> String {
    match unit {
        "us" if value.abs() >= 1e6 => format!("{} s", digits(value / 1e6)),
        "us" if value.abs() >= 1e3 => format!("{} ms", digits(value / 1e3)),
        "us" => format!("{} µs", digits(value)),
        "bytes" if value.abs() >= 10_240.0 => {
            let sign = if value < 0.0 { "-" } else { "" };
            format!("{sign}{}", Size(value.abs() as u64))
        }
        "bytes" => format!("{} bytes", digits(value)),
        "requests/s" => format!("{} /s", digits(value)),
        "coefficient" => significant(value),
        "share" => format!("{} %", digits(value * 100.0)),
        _ => format!("{} {unit}", digits(value)),
    }
}

/// A number that somebody chose, without the zeros of one that was measured: `10 ms`.
pub(super) fn chosen(value: f64, unit: &str) -> String {
    figure(value, unit).replace(".00 ", " ").replace(".0 ", " ")
}

/// An interval in its metric's unit: `3.65 to 4.02 µs`; words for a figure without one,
/// because it comes from one trial or does not vary.
pub fn range(estimate: &Estimate, unit: &str) -> String {
    between(estimate, |value| figure(value, unit))
}

/// The two ends of an interval; a unit that both have is said once.
fn between(estimate: &Estimate, write: impl Fn(f64) -> String) -> String {
    let Some((lo, hi)) = estimate.interval else {
        return match (estimate.is_exact(), estimate.n) {
            (true, _) => "exact",
            (false, 0 | 1) => "one trial, no interval",
            (false, _) => "no interval",
        }
        .into();
    };
    if lo == hi {
        // A count that no trial varied says nothing of how it would vary.
        return format!("the same in all {} trials", estimate.n);
    }
    let (lo, hi) = (write(lo), write(hi));
    match (lo.split_once(' '), hi.split_once(' ')) {
        (Some((number, unit)), Some((_, same))) if unit == same => format!("{number} to {hi}"),
        _ => format!("{lo} to {hi}"),
    }
}

/// A difference in its metric's unit, with its sign: `+3.10 µs`.
pub(super) fn signed(value: f64, unit: &str) -> String {
    let text = figure(value, unit);
    if value > 0.0 && !text.starts_with("0 ") { format!("+{text}") } else { text }
}

/// A ratio: `0.82 ×`.
pub(super) fn times(ratio: f64) -> String {
    if ratio < 0.1 { format!("{ratio:.4} ×") } else { format!("{} ×", digits(ratio)) }
}

/// The interval of a difference.
pub(super) fn signed_range(difference: &Estimate, unit: &str) -> String {
    between(difference, |value| signed(value, unit))
}

/// The interval of a ratio.
pub(super) fn times_range(ratio: &Estimate) -> String {
    between(ratio, times)
}

/// Three significant digits however small it is: `0.125`, `0.0000521`.
pub(super) fn significant(value: f64) -> String {
    if value.abs() >= 1.0 {
        return digits(value);
    }
    if value == 0.0 || !value.is_finite() {
        return "0".into();
    }
    let decimals = (2 - value.abs().log10().floor() as i32).clamp(0, 12) as usize;
    format!("{value:.decimals$}")
}

/// Three significant digits, with commas in whole numbers.
pub(super) fn digits(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude >= 1000.0 {
        let scale = 10f64.powf(magnitude.log10().floor() - 2.0);
        let whole = (magnitude / scale).round() * scale;
        let sign = if value < 0.0 { "-" } else { "" };
        return format!("{sign}{}", grouped(whole.round() as u64));
    }
    let text = match magnitude {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    };
    // A figure that rounds to nothing has no sign.
    if text.trim_start_matches(['-', '0', '.']).is_empty() { "0".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_and_ratios() {
        assert_eq!(signed(3.1, "us"), "+3.10 µs");
        assert_eq!(signed(-3.1, "us"), "-3.10 µs");
        assert_eq!(signed(0.001, "us"), "0 µs");
        assert_eq!(signed(-15_000_000.0, "bytes"), "-14.3 MiB");
        assert_eq!((times(0.824), times(0.01234)), ("0.82 ×".into(), "0.0123 ×".into()));
    }

    #[test]
    fn a_range_says_a_common_unit_once() {
        let with_interval =
            |interval| Estimate { point: 1.0, interval, n: 5, method: String::new() };
        assert_eq!(range(&with_interval(Some((3.651, 4.02))), "us"), "3.65 to 4.02 µs");
        assert_eq!(range(&with_interval(Some((900.0, 1100.0))), "us"), "900 µs to 1.10 ms");
        assert_eq!(signed_range(&with_interval(Some((-1.0, 2.0))), "us"), "-1.00 to +2.00 µs");
        assert_eq!(times_range(&with_interval(Some((0.8, 0.84)))), "0.80 to 0.84 ×");
        assert_eq!(range(&with_interval(Some((1.0, 1.0))).as_exact(), "bytes"), "exact");
        assert_eq!(range(&with_interval(Some((0.0, 0.0))), "share"), "the same in all 5 trials");
        assert_eq!(times_range(&with_interval(None)), "no interval");
        let one = Estimate { n: 1, ..with_interval(None) };
        assert_eq!(times_range(&one), "one trial, no interval");
    }

    #[test]
    fn figures() {
        for (value, unit, text) in [
            (52_345.0, "requests/s", "52,300 /s"),
            (18.234, "us", "18.2 µs"),
            (1_204.0, "us", "1.20 ms"),
            (2.5e6, "us", "2.50 s"),
            (15_000_000.0, "bytes", "14.3 MiB"),
            (152.4, "bytes", "152 bytes"),
            (-0.001, "bytes", "0 bytes"),
            (0.001, "share", "0.10 %"),
            (-1234.0, "bytes", "-1,230 bytes"),
            (999.9, "us", "1000 µs"),
            (0.124_96, "coefficient", "0.125"),
            (-0.000_052_14, "coefficient", "-0.0000521"),
            (0.0, "coefficient", "0"),
            (96.52, "users", "96.5 users"),
        ] {
            assert_eq!(figure(value, unit), text);
        }
    }
}
