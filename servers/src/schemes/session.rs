//! Sessions: a random id in a cookie, everything else in a store.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};

use super::carrier::{Carrier, InCookie};
use super::scheme::{
    ArmInfo, CartAnswer, Challenge, Credential, Form, Issued, Reason, Rejection, Revoked, Scheme,
    SchemeOptions,
};
use crate::cart::Cart;
use crate::clock::{Clock, Timestamp};
use crate::contract::StoreProcess;
use crate::error::ServeError;
use crate::stores::bounded::Bounded;
use crate::stores::memory::MemoryStore;
use crate::stores::mutex::MutexStore;
use crate::stores::postgres::PostgresStore;
use crate::stores::redis::{RedisStore, Space};
use crate::stores::sqlite::SqliteStore;
use crate::stores::tower::TowerStore;
use crate::stores::{Session, SessionData, SessionId, SessionStore, Touch, Upkeep};
use crate::users::User;

/// The schemes that look a session up for each request.
pub const SCHEMES: &[&str] =
    &["session", "session-cached", "opaque-introspection", "introspection-http", "bff"];

/// The arm `session@memory`.
pub const MEMORY: ArmInfo = ArmInfo {
    arm: "session@memory",
    scheme: "session",
    store: Some("memory"),
    summary: "A random id in a cookie, the session in a table of the server's own memory.",
    authenticates: true,
    stateful: true,
    revokes: true,
    revokes_refresh: false,
    refreshes: false,
    form: Form::Tuned,
    after_restart: "Everyone is logged out: the table is gone.",
};

/// The arm `session@mutex`.
pub const MUTEX: ArmInfo = ArmInfo {
    arm: "session@mutex",
    store: Some("mutex"),
    summary: "The same over one map behind one lock: the naive form, as many frameworks ship it.",
    after_restart: "Everyone is logged out: the map is gone.",
    form: Form::Naive,
    ..MEMORY
};

/// The arm `session@tower`.
pub const TOWER: ArmInfo = ArmInfo {
    arm: "session@tower",
    store: Some("tower"),
    summary: "The same in tower-sessions' own MemoryStore: what a Rust service picks first.",
    after_restart: "Everyone is logged out: the map is gone.",
    form: Form::AsShipped,
    ..MEMORY
};

/// The arm `session@sqlite`.
pub const SQLITE: ArmInfo = ArmInfo {
    arm: "session@sqlite",
    store: Some("sqlite"),
    summary: "The same in a file of SQLite: embedded, durable, and no server to look after.",
    after_restart: "Everyone stays logged in with `--store-url sqlite:PATH`; a file that was made \
                    for the run is gone with it.",
    ..MEMORY
};

/// The arm `session@redis`.
pub const REDIS: ArmInfo = ArmInfo {
    arm: "session@redis",
    store: Some("redis"),
    summary: "The same in Redis: one round trip per request; any number of servers may share it.",
    after_restart: "Everyone stays logged in with `--store-url redis://...`; a Redis that was \
                    started for the run is gone with its sessions.",
    ..MEMORY
};

/// The arm `session@postgres`.
pub const POSTGRES: ArmInfo = ArmInfo {
    arm: "session@postgres",
    store: Some("postgres"),
    summary: "The same in a table of PostgreSQL: durable, and shared by every server.",
    after_restart: "Everyone stays logged in with `--store-url postgres://...`; a server that was \
                    started for the run is gone with it.",
    ..MEMORY
};

/// New ids that a login tries before it gives up with a 503.
const CREATE_TRIES: u32 = 3;

/// The scheme over a store, with the credential in a cookie unless it is carried otherwise.
///
/// An id that is not one in form is refused before the store is asked. Login always makes a new id
/// and ends the session of a valid presented cookie, so that a planted id is worth nothing. Every
/// refusal of a cookie looks the same and removes it: an unknown, an ended, an expired and a
/// malformed id are not told apart. The cookie has no `Max-Age`: the server decides when a session
/// is over.
#[derive(Debug)]
pub struct Sessions<St, C = InCookie> {
    store: Arc<St>,
    clock: Clock,
    ttl: Duration,
    idle: Option<Duration>,
    touch: Touch,
    carrier: C,
}

/// Opens `session@memory`.
///
/// # Errors
/// Never.
pub async fn open_memory(options: &SchemeOptions) -> Result<Sessions<MemoryStore>, ServeError> {
    Ok(Sessions::new(MemoryStore::new(options.idle), options))
}

