//! The issuer's keys: what signs, and the set that is published of them (RFC 7517).

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::cart::Cart;
use crate::clock::Clock;
use crate::error::ServeError;
use crate::schemes::bearer::Tokens as _;
use crate::schemes::jwt::SignedTokens;
use crate::schemes::jwt_es256;
use crate::schemes::keys::pkcs8;
use crate::schemes::scheme::{Rejection, SchemeOptions, Token};
use crate::users::User;

/// The arm whose tokens are signed; a key's name is derived from it.
pub(in crate::schemes) const SIGNER: &str = "jwt-jwks";
/// Keys that are published: the current one, and those whose tokens are still out.
const KEYS_MAX: usize = 4;

/// A new key, as a key file has it.
///
/// # Errors
/// [`ServeError::NoKey`].
pub(in crate::schemes) fn new_key() -> Result<Vec<u8>, ServeError> {
    (jwt_es256::KIND.generate)().map_err(|_| ServeError::NoKey(SIGNER))
}

/// The keys, prepared.
pub(super) struct Signing {
    keys: Vec<Vec<u8>>,
    tokens: SignedTokens,
    published: String,
    clock: Clock,
}

impl Signing {
    /// These keys, of which the first one signs; `None` without a key.
    ///
    /// # Errors
    /// [`ServeError::Key`] where one is not a private key on P-256.
    pub(super) fn new(keys: Vec<Vec<u8>>, clock: Clock) -> Result<Option<Self>, ServeError> {
        let Some((key, previous)) = keys.split_first() else { return Ok(None) };
        let options = SchemeOptions {
            key: Some(key.clone()),
            previous_keys: previous.to_vec(),
            clock: clock.clone(),
            ..SchemeOptions::default()
        };
        let tokens = SignedTokens::open(SIGNER, &jwt_es256::KIND, &options)?;
        let all = keys.iter().map(|key| public(key)).collect::<Result<Vec<_>, _>>()?;
        let published = json!({ "keys": all }).to_string();
        Ok(Some(Self { keys, tokens, published, clock }))
    }

    /// The same with a new key, which signs from now on; tokens under the others stay good.
    ///
    /// # Errors
    /// [`ServeError::NoKey`].
    pub(super) fn rotated(&self) -> Result<Self, ServeError> {
        let mut keys = vec![new_key()?];
        keys.extend(self.keys.iter().take(KEYS_MAX - 1).cloned());
        Self::new(keys, self.clock.clone())?.ok_or(ServeError::NoKey(SIGNER))
    }

    /// The public keys as JSON.
    pub(super) fn published(&self) -> &str {
        &self.published
    }

    pub(super) fn sign(&self, user: User, cart: &Cart, expires: u64) -> Result<Token, Rejection> {
        self.tokens.sign(user, cart, Some(expires))
    }
}

/// The public half of a key as a JWK.
fn public(key: &[u8]) -> Result<Value, ServeError> {
    let der = pkcs8(SIGNER, key)?;
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der);
    let pair = pair.map_err(|_| ServeError::NoKey(SIGNER))?;
    let kid = (jwt_es256::KIND.read)(SIGNER, key)?.id.to_string();
    // A byte that says that it is uncompressed, and two halves.
    let point = pair.public_key().as_ref();
    let [x, y] = [&point[1..33], &point[33..]].map(|half| URL_SAFE_NO_PAD.encode(half));
    Ok(json!({
        "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": kid, "x": x, "y": y,
    }))
}
