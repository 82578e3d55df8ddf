//! The answers: every status, body and header that a client can see of a scheme.

use axum::body::Body;
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use crate::cart::{Cart, CartError};
use crate::schemes::{Challenge, Issued, Rejection, Revoked, Scheme, Token};
use crate::users::User;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// A store that comes back is used again at once: no time is worth more than the next try.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

#[derive(Serialize)]
struct Problem {
    error: &'static str,
}

#[derive(Serialize)]
struct TokenBody<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
}

#[derive(Serialize)]
struct CartBody<'a> {
    items: &'a Cart,
    #[serde(flatten)]
    token: Option<TokenBody<'a>>,
}

#[derive(Serialize)]
struct RevocationBody {
    revoked: bool,
    /// `null` if the store does not count them.
    credentials: Option<u64>,
    /// Why not, or what not.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

/// They are made here, for all schemes alike, so that no two arms can differ in what they tell.
/// Each is JSON and says `Cache-Control: no-store`. Every invalid credential gets the same bytes:
/// which check refused it is known inside and must never be told.
pub(super) fn json<T: Serialize>(status: StatusCode, value: &T) -> Response {
    let mut text = Vec::with_capacity(128);
    let (status, body) = match serde_json::to_writer(&mut text, value) {
        Ok(()) => (status, Body::from(text)),
        // Nothing that we answer with can fail to serialise; if it did, half of it would be worse.
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, Body::from(r#"{"error":"internal"}"#)),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    response
}

pub(crate) fn error(status: StatusCode, error: &'static str) -> Response {
    json(status, &Problem { error })
}

pub(super) fn user(user: &User) -> Response {
    json(StatusCode::OK, user)
}

pub(super) fn issued(to: &User, issued: Issued) -> Response {
    match issued {
        Issued::Facts => user(to),
        Issued::Token(token) => self::token(&token),
        Issued::Cookie(cookie) => {
            let mut response = user(to);
            response.headers_mut().insert(SET_COOKIE, cookie);
            response
        }
    }
}

pub(super) fn token(token: &Token) -> Response {
    json(StatusCode::OK, &token_body(token))
}

pub(super) fn cart(items: &Cart, reissued: Option<&Issued>) -> Response {
    let (token, cookie) = match reissued {
        Some(Issued::Token(token)) => (Some(token_body(token)), None),
        Some(Issued::Cookie(cookie)) => (None, Some(cookie)),
        Some(Issued::Facts) | None => (None, None),
    };
    let mut response = json(StatusCode::OK, &CartBody { items, token });
    if let Some(cookie) = cookie {
        response.headers_mut().insert(SET_COOKIE, cookie.clone());
    }
    response
}

pub(super) fn revocation<S: Scheme>(revoked: Revoked, scheme: &S) -> Response {
    let (revoked, credentials, reason) = match revoked {
        Revoked::Nothing => {
            (false, Some(0), Some("this scheme cannot revoke a credential before it expires"))
        }
        Revoked::RefreshSessions(n) => {
            (true, Some(n), Some("refresh tokens only: an access token is good until it expires"))
        }
        Revoked::Counted(n) => (true, Some(n), None),
        Revoked::All => (true, None, None),
    };
    let body = RevocationBody { revoked, credentials, reason };
    removing(json(StatusCode::OK, &body), scheme)
}

/// The same answer, which has the client forget a credential that is in a cookie.
fn removing<S: Scheme>(mut response: Response, scheme: &S) -> Response {
    if let Some(cookie) = scheme.removal() {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

pub(super) fn wrong_password(challenge: Challenge) -> Response {
    challenged("invalid_credentials", challenge.missing)
}

/// The refusal of a request. Where a cookie was shown that is not valid, it is removed, whatever is
/// wrong with it: a removal of some of them would tell which.
pub(super) fn rejection<S: Scheme>(rejection: &Rejection, scheme: &S) -> Response {
    match rejection {
        Rejection::Missing => challenged("unauthorized", S::CHALLENGE.missing),
        Rejection::Invalid(_) => removing(challenged("unauthorized", S::CHALLENGE.invalid), scheme),
        Rejection::Ambiguous => error(StatusCode::BAD_REQUEST, "invalid_request"),
        Rejection::NotSupported => error(StatusCode::NOT_FOUND, "not_supported"),
        Rejection::Cart(CartError::Full) => error(StatusCode::CONFLICT, "cart_full"),
        Rejection::CookieFull { .. } => error(StatusCode::CONFLICT, "cookie_full"),
        Rejection::Cart(CartError::Item) => error(StatusCode::BAD_REQUEST, "invalid_item"),
        Rejection::Store(_) | Rejection::Issue => unavailable(),
    }
}

/// What could not be done now and may be in a second: nothing was let through, nothing given out.
pub(super) fn unavailable() -> Response {
    let mut response = error(StatusCode::SERVICE_UNAVAILABLE, "unavailable");
    response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
    response
}

fn challenged(problem: &'static str, challenge: &'static str) -> Response {
    let mut response = error(StatusCode::UNAUTHORIZED, problem);
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    response
}

fn token_body(token: &Token) -> TokenBody<'_> {
    TokenBody {
        access_token: &token.access_token,
        token_type: "Bearer",
        expires_in: token.expires_in,
        refresh_token: token.refresh_token.as_deref(),
    }
}
