//! The accept loop: connections in, requests to the app, and an orderly end.
//!
//! It exists because `axum::serve` sets no header timeout and no TCP_NODELAY, sleeps a second when
//! descriptors run out, and polls a shared signal with every request. Here each connection has a
//! stop signal of its own, so that connections share nothing but the app. Only what happens once a
//! connection may be counted in this file, never what happens once a request.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use http::Request;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::{Id, JoinSet};
use tokio::time::{sleep, timeout};

use crate::app::App;

/// Most bytes of a request head; more is a 431. Above hyper's limit for a URI, which is a 414.
const HEAD_BYTES_MAX: usize = 128 * 1024;
/// Pause after an accept that failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Limits of a listener.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) header_read_timeout: Duration,
    pub(super) drain: Duration,
}

/// What a listener counts, once a connection.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    /// Connections that are open.
    pub(super) connections: AtomicU64,
    /// Accepts that failed for want of descriptors or memory.
    pub(super) accept_errors: AtomicU64,
}

/// Accepts until the sender of `stopped` is dropped, then lets open requests finish for `drain`.
pub(super) async fn run(
    listener: TcpListener,
    app: App,
    limits: Limits,
    gauges: Arc<Gauges>,
    mut stopped: watch::Receiver<()>,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.header_read_timeout)
        .max_buf_size(HEAD_BYTES_MAX);
    let mut connections = JoinSet::new();
    let mut stops: HashMap<Id, oneshot::Sender<()>> = HashMap::new();
    loop {
        tokio::select! {
            _ = stopped.changed() => break,
            Some(ended) = connections.join_next_with_id() => {
                let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
                stops.remove(&id);
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let (stop, stopping) = oneshot::channel();
                    let connection = connection(stream, app.clone(), http.clone(), stopping);
                    stops.insert(connections.spawn(connection).id(), stop);
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(_) => {
                    gauges.accept_errors.fetch_add(1, Ordering::Relaxed);
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
        gauges.connections.store(connections.len() as u64, Ordering::Relaxed);
    }
    drop(listener);
    drop(stops);
    let finish = async { while connections.join_next().await.is_some() {} };
    if timeout(limits.drain, finish).await.is_err() {
        connections.shutdown().await;
    }
    gauges.connections.store(0, Ordering::Relaxed);
}

/// Whether accepting failed because of the client, so that the next accept may well succeed.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

/// Serves one connection until it ends, or until it is idle after `stopping`'s sender is dropped.
async fn connection(
    stream: TcpStream,
    app: App,
    http: http1::Builder,
    stopping: oneshot::Receiver<()>,
) {
    // A small answer must not wait for the acknowledgement of the one before. If the socket cannot
    // be told, its connection is gone and serving it will find out.
    drop(stream.set_nodelay(true));
    let service = service_fn(move |request: Request<Incoming>| {
        let app = app.clone();
        async move { Ok::<_, Infallible>(app.call(request.map(without_box)).await) }
    });
    let mut serving = pin!(http.serve_connection(TokioIo::new(stream), service));
    // How a connection ends, by an error or not, is the client's affair: there is no one to tell.
    tokio::select! {
        biased;
        _ = serving.as_mut() => {}
        _ = stopping => {
            serving.as_mut().graceful_shutdown();
            drop(serving.await);
        }
    }
}

/// The body for axum, which keeps one in a box: most requests have none, and get an empty one.
fn without_box(body: Incoming) -> Body {
    if body.is_end_stream() { Body::empty() } else { Body::new(body) }
}
