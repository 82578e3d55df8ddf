//! No authentication: the floor that every other arm is compared with.

use http::HeaderMap;

use super::scheme::{
    ArmInfo, CartAnswer, Challenge, Credential, Form, Issued, Reason, Rejection, Revoked, Scheme,
    SchemeOptions,
};
use crate::cart::Cart;
use crate::contract::{CredentialCarrier, CredentialSource};
use crate::error::ServeError;
use crate::users::{User, UserId};

/// The arm `none`.
pub const INFO: ArmInfo = ArmInfo {
    arm: "none",
    scheme: "none",
    store: None,
    summary: "No authentication: the server believes who the client says it is.",
    authenticates: false,
    stateful: false,
    revokes: false,
    revokes_refresh: false,
    refreshes: false,
    form: Form::Tuned,
    after_restart: "Nothing changes: there is nothing to lose.",
};

const HEADER: &str = "x-user-id";

/// The scheme.
///
/// The routes, the answers and the work of the shell are the same; the client says who it is in
/// `X-User-Id`, in plain, and is believed. It must never be put before real users: it is here to
/// be subtracted. It keeps nothing, so a cart is echoed and forgotten, and nothing can be revoked.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoAuthentication;

/// Opens the arm.
///
/// # Errors
/// Never.
pub async fn open(_options: &SchemeOptions) -> Result<NoAuthentication, ServeError> {
    Ok(NoAuthentication)
}

fn believe(headers: &HeaderMap) -> Result<User, Rejection> {
    let mut values = headers.get_all(HEADER).iter();
    let value = values.next().ok_or(Rejection::Missing)?;
    if values.next().is_some() {
        return Err(Rejection::Ambiguous);
    }
    let id = UserId::parse(value.as_bytes()).ok_or(Rejection::Invalid(Reason::Shape))?;
    Ok(User::of(id))
}

impl Scheme for NoAuthentication {
    const CHALLENGE: Challenge = Challenge {
        missing: "X-User-Id realm=\"authbench\"",
        invalid: "X-User-Id realm=\"authbench\"",
    };

    fn credential(&self) -> Credential {
        Credential {
            source: CredentialSource::Json("/user_id".into()),
            carrier: CredentialCarrier::Header {
                name: "X-User-Id".into(),
                template: "{credential}".into(),
            },
        }
    }

    fn notes(&self) -> Vec<String> {
        vec!["Nothing is authenticated: this is the floor, not a scheme.".into()]
    }

    async fn issue(&self, _user: User, _headers: &HeaderMap) -> Result<Issued, Rejection> {
        Ok(Issued::Facts)
    }

    async fn authenticate(&self, headers: &HeaderMap) -> Result<User, Rejection> {
        believe(headers)
    }

    async fn cart(&self, headers: &HeaderMap) -> Result<Cart, Rejection> {
        believe(headers)?;
        Ok(Cart::default())
    }

    async fn add_to_cart(&self, headers: &HeaderMap, item: &str) -> Result<CartAnswer, Rejection> {
        believe(headers)?;
        Ok(CartAnswer { cart: Cart::default().with(item)?, reissued: None })
    }

    async fn logout(&self, headers: &HeaderMap) -> Result<Revoked, Rejection> {
        believe(headers)?;
        Ok(Revoked::Nothing)
    }

    async fn logout_all(&self, headers: &HeaderMap) -> Result<Revoked, Rejection> {
        self.logout(headers).await
    }
}
