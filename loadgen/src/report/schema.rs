//! JSON Schemas of what a program may read: `report.json`, the record of a trial, and what
//! `compare` prints. They follow from the types that write these, so they say nothing else.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::changes::FlatComparison;
use super::json::Page;
use crate::record::TrialRecord;

/// A schema: what it is called, and how it is made.
pub type Named = (&'static str, fn() -> Schema);

/// Every schema there is.
pub const SCHEMAS: &[Named] = &[("report", report), ("trial", trial), ("compare", compare)];

fn report() -> Schema {
    of::<Page<'static>>("authbench report.json")
}

fn compare() -> Schema {
    of::<FlatComparison<'static>>("authbench compare --format json")
}

/// The record itself, and the checksum that a file of it begins with.
fn trial() -> Schema {
    let mut schema = of::<TrialRecord>("authbench trials/NNNN-ARM.json");
    let checksum = serde_json::json!({
        "description": "SHA-256 of the file with its own digits left out; absent in schema 1.",
        "type": "string",
        "pattern": "^[0-9a-f]{64}$",
    });
    if let Some(properties) = schema.get_mut("properties").and_then(|all| all.as_object_mut()) {
        properties.insert("checksum".into(), checksum);
    }
    schema
}

fn of<T: JsonSchema>(title: &str) -> Schema {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut schema = SchemaGenerator::new(settings).into_root_schema_for::<T>();
    schema.insert("title".into(), title.into());
    schema
}
