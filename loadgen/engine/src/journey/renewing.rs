//! When users renew their credential.

use contract::{Lifetime, Statuses, Target};

use super::capture::{Answer, Before, Capture, Extract};

/// How users renew a credential that ends during a load.
#[derive(Clone, Debug)]
pub struct Renewing {
    /// The request that replaces it; `None`: a new login does.
    pub refresh: Option<usize>,
    /// The statuses that say that it has ended.
    pub ended: Statuses,
    lifetime: Option<Life>,
    ahead_ns: u64,
}

/// How long a credential lives.
#[derive(Clone, Debug)]
enum Life {
    Ns(u64),
    /// As many seconds as the answer that gave it says.
    Said(Capture),
}

const SECOND_NS: u64 = 1_000_000_000;
/// A lifetime beyond this is no different from one without an end, seconds.
const SECONDS_MAX: u64 = 1 << 32;

impl Renewing {
    pub(super) fn new(target: &Target) -> Result<Self, String> {
        let renewal = target.renewal.clone().unwrap_or_default();
        let lifetime = match &renewal.lifetime {
            None => None,
            Some(Lifetime::Seconds(seconds @ 1..=SECONDS_MAX)) => {
                Some(Life::Ns(seconds * SECOND_NS))
            }
            Some(Lifetime::Seconds(seconds)) => {
                return Err(format!(
                    "renewal: expected a `lifetime` of 1 to {SECONDS_MAX} seconds, found {seconds}"
                ));
            }
            Some(Lifetime::Said(source)) => {
                let source = Some(Extract::new(source)?);
                Some(Life::Said(Capture { source, before: Before::Nothing }))
            }
        };
        let ahead_ns = renewal.ahead.min(SECONDS_MAX) * SECOND_NS;
        Ok(Self { refresh: None, ended: renewal.ended, lifetime, ahead_ns })
    }

    /// Whether the end of a credential may be known ahead of time.
    pub const fn is_known_ahead(&self) -> bool {
        self.lifetime.is_some()
    }

    /// When a credential is to be renewed that this answer gives, to a request of this moment;
    /// `None` where it does not say how long the credential lives.
    pub fn due_ns(&self, answer: &Answer<'_>, asked_ns: u64) -> Option<u64> {
        let lives_ns = match self.lifetime.as_ref()? {
            Life::Ns(ns) => *ns,
            Life::Said(capture) => {
                let text = capture.value(b"", b"/", answer)?;
                let seconds: f64 = std::str::from_utf8(&text).ok()?.trim().parse().ok()?;
                (seconds > 0.0).then_some((seconds.min(SECONDS_MAX as f64) * 1e9) as u64)?
            }
        };
        // More than half of its life ahead, renewals would come faster than uses.
        Some(asked_ns.saturating_add(lives_ns - self.ahead_ns.min(lives_ns / 2)))
    }
}
