//! A soak: users come and go at a fixed rate for as long as asked, and what a server keeps of them
//! must not grow. Logins, refreshes and logouts are made over HTTP; of two sessions one is logged
//! out and one is left to expire.

mod churn;
mod reading;

use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::error::{Error, Interrupt, Result};
use crate::proc::{Server, ServerOptions, place, usable_cores};
use crate::stats::{Estimate, growth};
use crate::units::Span;
pub use churn::Churned;
pub use reading::{RESOURCES, Reading, Resource};

/// The shortest soak: less holds no ten segments of several readings.
pub const DURATION_MIN: Span = Span::from_millis(20_000);
/// The most cycles per second: each is several requests of a plain client.
pub const RATE_MAX: u32 = 2_000;

/// Segments whose means a line is drawn through.
const SEGMENTS: usize = 10;
/// Readings in the whole of a soak.
const READINGS: u32 = 240;
const READ_EVERY_LEAST: Duration = Duration::from_millis(250);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Often, so that what waits to be swept does not come and go between readings.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
const TTL_LEAST: Duration = Duration::from_secs(2);
const TTL_MOST: Duration = Duration::from_secs(60);
/// What caches and tables of a server that is still warming up may add: less is no leak yet.
const WARMING_BYTES: f64 = 65_536.0;
/// Not the half second of a server that is measured: a soak may share its cores.
const STORE_TIMEOUT: Duration = Duration::from_secs(8);
/// A share of cycles that may fail.
const FAILED_MAX: f64 = 0.01;

/// What is soaked, and for how long.
#[derive(Clone, Debug)]
pub struct SoakPlan {
    /// The arm, or a variant of one.
    pub arm: String,
    /// How long users come and go.
    pub duration: Duration,
    /// Logins per second, each followed by what a user does with one.
    pub rate: u32,
    /// How long a session lives that nobody logs out; `None`: a twentieth of the duration, 2 s at
    /// least and a minute at most.
    pub ttl: Option<Duration>,
}

impl SoakPlan {
    /// How long a session lives that nobody logs out.
    pub fn ttl(&self) -> Duration {
        // A server takes whole seconds.
        let twentieth = Duration::from_secs(self.duration.as_secs() / 20);
        self.ttl.unwrap_or_else(|| twentieth.clamp(TTL_LEAST, TTL_MOST))
    }

    /// What is left out at the front: until as many sessions expire as begin, a third at least and
    /// a half at most.
    fn settles_after(&self) -> Duration {
        (3 * self.ttl()).clamp(self.duration / 3, self.duration / 2)
    }

    fn read_every(&self) -> Duration {
        (self.duration / READINGS).max(READ_EVERY_LEAST)
    }
}

/// What a soak found.
#[derive(Debug, Serialize)]
pub struct Soak {
    /// The arm.
    pub arm: String,
    /// How long it lasted, seconds.
    pub lasted_s: f64,
    /// How long a session lived that nobody logged out, seconds.
    pub ttl_s: f64,
    /// Seconds at the front that no slope is taken from.
    pub left_out_s: f64,
    /// What users did.
    pub churned: Churned,
    /// What each resource did.
    pub grown: Vec<Grown>,
    /// All readings.
    pub readings: Vec<Reading>,
}

/// What a resource did over the soak.
#[derive(Debug, Serialize)]
pub struct Grown {
    /// Name of the resource.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Its last reading.
    pub last: f64,
    /// What it grew by per login; `None` where the soak was too short to tell.
    pub per_login: Option<Estimate>,
    /// What may be added per login without a word.
    pub allowed: Option<f64>,
    /// The outcome.
    pub outcome: Outcome,
}

impl Grown {
    /// The interval of what it grew by per login, as people read it.
    pub fn range(&self) -> Option<String> {
        let (lo, hi) = self.per_login.as_ref()?.interval?;
        let number = |value: f64| {
            if value.abs() < 10.0 { format!("{value:.4}") } else { format!("{value:.1}") }
        };
        Some(format!("{} to {} {}", number(lo), number(hi), self.unit))
    }
}

/// Whether a resource grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Its interval is below what is allowed.
    Flat,
    /// Its interval is above what is allowed.
    Grows,
    /// Its interval holds what is allowed: a longer soak would tell.
    NotSettled,
    /// It is shown and not judged: what the operating system or a database keeps for reuse.
    Shown,
}

