//! `jwt-jwks`: access tokens that an issuer signs, verified with keys fetched from it.

use std::sync::Arc;

use http::HeaderMap;
use jsonwebtoken::Algorithm;
use serde::{Deserialize, Serialize};

use super::bearer;
use super::claims::{Profile, Verified};
use super::credential::bearer;
use super::issuer::{
    FETCH_EVERY, Jwks, KEYS_FRESH, Link, NewFacts, OwnIssuer, SIGNER, issuer_note, new_key,
};
use super::jwt;
use super::scheme::{
    ArmInfo, CartAnswer, Challenge, Credential, Form, Issued, Reason, Rejection, Revoked, Scheme,
    SchemeOptions, Token,
};
use crate::cart::Cart;
use crate::contract::StoreProcess;
use crate::error::{ServeError, StoreError};
use crate::json;
use crate::stores::ISSUER;
use crate::users::User;

/// The arm `jwt-jwks`.
pub const INFO: ArmInfo = ArmInfo {
    arm: SIGNER,
    scheme: SIGNER,
    store: Some(ISSUER),
    summary: "A token that an issuer signs (JWT, ECDSA P-256), checked with keys fetched from it.",
    authenticates: true,
    stateful: false,
    revokes: false,
    revokes_refresh: false,
    refreshes: false,
    form: Form::Tuned,
    after_restart: "Tokens stay valid if the issuer's key does; an issuer that was started for the \
                    run is gone with its key.",
};

/// The scheme.
///
/// The private key is the issuer's alone: a login, and a change of the cart that a token carries,
/// is a request to it, and nothing else is. What a request brings is verified here, with keys that
/// are fetched once and remembered ([`Jwks`]), and by the profile of every signed token of ours.
///
/// Nothing that a token says chooses where keys come from: `jku` and its kin refuse the token, as
/// everywhere.
pub struct IssuedTokens {
    keys: Jwks,
    link: Arc<Link>,
    profile: Profile,
    own: Option<OwnIssuer>,
}

/// Opens the arm, over the issuer of the URL or one that is started for it, which signs with the
/// key that is given (PKCS#8, PEM or DER) or one that is made for the run.
///
/// # Errors
/// [`ServeError::Key`] where the key is not of P-256, [`ServeError::Store`] where the issuer cannot
/// be started or asked.
pub async fn open(options: &SchemeOptions) -> Result<IssuedTokens, ServeError> {
    let own = match &options.store_url {
        Some(_) => None,
        None => Some(OwnIssuer::start(options, keys(options)?).await?),
    };
    let url = options.store_url.as_deref().or(own.as_ref().map(OwnIssuer::url));
    let link = Arc::new(Link::new(url.unwrap_or_default(), options.patience)?);
    let keys = Jwks::open(Arc::clone(&link), options.clock.clone()).await?;
    Ok(IssuedTokens { keys, link, profile: Profile::new(options), own })
}

/// The keys for an issuer that is started, the current one first.
fn keys(options: &SchemeOptions) -> Result<Vec<Vec<u8>>, ServeError> {
    let current = match &options.key {
        Some(key) => key.clone(),
        None => {
            let key = new_key()?;
            if let Some(made) = &options.made_key {
                made.get_or_init(|| key.clone());
            }
            key
        }
    };
    Ok(std::iter::once(current).chain(options.previous_keys.iter().cloned()).collect())
}

/// What the issuer is asked to sign.
#[derive(Serialize)]
struct Claims<'a> {
    facts: NewFacts<'a>,
    exp: u64,
}

/// What it answers.
#[derive(Deserialize)]
struct Signed {
    access_token: String,
    expires_in: u64,
}

impl IssuedTokens {
    /// The keys, for tests that look behind the scheme.
    #[must_use]
    pub const fn keys(&self) -> &Jwks {
        &self.keys
    }

    /// The issuer that was started for this server.
    #[must_use]
    pub const fn issuer(&self) -> Option<&OwnIssuer> {
        self.own.as_ref()
    }

