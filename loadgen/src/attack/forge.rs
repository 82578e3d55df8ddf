//! Tokens that a server must not accept: their forms, and how one is taken apart and made again.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest;
use aws_lc_rs::rand::fill;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pasetors::keys::SymmetricKey;
use pasetors::token::{Local, UntrustedToken};
use pasetors::version4::{LocalToken, V4};
use serde_json::{Map, Value};

use super::key::Key;
use super::signed::{Maker, Signed};
use super::text::{b64, object};
use crate::error::Result;

/// Bytes of an AES-GCM nonce and tag.
const NONCE_BYTES: usize = 12;
/// A cookie that is longer than this holds a session and does not name one, ...
const ID_CHARS_MAX: usize = 96;
/// ... and so does one of more than so many characters that begins like another user's for more
/// than so many: with a version or the name of a key. The ids of Express all begin with `s%3A`.
const ALIKE_CHARS: (usize, usize) = (48, 5);

/// The kind of a credential, as its text shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A signed token (JWS compact).
    Jwt,
    /// An encrypted token (JWE compact).
    Jwe,
    /// A PASETO of this version and purpose.
    Paseto,
    /// A cookie that holds the session itself.
    Sealed,
    /// A name for what the server keeps.
    Id,
}

impl Form {
    /// The form of this credential; `other` is another one of the same server.
    pub(super) fn of(credential: &str, other: &str, in_cookie: bool) -> Self {
        let common = credential.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
        let (length, begin) = ALIKE_CHARS;
        let alike = credential.len() > length && common > begin;
        let sealed = credential.len() > ID_CHARS_MAX || alike;
        let parts: Vec<_> = credential.split('.').collect();
        // A signed cookie may begin with an object as well, which names no algorithm.
        let header = parts.first().and_then(|part| object(part));
        let headed = header.is_some_and(|header| header.get("alg").is_some_and(Value::is_string));
        let is_framework = in_cookie
            && Signed::read("", credential, None)
                .is_some_and(|signed| signed.maker != Maker::Express);
        match parts.as_slice() {
            [_, _, _] if headed => Self::Jwt,
            [_, _, _, _, _] if headed => Self::Jwe,
            ["v1" | "v2" | "v3" | "v4", "local" | "public", ..] => Self::Paseto,
            _ if in_cookie && (sealed || is_framework) => Self::Sealed,
            _ => Self::Id,
        }
    }

    /// Its name in the reason why a case does not apply to it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Jwt => "a JWT",
            Self::Jwe => "a JWE",
            Self::Paseto => "a PASETO",
            Self::Sealed => "a sealed cookie",
            Self::Id => "an id",
        }
    }
}

/// A signed or encrypted token, taken apart.
///
/// A [`Token`] is a credential taken apart, as far as its holder can see. A [`Key`] makes one
/// again over any header and claims: with the server's own key, so that only the check that a case
/// names can refuse it, or with a key of the attacker's. The form follows from the credential,
/// never from the name of an arm.
#[derive(Clone, Debug, Default)]
pub(super) struct Token {
    pub(super) text: String,
    /// The header as text, and as an object; a PASETO has its footer here.
    pub(super) header: Map<String, Value>,
    /// The claims, where they can be read.
    pub(super) claims: Map<String, Value>,
}

impl Token {
    /// Takes a token apart; with the key an encrypted one is read too.
    pub(super) fn read(text: &str, form: Form, key: Option<&Key>) -> Option<Self> {
        let parts: Vec<_> = text.split('.').collect();
        let (header, claims) = match form {
            Form::Jwt => (object(parts[0])?, object(parts[1])?),
            Form::Jwe => {
                let claims = key.and_then(|key| decrypted(&parts, key)).unwrap_or_default();
                (object(parts[0])?, claims)
            }
            Form::Paseto => {
                let payload = URL_SAFE_NO_PAD.decode(parts.get(2)?).ok()?;
                let claims = match (parts[1], key) {
                    // The claims and then 64 bytes of signature.
                    ("public", _) => payload
                        .len()
                        .checked_sub(64)
                        .and_then(|end| serde_json::from_slice(&payload[..end]).ok()),
                    (_, Some(Key::Secret(secret))) => opened_paseto(text, secret),
                    _ => None,
                };
                let footer = parts.get(3).and_then(|part| object(part)).unwrap_or_default();
                (footer, claims.unwrap_or_default())
            }
            Form::Sealed | Form::Id => return None,
        };
        Some(Self { text: text.into(), header, claims })
    }

