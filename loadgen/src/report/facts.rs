//! What the first screen says of each arm: its cost per request, the rate it held, its memory per
//! login, its bytes per request, and what it withstands. The matrix, the calculator and the
//! headline read the same facts, so they cannot disagree.

use super::analysis::Analysis;
use super::best::{self, Blocks, Column};
use super::chart::look;
use super::cost;
use super::figure::{chosen, digits, figure};
use super::figures::Measurement;
use super::key::{Lookup, Place};
use super::known::NOTHING_BYTES;
use super::words;
use crate::experiment::metric::{self, Metric};
use crate::stats::{Estimate, Scale};
use crate::units::{counted, grouped};

/// What is known of all arms.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// The arms, without the baseline and the twin, in their order.
    pub(super) arms: Vec<ArmFacts>,
    /// Where CPU time and bytes per request were measured; empty where they were not.
    pub(super) cpu_at: String,
    /// What a request costs without authentication, us.
    pub(super) floor: Option<Estimate>,
    /// The most logins over which memory was measured.
    pub(super) users_measured: Option<u64>,
    /// The limit that p99 has to keep at the rate held, and over how many connections; empty where
    /// no rate was searched for.
    pub(super) capacity_at: String,
    /// The most connections of a closed load, which other tables give the throughput of.
    pub(super) most_connections: Option<u32>,
    /// What a request adds at the least load, where that is more; empty where it is not.
    pub(super) at_less_load: String,
    /// CPU time, rate held and memory of the arms, in their order and block by block.
    pub(super) columns: [Column; 3],
}

/// A fact of an arm that the matrix has a column for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fact {
    Cpu,
    Capacity,
    Memory,
    Wire,
    Logout,
    AnyServer,
    Restart,
}

/// The experiments and the metric that each fact is read from.
const SOURCES: [(Fact, &[&str], &Metric); 7] = [
    (Fact::Cpu, &cost::EXPERIMENTS, metric::CPU_US_PER_REQUEST),
    (Fact::Capacity, &["capacity"], metric::CAPACITY_RPS),
    (Fact::Memory, &["memory"], metric::BYTES_PER_SESSION),
    (Fact::Wire, &cost::EXPERIMENTS, metric::REQUEST_WIRE_BYTES),
    (Fact::Logout, &["revocation"], metric::STILL_ACCEPTED),
    (Fact::AnyServer, &["replicas"], metric::ROUND_ROBIN_REFUSED_SHARE),
    (Fact::Restart, &["restart"], metric::LOGGED_OUT_SHARE),
];

/// What of an arm was measured at all.
fn measured(analysis: &Analysis, arm: &str) -> Vec<Fact> {
    let is_there = |experiments: &[&str], metric: &Metric| {
        analysis.measurements.iter().any(|m| {
            m.key.arm == arm
                && m.key.metric == metric
                && experiments.contains(&m.key.experiment.as_str())
        })
    };
    let there = SOURCES.iter().filter(|(_, experiments, metric)| is_there(experiments, metric));
    there.map(|(fact, ..)| *fact).collect()
}

/// What is known of an arm; `None` where it was not measured, or not validly.
#[derive(Clone, Debug, Default)]
pub(super) struct ArmFacts {
    /// Its name.
    pub(super) arm: String,
    /// `session`, `token`, `hybrid` or `other`.
    pub(super) family: &'static str,
    /// CPU time per request, by items kept in the session.
    pub(super) cpu: Vec<Cpu>,
    /// Memory per login, likewise.
    pub(super) memory: Vec<Memory>,
    /// Bytes per request, likewise.
    pub(super) wire: Vec<Wire>,
    /// What of it was measured at all, validly or not.
    pub(super) measured: Vec<Fact>,
    /// Requests per second that it held.
    pub(super) capacity: Option<Estimate>,
    /// Whether a logout ends a login.
    pub(super) logout: Need,
    /// Whether any server can answer.
    pub(super) any_server: Need,
    /// Whether logins survive a restart.
    pub(super) restart: Need,
}

/// CPU time per request, us.
#[derive(Clone, Debug)]
pub(super) struct Cpu {
    pub(super) items: u32,
    /// Server and store.
    pub(super) total: f64,
    /// The same, less the baseline's.
    pub(super) added: Estimate,
    /// The store's part.
    pub(super) store: Option<f64>,
    /// Whether the arm could not hold the rate, so that its requests queued.
    pub(super) is_overloaded: bool,
}

/// Memory per login, bytes.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    pub(super) items: u32,
    pub(super) server: Estimate,
    pub(super) store: Option<Estimate>,
}

