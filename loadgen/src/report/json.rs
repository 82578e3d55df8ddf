//! `report.json`: the whole analysis, for programs.

use serde::Serialize;

use super::analysis::Analysis;
use crate::sanitise;

/// Version of the form of `report.json`.
const REPORT_SCHEMA: u32 = 2;

/// Sets the analysis as JSON.
///
/// # Panics
/// Never: an analysis is plain data.
pub(super) fn render(analysis: &Analysis) -> String {
    #[derive(Serialize)]
    struct Page<'a> {
        schema: u32,
        #[serde(flatten)]
        analysis: &'a Analysis,
    }
    let page = Page { schema: REPORT_SCHEMA, analysis };
    let text = serde_json::to_string_pretty(&page).expect("an analysis is plain data");
    format!("{}\n", sanitise::json(&text))
}
