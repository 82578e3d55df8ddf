//! Logging users in at the server under attack.

use servers::contract::{CredentialCarrier, Target};

use super::request::{Added, written};
use super::wire::{Reply, Silence, Wire};
use crate::error::{Error, Result};
use crate::journey::{Mismatch, Script, Who, field};

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

/// Logs a user in, with these additions.
pub(super) fn log_in(
    script: &Script,
    wire: &mut Wire,
    target: &Target,
    user: u64,
    more: Added<'_>,
) -> Result<Login> {
    let fail = |found: String| {
        Error::Target(format!(
            "the login of user {user} at `{}` failed: found {found}; check that the server runs at \
             {}, and that login and user patterns are right",
            target.name, target.base_url
        ))
    };
    let tried = attempt(script, wire, user, more).map_err(|why| fail(why.to_string()))?;
    let Tried { reply, held, began } = tried;
    let held = held.map_err(|wrong| match wrong {
        Mismatch::Status(status) => {
            let said = script.said(user, &reply.body);
            let why = if said.is_empty() { said } else { format!(", which says: {said}") };
            fail(format!("status {status}{why}"))
        }
        Mismatch::Redirect(_) => fail("a redirect that is not followed".into()),
        _ => fail("no credential where the target file says".into()),
    })?;
    let before = match target.login.as_ref().map(|login| &login.send) {
        // What fetching the CSRF token began, an attacker could plant.
        Some(CredentialCarrier::Cookie(name)) => {
            script.csrf.and_then(|csrf| script.cookie(csrf, &began, name)).map(<[u8]>::to_vec)
        }
        _ => None,
    };
    Ok(Login { user, held, reply, before })
}

/// A login that was tried.
pub(super) struct Tried {
    /// The last answer.
    pub(super) reply: Reply,
    /// What is held of the user, or how that answer is wrong.
    held: std::result::Result<Vec<u8>, Mismatch>,
    /// What was held before the last request.
    began: Vec<u8>,
}

/// Makes the requests of a login, the last one with these additions.
pub(super) fn attempt(
    script: &Script,
    wire: &mut Wire,
    user: u64,
    more: Added<'_>,
) -> std::result::Result<Tried, Silence> {
    let Some(login) = script.login else { return Err(Silence::Malformed) };
    let (mut at, mut hops, mut held) = (script.logins.start, 0, Vec::new());
    loop {
        let who = Who { n: user, credential: &held };
        let more = if at == login { more } else { Added::default() };
        let request = written(script, at, who, more);
        let reply = wire.ask(&request)?;
        let onward = reply.with(|answer| script.onward(at, hops, who, answer));
        let began = std::mem::take(&mut held);
        match onward {
            Ok(onward) => match onward.next {
                Some(next) => (held, hops, at) = (onward.held, onward.hops, next),
                None => return Ok(Tried { reply, held: Ok(onward.held), began }),
            },
            Err(_) if at < login => return Err(Silence::Malformed),
            Err(wrong) => return Ok(Tried { reply, held: Err(wrong), began }),
        }
    }
}
