//! `authbench run`: one load on a URL, an arm of ours, or the server in a target file.

mod agents;
mod client;
mod connect_to;
mod deployment;
mod distribution;
mod fleet;
mod limits;
mod live;
mod plain;
mod printed;
mod renewals;
mod stages;
mod summary;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::SystemTime;

use clap::{ArgGroup, Args};
use servers::contract::{HeaderValues, Share, Target};

use client::ClientArgs;
use deployment::DeploymentArgs;
use fleet::FleetArgs;
use limits::LimitArgs;
use live::Live;
use plain::PlainArgs;
use printed::RunFormat;
use stages::StageFlag;
use summary::Summary;

use super::shared::refuse_debug_build;
use super::{output, serve, signals};
use crate::agents::{Collected, Orders, Outcome};
use crate::campaign::Probe;
use crate::engine::{self, Driver, Pacing, Phase, Progress, TransportKind, Watcher};
use crate::error::{Error, Interrupt, Result};
use crate::files::{self, check_output};
use crate::journey::Script;
use crate::load::{
    Arrivals, Closed, Constant, LoadModel, Poisson, Spread, Stages, UserChoice, Visits,
};
use crate::plan::LoadPlan;
use crate::proc::{self, Server, ServerOptions};
use crate::record::{ENCODED, LoadRecord, NOTHING_SENT, OVER_LIMIT};
use crate::report::{
    RunSeries, Threshold, ThresholdResult, thresholds_junit, thresholds_unmeasured,
};
use crate::sanitise::{self, NAME, REMARK, fit};
use crate::spec;
use crate::units::{Rate, Span, UnitError, grouped};

/// Flags of `authbench run`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("whom").required(true).args(["url", "arm", "target"])))]
pub(super) struct RunArgs {
    /// Load this address, which needs no login: `http://127.0.0.1:8080/path`
    url: Option<String>,
    /// Start a server of this arm and load it
    #[arg(long, value_name = "ARM")]
    arm: Option<String>,
    /// Load the server that this target file describes
    #[arg(long, value_name = "FILE.toml")]
    target: Option<PathBuf>,
    /// Use this many users, each with their own credential [default: as many as connections]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    users: Option<u32>,
    /// Open this many keep-alive connections [default: as many as users, or 50]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=16_000))]
    connections: Option<u32>,
    /// Run an open-loop load at this rate, `5000/s` or `5k/s` [default: closed-loop]
    #[arg(long, value_name = "RATE")]
    rate: Option<Rate>,
    /// Run a partly open load: users arrive at this rate, `20/s`, and leave again
    ///
    /// Each user logs in, makes --requests requests with --think between them, and logs out.
    #[arg(long, value_name = "RATE", conflicts_with_all = ["rate", "stage"])]
    visits: Option<Rate>,
    /// Set how many requests each user of --visits makes
    #[arg(long, value_name = "N", default_value_t = 10, requires = "visits",
          value_parser = clap::value_parser!(u32).range(1..))]
    requests: u32,
    /// Space arrivals at random (a Poisson process) instead of evenly, for --rate or --visits
    #[arg(long)]
    poisson: bool,
    /// Ramp an open-loop load to this rate within this time, `2k/s:30s`; may be repeated
    ///
    /// The rate starts at 0 and changes linearly from that of the stage before; `0s` jumps. The
    /// stages together are the duration, and each is reported.
    #[arg(long, value_name = "RATE:SPAN", conflicts_with_all = ["rate", "duration", "warmup"])]
    stage: Vec<StageFlag>,
    /// Wait this long between an answer and the user's next request: `1s`, or `exp:1s`
    ///
    /// `exp:` draws exponential times of that mean. For closed-loop and partly open loads.
    #[arg(long, value_name = "SPAN", default_value = "0s", conflicts_with_all = ["rate", "stage"])]
    think: Think,
    /// Pick users in-turn, uniform or zipf:S [default: uniform; in-turn in a closed loop]
    #[arg(long, value_name = "CHOICE")]
    user_choice: Option<UserChoice>,
    /// Measure for this long, `30s` or `1m30s` [default: 10s]
    #[arg(short, long, value_name = "SPAN")]
    duration: Option<Span>,
    /// Measure this many requests instead; --duration then limits the time [default: 1h]
    #[arg(short = 'n', long, value_name = "N", conflicts_with_all = ["stage", "visits"],
          value_parser = clap::value_parser!(u32).range(1..=TOTAL_MAX as i64))]
    total: Option<u32>,
    /// Load the server for this long before measuring
    #[arg(long, value_name = "SPAN", default_value = "0s")]
    warmup: Span,
    /// Count a request as failed when its answer takes longer than this
    #[arg(long, value_name = "SPAN", default_value = "10s")]
    timeout: Span,
    /// Let users make this journey of the target, or a mix: `browse=9,cart=1`
    ///
    /// The numbers are weights: of ten journeys nine are `browse`.
    #[arg(long, value_name = "NAME", default_value = "browse")]
    journey: String,
    /// Log this many users in at a time [default: as many as connections]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=16_000))]
    login_concurrency: Option<u32>,
    /// Send this header with every request, `Name: value`
    #[arg(long, value_name = "K: V")]
    header: Vec<String>,
    /// Allow this share of requests to end with their connection [default: 0.1%]
    ///
    /// Beyond it the figures are invalid.
    #[arg(long, value_name = "SHARE")]
    max_transport_errors: Option<Share>,
    /// Set the seed of every random choice
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Run this many generator threads [default: 1; with --arm one per generator core]
    #[arg(long, value_name = "N", env = "AUTHBENCH_WORKERS",
          value_parser = clap::value_parser!(u32).range(1..=256))]
    workers: Option<u32>,
    /// Wait for the next due request by auto, spin or sleep
    ///
    /// auto sleeps, then spins the last stretch where the worker has a core of its own.
    #[arg(long, value_name = "HOW", env = "AUTHBENCH_PACING", default_value = "auto")]
    pacing: Pacing,
    #[command(flatten)]
    deployment: DeploymentArgs,
    #[command(flatten)]
    plain: PlainArgs,
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    fleet: FleetArgs,
    /// Write the response times of every second to this file, as an HdrHistogram interval log
    ///
    /// A character device such as /dev/null works too.
    #[arg(long, value_name = "FILE")]
    hdr_log: Option<PathBuf>,
    /// Print the figures in this form
    #[arg(long, value_enum, default_value = "text")]
    format: RunFormat,
    /// Write the result as JSON to this file too
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Exit with 6 if this is true of the run: `response_p99_us > 20ms`; may be repeated
    ///
    /// A metric as in measurements.csv, one of > >= < <=, and a limit in the metric's unit or
    /// another: `error_rate > 0.1%`, `throughput_rps < 5k/s`. A figure that the run does not have
    /// fails too.
    #[arg(long, value_name = "LIMIT")]
    fail_if: Vec<Threshold>,
    /// Write the outcome of every --fail-if to this file, as JUnit test cases
    #[arg(long, value_name = "FILE", requires = "fail_if")]
    junit: Option<PathBuf>,
    /// Allow a debug build, whose figures mean nothing
    #[arg(long, hide = true)]
    allow_debug: bool,
    // Last, because its heading holds for all that follow.
    #[command(flatten)]
    limits: LimitArgs,
}

