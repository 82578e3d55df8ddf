//! Takes a target through Setup, Warmup, Measure and Drain: workers on threads of their own, which
//! meet at a start that none passes before all are ready, and at the end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::driver::{Driver, nanos, panicked};
use super::merge::{merge, merge_logins};
use super::part::Part;
use super::watch::{ASK_EVERY, Phase, Ticks, Watcher, walk_phases};
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
    match driver.transport {
        TransportKind::Lean => load_with(driver, plan, seed, watcher, driver.lean()?),
        TransportKind::Reqwest { http2_only } => {
            load_with(driver, plan, seed, watcher, driver.realistic(http2_only)?)
        }
    }
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

/// Runs a load on the transports that `make` gives its workers.
fn load_with<T: Transport>(
    driver: &Driver,
    plan: &LoadPlan,
    seed: u64,
    mut watcher: impl Watcher,
    make: impl Fn(usize, Instant) -> Result<T> + Sync,
) -> Result<LoadRecord> {
    let visits = matches!(plan.model, LoadModel::Visits(_));
    check_users(driver, plan)?;
    let epoch = Instant::now();
    let workers = driver.workers_for(plan.users, plan.connections);
    let logged_in = driver.logged_in(plan, workers)?;
    let stop = AtomicBool::new(false);
    let mut ticks = Ticks::new(workers, watcher.wants_seconds());
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
        let sender = ticks.as_ref().filter(|_| wanted);
        let harvest = worker.load(plan, seed, sender, begin).transpose()?;
        // The watcher hears that this worker is through.
        drop(ticks);
        // The connections stay open until the watcher has read the server's memory.
        let _ = start.recv();
        let reason = worker.transport.reason().map(String::from);
        Some((harvest, worker.transport.http(), worker.transport.resent(), reason))
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
        ticks.close();
        let logins = gather(driver, &all_ready, &mut watcher)?;
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
        let (mut harvests, mut no_tls) = (Vec::new(), None);
        let mut client = driver.client_use();
        for handle in handles {
            let harvest = handle.join().map_err(panicked)?;
            let (harvest, http, resent, reason) =
                harvest.ok_or_else(|| Error::Bug("a worker did not run".into()))?;
            client.resent += resent;
            no_tls = no_tls.or(reason);
            client.http.get_or_insert_with(|| http.into());
            harvests.push(
                harvest.map_err(|e| Error::Bug(format!("the event queue stopped working: {e}")))?,
            );
        }
        let load = merge(driver, plan, client, merge_logins(&logins), harvests);
        match no_tls {
            // A server may refuse a client only after its own part of the handshake.
            Some(reason) if load.counts.ok == 0 => Err(driver.no_tls(Some(&reason))),
            _ => Ok(load),
        }
    })
}
