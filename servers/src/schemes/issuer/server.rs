//! The endpoints of an issuer.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderName, StatusCode};
use parking_lot::RwLock;
use serde::Serialize;
use tokio::net::TcpListener;

use super::link::basic;
use super::settings::Settings;
use super::signing::Signing;
use super::wire::{
    Active, Asked, Count, Holdings, Introspection, Moments, NewFacts, ReadClaims, ReadToken,
    ReadUpdate,
};
use crate::allocator;
use crate::clock::{Clock, Timestamp};
use crate::error::ServeError;
use crate::json;
use crate::schemes::carrier::{AsBearer, Carrier as _};
use crate::stores::memory::MemoryStore;
use crate::stores::{SessionId, SessionStore as _, is_live};

/// The name of the one client.
pub(super) const CLIENT: &str = "server";

/// Whether an issuer has a process to itself, whose memory is then its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Memory {
    Own,
    Shared,
}

/// What the endpoints share.
///
/// Keys are public; everything else is for the one client, which shows its secret (RFC 7662, 2.1).
/// Opaque tokens lie in a [`MemoryStore`], under a digest, so that a copy of the issuer's memory is
/// no bunch of tokens. The client says when it asks and after how long without use a token ends,
/// so that an arm has one clock and one policy, wherever it is asked; both are parameters in
/// addition to those of the standard, which allows that.
pub(super) struct Issuer {
    authorization: String,
    signing: Option<RwLock<Signing>>,
    tokens: MemoryStore,
    clock: Clock,
    counts_memory: bool,
    /// How often the keys were asked for.
    published: AtomicU64,
}

impl Issuer {
    pub(super) fn new(
        settings: Settings,
        clock: Clock,
        memory: Memory,
    ) -> Result<Self, ServeError> {
        let signing = Signing::new(settings.keys, clock.clone())?.map(RwLock::new);
        Ok(Self {
            authorization: basic(&format!("{CLIENT}:{}", settings.secret)),
            signing,
            tokens: MemoryStore::new(None),
            clock,
            counts_memory: memory == Memory::Own && allocator::runs_on_jemalloc(),
            published: AtomicU64::new(0),
        })
    }

    /// Has a new key sign from now on.
    fn rotate(&self) -> Result<(), ServeError> {
        let Some(signing) = &self.signing else { return Ok(()) };
        let next = signing.read().rotated()?;
        *signing.write() = next;
        Ok(())
    }

    /// How often the keys were asked for.
    pub(super) fn published(&self) -> u64 {
        self.published.load(Ordering::Relaxed)
    }

    /// Answers until `stop` completes.
    pub(super) async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send,
    ) {
        // What is written at once must leave at once; a connection that refuses that is slow.
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        let router = routes(self);
        tokio::select! {
            // It ends only where the listener does.
            _ = async { axum::serve(listener, router).await } => {}
            () = stop => {}
        }
    }
}

/// Serves as the settings in this file say, for ever.
///
/// # Errors
/// [`ServeError::Option`] where it holds something else, [`ServeError::Listen`] where its port is
/// taken.
pub async fn run(settings: &[u8]) -> Result<(), ServeError> {
    // Nothing of what was found: it may be a key.
    let settings: Settings = json::object(settings).ok_or_else(|| ServeError::Option {
        option: "the file of an issuer",
        expected: "one that a server has written for it",
        found: "something else".into(),
    })?;
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], settings.port));
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|source| ServeError::Listen { address, source })?;
    let issuer = Issuer::new(settings, Clock::System, Memory::Own)?;
    Arc::new(issuer).serve(listener, std::future::pending()).await;
    Ok(())
}

fn routes(issuer: Arc<Issuer>) -> Router {
    Router::new()
        .route("/healthz", get(async || StatusCode::OK))
        .route("/jwks.json", get(publish))
        .route("/rotate", post(rotate))
        .route("/token", post(sign))
        .route("/introspect", post(introspect))
        .route("/revoke", post(revoke))
        .route("/tokens", post(create))
        .route("/tokens/update", post(update))
        .route("/tokens/revoke-all", post(revoke_all))
        .route("/tokens/sweep", post(sweep))
        .route("/tokens/count", get(count))
        .with_state(issuer)
}

