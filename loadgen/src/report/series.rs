//! Figures as named series with labels, from which Prometheus text and OTLP follow. Names and
//! values are in base units, seconds and bytes.

use crate::experiment::Metric;
use crate::record::Histogram;

/// Bytes of a GiB, for figures per GiB.
const GIB: f64 = 1_073_741_824.0;
const NS: f64 = 1e9;

/// Name and value of a label.
pub(super) type Label = (&'static str, String);

/// All labels of a series.
pub(super) type Labels = Vec<Label>;

/// Series of one name.
pub(super) struct Family {
    /// The name, `authbench_response_p99_seconds`; of a counter without `_total`.
    pub(super) name: String,
    /// What it is, in words.
    pub(super) help: String,
    /// The unit by UCUM, as OTLP has it: `s`, `By`, `1`, `{request}/s`.
    pub(super) unit: String,
    /// The series.
    pub(super) data: Data,
}

/// The series of a family, by their kind.
pub(super) enum Data {
    Gauge(Vec<(Labels, f64)>),
    /// Counts of one run, which only grow.
    Counter(Vec<(Labels, u64)>),
    Histogram(Vec<(Labels, Buckets)>),
}

/// Durations, counted between bounds.
pub(super) struct Buckets {
    /// Upper ends, included, in seconds.
    pub(super) bounds: Vec<f64>,
    /// Durations within each bound and above the one before; the last: above all bounds.
    pub(super) counts: Vec<u64>,
    /// All durations together, s.
    pub(super) sum: f64,
    /// The shortest and the longest, s; `None` without any.
    pub(super) range: Option<(f64, f64)>,
}

impl Buckets {
    /// Counts a histogram's durations between six bounds per decade, from 10 µs to 10 s.
    pub(super) fn new(histogram: &Histogram) -> Self {
        let decades = (4..=9).map(|exponent| 10_u64.pow(exponent - 1));
        let steps = decades.flat_map(|unit| [10, 15, 20, 30, 50, 70].map(|step| step * unit));
        let bounds_ns: Vec<u64> = steps.chain([10_000_000_000]).collect();
        let range = (histogram.min_ns() as f64 / NS, histogram.max_ns() as f64 / NS);
        Self {
            counts: histogram.counts_between(&bounds_ns),
            bounds: bounds_ns.into_iter().map(|ns| ns as f64 / NS).collect(),
            sum: histogram.mean_ns() * histogram.count() as f64 / NS,
            range: (histogram.count() > 0).then_some(range),
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// The metric's name in base units, and the factor for its values.
pub(super) fn name(metric: &Metric) -> (String, f64) {
    let mut parts: Vec<&str> = metric.name.split('_').collect();
    let mut factor = if metric.unit == "us" { 1e-6 } else { 1.0 };
    for part in &mut parts {
        *part = match *part {
            "us" => "seconds",
            "rps" => "requests_per_second",
            "s" => "second",
            "gib" => {
                factor /= GIB;
                "byte"
            }
            other => other,
        };
    }
    if metric.unit == "share" {
        parts.retain(|part| !["share", "rate"].contains(part));
        parts.push("ratio");
    }
    (parts.join("_"), factor)
}

/// The metric's base unit by UCUM; what is merely counted stands in braces.
pub(super) fn unit(metric: &Metric) -> String {
    match metric.unit {
        "us" => "s".into(),
        "bytes" => "By".into(),
        "share" => "1".into(),
        "requests/s" => "{request}/s".into(),
        other => format!("{{{other}}}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::experiment::METRICS;

    #[test]
    fn names_are_in_base_units_and_different() {
        let names: BTreeSet<String> = METRICS.iter().map(|metric| name(metric).0).collect();
        assert_eq!(names.len(), METRICS.len());
        for (metric, expected, factor, base) in [
            ("response_p99_us", "response_p99_seconds", 1e-6, "s"),
            ("server_cpu_us_per_request", "server_cpu_seconds_per_request", 1e-6, "s"),
            ("throughput_rps", "throughput_requests_per_second", 1.0, "{request}/s"),
            ("error_rate", "error_ratio", 1.0, "1"),
            ("bytes_per_session", "bytes_per_session", 1.0, "By"),
            ("users_per_gib", "users_per_byte", 1.0 / GIB, "{users}"),
        ] {
            let metric = Metric::named(metric).unwrap();
            assert_eq!(name(metric), (expected.to_string(), factor));
            assert_eq!(unit(metric), base);
        }
        let parts = |name: &str| name.split('_').map(String::from).collect::<Vec<_>>();
        for name in names {
            let short = ["us", "ms", "s", "rps", "gib"];
            assert!(parts(&name).iter().all(|part| !short.contains(&part.as_str())), "{name}");
        }
    }

    #[test]
    fn a_duration_counts_within_the_bound_that_it_does_not_exceed() {
        let mut histogram = Histogram::new();
        for ns in [1, 9_000, 11_000, 1_200_000, 1_200_000, 8_000_000_000, 30_000_000_000] {
            histogram.record(ns);
        }
        let buckets = Buckets::new(&histogram);
        assert_eq!(buckets.bounds.len() + 1, buckets.counts.len());
        assert!(buckets.bounds.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", buckets.bounds);
        let within = |bound: f64| {
            let place = buckets.bounds.iter().position(|found| *found == bound);
            buckets.counts[place.unwrap_or(buckets.bounds.len())]
        };
        let expected = [(1e-5, 2), (1.5e-5, 1), (1.5e-3, 2), (1e-3, 0), (10.0, 1), (99.0, 1)];
        for (bound, count) in expected {
            assert_eq!(within(bound), count, "{bound}");
        }
        assert_eq!(buckets.count(), 7);
        assert!((buckets.sum - 38.002_420).abs() < 0.04, "{}", buckets.sum);
        assert!(buckets.range.unwrap().1 > 29.9);
        let none = Buckets::new(&Histogram::new());
        assert_eq!((none.count(), none.range), (0, None));
    }
}
