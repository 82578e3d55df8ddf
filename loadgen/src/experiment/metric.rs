//! The metrics there are: one row each, from which tables, charts, comparisons and files follow.
//!
//! A metric of a load has its accessor in its row. The names are part of the output contract: add
//! rows, do not rename them.

use crate::record::{Histogram, LoadRecord, MemoryUse, SAMPLES_BEYOND, ServerUse};
use crate::stats::Scale;

/// One thing that is measured.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Name in files.
    pub name: &'static str,
    /// Unit in files.
    pub unit: &'static str,
    /// What a person calls it.
    pub label: &'static str,
    /// Which direction is better.
    pub better: Better,
    /// The scale on which its errors are even.
    pub scale: Scale,
    /// Whether it is the same in every trial by construction, such as the bytes of a request: it
    /// has no interval, and nothing to test.
    pub exact: bool,
    /// Its value in a load; `None` for a metric of another kind, or where a load does not have it.
    pub of_load: fn(&LoadRecord) -> Option<f64>,
}

/// Which direction of a metric is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Less is better.
    Lower,
    /// More is better.
    Higher,
    /// It describes and is no merit.
    Neither,
}

use Better::{Higher, Lower, Neither};
use Scale::{Linear, Log};

const fn row(
    name: &'static str,
    unit: &'static str,
    label: &'static str,
    better: Better,
    scale: Scale,
    of_load: fn(&LoadRecord) -> Option<f64>,
) -> Metric {
    Metric { name, unit, label, better, scale, exact: false, of_load }
}

/// A row of what does not vary from trial to trial.
const fn exact(
    name: &'static str,
    unit: &'static str,
    label: &'static str,
    better: Better,
    of_load: fn(&LoadRecord) -> Option<f64>,
) -> Metric {
    Metric { name, unit, label, better, scale: Log, exact: true, of_load }
}

