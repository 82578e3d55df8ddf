//! An issuer of tokens, a server of its own beside the one that is measured: it signs tokens and
//! publishes its keys (RFC 7517), and answers what an opaque token stands for (RFC 7662).

mod jwks;
mod link;
mod opaque;
mod own;
mod server;
mod settings;
mod signing;
mod wire;

pub use jwks::{FETCH_EVERY, Jwks, KEYS_FRESH};
pub(super) use link::Link;
pub use opaque::OpaqueTokens;
pub use own::OwnIssuer;
pub(super) use own::issuer_note;
pub use server::run;
pub(super) use signing::{SIGNER, new_key};
pub(super) use wire::NewFacts;
