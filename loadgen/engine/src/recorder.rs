//! What one worker counts while a load runs. Each worker owns one; they are merged once, at the
//! end.

use std::ops::Range;

use super::ends::Ends;
use super::watch::Tick;
use crate::journey::Script;
use crate::record::{Counts, Histogram, Second, StepRecord};
use crate::transport::{ERROR_CLASSES, Outcome, error_class_name};

/// Length of an interval of the timeline, ns.
pub(super) const SECOND_NS: u64 = 1_000_000_000;

/// The three moments of a request, ns.
#[derive(Clone, Copy, Debug)]
pub struct Moments {
    /// When it was due.
    pub planned_ns: u64,
    /// When it was sent.
    pub sent_ns: u64,
    /// When its last byte was read.
    pub done_ns: u64,
}

/// Counters and histograms of one worker.
#[derive(Debug)]
pub struct Recorder {
    /// The Measure phase; a request belongs to it when it was planned in it.
    pub(super) window: Range<u64>,
    /// Length of the windows before it, where Measure is cut into slices, ns.
    before_ns: u64,
    /// Index of the first step among the script's requests.
    first: usize,
    steps: Vec<StepRecord>,
    timeline: Vec<Second>,
    /// When requests ended within the window.
    ends: Ends,
    counts: Counts,
    /// By class; boxed, because most are never touched.
    errors: Box<[u64; ERROR_CLASSES]>,
}

impl Recorder {
    /// A recorder of these requests of the script, by their indices in it.
    pub fn new(script: &Script, requests: Range<usize>, window: Range<u64>) -> Self {
        let first = requests.start;
        let steps = script.requests[requests].iter().map(|request| StepRecord {
            name: request.name.clone(),
            response: Histogram::new(),
            service: Histogram::new(),
            lag: Histogram::new(),
        });
        // Made before the load begins: making one while it runs would show as lag.
        let seconds = (window.end - window.start).div_ceil(SECOND_NS);
        let second = || Second { ended: 0, ok: 0, response: Histogram::coarse() };
        Self {
            ends: Ends::new(&window),
            first,
            window,
            before_ns: 0,
            steps: steps.collect(),
            timeline: (0..seconds).map(|_| second()).collect(),
            counts: Counts::default(),
            errors: Box::new([0; ERROR_CLASSES]),
        }
    }

    /// Lets the window begin so much later.
    pub(super) fn begin(&mut self, start_ns: u64) {
        self.window = self.window.start + start_ns..self.window.end + start_ns;
    }

    /// Empties the window: the slices of Measure are told one by one.
    pub(super) fn in_slices(&mut self) {
        self.window = 0..0;
    }

    /// Continues with the next slice of Measure, which follows the last one as if without a pause.
    pub(super) fn slide(&mut self, window: Range<u64>) {
        self.before_ns += self.window.end - self.window.start;
        self.window = window;
    }

    /// Requests of the window that were sent.
    pub(super) const fn sent_so_far(&self) -> u64 {
        self.counts.sent
    }

    /// Right answers that came within the windows so far.
    pub(super) const fn ok_in_window(&self) -> u64 {
        self.counts.ok_in_window
    }

    fn counts_for(&mut self, planned_ns: u64) -> Option<&mut Counts> {
        self.window.contains(&planned_ns).then_some(&mut self.counts)
    }

    /// Counts a request that is due.
    pub fn planned(&mut self, planned_ns: u64) {
        if let Some(counts) = self.counts_for(planned_ns) {
            counts.planned += 1;
        }
    }

    pub(super) fn queued(&mut self, planned_ns: u64) {
        if let Some(counts) = self.counts_for(planned_ns) {
            counts.queued += 1;
        }
    }

    pub(super) fn dropped(&mut self, planned_ns: u64) {
        if let Some(counts) = self.counts_for(planned_ns) {
            counts.dropped += 1;
        }
    }

    /// Counts a request that is being sent.
    pub fn sent(&mut self, planned_ns: u64) {
        if let Some(counts) = self.counts_for(planned_ns) {
            counts.sent += 1;
        }
    }

    pub(super) fn unfinished(&mut self, planned_ns: u64) {
        if let Some(counts) = self.counts_for(planned_ns) {
            counts.unfinished += 1;
        }
    }

    /// Counts the end of a request. Only right answers have a latency: a fast error is no success.
    ///
    /// # Panics
    /// If `request` is not one that it was made for.
    pub fn ended(&mut self, request: usize, at: Moments, outcome: Outcome) {
        let ok = outcome == Outcome::Ok;
        if self.window.contains(&at.done_ns) {
            let after_ns = self.before_ns + at.done_ns - self.window.start;
            self.ends.mark(after_ns);
            self.counts.ended_in_window += 1;
            self.counts.ok_in_window += u64::from(ok);
            let second = &mut self.timeline[(after_ns / SECOND_NS) as usize];
            second.ended += 1;
            if ok {
                second.ok += 1;
                second.response.record(at.done_ns.saturating_sub(at.planned_ns));
            }
        }
        if !self.window.contains(&at.planned_ns) {
            return;
        }
        let step = &mut self.steps[request - self.first];
        step.lag.record(at.sent_ns.saturating_sub(at.planned_ns));
        match outcome.error_class() {
            None => {
                self.counts.ok += 1;
                step.response.record(at.done_ns.saturating_sub(at.planned_ns));
                step.service.record(at.done_ns.saturating_sub(at.sent_ns));
            }
            Some(class) => self.errors[class] += 1,
        }
    }

    /// What has been counted when second `second` of Measure is over.
    pub(super) fn tick(&self, worker: u32, second: u64) -> Tick {
        Tick {
            worker,
            seconds: second + 1,
            planned: self.counts.planned,
            ended: self.counts.ended_in_window,
            ok: self.counts.ok_in_window,
            response: self.timeline[second as usize].response.clone(),
        }
    }

    /// What was counted, with the errors by their names; then the steps, the
    /// timeline, and when requests ended.
    pub fn into_parts(self) -> (Counts, Vec<StepRecord>, Vec<Second>, Ends) {
        let mut counts = self.counts;
        counts.window_ns = self.before_ns + self.window.end - self.window.start;
        for (class, count) in self.errors.iter().enumerate().filter(|(_, count)| **count > 0) {
            counts.errors.insert(error_class_name(class), *count);
        }
        // An interrupt may have cut the window.
        let mut timeline = self.timeline;
        timeline.truncate(counts.window_ns.div_ceil(SECOND_NS) as usize);
        (counts, self.steps, timeline, self.ends)
    }
}