/// Every metric, in the order of the tables.
pub const METRICS: &[Metric] = &[
    row("throughput_rps", "requests/s", "Throughput", Higher, Log, |l| {
        Some(l.counts.achieved_rps())
    }),
    row("goodput_rps", "requests/s", "Goodput (right answers)", Higher, Log, |l| {
        Some(l.counts.goodput_rps())
    }),
    row("response_p50_us", "us", "Response time p50", Lower, Log, |l| response(l, 0.5)),
    row("response_p99_us", "us", "Response time p99", Lower, Log, |l| response(l, 0.99)),
    row("response_p999_us", "us", "Response time p99.9", Lower, Log, |l| {
        rare(&l.response(), 0.999, SAMPLES_BEYOND as f64)
    }),
    row("response_max_us", "us", "Response time, longest", Lower, Log, |l| {
        let response = l.response();
        (response.count() > 0).then(|| response.max_ns() as f64 / 1e3)
    }),
    row("service_p50_us", "us", "Service time p50", Lower, Log, |l| service(l, 0.5)),
    row("service_p99_us", "us", "Service time p99", Lower, Log, |l| service(l, 0.99)),
    row("schedule_lag_p99_us", "us", "Schedule lag p99", Lower, Log, |l| {
        let lag = l.lag();
        (lag.count() > 0).then(|| lag.quantile_ns(0.99) as f64 / 1e3)
    }),
    row("server_cpu_us_per_request", "us", "Server CPU per request", Lower, Log, |l| {
        server_time(l, |server| Some(server.cpu_ns))
    }),
    row("store_cpu_us_per_request", "us", "Store CPU per request", Lower, Log, |l| {
        server_time(l, |server| server.store_cpu_ns)
    }),
    row("relay_cpu_us_per_request", "us", "Relay CPU per request", Neither, Log, |l| {
        server_time(l, |server| server.relay_cpu_ns)
    }),
    row("store_writes_per_request", "writes", "Store writes per request", Lower, Linear, |l| {
        let written = l.server.as_ref()?.store_writes?;
        let answers = l.slices.iter().map(|slice| slice.ok).sum::<u64>();
        per_request(written as f64, answers as f64)
    }),
    row("cpu_us_per_request", "us", "CPU per request, store included", Lower, Log, |l| {
        server_time(l, |server| Some(server.cpu_ns + server.store_cpu_ns.unwrap_or(0)))
    }),
    row("generator_cpu_us_per_request", "us", "Generator CPU per request", Lower, Log, |l| {
        per_request(l.generator.cpu_ns as f64 / 1e3, l.counts.ended_in_window as f64)
    }),
    row("server_rss_bytes", "bytes", "Server memory, resident", Lower, Log, |l| {
        memory(l).map(|m| m.rss_bytes as f64)
    }),
    row("server_pss_bytes", "bytes", "Server memory, proportional", Lower, Log, |l| {
        memory(l)?.pss_bytes.map(|bytes| bytes as f64)
    }),
    row("server_allocated_bytes", "bytes", "Server memory, allocated", Lower, Log, |l| {
        memory(l)?.allocated_bytes.map(|bytes| bytes as f64)
    }),
    row("store_memory_bytes", "bytes", "Store memory", Lower, Log, |l| {
        memory(l)?.store_bytes.map(|bytes| bytes as f64)
    }),
    row("store_used_bytes", "bytes", "Store, its own count", Lower, Log, |l| {
        memory(l)?.store_used_bytes.map(|bytes| bytes as f64)
    }),
    row("store_disk_bytes", "bytes", "Store, on disk", Lower, Log, |l| {
        memory(l)?.store_disk_bytes.map(|bytes| bytes as f64)
    }),
    exact("credential_bytes", "bytes", "Credential", Lower, |l| {
        let login = l.login.as_ref()?;
        per_request(login.credential_bytes as f64, f64::from(login.users))
    }),
    exact("request_wire_bytes", "bytes", "Request on the wire", Lower, request_wire_bytes),
    row("error_rate", "share", "Requests that failed", Lower, Linear, |l| {
        per_request(l.counts.without_answer() as f64, l.counts.sent as f64)
    }),
    row("capacity_rps", "requests/s", "Capacity", Higher, Log, no_load),
    row("beyond_capacity_rps", "requests/s", "First rate that failed", Neither, Log, no_load),
    row("bytes_per_session", "bytes", "Allocated memory per session", Lower, Linear, no_load),
    row("resident_bytes_per_session", "bytes", "Memory per session (PSS)", Lower, Linear, no_load),
    row("store_bytes_per_session", "bytes", "Store memory per session", Lower, Linear, no_load),
    row(
        "store_used_bytes_per_session",
        "bytes",
        "Store per session, its own count",
        Lower,
        Linear,
        no_load,
    ),
    row(
        "store_disk_bytes_per_session",
        "bytes",
        "Store per session, on disk",
        Lower,
        Linear,
        no_load,
    ),
    row("usl_contention", "coefficient", "Contention (USL)", Lower, Linear, no_load),
    row("usl_coherency", "coefficient", "Coherency (USL)", Lower, Linear, no_load),
    row("usl_peak_cores", "cores", "Cores at the peak (USL)", Higher, Log, no_load),
    row("users_per_gib", "users", "Logged-in users per GiB", Higher, Log, no_load),
    row("bytes_per_connection", "bytes", "Allocated memory per connection", Lower, Linear, no_load),
    row(
        "resident_bytes_per_connection",
        "bytes",
        "Memory per connection (PSS)",
        Lower,
        Linear,
        no_load,
    ),
    row("returned_after_logout", "share", "Allocated, back after logout", Higher, Linear, no_load),
    row(
        "resident_returned_after_logout",
        "share",
        "PSS, back after logout",
        Higher,
        Linear,
        no_load,
    ),
    row(
        "store_returned_after_logout",
        "share",
        "Store, back after logout",
        Higher,
        Linear,
        no_load,
    ),
    row("bytes_per_logout", "bytes", "Allocated memory per logout", Lower, Linear, no_load),
    row("store_bytes_per_logout", "bytes", "Store memory per logout", Lower, Linear, no_load),
    row("false_refusals", "share", "Good tokens refused", Lower, Linear, no_load),
    row("returned_after_expiry", "share", "Allocated, back after expiry", Higher, Linear, no_load),
    row(
        "resident_returned_after_expiry",
        "share",
        "PSS, back after expiry",
        Higher,
        Linear,
        no_load,
    ),
    row(
        "store_returned_after_expiry",
        "share",
        "Store, back after expiry",
        Higher,
        Linear,
        no_load,
    ),
    row("login_rps", "requests/s", "Logins", Neither, Log, no_load),
    row("login_cpu_us", "us", "Server CPU per login", Lower, Log, no_load),
    row("login_store_cpu_us", "us", "Store CPU per login", Lower, Log, no_load),
    row("argon2id_login_rps", "requests/s", "Logins, argon2id", Neither, Log, no_load),
    row("argon2id_login_cpu_us", "us", "Server CPU per login, argon2id", Lower, Log, no_load),
    row("argon2id_login_store_cpu_us", "us", "Store CPU per login, argon2id", Lower, Log, no_load),
    exact("cart_items_max", "items", "Items until refused", Higher, no_load),
    row("time_to_reject_us", "us", "Time to reject p50", Lower, Log, no_load),
    row("time_to_reject_p99_us", "us", "Time to reject p99", Lower, Log, no_load),
    row("time_to_reject_max_us", "us", "Time to reject, longest", Lower, Log, no_load),
    row("stale_accepts", "accepts", "Stale accepts per logout", Lower, Linear, no_load),
    row("still_accepted", "share", "Still accepted when watching ended", Lower, Linear, no_load),
    row("refreshed_after_logout", "share", "Could refresh after it", Lower, Linear, no_load),
    row("replica_time_to_reject_us", "us", "Replica: time to reject p50", Lower, Log, no_load),
    row("replica_time_to_reject_p99_us", "us", "Replica: time to reject p99", Lower, Log, no_load),
    row("replica_time_to_reject_max_us", "us", "Replica: longest", Lower, Log, no_load),
    row("replica_stale_accepts", "accepts", "Replica: stale accepts", Lower, Linear, no_load),
    row("replica_still_accepted", "share", "Replica: still accepted", Lower, Linear, no_load),
    row("replica_unknown", "share", "Replica: not known there before", Lower, Linear, no_load),
    row("everywhere_time_to_reject_us", "us", "Everywhere: to reject p50", Lower, Log, no_load),
    row("everywhere_time_to_reject_p99_us", "us", "Everywhere: p99", Lower, Log, no_load),
    row("everywhere_time_to_reject_max_us", "us", "Everywhere: longest", Lower, Log, no_load),
    row("everywhere_stale_accepts", "accepts", "Everywhere: stale accepts", Lower, Linear, no_load),
    row("everywhere_still_accepted", "share", "Everywhere: still accepted", Lower, Linear, no_load),
    row(
        "everywhere_refreshed_after_logout",
        "share",
        "Everywhere: could refresh after it",
        Lower,
        Linear,
        no_load,
    ),
    row(
        "everywhere_replica_stale_accepts",
        "accepts",
        "Everywhere, replica: stale accepts",
        Lower,
        Linear,
        no_load,
    ),
    row(
        "everywhere_replica_still_accepted",
        "share",
        "Everywhere, replica: still accepted",
        Lower,
        Linear,
        no_load,
    ),
    row(
        "restart_accepted",
        "share",
        "Logged out, accepted after a restart",
        Lower,
        Linear,
        no_load,
    ),
    row(
        "everywhere_restart_accepted",
        "share",
        "Logged out everywhere, accepted after a restart",
        Lower,
        Linear,
        no_load,
    ),
    row(
        "restart_others_accepted",
        "share",
        "Not logged out, accepted after a restart",
        Higher,
        Linear,
        no_load,
    ),
    row("expiry_earliest_us", "us", "No leeway: earliest end", Neither, Linear, no_load),
    row("expiry_latest_us", "us", "No leeway: latest end", Lower, Linear, no_load),
    row("expiry_still_accepted", "share", "No leeway: never ended", Lower, Linear, no_load),
    row(
        "expiry_leeway_earliest_us",
        "us",
        "Default leeway: earliest end",
        Neither,
        Linear,
        no_load,
    ),
    row("expiry_leeway_latest_us", "us", "Default leeway: latest end", Lower, Linear, no_load),
    row(
        "expiry_leeway_still_accepted",
        "share",
        "Default leeway: never ended",
        Lower,
        Linear,
        no_load,
    ),
    row("renewal_cpu_us", "us", "CPU per renewal", Lower, Log, no_load),
    row("renewal_ttl_1min_us", "us", "TTL 1 min (computed)", Lower, Log, no_load),
    row("renewal_ttl_5min_us", "us", "TTL 5 min (computed)", Lower, Log, no_load),
    row("renewal_ttl_15min_us", "us", "TTL 15 min (computed)", Lower, Log, no_load),
    row("renewal_ttl_60min_us", "us", "TTL 60 min (computed)", Lower, Log, no_load),
    row("renewal_tried_computed_us", "us", "TTL that was tried (computed)", Lower, Log, no_load),
    row("renewal_tried_measured_us", "us", "TTL that was tried (measured)", Lower, Log, no_load),
    row("logged_out_share", "share", "Logged out", Lower, Linear, no_load),
    row("cannot_refresh_share", "share", "Let in, and cannot refresh", Lower, Linear, no_load),
    row("out_of_service_us", "us", "Without service", Lower, Log, no_load),
    row("storm_us", "us", "Login storm", Lower, Log, no_load),
    row("new_key_logged_out_share", "share", "New key: logged out", Lower, Linear, no_load),
    row("new_key_storm_us", "us", "New key: login storm", Lower, Log, no_load),
    row("new_store_logged_out_share", "share", "Store gone: logged out", Lower, Linear, no_load),
    row("new_store_storm_us", "us", "Store gone: login storm", Lower, Log, no_load),
    row("sticky_refused_share", "share", "Sticky: refused", Lower, Linear, no_load),
    row("round_robin_refused_share", "share", "Round-robin: refused", Lower, Linear, no_load),
    row(
        "round_robin_unrefreshed_share",
        "share",
        "Round-robin: cannot refresh",
        Lower,
        Linear,
        no_load,
    ),
    row("lost_after_death_share", "share", "Logged out when one dies", Lower, Linear, no_load),
    row("requests_per_cpu_s", "requests/s", "Requests per CPU second", Higher, Log, no_load),
    row("rps_per_core", "requests/s", "Requests per second and core", Higher, Log, no_load),
    row("scaling_efficiency", "share", "Scaling efficiency", Higher, Log, no_load),
];

