//! `authbench schema`: JSON Schemas of what programs may read.

use clap::Args;

use super::output;
use crate::error::{Error, Result};
use crate::report::SCHEMAS;

/// Flags of `authbench schema`.
#[derive(Debug, Args)]
pub(super) struct SchemaArgs {
    /// Print that of report (report.json), trial (a record), or compare (compare --format json)
    #[arg(value_name = "WHAT")]
    what: String,
}

/// Prints a schema.
///
/// # Errors
/// `Config` when no schema has that name.
pub(super) fn schema(args: &SchemaArgs) -> Result<()> {
    let Some((_, make)) = SCHEMAS.iter().find(|(name, _)| *name == args.what) else {
        let names: Vec<&str> = SCHEMAS.iter().map(|(name, _)| *name).collect();
        let expected = format!("one of {}", names.join(", "));
        return Err(Error::flag("WHAT", expected, format!("`{}`", args.what)));
    };
    let text = serde_json::to_string_pretty(&make())
        .map_err(|e| Error::Bug(format!("the schema cannot be written: {e}")))?;
    output::json(&text)
}
