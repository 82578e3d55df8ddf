//! What is seen of a campaign while it runs: on a terminal, in a log, and in a browser (`--ui`).

use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::output;
use super::shared::{minutes, named};
use crate::campaign::{Latest, Progress};
use crate::error::Result;
use crate::plan::{Plan, TrialPlan};
use crate::record::{Attacked, CaseOutcome, TrialOutcome, TrialRecord};
use crate::report::figure;
use crate::sanitise::fit;
use crate::ui::{Render, Ui};

/// Columns of a terminal that is as narrow as most.
const COLUMNS: usize = 79;
/// Lines for arms on a terminal of 24 lines.
const ARMS_MAX: usize = 16;

/// The share of a plan for which its own times count, in addition to the trials that are done.
const PLAN_COUNTS_FOR: f64 = 0.2;
/// How much slower or faster than planned the rest is taken to be at most.
const PACE_MAX: f64 = 3.0;

/// All that show how a campaign goes on.
pub(super) struct Watchers<'a> {
    bar: Bar,
    latest: Latest,
    ui: Option<Ui<'a>>,
}

impl<'a> Watchers<'a> {
    /// Watchers of a campaign of which so much is done; with a page where its report can be made.
    ///
    /// # Errors
    /// `Io` when the page cannot be served.
    pub(super) fn new(
        plan: &Plan,
        done: &[TrialRecord],
        render: Option<Render<'a>>,
    ) -> Result<Self> {
        let mut latest = Latest::default();
        done.iter().for_each(|record| latest.see(record));
        let start = |render| Ui::start(&plan.name, plan.trials.len(), render);
        let mut ui = render.map(start).transpose()?;
        if let Some(ui) = &mut ui {
            output::note(&format!("watch it at {}", ui.url()));
            ui.ended(&latest, named)?;
        }
        Ok(Self { bar: Bar::new(plan, done), latest, ui })
    }

    /// Time that is left, in words.
    pub(super) fn left(&self) -> String {
        self.bar.left()
    }

    /// Ends them; a page shows this last.
    pub(super) fn finish(self, says: &str) {
        self.bar.finish();
        if let Some(Err(e)) = self.ui.map(|ui| ui.finish(says)) {
            output::note(&format!("the page has no last report: {e}"));
        }
    }
}

impl Progress for Watchers<'_> {
    fn attacks(&mut self, arm: &str, case: &str) {
        self.bar.attacks(arm, case);
        if let Some(ui) = &mut self.ui {
            ui.now(&format!("attacking {arm}"), &self.bar.left());
        }
    }

    fn attacked(&mut self, attacked: &Attacked) {
        self.bar.attacked(attacked);
    }

    fn begins(&mut self, trial: &TrialPlan) {
        self.bar.begins(trial);
        if let Some(ui) = &mut self.ui {
            ui.now(&label(trial), &self.bar.left());
        }
    }

    fn repeats(&mut self, refused: &[TrialRecord]) {
        let Some(record) = refused.first() else { return };
        let why = record.refused.last().map_or("", |attempt| attempt.why.as_str());
        let (number, all) = (record.trial.index + 1, self.bar.trials);
        self.bar.says(&format!("[{number}/{all}] runs again: {why}"));
        if let Some(ui) = &mut self.ui {
            ui.now(&format!("{} runs again: {why}", label(&record.trial)), &self.bar.left());
        }
    }

    fn ended(&mut self, record: &TrialRecord) {
        self.latest.see(record);
        self.bar.ended(record, &self.latest);
        if let Some(Err(e)) = self.ui.as_mut().map(|ui| ui.ended(&self.latest, named)) {
            self.bar.says(&format!("the page has no new report: {e}"));
        }
    }
}

/// A few lines on a terminal, a line per trial elsewhere.
struct Bar {
    terminal: Option<Terminal>,
    total_ms: u64,
    /// What was done before this program began.
    before_ms: u64,
    done_ms: u64,
    trials: usize,
    began: Instant,
}

/// A bar with the time that is left, below it a line per arm and the worst doubt.
struct Terminal {
    lines: MultiProgress,
    bar: ProgressBar,
    arms: Vec<(String, ProgressBar)>,
    doubt: ProgressBar,
}

