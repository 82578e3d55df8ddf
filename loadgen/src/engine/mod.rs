//! Runs a load: workers on threads of their own, phases with a gate between them, one merge.
//!
//! [`load`] takes a target through Setup, Warmup, Measure and Drain. Every worker owns its
//! transport, its users and its recorder; they meet at the start, which none passes before all are
//! ready, and at the end, where what they counted is added up. A worker that fails in Setup ends
//! the load for all and leaves nobody waiting. The engine must never know which scheme it drives.

mod beside;
mod core;
mod ends;
mod interleave;
mod merge;
mod recorder;
#[cfg(test)]
mod scripted;
mod setup;
mod users;
mod visits;
mod watch;
mod worker;

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::num::NonZeroU64;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, Interrupt, Result};
use crate::journey::Script;
use crate::limits::Limits;
use crate::load::LoadModel;
use crate::plan::LoadPlan;
use crate::record::{ClientUse, LoadRecord, LoginRecord, Placement};
use crate::transport::{Budget, Failure, Lean, Outcome, Peer, Reader, Realistic, Tls, Transport};

pub use crate::transport::{Pacing, TransportKind, Trust};
pub use beside::{LoggedIn, OpenConnections, connect, fill, grow, log_out};
pub use ends::Ends;
pub use interleave::{Lane, Used, interleave};
use merge::{merge, merge_logins};
pub use recorder::{Moments, Recorder};
#[cfg(test)]
pub use scripted::scripted;
use setup::SetupFault;
use users::Credentials;
pub use watch::{Progress, Watcher};
use watch::{Ticks, walk_phases};
use worker::{Part, Setup, Worker};

/// Where a load is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Connections are opened and users log in.
    Setup,
    /// Requests are sent and not counted.
    Warmup,
    /// Requests are sent and counted.
    Measure,
    /// Nothing new is sent; answers are awaited.
    Drain,
}

/// Who is driven, from where.
#[derive(Clone, Debug)]
pub struct Driver {
    /// The target's requests.
    pub script: Arc<Script>,
    /// The target's address.
    pub address: SocketAddr,
    /// Cores that workers are pinned to, one each in turn; empty: not pinned.
    pub cores: Vec<usize>,
    /// Worker threads.
    pub workers: u32,
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
}

/// How long Setup may take unless somebody says otherwise: a million logins at a few hundred per
/// second.
const SETUP_WITHIN: Duration = Duration::from_secs(3600);

