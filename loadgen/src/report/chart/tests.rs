//! Charts of easy and of awkward data: every mark stands at the scale's place for its value, inside
//! the drawing, with the values of the analysis, and every label is apart.

use super::draw::{Frame, inside};
use super::drawing::{Across, Drawing, Places, Point};
use super::page::{drawings, page_figures};
use super::sweep::sweep;
use crate::experiment::{ChartPlan, Over, metric};
use crate::record::ProbeVerdict;
use crate::report::Analysis;
use crate::report::figures::Measurement;
use crate::report::key::Key;
use crate::report::probes::Probe;
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
fn analysis_with(figures: &[Figure<'_>]) -> Analysis {
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

fn draw(figures: &[Figure<'_>], plan: ChartPlan) -> String {
    svg(&sweep(&analysis_with(figures), "concurrency", &plan).unwrap())
}

fn svg(drawing: &Drawing) -> String {
    inside(drawing, &Frame::new(drawing)).into_string()
}

/// The values of an attribute, wherever it stands.
fn attribute<'a>(svg: &'a str, name: &str) -> Vec<&'a str> {
    let opening = format!(" {name}=\"");
    svg.split(opening.as_str()).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

fn number(text: &str) -> f64 {
    text.parse().unwrap_or_else(|_| panic!("`{text}` is no number"))
}

/// The elements of a kind that have a class.
fn elements<'a>(svg: &'a str, opening: &str) -> Vec<&'a str> {
    svg.split(opening).skip(1).filter_map(|rest| rest.split('>').next()).collect()
}

/// Where a mark stands by its middle, and its figure.
fn marks(svg: &str) -> Vec<(f64, f64, f64, f64)> {
    let read = |mark: &str| {
        let get = |name| number(attribute(mark, name)[0]);
        let half = get("width") / 2.0;
        let x = attribute(mark, "data-x")[0].parse().unwrap_or(f64::NAN);
        (get("x") + half, get("y") + half, x, get("data-y"))
    };
    let all: Vec<_> =
        elements(svg, "<use class=\"mark").into_iter().map(|m| format!(" {m}")).collect();
    all.iter().map(|mark| read(mark)).collect()
}

/// Every coordinate of a path or line is inside the frame.
fn assert_inside(drawing: &Drawing, svg: &str) {
    let frame = Frame::new(drawing);
    let check = |x: f64, y: f64| {
        assert!((0.0..=frame.width).contains(&x), "{}: x {x}", drawing.id);
        assert!((0.0..=frame.height).contains(&y), "{}: y {y}", drawing.id);
    };
    for (x, y, ..) in marks(svg) {
        check(x, y);
    }
    for (across, down) in [("x1", "y1"), ("x2", "y2"), ("cx", "cy")] {
        for (x, y) in attribute(svg, across).into_iter().zip(attribute(svg, down)) {
            check(number(x), number(y));
        }
    }
    for path in attribute(svg, "d") {
        for start in path.split(['M', 'L']).filter(|part| !part.is_empty()) {
            let numbers: Vec<&str> = start.split(['h', 'v', 'Z', ' ']).take(2).collect();
            check(number(numbers[0]), number(numbers[1]));
        }
    }
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{}", drawing.id);
}

/// Heights of the labels at the ends of lines, top down.
fn label_heights(svg: &str) -> Vec<f64> {
    let labels = elements(svg, "<text class=\"end\"");
    let mut heights: Vec<f64> =
        labels.iter().map(|label| number(attribute(label, "y")[0])).collect();
    heights.sort_by(f64::total_cmp);
    heights
}

fn assert_apart(svg: &str, labels: usize) {
    let heights = label_heights(svg);
    assert_eq!(heights.len(), labels);
    // Coordinates have one decimal.
    assert!(heights.windows(2).all(|pair| pair[1] - pair[0] >= 15.8), "{heights:?}");
}

