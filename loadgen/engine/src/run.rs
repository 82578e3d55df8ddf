//! Takes a target through Setup, Warmup, Measure and Drain: workers on threads of their own, which
//! meet at a start that none passes before all are ready, and at the end.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::driver::{Driver, nanos, panicked};
use super::merge::{Share, merge_logins};
use super::part::Part;
use super::watch::{ASK_EVERY, Phase, Ticks, Watcher, walk_phases};
use super::worker::Harvest;
use crate::error::{Error, Result};
use crate::load::LoadModel;
use crate::plan::LoadPlan;
use crate::record::{LoadRecord, LoginRecord};
use crate::transport::{Transport, TransportKind};

/// How long after the last worker is ready the load starts: all must have seen the start by then.
const START_AFTER: Duration = Duration::from_millis(2);

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
    let share = share(driver, plan, seed, watcher, |_| Ok(Instant::now() + START_AFTER))?;
    match share.no_tls() {
        // A server may refuse a client only after its own part of the handshake.
        Some(reason) => Err(driver.no_tls(Some(reason))),
        None => Ok(share.record(plan, 0)),
    }
}

/// Runs the part of a load that this process has ([`Driver::among`]). `start` is called when all of
/// its users are logged in and all of its connections are open, and gives the moment at which the
/// load begins.
///
/// # Errors
/// As [`load`], and what `start` gives, which ends it.
pub fn share(
    driver: &Driver,
    plan: &LoadPlan,
    seed: u64,
    watcher: impl Watcher,
    start: impl FnOnce(&LoginRecord) -> Result<Instant>,
) -> Result<Share> {
    let asked = Asked { driver, plan, seed };
    match driver.transport {
        TransportKind::Lean => share_with(asked, watcher, start, driver.lean()?),
        TransportKind::Reqwest { http2_only } => {
            share_with(asked, watcher, start, driver.realistic(http2_only)?)
        }
    }
}

/// What is run, and how.
#[derive(Clone, Copy)]
struct Asked<'a> {
    driver: &'a Driver,
    plan: &'a LoadPlan,
    seed: u64,
}

/// Whether the target has the users that a load asks for.
fn check_users(driver: &Driver, plan: &LoadPlan) -> Result<()> {
    if matches!(plan.model, LoadModel::Visits(_)) && driver.script.login.is_none() {
        return Err(Error::Config(format!(
            "users who come and go need a login, and target `{}` has none",
            driver.script.name
        )));
    }
    let remedy = "ask for fewer with --users or --connections";
    driver.script.population.require(plan.users.into(), "this load", remedy)
}

/// Waits until every worker is ready, and tells the watcher how many users are by then.
fn gather(
    driver: &Driver,
    all_ready: &mpsc::Receiver<Result<LoginRecord>>,
    watcher: &mut impl Watcher,
) -> Result<Vec<LoginRecord>> {
    let mut logins = Vec::new();
    loop {
        match all_ready.recv_timeout(ASK_EVERY) {
            Ok(login) => logins.push(login?),
            Err(RecvTimeoutError::Timeout) => {
                watcher.users_ready(driver.ready.load(Ordering::Relaxed));
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(logins),
        }
    }
}

/// Runs a part of a load on the transports that `make` gives its workers.
fn share_with<T: Transport>(
    Asked { driver, plan, seed }: Asked<'_>,
    mut watcher: impl Watcher,
    start: impl FnOnce(&LoginRecord) -> Result<Instant>,
    make: impl Fn(usize, Instant) -> Result<T> + Sync,
) -> Result<Share> {
    let visits = matches!(plan.model, LoadModel::Visits(_));
    check_users(driver, plan)?;
    let epoch = Instant::now();
    let (mine, workers) = driver.workers_of(plan)?;
    let logged_in = driver.logged_in(plan, workers)?;
    let stop = AtomicBool::new(false);
    let mut ticks = Ticks::new(mine.clone(), watcher.wants_seconds());
    let wanted = ticks.wanted();
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
        let logged_in = logged_in.as_ref().map(|of_workers| &of_workers[part.worker as usize]);
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
        let mut late_ns = 0;
        // Either end may be gone when another worker has failed; then there is no load to run.
        let begin = || {
            ready.send(Ok(login)).ok()?;
            drop(ready);
            let start_ns = start.recv().ok()?;
            late_ns = nanos(epoch.elapsed()).saturating_sub(start_ns);
            Some(start_ns)
        };
        let sender = ticks.as_ref().filter(|_| wanted);
        let harvest = worker.load(plan, seed, sender, begin).transpose()?;
        // The watcher hears that this worker is through.
        drop(ticks);
        // The connections stay open until the watcher has read the server's memory.
        let _ = start.recv();
        let reason = worker.transport.reason().map(String::from);
        let (http, resent) = (worker.transport.http(), worker.transport.resent());
        Some(Haul { harvest, http, resent, reason, late_ns })
    };
    thread::scope(|scope| {
        let carry = &carry;
        let mut starts = Vec::new();
        let mut handles = Vec::new();
        for worker in mine.clone() {
            let (start, started) = mpsc::channel();
            let (ready, ticks) = (ready.clone(), ticks.sender());
            starts.push(start);
            handles.push(scope.spawn(move || carry(worker, ready, started, ticks)));
        }
        drop(ready);
        ticks.close();
        let logins = gather(driver, &all_ready, &mut watcher)?;
        if logins.len() < mine.len() {
            return Err(Error::Bug("a generator thread ended while setting up".into()));
        }
        let login = merge_logins(&logins);
        let start_ns = nanos(start(&login)?.saturating_duration_since(epoch));
        for start in &starts {
            // A worker that is gone is reported when it is joined.
            let _ = start.send(start_ns);
        }
        let clock = (epoch, start_ns);
        walk_phases(plan, clock, &driver.interrupt, &stop, &mut ticks, &mut watcher);
        drop(starts);
        let hauls = handles.into_iter().map(|handle| {
            let haul = handle.join().map_err(panicked)?;
            haul.ok_or_else(|| Error::Bug("a worker did not run".into()))
        });
        bring_home(driver, login, hauls.collect::<Result<_>>()?)
    })
}

/// What a worker of a share brings home.
struct Haul {
    harvest: io::Result<Harvest>,
    http: &'static str,
    resent: u64,
    /// Why TLS failed, where it did.
    reason: Option<String>,
    late_ns: u64,
}

/// The share that these workers have carried.
fn bring_home(driver: &Driver, login: LoginRecord, hauls: Vec<Haul>) -> Result<Share> {
    let mut client = driver.client_use();
    let (mut harvests, mut no_tls, mut latest_ns) = (Vec::new(), None, 0);
    for Haul { harvest, http, resent, reason, late_ns } in hauls {
        client.resent += resent;
        no_tls = no_tls.or(reason);
        client.http.get_or_insert_with(|| http.into());
        latest_ns = late_ns.max(latest_ns);
        harvests.push(
            harvest.map_err(|e| Error::Bug(format!("the event queue stopped working: {e}")))?,
        );
    }
    Ok(Share::new(driver, client, login, harvests).seen(no_tls, latest_ns))
}
