//! How a worker waits for the moment at which a request is due.

use std::fmt;
use std::str::FromStr;

/// How a worker waits for a due request.
///
/// A thread that sleeps to a moment wakes tens to hundreds of microseconds behind it, and its
/// lateness would be measured as the server's; one that spins is on time and uses its whole core.
/// So by default a worker sleeps for most of the way and spins the last stretch.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Pacing {
    /// Sleeps until shortly before, then spins; sleeps all the way where the worker shares its core
    /// with the server, which spinning would starve.
    #[default]
    Auto,
    /// Never sleeps.
    Spin,
    /// Sleeps all the way.
    Sleep,
}

/// Sleeping ends so long before the due moment, ns: a sleep on a virtual machine ends 36 to 86 us
/// late at its median and 150 to 340 us at its 99th percentile.
const STRETCH_NS: u64 = 400_000;

impl Pacing {
    /// How long to sleep when `left_ns` remain to a moment at which a request is `due`, or at which
    /// there is only something to look after.
    pub fn sleep_ns(self, left_ns: u64, due: bool) -> u64 {
        match self {
            Self::Sleep => left_ns,
            Self::Auto if due => left_ns.saturating_sub(STRETCH_NS),
            Self::Auto => left_ns,
            Self::Spin => 0,
        }
    }

    /// Whether waiting for due requests uses CPU time.
    pub fn spins(self) -> bool {
        self != Self::Sleep
    }

    /// What `auto` means for a worker that has, or has not, a core of its own.
    #[must_use]
    pub fn resolved(self, own_core: bool) -> Self {
        if self == Self::Auto && !own_core { Self::Sleep } else { self }
    }
}

/// A text that is no pacing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected `auto`, `spin` or `sleep`, found `{0}`")]
pub struct PacingError(String);

impl FromStr for Pacing {
    type Err = PacingError;

    fn from_str(text: &str) -> Result<Self, PacingError> {
        match text {
            "auto" => Ok(Self::Auto),
            "spin" => Ok(Self::Spin),
            "sleep" => Ok(Self::Sleep),
            other => Err(PacingError(other.into())),
        }
    }
}

impl fmt::Display for Pacing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Spin => "spin",
            Self::Sleep => "sleep",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_due_request_is_worth_spinning_for() {
        assert_eq!(Pacing::Auto.sleep_ns(1_000_000, true), 600_000);
        assert_eq!(Pacing::Auto.sleep_ns(300_000, true), 0);
        assert_eq!(Pacing::Auto.sleep_ns(300_000, false), 300_000);
        assert_eq!(Pacing::Sleep.sleep_ns(300_000, true), 300_000);
        assert_eq!(Pacing::Spin.sleep_ns(300_000, false), 0);
        assert_eq!(Pacing::Auto.resolved(false), Pacing::Sleep);
        assert_eq!(Pacing::Auto.resolved(true), Pacing::Auto);
        assert_eq!(Pacing::Spin.resolved(false), Pacing::Spin);
    }

    #[test]
    fn it_reads_what_it_prints() {
        for text in ["auto", "spin", "sleep"] {
            assert_eq!(text.parse::<Pacing>().unwrap().to_string(), text);
        }
        assert!("busy".parse::<Pacing>().is_err());
    }
}
