//! `jwt-denylist`: HS256 tokens that can be revoked, at the price of a list.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;

use super::bearer::{self, Tokens};
use super::claims::{Verified, token_id};
use super::credential::bearer;
use super::jwt::SignedTokens;
use super::jwt_hs256;
use super::scheme::{
    ArmInfo, CartAnswer, Challenge, Credential, Form, Issued, Reason, Rejection, Revoked, Scheme,
    SchemeOptions,
};
use crate::cart::Cart;
use crate::clock::Timestamp;
use crate::contract::StoreProcess;
use crate::error::ServeError;
use crate::stores::Upkeep;
use crate::stores::denylist::{Denials, DeniedId, Denylist};
use crate::stores::filter::DenyFilter;
use crate::stores::redis::denylist::SharedDenylist;
use crate::users::User;

/// The arm `jwt-denylist@memory`.
pub const MEMORY: ArmInfo = ArmInfo {
    arm: "jwt-denylist@memory",
    scheme: "jwt-denylist",
    store: Some("memory"),
    summary: "HS256 tokens, and a list in memory of those that were logged out before their time.",
    authenticates: true,
    stateful: false,
    revokes: true,
    revokes_refresh: false,
    refreshes: false,
    form: Form::Tuned,
    after_restart: "Tokens stay valid if the key does, and logged-out ones are again: no list.",
};

/// The arm `jwt-denylist@redis`.
pub const REDIS: ArmInfo = ArmInfo {
    arm: "jwt-denylist@redis",
    store: Some("redis"),
    summary: "The same, with the list in Redis and pushed to every server, each of which asks \
              its own copy of it.",
    after_restart: "Tokens stay valid if the key does, and logged-out ones stay out with \
                    `--store-url redis://...`.",
    ..MEMORY
};

/// The arm `jwt-denylist@filter`.
pub const FILTER: ArmInfo = ArmInfo {
    arm: "jwt-denylist@filter",
    store: Some("filter"),
    summary: "The same with a Bloom filter in place of the list: less memory, and one good token \
              in 10,000 is refused where a million were revoked.",
    ..MEMORY
};

/// The scheme.
///
/// A logout denies the token's `jti`, never its text: another text of the same token may be just as
/// good (RFC 8725's successor, and ECDSA's signatures). There is one issuer, so the pair of issuer
/// and `jti` that a list should be keyed by is the `jti` here. An entry is kept until the token
/// would expire, leeway included, and swept after that.
///
/// A logout everywhere denies nothing one by one, since the server does not know which tokens
/// exist: it notes a number, and tokens of that user that were issued before it are refused.
/// Seconds are too coarse to tell a token from before from the next login's, so the first half of
/// each `jti` is a number that the list gives at each issue, a count of microseconds that never
/// goes back and that a logout everywhere moves on by one; the second half is random. The note is
/// kept until the last of those tokens would expire.
///
/// A token that is re-issued with a larger cart keeps its `jti`: it is the same login, so a logout
/// with either ends both, and a slow request cannot bring a logged-out login back.
///
/// The list is this process's own (`@memory`: another server does not know it, and a restart
/// forgets it; `@filter`: the same in less room, and not exact), or one that servers share over
/// Redis (`@redis`), of which each asks its own copy.
pub struct RevocableTokens<D> {
    tokens: SignedTokens,
    denied: Arc<D>,
}

/// Opens `jwt-denylist@memory`, with a random key unless one is given.
///
/// # Errors
/// [`ServeError::ShortKey`], [`ServeError::Key`], [`ServeError::Entropy`].
pub async fn open_memory(options: &SchemeOptions) -> Result<RevocableTokens<Denylist>, ServeError> {
    Ok(RevocableTokens::new(tokens(MEMORY.arm, options)?, Denylist::default()))
}

/// Opens `jwt-denylist@filter`, with a random key unless one is given.
///
/// # Errors
/// [`ServeError::ShortKey`], [`ServeError::Key`], [`ServeError::Entropy`].
pub async fn open_filter(
    options: &SchemeOptions,
) -> Result<RevocableTokens<DenyFilter>, ServeError> {
    Ok(RevocableTokens::new(tokens(FILTER.arm, options)?, DenyFilter::default()))
}

/// Opens `jwt-denylist@redis`, over the Redis of the URL or one that is started for it.
///
/// # Errors
/// The same, and see [`SharedDenylist::open`].
pub async fn open_redis(
    options: &SchemeOptions,
) -> Result<RevocableTokens<SharedDenylist>, ServeError> {
    let tokens = tokens(REDIS.arm, options)?;
    let url = options.store_url.as_deref();
    let list = SharedDenylist::open(url, options.clock.clone(), options.patience).await?;
    Ok(RevocableTokens::new(tokens, list))
}

