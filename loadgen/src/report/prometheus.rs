//! Prometheus' text exposition format, version 0.0.4: series of any kind, and `metrics.prom`, the
//! valid figures of a campaign.

use std::fmt::Write as _;

use super::analysis::Analysis;
use super::figures::Measurement;
use super::series::{Buckets, Data, Family, Label, Labels, name, unit};
use crate::experiment::METRICS;
use crate::sanitise::{NAME, fit};

/// Sets the figures as gauges.
///
/// Each figure is a gauge, and the ends of its 95 % interval are two more. Figures that may not be
/// used are left out and counted.
pub(super) fn render(analysis: &Analysis) -> String {
    let mut families = facts(analysis);
    for metric in METRICS {
        let of_metric = |m: &&Measurement| m.valid && m.key.metric == *metric;
        let rows: Vec<&Measurement> = analysis.measurements.iter().filter(of_metric).collect();
        let (name, factor) = name(metric);
        for (end, what, value) in ENDS {
            let samples: Vec<(Labels, f64)> = rows
                .iter()
                .filter_map(|m| Some((labels(analysis, m), value(m)? * factor)))
                .collect();
            if !samples.is_empty() {
                let help = format!("{}{what}", metric.label);
                let name = format!("authbench_{name}{end}");
                let data = Data::Gauge(samples);
                families.push(Family { name, help, unit: unit(metric), data });
            }
        }
    }
    set(&families)
}

/// Sets families of series.
pub(super) fn set(families: &[Family]) -> String {
    let mut out = String::new();
    for family in families {
        let name = &family.name;
        match &family.data {
            Data::Gauge(series) => {
                head(&mut out, name, &family.help, "gauge");
                series.iter().for_each(|(labels, value)| sample(&mut out, name, labels, value));
            }
            Data::Counter(series) => {
                let name = format!("{name}_total");
                head(&mut out, &name, &family.help, "counter");
                series.iter().for_each(|(labels, value)| sample(&mut out, &name, labels, value));
            }
            Data::Histogram(series) => {
                head(&mut out, name, &family.help, "histogram");
                series
                    .iter()
                    .for_each(|(labels, counted)| buckets(&mut out, name, labels, counted));
            }
        }
    }
    out
}

fn head(out: &mut String, name: &str, help: &str, kind: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn sample(out: &mut String, name: &str, labels: &[Label], value: impl std::fmt::Display) {
    let _ = writeln!(out, "{name}{{{}}} {value}", label(labels));
}

/// Each bucket holds what those before it hold too.
fn buckets(out: &mut String, name: &str, labels: &[Label], buckets: &Buckets) {
    let ends = buckets.bounds.iter().map(f64::to_string).chain(["+Inf".into()]);
    let mut total = 0;
    for (end, count) in ends.zip(&buckets.counts) {
        total += count;
        let with_end = [labels, &[("le", end)]].concat();
        sample(out, &format!("{name}_bucket"), &with_end, total);
    }
    sample(out, &format!("{name}_sum"), labels, buckets.sum);
    sample(out, &format!("{name}_count"), labels, total);
}

/// A figure's gauges: the end of the name, of the help, and the value.
type End = (&'static str, &'static str, fn(&Measurement) -> Option<f64>);

const ENDS: [End; 3] = [
    ("", "", |m| Some(m.estimate.point)),
    ("_lower", ", lower end of the 95 % interval", |m| Some(m.estimate.interval?.0)),
    ("_upper", ", upper end of the 95 % interval", |m| Some(m.estimate.interval?.1)),
];

/// What is known of the campaign as a whole.
fn facts(analysis: &Analysis) -> Vec<Family> {
    let host = &analysis.host;
    let own = ("campaign", analysis.name.clone());
    let with = |name, value: &str| vec![own.clone(), (name, value.into())];
    let info = vec![
        own.clone(),
        ("plan", analysis.plan.clone()),
        ("authbench", host.authbench.clone()),
        ("build", host.binary_sha256.clone()),
        ("cpu", host.cpu_model.clone()),
        ("cores", host.cores.len().to_string()),
        ("kernel", host.kernel.clone()),
    ];
    let began = analysis.started_unix_ms as f64 / 1e3;
    let trials = [
        ("planned", analysis.trials_planned),
        ("complete", analysis.trials_complete),
        ("invalid", analysis.trials_invalid),
    ];
    let trials = trials.map(|(state, count)| (with("state", state), count as f64));
    let valid = analysis.measurements.iter().filter(|m| m.valid).count();
    let invalid = analysis.measurements.len() - valid;
    let figures = [("valid", valid), ("invalid", invalid)];
    let figures = figures.map(|(state, count)| (with("state", state), count as f64));
    let family = |name: &str, help: &str, unit: &str, series: Vec<(Labels, f64)>| Family {
        name: name.into(),
        help: help.into(),
        unit: unit.into(),
        data: Data::Gauge(series),
    };
    vec![
        family(
            "authbench_campaign_info",
            "The campaign, its machine and its build",
            "1",
            vec![(info, 1.0)],
        ),
        family(
            "authbench_campaign_start_time_seconds",
            "When the first trial began, since 1970",
            "s",
            vec![(vec![own.clone()], began)],
        ),
        family("authbench_trials", "Trials of the campaign", "{trial}", trials.to_vec()),
        family(
            "authbench_figures",
            "Figures; invalid ones have no gauge",
            "{figure}",
            figures.to_vec(),
        ),
    ]
}

fn labels(analysis: &Analysis, m: &Measurement) -> Labels {
    let mut all = vec![
        ("campaign", analysis.name.clone()),
        ("experiment", m.key.experiment.clone()),
        ("arm", m.key.arm.to_string()),
        ("connections", m.key.connections.to_string()),
    ];
    let users = m.key.users.map(|users| users.to_string());
    let rate = m.key.rate.map(|rate| rate.to_string());
    let level = m.key.level.map(|level| level.to_string());
    let some = [("users", users), ("rate", rate), ("level", level)];
    all.extend(some.into_iter().filter_map(|(name, value)| Some((name, value?))));
    all
}

fn label(labels: &[Label]) -> String {
    let pair = |(name, value): &Label| {
        // No line feed is left: it is written as an escape before.
        let value = fit(value, NAME).replace('\\', "\\\\").replace('"', "\\\"");
        format!("{name}=\"{value}\"")
    };
    labels.iter().map(pair).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::report::tests::sample;

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