#[test]
fn marks_stand_where_their_scale_says() {
    let figures = [
        ("a", 1, 100.0, None, true),
        ("a", 10, 1000.0, Some((500.0, 2000.0)), true),
        ("a", 100, 10_000.0, None, true),
    ];
    // The frame of a drawing: 62 and 150 units beside it, 24 above, 212 high, 12 inside.
    let (left, right, top, bottom) = (74.0, 378.0, 24.0, 236.0);
    let place = |share_x: f64, share_y: f64| {
        (left + share_x * (right - left), bottom - share_y * (bottom - top))
    };
    let drawn = draw(&figures, PLAN);
    for (mark, share) in marks(&drawn).into_iter().zip([0.0, 0.5, 1.0]) {
        let (x, y) = place(share, share);
        assert!((mark.0 - x).abs() < 0.06 && (mark.1 - y).abs() < 0.06, "{mark:?} {x} {y}");
    }
    // On a linear scale from 0 a tenth of the highest value is a tenth of the height.
    let linear = draw(&figures, ChartPlan { y_log: false, ..PLAN });
    for (mark, share) in marks(&linear).into_iter().zip([0.01, 0.1, 1.0]) {
        assert!((mark.1 - place(0.0, share).1).abs() < 0.06, "{mark:?} {share}");
    }
}

#[test]
fn the_sample_is_drawn_with_its_own_values_inside_its_frame_and_labels_apart() {
    let analysis = sample::analysis();
    let all = drawings(&analysis);
    let mut compared = 0;
    for (_, drawing) in &all {
        let drawn = svg(drawing);
        assert_inside(drawing, &drawn);
        if !drawing.is_rows() {
            assert_apart(&drawn, drawing.series.len());
            assert_eq!(drawn.matches("class=\"line\"").count(), drawing.series.len());
        }
        let frame = Frame::new(drawing);
        for ((x, y, _, value), point) in marks(&drawn).into_iter().zip(drawing.figures()) {
            assert_eq!(value, point.y(), "{}", drawing.id);
            let (across, down) = frame.place(point.x, point.y());
            assert!((x - across).abs() < 0.06 && (y - down).abs() < 0.06, "{}", drawing.id);
            compared += 1;
        }
    }
    assert!(all.len() >= 7 && compared > 60, "{} charts, {compared} marks", all.len());
    let of_report = |metric: &str| {
        let figures = analysis
            .measurements
            .iter()
            .filter(|m| m.key.experiment == "concurrency" && m.key.metric.name == metric);
        let values = figures.filter(|m| analysis.arms.iter().any(|arm| *arm == *m.key.arm));
        let mut values: Vec<f64> = values.map(|m| m.estimate.point).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let (_, drawing) = all.iter().find(|(_, of)| of.id == "concurrency-throughput_rps").unwrap();
    let mut drawn: Vec<f64> = marks(&svg(drawing)).into_iter().map(|mark| mark.3).collect();
    drawn.sort_by(f64::total_cmp);
    assert_eq!(drawn, of_report("throughput_rps"));
}

#[test]
fn every_chart_of_the_page_has_its_figures_as_a_table_and_an_id_of_its_own() {
    let figures = page_figures(&sample::analysis());
    let mut ids = std::collections::BTreeSet::new();
    for figure in &figures {
        let markup = figure.markup.0.as_str();
        let (_, rest) = markup.split_once("<h3 id=\"chart-").unwrap();
        let (id, _) = rest.split_once('"').unwrap();
        assert!(ids.insert(id), "{id} twice");
        assert!(markup.contains("<table") && !markup.contains("style="), "{id}");
        assert!(markup.contains("<tr data-arm"), "{id}");
    }
    let sections: Vec<_> = figures.iter().map(|figure| figure.section).collect();
    assert!(sections.is_sorted());
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
            let plan = ChartPlan { x_log, y_log, ..PLAN };
            let drawing = sweep(&analysis_with(&figures), "concurrency", &plan).unwrap();
            let drawn = svg(&drawing);
            assert_inside(&drawing, &drawn);
            assert_eq!(marks(&drawn).len(), figures.len(), "{what}");
        }
    }
}

