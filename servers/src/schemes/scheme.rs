//! What a way to authenticate is: the trait, what it is told and gives, and what a refusal is. A
//! scheme sees headers and users, never a socket or a response.

use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use serde::Serialize;

use crate::cart::{Cart, CartError};
use crate::clock::Clock;
use crate::contract::{CredentialCarrier, CredentialSource, StoreProcess};
use crate::stores::patience::Patience;
use crate::stores::{StoreError, Touch, Upkeep, in_flight};
use crate::users::User;

/// Name of the protection space in every challenge.
pub const REALM: &str = "authbench";

/// What an arm is and what it can and cannot do, for `authbench schemes` and the reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ArmInfo {
    /// The arm, `scheme` or `scheme@store`.
    pub arm: &'static str,
    /// The scheme.
    pub scheme: &'static str,
    /// The store, where there is one.
    pub store: Option<&'static str>,
    /// One sentence.
    pub summary: &'static str,
    /// Whether it authenticates at all; the floor does not.
    pub authenticates: bool,
    /// Whether the server keeps something for each logged-in user.
    pub stateful: bool,
    /// Whether `POST /logout` ends the credential that requests carry before its time.
    pub revokes: bool,
    /// Whether `POST /logout` ends the refresh session of a login: its refresh token is refused at
    /// once, and an access token that is out stays good until it expires.
    pub revokes_refresh: bool,
    /// Whether `POST /refresh` is supported.
    pub refreshes: bool,
    /// How much was made of it.
    pub form: Form,
    /// What becomes of logged-in users when the server is restarted, one sentence.
    pub after_restart: &'static str,
}

/// How much was made of an arm: what is compared should be of the same form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// The best that we could make of it without promising less.
    Tuned,
    /// A library as its documentation shows it, with what our promises need besides.
    AsShipped,
    /// A form that is often written, and costs more than need be.
    Naive,
}

impl Form {
    /// In a word or two.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Tuned => "tuned",
            Self::AsShipped => "as shipped",
            Self::Naive => "naive",
        }
    }
}

/// What a scheme may be told at the start. Every value is valid: the command has lowered its
/// flags.
#[derive(Clone, Debug)]
pub struct SchemeOptions {
    /// How long a credential lives at most.
    pub ttl: Duration,
    /// How long an access token lives at most where there is a refresh token to replace it; a whole
    /// number of seconds.
    pub access_ttl: Duration,
    /// How long a session lives without activity; `None`: as long as `ttl`.
    pub idle: Option<Duration>,
    /// When the use of a session puts its idle timeout off; `None`: always. Only for arms of
    /// [`super::session::SCHEMES`], and only with an idle timeout.
    pub touch: Option<Touch>,
    /// How far a token issuer's clock and ours may be apart.
    pub leeway: Duration,
    /// Whether cookies are for HTTPS only, and so named `__Host-`.
    pub cookie: CookieSecurity,
    /// Key of a token scheme; `None`: a random one for this run.
    pub key: Option<Vec<u8>>,
    /// Keys that made no new credentials since they were replaced, and whose old ones are still
    /// good.
    pub previous_keys: Vec<Vec<u8>>,
    /// Where the store is; `None`: one of this server's own.
    pub store_url: Option<String>,
    /// How long a request waits for a store that can hang.
    pub patience: Patience,
    /// How long an arm with a cache of sessions believes what it has read.
    pub cache_ttl: Duration,
    /// The program that is an issuer when it is told `issuer FILE`; `None`: an issuer that is
    /// started for the arm is a thread of this process.
    pub program: Option<PathBuf>,
    /// Where the time comes from.
    pub clock: Clock,
    /// Where a key that is made for this run is put, for who gives it to further servers.
    pub made_key: Option<Arc<OnceLock<Vec<u8>>>>,
}

impl Default for SchemeOptions {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(15 * 60),
            access_ttl: Duration::from_secs(5 * 60),
            idle: None,
            touch: None,
            leeway: Duration::from_secs(2),
            cookie: CookieSecurity::Secure,
            key: None,
            previous_keys: Vec::new(),
            store_url: None,
            patience: Patience::DEFAULT,
            cache_ttl: Duration::from_secs(1),
            program: None,
            clock: Clock::System,
            made_key: None,
        }
    }
}

