//! Processes: the server under test as a child, what it uses, where it runs, and on what machine.
//!
//! A server is a child of this very executable (`authbench serve ARM`), so nothing has to be found
//! on disk. It is measured from outside, through `/proc` and sysinfo; only what the outside cannot
//! see (allocated bytes, live sessions) is asked of its admin listener, and never while a load is
//! measured. Linux is assumed: without `/proc` there is no memory or CPU figure to report.

mod arrival_log;
mod child;
mod fleet;
mod host;
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
pub use limits::allow_connections;
pub use null_server::NullServer;
pub use placement::{pin, place, placed, require_cores};
pub use usage::{
    FamilyCpu, Steal, Watch, cpu_and_wait_ns, family_cpu_ns, family_pss_bytes, memory,
};
pub use wrk::{Wrk, WrkLoad};
