//! `jwt-hs256`: access tokens under an HMAC with SHA-256.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};

use super::jwt::{KeyPair, Kind, SignedTokens};
use super::keys::{KeyId, check_secret, random_secret};
use super::scheme::{ArmInfo, Form, SchemeOptions};
use crate::error::ServeError;

/// The arm `jwt-hs256`.
pub const INFO: ArmInfo = ArmInfo {
    arm: "jwt-hs256",
    scheme: "jwt-hs256",
    store: None,
    summary: "A signed token (JWT, HMAC-SHA-256) says who the user is; the server keeps nothing.",
    authenticates: true,
    stateful: false,
    revokes: false,
    revokes_refresh: false,
    refreshes: false,
    form: Form::Tuned,
    after_restart: "Tokens stay valid if the key does; a key made for the run is gone with it.",
};

/// HMAC with SHA-256, for this arm and those built on it.
pub const KIND: Kind =
    Kind { algorithm: Algorithm::HS256, name: "HS256", generate: random_secret, read, note: None };

fn read(arm: &'static str, key: &[u8]) -> Result<KeyPair, ServeError> {
    check_secret(arm, key)?;
    Ok(KeyPair {
        id: KeyId::of(arm, key),
        signing: EncodingKey::from_secret(key),
        verifying: DecodingKey::from_secret(key),
    })
}

/// Opens the arm, with a random key unless one is given.
///
/// One key signs and verifies, so anyone who can check a token can make one. It must have as many
/// bits as the hash (RFC 7518, 3.2), which jsonwebtoken does not see to: a shorter one is refused
/// at the start, and so is one that others may know or guess ([`check_secret`]).
///
/// # Errors
/// [`ServeError::ShortKey`], [`ServeError::Key`], [`ServeError::Entropy`].
pub async fn open(options: &SchemeOptions) -> Result<SignedTokens, ServeError> {
    SignedTokens::open(INFO.arm, &KIND, options)
}
