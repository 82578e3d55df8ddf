//! `report.json`: the whole analysis, for programs, and its figures once more as flat objects.

use schemars::JsonSchema;
use serde::Serialize;

use super::analysis::Analysis;
use super::csv::{Flat, flat};
use crate::sanitise;

/// Version of the form of `report.json`.
const REPORT_SCHEMA: u32 = 2;

/// What `report.json` holds.
#[derive(Serialize, JsonSchema)]
pub(super) struct Page<'a> {
    /// Version of this form.
    schema: u32,
    #[serde(flatten)]
    analysis: &'a Analysis,
    /// Every figure as a row of `measurements.csv` has it, in the same order.
    figures: Vec<Flat<'a>>,
}

/// Sets the analysis as JSON.
///
/// # Panics
/// Never: an analysis is plain data.
pub(super) fn render(analysis: &Analysis) -> String {
    let page = Page { schema: REPORT_SCHEMA, analysis, figures: flat(analysis) };
    let text = serde_json::to_string_pretty(&page).expect("an analysis is plain data");
    format!("{}\n", sanitise::json(&text))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::report::csv;
    use crate::report::tests::sample;

    #[test]
    fn flat_figures_are_the_rows_of_the_csv() {
        let analysis = sample::analysis();
        let page: Value = serde_json::from_str(&render(&analysis)).unwrap();
        let figures = page["figures"].as_array().unwrap();
        let table = csv::render(&analysis);
        let mut lines = table.lines();
        let columns: Vec<&str> = lines.next().unwrap().split(',').collect();
        assert_eq!(lines.clone().count(), figures.len());
        for (line, figure) in lines.zip(figures) {
            let object = figure.as_object().unwrap();
            assert!(object.keys().eq(columns.iter()), "{object:?}");
            for (field, (name, value)) in line.split(',').zip(object) {
                let same = match value {
                    Value::Null => field.is_empty(),
                    Value::Number(number) => field.parse::<f64>().ok() == number.as_f64(),
                    Value::Bool(flag) => field == flag.to_string(),
                    Value::String(text) => field == text,
                    Value::Array(_) | Value::Object(_) => panic!("{name} is not flat: {value}"),
                };
                assert!(same, "{name}: `{field}` and {value}");
            }
        }
    }
}
