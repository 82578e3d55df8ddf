//! `authbench report`: a campaign's report, rebuilt from its records.

use std::path::{Path, PathBuf};

use clap::Args;

use super::output;
use crate::error::{Error, Result};
use crate::record::Folder;
use crate::report::{FORMATS, analyse, render_all};

/// Flags of `authbench report`.
#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// Folder of a campaign
    dir: PathBuf,
    /// Which files to write: html, md, json, csv [default: all]
    #[arg(long, value_delimiter = ',', value_name = "FORMATS")]
    format: Vec<String>,
}

/// Rebuilds the report.
///
/// # Errors
/// `Config` when there is no campaign or no such format, `Io` when a file cannot be written.
pub(super) fn report(args: &ReportArgs) -> Result<()> {
    let known: Vec<_> = FORMATS.iter().map(|format| format.name).collect();
    if let Some(unknown) = args.format.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(Error::Config(format!(
            "expected formats among {}, found `{unknown}`",
            known.join(", ")
        )));
    }
    let folder = Folder::open(&args.dir)?;
    let wanted = |file: &str| {
        args.format.is_empty()
            || FORMATS.iter().any(|f| f.file == file && args.format.iter().any(|n| n == f.name))
    };
    for file in write(&folder, wanted)? {
        output::line(&file.display().to_string());
    }
    Ok(())
}

/// Writes the files of the report that are wanted; their paths.
///
/// # Errors
/// `Config` or `Io` when a record cannot be read or a file not written.
pub(super) fn write(folder: &Folder, wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>> {
    let analysis = analyse(&folder.plan()?, folder.host()?, &folder.records()?);
    let mut written = Vec::new();
    for (file, text) in render_all(&analysis).filter(|(file, _)| wanted(file)) {
        folder.write_text(file, &text)?;
        written.push(folder.root().join(Path::new(file)));
    }
    Ok(written)
}
