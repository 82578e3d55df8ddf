//! `jwt-denylist@memory`: HS256 tokens that can be revoked, at the price of a list.
//!
//! A logout denies the token's `jti`, never its text: another text of the same token may be just as
//! good (RFC 8725's successor, and ECDSA's signatures). There is one issuer, so the pair of issuer
//! and `jti` that a list should be keyed by is the `jti` here. An entry is kept until the token
//! would expire, leeway included, and swept after that.
//!
//! A logout everywhere denies nothing one by one, since nobody knows which tokens there are: it
//! notes a moment, and tokens of that user from before it are refused. Seconds are too coarse to
//! tell a token from before from the next login's, so the first half of each `jti` is the moment of
//! issue, in microseconds of a count that never goes back and that a logout everywhere moves on by
//! one; the second half is random. The note is kept until the last of those tokens would expire.
//!
//! A token that is re-issued with a larger cart keeps its `jti`: it is the same login, so a logout
//! with either ends both, and a slow request cannot bring a logged-out login back.
//!
//! The list is this process's own: another server does not know it, and a restart forgets it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hashbrown::HashMap;
use http::HeaderMap;
use parking_lot::RwLock;

use super::bearer::{self, Tokens};
use super::claims::{Verified, token_id};
use super::credential::bearer;
use super::jwt::SignedTokens;
use super::{
    ArmInfo, CartAnswer, Challenge, Credential, Issued, Reason, Rejection, Revocation, Revoked,
    Scheme, SchemeOptions, Token, jwt_hs256,
};
use crate::cart::Cart;
use crate::clock::Timestamp;
use crate::error::ServeError;
use crate::stores::{Boxed, StoreError, StoreStats, Upkeep};
use crate::users::{User, UserId};

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
    after_restart: "Tokens stay valid if the key does, and logged-out ones are again: no list.",
};

#[derive(Default)]
struct Lists {
    /// Denied tokens, each with when it may be forgotten.
    tokens: HashMap<u128, Timestamp>,
    /// From which issue on a user's tokens are good, and when that may be forgotten.
    users: HashMap<UserId, (u64, Timestamp)>,
}

/// What was revoked and has not expired.
#[derive(Default)]
pub struct Denylist {
    lists: RwLock<Lists>,
    operations: AtomicU64,
    swept: AtomicU64,
}

/// The scheme.
pub struct RevocableTokens {
    tokens: SignedTokens,
    denied: Arc<Denylist>,
    /// The latest moment of issue given, microseconds.
    issued: AtomicU64,
}

/// Opens the arm, with a random key unless one is given.
///
/// # Errors
/// [`ServeError::ShortKey`], [`ServeError::Entropy`].
pub async fn open_memory(options: &SchemeOptions) -> Result<RevocableTokens, ServeError> {
    Ok(RevocableTokens {
        tokens: SignedTokens::open(&jwt_hs256::KIND, options)?,
        denied: Arc::default(),
        issued: AtomicU64::new(0),
    })
}

impl Denylist {
    fn refuses(&self, user: UserId, id: u128) -> bool {
        self.operations.fetch_add(1, Ordering::Relaxed);
        let lists = self.lists.read();
        let before = lists.users.get(&user).is_some_and(|&(from, _)| moment(id) < from);
        before || lists.tokens.contains_key(&id)
    }

    /// Whether it was not denied before.
    fn deny(&self, id: u128, until: Timestamp) -> bool {
        self.operations.fetch_add(1, Ordering::Relaxed);
        self.lists.write().tokens.insert(id, until).is_none()
    }

    fn deny_before(&self, user: UserId, from: u64, until: Timestamp) {
        self.operations.fetch_add(1, Ordering::Relaxed);
        let mut lists = self.lists.write();
        let entry = lists.users.entry(user).or_insert((from, until));
        *entry = (entry.0.max(from), entry.1.max(until));
    }
}

