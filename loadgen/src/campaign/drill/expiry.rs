//! Credentials around the end of their lifetime, and what it costs to replace them.

use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;

use super::rig::{Rig, cpu_ns, gather, no_login};
use crate::client::{Endpoint, LoggedIn, Seen};
use crate::error::Result;
use crate::plan::ExpiryPlan;
use crate::proc::{Kept, Server};
use crate::record::{ExpiryRecord, Lifetimes, Renewals};

/// A credential is tried from so long before its end: a second that is counted as a whole one, and
/// some room.
const AHEAD: Duration = Duration::from_millis(1_200);
/// Users who log in, or replace their credentials, at the same time.
const AT_A_TIME: usize = 32;
const SECOND: Duration = Duration::from_secs(1);

/// What happened to one user's credential.
#[derive(Clone, Copy)]
enum Fate {
    Ended { last_accepted_us: i64, lost: u64, longest_pause_us: u64 },
    Still { lost: u64, longest_pause_us: u64 },
    Early,
    Failed,
}

/// When a lifetime begins is known here only as the moment at which the answer to the login had
/// come; how far from that plus the lifetime a credential was let in last is the fact. Logins are
/// spread evenly over a second, because some servers count in whole seconds.
pub(super) fn run(rig: &mut Rig<'_>, plan: &ExpiryPlan) -> Result<ExpiryRecord> {
    let (lifetimes, refreshes) = watch(rig, plan)?;
    // Where a token for the next credential is given, that one lives on.
    let flag = if refreshes { "--access-ttl" } else { "--ttl" };
    let ttl = vec![flag.into(), format!("{}s", plan.ttl_s)];
    let (server, endpoint) = rig.start(Kept::ALL, &ttl)?;
    let renewed_by = if refreshes { "refresh" } else { "login" }.into();
    let at_once = at_once(rig, plan, &server, &endpoint)?;
    let steady = steady(rig, plan, &server, &endpoint)?;
    Ok(ExpiryRecord { lifetimes, renewed_by, at_once, steady })
}

/// Watches users of one server for each leeway, all at the same time; and whether their credentials
/// could be replaced without a login.
fn watch(rig: &mut Rig<'_>, plan: &ExpiryPlan) -> Result<(Vec<Lifetimes>, bool)> {
    let mut servers = Vec::new();
    for leeway_ms in &plan.leeways_ms {
        let flags = ["--ttl", &format!("{}s", plan.ttl_s), "--leeway", &format!("{leeway_ms}ms")];
        let further = flags.map(String::from);
        servers.push((*leeway_ms, rig.start(Kept::ALL, &further)?, rig.new_users(plan.users)));
    }
    let pause = SECOND / plan.users.max(1);
    let users = servers.iter().enumerate().flat_map(|(place, (leeway_ms, (_, at), numbers))| {
        numbers.clone().enumerate().map(move |(i, n)| (place, *leeway_ms, at.clone(), i, n))
    });
    let users: Vec<_> = users.collect();
    let all = users.len();
    let (ttl, poll) = (Duration::from_secs(plan.ttl_s), Duration::from_nanos(plan.poll_ns.max(1)));
    let beyond = Duration::from_nanos(plan.beyond_ns);
    let watch_user = |(place, leeway_ms, at, i, n): (usize, u64, Endpoint, usize, u64)| {
        let leeway = Duration::from_millis(leeway_ms);
        async move {
            tokio::time::sleep(pause * i as u32).await;
            (place, watch_one(&at, n, ttl, poll, leeway + beyond).await)
        }
    };
    let fates = rig.drive(gather(users, all, watch_user))?;
    let empty = |leeway_ms: &u64| Lifetimes { leeway_ms: *leeway_ms, ..Lifetimes::default() };
    let mut lifetimes: Vec<Lifetimes> = plan.leeways_ms.iter().map(empty).collect();
    for (place, fate) in fates {
        add(&mut lifetimes[place], fate);
    }
    lifetimes.iter_mut().for_each(|found| found.last_accepted_us.sort_unstable());
    let refreshes = servers.iter().all(|(_, (_, endpoint), _)| endpoint.refreshes());
    Ok((lifetimes, refreshes))
}

fn add(found: &mut Lifetimes, fate: Fate) {
    let mut tried = |lost, longest_pause_us| {
        found.lost_tries += lost;
        found.longest_pause_us = found.longest_pause_us.max(longest_pause_us);
    };
    match fate {
        Fate::Ended { last_accepted_us, lost, longest_pause_us } => {
            tried(lost, longest_pause_us);
            found.last_accepted_us.push(last_accepted_us);
        }
        Fate::Still { lost, longest_pause_us } => {
            tried(lost, longest_pause_us);
            found.still_accepted += 1;
        }
        Fate::Early => found.refused_early += 1,
        Fate::Failed => found.failed += 1,
    }
}

