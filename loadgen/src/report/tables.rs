//! The tables of a report: lists of columns (a metric and a [`View`] of it) over rows (a level and
//! an arm). Cells, empty rows and empty columns follow from the analysis by rule, and no figure is
//! computed here.

use super::analysis::Analysis;
use super::context;
use super::figure::{figure, range, signed, signed_range, times, times_range};
use super::figures::{ComparedAs, Comparison};
use super::key::{Lookup, Place};
use super::table::{Cell, Column, Row, Table, arm, cell, finding};
use super::words;
use crate::experiment::{self, Better, Experiment, Metric, family, metric};
use crate::stats::Estimate;
use crate::units::grouped;

/// How a metric is seen.
#[derive(Clone, Copy, PartialEq, Eq)]
enum View {
    /// The figure itself.
    Figure,
    /// What is added to the baseline.
    Over,
    /// The ratio to the reference.
    Beside,
    /// The difference to the reference, where there is no ratio.
    Apart,
    /// How far the reference, measured twice, differs from itself.
    Floor,
}

/// Figures of all levels that answer another question than the rest, and so have a table of their
/// own: the family, the heading, and how to read it.
const APART: &[(&str, &str, &str)] = &[
    (
        family::MEMORY_PER_CONNECTION,
        "What a connection takes",
        "The slope of memory over open and idle connections; what the kernel keeps for them is not \
         in it.",
    ),
    (
        family::MEMORY_THAT_COMES_BACK,
        "What comes back",
        "The share of what logged-in users had added to memory that was gone after they had all \
         logged out, or had all expired; an arm that keeps nothing for them has no such share. An \
         allocator keeps pages for later, so less comes back to the system (PSS) than to the \
         program. What a logout adds is below zero where it frees a session.",
    ),
];

/// The tables of an experiment that a reader should see; those without a row are left out.
pub(super) fn key_tables(analysis: &Analysis, experiment: &str) -> Vec<Table> {
    let mut tables = figures(analysis, experiment);
    tables.extend(context::tables(analysis, experiment));
    tables.extend(scalability(analysis, experiment));
    tables.extend(noise_floor(analysis, experiment));
    tables.extend(endpoints(analysis, experiment));
    tables
}

/// The parameters of the scalability law, where it was fitted.
fn scalability(analysis: &Analysis, experiment: &str) -> Option<Table> {
    let metrics = analysis.metrics(experiment);
    let law = || metrics.iter().copied().filter(|m| m.family == family::SCALABILITY);
    let columns: Vec<_> = law()
        .map(|m| (View::Figure, m))
        .chain(law().filter(|m| m.unit == "coefficient").map(|m| (View::Apart, m)))
        .collect();
    let note = "The Universal Scalability Law, fitted to the right answers per second at all \
                levels; bootstrap over blocks. Where the interval of coherency holds 0, throughput \
                may never fall, and no peak is named; a peak beyond the levels measured is an \
                extrapolation. Figures are cut at 0, and differences are those of fits that are \
                not, so that their errors are even.";
    build(analysis, experiment, true, "How the arms scale", note, &columns)
}

/// The reference beside itself: per level, or of the figures of all levels where those are the
/// answer.
fn noise_floor(analysis: &Analysis, experiment: &str) -> Option<Table> {
    let metrics = analysis.metrics(experiment);
    let seen = |m: &&&Metric| m.is_added || m.is_ratio;
    let columns: Vec<_> = metrics.iter().filter(seen).map(|m| (View::Floor, *m)).collect();
    let title = format!("Noise floor: {} beside itself", analysis.reference);
    let note = "The same arm, measured twice in every block under two names: how far the interval \
                of the two reaches from no difference, and that interval. No smaller difference is \
                called one.";
    let floors = |overall| build(analysis, experiment, overall, &title, note, &columns);
    floors(true).or_else(|| floors(false))
}

