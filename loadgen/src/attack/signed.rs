//! The signed cookies of frameworks: whose a cookie is, what it says, and which key signed it.

use aws_lc_rs::hmac::{Algorithm, HMAC_SHA1_FOR_LEGACY_USE_ONLY, HMAC_SHA256};
use aws_lc_rs::{digest, pbkdf2};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::key::mac;
use super::recipe::{Person, percent_decoded, percent_encoded, swapped};
use super::text::unb64;

/// Rounds of PBKDF2, and bytes of its key, in Rails (`ActiveSupport::KeyGenerator`).
const RAILS_ROUNDS: std::num::NonZeroU32 = std::num::NonZeroU32::new(1000).expect("not zero");
const RAILS_BYTES: usize = 64;
/// Bytes of a signature by SHA-1 and by SHA-256.
const SHA1_BYTES: usize = 20;
const SHA256_BYTES: usize = 32;

/// Who makes such cookies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Maker {
    /// Flask and Starlette, by itsdangerous.
    Itsdangerous,
    /// `django.core.signing`.
    Django,
    /// `cookies.signed` of Rails.
    Rails,
    /// `cookies.encrypted` and the sessions of Rails.
    RailsEncrypted,
    /// cookie-parser and express-session.
    Express,
    /// cookie-session.
    CookieSession,
}

impl Maker {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Itsdangerous => "a cookie of Flask or Starlette (itsdangerous)",
            Self::Django => "a signed cookie of Django",
            Self::Rails => "a signed cookie of Rails",
            Self::RailsEncrypted => "an encrypted cookie of Rails",
            Self::Express => "a signed cookie of Express",
            Self::CookieSession => "a cookie of cookie-session (Express)",
        }
    }
}

/// A cookie taken apart.
#[derive(Clone, Debug)]
pub(super) struct Signed {
    pub(super) maker: Maker,
    /// The cookie's name.
    pub(super) name: String,
    /// What is signed.
    message: String,
    signature: Vec<u8>,
    /// What it says, as far as anybody can read it.
    pub(super) says: Option<String>,
    /// Whether the cookie is percent-encoded.
    is_encoded: bool,
}

/// A cookie, and its signature where that is a cookie of its own.
pub(super) type Made = (String, Option<String>);

fn readable(bytes: Option<Vec<u8>>) -> Option<String> {
    let text = String::from_utf8(bytes?).ok()?;
    (!text.is_empty() && !text.contains(|c: char| c.is_control())).then_some(text)
}

/// Base64 of either alphabet, padded or not.
fn unbase64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    STANDARD_NO_PAD.decode(text).ok().or_else(|| unb64(text))
}

impl Signed {
    /// The cookie of this name; `second` is the one that cookie-session signs it with.
    pub(super) fn read(name: &str, cookie: &str, second: Option<&str>) -> Option<Self> {
        let text = percent_decoded(cookie);
        let made = |maker, message: &str, signature: Vec<u8>, says| Self {
            maker,
            name: name.into(),
            message: message.into(),
            signature,
            says,
            is_encoded: text != cookie,
        };
        if let Some(signature) = second {
            let says = readable(unbase64(&text));
            return Some(made(Maker::CookieSession, &text, unb64(signature)?, says));
        }
        if let Some(value) = text.strip_prefix("s:") {
            let (message, signature) = value.rsplit_once('.')?;
            let signature = unbase64(signature).filter(|raw| raw.len() == SHA256_BYTES)?;
            return Some(made(Maker::Express, message, signature, Some(message.into())));
        }
        let dashed: Vec<&str> = text.split("--").collect();
        match dashed.as_slice() {
            [message, hex] if [40, 64].contains(&hex.len()) => {
                let byte = |at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
                let raw: Option<Vec<u8>> = (0..hex.len()).step_by(2).map(byte).collect();
                return Some(made(Maker::Rails, message, raw?, readable(unbase64(message))));
            }
            [_, iv, tag] if unbase64(iv)?.len() == 12 && unbase64(tag)?.len() == 16 => {
                return Some(made(Maker::RailsEncrypted, &text, Vec::new(), None));
            }
            _ => {}
        }
        let is_signature = |raw: &Vec<u8>| [SHA1_BYTES, SHA256_BYTES].contains(&raw.len());
        if let [data, time, signature] = text.split(':').collect::<Vec<_>>().as_slice()
            && (5..=7).contains(&time.len())
        {
            let raw = unb64(signature).filter(is_signature)?;
            let message = format!("{data}:{time}");
            return Some(made(Maker::Django, &message, raw, readable(unbase64(data))));
        }
        let (message, signature) = text.rsplit_once('.')?;
        let (data, time) = message.rsplit_once('.')?;
        let raw = unb64(signature).filter(is_signature)?;
        unb64(time).filter(|bytes| (3..=6).contains(&bytes.len()))?;
        Some(made(Maker::Itsdangerous, message, raw, readable(unbase64(data))))
    }

