//! The metrics: a named row each, from which tables, charts, comparisons and files follow. Code
//! names one by its constant; names from outside are looked up once ([`Metric::named`]). Names are
//! part of the output contract: add rows, do not rename them.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::family;
use crate::record::{Histogram, LoadRecord, MemoryUse, SAMPLES_BEYOND, ServerUse, WireUse};
use crate::stats::Scale;

/// One thing that is measured.
#[derive(Clone, Copy)]
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
    /// The family of its comparisons within an experiment ([`family`]).
    pub family: &'static str,
    /// Whether it is the same in every trial by construction, such as the bytes of a request: it
    /// has no interval, and nothing to test.
    pub is_exact: bool,
    /// Whether a reader asks for it first; the metrics of an experiment's charts are added.
    pub is_key: bool,
    /// Whether tables show what an arm adds to the baseline.
    pub is_added: bool,
    /// Whether tables show the ratio to the reference.
    pub is_ratio: bool,
    /// Whether a pace corrects it ([`super::paces`]).
    pub is_paced: bool,
    /// Whether the answer has a sentence about it for every arm.
    pub is_told: bool,
    /// Whether only who started the server can measure it.
    pub is_of_server: bool,
    /// The stores that have it; empty for a metric that has nothing to do with a store.
    pub stores: &'static [&'static str],
    /// Whether loads give it.
    pub is_of_load: bool,
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

impl Metric {
    const fn new(
        name: &'static str,
        unit: &'static str,
        label: &'static str,
        better: Better,
        scale: Scale,
    ) -> Self {
        Self {
            name,
            unit,
            label,
            better,
            scale,
            family: label,
            is_exact: false,
            is_key: false,
            is_added: false,
            is_ratio: false,
            is_paced: false,
            is_told: false,
            is_of_server: false,
            stores: &[],
            is_of_load: false,
            of_load: |_| None,
        }
    }

    const fn family(self, family: &'static str) -> Self {
        Self { family, ..self }
    }

    const fn exact(self) -> Self {
        Self { is_exact: true, ..self }
    }

    const fn key(self) -> Self {
        Self { is_key: true, ..self }
    }

    const fn added(self) -> Self {
        Self { is_added: true, ..self }
    }

    const fn ratio(self) -> Self {
        Self { is_ratio: true, ..self }
    }

    const fn paced(self) -> Self {
        Self { is_paced: true, ..self }
    }

    const fn told(self) -> Self {
        Self { is_told: true, ..self }
    }

    const fn of_server(self) -> Self {
        Self { is_of_server: true, ..self }
    }

    const fn of_store(self, stores: &'static [&'static str]) -> Self {
        Self { is_of_server: true, stores, ..self }
    }

    const fn of_load(self, of_load: fn(&LoadRecord) -> Option<f64>) -> Self {
        Self { is_of_load: true, of_load, ..self }
    }

    /// The metric of a name that comes from outside this program.
    pub fn named(name: &str) -> Option<&'static Self> {
        METRICS.iter().copied().find(|metric| metric.name == name)
    }

    /// Its place in [`METRICS`], which is the order of the tables.
    pub(crate) fn order(&self) -> usize {
        METRICS.iter().take_while(|metric| **metric != self).count()
    }
}

impl PartialEq for Metric {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Metric {}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl fmt::Debug for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name)
    }
}

impl JsonSchema for Metric {
    fn schema_name() -> Cow<'static, str> {
        "Metric".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
        json_schema!({
            "description": "The name of a metric.",
            "type": "string",
            "enum": names,
        })
    }
}

impl<'de> Deserialize<'de> for &'static Metric {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let unknown =
            || de::Error::custom(format!("expected the name of a metric, found `{name}`"));
        Metric::named(&name).ok_or_else(unknown)
    }
}

/// Stores that are programs of their own.
const PROGRAMS: &[&str] = &["redis", "postgres", "issuer"];
const COUNTING: &[&str] = &["sqlite", "redis", "postgres", "issuer"];
const ON_DISK: &[&str] = &["sqlite", "postgres"];

