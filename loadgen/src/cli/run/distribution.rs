//! Times of a run: percentiles as an object, and as the row of a table.

use serde::Serialize;

use crate::record::{Histogram, SAMPLES_BEYOND};
use crate::report::figure;

/// Times in microseconds; `None` where nothing was recorded.
#[derive(Debug, Serialize)]
pub(super) struct Distribution {
    min: Option<f64>,
    mean: Option<f64>,
    pub(super) p50: Option<f64>,
    p75: Option<f64>,
    p90: Option<f64>,
    p95: Option<f64>,
    pub(super) p99: Option<f64>,
    p999: Option<f64>,
    p9999: Option<f64>,
    pub(super) max: Option<f64>,
    #[serde(skip)]
    count: u64,
}

/// Nanoseconds in microseconds.
pub(super) fn us(ns: u64) -> f64 {
    ns as f64 / 1e3
}

impl Distribution {
    pub(super) fn new(histogram: &Histogram) -> Self {
        let count = histogram.count();
        let some = |value: f64| (count > 0).then_some(value);
        let percentile = |quantile| some(us(histogram.quantile_ns(quantile)));
        Self {
            min: some(us(histogram.min_ns())),
            mean: some(histogram.mean_ns() / 1e3),
            p50: percentile(0.5),
            p75: percentile(0.75),
            p90: percentile(0.9),
            p95: percentile(0.95),
            p99: percentile(0.99),
            p999: percentile(0.999),
            p9999: percentile(0.9999),
            max: some(us(histogram.max_ns())),
            count,
        }
    }

    /// The row of a table. A percentile that too few samples lie beyond is marked as a guess.
    pub(super) fn cells(&self) -> String {
        let cell = |value: Option<f64>, beyond: f64| {
            let text = value.map_or("–".into(), |value| figure(value, "us"));
            let guess = beyond > 0.0 && self.count as f64 * beyond < SAMPLES_BEYOND as f64;
            let mark = if guess && value.is_some() { "?" } else { "" };
            format!("  {:<9}", text + mark)
        };
        let cells = [
            cell(self.p50, 0.5),
            cell(self.p90, 0.1),
            cell(self.p99, 0.01),
            cell(self.p999, 0.001),
            cell(self.max, 0.0),
        ];
        cells.concat().trim_end().into()
    }

    /// Whether a percentile of its row is marked as a guess.
    pub(super) fn guesses(&self) -> bool {
        (1..SAMPLES_BEYOND * 1000).contains(&self.count)
    }
}
