//! The accept loop: connections in, requests to the app, and an orderly end.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::{self, Read as _, Write as _};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::{Id, JoinSet};
use tokio::time::{sleep, timeout};

use super::limits::Limits;
use super::strict;
use super::wire::Speaker;
use crate::app::App;

/// Pause after an accept that failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
/// The answer to a connection beyond the limit.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\n\
    Content-Type: application/json\r\nCache-Control: no-store\r\nContent-Length: 23\r\n\r\n\
    {\"error\":\"unavailable\"}";

/// What a listener counts, once per connection.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    /// Connections that are open.
    pub(crate) connections: AtomicU64,
    /// Accepts that failed for want of descriptors or memory.
    pub(crate) accept_errors: AtomicU64,
}

/// Accepts until the sender of `stopped` is dropped, then lets open requests finish for `drain`.
/// Connections speak plain HTTP/1.1 unless there is a `speaker`.
///
/// `axum::serve` sets no header timeout and no TCP_NODELAY, sleeps a second when descriptors run
/// out, and polls a shared signal with every request. Here each connection has a stop signal of its
/// own, so that connections share nothing but the app. Only what happens once per connection may be
/// counted in this file, never what happens once per request.
pub(crate) async fn run(
    listener: TcpListener,
    app: App,
    limits: Limits,
    speaker: Option<Speaker>,
    gauges: Arc<Gauges>,
    mut stopped: watch::Receiver<()>,
) {
    let http = limits.http1();
    let mut connections: JoinSet<()> = JoinSet::new();
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
                    // One that has ended is no longer open, whether or not it was joined above.
                    while connections.len() >= limits.connections
                        && let Some(ended) = connections.try_join_next_with_id()
                    {
                        stops.remove(&ended.map_or_else(|error| error.id(), |(id, ())| id));
                    }
                    if connections.len() >= limits.connections {
                        turn_away(stream);
                        continue;
                    }
                    bound(&stream, limits.write_stall);
                    let (stop, stopping) = oneshot::channel();
                    let app = app.clone();
                    let task = match speaker.clone() {
                        None => connections.spawn(connection(stream, app, http.clone(), stopping)),
                        Some(speaker) => connections.spawn(speaker.serve(stream, app, stopping)),
                    };
                    stops.insert(task.id(), stop);
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

/// Tells a client that there is no room, as far as that takes no waiting.
fn turn_away(stream: TcpStream) {
    let Ok(mut stream) = stream.into_std() else { return };
    // A client that cannot be told is closed anyway. What has come already is read, because a
    // close with unread bytes is a reset, which can overtake the answer.
    let _ = stream.write(FULL);
    let _ = stream.read(&mut [0; 4096]);
}

/// Sets what the kernel does for a connection, so that no request pays for it: if the socket
/// cannot be told, its connection is gone and serving it will find out.
fn bound(stream: &TcpStream, write_stall: Duration) {
    // A small answer must not wait for the acknowledgement of the one before.
    drop(stream.set_nodelay(true));
    // A client that takes no byte for so long is cut off; each byte that it takes begins the time
    // anew (tcp(7), TCP_USER_TIMEOUT).
    let millis = u32::try_from(write_stall.as_millis()).unwrap_or(u32::MAX);
    let _ = set_tcp_user_timeout(stream, millis);
}

/// Serves one connection until it ends, or until it is idle after `stopping`'s sender is dropped.
async fn connection(
    stream: TcpStream,
    app: App,
    http: http1::Builder,
    stopping: oneshot::Receiver<()>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let app = app.clone();
        async move {
            Ok::<_, Infallible>(match strict::refusal(&request) {
                None => app.call(request.map(strict::without_box)).await,
                Some(refusal) => refusal,
            })
        }
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
