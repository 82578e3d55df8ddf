//! `authbench report`: a campaign's report, rebuilt from its records.

use std::path::PathBuf;

use clap::Args;

use super::output;
use crate::error::{Error, Result};
use crate::record::Folder;
use crate::report::{FORMATS, Format, analyse};

/// Flags of `authbench report`.
#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// Folder of a campaign
    dir: PathBuf,
    /// Which files to write: html, md, json, csv, svg [default: all but svg]
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
    let wanted = |format: &Format| match args.format.as_slice() {
        [] => format.always,
        names => names.iter().any(|name| name == format.name),
    };
    for file in write(&folder, wanted)? {
        output::line(&file.display().to_string())?;
    }
    Ok(())
}

/// Writes the files of the report that are wanted; their paths.
///
/// # Errors
/// `Config` or `Io` when a record cannot be read or a file not written.
pub(super) fn write(folder: &Folder, wanted: impl Fn(&Format) -> bool) -> Result<Vec<PathBuf>> {
    let plan = folder.plan()?;
    let attacks = folder.attacks(&plan)?;
    let analysis = analyse(&plan, folder.host()?, &folder.records(&plan)?).with_attacks(attacks);
    let mut written = Vec::new();
    for format in FORMATS.iter().filter(|format| wanted(format)) {
        folder.write_text(format.file, &(format.render)(&analysis))?;
        written.push(folder.root().join(format.file));
    }
    Ok(written)
}