/// How long after the last worker is ready the load starts: all must have seen the start by then.
const START_AFTER: Duration = Duration::from_millis(2);

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
        let no_address =
            || Error::Target(format!("the host of `{}` has no address", script.authority));
        let addresses = script.host_and_port().to_socket_addrs();
        let address = addresses.ok().and_then(|mut all| all.next()).ok_or_else(no_address)?;
        Ok(Self {
            script: Arc::new(script),
            address,
            cores,
            workers,
            pacing: Pacing::default(),
            transport: TransportKind::default(),
            trust: Trust::default(),
            limits: Limits::default(),
            setup_within: SETUP_WITHIN,
            interrupt,
            users: None,
        })
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
    fn workers_for(&self, users: u32, connections: u32) -> u32 {
        self.workers.min(users).min(connections).max(1)
    }

    /// The users of this load who are logged in already, dealt out to so many workers.
    fn logged_in(&self, plan: &LoadPlan, workers: u32) -> Result<Option<Vec<Arc<Credentials>>>> {
        let Some(users) = &self.users else { return Ok(None) };
        if matches!(plan.model, LoadModel::Visits(_)) || plan.prepare.is_some() {
            return Err(Error::Bug("a load that logs its users in has some already".into()));
        }
        users.dealt(plan.users, workers).map(Some)
    }

    /// What connections are opened with; `None` for plain ones.
    fn tls(&self, protocols: &[&str]) -> Result<Option<Tls>> {
        let tls = || Tls::new(&self.script, &self.trust, protocols);
        Ok(self.script.tls.then(tls).transpose()?)
    }

    /// The target as every worker of one load sees it, offered these protocols over TLS. They share
    /// the memory for answers in pieces, and no session.
    fn peers(&self, protocols: &[&str]) -> Result<impl Fn() -> Peer> {
        let reader = Reader::new(self.limits, Budget::new(self.limits.buffered_bytes));
        let (tls, address) = (self.tls(protocols)?, self.address);
        Ok(move || {
            let (tls, reader) = (tls.as_ref().map(Tls::for_one_worker), reader.clone());
            Peer { address, tls, reader }
        })
    }

    /// What makes the lean transport of a worker.
    fn lean(&self) -> Result<impl Fn(usize, Instant) -> Result<Lean>> {
        let peer = self.peers(&["http/1.1"])?;
        Ok(move |connections, epoch| {
            Lean::new(&self.script, peer(), connections, epoch, self.pacing)
                .map_err(|e| Error::Config(format!("no event queue for the generator: {e}")))
        })
    }

    /// What makes the realistic transport of a worker.
    fn realistic(&self, http2_only: bool) -> Result<impl Fn(usize, Instant) -> Result<Realistic>> {
        let peer = self.peers(if http2_only { &["h2"] } else { &["h2", "http/1.1"] })?;
        Ok(move |connections, epoch| {
            Realistic::new(&self.script, peer(), http2_only, connections, epoch, self.pacing)
                .map_err(|e| Error::Config(format!("no client for the generator: {e}")))
        })
    }

    fn worker<'a, T>(
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
        };
        Ok(Worker { transport, setup, credentials: Arc::default() })
    }

    fn client_use(&self) -> ClientUse {
        let verified = self.script.tls.then_some(self.trust != Trust::Anything);
        ClientUse { transport: self.transport.to_string(), http: None, verified }
    }

    /// Keeps the calling worker on its core. A refusal is no error: placement is checked and
    /// reported by whoever chose the cores.
    fn pin(&self, worker: u32) {
        if self.cores.is_empty() {
            return;
        }
        let mut set = rustix::thread::CpuSet::new();
        set.set(self.cores[worker as usize % self.cores.len()]);
        let _ = rustix::thread::sched_setaffinity(None, &set);
    }

    /// The error that a fault of Setup ends a load with; `reason` is why TLS failed, if it did.
    fn fault(&self, fault: SetupFault, reason: Option<&str>) -> Error {
        let no_tls = || {
            let reason = reason.unwrap_or("the library does not say why");
            Error::Target(format!(
                "no TLS with {}: {reason}; name the issuer of its certificate with --ca FILE, or \
                 check no certificate with --insecure",
                self.script.origin()
            ))
        };
        match fault {
            SetupFault::Unopened { failure: Failure::Tls, .. } => no_tls(),
            SetupFault::Refused(refused) if refused.outcome == Outcome::Failed(Failure::Tls) => {
                no_tls()
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
                    "connection {} to {} could not be opened: {}",
                    opened + 1,
                    self.script.authority,
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
            SetupFault::Refused(refused) => Error::Target(setup::refusal(&self.script, &refused)),
        }
    }
}

/// Runs a load; `watcher` is called on the calling thread.
///
/// # Errors
/// `Config` when the target cannot be driven so, `Target` when a connection or a login fails,
/// `Interrupted` when a signal comes before Measure. A signal during Measure is no error: what was
/// measured until then is returned.
pub fn load(
    driver: &Driver,
    plan: &LoadPlan,
    seed: u64,
    watcher: impl Watcher,
) -> Result<LoadRecord> {
    match driver.transport {
        TransportKind::Lean => load_with(driver, plan, seed, watcher, driver.lean()?),
        TransportKind::Reqwest { http2_only } => {
            load_with(driver, plan, seed, watcher, driver.realistic(http2_only)?)
        }
    }
}

