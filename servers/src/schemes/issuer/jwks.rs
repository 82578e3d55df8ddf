//! The issuer's keys as a server that verifies tokens has them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use parking_lot::RwLock;
use serde::Deserialize;
use tokio::sync::Mutex;

use super::link::{Body, Link};
use crate::clock::{Clock, Timestamp};
use crate::error::StoreError;
use crate::json;
use crate::schemes::jwt;
use crate::stores::ISSUER;

/// How long keys are believed: 5 min. One that the issuer no longer publishes is refused after
/// that.
pub const KEYS_FRESH: Duration = Duration::from_secs(300);
/// How long after a fetch the next one may be: 5 s. A token under a key that is newer than the
/// last fetch is refused for so long at most.
pub const FETCH_EVERY: Duration = Duration::from_secs(5);
/// Keys that an issuer may publish.
const KEYS_MAX: usize = 16;
/// Characters that a key's name may have.
const KID_CHARS_MAX: usize = 64;

const OPERATION: &str = "publish its keys";

/// A key of the issuer.
pub(in crate::schemes) struct PublicKey {
    kid: String,
    /// What every token under it begins with, as our issuer writes them.
    pub(in crate::schemes) header: String,
    pub(in crate::schemes) verifying: DecodingKey,
}

/// The keys of one fetch.
pub(in crate::schemes) struct Fetched {
    keys: Vec<PublicKey>,
    at: Timestamp,
}

impl Fetched {
    /// The key whose header this token has, byte for byte.
    pub(in crate::schemes) fn of_token(&self, token: &[u8]) -> Option<&PublicKey> {
        self.keys.iter().find(|key| token.starts_with(key.header.as_bytes()))
    }

    /// The key of this name.
    pub(in crate::schemes) fn named(&self, kid: &str) -> Option<&PublicKey> {
        self.keys.iter().find(|key| key.kid == kid)
    }
}

/// The last fetch that was not the first, and how it ended.
#[derive(Default)]
struct Last {
    at: Option<Timestamp>,
    failure: Option<StoreError>,
}

/// Keys that are fetched, remembered and renewed.
///
/// A request whose key is known asks nobody. An unknown name, or keys older than [`KEYS_FRESH`],
/// cause a fetch: at most one in [`FETCH_EVERY`] for both together, however many requests come, so
/// that made-up names cost the issuer no more than one honest client. Requests with unknown names
/// wait for the fetch that is under way, and not for another one.
///
/// If the issuer cannot be asked, known keys stay valid, however old: its last answer is all that
/// is known. An unknown name is then a 503 and not a 401, because nobody knows whether the token is
/// good; a name that the issuer was asked about and does not have is a 401. An answer that is no
/// set of keys, or names a key twice, changes nothing.
pub struct Jwks {
    link: Arc<Link>,
    clock: Clock,
    fetched: RwLock<Arc<Fetched>>,
    fetching: Mutex<Last>,
    fetches: AtomicU64,
}

impl Jwks {
    /// The keys as they are published now.
    ///
    /// # Errors
    /// Where the issuer cannot be asked.
    pub(in crate::schemes) async fn open(
        link: Arc<Link>,
        clock: Clock,
    ) -> Result<Self, StoreError> {
        let first = fetch(&link, &clock).await?;
        Ok(Self {
            link,
            clock,
            fetched: RwLock::new(Arc::new(first)),
            fetching: Mutex::default(),
            fetches: AtomicU64::new(1),
        })
    }

    /// How often the issuer was asked, for tests.
    #[must_use]
    pub fn fetches(&self) -> u64 {
        self.fetches.load(Ordering::Relaxed)
    }

    /// The keys that are known, renewed by one request where they are old.
    pub(in crate::schemes) async fn known(&self) -> Arc<Fetched> {
        let known = Arc::clone(&self.fetched.read());
        if self.clock.now() < known.at.plus(KEYS_FRESH) {
            return known;
        }
        // In a box, so that the future of every request does not have room for it.
        Box::pin(self.renew()).await;
        Arc::clone(&self.fetched.read())
    }

    async fn renew(&self) {
        // A request that finds a fetch under way uses what is known.
        if let Ok(mut last) = self.fetching.try_lock()
            && !self.is_recent(&last)
        {
            self.fetch_again(&mut last).await;
        }
    }

    /// The keys, after a fetch where this name is not among them and one is due.
    ///
    /// # Errors
    /// Where the issuer could not be asked.
    pub(in crate::schemes) async fn with(&self, kid: &str) -> Result<Arc<Fetched>, StoreError> {
        let known = Arc::clone(&self.fetched.read());
        if known.named(kid).is_some() || !is_name(kid) {
            return Ok(known);
        }
        let mut last = self.fetching.lock().await;
        let known = Arc::clone(&self.fetched.read());
        if known.named(kid).is_some() {
            return Ok(known);
        }
        if !self.is_recent(&last) {
            self.fetch_again(&mut last).await;
        }
        match &last.failure {
            Some(failure) => Err(failure.clone()),
            None => Ok(Arc::clone(&self.fetched.read())),
        }
    }

