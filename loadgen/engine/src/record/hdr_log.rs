//! The timeline of a load as a standard HdrHistogram interval log, version 1.3, which the Java
//! tools (HistogramLogAnalyzer, HistogramLogProcessor, hdrplot) read. Values are nanoseconds, the
//! column of maxima is in milliseconds, and a line is a second of Measure.

use std::time::{Duration, SystemTime};

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::IntervalLogWriterBuilder;

use super::LoadRecord;

/// Nanoseconds in the unit of the column of maxima.
const MAX_DIVISOR: f64 = 1e6;

impl LoadRecord {
    /// The response times of the timeline as an interval log; `began` is when Measure began.
    ///
    /// # Errors
    /// A sentence, when a histogram cannot be written.
    pub fn hdr_log(&self, began: SystemTime) -> Result<Vec<u8>, String> {
        let mut log = Vec::new();
        let mut serializer = V2DeflateSerializer::new();
        let mut builder = IntervalLogWriterBuilder::new();
        builder
            .add_comment("[Response time in nanoseconds, from the planned moment]")
            .with_start_time(began)
            .with_base_time(began)
            .with_max_value_divisor(MAX_DIVISOR);
        let fail = |e: &dyn std::fmt::Debug| format!("the interval log cannot be written: {e:?}");
        let mut writer = builder.begin_log_with(&mut log, &mut serializer).map_err(|e| fail(&e))?;
        let mut left = Duration::from_nanos(self.counts.window_ns);
        for (second, entry) in (0..).zip(&self.timeline) {
            let length = left.min(Duration::from_secs(1));
            left = left.saturating_sub(length);
            writer
                .write_histogram(&*entry.response.hdr(), Duration::from_secs(second), length, None)
                .map_err(|e| fail(&e))?;
        }
        Ok(log)
    }
}
