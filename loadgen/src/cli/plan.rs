//! `authbench plan`: what a campaign would run, for how long, and what it would find.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::campaign::What;
use super::shared::{Format, minutes, named};
use super::{output, report};
use crate::error::{Error, Result};
use crate::experiment::mix_of;
use crate::plan::Plan;
use crate::record::Folder;
use crate::report::{Expected, Noise, expected, noise, shipped};
use crate::sanitise::Page;

/// Flags of `authbench plan`.
#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    what: What,
    /// Take the noise from this campaign's records [default: the noise shipped with a preset]
    ///
    /// The noise decides which effects the campaign would find.
    #[arg(long, value_name = "DIR")]
    noise: Option<PathBuf>,
    /// Print text for people, or JSON for programs
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// What `plan --format json` prints.
#[derive(Serialize)]
struct PlanPage<'a> {
    #[serde(flatten)]
    plan: &'a Plan,
    /// Where the noise is from; `null` where it is not known.
    noise: Option<String>,
    /// The primary endpoints with what each would find.
    expected: &'a [Expected],
}

/// Prints what a campaign would run.
///
/// # Errors
/// `Config` when it could not run.
pub(super) fn plan(args: &PlanArgs) -> Result<()> {
    let plan = args.what.plan()?;
    let noise = match &args.noise {
        Some(dir) => Some(noise(&report::analysis(&Folder::open(dir)?)?)),
        None => shipped(&args.what.campaign),
    };
    let expected = expected(&plan, noise.as_ref());
    let source = noise.as_ref().map(Noise::source);
    if args.format == Format::Json {
        let page = PlanPage { plan: &plan, noise: source, expected: &expected };
        let text = serde_json::to_string_pretty(&page)
            .map_err(|e| Error::Bug(format!("the plan cannot be written: {e}")))?;
        return output::json(&text);
    }
    output::page(&text(&plan, &expected, source.as_deref()))
}

/// The plan for people.
fn text(plan: &Plan, expected: &[Expected], noise: Option<&str>) -> Page {
    let mut page = Page::default();
    page.line(&format!(
        "{}: {} trials, about {}",
        plan.name,
        plan.trials.len(),
        minutes(plan.expected_ms())
    ));
    page.line(&format!(
        "arms: {} (baseline {}, reference {})",
        plan.arms.join(", "),
        plan.baseline,
        plan.reference
    ));
    page.line(&format!("seed: {}   plan: {}", plan.seed, &plan.hash()[..12]));
    page.line("");
    endpoints(&mut page, expected, noise);
    page.line("");
    page.line(&format!("[attacks] each arm once, about {}", minutes(plan.attacks_ms())));
    let names = plan.names();
    for name in &plan.experiments {
        let trials: Vec<_> = plan.trials.iter().filter(|t| t.experiment == *name).collect();
        let expected = trials.iter().map(|trial| trial.expected_ms()).sum();
        let blocks = trials.iter().map(|trial| trial.block + 1).max().unwrap_or(0);
        page.line("");
        page.line(&format!(
            "[{name}] {} trials in {blocks} blocks, about {}",
            trials.len(),
            minutes(expected)
        ));
        if let Some(mix) = mix_of(plan, name) {
            page.line(&format!("  users make the mix {mix}"));
        }
        let mut cells: BTreeMap<u32, Vec<String>> = BTreeMap::new();
        for trial in trials.iter().filter(|trial| trial.block == 0) {
            cells.entry(trial.level).or_default().push(trial.name().to_string());
        }
        for (level, mut arms) in cells {
            arms.sort_unstable_by_key(|arm| names.iter().position(|known| known == arm));
            // An arm may have several trials at a level, of different kinds.
            arms.dedup();
            page.line(&format!("  {}: {}", named(name, level), arms.join(", ")));
        }
    }
    page
}

/// The primary endpoints, and the smallest effect that each finds.
fn endpoints(page: &mut Page, expected: &[Expected], noise: Option<&str>) {
    if expected.is_empty() {
        page.line("primary endpoints: none, so all of it is exploratory and gets no verdict");
        return;
    }
    page.line(&format!("primary endpoints: {}, corrected together", expected.len()));
    page.line(&match noise {
        Some(source) => format!(
            "  each with the smallest effect that it finds four times in five, by the noise of \
             {source}"
        ),
        None => "  the smallest effect that each finds is not known: give the noise of an earlier \
                 campaign with --noise DIR"
            .into(),
    });
    expected.iter().for_each(|endpoint| page.line(&format!("  {}", endpoint.in_words())));
}
