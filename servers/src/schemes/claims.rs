//! What a token says, whatever holds it: one closed profile, written and checked in one place.

use std::borrow::Cow;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::scheme::{Reason, Rejection, SchemeOptions};
use crate::cart::Cart;
use crate::clock::{Clock, Timestamp};
use crate::json;
use crate::users::{Name, Role, User, UserId};

/// Issuer of every token.
pub const ISSUER: &str = "authbench";
/// The one audience, as a string: the array form that RFC 7519 allows is refused.
pub const AUDIENCE: &str = "authbench-api";
/// Characters of a `jti`: 128 bits in base64url without padding.
pub const TOKEN_ID_CHARS: usize = 22;

/// The `jti` of a token, as text.
pub type TokenId = [u8; TOKEN_ID_CHARS];

/// The claims of a token, all of them. Times are whole seconds since the epoch.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims<'a> {
    #[serde(borrow)]
    iss: Cow<'a, str>,
    #[serde(borrow)]
    aud: Cow<'a, str>,
    #[serde(borrow)]
    sub: Cow<'a, str>,
    #[serde(borrow)]
    jti: Cow<'a, str>,
    iat: u64,
    nbf: u64,
    exp: u64,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow, default)]
    cart: Vec<Cow<'a, str>>,
}

/// The same claims as we write them, borrowed from where they are.
///
/// One issuer, one audience, and exactly the claims that we issue: a claim that is missing,
/// doubled, unknown or of another type refuses the token. RFC 9068's `client_id` is left out, as
/// there are no clients here. Nothing here is read before its signature or its seal was found good.
#[derive(Serialize)]
pub(super) struct NewClaims<'a> {
    iss: &'static str,
    aud: &'static str,
    sub: &'a str,
    jti: &'a str,
    iat: u64,
    nbf: u64,
    exp: u64,
    name: Name,
    role: Role,
    #[serde(skip_serializing_if = "Cart::is_empty")]
    cart: &'a Cart,
}

/// What a verified token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The user and their facts, from the claims.
    pub user: User,
    /// The cart that the token carries.
    pub cart: Cart,
    /// The token's own name.
    pub id: TokenId,
    /// From when on the token is valid, whole seconds since the epoch, without leeway.
    pub begins: u64,
    /// When the token expires, whole seconds since the epoch, without leeway.
    pub expires: u64,
}

/// The life of a token that is about to be made, whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) now: u64,
    pub(super) expires: u64,
}

impl Life {
    /// Seconds that are left.
    pub(super) const fn left(self) -> u64 {
        self.expires.saturating_sub(self.now)
    }
}

/// Writes claims and checks them, under one clock.
#[derive(Clone, Debug)]
pub(super) struct Profile {
    pub(super) clock: Clock,
    pub(super) ttl: Duration,
    pub(super) leeway: Duration,
}

impl Profile {
    pub(super) fn new(options: &SchemeOptions) -> Self {
        Self { clock: options.clock.clone(), ttl: options.ttl, leeway: options.leeway }
    }

    /// The life of a token made now, which ends at `now + ttl` if not told.
    pub(super) fn life(&self, expires: Option<u64>) -> Life {
        let now = self.clock.now().seconds();
        Life { now, expires: expires.unwrap_or(now + self.ttl.as_secs()) }
    }

    /// The JSON of a token's claims.
    pub(super) fn write(
        user: User,
        cart: &Cart,
        life: Life,
        id: &TokenId,
    ) -> Result<Vec<u8>, Rejection> {
        Self::write_with(user, cart, life, id, |claims| serde_json::to_vec(claims).ok())
    }

    /// What `write` makes of a token's claims.
    pub(super) fn write_with<T>(
        user: User,
        cart: &Cart,
        life: Life,
        id: &TokenId,
        write: impl FnOnce(&NewClaims<'_>) -> Option<T>,
    ) -> Result<T, Rejection> {
        let claims = NewClaims {
            iss: ISSUER,
            aud: AUDIENCE,
            sub: &user.id.to_string(),
            jti: str::from_utf8(id).map_err(|_| Rejection::Issue)?,
            iat: life.now,
            nbf: life.now,
            exp: life.expires,
            name: user.name,
            role: user.role,
            cart,
        };
        write(&claims).ok_or(Rejection::Issue)
    }

    /// What these claims say, if they are ours and valid now.
    pub(super) fn read(&self, text: &[u8]) -> Result<Verified, Reason> {
        let claims: Claims<'_> = json::object(text).ok_or(Reason::Claims)?;
        if claims.iss != ISSUER {
            return Err(Reason::Issuer);
        }
        if claims.aud != AUDIENCE {
            return Err(Reason::Audience);
        }
        self.check_life(claims.iat, claims.exp)?;
        let begins = claims.nbf.max(claims.iat);
        self.check_time(begins, claims.exp)?;
        let user = user(&claims.sub, &claims.name, &claims.role)?;
        let id = claims.jti.as_bytes().try_into().map_err(|_| Reason::Claims)?;
        let cart = Cart::of(claims.cart.iter().map(|item| &**item)).map_err(|_| Reason::Claims)?;
        Ok(Verified { user, cart, id, begins, expires: claims.exp })
    }

    /// Never valid for longer than we give, so that no token can claim to live for ever.
    pub(super) fn check_life(&self, issued: u64, expires: u64) -> Result<(), Reason> {
        let too_long = expires.saturating_sub(issued) > self.ttl.as_secs();
        if too_long { Err(Reason::Expired) } else { Ok(()) }
    }

    /// Valid from `begins - leeway` on, and until just before `expires + leeway`.
    pub(super) fn check_time(&self, begins: u64, expires: u64) -> Result<(), Reason> {
        let now = self.clock.now();
        if now >= Timestamp::from_seconds(expires).plus(self.leeway) {
            return Err(Reason::Expired);
        }
        if now.plus(self.leeway) < Timestamp::from_seconds(begins) {
            return Err(Reason::NotYet);
        }
        Ok(())
    }
}

/// The user of these claims.
pub(super) fn user(sub: &str, name: &str, role: &str) -> Result<User, Reason> {
    let id = UserId::parse(sub.as_bytes()).ok_or(Reason::Subject)?;
    let name = Name::new(name).ok_or(Reason::Claims)?;
    let role = Role::parse(role).ok_or(Reason::Claims)?;
    Ok(User { id, name, role })
}

/// A new `jti` of these 128 bits.
pub(super) fn token_id(bits: [u8; 16]) -> Result<TokenId, Rejection> {
    let mut id = [0; TOKEN_ID_CHARS];
    URL_SAFE_NO_PAD.encode_slice(bits, &mut id).map_err(|_| Rejection::Issue)?;
    Ok(id)
}

/// A new random `jti`.
pub(super) fn random_token_id() -> Result<TokenId, Rejection> {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits).map_err(|_| Rejection::Issue)?;
    token_id(bits)
}