    fn is_recent(&self, last: &Last) -> bool {
        let now = self.clock.now();
        last.at.is_some_and(|at| at <= now && now < at.plus(FETCH_EVERY))
    }

    async fn fetch_again(&self, last: &mut Last) {
        self.fetches.fetch_add(1, Ordering::Relaxed);
        last.failure = match fetch(&self.link, &self.clock).await {
            Ok(fetched) => {
                *self.fetched.write() = Arc::new(fetched);
                None
            }
            Err(failure) => Some(failure),
        };
        // Its end counts: requests that have waited for it must not ask one after the other.
        last.at = Some(self.clock.now());
    }
}

fn is_name(kid: &str) -> bool {
    (1..=KID_CHARS_MAX).contains(&kid.len()) && kid.bytes().all(|byte| byte.is_ascii_graphic())
}

async fn fetch(link: &Link, clock: &Clock) -> Result<Fetched, StoreError> {
    let at = clock.now();
    let answer = link.ask(OPERATION, "/jwks.json", Body::Nothing).await?;
    let keys = read(&answer).ok_or_else(|| StoreError {
        store: ISSUER,
        operation: OPERATION,
        found: format!("{} bytes that are no set of keys for ES256", answer.len()),
    })?;
    Ok(Fetched { keys, at })
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<serde_json::Value>,
}

/// The keys for ES256 in a set; others are passed over, as RFC 7517, 5, has it. `None` if it has no
/// such key, or two of one name.
fn read(text: &[u8]) -> Option<Vec<PublicKey>> {
    let set: KeySet = json::object(text)?;
    if set.keys.len() > KEYS_MAX {
        return None;
    }
    let keys: Vec<_> = set.keys.iter().filter_map(public_key).collect();
    let has_twin = |n: usize| keys[..n].iter().any(|other: &PublicKey| other.kid == keys[n].kid);
    (!keys.is_empty() && !(0..keys.len()).any(has_twin)).then_some(keys)
}

fn public_key(jwk: &serde_json::Value) -> Option<PublicKey> {
    let text = |name: &str| jwk.get(name).map(|value| value.as_str().unwrap_or_default());
    let may_be = |name: &str, value: &str| text(name).is_none_or(|found| found == value);
    let fits = text("kty")? == "EC"
        && text("crv")? == "P-256"
        && may_be("alg", "ES256")
        && may_be("use", "sig")
        && jwk.get("key_ops").is_none();
    let (kid, x, y) = (text("kid")?, text("x")?, text("y")?);
    let whole = |half: &str| URL_SAFE_NO_PAD.decode(half).is_ok_and(|bytes| bytes.len() == 32);
    if !fits || !is_name(kid) || !whole(x) || !whole(y) {
        return None;
    }
    Some(PublicKey {
        kid: kid.to_owned(),
        header: jwt::header("ES256", kid),
        verifying: DecodingKey::from_ec_components(x, y).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn key(kid: &str) -> Value {
        // RFC 7515, A.3.1.
        let x = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
        let y = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
        json!({ "kty": "EC", "crv": "P-256", "kid": kid, "x": x, "y": y })
    }

    fn names(keys: &[Value]) -> Option<Vec<String>> {
        let keys = read(json!({ "keys": keys }).to_string().as_bytes())?;
        Some(keys.into_iter().map(|key| key.kid).collect())
    }

    #[test]
    fn only_keys_for_signatures_by_es256_are_taken() {
        let with = |name: &str, value: Value| {
            let mut changed = key("b");
            changed[name] = value;
            [key("a"), changed]
        };
        assert_eq!(names(&with("alg", "ES256".into())).unwrap(), ["a", "b"]);
        for (name, value) in [
            ("alg", json!("HS256")),
            ("alg", Value::Null),
            ("use", json!("enc")),
            ("key_ops", json!(["verify"])),
            ("kty", json!("oct")),
            ("crv", json!("P-384")),
            ("x", json!("AA")),
            ("y", json!(7)),
            ("kid", json!("")),
            ("kid", json!("x".repeat(65))),
            ("kid", json!("a\"b\n")),
        ] {
            assert_eq!(names(&with(name, value.clone())).unwrap(), ["a"], "{name}: {value}");
        }
    }

    #[test]
    fn a_set_without_keys_or_with_a_doubled_name_is_none() {
        assert_eq!(names(&[]), None);
        assert_eq!(names(&[key("a"), key("a")]), None);
        let many: Vec<_> = (0..17).map(|n| key(&n.to_string())).collect();
        assert_eq!(names(&many), None);
        assert_eq!(names(&many[1..]).unwrap().len(), 16);
        for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[7]}"#] {
            assert!(read(text.as_bytes()).is_none(), "{text}");
        }
    }
}
