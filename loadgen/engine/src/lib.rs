//! Runs a load: workers on threads of their own, phases with a gate between them, one merge. It
//! must never know which scheme it drives. [`Load`] is the front door.

mod beside;
mod core;
mod driver;
mod due;
mod ends;
pub mod error;
pub mod files;
mod front;
mod interleave;
pub mod journey;
pub mod limits;
pub mod load;
mod lost;
mod merge;
mod part;
pub mod plan;
mod reach;
pub mod record;
mod recorder;
mod renewals;
mod run;
#[cfg(any(test, feature = "scripted"))]
mod scripted;
mod setup;
pub mod transport;
mod users;
mod visits;
mod watch;
mod worker;

use stats::random;

pub use crate::transport::{Pacing, TransportKind, Trust};
pub use beside::{OpenConnections, connect, fill, grow, log_out};
pub use driver::{Among, Driver};
pub use ends::Ends;
pub use front::{Load, get};
pub use interleave::{Lane, Used, interleave};
pub use lost::planned_for;
pub use merge::Share;
pub use reach::Addresses;
pub use recorder::{Moments, Recorder};
pub use run::{load, share};
#[cfg(any(test, feature = "scripted"))]
pub use scripted::{answered, scripted};
pub use users::LoggedIn;
pub use watch::{Phase, Progress, Watcher};
