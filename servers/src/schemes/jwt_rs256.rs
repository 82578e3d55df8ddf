//! `jwt-rs256`: access tokens under RSA (PKCS#1 v1.5, SHA-256).

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};

use super::jwt::{KeyPair, Kind, SignedTokens};
use super::keys::{KeyId, pkcs8};
use super::scheme::{ArmInfo, Form, SchemeOptions};
use crate::error::ServeError;

/// The arm `jwt-rs256`.
pub const INFO: ArmInfo = ArmInfo {
    arm: "jwt-rs256",
    scheme: "jwt-rs256",
    store: None,
    summary: "A signed token (JWT, RSA-2048 with SHA-256) that a public key checks.",
    authenticates: true,
    stateful: false,
    revokes: false,
    revokes_refresh: false,
    refreshes: false,
    form: Form::Tuned,
    after_restart: "Tokens stay valid if the key does; a key made for the run is gone with it.",
};

/// Fewest bytes of a modulus.
const MODULUS_BYTES_MIN: usize = 256;

/// RSA as in RS256.
pub const KIND: Kind = Kind {
    algorithm: Algorithm::RS256,
    name: "RS256",
    generate,
    read,
    note: Some(
        "jsonwebtoken reads the private key anew for each signature: a login pays for that too.",
    ),
};

fn generate() -> Result<Vec<u8>, ServeError> {
    let key = RsaKeyPair::generate(KeySize::Rsa2048);
    let der = key.and_then(|key| key.as_der()).map_err(|_| ServeError::NoKey(INFO.arm))?;
    Ok(der.as_ref().to_vec())
}

fn refused(found: &dyn ToString) -> ServeError {
    let expected = "an RSA private key of 2,048 to 8,192 bits with an odd public exponent of at \
                    least 65,537";
    ServeError::Key { arm: INFO.arm, expected, found: found.to_string() }
}

fn read(arm: &'static str, key: &[u8]) -> Result<KeyPair, ServeError> {
    let der = pkcs8(arm, key)?;
    let parsed = RsaKeyPair::from_pkcs8(&der).map_err(|why| refused(&format!("`{why}`")))?;
    let public = parsed.public_key();
    let (modulus, exponent) = (public.modulus(), public.exponent());
    let modulus = modulus.big_endian_without_leading_zero();
    if modulus.len() < MODULUS_BYTES_MIN || modulus[0] < 0x80 && modulus.len() == MODULUS_BYTES_MIN
    {
        return Err(refused(&format!("a modulus of {} bytes", modulus.len())));
    }
    let exponent = exponent.big_endian_without_leading_zero();
    // Two bytes or fewer are below 65,536.
    if exponent.len() <= 2 || exponent.last().is_some_and(|low| low % 2 == 0) {
        return Err(refused(&format!("a public exponent of {exponent:?}")));
    }
    // jsonwebtoken unwraps PKCS#8 in the PEM form only.
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode(&der)
    );
    Ok(KeyPair {
        id: KeyId::of(arm, public.as_ref()),
        signing: EncodingKey::from_rsa_pem(pem.as_bytes()).map_err(|why| refused(&why))?,
        verifying: DecodingKey::from_rsa_der(public.as_ref()),
    })
}

/// Opens the arm, with a key made for the run unless one is given (PKCS#8, PEM or DER).
///
/// The private key makes tokens and the public one checks them, so a service that only checks
/// cannot forge. A key of fewer than 2,048 bits, or with a public exponent that is even or below
/// 65,537 (FIPS 186-5; e = 1 makes every message its own signature), is refused at the start.
///
/// # Errors
/// [`ServeError::Key`] where the key is weak or none, [`ServeError::NoKey`].
pub async fn open(options: &SchemeOptions) -> Result<SignedTokens, ServeError> {
    SignedTokens::open(INFO.arm, &KIND, options)
}