    /// The algorithm that its header names.
    pub(super) fn algorithm(&self) -> &str {
        self.header.get("alg").and_then(Value::as_str).unwrap_or_default()
    }

    /// Everything before the last dot, and what is behind it.
    pub(super) fn signed(&self) -> (&str, &str) {
        self.text.rsplit_once('.').unwrap_or((&self.text, ""))
    }

    /// The key in this key file, which made this token; `None` for an unknown kind.
    ///
    /// # Errors
    /// `Bug` when the file holds another kind.
    pub(super) fn key(&self, form: Form, file: &[u8]) -> Result<Option<Key>> {
        let paseto = |purpose: &str| form == Form::Paseto && self.text.starts_with(purpose);
        match self.algorithm() {
            "HS256" | "dir" => Ok(Some(Key::Secret(file.to_vec()))),
            "RS256" => Key::rsa_of(file).map(Some),
            "ES256" => Key::ecdsa_of(file).map(Some),
            "EdDSA" => Key::ed25519_of(file).map(Some),
            _ if paseto("v4.public.") => Key::ed25519_of(file).map(Some),
            _ if paseto("v4.local.") => Ok(Some(Key::Secret(file.to_vec()))),
            _ => Ok(None),
        }
    }
}

fn decrypted(parts: &[&str], key: &Key) -> Option<Map<String, Value>> {
    let Key::Secret(secret) = key else { return None };
    let nonce = URL_SAFE_NO_PAD.decode(parts.get(2)?).ok()?;
    let mut sealed = URL_SAFE_NO_PAD.decode(parts.get(3)?).ok()?;
    sealed.extend(URL_SAFE_NO_PAD.decode(parts.get(4)?).ok()?);
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, secret).ok()?);
    let nonce = Nonce::try_assume_unique_for_key(&nonce).ok()?;
    let text = key.open_in_place(nonce, Aad::from(parts[0].as_bytes()), &mut sealed).ok()?;
    serde_json::from_slice(text).ok()
}

fn opened_paseto(text: &str, secret: &[u8]) -> Option<Map<String, Value>> {
    let key = SymmetricKey::<V4>::from(secret).ok()?;
    let token = UntrustedToken::<Local, V4>::try_from(text).ok()?;
    let opened = LocalToken::decrypt(&key, &token, None, None).ok()?;
    serde_json::from_str(opened.payload()).ok()
}

/// A JWT of this header and these claims, signed by this.
pub(super) fn jwt(
    header: impl AsRef<[u8]>,
    claims: impl AsRef<[u8]>,
    sign: impl FnOnce(&[u8]) -> Vec<u8>,
) -> String {
    let message = format!("{}.{}", b64(header), b64(claims));
    let signature = sign(message.as_bytes());
    format!("{message}.{}", b64(signature))
}

/// A token of this form, made again under the server's own key; `None` if the key cannot make one.
pub(super) fn make(form: Form, key: &Key, header: &[u8], claims: &[u8]) -> Option<String> {
    match (form, key) {
        (Form::Jwt, key) => Some(jwt(header, claims, |message| key.sign(message))),
        (Form::Jwe, Key::Secret(secret)) => encrypt(secret, header, claims),
        (Form::Paseto, Key::Ed25519(_)) => Some(signed_paseto(key, header, claims)),
        (Form::Paseto, Key::Secret(secret)) => {
            let key = SymmetricKey::<V4>::from(secret).ok()?;
            LocalToken::encrypt(&key, claims, Some(header), None).ok()
        }
        _ => None,
    }
}

/// A JWE with `dir` and A256GCM, whatever its header says.
fn encrypt(secret: &[u8], header: &[u8], claims: &[u8]) -> Option<String> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, secret).ok()?);
    let mut nonce = [0; NONCE_BYTES];
    fill(&mut nonce).ok()?;
    let beside = b64(header);
    let mut text = claims.to_vec();
    let tag = key
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(beside.as_bytes()),
            &mut text,
        )
        .ok()?;
    Some(format!("{beside}..{}.{}.{}", b64(nonce), b64(text), b64(tag)))
}

