//! A load on a server that is a rule, with a clock set by hand: for tests of what drives loads.

#![allow(clippy::unwrap_used, reason = "a helper of tests: clippy exempts test functions only")]

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use contract::Target;

use super::driver::{Driver, nanos};
use super::merge::merge;
use super::part::{Part, Setup};
use super::worker::Worker;
use crate::error::Interrupt;
use crate::journey::Script;
use crate::plan::LoadPlan;
use crate::record::{GeneratorUse, LoadRecord, LoginRecord};
use crate::transport::mock::{Mock, Reply, Seen};

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
    };
    let server =
        |seen: &Seen| Reply::After(answers_after_ns(seen.sent_ns), 200, String::from("{}"));
    let transport = Mock::new(server);
    let mut worker = Worker { transport, setup, credentials: Arc::default() };
    let harvest = worker.load(plan, seed, None, || Some(0)).unwrap().unwrap();
    let client = driver.client_use();
    let record = merge(&driver, plan, client, LoginRecord::default(), vec![harvest]);
    let generator = GeneratorUse { workers: 1, spins: true, ..GeneratorUse::default() };
    LoadRecord { generator, ..record }
}
