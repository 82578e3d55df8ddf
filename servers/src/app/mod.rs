//! The shell: one router and one set of handlers for every scheme.

use std::future::poll_fn;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::{get, post};
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue, StatusCode};
use tower::Service;

use crate::contract::{CredentialCarrier, StoreProcess};
use crate::error::ServeError;
use crate::schemes::{self, Credential, Scheme, SchemeOptions, Visitor};
use crate::stores::{Boxed, Upkeep, in_flight};
use crate::users::{PasswordHash, User, UserId, Users};
use shell::Shell;

pub(crate) mod answer;
mod body;
mod handlers;
mod origin;
mod shell;
mod work;

pub use body::{BODY_BYTES_MAX, BODY_TIME_MAX};
pub use work::{CPU_MAX, WAIT_MAX, Work};

/// Every route, its scheme chosen.
///
/// [`App`] is the whole server short of sockets, and what tests call in process. Headers are set
/// where answers are made and not by layers, and there is no tracing, no compression and no counter
/// in the path of a request: what is measured is the scheme and the least that can carry it. The
/// one thing wrapped around the router catches a panic, which costs its request a 500 and no other
/// request anything.
#[derive(Clone, Debug)]
pub struct App {
    router: Router,
    panics: Arc<AtomicU64>,
}

impl App {
    /// An app of this router, with panics caught.
    #[must_use]
    pub fn new(router: Router) -> Self {
        Self { router, panics: Arc::default() }
    }

    /// Answers a request.
    pub async fn call(&self, request: Request) -> Response {
        let mut router = self.router.clone();
        let mut answer = pin!(async move { router.call(request).await });
        // Each poll starts from a request of its own, and nothing that a handler shares can be
        // left half changed by an unwind: locks are held across no call that can panic.
        let caught = poll_fn(|context| {
            match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(context))) {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(Ok(response))) => Poll::Ready(Some(response)),
                Ok(Poll::Ready(Err(never))) => match never {},
                Err(_) => Poll::Ready(None),
            }
        });
        caught.await.unwrap_or_else(|| {
            self.panics.fetch_add(1, Ordering::Relaxed);
            answer::error(StatusCode::INTERNAL_SERVER_ERROR, "internal")
        })
    }

    /// Handlers that have panicked.
    #[must_use]
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }
}

/// An arm that is ready to answer.
pub struct OpenArm {
    /// The routes.
    pub app: App,
    /// Where its credential is and how it is sent.
    pub credential: Credential,
    /// What a reader of figures should know about how it was set up.
    pub notes: Vec<String>,
    /// The store's housekeeping, where there is a store.
    pub upkeep: Option<Arc<dyn Upkeep>>,
    /// The server of the store, where one was started for this arm.
    pub store: Option<StoreProcess>,
    /// Whether a credential can be replaced without a login.
    pub refreshes: bool,
    /// What logs users in without asking for a password.
    pub populate: Arc<dyn Populate>,
}

/// Logs users in many at a time, whatever the type of the scheme.
pub trait Populate: Send + Sync {
    /// The credentials of these users in the order of their numbers, or what was found where they
    /// could not be had. They and what the store keeps are those of as many logins.
    fn log_in(&self, users: Range<u32>) -> Boxed<'_, Result<Vec<String>, String>>;

    /// Ends each of these credentials as a logout with it does, or what was found where one of them
    /// could not be ended.
    fn log_out<'a>(&'a self, credentials: &'a [String]) -> Boxed<'a, Result<(), String>>;
}

impl<S: Scheme> Populate for Shell<S> {
    fn log_in(&self, users: Range<u32>) -> Boxed<'_, Result<Vec<String>, String>> {
        Box::pin(async move {
            let users: Vec<User> = users.filter_map(UserId::new).map(User::of).collect();
            let issued = self.scheme.issue_many(users.clone()).await;
            let issued = issued.map_err(|rejection| rejection.to_string())?;
            Ok(users.iter().zip(issued).map(|(user, issued)| issued.credential(user)).collect())
        })
    }

    fn log_out<'a>(&'a self, credentials: &'a [String]) -> Boxed<'a, Result<(), String>> {
        Box::pin(async move {
            let carrier = self.scheme.credential().carrier;
            let headers = credentials.iter().map(|credential| headers(&carrier, credential));
            let headers = headers.collect::<Option<Vec<_>>>().ok_or("an odd credential")?;
            let logouts: Vec<_> =
                headers.iter().map(|headers| self.scheme.logout(headers)).collect();
            let ended = in_flight(logouts.into_iter()).await;
            ended.map(drop).map_err(|rejection| rejection.to_string())
        })
    }
}

/// The headers of a request with this credential.
fn headers(carrier: &CredentialCarrier, credential: &str) -> Option<HeaderMap> {
    let (name, value) = match carrier {
        CredentialCarrier::Cookie(name) => (COOKIE, format!("{name}={credential}")),
        CredentialCarrier::Header { name, template } => {
            (name.parse().ok()?, template.replace("{credential}", credential))
        }
    };
    Some(HeaderMap::from_iter([(name, HeaderValue::try_from(value).ok()?)]))
}

struct Assemble {
    users: Users,
    work: Work,
}

impl Visitor for Assemble {
    type Output = OpenArm;

    fn visit<S: Scheme>(self, scheme: S) -> OpenArm {
        let work = work::Calibrated::new(self.work);
        let shell = Arc::new(Shell { scheme, users: self.users, work });
        OpenArm {
            credential: shell.scheme.credential(),
            notes: shell.scheme.notes(),
            upkeep: shell.scheme.upkeep(),
            store: shell.scheme.store_process(),
            refreshes: S::REFRESHES,
            app: App::new(routes(Arc::clone(&shell))),
            populate: shell,
        }
    }
}

/// Opens an arm by its name.
///
/// # Errors
/// See [`schemes::open`].
pub fn open<'a>(
    arm: &'a str,
    options: &'a SchemeOptions,
    hash: PasswordHash,
) -> Boxed<'a, Result<OpenArm, ServeError>> {
    open_working(arm, options, hash, Work::default())
}

/// Opens an arm by its name, whose protected handlers do this work. The box makes this crate
/// compile the handlers of every arm, and not each crate that opens one.
///
/// # Errors
/// See [`schemes::open`].
pub fn open_working<'a>(
    arm: &'a str,
    options: &'a SchemeOptions,
    hash: PasswordHash,
    work: Work,
) -> Boxed<'a, Result<OpenArm, ServeError>> {
    Box::pin(schemes::open(arm, options, Assemble { users: Users::new(hash), work }))
}

/// The routes of every arm over this scheme.
pub fn router<S: Scheme>(scheme: S, users: Users) -> Router {
    routes(Arc::new(Shell { scheme, users, work: work::Calibrated::new(Work::default()) }))
}

fn routes<S: Scheme>(shell: Arc<Shell<S>>) -> Router {
    Router::new()
        .route("/login", post(handlers::login::<S>))
        .route("/me", get(handlers::me::<S>))
        .route("/cart", get(handlers::cart::<S>).post(handlers::add_to_cart::<S>))
        .route("/refresh", post(handlers::refresh::<S>))
        .route("/logout", post(handlers::logout::<S>))
        .route("/logout-all", post(handlers::logout_all::<S>))
        .route("/healthz", get(handlers::healthz))
        .fallback(handlers::not_found)
        .method_not_allowed_fallback(handlers::method_not_allowed)
        .with_state(shell)
}