type Shared = State<Arc<Issuer>>;
type Refused = (StatusCode, [(HeaderName, &'static str); 1]);

/// A request of the one client.
struct Known;

impl FromRequestParts<Arc<Issuer>> for Known {
    type Rejection = Refused;

    async fn from_request_parts(
        parts: &mut Parts,
        issuer: &Arc<Issuer>,
    ) -> Result<Self, Self::Rejection> {
        let shown = parts.headers.get(AUTHORIZATION).map_or(&b""[..], |value| value.as_bytes());
        match verify_slices_are_equal(shown, issuer.authorization.as_bytes()) {
            Ok(()) => Ok(Self),
            Err(_) => {
                Err((StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Basic realm=\"issuer\"")]))
            }
        }
    }
}

fn answer(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(text) => {
            let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
            (headers, text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn counted(count: u64) -> Response {
    answer(&Count { count })
}

fn bad() -> Response {
    StatusCode::BAD_REQUEST.into_response()
}

async fn publish(State(issuer): Shared) -> Response {
    let Some(signing) = &issuer.signing else { return StatusCode::NOT_FOUND.into_response() };
    issuer.published.fetch_add(1, Ordering::Relaxed);
    let headers = [(CONTENT_TYPE, "application/jwk-set+json"), (CACHE_CONTROL, "max-age=300")];
    (headers, signing.read().published().to_owned()).into_response()
}

async fn rotate(_: Known, State(issuer): Shared) -> Response {
    match issuer.rotate() {
        Ok(()) => counted(1),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// What the client vouches for becomes a token.
async fn sign(_: Known, State(issuer): Shared, body: Bytes) -> Response {
    let Some(signing) = &issuer.signing else { return StatusCode::NOT_FOUND.into_response() };
    let Some(claims) = json::object::<ReadClaims<'_>>(&body) else { return bad() };
    let Some(data) = claims.facts.data() else { return bad() };
    match signing.read().sign(data.user, &data.cart, claims.exp) {
        Ok(token) => answer(&serde_json::json!({
            "access_token": token.access_token,
            "token_type": "Bearer",
            "expires_in": token.expires_in,
        })),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// The value of a parameter in a form, decoded; `None` where it is missing, doubled or no text.
fn parameter(form: &[u8], name: &str) -> Option<String> {
    let of_name = |pair: &&[u8]| {
        pair.strip_prefix(name.as_bytes()).is_some_and(|rest| matches!(rest, [] | [b'=', ..]))
    };
    let mut pairs = form.split(|&byte| byte == b'&').filter(of_name);
    let (pair, None) = (pairs.next()?, pairs.next()) else { return None };
    let mut value = Vec::with_capacity(pair.len());
    let mut rest = pair.get(name.len() + 1..)?;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        value.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = str::from_utf8(rest.get(..2)?).ok()?;
                rest = &rest[2..];
                u8::from_str_radix(digits, 16).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(value).ok()
}

/// The number of a parameter; `None` where it is missing or no number.
fn number(form: &[u8], name: &str) -> Option<u64> {
    parameter(form, name)?.parse().ok()
}

/// The key of the store for this token; `None` where it is not one in form.
fn stored(token: &str) -> Option<SessionId> {
    SessionId::parse(token.as_bytes()).map(AsBearer::stored)
}

impl Asked {
    fn now(self) -> Timestamp {
        Timestamp::from_millis(self.now_ms)
    }

    fn idle(self) -> Option<Duration> {
        self.idle_ms.map(Duration::from_millis)
    }
}

/// RFC 7662. `touch` has the use of the token noted.
async fn introspect(_: Known, State(issuer): Shared, form: Bytes) -> Response {
    let Some(token) = parameter(&form, "token") else { return bad() };
    let now_ms = number(&form, "now_ms").unwrap_or_else(|| issuer.clock.now().millis());
    let asked = Asked { now_ms, idle_ms: number(&form, "idle_ms") };
    let mut found = match stored(&token) {
        Some(id) => issuer.live(id, asked).await.map(|session| (id, session)),
        None => None,
    };
    if let Some((id, session)) = &mut found
        && parameter(&form, "touch").is_some()
        && let Ok(Some(touched)) = issuer.tokens.read_and_touch(*id, asked.now()).await
    {
        *session = touched;
    }
    let active = found.as_ref().map(|(_, session)| Active {
        token_type: "Bearer",
        facts: NewFacts::of(&session.data),
        iat: session.created.seconds(),
        exp: session.expires.seconds(),
        moments: Moments::of(session),
    });
    answer(&Introspection { active: active.is_some(), token: active })
}

/// RFC 7009, and whether there was such a token.
async fn revoke(_: Known, State(issuer): Shared, form: Bytes) -> Response {
    let Some(token) = parameter(&form, "token") else { return bad() };
    let Some(id) = stored(&token) else { return counted(0) };
    counted(issuer.tokens.delete(id).await.is_ok_and(|was| was).into())
}

async fn create(_: Known, State(issuer): Shared, body: Bytes) -> Response {
    let Some(new) = json::object::<ReadToken<'_>>(&body) else { return bad() };
    let (Some(id), Some(data)) = (stored(&new.token), new.facts.data()) else { return bad() };
    let session = new.moments.session(data);
    counted(issuer.tokens.create(id, session).await.is_ok_and(|was| was).into())
}

async fn update(_: Known, State(issuer): Shared, body: Bytes) -> Response {
    let Some(new) = json::object::<ReadUpdate<'_>>(&body) else { return bad() };
    let (Some(id), Some(data)) = (stored(&new.token), new.facts.data()) else { return bad() };
    if issuer.live(id, new.asked).await.is_none() {
        return counted(0);
    }
    let now = new.asked.now();
    counted(issuer.tokens.update(id, data, now).await.is_ok_and(|was| was).into())
}

async fn revoke_all(_: Known, State(issuer): Shared, form: Bytes) -> Response {
    let user = parameter(&form, "sub");
    let user = user.and_then(|user| crate::users::UserId::parse(user.as_bytes()));
    let Some(user) = user else { return bad() };
    counted(issuer.tokens.delete_all_of_user(user).await.unwrap_or_default())
}

async fn sweep(_: Known, State(issuer): Shared, body: Bytes) -> Response {
    let Some(asked) = json::object::<Asked>(&body) else { return bad() };
    counted(issuer.tokens.sweep_under(asked.idle(), asked.now()).await)
}

async fn count(_: Known, State(issuer): Shared) -> Response {
    let Ok(stats) = issuer.tokens.stats().await else { return bad() };
    let used_bytes = if issuer.counts_memory { allocator::allocated() } else { None };
    answer(&Holdings { tokens: stats.sessions, swept: stats.swept, used_bytes })
}

impl Issuer {
    /// The live token of this id, whatever its client takes for too long without use.
    async fn live(&self, id: SessionId, asked: Asked) -> Option<crate::stores::Session> {
        let session = self.tokens.read(id, asked.now()).await.ok()??;
        let live = is_live(session.expires, session.last_seen, asked.idle(), asked.now());
        live.then_some(session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_decoded_and_stands_alone() {
        let form = b"token=a%2Db+c&token_type_hint=access_token&empty=&now_ms=17";
        assert_eq!(parameter(form, "token").as_deref(), Some("a-b c"));
        assert_eq!(parameter(form, "empty").as_deref(), Some(""));
        assert_eq!(number(form, "now_ms"), Some(17));
        assert_eq!(parameter(form, "tok"), None);
        for form in [&b"token=a&token=b"[..], b"token", b"token=%", b"token=%4", b"token=%zz", b""]
        {
            assert_eq!(parameter(form, "token"), None, "{form:?}");
        }
    }
}
