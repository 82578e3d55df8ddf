//! A gathered chart as SVG: grid, bands, trials, whiskers, lines, marks and labels, in this order.
//! Sizes are in the units of a drawing 540 wide, or 1100, which the page scales to its column, with
//! type of up to 16 units.

use maud::{Markup, html};

use super::arms::{Look, look};
use super::axis::Axis;
use super::drawing::{Drawing, Places, Point, Series};
use super::labels::spread;
use crate::report::figure::figure;

const NARROW: f64 = 540.0;
const WIDE: f64 = 1100.0;
const TOP: f64 = 24.0;
const LEFT: f64 = 62.0;
/// Left of rows, whose names stand there, and right of them, where the figures do.
const ROWS_LEFT: f64 = 170.0;
const ROWS_LEFT_WIDE: f64 = 250.0;
const ROWS_RIGHT: f64 = 92.0;
const ROW: f64 = 24.0;
/// Between the plot's edge and the first and the last level.
const INSET: f64 = 12.0;
/// Width of a character, and distance of two labels.
const CHARACTER: f64 = 6.6;
const LINE: f64 = 16.0;
/// Width of a character at the largest type.
const CHARACTER_MAX: f64 = 9.2;
/// Side of the box of a mark, and of a small one.
const MARK: f64 = 14.0;
const DOT: f64 = 8.0;
/// Side of the square that stands for a trial, and room for the trials of a figure.
const TRIAL: f64 = 2.4;
const TRIALS: f64 = 10.0;
/// With more lines than this their bands are a fog; the whiskers say the same.
const BANDS_MAX: usize = 6;

/// The frame of a drawing and its two axes.
pub(super) struct Frame {
    pub(super) width: f64,
    pub(super) height: f64,
    left: f64,
    right: f64,
    bottom: f64,
    is_rows: bool,
    /// Whether labels of places have two lines and those of groups take turns in two more: a narrow
    /// drawing has no room for words side by side.
    is_stacked: bool,
    x: Axis,
    y: Axis,
}

impl Frame {
    pub(super) fn new(drawing: &Drawing) -> Self {
        let width = if drawing.is_wide { WIDE } else { NARROW };
        let is_rows = drawing.is_rows();
        let (left, right) = match (is_rows, drawing.is_wide) {
            (true, true) => (ROWS_LEFT_WIDE, width - ROWS_RIGHT),
            (true, false) => (rows_left(drawing), width - ROWS_RIGHT),
            (false, true) => (LEFT, width - 178.0),
            (false, false) => (LEFT, width - 150.0),
        };
        let x = drawing.places(((right - left) / CHARACTER) as usize);
        let has_groups = matches!(
            &drawing.across.places, Places::Words { groups, .. } if !groups.is_empty()
        );
        let is_stacked = has_groups && !drawing.is_wide;
        let labels = drawing.series.len() as f64 * LINE;
        let (below, least) = match &drawing.across.places {
            Places::Rows(rows) => (44.0, rows.len() as f64 * ROW),
            Places::Words { .. } if is_stacked => (104.0, 256.0),
            Places::Words { groups, .. } if !groups.is_empty() => (62.0, 256.0),
            _ if drawing.is_wide => (44.0, 292.0),
            _ => (44.0, 212.0),
        };
        let bottom = TOP + if is_rows { least } else { labels.max(least) };
        let (height, y) = (bottom + below, drawing.values());
        Self { width, height, left, right, bottom, is_rows, is_stacked, x, y }
    }

    fn across(&self, x: f64) -> f64 {
        let (from, to) = (self.left + INSET, self.right - INSET);
        from + self.x.share(x) * (to - from)
    }

    /// Where a value stands at a place.
    pub(super) fn place(&self, x: f64, value: f64) -> (f64, f64) {
        let share = self.y.share(value);
        if self.is_rows {
            (self.left + share * (self.right - self.left), TOP + (x + 0.5) * ROW)
        } else {
            (self.across(x), self.bottom - share * (self.bottom - TOP))
        }
    }
}

/// Room for the names of rows.
fn rows_left(drawing: &Drawing) -> f64 {
    let names = drawing.series.iter().map(|series| series.name.chars().count());
    (names.max().unwrap_or(0) as f64 * CHARACTER + 24.0).clamp(ROWS_LEFT, ROWS_LEFT_WIDE)
}

