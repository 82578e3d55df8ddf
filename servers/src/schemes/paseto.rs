//! PASETO version 4, whichever purpose: the claims, the footer and the checks.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pasetors::token::TrustedToken;
use serde::{Deserialize, Serialize};

use super::bearer::Tokens;
use super::claims::{AUDIENCE, ISSUER, Profile, Verified, random_token_id, user};
use super::keys::{KeyId, Ring};
use super::scheme::{Reason, Rejection, SchemeOptions, Token};
use crate::cart::Cart;
use crate::error::ServeError;
use crate::json;
use crate::users::{Name, Role, User};

/// A key of one purpose, prepared once.
///
/// pasetors makes and opens the tokens. Its own validation of claims is not used: it asks the
/// system for the time and lets unknown claims pass; the rules here are those of every other token
/// arm. Times are RFC 3339 texts, as the specification has them, in the one form that we write. The
/// footer names the key, and a token whose footer is not, byte for byte, that of one of our keys is
/// refused before any cryptography. There is no implicit assertion.
pub trait Key: Send + Sync + Sized + 'static {
    /// What every token of this purpose begins with.
    const HEADER: &'static str;

    /// Reads a key file, and says what the key is called.
    ///
    /// # Errors
    /// Where it is weak or none of this kind.
    fn read(key: &[u8]) -> Result<(KeyId, Self), ServeError>;

    /// A token of these claims.
    fn make(&self, claims: &[u8], footer: &[u8]) -> Option<String>;

    /// The content of a token with this footer and this implicit assertion.
    ///
    /// # Errors
    /// [`Reason::Shape`], [`Reason::Key`] for another footer, [`Reason::Signature`].
    fn open(&self, token: &str, footer: &[u8], implicit: &[u8]) -> Result<TrustedToken, Reason>;
}

/// The claims of a token, all of them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims<'a> {
    #[serde(borrow)]
    iss: Cow<'a, str>,
    #[serde(borrow)]
    aud: Cow<'a, str>,
    #[serde(borrow)]
    sub: Cow<'a, str>,
    #[serde(borrow)]
    jti: Cow<'a, str>,
    #[serde(borrow)]
    iat: Cow<'a, str>,
    #[serde(borrow)]
    nbf: Cow<'a, str>,
    #[serde(borrow)]
    exp: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow, default)]
    cart: Vec<Cow<'a, str>>,
}

/// The same claims as we write them.
#[derive(Serialize)]
struct NewClaims<'a> {
    iss: &'static str,
    aud: &'static str,
    sub: &'a str,
    jti: &'a str,
    iat: &'a str,
    nbf: &'a str,
    exp: &'a str,
    name: Name,
    role: Role,
    #[serde(skip_serializing_if = "Cart::is_empty")]
    cart: &'a Cart,
}

struct Named<K> {
    footer: String,
    /// A dot and the encoded footer.
    ending: String,
    key: K,
}

/// A scheme of PASETO tokens.
pub struct Pasetos<K> {
    keys: Ring<Named<K>>,
    profile: Profile,
}

