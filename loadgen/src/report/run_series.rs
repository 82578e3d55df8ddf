//! The figures of one run as series, for `run --format prometheus` and `otlp`: what happened as
//! counts, and what was measured as histograms and gauges, if it may be used.

use super::otlp::{self, Window};
use super::prometheus;
use super::series::{Buckets, Data, Family, Labels, name, unit};
use crate::experiment::{METRICS, Metric};
use crate::plan::LoadPlan;
use crate::record::{Histogram, LoadRecord, StepRecord};

/// A run, as far as its series tell of it.
pub struct RunSeries<'a> {
    /// What the target is called.
    pub target: &'a str,
    /// What was asked for.
    pub plan: &'a LoadPlan,
    /// What was measured; `None` if the load could not be made.
    pub load: Option<&'a LoadRecord>,
    /// Whether the figures may be used.
    pub is_valid: bool,
    /// When Measure began, ns since 1970.
    pub started_unix_ns: u64,
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

impl RunSeries<'_> {
    /// The run in Prometheus' text exposition format. Figures that may not be used are left out.
    pub fn prometheus(&self) -> String {
        prometheus::set(&self.families())
    }

    /// The run as OTLP metrics in JSON. Figures that may not be used are left out.
    pub fn otlp(&self) -> String {
        let window_ns = self.load.map_or(0, |load| load.counts.window_ns);
        let start_ns = self.started_unix_ns;
        let window = Window { start_ns, end_ns: start_ns.saturating_add(window_ns) };
        otlp::set(&self.families(), window, VERSION)
    }

    fn families(&self) -> Vec<Family> {
        let mut families = self.facts();
        if let Some(load) = self.load {
            families.extend(self.counts(load));
            if self.is_valid {
                families.extend(self.durations(load));
                families.extend(self.figures(load));
            }
        }
        families
    }

    /// The labels of every series, and these.
    fn labels(&self, more: &[(&'static str, &str)]) -> Labels {
        let own = [("target", self.target), ("journey", self.plan.journey.as_str())];
        let all = own.iter().chain(more);
        all.map(|(name, value)| (*name, (*value).to_string())).collect()
    }

    fn gauge(&self, name: &str, help: &str, unit: &str, labels: Labels, value: f64) -> Family {
        let data = Data::Gauge(vec![(labels, value)]);
        Family { name: name.into(), help: help.into(), unit: unit.into(), data }
    }

    /// What is known of the run as a whole.
    fn facts(&self) -> Vec<Family> {
        let (users, connections) = (self.plan.users.to_string(), self.plan.connections.to_string());
        let (model, transport) = self
            .load
            .map_or(("", ""), |load| (load.model.as_str(), load.client.transport.as_str()));
        let info = self.labels(&[
            ("model", model),
            ("users", &users),
            ("connections", &connections),
            ("transport", transport),
            ("authbench", VERSION),
        ]);
        let (own, began) = (self.labels(&[]), self.started_unix_ns as f64 / 1e9);
        let valid = if self.is_valid { 1.0 } else { 0.0 };
        vec![
            self.gauge("authbench_run_info", "The run and its build", "1", info, 1.0),
            self.gauge(
                "authbench_run_start_time_seconds",
                "When measuring began, since 1970",
                "s",
                own.clone(),
                began,
            ),
            self.gauge(
                "authbench_run_valid",
                "Whether the figures may be used; otherwise only counts are given",
                "1",
                own,
                valid,
            ),
        ]
    }

    /// How many requests there were, by their end, and how many bytes.
    fn counts(&self, load: &LoadRecord) -> Vec<Family> {
        let counts = &load.counts;
        let own = [("ok", counts.ok), ("unfinished", counts.unfinished)];
        let dropped = [("dropped", counts.dropped)];
        let errors = counts.errors.iter().map(|(class, count)| (class.as_str(), *count));
        let ends = own.into_iter().chain(dropped).chain(errors);
        let requests = ends.map(|(end, count)| (self.labels(&[("outcome", end)]), count));
        let mut families = vec![Family {
            name: "authbench_requests".into(),
            help: "Requests that were due, by outcome: ok, a class of errors, unfinished, or \
                   dropped unsent"
                .into(),
            unit: "{request}".into(),
            data: Data::Counter(requests.collect()),
        }];
        let bytes = [
            ("authbench_sent_bytes", "Bytes written to sockets", load.bytes_sent),
            ("authbench_received_bytes", "Bytes read from sockets", load.bytes_received),
        ];
        families.extend(bytes.into_iter().filter_map(|(name, help, count)| {
            let data = Data::Counter(vec![(self.labels(&[]), count?)]);
            Some(Family { name: name.into(), help: help.into(), unit: "By".into(), data })
        }));
        families
    }

    /// Response and service times of right answers, by step of the journey.
    fn durations(&self, load: &LoadRecord) -> Vec<Family> {
        type Times = fn(&StepRecord) -> &Histogram;
        let kinds: [(&str, &str, Times); 2] = [
            (
                "authbench_response_seconds",
                "Response time of right answers, from the moment a request was due",
                |step| &step.response,
            ),
            (
                "authbench_service_seconds",
                "Service time of right answers, from the write of a request",
                |step| &step.service,
            ),
        ];
        let family = |(name, help, times): (&str, &str, Times)| {
            let series = load
                .steps
                .iter()
                .map(|step| (self.labels(&[("step", &step.name)]), Buckets::new(times(step))));
            let data = Data::Histogram(series.collect());
            Family { name: name.into(), help: help.into(), unit: "s".into(), data }
        };
        kinds.into_iter().map(family).collect()
    }

    /// Every metric that the load has, as in `measurements.csv`.
    fn figures(&self, load: &LoadRecord) -> Vec<Family> {
        let measured = METRICS.iter().filter(|metric| metric.is_of_load);
        let family = |metric: &&'static Metric| {
            let (name, factor) = name(metric);
            let value = (metric.of_load)(load)? * factor;
            let name = format!("authbench_{name}");
            Some(self.gauge(&name, metric.label, &unit(metric), self.labels(&[]), value))
        };
        measured.filter_map(family).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::engine::answered;
    use crate::load::{Closed, LoadModel, UserChoice};

    fn plan() -> LoadPlan {
        LoadPlan {
            model: LoadModel::Closed(Closed::without_thinking()),
            journey: "cart".into(),
            users: 3,
            choice: UserChoice::InTurn,
            connections: 2,
            warmup_ns: 0,
            measure_ns: 1_000_000_000,
            drain_ns: 0,
            timeout_ns: 1_000_000_000,
            prepare: None,
            renewal: None,
        }
    }

    /// A second with 2,000 right answers of 1 and 2 ms in two steps, and some that failed.
    fn load() -> LoadRecord {
        let step = |name: &str, ns: u64| {
            let mut response = Histogram::new();
            (0..1000).for_each(|_| response.record(ns));
            let (service, lag) = (response.clone(), Histogram::new());
            StepRecord { name: name.into(), response, service, lag }
        };
        let mut load = answered(2000);
        load.steps = vec![step("add", 1_000_000), step("cart", 2_000_000)];
        load.counts.errors = [("status_429".to_string(), 7)].into();
        load.counts.dropped = 5;
        load.bytes_sent = Some(64_000);
        load
    }

    fn series<'a>(
        plan: &'a LoadPlan,
        load: Option<&'a LoadRecord>,
        is_valid: bool,
    ) -> RunSeries<'a> {
        let started_unix_ns = 1_798_761_600_000_000_001;
        RunSeries { target: "a \"shop\"", plan, load, is_valid, started_unix_ns }
    }

    #[test]
    fn text_has_counts_by_outcome_and_cumulative_buckets_by_step() {
        let (plan, load) = (plan(), load());
        let text = series(&plan, Some(&load), true).prometheus();
        let own = r#"target="a \"shop\"",journey="cart""#;
        for line in [
            "# TYPE authbench_requests_total counter".to_string(),
            format!("authbench_requests_total{{{own},outcome=\"ok\"}} 2000"),
            format!("authbench_requests_total{{{own},outcome=\"status_429\"}} 7"),
            format!("authbench_requests_total{{{own},outcome=\"dropped\"}} 5"),
            format!("authbench_sent_bytes_total{{{own}}} 64000"),
            format!("authbench_run_valid{{{own}}} 1"),
            "# TYPE authbench_response_seconds histogram".into(),
            format!("authbench_response_seconds_bucket{{{own},step=\"cart\",le=\"0.0015\"}} 0"),
            format!("authbench_response_seconds_bucket{{{own},step=\"cart\",le=\"0.003\"}} 1000"),
            format!("authbench_response_seconds_bucket{{{own},step=\"cart\",le=\"+Inf\"}} 1000"),
            format!("authbench_response_seconds_count{{{own},step=\"add\"}} 1000"),
            format!("authbench_throughput_requests_per_second{{{own}}} 2000"),
        ] {
            assert!(text.lines().any(|found| found == line), "no line {line}\n{text}");
        }
        let none = series(&plan, None, false).prometheus();
        assert!(none.contains(&format!("authbench_run_valid{{{own}}} 0\n")), "{none}");
    }

    /// An object's value by this name.
    fn metric<'a>(document: &'a Value, name: &str) -> Option<&'a Value> {
        let metrics = document["resourceMetrics"][0]["scopeMetrics"][0]["metrics"].as_array();
        metrics.unwrap().iter().find(|metric| metric["name"] == name)
    }

    #[test]
    fn the_document_has_the_names_and_types_of_the_protocol() {
        let (plan, load) = (plan(), load());
        let text = series(&plan, Some(&load), true).otlp();
        let document: Value = serde_json::from_str(&text).unwrap();
        let resource = &document["resourceMetrics"][0]["resource"]["attributes"];
        assert_eq!(resource[0]["key"], "service.name");
        assert_eq!(resource[0]["value"]["stringValue"], "authbench");
        assert_eq!(resource[1]["key"], "service.version");
        assert_eq!(resource[1]["value"]["stringValue"], VERSION);
        let requests = &metric(&document, "authbench_requests").unwrap()["sum"];
        assert_eq!(requests["isMonotonic"], true);
        assert_eq!(requests["aggregationTemporality"], 2);
        let point = &requests["dataPoints"][0];
        assert_eq!(point["asInt"], "2000");
        assert_eq!(point["startTimeUnixNano"], "1798761600000000001");
        assert_eq!(point["timeUnixNano"], "1798761601000000001");
        assert_eq!(point["attributes"][2]["key"], "outcome");
        let response = metric(&document, "authbench_response_seconds").unwrap();
        assert_eq!(
            (&response["unit"], &response["histogram"]["aggregationTemporality"]),
            (&"s".into(), &2.into())
        );
        let point = &response["histogram"]["dataPoints"][1];
        let counts = point["bucketCounts"].as_array().unwrap();
        assert_eq!(counts.len(), point["explicitBounds"].as_array().unwrap().len() + 1);
        let total: u64 = counts.iter().map(|c| c.as_str().unwrap().parse::<u64>().unwrap()).sum();
        assert_eq!((total, &point["count"]), (1000, &"1000".into()));
        assert!((point["sum"].as_f64().unwrap() - 2.0).abs() < 0.01, "{point}");
        let throughput = metric(&document, "authbench_throughput_requests_per_second").unwrap();
        assert_eq!(throughput["gauge"]["dataPoints"][0]["asDouble"], 2000.0);
        assert_eq!(throughput["unit"], "{request}/s");
    }

    #[test]
    fn of_an_invalid_run_there_are_counts_alone() {
        let (plan, load) = (plan(), load());
        let run = series(&plan, Some(&load), false);
        let document: Value = serde_json::from_str(&run.otlp()).unwrap();
        assert!(metric(&document, "authbench_requests").is_some());
        for name in ["authbench_response_seconds", "authbench_throughput_requests_per_second"] {
            assert!(metric(&document, name).is_none(), "{document}");
            assert!(!run.prometheus().contains(name));
        }
        let valid = metric(&document, "authbench_run_valid").unwrap();
        assert_eq!(valid["gauge"]["dataPoints"][0]["asDouble"], 0.0);
    }
}
