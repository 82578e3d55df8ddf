//! What is done with users apart from a load: many log in, all log out, one goes on until refused,
//! and connections are opened and left alone.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Instant;

use super::driver::{Driver, panicked};
use super::merge::merge_logins;
use super::part::Part;
use super::setup::{Keep, Pass, Route, SetupFault};
use super::users::{Credentials, LoggedIn};
use super::worker::Worker;
use crate::error::{Error, Result};
use crate::plan::{ConnectPlan, FillPlan, GrowPlan, LogoutPlan};
use crate::record::{GrowRecord, LoginRecord, Refusal};
use crate::transport::{Lean, Outcome, Transport as _};

/// Connections that stay open until this is dropped. The thread that opened them has them: a
/// transport belongs to one thread.
#[derive(Debug)]
pub struct OpenConnections {
    close: Option<mpsc::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Drop for OpenConnections {
    fn drop(&mut self) {
        drop(self.close.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been told already, as a connection that was not opened.
            let _ = thread.join();
        }
    }
}

/// Logs in the users of a fill; their credentials are forgotten unless the plan keeps them.
///
/// # Errors
/// `Target` when a login fails, `Interrupted` when a signal comes.
pub fn fill(driver: &Driver, plan: &FillPlan) -> Result<(LoginRecord, Option<LoggedIn>)> {
    let FillPlan { first_user, users, connections, timeout_ns, ref prepare, keep } = *plan;
    let times = prepare.as_ref().map_or(0, |prepare| prepare.times);
    let kept = if keep { Keep::Credentials } else { Keep::Nothing };
    let route = Route::LogIn { times, keep: kept };
    let pass = Pass { first: first_user, users, route };
    let workers = driver.workers_for(users, connections);
    let none = (0..workers).map(|_| Arc::default()).collect();
    let (record, of_workers) = passes(driver, pass, connections, timeout_ns, none)?;
    let logged_in = LoggedIn { first: first_user, users, of_workers };
    Ok((record, keep.then_some(logged_in)))
}

/// Logs out users whose credentials were kept. A target without a logout has nothing to do.
///
/// # Errors
/// As [`fill`].
pub fn log_out(driver: &Driver, who: &LoggedIn, plan: &LogoutPlan) -> Result<LoginRecord> {
    let LoggedIn { first, users, ref of_workers } = *who;
    let pass = Pass { first, users, route: Route::LogOut };
    // Every worker has the users that it logged in, so it needs a connection.
    let connections = plan.connections.max(of_workers.len() as u32);
    Ok(passes(driver, pass, connections, plan.timeout_ns, of_workers.clone())?.0)
}

/// Has every worker make its part of a pass, with the credentials it has.
///
/// Each is a pass of Setup by itself, on the lean transport. Nothing of it is measured but what the
/// pass counts; who wants to know what happened to the server reads that from outside.
fn passes(
    driver: &Driver,
    pass: Pass,
    connections: u32,
    timeout_ns: u64,
    credentials: Vec<Arc<Credentials>>,
) -> Result<(LoginRecord, Vec<Arc<Credentials>>)> {
    let epoch = Instant::now();
    let workers = credentials.len() as u32;
    let stop = AtomicBool::new(false);
    let lean = driver.lean()?;
    let make_pass = |worker, credentials| -> Result<(LoginRecord, Arc<Credentials>)> {
        let part = Part { worker, workers };
        let make = |connections| lean(connections, epoch);
        let made = driver.worker(part, connections, timeout_ns, &stop, make)?;
        let mut worker = Worker { credentials, ..made };
        let record = worker.pass(pass);
        let record = record.map_err(|fault| driver.fault(fault, worker.transport.reason()))?;
        if driver.script.renewal.is_some() {
            Arc::make_mut(&mut worker.credentials).forget_dues();
        }
        Ok((record, worker.credentials))
    };
    let done: Vec<_> = thread::scope(|scope| {
        let make_pass = &make_pass;
        let handles: Vec<_> = (0..workers)
            .zip(credentials)
            .map(|(worker, credentials)| scope.spawn(move || make_pass(worker, credentials)))
            .collect();
        handles
            .into_iter()
            .map(|handle| handle.join().map_err(panicked)?)
            .collect::<Result<Vec<_>>>()
    })?;
    let (records, credentials): (Vec<_>, Vec<_>) = done.into_iter().unzip();
    Ok((merge_logins(&records), credentials))
}

/// Has one user log in and prepare until an answer is not as it should be, which is no error but
/// the result.
///
/// # Errors
/// `Target` when the login itself fails, `Interrupted` when a signal comes.
pub fn grow(driver: &Driver, plan: &GrowPlan) -> Result<GrowRecord> {
    let route = Route::LogIn { times: plan.most, keep: Keep::Nothing };
    let pass = Pass { first: plan.user, users: 1, route };
    let steps = driver.script.prepare.len().max(1) as u32;
    let run = || {
        on_one_worker(driver, 1, plan.timeout_ns, |worker| match worker.pass(pass) {
            Ok(login) => Ok(GrowRecord {
                made: plan.most,
                credential_bytes: Some(login.credential_bytes),
                refusal: None,
            }),
            Err(SetupFault::Refused(refused))
                if driver.script.prepare.contains(&refused.request) =>
            {
                Ok(GrowRecord {
                    made: refused.prepared / steps,
                    credential_bytes: None,
                    refusal: Some(Refusal {
                        outcome: refused.outcome.to_string(),
                        status: match refused.outcome {
                            Outcome::Status(status) => Some(status),
                            _ => None,
                        },
                        said: refused.said,
                    }),
                })
            }
            Err(fault) => Err(driver.fault(fault, worker.transport.reason())),
        })
    };
    thread::scope(|scope| scope.spawn(run).join().map_err(panicked)?)
}

/// Opens connections, has each carry one request, and leaves them open.
///
/// # Errors
/// `Config` and `Target` when they cannot be opened, `Interrupted` when a signal comes.
pub fn connect(driver: &Driver, plan: &ConnectPlan) -> Result<(LoginRecord, OpenConnections)> {
    let ConnectPlan { user: first, connections, timeout_ns } = *plan;
    let (driver, (opened, told), (close, closed)) =
        (driver.clone(), mpsc::channel(), mpsc::channel::<()>());
    let open = move |worker: &mut Worker<'_, Lean>| {
        worker
            .login(first, 1, Keep::Credentials)
            .and_then(|_| worker.open())
            .and_then(|()| worker.pass(Pass { first, users: connections, route: Route::Ask }))
    };
    let thread = thread::spawn(move || {
        let outcome = on_one_worker(&driver, connections, timeout_ns, |worker| {
            let outcome = open(worker);
            let outcome = outcome.map_err(|f| driver.fault(f, worker.transport.reason()))?;
            // The asking thread is gone only with the whole load.
            let _ = opened.send(Ok(outcome));
            // Nothing is ever sent: the connections stay open until the other end is dropped.
            let _ = closed.recv();
            Ok(())
        });
        if let Err(error) = outcome {
            let _ = opened.send(Err(error));
        }
    });
    let open = OpenConnections { close: Some(close), thread: Some(thread) };
    let ended = || Error::Bug("a generator thread ended while opening connections".into());
    let record = told.recv().map_err(|_| ended())??;
    Ok((record, open))
}

/// Has one worker do something on the calling thread, which it pins.
fn on_one_worker<R>(
    driver: &Driver,
    connections: u32,
    timeout_ns: u64,
    act: impl FnOnce(&mut Worker<'_, Lean>) -> Result<R>,
) -> Result<R> {
    let (epoch, stop, lean) = (Instant::now(), AtomicBool::new(false), driver.lean()?);
    let part = Part { worker: 0, workers: 1 };
    let make = |connections| lean(connections, epoch);
    act(&mut driver.worker(part, connections, timeout_ns, &stop, make)?)
}
