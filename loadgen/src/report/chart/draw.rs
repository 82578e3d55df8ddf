//! A gathered chart as inline SVG: grid, bands, whiskers, lines, points and labels, in this order.
//!
//! Sizes are in the units of a drawing 480 wide, which the page scales to its column. Text may be
//! set up to 13 units high in a wide face, so every gap is made for that.

use maud::{Markup, html};

use super::axis::Axis;
use super::gather::{Chart, Point, Series};
use super::labels::spread;
use super::look::{Look, c, classes, shape};

const WIDTH: f64 = 480.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 46.0;
/// Height of the plot unless many labels need more.
const PLOT: f64 = 230.0;
/// Between the plot's edge and the first and the last level.
const INSET: f64 = 10.0;
/// Width of a character, and height of a line, at the largest type.
const CHARACTER: f64 = 8.3;
const LINE: f64 = 17.0;
/// Longer names of arms end in an ellipsis.
const NAME_MAX: usize = 18;

/// The frame of a drawing and its two axes.
struct Frame {
    left: f64,
    right: f64,
    bottom: f64,
    x: Axis,
    y: Axis,
}

impl Frame {
    fn new(chart: &Chart) -> Self {
        let y = chart.y();
        let longest = |labels: &mut dyn Iterator<Item = usize>| labels.max().unwrap_or(0) as f64;
        let ticks = longest(&mut y.ticks.iter().map(|(_, label)| label.chars().count()));
        let names = longest(&mut chart.series.iter().map(|s| short(&s.arm).chars().count()));
        let left = ticks * CHARACTER + 8.0;
        let right = WIDTH - names * CHARACTER - 21.0;
        let levels: Vec<f64> = chart.points().map(|p| p.level).collect();
        let characters = ((right - left) / CHARACTER) as usize;
        let x = Axis::of_levels(&levels, chart.plan.x_log, characters);
        let bottom = TOP + PLOT.max(chart.series.len() as f64 * LINE);
        Self { left, right, bottom, x, y }
    }

    fn across(&self, level: f64) -> f64 {
        let (from, to) = (self.left + INSET, self.right - INSET);
        from + self.x.at(level) * (to - from)
    }

    fn down(&self, value: f64) -> f64 {
        self.bottom - self.y.at(value) * (self.bottom - TOP)
    }

    fn place(&self, point: &Point) -> (f64, f64) {
        (self.across(point.level), self.down(point.value))
    }
}

/// Draws a chart that has at least one point.
pub(super) fn svg(chart: &Chart, describes: &str) -> Markup {
    let frame = Frame::new(chart);
    let height = frame.bottom + BOTTOM;
    let (title, desc) = (format!("{}-title", chart.id), format!("{}-desc", chart.id));
    let bands = chart.has_bands();
    html! {
        svg.chart viewBox=(format!("0 0 {WIDTH:.0} {height:.0}")) width=(format!("{WIDTH:.0}"))
            height=(format!("{height:.0}")) role="img"
            aria-labelledby=(format!("{title} {desc}")) {
            title id=(title) { (chart.plan.title) }
            desc id=(desc) { (describes) }
            (axes(chart, &frame, height))
            @for series in &chart.series {
                g class=(classes(series.look)) {
                    @if bands { @for run in runs(series) { (band(&frame, run)) } }
                    @for point in &series.points { (whisker(&frame, point)) }
                    @for run in runs(series) { (line(&frame, run)) }
                }
            }
            @for series in &chart.series {
                g class=(classes(series.look)) {
                    @for point in &series.points { (dot(&frame, point, series.look)) }
                }
            }
            (ends(chart, &frame))
        }
    }
}

fn axes(chart: &Chart, frame: &Frame, height: f64) -> Markup {
    let middle = (frame.left + frame.right) / 2.0;
    html! {
        text.unit x="0" y="13" { (frame.y.note) }
        @for (tick, label) in &frame.y.ticks {
            @let y = c(frame.down(*tick));
            line.grid x1=(c(frame.left)) x2=(c(frame.right)) y1=(y) y2=(y) {}
            text.tick.end x=(c(frame.left - 7.0)) y=(y) dy="0.35em" { (label) }
        }
        line.axis x1=(c(frame.left)) x2=(c(frame.right)) y1=(c(frame.down(0.0)))
            y2=(c(frame.down(0.0))) {}
        @for (tick, label) in &frame.x.ticks {
            @let x = c(frame.across(*tick));
            line.axis x1=(x) x2=(x) y1=(c(frame.bottom)) y2=(c(frame.bottom + 4.0)) {}
            text.tick.middle x=(x) y=(c(frame.bottom + 18.0)) { (label) }
        }
        text.unit.middle x=(c(middle)) y=(c(height - 8.0)) { (chart.plan.x_label) }
    }
}

