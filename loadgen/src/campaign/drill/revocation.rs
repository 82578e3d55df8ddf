//! Users log out, and their credentials are tried again and again until they are refused.
//!
//! The clock of each user starts with the answer to their own logout: from then on a client may
//! believe that it holds. A credential that the watched server did not know before is not watched,
//! because a refusal would say nothing of the logout.

use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;

use super::{Kept, Rig, count, each, refresh_all};
use crate::client::{Endpoint, LoggedIn, Seen};
use crate::error::Result;
use crate::plan::{RevocationPlan, WatchPlan};
use crate::record::{Asked, Beside, RevocationRecord, Watched};

/// What became of one user's credential.
enum Fate {
    Unknown,
    Failed,
    Watched { rejected_ns: Option<u64>, stale: u64, lost: u64, pauses_ns: Vec<u64> },
}

pub(super) fn run(rig: &mut Rig<'_>, plan: &RevocationPlan) -> Result<RevocationRecord> {
    let (server, here) = rig.start(Kept::ALL, &[])?;
    let (_other, there) = rig.start(Kept::ALL, &[])?;
    let mut record = RevocationRecord::default();
    for everywhere in [false, true] {
        for (at, watched) in [(&here, &mut record.same), (&there, &mut record.replica)] {
            let found = watch_all(rig, plan, &here, at, everywhere)?;
            *(if everywhere { &mut watched.everywhere } else { &mut watched.logout }) = found;
        }
    }
    let out = Beside {
        logout: logged_out(rig, plan, &here, false)?,
        everywhere: logged_out(rig, plan, &here, true)?,
    };
    let others = logged_in(rig, plan, &here)?;
    let refresh = |users: &[LoggedIn]| {
        refresh_all(rig, users.iter().map(|user| (here.clone(), user.clone())).collect())
    };
    let (logout, everywhere) = (refresh(&out.logout)?, refresh(&out.everywhere)?);
    record.refreshed = logout.zip(everywhere).map(|(l, e)| Beside { logout: l, everywhere: e });
    drop(server);
    let (_server, anew) = rig.start(Kept::ALL, &[])?;
    record.restarted.logout = try_all(rig, plan, &anew, out.logout)?;
    record.restarted.everywhere = try_all(rig, plan, &anew, out.everywhere)?;
    record.restarted_others = try_all(rig, plan, &anew, others)?;
    Ok(record)
}

/// Logs new users out at `here` and watches their credentials at `at`.
fn watch_all(
    rig: &mut Rig<'_>,
    plan: &RevocationPlan,
    here: &Endpoint,
    at: &Endpoint,
    everywhere: bool,
) -> Result<Watched> {
    let users = rig.new_users(plan.users);
    let watch = plan.watch;
    let one = |n| {
        let (here, at) = (here.clone(), at.clone());
        async move { watch_one(&here, &at, n, everywhere, watch).await }
    };
    let fates = rig.drive(each(users, watch.in_flight as usize, one))?;
    let mut watched = Watched::default();
    for fate in fates {
        add(&mut watched, fate);
    }
    Ok(watched)
}

fn add(watched: &mut Watched, fate: Fate) {
    match fate {
        Fate::Unknown => watched.unknown += 1,
        Fate::Failed => watched.failed += 1,
        Fate::Watched { rejected_ns, stale, lost, pauses_ns } => {
            watched.users += 1;
            match rejected_ns {
                Some(ns) => watched.rejected.record(ns),
                None => watched.still_accepted += 1,
            }
            watched.stale_accepts += stale;
            watched.stale_users += u32::from(stale > 0);
            watched.lost_tries += lost;
            pauses_ns.into_iter().for_each(|ns| watched.pause.record(ns));
        }
    }
}

async fn watch_one(
    here: &Endpoint,
    at: &Endpoint,
    n: u64,
    everywhere: bool,
    watch: WatchPlan,
) -> Fate {
    let Ok(user) = here.log_in(n).await else { return Fate::Failed };
    // A logout everywhere has to end the credentials that it does not come with.
    let with = if everywhere { here.log_in(n).await } else { Ok(user.clone()) };
    let Ok(with) = with else { return Fate::Failed };
    match at.ask(&user).await.seen {
        Seen::Right => {}
        Seen::Refused => return Fate::Unknown,
        Seen::Failed => return Fate::Failed,
    }
    let logout = here.log_out(&with, everywhere).await;
    if logout.seen != Seen::Right {
        return Fate::Failed;
    }
    tries(at, &user, logout.done, watch).await
}

/// Tries a credential from `zero` on, at once and then at even intervals.
async fn tries(at: &Endpoint, user: &LoggedIn, zero: Instant, watch: WatchPlan) -> Fate {
    let mut ticks = tokio::time::interval(Duration::from_nanos(watch.poll_ns.max(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut stale, mut lost, mut pauses_ns) = (0, 0, Vec::new());
    let mut before: Option<Instant> = None;
    loop {
        ticks.tick().await;
        let found = at.ask(user).await;
        let last = found.sent - zero >= Duration::from_nanos(watch.window_ns);
        pauses_ns.extend(before.map(|before| nanos(found.sent - before)));
        before = Some(found.sent);
        match found.seen {
            // Only who was let in at the end of the watching, or after it, counts as still let in.
            Seen::Right if last => {
                stale += 1;
                return Fate::Watched { rejected_ns: None, stale, lost, pauses_ns };
            }
            Seen::Right => stale += 1,
            Seen::Failed if last => return Fate::Failed,
            Seen::Failed => lost += 1,
            Seen::Refused => {
                let rejected_ns = Some(nanos(found.done - zero));
                return Fate::Watched { rejected_ns, stale, lost, pauses_ns };
            }
        }
    }
}

/// New users who have logged in and out at `here`.
fn logged_out(
    rig: &mut Rig<'_>,
    plan: &RevocationPlan,
    here: &Endpoint,
    everywhere: bool,
) -> Result<Vec<LoggedIn>> {
    let users = rig.new_users(plan.users);
    let one = |n| {
        let here = here.clone();
        async move {
            let user = here.log_in(n).await.ok()?;
            let with = if everywhere { here.log_in(n).await.ok()? } else { user.clone() };
            let logout = here.log_out(&with, everywhere).await;
            (logout.seen == Seen::Right).then_some(user)
        }
    };
    let users = rig.drive(each(users, plan.watch.in_flight as usize, one))?;
    Ok(users.into_iter().flatten().collect())
}

/// New users who have logged in at `here`.
fn logged_in(rig: &mut Rig<'_>, plan: &RevocationPlan, here: &Endpoint) -> Result<Vec<LoggedIn>> {
    let users = rig.new_users(plan.users);
    let one = |n| {
        let here = here.clone();
        async move { here.log_in(n).await.ok() }
    };
    let users = rig.drive(each(users, plan.watch.in_flight as usize, one))?;
    Ok(users.into_iter().flatten().collect())
}

/// Tries each credential once.
fn try_all(
    rig: &Rig<'_>,
    plan: &RevocationPlan,
    at: &Endpoint,
    users: Vec<LoggedIn>,
) -> Result<Asked> {
    let one = |user: LoggedIn| {
        let at = at.clone();
        async move { at.ask(&user).await.seen }
    };
    let mut asked = Asked::default();
    let all = rig.drive(each(users, plan.watch.in_flight as usize, one))?;
    all.into_iter().for_each(|seen| count(&mut asked, seen));
    Ok(asked)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
