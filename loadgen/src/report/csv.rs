//! `measurements.csv`: tidy, a row a figure, for pandas, DuckDB or R.

use super::analysis::Analysis;
use super::figures::Measurement;
use crate::sanitise::csv as text;

/// The columns; they are part of the output contract.
const HEADER: &str = "experiment,arm,campaign,seed,users,connections,rate,level,metric,unit,point,\
                      lo,hi,n,valid,primary";

/// Sets every figure as a row. A field is empty where there is no users, rate, level or interval,
/// and each column has one type in every row.
pub(super) fn render(analysis: &Analysis) -> String {
    let mut out = format!("{HEADER}\n");
    for measurement in &analysis.measurements {
        out.push_str(&row(analysis, measurement));
        out.push('\n');
    }
    out
}

fn row(analysis: &Analysis, m: &Measurement) -> String {
    let (lo, hi) = m.estimate.interval.unzip();
    [
        text(&m.key.experiment),
        text(&m.key.arm),
        text(&analysis.name),
        analysis.seed.to_string(),
        m.key.users.map(|users| users.to_string()).unwrap_or_default(),
        m.key.connections.to_string(),
        optional(m.key.rate),
        m.key.level.map(|level| level.to_string()).unwrap_or_default(),
        m.key.metric.name.into(),
        m.unit.into(),
        number(m.estimate.point),
        optional(lo),
        optional(hi),
        m.estimate.n.to_string(),
        m.valid.to_string(),
        analysis.primary.iter().any(|endpoint| endpoint.rests_on(&m.key)).to_string(),
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
    use crate::report::tests::sample;

    #[test]
    fn every_column_has_one_type_in_every_row() {
        let page = render(&sample::analysis());
        let mut lines = page.lines();
        let columns: Vec<&str> = lines.next().unwrap().split(',').collect();
        let of_type = |column: &str, field: &str| match column {
            "seed" | "connections" | "n" => field.parse::<u64>().is_ok(),
            "users" | "level" => field.is_empty() || field.parse::<u64>().is_ok(),
            "point" => field.parse::<f64>().is_ok(),
            "rate" | "lo" | "hi" => field.is_empty() || field.parse::<f64>().is_ok(),
            "valid" | "primary" => field.parse::<bool>().is_ok(),
            _ => !field.is_empty() && field.parse::<f64>().is_err(),
        };
        let mut primary = 0;
        for line in lines {
            let fields: Vec<&str> = line.split(',').collect();
            assert_eq!(fields.len(), columns.len(), "{line}");
            for (column, field) in columns.iter().zip(&fields) {
                assert!(of_type(column, field), "{column}: `{field}` in {line}");
            }
            primary += u32::from(fields.last() == Some(&"true"));
        }
        assert!(primary > 0, "the sample has primary endpoints");
    }

    #[test]
    fn what_does_not_vary_has_no_interval() {
        let page = render(&sample::analysis());
        let mut rows = page.lines().filter(|line| line.contains(",request_wire_bytes,"));
        assert!(rows.clone().count() > 0 && rows.all(|row| row.contains(",,,5,true,")), "{page}");
    }

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
