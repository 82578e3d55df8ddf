//! `session-cached@redis`: sessions in Redis, and what was just read of them in this server.

use super::scheme::{ArmInfo, Form, SchemeOptions};
use super::session::Sessions;
use crate::error::ServeError;
use crate::stores::bounded::Bounded;
use crate::stores::cached::Cached;
use crate::stores::redis::{RedisStore, Space};

/// The arm `session-cached@redis`.
pub const REDIS: ArmInfo = ArmInfo {
    arm: "session-cached@redis",
    scheme: "session-cached",
    store: Some("redis"),
    summary: "A random id in a cookie, the session in Redis, and behind a local cache that may be \
              1 s old (`--cache-ttl`).",
    authenticates: true,
    stateful: true,
    revokes: true,
    revokes_refresh: false,
    refreshes: false,
    form: Form::Tuned,
    after_restart: "Everyone stays logged in with `--store-url redis://...`; a Redis that was \
                    started for the run is gone with its sessions.",
};

/// Opens the arm, over the Redis of the URL or one that is started for it.
///
/// The usual hybrid: most requests of a busy user cost no round trip, and a session that was ended
/// at another server is still good here for as long as the cache may be behind. That span is
/// stated, and it is the price: `revokes` is true of this arm with that delay and no longer one.
///
/// # Errors
/// See [`RedisStore::open`].
pub async fn open_redis(
    options: &SchemeOptions,
) -> Result<Sessions<Cached<Bounded<RedisStore>>>, ServeError> {
    let (url, patience) = (options.store_url.as_deref(), options.patience);
    let store = RedisStore::open(Space::Cached, url, options.idle, patience).await?;
    let cached = Cached::new(Bounded::new(store, patience), options.cache_ttl, options.idle);
    Ok(Sessions::new(cached, options))
}
