//! What a server and its driver agree on, and nothing else.

mod checks;
mod cookies;
mod login;
mod share;
mod texts;
mod users;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

pub use checks::{Check, Expected, Statuses};
pub use cookies::Cookies;
pub use login::{Field, LoginStep};
pub use share::Share;
pub use texts::{BodyFormat, ContractError, CredentialCarrier, CredentialSource, HeaderValues};
pub use users::{UserPattern, UserRows};

/// Version of the ready line and of [`AdminStats`]; a reader refuses one it does not know.
pub const CONTRACT_VERSION: u32 = 1;

/// The environment variable that tells `authbench serve` where its store is. It may hold a
/// password, so no process that is started here may inherit it.
pub const STORE_URL_VARIABLE: &str = "AUTHBENCH_STORE_URL";

/// The one line of JSON that a started server prints on stdout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReadyLine {
    /// [`CONTRACT_VERSION`] of the server.
    pub authbench: u32,
    /// The arm that is served, `scheme` or `scheme@store`.
    pub arm: String,
    /// Address of the public listener.
    pub address: SocketAddr,
    /// Address of the admin listener, which answers `GET /stats` with [`AdminStats`].
    pub admin: SocketAddr,
    /// Process id of the server.
    pub pid: u32,
    /// Threads that serve requests.
    pub threads: usize,
    /// Choices of this server that a reader of its figures should know, one sentence each.
    pub notes: Vec<String>,
    /// The server of the store, where one was started for this server; its memory and its CPU time
    /// are part of the bill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreProcess>,
    /// What relays between the server and its store, where the store was put farther away; its CPU
    /// time is on no other bill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<RelayProcess>,
    /// How to drive it.
    pub target: Target,
}

/// The server of a store, apart from the one that uses it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreProcess {
    /// Its name and version, `redis 7.0.15`.
    pub name: String,
    /// Its process; those that it started belong to it.
    pub pid: u32,
    /// A URL by which another server can share the store.
    pub url: StoreUrl,
}

/// A relay that puts a store farther away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayProcess {
    /// Its process.
    pub pid: u32,
    /// What it adds to a round trip at least, ns.
    pub round_trip_ns: u64,
}

/// The URL of a store, which may hold a password: what is printed or serialised of it does not.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct StoreUrl(String);

impl StoreUrl {
    /// The URL with this text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether a password is in it, before the host or among the parameters.
    #[must_use]
    pub fn holds_password(&self) -> bool {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        let user = rest.rsplit_once('@').map_or("", |(user, _)| user);
        let before_host = user.split_once(':').is_some_and(|(_, password)| !password.is_empty());
        before_host || self.0.to_ascii_lowercase().contains("password=")
    }

    /// All of it, with the password.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((scheme, rest)) = self.0.split_once("://") else {
            // A path of SQLite, or no URL at all.
            let scheme = self.0.split_once(':').map_or("", |(scheme, _)| scheme);
            return if scheme == "sqlite" { f.write_str(&self.0) } else { f.write_str("...") };
        };
        let (user, place) = match rest.rsplit_once('@') {
            Some((user, place)) => (user.split(':').next().unwrap_or_default(), place),
            None => ("", rest),
        };
        let at = if user.is_empty() { "" } else { "@" };
        // PostgreSQL takes a password as a parameter too.
        let place = place.split('?').next().unwrap_or_default();
        write!(f, "{scheme}://{user}{at}{place}")
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreUrl({self})")
    }
}

impl From<String> for StoreUrl {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<StoreUrl> for String {
    fn from(url: StoreUrl) -> Self {
        url.to_string()
    }
}

/// What the servers of an arm share and nobody else may know. It is sent through pipes, as one line
/// of JSON; it must never be in a file, a command line or an environment.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    /// The key that credentials are made with, as `--key-file` takes it; absent where the arm has
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Vec<u8>>,
    /// A URL by which every server reaches the store; absent where a store is each server's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_url: Option<String>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.store_url.as_ref().map(StoreUrl::new);
        let mut shown = f.debug_struct("Secrets");
        shown.field("key", &self.key.as_ref().map(Vec::len)).field("store_url", &url).finish()
    }
}

