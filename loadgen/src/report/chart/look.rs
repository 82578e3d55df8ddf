//! How an arm looks in every chart, table and list: its colour, marker and dashes, which follow
//! from its place in the campaign file.

use crate::report::analysis::Analysis;

/// How an arm looks in every chart: its place among the arms; the baseline is grey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) struct Look {
    /// Number of its colour; 0 is the grey of the baseline.
    pub(super) colour: usize,
    /// Number of its marker.
    pub(super) marker: usize,
    /// Number of its dashes; 0 is a whole line.
    pub(super) dashes: usize,
}

/// Colours beside the grey of the baseline; the style sheet has as many.
pub(super) const COLOURS: usize = 6;
const MARKERS: usize = SHAPES.len();
/// Dashes once the colours are used up; 1 is the baseline's.
const DASHES: [usize; 3] = [0, 2, 3];

/// The look of an arm.
pub(in crate::report) fn look(analysis: &Analysis, arm: &str) -> Look {
    // A twin is the same arm.
    let arm = if analysis.twin.as_deref() == Some(arm) { &analysis.reference } else { arm };
    if arm == analysis.baseline {
        return Look { colour: 0, marker: 0, dashes: 1 };
    }
    let others = analysis.arms.iter().filter(|other| **other != analysis.baseline);
    let place = others.take_while(|other| other.as_str() != arm).count();
    // Once the colours are used up, markers and dashes move on, so that no look comes back.
    let round = place / COLOURS;
    Look {
        colour: place % COLOURS + 1,
        marker: (place + round) % MARKERS + 1,
        dashes: DASHES[round % DASHES.len()],
    }
}

/// Markers with corners; number 0 is a circle.
const SHAPES: [&[(f64, f64)]; 6] = [
    &[(-3.6, -3.6), (3.6, -3.6), (3.6, 3.6), (-3.6, 3.6)],
    &[(0.0, -5.4), (5.4, 0.0), (0.0, 5.4), (-5.4, 0.0)],
    &[(0.0, -4.9), (4.9, 3.8), (-4.9, 3.8)],
    &[(0.0, 4.9), (4.9, -3.8), (-4.9, -3.8)],
    &[(-2.6, -4.4), (2.6, -4.4), (5.1, 0.0), (2.6, 4.4), (-2.6, 4.4), (-5.1, 0.0)],
    &[(-5.0, -2.4), (5.0, -2.4), (5.0, 2.4), (-5.0, 2.4)],
];

pub(super) fn classes(look: Look) -> String {
    format!("arm c{} d{}", look.colour, look.dashes)
}

/// The outline of a marker, centred: shapes differ, so that colour is not needed to tell them
/// apart.
pub(super) fn shape(number: usize, x: f64, y: f64) -> String {
    let Some(corners) = number.checked_sub(1).map(|shape| SHAPES[shape % SHAPES.len()]) else {
        return format!("M{} {}a4.2 4.2 0 1 0 8.4 0a4.2 4.2 0 1 0 -8.4 0Z", c(x - 4.2), c(y));
    };
    let corners: Vec<String> =
        corners.iter().map(|(dx, dy)| format!("{} {}", c(x + dx), c(y + dy))).collect();
    format!("M{}Z", corners.join("L"))
}

/// A coordinate: one decimal is finer than any screen, and the same on every machine.
pub(super) fn c(value: f64) -> String {
    let text = format!("{value:.1}");
    if text == "-0.0" { "0.0".into() } else { text }
}
