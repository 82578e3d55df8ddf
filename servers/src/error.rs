//! Why a server could not be started or kept up.

use std::io;
use std::net::SocketAddr;

/// A server that cannot start, or cannot continue.
///
/// These are the errors of an operator, not of a client: each says what was expected, what was
/// found and what to do. What a client does wrong is a [`crate::schemes::Rejection`], which is
/// data, has a status, and never ends the process.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// There is no such arm.
    #[error("unknown arm `{found}`; choose one of {known}")]
    UnknownArm {
        /// What was asked for.
        found: String,
        /// Every arm there is, separated by commas.
        known: String,
    },
    /// A key that is too short to be one.
    #[error(
        "expected a key of at least {needed} bytes for `{arm}`, found {found}; generate one from \
         random bytes, or omit it to have one made for this run"
    )]
    ShortKey {
        /// The arm that needs it.
        arm: &'static str,
        /// Bytes needed.
        needed: usize,
        /// Bytes found.
        found: usize,
    },
    /// A key that is weak, or not one of the kind that the arm takes.
    #[error(
        "expected the key of `{arm}` to be {expected}, found {found}; generate one with \
         `openssl rand` or `openssl genpkey`, or omit it to have one made for this run"
    )]
    Key {
        /// The arm that needs it.
        arm: &'static str,
        /// What it must be.
        expected: &'static str,
        /// What it was, without a byte of it.
        found: String,
    },
    /// No key could be made for this run.
    #[error("could not generate a key for `{0}`; pass --key-file")]
    NoKey(&'static str),
    /// An option whose value makes no sense.
    #[error("expected {option} to be {expected}, found {found}")]
    Option {
        /// Name of the option.
        option: &'static str,
        /// What it may be.
        expected: &'static str,
        /// What it was.
        found: String,
    },
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes: {0}; see getrandom(2)")]
    Entropy(getrandom::Error),
    /// A listener could not be had or asked.
    #[error("cannot listen on {address}: {source}; choose another address")]
    Listen {
        /// The address wanted.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// No certificate for this run, or a library that refuses it.
    #[error("cannot set up TLS: {0}; serve without --tls, behind a proxy that ends it")]
    Tls(String),
    /// A task of the server itself died, which is a bug.
    #[error("the {task} ended before it was told to stop: {found}; this is a bug")]
    Task {
        /// Which one.
        task: &'static str,
        /// How it ended.
        found: String,
    },
    /// The program of a store is not on this machine.
    #[error(
        "the program `{program}` is not installed; install the Debian package `{package}`, or for \
         a store pass --store-url with one that runs"
    )]
    Program {
        /// The program.
        program: &'static str,
        /// The package that has it.
        package: &'static str,
    },
    /// Several servers that would not be what was asked for.
    #[error("this deployment is refused: {why}")]
    Deployment {
        /// Why, and what to do.
        why: String,
    },
    /// A server of a deployment that did not start.
    #[error("expected every server of the deployment to start, found {found}")]
    Member {
        /// What was found.
        found: String,
    },
    /// The proxy of a deployment that did not start.
    #[error("cannot start the proxy `{}`: {}", .0.store, .0.found)]
    Proxy(StoreError),
    /// The store could not be opened.
    #[error("cannot open the store: {0}")]
    Store(#[from] StoreError),
}

/// A store that could not do what it was asked. The request fails closed, with a 503.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the store `{store}` could not {operation}: {found}; check that it runs and can be reached"
)]
pub struct StoreError {
    /// Name of the store.
    pub store: &'static str,
    /// What was asked of it.
    pub operation: &'static str,
    /// What it said.
    pub found: String,
}
