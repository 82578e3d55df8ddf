//! Runs a load: workers on threads of their own, phases with a gate between them, one merge. It
//! must never know which scheme it drives.

mod beside;
mod core;
mod driver;
mod ends;
mod interleave;
mod load;
mod merge;
mod part;
mod recorder;
#[cfg(test)]
mod scripted;
mod setup;
mod users;
mod visits;
mod watch;
mod worker;

pub use crate::transport::{Pacing, TransportKind, Trust};
pub use beside::{OpenConnections, connect, fill, grow, log_out};
pub use driver::Driver;
pub use ends::Ends;
pub use interleave::{Lane, Used, interleave};
pub use load::load;
pub use recorder::{Moments, Recorder};
#[cfg(test)]
pub use scripted::scripted;
pub use users::LoggedIn;
pub use watch::{Phase, Progress, Watcher};
