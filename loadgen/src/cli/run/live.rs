//! What is seen of a run while it runs: a line that refreshes on a terminal, a plain line every few
//! seconds elsewhere. It goes to stderr, so it is never among the data.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::super::output;
use crate::engine::{Phase, Progress};
use crate::load::LoadModel;
use crate::plan::LoadPlan;
use crate::report::figure;
use crate::units::{counted, grouped};

/// Where nobody watches, a line is written after so many seconds of Measure.
const PLAIN_EVERY_S: u64 = 5;
/// How often they are told how far the logins are.
const PLAIN_EVERY: Duration = Duration::from_secs(PLAIN_EVERY_S);
/// How often the time that is left is written anew.
const REFRESH: Duration = Duration::from_millis(200);

/// The view of one run.
pub(super) struct Live {
    bar: Option<ProgressBar>,
    users: u32,
    offered_rps: Option<f64>,
    /// How many requests there will be, where that and not the time ends the load.
    total: Option<u32>,
    /// Requests that have ended.
    ended: u64,
    /// Users who have logged in, and when that was told last where nobody watches.
    ready: u32,
    told: Instant,
    /// When Warmup began.
    began: Option<Instant>,
    length: Duration,
    phase: &'static str,
    figures: String,
    drawn: Instant,
}

impl Live {
    pub(super) fn new(plan: &LoadPlan) -> Self {
        let length = Duration::from_nanos(plan.warmup_ns + plan.measure_ns);
        let total = match &plan.model {
            LoadModel::Closed(closed) => closed.requests,
            _ => None,
        };
        let bar = output::watched().then(|| {
            let end = total.map_or(length.as_millis() as u64, u64::from);
            let bar = ProgressBar::with_draw_target(Some(end), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{prefix} {bar:16} {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Self {
            bar,
            users: plan.users,
            offered_rps: plan.model.offered_rps(),
            total,
            ended: 0,
            ready: 0,
            told: Instant::now(),
            began: None,
            length,
            phase: "",
            figures: String::new(),
            drawn: Instant::now(),
        }
    }

    pub(super) fn enter(&mut self, phase: Phase) {
        self.phase = match phase {
            Phase::Setup => "setting up",
            Phase::Warmup => "warming up",
            Phase::Measure => "measuring",
            Phase::Drain => "draining",
        };
        if phase == Phase::Setup {
            self.figures = counted(self.users.into(), "user");
        } else if self.began.is_none() {
            self.began = Some(Instant::now());
            self.figures = counted(self.users.into(), "user");
        }
        self.draw();
    }

    pub(super) fn second(&mut self, progress: &Progress) {
        self.figures = figures(self.users, self.offered_rps, progress);
        self.ended = progress.ended;
        match &self.bar {
            Some(_) => self.draw(),
            None if progress.seconds.is_multiple_of(PLAIN_EVERY_S) => {
                output::note(&format!("{} s: {}", progress.seconds, self.figures));
            }
            None => {}
        }
    }

    /// So many users have logged in.
    pub(super) fn users_ready(&mut self, users: u32) {
        if self.began.is_some() || users == self.ready {
            return;
        }
        self.ready = users;
        self.figures = logged_in(users, self.users);
        if self.bar.is_none() && self.told.elapsed() >= PLAIN_EVERY {
            self.told = Instant::now();
            output::note(&format!("setting up: {}", self.figures));
        }
        self.draw();
    }

    /// To be called often.
    pub(super) fn refresh(&mut self) {
        if self.drawn.elapsed() >= REFRESH {
            self.draw();
        }
    }

    fn draw(&mut self) {
        let Some(bar) = &self.bar else { return };
        self.drawn = Instant::now();
        let done = self.began.map_or(Duration::ZERO, |began| began.elapsed()).min(self.length);
        bar.set_prefix(self.phase);
        if self.began.is_none() && self.ready > 0 {
            // The bar has the length of the load, of which nothing is over yet.
            let length = bar.length().unwrap_or_default();
            bar.set_position(length * u64::from(self.ready) / u64::from(self.users.max(1)));
            return bar.set_message(self.figures.clone());
        }
        if let Some(total) = self.total {
            bar.set_position(self.ended);
            let (ended, total) = (grouped(self.ended), grouped(total.into()));
            return bar.set_message(format!("{ended} of {total} requests, {}", self.figures));
        }
        bar.set_position(done.as_millis() as u64);
        let left = (self.length - done).as_secs_f64().ceil();
        bar.set_message(format!("{left} s left, {}", self.figures));
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// How far the logins are.
fn logged_in(users: u32, all: u32) -> String {
    format!("{} of {} logged in", grouped(users.into()), counted(all.into(), "user"))
}

/// The figures so far: the rate of the last second, the percentiles of all of them.
fn figures(users: u32, offered_rps: Option<f64>, progress: &Progress) -> String {
    let asked = offered_rps.map(|rps| format!(" of {} asked for", figure(rps, "requests/s")));
    let percentile = |quantile| figure(progress.response.quantile_ns(quantile) as f64 / 1e3, "us");
    format!(
        "{}, {}{}, p50 {}, p99 {}, {} errors",
        counted(users.into(), "user"),
        figure(progress.ended_in_second as f64, "requests/s"),
        asked.unwrap_or_default(),
        percentile(0.5),
        percentile(0.99),
        grouped(progress.ended - progress.ok),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Histogram;

    #[test]
    fn the_logins_say_how_far_they_are() {
        assert_eq!(logged_in(12_000, 1_000_000), "12,000 of 1,000,000 users logged in");
        assert_eq!(logged_in(0, 1), "0 of 1 user logged in");
    }

    #[test]
    fn the_figures_say_what_was_asked_and_what_came() {
        let mut response = Histogram::coarse();
        (0..100).for_each(|_| response.record(1_000_000));
        let progress = Progress {
            seconds: 3,
            planned: 300,
            ended: 290,
            ended_in_second: 95,
            ok: 280,
            response,
        };
        let text = figures(1000, Some(100.0), &progress);
        for part in ["1,000 users", "95.0 /s of 100 /s asked for", "p50 1.00 ms", "10 errors"] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        assert!(!figures(1, None, &progress).contains("asked"));
    }
}
