//! `authbench campaign`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{output, refuse_debug_build, report, serve, signals};
use crate::campaign::{Progress, run};
use crate::error::{Error, Result};
use crate::experiment::{self, expand};
use crate::plan::{Plan, TrialPlan};
use crate::proc;
use crate::record::{
    Attacked, Begun, CaseOutcome, Claim, Folder, Mixing, TrialOutcome, TrialRecord,
};
use crate::report::{Analysis, ClaimVerdict, analyse};
use crate::sanitise::{NAME, Page, fit};
use crate::spec::{Overrides, Spec};

/// What `campaign` and `plan` have in common.
#[derive(Debug, Args)]
pub(super) struct What {
    /// Run this preset or campaign file
    #[arg(default_value = "quick", value_name = "PRESET|FILE.toml")]
    pub(super) campaign: String,
    /// Compare these arms instead
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
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
    /// Allow a debug build, whose figures mean nothing
    #[arg(long, hide = true)]
    allow_debug: bool,
}

impl What {
    /// The plan; everything that can be refused is refused here.
    pub(super) fn plan(&self) -> Result<Plan> {
        let overrides = |arms| Overrides {
            arms,
            users: self.users.clone(),
            cores: self.cores.clone(),
            allow_shared: self.allow_shared,
            seed: self.seed,
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
        expand(&spec)
    }
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
    let mut bar = Bar::new(&plan, &begun.done);
    begun.remarks.iter().for_each(|remark| output::note(remark));
    output::note(&format!(
        "{}: {} trials, about {}, into {}",
        plan.name,
        plan.trials.len() - begun.done.len(),
        bar.left(),
        out.display()
    ));
    let outcome = run(&plan, &begun, &placement, serve::spared, &interrupt, &mut bar);
    bar.finish();
    let Begun { folder, .. } = begun;
    let records = folder.records(&plan)?;
    if records.is_empty() {
        return outcome;
    }
    let written = report::write(&folder, |format| format.always);
    if !matches!(outcome, Err(Error::Io { .. })) {
        // When a record could not be written, that is the error to tell.
        written?;
    }
    let show = format!("{}", folder.root().join("report.html").display());
    if let Err(Error::Interrupted(_, signal)) = outcome {
        let text = format!(
            "interrupted after {} of {} trials; --resume continues it, and the report so far is \
             {show}",
            records.len(),
            plan.trials.len()
        );
        return Err(Error::Interrupted(text, signal));
    }
    outcome?;
    let attacks = folder.attacks(&plan)?;
    let mut page = summary(&analyse(&plan, folder.host()?, &records).with_attacks(attacks));
    page.line("");
    page.line(&format!("Report: {show}"));
    output::page(&page)
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

/// A span of time in minutes and seconds.
pub(super) fn minutes(ms: u64) -> String {
    let seconds = ms.div_ceil(1000);
    match (seconds / 60, seconds % 60) {
        (0, s) => format!("{s} s"),
        (m, s) => format!("{m} min {s} s"),
    }
}

/// A bar on a terminal, a line a trial elsewhere.
struct Bar {
    bar: Option<ProgressBar>,
    total_ms: u64,
    /// What was done before this program began.
    before_ms: u64,
    done_ms: u64,
    trials: usize,
    began: Instant,
}

impl Bar {
    fn new(plan: &Plan, done: &[TrialRecord]) -> Self {
        let total_ms = plan.trials_ms();
        let before_ms = done.iter().map(|record| record.trial.expected_ms()).sum();
        let bar = output::watched().then(|| {
            let bar = ProgressBar::with_draw_target(Some(total_ms), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{prefix} {wide_bar} {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_position(before_ms);
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        let (trials, began) = (plan.trials.len(), Instant::now());
        Self { bar, total_ms, before_ms, done_ms: before_ms, trials, began }
    }

    /// Time that is left, from how the trials so far went beside what was expected of them.
    fn left(&self) -> String {
        let pace = match self.done_ms - self.before_ms {
            0 => 1.0,
            done => self.began.elapsed().as_millis() as f64 / done as f64,
        };
        minutes(((self.total_ms - self.done_ms) as f64 * pace) as u64)
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// What a level of an experiment is called.
pub(super) fn named(experiment: &str, level: u32) -> String {
    experiment::find(experiment).map_or_else(|| level.to_string(), |e| e.level(level))
}

fn label(trial: &TrialPlan) -> String {
    match trial.level {
        0 => format!("{} {}", trial.experiment, trial.name()),
        level => {
            format!("{} {} {}", trial.experiment, trial.name(), named(&trial.experiment, level))
        }
    }
}

impl Progress for Bar {
    fn attacks(&mut self, arm: &str, case: &str) {
        if let Some(bar) = &self.bar {
            bar.set_prefix(fit(&format!("[attacks] {arm}"), NAME));
            bar.set_message(fit(case, NAME));
        }
    }

    fn attacked(&mut self, attacked: &Attacked) {
        // The pace is that of the trials.
        self.began = Instant::now();
        let found = match (&attacked.spared, attacked.bad().count()) {
            (Some(why), _) => format!("not attacked: {why}"),
            (None, 0) => format!(
                "{} cases run, none got through; {} do not apply",
                attacked.run(),
                attacked.count(CaseOutcome::NotApplicable)
            ),
            (None, bad) => format!("FAILED {bad} of {} cases", attacked.run()),
        };
        let text = format!("[attacks] {}: {found}", attacked.target);
        match &self.bar {
            Some(bar) => bar.suspend(|| output::note(&text)),
            None => output::note(&text),
        }
    }

    fn begins(&mut self, trial: &TrialPlan) {
        if let Some(bar) = &self.bar {
            let prefix = format!("[{}/{}] {}", trial.index + 1, self.trials, label(trial));
            bar.set_prefix(fit(&prefix, NAME));
            bar.set_message(format!("{} left", self.left()));
        }
    }

    fn repeats(&mut self, refused: &[TrialRecord]) {
        let Some(record) = refused.first() else { return };
        let why = record.refused.last().map_or("", |attempt| attempt.why.as_str());
        let number = record.trial.index + 1;
        let text = format!("[{number}/{}] runs again: {why}", self.trials);
        match &self.bar {
            Some(bar) => bar.suspend(|| output::note(&text)),
            None => output::note(&text),
        }
    }

    fn ended(&mut self, record: &TrialRecord) {
        self.done_ms = (self.done_ms + record.trial.expected_ms()).min(self.total_ms);
        let failure = match &record.outcome {
            TrialOutcome::Complete => String::new(),
            TrialOutcome::Failed { cause } => format!(": FAILED: {cause}"),
        };
        let text = format!(
            "[{}/{}] {}{failure}, {} left",
            record.trial.index + 1,
            self.trials,
            label(&record.trial),
            self.left()
        );
        match &self.bar {
            Some(bar) if failure.is_empty() => bar.set_position(self.done_ms),
            Some(bar) => bar.suspend(|| output::note(&text)),
            None => output::note(&text),
        }
    }
}
