//! The keys of a token scheme: the current one, the previous ones, names for them, and which are
//! too weak to be one.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::scheme::SchemeOptions;
use crate::error::ServeError;

/// Characters of a key's name: 64 bits in base64url without padding.
pub const KEY_ID_CHARS: usize = 11;

/// Bytes of a secret key, and the fewest that an HMAC key may have: as many as its hash (RFC 7518,
/// 3.2).
pub const SECRET_BYTES: usize = 32;

/// The name of a key, `kid`: the first 64 bits of a digest. They are enough to tell a handful of
/// keys apart, and say nothing of a key that cannot be guessed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyId([u8; 8]);

impl KeyId {
    /// The name that the key with these bytes, the public ones where there are two sorts, has at
    /// this arm.
    #[must_use]
    pub fn of(arm: &str, key: &[u8]) -> Self {
        // A prefix of its own, so that no other digest of the same key can be its name.
        let whole = digest(&SHA256, &[b"authbench key id\0", arm.as_bytes(), b"\0", key].concat());
        let mut first = [0; 8];
        first.copy_from_slice(&whole.as_ref()[..8]);
        Self(first)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; KEY_ID_CHARS];
        URL_SAFE_NO_PAD.encode_slice(self.0, &mut text).map_err(|_| fmt::Error)?;
        f.write_str(str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// Prepared keys, at least one.
///
/// A key's name is derived from the key and the arm, so that servers of an arm which share a key
/// agree on it with nothing configured, and those of two arms never do. Every credential names its
/// key in a part that is signed or sealed with the rest, so one that was made for another arm under
/// the same key is refused, and cannot be renamed without that key: a token that `jwt-denylist` has
/// revoked does not come back by way of `jwt-hs256`.
///
/// New tokens are made with the current key; a token that names a previous one is still good, so
/// that a change of keys logs no one out, and one that names none of them is refused before any
/// cryptography. A name is looked up in this list and nowhere else: it is never a path, a query or
/// an address. Keys are read, judged and prepared at the start, and never again.
#[derive(Debug)]
pub struct Ring<K> {
    current: K,
    previous: Vec<K>,
}

impl<K> Ring<K> {
    /// The keys that the options give, the current one made for this run where they give none.
    ///
    /// # Errors
    /// What `generate` or `prepare` says.
    pub fn prepare(
        options: &SchemeOptions,
        generate: impl FnOnce() -> Result<Vec<u8>, ServeError>,
        prepare: impl Fn(&[u8]) -> Result<K, ServeError>,
    ) -> Result<Self, ServeError> {
        let current = match &options.key {
            Some(key) => prepare(key)?,
            None => {
                let key = generate()?;
                if let Some(made) = &options.made_key {
                    // An arm has one key, so the first is the only one.
                    made.get_or_init(|| key.clone());
                }
                prepare(&key)?
            }
        };
        let previous = options.previous_keys.iter().map(|key| prepare(key));
        Ok(Self { current, previous: previous.collect::<Result<_, _>>()? })
    }

    /// The key that makes new tokens.
    pub const fn current(&self) -> &K {
        &self.current
    }

    /// The first key that fits, beginning with the current one.
    pub fn find(&self, is: impl Fn(&K) -> bool) -> Option<&K> {
        std::iter::once(&self.current).chain(&self.previous).find(|key| is(key))
    }

    /// How many keys there are.
    pub fn count(&self) -> usize {
        1 + self.previous.len()
    }
}

/// A secret key for this run.
///
/// # Errors
/// [`ServeError::Entropy`].
pub fn random_secret() -> Result<Vec<u8>, ServeError> {
    let mut key = vec![0; SECRET_BYTES];
    getrandom::fill(&mut key).map_err(ServeError::Entropy)?;
    Ok(key)
}

/// Fewest different bytes of a secret key. Of 32 random bytes some 30 differ, and of 64 hexadecimal
/// digits some 15: fewer than 10 are found in neither once in 10^11 keys.
const DIFFERENT_BYTES_MIN: usize = 10;
/// Fewest characters of a secret key that is text, as many as base64 needs for 32 bytes; ...
const TEXT_CHARS_MIN: usize = 43;
/// ... and where it has hexadecimal digits only.
const HEX_CHARS_MIN: usize = 64;

/// Refuses a secret key that may be known to others or can be guessed.
///
/// # Errors
/// [`ServeError::ShortKey`] below [`SECRET_BYTES`]; [`ServeError::Key`] for a key or certificate in
/// PEM, DER, JWK or SSH's form, which may be public, for bytes that follow a pattern, and for a
/// text that is too short to hold 256 bits.
pub fn check_secret(arm: &'static str, key: &[u8]) -> Result<(), ServeError> {
    if key.len() < SECRET_BYTES {
        return Err(ServeError::ShortKey { arm, needed: SECRET_BYTES, found: key.len() });
    }
    let refuse = |found: &str| {
        let expected = "32 random bytes or more, or as many as text";
        Err(ServeError::Key { arm, expected, found: found.into() })
    };
    if is_public_form(key) {
        return refuse("a key or certificate of public-key cryptography, which others may know");
    }
    if is_pattern(key) {
        return refuse("bytes that follow a pattern or hardly differ");
    }
    let text = key.trim_ascii_end();
    let needed =
        if text.iter().all(u8::is_ascii_hexdigit) { HEX_CHARS_MIN } else { TEXT_CHARS_MIN };
    if text.iter().all(|byte| matches!(byte, b' '..=b'~')) && text.len() < needed {
        let found = format!("a text of {} characters, where {needed} are needed", text.len());
        return refuse(&found);
    }
    Ok(())
}

/// Whether this is a key pair, a public key or a certificate, in a form in which those are handed
/// around, or in base64 once more.
fn is_public_form(key: &[u8]) -> bool {
    // Without the zeros of UTF-16 and the spaces of base64 in lines.
    let bare: Vec<u8> =
        key.iter().copied().filter(|byte| *byte != 0 && !byte.is_ascii_whitespace()).collect();
    let decoded = STANDARD.decode(&bare).unwrap_or_default();
    is_bare_form(key) || is_bare_form(&decoded) || holds(&bare, b"-----BEGIN")
}

fn is_bare_form(key: &[u8]) -> bool {
    let text = key.trim_ascii();
    let is_text = holds(text, b"-----BEGIN ")
        || text.starts_with(b"ssh-")
        || text.starts_with(b"ecdsa-sha2-")
        || text.starts_with(b"{") && serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok();
    is_text || is_der(key)
}

fn holds(text: &[u8], piece: &[u8]) -> bool {
    text.windows(piece.len()).any(|window| window == piece)
}

/// Whether this is one DER sequence whose first part is a sequence or a number, as every key and
/// certificate is. The shortest has 44 bytes; of random keys of that length, which 32 bytes are
/// not, fewer than one in a million looks so.
fn is_der(key: &[u8]) -> bool {
    const KEY_BYTES_MIN: usize = 40;
    let inside = |bytes: &[u8]| match *bytes {
        [_, length @ ..=0x7f, ..] => Some((2, usize::from(length))),
        [_, 0x81, length, ..] => Some((3, usize::from(length))),
        [_, 0x82, high, low, ..] => Some((4, usize::from(u16::from_be_bytes([high, low])))),
        _ => None,
    };
    if key.len() < KEY_BYTES_MIN || key[0] != 0x30 {
        return false;
    }
    let Some((start, length)) = inside(key) else { return false };
    let first = key.get(start..).unwrap_or_default();
    start + length == key.len()
        && matches!(first.first(), Some(0x30 | 0x02))
        && inside(first).is_some_and(|(start, length)| start + length <= first.len())
}

/// Whether few bytes differ, each is as far from the one before, or the same piece comes again and
/// again.
fn is_pattern(key: &[u8]) -> bool {
    let mut seen = [false; 256];
    key.iter().for_each(|&byte| seen[usize::from(byte)] = true);
    let different = seen.iter().filter(|seen| **seen).count();
    let step = |pair: &[u8]| pair[1].wrapping_sub(pair[0]);
    let is_count = key.windows(2).map(step).all(|by| by == key[1].wrapping_sub(key[0]));
    let repeats = |period: usize| key[period..] == key[..key.len() - period];
    different < DIFFERENT_BYTES_MIN || is_count || (1..=key.len() / 2).any(repeats)
}

/// This key as one of exactly 256 bits.
///
/// # Errors
/// Those of [`check_secret`]; [`ServeError::Key`] where it is longer, because to use a part of it
/// would be to pass over the rest in silence.
pub fn secret_256(arm: &'static str, key: &[u8]) -> Result<[u8; SECRET_BYTES], ServeError> {
    check_secret(arm, key)?;
    key.try_into().map_err(|_| ServeError::Key {
        arm,
        expected: "exactly 32 bytes",
        found: format!("{} bytes", key.len()),
    })
}

/// The DER of an unencrypted private key (PKCS#8), which may come in its PEM form.
///
/// # Errors
/// [`ServeError::Key`].
pub fn pkcs8(arm: &'static str, key: &[u8]) -> Result<Vec<u8>, ServeError> {
    // A SEQUENCE, which no text begins with.
    if key.first() == Some(&0x30) {
        return Ok(key.to_vec());
    }
    let inside = |text: &str| {
        let text = text.trim().strip_prefix("-----BEGIN PRIVATE KEY-----")?;
        let text = text.strip_suffix("-----END PRIVATE KEY-----")?;
        STANDARD.decode(text.split_ascii_whitespace().collect::<String>()).ok()
    };
    str::from_utf8(key).ok().and_then(inside).ok_or_else(|| ServeError::Key {
        arm,
        expected: "an unencrypted PKCS#8 private key in PEM or DER",
        found: format!("{} bytes of something else", key.len()),
    })
}
