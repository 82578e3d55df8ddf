//! Loads that several processes carry, on one machine or many: agents with a share of a load each,
//! and a coordinator that starts them together and makes one record. NATS carries what they say.

mod agent;
mod bus;
mod clock;
mod collect;
mod coordinator;
mod gather;
mod kept;
mod launch;
mod message;
mod parcel;

use crate::error::Result;
use crate::journey::Script;

pub use agent::{AgentOptions, carry};
pub use collect::{Collected, collect};
pub use coordinator::{Outcome, Run, coordinate, some_name};
pub use launch::{Crew, Launched, Ssh};
pub use message::Orders;

/// The host and port of a target, as agents are allowed to load it.
pub fn place_of(script: &Script) -> String {
    agent::place_of(script)
}

/// Refuses a name of a run that the engine could not take.
///
/// # Errors
/// `Flag`.
pub fn check_run(run: &str) -> Result<()> {
    bus::check_run(run)
}
