//! Fixtures of the micro-benchmarks, each checked before it is timed, because a benchmark of an
//! error path looks fast. Every benchmark runs on jemalloc, as the server does, and walks over many
//! users, as a server must.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue};
use servers::cart::Cart;
use servers::clock::{Clock, Timestamp};
use servers::contract::{CredentialCarrier, CredentialSource};
use servers::schemes::{ArmInfo, Issued, Scheme, SchemeOptions};
use servers::stores::{Session, SessionData, SessionId, SessionStore, place};
use servers::users::{User, UserId};
use tokio::task::JoinSet;

pub mod bare;
pub mod callgrind;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Users that a benchmark of a scheme walks over.
pub const USERS: u32 = 1_000;
/// The moment at which all benchmarks stand, seconds since the epoch.
pub const NOW: u64 = 2_000_000_000;
/// How long every credential lives.
pub const TTL: Duration = Duration::from_secs(15 * 60);

/// The value of a future that is ready when it is first polled, as those of arms in this process
/// are, so that no runtime is in the figures.
///
/// # Panics
/// If it is not: such a future needs a runtime, and a benchmark of another kind.
pub fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("expected a future that is ready at once"),
    }
}

/// Whether an arm answers on the thread that asks. One whose store is at a place of its own waits
/// for it, which takes a runtime: such stores are timed in `store`.
#[must_use]
pub fn in_process(arm: &ArmInfo) -> bool {
    arm.store.is_none_or(|store| place(store).is_none())
}

/// Options of every scheme here: the system's clock is left in for `verify` and `issue`, because a
/// server reads it once a request, unless a benchmark needs to move time. Keys are made for the
/// run: arms take different kinds.
#[must_use]
pub fn options() -> SchemeOptions {
    SchemeOptions { ttl: TTL, ..SchemeOptions::default() }
}

/// User n.
///
/// # Panics
/// If there is no such user.
#[must_use]
pub fn user(n: u32) -> User {
    User::of(UserId::new(n).expect("a number below the number of users"))
}

/// The headers that a browser sends with every request, without a credential.
#[must_use]
pub fn browser_headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", "127.0.0.1:8080"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("accept", "application/json"),
        ("accept-language", "en-US,en;q=0.5"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("connection", "keep-alive"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers
}

/// Logs user n in and takes the credential from where the scheme's descriptor says that it is.
///
/// # Panics
/// If no credential comes out.
pub async fn login<S: Scheme>(scheme: &S, n: u32) -> String {
    let issued = scheme.issue(user(n), &browser_headers()).await.expect("a credential");
    match (scheme.credential().source, issued) {
        (CredentialSource::Json(_), Issued::Token(token)) => token.access_token,
        (CredentialSource::Json(_), Issued::Facts) => n.to_string(),
        (CredentialSource::Cookie(name), Issued::Cookie(cookie)) => {
            let text = cookie.to_str().expect("a cookie of ASCII");
            let value = text.strip_prefix(&name).and_then(|rest| rest.strip_prefix('='));
            value.and_then(|rest| rest.split(';').next()).expect("a value").to_owned()
        }
        (source, issued) => panic!("expected a credential at {source}, found {issued:?}"),
    }
}

/// A browser's headers with this credential.
///
/// # Panics
/// If the credential does not fit into a header.
pub fn request<S: Scheme>(scheme: &S, credential: &str) -> HeaderMap {
    let mut headers = browser_headers();
    let (name, value) = match scheme.credential().carrier {
        CredentialCarrier::Cookie(name) => ("cookie".into(), format!("{name}={credential}")),
        CredentialCarrier::Header { name, template } => {
            (name, template.replace("{credential}", credential))
        }
    };
    let name = HeaderName::try_from(name).expect("a header name");
    headers.insert(name, HeaderValue::try_from(value).expect("a header value"));
    headers
}

/// The requests of as many logged-in users, each checked to be answered for its own user.
///
/// # Panics
/// If one is not.
pub async fn requests<S: Scheme>(scheme: &S, users: u32) -> Vec<HeaderMap> {
    let mut requests = Vec::new();
    for n in 0..users {
        let headers = request(scheme, &login(scheme, n).await);
        let found = scheme.authenticate(&headers).await.expect("a user");
        assert_eq!(found, user(n));
        requests.push(headers);
    }
    requests
}

/// Ids and sessions of as many users, in a store, in an order that has nothing to do with where
/// they lie, each checked to be found.
///
/// # Panics
/// If one is not.
pub fn fill<S: SessionStore>(store: &S, sessions: u32) -> Vec<SessionId> {
    let now = Timestamp::from_seconds(NOW);
    let ids: Vec<_> = (0..sessions)
        .map(|n| {
            let id = SessionId::generate().expect("random bytes");
            assert!(ready(store.create(id, session(n))).expect("a store"));
            id
        })
        .collect();
    for (n, id) in (0..).zip(&ids) {
        let found = ready(store.read(*id, now)).expect("a store");
        assert_eq!(found, Some(session(n)));
    }
    ids
}

/// The same for a store that answers from threads of its own, 250 sessions at a time, so that one
/// that commits in groups is filled soon.
///
/// # Panics
/// If one is not found.
pub async fn fill_at_once<S: SessionStore>(store: &Arc<S>, sessions: u32) -> Vec<SessionId> {
    let mut ids = Vec::new();
    for from in (0..sessions).step_by(250) {
        let mut some = JoinSet::new();
        for n in from..sessions.min(from + 250) {
            let store = Arc::clone(store);
            some.spawn(async move {
                let id = SessionId::generate().expect("random bytes");
                assert!(store.create(id, session(n)).await.expect("a store"));
                let found = store.read(id, Timestamp::from_seconds(NOW)).await.expect("a store");
                assert_eq!(found, Some(session(n)));
                id
            });
        }
        ids.extend(some.join_all().await);
    }
    ids
}

/// A fresh session of user n.
///
/// # Panics
/// If there is no such user.
#[must_use]
pub fn session(n: u32) -> Session {
    let data = SessionData { user: user(n), cart: Cart::default() };
    Session::begin(data, Timestamp::from_seconds(NOW), TTL)
}

/// Times `iterations` calls in rounds of at most `round`, with `between` called untimed after
/// each.
pub fn in_rounds(
    iterations: u64,
    round: u64,
    mut timed: impl FnMut(u64),
    mut between: impl FnMut(),
) -> Duration {
    let mut total = Duration::ZERO;
    let mut left = iterations;
    while left > 0 {
        let now = left.min(round);
        let begun = Instant::now();
        for n in 0..now {
            timed(n);
        }
        total += begun.elapsed();
        between();
        left -= now;
    }
    total
}

/// A clock that stands at [`NOW`].
#[must_use]
pub fn clock() -> Clock {
    Clock::manual(Timestamp::from_seconds(NOW))
}