impl Upkeep for Denylist {
    fn sweep(&self, now: Timestamp) -> Boxed<'_, Result<u64, StoreError>> {
        let mut lists = self.lists.write();
        let before = lists.tokens.len() + lists.users.len();
        lists.tokens.retain(|_, until| *until > now);
        lists.users.retain(|_, (_, until)| *until > now);
        if lists.tokens.len() * 4 < lists.tokens.capacity() {
            lists.tokens.shrink_to_fit();
        }
        let swept = (before - lists.tokens.len() - lists.users.len()) as u64;
        self.swept.fetch_add(swept, Ordering::Relaxed);
        Box::pin(async move { Ok(swept) })
    }

    fn stats(&self) -> Boxed<'_, Result<StoreStats, StoreError>> {
        let lists = self.lists.read();
        let stats = StoreStats {
            sessions: (lists.tokens.len() + lists.users.len()) as u64,
            operations: self.operations.load(Ordering::Relaxed),
            swept: self.swept.load(Ordering::Relaxed),
        };
        Box::pin(async move { Ok(stats) })
    }
}

/// The moment of issue in a `jti`.
fn moment(id: u128) -> u64 {
    u64::try_from(id >> 64).unwrap_or(u64::MAX)
}

impl RevocableTokens {
    /// The list, for tests that look behind the scheme.
    #[must_use]
    pub fn denied(&self) -> &Denylist {
        &self.denied
    }

    /// The moment now, never before one that was given, and `step` after it.
    fn next(&self, step: u64) -> u64 {
        let now = self.tokens.profile().clock.now().millis().saturating_mul(1000);
        let last = self.issued.fetch_max(now, Ordering::SeqCst);
        if step == 0 {
            return last.max(now);
        }
        self.issued.fetch_add(step, Ordering::SeqCst) + step
    }

    fn sign(&self, user: User, cart: &Cart, expires: Option<u64>) -> Result<Token, Rejection> {
        let mut bits = [0; 16];
        getrandom::fill(&mut bits[8..]).map_err(|_| Rejection::Issue)?;
        bits[..8].copy_from_slice(&self.next(0).to_be_bytes());
        self.tokens.sign_as(&token_id(bits)?, user, cart, expires)
    }

    /// What the token of the request says, and the bits of its `jti`.
    fn verified(&self, headers: &HeaderMap) -> Result<(Verified, u128), Rejection> {
        let token = self.tokens.verify(bearer(headers)?)?;
        let mut bits = [0; 16];
        match URL_SAFE_NO_PAD.decode_slice(token.id, &mut bits) {
            Ok(16) => {}
            _ => return Err(Rejection::Invalid(Reason::Claims)),
        }
        let id = u128::from_be_bytes(bits);
        if self.denied.refuses(token.user.id, id) {
            return Err(Rejection::Invalid(Reason::Unknown));
        }
        Ok((token, id))
    }

    fn deny(&self, token: &Verified, id: u128) -> u64 {
        let leeway = self.tokens.profile().leeway;
        let until = Timestamp::from_seconds(token.expires).plus(leeway);
        u64::from(self.denied.deny(id, until))
    }
}

impl Scheme for RevocableTokens {
    const CHALLENGE: Challenge = bearer::CHALLENGE;

    fn credential(&self) -> Credential {
        bearer::credential()
    }

    fn notes(&self) -> Vec<String> {
        vec![format!(
            "Tokens are HS256; revoked ones are in a list until they expire; the leeway for clocks \
             is {} s.",
            self.tokens.profile().leeway.as_secs_f64()
        )]
    }

    async fn issue(&self, user: User, headers: &HeaderMap) -> Result<Issued, Rejection> {
        match self.verified(headers) {
            Ok((old, id)) => drop(self.deny(&old, id)),
            Err(Rejection::Ambiguous) => return Err(Rejection::Ambiguous),
            Err(_) => {}
        }
        Ok(Issued::Token(self.sign(user, &Cart::default(), None)?))
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

    async fn logout(&self, headers: &HeaderMap) -> Result<Revocation, Rejection> {
        let (token, id) = self.verified(headers)?;
        Ok(Revocation { revoked: Revoked::Counted(self.deny(&token, id)), cookie: None })
    }

    async fn logout_all(&self, headers: &HeaderMap) -> Result<Revocation, Rejection> {
        let (token, _) = self.verified(headers)?;
        let profile = self.tokens.profile();
        let from = self.next(1);
        // Issued at the end of this second by a clock that is ahead by the leeway: the last one.
        let until = profile.clock.now().plus(profile.ttl).plus(profile.leeway * 2);
        self.denied.deny_before(token.user.id, from, until);
        Ok(Revocation { revoked: Revoked::All, cookie: None })
    }

    fn upkeep(&self) -> Option<Arc<dyn Upkeep>> {
        Some(Arc::clone(&self.denied) as Arc<dyn Upkeep>)
    }
}