/// Everything inside the drawing's `svg`.
pub(super) fn inside(drawing: &Drawing, frame: &Frame) -> Markup {
    let bands = !frame.is_rows && drawing.series.len() <= BANDS_MAX;
    let labels = end_labels(drawing, frame);
    html! {
        @if frame.is_rows { (row_axes(drawing, frame)) } @else { (axes(drawing, frame)) }
        @if let Some((value, words)) = &drawing.limit { (limit(frame, *value, words)) }
        @for (series, label) in drawing.series.iter().zip(labels) {
            @let arm = &series.name;
            g.series data-arm=(arm) data-family=(look(arm).family) {
                @if !frame.is_rows {
                    @for run in runs(&series.points) {
                        @if bands { (band(frame, &run)) }
                    }
                }
                (trials(frame, series))
                // Among hundreds of small marks whiskers are a fog; the table has the intervals.
                @if series.dots.is_empty() {
                    @for point in &series.points { (whisker(frame, point)) }
                }
                @if !frame.is_rows { @for run in runs(&series.points) { (line(frame, &run)) } }
                @for dot in &series.dots { (mark(drawing, frame, arm, dot, DOT)) }
                @for point in &series.points { (mark(drawing, frame, arm, point, MARK)) }
                (label)
            }
        }
        @for (x, value) in &drawing.rings {
            @let (cx, cy) = frame.place(*x, *value);
            circle.ring cx=(c(cx)) cy=(c(cy)) r="8" {}
        }
    }
}

fn axes(drawing: &Drawing, frame: &Frame) -> Markup {
    let Frame { left, right, bottom, .. } = *frame;
    let middle = c((left + right) / 2.0);
    html! {
        @if !frame.y.note.is_empty() { text x="0" y="12" { (frame.y.note) } }
        @for (tick, label) in &frame.y.ticks {
            @let y = frame.place(0.0, *tick).1;
            line.grid x1=(c(left)) x2=(c(right)) y1=(c(y)) y2=(c(y)) {}
            text x=(c(left - 6.0)) y=(c(y + 4.0)) text-anchor="end" { (label) }
        }
        @let zero = c(frame.place(0.0, 0.0).1);
        line.axis x1=(c(left)) x2=(c(right)) y1=(zero) y2=(zero) {}
        @for (x, label) in place_labels(frame) {
            @for (i, line) in lines(frame, label).into_iter().enumerate() {
                text x=(c(x)) y=(c(bottom + 20.0 + i as f64 * LINE)) text-anchor="middle" {
                    (line)
                }
            }
        }
        @if let Places::Words { groups, .. } = &drawing.across.places {
            @for (i, (first, last, words)) in groups.iter().enumerate() {
                (group(frame, (*first as f64, *last as f64), words, i))
            }
        }
        text x=(middle) y=(c(frame.height - 8.0)) text-anchor="middle" { (drawing.across.name) }
    }
}

/// The labels of places that do not cover the one before.
fn place_labels(frame: &Frame) -> Vec<(f64, &str)> {
    let mut free = f64::NEG_INFINITY;
    let mut labels = Vec::new();
    for (tick, label) in &frame.x.ticks {
        let x = frame.across(*tick);
        let longest = lines(frame, label).iter().map(|line| line.chars().count()).max();
        let half = longest.unwrap_or(0) as f64 * CHARACTER_MAX / 2.0;
        if x - half > free {
            labels.push((x, label.as_str()));
            free = x + half + CHARACTER_MAX;
        }
    }
    labels
}

/// The lines of a place's label.
fn lines<'a>(frame: &Frame, label: &'a str) -> Vec<&'a str> {
    match label.split_once(" of ") {
        Some((amount, what)) if frame.is_stacked => vec![amount, what],
        _ => vec![label],
    }
}

/// What places have in common, and a line that parts them from those before.
fn group(frame: &Frame, (first, last): (f64, f64), words: &str, turn: usize) -> Markup {
    let (from, to) = (frame.across(first), frame.across(last));
    let below = if frame.is_stacked { 56.0 + (turn % 2) as f64 * LINE } else { 37.0 };
    let y = frame.bottom + below;
    let half = (frame.across(1.0) - frame.across(0.0)) / 2.0;
    html! {
        @if first > 0.0 {
            line.axis x1=(c(from - half)) x2=(c(from - half)) y1=(c(TOP)) y2=(c(y)) {}
        }
        text x=(c((from + to) / 2.0)) y=(c(y)) text-anchor="middle" { (words) }
    }
}

