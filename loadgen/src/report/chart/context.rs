//! When the scheme matters at all: a panel for each distance of the store, and in it the handler's
//! work from left to right. Where the lines meet, no scheme matters.

use super::drawing::{Across, Drawing, Places};
use super::sweep::{by_arm, finished, series};
use crate::experiment::context::{COST, NAME, Point, distance};
use crate::experiment::{Metric, metric};
use crate::report::analysis::Analysis;
use crate::report::key::Lookup;
use crate::units::grouped;

/// The maps that were measured: what a request takes, and what it costs.
pub(super) fn context(analysis: &Analysis) -> Vec<Drawing> {
    let maps = [
        (metric::RESPONSE_P50_US, "Response time p50 by distance of the store and handler work"),
        (COST, "CPU per request by distance of the store and handler work"),
    ];
    maps.into_iter().filter_map(|(metric, title)| map(analysis, metric, title)).collect()
}

fn map(analysis: &Analysis, metric: &'static Metric, title: &str) -> Option<Drawing> {
    let mut points: Vec<Point> = analysis
        .measurements
        .places(NAME, metric)
        .into_iter()
        .filter_map(|(level, _)| level.map(Point::of_level))
        .collect();
    // By distance, then by work.
    points.sort_unstable();
    points.dedup();
    let panels: Vec<(usize, usize, String)> = points
        .chunk_by(|a, b| a.distance_us == b.distance_us)
        .scan(0, |first, panel| {
            let begins = *first;
            *first += panel.len();
            Some((begins, *first - 1, distance(panel[0].distance_us)))
        })
        .collect();
    let place = |level: Option<u32>| {
        let point = Point::of_level(level?);
        points.iter().position(|known| *known == point).map(|place| place as f64)
    };
    let series = by_arm(analysis, |arm| {
        let own = analysis.measurements.all_of(NAME, metric).filter(|m| m.key.arm == arm);
        let mut series = series(arm, own, |m| place(m.key.level))?;
        for point in &mut series.points {
            point.begins = panels.iter().any(|(first, ..)| *first as f64 == point.x);
        }
        Some(series)
    });
    let drawing = Drawing {
        id: format!("{NAME}-{}", metric.name),
        title: title.into(),
        note: "Each panel is a distance of the store; lines that meet show work that hides the \
               scheme. "
            .into(),
        is_wide: true,
        across: Across {
            name: "work of the handler".into(),
            unit: "",
            places: Places::Words { words: points.iter().map(work).collect(), groups: panels },
        },
        name: metric.label.into(),
        unit: metric.unit,
        is_log: true,
        series,
        limit: None,
        rings: Vec::new(),
    };
    finished(drawing, metric)
}

fn work(point: &Point) -> String {
    let cpu = format!("{} µs", grouped(point.cpu_us.into()));
    match (point.cpu_us, point.wait_ms) {
        (0, 0) => "none".into(),
        (_, 0) => format!("{cpu} of CPU"),
        (0, wait) => format!("{wait} ms of waiting"),
        (_, wait) => format!("{cpu} of CPU, {wait} ms of waiting"),
    }
}
