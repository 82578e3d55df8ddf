//! `paseto-v4-local`: encrypted PASETO tokens (XChaCha20 and a keyed BLAKE2b).
//! The counterpart of `jwe-dir`, without a choice of algorithms in the token: the version and the
//! purpose at its front are all there is, and they must be ours.

use pasetors::keys::SymmetricKey;
use pasetors::token::{Local, TrustedToken, UntrustedToken};
use pasetors::version4::{LocalToken, V4};

use super::keys::{KeyId, SECRET_BYTES, random_secret, secret_256};
use super::paseto::{Key, Pasetos};
use super::scheme::{ArmInfo, Form, Reason, SchemeOptions};
use crate::error::ServeError;

/// The arm `paseto-v4-local`.
pub const INFO: ArmInfo = ArmInfo {
    arm: "paseto-v4-local",
    scheme: "paseto-v4-local",
    store: None,
    summary: "An encrypted token (PASETO v4.local) says who the user is, to us alone.",
    authenticates: true,
    stateful: false,
    revokes: false,
    revokes_refresh: false,
    refreshes: false,
    form: Form::Tuned,
    after_restart: "Tokens stay valid if the key does; a key made for the run is gone with it.",
};

/// A key of 256 bits.
pub struct LocalKey(SymmetricKey<V4>);

impl LocalKey {
    /// The key of these bytes and its name, whether or not it is a good one: those of the public
    /// vectors are not.
    ///
    /// # Errors
    /// [`ServeError::NoKey`] where the library takes none.
    pub fn prepare(bytes: &[u8; SECRET_BYTES]) -> Result<(KeyId, Self), ServeError> {
        let key = SymmetricKey::from(bytes).map_err(|_| ServeError::NoKey(INFO.arm))?;
        Ok((KeyId::of(INFO.arm, bytes), Self(key)))
    }
}

impl Key for LocalKey {
    const HEADER: &'static str = LocalToken::HEADER;

    fn read(key: &[u8]) -> Result<(KeyId, Self), ServeError> {
        Self::prepare(&secret_256(INFO.arm, key)?)
    }

    fn make(&self, claims: &[u8], footer: &[u8]) -> Option<String> {
        LocalToken::encrypt(&self.0, claims, Some(footer), None).ok()
    }

    fn open(&self, token: &str, footer: &[u8], implicit: &[u8]) -> Result<TrustedToken, Reason> {
        let token = UntrustedToken::<Local, V4>::try_from(token).map_err(|_| Reason::Shape)?;
        // pasetors takes any footer where none is expected, and none where an empty one is.
        if token.untrusted_footer() != footer {
            return Err(Reason::Key);
        }
        LocalToken::decrypt(&self.0, &token, None, Some(implicit)).map_err(|_| Reason::Signature)
    }
}

/// Opens the arm, with a random key unless one is given.
///
/// # Errors
/// [`ServeError::ShortKey`], [`ServeError::Key`], [`ServeError::Entropy`].
pub async fn open(options: &SchemeOptions) -> Result<Pasetos<LocalKey>, ServeError> {
    Pasetos::open(options, random_secret)
}
