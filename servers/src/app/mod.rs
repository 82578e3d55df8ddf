//! The shell: one router and one set of handlers for every scheme.
//!
//! [`App`] is the whole server short of sockets, and what tests call in process. Headers are set
//! where answers are made and not by layers, and there is no tracing, no compression and no
//! counter in the path of a request: what is measured is the scheme and the least that can carry
//! it. The one thing wrapped around the router catches a panic, which costs its request a 500 and
//! nobody else anything.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::{get, post};
use http::StatusCode;
use tower::Service;

use crate::contract::StoreProcess;
use crate::error::ServeError;
use crate::schemes::{self, Credential, Scheme, SchemeOptions, Visitor};
use crate::stores::Upkeep;
use crate::users::{PasswordHash, Users};

pub(crate) mod answer;
mod body;
mod handlers;
mod origin;
mod work;

pub use body::{BODY_BYTES_MAX, BODY_TIME_MAX};
pub use work::{CPU_MAX, WAIT_MAX, Work};

/// What the handlers share.
struct Shell<S> {
    scheme: S,
    users: Users,
    work: Option<work::Calibrated>,
}

impl<S> Shell<S> {
    /// What a protected handler does once it knows whose request it is.
    async fn work(&self) {
        if let Some(work) = &self.work {
            work.carry_out().await;
        }
    }
}

/// Every route, its scheme chosen.
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
}

struct Assemble {
    users: Users,
    work: Work,
}

impl Visitor for Assemble {
    type Output = OpenArm;

    fn visit<S: Scheme>(self, scheme: S) -> OpenArm {
        OpenArm {
            credential: scheme.credential(),
            notes: scheme.notes(),
            upkeep: scheme.upkeep(),
            store: scheme.store_process(),
            refreshes: S::REFRESHES,
            app: App::new(routes(scheme, self.users, self.work)),
        }
    }
}

/// Opens an arm by its name.
///
/// # Errors
/// See [`schemes::open`].
pub async fn open(
    arm: &str,
    options: &SchemeOptions,
    hash: PasswordHash,
) -> Result<OpenArm, ServeError> {
    open_working(arm, options, hash, Work::default()).await
}

/// Opens an arm by its name, whose protected handlers do this work.
///
/// # Errors
/// See [`schemes::open`].
pub async fn open_working(
    arm: &str,
    options: &SchemeOptions,
    hash: PasswordHash,
    work: Work,
) -> Result<OpenArm, ServeError> {
    schemes::open(arm, options, Assemble { users: Users::new(hash), work }).await
}

/// The routes of every arm over this scheme.
pub fn router<S: Scheme>(scheme: S, users: Users) -> Router {
    routes(scheme, users, Work::default())
}

fn routes<S: Scheme>(scheme: S, users: Users, work: Work) -> Router {
    let work = work::Calibrated::new(work);
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
        .with_state(Arc::new(Shell { scheme, users, work }))
}
