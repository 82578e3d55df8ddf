//! From records to pages: pure functions, so that a report can be rebuilt byte for byte.
//! [`analyse`] makes an [`Analysis`] of a campaign, and formats only set it in type: none computes
//! a figure or reads a clock or a file. To add one, write a file and a line in [`FORMATS`].

mod agreement;
mod analyse;
mod analysis;
mod answer;
mod attacks;
mod best;
mod changes;
mod chart;
mod claims;
mod compare;
mod context;
mod cost;
mod csv;
mod doubts;
mod estimates;
mod facts;
mod figure;
mod figures;
mod format;
mod headline;
mod html;
mod instructions;
mod json;
mod junit;
mod key;
mod known;
mod many;
mod markdown;
mod noise;
mod otlp;
mod percentiles;
mod probes;
mod prometheus;
mod run_series;
mod schema;
mod series;
mod side;
mod small_page;
mod summary;
mod svg;
mod table;
mod tables;
mod threshold;
mod words;

pub use agreement::{Arrivals, Lateness, Throughputs};
pub use analyse::analyse;
pub use analysis::{Analysis, DoubtSummary, ExperimentSummary, Sentence};
pub use changes::{
    Bound, Changes, FlatComparison, Judgement, Labelled, Outcome, Side, View, changes,
};
pub use claims::result::{Answer, ClaimCell, ClaimResult, ClaimVerdict, Matrix};
pub use figure::{figure, range};
pub use figures::{ComparedAs, Comparison, Endpoint, Measurement, NoiseFloor, Ruled};
pub use format::Format;
pub use junit::{Told as CaseTold, attack_junit};
pub use key::Key;
pub use many::many;
pub use noise::{ArmNoise, Expected, Noise, NoiseRow, expected, noise, residuals, shipped};
pub use percentiles::Percentile;
pub use probes::Probe;
pub use run_series::RunSeries;
pub use schema::{Named, SCHEMAS};
pub use side::known_metric;
pub use summary::{MARKS, brief, put_into, summary};
pub use svg::chart_files;
pub use threshold::{
    Threshold, ThresholdOutcome, ThresholdResult, thresholds_junit, thresholds_unmeasured,
};
pub use words::cite;

/// Every format there is.
pub const FORMATS: &[Format] = &[
    Format { name: "html", file: "report.html", always: true, set: html::render },
    Format { name: "md", file: "report.md", always: true, set: markdown::render },
    Format { name: "json", file: "report.json", always: true, set: json::render },
    Format { name: "csv", file: "measurements.csv", always: true, set: csv::render },
    Format { name: "noise", file: "noise.json", always: false, set: noise::render },
    Format { name: "svg", file: "charts.svg", always: false, set: svg::render },
    Format { name: "junit", file: "junit.xml", always: false, set: junit::render },
    Format { name: "prometheus", file: "metrics.prom", always: false, set: prometheus::render },
];

#[cfg(test)]
mod tests;
