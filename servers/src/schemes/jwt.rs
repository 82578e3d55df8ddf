//! Signed access tokens (JWS compact, RFC 7519, `typ: at+jwt`), whatever the algorithm.
//!
//! jsonwebtoken signs and verifies; what a token must say is checked here, because the crate's own
//! checks are laxer than ours must be: it never looks at `crit`, takes an issuer in an array,
//! passes over an `aud` or `iss` of a wrong type, and asks the system for the time. Doing it here
//! also reads header and claims once each where `jsonwebtoken::decode` reads both twice.
//!
//! The profile is closed: one issuer, one audience, and exactly the header parameters and claims
//! that we issue. A parameter we do not know (`kid`, `jwk`, `jku`, `x5c`, `crit`, `cty`, ...)
//! refuses the token; none is ever followed. RFC 9068's `client_id` is left out, as there are no
//! clients here.

use std::borrow::Cow;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto};
use serde::{Deserialize, Serialize};

use super::credential::bearer;
use super::{
    CartAnswer, Challenge, Credential, Issued, Reason, Rejection, Revocation, Scheme,
    SchemeOptions, Token,
};
use crate::cart::Cart;
use crate::clock::{Clock, Timestamp};
use crate::contract::{CredentialCarrier, CredentialSource};
use crate::json;
use crate::users::{Name, Role, User, UserId};

/// Issuer of every token.
pub const ISSUER: &str = "authbench";
/// The one audience, as a string: the array form that RFC 7519 allows is refused.
pub const AUDIENCE: &str = "authbench-api";
/// The media type of an access token (RFC 9068); `application/at+jwt` is the same.
pub const TYPE: &str = "at+jwt";

/// The parameters of a header, all of them.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header<'a> {
    #[serde(borrow)]
    typ: Cow<'a, str>,
    #[serde(borrow)]
    alg: Cow<'a, str>,
}

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
#[derive(Serialize)]
struct NewClaims<'a> {
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
    /// When the token expires, whole seconds since the epoch, without leeway.
    pub expires: u64,
}

/// The keys of one algorithm, prepared once.
pub struct Keys {
    /// The algorithm, which a token cannot choose.
    pub algorithm: Algorithm,
    /// Its name in a header.
    pub name: &'static str,
    /// The signing key.
    pub signing: EncodingKey,
    /// The verifying key.
    pub verifying: DecodingKey,
}

/// A scheme of tokens signed with [`Keys`].
pub struct SignedTokens {
    keys: Keys,
    /// The header of every token we issue, encoded, with the dot after it.
    header: String,
    clock: Clock,
    ttl: Duration,
    leeway: Duration,
}

