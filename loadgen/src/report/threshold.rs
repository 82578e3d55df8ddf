//! Thresholds of a run: `response_p99_us > 20ms` says what must not be true of its figures. A
//! figure that was not measured keeps no threshold.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use super::figure::figure;
use super::junit::{Case, Told, document};
use super::side::{Beyond, known_metric, number, units};
use crate::experiment::{METRICS, Metric};
use crate::record::LoadRecord;

/// What must not be true of a run.
#[derive(Clone, Debug)]
pub struct Threshold {
    text: String,
    metric: &'static Metric,
    beyond: Beyond,
    /// In the metric's unit.
    limit: f64,
}

/// The outcome of a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ThresholdOutcome {
    /// The figure is on the allowed side.
    Passed,
    /// The figure is on the forbidden side.
    Failed,
    /// The run does not have the figure, which counts as failed.
    NotMeasured,
}

/// A threshold, and the figure that it was compared with.
#[derive(Clone, Debug, Serialize)]
pub struct ThresholdResult {
    /// The threshold as it was given.
    pub threshold: String,
    /// What it limits.
    pub metric: &'static Metric,
    /// The unit of `found`.
    pub unit: &'static str,
    /// The figure; `None` where the run does not have it.
    pub found: Option<f64>,
    /// The outcome.
    pub outcome: ThresholdOutcome,
}

impl Threshold {
    /// Whether only a run that started the server can tell.
    pub fn needs_our_server(&self) -> bool {
        self.metric.is_of_server
    }

    /// Compares the figure of a load with the threshold.
    pub fn judge(&self, load: &LoadRecord) -> ThresholdResult {
        let found = (self.metric.of_load)(load);
        let outcome = match found {
            None => ThresholdOutcome::NotMeasured,
            Some(found) if self.beyond.has(found, self.limit) => ThresholdOutcome::Failed,
            Some(_) => ThresholdOutcome::Passed,
        };
        let (threshold, metric) = (self.text.clone(), self.metric);
        ThresholdResult { threshold, metric, unit: metric.unit, found, outcome }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--fail-if '{}'", self.text)
    }
}

const FORM: &str = "expected METRIC, one of > >= < <=, and a limit, such as `response_p99_us > \
                    20ms`, `error_rate > 0.1%` or `throughput_rps < 5k/s`";

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (name, beyond, limit) =
            Beyond::split(text).ok_or_else(|| format!("{FORM}; found `{text}`"))?;
        let of_load: Vec<_> = METRICS.iter().copied().filter(|m| m.is_of_load).collect();
        let metric = match Metric::named(name).filter(|metric| !metric.is_of_load) {
            Some(other) => {
                let names: Vec<_> = of_load.iter().map(|metric| metric.name).collect();
                return Err(format!(
                    "expected a metric of a run, found `{other}`, which campaigns measure; a run \
                     has {}",
                    names.join(", ")
                ));
            }
            None => known_metric(name, &of_load)?,
        };
        let limit = read_limit(limit, metric)?;
        Ok(Self { text: text.into(), metric, beyond, limit })
    }
}

fn read_limit(text: &str, metric: &Metric) -> Result<f64, String> {
    let units = units(metric.unit);
    if text.starts_with(['+', '-']) {
        return Err(format!(
            "expected a figure without a sign, found `{text}`: a run has no other to differ from; \
             `authbench compare --fail-if` limits changes"
        ));
    }
    let found = number(text).and_then(|(number, unit)| {
        let known = units.iter().find(|(name, _)| *name == unit).map(|(_, factor)| factor);
        let own = unit.is_empty().then_some(&1.0);
        Some(number * known.or(own)?)
    });
    found.ok_or_else(|| {
        let names: Vec<_> = units.iter().map(|(name, _)| *name).collect();
        format!(
            "expected a limit of {metric} such as `20{}`, in {} or without a unit ({}); found \
             `{text}`",
            names[0],
            names.join(", "),
            if metric.unit == "share" { "0.01 is 1 %" } else { metric.unit },
        )
    })
}

impl ThresholdResult {
    /// Whether the run failed it.
    pub fn is_failed(&self) -> bool {
        self.outcome != ThresholdOutcome::Passed
    }

    /// The figure that was found, in words.
    pub fn found(&self) -> String {
        match self.found {
            Some(found) => format!("found {}", figure(found, self.unit)),
            None if self.is_of_few() => "not measured: too few answers lie beyond it".into(),
            None => "not measured by this run".into(),
        }
    }

    /// Whether it is a percentile, which needs answers beyond it.
    fn is_of_few(&self) -> bool {
        self.metric.name.contains("_p99") || self.metric.name.contains("_p50")
    }

    /// The outcome in a word.
    pub fn word(&self) -> &'static str {
        if self.is_failed() { "failed" } else { "passed" }
    }
}

/// The thresholds of a run of `target` as test cases. Where its figures may not be used, all of
/// them fail, and `invalid` says why.
pub fn thresholds_junit(
    target: &str,
    results: &[ThresholdResult],
    invalid: Option<&str>,
) -> String {
    let case = |result: &ThresholdResult| {
        let told = match (invalid, result.is_failed()) {
            (Some(why), _) => Told::Failed(format!("{}, but {why}", result.found())),
            (None, true) => Told::Failed(result.found()),
            (None, false) => Told::Passed(result.found()),
        };
        Case { suite: "thresholds".into(), name: result.threshold.clone(), told }
    };
    let cases: Vec<_> = results.iter().map(case).collect();
    document(&format!("authbench run {target}"), &cases)
}

