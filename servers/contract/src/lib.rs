//! What a server and its driver agree on, and nothing else.

mod admin;
mod checks;
mod cookies;
mod login;
mod renewal;
mod share;
mod store;
mod texts;
mod users;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use admin::{AdminStats, FAULT_MARK, POPULATE_PATH, Population};
pub use checks::{Check, Expected, Statuses};
pub use cookies::Cookies;
pub use login::{Field, LoginStep};
pub use renewal::{Lifetime, REFRESH_TOKEN, Refresh, Renewal};
pub use share::Share;
pub use store::{ProxyProcess, RelayProcess, Secrets, SharedLine, StoreProcess, StoreUrl};
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
    /// The processes of the servers, where they are several or behind a proxy; `pid` is then the
    /// one that started them, which serves no request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<u32>,
    /// The proxy before the servers, where there is one; its memory and its CPU time are part of
    /// the bill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<ProxyProcess>,
    /// Whether public connections speak HTTP/2 and nothing else.
    #[serde(default, skip_serializing_if = "is_false")]
    pub http2: bool,
    /// Whether the bytes that pass public connections are counted ([`AdminStats`]).
    #[serde(default, skip_serializing_if = "is_false")]
    pub counts_wire: bool,
    /// The certificate that it shows over TLS, signed by itself, as PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// How to drive it.
    pub target: Target,
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
    /// The Unix socket at which the server listens, in place of the addresses of the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unix_socket: Option<PathBuf>,
    /// The PEM file of the certificate that clients show over TLS, and of what leads to its issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_cert: Option<PathBuf>,
    /// The PEM file of that certificate's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_key: Option<PathBuf>,
    /// How every request says whose it is without a login; absent: it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
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
    /// When users of a load renew their credential; absent: on a 401 where there is a `refresh`,
    /// and else never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal: Option<Renewal>,
    /// The keys of its tokens, for attacks that need them; absent: none are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenKeys>,
    /// The share of requests that may end without an answer because a connection ended, such as
    /// `1%`; absent: 0.1 %. Figures with more of them are invalid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_transport_errors: Option<Share>,
}

/// How a request says whose it is without a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Auth {
    /// `Authorization: Basic` with the user's name and password (RFC 7617).
    Basic,
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
    /// How many users log in at a time before a load; absent: as many as there are connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
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

/// The keys of a server's tokens, as far as its owner gives them to the attack suite.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenKeys {
    /// A file with the public key, PEM or JWK; a reader of target files puts its text here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// The address of its key set (RFC 7517), or its path on the same server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<String>,
    /// A file with the key that signs, PKCS#8 in PEM, or the secret of an HMAC as it is; a reader
    /// of target files puts its text here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_key: Option<String>,
}

/// A named sequence of requests that a logged-in user repeats.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journey {
    /// The requests in order, at least one; none where it is a mix.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// Other journeys that users make in turn, with how often of all.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub mix: BTreeMap<String, u32>,
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
    /// It is honoured where users are prepared before a load, in a load whose users come and go,
    /// and where cookies or credentials are renewed. In another closed or open load everyone keeps
    /// the credential they had when it began.
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
    fn other_forms_are_refused_with_what_was_found() {
        for text in ["", "cookie:", "json:token", "body:/x", "header:", "html:"] {
            assert_eq!(text.parse::<CredentialSource>().unwrap_err().found, text);
        }
        for text in ["", "cookie:", "header:Authorization", "header:X: no placeholder"] {
            assert_eq!(text.parse::<CredentialCarrier>().unwrap_err().found, text);
        }
    }
}
