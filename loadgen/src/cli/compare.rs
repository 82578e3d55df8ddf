//! `authbench compare`: two campaigns, and bounds that the second must keep.

use std::path::{Path, PathBuf};

use clap::Args;

use super::output;
use crate::error::{Error, Result};
use crate::experiment::{METRICS, Metric};
use crate::plan::Plan;
use crate::record::Folder;
use crate::report::{Analysis, Bound, Judgement, Outcome, View, analyse, changes, known_metric};

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
    /// Print text, md for a pull request, json (every figure), html, or junit (the bounds)
    #[arg(long, value_enum, default_value = "text")]
    format: Form,
    /// Show only this arm; may be repeated
    #[arg(long, value_name = "ARM")]
    arm: Vec<String>,
    /// Show only this metric; may be repeated
    #[arg(long, value_name = "METRIC", value_parser = metric)]
    metric: Vec<&'static Metric>,
    /// Show also what did not change
    #[arg(long)]
    all: bool,
    /// Compare figures as they are, also where the floor moved
    #[arg(long)]
    absolute: bool,
}

/// How a comparison is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    Text,
    Md,
    Json,
    Html,
    Junit,
}

fn metric(name: &str) -> std::result::Result<&'static Metric, String> {
    known_metric(name, METRICS)
}

/// Compares two campaigns.
///
/// # Errors
/// `Config` when one is not there, they have nothing in common, or a bound is about nothing;
/// `Bound` when one is exceeded; `Invalid` when one is about figures that may not be used. The
/// comparison is printed before the last two.
pub(super) fn compare(args: &CompareArgs) -> Result<()> {
    let (plan_a, a) = read(&args.a)?;
    let (plan_b, b) = read(&args.b)?;
    let label = |path: &Path| path.display().to_string();
    let (label_a, label_b) = (label(&args.a), label(&args.b));
    let changes = changes((&label_a, &plan_a, &a), (&label_b, &plan_b, &b), args.absolute);
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
    let (arms, metrics) = (args.arm.clone(), args.metric.clone());
    let view = View { arms, metrics, all: args.all };
    view.check(&changes).map_err(Error::Config)?;
    match args.format {
        Form::Text => output::page(&changes.text(&view, &judgements))?,
        Form::Md => output::document(&changes.markdown(&view, &judgements))?,
        Form::Html => output::document(&changes.html(&view, &judgements))?,
        Form::Junit => output::document(&changes.junit(&judgements))?,
        Form::Json => {
            let text = serde_json::to_string_pretty(&changes.flat(&view, &judgements))
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

/// The outcome of the bounds, as an exit code.
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