impl Terminal {
    fn new(total_ms: u64, done_ms: u64) -> Self {
        let lines = MultiProgress::new();
        let bar = lines.add(ProgressBar::new(total_ms));
        let style = ProgressStyle::with_template("{bar:20} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_position(done_ms);
        bar.enable_steady_tick(Duration::from_millis(500));
        let doubt = Self::line(&lines);
        Self { lines, bar, arms: Vec::new(), doubt }
    }

    fn line(lines: &MultiProgress) -> ProgressBar {
        let line = lines.add(ProgressBar::new(1));
        let style = ProgressStyle::with_template("{msg}");
        line.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        line
    }

    fn show(&mut self, latest: &Latest) {
        for (arm, last) in latest.trials().take(ARMS_MAX) {
            let at = self.arms.iter().position(|(known, _)| known == arm).unwrap_or_else(|| {
                let line = Self::line(&self.lines);
                self.lines.remove(&self.doubt);
                self.doubt = self.lines.add(self.doubt.clone());
                self.arms.push((arm.to_owned(), line));
                self.arms.len() - 1
            });
            let figures: Vec<String> =
                last.figures.iter().map(|(metric, value)| figure(*value, metric.unit)).collect();
            let mark = if last.valid { "" } else { " (invalid)" };
            let text = format!("{arm:<24} {:<11} {}{mark}", last.experiment, figures.join(", "));
            self.arms[at].1.set_message(fit(&text, COLUMNS));
        }
        if let Some(doubt) = latest.worst() {
            let (invalid, _) = latest.invalid();
            let grade = match (doubt.invalidates, invalid) {
                (false, _) => "doubt".into(),
                (true, 1) => "1 trial invalid".into(),
                (true, invalid) => format!("{invalid} trials invalid"),
            };
            self.doubt.set_message(fit(&format!("{grade}: {}", doubt.what), COLUMNS));
        }
    }
}

/// How much longer trials take than was expected of them, from those that are done. The first say
/// little, because several run together and the first to end has waited for all of them: the plan
/// counts as much as a part of it, and no pace is believed beyond a factor.
fn pace(took_ms: f64, done_ms: u64, total_ms: u64) -> f64 {
    let plan_ms = total_ms as f64 * PLAN_COUNTS_FOR;
    let pace = (took_ms + plan_ms) / (done_ms as f64 + plan_ms).max(1.0);
    if done_ms == 0 { 1.0 } else { pace.clamp(PACE_MAX.recip(), PACE_MAX) }
}

impl Bar {
    fn new(plan: &Plan, done: &[TrialRecord]) -> Self {
        let total_ms = plan.trials_ms();
        let before_ms = done.iter().map(|record| record.trial.expected_ms()).sum();
        let terminal = output::watched().then(|| Terminal::new(total_ms, before_ms));
        let (trials, began) = (plan.trials.len(), Instant::now());
        Self { terminal, total_ms, before_ms, done_ms: before_ms, trials, began }
    }

    /// Time that is left, from how the trials so far went compared with what was expected of them.
    fn left(&self) -> String {
        let took_ms = self.began.elapsed().as_millis() as f64;
        let left_ms = (self.total_ms - self.done_ms) as f64;
        minutes((left_ms * pace(took_ms, self.done_ms - self.before_ms, self.total_ms)) as u64)
    }

    fn finish(&self) {
        if let Some(terminal) = &self.terminal {
            let _ = terminal.lines.clear();
        }
    }

    /// Writes a line that stays.
    fn says(&self, text: &str) {
        match &self.terminal {
            Some(terminal) => terminal.lines.suspend(|| output::note(text)),
            None => output::note(text),
        }
    }

    fn attacks(&self, arm: &str, case: &str) {
        if let Some(terminal) = &self.terminal {
            terminal.bar.set_message(fit(&format!("attacking {arm}: {case}"), COLUMNS - 21));
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
        self.says(&format!("[attacks] {}: {found}", attacked.target));
    }

    fn begins(&self, trial: &TrialPlan) {
        if let Some(terminal) = &self.terminal {
            let place = format!("{}/{}", trial.index + 1, self.trials);
            let text = format!("{} left, {place} {}", self.left(), label(trial));
            terminal.bar.set_message(fit(&text, COLUMNS - 21));
        }
    }

    fn ended(&mut self, record: &TrialRecord, latest: &Latest) {
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
        if self.terminal.is_none() || !failure.is_empty() {
            self.says(&text);
        }
        if let Some(terminal) = &mut self.terminal {
            terminal.bar.set_position(self.done_ms);
            terminal.show(latest);
        }
    }
}

fn label(trial: &TrialPlan) -> String {
    match trial.level {
        0 => format!("{} {}", trial.experiment, trial.name()),
        level => {
            format!("{} {} {}", trial.experiment, trial.name(), named(&trial.experiment, level))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::pace;

    #[test]
    fn the_first_trial_does_not_stretch_the_rest_by_its_own_factor() {
        let total = 104_000;
        assert!((pace(10_000.0, 0, total) - 1.0).abs() < 1e-9);
        // One trial of 150 that took 15 times as long.
        let first = pace(10_400.0, 693, total);
        assert!(first > 1.0 && first < 1.5, "{first}");
        assert!(pace(1e9, 693, total) <= 3.0 && pace(0.0, 100_000, total) >= 1.0 / 3.0);
    }

    #[test]
    fn a_machine_that_is_slower_throughout_is_told_in_time() {
        let total = 100_000;
        for (done, least) in [(30_000, 1.5), (60_000, 1.7), (90_000, 1.8)] {
            let found = pace(2.0 * done as f64, done, total);
            assert!((least..2.0).contains(&found), "{done}: {found}");
        }
    }
}