async fn watch_one(at: &Endpoint, n: u64, ttl: Duration, poll: Duration, beyond: Duration) -> Fate {
    let Ok(user) = at.log_in(n).await else { return Fate::Failed };
    let end = user.since + ttl;
    tokio::time::sleep_until((end - AHEAD.min(ttl)).into()).await;
    let mut ticks = tokio::time::interval(poll);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut lost, mut longest_pause_us) = (0, 0);
    let mut last_accepted: Option<Instant> = None;
    let mut before: Option<Instant> = None;
    loop {
        ticks.tick().await;
        let found = at.ask(&user).await;
        let pause = before.map_or(0, |before| (found.sent - before).as_micros() as u64);
        longest_pause_us = longest_pause_us.max(pause);
        before = Some(found.sent);
        let last = found.sent > end + beyond;
        match (found.seen, last_accepted) {
            (Seen::Right, _) if last => return Fate::Still { lost, longest_pause_us },
            (Seen::Right, _) => last_accepted = Some(found.sent),
            (Seen::Failed, _) if last => return Fate::Failed,
            (Seen::Failed, _) => lost += 1,
            (Seen::Refused, None) => return Fate::Early,
            (Seen::Refused, Some(last)) => {
                let last_accepted_us = micros_from(end, last);
                return Fate::Ended { last_accepted_us, lost, longest_pause_us };
            }
        }
    }
}

/// Microseconds from `zero` to `moment`, negative where that is before it.
fn micros_from(zero: Instant, moment: Instant) -> i64 {
    let after = moment.saturating_duration_since(zero).as_micros() as i64;
    after - zero.saturating_duration_since(moment).as_micros() as i64
}

/// What the server and its store have used until now.
struct Used {
    at: Instant,
    cpu_ns: u64,
    store_cpu_ns: Option<u64>,
}

impl Used {
    fn read(rig: &Rig<'_>, server: &Server) -> Self {
        Self { at: Instant::now(), cpu_ns: cpu_ns(server), store_cpu_ns: rig.fleet.store_cpu_ns() }
    }

    /// What was used since, with these counts.
    fn until(&self, now: &Self, renewed: u64, failed: u64, users: u32) -> Renewals {
        let store = now.store_cpu_ns.zip(self.store_cpu_ns);
        Renewals {
            renewed,
            failed,
            users,
            interval_ns: now.at.duration_since(self.at).as_nanos() as u64,
            cpu_ns: now.cpu_ns.saturating_sub(self.cpu_ns),
            store_cpu_ns: store.map(|(now, before)| now.saturating_sub(before)),
        }
    }
}

/// Logs users in who will replace their credentials.
fn log_in(
    rig: &Rig<'_>,
    endpoint: &Endpoint,
    numbers: std::ops::Range<u64>,
) -> Result<Vec<LoggedIn>> {
    let log_in = |n| {
        let endpoint = endpoint.clone();
        async move { endpoint.log_in(n).await }
    };
    let users = rig.drive(gather(numbers, AT_A_TIME, log_in))?;
    users.into_iter().collect::<Result<_, _>>().map_err(|found| no_login(&found))
}

/// Many replacements at once: the unit cost. As after an expiry, no session is ended before, so
/// each login is another user's.
fn at_once(
    rig: &mut Rig<'_>,
    plan: &ExpiryPlan,
    server: &Server,
    endpoint: &Endpoint,
) -> Result<Renewals> {
    let numbers = rig.new_users(plan.renewals);
    let users = log_in(rig, endpoint, numbers)?;
    let renew = |user: LoggedIn| {
        let endpoint = endpoint.clone();
        async move { endpoint.renew(&user).await.is_ok() }
    };
    let before = Used::read(rig, server);
    let done = rig.drive(gather(users, AT_A_TIME, renew))?;
    let now = Used::read(rig, server);
    let renewed = done.iter().filter(|ok| **ok).count() as u64;
    let failed = u64::from(plan.renewals) - renewed;
    Ok(before.until(&now, renewed, failed, plan.renewals))
}

/// Users who replace their credential whenever its lifetime is over, evenly spread over it.
fn steady(
    rig: &mut Rig<'_>,
    plan: &ExpiryPlan,
    server: &Server,
    endpoint: &Endpoint,
) -> Result<Renewals> {
    let numbers = rig.new_users(plan.active_users);
    let users = log_in(rig, endpoint, numbers)?;
    let ttl = Duration::from_secs(plan.ttl_s);
    let (rounds, pause) = (plan.rounds, ttl / plan.active_users.max(1));
    let began = Instant::now();
    let all = users.len();
    let keep_renewing = |(i, mut user): (usize, LoggedIn)| {
        let endpoint = endpoint.clone();
        async move {
            let mut renewed = 0;
            for round in 0..rounds {
                let due = began + ttl * round + pause * i as u32;
                tokio::time::sleep_until(due.into()).await;
                if let Ok(new) = endpoint.renew(&user).await {
                    user = new;
                    renewed += 1;
                }
            }
            renewed
        }
    };
    let before = Used::read(rig, server);
    let renewed =
        rig.drive(gather(users.into_iter().enumerate(), all, keep_renewing))?.into_iter().sum();
    // The last ones are done before the last lifetime is over.
    std::thread::sleep((began + ttl * rounds).saturating_duration_since(Instant::now()));
    let now = Used::read(rig, server);
    let failed = u64::from(plan.active_users) * u64::from(rounds) - renewed;
    Ok(before.until(&now, renewed, failed, plan.active_users))
}
