//! The trials of one level and block, whose servers are up together and share one load that
//! alternates between them.
//!
//! Each trial still has a server process, a record and an outcome of its own. A server that does
//! not start fails its own trial, and the others go on without it; what goes wrong once the load
//! has begun fails all of them, because none has its whole load then.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::trial::{Stage, facts, failed, read_memory, relay_cpu_ns, store_pid, unfinished};
use crate::engine::{self, Driver, Lane, Used, interrupted};
use crate::error::{Error, Interrupt, Result};
use crate::plan::{SlicesPlan, TrialPlan};
use crate::proc::{Server, ServerOptions, Steal, Watch, cpu_and_wait_ns, family_cpu_ns};
use crate::record::{
    ActionRecord, LoadRecord, Placement, ServerUse, SliceRecord, TrialOutcome, TrialRecord,
};

/// How often a server is sampled while a load runs.
const SAMPLE_EVERY: Duration = Duration::from_millis(250);

/// Runs trials that share a load.
///
/// # Errors
/// As for [`super::run_trial`].
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
    let outcome = carry_out(trials, placement, interrupt, &mut records);
    for record in &mut records {
        record.steal = steal.share();
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
    let Some(SlicesPlan { load, slicing }) = trials.first().and_then(TrialPlan::slices) else {
        return Err(Error::Bug("a trial that shares no load".into()));
    };
    let mut up: Vec<(usize, Server)> = Vec::new();
    for (place, trial) in trials.iter().enumerate() {
        let options = ServerOptions {
            cores: placement.server.clone(),
            arguments: trial.server.clone(),
            ..ServerOptions::default()
        };
        match Server::start(&trial.arm, &options) {
            Ok(server) => {
                records[place].server = Some(facts(&server));
                up.push((place, server));
            }
            Err(Error::Target(cause)) => records[place].outcome = failed(&cause),
            Err(other) => return Err(other),
        }
    }
    let watches: Vec<_> =
        up.iter().map(|(_, server)| Watch::start(server.ready().pid, SAMPLE_EVERY)).collect();
    let drivers: Vec<Driver> = up
        .iter()
        .map(|(place, server)| {
            let stage = Stage { server, seed: trials[*place].seed, placement, interrupt };
            let before = load.prepare.as_ref().map(|prepare| prepare.journey.as_str());
            stage.driver(&load.journey, before)
        })
        .collect::<Result<_>>()?;
    let before: Vec<OnceLock<Option<u64>>> = up.iter().map(|_| OnceLock::new()).collect();
    let meters: Vec<_> = up
        .iter()
        .zip(&before)
        .map(|((_, server), before)| {
            move || {
                // The meter is first read where the first slice that counts begins.
                before.get_or_init(|| store_writes(server));
                used(server)
            }
        })
        .collect();
    let lanes: Vec<_> = drivers
        .iter()
        .zip(&meters)
        .zip(&up)
        .map(|((driver, meter), (place, _))| Lane { driver, seed: trials[*place].seed, meter })
        .collect();
    let alive = || up.iter().all(|(_, server)| !server.has_ended());
    let loads = engine::interleave(&lanes, load, *slicing, alive);
    let timelines: Vec<_> = watches.into_iter().map(Watch::stop).collect();
    if interrupt.signal().is_some() {
        return Err(interrupted(interrupt));
    }
    if matches!(loads, Err(Error::Target(_)))
        && let Some(obituary) = up.iter_mut().find_map(|(_, server)| server.obituary())
    {
        return Err(Error::Target(obituary));
    }
    let lanes = up.iter().zip(&before).zip(loads?).zip(timelines);
    for ((((place, server), before), load), timeline) in lanes {
        let before = before.get().copied().flatten();
        let server = Some(server_use(server, &load, before)?);
        records[*place].timeline = timeline;
        records[*place].actions.push(ActionRecord::Load(Box::new(LoadRecord { server, ..load })));
    }
    Ok(())
}

fn used(server: &Server) -> Used {
    let (server_ns, waited_ns) = cpu_and_wait_ns(server.ready().pid);
    Used {
        server_ns,
        waited_ns,
        store_ns: store_pid(server).map_or(0, family_cpu_ns),
        relay_ns: relay_cpu_ns(server).unwrap_or(0),
    }
}

/// Sessions that the store has written so far, where it counts them.
fn store_writes(server: &Server) -> Option<u64> {
    server.stats().ok()?.store_writes
}

/// What a server used in all its slices, before which its store had written so much.
fn server_use(server: &Server, load: &LoadRecord, before: Option<u64>) -> Result<ServerUse> {
    let written = before.and_then(|before| Some(store_writes(server)?.saturating_sub(before)));
    let sum = |part: fn(&SliceRecord) -> u64| load.slices.iter().map(part).sum();
    Ok(ServerUse {
        interval_ns: sum(|slice| slice.ns),
        threads: server.ready().threads as u32,
        cpu_ns: sum(|slice| slice.server_cpu_ns),
        waited_ns: sum(|slice| slice.server_waited_ns),
        store_cpu_ns: store_pid(server).map(|_| sum(|slice| slice.store_cpu_ns)),
        relay_cpu_ns: server.ready().relay.map(|_| sum(|slice| slice.relay_cpu_ns)),
        store_writes: written,
        memory: read_memory(server)?,
    })
}