/// Bytes as people read them; `None` where they are nothing.
fn bytes(estimate: &Estimate) -> Option<String> {
    let most = estimate.interval.map_or(estimate.point, |(_, hi)| hi);
    (most >= NOTHING_BYTES).then(|| digits(estimate.point))
}

impl Memory {
    /// The server's part and the store's, each as people read it; `None` where it is nothing.
    pub(super) fn parts(&self) -> (Option<String>, Option<String>) {
        (bytes(&self.server), self.store.as_ref().and_then(bytes))
    }

    /// Of server and store.
    pub(super) fn total(&self) -> f64 {
        self.server.point + self.store.as_ref().map_or(0.0, |store| store.point)
    }

    /// Its interval: the ends of both added, which is no narrower than that of their sum.
    pub(super) fn interval(&self) -> Option<(f64, f64)> {
        let (lo, hi) = self.server.interval?;
        match &self.store {
            None => Some((lo, hi)),
            Some(store) => store.interval.map(|(least, most)| (lo + least, hi + most)),
        }
    }
}

/// Bytes per request.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    pub(super) items: u32,
    pub(super) bytes: f64,
    /// Beyond the baseline's.
    pub(super) added: f64,
}

/// Whether an arm does what a reader may need.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Need {
    /// `None` where it was not measured.
    pub(super) holds: Option<bool>,
    /// How, or what happens instead.
    pub(super) says: String,
}

impl Need {
    pub(super) fn new(holds: bool, says: impl Into<String>) -> Self {
        Self { holds: Some(holds), says: says.into() }
    }
}

/// The cost of a request whose session keeps no items.
pub(super) fn bare_cpu(arm: &ArmFacts) -> Option<&Cpu> {
    arm.cpu.iter().find(|cpu| cpu.items == 0)
}

/// The memory of a login that keeps no items.
pub(super) fn bare_memory(arm: &ArmFacts) -> Option<&Memory> {
    arm.memory.iter().find(|memory| memory.items == 0)
}

/// Gathers them.
pub(super) fn facts(analysis: &Analysis) -> Facts {
    let place = cost_place(analysis);
    let arms = ranked(analysis).map(|arm| ArmFacts {
        arm: arm.clone(),
        family: look(arm).family,
        cpu: by_items(analysis, place, |at| cpu(analysis, at, arm)),
        memory: memory(analysis, arm),
        wire: by_items(analysis, place, |at| wire(analysis, at, arm)),
        measured: measured(analysis, arm),
        capacity: valid(analysis, "capacity", metric::CAPACITY_RPS, arm).map(estimate),
        logout: logout(analysis, arm),
        any_server: any_server(analysis, arm),
        restart: restart(analysis, arm),
    });
    let floor = place.and_then(|(experiment, place)| {
        let m = find(analysis, experiment, metric::CPU_US_PER_REQUEST, place, &analysis.baseline)?;
        Some(m.estimate.clone())
    });
    let users = analysis.measurements.iter().filter(|m| {
        m.key.experiment == "memory" && m.key.metric == metric::SERVER_ALLOCATED_BYTES && m.valid
    });
    Facts {
        arms: arms.collect(),
        cpu_at: place.map_or_else(String::new, |place| load(analysis, place)),
        floor,
        capacity_at: capacity_at(analysis),
        most_connections: connections(analysis, "concurrency", metric::THROUGHPUT_RPS),
        users_measured: users.filter_map(|m| m.key.users).max(),
        at_less_load: place.and_then(|place| at_less_load(analysis, place)).unwrap_or_default(),
        columns: columns(analysis, place),
    }
}

/// What tells arms apart, in the order of the matrix.
fn columns(analysis: &Analysis, place: Option<At<'_>>) -> [Column; 3] {
    let cost = |arm: &str| {
        let (experiment, place) = place?;
        let m = find(analysis, experiment, metric::CPU_US_PER_REQUEST, place, arm)?;
        Some((m.estimate.point, m.by_block.clone()))
    };
    let held = |arm: &str| {
        let m = valid(analysis, "capacity", metric::CAPACITY_RPS, arm)?;
        Some((m.estimate.point, m.by_block.clone()))
    };
    [
        column(analysis, (Scale::Log, false), cost),
        column(analysis, (Scale::Log, true), held),
        column(analysis, (Scale::Linear, false), |arm| kept(analysis, arm)),
    ]
}

fn column(
    analysis: &Analysis,
    (scale, more): (Scale, bool),
    figure: impl Fn(&str) -> Option<(f64, Blocks)>,
) -> Column {
    let blocks = |arm: &str| figure(arm).map(|(_, blocks)| blocks);
    let twin = analysis.twin.as_ref().and_then(|twin| blocks(twin));
    let floor = best::floor(twin.as_ref(), blocks(&analysis.reference).as_ref(), scale);
    Column { arms: ranked(analysis).map(|arm| figure(arm)).collect(), scale, more, floor }
}

