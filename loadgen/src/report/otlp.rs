//! Series in the JSON encoding of the OpenTelemetry protocol (OTLP 1.x), as one
//! `ExportMetricsServiceRequest`: what a collector takes at `/v1/metrics`.

use serde_json::{Value, json};

use super::series::{Buckets, Data, Family, Label};
use crate::sanitise::{NAME, fit};

/// `AGGREGATION_TEMPORALITY_CUMULATIVE`: counts since the start, which Prometheus takes too.
const CUMULATIVE: u8 = 2;

/// When a run's figures were taken, ns since 1970.
#[derive(Clone, Copy)]
pub(super) struct Window {
    pub(super) start_ns: u64,
    pub(super) end_ns: u64,
}

/// Sets families of a run as a document.
pub(super) fn set(families: &[Family], window: Window, version: &str) -> String {
    let resource = [("service.name", "authbench".into()), ("service.version", version.into())];
    let metrics: Vec<Value> = families.iter().map(|family| metric(family, window)).collect();
    let scope = json!({
        "scope": { "name": "authbench", "version": version },
        "metrics": metrics,
    });
    let document = json!({
        "resourceMetrics": [{
            "resource": { "attributes": attributes(&resource) },
            "scopeMetrics": [scope],
        }],
    });
    format!("{document:#}")
}

fn metric(family: &Family, window: Window) -> Value {
    let (kind, data) = match &family.data {
        Data::Gauge(series) => {
            let points = series
                .iter()
                .map(|(labels, value)| point(labels, window, json!({ "asDouble": value })));
            ("gauge", json!({ "dataPoints": points.collect::<Vec<_>>() }))
        }
        Data::Counter(series) => {
            let points = series.iter().map(|(labels, value)| {
                point(labels, window, json!({ "asInt": value.to_string() }))
            });
            let points: Vec<_> = points.collect();
            let data = json!({
                "dataPoints": points,
                "aggregationTemporality": CUMULATIVE,
                "isMonotonic": true,
            });
            ("sum", data)
        }
        Data::Histogram(series) => {
            let points: Vec<_> = series
                .iter()
                .map(|(labels, buckets)| point(labels, window, counted(buckets)))
                .collect();
            let data = json!({ "dataPoints": points, "aggregationTemporality": CUMULATIVE });
            ("histogram", data)
        }
    };
    json!({
        "name": family.name,
        "description": family.help,
        "unit": family.unit,
        kind: data,
    })
}

/// A data point. 64-bit integers are strings, as the JSON form of protobuf has them.
fn point(labels: &[Label], window: Window, mut value: Value) -> Value {
    value["attributes"] = attributes(labels);
    value["startTimeUnixNano"] = window.start_ns.to_string().into();
    value["timeUnixNano"] = window.end_ns.to_string().into();
    value
}

fn counted(buckets: &Buckets) -> Value {
    let counts: Vec<String> = buckets.counts.iter().map(u64::to_string).collect();
    let mut point = json!({
        "count": buckets.count().to_string(),
        "sum": buckets.sum,
        "bucketCounts": counts,
        "explicitBounds": buckets.bounds,
    });
    if let Some((min, max)) = buckets.range {
        point["min"] = min.into();
        point["max"] = max.into();
    }
    point
}

fn attributes(labels: &[Label]) -> Value {
    let text = |value: &str| json!({ "stringValue": fit(value, NAME) });
    labels.iter().map(|(name, value)| json!({ "key": name, "value": text(value) })).collect()
}