/// Rows as constants, and as a list in the same order.
macro_rules! metrics {
    ($($id:ident = ($name:literal, $unit:literal, $label:literal, $better:expr, $scale:expr)
        $(.$with:ident($($value:expr)?))*;)*) => {
        $(
            #[doc = concat!($label, ", in ", $unit, ".")]
            pub const $id: &Metric =
                &Metric::new($name, $unit, $label, $better, $scale)$(.$with($($value)?))*;
        )*

        /// Every metric, in the order of the tables.
        pub const METRICS: &[&Metric] = &[$($id),*];
    };
}

metrics! {
    THROUGHPUT_RPS = ("throughput_rps", "requests/s", "Throughput", Higher, Log)
        .family(family::THROUGHPUT).key().ratio().paced()
        .of_load(|l| Some(l.counts.achieved_rps()));
    GOODPUT_RPS = ("goodput_rps", "requests/s", "Goodput (right answers)", Higher, Log)
        .family(family::THROUGHPUT).paced().of_load(|l| Some(l.counts.goodput_rps()));
    RESPONSE_P50_US = ("response_p50_us", "us", "Response time p50", Lower, Log)
        .family(family::RESPONSE_TIME).key().added().ratio().of_load(|l| response(l, 0.5));
    RESPONSE_P99_US = ("response_p99_us", "us", "Response time p99", Lower, Log)
        .family(family::RESPONSE_TIME).key().added().ratio().of_load(|l| response(l, 0.99));
    RESPONSE_P999_US = ("response_p999_us", "us", "Response time p99.9", Lower, Log)
        .family(family::RESPONSE_TIME).key()
        .of_load(|l| rare(&l.response(), 0.999, SAMPLES_BEYOND as f64));
    RESPONSE_MAX_US = ("response_max_us", "us", "Response time, longest", Lower, Log)
        .key()
        .of_load(|l| {
            let response = l.response();
            (response.count() > 0).then(|| response.max_ns() as f64 / 1e3)
        });
    SERVICE_P50_US = ("service_p50_us", "us", "Service time p50", Lower, Log)
        .family(family::SERVICE_TIME).of_load(|l| service(l, 0.5));
    SERVICE_P99_US = ("service_p99_us", "us", "Service time p99", Lower, Log)
        .family(family::SERVICE_TIME).of_load(|l| service(l, 0.99));
    SCHEDULE_LAG_P99_US = ("schedule_lag_p99_us", "us", "Schedule lag p99", Lower, Log)
        .family(family::GENERATOR)
        .of_load(|l| {
            let lag = l.lag();
            (lag.count() > 0).then(|| lag.quantile_ns(0.99) as f64 / 1e3)
        });
    SERVER_CPU_US_PER_REQUEST =
        ("server_cpu_us_per_request", "us", "Server CPU per request", Lower, Log)
        .family(family::CPU_PER_REQUEST).key().added().ratio()
        .of_server().of_load(|l| server_time(l, |server| Some(server.cpu_ns)));
    STORE_CPU_US_PER_REQUEST =
        ("store_cpu_us_per_request", "us", "Store CPU per request", Lower, Log)
        .family(family::CPU_PER_REQUEST).of_store(PROGRAMS)
        .of_load(|l| server_time(l, |server| server.store_cpu_ns));
    RELAY_CPU_US_PER_REQUEST =
        ("relay_cpu_us_per_request", "us", "Relay CPU per request", Neither, Log)
        .of_server().of_load(|l| server_time(l, |server| server.relay_cpu_ns));
    PROXY_CPU_US_PER_REQUEST =
        ("proxy_cpu_us_per_request", "us", "Proxy CPU per request", Lower, Log)
        .family(family::CPU_PER_REQUEST)
        .of_server().of_load(|l| server_time(l, |server| server.proxy_cpu_ns));
    STORE_WRITES_PER_REQUEST =
        ("store_writes_per_request", "writes", "Store writes per request", Lower, Linear)
        .of_server().of_load(|l| {
            let written = l.server.as_ref()?.store_writes?;
            per_request(written as f64, requests_of(l))
        });
    CPU_US_PER_REQUEST =
        ("cpu_us_per_request", "us", "CPU per request, store included", Lower, Log)
        .family(family::CPU_PER_REQUEST).added().ratio()
        .of_server().of_load(|l| {
            server_time(l, |server| {
                let others = [server.store_cpu_ns, server.proxy_cpu_ns];
                Some(server.cpu_ns + others.into_iter().flatten().sum::<u64>())
            })
        });
    GENERATOR_CPU_US_PER_REQUEST =
        ("generator_cpu_us_per_request", "us", "Generator CPU per request", Lower, Log)
        .family(family::GENERATOR)
        .of_load(|l| per_request(l.generator.cpu_ns as f64 / 1e3, l.counts.ended_in_window as f64));
    SERVER_RSS_BYTES = ("server_rss_bytes", "bytes", "Server memory, resident", Lower, Log)
        .family(family::MEMORY).of_server().of_load(|l| memory(l).map(|m| m.rss_bytes as f64));
    SERVER_PSS_BYTES = ("server_pss_bytes", "bytes", "Server memory, proportional", Lower, Log)
        .family(family::MEMORY).key().of_server()
        .of_load(|l| memory(l)?.pss_bytes.map(|bytes| bytes as f64));
    SERVER_ALLOCATED_BYTES =
        ("server_allocated_bytes", "bytes", "Server memory, allocated", Lower, Log)
        .family(family::MEMORY).added().ratio()
        .of_server().of_load(|l| memory(l)?.allocated_bytes.map(|bytes| bytes as f64));
    STORE_MEMORY_BYTES = ("store_memory_bytes", "bytes", "Store memory", Lower, Log)
        .family(family::MEMORY).of_store(PROGRAMS)
        .of_load(|l| memory(l)?.store_bytes.map(|bytes| bytes as f64));
    PROXY_MEMORY_BYTES = ("proxy_memory_bytes", "bytes", "Proxy memory", Lower, Log)
        .family(family::MEMORY).of_server()
        .of_load(|l| memory(l)?.proxy_bytes.map(|bytes| bytes as f64));
    STORE_USED_BYTES = ("store_used_bytes", "bytes", "Store, its own count", Lower, Log)
        .family(family::MEMORY).of_store(COUNTING)
        .of_load(|l| memory(l)?.store_used_bytes.map(|bytes| bytes as f64));
    STORE_DISK_BYTES = ("store_disk_bytes", "bytes", "Store, on disk", Lower, Log)
        .family(family::MEMORY).of_store(ON_DISK)
        .of_load(|l| memory(l)?.store_disk_bytes.map(|bytes| bytes as f64));
    CREDENTIAL_BYTES = ("credential_bytes", "bytes", "Credential", Lower, Log)
        .family(family::BYTES_ON_THE_WIRE).exact()
        .of_load(|l| {
            let login = l.login.as_ref()?;
            per_request(login.credential_bytes as f64, f64::from(login.users))
        });
    REQUEST_WIRE_BYTES = ("request_wire_bytes", "bytes", "Request on the wire", Lower, Log)
        .family(family::BYTES_ON_THE_WIRE).exact().added().of_load(request_wire_bytes);
    WIRE_READ_BYTES_PER_REQUEST =
        ("wire_read_bytes_per_request", "bytes", "Received per request", Lower, Log)
        .family(family::BYTES_ON_THE_WIRE).added().ratio()
        .of_server().of_load(|l| bytes_of_wire(l, |wire| wire.read_bytes));
    WIRE_WRITTEN_BYTES_PER_REQUEST =
        ("wire_written_bytes_per_request", "bytes", "Sent per request", Lower, Log)
        .family(family::BYTES_ON_THE_WIRE).added().ratio()
        .of_server().of_load(|l| bytes_of_wire(l, |wire| wire.written_bytes));
    ERROR_RATE = ("error_rate", "share", "Requests that failed", Lower, Linear)
        .key().of_load(|l| per_request(l.counts.without_answer() as f64, l.counts.sent as f64));
    CAPACITY_RPS = ("capacity_rps", "requests/s", "Capacity", Higher, Log)
        .family(family::CAPACITY).key().ratio().told();
    BEYOND_CAPACITY_RPS =
        ("beyond_capacity_rps", "requests/s", "First rate that failed", Neither, Log)
        .family(family::CAPACITY).key();
    BYTES_PER_SESSION =
        ("bytes_per_session", "bytes", "Allocated memory per session", Lower, Linear)
        .family(family::MEMORY_PER_SESSION).added().ratio().told();
    RESIDENT_BYTES_PER_SESSION =
        ("resident_bytes_per_session", "bytes", "Memory per session (PSS)", Lower, Linear)
        .family(family::MEMORY_PER_SESSION).added().ratio();
    STORE_BYTES_PER_SESSION =
        ("store_bytes_per_session", "bytes", "Store memory per session", Lower, Linear)
        .family(family::MEMORY_PER_SESSION).of_store(PROGRAMS);
    STORE_USED_BYTES_PER_SESSION =
        ("store_used_bytes_per_session", "bytes", "Store per session, its own count", Lower, Linear)
        .family(family::MEMORY_PER_SESSION).of_store(COUNTING);
    STORE_DISK_BYTES_PER_SESSION =
        ("store_disk_bytes_per_session", "bytes", "Store per session, on disk", Lower, Linear)
        .family(family::MEMORY_PER_SESSION).of_store(ON_DISK);
    USL_CONTENTION = ("usl_contention", "coefficient", "Contention (USL)", Lower, Linear)
        .family(family::SCALABILITY);
    USL_COHERENCY = ("usl_coherency", "coefficient", "Coherency (USL)", Lower, Linear)
        .family(family::SCALABILITY);
    USL_PEAK_CORES = ("usl_peak_cores", "cores", "Cores at the peak (USL)", Higher, Log)
        .family(family::SCALABILITY);
    USERS_PER_GIB = ("users_per_gib", "users", "Logged-in users per GiB", Higher, Log)
        .family(family::MEMORY_PER_SESSION);
    BYTES_PER_CONNECTION =
        ("bytes_per_connection", "bytes", "Allocated memory per connection", Lower, Linear)
        .family(family::MEMORY_PER_CONNECTION);
    RESIDENT_BYTES_PER_CONNECTION =
        ("resident_bytes_per_connection", "bytes", "Memory per connection (PSS)", Lower, Linear)
        .family(family::MEMORY_PER_CONNECTION);
    RETURNED_AFTER_LOGOUT =
        ("returned_after_logout", "share", "Allocated, back after logout", Higher, Linear)
        .family(family::MEMORY_THAT_COMES_BACK);
    RESIDENT_RETURNED_AFTER_LOGOUT =
        ("resident_returned_after_logout", "share", "PSS, back after logout", Higher, Linear)
        .family(family::MEMORY_THAT_COMES_BACK);
    STORE_RETURNED_AFTER_LOGOUT =
        ("store_returned_after_logout", "share", "Store, back after logout", Higher, Linear)
        .family(family::MEMORY_THAT_COMES_BACK).of_store(PROGRAMS);
    BYTES_PER_LOGOUT = ("bytes_per_logout", "bytes", "Allocated memory per logout", Lower, Linear)
        .family(family::MEMORY_THAT_COMES_BACK);
    STORE_BYTES_PER_LOGOUT =
        ("store_bytes_per_logout", "bytes", "Store memory per logout", Lower, Linear)
        .of_store(COUNTING);
    FALSE_REFUSALS = ("false_refusals", "share", "Good tokens refused", Lower, Linear);
    RETURNED_AFTER_EXPIRY =
        ("returned_after_expiry", "share", "Allocated, back after expiry", Higher, Linear)
        .family(family::MEMORY_THAT_COMES_BACK);
    RESIDENT_RETURNED_AFTER_EXPIRY =
        ("resident_returned_after_expiry", "share", "PSS, back after expiry", Higher, Linear)
        .family(family::MEMORY_THAT_COMES_BACK);
    STORE_RETURNED_AFTER_EXPIRY =
        ("store_returned_after_expiry", "share", "Store, back after expiry", Higher, Linear)
        .family(family::MEMORY_THAT_COMES_BACK).of_store(PROGRAMS);
    LOGIN_RPS = ("login_rps", "requests/s", "Logins", Neither, Log)
        .family(family::LOGINS).ratio();
    LOGIN_CPU_US = ("login_cpu_us", "us", "Server CPU per login", Lower, Log)
        .family(family::CPU_PER_LOGIN).added().ratio().told();
    LOGIN_STORE_CPU_US = ("login_store_cpu_us", "us", "Store CPU per login", Lower, Log)
        .family(family::CPU_PER_LOGIN).of_store(PROGRAMS);
    ARGON2ID_LOGIN_RPS = ("argon2id_login_rps", "requests/s", "Logins, argon2id", Neither, Log)
        .family(family::LOGINS);
    ARGON2ID_LOGIN_CPU_US =
        ("argon2id_login_cpu_us", "us", "Server CPU per login, argon2id", Lower, Log)
        .family(family::CPU_PER_LOGIN).added();
    ARGON2ID_LOGIN_STORE_CPU_US =
        ("argon2id_login_store_cpu_us", "us", "Store CPU per login, argon2id", Lower, Log)
        .family(family::CPU_PER_LOGIN).of_store(PROGRAMS);
    CART_ITEMS_MAX = ("cart_items_max", "items", "Items until refused", Higher, Log)
        .exact().key();
    TIME_TO_REJECT_US = ("time_to_reject_us", "us", "Time to reject p50", Lower, Log);
    TIME_TO_REJECT_P99_US = ("time_to_reject_p99_us", "us", "Time to reject p99", Lower, Log);
    TIME_TO_REJECT_MAX_US = ("time_to_reject_max_us", "us", "Time to reject, longest", Lower, Log);
    STALE_ACCEPTS = ("stale_accepts", "accepts", "Stale accepts per logout", Lower, Linear);
    STILL_ACCEPTED =
        ("still_accepted", "share", "Still accepted when watching ended", Lower, Linear);
    REFRESHED_AFTER_LOGOUT =
        ("refreshed_after_logout", "share", "Could refresh after it", Lower, Linear);
    REPLICA_TIME_TO_REJECT_US =
        ("replica_time_to_reject_us", "us", "Replica: time to reject p50", Lower, Log);
    REPLICA_TIME_TO_REJECT_P99_US =
        ("replica_time_to_reject_p99_us", "us", "Replica: time to reject p99", Lower, Log);
    REPLICA_TIME_TO_REJECT_MAX_US =
        ("replica_time_to_reject_max_us", "us", "Replica: longest", Lower, Log);
    REPLICA_STALE_ACCEPTS =
        ("replica_stale_accepts", "accepts", "Replica: stale accepts", Lower, Linear);
    REPLICA_STILL_ACCEPTED =
        ("replica_still_accepted", "share", "Replica: still accepted", Lower, Linear);
    REPLICA_UNKNOWN =
        ("replica_unknown", "share", "Replica: not known there before", Lower, Linear);
    EVERYWHERE_TIME_TO_REJECT_US =
        ("everywhere_time_to_reject_us", "us", "Everywhere: to reject p50", Lower, Log);
    EVERYWHERE_TIME_TO_REJECT_P99_US =
        ("everywhere_time_to_reject_p99_us", "us", "Everywhere: p99", Lower, Log);
    EVERYWHERE_TIME_TO_REJECT_MAX_US =
        ("everywhere_time_to_reject_max_us", "us", "Everywhere: longest", Lower, Log);
    EVERYWHERE_STALE_ACCEPTS =
        ("everywhere_stale_accepts", "accepts", "Everywhere: stale accepts", Lower, Linear);
    EVERYWHERE_STILL_ACCEPTED =
        ("everywhere_still_accepted", "share", "Everywhere: still accepted", Lower, Linear);
    EVERYWHERE_REFRESHED_AFTER_LOGOUT =
        ("everywhere_refreshed_after_logout", "share", "Everywhere: could refresh after it",
         Lower, Linear);
    EVERYWHERE_REPLICA_STALE_ACCEPTS =
        ("everywhere_replica_stale_accepts", "accepts", "Everywhere, replica: stale accepts",
         Lower, Linear);
    EVERYWHERE_REPLICA_STILL_ACCEPTED =
        ("everywhere_replica_still_accepted", "share", "Everywhere, replica: still accepted",
         Lower, Linear);
    RESTART_ACCEPTED =
        ("restart_accepted", "share", "Logged out, accepted after a restart", Lower, Linear);
    EVERYWHERE_RESTART_ACCEPTED =
        ("everywhere_restart_accepted", "share", "Logged out everywhere, accepted after a restart",
         Lower, Linear);
    RESTART_OTHERS_ACCEPTED =
        ("restart_others_accepted", "share", "Not logged out, accepted after a restart",
         Higher, Linear);
    EXPIRY_EARLIEST_US = ("expiry_earliest_us", "us", "No leeway: earliest end", Neither, Linear);
    EXPIRY_LATEST_US = ("expiry_latest_us", "us", "No leeway: latest end", Lower, Linear);
    EXPIRY_STILL_ACCEPTED =
        ("expiry_still_accepted", "share", "No leeway: never ended", Lower, Linear);
    EXPIRY_LEEWAY_EARLIEST_US =
        ("expiry_leeway_earliest_us", "us", "Default leeway: earliest end", Neither, Linear);
    EXPIRY_LEEWAY_LATEST_US =
        ("expiry_leeway_latest_us", "us", "Default leeway: latest end", Lower, Linear);
    EXPIRY_LEEWAY_STILL_ACCEPTED =
        ("expiry_leeway_still_accepted", "share", "Default leeway: never ended", Lower, Linear);
    RENEWAL_CPU_US = ("renewal_cpu_us", "us", "CPU per renewal", Lower, Log);
    RENEWAL_TTL_1MIN_US = ("renewal_ttl_1min_us", "us", "TTL 1 min (computed)", Lower, Log);
    RENEWAL_TTL_5MIN_US = ("renewal_ttl_5min_us", "us", "TTL 5 min (computed)", Lower, Log);
    RENEWAL_TTL_15MIN_US = ("renewal_ttl_15min_us", "us", "TTL 15 min (computed)", Lower, Log);
    RENEWAL_TTL_60MIN_US = ("renewal_ttl_60min_us", "us", "TTL 60 min (computed)", Lower, Log);
    RENEWAL_TRIED_COMPUTED_US =
        ("renewal_tried_computed_us", "us", "TTL that was tried (computed)", Lower, Log);
    RENEWAL_TRIED_MEASURED_US =
        ("renewal_tried_measured_us", "us", "TTL that was tried (measured)", Lower, Log);
    RENEWALS_PER_S = ("renewals_per_s", "requests/s", "Renewals", Neither, Linear)
        .of_load(|l| {
            per_request(l.renewals.as_ref()?.renewed() as f64, l.counts.window_ns as f64 / 1e9)
        });
    RENEWAL_TIME_P50_US = ("renewal_time_p50_us", "us", "Renewal p50", Lower, Log)
        .family(family::RENEWAL_TIME).of_load(|l| percentile(&l.renewals.as_ref()?.time, 0.5));
    RENEWAL_TIME_P99_US = ("renewal_time_p99_us", "us", "Renewal p99", Lower, Log)
        .family(family::RENEWAL_TIME).of_load(|l| percentile(&l.renewals.as_ref()?.time, 0.99));
    RENEWALS_FAILED = ("renewals_failed", "share", "Renewals that failed", Lower, Linear)
        .of_load(|l| {
            let renewals = l.renewals.as_ref()?;
            let all = renewals.renewed() + renewals.failed;
            per_request(renewals.failed as f64, all as f64)
        });
    LOGGED_OUT_SHARE = ("logged_out_share", "share", "Logged out", Lower, Linear);
    CANNOT_REFRESH_SHARE =
        ("cannot_refresh_share", "share", "Let in, and cannot refresh", Lower, Linear);
    OUT_OF_SERVICE_US = ("out_of_service_us", "us", "Without service", Lower, Log);
    STORM_US = ("storm_us", "us", "Login storm", Lower, Log);
    NEW_KEY_LOGGED_OUT_SHARE =
        ("new_key_logged_out_share", "share", "New key: logged out", Lower, Linear);
    NEW_KEY_STORM_US = ("new_key_storm_us", "us", "New key: login storm", Lower, Log);
    NEW_STORE_LOGGED_OUT_SHARE =
        ("new_store_logged_out_share", "share", "Store gone: logged out", Lower, Linear);
    NEW_STORE_STORM_US = ("new_store_storm_us", "us", "Store gone: login storm", Lower, Log);
    STICKY_REFUSED_SHARE = ("sticky_refused_share", "share", "Sticky: refused", Lower, Linear);
    ROUND_ROBIN_REFUSED_SHARE =
        ("round_robin_refused_share", "share", "Round-robin: refused", Lower, Linear);
    ROUND_ROBIN_UNREFRESHED_SHARE =
        ("round_robin_unrefreshed_share", "share", "Round-robin: cannot refresh", Lower, Linear);
    LOST_AFTER_DEATH_SHARE =
        ("lost_after_death_share", "share", "Logged out when one dies", Lower, Linear);
    FAILED_AFTER_DEATH_SHARE =
        ("failed_after_death_share", "share", "First request failed", Lower, Linear);
    REQUESTS_PER_CPU_S =
        ("requests_per_cpu_s", "requests/s", "Requests per CPU second", Higher, Log);
    RPS_PER_CORE = ("rps_per_core", "requests/s", "Requests per second and core", Higher, Log)
        .paced();
    SCALING_EFFICIENCY = ("scaling_efficiency", "share", "Scaling efficiency", Higher, Log);
}

