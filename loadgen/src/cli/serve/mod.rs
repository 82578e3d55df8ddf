//! `authbench serve`, and everything else that has to know the servers beyond their contract.

mod arms;
mod engine;
mod flags;
mod refusal;
mod variants;

use std::net::SocketAddr;
use std::os::fd::AsFd as _;

use servers::Deployment;
use servers::contract::{CONTRACT_VERSION, ReadyLine, SharedLine};
use servers::stores::relay;
use tokio::signal::unix::{SignalKind, signal};

pub(super) use arms::{arms, missing_program, spared, stores};
pub(super) use engine::OwnEngine;
pub(super) use flags::{IssuerArgs, RelayArgs, ServeArgs, ShareArgs};
pub(super) use variants::{require_arm, require_served};

use arms::require_flag;
use flags::{ArmArgs, options, program};
use refusal::refused;
use variants::{member_arguments, require_one};

use super::output;
use crate::error::{Error, Result};
use crate::files::{self, Kind};

/// Refuses what is no arm, and keeps this process on its cores.
fn settle(what: &ArmArgs) -> Result<()> {
    require_one(&what.arm)?;
    pin(&what.cores)
}

/// Serves one arm.
///
/// # Errors
/// `Config` when the options are at fault, `Target` when the server fails.
pub(super) fn serve(args: ServeArgs) -> Result<()> {
    settle(&args.what)?;
    args.given().iter().try_for_each(|flag| require_flag(&args.what.arm, flag, "--"))?;
    let threads =
        args.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    if !(1..=1024).contains(&threads) {
        return Err(Error::flag("--threads", "from 1 to 1024", threads));
    }
    servers::stores::folder::sweep();
    // Before the default is taken from the limit of open files, which this raises.
    crate::proc::allow_connections(args.max_connections.unwrap_or_default())?;
    let (listen, admin) = (args.listen, args.admin);
    let deployment = args.deployment();
    let deployment = match deployment {
        Some(deployment) => Some(Deployment { arguments: member_arguments()?, ..deployment }),
        None => None,
    };
    let options = options(args, threads)?;
    let runtime = runtime(threads).enable_all().build().map_err(Error::runtime("the server"))?;
    let outcome = runtime.block_on(async {
        let admin = servers::bind(admin)?;
        if let Some(deployment) = deployment {
            return servers::deploy(deployment, options, listen, admin, announce, stopped()).await;
        }
        let public = servers::bind(listen)?;
        servers::serve(options, public, admin, announce, stopped()).await
    });
    outcome.map_err(|error| refused(&error))
}

/// Makes what the servers of an arm share, says what it is, and keeps it until stdin closes or a
/// signal comes. The line is for the pipe of a parent: it holds the key.
///
/// # Errors
/// `Config` when the arm or its store cannot be opened.
pub(super) fn share(args: &ShareArgs) -> Result<()> {
    settle(&args.what)?;
    servers::stores::folder::sweep();
    let runtime = runtime(1).enable_all().build().map_err(Error::runtime("the store"))?;
    runtime.block_on(async {
        let shared = servers::share(&args.what.arm, Some(program()?)).await;
        let shared = shared.map_err(|e| refused(&e))?;
        let line = SharedLine {
            authbench: CONTRACT_VERSION,
            secrets: shared.secrets.clone(),
            store: shared.store().cloned(),
        };
        let text = serde_json::to_string(&line)
            .map_err(|e| Error::Bug(format!("the line cannot be written: {e}")))?;
        output::json(&text)?;
        stopped().await;
        Ok(())
    })
}

/// Relays to a store until stdin closes or a signal comes, and says on which address.
///
/// # Errors
/// `Config` when there is no port or no runtime.
pub(super) fn relay(args: &RelayArgs) -> Result<()> {
    let runtime = runtime(1).enable_all().build().map_err(Error::runtime("the relay"))?;
    runtime.block_on(async {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = servers::bind(any).map_err(|e| refused(&e))?;
        let address = listener.local_addr().map_err(|e| Error::Config(e.to_string()))?;
        output::json(&address.to_string())?;
        tokio::select! {
            () = relay::relay(listener, &args.to, args.delay.duration() / 2) => {}
            () = stopped() => {}
        }
        Ok(())
    })
}

/// Issues tokens as a file says, until it is ended with the server that started it. The file holds
/// keys, and is gone once it is read.
///
/// # Errors
/// `Config` when the file is not one for an issuer, or its port is taken.
pub(super) fn issuer(args: &IssuerArgs) -> Result<()> {
    let settings =
        files::read(&args.file, Kind::Key).map_err(|e| Error::unreadable(&args.file, e))?;
    // Where it cannot be removed, it goes with its folder.
    drop(std::fs::remove_file(&args.file));
    let runtime = runtime(1).enable_all().build().map_err(Error::runtime("the issuer"))?;
    runtime.block_on(servers::schemes::issuer::run(&settings)).map_err(|e| refused(&e))
}

/// One thread gets the runtime for one thread. The one for many, on one, keeps 256 tasks in its own
/// queue and looks for the others only now and then: of 1,000 connections a few wait 100 times as
/// long as the rest, which says nothing of any scheme.
fn runtime(threads: usize) -> tokio::runtime::Builder {
    if threads == 1 {
        return tokio::runtime::Builder::new_current_thread();
    }
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(threads);
    builder
}

/// Keeps this process on the named cores.
fn pin(cores: &[usize]) -> Result<()> {
    if cores.is_empty() {
        return Ok(());
    }
    let usable = crate::proc::usable_cores();
    if let Some(core) = cores.iter().find(|core| !usable.contains(core)) {
        return Err(Error::flag("--cores", format!("among {usable:?}"), core));
    }
    let mut set = rustix::thread::CpuSet::new();
    cores.iter().for_each(|core| set.set(*core));
    rustix::thread::sched_setaffinity(None, &set)
        .map_err(|e| Error::Config(format!("this process cannot be kept on cores {cores:?}: {e}")))
}

fn announce(ready: &ReadyLine) {
    let line = serde_json::to_string(ready)
        .map_err(|e| Error::Bug(format!("the ready line cannot be written: {e}")));
    // A person who started it by hand; a parent reads the line.
    if output::watched() && !stdin_is_pipe() {
        output::note(&format!(
            "{} listens on {}; Ctrl-C ends it",
            ready.arm, ready.target.base_url
        ));
    }
    // The server serves whether or not anyone hears of it.
    if let Err(error) = line.and_then(|line| output::json(&line)) {
        output::error(&error.to_string());
    }
}

/// Completes when the server has to stop: SIGINT, SIGTERM, or the end of a parent that holds the
/// other end of stdin. Where stdin is no pipe (a terminal, /dev/null) its end says nothing.
async fn stopped() {
    let (gone, parent_gone) = tokio::sync::oneshot::channel::<()>();
    // Where stdin is no pipe, this end lives as long as the server, and the other never hears of
    // it.
    let mut gone = Some(gone);
    if stdin_is_pipe() {
        let gone = gone.take();
        // A thread of its own: the runtime would wait at its end for a read that never returns.
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            drop(gone);
        });
    }
    let told = |kind| async move {
        match signal(kind) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = parent_gone => {}
        () = told(SignalKind::interrupt()) => {}
        () = told(SignalKind::terminate()) => {}
    }
}

fn stdin_is_pipe() -> bool {
    use rustix::fs::FileType;
    let stat = rustix::fs::fstat(std::io::stdin().as_fd());
    stat.is_ok_and(|stat| {
        matches!(FileType::from_raw_mode(stat.st_mode), FileType::Fifo | FileType::Socket)
    })
}
