//! What this machine's generator can do at most: the engine as it is, against a server that does
//! nothing but answer. No figure of a load near these is one of its server.

use serde::Serialize;

use crate::engine::{self, Driver, Phase};
use crate::error::{Error, Interrupt, Result};
use crate::journey::Script;
use crate::load::{Closed, Constant, LoadModel, UserChoice};
use crate::plan::LoadPlan;
use crate::proc::{self, NullServer};
use crate::record::{LoadRecord, Placement};
use crate::report::figure;

const CONNECTIONS: [u32; 2] = [64, 1000];
const RATE_PER_S: f64 = 10_000.0;
const WARMUP_NS: u64 = 300_000_000;
const MEASURE_NS: u64 = 2_000_000_000;
const TIMEOUT_NS: u64 = 5_000_000_000;

/// The figures of a calibration.
#[derive(Debug, Serialize)]
pub(super) struct Calibration {
    placement: Placement,
    pacing: String,
    closed: Vec<Ceiling>,
    open: Schedule,
}

/// What a closed load got.
#[derive(Debug, Serialize)]
struct Ceiling {
    connections: u32,
    achieved_rps: f64,
    generator_cpu_us_per_request: f64,
    generator_busiest: f64,
    generator_waited: f64,
}

/// How a schedule was kept.
#[derive(Debug, Serialize)]
struct Schedule {
    offered_rps: f64,
    achieved_rps: f64,
    lag_p50_us: f64,
    lag_p99_us: f64,
    lag_max_us: f64,
    response_p50_us: f64,
    generator_waited: f64,
}

/// Loads a null server.
///
/// # Errors
/// `Config` when it cannot be started, `Interrupted` when a signal comes.
pub(super) fn calibrate(interrupt: &Interrupt) -> Result<Calibration> {
    proc::allow_connections(CONNECTIONS[1])?;
    let placement = proc::place(&proc::usable_cores());
    let server = NullServer::start(&placement.server)?;
    let target = super::super::run::url_target(&format!("http://{}/", server.address()))?;
    let script = Script::new(&target, "browse")?;
    let driver = Driver::placed(script, &placement, interrupt.clone())?;
    let closed = CONNECTIONS.iter().map(|connections| {
        let model = LoadModel::Closed(Closed::without_thinking());
        load(&driver, model, *connections).map(|load| ceiling(*connections, &load))
    });
    let closed = closed.collect::<Result<_>>()?;
    let constant = LoadModel::Constant(Constant { rate_per_s: RATE_PER_S });
    let open = schedule(&load(&driver, constant, CONNECTIONS[0])?);
    Ok(Calibration { placement, pacing: driver.pacing.to_string(), closed, open })
}

fn load(driver: &Driver, model: LoadModel, connections: u32) -> Result<LoadRecord> {
    let plan = LoadPlan {
        model,
        journey: "browse".into(),
        users: connections,
        choice: UserChoice::InTurn,
        connections,
        warmup_ns: WARMUP_NS,
        measure_ns: MEASURE_NS,
        drain_ns: TIMEOUT_NS,
        timeout_ns: TIMEOUT_NS,
        prepare: None,
        renewal: None,
    };
    let load = engine::load(driver, &plan, 1, |_: Phase| {})?;
    driver.interrupt.check()?;
    if load.counts.failed() > 0 {
        return Err(Error::Bug(format!("the null server failed: {:?}", load.counts.errors)));
    }
    Ok(load)
}

fn ceiling(connections: u32, load: &LoadRecord) -> Ceiling {
    let requests = load.counts.ended_in_window.max(1) as f64;
    Ceiling {
        connections,
        achieved_rps: load.counts.achieved_rps(),
        generator_cpu_us_per_request: load.generator.cpu_ns as f64 / 1e3 / requests,
        generator_busiest: load.generator.busiest,
        generator_waited: load.generator.waited,
    }
}

fn schedule(load: &LoadRecord) -> Schedule {
    let us = |ns: u64| ns as f64 / 1e3;
    let lag = load.lag();
    Schedule {
        offered_rps: RATE_PER_S,
        achieved_rps: load.counts.achieved_rps(),
        lag_p50_us: us(lag.quantile_ns(0.5)),
        lag_p99_us: us(lag.quantile_ns(0.99)),
        lag_max_us: us(lag.max_ns()),
        response_p50_us: us(load.response().quantile_ns(0.5)),
        generator_waited: load.generator.waited,
    }
}

/// A machine on which something else runs for more of the time than this gives no ceiling.
const WAITED_MAX: f64 = 0.03;

impl Calibration {
    /// The calibration for people.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "calibration against a server that does nothing but answer, pacing {}",
            self.pacing
        )];
        for ceiling in &self.closed {
            lines.push(format!(
                "         {} connections: at most {}, {} CPU per request, {:.0} % of its core",
                ceiling.connections,
                figure(ceiling.achieved_rps, "requests/s"),
                figure(ceiling.generator_cpu_us_per_request, "us"),
                ceiling.generator_busiest * 100.0,
            ));
        }
        let open = &self.open;
        lines.push(format!(
            "         at {}: behind schedule by {} at p50, {} at p99, {} at most; response p50 {}",
            figure(open.offered_rps, "requests/s"),
            figure(open.lag_p50_us, "us"),
            figure(open.lag_p99_us, "us"),
            figure(open.lag_max_us, "us"),
            figure(open.response_p50_us, "us"),
        ));
        let waited = self.closed.iter().map(|ceiling| ceiling.generator_waited);
        if waited.chain([open.generator_waited]).any(|waited| waited > WAITED_MAX) {
            lines.push(
                "limited  something else ran on the generator's core: it can do more than this \
                 when that is stopped"
                    .into(),
            );
        }
        if self.placement.shared() {
            lines.push("limited  server and generator shared a core".into());
        }
        lines
    }
}