/// The tokens of this arm. A wrong key is found before a store is opened or started.
fn tokens(arm: &'static str, options: &SchemeOptions) -> Result<SignedTokens, ServeError> {
    SignedTokens::open(arm, &jwt_hs256::KIND, options)
}

impl<D: Denials> RevocableTokens<D> {
    fn new(tokens: SignedTokens, denied: D) -> Self {
        Self { tokens, denied: Arc::new(denied) }
    }

    fn now(&self) -> Timestamp {
        self.tokens.profile().clock.now()
    }

    /// What the token of the request says, and the bits of its `jti`.
    fn verified(&self, headers: &HeaderMap) -> Result<(Verified, DeniedId), Rejection> {
        let token = self.tokens.verify(bearer(headers)?)?;
        let mut bits = [0; 16];
        match URL_SAFE_NO_PAD.decode_slice(token.id, &mut bits) {
            Ok(16) => {}
            _ => return Err(Rejection::Invalid(Reason::Claims)),
        }
        let id = DeniedId::from_be_bytes(bits);
        if self.denied.refuses(token.user.id, id)? {
            return Err(Rejection::Invalid(Reason::Unknown));
        }
        Ok((token, id))
    }

    async fn deny(&self, token: &Verified, id: DeniedId) -> Result<u64, Rejection> {
        let leeway = self.tokens.profile().leeway;
        let until = Timestamp::from_seconds(token.expires).plus(leeway);
        Ok(u64::from(self.denied.deny(id, until, self.now()).await?))
    }
}

impl<D: Denials> Scheme for RevocableTokens<D> {
    const CHALLENGE: Challenge = bearer::CHALLENGE;

    fn credential(&self) -> Credential {
        bearer::credential()
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = vec![format!(
            "Tokens are HS256; revoked ones are in a list until they expire; the leeway for clocks \
             is {} s.",
            self.tokens.profile().leeway.as_secs_f64()
        )];
        notes.extend(self.denied.notes());
        notes
    }

    async fn issue(&self, user: User, headers: &HeaderMap) -> Result<Issued, Rejection> {
        match self.verified(headers) {
            Ok((old, id)) => drop(self.deny(&old, id).await?),
            Err(error @ (Rejection::Ambiguous | Rejection::Store(_))) => return Err(error),
            Err(_) => {}
        }
        let mut bits = [0; 16];
        getrandom::fill(&mut bits[8..]).map_err(|_| Rejection::Issue)?;
        bits[..8].copy_from_slice(&self.denied.issue(self.now()).await?.to_be_bytes());
        let token = self.tokens.sign_as(&token_id(bits)?, user, &Cart::default(), None)?;
        Ok(Issued::Token(token))
    }

    async fn authenticate(&self, headers: &HeaderMap) -> Result<User, Rejection> {
        self.verified(headers).map(|(token, _)| token.user)
    }

    async fn cart(&self, headers: &HeaderMap) -> Result<Cart, Rejection> {
        self.verified(headers).map(|(token, _)| token.cart)
    }

    async fn add_to_cart(&self, headers: &HeaderMap, item: &str) -> Result<CartAnswer, Rejection> {
        let (token, _) = self.verified(headers)?;
        let cart = token.cart.with(item)?;
        let new = self.tokens.sign_as(&token.id, token.user, &cart, Some(token.expires))?;
        Ok(CartAnswer { cart, reissued: Some(Issued::Token(new)) })
    }

    async fn logout(&self, headers: &HeaderMap) -> Result<Revoked, Rejection> {
        let (token, id) = self.verified(headers)?;
        Ok(Revoked::Counted(self.deny(&token, id).await?))
    }

    async fn logout_all(&self, headers: &HeaderMap) -> Result<Revoked, Rejection> {
        let (token, _) = self.verified(headers)?;
        let profile = self.tokens.profile();
        let now = self.now();
        // Issued at the end of this second by a clock that is ahead by the leeway: the last one.
        let until = now.plus(profile.ttl).plus(profile.leeway * 2);
        self.denied.deny_all(token.user.id, until, now).await?;
        Ok(Revoked::All)
    }

    fn upkeep(&self) -> Option<Arc<dyn Upkeep>> {
        Some(Arc::clone(&self.denied) as Arc<dyn Upkeep>)
    }

    fn store_process(&self) -> Option<StoreProcess> {
        self.denied.process()
    }
}
