//! `measurements.csv`: tidy, one row per figure, for pandas, DuckDB or R.

use schemars::JsonSchema;
use serde::Serialize;

use super::analysis::Analysis;
use super::figures::Measurement;
use crate::experiment::Metric;
use crate::sanitise::csv as text;

/// The columns; they are part of the output contract.
const HEADER: &str = "experiment,arm,campaign,seed,users,connections,rate,level,metric,unit,point,\
                      lo,hi,n,valid,primary";

/// A figure without an object inside it, as a row of the CSV and an object of `report.json`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(super) struct Flat<'a> {
    /// The experiment.
    experiment: &'a str,
    /// The arm.
    arm: &'a str,
    /// Name of the campaign.
    campaign: &'a str,
    /// Seed of the campaign.
    seed: u64,
    /// Users who were logged in; `null` for a figure of all levels.
    users: Option<u64>,
    /// Connections that carried the load.
    connections: u32,
    /// Requests per second that were asked for; `null` for a closed load.
    rate: Option<f64>,
    /// Level of the trials, where the experiment sweeps something else than users.
    level: Option<u32>,
    /// The metric.
    metric: &'static Metric,
    /// Its unit.
    unit: &'static str,
    /// The figure, six significant digits as in the CSV.
    point: Option<f64>,
    /// Lower end of its 95 % interval; `null` for a single trial and for exact figures.
    lo: Option<f64>,
    /// Upper end of its 95 % interval.
    hi: Option<f64>,
    /// Trials.
    n: u32,
    /// Whether it may be used.
    valid: bool,
    /// Whether a primary endpoint of the campaign compares it.
    primary: bool,
}

/// Every figure, flat, in the order of the CSV.
pub(super) fn flat(analysis: &Analysis) -> Vec<Flat<'_>> {
    analysis.measurements.iter().map(|m| flattened(analysis, m)).collect()
}

fn flattened<'a>(analysis: &'a Analysis, m: &'a Measurement) -> Flat<'a> {
    let (lo, hi) = m.estimate.interval.unzip();
    let rounded = |value: f64| number(value).parse().ok();
    Flat {
        experiment: &m.key.experiment,
        arm: &m.key.arm,
        campaign: &analysis.name,
        seed: analysis.seed,
        users: m.key.users,
        connections: m.key.connections,
        rate: m.key.rate.and_then(rounded),
        level: m.key.level,
        metric: m.key.metric,
        unit: m.unit,
        point: rounded(m.estimate.point),
        lo: lo.and_then(rounded),
        hi: hi.and_then(rounded),
        n: m.estimate.n,
        valid: m.valid,
        primary: analysis.primary.iter().any(|endpoint| endpoint.rests_on(&m.key)),
    }
}

/// Sets every figure as a row. A field is empty where there is no users, rate, level or interval,
/// and each column has one type in every row.
pub(super) fn render(analysis: &Analysis) -> String {
    let mut out = format!("{HEADER}\n");
    for figure in flat(analysis) {
        out.push_str(&row(&figure));
        out.push('\n');
    }
    out
}

fn row(figure: &Flat<'_>) -> String {
    let whole = |value: Option<u64>| value.map(|value| value.to_string()).unwrap_or_default();
    [
        text(figure.experiment),
        text(figure.arm),
        text(figure.campaign),
        figure.seed.to_string(),
        whole(figure.users),
        figure.connections.to_string(),
        optional(figure.rate),
        whole(figure.level.map(u64::from)),
        figure.metric.name.into(),
        figure.unit.into(),
        optional(figure.point),
        optional(figure.lo),
        optional(figure.hi),
        figure.n.to_string(),
        figure.valid.to_string(),
        figure.primary.to_string(),
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
