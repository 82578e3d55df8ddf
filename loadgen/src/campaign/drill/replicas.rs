//! The same users over one, two and more servers that share what their arm can share.

use std::time::Duration;

use super::rig::{AT_A_TIME, Rig, TIMEOUT, count, gather, no_login, refresh_all};
use crate::campaign::probe::Probe;
use crate::client::{Endpoint, LoggedIn};
use crate::engine::{self, Phase, Watcher};
use crate::error::{Error, Result};
use crate::load::{Closed, LoadModel, UserChoice};
use crate::plan::{LoadPlan, ReplicasPlan};
use crate::proc::{Fleet, Kept, Server};
use crate::record::{Asked, LoadRecord, ReplicasRecord, ReplicasStep, ServerShare};

const DRAIN: Duration = Duration::from_secs(2);

/// Users log in at one server after the other, as a balancer would spread them. Then they come back
/// to the server that knows them, or to whichever is next, and at last one server is killed. What
/// the servers cost together is measured under loads that the engine makes on all of them at once.
pub(super) fn run(rig: &mut Rig<'_>, plan: &ReplicasPlan) -> Result<ReplicasRecord> {
    let steps = plan.servers.iter().map(|servers| step(rig, plan, *servers as usize));
    Ok(ReplicasRecord { steps: steps.collect::<Result<_>>()? })
}

fn step(rig: &mut Rig<'_>, plan: &ReplicasPlan, size: usize) -> Result<ReplicasStep> {
    let started = (0..size).map(|_| rig.start(Kept::ALL, &[])).collect::<Result<Vec<_>>>()?;
    let (mut servers, endpoints): (Vec<Server>, Vec<Endpoint>) = started.into_iter().unzip();
    let numbers = rig.new_users(plan.users_per_server * size as u32);
    let users = log_in(rig, &endpoints, numbers)?;
    let mut step = ReplicasStep {
        servers: size as u32,
        users: users.len() as u32,
        sticky: ask_all(rig, &endpoints, &users, plan.requests, |at, _| at)?,
        round_robin: ask_all(rig, &endpoints, &users, plan.requests, |at, turn| at + turn)?,
        ..ReplicasStep::default()
    };
    let next = |at: usize| endpoints[(at + 1) % size].clone();
    let at_the_next = users.iter().map(|(at, user)| (next(*at), user.clone())).collect();
    step.round_robin_refreshed = refresh_all(rig, at_the_next)?;
    (step.shares, step.store_cpu_ns) = load_all(rig, plan, &servers)?;
    if size > 1 {
        servers.swap_remove(0).kill();
        let past_the_dead = |at: usize, _| at.max(1);
        step.after_death = Some(ask_all(rig, &endpoints, &users, 1, past_the_dead)?);
    }
    Ok(step)
}

/// Logs users in at one server after the other; each with the place of that server.
fn log_in(
    rig: &Rig<'_>,
    endpoints: &[Endpoint],
    numbers: std::ops::Range<u64>,
) -> Result<Vec<(usize, LoggedIn)>> {
    let log_in = |(turn, n): (usize, u64)| {
        let at = turn % endpoints.len();
        let endpoint = endpoints[at].clone();
        async move { endpoint.log_in(n).await.map(|user| (at, user)) }
    };
    let users = rig.drive(gather(numbers.enumerate(), AT_A_TIME, log_in))?;
    users.into_iter().collect::<Result<_, _>>().map_err(|found| no_login(&found))
}

/// Each user asks so many times; `choose` says whom, from the place of the server that logged the
/// user in and the number of the request, and places go round.
fn ask_all(
    rig: &Rig<'_>,
    endpoints: &[Endpoint],
    users: &[(usize, LoggedIn)],
    requests: u32,
    choose: impl Fn(usize, usize) -> usize + Sync,
) -> Result<Asked> {
    let asks = users.iter().flat_map(|(at, user)| {
        let choose = &choose;
        (0..requests as usize).map(move |turn| (choose(*at, turn), user.clone()))
    });
    let ask = |(at, user): (usize, LoggedIn)| {
        let endpoint = endpoints[at % endpoints.len()].clone();
        async move { endpoint.ask(&user).await.seen }
    };
    let asks: Vec<_> = asks.collect();
    let mut asked = Asked::default();
    rig.drive(gather(asks, AT_A_TIME, ask))?.into_iter().for_each(|seen| count(&mut asked, seen));
    Ok(asked)
}

/// A closed load on every server at the same time, each by users of its own.
fn load_all(
    rig: &Rig<'_>,
    plan: &ReplicasPlan,
    servers: &[Server],
) -> Result<(Vec<ServerShare>, Option<u64>)> {
    let load = LoadPlan {
        model: LoadModel::Closed(Closed::without_thinking()),
        journey: "browse".into(),
        users: plan.users_per_server,
        choice: UserChoice::InTurn,
        connections: plan.users_per_server,
        warmup_ns: plan.warmup_ns,
        measure_ns: plan.measure_ns,
        drain_ns: DRAIN.as_nanos() as u64,
        timeout_ns: TIMEOUT.as_nanos() as u64,
        prepare: None,
        renewal: None,
    };
    let drivers = servers.iter().map(|server| rig.driver(server)).collect::<Result<Vec<_>>>()?;
    let (load, seed) = (&load, rig.seed);
    let loads: Vec<(LoadRecord, Option<u64>)> = std::thread::scope(|scope| {
        let start = |(server, driver)| {
            let fleet = &rig.fleet;
            scope.spawn(move || {
                let mut probe =
                    Both { server: Probe::new(server), fleet, before: None, used: None };
                let mut record = engine::load(driver, load, seed, &mut probe)?;
                record.server = probe.server.used()?;
                Ok((record, probe.used))
            })
        };
        let threads: Vec<_> = servers.iter().zip(&drivers).map(start).collect();
        threads
            .into_iter()
            .map(|thread| {
                thread.join().map_err(|_| Error::Bug("a generator thread panicked".into()))?
            })
            .collect::<Result<_>>()
    })?;
    // All loads run at the same time: the store's time during the first one is that of them all.
    let store = loads.first().and_then(|(_, store)| *store);
    Ok((loads.iter().map(|(load, _)| share(load)).collect(), store))
}

/// Reads what a server and the fleet's store use during Measure.
struct Both<'a> {
    server: Probe<'a>,
    fleet: &'a Fleet,
    before: Option<u64>,
    used: Option<u64>,
}

impl Watcher for &mut Both<'_> {
    fn enter(&mut self, phase: Phase) {
        match phase {
            Phase::Setup | Phase::Warmup => {}
            Phase::Measure => self.before = self.fleet.store_cpu_ns(),
            Phase::Drain => {
                let now = self.fleet.store_cpu_ns();
                self.used = now.zip(self.before).map(|(now, before)| now.saturating_sub(before));
            }
        }
        self.server.enter(phase);
    }
}

fn share(load: &LoadRecord) -> ServerShare {
    let server = load.server.as_ref();
    ServerShare {
        ended: load.counts.ended_in_window,
        ok: load.counts.ok_in_window,
        window_ns: load.counts.window_ns,
        cpu_ns: server.map_or(0, |server| server.cpu_ns),
        interval_ns: server.map_or(0, |server| server.interval_ns),
    }
}
