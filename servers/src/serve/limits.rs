//! What bounds the connections of a listener.

use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use rustix::process::{Resource, getrlimit};

/// Most bytes of a request head, from its first byte to the empty line at its end; one more is a
/// 431. The longest token with a full cart has 12 kB.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Most connections unless told otherwise, where the limit of open files allows as many.
const CONNECTIONS_MAX: usize = 100_000;
/// Descriptors for everything that is not a public connection: listeners, stores, the admin's
/// connections.
const OTHER_DESCRIPTORS: u64 = 64;

/// Limits of a listener.
///
/// What strangers can make the server hold is bounded: connections by [`Limits::connections`], a
/// head that never ends by [`HEAD_BYTES_MAX`] and a timeout, an answer that is never read by
/// [`Limits::write_stall`]. Half-sent heads hold at most 16 KiB per connection: 1.6 GB where all
/// 100,000 connections of the default limit send one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) header_read_timeout: Duration,
    /// How long a client may take no byte of an answer that waits for it.
    pub(crate) write_stall: Duration,
    /// Connections that may be open.
    pub(crate) connections: usize,
    pub(crate) drain: Duration,
}

impl Limits {
    /// HTTP/1.1 within these limits.
    pub(crate) fn http1(&self) -> http1::Builder {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.header_read_timeout)
            .max_header_size(HEAD_BYTES_MAX)
            .max_buf_size(HEAD_BYTES_MAX);
        http
    }
}

/// Most connections that the limit of open files leaves room for.
pub(crate) fn connections_allowed() -> usize {
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(descriptors.saturating_sub(OTHER_DESCRIPTORS)).unwrap_or(usize::MAX)
}

/// Connections that may be open unless told otherwise.
pub(crate) fn connections_default() -> usize {
    connections_allowed().clamp(1, CONNECTIONS_MAX)
}
