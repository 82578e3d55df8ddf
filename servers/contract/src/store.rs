//! What is said of a store: its process, its URL, and what the servers of an arm share.

use std::fmt;

use serde::{Deserialize, Serialize};

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

/// The proxy that stands before the servers of an arm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyProcess {
    /// Its name and version, `haproxy 2.6.12`.
    pub name: String,
    /// Its process; those that it started belong to it.
    pub pid: u32,
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
    /// [`crate::CONTRACT_VERSION`] of the program.
    pub authbench: u32,
    /// What each of them is to be given.
    pub secrets: Secrets,
    /// The server of the store, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreProcess>,
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
}
