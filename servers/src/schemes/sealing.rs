//! AES-256-GCM under named keys, prepared once: what seals a cookie or encrypts a token.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use super::keys::{KeyId, secret_256};
use super::scheme::{Reason, Rejection};
use crate::error::ServeError;

/// Bytes of a nonce.
pub(super) const NONCE_BYTES: usize = NONCE_LEN;
/// Bytes of a tag.
pub(super) const TAG_BYTES: usize = 16;

/// A key, prepared.
///
/// Nonces are 96 random bits, so one key must not seal more than 2^32 times (NIST SP 800-38D, 8.3):
/// replace it before that. Whatever is sealed is bound to the bytes next to it, its header, which
/// names the key; a change of either is found before a byte of the content is looked at.
#[derive(Debug)]
pub(super) struct Seal {
    pub(super) id: KeyId,
    key: LessSafeKey,
}

impl Seal {
    pub(super) fn prepare(arm: &'static str, key: &[u8]) -> Result<Self, ServeError> {
        let bytes = secret_256(arm, key)?;
        let unbound = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| ServeError::NoKey(arm))?;
        Ok(Self { id: KeyId::of(arm, &bytes), key: LessSafeKey::new(unbound) })
    }

    /// Encrypts in place; the tag comes back.
    pub(super) fn seal(
        &self,
        nonce: [u8; NONCE_BYTES],
        beside: &[u8],
        text: &mut [u8],
    ) -> Result<[u8; TAG_BYTES], Rejection> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.key.seal_in_place_separate_tag(nonce, Aad::from(beside), text);
        let tag = tag.map_err(|_| Rejection::Issue)?;
        tag.as_ref().try_into().map_err(|_| Rejection::Issue)
    }

    /// Decrypts ciphertext and tag in place.
    pub(super) fn open<'a>(
        &self,
        nonce: [u8; NONCE_BYTES],
        beside: &[u8],
        sealed: &'a mut [u8],
    ) -> Result<&'a [u8], Reason> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        match self.key.open_in_place(nonce, Aad::from(beside), sealed) {
            Ok(text) => Ok(text),
            Err(_) => Err(Reason::Signature),
        }
    }
}

/// A nonce that has not been used before but for a chance that the limit above keeps small.
pub(super) fn nonce() -> Result<[u8; NONCE_BYTES], Rejection> {
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(|_| Rejection::Issue)?;
    Ok(nonce)
}
