//! One of the servers behind a proxy is killed: who is let in afterwards, and when.

use std::time::{Duration, Instant};

use super::rig::{AT_A_TIME, Rig, count, gather, no_login};
use crate::client::{Endpoint, LoggedIn, Seen};
use crate::error::{Error, Result};
use crate::plan::FailoverPlan;
use crate::proc::Kept;
use crate::record::{Asked, FailoverRecord};

/// What a user met after the death.
struct Met {
    user: LoggedIn,
    first: Seen,
    settled: Seen,
    answered: Instant,
}

/// Users log in through the proxy. Then a server is killed, and all of them ask at the same time,
/// again and again, until they are let in or refused. Those who are refused log in again.
pub(super) fn run(rig: &mut Rig<'_>, plan: &FailoverPlan) -> Result<FailoverRecord> {
    let (server, endpoint) = rig.start(Kept::ALL, &[])?;
    let servers = server.serving().len();
    if servers < 2 {
        return Err(Error::Bug("a failover of a server that is the only one".into()));
    }
    let numbers = rig.new_users(plan.users);
    let log_in = |n| {
        let endpoint = endpoint.clone();
        async move { endpoint.log_in(n).await }
    };
    let users = rig.drive(gather(numbers, AT_A_TIME, log_in))?;
    let users: Vec<LoggedIn> =
        users.into_iter().collect::<Result<_, _>>().map_err(|found| no_login(&found))?;
    let ask = |user: LoggedIn| {
        let endpoint = endpoint.clone();
        async move { endpoint.ask(&user).await.seen }
    };
    let mut record = FailoverRecord { servers: servers as u32, ..FailoverRecord::default() };
    let before = rig.drive(gather(users.clone(), AT_A_TIME, ask))?;
    before.into_iter().for_each(|seen| count(&mut record.before, seen));
    let killed = Instant::now();
    server.kill_one(0);
    let all = users.len();
    let met = rig.drive(gather(users, all, |user| until_answered(endpoint.clone(), user, plan)))?;
    let mut refused = Vec::new();
    for Met { user, first, settled, answered } in met {
        count(&mut record.first, first);
        count(&mut record.settled, settled);
        let waited_ns = answered.duration_since(killed).as_nanos() as u64;
        record.longest_without_answer_ns = record.longest_without_answer_ns.max(waited_ns);
        if settled == Seen::Refused {
            refused.push(user.n);
        }
    }
    record.relogins = relogins(rig, &endpoint, refused)?;
    Ok(record)
}

/// Asks until there is an answer that lets the user in or refuses them, or for as long as the plan
/// says.
fn until_answered(
    endpoint: Endpoint,
    user: LoggedIn,
    plan: &FailoverPlan,
) -> impl Future<Output = Met> + Send + 'static + use<> {
    let poll = Duration::from_nanos(plan.poll_ns);
    let deadline = Instant::now() + Duration::from_nanos(plan.window_ns);
    async move {
        let found = endpoint.ask(&user).await;
        let (first, mut last) = (found.seen, found);
        while last.seen == Seen::Failed && Instant::now() < deadline {
            tokio::time::sleep(poll).await;
            last = endpoint.ask(&user).await;
        }
        Met { user, first, settled: last.seen, answered: last.done }
    }
}

/// Those who were refused log in again and ask once.
fn relogins(rig: &Rig<'_>, endpoint: &Endpoint, users: Vec<u64>) -> Result<Asked> {
    let log_in = |n| {
        let endpoint = endpoint.clone();
        async move {
            match endpoint.log_in(n).await {
                Ok(user) => endpoint.ask(&user).await.seen,
                Err(_) => Seen::Failed,
            }
        }
    };
    let mut asked = Asked::default();
    let seen = rig.drive(gather(users, AT_A_TIME, log_in))?;
    seen.into_iter().for_each(|seen| count(&mut asked, seen));
    Ok(asked)
}
