//! The committed JSON Schemas: they are what the program prints, and what it writes keeps to them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use jsonschema::Validator;
use serde_json::{Value, json};

const SCHEMAS: [&str; 3] = ["report", "trial", "compare"];

fn results() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../results")
}

fn authbench(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_authbench")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn committed(what: &str) -> String {
    let path = results().join(format!("schemas/{what}.schema.json"));
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The committed schema, which takes no field that it does not name.
fn validator(what: &str) -> Validator {
    let mut schema: Value = serde_json::from_str(&committed(what)).unwrap();
    let mut shared = BTreeSet::new();
    tagged(&schema, &mut shared);
    let definitions = schema["$defs"].as_object_mut().unwrap();
    for (name, definition) in definitions {
        if !shared.contains(&format!("#/$defs/{name}")) {
            closed(definition);
        }
    }
    jsonschema::validator_for(&schema).unwrap()
}

/// Definitions to which a schema adds fields of its own, such as the tag of a variant.
fn tagged(schema: &Value, shared: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            if let (Some(Value::String(name)), true) =
                (fields.get("$ref"), fields.contains_key("properties"))
            {
                shared.insert(name.clone());
            }
            fields.values().for_each(|value| tagged(value, shared));
        }
        Value::Array(all) => all.iter().for_each(|value| tagged(value, shared)),
        _ => {}
    }
}

/// Readers ignore fields that they do not know; this test does not.
fn closed(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.values_mut().for_each(closed);
            let is_open = fields.contains_key("properties")
                && !["additionalProperties", "oneOf", "anyOf", "allOf", "$ref"]
                    .iter()
                    .any(|key| fields.contains_key(*key));
            if is_open && fields.get("type") == Some(&json!("object")) {
                fields.insert("additionalProperties".into(), false.into());
            }
        }
        Value::Array(all) => all.iter_mut().for_each(closed),
        _ => {}
    }
}

fn assert_valid(validator: &Validator, value: &Value, name: &str) {
    let errors: Vec<String> = validator
        .iter_errors(value)
        .take(5)
        .map(|error| format!("{}: {error:.300}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{name}: {errors:#?}");
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn the_committed_schemas_are_those_of_the_program() {
    for what in SCHEMAS {
        let printed = authbench(&["schema", what]);
        let same = printed == committed(what);
        let command = format!("authbench schema {what} > results/schemas/{what}.schema.json");
        assert!(same, "results/schemas/{what}.schema.json is old: `{command}`");
    }
}

#[test]
fn records_and_reports_of_the_references_keep_to_their_schemas() {
    let trial = validator("trial");
    let mut records = 0;
    for campaign in ["quick", "standard"] {
        for entry in
            fs::read_dir(results().join("reference").join(campaign).join("trials")).unwrap()
        {
            let path = entry.unwrap().path();
            assert_valid(&trial, &read(&path), &path.display().to_string());
            records += 1;
        }
    }
    assert!(records > 500, "{records}");
    let report = read(&results().join("reference/quick/report.json"));
    assert_valid(&validator("report"), &report, "report.json");
    let quick = results().join("reference/quick");
    let quick = quick.to_str().unwrap();
    let flags = ["compare", quick, quick, "--format", "json", "--fail-if", "error_rate > +1%"];
    let compared: Value = serde_json::from_str(&authbench(&flags)).unwrap();
    assert_valid(&validator("compare"), &compared, "compare");
}

#[test]
fn a_campaign_that_runs_now_keeps_to_the_schemas() {
    let dir = tempfile::tempdir().unwrap();
    let (file, out) = (dir.path().join("small.toml"), dir.path().join("small"));
    let text = "name = \"small\"\narms = [\"none\", \"session@memory\", \"jwt-hs256\"]\n\
                [concurrency]\nusers = [2]\nblocks = 2\nwarmup = \"20ms\"\nmeasure = \"100ms\"\n";
    fs::write(&file, text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_authbench"))
        .args(["campaign", file.to_str().unwrap(), "--allow-debug", "--skip-attacks", "--out"])
        .arg(&out)
        .output()
        .unwrap();
    // 3: the figures are invalid, because this is a debug build; the files are whole.
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!([0, 3].contains(&output.status.code().unwrap()), "{complaint}");
    assert_valid(&validator("report"), &read(&out.join("report.json")), "report.json");
    let trial = validator("trial");
    let trials: Vec<_> = fs::read_dir(out.join("trials")).unwrap().collect();
    assert!(trials.len() >= 8, "{}", trials.len());
    for entry in trials {
        let path = entry.unwrap().path();
        assert_valid(&trial, &read(&path), &path.display().to_string());
    }
}

#[test]
fn what_is_not_of_the_form_is_refused() {
    let report = read(&results().join("reference/quick/report.json"));
    let validator = validator("report");
    type Spoil = fn(&mut Value);
    let spoils: [(&str, Spoil); 6] = [
        ("a missing field", |r| drop(r.as_object_mut().unwrap().remove("seed"))),
        ("another type", |r| r["measurements"][0]["valid"] = "yes".into()),
        ("a field that there is not", |r| r["host"]["colour"] = "blue".into()),
        ("an unknown verdict", |r| r["primary"][0]["verdict"] = "faster".into()),
        ("an unknown metric", |r| r["figures"][0]["metric"] = "speed".into()),
        ("an interval of one end", |r| r["measurements"][0]["estimate"]["interval"] = json!([1.0])),
    ];
    for (what, spoil) in spoils {
        let mut spoilt = report.clone();
        spoil(&mut spoilt);
        assert!(!validator.is_valid(&spoilt), "{what} is not noticed");
    }
}