/// Runs a load on the transports that `make` gives its workers.
fn load_with<T: Transport>(
    driver: &Driver,
    plan: &LoadPlan,
    seed: u64,
    mut watcher: impl Watcher,
    make: impl Fn(usize, Instant) -> Result<T> + Sync,
) -> Result<LoadRecord> {
    let visits = matches!(plan.model, LoadModel::Visits(_));
    if visits && driver.script.login.is_none() {
        return Err(Error::Config(format!(
            "users who come and go need a login to begin with, and target `{}` has none",
            driver.script.name
        )));
    }
    let epoch = Instant::now();
    let workers = driver.workers_for(plan.users, plan.connections);
    let logged_in = driver.logged_in(plan, workers)?;
    let stop = AtomicBool::new(false);
    let mut ticks = Ticks::new(workers, watcher.wants_seconds());
    watcher.enter(Phase::Setup);
    let (ready, all_ready) = mpsc::channel();
    let carry = |worker, ready: mpsc::Sender<_>, start: mpsc::Receiver<u64>, ticks: Option<_>| {
        let part = Part { worker, workers };
        let make = |connections| make(connections, epoch);
        let made = driver.worker(part, plan.connections, plan.timeout_ns, &stop, make);
        let mut worker = match made {
            Ok(worker) => worker,
            Err(error) => {
                let _ = ready.send(Err(error));
                return None;
            }
        };
        // Users who come and go log in when they come.
        let users = if visits { 0 } else { plan.users };
        let part = worker.setup.part.worker as usize;
        let logged_in = logged_in.as_ref().map(|of_workers| &of_workers[part]);
        let login = worker
            .make_ready(users, plan.prepare.as_ref(), logged_in)
            .and_then(|login| worker.open().map(|()| login))
            .map_err(|fault| driver.fault(fault, worker.transport.reason()));
        let login = match login {
            Ok(login) => login,
            Err(error) => {
                let _ = ready.send(Err(error));
                return None;
            }
        };
        // Either end may be gone when another worker has failed; then there is no load to run.
        let begin = || {
            ready.send(Ok(login)).ok()?;
            drop(ready);
            start.recv().ok()
        };
        let harvest = worker.load(plan, seed, ticks.as_ref(), begin).transpose()?;
        // The connections stay open until whoever watches has read the server's memory.
        let _ = start.recv();
        Some((harvest, worker.transport.http()))
    };
    thread::scope(|scope| {
        let carry = &carry;
        let mut starts = Vec::new();
        let mut handles = Vec::new();
        for worker in 0..workers {
            let (start, started) = mpsc::channel();
            let (ready, ticks) = (ready.clone(), ticks.sender());
            starts.push(start);
            handles.push(scope.spawn(move || carry(worker, ready, started, ticks)));
        }
        drop(ready);
        let logins = all_ready.iter().collect::<Result<Vec<LoginRecord>>>()?;
        if logins.len() < workers as usize {
            return Err(Error::Bug("a generator thread ended while setting up".into()));
        }
        let start_at = epoch.elapsed() + START_AFTER;
        let start_ns = nanos(start_at);
        for start in &starts {
            // A worker that is gone is reported when it is joined.
            let _ = start.send(start_ns);
        }
        let clock = (epoch, start_ns);
        walk_phases(plan, clock, &driver.interrupt, &stop, &mut ticks, &mut watcher);
        drop(starts);
        let mut harvests = Vec::new();
        let mut client = driver.client_use();
        for handle in handles {
            let harvest = handle.join().map_err(panicked)?;
            let (harvest, http) =
                harvest.ok_or_else(|| Error::Bug("a worker did not run".into()))?;
            client.http.get_or_insert_with(|| http.into());
            harvests.push(
                harvest.map_err(|e| Error::Bug(format!("the event queue stopped working: {e}")))?,
            );
        }
        Ok(merge(driver, plan, client, merge_logins(logins), harvests))
    })
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> Error {
    Error::Bug("a generator thread panicked".into())
}
