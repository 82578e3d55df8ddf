//! `authbench campaign`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;

use super::shared::{minutes, refuse_debug_build};
use super::watch::Watchers;
use super::{output, report, serve, signals};
use crate::campaign::{Spared, run};
use crate::error::{Error, Result};
use crate::experiment::expand;
use crate::plan::Plan;
use crate::proc;
use crate::record::{Claim, Folder, Mixing};
use crate::report::{Analysis, ClaimVerdict, brief};
use crate::sanitise::Page;
use crate::spec::{Overrides, Spec};

/// What `campaign` and `plan` have in common.
#[derive(Debug, Args)]
pub(super) struct What {
    /// Run this preset or campaign file
    #[arg(default_value = "quick", value_name = "PRESET|FILE.toml")]
    pub(super) campaign: String,
    /// Compare these arms instead
    #[arg(long, value_delimiter = ',', value_name = "A,B", value_parser = trimmed)]
    arms: Option<Vec<String>>,
    /// Sweep these numbers of users instead
    #[arg(long, value_delimiter = ',', value_name = "N,N")]
    users: Option<Vec<u32>>,
    /// Sweep these numbers of server cores instead (experiment `cores`)
    #[arg(long, value_delimiter = ',', value_name = "N,N")]
    cores: Option<Vec<u32>>,
    /// Allow a server to share cores with the generator; the report flags such figures
    #[arg(long)]
    allow_shared: bool,
    /// Set the seed of every random choice
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Leave out arms whose store program is not installed
    #[arg(long)]
    skip_missing: bool,
}

/// Flags of `authbench campaign`.
#[derive(Debug, Args)]
pub(super) struct CampaignArgs {
    #[command(flatten)]
    what: What,
    /// Write records and report to this folder [default: results/NAME]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Resume the campaign in that folder, or start one
    ///
    /// Trials that are complete are not run again.
    #[arg(long)]
    resume: bool,
    /// Resume even if complete trials are from another machine or build
    ///
    /// The report flags such figures.
    #[arg(long, requires = "resume")]
    mix: bool,
    /// Serve the report on loopback while the campaign runs, and print its address
    ///
    /// The page only reads. Its address holds a random part; other users of the machine cannot
    /// guess it. The report is made between trials, while someone watches.
    #[arg(long)]
    ui: bool,
    /// Allow a debug build, whose figures mean nothing
    #[arg(long, hide = true)]
    allow_debug: bool,
    /// Leave out the attacks on the arms, which only a debug build may
    #[arg(long, hide = true, requires = "allow_debug")]
    skip_attacks: bool,
}

/// Why no arm is attacked where that was asked.
const LEFT_OUT: &str = "--skip-attacks, in a debug build";

impl What {
    /// The plan; everything that can be refused is refused here.
    pub(super) fn plan(&self) -> Result<Plan> {
        let overrides = |arms| Overrides {
            arms,
            users: self.users.clone(),
            cores: self.cores.clone(),
            allow_shared: self.allow_shared,
            seed: self.seed,
            stores: serve::stores(),
        };
        let mut spec = Spec::load(&self.campaign, overrides(self.arms.clone()))?;
        spec.arms.iter().try_for_each(|arm| serve::require_arm(arm))?;
        if self.skip_missing {
            let (here, missing) = sorted_out(&spec.arms);
            if !missing.is_empty() {
                output::note(&format!("left out: {}", missing.join("; ")));
                spec = Spec::load(&self.campaign, overrides(Some(here)))?;
            }
        }
        let plan = expand(&spec)?;
        // With what its experiment asks of a server, an arm may be another matter.
        let asked: BTreeSet<_> =
            plan.trials.iter().map(|trial| (&trial.arm, &trial.server)).collect();
        asked.into_iter().try_for_each(|(arm, server)| {
            serve::require_served(arm, server).map_err(|error| spec.refuse(error))
        })?;
        Ok(plan)
    }
}

/// A name of a list, which people write with spaces between.
fn trimmed(text: &str) -> Result<String, std::convert::Infallible> {
    Ok(text.trim().into())
}

/// The arms that can be served here, and the others with what they lack, as a reader is told it.
fn sorted_out(arms: &[String]) -> (Vec<String>, Vec<String>) {
    let lacks = |arm: &String| serve::missing_program(arm);
    let missing = arms.iter().filter_map(|arm| {
        let (program, package) = lacks(arm)?;
        Some(format!("{arm} needs the program `{program}` (Debian package {package})"))
    });
    (arms.iter().filter(|arm| lacks(arm).is_none()).cloned().collect(), missing.collect())
}

