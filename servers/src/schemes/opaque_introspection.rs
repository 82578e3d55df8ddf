//! `opaque-introspection@redis`: a bearer token that says nothing, looked up on every request.

use super::carrier::AsBearer;
use super::scheme::{ArmInfo, Form, SchemeOptions};
use super::session::Sessions;
use crate::error::ServeError;
use crate::stores::bounded::Bounded;
use crate::stores::redis::{RedisStore, Space};

/// The arm `opaque-introspection@redis`.
pub const REDIS: ArmInfo = ArmInfo {
    arm: "opaque-introspection@redis",
    scheme: "opaque-introspection",
    store: Some("redis"),
    summary: "A random bearer token, looked up in Redis on every request, without the hop to an \
              introspection endpoint.",
    authenticates: true,
    stateful: true,
    revokes: true,
    revokes_refresh: false,
    refreshes: false,
    form: Form::Tuned,
    after_restart: "Tokens stay valid with `--store-url redis://...`; a Redis that was started for \
                    the run is gone with them.",
};

/// Opens the arm, over the Redis of the URL or one that is started for it.
///
/// A resource server that gets such a token has to ask what it stands for (RFC 7662). Here it asks
/// the store itself, which is the least that asking can cost: an authorization server between the
/// two adds a hop and what it does. Everything else is a session, down to the code.
///
/// # Errors
/// See [`RedisStore::open`].
pub async fn open_redis(
    options: &SchemeOptions,
) -> Result<Sessions<Bounded<RedisStore>, AsBearer>, ServeError> {
    let (url, patience) = (options.store_url.as_deref(), options.patience);
    let store = RedisStore::open(Space::Opaque, url, options.idle, patience).await?;
    Ok(Sessions::carried(Bounded::new(store, patience), options))
}
