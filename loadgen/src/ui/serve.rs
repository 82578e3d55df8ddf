//! The server: a thread, a few connections at a time, and nothing that outlives the campaign.

use std::convert::Infallible;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;

use super::answer::answer;
use super::state::Shared;
use crate::error::{Error, Result};

/// Connections at a time; a browser opens about six.
const CONNECTIONS_MAX: usize = 16;
/// The longest that a request's head may take.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// How long readers have for the last report once the campaign is over.
const LINGER: Duration = Duration::from_secs(2);
/// Random bytes in the path.
const TOKEN_BYTES: usize = 16;

/// A socket that listens, and its port.
pub(super) struct Listener {
    socket: TcpListener,
    pub(super) port: u16,
}

/// A socket on a free port of the loopback interface, and a path that cannot be guessed.
pub(super) fn listen() -> Result<(Listener, String)> {
    let failed = |e| Error::io("cannot be listened on", Path::new("127.0.0.1"), e);
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
    socket.set_nonblocking(true).map_err(failed)?;
    let port = socket.local_addr().map_err(failed)?.port();
    let mut token = [0; TOKEN_BYTES];
    rand::fill(&mut token).map_err(|_| failed(std::io::Error::other("no random numbers")))?;
    Ok((Listener { socket, port }, URL_SAFE_NO_PAD.encode(token)))
}

/// Serves until the campaign is over.
pub(super) fn spawn(listener: Listener, shared: Arc<Shared>) -> Result<JoinHandle<()>> {
    let failed = |e| Error::io("cannot be started", Path::new("the thread of the page"), e);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(failed)?;
    let serve = move || runtime.block_on(serve(listener.socket, shared));
    std::thread::Builder::new().name("ui".into()).spawn(serve).map_err(failed)
}

async fn serve(socket: TcpListener, shared: Arc<Shared>) {
    let Ok(socket) = tokio::net::TcpListener::from_std(socket) else { return };
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut states = shared.states.subscribe();
    let over = async {
        let _ = states.wait_for(|state| state.over.is_some()).await;
        let is_read = slots.available_permits() < CONNECTIONS_MAX - 1;
        if is_read {
            tokio::time::sleep(LINGER).await;
        }
    };
    tokio::select! {
        () = accept(socket, &shared, &slots) => {}
        () = over => {}
    }
}

async fn accept(socket: tokio::net::TcpListener, shared: &Arc<Shared>, slots: &Arc<Semaphore>) {
    while let Ok(slot) = Arc::clone(slots).acquire_owned().await {
        let Ok((stream, _)) = socket.accept().await else {
            // Most likely no descriptor is free: the campaign needs them more.
            tokio::time::sleep(Duration::from_secs(1)).await;
            continue;
        };
        let shared = Arc::clone(shared);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let answer = answer(&request, &shared);
                async move { Ok::<_, Infallible>(answer) }
            });
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN);
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
            drop(slot);
        });
    }
}