/// Values along the foot, names of rows on the left.
fn row_axes(drawing: &Drawing, frame: &Frame) -> Markup {
    let Frame { left, right, bottom, .. } = *frame;
    let fits = ((right - left) / CHARACTER_MAX) as usize;
    let label_widths: usize =
        frame.y.ticks.iter().map(|(_, label)| label.chars().count() + 2).sum();
    let every = label_widths.div_ceil(fits.max(1)).max(1);
    let unit = [drawing.name.as_str(), frame.y.note.as_str()];
    let unit: Vec<&str> = unit.into_iter().filter(|part| !part.is_empty()).collect();
    html! {
        @for (i, (tick, label)) in frame.y.ticks.iter().enumerate() {
            @let x = c(frame.place(0.0, *tick).0);
            line.grid x1=(x) x2=(x) y1=(c(TOP)) y2=(c(bottom)) {}
            @if i % every == 0 {
                text x=(x) y=(c(bottom + 20.0)) text-anchor="middle" { (label) }
            }
        }
        line.axis x1=(c(left)) x2=(c(left)) y1=(c(TOP)) y2=(c(bottom)) {}
        text x=(c((left + right) / 2.0)) y=(c(frame.height - 8.0)) text-anchor="middle" {
            (unit.join(", "))
        }
    }
}

fn limit(frame: &Frame, value: f64, words: &str) -> Markup {
    if frame.is_rows {
        let x = c(frame.place(0.0, value).0);
        return html! {
            line.limit x1=(x) x2=(x) y1=(c(TOP)) y2=(c(frame.bottom)) {}
            text.limit x=(x) y="14" text-anchor="middle" { (words) }
        };
    }
    let y = frame.place(0.0, value).1;
    html! {
        line.limit x1=(c(frame.left)) x2=(c(frame.right)) y1=(c(y)) y2=(c(y)) {}
        text.limit x=(c(frame.right)) y=(c(y - 5.0)) text-anchor="end" { (words) }
    }
}

/// Points that follow each other and are valid: a line through an invalid figure would be a claim.
fn runs(points: &[Point]) -> Vec<Vec<&Point>> {
    let mut runs: Vec<Vec<&Point>> = vec![Vec::new()];
    for point in points {
        if !point.valid || point.begins {
            runs.push(Vec::new());
        }
        if let (true, Some(run)) = (point.valid, runs.last_mut()) {
            run.push(point);
        }
    }
    runs.retain(|run| run.len() > 1);
    runs
}

fn outline(places: impl Iterator<Item = (f64, f64)>) -> String {
    let places: Vec<String> = places.map(|(x, y)| format!("{} {}", c(x), c(y))).collect();
    format!("M{}", places.join("L"))
}

fn line(frame: &Frame, run: &[&Point]) -> Markup {
    html! { path.line d=(outline(run.iter().map(|point| frame.place(point.x, point.y())))) {} }
}

fn band(frame: &Frame, run: &[&Point]) -> Markup {
    let edges: Vec<(f64, (f64, f64))> =
        run.iter().filter_map(|point| Some((point.x, point.interval()?))).collect();
    let upper = edges.iter().map(|(x, (_, hi))| frame.place(*x, *hi));
    let lower = edges.iter().rev().map(|(x, (lo, _))| frame.place(*x, *lo));
    html! {
        @if edges.len() == run.len() {
            path.band d={ (outline(upper.chain(lower))) "Z" } {}
        }
    }
}

/// Trials as small squares in one path, by block from left to right.
fn trials(frame: &Frame, series: &Series) -> Markup {
    let blocks = series.trials.iter().map(|(block, ..)| block + 1).max().unwrap_or(1);
    let step = (TRIALS / f64::from(blocks)).min(2.0);
    let squares: Vec<String> = series
        .trials
        .iter()
        .map(|(block, x, value)| {
            let (x, y) = frame.place(*x, *value);
            let aside = (f64::from(*block) - f64::from(blocks - 1) / 2.0) * step;
            let (dx, dy) = if frame.is_rows { (0.0, aside) } else { (aside, 0.0) };
            let corner = |at: f64| c(at - TRIAL / 2.0);
            format!("M{} {}h{TRIAL}v{TRIAL}h-{TRIAL}z", corner(x + dx), corner(y + dy))
        })
        .collect();
    html! { @if !squares.is_empty() { path.trial d=(squares.concat()) {} } }
}

