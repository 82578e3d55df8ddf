//! Processes: the server under test as a child of this executable, what it uses, read from outside
//! through `/proc`, where it runs, and on what machine. Linux is assumed: without `/proc` there is
//! no figure of memory or CPU time to report.

mod arrival_log;
mod child;
mod fleet;
mod host;
mod identity;
mod limits;
mod null_server;
mod placement;
mod process;
mod usage;
mod wrk;

pub use arrival_log::{Arrival, ArrivalLog};
pub use child::{Server, ServerOptions};
pub use fleet::{Fleet, HungStore, Kept};
pub use host::{counts_instructions, describe, perf_event_paranoid, usable_cores};
pub use identity::{Identity, identity, incarnation};
pub use limits::allow_connections;
pub use null_server::NullServer;
pub use placement::{pin, place, placed, require_cores};
pub use usage::{
    FamilyCpu, Steal, Watch, cpu_and_wait_ns, descriptors, family_cpu_ns, family_pss_bytes, memory,
    memory_of_all, threads,
};
pub use wrk::{Wrk, WrkLoad};