/// What a login without items takes of server and store, by block.
fn kept(analysis: &Analysis, arm: &str) -> Option<(f64, Blocks)> {
    let mut places = analysis.measurements.places("memory", metric::BYTES_PER_SESSION);
    places.retain(|place| place.0.unwrap_or(0) == 0);
    let place = *places.first()?;
    let server = find(analysis, "memory", metric::BYTES_PER_SESSION, place, arm)?;
    let store = find(analysis, "memory", metric::STORE_BYTES_PER_SESSION, place, arm);
    let both = |(block, own): (&u32, &f64)| {
        let store = store.map_or(Some(0.0), |store| store.by_block.get(block).copied())?;
        Some((*block, own + store))
    };
    let point = server.estimate.point + store.map_or(0.0, |store| store.estimate.point);
    Some((point, server.by_block.iter().filter_map(both).collect()))
}

/// The most connections with which a figure was measured.
fn connections(analysis: &Analysis, experiment: &str, metric: &Metric) -> Option<u32> {
    analysis.measurements.all_of(experiment, metric).map(|m| m.key.connections).max()
}

fn capacity_at(analysis: &Analysis) -> String {
    let Some(probe) = analysis.probes.first() else { return String::new() };
    let limit = chosen(probe.limit_us, "us");
    let connections = connections(analysis, "capacity", metric::CAPACITY_RPS);
    let over =
        connections.map_or_else(String::new, |n| format!(" ({})", counted(n.into(), "connection")));
    format!("p99 within {limit}{over}")
}

/// The arms whose requests cost more at the least load of `curve`: where fewer requests come, fewer
/// share a wake-up and a round trip to a store.
fn at_less_load(analysis: &Analysis, (experiment, (level, users)): At<'_>) -> Option<String> {
    if experiment != "curve" {
        return None;
    }
    let places = analysis.measurements.places(experiment, metric::CPU_US_PER_REQUEST);
    let least = places.into_iter().find(|place| place.1 == users && place.0 < level)?;
    let added = |place: Place, arm: &str| Some(cpu(analysis, (experiment, place, 0), arm)?.added);
    let more = |arm: &String| {
        let (now, idle) = (added((level, users), arm)?, added(least, arm)?);
        let rises = idle.interval?.0 > now.interval?.1;
        rises.then(|| format!("{} with {arm}", figure(idle.point, "us")))
    };
    let more: Vec<String> = ranked(analysis).filter_map(more).collect();
    (!more.is_empty()).then(|| {
        format!(
            "At {} % of what the server without authentication ({}) can do, where fewer requests \
             share a wake-up and a round trip, a request adds more: {}.",
            least.0.unwrap_or(0),
            analysis.baseline,
            more.join(", ")
        )
    })
}

/// The arms that are ranked: all but the baseline.
fn ranked(analysis: &Analysis) -> impl Iterator<Item = &String> {
    analysis.arms.iter().filter(|arm| **arm != analysis.baseline)
}

/// An experiment and a place in it.
type At<'a> = (&'a str, Place);

/// Where the costs of the most arms were measured validly; of several such places the best.
fn cost_place(analysis: &Analysis) -> Option<At<'static>> {
    let mut best: Option<(usize, At<'static>)> = None;
    for experiment in cost::EXPERIMENTS {
        let mut places = analysis.measurements.places(experiment, metric::CPU_US_PER_REQUEST);
        places.sort_by_key(|place| cost::order(experiment, *place));
        for place in places {
            let known = ranked(analysis)
                .filter(|arm| cpu(analysis, (experiment, place, 0), arm).is_some())
                .count();
            if known > best.map_or(0, |(most, _)| most) {
                best = Some((known, (experiment, place)));
            }
        }
    }
    best.map(|(_, at)| at)
}

/// Under what load.
fn load(analysis: &Analysis, (experiment, place): At<'_>) -> String {
    let users = grouped(place.1.unwrap_or(0));
    let all = analysis.measurements.all_of(experiment, metric::CPU_US_PER_REQUEST);
    let rate = all.filter(|m| m.key.place() == place).find_map(|m| m.key.rate);
    match (experiment, rate) {
        ("curve", _) => {
            format!(
                "a load of {} % of what the server without authentication ({}) can do",
                place.0.unwrap_or(0),
                analysis.baseline
            )
        }
        ("population", Some(rate)) => {
            format!("{} requests per second and {users} users logged in", digits(rate))
        }
        ("population", None) => format!("{users} users logged in"),
        _ => format!("{users} concurrent users in a closed loop"),
    }
}

