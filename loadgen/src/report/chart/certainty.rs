//! The reference compared with itself: a row for each metric, and in it a mark for each pair of
//! runs that should not differ. What the interval of a pair reaches is called no difference.

use super::drawing::{Across, Drawing, Places, Point, Series};
use crate::report::analysis::Analysis;
use crate::report::figures::{ComparedAs, NoiseFloor};
use crate::report::key::Key;
use crate::stats::Estimate;
use crate::units::grouped;

/// The chart; `None` without an A/A pair that is compared as a ratio.
pub(super) fn certainty(analysis: &Analysis) -> Option<Drawing> {
    let mut rows: Vec<Series> = Vec::new();
    for floor in &analysis.noise_floors {
        let Some(point) = point(analysis, floor) else { continue };
        let label = floor.key.metric.label;
        let row = rows.iter().position(|series| series.name == label).unwrap_or(rows.len());
        if row == rows.len() {
            rows.push(Series { name: label.into(), ..Series::default() });
        }
        rows[row].points.push(Point { x: row as f64, ..point });
    }
    let names = rows.iter().map(|series| series.name.clone()).collect();
    (!rows.is_empty()).then(|| Drawing {
        id: "certainty".into(),
        title: format!("{} compared with itself", analysis.reference),
        note: "The same server measured twice in every block: how far the interval of their ratio \
               reaches from no difference. A smaller difference of two arms gets no verdict."
            .into(),
        is_wide: true,
        across: Across { name: "metric".into(), unit: "", places: Places::Rows(names) },
        name: "smallest difference that counts".into(),
        unit: "share",
        is_log: false,
        series: rows,
        limit: Some((analysis.margin, format!("{:.0} % count as equal", analysis.margin * 100.0))),
        rings: Vec::new(),
    })
}

/// A pair of the metrics that endpoints are in; the others would be rows that decide nothing.
fn point(analysis: &Analysis, pair: &NoiseFloor) -> Option<Point> {
    let is_primary = analysis.primary.iter().any(|endpoint| endpoint.metric == pair.key.metric);
    if pair.compared_as != ComparedAs::Ratio || !is_primary {
        return None;
    }
    let floor = pair.floor.filter(|floor| floor.is_finite())?;
    let n = pair.ratio.as_ref()?.n;
    let estimate = Estimate { point: floor, interval: None, n, method: String::new() };
    let note = format!("{}{}", place(&pair.key), if pair.differs { ", differs" } else { "" });
    Some(Point { note, failed: pair.differs, ..Point::new(0.0, estimate) })
}

fn place(key: &Key) -> String {
    let level = key.level.map(|level| format!(", level {}", grouped(level.into())));
    let users = key.users.map(|users| format!(", {} users", grouped(users)));
    format!("{}{}{}", key.experiment, level.unwrap_or_default(), users.unwrap_or_default())
}
