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

/// Right answers that are kept before their durations are counted in the histograms.
///
/// A histogram is a table of 270 KB, and what the kernel does for a request drives its places out of
/// the processor's cache before the next request wants one. So durations are kept one behind the
/// other, and counted many at a time: then the processor waits for several places at once.
const KEPT_MOST: usize = 256;

/// Says that a right answer is in no second of the timeline, or in no step.
const NOWHERE: u32 = u32::MAX;

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

/// A right answer that is in the counts and not yet in the histograms.
#[derive(Clone, Copy, Debug)]
struct Kept {
    at: Moments,
    /// Index of the second of the timeline in which it ended.
    second: u32,
    /// Index of its step.
    step: u32,
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
    /// What the histograms of steps and timeline still lack.
    kept: Vec<Kept>,
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
            kept: Vec::with_capacity(KEPT_MOST),
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
        let mut kept = Kept { at, second: NOWHERE, step: NOWHERE };
        if self.window.contains(&at.done_ns) {
            let after_ns = self.before_ns + at.done_ns - self.window.start;
            self.ends.mark(after_ns);
            self.counts.ended_in_window += 1;
            let second = after_ns / SECOND_NS;
            let of_second = &mut self.timeline[second as usize];
            of_second.ended += 1;
            if ok {
                self.counts.ok_in_window += 1;
                of_second.ok += 1;
                kept.second = second as u32;
            }
        }
        if self.window.contains(&at.planned_ns) {
            let step = request - self.first;
            match outcome.error_class() {
                None => {
                    self.counts.ok += 1;
                    kept.step = step as u32;
                }
                Some(class) => {
                    self.steps[step].lag.record(at.sent_ns.saturating_sub(at.planned_ns));
                    self.errors[class] += 1;
                }
            }
        }
        if (kept.second, kept.step) != (NOWHERE, NOWHERE) {
            self.kept.push(kept);
            if self.kept.len() == KEPT_MOST {
                self.count_kept();
            }
        }
    }

    /// Counts in the histograms what was kept for them. Counts do not depend on their order.
    fn count_kept(&mut self) {
        for Kept { at, second, step } in self.kept.drain(..) {
            let response_ns = at.done_ns.saturating_sub(at.planned_ns);
            if second != NOWHERE {
                self.timeline[second as usize].response.record(response_ns);
            }
            if step != NOWHERE {
                let step = &mut self.steps[step as usize];
                step.lag.record(at.sent_ns.saturating_sub(at.planned_ns));
                step.response.record(response_ns);
                step.service.record(at.done_ns.saturating_sub(at.sent_ns));
            }
        }
    }

    /// What has been counted when second `second` of Measure is over.
    pub(super) fn tick(&mut self, worker: u32, second: u64) -> Tick {
        self.count_kept();
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
    pub fn into_parts(mut self) -> (Counts, Vec<StepRecord>, Vec<Second>, Ends) {
        self.count_kept();
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::transport::Failure;

    /// Measure lasts from 1 s to 3 s.
    const WINDOW: Range<u64> = SECOND_NS..3 * SECOND_NS;

    fn script() -> Script {
        let target = toml::from_str(
            "name = 't'\nbase_url = 'http://127.0.0.1:1'\n[journeys.browse]\n\
             steps = [{ name = 'one', path = '/1' }, { name = 'two', path = '/2' }]\n",
        );
        Script::new(&target.unwrap(), "browse").unwrap()
    }

    /// What steps and timeline hold when each request is counted at once.
    struct AtOnce {
        steps: [[Histogram; 3]; 2],
        seconds: [Histogram; 2],
    }

    impl AtOnce {
        fn count(&mut self, step: usize, at: Moments, ok: bool) {
            let [response, service, lag] = &mut self.steps[step];
            let response_ns = at.done_ns - at.planned_ns;
            if WINDOW.contains(&at.planned_ns) {
                lag.record(at.sent_ns - at.planned_ns);
                if ok {
                    response.record(response_ns);
                    service.record(at.done_ns - at.sent_ns);
                }
            }
            if WINDOW.contains(&at.done_ns) && ok {
                let second = (at.done_ns - WINDOW.start) / SECOND_NS;
                self.seconds[second as usize].record(response_ns);
            }
        }
    }

    fn moments() -> impl Strategy<Value = Moments> {
        (0..4 * SECOND_NS, 0u64..1 << 31, 0u64..1 << 31).prop_map(|(planned_ns, lag, service)| {
            let sent_ns = planned_ns + lag;
            Moments { planned_ns, sent_ns, done_ns: sent_ns + service }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn histograms_hold_what_they_would_if_each_request_were_counted_at_once(
            requests in prop::collection::vec((moments(), 0..2usize, 0..8u8), 0..3 * KEPT_MOST),
            looks in prop::collection::vec(0..3 * KEPT_MOST, 0..3),
        ) {
            let script = script();
            let mut recorder = Recorder::new(&script, script.steps.clone(), WINDOW);
            let mut expected = AtOnce {
                steps: Default::default(),
                seconds: [Histogram::coarse(), Histogram::coarse()],
            };
            for (n, (at, step, class)) in requests.iter().enumerate() {
                let outcome = match class {
                    0 => Outcome::Failed(Failure::Reset),
                    _ => Outcome::Ok,
                };
                recorder.ended(script.steps.start + step, *at, outcome);
                expected.count(*step, *at, outcome == Outcome::Ok);
                if looks.contains(&n) {
                    let second = n as u64 % 2;
                    let seen = recorder.tick(0, second).response;
                    prop_assert_eq!(&seen, &expected.seconds[second as usize]);
                }
            }
            let (counts, steps, timeline, _) = recorder.into_parts();
            for (found, expected) in steps.into_iter().zip(expected.steps) {
                prop_assert_eq!([found.response, found.service, found.lag], expected);
            }
            for (found, expected) in timeline.iter().zip(&expected.seconds) {
                prop_assert_eq!(&found.response, expected);
                prop_assert_eq!(found.ok, expected.count());
            }
            let timed: u64 = timeline.iter().map(|second| second.ok).sum();
            prop_assert_eq!(counts.ok_in_window, timed);
        }
    }
}