/// Without items at the place of costs, with items where carts were measured.
fn by_items<T>(
    analysis: &Analysis,
    place: Option<At<'_>>,
    read: impl Fn((&str, Place, u32)) -> Option<T>,
) -> Vec<T> {
    let carts = analysis.measurements.places("cart", metric::CPU_US_PER_REQUEST);
    let carts = carts.into_iter().filter_map(|place| match place.0 {
        Some(items) if items > 0 => Some(("cart", place, items)),
        _ => None,
    });
    let bare = place.map(|(experiment, place)| (experiment, place, 0));
    bare.into_iter().chain(carts).filter_map(read).collect()
}

fn find<'a>(
    analysis: &'a Analysis,
    experiment: &str,
    metric: &Metric,
    place: Place,
    arm: &str,
) -> Option<&'a Measurement> {
    analysis.measurements.find(experiment, metric, place, arm).filter(|m| m.valid)
}

/// The valid figure of an arm with the most users.
fn valid<'a>(
    analysis: &'a Analysis,
    experiment: &str,
    metric: &Metric,
    arm: &str,
) -> Option<&'a Measurement> {
    analysis.measurements.top(experiment, metric, |m| m.key.arm == arm).filter(|m| m.valid)
}

fn estimate(m: &Measurement) -> Estimate {
    m.estimate.clone()
}

fn cpu(analysis: &Analysis, at: (&str, Place, u32), arm: &str) -> Option<Cpu> {
    let (experiment, place, items) = at;
    let total = find(analysis, experiment, metric::CPU_US_PER_REQUEST, place, arm)?;
    let mut compared = analysis.comparisons.all_of(experiment, metric::CPU_US_PER_REQUEST);
    let added = compared
        .find(|c| c.key.place() == place && c.is_between(arm, &analysis.baseline))?
        .difference
        .clone();
    let store = find(analysis, experiment, metric::STORE_CPU_US_PER_REQUEST, place, arm);
    let store = store.map(|m| m.estimate.point);
    let is_overloaded = !cost::keeps_up(&analysis.measurements, experiment, place, arm);
    Some(Cpu { items, total: total.estimate.point, added, store, is_overloaded })
}

fn wire(analysis: &Analysis, at: (&str, Place, u32), arm: &str) -> Option<Wire> {
    let (experiment, place, items) = at;
    let bytes = |arm: &str| {
        let m = find(analysis, experiment, metric::REQUEST_WIRE_BYTES, place, arm)?;
        Some(m.estimate.point)
    };
    let own = bytes(arm)?;
    Some(Wire { items, bytes: own, added: own - bytes(&analysis.baseline)? })
}

fn memory(analysis: &Analysis, arm: &str) -> Vec<Memory> {
    let places = analysis.measurements.places("memory", metric::BYTES_PER_SESSION);
    let slope = |place: Place| {
        let server = find(analysis, "memory", metric::BYTES_PER_SESSION, place, arm)?;
        let store = find(analysis, "memory", metric::STORE_BYTES_PER_SESSION, place, arm);
        let (server, store) = (estimate(server), store.map(estimate));
        Some(Memory { items: place.0.unwrap_or(0), server, store })
    };
    places.into_iter().filter_map(slope).collect()
}

fn logout(analysis: &Analysis, arm: &str) -> Need {
    let Some(accepted) = valid(analysis, "revocation", metric::STILL_ACCEPTED, arm) else {
        return Need::default();
    };
    let accepted = accepted.estimate.point;
    if accepted >= 1.0 {
        return Need::new(false, "accepted until it expires");
    }
    if accepted > 0.0 {
        return Need::new(
            false,
            format!("{} of requests still accepted after the logout", words::share(accepted)),
        );
    }
    match valid(analysis, "revocation", metric::TIME_TO_REJECT_US, arm) {
        Some(m) => {
            let after = figure(m.estimate.point, m.unit);
            Need::new(true, format!("refused {after} after the logout"))
        }
        None => Need::new(true, "yes"),
    }
}

fn any_server(analysis: &Analysis, arm: &str) -> Need {
    let found = valid(analysis, "replicas", metric::ROUND_ROBIN_REFUSED_SHARE, arm);
    refused(found, "requests refused behind several servers")
}

fn restart(analysis: &Analysis, arm: &str) -> Need {
    refused(valid(analysis, "restart", metric::LOGGED_OUT_SHARE, arm), "users logged out")
}

/// A share that has to be 0.
fn refused(found: Option<&Measurement>, what: &str) -> Need {
    match found.map(|m| m.estimate.point) {
        None => Need::default(),
        Some(share) if share <= 0.0 => Need::new(true, "yes"),
        Some(share) if share >= 1.0 => Need::new(false, format!("all {what}")),
        Some(share) => Need::new(false, format!("{} of {what}", words::share(share))),
    }
}