/// Points that follow each other and are valid: a line through an invalid figure would be a claim.
fn runs(series: &Series) -> impl Iterator<Item = &[Point]> {
    series.points.split(|point| !point.valid).filter(|run| run.len() > 1)
}

fn line(frame: &Frame, run: &[Point]) -> Markup {
    let points: Vec<String> = run
        .iter()
        .map(|point| {
            let (x, y) = frame.place(point);
            format!("{},{}", c(x), c(y))
        })
        .collect();
    html! { polyline.line points=(points.join(" ")) {} }
}

fn band(frame: &Frame, run: &[Point]) -> Markup {
    let edges: Vec<(f64, (f64, f64))> =
        run.iter().filter_map(|p| Some((frame.across(p.level), p.interval?))).collect();
    let upper = edges.iter().map(|(x, (_, hi))| (*x, frame.down(*hi)));
    let lower = edges.iter().rev().map(|(x, (lo, _))| (*x, frame.down(*lo)));
    let points: Vec<String> =
        upper.chain(lower).map(|(x, y)| format!("{},{}", c(x), c(y))).collect();
    html! {
        @if edges.len() == run.len() { polygon.band points=(points.join(" ")) {} }
    }
}

fn whisker(frame: &Frame, point: &Point) -> Markup {
    let Some((lo, hi)) = point.interval else { return html! {} };
    let x = frame.across(point.level);
    html! {
        line.whisker x1=(c(x)) x2=(c(x)) y1=(c(frame.down(lo))) y2=(c(frame.down(hi))) {}
        // An end that lies beyond the chart has no cap.
        @for bound in [lo, hi] {
            @if !frame.y.beyond(bound) {
                @let y = c(frame.down(bound));
                line.whisker x1=(c(x - 3.5)) x2=(c(x + 3.5)) y1=(y) y2=(y) {}
            }
        }
    }
}

fn dot(frame: &Frame, point: &Point, look: Look) -> Markup {
    let (x, y) = frame.place(point);
    html! {
        g.point {
            title { (point.says) }
            circle.reach cx=(c(x)) cy=(c(y)) r="10" {}
            @if point.valid {
                path.dot d=(shape(look.marker, x, y)) {}
            } @else {
                path.dot.hollow d=(shape(look.marker, x, y)) {}
                path.cross d=(format!(
                    "M{} {}l12 12m0 -12l-12 12", c(x - 6.0), c(y - 6.0)
                )) {}
            }
        }
    }
}

/// The names of the arms beside the ends of their lines.
fn ends(chart: &Chart, frame: &Frame) -> Markup {
    let tips: Vec<(&Series, f64, f64)> = chart
        .series
        .iter()
        .filter_map(|series| {
            let (x, y) = frame.place(series.points.last()?);
            Some((series, x, y))
        })
        .collect();
    let wishes: Vec<f64> = tips.iter().map(|(_, _, y)| *y).collect();
    let places = spread(&wishes, LINE, TOP, frame.bottom);
    let from = frame.right + 11.0;
    html! {
        @for ((series, x, y), place) in tips.into_iter().zip(places) {
            g class=(classes(series.look)) {
                line.leader x1=(c(x + 7.0)) y1=(c(y)) x2=(c(from - 5.0)) y2=(c(place)) {}
                path.dot d=(shape(series.look.marker, from, place)) {}
                text.name x=(c(from + 8.0)) y=(c(place)) dy="0.35em" {
                    (short(&series.arm))
                    @if short(&series.arm) != series.arm { title { (series.arm) } }
                }
            }
        }
    }
}

fn short(name: &str) -> String {
    if name.chars().count() <= NAME_MAX {
        return name.into();
    }
    name.chars().take(NAME_MAX - 1).chain(['…']).collect()
}
