//! `jwt-es256`: access tokens under ECDSA on P-256 with SHA-256.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};

use super::jwt::{KeyPair, Kind, SignedTokens};
use super::keys::{KeyId, pkcs8};
use super::scheme::{ArmInfo, Form, SchemeOptions};
use crate::error::ServeError;

/// The arm `jwt-es256`.
pub const INFO: ArmInfo = ArmInfo {
    arm: "jwt-es256",
    scheme: "jwt-es256",
    store: None,
    summary: "A signed token (JWT, ECDSA P-256 with SHA-256) that a public key checks.",
    authenticates: true,
    stateful: false,
    revokes: false,
    revokes_refresh: false,
    refreshes: false,
    form: Form::Tuned,
    after_restart: "Tokens stay valid if the key does; a key made for the run is gone with it.",
};

/// ECDSA as in ES256.
pub const KIND: Kind =
    Kind { algorithm: Algorithm::ES256, name: "ES256", generate, read, note: None };

fn generate() -> Result<Vec<u8>, ServeError> {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
    let der = key.and_then(|key| key.to_pkcs8v1()).map_err(|_| ServeError::NoKey(INFO.arm))?;
    Ok(der.as_ref().to_vec())
}

fn read(arm: &'static str, key: &[u8]) -> Result<KeyPair, ServeError> {
    let der = pkcs8(arm, key)?;
    let parsed = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der);
    let parsed = parsed.map_err(|why| ServeError::Key {
        arm,
        expected: "a private key on the curve P-256",
        found: format!("`{why}`"),
    })?;
    let public = parsed.public_key().as_ref();
    Ok(KeyPair {
        id: KeyId::of(arm, public),
        signing: EncodingKey::from_ec_der(&der),
        verifying: DecodingKey::from_ec_der(public),
    })
}

/// Opens the arm, with a key made for the run unless one is given (PKCS#8, PEM or DER).
///
/// Signatures are the 64 bytes of RFC 7518, 3.4, and no DER. One can be turned into another good
/// one without the key (s and n - s), so nothing may ever know a token by its bytes: it is known
/// by its `jti`.
///
/// # Errors
/// [`ServeError::Key`] where the key is not of P-256, [`ServeError::NoKey`].
pub async fn open(options: &SchemeOptions) -> Result<SignedTokens, ServeError> {
    SignedTokens::open(INFO.arm, &KIND, options)
}
