//! `metrics.prom`: the valid figures in Prometheus' text exposition format, version 0.0.4. Names
//! end in base units, seconds and bytes.

use std::fmt::Write as _;

use super::analysis::Analysis;
use super::figures::Measurement;
use crate::experiment::{METRICS, Metric};
use crate::sanitise::{NAME, fit};

/// Bytes of a GiB, for figures per GiB.
const GIB: f64 = 1_073_741_824.0;

/// Sets the figures as gauges.
///
/// Each figure is a gauge, and the ends of its 95 % interval are two more. Figures that may not be
/// used are left out and counted.
pub(super) fn render(analysis: &Analysis) -> String {
    let mut out = String::new();
    facts(analysis, &mut out);
    for metric in METRICS {
        let of_metric = |m: &&Measurement| m.valid && m.key.metric == *metric;
        let rows: Vec<&Measurement> = analysis.measurements.iter().filter(of_metric).collect();
        let (name, factor) = name(metric);
        for (end, what, value) in ENDS {
            let samples: Vec<(String, f64)> = rows
                .iter()
                .filter_map(|m| Some((labels(analysis, m), value(m)? * factor)))
                .collect();
            if !samples.is_empty() {
                let help = format!("{}{what}", metric.label);
                gauge(&mut out, &format!("authbench_{name}{end}"), &help, &samples);
            }
        }
    }
    out
}

/// A figure's gauges: the end of the name, of the help, and the value.
type End = (&'static str, &'static str, fn(&Measurement) -> Option<f64>);

const ENDS: [End; 3] = [
    ("", "", |m| Some(m.estimate.point)),
    ("_lower", ", lower end of the 95 % interval", |m| Some(m.estimate.interval?.0)),
    ("_upper", ", upper end of the 95 % interval", |m| Some(m.estimate.interval?.1)),
];

/// What is known of the campaign as a whole.
fn facts(analysis: &Analysis, out: &mut String) {
    let host = &analysis.host;
    let cores = host.cores.len().to_string();
    let own = [("campaign", analysis.name.as_str())];
    let with = |name, value| label(&[own[0], (name, value)]);
    let info = [
        own[0],
        ("plan", &analysis.plan),
        ("authbench", &host.authbench),
        ("build", &host.binary_sha256),
        ("cpu", &host.cpu_model),
        ("cores", &cores),
        ("kernel", &host.kernel),
    ];
    let what = "The campaign, its machine and its build";
    gauge(out, "authbench_campaign_info", what, &[(label(&info), 1.0)]);
    let began = analysis.started_unix_ms as f64 / 1e3;
    let what = "When the first trial began, since 1970";
    gauge(out, "authbench_campaign_start_time_seconds", what, &[(label(&own), began)]);
    let trials = [
        ("planned", analysis.trials_planned),
        ("complete", analysis.trials_complete),
        ("invalid", analysis.trials_invalid),
    ];
    let trials = trials.map(|(state, count)| (with("state", state), count as f64));
    gauge(out, "authbench_trials", "Trials of the campaign", &trials);
    let valid = analysis.measurements.iter().filter(|m| m.valid).count();
    let invalid = analysis.measurements.len() - valid;
    let figures = [("valid", valid), ("invalid", invalid)];
    let figures = figures.map(|(state, count)| (with("state", state), count as f64));
    gauge(out, "authbench_figures", "Figures; invalid ones have no gauge", &figures);
}

fn gauge(out: &mut String, name: &str, help: &str, samples: &[(String, f64)]) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge");
    for (labels, value) in samples {
        let _ = writeln!(out, "{name}{{{labels}}} {value}");
    }
}

fn labels(analysis: &Analysis, m: &Measurement) -> String {
    let (users, level) = (m.key.users.map(|n| n.to_string()), m.key.level.map(|n| n.to_string()));
    let (connections, rate) = (m.key.connections.to_string(), m.key.rate.map(|r| r.to_string()));
    let mut all: Vec<(&str, &str)> = vec![
        ("campaign", &analysis.name),
        ("experiment", &m.key.experiment),
        ("arm", &m.key.arm),
        ("connections", &connections),
    ];
    let some = [("users", &users), ("rate", &rate), ("level", &level)];
    all.extend(some.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))));
    label(&all)
}

