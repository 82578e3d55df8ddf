//! Keys: a server's own, and those of an attacker.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::{SystemRandom, fill};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::text::b64;
use crate::error::{Error, Result};

/// Bytes of a secret key.
const SECRET_BYTES: usize = 32;

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

    pub(super) fn ed25519_of(file: &[u8]) -> Result<Self> {
        Ed25519KeyPair::from_pkcs8(file).map(Self::Ed25519).map_err(no_key)
    }

    pub(super) fn rsa_of(file: &[u8]) -> Result<Self> {
        let pair = RsaKeyPair::from_pkcs8(file).map_err(no_key)?;
        Ok(Self::Rsa(Box::new(pair)))
    }

    /// The key in a text that an owner gives: PKCS#8 in PEM, or a secret for HMAC as it is.
    ///
    /// # Errors
    /// Why it is no key for tokens of this algorithm.
    pub(super) fn given(algorithm: &str, text: &str) -> std::result::Result<Self, String> {
        if algorithm == "HS256" {
            return Ok(Self::Secret(text.trim_end_matches(['\r', '\n']).as_bytes().to_vec()));
        }
        let der = pem_body(text).ok_or("expected a private key in PEM (PKCS#8)")?;
        let key = match algorithm {
            "RS256" => Self::rsa_of(&der),
            "ES256" => Self::ecdsa_of(&der),
            "EdDSA" => Self::ed25519_of(&der),
            other => {
                return Err(format!(
                    "expected tokens of HS256, RS256, ES256 or EdDSA, found {other}"
                ));
            }
        };
        key.map_err(|_| format!("expected a private key for {algorithm} in PKCS#8, found another"))
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
        let pem = pem("PUBLIC KEY", &spki);
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

/// DER as PEM, without a line break at its end.
pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der).into_bytes();
    let lines: Vec<_> =
        text.chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----", lines.join("\n"))
}

/// The bytes in a PEM.
pub(super) fn pem_body(text: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once("-----BEGIN ")?;
    let (_, rest) = rest.split_once("-----")?;
    let (body, _) = rest.split_once("-----END ")?;
    let body: String = body.split_whitespace().collect();
    STANDARD.decode(body).ok()
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
