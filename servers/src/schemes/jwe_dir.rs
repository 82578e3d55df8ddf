//! `jwe-dir`: encrypted access tokens (JWE compact, RFC 7516), `dir` with A256GCM.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::bearer::Tokens;
use super::claims::{Profile, Verified, random_token_id};
use super::jwt::{TYPE, is_access_token};
use super::keys::{Ring, random_secret};
use super::scheme::{ArmInfo, Form, Reason, Rejection, SchemeOptions, Token};
use super::sealing::{NONCE_BYTES, Seal, TAG_BYTES, nonce};
use crate::cart::Cart;
use crate::error::ServeError;
use crate::json;
use crate::users::User;

/// The arm `jwe-dir`.
pub const INFO: ArmInfo = ArmInfo {
    arm: "jwe-dir",
    scheme: "jwe-dir",
    store: None,
    summary: "An encrypted token (JWE, dir with A256GCM) says who the user is, to us alone.",
    authenticates: true,
    stateful: false,
    revokes: false,
    revokes_refresh: false,
    refreshes: false,
    form: Form::Tuned,
    after_restart: "Tokens stay valid if the key does; a key made for the run is gone with it.",
};

/// Characters of a nonce and of a tag in base64url, without padding.
const NONCE_CHARS: usize = 16;
const TAG_CHARS: usize = 22;

/// The parameters of a header, all of them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header<'a> {
    #[serde(borrow)]
    typ: Cow<'a, str>,
    #[serde(borrow)]
    alg: Cow<'a, str>,
    #[serde(borrow)]
    enc: Cow<'a, str>,
    #[serde(borrow)]
    kid: Cow<'a, str>,
}

struct Key {
    kid: String,
    /// The header of every token under this key, encoded, and the two dots around no key.
    header: String,
    seal: Seal,
}

/// The scheme.
///
/// What "the user data is encrypted into a JWT" would mean. Servers share one secret key, which is
/// the content encryption key itself, so only who can read a token can make one: with a public key
/// in its place anybody could, and a signature inside would be needed.
///
/// One fixed profile on the primitives of aws-lc-rs, because the one complete crate inflates
/// `zip` without a bound and links another library. `alg` is exactly `dir` and `enc` exactly
/// A256GCM; `zip`, `crit` and every other parameter refuse the token, and so does anything in the
/// place of an encrypted key. The claims are those of the signed tokens.
pub struct EncryptedTokens {
    keys: Ring<Key>,
    profile: Profile,
}

/// Opens the arm, with a random key unless one is given.
///
/// # Errors
/// [`ServeError::ShortKey`], [`ServeError::Key`], [`ServeError::Entropy`].
pub async fn open(options: &SchemeOptions) -> Result<EncryptedTokens, ServeError> {
    let prepare = |key: &[u8]| {
        let seal = Seal::prepare(INFO.arm, key)?;
        let kid = seal.id.to_string();
        let json = format!(r#"{{"typ":"{TYPE}","alg":"dir","enc":"A256GCM","kid":"{kid}"}}"#);
        let header = format!("{}..", URL_SAFE_NO_PAD.encode(json));
        Ok(Key { kid, header, seal })
    };
    let keys = Ring::prepare(options, random_secret, prepare)?;
    Ok(EncryptedTokens { keys, profile: Profile::new(options) })
}

impl EncryptedTokens {
    fn check(&self, token: &[u8]) -> Result<Verified, Reason> {
        // The headers we issue are known byte for byte; any other form of one is parsed.
        let (key, header) = match self.keys.find(|key| token.starts_with(key.header.as_bytes())) {
            Some(key) => (key, key.header.len() - 2),
            None => self.check_header(token)?,
        };
        // `dir` has no encrypted key: its place is empty (RFC 7516, 5.2, step 10).
        let rest = token[header..].strip_prefix(b"..").ok_or(Reason::Shape)?;
        let mut parts = rest.split(|&byte| byte == b'.');
        let (Some(nonce), Some(text), Some(tag), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Reason::Shape);
        };
        if nonce.len() != NONCE_CHARS || tag.len() != TAG_CHARS {
            return Err(Reason::Shape);
        }
        let mut bytes = [0; NONCE_BYTES];
        URL_SAFE_NO_PAD.decode_slice(nonce, &mut bytes).map_err(|_| Reason::Shape)?;
        let mut sealed = Vec::with_capacity(text.len() * 3 / 4 + 3 + TAG_BYTES);
        URL_SAFE_NO_PAD.decode_vec(text, &mut sealed).map_err(|_| Reason::Shape)?;
        URL_SAFE_NO_PAD.decode_vec(tag, &mut sealed).map_err(|_| Reason::Shape)?;
        let claims = key.seal.open(bytes, &token[..header], &mut sealed)?;
        self.profile.read(claims)
    }

    /// The key, and the length of the encoded header, where it says what ours says in another way.
    fn check_header(&self, token: &[u8]) -> Result<(&Key, usize), Reason> {
        let length = token.iter().position(|&byte| byte == b'.').ok_or(Reason::Shape)?;
        let text = URL_SAFE_NO_PAD.decode(&token[..length]).map_err(|_| Reason::Shape)?;
        let header: Header<'_> = json::object(&text).ok_or(Reason::Header)?;
        if header.alg != "dir" || header.enc != "A256GCM" {
            return Err(Reason::Algorithm);
        }
        if !is_access_token(&header.typ) {
            return Err(Reason::Type);
        }
        let key = self.keys.find(|key| key.kid == header.kid).ok_or(Reason::Key)?;
        Ok((key, length))
    }
}

impl Tokens for EncryptedTokens {
    fn sign(&self, user: User, cart: &Cart, expires: Option<u64>) -> Result<Token, Rejection> {
        let life = self.profile.life(expires);
        let mut text = Profile::write(user, cart, life, &random_token_id()?)?;
        let key = self.keys.current();
        let beside = &key.header[..key.header.len() - 2];
        let nonce = nonce()?;
        let tag = key.seal.seal(nonce, beside.as_bytes(), &mut text)?;
        let length = key.header.len() + NONCE_CHARS + TAG_CHARS + text.len() * 4 / 3 + 4;
        let mut token = String::with_capacity(length);
        token.push_str(&key.header);
        URL_SAFE_NO_PAD.encode_string(nonce, &mut token);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(text, &mut token);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(tag, &mut token);
        Ok(Token::access(token, life.left()))
    }

    fn verify(&self, token: &[u8]) -> Result<Verified, Rejection> {
        self.check(token).map_err(Rejection::Invalid)
    }

    fn notes(&self) -> Vec<String> {
        vec![format!(
            "Tokens are encrypted (dir, A256GCM) and cannot be revoked; the leeway for clocks is \
             {} s.",
            self.profile.leeway.as_secs_f64()
        )]
    }
}
