//! Bearer tokens that carry everything: one scheme, whatever the token is made of.

use http::HeaderMap;

use super::claims::Verified;
use super::credential::bearer;
use super::scheme::{CartAnswer, Challenge, Credential, Issued, Rejection, Revoked, Scheme, Token};
use crate::cart::Cart;
use crate::contract::{CredentialCarrier, CredentialSource};
use crate::users::User;

/// The challenges of every scheme with bearer tokens (RFC 6750, 3).
pub const CHALLENGE: Challenge = Challenge {
    missing: "Bearer realm=\"authbench\"",
    invalid: "Bearer realm=\"authbench\", error=\"invalid_token\"",
};

/// A form of tokens.
///
/// What differs between a signed, an encrypted and a PASETO token is how it is made and how it is
/// checked; everything that a server does with one is here, once. A token of these cannot be
/// revoked, which is what it says when asked to.
pub trait Tokens: Send + Sync + 'static {
    /// A token for this user that carries this cart and expires then, at `now + ttl` if not told.
    ///
    /// # Errors
    /// [`Rejection::Issue`] where there are no random bytes or the key does not serve.
    fn sign(&self, user: User, cart: &Cart, expires: Option<u64>) -> Result<Token, Rejection>;

    /// What this token says, if it is one of ours and valid now.
    ///
    /// # Errors
    /// [`Rejection::Invalid`].
    fn verify(&self, token: &[u8]) -> Result<Verified, Rejection>;

    /// What a reader of figures should know, one sentence each.
    fn notes(&self) -> Vec<String>;
}

/// Where a bearer token is and how it is sent.
pub(super) fn credential() -> Credential {
    Credential {
        source: CredentialSource::Json("/access_token".into()),
        carrier: CredentialCarrier::Header {
            name: "Authorization".into(),
            template: "Bearer {credential}".into(),
        },
    }
}

impl<T: Tokens> Scheme for T {
    const CHALLENGE: Challenge = CHALLENGE;

    fn credential(&self) -> Credential {
        credential()
    }

    fn notes(&self) -> Vec<String> {
        Tokens::notes(self)
    }

    async fn issue(&self, user: User, _headers: &HeaderMap) -> Result<Issued, Rejection> {
        Ok(Issued::Token(self.sign(user, &Cart::default(), None)?))
    }

    async fn authenticate(&self, headers: &HeaderMap) -> Result<User, Rejection> {
        self.verify(bearer(headers)?).map(|token| token.user)
    }

    async fn cart(&self, headers: &HeaderMap) -> Result<Cart, Rejection> {
        self.verify(bearer(headers)?).map(|token| token.cart)
    }

    async fn add_to_cart(&self, headers: &HeaderMap, item: &str) -> Result<CartAnswer, Rejection> {
        let token = self.verify(bearer(headers)?)?;
        let cart = token.cart.with(item)?;
        // Filling a cart is no login: the new token expires when the old one would have.
        let token = self.sign(token.user, &cart, Some(token.expires))?;
        Ok(CartAnswer { cart, reissued: Some(Issued::Token(token)) })
    }

    async fn logout(&self, headers: &HeaderMap) -> Result<Revoked, Rejection> {
        self.verify(bearer(headers)?)?;
        Ok(Revoked::Nothing)
    }

    async fn logout_all(&self, headers: &HeaderMap) -> Result<Revoked, Rejection> {
        Scheme::logout(self, headers).await
    }
}
