//! `--stage`, and the figures of each stage. They come from the seconds of Measure that lie whole
//! in a stage, which are kept anyway: telling stages apart costs the load nothing.

use std::str::FromStr;

use serde::Serialize;

use super::distribution::Distribution;
use crate::load::{LoadModel, Stage, Stages};
use crate::record::{Histogram, LoadRecord};
use crate::report::figure;
use crate::sanitise::Page;
use crate::units::{Rate, Span, grouped};

/// Length of an interval of a record's timeline, ns.
const SECOND_NS: u64 = 1_000_000_000;

/// A `--stage`.
#[derive(Clone, Copy, Debug)]
pub(super) struct StageFlag(pub(super) Stage);

impl FromStr for StageFlag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("expected a stage such as `1000/s:30s`, found `{text}`");
        let (rate, length) = text.split_once(':').ok_or_else(form)?;
        let rate_per_s = match rate {
            "0" | "0/s" => 0.0,
            _ => rate.parse::<Rate>().map_err(|e| format!("{}: {e}", form()))?.per_second(),
        };
        let length: Span = length.parse().map_err(|e| format!("{}: {e}", form()))?;
        Ok(Self(Stage { rate_per_s, length_ns: length.ns() }))
    }
}

/// One stage of a load whose rate changes. The figures are those of its whole seconds, and `null`
/// where it has none.
#[derive(Debug, Serialize)]
pub(super) struct StageFigures {
    /// The rate at its beginning.
    from_rps: f64,
    /// The rate at its end.
    to_rps: f64,
    duration_s: f64,
    /// How many of its seconds lie whole in it, and were measured.
    seconds: u64,
    /// The mean rate that was asked for in those seconds.
    offered_rps: Option<f64>,
    /// Requests that ended in them, per second.
    achieved_rps: Option<f64>,
    /// Right answers in them, per second.
    goodput_rps: Option<f64>,
    /// Requests that ended in them without the right answer.
    errors: u64,
    /// Response times of the right answers that came in them.
    response_us: Distribution,
}

impl StageFigures {
    fn new(stage: &Stage, from_rps: f64, began_ns: u64, load: &LoadRecord) -> Self {
        let (to_rps, length_ns) = (stage.rate_per_s, stage.length_ns);
        let ends_ns = (began_ns + length_ns).min(load.counts.window_ns);
        let (first, end) = (began_ns.div_ceil(SECOND_NS), ends_ns / SECOND_NS);
        let end = end.min(load.timeline.len() as u64);
        let seconds = end.saturating_sub(first);
        let (mut ended, mut ok, mut response) = (0, 0, Histogram::coarse());
        for second in load.timeline.iter().skip(first as usize).take(seconds as usize) {
            ended += second.ended;
            ok += second.ok;
            response.merge(&second.response);
        }
        let per_second = |count: u64| (seconds > 0).then(|| count as f64 / seconds as f64);
        // The rate is a straight line, so its mean is that of the middle.
        let middle_ns = (first + end) as f64 / 2.0 * SECOND_NS as f64;
        let share = (middle_ns - began_ns as f64) / length_ns.max(1) as f64;
        Self {
            from_rps,
            to_rps,
            duration_s: length_ns as f64 / 1e9,
            seconds,
            offered_rps: (seconds > 0).then_some(from_rps + (to_rps - from_rps) * share),
            achieved_rps: per_second(ended),
            goodput_rps: per_second(ok),
            errors: ended - ok,
            response_us: Distribution::new(&response),
        }
    }

    fn cells(&self, number: usize) -> [String; 7] {
        let rate = |rps: Option<f64>| rps.map_or("–".into(), |rps| figure(rps, "requests/s"));
        let time = |us: Option<f64>| us.map_or("–".into(), |us| figure(us, "us"));
        let length = Span::from_millis((self.duration_s * 1e3) as u64);
        [
            format!("stage {number}"),
            format!("{}/s to {}/s, {length}", self.from_rps, self.to_rps),
            rate(self.offered_rps),
            rate(self.achieved_rps),
            time(self.response_us.p50),
            time(self.response_us.p99),
            grouped(self.errors),
        ]
    }
}