/// The one line of JSON that says what the servers of an arm share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedLine {
    /// [`CONTRACT_VERSION`] of the program.
    pub authbench: u32,
    /// What each of them is to be given.
    pub secrets: Secrets,
    /// The server of the store, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreProcess>,
}

/// What the admin listener tells about the inside of a server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AdminStats {
    /// [`CONTRACT_VERSION`] of the server.
    pub authbench: u32,
    /// Milliseconds since the server was ready.
    pub uptime_ms: u64,
    /// Sessions the store holds, expired and not yet swept ones included; `None` without a store.
    pub live_sessions: Option<u64>,
    /// Operations the store has carried out since the start; `None` without a store.
    pub store_operations: Option<u64>,
    /// Expired sessions removed by the sweep since the start; `None` without a store.
    pub swept_sessions: Option<u64>,
    /// Bytes that the store's sessions take by its own count: Redis' `used_memory`, PostgreSQL's
    /// `pg_total_relation_size`, SQLite's pages; `None` where it has no count but the
    /// allocator's.
    #[serde(default)]
    pub store_used_bytes: Option<u64>,
    /// Bytes that the store takes on the disk: PostgreSQL's database, SQLite's file and log; `None`
    /// where it is not on one.
    #[serde(default)]
    pub store_disk_bytes: Option<u64>,
    /// Writes of the store since the start, the sweep's left out: one for each session that was
    /// created, changed, put off or removed; `None` where they are not counted.
    #[serde(default)]
    pub store_writes: Option<u64>,
    /// How far behind the store what this server knows of it was when that was last measured,
    /// microseconds; `None` where nothing is known but by asking it.
    #[serde(default)]
    pub store_lag_us: Option<u64>,
    /// Bytes the program has allocated and not freed (jemalloc `stats.allocated` without what its
    /// threads keep at hand, `tcache_bytes`); `None` where the process does not run on jemalloc.
    pub allocated_bytes: Option<u64>,
    /// Bytes in pages that hold at least one allocation (jemalloc `stats.active`).
    pub active_bytes: Option<u64>,
    /// Bytes of physical memory mapped by the allocator (jemalloc `stats.resident`).
    pub resident_bytes: Option<u64>,
    /// Handlers that panicked since the start.
    pub panics: u64,
    /// Open connections on the public listener.
    pub connections: u64,
    /// Times the public listener could not accept for want of descriptors or memory.
    #[serde(default)]
    pub accept_errors: u64,
}

/// Path of the admin listener's `POST` that logs a [`Population`] in; only a server that was
/// started with `--admin-fill` has it.
pub const POPULATE_PATH: &str = "/populate";
/// What the line begins with that ends the answer to a [`Population`] early and says why. No
/// credential begins with it.
pub const FAULT_MARK: u8 = b'!';

/// Users to be logged in at once, without a password and without a request each. The answer has
/// the credential of each on a line of its own, in the order of their numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Population {
    /// Number of the first user.
    pub first: u32,
    /// How many there are.
    pub users: u32,
    /// Whether each logs out again, with that credential: what logouts leave is left then.
    #[serde(default)]
    pub leave: bool,
}

