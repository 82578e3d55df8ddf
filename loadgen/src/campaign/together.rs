//! The trials of one level and block, whose servers are up together and share one load that
//! alternates between them.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use super::act::act_in_turn;
use super::probe::{read_memory, relay_cpu_ns, store_pid, store_writes};
use super::stage::{Held, SAMPLE_EVERY, Set, Stage, facts, failed, unfinished};
use crate::engine::{self, Driver, Lane, Used};
use crate::error::{Error, Interrupt, Result};
use crate::plan::{SlicesPlan, TrialPlan};
use crate::proc::{FamilyCpu, Server, ServerOptions, Steal, Watch};
use crate::record::{
    ActionRecord, LoadRecord, Placement, ServerUse, SliceRecord, TrialOutcome, TrialRecord,
};

/// Runs trials that share a load.
///
/// Each trial still has a server process, a record and an outcome of its own. What its plan has
/// before the slices is done to its server alone, one server after the other. A server that does
/// not start, or cannot be prepared, fails its own trial, and the others continue; what
/// goes wrong once the load has begun fails all of them, because none has its whole load then.
///
/// # Errors
/// As for a trial alone.
pub(super) fn run_together(
    plan_hash: &str,
    trials: &[TrialPlan],
    placement: &Placement,
    interrupt: &Interrupt,
) -> Result<Vec<TrialRecord>> {
    let began = Instant::now();
    let steal = Steal::start();
    let mut records: Vec<_> =
        trials.iter().map(|trial| unfinished(plan_hash, trial, placement)).collect();
    let started_unix_ms = records.first().map_or(0, |record| record.started_unix_ms);
    let outcome = carry_out(trials, placement, interrupt, &mut records);
    for record in &mut records {
        record.steal = steal.share();
        // All began at the same moment, which says that they ran together.
        record.started_unix_ms = started_unix_ms;
        record.wall_ms = began.elapsed().as_millis() as u64;
        if let (Err(Error::Target(cause)), TrialOutcome::Complete) = (&outcome, &record.outcome) {
            record.outcome = failed(cause);
        }
    }
    match outcome {
        Ok(()) | Err(Error::Target(_)) => Ok(records),
        Err(other) => Err(other),
    }
}

fn carry_out(
    trials: &[TrialPlan],
    placement: &Placement,
    interrupt: &Interrupt,
    records: &mut [TrialRecord],
) -> Result<()> {
    let Some(slices) = trials.first().and_then(TrialPlan::slices) else {
        return Err(Error::Bug("a trial that shares no load".into()));
    };
    let mut up = Vec::new();
    for (place, trial) in trials.iter().enumerate() {
        let set = Set { seed: trial.seed, placement, interrupt };
        match prepare(trial, set, &mut records[place]) {
            Ok((server, held)) => {
                let cpu = Mutex::new(store_pid(&server).map(FamilyCpu::new));
                let proxy = Mutex::new(server.proxy().map(FamilyCpu::new));
                let written = OnceLock::new();
                up.push(Up { place, server, cpu, proxy, written, held });
            }
            Err(Error::Target(cause)) => records[place].outcome = failed(&cause),
            Err(other) => return Err(other),
        }
    }
    let watches: Vec<_> =
        up.iter().map(|up| Watch::start(up.server.serving(), SAMPLE_EVERY)).collect();
    let loads = share(&up, slices, trials, placement, interrupt);
    let timelines: Vec<_> = watches.into_iter().map(Watch::stop).collect();
    interrupt.check()?;
    if matches!(loads, Err(Error::Target(_)))
        && let Some(obituary) = up.iter_mut().find_map(|up| up.server.obituary())
    {
        return Err(Error::Target(obituary));
    }
    for ((up, load), timeline) in up.iter().zip(loads?).zip(timelines) {
        let server = Some(server_use(up, &load)?);
        let record = &mut records[up.place];
        record.timeline = timeline;
        record.actions.push(ActionRecord::Load(Box::new(LoadRecord { server, ..load })));
    }
    Ok(())
}

