//! `authbench report`: a campaign's report, rebuilt from its records.

use std::path::{Path, PathBuf};

use clap::Args;

use super::output;
use crate::error::{Error, Result};
use crate::files::{self, Kind, read_text};
use crate::record::Folder;
use crate::report::{
    Analysis, FORMATS, Format, MARKS, analyse, chart_files, many, put_into, summary,
};

/// Flags of `authbench report`.
#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// Read the campaign in this folder
    #[arg(required_unless_present = "many")]
    dir: Option<PathBuf>,
    /// Write these of html, md, json, csv, svg, noise, junit, prometheus [default: the first four]
    #[arg(long, value_delimiter = ',', value_name = "FORMATS")]
    format: Vec<String>,
    /// Put campaigns of several machines or builds on one page
    #[arg(long, value_name = "DIR", num_args = 2.., conflicts_with_all = ["dir", "format", "into"])]
    many: Vec<PathBuf>,
    /// Write the page of --many here
    #[arg(long, value_name = "FILE.html", default_value = "many.html", requires = "many")]
    out: PathBuf,
    /// Update the short answer in this page, between the two lines marked for it
    #[arg(long, value_name = "FILE.md")]
    into: Option<PathBuf>,
    /// Also write every chart into this folder, one SVG file per chart
    #[arg(long, value_name = "OUT")]
    charts: Option<PathBuf>,
}

/// Rebuilds the report.
///
/// # Errors
/// `Config` when there is no campaign, no such format or no place in the page, `Io` when a file
/// cannot be written.
pub(super) fn report(args: &ReportArgs) -> Result<()> {
    let Some(dir) = &args.dir else { return together(&args.many, &args.out) };
    let known: Vec<_> = FORMATS.iter().map(|format| format.name).collect();
    if let Some(unknown) = args.format.iter().find(|name| !known.contains(&name.as_str())) {
        let expected = format!("among {}", known.join(", "));
        return Err(Error::flag("--format", expected, format!("`{unknown}`")));
    }
    let folder = Folder::open(dir)?;
    let wanted = |format: &Format| match args.format.as_slice() {
        [] => format.always,
        names => names.iter().any(|name| name == format.name),
    };
    let analysis = analysis(&folder)?;
    let mut written = save(&folder, &analysis, wanted)?;
    if let Some(page) = &args.into {
        put(&summary(&analysis), page)?;
        written.push(page.clone());
    }
    if let Some(out) = &args.charts {
        let out = files::Dir::make(out)?;
        for (name, svg) in chart_files(&analysis) {
            out.write(&name, svg.as_bytes())?;
            written.push(out.path().join(name));
        }
    }
    written.iter().try_for_each(|file| output::line(&file.display().to_string()))
}

/// Puts several campaigns on one page.
fn together(folders: &[PathBuf], out: &Path) -> Result<()> {
    let read = |dir: &PathBuf| {
        let analysis = analysis(&Folder::open(dir)?)?;
        Ok((dir.display().to_string(), analysis))
    };
    let campaigns: Vec<(String, Analysis)> = folders.iter().map(read).collect::<Result<_>>()?;
    let labelled: Vec<(&str, &Analysis)> =
        campaigns.iter().map(|(label, analysis)| (label.as_str(), analysis)).collect();
    files::write(out, many(&labelled).as_bytes())?;
    output::line(&out.display().to_string())
}

/// Puts the short answer into a page.
fn put(summary: &str, page: &Path) -> Result<()> {
    let text = read_text(page, Kind::Page)?;
    let text = put_into(&text, summary).ok_or_else(|| {
        let [begin, end] = MARKS;
        Error::file(page, format!("expected a line `{begin}` and, below it, one `{end}`"))
    })?;
    files::write(page, text.as_bytes())
}

/// The report of a campaign as a page.
///
/// # Errors
/// See [`analysis`].
pub(super) fn html(folder: &Folder) -> Result<String> {
    let analysis = analysis(folder)?;
    let page = FORMATS.iter().find(|format| format.name == "html");
    Ok(page.map(|format| format.render(&analysis)).unwrap_or_default())
}

/// The analysis of a campaign's records.
///
/// # Errors
/// `Config` or `Io` when a record cannot be read.
pub(super) fn analysis(folder: &Folder) -> Result<Analysis> {
    let plan = folder.plan()?;
    let attacks = folder.attacks(&plan)?;
    Ok(analyse(&plan, folder.host()?, &folder.records(&plan)?).with_attacks(attacks))
}

/// Writes the wanted formats of an analysis.
///
/// # Errors
/// `Io` when a file cannot be written.
pub(super) fn save(
    folder: &Folder,
    analysis: &Analysis,
    wanted: impl Fn(&Format) -> bool,
) -> Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    for format in FORMATS.iter().filter(|format| wanted(format)) {
        folder.write_text(format.file, &format.render(analysis))?;
        written.push(folder.root().join(format.file));
    }
    Ok(written)
}