    fn algorithm(&self) -> Algorithm {
        let is_short = self.signature.len() == SHA1_BYTES;
        if is_short { HMAC_SHA1_FOR_LEGACY_USE_ONLY } else { HMAC_SHA256 }
    }

    /// What is signed by a secret, and the keys that may come of it.
    fn keys(&self, secret: &[u8]) -> Vec<Vec<u8>> {
        let sha1 = &digest::SHA1_FOR_LEGACY_USE_ONLY;
        let hashed = |algorithm, salt: &str| {
            digest::digest(algorithm, &[salt.as_bytes(), secret].concat()).as_ref().to_vec()
        };
        match self.maker {
            Maker::Itsdangerous => vec![
                mac(HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret, b"cookie-session"),
                hashed(sha1, "itsdangerous.Signersigner"),
                hashed(sha1, "itsdangeroussigner"),
            ],
            Maker::Django => {
                ["django.contrib.sessions.backends.signed_cookies", "django.core.signing"]
                    .into_iter()
                    .flat_map(|salt| {
                        let salt = format!("{salt}signer");
                        [hashed(&digest::SHA256, &salt), hashed(sha1, &salt)]
                    })
                    .collect()
            }
            Maker::Rails => [pbkdf2::PBKDF2_HMAC_SHA256, pbkdf2::PBKDF2_HMAC_SHA1]
                .into_iter()
                .map(|by| {
                    let mut key = vec![0; RAILS_BYTES];
                    pbkdf2::derive(by, RAILS_ROUNDS, b"signed cookie", secret, &mut key);
                    key
                })
                .collect(),
            Maker::Express | Maker::CookieSession => vec![secret.to_vec()],
            Maker::RailsEncrypted => Vec::new(),
        }
    }

    fn signed(&self, key: &[u8], message: &str) -> Vec<u8> {
        let message = match self.maker {
            Maker::CookieSession => format!("{}={message}", self.name),
            _ => message.into(),
        };
        mac(self.algorithm(), key, message.as_bytes())
    }

    /// The key that comes of this secret, if it signed the cookie.
    pub(super) fn key(&self, secret: &[u8]) -> Option<Vec<u8>> {
        let is_it = |key: &Vec<u8>| self.signed(key, &self.message) == self.signature;
        self.keys(secret).into_iter().find(is_it)
    }

