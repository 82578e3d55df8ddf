//! Charts of easy and of awkward data: every mark inside the drawing, every label apart.

use super::look::{COLOURS, Look, look};
use super::*;
use crate::experiment::{ChartPlan, Over, metric};
use crate::report::figures::Measurement;
use crate::report::key::Key;
use crate::report::tests::sample;
use crate::stats::Estimate;

const PLAN: ChartPlan = ChartPlan {
    over: Over::Users,
    metric: metric::RESPONSE_P99_US,
    title: "Title",
    x_label: "users",
    x_log: true,
    y_log: true,
};

/// Arm, users, value, interval, valid.
type Figure<'a> = (&'a str, u64, f64, Option<(f64, f64)>, bool);

/// An analysis with these figures of `response_p99_us` alone.
fn of(figures: &[Figure<'_>]) -> Analysis {
    let mut analysis = sample::analysis_of(&sample::plan(&["none", "a"], 1), |_| {});
    analysis.arms = vec!["none".into()];
    for (arm, ..) in figures {
        if !analysis.arms.iter().any(|known| known == arm) {
            analysis.arms.push((*arm).into());
        }
    }
    let measurement = |(arm, users, point, interval, valid): &Figure<'_>| {
        let template = &analysis.measurements[0];
        Measurement {
            key: Key {
                level: None,
                arm: (*arm).into(),
                users: Some(*users),
                metric: metric::RESPONSE_P99_US,
                ..template.key.clone()
            },
            unit: "us",
            estimate: Estimate { point: *point, interval: *interval, n: 5, method: String::new() },
            valid: *valid,
            ..template.clone()
        }
    };
    let measurements = figures.iter().map(measurement).collect();
    Analysis { measurements, ..analysis }
}

fn draw(analysis: &Analysis, plan: ChartPlan) -> String {
    Chart::new(analysis, "concurrency", &plan).svg().into_string()
}

/// The values of an attribute, wherever it stands.
fn attribute<'a>(svg: &'a str, name: &str) -> Vec<&'a str> {
    let opening = format!(" {name}=\"");
    svg.split(opening.as_str()).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

fn numbers(text: &str) -> Vec<f64> {
    text.split([' ', ',']).map(|number| number.parse().unwrap()).collect()
}

/// Every coordinate is a number inside the drawing; gives the number of marks.
fn assert_inside(svg: &str) -> usize {
    let viewbox = numbers(attribute(svg, "viewBox")[0]);
    let (width, height) = (viewbox[2], viewbox[3]);
    let mut marks = 0;
    let mut inside = |x: f64, y: f64, what: &str| {
        assert!(x.is_finite() && (0.0..=width).contains(&x), "{what}: x {x}");
        assert!(y.is_finite() && (0.0..=height).contains(&y), "{what}: y {y}");
        marks += 1;
    };
    for (across, down) in [("x1", "y1"), ("x2", "y2"), ("cx", "cy"), ("x", "y")] {
        let pairs = attribute(svg, across).into_iter().zip(attribute(svg, down));
        for (x, y) in pairs {
            inside(x.parse().unwrap(), y.parse().unwrap(), across);
        }
    }
    for list in attribute(svg, "points") {
        for pair in list.split(' ') {
            let pair = numbers(pair);
            inside(pair[0], pair[1], "points");
        }
    }
    for path in attribute(svg, "d") {
        let start = path.trim_start_matches('M').split(['L', 'a', 'l']).next().unwrap();
        let start = numbers(start);
        inside(start[0], start[1], "path");
    }
    marks
}

/// Heights of the arms' labels, top down.
fn label_heights(svg: &str) -> Vec<f64> {
    let labels = svg.split("<text class=\"name\"").skip(1);
    let mut heights: Vec<f64> =
        labels.map(|label| attribute(label, "y")[0].parse().unwrap()).collect();
    heights.sort_by(f64::total_cmp);
    heights
}

fn assert_apart(svg: &str, labels: usize) {
    let heights = label_heights(svg);
    assert_eq!(heights.len(), labels);
    for pair in heights.windows(2) {
        assert!(pair[1] - pair[0] >= 16.0, "labels at {pair:?}");
    }
}

#[test]
fn the_sample_is_drawn_inside_its_frame_with_labels_apart() {
    let analysis = sample::analysis();
    let mut drawn = 0;
    for experiment in &analysis.experiments {
        for chart in charts(&analysis, &experiment.name) {
            let svg = chart.svg().into_string();
            assert!(assert_inside(&svg) > 30, "{}", chart.title());
            assert_apart(&svg, analysis.arms.len());
            assert_eq!(svg.matches("class=\"line\"").count(), analysis.arms.len());
            assert_eq!(chart.caption(), "Whiskers and band: 95 % interval over 5 blocks.");
            drawn += 1;
        }
    }
    assert!(drawn >= 6);
}

