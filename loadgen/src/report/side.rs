//! What bounds of a comparison and thresholds of a run have in common: their signs, their units,
//! and what is said of a metric that does not exist.

use crate::experiment::Metric;

/// Which side of a limit is forbidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beyond {
    Above,
    AboveOrAt,
    Below,
    BelowOrAt,
}

impl Beyond {
    /// What stands before and behind the first sign of a text, and the sign.
    pub(super) fn split(text: &str) -> Option<(&str, Self, &str)> {
        let (before, rest) = text.split_at(text.find(['<', '>'])?);
        let signs = [
            (">=", Self::AboveOrAt),
            ("<=", Self::BelowOrAt),
            (">", Self::Above),
            ("<", Self::Below),
        ];
        let found = signs.into_iter().find_map(|(sign, beyond)| {
            let behind = rest.strip_prefix(sign)?;
            Some((beyond, behind))
        });
        found.map(|(beyond, behind)| (before.trim(), beyond, behind.trim()))
    }

    /// Whether a figure lies on the forbidden side.
    pub(super) fn has(self, figure: f64, limit: f64) -> bool {
        match self {
            Self::Above => figure > limit,
            Self::AboveOrAt => figure >= limit,
            Self::Below => figure < limit,
            Self::BelowOrAt => figure <= limit,
        }
    }
}

/// Units in which a limit of a metric may be written, and what they are in the metric's own.
pub(super) fn units(own: &'static str) -> Vec<(&'static str, f64)> {
    match own {
        "us" => vec![("us", 1.0), ("µs", 1.0), ("ms", 1e3), ("s", 1e6)],
        "bytes" => {
            vec![("B", 1.0), ("KiB", 1024.0), ("MiB", 1_048_576.0), ("GiB", 1_073_741_824.0)]
        }
        "requests/s" => vec![("/s", 1.0), ("k/s", 1e3), ("M/s", 1e6)],
        "share" => vec![("%", 0.01)],
        own => vec![(own, 1.0)],
    }
}

/// A number of digits and at most one point, and what stands behind it.
pub(super) fn number(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit.trim()))
}

/// How alike a name and a metric's have to be for the one to be meant by the other.
const ALIKE: f64 = 0.8;
/// Metrics that are suggested at most.
const SUGGESTED_MAX: usize = 3;

/// The metric of this name among these.
///
/// # Errors
/// Which ones were most likely meant, or all there are.
pub fn known_metric(name: &str, among: &[&'static Metric]) -> Result<&'static Metric, String> {
    if let Some(metric) = among.iter().find(|metric| metric.name == name) {
        return Ok(metric);
    }
    let names = || among.iter().map(|metric| metric.name);
    let holding = names().filter(|known| !name.is_empty() && known.contains(name));
    let mut meant: Vec<&str> = holding.take(SUGGESTED_MAX).collect();
    if meant.is_empty() {
        let alike = names().map(|known| (strsim::jaro_winkler(name, known), known));
        let nearest = alike.max_by(|a, b| a.0.total_cmp(&b.0));
        meant.extend(nearest.filter(|(alike, _)| *alike >= ALIKE).map(|(_, known)| known));
    }
    Err(match meant.as_slice() {
        [] => {
            let all: Vec<_> = names().collect();
            format!("expected a metric among {}; found `{name}`", all.join(", "))
        }
        [one] => format!("expected a metric, found `{name}`; did you mean `{one}`?"),
        several => {
            let several = several.join("`, `");
            format!("expected a metric, found `{name}`; did you mean one of `{several}`?")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::{METRICS, metric};

    #[test]
    fn a_name_that_does_not_exist_is_told_which_one_was_meant() {
        let said = |name: &str| known_metric(name, METRICS).unwrap_err();
        assert_eq!(known_metric("response_p99_us", METRICS), Ok(metric::RESPONSE_P99_US));
        for (name, meant) in [
            ("response_p95_us", "did you mean `response_p99_us`?"),
            ("error_rat", "did you mean `error_rate`?"),
            ("errors", "did you mean `error_rate`?"),
            ("p99", "one of `response_p99_us`, `response_p999_us`, `service_p99_us`?"),
            ("throughput", "did you mean `throughput_rps`?"),
            ("", "expected a metric among throughput_rps, "),
            ("colour", "found `colour`"),
        ] {
            assert!(said(name).contains(meant), "{name}: {}", said(name));
        }
    }

    #[test]
    fn a_figure_at_the_limit_is_beyond_it_where_the_sign_says_so() {
        for (text, below, at, above) in [
            ("a>1", false, false, true),
            ("a >= 1", false, true, true),
            ("a< 1", true, false, false),
            ("a <=1", true, true, false),
        ] {
            let (name, beyond, limit) = Beyond::split(text).unwrap();
            assert_eq!((name, limit), ("a", "1"), "{text}");
            let has = [0.9, 1.0, 1.1].map(|figure| beyond.has(figure, 1.0));
            assert_eq!(has, [below, at, above], "{text}");
        }
        assert_eq!(Beyond::split("a = 1"), None);
    }
}
