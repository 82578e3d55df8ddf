//! Signed access tokens (JWS compact, RFC 7519, `typ: at+jwt`), whatever the algorithm.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto};
use serde::Deserialize;

use super::bearer::Tokens;
pub use super::claims::{AUDIENCE, ISSUER, Verified};
use super::claims::{Profile, TokenId, random_token_id};
use super::keys::{KeyId, Ring};
use super::scheme::{Reason, Rejection, SchemeOptions, Token};
use crate::cart::Cart;
use crate::error::ServeError;
use crate::json;
use crate::users::User;

/// The media type of an access token (RFC 9068); `application/at+jwt` is the same.
pub const TYPE: &str = "at+jwt";

/// The parameters of a header, all of them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header<'a> {
    #[serde(borrow)]
    typ: Cow<'a, str>,
    #[serde(borrow)]
    alg: Cow<'a, str>,
    #[serde(borrow)]
    kid: Cow<'a, str>,
}

/// One algorithm: how its keys are made and read.
pub struct Kind {
    /// The algorithm, which a token cannot choose.
    pub algorithm: Algorithm,
    /// Its name in a header.
    pub name: &'static str,
    /// Makes a key for one run, in the form of a key file.
    pub generate: fn() -> Result<Vec<u8>, ServeError>,
    /// Reads a key file for this arm, and refuses a weak key.
    pub read: fn(&'static str, &[u8]) -> Result<KeyPair, ServeError>,
    /// What a reader of figures should know about it.
    pub note: Option<&'static str>,
}

/// A key as jsonwebtoken wants it, prepared once.
pub struct KeyPair {
    /// Its name at its arm.
    pub id: KeyId,
    /// The signing half.
    pub signing: EncodingKey,
    /// The verifying half.
    pub verifying: DecodingKey,
}

struct Key {
    kid: String,
    /// The header of every token under this key, encoded, with the dot after it.
    header: String,
    pair: KeyPair,
}

/// A scheme of signed tokens.
///
/// jsonwebtoken signs and verifies; what a token must say is checked here, because the crate's own
/// checks are laxer than ours must be: it never looks at `crit`, takes an issuer in an array,
/// passes over an `aud` or `iss` of a wrong type, and asks the system for the time. Doing it here
/// also reads header and claims once each where `jsonwebtoken::decode` reads both twice.
///
/// The profile is closed: exactly the header parameters that we issue, and the claims of
/// [`super::claims`]. A parameter we do not know (`jwk`, `jku`, `x5c`, `crit`, `cty`, ...) refuses
/// the token; none is ever followed. `kid` chooses among our own keys and nothing else, and
/// the algorithm is the configured one, whatever a token says.
pub struct SignedTokens {
    kind: &'static Kind,
    keys: Ring<Key>,
    profile: Profile,
}

impl SignedTokens {
    /// The scheme of this arm with the keys that the options give.
    ///
    /// # Errors
    /// Where a key is weak or none of this kind, or none could be made.
    pub fn open(
        arm: &'static str,
        kind: &'static Kind,
        options: &SchemeOptions,
    ) -> Result<Self, ServeError> {
        let prepare = |key: &[u8]| {
            let pair = (kind.read)(arm, key)?;
            let kid = pair.id.to_string();
            Ok(Key { header: header(kind.name, &kid), kid, pair })
        };
        let keys = Ring::prepare(options, kind.generate, prepare)?;
        Ok(Self { kind, keys, profile: Profile::new(options) })
    }

    /// The clock, the life and the leeway of these tokens.
    pub(super) const fn profile(&self) -> &Profile {
        &self.profile
    }

    /// A token with this `jti`.
    pub(super) fn sign_as(
        &self,
        id: &TokenId,
        user: User,
        cart: &Cart,
        expires: Option<u64>,
    ) -> Result<Token, Rejection> {
        let life = self.profile.life(expires);
        let json = Profile::write(user, cart, life, id)?;
        let key = self.keys.current();
        // Base64 of the claims, a dot and the longest signature of the algorithms there are.
        let mut token = String::with_capacity(key.header.len() + json.len() * 4 / 3 + 360);
        token.push_str(&key.header);
        URL_SAFE_NO_PAD.encode_string(json, &mut token);
        let signature = crypto::sign(token.as_bytes(), &key.pair.signing, self.kind.algorithm)
            .map_err(|_| Rejection::Issue)?;
        token.push('.');
        token.push_str(&signature);
        Ok(Token::access(token, life.left()))
    }