/// The same where there was no load.
pub fn thresholds_unmeasured(target: &str, thresholds: &[Threshold], why: &str) -> String {
    let case = |threshold: &Threshold| Case {
        suite: "thresholds".into(),
        name: threshold.text.clone(),
        told: Told::Failed(format!("not measured: {why}")),
    };
    let cases: Vec<_> = thresholds.iter().map(case).collect();
    document(&format!("authbench run {target}"), &cases)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine;

    fn threshold(text: &str) -> Threshold {
        text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    /// A load of a second with 4,900 right answers and 100 resets.
    fn load() -> LoadRecord {
        let mut load = engine::answered(4900);
        load.counts.ended_in_window = 5000;
        load.counts.sent = 5000;
        load.counts.errors.insert("reset".into(), 100);
        load
    }

    #[test]
    fn limits_are_read_in_any_unit_of_their_metric() {
        for (text, limit) in [
            ("response_p99_us > 20ms", 20_000.0),
            ("response_p99_us>20000", 20_000.0),
            ("service_p50_us >= 1.5 s", 1.5e6),
            ("throughput_rps < 5k/s", 5000.0),
            ("goodput_rps < 1.5M/s", 1.5e6),
            ("throughput_rps <= 5000", 5000.0),
            ("error_rate > 0.1%", 0.001),
            ("error_rate > 0.001", 0.001),
            ("server_rss_bytes > 64MiB", 67_108_864.0),
        ] {
            assert_eq!(threshold(text).limit, limit, "{text}");
        }
    }

    #[test]
    fn what_is_no_threshold_is_refused() {
        for (text, part) in [
            ("", "expected METRIC"),
            ("response_p99_us = 5ms", "expected METRIC"),
            ("p99 > 5ms", "did you mean one of `response_p99_us`"),
            ("latency_p99_us > 5ms", "found `latency_p99_us`"),
            ("capacity_rps < 5k/s", "which campaigns measure"),
            ("response_p99_us > +5%", "no other to differ from"),
            ("response_p99_us > 5%", "in us, µs, ms, s or without a unit (us); found `5%`"),
            ("response_p99_us >", "found ``"),
            ("response_p99_us > fast", "found `fast`"),
            ("response_p99_us > 1e3", "found `1e3`"),
            ("error_rate > 1ms", "0.01 is 1 %"),
            ("response_p99_us@none > 5ms", "found `response_p99_us@none`"),
        ] {
            let error = text.parse::<Threshold>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_figure_passes_or_fails_and_none_fails() {
        for (text, outcome, said) in [
            ("throughput_rps < 4000", ThresholdOutcome::Passed, "found 5,000 /s"),
            ("throughput_rps < 6k/s", ThresholdOutcome::Failed, "found 5,000 /s"),
            ("goodput_rps <= 4900", ThresholdOutcome::Failed, "found 4,900 /s"),
            ("error_rate > 2%", ThresholdOutcome::Passed, "found 2.00 %"),
            ("error_rate >= 2%", ThresholdOutcome::Failed, "found 2.00 %"),
            ("response_p99_us > 1s", ThresholdOutcome::NotMeasured, "too few answers"),
            ("server_rss_bytes > 1MiB", ThresholdOutcome::NotMeasured, "by this run"),
        ] {
            let found = threshold(text).judge(&load());
            assert_eq!(found.outcome, outcome, "{text}");
            assert_eq!(found.is_failed(), outcome != ThresholdOutcome::Passed);
            assert!(found.found().contains(said), "{text}: {}", found.found());
        }
    }

    #[test]
    fn what_only_our_server_tells_is_known_before_the_run() {
        let rss = threshold("server_rss_bytes > 1");
        assert!(rss.needs_our_server() && !threshold("error_rate > 0").needs_our_server());
        // Of a load that has everything but a server, those metrics are missing and no others are.
        let mut full = load();
        full.login = Some(crate::record::LoginRecord { users: 1, ..Default::default() });
        let mut histogram = crate::record::Histogram::new();
        (0..1_000_000).for_each(|_| histogram.record(1000));
        full.steps = vec![crate::record::StepRecord {
            name: "me".into(),
            response: histogram.clone(),
            service: histogram.clone(),
            lag: histogram,
        }];
        full.request_wire_bytes = 1;
        let time = full.steps[0].response.clone();
        full.renewals =
            Some(crate::record::RenewalRecord { refreshed: 1, time, ..Default::default() });
        let missing: Vec<_> =
            METRICS.iter().filter(|m| m.is_of_load && (m.of_load)(&full).is_none()).collect();
        let of_server = METRICS.iter().filter(|m| m.is_of_load && m.is_of_server);
        assert_eq!(missing, of_server.collect::<Vec<_>>());
    }

    #[test]
    fn test_cases_fail_where_a_threshold_does_or_nothing_may_be_used() {
        let judge = |text: &str| threshold(text).judge(&load());
        let results = [judge("error_rate > 5%"), judge("throughput_rps < 6k/s")];
        let page = thresholds_junit("http://<x>", &results, None);
        assert!(page.contains("tests=\"2\" failures=\"1\""), "{page}");
        assert!(page.contains("name=\"throughput_rps &lt; 6k/s\"><failure"), "{page}");
        assert!(page.contains("authbench run http://&lt;x&gt;"), "{page}");
        let page = thresholds_junit("x", &results, Some("requests failed"));
        assert!(page.contains("failures=\"2\"") && page.contains("but requests failed"), "{page}");
        let page = thresholds_unmeasured("x", &[threshold("error_rate > 5%")], "no server");
        assert!(page.contains("message=\"not measured: no server\""), "{page}");
    }
}
