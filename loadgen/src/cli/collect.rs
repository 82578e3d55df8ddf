//! `authbench collect`: the record of a run over agents whose coordinator died.

use std::path::PathBuf;

use clap::Args;

use super::agent::engine_url;
use super::run;
use crate::agents;
use crate::error::{Error, Result};
use crate::files;
use crate::sanitise;

/// Flags of `authbench collect`.
#[derive(Debug, Args)]
pub(super) struct CollectArgs {
    /// Collect the run of this name
    run: String,
    /// Ask this engine, `nats://HOST:PORT`; `-` reads the URL from stdin
    #[arg(long, value_name = "URL")]
    engine: String,
    /// Write summary.json and record.json into this folder, which is made where it is missing
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Add the share in this file, which an agent kept; may be repeated
    #[arg(long, value_name = "FILE")]
    share: Vec<PathBuf>,
}

/// Collects a run and prints its figures, as `run` would have.
///
/// # Errors
/// `Config` when there is no such run, `Invalid` when the figures may not be used, `Io` when the
/// folder cannot be written.
pub(super) fn collect(args: &CollectArgs) -> Result<()> {
    agents::check_run(&args.run)?;
    let collected = agents::collect(&args.run, &engine_url(&args.engine)?, &args.share)?;
    let folder = files::Dir::make(&args.out)?;
    let record = serde_json::to_string_pretty(&collected.load)
        .map_err(|e| Error::Bug(format!("a record cannot be written: {e}")))?;
    folder.write("record.json", sanitise::json(&record).as_bytes())?;
    let (summary, worth) = run::collected(&collected)?;
    folder.write("summary.json", sanitise::json(&summary).as_bytes())?;
    worth
}
