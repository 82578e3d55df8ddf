//! Signed cookies, as frameworks make them: the user is in the cookie, and can be read there.

use aws_lc_rs::hmac::{self, Algorithm, HMAC_SHA1_FOR_LEGACY_USE_ONLY, HMAC_SHA256};
use aws_lc_rs::{digest, pbkdf2};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::http::{Reply, Request};
use super::modes::Framework;
use super::{Flaw, Kind, Mode, ids};

/// Rounds of PBKDF2, and bytes of its key, in Rails.
const RAILS_ROUNDS: std::num::NonZeroU32 = std::num::NonZeroU32::new(1000).unwrap();
const RAILS_BYTES: usize = 64;
/// When every cookie was signed: nothing here expires.
const SIGNED_AT: u32 = 1_700_000_000;

/// What makes and checks cookies.
pub(super) struct Cookies {
    is_verified: bool,
    framework: Framework,
    secret: String,
}

fn mac(algorithm: Algorithm, key: &[u8], message: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(algorithm, key), message.as_bytes()).as_ref().to_vec()
}

fn percent_encoded(text: &str) -> String {
    text.replace('=', "%3D").replace('+', "%2B").replace('/', "%2F").replace(':', "%3A")
}

fn percent_decoded(text: &str) -> String {
    text.replace("%3D", "=").replace("%2B", "+").replace("%2F", "/").replace("%3A", ":")
}

impl Cookies {
    pub(super) fn new(mode: &Mode) -> Self {
        let framework = match mode.kind {
            Kind::Cookie(framework) => framework,
            _ => Framework::Flask,
        };
        let known = match framework {
            Framework::Flask => "dev",
            Framework::Django => "change-me",
            Framework::Rails => "secret",
            Framework::ExpressValue | Framework::ExpressSession => "keyboard cat",
        };
        let is_known = mode.flaw == Flaw::DefaultKey;
        let secret = if is_known { known.into() } else { ids::hex(ids::random::<32>()) };
        Self { is_verified: mode.flaw != Flaw::Unsigned, framework, secret }
    }

    /// The answer to a login.
    pub(super) fn log_in(&self, user: u64) -> Reply {
        let attributes = "Path=/; HttpOnly; SameSite=Lax; Secure";
        let reply = Reply::new(200, "{}").with("Cache-Control", "no-store");
        let (value, signature) = self.made(user);
        let reply = reply.with("Set-Cookie", format!("session={value}; {attributes}"));
        match signature {
            Some(signature) => {
                reply.with("Set-Cookie", format!("session.sig={signature}; {attributes}"))
            }
            None => reply,
        }
    }

    /// The cookie of this user, and its signature where that is a cookie of its own.
    fn made(&self, user: u64) -> (String, Option<String>) {
        let data = json!({ "user": user, "theme": "a dark one, as at night" }).to_string();
        match self.framework {
            Framework::Flask => {
                let message = [data.into_bytes(), SIGNED_AT.to_be_bytes().to_vec()]
                    .map(|part| URL_SAFE_NO_PAD.encode(part))
                    .join(".");
                (format!("{message}.{}", self.signature(&message)), None)
            }
            Framework::Django => {
                let message = format!("{}:1r31xs", URL_SAFE_NO_PAD.encode(data));
                (format!("{message}:{}", self.signature(&message)), None)
            }
            Framework::Rails => {
                let message = STANDARD.encode(data);
                (percent_encoded(&format!("{message}--{}", self.signature(&message))), None)
            }
            Framework::ExpressValue => {
                let message = format!("user-{user}");
                (percent_encoded(&format!("s:{message}.{}", self.signature(&message))), None)
            }
            Framework::ExpressSession => {
                let message = STANDARD.encode(data);
                let signature = self.signature(&format!("session={message}"));
                (message, Some(signature))
            }
        }
    }

    /// The signature of a message, as the framework writes it.
    fn signature(&self, message: &str) -> String {
        let secret = self.secret.as_bytes();
        let sha1 = HMAC_SHA1_FOR_LEGACY_USE_ONLY;
        match self.framework {
            Framework::Flask => {
                let key = mac(sha1, secret, "cookie-session");
                URL_SAFE_NO_PAD.encode(mac(sha1, &key, message))
            }
            Framework::Django => {
                let salt = b"django.contrib.sessions.backends.signed_cookiessigner";
                let key = digest::digest(&digest::SHA256, &[salt, secret].concat());
                URL_SAFE_NO_PAD.encode(mac(HMAC_SHA256, key.as_ref(), message))
            }
            Framework::Rails => {
                let mut key = [0; RAILS_BYTES];
                let salt = b"signed cookie";
                let by = pbkdf2::PBKDF2_HMAC_SHA256;
                pbkdf2::derive(by, RAILS_ROUNDS, salt, secret, &mut key);
                ids::hex(mac(sha1, &key, message))
            }
            Framework::ExpressValue => STANDARD_NO_PAD.encode(mac(HMAC_SHA256, secret, message)),
            Framework::ExpressSession => URL_SAFE_NO_PAD.encode(mac(sha1, secret, message)),
        }
    }

    fn is_good(&self, message: &str, signature: &str) -> bool {
        !self.is_verified || signature == self.signature(message)
    }

    /// The user of a good cookie.
    pub(super) fn user(&self, request: &Request) -> Option<u64> {
        let cookie = percent_decoded(&request.cookie("session")?);
        let json = |bytes: Option<Vec<u8>>| -> Option<u64> {
            serde_json::from_slice::<Value>(&bytes?).ok()?["user"].as_u64()
        };
        match self.framework {
            Framework::Flask => {
                let (message, signature) = cookie.rsplit_once('.')?;
                let data = message.split('.').next()?;
                self.is_good(message, signature).then(|| json(URL_SAFE_NO_PAD.decode(data).ok()))?
            }
            Framework::Django => {
                let (message, signature) = cookie.rsplit_once(':')?;
                let data = message.split(':').next()?;
                self.is_good(message, signature).then(|| json(URL_SAFE_NO_PAD.decode(data).ok()))?
            }
            Framework::Rails => {
                let (message, signature) = cookie.rsplit_once("--")?;
                self.is_good(message, signature).then(|| json(STANDARD.decode(message).ok()))?
            }
            Framework::ExpressValue => {
                let (message, signature) = cookie.strip_prefix("s:")?.rsplit_once('.')?;
                let user = message.strip_prefix("user-")?.parse().ok()?;
                self.is_good(message, signature).then_some(user)
            }
            Framework::ExpressSession => {
                let signature = request.cookie("session.sig").unwrap_or_default();
                let is_good = self.is_good(&format!("session={cookie}"), &signature);
                is_good.then(|| json(STANDARD.decode(cookie).ok()))?
            }
        }
    }
}