impl SignedTokens {
    /// The scheme with these keys.
    #[must_use]
    pub fn new(keys: Keys, options: &SchemeOptions) -> Self {
        let json = format!(r#"{{"typ":"{TYPE}","alg":"{}"}}"#, keys.name);
        let mut header = URL_SAFE_NO_PAD.encode(json);
        header.push('.');
        Self {
            keys,
            header,
            clock: options.clock.clone(),
            ttl: options.ttl,
            leeway: options.leeway,
        }
    }

    /// A token for this user that carries this cart and expires then, at `now + ttl` if not told.
    ///
    /// # Errors
    /// [`Rejection::Issue`] where there are no random bytes or the key does not sign.
    pub fn sign(&self, user: User, cart: &Cart, expires: Option<u64>) -> Result<Token, Rejection> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|_| Rejection::Issue)?;
        let mut jti = [0; 22];
        URL_SAFE_NO_PAD.encode_slice(random, &mut jti).map_err(|_| Rejection::Issue)?;
        let now = self.clock.now().seconds();
        let exp = expires.unwrap_or(now + self.ttl.as_secs());
        let claims = NewClaims {
            iss: ISSUER,
            aud: AUDIENCE,
            sub: &user.id.to_string(),
            jti: str::from_utf8(&jti).map_err(|_| Rejection::Issue)?,
            iat: now,
            nbf: now,
            exp,
            name: user.name,
            role: user.role,
            cart,
        };
        let json = serde_json::to_vec(&claims).map_err(|_| Rejection::Issue)?;
        // Base64 of the claims, a dot and the longest signature of the algorithms there are.
        let mut token = String::with_capacity(self.header.len() + json.len() * 4 / 3 + 64);
        token.push_str(&self.header);
        URL_SAFE_NO_PAD.encode_string(json, &mut token);
        let signature = crypto::sign(token.as_bytes(), &self.keys.signing, self.keys.algorithm)
            .map_err(|_| Rejection::Issue)?;
        token.push('.');
        token.push_str(&signature);
        Ok(Token { access_token: token, expires_in: exp.saturating_sub(now) })
    }

    /// What this token says, if it is one of ours and valid now.
    ///
    /// # Errors
    /// [`Rejection::Invalid`].
    pub fn verify(&self, token: &[u8]) -> Result<Verified, Rejection> {
        self.check(token).map_err(Rejection::Invalid)
    }

    fn check(&self, token: &[u8]) -> Result<Verified, Reason> {
        // The header we issue is known byte for byte; any other form of it is parsed.
        let header = match token.strip_prefix(self.header.as_bytes()) {
            Some(_) => self.header.len() - 1,
            None => self.check_header(token)?,
        };
        let dot = token.iter().rposition(|&byte| byte == b'.').ok_or(Reason::Shape)?;
        let (message, signature) = (&token[..dot], &token[dot + 1..]);
        let payload = message.get(header + 1..).ok_or(Reason::Shape)?;
        let signature = str::from_utf8(signature).map_err(|_| Reason::Shape)?;
        match crypto::verify(signature, message, &self.keys.verifying, self.keys.algorithm) {
            Ok(true) => {}
            Ok(false) => return Err(Reason::Signature),
            Err(_) => return Err(Reason::Shape),
        }
        // Strict: no padding, no other alphabet, no bits left over, and so no dot either.
        let text = URL_SAFE_NO_PAD.decode(payload).map_err(|_| Reason::Shape)?;
        let claims: Claims<'_> = json::object(&text).ok_or(Reason::Claims)?;
        self.check_claims(&claims)
    }

    /// Length of the encoded header, where it says what ours says in another way.
    fn check_header(&self, token: &[u8]) -> Result<usize, Reason> {
        let length = token.iter().position(|&byte| byte == b'.').ok_or(Reason::Shape)?;
        let text = URL_SAFE_NO_PAD.decode(&token[..length]).map_err(|_| Reason::Shape)?;
        let header: Header<'_> = json::object(&text).ok_or(Reason::Header)?;
        if header.alg != self.keys.name {
            return Err(Reason::Algorithm);
        }
        // RFC 7515 4.1.9: a media type, compared without case, `application/` understood.
        let typ = header.typ.get(..12).filter(|start| start.eq_ignore_ascii_case("application/"));
        if !header.typ[typ.map_or(0, str::len)..].eq_ignore_ascii_case(TYPE) {
            return Err(Reason::Type);
        }
        Ok(length)
    }

    fn check_claims(&self, claims: &Claims<'_>) -> Result<Verified, Reason> {
        if claims.iss != ISSUER {
            return Err(Reason::Issuer);
        }
        if claims.aud != AUDIENCE {
            return Err(Reason::Audience);
        }
        self.check_times(claims)?;
        let id = UserId::parse(claims.sub.as_bytes()).ok_or(Reason::Subject)?;
        let name = Name::new(&claims.name).ok_or(Reason::Claims)?;
        let role = Role::parse(&claims.role).ok_or(Reason::Claims)?;
        if claims.jti.len() != 22 {
            return Err(Reason::Claims);
        }
        let cart = Cart::of(claims.cart.iter().map(|item| &**item)).map_err(|_| Reason::Claims)?;
        Ok(Verified { user: User { id, name, role }, cart, expires: claims.exp })
    }

    /// Valid from `max(nbf, iat) - leeway`, and until just before `exp + leeway`; and never for
    /// longer than we give, so that a token of ours cannot claim to live for ever.
    fn check_times(&self, claims: &Claims<'_>) -> Result<(), Reason> {
        let now = self.clock.now();
        if now >= Timestamp::from_seconds(claims.exp).plus(self.leeway) {
            return Err(Reason::Expired);
        }
        if claims.exp.saturating_sub(claims.iat) > self.ttl.as_secs() {
            return Err(Reason::Expired);
        }
        if now.plus(self.leeway) < Timestamp::from_seconds(claims.nbf.max(claims.iat)) {
            return Err(Reason::NotYet);
        }
        Ok(())
    }

    fn verified(&self, headers: &HeaderMap) -> Result<Verified, Rejection> {
        self.verify(bearer(headers)?)
    }
}

impl Scheme for SignedTokens {
    const CHALLENGE: Challenge = Challenge {
        missing: "Bearer realm=\"authbench\"",
        invalid: "Bearer realm=\"authbench\", error=\"invalid_token\"",
    };

    fn credential(&self) -> Credential {
        Credential {
            source: CredentialSource::Json("/access_token".into()),
            carrier: CredentialCarrier::Header {
                name: "Authorization".into(),
                template: "Bearer {credential}".into(),
            },
        }
    }

    fn notes(&self) -> Vec<String> {
        vec![format!(
            "Tokens are {} and cannot be revoked; the leeway for clocks is {} s.",
            self.keys.name,
            self.leeway.as_secs_f64()
        )]
    }

    async fn issue(&self, user: User, _headers: &HeaderMap) -> Result<Issued, Rejection> {
        Ok(Issued::Token(self.sign(user, &Cart::default(), None)?))
    }

    async fn authenticate(&self, headers: &HeaderMap) -> Result<User, Rejection> {
        self.verified(headers).map(|token| token.user)
    }

    async fn cart(&self, headers: &HeaderMap) -> Result<Cart, Rejection> {
        self.verified(headers).map(|token| token.cart)
    }

    async fn add_to_cart(&self, headers: &HeaderMap, item: &str) -> Result<CartAnswer, Rejection> {
        let token = self.verified(headers)?;
        let cart = token.cart.with(item)?;
        // Filling a cart is no login: the new token expires when the old one would have.
        let token = self.sign(token.user, &cart, Some(token.expires))?;
        Ok(CartAnswer { cart, token: Some(token) })
    }

    async fn logout(&self, headers: &HeaderMap) -> Result<Revocation, Rejection> {
        self.verified(headers)?;
        Ok(Revocation::IMPOSSIBLE)
    }

    async fn logout_all(&self, headers: &HeaderMap) -> Result<Revocation, Rejection> {
        self.logout(headers).await
    }
}
