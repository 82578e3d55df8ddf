//! `jwt-eddsa`: access tokens under Ed25519 (RFC 8037).
//! The smallest keys and signatures of those with a public key, and no choice of parameters to get
//! wrong. `EdDSA` in a header means Ed25519 here and nothing else: the key decides the curve.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};

use super::jwt::{KeyPair, Kind, SignedTokens};
use super::keys::{KeyId, pkcs8};
use super::scheme::{ArmInfo, Form, SchemeOptions};
use crate::error::ServeError;

/// The arm `jwt-eddsa`.
pub const INFO: ArmInfo = ArmInfo {
    arm: "jwt-eddsa",
    scheme: "jwt-eddsa",
    store: None,
    summary: "A signed token (JWT, Ed25519) that a public key checks.",
    authenticates: true,
    stateful: false,
    revokes: false,
    revokes_refresh: false,
    refreshes: false,
    form: Form::Tuned,
    after_restart: "Tokens stay valid if the key does; a key made for the run is gone with it.",
};

/// Ed25519 as in EdDSA.
pub const KIND: Kind =
    Kind { algorithm: Algorithm::EdDSA, name: "EdDSA", generate, read, note: None };

fn generate() -> Result<Vec<u8>, ServeError> {
    let key = Ed25519KeyPair::generate();
    // Version 1, which every other tool reads as well.
    let der = key.and_then(|key| key.to_pkcs8v1()).map_err(|_| ServeError::NoKey(INFO.arm))?;
    Ok(der.as_ref().to_vec())
}

fn read(arm: &'static str, key: &[u8]) -> Result<KeyPair, ServeError> {
    let der = pkcs8(arm, key)?;
    let parsed = Ed25519KeyPair::from_pkcs8(&der).map_err(|why| ServeError::Key {
        arm,
        expected: "an Ed25519 private key",
        found: format!("`{why}`"),
    })?;
    let public = parsed.public_key().as_ref();
    Ok(KeyPair {
        id: KeyId::of(arm, public),
        signing: EncodingKey::from_ed_der(&der),
        verifying: DecodingKey::from_ed_der(public),
    })
}

/// Opens the arm, with a key made for the run unless one is given (PKCS#8, PEM or DER).
///
/// # Errors
/// [`ServeError::Key`] where the key is not of Ed25519, [`ServeError::NoKey`].
pub async fn open(options: &SchemeOptions) -> Result<SignedTokens, ServeError> {
    SignedTokens::open(INFO.arm, &KIND, options)
}
