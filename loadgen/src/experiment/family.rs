//! Which comparisons are corrected together.
//!
//! A family is what one would search for a difference: the metrics that answer the same question,
//! of every arm at every level of an experiment. Throughput and memory are different questions, and
//! asking the one must not make the other harder to answer. A metric that is in no group here is a
//! family of its own.

use super::Metric;

/// The group of the parameters of the scalability law.
pub const SCALABILITY: &str = "scalability";

const GROUPS: &[(&str, &[&str])] = &[
    ("throughput", &["throughput_rps", "goodput_rps"]),
    ("response time", &["response_p50_us", "response_p99_us", "response_p999_us"]),
    ("service time", &["service_p50_us", "service_p99_us"]),
    (
        "CPU per request",
        &["server_cpu_us_per_request", "store_cpu_us_per_request", "cpu_us_per_request"],
    ),
    (
        "memory",
        &[
            "server_rss_bytes",
            "server_pss_bytes",
            "server_allocated_bytes",
            "store_memory_bytes",
            "store_used_bytes",
            "store_disk_bytes",
        ],
    ),
    (
        "memory per session",
        &[
            "bytes_per_session",
            "resident_bytes_per_session",
            "store_bytes_per_session",
            "store_used_bytes_per_session",
            "store_disk_bytes_per_session",
            "users_per_gib",
        ],
    ),
    ("memory per connection", &["bytes_per_connection", "resident_bytes_per_connection"]),
    (
        "memory that comes back",
        &[
            "returned_after_logout",
            "resident_returned_after_logout",
            "store_returned_after_logout",
            "bytes_per_logout",
            "returned_after_expiry",
            "resident_returned_after_expiry",
            "store_returned_after_expiry",
        ],
    ),
    ("capacity", &["capacity_rps", "beyond_capacity_rps"]),
    ("logins", &["login_rps", "argon2id_login_rps"]),
    (
        "CPU per login",
        &[
            "login_cpu_us",
            "login_store_cpu_us",
            "argon2id_login_cpu_us",
            "argon2id_login_store_cpu_us",
        ],
    ),
    ("bytes on the wire", &["credential_bytes", "request_wire_bytes"]),
    ("generator", &["schedule_lag_p99_us", "generator_cpu_us_per_request"]),
    (SCALABILITY, &["usl_contention", "usl_coherency", "usl_peak_cores"]),
];

/// The group of a metric, whose comparisons within an experiment are one family.
pub fn family(metric: &Metric) -> &'static str {
    let group = GROUPS.iter().find(|(_, metrics)| metrics.contains(&metric.name));
    group.map_or(metric.label, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::super::{METRICS, metric};
    use super::*;

    #[test]
    fn every_metric_has_one_family() {
        assert_eq!(family(metric("response_p99_us")), family(metric("response_p50_us")));
        assert_eq!(family(metric("error_rate")), metric("error_rate").label);
        for metric in METRICS {
            let groups = GROUPS.iter().filter(|(_, metrics)| metrics.contains(&metric.name));
            assert!(groups.count() <= 1, "{}", metric.name);
        }
    }
}
