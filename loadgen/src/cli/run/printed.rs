//! The forms in which a run prints its figures.

use super::super::output;
use super::summary::Summary;
use crate::error::Result;
use crate::report::RunSeries;

/// How a run prints its figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum RunFormat {
    /// Text for people
    Text,
    /// One JSON object, for programs
    Json,
    /// Series in Prometheus' text format
    Prometheus,
    /// Metrics of the OpenTelemetry protocol, in its JSON encoding
    Otlp,
}

impl RunFormat {
    /// Prints a run; `json` is the summary as an object.
    pub(super) fn print(self, summary: &Summary, json: &str, series: &RunSeries<'_>) -> Result<()> {
        match self {
            Self::Text => output::page(&summary.text()),
            _ => self.print_data(json, series),
        }
    }

    /// Prints what there is without a load. A program that expects a document gets one.
    pub(super) fn print_data(self, json: &str, series: &RunSeries<'_>) -> Result<()> {
        match self {
            Self::Text => Ok(()),
            Self::Json => output::json(json),
            Self::Prometheus => output::document(&series.prometheus()),
            Self::Otlp => output::json(&series.otlp()),
        }
    }
}
