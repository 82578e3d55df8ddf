//! Where credentials stand in a request, the bearer header and the session cookie, and how that
//! cookie is set.

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderValue};

use super::scheme::{CookieSecurity, Reason, Rejection};

/// Name of the session cookie where it is `Secure`.
pub const COOKIE_SECURE: &str = "__Host-session";
/// Name of the session cookie where it is not.
pub const COOKIE_INSECURE: &str = "session";

const BEARER: &[u8] = b"bearer ";

/// The session cookie as it is set and removed. It has no `Max-Age`: the server decides when it is
/// over.
///
/// Both are found without allocating. The rule for two of them is one for all schemes: more than
/// one `Authorization`, more than one session cookie, or one of each, is a 400, because whichever
/// we chose an attacker could have planted. Nothing is ever taken from a query string or a body.
#[derive(Clone, Copy, Debug)]
pub(super) struct SessionCookie {
    pub(super) name: &'static str,
    attributes: &'static str,
    /// The header that removes it, which has the same attributes.
    removal: &'static str,
}

impl SessionCookie {
    pub(super) const fn new(security: CookieSecurity) -> Self {
        match security {
            CookieSecurity::Secure => Self {
                name: COOKIE_SECURE,
                attributes: "; Path=/; Secure; HttpOnly; SameSite=Lax",
                removal: "__Host-session=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0",
            },
            CookieSecurity::Insecure => Self {
                name: COOKIE_INSECURE,
                attributes: "; Path=/; HttpOnly; SameSite=Lax",
                removal: "session=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0",
            },
        }
    }

    /// Bytes of the header's value in addition to those of the cookie's.
    pub(super) const fn overhead(self) -> usize {
        self.name.len() + 1 + self.attributes.len()
    }

    /// The header that sets it to what `write` appends, `length` characters.
    pub(super) fn set(
        self,
        length: usize,
        write: impl FnOnce(&mut String),
    ) -> Result<HeaderValue, Rejection> {
        let mut text = String::with_capacity(self.overhead() + length);
        text.push_str(self.name);
        text.push('=');
        write(&mut text);
        text.push_str(self.attributes);
        HeaderValue::try_from(text).map_err(|_| Rejection::Issue)
    }

    /// The header that removes it.
    pub(super) const fn remove(self) -> HeaderValue {
        HeaderValue::from_static(self.removal)
    }

    /// What a reader of figures should know of it.
    pub(super) fn note(self) -> Option<String> {
        (self.name == COOKIE_INSECURE).then(|| {
            "The cookie is not Secure and so not named `__Host-`: for plain HTTP only.".into()
        })
    }
}

/// The token of the one `Authorization: Bearer` header.
pub(super) fn bearer(headers: &HeaderMap) -> Result<&[u8], Rejection> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Err(Rejection::Missing) };
    if values.next().is_some() || has_session_cookie(headers) {
        return Err(Rejection::Ambiguous);
    }
    match value.as_bytes().split_at_checked(BEARER.len()) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(BEARER) => Ok(token),
        _ => Err(Rejection::Invalid(Reason::Scheme)),
    }
}

/// The value of the one cookie of this name.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a [u8], Rejection> {
    let mut found = None;
    for (key, value) in cookies(headers) {
        if key == name.as_bytes() && found.replace(value).is_some() {
            return Err(Rejection::Ambiguous);
        }
    }
    let value = found.ok_or(Rejection::Missing)?;
    if headers.contains_key(AUTHORIZATION) {
        return Err(Rejection::Ambiguous);
    }
    Ok(value)
}

fn has_session_cookie(headers: &HeaderMap) -> bool {
    cookies(headers)
        .any(|(key, _)| key == COOKIE_SECURE.as_bytes() || key == COOKIE_INSECURE.as_bytes())
}

/// Names and values of all `Cookie` headers; a piece without `=` is nobody's cookie.
fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    headers.get_all(COOKIE).iter().flat_map(|header| {
        header.as_bytes().split(|&byte| byte == b';').filter_map(|piece| {
            let piece = piece.trim_ascii();
            let equals = piece.iter().position(|&byte| byte == b'=')?;
            Some((&piece[..equals], &piece[equals + 1..]))
        })
    })
}
