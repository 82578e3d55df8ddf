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
    output::page(&text(&plan, &expected, noise.as_ref()))
}

/// The plan for people.
fn text(plan: &Plan, expected: &[Expected], noise: Option<&Noise>) -> Page {
    let mut page = Page::default();
    page.text(
        &format!(
            "{}: {} trials, about {}",
            plan.name,
            plan.trials.len(),
            minutes(plan.expected_ms())
        ),
        0,
    );
    page.text(
        &format!(
            "arms: {} (baseline {}, reference {})",
            plan.arms.join(", "),
            plan.baseline,
            plan.reference
        ),
        2,
    );
    page.text(&format!("seed: {}   plan: {}", plan.seed, &plan.hash()[..12]), 0);
    page.line("");
    endpoints(&mut page, expected, noise);
    page.line("");
    page.text(&format!("[attacks] each arm once, about {}", minutes(plan.attacks_ms())), 0);
    let names = plan.names();
    for name in &plan.experiments {
        let trials: Vec<_> = plan.trials.iter().filter(|t| t.experiment == *name).collect();
        let expected = trials.iter().map(|trial| trial.expected_ms()).sum();
        let blocks = trials.iter().map(|trial| trial.block + 1).max().unwrap_or(0);
        page.line("");
        page.text(
            &format!(
                "[{name}] {} trials in {blocks} blocks, about {}",
                trials.len(),
                minutes(expected)
            ),
            2,
        );
        if let Some(mix) = mix_of(plan, name) {
            page.text(&format!("  users make the mix {mix}"), 4);
        }
        let mut cells: BTreeMap<u32, Vec<String>> = BTreeMap::new();
        for trial in trials.iter().filter(|trial| trial.block == 0) {
            cells.entry(trial.level).or_default().push(trial.name().to_string());
        }
        for (level, mut arms) in cells {
            arms.sort_unstable_by_key(|arm| names.iter().position(|known| known == arm));
            // An arm may have several trials at a level, of different kinds.
            arms.dedup();
            page.text(&format!("  {}: {}", named(name, level), arms.join(", ")), 4);
        }
    }
    page
}

/// The primary endpoints, and the smallest effect that each finds.
fn endpoints(page: &mut Page, expected: &[Expected], noise: Option<&Noise>) {
    if expected.is_empty() {
        page.line("primary endpoints: none, so all of it is exploratory and gets no verdict");
        return;
    }
    page.text(&format!("primary endpoints: {}, corrected together", expected.len()), 0);
    let how = match noise {
        Some(noise) if noise.rows.is_empty() => format!(
            "  the smallest effect that each finds is not known: {} has no valid figures in two \
             blocks, so it says nothing of noise; see the doubts in its report",
            noise.source()
        ),
        Some(noise) => format!(
            "  each with the smallest effect that it finds with 80 % power, by the noise of {}",
            noise.source()
        ),
        None => "  the smallest effect that each finds is not known: give the noise of an earlier \
                 campaign with --noise DIR"
            .into(),
    };
    page.text(&how, 2);
    expected.iter().for_each(|endpoint| page.text(&format!("  {}", endpoint.in_words()), 4));
    let unknown = || expected.iter().filter(|endpoint| endpoint.smallest_effect.is_none());
    let Some(noise) = noise.filter(|noise| !noise.rows.is_empty()) else { return };
    if unknown().any(|endpoint| endpoint.blocks < 2) {
        page.text("  not known: no effect is found with fewer than 2 blocks", 4);
    }
    if unknown().any(|endpoint| endpoint.blocks >= 2) {
        let lacks = "has no valid figures of such a metric in two blocks";
        page.text(&format!("  not known: {} {lacks}", noise.source()), 4);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::expand;
    use crate::sanitise::{SCREEN, width};
    use crate::spec::{Overrides, PRESETS, Spec};

    fn planned(preset: &str) -> Plan {
        expand(&Spec::load(preset, Overrides::default()).unwrap()).unwrap()
    }

    #[test]
    fn no_line_of_a_plan_is_wider_than_a_screen() {
        for (preset, _) in PRESETS {
            let (plan, noise) = (planned(preset), shipped(preset));
            let page = text(&plan, &expected(&plan, noise.as_ref()), noise.as_ref());
            let wide: Vec<_> = page.lines().filter(|line| width(line) > SCREEN).collect();
            assert!(wide.is_empty(), "{preset}: {wide:#?}");
        }
    }

    #[test]
    fn noise_that_says_nothing_is_told_with_its_reason() {
        let plan = planned("quick");
        let said = |noise: &Noise| {
            let page = text(&plan, &expected(&plan, Some(noise)), Some(noise));
            page.replace("\n  ", " ").split_whitespace().collect::<Vec<_>>().join(" ")
        };
        let mut noise = shipped("quick").unwrap();
        assert!(!said(&noise).contains("not known"));
        noise.rows.retain(|row| row.experiment != "memory");
        let part = said(&noise);
        assert!(part.contains("with 80 % power"), "{part}");
        assert!(part.contains("has no valid figures of such a metric in two blocks"), "{part}");
        noise.rows.clear();
        let none = said(&noise);
        assert!(
            none.contains("is not known: quick (") && none.contains("so it says nothing"),
            "{none}"
        );
        assert!(!none.contains("with the smallest effect"), "{none}");
    }
}
