//! The charts that experiments declare: one metric over a level, a line for every arm. A level
//! alone has no line, so its arms become rows.

use super::drawing::{Across, Drawing, Places, Point, Series};
use crate::experiment::{self, Better, ChartPlan, Metric, Over, metric};
use crate::report::analysis::Analysis;
use crate::report::figure::figure;
use crate::report::figures::Measurement;
use crate::report::key::Lookup;
use crate::units::grouped;

/// The charts of an experiment for which there are figures.
pub(super) fn sweeps(analysis: &Analysis, experiment: &str) -> Vec<Drawing> {
    let plans = experiment::find(experiment).map_or(&[][..], |known| known.charts());
    let wanted = plans.iter().map(|plan| with_store(analysis, experiment, plan));
    wanted.filter_map(|plan| sweep(analysis, experiment, &plan)).collect()
}

/// A store's CPU time is part of what a request costs: where it was measured, it is shown.
fn with_store(analysis: &Analysis, experiment: &str, plan: &ChartPlan) -> ChartPlan {
    let whole = metric::CPU_US_PER_REQUEST;
    let has_store = analysis.measurements.all_of(experiment, whole).next().is_some();
    if plan.metric == metric::SERVER_CPU_US_PER_REQUEST && has_store {
        ChartPlan { metric: whole, title: "CPU per request, server and store", ..*plan }
    } else {
        *plan
    }
}

/// The chart of a plan; `None` if nothing of it was measured.
pub(super) fn sweep(analysis: &Analysis, experiment: &str, plan: &ChartPlan) -> Option<Drawing> {
    let shown = || analysis.measurements.all_of(experiment, plan.metric);
    // Of a sweep of something else a chart over users shows the beginning: a line for every level
    // of it would be more lines than one can tell apart.
    let lowest = match plan.over {
        Over::Users => shown().map(|m| m.key.level).min().flatten(),
        Over::Level => None,
    };
    let place = |m: &Measurement| match plan.over {
        Over::Users => m.key.users.map(|users| users as f64),
        Over::Level => m.key.level.map(f64::from),
    };
    let wanted = |m: &&Measurement| lowest.is_none() || m.key.level == lowest;
    let series = by_arm(analysis, |arm| {
        series(arm, shown().filter(wanted).filter(|m| m.key.arm == arm), place)
    });
    let drawing = Drawing {
        id: format!("{experiment}-{}", plan.metric.name),
        title: plan.title.into(),
        note: String::new(),
        is_wide: false,
        across: Across {
            name: plan.x_label.into(),
            unit: "",
            places: Places::Levels { is_log: plan.x_log },
        },
        name: plan.metric.label.into(),
        unit: plan.metric.unit,
        is_log: plan.y_log,
        series,
        limit: None,
        rings: Vec::new(),
    };
    finished(drawing, plan.metric)
}

/// Series of the arms that have one, the baseline first, so that it lies behind the others. The
/// twin is left out: it is the reference once more.
pub(super) fn by_arm(analysis: &Analysis, series: impl Fn(&str) -> Option<Series>) -> Vec<Series> {
    let mut arms: Vec<&String> = analysis.arms.iter().collect();
    arms.sort_by_key(|arm| **arm != analysis.baseline);
    arms.into_iter().filter_map(|arm| series(arm)).collect()
}

/// The figures of an arm and their trials; a figure without a place, or that is no number, is left
/// out.
pub(super) fn series<'a>(
    arm: &str,
    figures: impl Iterator<Item = &'a Measurement>,
    place: impl Fn(&Measurement) -> Option<f64>,
) -> Option<Series> {
    let mut series = Series { name: arm.into(), ..Series::default() };
    for m in figures {
        let Some(x) = place(m).filter(|_| m.estimate.point.is_finite()) else { continue };
        series.points.push(Point { valid: m.valid, ..Point::new(x, m.estimate.clone()) });
        if m.by_block.len() > 1 && !m.key.metric.is_exact {
            series.trials.extend(m.by_block.iter().map(|(block, value)| (*block, x, *value)));
        }
    }
    series.points.sort_by(|a, b| a.x.total_cmp(&b.x));
    (!series.points.is_empty()).then_some(series)
}

/// A drawing with rows where all figures are at one place, and with words on how to read it; `None`
/// if it has no figure.
pub(super) fn finished(mut drawing: Drawing, metric: &Metric) -> Option<Drawing> {
    let first = drawing.figures().next()?.x;
    if drawing.figures().all(|point| point.x == first) {
        into_rows(&mut drawing, first);
    }
    let log = drawing.values().is_log();
    let better = match metric.better {
        Better::Lower => "Less is better",
        Better::Higher => "More is better",
        Better::Neither => "",
    };
    let how: Vec<&str> = [better, if log { "logarithmic" } else { "" }]
        .into_iter()
        .filter(|words| !words.is_empty())
        .collect();
    let mut note = how.join(", ");
    if !note.is_empty() {
        note.push_str(". ");
    }
    note.push_str(&reading(&drawing));
    drawing.note = format!("{}{note}", drawing.note);
    Some(drawing)
}

/// What its marks mean, and what it rests on.
fn reading(drawing: &Drawing) -> String {
    let points = || drawing.series.iter().flat_map(|series| &series.points);
    let n: Vec<u32> =
        points().filter(|point| point.interval().is_some()).map(|p| p.estimate.n).collect();
    let blocks = match (n.iter().min(), n.iter().max()) {
        (Some(least), Some(most)) if least == most => format!("{least} blocks"),
        (Some(least), Some(most)) => format!("{least} to {most} blocks"),
        _ => String::new(),
    };
    let mut says = if blocks.is_empty() {
        String::new()
    } else {
        format!("Whiskers: 95 % interval over {blocks}.")
    };
    if drawing.series.iter().any(|series| !series.trials.is_empty()) {
        says.push_str(" Small squares: single trials, by block.");
    }
    let axis = drawing.values();
    let mut bounds = points().filter_map(Point::interval);
    if bounds.any(|(lo, hi)| axis.beyond(lo) || axis.beyond(hi)) {
        says.push_str(" A whisker without a cap extends beyond the chart.");
    }
    if points().any(|point| !point.valid) {
        says.push_str(" Hollow with a broken outline: invalid, and in no answer.");
    }
    says
}

fn into_rows(drawing: &mut Drawing, place: f64) {
    let at = match drawing.word(place) {
        Some(word) => word,
        None if !drawing.across.unit.is_empty() => figure(place, drawing.across.unit),
        None => grouped(place as u64),
    };
    drawing.title.push_str(&format!(" ({}: {at})", drawing.across.name));
    let names = drawing.series.iter().map(|series| series.name.clone()).collect();
    drawing.is_wide = false;
    drawing.across = Across { name: "Arm".into(), unit: "", places: Places::Rows(names) };
    for (row, series) in drawing.series.iter_mut().enumerate() {
        series.points.iter_mut().for_each(|point| point.x = row as f64);
        series.trials.iter_mut().for_each(|(_, x, _)| *x = row as f64);
    }
}
