//! What other programs read of our files: pandas, DuckDB, promtool and OpenTelemetry's protocol. A
//! missing one is named on stderr, and is a failure where `AUTHBENCH_REQUIRE_PANDAS`, `_DUCKDB`,
//! `_PROMTOOL` or `_OTLP` is 1. `AUTHBENCH_PYTHON` names the interpreter.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::field::{answer, server};

fn reference() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../results/reference")
}

pub(super) fn python(script: &str, arguments: &[&Path]) -> std::io::Result<Output> {
    let program = std::env::var("AUTHBENCH_PYTHON").unwrap_or_else(|_| "python3".into());
    Command::new(program).args(["-c", script]).args(arguments).output()
}

/// Whether something is there; says so by name where it is not, and fails where it must be.
pub(super) fn is_there(name: &str, found: bool) -> bool {
    let required = std::env::var(format!("AUTHBENCH_REQUIRE_{name}")).is_ok_and(|v| v == "1");
    assert!(found || !required, "{name} is required and missing");
    if !found {
        let _ = writeln!(std::io::stderr(), "skipped: {name} is missing");
    }
    found
}

pub(super) fn has_package(package: &str) -> bool {
    python(&format!("import {package}"), &[]).is_ok_and(|output| output.status.success())
}

fn passes(script: &str) {
    for campaign in ["quick", "standard"] {
        let output = python(script, &[&reference().join(campaign).join("measurements.csv")]);
        let output = output.unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{campaign}: {complaint}");
    }
}

#[test]
fn pandas_reads_every_column_with_its_type() {
    if !is_there("PANDAS", has_package("pandas")) {
        return;
    }
    passes(
        r#"
import sys, pandas
from pandas.api import types
table = pandas.read_csv(sys.argv[1])
assert len(table) > 100, len(table)
for column in ["experiment", "arm", "campaign", "metric", "unit"]:
    assert types.is_string_dtype(table[column]) and table[column].notna().all(), column
for column in ["seed", "connections", "n"]:
    assert types.is_integer_dtype(table[column]), (column, table[column].dtype)
for column in ["users", "level"]:
    whole = table[column].astype("Int64")
    assert whole.isna().sum() == table[column].isna().sum(), column
for column in ["rate", "point", "lo", "hi"]:
    assert types.is_numeric_dtype(table[column]), (column, table[column].dtype)
assert table["point"].notna().all()
for column in ["valid", "primary"]:
    assert types.is_bool_dtype(table[column]), (column, table[column].dtype)
known = table.dropna(subset=["lo", "hi"])
assert len(known) > 100 and (known["lo"] <= known["hi"]).all()
"#,
    );
}

#[test]
fn duckdb_reads_every_column_with_its_type() {
    if !is_there("DUCKDB", has_package("duckdb")) {
        return;
    }
    passes(
        r#"
import sys, duckdb
rows = duckdb.sql(f"describe select * from '{sys.argv[1]}'").fetchall()
found = {row[0]: row[1] for row in rows}
expected = {
    "experiment": "VARCHAR", "arm": "VARCHAR", "campaign": "VARCHAR", "seed": "BIGINT",
    "users": "BIGINT", "connections": "BIGINT", "rate": "DOUBLE", "level": "BIGINT",
    "metric": "VARCHAR", "unit": "VARCHAR", "point": "DOUBLE", "lo": "DOUBLE", "hi": "DOUBLE",
    "n": "BIGINT", "valid": "BOOLEAN", "primary": "BOOLEAN",
}
assert found == expected, {k: (found.get(k), v) for k, v in expected.items() if found.get(k) != v}
count = duckdb.sql(f"select count(*) from '{sys.argv[1]}' where valid and point is not null")
assert count.fetchall()[0][0] > 100
"#,
    );
}

/// The program promtool, if it is there.
fn promtool() -> Option<String> {
    let promtool = std::env::var("AUTHBENCH_PROMTOOL").unwrap_or_else(|_| "promtool".into());
    let version = Command::new(&promtool).arg("--version").output();
    is_there("PROMTOOL", version.is_ok_and(|output| output.status.success())).then_some(promtool)
}

