//! Users log out, and their credentials are tried again and again until they are refused.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::RwLock;

use super::rig::{Rig, count, gather, refresh_all};
use crate::client::{Endpoint, LoggedIn, Seen, Timed};
use crate::error::Result;
use crate::plan::{RevocationPlan, WatchPlan};
use crate::proc::Kept;
use crate::record::{Asked, Beside, RevocationRecord, Watched};

/// What happened to one user's credential.
enum Fate {
    Unknown,
    Failed,
    Watched { rejected_ns: Option<u64>, stale: u64, lost: u64, pauses_ns: Vec<u64> },
}

/// The clock of each user starts with the answer to their own logout: from then on a client may
/// believe that it holds. A credential that the watched server did not know before is not watched,
/// because a refusal would say nothing of the logout.
///
/// Most stores refuse within a round trip, so nothing may lie between the logout and the first try:
/// no timer, which has a granularity of a millisecond, and no request of another user, which the
/// client's one thread would have to see to first. Later tries are met by spinning.
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
    let wire = Arc::new(Wire::default());
    let watch_user = |n| {
        let (here, at, wire) = (here.clone(), at.clone(), Arc::clone(&wire));
        async move { watch_one(&here, &at, n, everywhere, watch, &wire).await }
    };
    let fates = rig.drive(gather(users, watch.in_flight as usize, watch_user))?;
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

/// Who may ask: all at the same time, or one alone from the logout to the try that follows it.
type Wire = RwLock<()>;

async fn watch_one(
    here: &Endpoint,
    at: &Endpoint,
    n: u64,
    everywhere: bool,
    watch: WatchPlan,
    wire: &Wire,
) -> Fate {
    let shared = wire.read().await;
    let Ok(user) = here.log_in(n).await else { return Fate::Failed };
    // A logout everywhere has to end the credentials that it does not come with.
    let with = if everywhere { here.log_in(n).await } else { Ok(user.clone()) };
    let Ok(with) = with else { return Fate::Failed };
    match at.ask(&user).await.seen {
        Seen::Right => {}
        Seen::Refused => return Fate::Unknown,
        Seen::Failed => return Fate::Failed,
    }
    drop(shared);
    let alone = wire.write().await;
    let logout = here.log_out(&with, everywhere).await;
    if logout.seen != Seen::Right {
        return Fate::Failed;
    }
    let first = at.ask(&user).await;
    drop(alone);
    let user = &user;
    let ask = || async move {
        let _shared = wire.read().await;
        at.ask(user).await
    };
    tries(first, ask, logout.done, watch).await
}

/// What becomes of a credential that was first tried at once after `zero`, and is then tried at
/// even intervals.
async fn tries<A: Future<Output = Timed>>(
    first: Timed,
    ask: impl Fn() -> A,
    zero: Instant,
    watch: WatchPlan,
) -> Fate {
    let (mut stale, mut lost, mut pauses_ns) = (0, 0, Vec::new());
    let mut found = first;
    loop {
        let last = found.sent - zero >= Duration::from_nanos(watch.window_ns);
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
        let (before, due) = (found.sent, found.sent + Duration::from_nanos(watch.poll_ns));
        while Instant::now() < due {
            tokio::task::yield_now().await;
        }
        found = ask().await;
        pauses_ns.push(nanos(found.sent - before));
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
    let log_in_and_out = |n| {
        let here = here.clone();
        async move {
            let user = here.log_in(n).await.ok()?;
            let with = if everywhere { here.log_in(n).await.ok()? } else { user.clone() };
            let logout = here.log_out(&with, everywhere).await;
            (logout.seen == Seen::Right).then_some(user)
        }
    };
    let users = rig.drive(gather(users, plan.watch.in_flight as usize, log_in_and_out))?;
    Ok(users.into_iter().flatten().collect())
}

/// New users who have logged in at `here`.
fn logged_in(rig: &mut Rig<'_>, plan: &RevocationPlan, here: &Endpoint) -> Result<Vec<LoggedIn>> {
    let users = rig.new_users(plan.users);
    let log_in = |n| {
        let here = here.clone();
        async move { here.log_in(n).await.ok() }
    };
    let users = rig.drive(gather(users, plan.watch.in_flight as usize, log_in))?;
    Ok(users.into_iter().flatten().collect())
}

/// Tries each credential once.
fn try_all(
    rig: &Rig<'_>,
    plan: &RevocationPlan,
    at: &Endpoint,
    users: Vec<LoggedIn>,
) -> Result<Asked> {
    let ask = |user: LoggedIn| {
        let at = at.clone();
        async move { at.ask(&user).await.seen }
    };
    let mut asked = Asked::default();
    let all = rig.drive(gather(users, plan.watch.in_flight as usize, ask))?;
    all.into_iter().for_each(|seen| count(&mut asked, seen));
    Ok(asked)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const WATCH: WatchPlan =
        WatchPlan { poll_ns: 1_000_000, window_ns: 60_000_000_000, in_flight: 1 };

    /// A store that lets a credential in so many times after the logout and then refuses it; the
    /// outcome of watching it, and when each try was sent. There is no timer to wait for.
    fn watched(accepts: usize) -> (Fate, Vec<Instant>) {
        let zero = Instant::now();
        let sent = RefCell::new(Vec::new());
        let answer = || {
            let mut sent = sent.borrow_mut();
            sent.push(Instant::now());
            let seen = if sent.len() > accepts { Seen::Refused } else { Seen::Right };
            Timed { seen, sent: sent[sent.len() - 1], done: Instant::now() }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let fate = runtime.block_on(tries(answer(), || async { answer() }, zero, WATCH));
        (fate, sent.into_inner())
    }

    #[test]
    fn a_store_that_refuses_at_once_is_asked_once_and_no_timer_is_waited_for() {
        async fn again() -> Timed {
            panic!("it was refused")
        }
        let zero = Instant::now();
        let after = |us| zero + Duration::from_micros(us);
        let first = Timed { seen: Seen::Refused, sent: after(10), done: after(70) };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let fate = runtime.block_on(tries(first, again, zero, WATCH));
        let Fate::Watched { rejected_ns, stale, lost, pauses_ns } = fate else { panic!() };
        assert_eq!((rejected_ns, stale, lost, pauses_ns), (Some(70_000), 0, 0, vec![]));
    }

    #[test]
    fn later_tries_keep_their_distance() {
        let (fate, sent) = watched(3);
        let Fate::Watched { rejected_ns, stale, pauses_ns, .. } = fate else { panic!() };
        assert_eq!((sent.len(), stale, pauses_ns.len()), (4, 3, 3));
        assert!(sent.windows(2).all(|pair| pair[1] - pair[0] >= MS), "{sent:?}");
        assert!(rejected_ns >= Some(3_000_000), "{rejected_ns:?}");
    }
}