/// How to drive a server.
///
/// A [`Target`] says how to drive any HTTP server: how a user logs in, where the credential is in
/// the answer, how it is sent back, which requests make up a journey, and how one sees that the
/// right user came back. Our own servers put theirs into the [`ReadyLine`]; a stranger's is a small
/// TOML file. The load generator knows a server through these types only, so every arm is driven
/// by the same client instructions. Nothing here may name a scheme or a store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// What reports call it.
    pub name: String,
    /// Scheme, host and port, `http://127.0.0.1:8080`, without a path.
    pub base_url: String,
    /// Who the users are.
    #[serde(default)]
    pub users: UserPattern,
    /// How a user logs in; absent where no login is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<Login>,
    /// How users keep cookies; absent: those alone that `login` names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookies: Option<Cookies>,
    /// Headers sent with every request, `{n}` and `{username}` replaced.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, HeaderValues>,
    /// The journeys a user can make, by name; `browse` is the default one.
    pub journeys: BTreeMap<String, Journey>,
    /// How a user logs out; absent where nobody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logout: Option<Logout>,
    /// How a user ends all of their credentials at once; absent where nobody can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logout_all: Option<Logout>,
    /// How a credential is replaced before it expires; absent where that takes a login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<Refresh>,
    /// The share of requests that may end without an answer because a connection ended, such as
    /// `1%`; absent: 0.1 %. Figures with more of them are invalid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_transport_errors: Option<Share>,
}

/// The request, or the requests, that turn a name and a password into a credential.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// HTTP method, POST by default.
    #[serde(default = "post", skip_serializing_if = "is_post")]
    pub method: String,
    /// Path of the login request; empty where `step` has the requests.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// Encoding of the body.
    #[serde(default)]
    pub format: BodyFormat,
    /// Fields of the body; `{username}`, `{password}`, `{n}` and `{csrf}` are replaced.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, Field>,
    /// The body as text, in place of fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Headers of this request in addition to the target's, with the same replacements.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, HeaderValues>,
    /// Status of a successful login, 200 by default; that of the last answer where redirects are
    /// followed.
    #[serde(default = "ok")]
    pub expect_status: Statuses,
    /// How one sees that a login went through; absent: the status alone decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Check>,
    /// How many redirects are followed, on the same host; 0 by default.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub redirects: u8,
    /// Where the credential is in the answer.
    pub credential: CredentialSource,
    /// How later requests carry it.
    pub send: CredentialCarrier,
    /// The CSRF token that a login must bring; absent where it needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csrf: Option<Csrf>,
    /// The requests of a login that takes several, in place of the one that the fields above
    /// describe.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub step: Vec<LoginStep>,
}

impl Login {
    /// Whether it is one request that no redirect follows.
    #[must_use]
    pub const fn is_one_request(&self) -> bool {
        self.step.is_empty() && self.redirects == 0
    }
}

/// A token against cross-site request forgery: a GET before each login fetches it, and `{csrf}`
/// stands for it in the login and in every request after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Csrf {
    /// Path of the GET, `{n}` and `{username}` replaced.
    pub path: String,
    /// Status of a right answer to it, 200 by default.
    #[serde(default = "ok")]
    pub expect_status: Statuses,
    /// Where the token is in that answer. A token in a cookie goes back in that cookie too.
    pub token: CredentialSource,
    /// Cookies of that answer which the login and what follows send back, as a browser would. One
    /// that the login's answer sets anew counts from then on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cookies: Vec<String>,
    /// Where the token for what follows is in the login's answer. Absent: a token in a cookie is
    /// what that cookie holds by then, and any other one stays as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_login: Option<CredentialSource>,
}

/// The request that ends a credential.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Logout {
    /// HTTP method, POST by default.
    #[serde(default = "post")]
    pub method: String,
    /// Path and query, `{n}` and `{username}` replaced.
    pub path: String,
    /// Headers of this request in addition to the target's; `{csrf}` is replaced too.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, HeaderValues>,
    /// Status of a right answer, 204 by default.
    #[serde(default = "no_content")]
    pub expect_status: Statuses,
}

/// The request that replaces a credential, with a token that the login gave for that and that the
/// answer replaces too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// Path of the request, which is a POST.
    pub path: String,
    /// Where the token is in the answer to a login or a refresh. The credential is where the login
    /// has it.
    pub token: CredentialSource,
    /// The field of the JSON body that holds the token.
    pub field: String,
    /// Status of a right answer, 200 by default.
    #[serde(default = "two_hundred")]
    pub expect_status: u16,
}

