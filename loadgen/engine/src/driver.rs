//! Who is driven, from where, and how: what every load and every pass over users has in common.

use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::time::{Duration, Instant};

use super::part::{Part, Setup};
use super::reach::Addresses;
use super::setup::{SetupFault, refusal};
use super::users::{Credentials, LoggedIn};
use super::worker::Worker;
use crate::error::{Error, Interrupt, Result};
use crate::journey::Script;
use crate::limits::Limits;
use crate::load::LoadModel;
use crate::plan::LoadPlan;
use crate::record::{ClientUse, Placement};
use crate::transport::{
    Budget, Failure, Lean, Outcome, Pacing, Peer, Reader, Realistic, Tls, TransportKind, Trust,
};

/// Who is driven, from where.
#[derive(Clone, Debug)]
pub struct Driver {
    /// The target's requests.
    pub script: Arc<Script>,
    /// The target's addresses.
    pub addresses: Addresses,
    /// Cores that workers are pinned to, one each in turn; empty: not pinned.
    pub cores: Vec<usize>,
    /// Worker threads.
    pub workers: u32,
    /// Which workers of a load they are, where other processes have the rest; `None`: all of them.
    pub among: Option<Among>,
    /// How a worker waits for a request that is due.
    pub pacing: Pacing,
    /// What requests go through; logins of a fill always go through the lean transport.
    pub transport: TransportKind,
    /// Which certificates an `https://` target may show.
    pub trust: Trust,
    /// How much of an answer is read.
    pub limits: Limits,
    /// How long everything before a load may take: logins, and the opening of connections.
    pub setup_within: Duration,
    /// Ends a load early.
    pub interrupt: Interrupt,
    /// The users of a load, where they are logged in already; `None`: they log in before it.
    pub users: Option<Arc<LoggedIn>>,
    /// How many users have logged in so far, which a [`Watcher`](super::Watcher) is told.
    pub ready: Arc<AtomicU32>,
}

/// A place among the workers of a load that several processes carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Among {
    /// Number of the first worker of this process.
    pub base: u32,
    /// Workers of all processes together.
    pub of: u32,
}

impl Among {
    /// Sees that every one of so many workers has a user and a connection. One process has fewer
    /// workers instead; several cannot, because another number of workers is another load.
    ///
    /// # Errors
    /// `Config` where there are too many.
    pub fn check(of: u32, plan: &LoadPlan) -> Result<()> {
        let most = plan.users.min(plan.connections);
        if of <= most {
            return Ok(());
        }
        Err(Error::Config(format!(
            "expected at most {most} workers on all agents, one for each of {} users and {} \
             connections, found {of}; take fewer agents or workers, or raise --users and \
             --connections",
            plan.users, plan.connections
        )))
    }
}

/// How long Setup may take unless somebody says otherwise: a million logins at a few hundred per
/// second.
const SETUP_WITHIN: Duration = Duration::from_secs(3600);

impl Driver {
    /// A driver of this target.
    ///
    /// # Errors
    /// `Target` when the host name has no address.
    pub fn new(
        script: Script,
        cores: Vec<usize>,
        workers: u32,
        interrupt: Interrupt,
    ) -> Result<Self> {
        let addresses = Addresses::of_target(&script)?;
        Ok(Self::at(addresses, script, cores, workers, interrupt))
    }

    /// A driver of this target at other addresses than its name has.
    pub fn at(
        addresses: Addresses,
        script: Script,
        cores: Vec<usize>,
        workers: u32,
        interrupt: Interrupt,
    ) -> Self {
        Self {
            script: Arc::new(script),
            addresses,
            cores,
            workers,
            among: None,
            pacing: Pacing::default(),
            transport: TransportKind::default(),
            trust: Trust::default(),
            limits: Limits::default(),
            setup_within: SETUP_WITHIN,
            interrupt,
            users: None,
            ready: Arc::default(),
        }
    }

    /// A driver on the generator's cores: a worker for each, which spins where the core is its own.
    ///
    /// # Errors
    /// As for [`Driver::new`].
    pub fn placed(script: Script, placement: &Placement, interrupt: Interrupt) -> Result<Self> {
        let cores = placement.generator.clone();
        let workers = cores.len().max(1) as u32;
        let pacing = Pacing::Auto.resolved(!placement.shared());
        Ok(Self { pacing, ..Self::new(script, cores, workers, interrupt)? })
    }

    /// Workers of a load of so many users and connections: every worker needs one of each.
    pub(super) fn workers_for(&self, users: u32, connections: u32) -> u32 {
        self.workers.min(users).min(connections).max(1)
    }

    /// The workers of a load that this process has, by their numbers, and how many there are in
    /// all.
    pub(super) fn workers_of(&self, plan: &LoadPlan) -> Result<(Range<u32>, u32)> {
        let Some(Among { base, of }) = self.among else {
            let workers = self.workers_for(plan.users, plan.connections);
            return Ok((0..workers, workers));
        };
        Among::check(of, plan)?;
        let mine = base..base.saturating_add(self.workers);
        if mine.is_empty() || mine.end > of {
            return Err(Error::Bug(format!("workers {mine:?} of a load that has {of}")));
        }
        Ok((mine, of))
    }

    /// The users of this load who are logged in already, dealt out to so many workers.
    pub(super) fn logged_in(
        &self,
        plan: &LoadPlan,
        workers: u32,
    ) -> Result<Option<Vec<Arc<Credentials>>>> {
        let Some(users) = &self.users else { return Ok(None) };
        if matches!(plan.model, LoadModel::Visits(_)) || plan.prepare.is_some() {
            return Err(Error::Bug("a load that logs its users in has some already".into()));
        }
        users.dealt(plan.users, workers).map(Some)
    }