/// Expects that promtool reads a file and has nothing to say against it.
fn is_fine(promtool: &str, file: &Path) {
    let output = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::from(File::open(file).unwrap()))
        .output()
        .unwrap();
    let complaint = [output.stdout, output.stderr].concat();
    let complaint = String::from_utf8_lossy(&complaint);
    assert!(output.status.success() && complaint.is_empty(), "{complaint}");
}

#[test]
fn promtool_has_nothing_to_say_against_the_gauges() {
    let Some(promtool) = promtool() else { return };
    let dir = tempfile::tempdir().unwrap();
    let quick = reference().join("quick");
    std::fs::create_dir(dir.path().join("trials")).unwrap();
    for folder in [".", "trials"] {
        for entry in std::fs::read_dir(quick.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let to = dir.path().join(folder).join(path.file_name().unwrap());
                std::fs::copy(&path, to).unwrap();
            }
        }
    }
    let made = Command::new(env!("CARGO_BIN_EXE_authbench"))
        .arg("report")
        .arg(dir.path())
        .args(["--format", "prometheus"])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    is_fine(&promtool, &dir.path().join("metrics.prom"));
}

/// What a run of 300 requests prints in this format; whether its figures are valid is in it.
fn printed(folder: &Path, format: &str) -> PathBuf {
    let (address, _) = server(|_| answer(200, "", b"ok"));
    let output = Command::new(env!("CARGO_BIN_EXE_authbench"))
        .args(["run", "--allow-debug", "-c", "2", "-n", "300", "--format", format])
        .arg(format!("http://{address}/"))
        .output()
        .unwrap();
    // On a busy machine figures may be invalid, which a debug build is not to be blamed for.
    let error = String::from_utf8_lossy(&output.stderr);
    assert!([0, 3].contains(&output.status.code().unwrap()), "{error}");
    let file = folder.join(format);
    std::fs::write(&file, output.stdout).unwrap();
    file
}

#[test]
fn promtool_has_nothing_to_say_against_the_series_of_a_run() {
    let Some(promtool) = promtool() else { return };
    let dir = tempfile::tempdir().unwrap();
    let file = printed(dir.path(), "prometheus");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("outcome=\"ok\"} 300\n"), "{text}");
    is_fine(&promtool, &file);
}

#[test]
fn opentelemetry_reads_the_metrics_of_a_run() {
    if !is_there("OTLP", has_package("opentelemetry.proto.collector.metrics.v1")) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let script = r#"
import sys
from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as service
from opentelemetry.proto.metrics.v1 import metrics_pb2 as proto
# An unknown field, and a value of another type, is an error.
read = json_format.Parse(open(sys.argv[1]).read(), service.ExportMetricsServiceRequest())
[resource] = read.resource_metrics
attributes = {a.key: a.value.string_value for a in resource.resource.attributes}
assert attributes["service.name"] == "authbench" and attributes["service.version"], attributes
[scope] = resource.scope_metrics
metrics = {metric.name: metric for metric in scope.metrics}
assert len(metrics) == len(scope.metrics) and all(m.description and m.unit for m in scope.metrics)
def end(point):
    return {a.key: a.value.string_value for a in point.attributes}.get("outcome")
requests = metrics["authbench_requests"].sum
assert requests.is_monotonic, requests
assert requests.aggregation_temporality == proto.AGGREGATION_TEMPORALITY_CUMULATIVE, requests
assert {end(p): p.as_int for p in requests.data_points}["ok"] == 300, requests
for metric in scope.metrics:
    kind = metric.WhichOneof("data")
    for point in getattr(metric, kind).data_points:
        assert 0 < point.start_time_unix_nano < point.time_unix_nano, metric
[valid] = metrics["authbench_run_valid"].gauge.data_points
if valid.as_double == 1:
    for name in ["authbench_response_seconds", "authbench_service_seconds"]:
        [point] = metrics[name].histogram.data_points
        assert point.count == 300 == sum(point.bucket_counts), point
        assert len(point.bucket_counts) == len(point.explicit_bounds) + 1, point
        assert 0 < point.min <= point.sum / point.count <= point.max, point
else:
    assert "authbench_response_seconds" not in metrics
"#;
    let output = python(script, &[&printed(dir.path(), "otlp")]).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
