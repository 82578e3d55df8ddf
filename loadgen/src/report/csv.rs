//! `measurements.csv`: tidy, a row a figure, for pandas, DuckDB or R.

use super::analysis::Analysis;
use super::estimates::Measurement;
use crate::sanitise::csv as text;

/// The columns; they are part of the output contract.
const HEADER: &str = "experiment,arm,users,connections,rate,metric,unit,point,lo,hi,n,valid,level";

/// Sets every figure as a row. Where there is no rate, no level or no interval, the field is empty.
/// The level is what an experiment sweeps beside users: items in the cart.
pub(super) fn render(analysis: &Analysis) -> String {
    let mut out = format!("{HEADER}\n");
    for measurement in &analysis.measurements {
        out.push_str(&row(measurement));
        out.push('\n');
    }
    out
}

fn row(m: &Measurement) -> String {
    let (lo, hi) = m.estimate.interval.unzip();
    [
        text(&m.experiment),
        text(&m.arm),
        m.users.map(|users| users.to_string()).unwrap_or_default(),
        m.connections.to_string(),
        optional(m.rate),
        m.metric.into(),
        m.unit.into(),
        number(m.estimate.point),
        optional(lo),
        optional(hi),
        m.estimate.n.to_string(),
        m.valid.to_string(),
        m.level.map(|level| level.to_string()).unwrap_or_default(),
    ]
    .join(",")
}

fn optional(value: Option<f64>) -> String {
    value.map(number).unwrap_or_default()
}

/// Six significant digits: more than any figure here is known to.
fn number(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 { "0".into() } else { String::new() };
    }
    let decimals = (5 - value.abs().log10().floor() as i32).clamp(0, 12) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (value, text) in [
            (0.0, "0"),
            (123_456_789.0, "123456789"),
            (1234.5678, "1234.57"),
            (0.000_123_456_7, "0.000123457"),
            (-12.5, "-12.5"),
            (f64::NAN, ""),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
