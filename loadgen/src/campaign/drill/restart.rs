//! The server is stopped and another one started in its place: who has to log in again?

use std::time::{Duration, Instant};

use super::rig::{AT_A_TIME, Rig, count, gather, no_login, refresh_all};
use crate::client::{LoggedIn, Seen};
use crate::engine;
use crate::error::{Error, Result};
use crate::plan::{FillPlan, RestartPlan};
use crate::proc::Kept;
use crate::record::{Asked, Replacement, RestartRecord};

/// How long a new server may take to its first answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The new server is another process, at another address of the loopback; the time without service
/// runs from the moment the old one is told to stop to the first answer of the new one, whatever
/// that answer is.
pub(super) fn run(rig: &mut Rig<'_>, plan: &RestartPlan) -> Result<RestartRecord> {
    let (has_key, has_store) = (rig.fleet.has_key(), rig.fleet.has_store());
    let new_key = Kept { key: false, store: true };
    let new_store = Kept { key: true, store: false };
    Ok(RestartRecord {
        kept: replace(rig, plan, Kept::ALL)?,
        new_key: has_key.then(|| replace(rig, plan, new_key)).transpose()?,
        new_store: has_store.then(|| replace(rig, plan, new_store)).transpose()?,
    })
}

fn replace(rig: &mut Rig<'_>, plan: &RestartPlan, kept: Kept) -> Result<Replacement> {
    let (old, endpoint) = rig.start(Kept::ALL, &[])?;
    let numbers = rig.new_users(plan.users);
    let log_in = |n| {
        let endpoint = endpoint.clone();
        async move { endpoint.log_in(n).await }
    };
    let users = rig.drive(gather(numbers, AT_A_TIME, log_in))?;
    let users: Vec<LoggedIn> =
        users.into_iter().collect::<Result<_, _>>().map_err(|found| no_login(&found))?;
    let told = Instant::now();
    drop(old);
    let (new, endpoint) = rig.start(kept, &[])?;
    let first = users.first().cloned().ok_or_else(|| Error::Bug("no user".into()))?;
    let answered = {
        let endpoint = endpoint.clone();
        rig.drive(async move {
            let deadline = Instant::now() + ANSWER_WITHIN;
            loop {
                let timed = endpoint.ask(&first).await;
                match timed.seen {
                    Seen::Failed if Instant::now() < deadline => {}
                    Seen::Failed => return None,
                    _ => return Some(timed.done),
                }
            }
        })?
    };
    let answered = answered.ok_or_else(|| {
        Error::Target(format!(
            "expected the new server to answer within {} s, found that it did not",
            ANSWER_WITHIN.as_secs()
        ))
    })?;
    let ask = |user: LoggedIn| {
        let endpoint = endpoint.clone();
        async move { (endpoint.ask(&user).await.seen, user) }
    };
    let mut asked = Asked::default();
    let mut let_in = Vec::new();
    for (seen, user) in rig.drive(gather(users, AT_A_TIME, ask))? {
        count(&mut asked, seen);
        if seen == Seen::Right {
            let_in.push((endpoint.clone(), user));
        }
    }
    let refreshed = if let_in.is_empty() { None } else { refresh_all(rig, let_in)? };
    let storm = match u32::try_from(asked.refused).unwrap_or(u32::MAX) {
        0 => None,
        refused => {
            // Whose logins they are makes no difference to a server: as many as were refused.
            let fill = FillPlan {
                first_user: rig.new_users(refused).start,
                users: refused,
                connections: plan.connections.min(refused),
                timeout_ns: plan.timeout_ns,
                prepare: None,
                keep: false,
            };
            Some(engine::fill(&rig.driver(&new)?, &fill)?.0)
        }
    };
    let out_of_service_ns = u64::try_from((answered - told).as_nanos()).unwrap_or(u64::MAX);
    Ok(Replacement { users: asked, out_of_service_ns, refreshed, storm })
}