/// What a load tells of renewals.
pub(super) const OF_RENEWALS: [&Metric; 4] =
    [RENEWALS_PER_S, RENEWAL_TIME_P50_US, RENEWAL_TIME_P99_US, RENEWALS_FAILED];

/// Response times.
pub const RESPONSE_TIMES: [&Metric; 4] =
    [RESPONSE_P50_US, RESPONSE_P99_US, RESPONSE_P999_US, RESPONSE_MAX_US];

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

/// Bytes of a request, the mean over those that were written; where these were not counted, the
/// whole bytes that the record has.
fn request_wire_bytes(load: &LoadRecord) -> Option<f64> {
    let written = load.bytes_sent.zip(load.requests_written);
    let mean = written.and_then(|(bytes, requests)| per_request(bytes as f64, requests as f64));
    mean.or(Some(load.request_wire_bytes as f64)).filter(|bytes| *bytes > 0.0)
}

fn memory(load: &LoadRecord) -> Option<&MemoryUse> {
    load.server.as_ref().map(|server| &server.memory)
}

/// CPU time per request, us. The two readings enclose nearly the window; the requests are scaled to
/// their interval.
fn server_time(load: &LoadRecord, of: fn(&ServerUse) -> Option<u64>) -> Option<f64> {
    let cpu_ns = load.server.as_ref().and_then(of).filter(|cpu_ns| *cpu_ns > 0)?;
    per_request(cpu_ns as f64 / 1e3, requests_of(load))
}