impl Outcome {
    /// What a table says.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::Grows => "GROWS",
            Self::NotSettled => "not settled",
            Self::Shown => "shown only",
        }
    }

    fn of(per_login: Option<&Estimate>, allowed: Option<f64>) -> Self {
        let Some(allowed) = allowed else { return Self::Shown };
        match per_login.and_then(|slope| slope.interval) {
            Some((lo, _)) if lo > allowed => Self::Grows,
            Some((_, hi)) if hi <= allowed => Self::Flat,
            _ => Self::NotSettled,
        }
    }
}

/// Starts a server, has users come and go, and reads what it keeps. `progress` is called with each
/// reading. An interrupt ends the soak early; what was read until then is judged.
///
/// # Errors
/// What starting the server says; `Target` when it stops telling about itself.
pub fn soak(
    plan: &SoakPlan,
    interrupt: &Interrupt,
    progress: &mut dyn FnMut(&Reading, Duration),
) -> Result<Soak> {
    let placement = place(&usable_cores());
    let ttl = plan.ttl();
    let flag = |name: &str, span: Duration| [name.into(), format!("{}ms", span.as_millis())];
    let flags = [
        flag("--ttl", ttl),
        flag("--sweep-every", SWEEP_EVERY),
        flag("--store-timeout", STORE_TIMEOUT),
    ];
    let arguments = flags.concat();
    let cores = placement.server.clone();
    let server = Server::start(&plan.arm, &ServerOptions { cores, arguments, ..<_>::default() })?;
    let churn = churn::Churn::new(&server.ready().target, plan.rate)?;
    let began = Instant::now();
    let mut readings = Vec::new();
    let read = thread::scope(|scope| {
        let driver = scope.spawn(|| churn.carry_on(&placement.generator));
        let read = read_all(plan, (&server, &churn), interrupt, &mut readings, progress);
        churn.stop();
        driver.join().map_err(|_| Error::Bug("the client's thread panicked".into()))??;
        read
    });
    read?;
    Ok(judged(plan, began.elapsed(), churn.counts(), readings))
}

fn read_all(
    plan: &SoakPlan,
    (server, churn): (&Server, &churn::Churn),
    interrupt: &Interrupt,
    readings: &mut Vec<Reading>,
    progress: &mut dyn FnMut(&Reading, Duration),
) -> Result<()> {
    let began = Instant::now();
    while began.elapsed() < plan.duration && interrupt.signal().is_none() {
        let reading = Reading::take(server, began.elapsed(), churn.counts().logins)?;
        progress(&reading, plan.duration.saturating_sub(began.elapsed()));
        readings.push(reading);
        let next = plan.read_every() * readings.len() as u32;
        while began.elapsed() < next.min(plan.duration) && interrupt.signal().is_none() {
            thread::sleep(LOOK_EVERY);
        }
    }
    Ok(())
}

fn judged(plan: &SoakPlan, lasted: Duration, churned: Churned, readings: Vec<Reading>) -> Soak {
    let left_out_s = plan.settles_after().as_secs_f64();
    let settled: Vec<&Reading> = readings.iter().filter(|r| r.at_s >= left_out_s).collect();
    let logins = settled.last().zip(settled.first()).map_or(0, |(z, a)| z.logins - a.logins) as f64;
    let grown = RESOURCES.iter().filter_map(|resource| {
        let values: Option<Vec<(f64, f64)>> = settled
            .iter()
            .map(|reading| Some((reading.logins as f64, (resource.read)(reading)?)))
            .collect();
        let last = (resource.read)(readings.last()?)?;
        let per_login = values.and_then(|points| growth(&points, SEGMENTS));
        let allowed = resource.allowed.filter(|_| (resource.is_judged)(readings.last()));
        let mut outcome = Outcome::of(per_login.as_ref(), allowed);
        let least = per_login.as_ref().and_then(|slope| slope.interval).map_or(0.0, |(lo, _)| lo);
        if outcome == Outcome::Grows && resource.unit == "bytes" && least * logins < WARMING_BYTES {
            outcome = Outcome::NotSettled;
        }
        let Resource { name, unit, .. } = *resource;
        Some(Grown { name, unit, last, per_login, allowed, outcome })
    });
    Soak {
        arm: plan.arm.clone(),
        lasted_s: lasted.as_secs_f64(),
        ttl_s: plan.ttl().as_secs_f64(),
        left_out_s,
        churned,
        grown: grown.collect(),
        readings,
    }
}