/// Opens `session@mutex`.
///
/// # Errors
/// Never.
pub async fn open_mutex(options: &SchemeOptions) -> Result<Sessions<MutexStore>, ServeError> {
    Ok(Sessions::new(MutexStore::new(options.idle), options))
}

/// Opens `session@tower`.
///
/// # Errors
/// Never.
pub async fn open_tower(options: &SchemeOptions) -> Result<Sessions<TowerStore>, ServeError> {
    Ok(Sessions::new(TowerStore::new(options.idle), options))
}

/// Opens `session@sqlite`, in the file of the URL or in a temporary one.
///
/// # Errors
/// [`ServeError::Store`].
pub async fn open_sqlite(
    options: &SchemeOptions,
) -> Result<Sessions<Bounded<SqliteStore>>, ServeError> {
    let path = options.store_url.as_deref().and_then(|url| url.strip_prefix("sqlite:"));
    let store = SqliteStore::open(path.map(Path::new), options.idle, options.patience)?;
    Ok(Sessions::new(Bounded::new(store, options.patience), options))
}

/// Opens `session@redis`, in the Redis of the URL or in one that is started for it.
///
/// # Errors
/// See [`RedisStore::open`].
pub async fn open_redis(
    options: &SchemeOptions,
) -> Result<Sessions<Bounded<RedisStore>>, ServeError> {
    let (url, patience) = (options.store_url.as_deref(), options.patience);
    let store = RedisStore::open(Space::Sessions, url, options.idle, patience).await?;
    Ok(Sessions::new(Bounded::new(store, patience), options))
}

/// Opens `session@postgres`, at the URL or in a PostgreSQL of its own.
///
/// # Errors
/// See [`PostgresStore::open`].
pub async fn open_postgres(
    options: &SchemeOptions,
) -> Result<Sessions<Bounded<PostgresStore>>, ServeError> {
    let (url, patience) = (options.store_url.as_deref(), options.patience);
    let store = PostgresStore::open(url, options.idle, patience).await?;
    Ok(Sessions::new(Bounded::new(store, options.patience), options))
}

impl<St: SessionStore> Sessions<St> {
    /// The scheme over this store, with the id in the session cookie.
    pub fn new(store: St, options: &SchemeOptions) -> Self {
        Self::carried(store, options)
    }
}

impl<St: SessionStore, C: Carrier> Sessions<St, C> {
    /// The scheme over this store.
    pub fn carried(store: St, options: &SchemeOptions) -> Self {
        Self {
            store: Arc::new(store),
            clock: options.clock.clone(),
            ttl: options.ttl,
            idle: options.idle,
            touch: options.touch.unwrap_or_default(),
            carrier: C::new(options),
        }
    }

    /// The store, for tests that look behind the scheme.
    #[must_use]
    pub fn store(&self) -> &St {
        &self.store
    }

    /// A session of this user as it is at a login.
    fn begin(&self, user: User) -> Session {
        let data = SessionData { user, cart: Cart::default() };
        Session::begin(data, self.clock.now(), self.ttl)
    }

    fn presented(&self, headers: &HeaderMap) -> Result<SessionId, Rejection> {
        self.carrier.presented(headers).map(C::stored)
    }

    /// The live session of the request; an activity where its idle timeout is to be put off.
    async fn find(
        &self,
        headers: &HeaderMap,
    ) -> Result<(SessionId, Session, Timestamp), Rejection> {
        let id = self.presented(headers)?;
        let now = self.clock.now();
        let found = match (self.idle, self.touch) {
            (None, _) | (Some(_), Touch::Never) => self.store.read(id, now).await?,
            (Some(_), Touch::Always) => self.store.read_and_touch(id, now).await?,
            (Some(_), Touch::AtMostEvery(span)) => {
                self.read_and_seldom_touch(id, now, span).await?
            }
        };
        Ok((id, found.ok_or(Rejection::Invalid(Reason::Unknown))?, now))
    }

    /// Reads, and touches where the store was last told of an activity so long ago.
    async fn read_and_seldom_touch(
        &self,
        id: SessionId,
        now: Timestamp,
        span: Duration,
    ) -> Result<Option<Session>, Rejection> {
        let Some(session) = self.store.read(id, now).await? else { return Ok(None) };
        if now < session.last_seen.plus(span) {
            return Ok(Some(session));
        }
        // It may have been ended since it was read.
        let touched = self.store.touch(id, now).await?;
        Ok(touched.then_some(Session { last_seen: now, ..session }))
    }
}