/// Whether a browser may send the session cookie over plain HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CookieSecurity {
    /// `__Host-session; Secure`: the form for production.
    #[default]
    Secure,
    /// `session` without `Secure`, for a browser on plain HTTP. `__Host-` requires `Secure`.
    Insecure,
}

/// Where a client finds the credential and how it sends it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// In the answer to a login.
    pub source: CredentialSource,
    /// In later requests.
    pub carrier: CredentialCarrier,
}

/// The two values of `WWW-Authenticate` that a scheme answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Where no credential was sent.
    pub missing: &'static str,
    /// Where one was sent and is not valid.
    pub invalid: &'static str,
}

/// What a login gives the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Issued {
    /// Nothing but the facts: the client is believed from now on.
    Facts,
    /// This `Set-Cookie`, and the facts as the body.
    Cookie(HeaderValue),
    /// A bearer token.
    Token(Token),
}

impl Issued {
    /// The credential as later requests of this user carry it.
    #[must_use]
    pub fn credential(&self, user: &User) -> String {
        match self {
            Self::Facts => user.id.to_string(),
            Self::Cookie(cookie) => {
                let text = cookie.to_str().unwrap_or_default();
                let pair = text.split(';').next().unwrap_or_default();
                pair.split_once('=').map_or("", |(_, value)| value).to_owned()
            }
            Self::Token(token) => token.access_token.clone(),
        }
    }
}

/// A bearer token as the answer to a login or to a change of what it carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The token.
    pub access_token: String,
    /// Whole seconds until it expires.
    pub expires_in: u64,
    /// What `POST /refresh` takes for the next one, where the scheme refreshes.
    pub refresh_token: Option<String>,
}

impl Token {
    /// An access token without a refresh token.
    #[must_use]
    pub const fn access(access_token: String, expires_in: u64) -> Self {
        Self { access_token, expires_in, refresh_token: None }
    }
}

/// A changed cart, and the credential that carries it where one does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CartAnswer {
    /// The cart after the change.
    pub cart: Cart,
    /// The re-issued credential, which replaces the one of the request.
    pub reissued: Option<Issued>,
}

/// What a logout achieved: what is refused after it and was not before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// Nothing: the scheme cannot revoke.
    Nothing,
    /// So many credentials.
    Counted(u64),
    /// So many refresh sessions. Access tokens that are out are good until they expire.
    RefreshSessions(u64),
    /// Every credential of the user, however many there are.
    All,
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// No credential was sent: 401.
    #[error("no credential")]
    Missing,
    /// The credential is not valid: 401, the same whatever the reason, which is never sent.
    #[error("invalid credential: {0:?}")]
    Invalid(Reason),
    /// Two credentials were sent, and choosing one would be an attacker's choice: 400.
    #[error("more than one credential")]
    Ambiguous,
    /// The scheme cannot do this: 404.
    #[error("not supported by this scheme")]
    NotSupported,
    /// The cart would break a limit: 409 where full, 400 where the item is wrong.
    #[error(transparent)]
    Cart(#[from] CartError),
    /// What is in a cookie would no longer fit into one: 409. A browser drops a longer one without
    /// a word.
    #[error("expected a cookie of at most {limit} bytes, found {needed}: keep less in it")]
    CookieFull {
        /// Bytes that every browser takes.
        limit: usize,
        /// Bytes that it would have.
        needed: usize,
    },
    /// The store could not be asked: 503, closed and not open.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No random bytes or no signature could be had: 503.
    #[error("could not make a credential")]
    Issue,
}

