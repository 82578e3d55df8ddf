//! Users who come and go at a fixed rate.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use futures_util::future::join_all;
use serde::Serialize;
use servers::contract::Target;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::client::{Client, Endpoint, Seen};
use crate::error::{Error, Result};
use crate::proc::pin;

/// Users at the same time, each with a connection of its own: what connections take must not grow
/// or shrink meanwhile.
const AT_A_TIME: u32 = 32;
/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Names of users, which come again and again.
const USERS: u64 = 100_000;

/// What users did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Churned {
    /// Users who logged in, asked, and got the right answer.
    pub logins: u64,
    /// Credentials that were replaced without a login.
    pub refreshes: u64,
    /// Users who logged out; as many were left to expire.
    pub logouts: u64,
    /// Cycles in which something was refused, wrong, or without an answer.
    pub failed: u64,
    /// Cycles that were left out because those before them took too long.
    pub left_out: u64,
}

/// Users who come and go until they are stopped.
pub(super) struct Churn {
    /// One of each user.
    endpoints: Vec<Endpoint>,
    /// Between two cycles of a user.
    every: Duration,
    stop: AtomicBool,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    logins: AtomicU64,
    refreshes: AtomicU64,
    logouts: AtomicU64,
    failed: AtomicU64,
    left_out: AtomicU64,
}

impl Churn {
    /// Cycles at this rate against a server.
    ///
    /// # Errors
    /// `Bug` where there is no client.
    pub(super) fn new(target: &Target, rate: u32) -> Result<Self> {
        let users = rate.clamp(1, AT_A_TIME);
        let endpoint = |_| Client::new(TIMEOUT)?.endpoint(target);
        Ok(Self {
            endpoints: (0..users).map(endpoint).collect::<Result<_>>()?,
            every: Duration::from_secs(1) * users / rate.max(1),
            stop: AtomicBool::new(false),
            counts: Counts::default(),
        })
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, Relaxed);
    }

    pub(super) fn counts(&self) -> Churned {
        let counts = &self.counts;
        let value = |count: &AtomicU64| count.load(Relaxed);
        Churned {
            logins: value(&counts.logins),
            refreshes: value(&counts.refreshes),
            logouts: value(&counts.logouts),
            failed: value(&counts.failed),
            left_out: value(&counts.left_out),
        }
    }

    /// Begins cycles on these cores until it is stopped, and waits for those under way.
    pub(super) fn carry_on(&self, cores: &[usize]) -> Result<()> {
        pin(cores);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Error::runtime("the client"))?;
        let users =
            self.endpoints.iter().zip(0..).map(|(endpoint, user)| self.come(endpoint, user));
        runtime.block_on(join_all(users));
        Ok(())
    }

    /// The cycles of one user, evenly between those of the others.
    async fn come(&self, endpoint: &Endpoint, user: u32) {
        let users = self.endpoints.len() as u32;
        let began = Instant::now() + self.every * user / users;
        let mut ticks = interval_at(began, self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut due = 0;
        loop {
            let tick = ticks.tick().await;
            if self.stop.load(Relaxed) {
                return;
            }
            let n = (tick - began).as_nanos() as u64 / self.every.as_nanos() as u64;
            self.counts.left_out.fetch_add(n.saturating_sub(due), Relaxed);
            due = n + 1;
            let who = n * u64::from(users) + u64::from(user);
            if cycle(endpoint, who, &self.counts).await.is_none() {
                self.counts.failed.fetch_add(1, Relaxed);
            }
        }
    }
}

/// A login and what follows: a request, a refresh where there is one, and for every other user a
/// logout. `None` when something was not as it should be.
async fn cycle(endpoint: &Endpoint, n: u64, counts: &Counts) -> Option<()> {
    let mut user = endpoint.log_in(n % USERS).await.ok()?;
    if endpoint.refreshes() {
        user = endpoint.renew(&user).await.ok()?;
        counts.refreshes.fetch_add(1, Relaxed);
    }
    if endpoint.ask(&user).await.seen != Seen::Right {
        return None;
    }
    counts.logins.fetch_add(1, Relaxed);
    if n.is_multiple_of(2) && endpoint.logs_out() {
        if endpoint.log_out(&user, false).await.seen != Seen::Right {
            return None;
        }
        counts.logouts.fetch_add(1, Relaxed);
    }
    Some(())
}