/// `--think`.
#[derive(Clone, Copy, Debug)]
struct Think(Closed);

impl FromStr for Think {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (spread, span) = match text.strip_prefix("exp:") {
            Some(mean) => (Spread::Exponential, mean),
            None => (Spread::Fixed, text),
        };
        Ok(Self(Closed { think_ns: span.parse::<Span>()?.ns(), spread, requests: None }))
    }
}

/// How long a run waits for answers that are still to come.
const DRAIN: Span = Span::from_millis(5000);
/// A load is at least and at most so long.
const SHORTEST: Span = Span::from_millis(10);
const LONGEST: Span = Span::from_millis(3_600_000);
/// How long is measured unless somebody says otherwise.
const DURATION: Span = Span::from_millis(10_000);
/// The most requests that `--total` may ask for.
const TOTAL_MAX: u32 = 100_000_000;
/// A closed load without connections of its own has as many.
const CONNECTIONS_DEFAULT: u32 = 50;
/// One process may have so many connections.
const CONNECTIONS_MAX: u32 = 16_000;

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
    if let Some(agents) = args.fleet.agents {
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
        return Err(Error::Config("--agents needs --transport lean, the default".into()));
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

/// Whether every threshold was kept, as an exit code.
fn bounds(thresholds: &[ThresholdResult]) -> Result<()> {
    let failed: Vec<_> = thresholds.iter().filter(|result| result.is_failed()).collect();
    let [first, ..] = failed.as_slice() else { return Ok(()) };
    Err(Error::Bound(format!(
        "{} of {} thresholds failed, the first `{}`: {}",
        failed.len(),
        thresholds.len(),
        first.threshold,
        first.found()
    )))
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

/// What a load was sent to, and how it logs in, for messages.
struct Place {
    /// The URL that was given, or the address in the target file.
    address: String,
    is_url: bool,
    logs_in: bool,
}

/// Whether what was printed may be used, as an exit code.
fn verdict(
    place: &Place,
    summary: &Summary,
    load: &LoadRecord,
    plan: &LoadPlan,
    interrupt: &Interrupt,
) -> Result<()> {
    if let Some(signal) = interrupt.signal() {
        let measured = Span::from_millis(load.counts.window_ns / 1_000_000);
        let asked = Span::from_millis(plan.measure_ns / 1_000_000);
        let text = if load.aborted {
            let of_all = match summary.total {
                Some(total) => format!(" and {} of {} requests", load.counts.planned, total),
                None => format!(" instead of {asked}"),
            };
            format!("interrupted: these are the figures of {measured}{of_all}")
        } else {
            "interrupted while the last answers were awaited".into()
        };
        return Err(Error::Interrupted(text, signal));
    }
    let Some(doubt) = summary.doubts.iter().find(|doubt| doubt.invalidates) else { return Ok(()) };
    if load.counts.ok == 0 && doubt.code != NOTHING_SENT {
        let errors =
            load.counts.errors.iter().map(|(class, count)| format!("{} {class}", grouped(*count)));
        let errors: Vec<_> = errors.collect();
        let found = if errors.is_empty() { "no answer at all".into() } else { errors.join(", ") };
        let telling = [OVER_LIMIT, ENCODED];
        let over = summary.doubts.iter().filter(|doubt| telling.contains(&doubt.code.as_str()));
        let over: Vec<_> = over.map(|doubt| format!("{}; {}", doubt.what, doubt.remedy)).collect();
        let remedy = match over.as_slice() {
            [] if wants_login(load) && !place.logs_in => {
                let how = if place.is_url {
                    "describe it in a target file (`--target FILE`, see docs/target-files.md)"
                } else {
                    "describe it as `[login]` in the target file"
                };
                format!("{} asks for a login; {how}", place.address)
            }
            [] => format!(
                "check that the server runs at {} and that path, journey and headers are right{}",
                place.address,
                hint(place, load),
            ),
            over => over.join("; "),
        };
        return Err(Error::Target(format!(
            "no request got the right answer: found {found}; {remedy}"
        )));
    }
    // All connections were open before Measure, so a server that refuses one now has gone.
    if let Some(refused) = load.counts.errors.get("connect_refused") {
        return Err(Error::Target(format!(
            "{} was there when the load began and refused {} connections later; it ended or \
             stopped listening: see its own log",
            place.address,
            grouped(*refused)
        )));
    }
    Err(Error::Invalid(format!("INVALID: {}; {}", doubt.what, doubt.remedy)))
}

/// What may be the matter with a load whose answers were all wrong, a clause; empty where nothing
/// tells.
fn hint(place: &Place, load: &LoadRecord) -> String {
    if is_tls_likely(load) {
        return "; if it speaks TLS, its address is https://".into();
    }
    let Some((class, _)) = load.counts.errors.first_key_value() else { return String::new() };
    let status = class.strip_prefix("status_").and_then(|status| status.parse::<u16>().ok());
    match status.filter(|_| load.counts.errors.len() == 1) {
        Some(status @ 200..=399) if place.is_url => {
            format!("; if {status} is the right answer, add --status {status}")
        }
        Some(status @ 200..=399) => {
            format!("; if {status} is the right answer, the step needs `expect_status = {status}`")
        }
        _ => String::new(),
    }
}

/// Whether all that was found is that nobody is logged in.
fn wants_login(load: &LoadRecord) -> bool {
    let errors = &load.counts.errors;
    let is_refusal = |class: &String| ["status_401", "status_403"].contains(&class.as_str());
    !errors.is_empty() && errors.keys().all(is_refusal)
}

/// Whether a plain load failed as on a port that speaks TLS: such a server closes the connection,
/// sends an alert, or says with 400 what it expected.
fn is_tls_likely(load: &LoadRecord) -> bool {
    let like = ["malformed", "closed", "reset", "truncated", "status_400"];
    let errors = &load.counts.errors;
    load.client.verified.is_none()
        && !errors.is_empty()
        && errors.keys().all(|class| like.contains(&class.as_str()))
}

impl RunArgs {
    /// The load that was asked for.
    fn plan(&self) -> Result<LoadPlan> {
        let (users, connections) = match (self.users, self.connections) {
            (Some(users), Some(connections)) => (users, connections),
            (Some(users), None) => (users, users.min(CONNECTIONS_MAX)),
            (None, connections) => {
                let connections = connections.unwrap_or(CONNECTIONS_DEFAULT);
                (connections, connections)
            }
        };
        if let Some(duration) = self.duration.filter(|duration| *duration < SHORTEST) {
            return Err(Error::flag("--duration", format!("of at least {SHORTEST}"), duration));
        }
        if self.timeout < Span::from_millis(1) {
            return Err(Error::flag("--timeout", "of at least 1ms", self.timeout));
        }
        if self.poisson && self.rate.is_none() && self.visits.is_none() {
            return Err(Error::Config(
                "--poisson needs a rate to arrive at: --rate or --visits".into(),
            ));
        }
        if let Some(threshold) = self.fail_if.iter().find(|it| it.needs_our_server())
            && self.arm.is_none()
        {
            return Err(Error::Config(format!(
                "{threshold} needs --arm: expected a server that is started here, whose CPU time \
                 and memory can be read, found one that runs elsewhere; limit what a client sees, \
                 such as response_p99_us"
            )));
        }
        let model = self.model();
        let choice = match (&model, self.user_choice) {
            (_, Some(choice)) => choice,
            (LoadModel::Closed(_), None) => UserChoice::InTurn,
            (_, None) => UserChoice::Uniform,
        };
        let measure_ns = self.measure_ns(&model)?;
        let length = Span::from_millis((self.warmup.ns() + measure_ns) / 1_000_000);
        if length < SHORTEST && self.total.is_none() || length > LONGEST {
            return Err(Error::Config(format!(
                "expected a load of {SHORTEST} to {LONGEST}, warm-up and stages included, found \
                 {length}; its figures are kept second by second"
            )));
        }
        let closed = matches!(model, LoadModel::Closed(_));
        let waiting = self.think.0.think_ns > 0;
        if closed && self.user_choice.is_some() && (waiting || users <= connections) {
            return Err(Error::Config(
                "--user-choice needs users who share connections: a closed load without think \
                 time and with fewer --connections than --users, or a --rate"
                    .into(),
            ));
        }
        let several = self.workers.is_some_and(|workers| workers > 1);
        if closed && several && matches!(choice, UserChoice::Zipf(_)) {
            return Err(Error::Config(
                "--user-choice zipf in a closed load needs --workers 1: the users of a connection \
                 are those of its worker, and the whole would not follow Zipf's law"
                    .into(),
            ));
        }
        Ok(LoadPlan {
            model,
            journey: self.journey.clone(),
            users,
            choice,
            connections,
            warmup_ns: self.warmup.ns(),
            measure_ns,
            drain_ns: DRAIN.ns(),
            timeout_ns: self.timeout.ns(),
            prepare: None,
            renewal: None,
        })
    }

    /// Says which connections of a closed load would have no user.
    fn note_idle_connections(&self, plan: &LoadPlan) {
        let is_bound = matches!(&plan.model, LoadModel::Closed(closed) if closed.think_ns == 0);
        if is_bound && plan.users < plan.connections {
            output::note(&format!(
                "--connections {} is more than --users {}, and without --think or --rate each user \
                 keeps to one connection: {} are used",
                plan.connections, plan.users, plan.users
            ));
        }
    }

    /// Where the load is sent, for messages.
    fn place(&self, script: &Script) -> Place {
        let described = || format!("{}{}", script.origin(), script.at_socket());
        Place {
            address: self.url.clone().unwrap_or_else(described),
            is_url: self.url.is_some(),
            logs_in: script.login.is_some(),
        }
    }

    /// How long is measured at most.
    fn measure_ns(&self, model: &LoadModel) -> Result<u64> {
        let most_ns = LONGEST.ns().saturating_sub(self.warmup.ns());
        match (model, self.total) {
            (LoadModel::Stages(stages), _) if stages.mean_per_s() > 0.0 => Ok(stages.length_ns()),
            (LoadModel::Stages(_), _) => Err(Error::Config(
                "expected a --stage with a rate above 0 that lasts longer than 0s, found none; add \
                 one such as --stage 1000/s:30s"
                    .into(),
            )),
            (_, None) => Ok(self.duration.unwrap_or(DURATION).ns()),
            (LoadModel::Closed(_), Some(_)) => Ok(self.duration.map_or(most_ns, Span::ns)),
            (_, Some(total)) => {
                let arrivals = Arrivals::of_load(model, self.seed);
                let length_ns = arrivals.window_ns(self.warmup.ns(), total, most_ns);
                let length_ns = length_ns.ok_or_else(|| {
                    Error::Config(format!(
                        "expected --total of requests that arrive within {LONGEST}, found {} at \
                         {}; lower it, or raise --rate",
                        grouped(total.into()),
                        self.rate.map(|rate| rate.to_string()).unwrap_or_default(),
                    ))
                })?;
                Ok(self.duration.map_or(length_ns, |most| length_ns.min(most.ns())))
            }
        }
    }

    fn model(&self) -> LoadModel {
        if let Some(rate) = self.visits {
            let Closed { think_ns, spread, .. } = self.think.0;
            return LoadModel::Visits(Visits {
                rate_per_s: rate.per_second(),
                random: self.poisson,
                requests: self.requests,
                think_ns,
                spread,
            });
        }
        match self.rate.map(Rate::per_second) {
            Some(rate_per_s) if self.poisson => LoadModel::Poisson(Poisson { rate_per_s }),
            Some(rate_per_s) => LoadModel::Constant(Constant { rate_per_s }),
            None if self.stage.is_empty() => {
                LoadModel::Closed(Closed { requests: self.total, ..self.think.0 })
            }
            None => {
                let stages = self.stage.iter().map(|flag| flag.0).collect();
                LoadModel::Stages(Stages { stages })
            }
        }
    }

    /// Writes the files of --output and --junit, where they are named.
    fn keep(&self, json: &str, junit: impl FnOnce() -> String) -> Result<()> {
        if let Some(path) = &self.output {
            files::write(path, format!("{}\n", sanitise::json(json)).as_bytes())?;
        }
        if let Some(path) = &self.junit {
            files::write(path, sanitise::document(&junit()).as_bytes())?;
        }
        Ok(())
    }

    /// The server to drive, when it is not one of ours.
    fn target(&self) -> Result<Target> {
        if let Some(path) = &self.target {
            return target_file(path);
        }
        let mut target = url_target(self.url.as_deref().unwrap_or_default())?;
        self.plain.shape(&mut target)?;
        Ok(target)
    }

    /// The target as the flags shape it; that of a server of ours, where there is one.
    fn shaped_target(&self, server: Option<&Server>) -> Result<Target> {
        let mut target = match server {
            Some(server) => server.ready().target.clone(),
            None => self.target()?,
        };
        self.add_headers(&mut target.headers)?;
        self.client.place.shape(&mut target, self.arm.as_deref())?;
        target.max_transport_errors = self.max_transport_errors.or(target.max_transport_errors);
        self.pace_logins(&mut target)?;
        Ok(target)
    }

    /// Puts --login-concurrency into a target.
    fn pace_logins(&self, target: &mut Target) -> Result<()> {
        let Some(concurrency) = self.login_concurrency else { return Ok(()) };
        let Some(login) = &mut target.login else {
            return Err(Error::Config(format!(
                "--login-concurrency is about logins, and target `{}` has none",
                target.name
            )));
        };
        login.concurrency = Some(concurrency);
        Ok(())
    }

    /// Adds the fields of --header in place of the target's of that name; cookies are joined.
    fn add_headers(&self, headers: &mut BTreeMap<String, HeaderValues>) -> Result<()> {
        let mut added: Vec<(String, Vec<String>)> = Vec::new();
        for text in &self.header {
            let malformed = || Error::flag("--header", "as `Name: value`", format!("`{text}`"));
            let (name, value) = text.split_once(':').ok_or_else(malformed)?;
            let (name, value) = (name.trim(), value.trim().to_string());
            match added.iter_mut().find(|(other, _)| other.eq_ignore_ascii_case(name)) {
                Some((_, values)) => values.push(value),
                None => added.push((name.into(), vec![value])),
            }
        }
        for (name, mut values) in added {
            let is_same = |other: &&String| other.eq_ignore_ascii_case(&name);
            let same: Vec<String> = headers.keys().filter(is_same).cloned().collect();
            let replaced: Vec<String> = same
                .iter()
                .filter_map(|other| headers.remove(other))
                .flat_map(|old| old.all().cloned().collect::<Vec<_>>())
                .collect();
            if name.eq_ignore_ascii_case("cookie") {
                values.splice(..0, replaced);
            }
            headers.insert(name, HeaderValues::Several(values));
        }
        Ok(())
    }
}

/// The server that a file describes.
pub(super) fn target_file(path: &Path) -> Result<Target> {
    let mut target = spec::read_target(path)?;
    // The name is shown and never sent; everything else goes to the server as it is.
    target.name = fit(&target.name, NAME);
    Ok(target)
}

/// A target that needs no login: one path, of which the status alone is checked.
pub(super) fn url_target(url: &str) -> Result<Target> {
    let target = engine::get(url)?;
    Ok(Target { name: fit(&target.name, REMARK), ..target })
}