    /// The same cookie for B, under this key; `None` if it does not name A.
    pub(super) fn renamed(&self, key: &[u8], a: &Person, b: &Person) -> Option<Made> {
        let says = swapped(self.says.as_deref()?, a, b)?;
        let (data, behind) = match self.maker {
            Maker::Itsdangerous => self.message.rsplit_once('.')?,
            Maker::Django => self.message.rsplit_once(':')?,
            _ => (self.message.as_str(), ""),
        };
        let is_padded = data.ends_with('=');
        let data = match self.maker {
            Maker::Express => says,
            Maker::Rails | Maker::CookieSession => STANDARD.encode(says),
            _ if is_padded => STANDARD.encode(says),
            _ => URL_SAFE_NO_PAD.encode(says),
        };
        let message = match self.maker {
            Maker::Itsdangerous => format!("{data}.{behind}"),
            Maker::Django => format!("{data}:{behind}"),
            _ => data,
        };
        let raw = self.signed(key, &message);
        let made = match self.maker {
            Maker::Itsdangerous => format!("{message}.{}", URL_SAFE_NO_PAD.encode(raw)),
            Maker::Django => format!("{message}:{}", URL_SAFE_NO_PAD.encode(raw)),
            Maker::Express => format!("s:{message}.{}", STANDARD_NO_PAD.encode(raw)),
            Maker::CookieSession => return Some((message, Some(URL_SAFE_NO_PAD.encode(raw)))),
            Maker::Rails | Maker::RailsEncrypted => {
                let hex: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
                format!("{message}--{hex}")
            }
        };
        Some((if self.is_encoded { percent_encoded(&made) } else { made }, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The maker, the secret, the cookie, and its signature if in a second one; made by Flask 3.1.3
    /// (itsdangerous 2.2.0), Django 5.2, ActiveSupport 6.1.7, cookie-signature 1.2.2 and
    /// keygrip 1.1.0.
    const COOKIES: [(Maker, &str, &str, Option<&str>); 5] = [
        (
            Maker::Itsdangerous,
            "dev",
            "eyJ1c2VyIjoidXNlci0wIiwidGhlbWUiOiJkYXJrIn0.awqwFg.JWfh9rsYSWHasSEMPJbKOp3DmD4",
            None,
        ),
        (
            Maker::Django,
            "change-me",
            "eyJ1c2VyIjoidXNlci0wIn0:1xXFtz:PFG8Z2UqD4vrmZOXOwSdzLjE6-fvbNQuYR8o2VjP4h0",
            None,
        ),
        (
            Maker::Rails,
            "secret",
            "eyJ1c2VyIjoidXNlci0wIn0%3D--d9f9b21859bc25c2c7d5ee790bf7ec7ba6ea73fe",
            None,
        ),
        (
            Maker::Express,
            "keyboard cat",
            "s%3Auser-0.L94HcWDZiQjLcisIBYBHCcsXfgKPlpUWMsfpnG1WKNQ",
            None,
        ),
        (
            Maker::CookieSession,
            "keyboard cat",
            "eyJ1c2VyIjoidXNlci0wIn0=",
            Some("sZiAEPlxZR2m-pdAGF7LMM-mFy4"),
        ),
    ];

    fn person(number: u64) -> Person {
        Person { name: format!("user-{number}"), number: number.to_string() }
    }

    #[test]
    fn the_cookies_of_frameworks_are_known_and_made() {
        for (maker, secret, cookie, second) in COOKIES {
            let signed = Signed::read("session", cookie, second).unwrap();
            assert_eq!(signed.maker, maker);
            assert!(signed.says.as_ref().is_some_and(|says| says.contains("user-0")), "{maker:?}");
            assert!(signed.key(b"another").is_none(), "{maker:?}");
            let key = signed.key(secret.as_bytes()).unwrap_or_else(|| panic!("{maker:?}"));
            let (made, signature) = signed.renamed(&key, &person(0), &person(1)).unwrap();
            let again = Signed::read("session", &made, signature.as_deref()).unwrap();
            assert!(again.key(secret.as_bytes()).is_some(), "{maker:?}: {made}");
            assert!(again.says.unwrap().contains("user-1"), "{maker:?}");
        }
    }

    #[test]
    fn other_credentials_are_none_of_them() {
        for text in ["", "a.b.c", "eyJhbGciOiJIUzI1NiJ9.e30.AAAA", "1001", "a:b:c", "a--b", "s:x"] {
            assert!(Signed::read("session", text, None).is_none(), "{text}");
        }
        let sealed = "YQ%3D%3D--AAAAAAAAAAAAAAAA--AAAAAAAAAAAAAAAAAAAAAA%3D%3D";
        let sealed = Signed::read("_app_session", sealed, None).unwrap();
        assert_eq!((sealed.maker, sealed.says), (Maker::RailsEncrypted, None));
    }
}
