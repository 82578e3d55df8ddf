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
        "share" => format!("{} %", digits(value * 100.0)),
        _ => format!("{} {unit}", digits(value)),
    }
}

/// An interval in its metric's unit; a dash where there is none.
pub fn range(estimate: &Estimate, unit: &str) -> String {
    match estimate.interval {
        Some((lo, hi)) => format!("{} to {}", figure(lo, unit), figure(hi, unit)),
        None => "one trial, no interval".into(),
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

/// The interval of a ratio.
pub(super) fn times_range(ratio: &Estimate) -> String {
    match ratio.interval {
        Some((lo, hi)) => format!("{} to {}", times(lo), times(hi)),
        None => range(ratio, ""),
    }
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
        let ratio = Estimate { point: 1.0, interval: None, n: 1, method: String::new() };
        assert_eq!(times_range(&ratio), "one trial, no interval");
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
        ] {
            assert_eq!(figure(value, unit), text);
        }
    }
}
