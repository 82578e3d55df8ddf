//! Lowers the refresh of a target: its request, and what the answer to it gives.

use contract::{CredentialSource, REFRESH_TOKEN, Refresh};

use super::Request;
use super::capture::{Before, Capture, Extract};
use super::lowering::{Lowering, cookie_name};
use super::template::Held;

/// The request for the next credential. Its answer replaces the credential and, if it has another
/// one, the token for the next time; cookies change as after any answer.
pub(super) fn request(at: Lowering<'_>, refresh: &Refresh) -> Result<Request, String> {
    let mut known = at.known.clone();
    let Some(token) = known.refresh else { return Err("the login gives no token for it".into()) };
    if at.captured.contains(&REFRESH_TOKEN) {
        return Err(format!(
            "expected no step of the login to capture a value `{REFRESH_TOKEN}`, which `token` \
             names; rename it"
        ));
    }
    if let CredentialSource::Cookie(name) = &refresh.token
        && known.jar.is_none()
        && known.cookie(name).is_none()
    {
        known.cookies.push((cookie_name(name)?, token));
    }
    known.values.push((REFRESH_TOKEN.into(), token));
    let renewed = |(index, capture): (usize, &Capture)| {
        // There are no more fields than that: see `Fields::add`.
        let field = u8::try_from(index).unwrap_or(u8::MAX);
        let source = match &capture.source {
            Some(source) if field == 0 || token == Held::Field(field) => Some(source.clone()),
            Some(cookie @ (Extract::Cookie(_) | Extract::Jar(_))) => Some(cookie.clone()),
            _ => None,
        };
        // An answer without a new credential is no refresh.
        let before = if field == 0 { Before::Nothing } else { Before::Field(field) };
        Capture { source, before }
    };
    let captures = known.fields.iter().enumerate().map(renewed).collect();
    let names: Vec<&str> = at.captured.iter().copied().chain([REFRESH_TOKEN]).collect();
    Lowering { target: at.target, known: &known, captured: &names }.refresh(refresh, captures)
}