#[test]
fn awkward_data_are_drawn_too() {
    let wide = Some((1e-3, 1e12));
    for (what, figures) in [
        ("one point", vec![("a", 64, 20.0, None, true)]),
        ("zero", vec![("a", 1, 0.0, Some((0.0, 0.0)), true), ("a", 10, 0.0, None, true)]),
        ("negative", vec![("a", 1, -5.0, Some((-9.0, 1.0)), true), ("a", 10, 3.0, None, true)]),
        ("only negative", vec![("a", 1, -5.0, None, true), ("a", 10, -7.0, None, true)]),
        ("huge", vec![("a", 1, 1e-3, wide, true), ("a", 1_000_000, 1e12, wide, true)]),
        ("no level", vec![("a", 0, 3.0, None, true), ("a", 10, 4.0, None, true)]),
        ("infinite", vec![("a", 1, 3.0, Some((0.1, f64::INFINITY)), true)]),
        ("equal", vec![("a", 1, 7.0, Some((7.0, 7.0)), true), ("b", 1, 7.0, None, true)]),
    ] {
        for (x_log, y_log) in [(true, true), (false, false), (true, false), (false, true)] {
            let svg = draw(&of(&figures), ChartPlan { x_log, y_log, ..PLAN });
            assert!(assert_inside(&svg) > 5, "{what}");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{what}");
            assert_eq!(svg.matches("class=\"point\"").count(), figures.len(), "{what}");
        }
    }
}

#[test]
fn no_data_are_said_and_a_figure_that_is_no_number_is_left_out() {
    assert!(draw(&of(&[]), PLAN).contains("No data."));
    assert!(draw(&of(&[("a", 1, f64::NAN, None, true)]), PLAN).contains("No data."));
    let chart = Chart::new(&of(&[]), "concurrency", &PLAN);
    assert_eq!(chart.caption(), "No trial measured this.");
}

#[test]
fn twenty_arms_with_long_names_keep_their_labels_apart_and_their_looks_different() {
    let names: Vec<String> =
        (0..20).map(|i| format!("a-scheme-with-a-rather-long-name-{i}")).collect();
    let figures: Vec<_> = names
        .iter()
        .enumerate()
        .flat_map(|(i, name)| {
            let value = 100.0 + i as f64 / 10.0;
            [1, 100].map(|users| (name.as_str(), users, value, None, true))
        })
        .collect();
    let analysis = of(&figures);
    let svg = draw(&analysis, PLAN);
    assert_inside(&svg);
    assert_apart(&svg, 20);
    let looks: Vec<Look> = analysis.arms.iter().map(|arm| look(&analysis, arm)).collect();
    for (i, one) in looks.iter().enumerate() {
        assert!(one.colour <= COLOURS);
        assert!(!looks[..i].contains(one), "{one:?} twice");
        let twins = |other: &&Look| (other.colour, other.marker) == (one.colour, one.marker);
        assert!(!looks[..i].iter().any(|other| twins(&other)), "{one:?} has a twin");
    }
}

#[test]
fn an_invalid_figure_is_hollow_and_no_line_goes_through_it() {
    let mut figures: Vec<_> =
        (0..5).map(|i| ("a", 10u64.pow(i), 20.0, Some((18.0, 22.0)), true)).collect();
    let lines = |svg: &str| svg.matches("class=\"line\"").count();
    let whole = draw(&of(&figures), PLAN);
    assert_eq!((lines(&whole), whole.matches("hollow").count()), (1, 0));
    figures[2].4 = false;
    let broken = draw(&of(&figures), PLAN);
    assert_eq!((lines(&broken), broken.matches("hollow").count()), (2, 1));
    assert!(broken.contains("INVALID: a, 100 users: 20.0 µs"));
    let caption = Chart::new(&of(&figures), "concurrency", &PLAN).caption();
    assert!(caption.contains("Hollow"), "{caption}");
}

#[test]
fn a_wild_interval_does_not_press_the_lines_flat() {
    let figures =
        [("a", 1, 20.0, Some((1.0, 4000.0)), true), ("b", 1, 40.0, Some((38.0, 42.0)), true)];
    let plan = ChartPlan { y_log: false, ..PLAN };
    let chart = Chart::new(&of(&figures), "concurrency", &plan);
    let heights = label_heights(&chart.svg().into_string());
    assert!(heights[1] - heights[0] > 50.0, "{heights:?}");
    assert!(chart.caption().contains("goes on beyond the chart"));
}

#[test]
fn a_hostile_arm_stays_text() {
    let svg = draw(&of(&[("</svg><script>", 1, 1.0, None, true)]), PLAN);
    assert!(!svg.contains("<script") && svg.matches("</svg>").count() == 1);
}