/// The row of this name.
///
/// # Panics
/// When there is none: names are constants of this program.
pub fn metric(name: &str) -> &'static Metric {
    METRICS
        .iter()
        .find(|metric| metric.name == name)
        .unwrap_or_else(|| panic!("no metric is called {name}"))
}

fn no_load(_: &LoadRecord) -> Option<f64> {
    None
}

fn response(load: &LoadRecord, quantile: f64) -> Option<f64> {
    percentile(&load.response(), quantile)
}

fn service(load: &LoadRecord, quantile: f64) -> Option<f64> {
    percentile(&load.service(), quantile)
}

/// A percentile in microseconds; `None` with fewer than ten samples beyond it, where it is noise.
/// Below [`SAMPLES_BEYOND`] a doubt flags p99.
fn percentile(histogram: &Histogram, quantile: f64) -> Option<f64> {
    rare(histogram, quantile, 10.0)
}

/// A percentile in microseconds; `None` with fewer samples beyond it than that.
fn rare(histogram: &Histogram, quantile: f64, least_beyond: f64) -> Option<f64> {
    // 100,000 samples have 100 beyond p99.9, whatever 1 - 0.999 is in binary.
    let beyond = histogram.count() as f64 * (1.0 - quantile) + 1e-6;
    (beyond >= least_beyond).then(|| histogram.quantile_ns(quantile) as f64 / 1e3)
}

