//! What other programs read of a report: pandas and DuckDB the CSV with its types, promtool
//! `metrics.prom`. A missing program is named on stderr; with `AUTHBENCH_REQUIRE_PANDAS`, `_DUCKDB`
//! or `_PROMTOOL` set to 1 it is a failure. `AUTHBENCH_PYTHON` names the interpreter.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn reference() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../results/reference")
}

fn python(script: &str, arguments: &[&Path]) -> std::io::Result<Output> {
    let program = std::env::var("AUTHBENCH_PYTHON").unwrap_or_else(|_| "python3".into());
    Command::new(program).args(["-c", script]).args(arguments).output()
}

/// Whether something is there; says so by name where it is not, and fails where it must be.
fn is_there(name: &str, found: bool) -> bool {
    let required = std::env::var(format!("AUTHBENCH_REQUIRE_{name}")).is_ok_and(|v| v == "1");
    assert!(found || !required, "{name} is required and missing");
    if !found {
        let _ = writeln!(std::io::stderr(), "skipped: {name} is missing");
    }
    found
}

fn has_package(package: &str) -> bool {
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

#[test]
fn promtool_has_nothing_to_say_against_the_gauges() {
    let promtool = std::env::var("AUTHBENCH_PROMTOOL").unwrap_or_else(|_| "promtool".into());
    let version = Command::new(&promtool).arg("--version").output();
    if !is_there("PROMTOOL", version.is_ok_and(|output| output.status.success())) {
        return;
    }
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
    let gauges = File::open(dir.path().join("metrics.prom")).unwrap();
    let output = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::from(gauges))
        .output()
        .unwrap();
    let complaint = [output.stdout, output.stderr].concat();
    let complaint = String::from_utf8_lossy(&complaint);
    assert!(output.status.success() && complaint.is_empty(), "{complaint}");
}
