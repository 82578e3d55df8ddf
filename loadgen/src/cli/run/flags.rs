//! Flags of `authbench run`, and the load and the target they ask for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{ArgGroup, Args};
use servers::contract::{HeaderValues, Share, Target};

use super::super::output;
use super::client::ClientArgs;
use super::deployment::DeploymentArgs;
use super::fleet::FleetArgs;
use super::limits::LimitArgs;
use super::plain::PlainArgs;
use super::printed::RunFormat;
use super::stages::StageFlag;
use super::verdict::Place;
use crate::engine::{self, Pacing};
use crate::error::{Error, Result};
use crate::files;
use crate::journey::Script;
use crate::load::{
    Arrivals, Closed, Constant, LoadModel, Poisson, Spread, Stages, UserChoice, Visits,
};
use crate::plan::LoadPlan;
use crate::proc::Server;
use crate::report::Threshold;
use crate::sanitise::{self, NAME, REMARK, fit};
use crate::spec;
use crate::units::{Rate, Span, UnitError, grouped};

/// Flags of `authbench run`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("whom").required(true).args(["url", "arm", "target"])))]
pub(in crate::cli) struct RunArgs {
    /// Load this address, which needs no login: `http://127.0.0.1:8080/path`
    url: Option<String>,
    /// Start a server of this arm and load it
    #[arg(long, value_name = "ARM")]
    pub(super) arm: Option<String>,
    /// Load the server that this target file describes
    #[arg(long, value_name = "FILE.toml")]
    pub(super) target: Option<PathBuf>,
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
    pub(super) total: Option<u32>,
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
    pub(super) seed: u64,
    /// Run this many generator threads [default: 1; with --arm one per generator core]
    #[arg(long, value_name = "N", env = "AUTHBENCH_WORKERS",
          value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(super) workers: Option<u32>,
    /// Wait for the next due request by auto, spin or sleep
    ///
    /// auto sleeps, then spins the last stretch where the worker has a core of its own.
    #[arg(long, value_name = "HOW", env = "AUTHBENCH_PACING", default_value = "auto")]
    pub(super) pacing: Pacing,
    #[command(flatten)]
    pub(super) deployment: DeploymentArgs,
    #[command(flatten)]
    plain: PlainArgs,
    #[command(flatten)]
    pub(super) client: ClientArgs,
    #[command(flatten)]
    pub(super) fleet: FleetArgs,
    /// Write the response times of every second to this file, as an HdrHistogram interval log
    ///
    /// A character device such as /dev/null works too.
    #[arg(long, value_name = "FILE")]
    pub(super) hdr_log: Option<PathBuf>,
    /// Print the figures in this form
    #[arg(long, value_enum, default_value = "text")]
    pub(super) format: RunFormat,
    /// Write the result as JSON to this file too
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Exit with 6 if this is true of the run: `response_p99_us > 20ms`; may be repeated
    ///
    /// A metric as in measurements.csv, one of > >= < <=, and a limit in the metric's unit or
    /// another: `error_rate > 0.1%`, `throughput_rps < 5k/s`. A figure that the run does not have
    /// fails too.
    #[arg(long, value_name = "LIMIT")]
    pub(super) fail_if: Vec<Threshold>,
    /// Write the outcome of every --fail-if to this file, as JUnit test cases
    #[arg(long, value_name = "FILE", requires = "fail_if")]
    pub(super) junit: Option<PathBuf>,
    /// Allow a debug build, whose figures mean nothing
    #[arg(long, hide = true)]
    pub(super) allow_debug: bool,
    // Last, because its heading holds for all that follow.
    #[command(flatten)]
    pub(super) limits: LimitArgs,
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

impl RunArgs {
    /// The load that was asked for.
    pub(super) fn plan(&self) -> Result<LoadPlan> {
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
    pub(super) fn note_idle_connections(&self, plan: &LoadPlan) {
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
    pub(super) fn place(&self, script: &Script) -> Place {
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
    pub(super) fn keep(&self, json: &str, junit: impl FnOnce() -> String) -> Result<()> {
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
    pub(super) fn shaped_target(&self, server: Option<&Server>) -> Result<Target> {
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
pub(in crate::cli) fn target_file(path: &Path) -> Result<Target> {
    let mut target = spec::read_target(path)?;
    // The name is shown and never sent; everything else goes to the server as it is.
    target.name = fit(&target.name, NAME);
    Ok(target)
}

/// A target that needs no login: one path, of which the status alone is checked.
pub(in crate::cli) fn url_target(url: &str) -> Result<Target> {
    let target = engine::get(url)?;
    Ok(Target { name: fit(&target.name, REMARK), ..target })
}
