//! `authbench compare`: two campaigns, and bounds that the second must keep.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::output;
use super::shared::Format;
use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::record::Folder;
use crate::report::{Analysis, Bound, Changes, Judgement, Outcome, analyse, changes};

/// Flags of `authbench compare`.
#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    /// Compare with the campaign in this folder
    #[arg(value_name = "DIR_A")]
    a: PathBuf,
    /// Compare the campaign in this folder
    #[arg(value_name = "DIR_B")]
    b: PathBuf,
    /// Exit with 6 if this bound is exceeded: `throughput_rps < -5%`; may be repeated
    ///
    /// A bound is METRIC[@ARM][/USERS], one of > >= < <=, and a limit of the change (`+5%`,
    /// `+2ms`) or of B itself (`20ms`).
    #[arg(long, value_name = "BOUND")]
    fail_if: Vec<Bound>,
    /// Exit with 6 also if the data do not settle whether a bound is kept
    #[arg(long, requires = "fail_if")]
    strict: bool,
    /// Print text for people, or JSON for programs
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// What `--format json` prints.
#[derive(Serialize)]
struct Page<'a> {
    #[serde(flatten)]
    changes: &'a Changes,
    bounds: &'a [Judgement],
}

/// Compares two campaigns.
///
/// # Errors
/// `Config` when one is not there, they have nothing in common, or a bound is about nothing;
/// `Bound` when one is broken; `Invalid` when one is about figures that may not be used. The
/// comparison is printed before the last two.
pub(super) fn compare(args: &CompareArgs) -> Result<()> {
    let (plan_a, a) = read(&args.a)?;
    let (plan_b, b) = read(&args.b)?;
    let label = |path: &Path| path.display().to_string();
    let (label_a, label_b) = (label(&args.a), label(&args.b));
    let changes = changes((&label_a, &plan_a, &a), (&label_b, &plan_b, &b));
    if changes.changes.is_empty() {
        return Err(Error::Config(format!(
            "{label_a} and {label_b} have no figure in common; compare campaigns that measured \
             the same experiment, arm and level"
        )));
    }
    let judgements: Vec<Judgement> = args
        .fail_if
        .iter()
        .map(|bound| bound.judge(&changes).map_err(Error::Config))
        .collect::<Result<_>>()?;
    match args.format {
        Format::Text => output::page(&changes.text(&judgements))?,
        Format::Json => {
            let page = Page { changes: &changes, bounds: &judgements };
            let text = serde_json::to_string_pretty(&page)
                .map_err(|e| Error::Bug(format!("the comparison cannot be written: {e}")))?;
            output::json(&text)?;
        }
    }
    verdict(&judgements, args.strict)
}

fn read(root: &Path) -> Result<(Plan, Analysis)> {
    let folder = Folder::open(root)?;
    let plan = folder.plan()?;
    let analysis = analyse(&plan, folder.host()?, &folder.records(&plan)?);
    Ok((plan, analysis))
}

/// What happened to the bounds, as an exit code.
fn verdict(judgements: &[Judgement], strict: bool) -> Result<()> {
    let count = |outcome| judgements.iter().map(|bound| bound.count(outcome)).sum::<usize>();
    let figures: usize = judgements.iter().map(|bound| bound.outcomes.len()).sum();
    let (broken, open) = (count(Outcome::Broken), count(Outcome::Inconclusive));
    if broken > 0 {
        return Err(Error::Bound(format!("{broken} of {figures} figures are beyond their bound")));
    }
    let invalid = count(Outcome::Invalid);
    if invalid > 0 {
        return Err(Error::Invalid(format!(
            "INVALID: {invalid} of {figures} figures with a bound may not be used; see the doubts \
             in the reports of both campaigns, and run the worse one again"
        )));
    }
    if strict && open > 0 {
        return Err(Error::Bound(format!(
            "{open} of {figures} figures do not settle whether they keep their bound; run more \
             blocks, or widen it"
        )));
    }
    if open > 0 {
        output::note(&format!(
            "{open} of {figures} figures do not settle whether they keep their bound"
        ));
    }
    Ok(())
}
