//! What a user waits as the offered rate grows: lines through the loads of `curve`, and every probe
//! of `capacity`, where one that did not hold is a ring.

use super::drawing::{Across, Drawing, Places, Point};
use super::sweep::{by_arm, finished, series};
use crate::experiment::metric;
use crate::report::analysis::Analysis;
use crate::report::figure::figure;
use crate::report::key::Lookup;
use crate::report::probes::Probe;
use crate::stats::Estimate;

/// The chart; `None` if no load at a given rate was measured.
pub(super) fn rate(analysis: &Analysis) -> Option<Drawing> {
    let loads = || analysis.measurements.all_of("curve", metric::RESPONSE_P99_US);
    let series = by_arm(analysis, |arm| {
        let own = loads().filter(|m| m.key.arm == arm);
        let mut series = series(arm, own, |m| m.key.rate).unwrap_or_default();
        series.name = arm.into();
        series.dots = analysis.probes.iter().filter(|p| p.arm == arm).filter_map(dot).collect();
        // Probes show by themselves how much single loads differ.
        if !series.dots.is_empty() {
            series.trials.clear();
        }
        (!series.points.is_empty() || !series.dots.is_empty()).then_some(series)
    });
    let limit = analysis.probes.first().map(|probe| probe.limit_us);
    let has_probes = series.iter().any(|series| !series.dots.is_empty());
    let note = if has_probes {
        "Small marks: capacity probes; broken outline: the rate did not hold. "
    } else {
        ""
    };
    let drawing = Drawing {
        id: "rate".into(),
        title: "Response time p99 over the offered rate".into(),
        note: note.into(),
        is_wide: true,
        across: Across {
            name: "requests per second".into(),
            unit: "requests/s",
            places: Places::Values,
        },
        name: metric::RESPONSE_P99_US.label.into(),
        unit: metric::RESPONSE_P99_US.unit,
        is_log: true,
        series,
        limit: limit.map(|us| (us, format!("limit of {}", figure(us, "us").replace(".0 ", " ")))),
        rings: Vec::new(),
    };
    let mut drawing = finished(drawing, metric::RESPONSE_P99_US)?;
    if has_probes {
        // Whiskers among so many marks would be a fog.
        drawing.note = drawing.note.replacen(
            "Whiskers: 95 % interval",
            "The table has the 95 % intervals,",
            1,
        );
    }
    Some(drawing)
}

/// A probe that says something of the server.
fn dot(probe: &Probe) -> Option<Point> {
    if probe.response_p99_us <= 0.0 || !probe.is_told() {
        return None;
    }
    let estimate =
        Estimate { point: probe.response_p99_us, interval: None, n: 1, method: String::new() };
    let held = if probe.held() { "held" } else { "did not hold" };
    let length = if probe.confirms { "confirming probe" } else { "probe" };
    Some(Point {
        failed: !probe.held(),
        note: format!("{length}, {held}"),
        ..Point::new(probe.rate_rps, estimate)
    })
}