/// The requests between the two readings of the server.
fn requests_of(load: &LoadRecord) -> f64 {
    let interval_ns = load.server.as_ref().map_or(0, |server| server.interval_ns);
    match load.slices.as_slice() {
        [] => load.counts.achieved_rps() * interval_ns as f64 / 1e9,
        slices => slices.iter().map(|slice| slice.ok).sum::<u64>() as f64,
    }
}

/// Bytes that passed the server's sockets, per request that it counted meanwhile.
fn bytes_of_wire(load: &LoadRecord, of: fn(&WireUse) -> u64) -> Option<f64> {
    let wire = load.server.as_ref()?.wire.as_ref()?;
    per_request(of(wire) as f64, wire.requests as f64)
}

fn per_request(total: f64, requests: f64) -> Option<f64> {
    (requests > 0.0).then(|| total / requests)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn under_overload_bytes_are_those_of_requests_that_were_written() {
        let mut load = super::super::sample::load(300);
        (load.bytes_sent, load.requests_written) = (Some(9_000), Some(100));
        assert_eq!(request_wire_bytes(&load), Some(90.0));
        // An older record.
        (load.requests_written, load.request_wire_bytes) = (None, 89);
        assert_eq!(request_wire_bytes(&load), Some(89.0));
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = METRICS.iter().map(|metric| metric.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), METRICS.len());
        assert!(METRICS.iter().enumerate().all(|(place, metric)| metric.order() == place));
    }

    #[test]
    fn a_name_from_outside_is_looked_up_or_named_in_the_error() {
        assert_eq!(Metric::named("bytes_per_session"), Some(BYTES_PER_SESSION));
        let read: &Metric = serde_json::from_str("\"error_rate\"").unwrap();
        assert_eq!(
            (read, serde_json::to_string(read).unwrap()),
            (ERROR_RATE, "\"error_rate\"".into())
        );
        let error = serde_json::from_str::<&Metric>("\"speed\"").unwrap_err();
        assert!(error.to_string().contains("found `speed`"), "{error}");
    }

    #[test]
    fn a_metric_without_a_family_is_one_by_itself() {
        assert_eq!(RESPONSE_P99_US.family, RESPONSE_P50_US.family);
        assert_eq!(ERROR_RATE.family, ERROR_RATE.label);
    }
}
