//! The front door: one load against one target, described step by step.

use std::collections::BTreeMap;
use std::time::Duration;

use contract::{BodyFormat, Journey, Step, Target, UserPattern};

use crate::driver::nanos;
use crate::error::{Error, Interrupt, Result};
use crate::journey::Script;
use crate::load::{Closed, LoadModel, Poisson, UserChoice};
use crate::plan::LoadPlan;
use crate::record::LoadRecord;
use crate::{Driver, Phase, load};

/// The journey of a target that is one request.
const ONE_REQUEST: &str = "browse";

/// A load that has not begun. What is not said of it: one user on one connection, who asks again
/// when the answer has come, for a second after a tenth of one.
///
/// The load runs on threads of its own, and `run` returns when the last answer has come. Every
/// answer is checked, so a server that fails gives counts of errors and not an `Err`.
///
/// ```
/// use std::io::{BufRead as _, BufReader, Write as _};
/// use std::{net::TcpListener, thread, time::Duration};
///
/// // A server that says `ok` to everything, on as many connections as come.
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let url = format!("http://{}/", listener.local_addr()?);
/// thread::spawn(move || {
///     for stream in listener.incoming().flatten() {
///         thread::spawn(move || {
///             let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
///             let mut answers = stream.try_clone().unwrap();
///             let lines = BufReader::new(stream).lines().map_while(Result::ok);
///             lines.filter(|line| line.is_empty()).for_each(|_| answers.write_all(ok).unwrap());
///         });
///     }
/// });
///
/// let measured = engine::Load::get(&url)?
///     .connections(4)
///     .rate(500.0)
///     .measure(Duration::from_millis(200))
///     .run()?;
/// assert!(measured.counts.ok > 0 && measured.counts.failed() == 0);
/// println!("p99: {} us", measured.response().quantile_ns(0.99) / 1000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "it begins with `run`"]
pub struct Load {
    target: Target,
    plan: LoadPlan,
    workers: u32,
    seed: u64,
    interrupt: Interrupt,
}

impl Load {
    /// A load of GET requests for one URL, whose right answer has status 200.
    ///
    /// # Errors
    /// `Config` when it is no URL with a scheme and a host.
    pub fn get(url: &str) -> Result<Self> {
        Ok(Self::journey(get(url)?, ONE_REQUEST))
    }

    /// A load of users who make this journey of a target again and again, each after a login where
    /// the target has one.
    pub fn journey(target: Target, journey: &str) -> Self {
        let plan = LoadPlan {
            model: LoadModel::Closed(Closed::without_thinking()),
            journey: journey.into(),
            users: 1,
            choice: UserChoice::InTurn,
            connections: 1,
            warmup_ns: 100_000_000,
            measure_ns: 1_000_000_000,
            drain_ns: 2_000_000_000,
            timeout_ns: 5_000_000_000,
            prepare: None,
            renewal: None,
        };
        Self { target, plan, workers: 1, seed: 1, interrupt: Interrupt::default() }
    }

    /// So many users, each with a credential of their own. At least as many connections as workers
    /// are opened, and no more than users who can use them.
    pub const fn users(mut self, users: u32) -> Self {
        self.plan.users = users;
        self
    }

    /// So many keep-alive connections, and at least as many users.
    pub fn connections(mut self, connections: u32) -> Self {
        self.plan.connections = connections;
        self.plan.users = self.plan.users.max(connections);
        self
    }

    /// An open load: so many requests per second, which do not wait for answers (Poisson arrivals).
    pub fn rate(mut self, per_second: f64) -> Self {
        self.plan.model = LoadModel::Poisson(Poisson { rate_per_s: per_second });
        self
    }

    /// Any other load model.
    pub fn model(mut self, model: LoadModel) -> Self {
        self.plan.model = model;
        self
    }

    /// How long requests are sent and not counted before.
    pub fn warmup(mut self, warmup: Duration) -> Self {
        self.plan.warmup_ns = nanos(warmup);
        self
    }

    /// How long requests are counted.
    pub fn measure(mut self, measure: Duration) -> Self {
        self.plan.measure_ns = nanos(measure);
        self
    }

    /// Worker threads, among which users and connections are dealt out.
    pub const fn workers(mut self, workers: u32) -> Self {
        self.workers = workers;
        self
    }

    /// The seed of arrivals and of the choice of users.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// What ends the load early.
    pub fn interrupt(mut self, interrupt: Interrupt) -> Self {
        self.interrupt = interrupt;
        self
    }

    /// Runs it.
    ///
    /// # Errors
    /// Those of [`load()`], and `Config` when the target has no such journey.
    pub fn run(self) -> Result<LoadRecord> {
        let script = Script::renewing(&self.target, &self.plan.journey, None)?;
        let driver = Driver::new(script, Vec::new(), self.workers, self.interrupt)?;
        load(&driver, &self.plan, self.seed, |_: Phase| {})
    }
}

/// A target that needs no login: one path, whose status alone is checked.
///
/// # Errors
/// `Config` when it is no URL with a scheme and a host.
pub fn get(url: &str) -> Result<Target> {
    let refuse =
        || Error::Config(format!("expected a URL such as `http://HOST:PORT/path`, found `{url}`"));
    let uri: http::Uri = url.parse().map_err(|_| refuse())?;
    let authority = uri.authority().ok_or_else(refuse)?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(refuse());
    }
    let path = uri.path_and_query().map_or("", |path| path.as_str());
    // A URL may have a query and no path, which is `/` then (RFC 9112, 3.2.1).
    let path = if path.starts_with('/') { path.into() } else { format!("/{path}") };
    let step = Step {
        name: "get".into(),
        method: "GET".into(),
        path,
        headers: BTreeMap::new(),
        body: None,
        format: BodyFormat::Json,
        expect_status: 200.into(),
        check: None,
        credential: None,
    };
    let journey = Journey { steps: vec![step], ..Journey::default() };
    Ok(Target {
        name: url.into(),
        base_url: format!("{}://{authority}", uri.scheme_str().ok_or_else(refuse)?),
        unix_socket: None,
        client_cert: None,
        client_key: None,
        auth: None,
        users: UserPattern::default(),
        cookies: None,
        login: None,
        headers: BTreeMap::new(),
        journeys: BTreeMap::from([(ONE_REQUEST.into(), journey)]),
        logout: None,
        logout_all: None,
        refresh: None,
        renewal: None,
        token: None,
        max_transport_errors: None,
    })
}