    /// What connections are opened with; `None` for plain ones.
    pub(super) fn tls(&self, protocols: &[&str]) -> Result<Option<Tls>> {
        let tls = || Tls::new(&self.script, &self.trust, protocols);
        Ok(self.script.tls.then(tls).transpose()?)
    }

    /// The target as every worker of one load sees it, offered these protocols over TLS. They share
    /// the memory for answers in pieces, and no session.
    pub(super) fn peers(&self, protocols: &[&str]) -> Result<impl Fn() -> Peer> {
        let reader = Reader::new(self.limits, Budget::new(self.limits.buffered_bytes));
        let (tls, place) = (self.tls(protocols)?, self.addresses.chosen());
        Ok(move || {
            let (tls, reader) = (tls.as_ref().map(Tls::for_one_worker), reader.clone());
            Peer { place: place.clone(), tls, reader }
        })
    }

    /// What makes the lean transport of a worker.
    pub(super) fn lean(&self) -> Result<impl Fn(usize, Instant) -> Result<Lean>> {
        let peer = self.peers(&["http/1.1"])?;
        Ok(move |connections, epoch| {
            Lean::new(&self.script, peer(), connections, epoch, self.pacing).map_err(|e| {
                Error::Config(format!("cannot open an event queue for the generator: {e}"))
            })
        })
    }

    /// What makes the realistic transport of a worker.
    pub(super) fn realistic(
        &self,
        http2_only: bool,
    ) -> Result<impl Fn(usize, Instant) -> Result<Realistic>> {
        let peer = self.peers(if http2_only { &["h2"] } else { &["h2", "http/1.1"] })?;
        Ok(move |connections, epoch| {
            Realistic::new(&self.script, peer(), http2_only, connections, epoch, self.pacing)
                .map_err(|e| {
                    Error::Config(format!("cannot set up the reqwest client of the generator: {e}"))
                })
        })
    }

    pub(super) fn worker<'a, T>(
        &'a self,
        part: Part,
        connections: u32,
        timeout_ns: u64,
        stop: &'a AtomicBool,
        transport: impl FnOnce(usize) -> Result<T>,
    ) -> Result<Worker<'a, T>> {
        self.pin(part.worker);
        // The kernel may let a sleeper sleep on by its slack, 50 us unless told otherwise. A
        // refusal shows as lag.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        let connections = part.of(connections);
        let transport = transport(connections as usize)?;
        let setup = Setup {
            script: &self.script,
            part,
            connections,
            timeout_ns,
            ready_by_ns: nanos(self.setup_within),
            interrupt: &self.interrupt,
            stop,
            ready: Some(&self.ready),
        };
        Ok(Worker { transport, setup, credentials: Arc::default() })
    }

    pub(super) fn client_use(&self) -> ClientUse {
        let verified = self.script.tls.then_some(self.trust != Trust::Anything);
        ClientUse {
            transport: self.transport.to_string(),
            verified,
            transport_errors_ppm: self.script.transport_errors_ppm,
            ..ClientUse::default()
        }
    }

    /// The error of a load without TLS, and why.
    pub(super) fn no_tls(&self, reason: Option<&str>) -> Error {
        let reason = reason.unwrap_or("the library does not say why; see the server's log");
        Error::Target(format!("no TLS with {}: {reason}", self.script.origin()))
    }

    /// Keeps the calling worker on its core. A refusal is no error: placement is checked and
    /// reported by the caller, which chose the cores.
    pub(super) fn pin(&self, worker: u32) {
        if self.cores.is_empty() {
            return;
        }
        let mut set = rustix::thread::CpuSet::new();
        set.set(self.cores[worker as usize % self.cores.len()]);
        let _ = rustix::thread::sched_setaffinity(None, &set);
    }

    /// The error that a fault of Setup ends a load with; `reason` is why TLS failed, if it did.
    pub(super) fn fault(&self, fault: SetupFault, reason: Option<&str>) -> Error {
        match fault {
            SetupFault::Unopened { failure: Failure::Tls, .. } => self.no_tls(reason),
            SetupFault::Refused(refused) if refused.outcome == Outcome::Failed(Failure::Tls) => {
                self.no_tls(reason)
            }
            SetupFault::Interrupted => self.interrupt.error(),
            SetupFault::Late { done, users } => Error::Target(format!(
                "{} was not ready for the load within {} s: {done} of {users} users had done what \
                 comes before it; make its logins faster, have fewer users, or give it longer with \
                 --setup-timeout",
                self.script.authority,
                self.setup_within.as_secs_f64()
            )),
            SetupFault::Transport(error) => {
                Error::Bug(format!("the event queue stopped working: {error}"))
            }
            SetupFault::Unopened { opened, failure } => {
                let text = format!(
                    "connection {} to {}{} could not be opened: {}",
                    opened + 1,
                    self.script.authority,
                    self.script.at_socket(),
                    Outcome::Failed(failure)
                );
                match failure {
                    Failure::NoDescriptors | Failure::NoPorts => Error::Config(format!(
                        "{text}; raise `ulimit -n` or net.ipv4.ip_local_port_range, or use fewer \
                         connections"
                    )),
                    _ => Error::Target(format!(
                        "{text}; check that the server runs and accepts as many connections"
                    )),
                }
            }
            SetupFault::Refused(refused) => Error::Target(refusal(&self.script, &refused)),
        }
    }
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

pub(super) fn panicked(_: Box<dyn std::any::Any + Send>) -> Error {
    Error::Bug("a generator thread panicked".into())
}
