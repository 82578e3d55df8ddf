//! Which settings an arm has. A setting that an arm does not have would be ignored in silence, and
//! a variant with it would be the same server under another name.

use super::scheme::ArmInfo;
use super::session;
use crate::stores::{self, relay};

/// A setting that some arms do not have.
struct Knob {
    /// Its flag of `authbench serve`, without the dashes.
    flag: &'static str,
    /// What an arm without it lacks, as in "`none` has no key".
    part: &'static str,
    /// Whether an arm has it.
    has: fn(&ArmInfo) -> bool,
}

const KNOBS: &[Knob] = &[
    Knob { flag: "ttl", part: "credential that expires", has: |info| info.authenticates },
    Knob { flag: "access-ttl", part: "refresh token", has: |info| info.refreshes },
    Knob { flag: "idle", part: "idle timeout", has: has_sessions },
    Knob { flag: "touch", part: "idle timeout", has: has_sessions },
    Knob { flag: "leeway", part: "signed or sealed token", has: has_key },
    Knob { flag: "insecure-cookie", part: "cookie", has: has_cookie },
    Knob { flag: "key-file", part: "key", has: has_key },
    Knob { flag: "previous-key-file", part: "key", has: has_key },
    Knob {
        flag: "store-delay",
        part: "store in Redis or PostgreSQL",
        has: |info| info.store.is_some_and(relay::can_reach),
    },
    Knob {
        flag: "store-timeout",
        part: "store that can hang",
        has: |info| info.store.and_then(stores::place).is_some(),
    },
    Knob {
        flag: "cache-ttl",
        part: "cache of sessions",
        has: |info| info.scheme == "session-cached",
    },
    Knob {
        flag: "sweep-every",
        part: "store to sweep",
        has: |info| info.store.is_some() && info.scheme != "jwt-jwks",
    },
];

/// What the arm lacks to have this flag of `authbench serve`, such as `idle timeout`; `None` where
/// it has it.
#[must_use]
pub fn lacking(info: &ArmInfo, flag: &str) -> Option<&'static str> {
    let knob = KNOBS.iter().find(|knob| knob.flag == flag)?;
    (!(knob.has)(info)).then_some(knob.part)
}

fn has_sessions(info: &ArmInfo) -> bool {
    session::SCHEMES.contains(&info.scheme)
}

/// The token within a session of `bff` is signed too.
fn has_key(info: &ArmInfo) -> bool {
    info.authenticates && (!has_sessions(info) || info.scheme == "bff")
}

fn has_cookie(info: &ArmInfo) -> bool {
    ["session", "session-cached", "bff", "cookie-sealed"].contains(&info.scheme)
}