/// The stages of a load, those without length left out; none for a load of another model.
pub(super) fn figures(model: &LoadModel, load: &LoadRecord) -> Vec<StageFigures> {
    let LoadModel::Stages(Stages { stages }) = model else { return Vec::new() };
    let (mut from_rps, mut began_ns, mut all) = (0.0, 0, Vec::new());
    for stage in stages {
        if stage.length_ns > 0 {
            all.push(StageFigures::new(stage, from_rps, began_ns, load));
        }
        from_rps = stage.rate_per_s;
        began_ns += stage.length_ns;
    }
    all
}

/// Adds the table of stages.
pub(super) fn table(stages: &[StageFigures], page: &mut Page) {
    if stages.is_empty() {
        return;
    }
    let head = ["", "", "asked for", "ended", "p50", "p99", "errors"].map(String::from);
    let rows = stages.iter().enumerate().map(|(index, stage)| stage.cells(index + 1));
    page.table("  ", &std::iter::once(head).chain(rows).collect::<Vec<_>>(), &(2..7));
    if stages.iter().any(|stage| (stage.seconds as f64) < stage.duration_s) {
        page.line("  –            a stage is told by its whole seconds");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Second;

    fn stage(rate_per_s: f64, ms: u64) -> Stage {
        Stage { rate_per_s, length_ns: ms * 1_000_000 }
    }

    /// A load in which second n had n requests, of which one failed, and each took n ms.
    fn load(seconds: u64) -> LoadRecord {
        let second = |n: u64| {
            let mut response = Histogram::coarse();
            (1..n).for_each(|_| response.record(n * 1_000_000));
            Second { ended: n, ok: n.saturating_sub(1), response }
        };
        let mut load = engine::answered(1);
        load.counts.window_ns = seconds * SECOND_NS;
        load.timeline = (0..seconds).map(second).collect();
        load
    }

    fn of(stages: &[Stage], seconds: u64) -> Vec<StageFigures> {
        figures(&LoadModel::Stages(Stages { stages: stages.to_vec() }), &load(seconds))
    }

    #[test]
    fn stages_are_read() {
        for (text, rate, ms) in
            [("0/s:10s", 0.0, 10_000), ("0:1s", 0.0, 1000), ("2k/s:1m30s", 2000.0, 90_000)]
        {
            let StageFlag(found) = text.parse().unwrap();
            assert_eq!(found, stage(rate, ms), "{text}");
        }
        for text in ["5/s", "5/s:", ":5s", "-5/s:1s", "5/s:5", "5s:5/s"] {
            let error = text.parse::<StageFlag>().unwrap_err();
            assert!(error.contains("expected a stage such as"), "{text}: {error}");
        }
    }

    #[test]
    fn a_stage_has_the_seconds_that_lie_whole_in_it() {
        let all = of(&[stage(0.0, 2000), stage(100.0, 4000), stage(100.0, 2500)], 9);
        let seconds: Vec<_> = all.iter().map(|stage| stage.seconds).collect();
        assert_eq!(seconds, [2, 4, 2], "the half second at the end is in none");
        let ramp = &all[1];
        assert_eq!((ramp.from_rps, ramp.to_rps, ramp.offered_rps), (0.0, 100.0, Some(50.0)));
        assert_eq!((ramp.achieved_rps, ramp.errors), (Some((2 + 3 + 4 + 5) as f64 / 4.0), 4));
        let max = ramp.response_us.max.unwrap();
        assert!((4900.0..5200.0).contains(&max), "{max}");
        assert_eq!(all[0].offered_rps, Some(0.0));
        // Seconds 6 and 7, whose rate does not change.
        assert_eq!((all[2].offered_rps, all[2].achieved_rps), (Some(100.0), Some(6.5)));
    }

    #[test]
    fn what_was_not_measured_is_in_no_stage() {
        let all = of(&[stage(100.0, 0), stage(100.0, 1500), stage(0.0, 1500)], 2);
        assert_eq!(all.len(), 2, "a jump is no stage");
        assert_eq!((all[0].from_rps, all[0].seconds, all[1].seconds), (100.0, 1, 0));
        assert_eq!((all[1].offered_rps, all[1].errors), (None, 0));
        let mut page = Page::default();
        table(&all, &mut page);
        assert!(page.contains("stage 2  100/s to 0/s, 1.5s"), "{}", &*page);
        assert!(page.contains("whole seconds"), "{}", &*page);
        assert!(page.lines().all(|line| line.chars().count() <= 80), "{}", &*page);
    }
}