/// Refuses arms whose store's program is not on this machine.
fn require_programs(plan: &Plan) -> Result<()> {
    let (_, missing) = sorted_out(&plan.arms);
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::Config(format!(
        "{}; install it, or leave such arms out with --skip-missing",
        missing.join(" and ")
    )))
}

/// Runs a campaign.
///
/// # Errors
/// See [`run`]; the report is written whenever there is at least one record.
pub(super) fn campaign(args: CampaignArgs) -> Result<()> {
    refuse_debug_build(args.allow_debug, "campaign")?;
    if args.skip_attacks && !cfg!(debug_assertions) {
        let expected = "left out of a campaign whose figures count";
        return Err(Error::flag("--skip-attacks", expected, "it in a release build"));
    }
    let spared: Spared = if args.skip_attacks { |_| Some(LEFT_OUT) } else { serve::spared };
    let plan = args.what.plan()?;
    require_programs(&plan)?;
    let out = args.out.unwrap_or_else(|| PathBuf::from("results").join(&plan.name));
    proc::allow_connections(plan.connections())?;
    let host = proc::describe();
    proc::require_cores(&plan, &host.cores)?;
    let placement = proc::place(&host.cores);
    let interrupt = signals::listen()?;
    let claim = Claim::take(&out)?;
    let begun = if args.resume && Folder::has_campaign(&out) {
        let mixing = if args.mix { Mixing::Allowed } else { Mixing::Refused };
        Folder::resume(&claim, &plan, &host, mixing)?
    } else {
        Folder::create(&claim, &plan, &host)?
    };
    begun.remarks.iter().for_each(|remark| output::note(remark));
    let left = plan.trials.len() - begun.done.len();
    let render = || report::html(&begun.folder);
    let mut watchers = Watchers::new(&plan, &begun.done, args.ui.then_some(Box::new(render)))?;
    match left {
        0 => output::note(&format!(
            "{}: every trial in {} is complete; nothing is run again",
            plan.name,
            out.display()
        )),
        _ => output::note(&format!(
            "{}: {left} trials, about {}, plus {} of attacks, into {}",
            plan.name,
            watchers.left(),
            minutes(plan.attacks_ms()),
            out.display()
        )),
    }
    let outcome = run(&plan, &begun, &placement, spared, &interrupt, &mut watchers);
    let records = begun.folder.records(&plan)?;
    if records.is_empty() {
        return outcome;
    }
    let show = format!("{}", begun.folder.root().join("report.html").display());
    watchers.finish(&format!("The campaign is over: {} trials. Report: {show}", records.len()));
    let analysis = report::analysis(&begun.folder)?;
    let written = report::save(&begun.folder, &analysis, |format| format.always);
    if !matches!(outcome, Err(Error::Io { .. })) {
        // When a record could not be written, that is the error to tell.
        written?;
    }
    if let Err(Error::Interrupted(_, signal)) = outcome {
        let text = format!(
            "interrupted after {} of {} trials; --resume continues it, and the report so far is \
             {show}",
            records.len(),
            plan.trials.len()
        );
        return Err(Error::Interrupted(text, signal));
    }
    let mut page = if outcome.is_ok() { summary(&analysis) } else { Page::default() };
    page.line("");
    brief(&analysis).iter().for_each(|line| page.line(line));
    page.line("");
    page.line(&format!("Report: {show}"));
    output::page(&page)?;
    outcome
}

/// The answer.
fn summary(analysis: &Analysis) -> Page {
    let mut page = Page::default();
    // What is invalid has ended the command before; a build that may not measure has not.
    let claims = if analysis.usable() { analysis.claims.as_slice() } else { &[] };
    for claim in claims.iter().filter(|claim| claim.verdict != ClaimVerdict::NotMeasured) {
        page.line(&format!("{:<11} \"{}\" {}", claim.verdict.word(), claim.says, claim.words));
        page.line(&format!("{:<11} {}.", "", claim.in_short));
    }
    if !claims.is_empty() {
        page.line("");
    }
    let sentences = if analysis.usable() { analysis.answer.as_slice() } else { &[] };
    for sentence in sentences.iter().filter(|sentence| sentence.headline) {
        page.line(&format!("- {}", sentence.text));
    }
    let doubts: Vec<_> = analysis.doubts.iter().map(|d| d.doubt.what.as_str()).collect();
    if !doubts.is_empty() {
        page.line("");
        page.line(&format!("Doubts: {}.", doubts.join("; ")));
    }
    page
}