fn label(all: &[(&str, &str)]) -> String {
    let one = |(name, value): &(&str, &str)| {
        // No line feed is left: it is written as an escape before.
        let value = fit(value, NAME).replace('\\', "\\\\").replace('"', "\\\"");
        format!("{name}=\"{value}\"")
    };
    all.iter().map(one).collect::<Vec<_>>().join(",")
}

/// The metric's name in base units, and what its value is multiplied by.
fn name(metric: &Metric) -> (String, f64) {
    let mut parts: Vec<&str> = metric.name.split('_').collect();
    let mut factor = if metric.unit == "us" { 1e-6 } else { 1.0 };
    for part in &mut parts {
        *part = match *part {
            "us" => "seconds",
            "rps" => "requests_per_second",
            "s" => "second",
            "gib" => {
                factor /= GIB;
                "byte"
            }
            other => other,
        };
    }
    if metric.unit == "share" {
        parts.retain(|part| !["share", "rate"].contains(part));
        parts.push("ratio");
    }
    (parts.join("_"), factor)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::report::tests::sample;

    #[test]
    fn names_are_in_base_units_and_different() {
        let names: BTreeSet<String> = METRICS.iter().map(|metric| name(metric).0).collect();
        assert_eq!(names.len(), METRICS.len());
        for (metric, expected, factor) in [
            ("response_p99_us", "response_p99_seconds", 1e-6),
            ("server_cpu_us_per_request", "server_cpu_seconds_per_request", 1e-6),
            ("throughput_rps", "throughput_requests_per_second", 1.0),
            ("error_rate", "error_ratio", 1.0),
            ("bytes_per_session", "bytes_per_session", 1.0),
            ("users_per_gib", "users_per_byte", 1.0 / GIB),
        ] {
            let found = name(Metric::named(metric).unwrap());
            assert_eq!(found, (expected.to_string(), factor));
        }
        let parts = |name: &str| name.split('_').map(String::from).collect::<Vec<_>>();
        for name in names {
            let short = ["us", "ms", "s", "rps", "gib"];
            assert!(parts(&name).iter().all(|part| !short.contains(&part.as_str())), "{name}");
        }
    }

    /// Reads a line of samples as the format's grammar has it: its name, its labels, its value.
    fn sample_of(line: &str) -> (String, Vec<(String, String)>, f64) {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let (name, mut rest) = line.split_once('{').expect("labels");
        assert!(name.chars().all(is_name) && !name.starts_with(|c: char| c.is_ascii_digit()));
        let mut labels = Vec::new();
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"").expect("a quoted value");
            assert!(label.chars().all(is_name), "{label}");
            let (mut value, mut escaped, mut end) = (String::new(), false, None);
            for (at, c) in after.char_indices() {
                match (escaped, c) {
                    (false, '\\') => escaped = true,
                    (false, '"') => {
                        end = Some(at);
                        break;
                    }
                    (true, c) => {
                        assert!(['\\', '"', 'n'].contains(&c), "\\{c}");
                        value.push(c);
                        escaped = false;
                    }
                    (false, c) => value.push(c),
                }
            }
            labels.push((label.to_string(), value));
            rest = &after[end.expect("the end of a value") + 1..];
            rest = rest.strip_prefix(',').unwrap_or(rest);
        }
        (name.into(), labels, rest[1..].trim().parse().expect("a number"))
    }

    #[test]
    fn every_line_is_of_the_grammar_and_every_series_is_there_once() {
        let mut analysis = sample::analysis();
        analysis.name = "a\"b\\c\nd".into();
        let page = render(&analysis);
        let (mut series, mut announced) = (BTreeSet::new(), BTreeSet::new());
        let mut last = String::new();
        for line in page.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(kind == "gauge" && announced.insert(name.to_string()), "{line}");
                last = name.into();
            } else if !line.starts_with("# HELP ") {
                let (name, labels, value) = sample_of(line);
                assert!(name == last && value.is_finite(), "{line}");
                assert_eq!(labels[0], ("campaign".into(), "a\"b\\c\\nd".into()), "{line}");
                assert!(series.insert((name, labels)), "twice: {line}");
            }
        }
        assert!(series.len() > analysis.measurements.len(), "{}", series.len());
    }

    #[test]
    fn invalid_figures_have_no_gauge() {
        let mut analysis = sample::analysis();
        analysis.measurements.iter_mut().for_each(|m| m.valid = m.key.arm != "none");
        let page = render(&analysis);
        assert!(!page.contains("arm=\"none\"") && page.contains("state=\"invalid\"} "), "{page}");
    }
}
