//! Our generator against independent witnesses: wrk for throughput, a log of arrivals for an open
//! load.

use std::time::Duration;

use clap::Args;
use serde::Serialize;
use servers::contract::{Expected, Target};

use super::super::{run, serve};
use crate::client::Client;
use crate::engine::{self, Driver, Phase};
use crate::error::{Error, Interrupt, Result};
use crate::journey::Script;
use crate::load::{Closed, Constant, LoadModel, UserChoice};
use crate::plan::LoadPlan;
use crate::proc::{self, ArrivalLog, Server, ServerOptions, Wrk, WrkLoad};
use crate::record::{LoadRecord, Placement};
use crate::report::{Arrivals, Throughputs, figure, range};

const CONNECTIONS: u32 = 64;
const ROUND_S: u32 = 2;
const WARMUP_NS: u64 = 300_000_000;
const TIMEOUT_NS: u64 = 5_000_000_000;
/// Connections of the open load; the log has a thread for each.
const OPEN_CONNECTIONS: u32 = 16;
const OPEN_RATE_PER_S: f64 = 2_000.0;
const OPEN_NS: u64 = 3_000_000_000;

/// Flags of the cross-check.
#[derive(Debug, Args)]
pub(super) struct CrossCheckArgs {
    /// Check the generator against wrk and a server's own log of arrivals
    #[arg(long)]
    pub(super) cross_check: bool,
    /// Drive this arm with wrk and the generator in turn
    #[arg(long, value_name = "ARM", requires = "cross_check", default_value = "session@memory")]
    arm: String,
    /// Give each this many turns of 2 s
    #[arg(
        long,
        value_name = "N",
        requires = "cross_check",
        default_value_t = 5,
        value_parser = clap::value_parser!(u32).range(2..=100)
    )]
    rounds: u32,
}

/// What the witnesses say.
#[derive(Debug, Serialize)]
pub(super) struct CrossCheck {
    placement: Placement,
    arm: String,
    connections: u32,
    /// What wrk calls itself; `None` where it is not installed, and then there is no throughput.
    wrk: Option<String>,
    throughput: Option<Throughputs>,
    arrivals: Arrivals,
}

/// Runs the cross-check.
///
/// wrk and ours take turns at one server of ours, on the same cores, with the same connections and
/// the same request. The log is a server of its own that writes down when each request came. What
/// counts as agreement is `report`'s; here both are only run.
///
/// # Errors
/// `Config` where it cannot be run here, `Target` when a request fails, `Interrupted`.
pub(super) fn cross_check(args: &CrossCheckArgs, interrupt: &Interrupt) -> Result<CrossCheck> {
    serve::require_arm(&args.arm)?;
    let placement = proc::place(&proc::usable_cores());
    let wrk = Wrk::find();
    if wrk.is_none() && std::env::var_os("AUTHBENCH_REQUIRE_WRK").is_some() {
        let what = "wrk is not installed, and AUTHBENCH_REQUIRE_WRK asks for it: install it";
        return Err(Error::Config(what.into()));
    }
    // wrk has at least one connection per thread.
    let connections = CONNECTIONS.max(placement.generator.len() as u32);
    let in_turn = |wrk| in_turn(args, wrk, connections, &placement, interrupt);
    let throughput = wrk.as_ref().map(in_turn).transpose()?;
    Ok(CrossCheck {
        arrivals: logged(&placement, interrupt)?,
        placement,
        arm: args.arm.clone(),
        connections,
        wrk: wrk.map(|wrk| wrk.version),
        throughput,
    })
}

/// Rounds in which ours and wrk drive one server, the first of a round alternating.
fn in_turn(
    args: &CrossCheckArgs,
    wrk: &Wrk,
    connections: u32,
    placement: &Placement,
    interrupt: &Interrupt,
) -> Result<Throughputs> {
    let options = ServerOptions { cores: placement.server.clone(), ..ServerOptions::default() };
    let server = Server::start(&args.arm, &options)?;
    let (target, fields) = as_one_user(&server.ready().target)?;
    let step = &target.journeys["browse"].steps[0];
    let url = format!("{}{}", target.base_url, step.path);
    let driver = driver(&target, placement, interrupt)?;
    let ours = || {
        let model = LoadModel::Closed(Closed::without_thinking());
        let measure_ns = u64::from(ROUND_S) * 1_000_000_000;
        let plan = plan(model, connections, connections, WARMUP_NS, measure_ns);
        load(&driver, &plan).map(|load| load.counts.goodput_rps())
    };
    let theirs = || {
        wrk.run(&WrkLoad {
            url: &url,
            fields: &fields,
            connections,
            seconds: ROUND_S,
            cores: &placement.generator,
        })
    };
    let mut pairs = Vec::new();
    for round in 0..args.rounds {
        let pair = if round % 2 == 0 {
            let ours = ours()?;
            (ours, theirs()?)
        } else {
            let theirs = theirs()?;
            (ours()?, theirs)
        };
        interrupt.check()?;
        pairs.push(pair);
    }
    let none = || Error::Target(format!("{} answered no request", args.arm));
    Throughputs::of(&pairs).ok_or_else(none)
}

