//! The response times of all requests at the most concurrent users, from the fastest to the rarest.

use super::drawing::{Across, Drawing, Places, Point, Series};
use super::sweep::{by_arm, finished};
use crate::experiment::metric;
use crate::report::analysis::Analysis;
use crate::units::grouped;

/// The chart; `None` if no load of concurrent users was measured.
pub(super) fn percentiles(analysis: &Analysis) -> Option<Drawing> {
    let most = analysis.percentiles.iter().map(|of| of.users).max()?;
    let series = by_arm(analysis, |arm| {
        let own = analysis.percentiles.iter().filter(|of| of.arm == arm && of.users == most);
        let points: Vec<Point> =
            own.map(|of| Point::new(of.percent, of.estimate.clone())).collect();
        (!points.is_empty()).then(|| Series { name: arm.into(), points, ..Series::default() })
    });
    let drawing = Drawing {
        id: "percentiles".into(),
        title: format!(
            "Response time of every request, {} concurrent {}",
            grouped(most.into()),
            if most == 1 { "user" } else { "users" }
        ),
        note: String::new(),
        is_wide: false,
        across: Across {
            name: "percentile, the tail stretched".into(),
            unit: "",
            places: Places::Percentiles,
        },
        name: "Response time".into(),
        unit: "us",
        is_log: true,
        series,
        limit: None,
        rings: Vec::new(),
    };
    finished(drawing, metric::RESPONSE_P50_US)
}