    async fn sign(
        &self,
        user: User,
        cart: &Cart,
        expires: Option<u64>,
    ) -> Result<Token, Rejection> {
        const OPERATION: &str = "sign a token";
        // The server decides how long its users stay logged in, and the issuer's clock when that
        // begins.
        let exp = self.profile.life(expires).expires;
        let claims = serde_json::to_vec(&Claims { facts: NewFacts::new(user, cart), exp });
        let claims = claims.map_err(|_| Rejection::Issue)?;
        let answer = self.link.post(OPERATION, "/token", claims).await?;
        let signed: Option<Signed> = json::object(&answer);
        let Signed { access_token, expires_in } = signed.ok_or_else(|| StoreError {
            store: ISSUER,
            operation: OPERATION,
            found: format!("an unreadable answer of {} bytes", answer.len()),
        })?;
        Ok(Token::access(access_token, expires_in))
    }

    async fn verified(&self, headers: &HeaderMap) -> Result<Verified, Rejection> {
        let token = bearer(headers)?;
        let known = self.keys.known().await;
        if let Some(key) = known.of_token(token) {
            let payload = jwt::verify(token, key.header.len() - 1, &key.verifying, ALGORITHM);
            return payload.and_then(|payload| self.profile.read(&payload)).map_err(invalid);
        }
        // In a box, so that the future of every request does not have room for it.
        Box::pin(self.verified_slowly(token)).await
    }

    /// The same for a token whose header is written in another way or names another key.
    async fn verified_slowly(&self, token: &[u8]) -> Result<Verified, Rejection> {
        let (kid, length) = jwt::named_key(token, "ES256").map_err(invalid)?;
        let known = self.keys.with(&kid).await?;
        let key = known.named(&kid).ok_or(Rejection::Invalid(Reason::Key))?;
        let payload = jwt::verify(token, length, &key.verifying, ALGORITHM);
        payload.and_then(|payload| self.profile.read(&payload)).map_err(invalid)
    }
}

const ALGORITHM: Algorithm = Algorithm::ES256;

const fn invalid(reason: Reason) -> Rejection {
    Rejection::Invalid(reason)
}

impl Scheme for IssuedTokens {
    const CHALLENGE: Challenge = bearer::CHALLENGE;

    fn credential(&self) -> Credential {
        bearer::credential()
    }

    fn notes(&self) -> Vec<String> {
        vec![
            format!(
                "Tokens are ES256 and cannot be revoked; the leeway for clocks is {} s.",
                self.profile.leeway.as_secs_f64()
            ),
            issuer_note(self.own.as_ref()),
            format!(
                "The issuer's keys are believed for {} s and fetched at most once in {} s; while \
                 it cannot be asked, known keys go on and others are answered with 503.",
                KEYS_FRESH.as_secs(),
                FETCH_EVERY.as_secs()
            ),
            "A login, and each change of a cart, is a request to the issuer.".into(),
        ]
    }

    async fn issue(&self, user: User, _headers: &HeaderMap) -> Result<Issued, Rejection> {
        Ok(Issued::Token(self.sign(user, &Cart::default(), None).await?))
    }

    async fn authenticate(&self, headers: &HeaderMap) -> Result<User, Rejection> {
        self.verified(headers).await.map(|token| token.user)
    }

    async fn cart(&self, headers: &HeaderMap) -> Result<Cart, Rejection> {
        self.verified(headers).await.map(|token| token.cart)
    }

    async fn add_to_cart(&self, headers: &HeaderMap, item: &str) -> Result<CartAnswer, Rejection> {
        let token = self.verified(headers).await?;
        let cart = token.cart.with(item)?;
        // Filling a cart is no login: the new token expires when the old one would have.
        let token = self.sign(token.user, &cart, Some(token.expires)).await?;
        Ok(CartAnswer { cart, reissued: Some(Issued::Token(token)) })
    }

    async fn logout(&self, headers: &HeaderMap) -> Result<Revoked, Rejection> {
        self.verified(headers).await?;
        Ok(Revoked::Nothing)
    }

    async fn logout_all(&self, headers: &HeaderMap) -> Result<Revoked, Rejection> {
        self.logout(headers).await
    }

    fn store_process(&self) -> Option<StoreProcess> {
        self.own.as_ref().and_then(OwnIssuer::process)
    }
}
