//! The handlers, written once for every scheme: each hands the request's headers to the scheme,
//! does its work ([`super::Work`]) once the user is let in, and turns what comes back into an
//! answer. None decides anything about credentials, and none knows which scheme it serves.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::origin::is_cross_origin;
use super::shell::Shell;
use super::{answer, body};
use crate::schemes::{Rejection, Scheme};

type Shared<S> = State<Arc<Shell<S>>>;

#[derive(Deserialize)]
struct LoginBody {
    username: String,
    password: String,
}

#[derive(Deserialize)]
struct ItemBody {
    item: String,
}

#[derive(Deserialize)]
struct RefreshBody {
    refresh_token: String,
}

/// The refusal of a change that another site had a browser ask for, where the credential is in a
/// cookie. No other credential is sent unless a script of ours sends it.
fn foreign<S: Scheme>(headers: &HeaderMap) -> Option<Response> {
    (S::IN_COOKIE && is_cross_origin(headers))
        .then(|| answer::error(StatusCode::FORBIDDEN, "cross_origin"))
}

pub(super) async fn login<S: Scheme>(State(shell): Shared<S>, request: Request) -> Response {
    let (parts, sent) = request.into_parts();
    // Before a login too, which carries no cookie yet: another site could log its visitor in as
    // somebody else.
    if let Some(refusal) = foreign::<S>(&parts.headers) {
        return refusal;
    }
    let login: LoginBody = match body::read(&parts.headers, sent).await {
        Ok(login) => login,
        Err(refusal) => return refusal,
    };
    let user = match shell.users.check(&login.username, &login.password).await {
        Ok(Some(user)) => user,
        Ok(None) => return answer::wrong_password(S::CHALLENGE),
        Err(_) => return answer::unavailable(),
    };
    match shell.scheme.issue(user, &parts.headers).await {
        Ok(issued) => answer::issued(&user, issued),
        Err(rejection) => answer::rejection(&rejection, &shell.scheme),
    }
}

pub(super) async fn me<S: Scheme>(State(shell): Shared<S>, request: Request) -> Response {
    match shell.scheme.authenticate(request.headers()).await {
        Ok(user) => {
            shell.work().await;
            answer::user(&user)
        }
        Err(rejection) => answer::rejection(&rejection, &shell.scheme),
    }
}

pub(super) async fn cart<S: Scheme>(State(shell): Shared<S>, request: Request) -> Response {
    match shell.scheme.cart(request.headers()).await {
        Ok(cart) => {
            shell.work().await;
            answer::cart(&cart, None)
        }
        Err(rejection) => answer::rejection(&rejection, &shell.scheme),
    }
}

pub(super) async fn add_to_cart<S: Scheme>(State(shell): Shared<S>, request: Request) -> Response {
    let (parts, sent) = request.into_parts();
    if let Some(refusal) = foreign::<S>(&parts.headers) {
        return refusal;
    }
    let add: ItemBody = match body::read(&parts.headers, sent).await {
        Ok(add) => add,
        Err(refusal) => return refusal,
    };
    match shell.scheme.add_to_cart(&parts.headers, &add.item).await {
        Ok(done) => {
            shell.work().await;
            answer::cart(&done.cart, done.reissued.as_ref())
        }
        Err(rejection) => answer::rejection(&rejection, &shell.scheme),
    }
}

pub(super) async fn refresh<S: Scheme>(State(shell): Shared<S>, request: Request) -> Response {
    // Before the body is read: this scheme refuses every refresh.
    if !S::REFRESHES {
        return answer::rejection(&Rejection::NotSupported, &shell.scheme);
    }
    let (parts, sent) = request.into_parts();
    let refresh: RefreshBody = match body::read(&parts.headers, sent).await {
        Ok(refresh) => refresh,
        Err(refusal) => return refusal,
    };
    match shell.scheme.refresh(&refresh.refresh_token).await {
        Ok(token) => answer::token(&token),
        Err(rejection) => answer::rejection(&rejection, &shell.scheme),
    }
}

pub(super) async fn logout<S: Scheme>(State(shell): Shared<S>, request: Request) -> Response {
    if let Some(refusal) = foreign::<S>(request.headers()) {
        return refusal;
    }
    match shell.scheme.logout(request.headers()).await {
        Ok(done) => {
            shell.work().await;
            answer::revocation(done, &shell.scheme)
        }
        Err(rejection) => answer::rejection(&rejection, &shell.scheme),
    }
}

pub(super) async fn logout_all<S: Scheme>(State(shell): Shared<S>, request: Request) -> Response {
    if let Some(refusal) = foreign::<S>(request.headers()) {
        return refusal;
    }
    match shell.scheme.logout_all(request.headers()).await {
        Ok(done) => {
            shell.work().await;
            answer::revocation(done, &shell.scheme)
        }
        Err(rejection) => answer::rejection(&rejection, &shell.scheme),
    }
}

pub(super) async fn healthz() -> Response {
    answer::json(StatusCode::OK, &serde_json::json!({ "ready": true }))
}

pub(super) async fn not_found() -> Response {
    answer::error(StatusCode::NOT_FOUND, "not_found")
}

pub(super) async fn method_not_allowed() -> Response {
    answer::error(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed")
}
