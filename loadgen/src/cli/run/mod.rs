//! `authbench run`: one load on a URL, an arm of ours, or the server in a target file.

mod agents;
mod client;
mod connect_to;
mod deployment;
mod distribution;
mod flags;
mod fleet;
mod limits;
mod live;
mod plain;
mod printed;
mod renewals;
mod stages;
mod summary;
mod verdict;

use std::time::SystemTime;

pub(super) use flags::{RunArgs, target_file, url_target};

use live::Live;
use printed::RunFormat;
use summary::Summary;
use verdict::{Place, bounds, verdict};

use super::shared::refuse_debug_build;
use super::{output, serve, signals};
use crate::agents::{Collected, Orders, Outcome};
use crate::campaign::Probe;
use crate::engine::{self, Driver, Phase, Progress, TransportKind, Watcher};
use crate::error::{Error, Interrupt, Result};
use crate::files::{self, check_output};
use crate::journey::Script;
use crate::load::{LoadModel, UserChoice};
use crate::plan::LoadPlan;
use crate::proc::{self, Server, ServerOptions};
use crate::record::LoadRecord;
use crate::report::{RunSeries, thresholds_junit, thresholds_unmeasured};
use crate::sanitise::{NAME, fit};
use crate::spec;

/// Puts one load on a server.
///
/// # Errors
/// `Config` when it cannot be run as asked, `Target` when the server fails, `Invalid` when the
/// figures may not be used, `Bound` when a threshold failed, `Interrupted` when a signal ends it
/// early. The figures are printed in any case.
pub(super) fn run(args: &RunArgs) -> Result<()> {
    let outcome = load(args);
    match &args.target {
        Some(path) => outcome.map_err(|error| spec::located(error, path)),
        None => outcome,
    }
}

fn load(args: &RunArgs) -> Result<()> {
    refuse_debug_build(args.allow_debug, "run")?;
    let plan = args.plan()?;
    args.note_idle_connections(&plan);
    let files = [&args.hdr_log, &args.output, &args.junit];
    files.into_iter().flatten().try_for_each(|path| check_output(path))?;
    if let Some(agents) = args.fleet.agents() {
        return on_agents(args, &plan, agents);
    }
    proc::allow_connections(plan.connections)?;
    let interrupt = signals::listen()?;
    let SetUp { mut server, driver } = SetUp::new(args, &plan, &interrupt)?;
    let mut began = SystemTime::now();
    let load = drive(&driver, &plan, args.seed, server.as_ref(), &mut began);
    let obituary = server.as_mut().and_then(Server::obituary);
    let load = match (load, &obituary) {
        (Err(_), Some(obituary)) => Err(Error::Target(obituary.clone())),
        (load, _) => load,
    };
    let elsewhere = args.client.connects_elsewhere(&driver.script);
    let ran = Ran {
        target: &driver.script.name,
        place: args.place(&driver.script),
        plan: &plan,
        interrupt: &interrupt,
        began,
        connected_to: elsewhere.then(|| driver.addresses.chosen().to_string()),
    };
    settle(args, &ran, load, obituary.map(Error::Target))
}

/// Has agents carry the load, and prints it.
fn on_agents(args: &RunArgs, plan: &LoadPlan, agents: u32) -> Result<()> {
    if args.client.transport()? != TransportKind::Lean {
        return Err(Error::Config(
            "--agents and --hosts need --transport lean, the default".into(),
        ));
    }
    let target = args.shaped_target(None)?;
    let script = Script::renewing(&target, &plan.journey, None)?;
    let orders = Orders {
        plan: plan.clone(),
        seed: args.seed,
        target,
        pacing: args.pacing,
        limits: args.limits.limits()?,
        setup_ns: u64::try_from(args.limits.setup_within()?.as_nanos()).unwrap_or(u64::MAX),
    };
    let workers = args.workers.unwrap_or(1);
    let outcome = args.fleet.carry_out(agents, workers, &orders, &script);
    let ran = |began, interrupt| Ran {
        target: &script.name,
        place: args.place(&script),
        plan,
        interrupt,
        began,
        connected_to: None,
    };
    match outcome {
        Ok((Outcome { load, ended, began }, interrupt)) => {
            // What a signal did is told with the figures.
            let ended = ended.filter(|error| !matches!(error, Error::Interrupted(..)));
            settle(args, &ran(began, &interrupt), Ok(load), ended)
        }
        Err(error) => {
            let nothing_came = Interrupt::default();
            settle(args, &ran(SystemTime::now(), &nothing_came), Err(error), None)
        }
    }
}

/// Prints the figures of a run that was collected, and gives them as JSON with what they are worth.
pub(super) fn collected(run: &Collected) -> Result<(String, Result<()>)> {
    let (plan, load, target) = (&run.orders.plan, &run.load, &run.orders.target);
    let place =
        Place { address: target.base_url.clone(), is_url: false, logs_in: target.login.is_some() };
    let summary = Summary::new(&fit(&target.name, NAME), plan, load);
    output::page(&summary.text())?;
    let worth = verdict(&place, &summary, load, plan, &Interrupt::default());
    Ok((summary.json()?, worth))
}

/// A load that is over.
struct Ran<'a> {
    target: &'a str,
    place: Place,
    plan: &'a LoadPlan,
    interrupt: &'a Interrupt,
    /// When Measure began.
    began: SystemTime,
    connected_to: Option<String>,
}