    fn check(&self, token: &[u8]) -> Result<Verified, Reason> {
        // The headers we issue are known byte for byte; any other form of one is parsed.
        let (key, header) = match self.keys.find(|key| token.starts_with(key.header.as_bytes())) {
            Some(key) => (key, key.header.len() - 1),
            None => self.check_header(token)?,
        };
        let payload = verify(token, header, &key.pair.verifying, self.kind.algorithm)?;
        self.profile.read(&payload)
    }

    /// The key, and the length of the encoded header, where it says what ours says in another way.
    fn check_header(&self, token: &[u8]) -> Result<(&Key, usize), Reason> {
        let (kid, length) = named_key(token, self.kind.name)?;
        let key = self.keys.find(|key| key.kid == kid).ok_or(Reason::Key)?;
        Ok((key, length))
    }
}

/// The start of every token under the key of this name: the encoded header, and the dot after it.
pub(super) fn header(algorithm: &str, kid: &str) -> String {
    let json = format!(r#"{{"typ":"{TYPE}","alg":"{algorithm}","kid":"{kid}"}}"#);
    let mut header = URL_SAFE_NO_PAD.encode(json);
    header.push('.');
    header
}

/// The key that a token names, and the length of its encoded header, which is one of an access
/// token by this algorithm.
pub(super) fn named_key(token: &[u8], algorithm: &str) -> Result<(String, usize), Reason> {
    let length = token.iter().position(|&byte| byte == b'.').ok_or(Reason::Shape)?;
    let text = URL_SAFE_NO_PAD.decode(&token[..length]).map_err(|_| Reason::Shape)?;
    let header: Header<'_> = json::object(&text).ok_or(Reason::Header)?;
    if header.alg != algorithm {
        return Err(Reason::Algorithm);
    }
    if !is_access_token(&header.typ) {
        return Err(Reason::Type);
    }
    Ok((header.kid.into_owned(), length))
}

/// RFC 7515 4.1.9: a media type, compared without case, `application/` understood.
pub(super) fn is_access_token(typ: &str) -> bool {
    let prefix = typ.get(..12).filter(|start| start.eq_ignore_ascii_case("application/"));
    typ[prefix.map_or(0, str::len)..].eq_ignore_ascii_case(TYPE)
}

/// The payload of a token, its signature found good under this key; `header` is the length of its
/// encoded header, which is the caller's to judge. Strict: three parts, no padding, no other
/// alphabet, no bits left over.
///
/// # Errors
/// [`Reason::Shape`] or [`Reason::Signature`].
pub fn verify(
    token: &[u8],
    header: usize,
    key: &DecodingKey,
    algorithm: Algorithm,
) -> Result<Vec<u8>, Reason> {
    let dot = token.iter().rposition(|&byte| byte == b'.').ok_or(Reason::Shape)?;
    let (message, signature) = (&token[..dot], &token[dot + 1..]);
    let payload = message.get(header + 1..).ok_or(Reason::Shape)?;
    let signature = str::from_utf8(signature).map_err(|_| Reason::Shape)?;
    match crypto::verify(signature, message, key, algorithm) {
        Ok(true) => {}
        Ok(false) => return Err(Reason::Signature),
        Err(_) => return Err(Reason::Shape),
    }
    URL_SAFE_NO_PAD.decode(payload).map_err(|_| Reason::Shape)
}

impl Tokens for SignedTokens {
    fn sign(&self, user: User, cart: &Cart, expires: Option<u64>) -> Result<Token, Rejection> {
        self.sign_as(&random_token_id()?, user, cart, expires)
    }

    fn verify(&self, token: &[u8]) -> Result<Verified, Rejection> {
        self.check(token).map_err(Rejection::Invalid)
    }

    fn notes(&self) -> Vec<String> {
        let general = format!(
            "Tokens are {} and cannot be revoked; the leeway for clocks is {} s.",
            self.kind.name,
            self.profile.leeway.as_secs_f64()
        );
        std::iter::once(general).chain(self.kind.note.map(str::to_owned)).collect()
    }
}