/// A `v4.public` token (PASETO's specification, version 4, `Sign`), without an implicit assertion.
fn signed_paseto(key: &Key, footer: &[u8], claims: &[u8]) -> String {
    const HEADER: &[u8] = b"v4.public.";
    let pieces: [&[u8]; 4] = [HEADER, claims, footer, b""];
    let mut message = (pieces.len() as u64).to_le_bytes().to_vec();
    for piece in pieces {
        message.extend((piece.len() as u64).to_le_bytes());
        message.extend(piece);
    }
    let signed = [claims, &key.sign(&message)].concat();
    format!("v4.public.{}.{}", b64(signed), b64(footer))
}

/// Random text that looks like this one: of the same length, with letters and digits in the same
/// places, and with the same last character, which in base64 may be one of a few only.
pub(super) fn alike(text: &str, seed: u64, n: u64) -> String {
    let mut stream = Vec::new();
    for block in 0..text.len().div_ceil(32) as u64 {
        let input = [seed.to_le_bytes(), n.to_le_bytes(), block.to_le_bytes()].concat();
        stream.extend_from_slice(digest::digest(&digest::SHA256, &input).as_ref());
    }
    let hex = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let pick = |from: &'static [u8], byte: u8| char::from(from[usize::from(byte) % from.len()]);
    let last = text.chars().count().saturating_sub(1);
    text.chars()
        .zip(stream)
        .enumerate()
        .map(|(at, (c, byte))| match c {
            _ if at == last => c,
            _ if hex => pick(b"0123456789abcdef", byte),
            'A'..='Z' | 'a'..='z' | '0'..='9' => {
                pick(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", byte)
            }
            other => other,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_seen_in_the_text() {
        let jwt = jwt(r#"{"alg":"HS256"}"#, "{}", |_| vec![0; 32]);
        let encrypted = format!("{}..a.b.c", b64(r#"{"alg":"dir"}"#));
        let (long, other) = ("A".repeat(97), "B".repeat(97));
        for (text, other, cookie, form) in [
            (jwt.as_str(), jwt.as_str(), false, Form::Jwt),
            (&jwt, &jwt, true, Form::Jwt),
            (&encrypted, "", false, Form::Jwe),
            ("v4.local.AAAA", "v4.local.BBBB", false, Form::Paseto),
            ("v4.public.AAAA.BBBB", "", false, Form::Paseto),
            ("AAAAAAAAAAAAAAAAAAAAAA", "AABB", true, Form::Id),
            ("s%3AAAAA.BBBB", "s%3ABAAA.BBBB", true, Form::Id),
            ("a.b.c", "d.e.f", false, Form::Id),
            ("eyJ1IjoxfQ.awqwFg.JWfh9rsYSWHasSEMPJbKOp3DmD4", "e", true, Form::Sealed),
            ("00000001", "00000002", true, Form::Id),
            (&long[..60], &long[..60], true, Form::Sealed),
            (&long, &other, true, Form::Sealed),
            (&long, &other, false, Form::Id),
        ] {
            assert_eq!(Form::of(text, other, cookie), form, "{text}");
        }
    }

    #[test]
    fn what_is_encrypted_is_read_with_the_key_and_not_without() {
        let (key, other) = (Key::secret().unwrap(), Key::secret().unwrap());
        let token = make(Form::Jwe, &key, br#"{"alg":"dir"}"#, br#"{"sub":"7"}"#).unwrap();
        let claims = |key| Token::read(&token, Form::Jwe, key).unwrap().claims;
        assert_eq!(claims(Some(&key))["sub"], "7");
        assert!(claims(Some(&other)).is_empty() && claims(None).is_empty());
    }

    #[test]
    fn random_ids_look_like_the_one_they_are_made_after() {
        for text in ["0123456789abcdef", "Ab-9_", "s%3Aabc.def"] {
            let (one, other) = (alike(text, 1, 1), alike(text, 1, 2));
            assert_eq!(one.len(), text.len());
            assert_ne!(one, other);
            assert_eq!(one, alike(text, 1, 1));
        }
        assert!(alike("0123456789abcdef", 1, 1).bytes().all(|b| b.is_ascii_hexdigit()));
    }
}
