//! `paseto-v4-public`: signed PASETO tokens (Ed25519).

use aws_lc_rs::encoding::{AsBigEndian, Curve25519SeedBin};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use pasetors::keys::{AsymmetricPublicKey, AsymmetricSecretKey};
use pasetors::token::{Public, TrustedToken, UntrustedToken};
use pasetors::version4::{PublicToken, V4};

use super::jwt_eddsa;
use super::keys::{KeyId, pkcs8};
use super::paseto::{Key, Pasetos};
use super::scheme::{ArmInfo, Form, Reason, SchemeOptions};
use crate::error::ServeError;

/// The arm `paseto-v4-public`.
pub const INFO: ArmInfo = ArmInfo {
    arm: "paseto-v4-public",
    scheme: "paseto-v4-public",
    store: None,
    summary: "A signed token (PASETO v4.public, Ed25519) that a public key checks.",
    authenticates: true,
    stateful: false,
    revokes: false,
    revokes_refresh: false,
    refreshes: false,
    form: Form::Tuned,
    after_restart: "Tokens stay valid if the key does; a key made for the run is gone with it.",
};

/// A key pair on Curve25519.
///
/// The counterpart of `jwt-eddsa`: the same curve, and the arithmetic of ed25519-compact, which
/// pasetors is built on, in the place of AWS-LC's. A figure of this arm compared with that one is
/// mostly one of the two libraries.
pub struct PublicKey {
    secret: AsymmetricSecretKey<V4>,
    public: AsymmetricPublicKey<V4>,
}

impl Key for PublicKey {
    const HEADER: &'static str = PublicToken::HEADER;

    fn read(key: &[u8]) -> Result<(KeyId, Self), ServeError> {
        let der = pkcs8(INFO.arm, key)?;
        let refused = |found: String| ServeError::Key {
            arm: INFO.arm,
            expected: "an Ed25519 private key",
            found,
        };
        let pair = Ed25519KeyPair::from_pkcs8(&der).map_err(|why| refused(format!("`{why}`")))?;
        let unusable = || ServeError::NoKey(INFO.arm);
        let seed = pair.seed().map_err(|_| unusable())?;
        let seed: Curve25519SeedBin<'_> = seed.as_be_bytes().map_err(|_| unusable())?;
        let public = pair.public_key().as_ref();
        // What PASETO calls a secret key is the seed with the public key after it.
        let secret = AsymmetricSecretKey::from(&[seed.as_ref(), public].concat());
        let secret = secret.map_err(|_| unusable())?;
        let id = KeyId::of(INFO.arm, public);
        let public = AsymmetricPublicKey::from(public).map_err(|_| unusable())?;
        Ok((id, Self { secret, public }))
    }

    fn make(&self, claims: &[u8], footer: &[u8]) -> Option<String> {
        PublicToken::sign(&self.secret, claims, Some(footer), None).ok()
    }

    fn open(&self, token: &str, footer: &[u8], implicit: &[u8]) -> Result<TrustedToken, Reason> {
        let token = UntrustedToken::<Public, V4>::try_from(token).map_err(|_| Reason::Shape)?;
        // pasetors takes any footer where none is expected, and none where an empty one is.
        if token.untrusted_footer() != footer {
            return Err(Reason::Key);
        }
        PublicToken::verify(&self.public, &token, None, Some(implicit))
            .map_err(|_| Reason::Signature)
    }
}

/// Opens the arm, with a key made for the run unless one is given (PKCS#8, PEM or DER).
///
/// # Errors
/// [`ServeError::Key`] where the key is not of Ed25519, [`ServeError::NoKey`].
pub async fn open(options: &SchemeOptions) -> Result<Pasetos<PublicKey>, ServeError> {
    Pasetos::open(options, jwt_eddsa::KIND.generate)
}
