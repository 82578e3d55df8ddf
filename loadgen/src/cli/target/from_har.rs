//! `authbench target from-har`: drafts a target file from what a browser recorded.

use std::path::{Path, PathBuf};

use clap::Args;

use super::super::output;
use super::{draft, har};
use crate::error::{Error, Result};
use crate::files::{self, Kind, check_output, read_text};
use crate::sanitise;

/// Flags of `authbench target from-har`.
#[derive(Debug, Args)]
pub(super) struct FromHarArgs {
    /// Read this recording, a HAR file saved with sensitive data
    #[arg(value_name = "FILE.har")]
    har: PathBuf,
    /// Write the target file here [default: print it]
    #[arg(short, long, value_name = "FILE.toml")]
    output: Option<PathBuf>,
}

/// Drafts a target file.
///
/// # Errors
/// `Config` when the file is not a recording, or has no login that a target file could describe.
pub(super) fn from_har(args: &FromHarArgs) -> Result<()> {
    args.output.as_deref().map_or(Ok(()), check_output)?;
    let text = read_text(&args.har, Kind::Recording)?;
    let refuse = |why: String| Error::file(&args.har, why);
    let calls = har::read(&text).map_err(refuse)?;
    let draft = draft::draft(&calls).map_err(refuse)?;
    draft.notes.iter().for_each(|note| output::note(note));
    match &args.output {
        Some(path) => written(path, &draft.text),
        None => output::document(&draft.text),
    }
}

fn written(path: &Path, text: &str) -> Result<()> {
    files::write(path, sanitise::document(text).as_bytes())?;
    output::note(&format!("{} is written; try it with `authbench target check`", path.display()));
    Ok(())
}
