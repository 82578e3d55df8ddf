//! `introspection-http`: a bearer token that says nothing; an endpoint is asked about each request.

use super::carrier::PassedOn;
use super::issuer::OpaqueTokens;
use super::scheme::{ArmInfo, Form, SchemeOptions};
use super::session::Sessions;
use crate::error::ServeError;
use crate::stores::ISSUER;
use crate::stores::bounded::Bounded;

/// The arm `introspection-http`.
pub const INFO: ArmInfo = ArmInfo {
    arm: "introspection-http",
    scheme: "introspection-http",
    store: Some(ISSUER),
    summary: "A random bearer token; every request asks an introspection endpoint (RFC 7662) over \
              HTTP what it stands for.",
    authenticates: true,
    stateful: true,
    revokes: true,
    revokes_refresh: false,
    refreshes: false,
    form: Form::Tuned,
    after_restart: "Tokens stay valid with `--store-url http://...`; an issuer that was started \
                    for the run is gone with them.",
};

/// Opens the arm, over the issuer of the URL or one that is started for it.
///
/// This is what a resource server does with an opaque token: the token is passed on to the
/// authorization server, which knows it, and no answer is kept, so that a logout holds at once.
/// `opaque-introspection@redis` asks a store instead, which is the least that asking can cost.
///
/// # Errors
/// See [`OpaqueTokens::open`].
pub async fn open(
    options: &SchemeOptions,
) -> Result<Sessions<Bounded<OpaqueTokens>, PassedOn>, ServeError> {
    let tokens = OpaqueTokens::open(options).await?;
    Ok(Sessions::carried(Bounded::new(tokens, options.patience), options))
}
