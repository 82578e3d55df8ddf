//! Loads that no machine disturbs, for tests of what drives loads and of what reads their records:
//! on a server that is a rule, with a clock set by hand, or written down.

#![allow(clippy::unwrap_used, reason = "a helper of tests: clippy exempts test functions only")]

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use contract::Target;

use super::driver::{Driver, nanos};
use super::merge::Share;
use super::part::{Part, Setup};
use super::worker::Worker;
use crate::error::Interrupt;
use crate::journey::Script;
use crate::plan::LoadPlan;
use crate::record::{ClientUse, Counts, GeneratorUse, LoadRecord, LoginRecord};
use crate::transport::mock::{Mock, Reply, Seen};

/// The record of a load of a second in which every request, so many, got the right answer. It has
/// no steps and no server: tests add what they look at.
pub fn answered(ok: u64) -> LoadRecord {
    LoadRecord {
        model: String::new(),
        offered_rps: None,
        login: None,
        connections: 8,
        usable_connections: 8,
        request_wire_bytes: 0,
        counts: Counts {
            window_ns: 1_000_000_000,
            planned: ok,
            sent: ok,
            ok,
            ended_in_window: ok,
            ok_in_window: ok,
            ..Counts::default()
        },
        steps: vec![],
        visits: None,
        renewals: None,
        aborted: false,
        timeline: vec![],
        bytes_sent: None,
        requests_written: None,
        bytes_received: None,
        closed_by_server: None,
        client: ClientUse::default(),
        generator: GeneratorUse { workers: 1, busiest: 0.5, ..GeneratorUse::default() },
        server: None,
        slices: vec![],
        agents: vec![],
    }
}

/// Runs a load on a server that answers a request that comes at a moment after so long, ns; every
/// answer is right. The record says nothing of the machine that the test runs on.
pub fn scripted(
    plan: &LoadPlan,
    seed: u64,
    mut answers_after_ns: impl FnMut(u64) -> u64,
) -> LoadRecord {
    let target: Target = toml::from_str(
        "name = 'mock'\nbase_url = 'http://127.0.0.1:1'\n\
         [journeys.browse]\nsteps = [{ name = 'me', path = '/me' }]\n",
    )
    .unwrap();
    let script = Script::new(&target, "browse").unwrap();
    let driver = Driver::new(script, Vec::new(), 1, Interrupt::default()).unwrap();
    let setup = Setup {
        script: &driver.script,
        part: Part { worker: 0, workers: 1 },
        connections: plan.connections,
        timeout_ns: plan.timeout_ns,
        ready_by_ns: nanos(driver.setup_within),
        interrupt: &driver.interrupt,
        stop: &AtomicBool::new(false),
        ready: None,
    };
    let server =
        |seen: &Seen| Reply::After(answers_after_ns(seen.sent_ns), 200, String::from("{}"));
    let transport = Mock::new(server);
    let mut worker = Worker { transport, setup, credentials: Arc::default() };
    let harvest = worker.load(plan, seed, None, || Some(0)).unwrap().unwrap();
    let client = driver.client_use();
    let record = Share::new(&driver, client, LoginRecord::default(), vec![harvest]).record(plan, 0);
    let generator = GeneratorUse { workers: 1, spins: true, ..GeneratorUse::default() };
    LoadRecord { generator, ..record }
}
