//! The admin listener: what the inside of the server looks like, as JSON.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use tikv_jemalloc_ctl::stats;

use super::accept::Gauges;
use super::populate;
use super::wire::Wire;
use crate::allocator;
use crate::app::{App, Populate};
use crate::contract::{AdminStats, CONTRACT_VERSION, POPULATE_PATH};
use crate::stores::Upkeep;

/// What the statistics are taken from.
///
/// `GET /stats` answers with [`AdminStats`], `GET /healthz` says that the server is up, and where
/// the server was started for it `POST /populate` logs users in (`populate`). It is a router of its
/// own on a listener of its own: nothing of it can be reached by way of the public one.
pub(super) struct Inside {
    pub(super) started: Instant,
    pub(super) app: App,
    pub(super) upkeep: Option<Arc<dyn Upkeep>>,
    pub(super) gauges: Arc<Gauges>,
    /// What passed the public sockets, where it is counted.
    pub(super) wire: Option<Arc<Wire>>,
    pub(super) on_jemalloc: bool,
    /// What logs users in without a password, where the server was started for it.
    pub(super) populate: Option<Arc<dyn Populate>>,
}

pub(super) fn app(inside: Inside) -> App {
    let mut router = Router::new()
        .route("/stats", get(answer_stats))
        .route("/healthz", get(async || Json(serde_json::json!({ "ready": true }))))
        .fallback(async || (StatusCode::NOT_FOUND, r#"{"error":"not_found"}"#));
    if let Some(populate) = inside.populate.clone() {
        let answer = async move |Json(users)| populate::answer(populate, users);
        router = router.route(POPULATE_PATH, post(answer));
    }
    App::new(router.with_state(Arc::new(inside)))
}

async fn answer_stats(State(inside): State<Arc<Inside>>) -> Json<AdminStats> {
    let uptime = inside.started.elapsed().as_millis();
    let mut answer = AdminStats {
        authbench: CONTRACT_VERSION,
        uptime_ms: u64::try_from(uptime).unwrap_or(u64::MAX),
        panics: inside.app.panics(),
        connections: inside.gauges.connections.load(Ordering::Relaxed),
        accept_errors: inside.gauges.accept_errors.load(Ordering::Relaxed),
        wire_requests: inside.wire.as_ref().map(|wire| wire.requests.load(Ordering::Relaxed)),
        wire_read_bytes: inside.wire.as_ref().map(|wire| wire.read.load(Ordering::Relaxed)),
        wire_written_bytes: inside.wire.as_ref().map(|wire| wire.written.load(Ordering::Relaxed)),
        ..AdminStats::default()
    };
    if let Some(store) = &inside.upkeep
        && let Ok(store) = store.stats().await
    {
        answer.live_sessions = Some(store.sessions);
        answer.store_operations = Some(store.operations);
        answer.swept_sessions = Some(store.swept);
        answer.store_used_bytes = store.used_bytes;
        answer.store_disk_bytes = store.disk_bytes;
        answer.store_writes = store.writes;
    }
    let lag = inside.upkeep.as_ref().and_then(|store| store.lag());
    answer.store_lag_us = lag.map(|lag| u64::try_from(lag.as_micros()).unwrap_or(u64::MAX));
    if inside.on_jemalloc
        && let Some(bytes) = allocator::allocated()
    {
        answer.allocated_bytes = Some(bytes);
        answer.active_bytes = stats::active::read().ok().map(|bytes| bytes as u64);
        answer.resident_bytes = stats::resident::read().ok().map(|bytes| bytes as u64);
    }
    Json(answer)
}