fn whisker(frame: &Frame, point: &Point) -> Markup {
    let Some((lo, hi)) = point.interval().filter(|(lo, hi)| lo < hi) else { return html! {} };
    let (from, to) = (frame.place(point.x, lo), frame.place(point.x, hi));
    let mut path = outline([from, to].into_iter());
    // An end that lies beyond the chart has no cap.
    for (bound, (x, y)) in [(lo, from), (hi, to)] {
        if !frame.y.beyond(bound) {
            let cap = if frame.is_rows {
                format!("M{} {}v7", c(x), c(y - 3.5))
            } else {
                format!("M{} {}h7", c(x - 3.5), c(y))
            };
            path.push_str(&cap);
        }
    }
    html! { path.whisker d=(path) {} }
}

fn mark(drawing: &Drawing, frame: &Frame, arm: &str, point: &Point, side: f64) -> Markup {
    let (x, y) = frame.place(point.x, point.y());
    let Look { shape, open, .. } = look(arm);
    let corner = |at: f64| c(at - side / 2.0);
    let along = drawing.word(point.x).unwrap_or_else(|| point.x.to_string());
    let interval = point.interval();
    let note = if point.valid {
        point.note.clone()
    } else {
        format!("INVALID {}", point.note).trim_end().into()
    };
    html! {
        use.mark.open[open].failed[point.failed || !point.valid] href={ "#shape-" (shape) }
            x=(corner(x)) y=(corner(y)) width=(side) height=(side) tabindex="-1" data-arm=(arm)
            data-x=(along) data-y=(point.y()) data-lo=[interval.map(|(lo, _)| lo)]
            data-hi=[interval.map(|(_, hi)| hi)] data-n=(point.estimate.n)
            data-note=[(!note.is_empty()).then_some(note)] {}
    }
}

/// What stands at the end of each series, in their order: of a line its name, of a row its name
/// and figure.
fn end_labels(drawing: &Drawing, frame: &Frame) -> Vec<Markup> {
    if frame.is_rows {
        return drawing.series.iter().map(|series| row_label(drawing, frame, series)).collect();
    }
    let tip = |series: &Series| {
        let last = series.points.iter().chain(&series.dots).max_by(|a, b| a.x.total_cmp(&b.x))?;
        Some(frame.place(last.x, last.y()).1)
    };
    let wishes: Vec<f64> =
        drawing.series.iter().map(|series| tip(series).unwrap_or(frame.bottom)).collect();
    let places = spread(&wishes, LINE, TOP, frame.bottom);
    let most = ((frame.width - frame.right - 26.0) / CHARACTER) as usize;
    let label = |(series, place): (&Series, f64)| {
        let name = short(&series.name, most);
        html! {
            (key(&series.name, frame.right + 12.0, place))
            text.end x=(c(frame.right + 21.0)) y=(c(place + 4.0)) {
                (name)
                @if name != series.name { title { (series.name) } }
            }
        }
    };
    drawing.series.iter().zip(places).map(label).collect()
}

fn row_label(drawing: &Drawing, frame: &Frame, series: &Series) -> Markup {
    let Some(point) = series.points.first() else { return html! {} };
    let y = TOP + (point.x + 0.5) * ROW;
    let name = short(&series.name, ((frame.left - 24.0) / CHARACTER) as usize);
    html! {
        text.end x=(c(frame.left - 10.0)) y=(c(y + 4.0)) text-anchor="end" {
            (name)
            @if name != series.name { title { (series.name) } }
        }
        @if series.points.len() == 1 {
            text.end x=(c(frame.right + 10.0)) y=(c(y + 4.0)) {
                (figure(point.y(), drawing.unit))
            }
        }
    }
}

/// The symbol of an arm as a key to its label; it has no tooltip, so it is no mark.
fn key(arm: &str, x: f64, y: f64) -> Markup {
    let Look { shape, open, .. } = look(arm);
    let fill = if open { "var(--card)" } else { "var(--arm)" };
    html! {
        use href={ "#shape-" (shape) } x=(c(x - 5.0)) y=(c(y - 5.0)) width="10" height="10"
            fill=(fill) stroke="var(--arm)" stroke-width="1.6" {}
    }
}

fn short(name: &str, most: usize) -> String {
    if name.chars().count() <= most {
        return name.into();
    }
    name.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// A coordinate: one decimal is finer than any screen, and the same on every machine.
pub(super) fn c(value: f64) -> String {
    let text = format!("{value:.1}");
    match text.strip_suffix(".0") {
        Some("-0") => "0".into(),
        Some(whole) => whole.into(),
        None => text,
    }
}
