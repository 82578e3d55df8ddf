//! The closed model: each user waits for the answer, thinks, and asks again.
//!
//! Throughput and latency are tied to each other here (N = X * (R + Z), Little's law), so a closed
//! run shows what a fixed population gets, not what a rate does to the server.

use serde::{Deserialize, Serialize};

/// A fixed population.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// Time between an answer and the user's next request, ns. With 0, as many users are active as
    /// there are connections, and each takes the next user's credential in turn.
    pub think_ns: u64,
}
