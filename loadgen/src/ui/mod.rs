//! A page on loopback that shows a campaign while it runs: the report so far in a frame, and above
//! it progress, the last figures of each arm and the worst doubt. It reads and never acts.

mod answer;
mod serve;
mod state;

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use state::{ArmState, DoubtState, Shared, State};
use tokio::sync::watch;

use crate::campaign::Latest;
use crate::error::Result;
use crate::report::figure;
use crate::sanitise::{REMARK, fit};

/// A report takes part of a second to make, on a core that trials need: it is made between trials,
/// while someone watches, and takes at most this share of the time.
const REPORT_SHARE: f64 = 0.02;

/// Makes the report of the trials that have ended, as HTML.
pub type Render<'a> = Box<dyn FnMut() -> Result<String> + 'a>;

/// A page that is being served.
pub struct Ui<'a> {
    shared: Arc<Shared>,
    render: Render<'a>,
    /// When the report was last made, and how long that took.
    rendered: Option<(Instant, Duration)>,
    url: String,
    thread: Option<JoinHandle<()>>,
}

impl<'a> Ui<'a> {
    /// Serves the page on a free port of the loopback interface.
    ///
    /// # Errors
    /// `Io` when no port, no random number or no thread can be had.
    pub fn start(campaign: &str, planned: usize, render: Render<'a>) -> Result<Self> {
        let state = State { campaign: shown(campaign), planned, ..State::default() };
        let (listener, token) = serve::listen()?;
        let port = listener.port;
        let shared = Arc::new(Shared {
            states: watch::Sender::new(state),
            report: Mutex::new("".into()),
            hosts: ["127.0.0.1", "localhost"].map(|name| format!("{name}:{port}")),
            token,
        });
        let url = format!("http://{}/{}/", shared.hosts[0], shared.token);
        let thread = Some(serve::spawn(listener, Arc::clone(&shared))?);
        Ok(Self { shared, render, rendered: None, url, thread })
    }

    /// Where the page is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Says what is happening.
    pub fn now(&mut self, now: &str, left: &str) {
        self.shared.states.send_modify(|state| {
            state.now = shown(now);
            state.left = left.into();
        });
    }

    /// Says what the trials so far say.
    ///
    /// To be called between trials: it makes the report anew where someone watches and it is time.
    ///
    /// # Errors
    /// Those of the report.
    pub fn ended(&mut self, latest: &Latest, named: impl Fn(&str, u32) -> String) -> Result<()> {
        let arms = latest.trials().map(|(arm, last)| ArmState {
            arm: shown(arm),
            trial: shown(&format!("{}, {}", last.experiment, named(&last.experiment, last.level))),
            figures: last
                .figures
                .iter()
                .map(|(metric, value)| [metric.label.into(), figure(*value, metric.unit)])
                .collect(),
            valid: last.valid,
        });
        let arms = arms.collect();
        let doubt = latest.worst().map(|doubt| DoubtState {
            invalidates: doubt.invalidates,
            what: shown(&doubt.what),
            remedy: shown(&doubt.remedy),
        });
        let (invalid, ended) = latest.invalid();
        self.shared.states.send_modify(|state| {
            *state = State { arms, doubt, invalid, ended, ..std::mem::take(state) };
        });
        let due = self.rendered.is_none_or(|(when, took)| {
            when.elapsed().as_secs_f64() * REPORT_SHARE > took.as_secs_f64()
        });
        if due && self.is_watched() { self.report() } else { Ok(()) }
    }

    /// Says that the campaign is over, with the last report, and ends the page.
    ///
    /// # Errors
    /// Those of the report.
    pub fn finish(mut self, says: &str) -> Result<()> {
        let reported = if self.is_watched() { self.report() } else { Ok(()) };
        self.over(says);
        reported
    }

    fn over(&self, says: &str) {
        self.shared.states.send_modify(|state| state.over = Some(shown(says)));
    }

    /// Whether a browser listens.
    fn is_watched(&self) -> bool {
        // One receiver is the server's own.
        self.shared.states.receiver_count() > 1
    }

    fn report(&mut self) -> Result<()> {
        let began = Instant::now();
        let page = (self.render)()?;
        *self.shared.report.lock().unwrap_or_else(PoisonError::into_inner) = page.into();
        self.rendered = Some((Instant::now(), began.elapsed()));
        self.shared.states.send_modify(|state| state.report += 1);
        Ok(())
    }
}

impl Drop for Ui<'_> {
    fn drop(&mut self) {
        if self.shared.states.borrow().over.is_none() {
            self.over("The campaign has ended early.");
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Text from outside, fit for a page.
fn shown(text: &str) -> String {
    fit(text, REMARK)
}
