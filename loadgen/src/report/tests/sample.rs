//! A small campaign for the tests of the formats: a real plan, and records made up by arithmetic,
//! analysed like any others. Noise is a function of the trial's seed.

use crate::experiment;
use crate::plan::{Action, Plan, TrialPlan};
use crate::random::mix;
use crate::record::{
    ActionRecord, Counts, GeneratorUse, Histogram, Host, LoadRecord, LoginRecord, MemoryUse,
    Placement, RECORD_SCHEMA, ServerFacts, ServerUse, SnapshotRecord, StepRecord, TrialOutcome,
    TrialRecord,
};
use crate::report::{Analysis, analyse};
use crate::spec::{Overrides, Spec};

/// The campaign that most tests use: three arms, three levels, five blocks, and memory.
pub(in crate::report) fn analysis() -> Analysis {
    analysis_of(&plan(&["none", "session@memory", "jwt-hs256"], 5), |_| {})
}

/// A campaign of these arms, the first of which is the baseline.
pub(in crate::report) fn plan(arms: &[&str], blocks: u32) -> Plan {
    plan_at(&[10, 100, 1000], arms, blocks)
}

/// The same at these numbers of concurrent users.
pub(in crate::report) fn plan_at(users: &[u32], arms: &[&str], blocks: u32) -> Plan {
    let text = format!(
        "name = 'sample'\nseed = 7\narms = {arms:?}\nbaseline = {:?}\n\
         [concurrency]\nusers = {users:?}\nblocks = {blocks}\nslice = '0ms'\n\
         [memory]\nsessions = [0, 25000, 50000, 75000, 100000]\nblocks = {blocks}\n\
         fill = 'login'\n{}",
        arms[0],
        endpoints(arms, users.last().copied().unwrap_or_default()),
    );
    experiment::expand(&Spec::parse("sample.toml", &text, Overrides::default()).unwrap()).unwrap()
}

/// Endpoints as a preset has them: cost over the baseline, throughput and p99 compared with the
/// reference, memory, and how the cost grows.
fn endpoints(arms: &[&str], most: u32) -> String {
    let [baseline, reference, ..] = arms else { return String::new() };
    let table = |experiment: &str, metric: &str, against: &str, more: &str| {
        format!(
            "[[primary]]\nexperiment = {experiment:?}\nmetric = {metric:?}\narm = '*'\n\
             against = {against:?}\n{more}\n"
        )
    };
    let cpu = "server_cpu_us_per_request";
    let mut endpoints = table("concurrency", cpu, baseline, "")
        + &table("memory", "bytes_per_session", baseline, "");
    if most > 10 {
        endpoints += &table("concurrency", cpu, baseline, "growth = true");
    }
    if arms.len() > 2 {
        endpoints += &table("concurrency", cpu, reference, "");
        endpoints += &table("concurrency", "throughput_rps", reference, "");
        endpoints += &table("concurrency", "response_p99_us", reference, "");
    }
    endpoints
}

/// A campaign of these arms on these numbers of server cores.
pub(in crate::report) fn plan_over_cores(cores: &[u32], arms: &[&str], blocks: u32) -> Plan {
    let text = format!(
        "name = 'sample'\nseed = 7\narms = {arms:?}\nbaseline = {:?}\n\
         [cores]\ncores = {cores:?}\nblocks = {blocks}\nslice = '0ms'\n",
        arms[0]
    );
    experiment::expand(&Spec::parse("sample.toml", &text, Overrides::default()).unwrap()).unwrap()
}

/// Carries out a plan on paper; `change` may spoil each record.
pub(in crate::report) fn analysis_of(plan: &Plan, change: impl Fn(&mut TrialRecord)) -> Analysis {
    let mut records = records(plan);
    records.iter_mut().for_each(change);
    analyse(plan, host(), &records)
}

/// A record for every trial of a plan.
pub(in crate::report) fn records(plan: &Plan) -> Vec<TrialRecord> {
    plan.trials.iter().map(|trial| record(plan, trial)).collect()
}

/// The machine of the sample.
pub(in crate::report) fn host() -> Host {
    Host {
        schema: RECORD_SCHEMA,
        authbench: "0.1.0".into(),
        binary_sha256: "ab".repeat(32),
        profile: "release".into(),
        compiler: "rustc 1.95.0".into(),
        allocator: "jemalloc".into(),
        kernel: "Linux 6.8.0".into(),
        cpu_model: "Example CPU @ 2.60GHz".into(),
        cores: vec![0, 1],
        virtualised: true,
        memory_bytes: 8 << 30,
        open_files: (Some(1_048_576), Some(1_048_576)),
        local_ports: Some((32_768, 60_999)),
        ..Host::default()
    }
}