/// The figures, and what is added to the baseline and beside the reference.
fn figures(analysis: &Analysis, experiment: &str) -> Vec<Table> {
    let charts = experiment::find(experiment).map_or(&[][..], |e| e.charts());
    let charted = |m: &Metric| charts.iter().any(|chart| chart.metric == m);
    let mut metrics = analysis.metrics(experiment);
    metrics.retain(|m| m.family != family::SCALABILITY);
    let seen = |view: View, wanted: &dyn Fn(&Metric) -> bool| {
        let wanted = metrics.iter().filter(|m| wanted(m));
        wanted.map(|m| (view, *m)).collect::<Vec<_>>()
    };
    let added = seen(View::Over, &|m| m.is_added);
    let ratios = seen(View::Beside, &|m| m.is_ratio);
    let together = |m: &Metric| APART.iter().all(|(name, ..)| m.family != *name);
    let overall = [seen(View::Figure, &together), added.clone(), ratios.clone()].concat();
    let key = seen(View::Figure, &|m| m.is_key || charted(m));
    let Analysis { baseline, reference, .. } = analysis;
    let build = |overall, title: &str, note: &str, columns: &[(View, &'static Metric)]| {
        build(analysis, experiment, overall, title, note, columns)
    };
    let bill = || bill(analysis, experiment, &metrics);
    let plans = experiment::find(experiment).map_or(&[][..], |e| e.tables());
    if !plans.is_empty() {
        let both = |plan: &experiment::TablePlan| {
            let columns: Vec<_> =
                plan.metrics.iter().map(|metric| (View::Figure, *metric)).collect();
            [true, false].map(|overall| build(overall, plan.title, plan.note, &columns))
        };
        return plans.iter().flat_map(both).flatten().chain(bill()).collect();
    }
    let slopes = build(
        true,
        "Over all levels",
        "One figure per trial, each with its 95 % interval over n trials.",
        &overall,
    );
    let levels =
        build(false, "Key figures", "Each figure with its 95 % interval over n trials.", &key);
    if slopes.is_some() {
        // Where a figure sums up all levels, comparing level by level would only repeat it.
        let apart = APART.iter().map(|(name, title, note)| {
            build(true, title, note, &seen(View::Figure, &|m| m.family == *name))
        });
        return [slopes].into_iter().chain(apart).chain([levels]).flatten().collect();
    }
    let over = build(
        false,
        &format!("What is added to {baseline}"),
        &format!("Arm minus {baseline}, paired by block: the cost of authentication."),
        &added,
    );
    let beside = build(
        false,
        &format!("Beside {reference}"),
        &format!(
            "Arm divided by {reference}, paired by block; 1 is the same. Primary endpoints have a \
             verdict: within {:.0} % counts as equivalent, and where it is inconclusive, \"from\" \
             is the smallest difference that would have been found with 80 % power. The rest is \
             exploratory.",
            analysis.margin * 100.0
        ),
        &ratios,
    );
    [levels, bill(), over, beside].into_iter().flatten().collect()
}

/// The parts of what arms behind a proxy cost; `None` where no arm is.
fn bill(analysis: &Analysis, experiment: &str, metrics: &[&'static Metric]) -> Option<Table> {
    let parts = [
        metric::SERVER_CPU_US_PER_REQUEST,
        metric::PROXY_CPU_US_PER_REQUEST,
        metric::STORE_CPU_US_PER_REQUEST,
        metric::CPU_US_PER_REQUEST,
        metric::SERVER_PSS_BYTES,
        metric::PROXY_MEMORY_BYTES,
        metric::STORE_MEMORY_BYTES,
    ];
    metrics.contains(&metric::PROXY_CPU_US_PER_REQUEST).then_some(())?;
    let columns = parts.map(|metric| (View::Figure, metric));
    build(
        analysis,
        experiment,
        false,
        "The bill of a deployment",
        "All servers together, the proxy before them and the store's server. The sum of CPU time \
         has the proxy in it.",
        &columns,
    )
}

/// Fills a table; `None` when not one cell has a figure. `overall` asks for the figures of no
/// level.
fn build(
    analysis: &Analysis,
    experiment: &str,
    overall: bool,
    title: &str,
    note: &str,
    columns: &[(View, &'static Metric)],
) -> Option<Table> {
    let mut places: Vec<Place> =
        columns.iter().flat_map(|(_, m)| analysis.measurements.places(experiment, m)).collect();
    places.sort_unstable();
    places.dedup();
    places.retain(|(_, users)| users.is_none() == overall);
    let swept = |at: fn(&Place) -> Option<u64>| {
        let mut levels: Vec<_> = places.iter().filter_map(at).collect();
        levels.dedup();
        levels.len()
    };
    let asked = experiment::find(experiment);
    let axis = asked.and_then(Experiment::axis);
    // A level that is the same in every row, and is nothing, needs no column.
    let axis = axis.filter(|_| places.iter().any(|(level, _)| level.is_some_and(|at| at > 0)));
    // Where something else is swept, users who are the same in every row do not need one either.
    let show_users = !overall && (axis.is_none() || swept(|(_, users)| *users) > 1);
    let mut heads: Vec<Column> =
        columns.iter().map(|(view, m)| head(analysis, *view, m, overall)).collect();
    let mut rows = Vec::new();
    for place in places {
        let mut opens_group = true;
        for name in &analysis.arms {
            let seen = |(view, m): &(View, &'static Metric)| {
                look_up(analysis, experiment, place, name, *view, m)
            };
            let (cells, ns): (Vec<Cell>, Vec<Option<u32>>) = columns.iter().map(seen).unzip();
            if cells.iter().all(|cell| *cell == Cell::Empty) {
                continue;
            }
            rows.push((opens_group, place, name, cells, trials(&ns)));
            opens_group = false;
        }
    }
    let used: Vec<bool> = (0..columns.len())
        .map(|i| rows.iter().any(|(_, _, _, cells, _)| cells[i] != Cell::Empty))
        .collect();
    let mut keep = used.iter();
    heads.retain(|_| *keep.next().unwrap_or(&false));
    let text = |label: &str, numeric| Column { label: label.into(), hint: "", numeric };
    let mut all = vec![text("Arm", false)];
    all.extend(heads);
    all.push(text("n", true));
    if show_users {
        all.insert(0, text("Users", true));
    }
    if let Some(axis) = axis {
        // A level without a noun of its own is words and no number.
        all.insert(0, text(axis.label, !axis.noun.is_empty()));
    }
    let row = |(opens_group, place, name, cells, n): (bool, Place, &String, Vec<Cell>, _)| {
        let count = |of: Option<u64>| of.map_or(Cell::Empty, |of| Cell::Text(grouped(of)));
        let (level, users) = place;
        let mut row = Vec::new();
        let at = asked.zip(level).map(|(asked, level)| Cell::Text(asked.level_cell(level)));
        row.extend(axis.map(|_| at.unwrap_or(Cell::Empty)));
        row.extend(show_users.then(|| count(users)));
        row.push(arm(analysis, name));
        row.extend(cells.into_iter().zip(&used).filter(|(_, used)| **used).map(|(cell, _)| cell));
        row.push(Cell::Text(n));
        Row { opens_group, cells: row }
    };
    (!rows.is_empty()).then(|| Table {
        title: title.into(),
        note: note.into(),
        columns: all,
        rows: rows.into_iter().map(row).collect(),
    })
}

/// A column's head; a table of ratios has said in its title what they are to.
fn head(analysis: &Analysis, view: View, metric: &Metric, overall: bool) -> Column {
    let label = match view {
        View::Over if overall => format!("{}, more than {}", metric.label, analysis.baseline),
        View::Beside if overall => format!("{}, ratio to {}", metric.label, analysis.reference),
        View::Apart => format!("{}, more than {}", metric.label, analysis.reference),
        _ => metric.label.to_string(),
    };
    let hint = match metric.better {
        Better::Lower => "less is better",
        Better::Higher => "more is better",
        Better::Neither => "",
    };
    Column { label, hint, numeric: true }
}

/// A cell, and the number of trials behind it.
fn look_up(
    analysis: &Analysis,
    experiment: &str,
    place: Place,
    arm: &str,
    view: View,
    metric: &Metric,
) -> (Cell, Option<u32>) {
    let unit = metric.unit;
    if view == View::Figure {
        return match analysis.measurements.find(experiment, metric, place, arm) {
            Some(m) => {
                let interval = range(&m.estimate, unit);
                let figure = figure(m.estimate.point, unit);
                (cell(figure, interval, m.valid, None), Some(m.estimate.n))
            }
            None => (Cell::Empty, None),
        };
    }
    if view == View::Floor {
        return floor(analysis, experiment, place, arm, metric);
    }
    let against = if view == View::Over { &analysis.baseline } else { &analysis.reference };
    let mut all = analysis.comparisons.all_of(experiment, metric);
    let found = all.find(|c| c.key.place() == place && c.is_between(arm, against));
    let ruled = |c: &Comparison| {
        c.ruling.as_ref().map(|ruling| finding(c.key.metric, c.compared_as, ruling))
    };
    let seen = found.and_then(|c| match view {
        View::Beside => {
            let ratio = c.ratio.as_ref()?;
            let interval = times_range(ratio);
            Some((cell(times(ratio.point), interval, true, ruled(c)), ratio.n))
        }
        View::Apart => {
            let interval = signed_range(&c.difference, unit);
            let figure = signed(c.difference.point, unit);
            Some((cell(figure, interval, true, ruled(c)), c.difference.n))
        }
        _ => Some((difference(&c.difference, unit), c.difference.n)),
    });
    seen.map_or((Cell::Empty, None), |(cell, n)| (cell, Some(n)))
}

/// How far the reference differs from itself; of other arms nothing.
fn floor(
    analysis: &Analysis,
    experiment: &str,
    place: Place,
    arm: &str,
    metric: &Metric,
) -> (Cell, Option<u32>) {
    let found = analysis.noise_floors.find(experiment, metric, place, arm);
    let seen = found.and_then(|f| {
        let figure = format!("± {}", words::effect(f.floor?, f.compared_as, metric.unit));
        let interval = match (f.compared_as, &f.ratio) {
            (ComparedAs::Ratio, Some(ratio)) => times_range(ratio),
            _ => signed_range(&f.difference, metric.unit),
        };
        Some((cell(figure, interval, true, None), f.difference.n))
    });
    seen.map_or((Cell::Empty, None), |(cell, n)| (cell, Some(n)))
}

fn difference(difference: &Estimate, unit: &str) -> Cell {
    cell(signed(difference.point, unit), signed_range(difference, unit), true, None)
}

/// `5`, or `3–5` where the figures of a row rest on different numbers of trials.
fn trials(ns: &[Option<u32>]) -> String {
    let ns = || ns.iter().copied().flatten();
    match (ns().min(), ns().max()) {
        (Some(least), Some(most)) if least < most => format!("{least}–{most}"),
        (Some(n), _) => n.to_string(),
        _ => String::new(),
    }
}

mod inference;

pub(super) use inference::endpoints;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample;

    fn rendered(table: &Table) -> Vec<Vec<String>> {
        let text = |cell: &Cell| match cell {
            Cell::Empty => String::new(),
            Cell::Text(text) => text.clone(),
            Cell::Arm { name, .. } => name.clone(),
            Cell::Figure { figure, .. } => figure.clone(),
        };
        table.rows.iter().map(|row| row.cells.iter().map(text).collect()).collect()
    }

    #[test]
    fn every_row_has_a_cell_for_every_column() {
        let analysis = sample::analysis();
        for experiment in &analysis.experiments {
            let tables = key_tables(&analysis, &experiment.name);
            assert!(tables.len() >= 2, "{}", experiment.name);
            for table in &tables {
                assert!(!table.rows.is_empty(), "{}", table.title);
                for row in &table.rows {
                    assert_eq!(row.cells.len(), table.columns.len(), "{}", table.title);
                }
                for column in 0..table.columns.len() {
                    let filled = table.rows.iter().any(|row| row.cells[column] != Cell::Empty);
                    assert!(filled, "{}: {}", table.title, table.columns[column].label);
                }
            }
        }
    }

    #[test]
    fn rows_go_by_level_and_then_by_arm() {
        let analysis = sample::analysis();
        let tables = key_tables(&analysis, "concurrency");
        let key = tables.iter().find(|t| t.title == "Key figures").unwrap();
        let places: Vec<(String, String)> =
            rendered(key).into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
        let mut expected = Vec::new();
        for users in ["10", "100", "1,000"] {
            for arm in &analysis.arms {
                expected.push((users.to_string(), arm.clone()));
            }
        }
        assert_eq!(places, expected);
        let opens = key.rows.iter().filter(|row| row.opens_group).count();
        assert_eq!(opens, 3);
    }

    #[test]
    fn a_table_beside_the_reference_has_neither_it_nor_the_baseline() {
        let analysis = sample::analysis();
        let tables = key_tables(&analysis, "concurrency");
        let beside = tables.iter().find(|t| t.title.starts_with("Beside")).unwrap();
        for row in rendered(beside) {
            assert!(row[1] != analysis.baseline && row[1] != analysis.reference, "{row:?}");
        }
    }
}
