//! Logging users in at the server under attack.

use servers::contract::{CredentialCarrier, Target};

use super::request::{Field, written};
use super::wire::{Reply, Silence, Wire};
use crate::error::{Error, Result};
use crate::journey::{Extract, Script, Who, field};

/// A user who is logged in.
#[derive(Clone, Debug)]
pub(super) struct Login {
    pub(super) user: u64,
    /// What is held of the user; the credential is its first field.
    held: Vec<u8>,
    /// The answer to the login.
    pub(super) reply: Reply,
    /// The session that the login began with, where fetching its CSRF token began one.
    pub(super) before: Option<Vec<u8>>,
}

impl Login {
    pub(super) fn credential(&self) -> &[u8] {
        field(&self.held, 0)
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(self.credential()).into_owned()
    }

    /// All that is held of the user.
    pub(super) fn held(&self) -> &[u8] {
        &self.held
    }
}

/// Logs a user in, with these further fields.
pub(super) fn log_in(
    script: &Script,
    wire: &mut Wire,
    target: &Target,
    user: u64,
    more: &[Field],
) -> Result<Login> {
    let fail = |found: String| {
        Error::Target(format!(
            "the login of user {user} at `{}` failed: found {found}; check that the server runs at \
             {}, and that login and user patterns are right",
            target.name, target.base_url
        ))
    };
    let (reply, first) = attempt(script, wire, user, more).map_err(|why| fail(why.to_string()))?;
    let at = script.login.unwrap_or_default();
    if reply.status != script.requests[at].expect_status {
        let said = script.said(user, &reply.body);
        let why = if said.is_empty() { said } else { format!(", which says: {said}") };
        return Err(fail(format!("status {}{why}", reply.status)));
    }
    let before = first.unwrap_or_default();
    let held = reply
        .with(|answer| script.capture(at, &before, answer))
        .map_err(|_| fail("no credential where the descriptor says".into()))?;
    let before = match target.login.as_ref().map(|login| &login.send) {
        Some(CredentialCarrier::Cookie(name)) => begun(script, &before, name),
        _ => None,
    };
    Ok(Login { user, held, reply, before })
}

/// Fetches a CSRF token where the login needs one, and logs in; what is held before the login.
pub(super) fn attempt(
    script: &Script,
    wire: &mut Wire,
    user: u64,
    more: &[Field],
) -> std::result::Result<(Reply, Option<Vec<u8>>), Silence> {
    let mut before = None;
    if let Some(csrf) = script.csrf {
        let request = written(script, csrf, Who { n: user, credential: b"" }, &[]);
        let reply = wire.ask(&request)?;
        let held = reply.with(|answer| script.capture(csrf, b"", answer));
        before = Some(held.map_err(|_| Silence::Malformed)?);
    }
    let Some(login) = script.login else { return Err(Silence::Malformed) };
    let credential = before.as_deref().unwrap_or_default();
    let request = written(script, login, Who { n: user, credential }, more);
    Ok((wire.ask(&request)?, before))
}

/// The session that fetching the CSRF token began, which is the one that an attacker could plant.
fn begun(script: &Script, held: &[u8], name: &str) -> Option<Vec<u8>> {
    let captures = &script.requests[script.csrf?].captures;
    let is_cookie = |source: &Extract| matches!(source, Extract::Cookie(cookie) if cookie == name);
    let at = captures.iter().position(|capture| capture.source.as_ref().is_some_and(is_cookie))?;
    Some(field(held, u8::try_from(at).ok()?).to_vec())
}