impl<K: Key> Pasetos<K> {
    /// The scheme with the keys that the options give.
    ///
    /// # Errors
    /// Where a key is weak or none of this kind, or none could be made.
    pub fn open(
        options: &SchemeOptions,
        generate: fn() -> Result<Vec<u8>, ServeError>,
    ) -> Result<Self, ServeError> {
        let prepare = |key: &[u8]| {
            let (id, key) = K::read(key)?;
            let footer = format!(r#"{{"kid":"{id}"}}"#);
            let ending = format!(".{}", URL_SAFE_NO_PAD.encode(&footer));
            Ok(Named { footer, ending, key })
        };
        let keys = Ring::prepare(options, generate, prepare)?;
        Ok(Self { keys, profile: Profile::new(options) })
    }

    fn check(&self, token: &[u8]) -> Result<Verified, Reason> {
        if !token.starts_with(K::HEADER.as_bytes()) {
            return Err(Reason::Type);
        }
        let named = self.keys.find(|key| token.ends_with(key.ending.as_bytes()));
        let named = named.ok_or(Reason::Key)?;
        let text = str::from_utf8(token).map_err(|_| Reason::Shape)?;
        let opened = named.key.open(text, named.footer.as_bytes(), &[])?;
        self.read(opened.payload().as_bytes())
    }

    fn read(&self, text: &[u8]) -> Result<Verified, Reason> {
        let claims: Claims<'_> = json::object(text).ok_or(Reason::Claims)?;
        if claims.iss != ISSUER {
            return Err(Reason::Issuer);
        }
        if claims.aud != AUDIENCE {
            return Err(Reason::Audience);
        }
        let time = |text: &str| parse_time(text).ok_or(Reason::Claims);
        let (issued, expires) = (time(&claims.iat)?, time(&claims.exp)?);
        let begins = time(&claims.nbf)?.max(issued);
        self.profile.check_life(issued, expires)?;
        self.profile.check_time(begins, expires)?;
        let user = user(&claims.sub, &claims.name, &claims.role)?;
        let id = claims.jti.as_bytes().try_into().map_err(|_| Reason::Claims)?;
        let cart = Cart::of(claims.cart.iter().map(|item| &**item)).map_err(|_| Reason::Claims)?;
        Ok(Verified { user, cart, id, begins, expires })
    }
}

impl<K: Key> Tokens for Pasetos<K> {
    fn sign(&self, user: User, cart: &Cart, expires: Option<u64>) -> Result<Token, Rejection> {
        let life = self.profile.life(expires);
        let (now, exp) = (format_time(life.now), format_time(life.expires));
        let id = random_token_id()?;
        let claims = NewClaims {
            iss: ISSUER,
            aud: AUDIENCE,
            sub: &user.id.to_string(),
            jti: str::from_utf8(&id).map_err(|_| Rejection::Issue)?,
            iat: &now,
            nbf: &now,
            exp: &exp,
            name: user.name,
            role: user.role,
            cart,
        };
        let claims = serde_json::to_vec(&claims).map_err(|_| Rejection::Issue)?;
        let named = self.keys.current();
        let token = named.key.make(&claims, named.footer.as_bytes()).ok_or(Rejection::Issue)?;
        Ok(Token::access(token, life.left()))
    }

    fn verify(&self, token: &[u8]) -> Result<Verified, Rejection> {
        self.check(token).map_err(Rejection::Invalid)
    }

    fn notes(&self) -> Vec<String> {
        vec![format!(
            "Tokens begin with `{}` and cannot be revoked; the leeway for clocks is {} s.",
            K::HEADER,
            self.profile.leeway.as_secs_f64()
        )]
    }
}

/// `2033-05-18T03:33:20Z`, the one form of a moment that we write and read. Days are counted as in
/// Howard Hinnant's "chrono-compatible low-level date algorithms": years begin in March.
fn format_time(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Reads what [`format_time`] writes, for a moment since 1970, and nothing else.
fn parse_time(text: &str) -> Option<u64> {
    let bytes: &[u8; 20] = text.as_bytes().try_into().ok()?;
    let number = |from: usize, to: usize| {
        bytes[from..to].iter().try_fold(0, |n: u64, digit| {
            digit.is_ascii_digit().then(|| n * 10 + u64::from(digit - b'0'))
        })
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if year < 1970 || !(1..=12).contains(&month) {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year / 400, year % 400);
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100;
    let days = (days + (153 * month + 2) / 5 + day).checked_sub(719_469)?;
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second;
    // Whatever is out of range, or has other marks between the digits, is written otherwise.
    (format_time(seconds) == text).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_one_text() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_000_000_000, "2001-09-09T01:46:40Z"),
            (2_000_000_000, "2033-05-18T03:33:20Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(format_time(seconds), text);
            assert_eq!(parse_time(text), Some(seconds), "{text}");
        }
        for n in 0..40_000 {
            let seconds = n * 86_399;
            assert_eq!(parse_time(&format_time(seconds)), Some(seconds));
        }
        for text in [
            "",
            "2033-05-18T03:33:20",
            "2033-05-18T03:33:20z",
            "2033-05-18 03:33:20Z",
            "2033-05-18T03:33:20+00:00",
            "2033-05-18T03:33:60Z",
            "2033-05-18T24:00:00Z",
            "2033-02-29T00:00:00Z",
            "2033-13-01T00:00:00Z",
            "2033-00-01T00:00:00Z",
            "2033-05-00T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "+033-05-18T03:33:20Z",
        ] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }
}