/// Prints and writes a load, or why it has no figures; `ended` is what ended it from outside.
fn settle(
    args: &RunArgs,
    ran: &Ran<'_>,
    load: Result<LoadRecord>,
    ended: Option<Error>,
) -> Result<()> {
    let Ran { target, plan, began, .. } = *ran;
    let started_unix_ns = unix_ns(began);
    let series = |load, is_valid| RunSeries { target, plan, load, is_valid, started_unix_ns };
    if let Err(error) = &load {
        let nothing = serde_json::json!({
            "target": target, "aborted": true, "requests": 0, "error": error.to_string(),
        });
        let nothing = format!("{nothing:#}");
        args.format.print_data(&nothing, &series(None, false))?;
        let junit = || thresholds_unmeasured(target, &args.fail_if, &error.to_string());
        if let Err(unwritten) = args.keep(&nothing, junit) {
            output::note(&unwritten.to_string());
        }
    }
    let load = load?;
    let mut summary = Summary::new(target, plan, &load);
    summary.total = args.total;
    summary.connected_to.clone_from(&ran.connected_to);
    summary.thresholds = args.fail_if.iter().map(|threshold| threshold.judge(&load)).collect();
    let worth = match ended {
        Some(ended) => Err(ended),
        None => verdict(&ran.place, &summary, &load, plan, ran.interrupt),
    };
    let json = summary.json()?;
    args.format.print(&summary, &json, &series(Some(&load), worth.is_ok()))?;
    let written = match &args.hdr_log {
        Some(path) => {
            load.hdr_log(began).map_err(Error::Bug).and_then(|log| files::write(path, &log))
        }
        None => Ok(()),
    };
    let why = worth.as_ref().err().map(ToString::to_string);
    let junit = || thresholds_junit(target, &summary.thresholds, why.as_deref());
    let written = written.and(args.keep(&json, junit));
    let worth = match worth {
        // The text above has begun with the reasons.
        Err(Error::Invalid(_)) if args.format == RunFormat::Text => {
            let doubts = summary.doubts.iter().filter(|doubt| doubt.invalidates);
            let codes: Vec<_> = doubts.map(|doubt| doubt.code.as_str()).collect();
            let codes = codes.join(", ");
            Err(Error::Invalid(format!("INVALID: do not use these figures ({codes})")))
        }
        worth => worth,
    };
    // What the load was worth comes before what happened to its files.
    worth.and(bounds(&summary.thresholds)).and(written)
}

/// Nanoseconds since 1970.
fn unix_ns(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// What a load needs: the server, where it is one of ours, and how it is driven.
struct SetUp {
    server: Option<Server>,
    driver: Driver,
}

impl SetUp {
    fn new(args: &RunArgs, plan: &LoadPlan, interrupt: &Interrupt) -> Result<Self> {
        let transport = args.client.transport()?;
        let (limits, setup_within) = (args.limits.limits()?, args.limits.setup_within()?);
        let placement = proc::place(&proc::usable_cores());
        let server = match &args.arm {
            Some(arm) => {
                let arm = &args.deployment.name(arm)?;
                serve::require_arm(arm)?;
                let cores = placement.server.clone();
                let options = ServerOptions { cores, ..ServerOptions::default() };
                Some(Server::start(arm, &options)?)
            }
            None => None,
        };
        let target = args.shaped_target(server.as_ref())?;
        let script = Script::renewing(&target, &plan.journey, None)?;
        let usable = proc::usable_cores().len();
        let shared = placement.shared();
        let cores = if server.is_some() { placement.generator } else { Vec::new() };
        let one = matches!((plan.choice, &plan.model), (UserChoice::Zipf(_), LoadModel::Closed(_)));
        let workers = args.workers.unwrap_or(if one { 1 } else { cores.len().max(1) as u32 });
        let own_core = if server.is_some() { !shared } else { usable > workers as usize };
        let trust = args.client.trust(&script)?;
        let addresses = args.client.addresses(&script)?;
        let driver = Driver {
            pacing: args.pacing.resolved(own_core),
            transport,
            trust,
            limits,
            setup_within,
            ..Driver::at(addresses, script, cores, workers, interrupt.clone())
        };
        Ok(Self { server, driver })
    }
}

/// Runs the load; `began` becomes the moment at which Measure began.
fn drive(
    driver: &Driver,
    plan: &LoadPlan,
    seed: u64,
    server: Option<&Server>,
    began: &mut SystemTime,
) -> Result<LoadRecord> {
    let live = Live::new(plan);
    let mut observer = Observer { server, probe: server.map(Probe::new), began, live };
    let mut load = engine::load(driver, plan, seed, &mut observer)?;
    // A server that died cannot be asked; its obituary says more than that.
    load.server = observer.probe.and_then(|probe| probe.used().ok().flatten());
    Ok(load)
}

/// Watches the server while it is loaded.
struct Observer<'a> {
    server: Option<&'a Server>,
    probe: Option<Probe<'a>>,
    began: &'a mut SystemTime,
    live: Live,
}

impl Watcher for &mut Observer<'_> {
    fn enter(&mut self, phase: Phase) {
        if phase == Phase::Measure {
            *self.began = SystemTime::now();
        }
        if let Some(probe) = &mut self.probe {
            probe.enter(phase);
        }
        self.live.enter(phase);
    }

    fn users_ready(&mut self, users: u32) {
        self.live.users_ready(users);
    }

    fn wants_seconds(&self) -> bool {
        true
    }

    fn second(&mut self, progress: &Progress) {
        self.live.second(progress);
    }

    fn go_on(&mut self) -> bool {
        self.live.refresh();
        !self.server.is_some_and(Server::has_ended)
    }
}
