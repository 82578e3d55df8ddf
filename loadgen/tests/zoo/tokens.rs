//! JSON Web Tokens and refresh tokens.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::http::{Reply, Request};
use super::modes::Alg;
use super::{Flaw, Kind, Mode, ids};

/// How long tokens live, in seconds.
const LIFE: u64 = 900;
const SHORT_LIFE: u64 = 4;
const TEN_YEARS: u64 = 10 * 365 * 86_400;
const ISSUER: &str = "https://issuer.example";
/// How the public key of a certificate on P-256 begins, in DER.
const P256: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

enum Key {
    Secret(Vec<u8>),
    Rsa(Box<RsaKeyPair>),
    Ecdsa(EcdsaKeyPair),
}

/// What issues tokens and checks them.
pub(super) struct Tokens {
    flaw: Flaw,
    key: Key,
    counter: AtomicU64,
    /// The user and the current refresh token of a family.
    families: Mutex<BTreeMap<u64, (u64, u64)>>,
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn object(part: &str) -> Option<Value> {
    let value: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()?;
    value.is_object().then_some(value)
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn mac(key: &[u8], message: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(HMAC_SHA256, key), message.as_bytes()).as_ref().to_vec()
}

fn verifies_p256(point: &[u8], message: &str, signature: &[u8]) -> bool {
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
    key.verify(message.as_bytes(), signature).is_ok()
}

impl Tokens {
    pub(super) fn new(mode: &Mode) -> Self {
        let key = match (mode.kind, mode.flaw) {
            (Kind::Jwt(Alg::Rs256), _) => {
                Key::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()))
            }
            (Kind::Jwt(Alg::Es256), _) => {
                let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
                Key::Ecdsa(EcdsaKeyPair::generate(algorithm).unwrap())
            }
            (_, Flaw::WeakSecret) => Key::Secret(b"secret".to_vec()),
            (_, Flaw::EmptySecret) => Key::Secret(Vec::new()),
            _ => Key::Secret(ids::hex(ids::random::<16>()).into_bytes()),
        };
        Self { flaw: mode.flaw, key, counter: AtomicU64::new(1), families: Mutex::default() }
    }

    /// The lines of a target file that name this server's keys, which are written into the folder.
    pub(super) fn keys_of_target(&self, mode: &Mode, folder: &Path) -> String {
        let write = |name: &str, text: &[u8]| {
            let file = format!("{}-{name}", mode.name);
            fs::write(folder.join(&file), text).unwrap();
            file
        };
        let is_given = matches!(
            self.flaw,
            Flaw::ExpUnchecked | Flaw::NbfUnchecked | Flaw::AudUnchecked | Flaw::IssUnchecked
        );
        if !matches!(mode.kind, Kind::Jwt(_)) {
            return String::new();
        }
        if is_given || self.flaw == Flaw::None {
            let private = match &self.key {
                Key::Secret(secret) => secret.clone(),
                Key::Rsa(pair) => {
                    let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
                    pem("PRIVATE KEY", der.as_ref()).into_bytes()
                }
                Key::Ecdsa(pair) => {
                    let der = pair.to_pkcs8v1().unwrap();
                    pem("PRIVATE KEY", der.as_ref()).into_bytes()
                }
            };
            return format!("[token]\nsigning_key = '{}'\n", write("key", &private));
        }
        match (&self.key, self.flaw) {
            (Key::Rsa(_), Flaw::ConfusedByJwks) => "[token]\njwks = '/jwks.json'\n".into(),
            (Key::Rsa(_), _) => {
                let file = write("public.pem", self.public().as_bytes());
                format!("[token]\npublic_key = '{file}'\n")
            }
            _ => String::new(),
        }
    }

    /// The public key as PEM.
    fn public(&self) -> String {
        let der = match &self.key {
            Key::Secret(_) => return String::new(),
            Key::Rsa(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
            Key::Ecdsa(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
        };
        pem("PUBLIC KEY", &der)
    }

    pub(super) fn jwks(&self) -> String {
        let Key::Rsa(pair) = &self.key else { return r#"{"keys":[]}"#.into() };
        let key = pair.public_key();
        let n = b64(key.modulus().big_endian_without_leading_zero());
        let e = b64(key.exponent().big_endian_without_leading_zero());
        json!({ "keys": [{ "kty": "RSA", "use": "sig", "kid": "1", "n": n, "e": e }] }).to_string()
    }

    fn algorithm(&self) -> &'static str {
        match self.key {
            Key::Secret(_) => "HS256",
            Key::Rsa(_) => "RS256",
            Key::Ecdsa(_) => "ES256",
        }
    }

    fn signature(&self, message: &str) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.key {
            Key::Secret(secret) => mac(secret, message),
            Key::Ecdsa(pair) => pair.sign(&random, message.as_bytes()).unwrap().as_ref().to_vec(),
            Key::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature).unwrap();
                signature
            }
        }
    }

    fn life(&self) -> Option<u64> {
        match self.flaw {
            Flaw::NoExpiry => None,
            Flaw::TenYears => Some(TEN_YEARS),
            Flaw::ExpIgnored | Flaw::ShortLived => Some(SHORT_LIFE),
            _ => Some(LIFE),
        }
    }

    /// The answer to a login.
    pub(super) fn log_in(&self, user: u64) -> String {
        let family = self.counter.fetch_add(1, Ordering::Relaxed);
        self.families.lock().unwrap().insert(family, (user, 0));
        self.issue(family, user, 0)
    }

    fn issue(&self, family: u64, user: u64, n: u64) -> String {
        let mut claims = json!({
            "iss": ISSUER, "aud": "zoo", "sub": user.to_string(), "jti": format!("{family}-{n}"),
            "iat": now(), "nbf": now(),
        });
        if let Some(life) = self.life() {
            claims["exp"] = (now() + life).into();
        }
        let header = json!({ "alg": self.algorithm(), "typ": "JWT", "kid": "1" }).to_string();
        let message = format!("{}.{}", b64(header), b64(claims.to_string()));
        let access = format!("{message}.{}", b64(self.signature(&message)));
        let id = format!("{family}-{n}");
        let refresh = format!("{id}-{}", ids::hex(mac(self.refresh_key(), &id)));
        json!({ "access_token": access, "refresh_token": refresh }).to_string()
    }

    fn refresh_key(&self) -> &'static [u8] {
        b"what signs refresh tokens, and nothing else does"
    }

    /// The user of a good token.
    pub(super) fn user(&self, token: &str) -> Option<u64> {
        let claims = self.claims(token)?;
        claims["sub"].as_str()?.parse().ok()
    }

    fn claims(&self, token: &str) -> Option<Value> {
        let parts: Vec<&str> = token.split('.').collect();
        let [header, payload, signature] = parts.as_slice() else { return None };
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let claims = object(payload)?;
        let header = object(header)?;
        let message = &token[..token.rfind('.')?];
        (self.is_signed(&header, message, &signature) && self.is_valid(&claims)).then_some(claims)
    }

    fn is_signed(&self, header: &Value, message: &str, signature: &[u8]) -> bool {
        let alg = header["alg"].as_str().unwrap_or_default();
        let kid = header["kid"].as_str().unwrap_or_default();
        match self.flaw {
            Flaw::Unverified => return true,
            Flaw::AlgNone if alg == "none" && signature.is_empty() => return true,
            Flaw::AlgNoneAnyCase if alg != "none" && alg.eq_ignore_ascii_case("none") => {
                return true;
            }
            Flaw::Stripped if signature.is_empty() && alg == "HS256" => return true,
            Flaw::ZeroSignature if signature == [0; 64] => return true,
            Flaw::Confused | Flaw::ConfusedByJwks if alg == "HS256" => {
                return signature == mac(self.public().as_bytes(), message);
            }
            Flaw::EmbeddedJwk if header["jwk"].is_object() => {
                let half = |name: &str| {
                    let text = header["jwk"][name].as_str().unwrap_or_default();
                    URL_SAFE_NO_PAD.decode(text).unwrap_or_default()
                };
                let point = [vec![4], half("x"), half("y")].concat();
                return alg == "ES256" && verifies_p256(&point, message, signature);
            }
            Flaw::X5c if header["x5c"].is_array() => {
                let text = header["x5c"][0].as_str().unwrap_or_default();
                let der = STANDARD.decode(text).unwrap_or_default();
                let at = der.windows(P256.len()).position(|window| window == P256);
                let point = at.and_then(|at| der.get(at + P256.len()..at + P256.len() + 65));
                return point.is_some_and(|point| verifies_p256(point, message, signature));
            }
            Flaw::Jku => {
                let url = header["jku"].as_str().unwrap_or_default();
                let address = url.trim_start_matches("http://").split('/').next();
                drop(address.map(TcpStream::connect));
            }
            Flaw::KidPath if kid.ends_with("/dev/null") => {
                return signature == mac(&fs::read("/dev/null").unwrap(), message);
            }
            Flaw::KidQuery if kid.contains("' UNION SELECT '1'") => {
                return signature == mac(b"1", message);
            }
            _ => {}
        }
        alg == self.algorithm() && kid == "1" && self.verifies(message, signature)
    }

    fn verifies(&self, message: &str, signature: &[u8]) -> bool {
        match &self.key {
            Key::Secret(secret) => mac(secret, message) == signature,
            Key::Ecdsa(pair) => verifies_p256(pair.public_key().as_ref(), message, signature),
            Key::Rsa(pair) => {
                let public = pair.public_key();
                let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public);
                key.verify(message.as_bytes(), signature).is_ok()
            }
        }
    }

    fn is_valid(&self, claims: &Value) -> bool {
        let spares = |flaws: &[Flaw]| flaws.contains(&self.flaw);
        let ends = claims["exp"].as_u64().is_some_and(|exp| exp > now());
        let begun = claims["nbf"].as_u64().is_some_and(|nbf| nbf <= now());
        let is_for_us = claims["aud"] == "zoo";
        (ends || spares(&[Flaw::ExpIgnored, Flaw::ExpUnchecked, Flaw::NoExpiry]))
            && (begun || spares(&[Flaw::NbfUnchecked]))
            && (is_for_us || spares(&[Flaw::AudUnchecked]))
            && (claims["iss"] == ISSUER || spares(&[Flaw::IssUnchecked]))
    }

    /// The family of a good access token.
    fn family(&self, token: &str) -> Option<u64> {
        self.claims(token)?["jti"].as_str()?.split('-').next()?.parse().ok()
    }

    pub(super) fn log_out(&self, token: &str) {
        if self.flaw != Flaw::RefreshOutlives
            && let Some(family) = self.family(token)
        {
            self.families.lock().unwrap().remove(&family);
        }
    }

    pub(super) fn log_out_everywhere(&self, token: &str) {
        if let Some(user) = self.user(token) {
            self.families.lock().unwrap().retain(|_, (owner, _)| *owner != user);
        }
    }

    pub(super) fn refresh(&self, request: &Request) -> Reply {
        let body = request.json();
        match self.refreshed(body["token"].as_str().unwrap_or_default()) {
            Some(tokens) => Reply::new(200, tokens).with("Cache-Control", "no-store"),
            None => Reply::new(401, "{}"),
        }
    }

    fn refreshed(&self, token: &str) -> Option<String> {
        if self.flaw == Flaw::AccessRefreshes
            && let Some(user) = self.user(token)
        {
            return Some(self.log_in(user));
        }
        let (id, shown) = token.rsplit_once('-')?;
        if shown != ids::hex(mac(self.refresh_key(), id)) {
            return None;
        }
        let (family, n) = id.split_once('-')?;
        let (family, n): (u64, u64) = (family.parse().ok()?, n.parse().ok()?);
        let mut families = self.families.lock().unwrap();
        let (user, current) = families.get(&family).copied()?;
        if n == current || self.flaw == Flaw::RefreshReused {
            families.insert(family, (user, current + 1));
            return Some(self.issue(family, user, current + 1));
        }
        // The one before may be late; an older one is a thief's.
        if n + 1 < current {
            families.remove(&family);
        }
        None
    }
}
