//! Users who come and go at a fixed rate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::time::MissedTickBehavior;

use crate::client::{Endpoint, Seen};
use crate::error::{Error, Result};
use crate::proc::pin;

/// Cycles under way at the same time; one beyond them is left out and counted.
const AT_A_TIME: usize = 256;
/// Users, who come again and again.
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
    /// Cycles that were left out because too many others were under way.
    pub left_out: u64,
}

/// Users who come and go until they are stopped.
pub(super) struct Churn {
    endpoint: Endpoint,
    rate: u32,
    stop: AtomicBool,
    counts: Arc<Counts>,
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
    pub(super) fn new(endpoint: Endpoint, rate: u32) -> Self {
        Self { endpoint, rate, stop: AtomicBool::new(false), counts: Arc::default() }
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, Relaxed);
    }

    pub(super) fn counts(&self) -> Churned {
        let counts = &*self.counts;
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
        runtime.block_on(async {
            let room = Arc::new(Semaphore::new(AT_A_TIME));
            let mut tick = tokio::time::interval(Duration::from_secs(1) / self.rate.max(1));
            tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
            for n in 0_u64.. {
                tick.tick().await;
                if self.stop.load(Relaxed) {
                    break;
                }
                let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
                    self.counts.left_out.fetch_add(1, Relaxed);
                    continue;
                };
                let (endpoint, counts) = (self.endpoint.clone(), Arc::clone(&self.counts));
                tokio::spawn(async move {
                    if cycle(&endpoint, n, &counts).await.is_none() {
                        counts.failed.fetch_add(1, Relaxed);
                    }
                    drop(place);
                });
            }
            // Everything under way holds a place.
            let _ = room.acquire_many(AT_A_TIME as u32).await;
        });
        Ok(())
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
