//! Makes credentials that a server must not accept: forms of credentials, keys, and edits.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::{SystemRandom, fill};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use pasetors::keys::SymmetricKey;
use pasetors::token::{Local, UntrustedToken};
use pasetors::version4::{LocalToken, V4};
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// Bytes of a secret key.
const SECRET_BYTES: usize = 32;
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
        let headed = parts.first().and_then(|part| object(part)).is_some();
        match parts.as_slice() {
            [_, _, _] if headed => Self::Jwt,
            [_, _, _, _, _] if headed => Self::Jwe,
            ["v1" | "v2" | "v3" | "v4", "local" | "public", ..] => Self::Paseto,
            _ if in_cookie && sealed => Self::Sealed,
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

/// The JSON object in a base64url text.
fn object(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

pub(super) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A change of a JSON object. In its texts `{NAME}` stands for the value that the good token has
/// there, and `{now-4}` for that moment.
#[derive(Clone, Copy, Debug)]
pub(super) enum Edit {
    /// Nothing.
    None,
    /// This member has this value (JSON as it stands), whether it existed or not.
    Set(&'static str, &'static str),
    /// This member is removed.
    Without(&'static str),
    /// This text stands behind the last member.
    Add(&'static str),
    /// This text stands behind the object.
    Behind(&'static str),
    /// This text stands before the object.
    Before(&'static str),
    /// This text replaces the object.
    All(&'static str),
    /// This member has a value nested ten thousand deep.
    Deep(&'static str),
    /// This member has a string of so many characters.
    Long(&'static str, usize),
    /// This member's text contains a byte that is not UTF-8.
    Bytes(&'static str),
}

impl Edit {
    /// The object with the change, as text.
    pub(super) fn apply(self, object: &Map<String, Value>, now: u64) -> Vec<u8> {
        let member = |name: &str, json: &str| format!("\"{name}\":{json}");
        let set = |name: &str, json: &str| {
            let mut members: Vec<_> =
                object.iter().filter(|(key, _)| *key != name).map(text_of).collect();
            members.push(member(name, json));
            format!("{{{}}}", members.join(","))
        };
        let whole = || format!("{{{}}}", object.iter().map(text_of).collect::<Vec<_>>().join(","));
        let text = match self {
            Self::None => whole(),
            Self::Set(name, json) => set(name, &filled(json, object, now)),
            Self::Without(name) => {
                let members: Vec<_> =
                    object.iter().filter(|(key, _)| *key != name).map(text_of).collect();
                format!("{{{}}}", members.join(","))
            }
            Self::Add(text) => {
                let whole = whole();
                format!("{},{}}}", &whole[..whole.len() - 1], filled(text, object, now))
            }
            Self::Behind(text) => whole() + text,
            Self::Before(text) => text.to_string() + &whole(),
            Self::All(text) => text.into(),
            Self::Deep(name) => set(name, &"[".repeat(10_000)),
            Self::Long(name, length) => set(name, &format!("\"{}\"", "7".repeat(length))),
            Self::Bytes(name) => {
                let text = set(name, "\"a\u{1}b\"").into_bytes();
                return text.into_iter().map(|b| if b == 1 { 0xff } else { b }).collect();
            }
        };
        text.into_bytes()
    }
}

fn text_of((name, value): (&String, &Value)) -> String {
    format!("{}:{value}", Value::from(name.as_str()))
}

/// The text with its moments and the good token's values filled in.
fn filled(text: &str, object: &Map<String, Value>, now: u64) -> String {
    let in_words = object.get("exp").is_some_and(Value::is_string);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    // Values come from the server and may contain such names, so filled-in text is not read again:
    // values that name each other would grow without end.
    while let Some((before, behind)) = rest.split_once('{') {
        out.push_str(before);
        let named = behind.split_once('}').and_then(|(name, behind)| {
            let value = moment(name, in_words, now).or_else(|| {
                object.get(name).map(|value| value.as_str().unwrap_or_default().to_owned())
            });
            Some((value?, behind))
        });
        match named {
            Some((value, behind)) => {
                out.push_str(&value);
                rest = behind;
            }
            None => {
                out.push('{');
                rest = behind;
            }
        }
    }
    out + rest
}

/// The moment of this name as JSON: a token says its moments in seconds, or in texts.
fn moment(name: &str, in_words: bool, now: u64) -> Option<String> {
    let seconds = match name {
        "now-3600" => now.saturating_sub(3600),
        "now-4" => now.saturating_sub(4),
        "now+60" => now + 60,
        "now+3600" => now + 3600,
        "now+864000" => now + 864_000,
        _ => return None,
    };
    Some(if in_words { format!("\"{}\"", utc(seconds)) } else { seconds.to_string() })
}

/// A moment as RFC 3339 has it (days to a date: Howard Hinnant, "chrono-compatible low-level date
/// algorithms").
fn utc(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    format!(
        "{:04}-{month:02}-{:02}T{:02}:{:02}:{:02}+00:00",
        year + era * 400 + u64::from(month <= 2),
        of_year - (153 * shifted + 2) / 5 + 1,
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// A signed or encrypted token, taken apart.
///
/// A [`Token`] is a credential taken apart, as far as its holder can see. A [`Signer`] makes one
/// again over any header and claims: with the server's own key, so that only the check that a case
/// names can refuse it, or with a key of the attacker's. The form follows from the credential,
/// never from the name of an arm.
#[derive(Clone, Debug)]
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

/// A key.
pub(super) enum Key {
    /// For HMAC and for AES-GCM.
    Secret(Vec<u8>),
    /// On P-256.
    Ecdsa(EcdsaKeyPair),
    /// On Curve25519.
    Ed25519(Ed25519KeyPair),
    /// RSA with 2,048 bits.
    Rsa(Box<RsaKeyPair>),
}

fn no_key<E>(_: E) -> Error {
    Error::Bug("no key could be made".into())
}

impl Key {
    /// The key in this key file, which made this token; `None` for an unknown kind.
    ///
    /// # Errors
    /// `Bug` when the file holds another kind.
    pub(super) fn of_token(form: Form, token: &Token, file: &[u8]) -> Result<Option<Self>> {
        let paseto = |purpose: &str| form == Form::Paseto && token.text.starts_with(purpose);
        match token.algorithm() {
            "HS256" | "dir" => Ok(Some(Self::Secret(file.to_vec()))),
            "RS256" => Self::rsa_of(file).map(Some),
            "ES256" => Self::ecdsa_of(file).map(Some),
            "EdDSA" => Self::ed25519_of(file).map(Some),
            _ if paseto("v4.public.") => Self::ed25519_of(file).map(Some),
            _ if paseto("v4.local.") => Ok(Some(Self::Secret(file.to_vec()))),
            _ => Ok(None),
        }
    }

    pub(super) fn secret() -> Result<Self> {
        let mut bytes = vec![0; SECRET_BYTES];
        fill(&mut bytes).map_err(no_key)?;
        Ok(Self::Secret(bytes))
    }

    pub(super) fn ecdsa() -> Result<Self> {
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let file = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new());
        let file = file.map_err(no_key)?.as_ref().to_vec();
        Self::ecdsa_of(&file)
    }

    /// The key on P-256 in this PKCS#8.
    pub(super) fn ecdsa_of(file: &[u8]) -> Result<Self> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, file);
        pair.map(Self::Ecdsa).map_err(no_key)
    }

    pub(super) fn ed25519() -> Result<Self> {
        let file = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(no_key)?;
        Self::ed25519_of(file.as_ref())
    }

    fn ed25519_of(file: &[u8]) -> Result<Self> {
        Ed25519KeyPair::from_pkcs8(file).map(Self::Ed25519).map_err(no_key)
    }

    fn rsa_of(file: &[u8]) -> Result<Self> {
        let pair = RsaKeyPair::from_pkcs8(file).map_err(no_key)?;
        Ok(Self::Rsa(Box::new(pair)))
    }

    /// The modulus of an RSA key, which is as long as its signatures.
    pub(super) fn modulus(&self) -> Option<Vec<u8>> {
        match self {
            Self::Rsa(pair) => {
                Some(pair.public_key().modulus().big_endian_without_leading_zero().to_vec())
            }
            _ => None,
        }
    }

    /// The usual encodings of its public half; empty for a secret.
    pub(super) fn public_forms(&self) -> Vec<Vec<u8>> {
        let der = |der: Option<Vec<u8>>| der.unwrap_or_default();
        let (spki, raw) = match self {
            Self::Secret(_) => return Vec::new(),
            Self::Ecdsa(pair) => {
                let key = pair.public_key();
                (der(key.as_der().ok().map(|d| d.as_ref().to_vec())), key.as_ref().to_vec())
            }
            Self::Ed25519(pair) => {
                let key = pair.public_key();
                (der(key.as_der().ok().map(|d| d.as_ref().to_vec())), key.as_ref().to_vec())
            }
            Self::Rsa(pair) => {
                let key = pair.public_key();
                (der(key.as_der().ok().map(|d| d.as_ref().to_vec())), key.as_ref().to_vec())
            }
        };
        let lines: Vec<_> = STANDARD.encode(&spki).into_bytes();
        let lines: Vec<_> =
            lines.chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
        let pem =
            format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", lines.join("\n"));
        vec![
            pem.clone().into_bytes(),
            (pem + "\n").into_bytes(),
            spki,
            raw,
            self.jwk().into_bytes(),
        ]
    }

    /// Its public half as a JWK, or the whole key if it is a secret.
    pub(super) fn jwk(&self) -> String {
        match self {
            Self::Secret(bytes) => format!(r#"{{"kty":"oct","k":"{}"}}"#, b64(bytes)),
            Self::Ecdsa(pair) => {
                // A byte that says that it is uncompressed, and two halves.
                let point = pair.public_key().as_ref();
                let (x, y) = (b64(&point[1..33]), b64(&point[33..]));
                format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"}}"#)
            }
            Self::Ed25519(pair) => {
                let x = b64(pair.public_key());
                format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#)
            }
            Self::Rsa(pair) => {
                let key = pair.public_key();
                let n = b64(key.modulus().big_endian_without_leading_zero());
                let e = b64(key.exponent().big_endian_without_leading_zero());
                format!(r#"{{"kty":"RSA","n":"{n}","e":"{e}"}}"#)
            }
        }
    }

    /// The algorithm that a JWT under it names.
    pub(super) const fn algorithm(&self) -> &'static str {
        match self {
            Self::Secret(_) => "HS256",
            Self::Ecdsa(_) => "ES256",
            Self::Ed25519(_) => "EdDSA",
            Self::Rsa(_) => "RS256",
        }
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Secret(key) => mac(hmac::HMAC_SHA256, key, message),
            Self::Ecdsa(pair) => pair
                .sign(&SystemRandom::new(), message)
                .map_or_else(|_| Vec::new(), |signature| signature.as_ref().to_vec()),
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Self::Rsa(pair) => rsa_signature(pair, &RSA_PKCS1_SHA256, message),
        }
    }

    /// The signature by another algorithm of the same kind of key; `None` if the key has only one.
    pub(super) fn sign_as(&self, algorithm: &str, message: &[u8]) -> Option<Vec<u8>> {
        match (self, algorithm) {
            (Self::Secret(key), "HS384") => Some(mac(hmac::HMAC_SHA384, key, message)),
            (Self::Secret(key), "HS512") => Some(mac(hmac::HMAC_SHA512, key, message)),
            (Self::Rsa(pair), "RS384") => Some(rsa_signature(pair, &RSA_PKCS1_SHA384, message)),
            (Self::Rsa(pair), "RS512") => Some(rsa_signature(pair, &RSA_PKCS1_SHA512, message)),
            (Self::Rsa(pair), "PS256") => Some(rsa_signature(pair, &RSA_PSS_SHA256, message)),
            _ => None,
        }
    }
}

pub(super) fn mac(algorithm: hmac::Algorithm, key: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(algorithm, key), message).as_ref().to_vec()
}

fn rsa_signature(pair: &RsaKeyPair, by: &'static dyn RsaEncoding, message: &[u8]) -> Vec<u8> {
    let mut signature = vec![0; pair.public_modulus_len()];
    match pair.sign(by, &SystemRandom::new(), message, &mut signature) {
        Ok(()) => signature,
        Err(_) => Vec::new(),
    }
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
            ("00000001", "00000002", true, Form::Id),
            (&long[..60], &long[..60], true, Form::Sealed),
            (&long, &other, true, Form::Sealed),
            (&long, &other, false, Form::Id),
        ] {
            assert_eq!(Form::of(text, other, cookie), form, "{text}");
        }
    }

    #[test]
    fn edits_change_what_they_name_and_nothing_else() {
        let object = serde_json::from_str(r#"{"iss":"me","exp":7}"#).unwrap();
        for (edit, expected) in [
            (Edit::None, r#"{"iss":"me","exp":7}"#),
            (Edit::Set("exp", "{now-4}"), r#"{"iss":"me","exp":996}"#),
            (Edit::Set("new", "null"), r#"{"iss":"me","exp":7,"new":null}"#),
            (Edit::Set("iss", r#"["{iss}"]"#), r#"{"exp":7,"iss":["me"]}"#),
            (Edit::Without("iss"), r#"{"exp":7}"#),
            (Edit::Add(r#""exp":8"#), r#"{"iss":"me","exp":7,"exp":8}"#),
            (Edit::Behind("{}"), r#"{"iss":"me","exp":7}{}"#),
            (Edit::All("[]"), "[]"),
            (Edit::Long("iss", 3), r#"{"exp":7,"iss":"777"}"#),
        ] {
            assert_eq!(String::from_utf8(edit.apply(&object, 1000)).unwrap(), expected);
        }
        let grows = serde_json::from_str(r#"{"a":"{b}{b}","b":"{c}{c}","c":"{a}"}"#).unwrap();
        let text = Edit::Set("new", r#"["{a}", {}, "{d}"]"#).apply(&grows, 1000);
        assert!(text.ends_with(br#","new":["{b}{b}", {}, "{d}"]}"#));
        let texts = serde_json::from_str(r#"{"exp":"2027-01-01T00:00:00+00:00"}"#).unwrap();
        let text = Edit::Set("exp", "{now+60}").apply(&texts, 951_782_340);
        assert_eq!(text, br#"{"exp":"2000-02-29T00:00:00+00:00"}"#);
        let bytes = Edit::Bytes("iss").apply(&object, 1000);
        assert!(String::from_utf8(bytes).is_err());
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
