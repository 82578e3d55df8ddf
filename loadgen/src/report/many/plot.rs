//! The intervals of one endpoint, one line per campaign, as a small picture.

use maud::{Markup, html};

use super::Across;
use crate::report::figure::{signed, times};
use crate::report::figures::ComparedAs;

const WIDTH: f64 = 360.0;
/// The position of the campaigns' numbers.
const LEFT: f64 = 28.0;
const RIGHT: f64 = 14.0;
const LINE: f64 = 20.0;
const BELOW: f64 = 22.0;

/// A picture of the intervals; empty if no campaign has one.
pub(super) fn plot(across: &Across<'_>, title: &str) -> Markup {
    let is_ratio = across.compared_as == ComparedAs::Ratio;
    let scale = |value: f64| if is_ratio { value.ln() } else { value };
    let spans: Vec<(usize, f64, f64, f64, bool)> = across
        .found
        .iter()
        .filter_map(|(campaign, found)| {
            let estimate = found.estimate?;
            let (lo, hi) = estimate.interval.unwrap_or((estimate.point, estimate.point));
            let ends = (scale(lo), scale(estimate.point), scale(hi));
            let drawn = [ends.0, ends.1, ends.2].iter().all(|end| end.is_finite());
            drawn.then_some((*campaign, ends.0, ends.1, ends.2, found.moments.is_some()))
        })
        .collect();
    // The picture always includes no difference, so that a small one does not look large.
    let mut least = spans.iter().map(|span| span.1).fold(0.0, f64::min);
    let mut most = spans.iter().map(|span| span.3).fold(0.0, f64::max);
    if spans.is_empty() {
        return html! { p.note { "Not measured." } };
    }
    if least >= most {
        // No difference, exactly.
        (least, most) = (-1.0, 1.0);
    }
    let x = |value: f64| LEFT + (value - least) / (most - least) * (WIDTH - LEFT - RIGHT);
    let height = LINE * spans.len() as f64 + BELOW;
    let unit = across.metric.unit;
    let written = |value: f64| if is_ratio { times(value.exp()) } else { signed(value, unit) };
    let bottom = height - BELOW;
    // The end that is farther from no difference; both ends where neither is near it.
    let far = |end: f64| (end.abs() > (most - least) * 0.3).then_some(end);
    let ticks = [far(least), Some(0.0), far(most)];
    let at = |value: f64| format!("{value:.1}");
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-label=(title) {
            line x1=(at(x(0.0))) x2=(at(x(0.0))) y1="0" y2=(at(bottom))
                stroke-dasharray="3 3" opacity="0.6" {}
            @for (line, (campaign, lo, point, hi, usable)) in spans.iter().enumerate() {
                @let y = at(LINE * (line as f64 + 0.5));
                text x="0" y=(at(LINE * (line as f64 + 0.5) + 4.0)) { (campaign + 1) }
                line x1=(at(x(*lo))) x2=(at(x(*hi))) y1=(y) y2=(y) stroke-width="2" {}
                circle cx=(at(x(*point))) cy=(y) r="4"
                    fill=(if *usable { "currentColor" } else { "none" }) {}
            }
            @for tick in ticks.into_iter().flatten() {
                @let anchor = if x(tick) > WIDTH - 60.0 { "end" } else { "middle" };
                text x=(at(x(tick))) y=(at(height - 6.0)) text-anchor=(anchor) { (written(tick)) }
            }
        }
    }
}