fn record(plan: &Plan, trial: &TrialPlan) -> TrialRecord {
    let place = plan.arms.iter().position(|arm| *arm == trial.arm).unwrap_or(0) as f64;
    let noise = |n| 1.0 + 0.03 * (mix(trial.seed, n) as f64 / u64::MAX as f64 - 0.5);
    let actions = trial.actions.iter().map(|action| did(action, place, &noise)).collect();
    TrialRecord {
        schema: RECORD_SCHEMA,
        plan: plan.hash(),
        origin: None,
        trial: trial.clone(),
        started_unix_ms: 1_798_761_600_000 + u64::from(trial.index) * 2000,
        wall_ms: 1900,
        placement: Placement { server: vec![0], generator: vec![1] },
        server: Some(ServerFacts {
            pid: 1,
            threads: 1,
            notes: vec![format!("notes of {}", trial.arm)],
            store: None,
            servers: None,
            proxy: None,
        }),
        actions,
        timeline: vec![],
        steal: 0.0,
        refused: Vec::new(),
        outcome: TrialOutcome::Complete,
    }
}

fn did(action: &Action, place: f64, noise: &dyn Fn(u64) -> f64) -> ActionRecord {
    match action {
        Action::Fill(fill) => ActionRecord::Fill(LoginRecord {
            users: fill.users,
            wall_ns: u64::from(fill.users) * 30_000,
            ..LoginRecord::default()
        }),
        Action::Snapshot(snapshot) => ActionRecord::Snapshot(SnapshotRecord {
            sessions: snapshot.sessions,
            memory: memory(snapshot.sessions as f64, place, noise(snapshot.sessions)),
        }),
        Action::Place(_) => ActionRecord::Place(Placement::default()),
        Action::Load(load) | Action::Pilot(load) => {
            ActionRecord::Load(Box::new(load_record(load.users, place, noise)))
        }
        other => unreachable!("the sample has no {other:?}"),
    }
}

fn memory(sessions: f64, place: f64, noise: f64) -> MemoryUse {
    // Only the second arm keeps something for a user.
    let each = if (place - 1.0).abs() < 0.5 { 280.0 } else { 0.0 };
    let bytes = 1.5e6 * noise + sessions * each;
    MemoryUse {
        rss_bytes: (bytes * 1.4 + 9e6) as u64,
        pss_bytes: Some((bytes * 1.3 + 8e6) as u64),
        allocated_bytes: Some(bytes as u64),
        live_sessions: None,
        ..MemoryUse::default()
    }
}

fn load_record(users: u32, place: f64, noise: &dyn Fn(u64) -> f64) -> LoadRecord {
    const ANSWERS: u64 = 11_000;
    let cpu_us = (9.5 + 1.9 * place) * noise(1);
    let rate = 1e6 / (cpu_us + 0.002 * f64::from(users));
    let window_ns = (ANSWERS as f64 / rate * 1e9) as u64;
    let mut response = Histogram::new();
    for i in 0..ANSWERS {
        let spread = 0.6 + 0.8 * i as f64 / ANSWERS as f64;
        let tail = if i % 50 == 0 { 2.5 } else { 1.0 };
        response.record((f64::from(users) / rate * spread * tail * 1e9) as u64);
    }
    let answered = engine::answered(ANSWERS);
    LoadRecord {
        model: "closed".into(),
        login: Some(LoginRecord {
            users,
            credential_bytes: u64::from(users) * (32 + 180 * place as u64),
            ..LoginRecord::default()
        }),
        connections: users,
        usable_connections: users,
        request_wire_bytes: 60 + (150.0 * place) as u64,
        counts: Counts { window_ns, ..answered.counts.clone() },
        steps: vec![StepRecord {
            name: "me".into(),
            service: response.clone(),
            response,
            lag: Histogram::new(),
        }],
        generator: GeneratorUse {
            workers: 1,
            cpu_ns: ANSWERS * 8_000,
            busiest: 0.7,
            ..GeneratorUse::default()
        },
        server: Some(ServerUse {
            interval_ns: window_ns,
            threads: 1,
            cpu_ns: (cpu_us * ANSWERS as f64 * 1e3) as u64,
            memory: memory(f64::from(users) * 100.0, place, noise(2)),
            ..ServerUse::default()
        }),
        ..answered
    }
}