/// The target as wrk can drive it: the credential of one user, logged in beforehand, among the
/// fields of every request; and those fields.
fn as_one_user(target: &Target) -> Result<(Target, Vec<(String, String)>)> {
    const USER: u64 = 0;
    let client = Client::new(Duration::from_nanos(TIMEOUT_NS))?;
    let endpoint = client.endpoint(target)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Error::runtime("the client"))?;
    let user = runtime.block_on(endpoint.log_in(USER)).map_err(Error::Target)?;
    let fields = endpoint.fields(&user);
    let mut target = Target {
        login: None,
        logout: None,
        logout_all: None,
        refresh: None,
        renewal: None,
        headers: fields.iter().map(|(k, v)| (k.clone(), v.as_str().into())).collect(),
        ..target.clone()
    };
    // Whichever user of the load asks, it is this one who is answered.
    target.journeys.retain(|name, _| name == "browse");
    for step in target.journeys.values_mut().flat_map(|journey| &mut journey.steps) {
        step.headers.clear();
        if let Some(Expected::Text(text)) = step.check.as_mut().and_then(|c| c.equals.as_mut()) {
            *text = text.replace("{n}", &USER.to_string());
        }
    }
    Ok((target, fields))
}

/// An open load on a server that logs its arrivals; every request has a number of its own.
fn logged(placement: &Placement, interrupt: &Interrupt) -> Result<Arrivals> {
    let log = ArrivalLog::start(&placement.server)?;
    let target = run::url_target(&format!("http://{}/{{n}}", log.address()))?;
    let driver = driver(&target, placement, interrupt)?;
    let model = LoadModel::Constant(Constant { rate_per_s: OPEN_RATE_PER_S });
    let users = (OPEN_RATE_PER_S * OPEN_NS as f64 / 1e9) as u32 + 1;
    let load = load(&driver, &plan(model, users, OPEN_CONNECTIONS, 0, OPEN_NS))?;
    drop(driver);
    let logged: Vec<_> = log.close()?.iter().map(|a| (a.number, a.at_ns)).collect();
    Ok(Arrivals::of(OPEN_RATE_PER_S, &logged, &load))
}

fn driver(target: &Target, placement: &Placement, interrupt: &Interrupt) -> Result<Driver> {
    Driver::placed(Script::new(target, "browse")?, placement, interrupt.clone())
}

fn plan(
    model: LoadModel,
    users: u32,
    connections: u32,
    warmup_ns: u64,
    measure_ns: u64,
) -> LoadPlan {
    LoadPlan {
        model,
        journey: "browse".into(),
        users,
        choice: UserChoice::InTurn,
        connections,
        warmup_ns,
        measure_ns,
        drain_ns: TIMEOUT_NS,
        timeout_ns: TIMEOUT_NS,
        prepare: None,
        renewal: None,
    }
}

fn load(driver: &Driver, plan: &LoadPlan) -> Result<LoadRecord> {
    let load = engine::load(driver, plan, 1, |_: Phase| {})?;
    driver.interrupt.check()?;
    if load.counts.without_answer() > 0 {
        let errors = &load.counts.errors;
        return Err(Error::Target(format!("{} failed: {errors:?}", driver.script.authority)));
    }
    Ok(load)
}

impl CrossCheck {
    /// Every disagreement, a sentence each.
    pub(super) fn disagreements(&self) -> Vec<String> {
        let throughput = self.throughput.as_ref().filter(|t| !t.agree).map(|t| {
            let (lo, hi) = (1.0 / t.factor_max, t.factor_max);
            format!("expected our throughput to be {lo:.2} to {hi:.2} times wrk's, found {}", {
                range(&t.ratio, "")
            })
        });
        throughput.into_iter().chain(self.arrivals.contradictions.iter().cloned()).collect()
    }

    /// The cross-check for people.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mark = |agree: bool| if agree { "ok     " } else { "DIFFERS" };
        match (&self.throughput, &self.wrk) {
            (Some(found), Some(wrk)) => {
                let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
                lines.push(format!(
                    "{}  throughput of {} at {} connections, closed, {} rounds: ours {}, {wrk} {}",
                    mark(found.agree),
                    self.arm,
                    self.connections,
                    found.ratio.n,
                    figure(mean(&found.ours_rps), "requests/s"),
                    figure(mean(&found.theirs_rps), "requests/s"),
                ));
                lines.push(format!(
                    "         ours is {:.3} times wrk's ({}); up to {} times counts as the same",
                    found.ratio.point,
                    range(&found.ratio, ""),
                    found.factor_max,
                ));
            }
            _ => lines.push("skipped  throughput: wrk is not installed".into()),
        }
        let seen = &self.arrivals;
        lines.push(format!(
            "{}  arrivals by the server's own log, open, constant rate: {} of {} sent, {} missing, \
             {} not planned; {} planned, {} found",
            mark(seen.agree()),
            seen.arrived,
            seen.sent,
            seen.missing,
            seen.surplus,
            figure(seen.planned_rps, "requests/s"),
            figure(seen.arrived_rps, "requests/s"),
        ));
        for late in &seen.lateness {
            let at = match late.quantile {
                1.0 => "at most".to_string(),
                quantile => format!("p{}", quantile * 100.0),
            };
            lines.push(format!(
                "         later than planned, {at}: sent {} (ours), arrived {} (log), answered {} \
                 (ours)",
                figure(late.sent_us, "us"),
                figure(late.arrived_us, "us"),
                figure(late.answered_us, "us"),
            ));
        }
        if self.placement.shared() {
            lines.push("limited  server and generator shared a core".into());
        }
        lines
    }
}