/// A server that is ready for its share of the load.
struct Up {
    place: usize,
    server: Server,
    /// The CPU time of its store's server, where it has one.
    cpu: Mutex<Option<FamilyCpu>>,
    /// The same of the proxy, where one is before its servers.
    proxy: Mutex<Option<FamilyCpu>>,
    /// What its store had written where the first slice began that counts.
    written: OnceLock<Option<u64>>,
    /// Who is logged in and what was left open before the load, until it is over.
    held: Held,
}

/// Starts the server of a trial and does to it what comes before the slices.
fn prepare(trial: &TrialPlan, set: Set<'_>, record: &mut TrialRecord) -> Result<(Server, Held)> {
    let options = ServerOptions {
        cores: set.placement.server.clone(),
        arguments: trial.server.clone(),
        ..ServerOptions::default()
    };
    let mut server = Server::start(&trial.arm, &options)?;
    record.server = Some(facts(&server));
    let before = trial.before_slices().map_or(&[][..], |(_, before)| before);
    let mut held = Held::default();
    act_in_turn(before, &mut server, set, &mut held, record)?;
    Ok((server, held))
}

/// The load that alternates between the servers; its records are in their order.
fn share(
    up: &[Up],
    SlicesPlan { load, slicing }: &SlicesPlan,
    trials: &[TrialPlan],
    placement: &Placement,
    interrupt: &Interrupt,
) -> Result<Vec<LoadRecord>> {
    let driver = |up: &Up| {
        let stage = Stage { server: &up.server, seed: trials[up.place].seed, placement, interrupt };
        let before = load.prepare.as_ref().map(|prepare| prepare.journey.as_str());
        Ok(Driver { users: up.held.users()?, ..stage.driver(&load.journey, before)? })
    };
    let drivers: Vec<Driver> = up.iter().map(driver).collect::<Result<_>>()?;
    let meters: Vec<_> = up.iter().map(|up| || used(up)).collect();
    let seeds = up.iter().map(|up| trials[up.place].seed);
    let lanes: Vec<_> = drivers
        .iter()
        .zip(&meters)
        .zip(seeds)
        .map(|((driver, meter), seed)| Lane { driver, seed, meter })
        .collect();
    let alive = || up.iter().all(|up| !up.server.has_ended());
    engine::interleave(&lanes, load, *slicing, alive)
}

fn used(up: &Up) -> Used {
    up.written.get_or_init(|| store_writes(&up.server));
    let (server_ns, waited_ns) = up.server.cpu_and_wait_ns();
    let family_ns = |family: &Mutex<Option<FamilyCpu>>| {
        let mut family = family.lock().unwrap_or_else(PoisonError::into_inner);
        family.as_mut().map_or(0, FamilyCpu::used_ns)
    };
    Used {
        server_ns,
        waited_ns,
        store_ns: family_ns(&up.cpu),
        relay_ns: relay_cpu_ns(&up.server).unwrap_or(0),
        proxy_ns: family_ns(&up.proxy),
    }
}

/// What a server used in all its slices.
fn server_use(up: &Up, load: &LoadRecord) -> Result<ServerUse> {
    let server = &up.server;
    let before = up.written.get().copied().flatten();
    let sum = |part: fn(&SliceRecord) -> u64| load.slices.iter().map(part).sum();
    Ok(ServerUse {
        interval_ns: sum(|slice| slice.ns),
        threads: server.ready().threads as u32,
        cpu_ns: sum(|slice| slice.server_cpu_ns),
        waited_ns: sum(|slice| slice.server_waited_ns),
        store_cpu_ns: store_pid(server).map(|_| sum(|slice| slice.store_cpu_ns)),
        relay_cpu_ns: server.ready().relay.map(|_| sum(|slice| slice.relay_cpu_ns)),
        proxy_cpu_ns: server.proxy().map(|_| sum(|slice| slice.proxy_cpu_ns)),
        store_writes: before.zip(store_writes(server)).map(|(then, now)| now.saturating_sub(then)),
        memory: read_memory(server)?,
        ..ServerUse::default()
    })
}