#[test]
fn what_was_not_measured_gives_no_chart() {
    let none: &[Figure<'_>] = &[];
    assert!(sweep(&analysis_with(none), "concurrency", &PLAN).is_none());
    let no_number = [("a", 1, f64::NAN, None, true)];
    assert!(sweep(&analysis_with(&no_number), "concurrency", &PLAN).is_none());
    let ids: Vec<String> = drawings(&sample::analysis()).into_iter().map(|(_, of)| of.id).collect();
    assert!(!ids.iter().any(|id| id == "rate" || id.starts_with("context")), "{ids:?}");
}

#[test]
fn arms_at_one_level_are_rows_with_their_figures() {
    let figures = [("a", 64, 20.0, Some((18.0, 22.0)), true), ("b", 64, 40.0, None, true)];
    let drawing = sweep(&analysis_with(&figures), "concurrency", &PLAN).unwrap();
    let drawn = svg(&drawing);
    assert_eq!(drawing.title, "Title (users: 64)");
    assert!(!drawn.contains("class=\"line\"") && drawn.contains("20.0 µs"));
    let marks = marks(&drawn);
    assert!(marks[0].1 + 20.0 < marks[1].1 && marks[0].0 < marks[1].0, "{marks:?}");
}

#[test]
fn twenty_five_arms_keep_their_labels_apart() {
    let names: Vec<String> =
        (0..25).map(|i| format!("a-scheme-with-a-rather-long-name-{i}")).collect();
    let figures: Vec<_> = names
        .iter()
        .enumerate()
        .flat_map(|(i, name)| {
            let value = 100.0 + i as f64 / 10.0;
            [1, 100].map(|users| (name.as_str(), users, value, None, true))
        })
        .collect();
    let drawing = sweep(&analysis_with(&figures), "concurrency", &PLAN).unwrap();
    let drawn = svg(&drawing);
    assert_inside(&drawing, &drawn);
    assert_apart(&drawn, 25);
    assert!(drawn.contains("…<title>a-scheme-with-a-rather-long-name-24"));
}

#[test]
fn an_invalid_figure_is_hollow_and_no_line_goes_through_it() {
    let mut figures: Vec<_> =
        (0..5).map(|i| ("a", 10u64.pow(i), 20.0, Some((18.0, 22.0)), true)).collect();
    let lines = |svg: &str| svg.matches("class=\"line\"").count();
    let whole = draw(&figures, PLAN);
    assert_eq!((lines(&whole), whole.matches("failed").count()), (1, 0));
    figures[2].4 = false;
    let broken = draw(&figures, PLAN);
    assert_eq!((lines(&broken), broken.matches("failed").count()), (2, 1));
    assert!(broken.contains("data-note=\"INVALID\""));
    let drawing = sweep(&analysis_with(&figures), "concurrency", &PLAN).unwrap();
    assert!(drawing.note.contains("invalid"), "{}", drawing.note);
}

#[test]
fn a_wild_interval_does_not_press_the_lines_flat() {
    let figures = [
        ("a", 1, 20.0, Some((1.0, 4000.0)), true),
        ("a", 9, 20.0, None, true),
        ("b", 1, 40.0, Some((38.0, 42.0)), true),
    ];
    let plan = ChartPlan { y_log: false, ..PLAN };
    let drawing = sweep(&analysis_with(&figures), "concurrency", &plan).unwrap();
    let heights = label_heights(&svg(&drawing));
    assert!(heights[1] - heights[0] > 50.0, "{heights:?}");
    assert!(drawing.note.contains("extends beyond the chart"), "{}", drawing.note);
}

#[test]
fn a_hostile_arm_stays_text() {
    let hostile = "</svg><script>";
    let drawn = draw(&[(hostile, 1, 1.0, None, true), (hostile, 9, 1.0, None, true)], PLAN);
    assert!(!drawn.contains("<script") && !drawn.contains("</svg>"));
}

#[test]
fn every_probe_is_a_mark_and_one_that_failed_is_a_ring() {
    let mut analysis = sample::analysis();
    let probe = |rate_rps, verdict| Probe {
        arm: "jwt-hs256".into(),
        block: 0,
        users: 1000,
        rate_rps,
        response_p99_us: rate_rps / 10.0,
        limit_us: 10_000.0,
        confirms: false,
        verdict,
    };
    use ProbeVerdict::{Disturbed, Failed, Held, NotOffered};
    let told = [(50_000.0, Held), (100_000.0, Held), (200_000.0, Failed)];
    let untold = [(300_000.0, NotOffered), (400_000.0, Disturbed)];
    let all = told.into_iter().chain(untold);
    analysis.probes = all.map(|(rate, verdict)| probe(rate, verdict)).collect();
    let (_, drawing) = drawings(&analysis).into_iter().find(|(_, of)| of.id == "rate").unwrap();
    let drawn = svg(&drawing);
    let rates: Vec<f64> = marks(&drawn).into_iter().map(|mark| mark.2).collect();
    assert_eq!(rates, [50_000.0, 100_000.0, 200_000.0]);
    assert_eq!(drawn.matches("class=\"mark failed\"").count(), 1);
    assert!(drawn.contains("limit of 10 ms"));
    // The line of the limit stands where a mark of that value would.
    let at_limit = marks(&drawn)[1].1;
    let limit = number(attribute(elements(&drawn, "<line class=\"limit\"")[0], "y1")[0]);
    assert!((limit - at_limit).abs() < 0.06, "{limit} {at_limit}");
}

#[test]
fn percentiles_grow_and_the_tail_is_stretched() {
    let analysis = sample::analysis();
    let (_, drawing) =
        drawings(&analysis).into_iter().find(|(_, of)| of.id == "percentiles").unwrap();
    assert!(drawing.title.contains("1,000 concurrent users"), "{}", drawing.title);
    let series = &drawing.series[0];
    assert!(series.points.windows(2).all(|pair| pair[0].y() <= pair[1].y()));
    let p99 = series.points.iter().find(|point| point.x == 99.0).unwrap();
    let measured = analysis.measurements.iter().find(|m| {
        m.key.arm == series.name
            && m.key.users == Some(1000)
            && m.key.metric == metric::RESPONSE_P99_US
            && m.key.experiment == "concurrency"
    });
    assert_eq!(p99.y(), measured.unwrap().estimate.point, "the metric is the same figure");
    let frame = Frame::new(&drawing);
    let x = |percent| frame.place(percent, p99.y()).0;
    assert!(((x(99.0) - x(90.0)) / (x(99.9) - x(99.0)) - 1.0).abs() < 1e-9);
}

#[test]
fn words_have_a_place_each_and_panels_part_the_lines() {
    let words = ["none", "50 µs", "none", "50 µs"].map(str::to_owned).to_vec();
    let groups = vec![(0, 1, "near".into()), (2, 3, "far".into())];
    let exact = |value| Estimate { point: value, interval: None, n: 3, method: String::new() };
    let mut points: Vec<Point> =
        (0..4).map(|i| Point::new(f64::from(i), exact(10.0 + f64::from(i)))).collect();
    points[2].begins = true;
    let series = super::drawing::Series { name: "a".into(), points, ..Default::default() };
    let drawing = Drawing {
        id: "map".into(),
        title: "Map".into(),
        note: String::new(),
        is_wide: true,
        across: Across { name: "work".into(), unit: "", places: Places::Words { words, groups } },
        name: "Response time".into(),
        unit: "us",
        is_log: false,
        series: vec![series],
        limit: None,
        rings: vec![],
    };
    let drawn = svg(&drawing);
    assert_inside(&drawing, &drawn);
    assert_eq!(drawn.matches("class=\"line\"").count(), 2);
    // A narrow drawing names every place too, in two lines.
    let words = ["none", "50 µs of CPU", "200 µs of CPU"].map(str::to_owned);
    let words = [words.clone(), words].concat();
    let groups = vec![(0, 2, "on the same machine".into()), (3, 5, "1 ms away".into())];
    let across = Across { name: "work".into(), unit: "", places: Places::Words { words, groups } };
    let narrow = Drawing { is_wide: false, across, ..drawing.clone() };
    let narrow_svg = svg(&narrow);
    assert_inside(&narrow, &narrow_svg);
    for (label, count) in [(">none<", 2), (">50 µs<", 2), (">200 µs<", 2), (">CPU<", 4)] {
        assert_eq!(narrow_svg.matches(label).count(), count, "{label} {narrow_svg}");
    }
    assert_eq!(
        attribute(&drawn, "data-x"),
        ["none, near", "50 µs, near", "none, far", "50 µs, far"]
    );
}

#[test]
fn the_crossover_leaves_out_who_does_not_keep_up_and_says_so() {
    let mut analysis = sample::analysis();
    let crossover = |analysis: &Analysis| {
        let mut all = drawings(analysis).into_iter();
        all.find(|(_, of)| of.id == "crossover").map(|(_, of)| of).unwrap()
    };
    let names = |of: &Drawing| of.series.iter().map(|of| of.name.clone()).collect::<Vec<_>>();
    let whole = crossover(&analysis);
    assert!(names(&whole).contains(&"jwt-hs256".to_string()) && !whole.note.contains("Left out"));
    for m in analysis.measurements.iter_mut().filter(|m| m.key.arm == "jwt-hs256") {
        m.key.rate = Some(1e9);
    }
    let rest = crossover(&analysis);
    assert!(!names(&rest).contains(&"jwt-hs256".to_string()), "{:?}", names(&rest));
    assert!(rest.note.ends_with("keeping up with the load: jwt-hs256."), "{}", rest.note);
    assert!(rest.rings.is_empty(), "{:?}", rest.rings);
}