/// Bytes of a request, over all that were sent; where the transport does not count them, those of
/// one request.
fn request_wire_bytes(load: &LoadRecord) -> Option<f64> {
    let mean = load.bytes_sent.and_then(|sent| per_request(sent as f64, load.counts.sent as f64));
    mean.or(Some(load.request_wire_bytes as f64)).filter(|bytes| *bytes > 0.0)
}

fn memory(load: &LoadRecord) -> Option<&MemoryUse> {
    load.server.as_ref().map(|server| &server.memory)
}

/// CPU time a request, us. The two readings enclose nearly the window; the requests are scaled to
/// their interval.
fn server_time(load: &LoadRecord, of: fn(&ServerUse) -> Option<u64>) -> Option<f64> {
    let server = load.server.as_ref()?;
    let cpu_ns = of(server).filter(|cpu_ns| *cpu_ns > 0)?;
    let requests = match load.slices.as_slice() {
        [] => load.counts.achieved_rps() * server.interval_ns as f64 / 1e9,
        slices => slices.iter().map(|slice| slice.ok).sum::<u64>() as f64,
    };
    per_request(cpu_ns as f64 / 1e3, requests)
}

fn per_request(total: f64, requests: f64) -> Option<f64> {
    (requests > 0.0).then(|| total / requests)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = METRICS.iter().map(|metric| metric.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), METRICS.len());
        assert_eq!(metric("bytes_per_session").unit, "bytes");
    }
}
