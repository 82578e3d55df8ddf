//! `jwt-crate`: access tokens through jsonwebtoken's own `encode` and `decode`, as its
//! documentation shows them: what a Rust service writes first.

use std::time::Duration;

use jsonwebtoken::{Algorithm, Header, Validation, decode, encode};
use serde::Deserialize;

use super::bearer::Tokens;
use super::claims::{AUDIENCE, ISSUER, Profile, Verified, random_token_id, user};
use super::jwt::{KeyPair, TYPE};
use super::jwt_hs256::KIND;
use super::keys::Ring;
use super::scheme::{ArmInfo, Form, Reason, Rejection, SchemeOptions, Token};
use crate::cart::Cart;
use crate::clock::Clock;
use crate::error::ServeError;
use crate::users::User;

/// The arm `jwt-crate`.
pub const INFO: ArmInfo = ArmInfo {
    arm: "jwt-crate",
    scheme: "jwt-crate",
    store: None,
    summary: "The same token as jwt-hs256, through jsonwebtoken's own encode and decode.",
    authenticates: true,
    stateful: false,
    revokes: false,
    revokes_refresh: false,
    refreshes: false,
    form: Form::AsShipped,
    after_restart: "Tokens stay valid if the key does; a key made for the run is gone with it.",
};

/// The base64 of `{"`, with which the claims of every token begin.
const OBJECT: &[u8] = b"ey";

/// The claims as a service declares them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    jti: String,
    iat: u64,
    nbf: u64,
    exp: u64,
    name: String,
    role: String,
    #[serde(default)]
    cart: Vec<String>,
}

struct Key {
    header: Header,
    /// The header as this arm writes it, encoded, with the dot after it.
    encoded: String,
    pair: KeyPair,
}

/// The scheme.
///
/// The tokens are those of `jwt-hs256`; what differs is how they are made and checked. `decode`
/// reads the header twice and the claims twice, and prepares the HMAC key for every request.
/// Issuer, audience, expiry and the leeway are told to it once, at the start. What our promises
/// need beyond that is added here:
///
/// - It passes over header parameters such as `crit`, so the header has to be the one that this arm
///   writes, byte for byte.
/// - It takes claims that are no object, and claims that we never issued, so the claims have to
///   begin as an object does and to be ours in name and type.
/// - It asks the system for the time. Under a clock of tests its own look at the time is left out.
///   Ours follows in any case, and with it the longest life that a token may have.
pub struct CrateTokens {
    keys: Ring<Key>,
    validation: Validation,
    profile: Profile,
}

/// Opens the arm, with a random key unless one is given.
///
/// # Errors
/// [`ServeError::ShortKey`], [`ServeError::Key`], [`ServeError::Entropy`].
pub async fn open(options: &SchemeOptions) -> Result<CrateTokens, ServeError> {
    let keys = Ring::prepare(options, KIND.generate, |key| {
        let pair = (KIND.read)(INFO.arm, key)?;
        let kid = Some(pair.id.to_string());
        let header = Header { typ: Some(TYPE.into()), kid, ..Header::new(Algorithm::HS256) };
        let token = encode(&header, &(), &pair.signing).unwrap_or_default();
        let length = token.find('.').map_or(0, |dot| dot + 1);
        Ok(Key { header, encoded: token[..length].into(), pair })
    })?;
    let profile = Profile::new(options);
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    // It counts in whole seconds, and ours decides the rest.
    validation.leeway = (profile.leeway + Duration::from_millis(999)).as_secs();
    let by_the_system = matches!(profile.clock, Clock::System);
    (validation.validate_exp, validation.validate_nbf) = (by_the_system, by_the_system);
    Ok(CrateTokens { keys, validation, profile })
}

impl CrateTokens {
    fn check(&self, token: &[u8]) -> Result<Verified, Reason> {
        let ours = |key: &Key| token.starts_with(key.encoded.as_bytes());
        let key = self.keys.find(ours).ok_or(Reason::Header)?;
        if !token[key.encoded.len()..].starts_with(OBJECT) {
            return Err(Reason::Claims);
        }
        let read = decode::<Claims>(token, &key.pair.verifying, &self.validation);
        let claims = read.map_err(|error| reason(&error))?.claims;
        if claims.iss != ISSUER {
            return Err(Reason::Issuer);
        }
        if claims.aud != AUDIENCE {
            return Err(Reason::Audience);
        }
        let begins = claims.nbf.max(claims.iat);
        self.profile.check_life(claims.iat, claims.exp)?;
        self.profile.check_time(begins, claims.exp)?;
        let user = user(&claims.sub, &claims.name, &claims.role)?;
        let id = claims.jti.as_bytes().try_into().map_err(|_| Reason::Claims)?;
        let cart = Cart::of(claims.cart.iter().map(String::as_str)).map_err(|_| Reason::Claims)?;
        Ok(Verified { user, cart, id, begins, expires: claims.exp })
    }
}

/// What the crate's refusal is called here.
fn reason(error: &jsonwebtoken::errors::Error) -> Reason {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        ErrorKind::InvalidSignature => Reason::Signature,
        ErrorKind::ExpiredSignature => Reason::Expired,
        ErrorKind::ImmatureSignature => Reason::NotYet,
        ErrorKind::InvalidIssuer => Reason::Issuer,
        ErrorKind::InvalidAudience => Reason::Audience,
        ErrorKind::InvalidToken | ErrorKind::Base64(_) => Reason::Shape,
        _ => Reason::Claims,
    }
}

impl Tokens for CrateTokens {
    fn sign(&self, user: User, cart: &Cart, expires: Option<u64>) -> Result<Token, Rejection> {
        let life = self.profile.life(expires);
        let key = self.keys.current();
        let id = random_token_id()?;
        let token = Profile::write_with(user, cart, life, &id, |claims| {
            encode(&key.header, claims, &key.pair.signing).ok()
        })?;
        Ok(Token::access(token, life.left()))
    }

    fn verify(&self, token: &[u8]) -> Result<Verified, Rejection> {
        self.check(token).map_err(Rejection::Invalid)
    }

    fn notes(&self) -> Vec<String> {
        vec![format!(
            "Tokens are HS256, made and read by jsonwebtoken's encode and decode as its \
             documentation shows them, and cannot be revoked; the leeway for clocks is {} s.",
            self.profile.leeway.as_secs_f64()
        )]
    }
}