/// Whether a server with these findings keeps what it should not.
///
/// # Errors
/// `Target` when a resource grows or too many cycles failed.
pub fn judge(soak: &Soak) -> Result<()> {
    let Churned { logins, failed, .. } = soak.churned;
    if failed as f64 > FAILED_MAX * (logins + failed) as f64 {
        return Err(Error::Target(format!(
            "`{}` failed {failed} of {} cycles of a soak: expected at most {:.0} %; what it keeps \
             of those that failed is not what it keeps of users",
            soak.arm,
            logins + failed,
            FAILED_MAX * 100.0,
        )));
    }
    let grows = soak.grown.iter().filter(|grown| grown.outcome == Outcome::Grows);
    let told = grows.filter_map(|grown| {
        let (name, allowed) = (grown.name, grown.allowed.unwrap_or(0.0));
        let more = grown.range()?;
        Some(format!("{name}: {more} more per login (95 %), expected at most {allowed}"))
    });
    match told.collect::<Vec<_>>().as_slice() {
        [] => Ok(()),
        all => Err(Error::Target(format!(
            "`{}` keeps what it should not: {}",
            soak.arm,
            all.join("; ")
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::normal;

    fn plan(duration_s: u64) -> SoakPlan {
        let duration = Duration::from_secs(duration_s);
        SoakPlan { arm: "a".into(), duration, rate: 50, ttl: None }
    }

    /// Readings of three minutes in which memory and descriptors grow by so much per login, with
    /// the scatter of a real server.
    fn soaked(bytes: f64, descriptors: f64, failed: u64) -> Soak {
        let readings: Vec<_> = (0..240_u64)
            .map(|n| {
                let logins = n * 38;
                let grown = |per_login: f64| per_login * logins as f64;
                Reading {
                    at_s: n as f64 * 0.75,
                    logins,
                    allocated_bytes: Some(3e6 + 5e3 * normal(1, n) + grown(bytes)),
                    descriptors: Some((30.0 + grown(descriptors)).floor()),
                    pss_bytes: Some(2e7 + grown(50.0)),
                    ..Reading::default()
                }
            })
            .collect();
        let churned = Churned { logins: 240 * 38, failed, ..Churned::default() };
        judged(&plan(180), Duration::from_secs(180), churned, readings)
    }

    #[test]
    fn a_seeded_leak_is_found_and_none_is_claimed_without_one() {
        assert!(judge(&soaked(0.0, 0.0, 0)).is_ok());
        let text = judge(&soaked(16.0, 0.0, 0)).unwrap_err().to_string();
        assert!(text.contains("allocated memory: ") && !text.contains("descriptors"), "{text}");
        let text = judge(&soaked(0.0, 0.05, 0)).unwrap_err().to_string();
        assert!(text.contains("open descriptors: 0.05"), "{text}");
        assert_eq!(judge(&soaked(16.0, 0.0, 0)).unwrap_err().exit_code(), 4);
        // What the operating system counts is shown.
        let soak = soaked(0.0, 0.0, 0);
        let pss = soak.grown.iter().find(|grown| grown.name.contains("PSS")).unwrap();
        assert_eq!(pss.outcome, Outcome::Shown);
        assert!((pss.per_login.as_ref().unwrap().point - 50.0).abs() < 1e-6);
    }

    #[test]
    fn a_soak_that_failed_or_was_too_short_claims_nothing() {
        let text = judge(&soaked(0.0, 0.0, 400)).unwrap_err().to_string();
        assert!(text.contains("failed 400 of 9520 cycles"), "{text}");
        let short = soaked(16.0, 0.0, 0);
        let readings: Vec<_> = short.readings.into_iter().take(100).collect();
        let short = judged(&plan(180), Duration::from_secs(75), short.churned, readings);
        assert!(short.grown.iter().all(|grown| grown.outcome != Outcome::Grows), "{short:?}");
        assert!(judge(&short).is_ok());
    }

    #[test]
    fn sessions_expire_often_enough_within_a_soak() {
        for (duration_s, ttl_s, left_out_s) in
            [(20, 2, 6), (70, 3, 23), (180, 9, 60), (3600, 60, 1200)]
        {
            let plan = plan(duration_s);
            assert_eq!(plan.ttl().as_secs(), ttl_s);
            assert_eq!(plan.settles_after().as_secs(), left_out_s);
        }
        let outlives = SoakPlan { ttl: Some(Duration::from_secs(3600)), ..plan(180) };
        assert_eq!(outlives.settles_after().as_secs(), 90);
    }
}