/// A named sequence of requests that a logged-in user repeats.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journey {
    /// The requests in order, at least one.
    pub steps: Vec<Step>,
    /// Whether users make it without being logged in: no login comes before it, and no credential
    /// is sent with it. A login itself can be measured so.
    #[serde(default, skip_serializing_if = "is_false")]
    pub anonymous: bool,
}

/// One request of a journey.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What reports call it.
    pub name: String,
    /// HTTP method, GET by default.
    #[serde(default = "get")]
    pub method: String,
    /// Path and query, `{n}` and `{username}` replaced.
    pub path: String,
    /// Headers of this request in addition to the target's, `{n}`, `{username}` and `{csrf}`
    /// replaced.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, HeaderValues>,
    /// Body as text in its encoding, with the same replacements, which are escaped for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Encoding of the body.
    #[serde(default, skip_serializing_if = "BodyFormat::is_json")]
    pub format: BodyFormat,
    /// Status of a correct answer, 200 by default, or several.
    #[serde(default = "ok")]
    pub expect_status: Statuses,
    /// How one sees that the answer is for the right user; absent: the status alone decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Check>,
    /// Where the answer has a credential that replaces the one the request was sent with, as where
    /// a token carries what a user has in the cart. An answer without one leaves it as it was.
    ///
    /// It is honoured where users are prepared before a load, and in a load whose users come and
    /// go. In a closed or open load everyone keeps the credential they had when it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialSource>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

fn ok() -> Statuses {
    200.into()
}

const fn two_hundred() -> u16 {
    200
}

fn no_content() -> Statuses {
    204.into()
}

fn get() -> String {
    "GET".into()
}

fn post() -> String {
    "POST".into()
}

fn is_post(method: &str) -> bool {
    method == "POST"
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_zero(number: &u8) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_password() {
        for (url, shown) in [
            ("redis://:hunter2@127.0.0.1:6379/1", "redis://127.0.0.1:6379/1"),
            ("postgres://me:hunter2@host:5432/db", "postgres://me@host:5432/db"),
            ("postgres://me:p@hunter2/@host/db?password=hunter2", "postgres://me@host/db"),
            ("postgres://host/db?user=me&password=hunter2", "postgres://host/db"),
            ("redis://127.0.0.1:1", "redis://127.0.0.1:1"),
            ("sqlite:/var/lib/sessions", "sqlite:/var/lib/sessions"),
            ("me:hunter2", "..."),
            ("hunter2", "..."),
        ] {
            let stored = StoreUrl::new(url);
            assert_eq!(stored.to_string(), shown);
            let hidden = url.contains("hunter2") && url.contains("://");
            assert_eq!(stored.holds_password(), hidden, "{url}");
            assert_eq!(stored.secret(), url);
            assert_eq!(serde_json::to_string(&stored).unwrap(), format!("\"{shown}\""));
            let secrets = Secrets { key: Some(b"hunter2".to_vec()), store_url: Some(url.into()) };
            let debug = format!("{stored:?} {secrets:?}");
            assert!(!debug.contains("hunter2") && !debug.contains("104"), "{debug}");
            let line = serde_json::to_string(&secrets).unwrap();
            assert_eq!(serde_json::from_str::<Secrets>(&line).unwrap(), secrets);
        }
    }

    #[test]
    fn other_forms_are_refused_with_what_was_found() {
        for text in ["", "cookie:", "json:token", "body:/x", "header:", "html:"] {
            assert_eq!(text.parse::<CredentialSource>().unwrap_err().found, text);
        }
        for text in ["", "cookie:", "header:Authorization", "header:X: no placeholder"] {
            assert_eq!(text.parse::<CredentialCarrier>().unwrap_err().found, text);
        }
    }
}