impl<St: SessionStore, C: Carrier> Scheme for Sessions<St, C> {
    const CHALLENGE: Challenge = C::CHALLENGE;
    const IN_COOKIE: bool = C::IN_COOKIE;

    fn credential(&self) -> Credential {
        self.carrier.credential()
    }

    fn removal(&self) -> Option<HeaderValue> {
        self.carrier.removal()
    }

    fn notes(&self) -> Vec<String> {
        let idle = self.idle.map_or(0.0, |idle| idle.as_secs_f64());
        let mut notes = vec![match (self.idle, self.touch) {
            (None, _) => "Sessions end at their absolute expiry; there is no idle timeout.".into(),
            (_, Touch::Always) => format!("Sessions end after {idle} s without use."),
            (_, Touch::AtMostEvery(span)) => format!(
                "Sessions end after {idle} s without use, of which the store is told at most once \
                 in {} s: one may end that much earlier.",
                span.as_secs_f64()
            ),
            (_, Touch::Never) => {
                format!("Sessions end {idle} s after the login, used or not: no use is written.")
            }
        }];
        notes.extend(self.carrier.note());
        notes.extend(self.store.notes());
        notes
    }

    async fn issue(&self, user: User, headers: &HeaderMap) -> Result<Issued, Rejection> {
        match self.presented(headers) {
            Ok(old) => drop(self.store.delete(old).await?),
            Err(Rejection::Ambiguous) => return Err(Rejection::Ambiguous),
            Err(_) => {}
        }
        let session = self.begin(user);
        // An id that is taken is so unlikely that more than one of them is a fault of the store.
        for _ in 0..CREATE_TRIES {
            let id = SessionId::generate().map_err(|_| Rejection::Issue)?;
            if self.store.create(C::stored(id), session.clone()).await? {
                return self.carrier.issue(id);
            }
        }
        Err(Rejection::Issue)
    }

    async fn issue_many(&self, users: Vec<User>) -> Result<Vec<Issued>, Rejection> {
        let generate = |_: &User| SessionId::generate().map_err(|_| Rejection::Issue);
        let ids: Vec<_> = users.iter().map(generate).collect::<Result<_, _>>()?;
        let session = |(&id, user)| (C::stored(id), self.begin(user));
        let sessions: Vec<_> = ids.iter().zip(users).map(session).collect();
        if self.store.create_many(sessions).await? != ids.len() as u64 {
            return Err(Rejection::Issue);
        }
        ids.into_iter().map(|id| self.carrier.issue(id)).collect()
    }

    async fn authenticate(&self, headers: &HeaderMap) -> Result<User, Rejection> {
        self.find(headers).await.map(|(_, session, _)| session.data.user)
    }

    async fn cart(&self, headers: &HeaderMap) -> Result<Cart, Rejection> {
        self.find(headers).await.map(|(_, session, _)| session.data.cart)
    }

    async fn add_to_cart(&self, headers: &HeaderMap, item: &str) -> Result<CartAnswer, Rejection> {
        let (id, session, now) = self.find(headers).await?;
        let cart = session.data.cart.with(item)?;
        let data = SessionData { cart: cart.clone(), ..session.data };
        if !self.store.update(id, data, now).await? {
            return Err(Rejection::Invalid(Reason::Unknown));
        }
        Ok(CartAnswer { cart, reissued: None })
    }

    async fn logout(&self, headers: &HeaderMap) -> Result<Revoked, Rejection> {
        let (id, ..) = self.find(headers).await?;
        Ok(Revoked::Counted(self.store.delete(id).await?.into()))
    }

    async fn logout_all(&self, headers: &HeaderMap) -> Result<Revoked, Rejection> {
        let (_, session, _) = self.find(headers).await?;
        let revoked = self.store.delete_all_of_user(session.data.user.id).await?;
        Ok(Revoked::Counted(revoked))
    }

    fn upkeep(&self) -> Option<Arc<dyn Upkeep>> {
        Some(Arc::clone(&self.store) as Arc<dyn Upkeep>)
    }

    fn store_process(&self) -> Option<StoreProcess> {
        self.store.process()
    }
}
