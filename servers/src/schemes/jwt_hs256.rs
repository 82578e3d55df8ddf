//! `jwt-hs256`: access tokens under an HMAC with SHA-256.
//!
//! One key signs and verifies, so whoever can check a token can make one. It must have as many
//! bits as the hash (RFC 7518, 3.2), which jsonwebtoken does not see to: a shorter one is refused
//! at the start.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};

use super::jwt::{Keys, SignedTokens};
use super::{ArmInfo, SchemeOptions};
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
    refreshes: false,
    after_restart: "Tokens stay valid if the key does; a key made for the run is gone with it.",
};

/// Fewest bytes of a key.
pub const KEY_BYTES_MIN: usize = 32;

/// Opens the arm, with a random key unless one is given.
///
/// # Errors
/// [`ServeError::ShortKey`], [`ServeError::Entropy`].
pub async fn open(options: &SchemeOptions) -> Result<SignedTokens, ServeError> {
    let mut random = [0; KEY_BYTES_MIN];
    let key = match &options.key {
        Some(key) if key.len() < KEY_BYTES_MIN => {
            let (needed, found) = (KEY_BYTES_MIN, key.len());
            return Err(ServeError::ShortKey { arm: INFO.arm, needed, found });
        }
        Some(key) => key.as_slice(),
        None => {
            getrandom::fill(&mut random).map_err(ServeError::Entropy)?;
            &random
        }
    };
    let keys = Keys {
        algorithm: Algorithm::HS256,
        name: "HS256",
        signing: EncodingKey::from_secret(key),
        verifying: DecodingKey::from_secret(key),
    };
    Ok(SignedTokens::new(keys, options))
}
