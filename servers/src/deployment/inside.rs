//! The admin listener of a deployment: what its servers say of themselves, added up.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::app::App;
use crate::contract::{AdminStats, CONTRACT_VERSION, POPULATE_PATH};

/// How long a server may take to say something of itself.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);
/// Bytes of such an answer; it has a few hundred.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Where the servers tell about themselves, and whether they have one store.
pub(super) struct Inside {
    pub(super) started: Instant,
    pub(super) admins: Vec<SocketAddr>,
    pub(super) shares_store: bool,
    pub(super) populates: bool,
}

pub(super) fn app(inside: Inside) -> App {
    let mut router = Router::new()
        .route("/stats", get(stats))
        .fallback(async || (StatusCode::NOT_FOUND, r#"{"error":"not_found"}"#));
    if inside.populates {
        router = router.route(POPULATE_PATH, post(populate));
    }
    App::new(router.with_state(Arc::new(inside)))
}

/// A 503 where one of them does not answer: a sum without it would be that of another deployment.
async fn stats(State(inside): State<Arc<Inside>>) -> Response {
    let mut all = Vec::new();
    for admin in &inside.admins {
        let asked = timeout(ANSWER_WITHIN, stats_of(*admin)).await;
        let Ok(Ok(stats)) = asked else {
            return (StatusCode::SERVICE_UNAVAILABLE, r#"{"error":"a_server_is_gone"}"#)
                .into_response();
        };
        all.push(stats);
    }
    let uptime_ms = u64::try_from(inside.started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Json(AdminStats { uptime_ms, ..sum(&all, inside.shares_store) }).into_response()
}

async fn stats_of(admin: SocketAddr) -> Result<AdminStats, String> {
    let answer = ask(admin, Method::GET, "/stats", Bytes::new()).await?;
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
    let body = body.map_err(|error| error.to_string())?.to_bytes();
    serde_json::from_slice(&body).map_err(|error| error.to_string())
}

/// The first server logs everybody in: what it shares with the others makes them known there.
async fn populate(State(inside): State<Arc<Inside>>, users: Bytes) -> Response {
    let Some(first) = inside.admins.first() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    match ask(*first, Method::POST, POPULATE_PATH, users).await {
        Ok(answer) => answer.map(Body::new),
        Err(found) => (StatusCode::SERVICE_UNAVAILABLE, found).into_response(),
    }
}

async fn ask(
    admin: SocketAddr,
    method: Method,
    path: &str,
    body: Bytes,
) -> Result<http::Response<Incoming>, String> {
    let words = |error: &dyn std::error::Error| error.to_string();
    let stream = TcpStream::connect(admin).await.map_err(|e| words(&e))?;
    let handshake = http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|e| words(&e))?;
    // It ends with its sender, or with the server.
    tokio::spawn(async move { drop(connection.await) });
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, admin.to_string())
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(body))
        .map_err(|e| words(&e))?;
    sender.send_request(request).await.map_err(|e| words(&e))
}

/// What several servers come to. Of a store that they share each tells the same size, and what it
/// has done itself.
fn sum(all: &[AdminStats], shares_store: bool) -> AdminStats {
    let total = |part: fn(&AdminStats) -> Option<u64>| {
        all.iter().map(part).try_fold(0_u64, |sum, part| Some(sum + part?))
    };
    let size = |part: fn(&AdminStats) -> Option<u64>| {
        if shares_store { all.iter().find_map(part) } else { total(part) }
    };
    AdminStats {
        authbench: CONTRACT_VERSION,
        uptime_ms: 0,
        live_sessions: size(|stats| stats.live_sessions),
        store_operations: total(|stats| stats.store_operations),
        swept_sessions: total(|stats| stats.swept_sessions),
        store_used_bytes: size(|stats| stats.store_used_bytes),
        store_disk_bytes: size(|stats| stats.store_disk_bytes),
        store_writes: total(|stats| stats.store_writes),
        store_lag_us: all.iter().filter_map(|stats| stats.store_lag_us).max(),
        allocated_bytes: total(|stats| stats.allocated_bytes),
        active_bytes: total(|stats| stats.active_bytes),
        resident_bytes: total(|stats| stats.resident_bytes),
        panics: all.iter().map(|stats| stats.panics).sum(),
        connections: all.iter().map(|stats| stats.connections).sum(),
        accept_errors: all.iter().map(|stats| stats.accept_errors).sum(),
        wire_requests: total(|stats| stats.wire_requests),
        wire_read_bytes: total(|stats| stats.wire_read_bytes),
        wire_written_bytes: total(|stats| stats.wire_written_bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_a_shared_store_are_counted_once_and_everything_else_is_added() {
        let one = AdminStats {
            live_sessions: Some(10),
            store_operations: Some(7),
            allocated_bytes: Some(100),
            connections: 3,
            ..AdminStats::default()
        };
        let two = [one.clone(), one];
        let (shared, apart) = (sum(&two, true), sum(&two, false));
        assert_eq!((shared.live_sessions, apart.live_sessions), (Some(10), Some(20)));
        for stats in [shared, apart] {
            assert_eq!((stats.store_operations, stats.allocated_bytes), (Some(14), Some(200)));
            assert_eq!((stats.connections, stats.store_used_bytes), (6, None));
        }
    }
}