/// What exactly is wrong with a credential: for tests and logs, never for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Another authorization scheme than ours.
    Scheme,
    /// Not the shape of a credential: length, alphabet, number of parts.
    Shape,
    /// A token header other than the one that we issue.
    Header,
    /// Another algorithm than the one configured.
    Algorithm,
    /// Another `typ` than an access token's.
    Type,
    /// A key that is not one of ours.
    Key,
    /// The signature, or the seal, does not match.
    Signature,
    /// Claims that are missing, unknown, doubled or of a wrong type.
    Claims,
    /// Another issuer.
    Issuer,
    /// Another audience.
    Audience,
    /// No user of ours.
    Subject,
    /// Expired, or with a longer life than we give.
    Expired,
    /// Not valid yet, or issued in the future.
    NotYet,
    /// Well formed and not among the live sessions.
    Unknown,
    /// A refresh token that was replaced a moment ago.
    Replaced,
    /// A refresh token that was replaced before, in two hands: its session has been ended.
    Reused,
}

/// A way to authenticate.
///
/// Headers come in as they are; every method that acts for a user checks the credential itself.
pub trait Scheme: Send + Sync + 'static {
    /// The challenges of a 401.
    const CHALLENGE: Challenge;

    /// Whether [`Scheme::refresh`] does something, as the arm's [`ArmInfo`] says.
    const REFRESHES: bool = false;

    /// Whether the credential is in a cookie, which a browser sends by itself, whichever site made
    /// it send the request.
    const IN_COOKIE: bool = false;

    /// Where the credential is and how it is sent.
    fn credential(&self) -> Credential;

    /// What a reader of figures should know about how this scheme was set up, one sentence each.
    fn notes(&self) -> Vec<String>;

    /// The `Set-Cookie` that removes the credential from the client, where it is in a cookie: the
    /// answer to a logout, and to every cookie that is not valid.
    fn removal(&self) -> Option<HeaderValue> {
        None
    }

    /// A new credential for a user whose password was right. `headers` are those of the login
    /// request: a valid credential in it is ended, not reused.
    fn issue(
        &self,
        user: User,
        headers: &HeaderMap,
    ) -> impl Future<Output = Result<Issued, Rejection>> + Send;

    /// New credentials for these users, in their order. Each is what [`Scheme::issue`] gives at a
    /// login without a credential, and leaves the same in the store; a store with a bulk form of
    /// its create is asked in bulk.
    fn issue_many(
        &self,
        users: Vec<User>,
    ) -> impl Future<Output = Result<Vec<Issued>, Rejection>> + Send {
        async move {
            let no_headers = HeaderMap::new();
            in_flight(users.into_iter().map(|user| self.issue(user, &no_headers))).await
        }
    }

    /// Whose request this is.
    fn authenticate(
        &self,
        headers: &HeaderMap,
    ) -> impl Future<Output = Result<User, Rejection>> + Send;

    /// The user's cart.
    fn cart(&self, headers: &HeaderMap) -> impl Future<Output = Result<Cart, Rejection>> + Send;

    /// Adds to the user's cart.
    fn add_to_cart(
        &self,
        headers: &HeaderMap,
        item: &str,
    ) -> impl Future<Output = Result<CartAnswer, Rejection>> + Send;

    /// A new access token, and a new refresh token, for a refresh token. It is the one credential
    /// that does not come in a header, and those of the request say nothing.
    fn refresh(
        &self,
        _refresh_token: &str,
    ) -> impl Future<Output = Result<Token, Rejection>> + Send {
        async { Err(Rejection::NotSupported) }
    }

    /// Ends this credential.
    fn logout(
        &self,
        headers: &HeaderMap,
    ) -> impl Future<Output = Result<Revoked, Rejection>> + Send;

    /// Ends every credential of the user.
    fn logout_all(
        &self,
        headers: &HeaderMap,
    ) -> impl Future<Output = Result<Revoked, Rejection>> + Send;

    /// The store's housekeeping, where there is a store.
    fn upkeep(&self) -> Option<Arc<dyn Upkeep>> {
        None
    }

    /// The server of the store, where one was started for this scheme.
    fn store_process(&self) -> Option<StoreProcess> {
        None
    }
}

/// Takes an opened scheme, of whichever type, and makes something of it: how the registry hands a
/// type to code that is generic over it.
pub trait Visitor {
    /// What it makes.
    type Output;

    /// Makes it.
    fn visit<S: Scheme>(self, scheme: S) -> Self::Output;
}
