//! The keys of a token scheme: the current one, the previous ones, and names for them.
//!
//! A key's name is derived from the key, so that servers which share a key agree on it with
//! nothing configured. New tokens are made with the current key; a token that names a previous one
//! is still good, so that a change of keys logs nobody out, and one that names none of them is
//! refused before any cryptography. A name is looked up in this list and nowhere else: it is never
//! a path, a query or an address. Keys are read, judged and prepared at the start, and never again.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::SchemeOptions;
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
    /// The name of the key with these bytes, the public ones where there are two sorts.
    #[must_use]
    pub fn of(key: &[u8]) -> Self {
        // A prefix of its own, so that no other digest of the same key can be its name.
        let whole = digest(&SHA256, &[b"authbench key id\0", key].concat());
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

    /// The first key of which this holds, the current one first.
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

/// This key as one of exactly 256 bits.
///
/// # Errors
/// [`ServeError::ShortKey`]; [`ServeError::Key`] where it is longer, because to use a part of it
/// would be to pass over the rest in silence.
pub fn secret_256(arm: &'static str, key: &[u8]) -> Result<[u8; SECRET_BYTES], ServeError> {
    let found = key.len();
    if found < SECRET_BYTES {
        return Err(ServeError::ShortKey { arm, needed: SECRET_BYTES, found });
    }
    key.try_into().map_err(|_| ServeError::Key {
        arm,
        expected: "exactly 32 bytes",
        found: format!("{found} bytes"),
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
