//! What a logout ends, and attempts to outlive it: a replay, another text of the same token, a
//! change that was under way.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::row::{Finding, OR_OWNED, PASSER_BY, Row, knock, no_token, replayed, steps};
use crate::attack::attacker::Attacker;
use crate::attack::ecdsa;
use crate::attack::edit::Edit;
use crate::attack::forge::{Form, Token, make};
use crate::attack::login::Login;
use crate::attack::race::Race;
use crate::attack::text::b64;
use crate::error::Result;
use crate::record::CaseOutcome::{self, Accepted, Failed, Property, Refused};

/// How often a change and a logout are sent at the same moment.
const RACES: usize = 50;

/// What a scheme cannot do by its nature is reported as a property and not as a failure: a token
/// without a list of revoked ones is valid until it expires, and its server says so.
pub(super) fn rows() -> Vec<Row> {
    vec![
        steps("25a", "the same token in another text after its logout", OR_OWNED, |a| {
            another_text(a, spaced)
        }),
        steps("25b", "the other signature of ECDSA after a logout", OR_OWNED, |a| {
            another_text(a, mirrored)
        }),
        steps("38a", "the credential after its logout", OR_OWNED, replay),
        steps("38b", "the user's other login after a logout", "still good", other_login),
        steps(
            "38c",
            "both logins after a logout everywhere",
            "refused, B's still good",
            everywhere,
        ),
        steps("38d", "a change of the cart and a logout at once", OR_OWNED, slow_write),
    ]
}

/// Why the credential of a logout stays good: because the answer to the logout says that it does,
/// or because it carries itself and is a stranger's.
fn owned(attacker: &Attacker<'_>, body: &[u8]) -> Option<String> {
    let stranger = attacker.form != Form::Id && !attacker.ours();
    let carries_itself = stranger.then(|| "it carries itself".to_string());
    let Ok(said) = serde_json::from_slice::<serde_json::Value>(body) else { return carries_itself };
    match (said["revoked"].as_bool(), said["reason"].as_str()) {
        (Some(_), Some(reason)) => Some(reason.into()),
        (Some(false), None) => Some("it revokes nothing".into()),
        (Some(true), None) | (None, _) => carries_itself,
    }
}

/// Logs out with this credential; `Err` is the finding if that failed; `Ok` says why the credential
/// stays valid, if the server declares that it does.
pub(super) fn log_out(
    attacker: &mut Attacker<'_>,
    login: &Login,
) -> std::result::Result<Option<String>, Finding> {
    let reply = match attacker.log_out(login) {
        None => return Err(Finding::not_applicable("the target file has no logout")),
        Some(Err(silence)) => return Err(Finding::new(Failed, silence.to_string())),
        Some(Ok(reply)) => reply,
    };
    if !attacker.logged_out(&reply) {
        return Err(Finding::new(Failed, format!("{} for the logout", reply.status)));
    }
    Ok(owned(attacker, &reply.body))
}

/// A server that says it cannot do this does not fail.
pub(super) fn or_owned(finding: Finding, owned: Option<String>) -> Finding {
    match owned {
        Some(why) if finding.outcome == Accepted => {
            Finding::new(Property, format!("stays good until it expires: {why}"))
        }
        _ => finding,
    }
}

fn replay(attacker: &mut Attacker<'_>) -> Result<Finding> {
    let login = attacker.log_in(PASSER_BY)?;
    let owned = match log_out(attacker, &login) {
        Ok(owned) => owned,
        Err(finding) => return Ok(finding),
    };
    let mut finding = or_owned(replayed(attacker, &login), owned);
    if finding.outcome == Refused {
        // A second logout is a request like any other.
        if let Some(Ok(reply)) = attacker.log_out(&login)
            && attacker.ours()
            && reply.status != 401
        {
            finding = Finding::new(Failed, format!("{} for a second logout", reply.status));
        }
    }
    Ok(finding)
}

/// The other text of a token, or why it has no other.
type OtherText = fn(&Attacker<'_>, &Token) -> std::result::Result<String, String>;

/// Another text of a token evades a list that compares texts.
fn another_text(attacker: &mut Attacker<'_>, other: OtherText) -> Result<Finding> {
    let login = attacker.log_in(PASSER_BY)?;
    let token = Token::read(&login.text(), attacker.form, attacker.key);
    let other = token.ok_or_else(|| no_token(attacker.form)).and_then(|t| other(attacker, &t));
    let other = match other {
        Ok(other) => other,
        Err(why) => return Ok(Finding::not_applicable(why)),
    };
    let before = knock(attacker, other.as_bytes());
    if before.outcome != Accepted {
        return Ok(Finding::new(Refused, format!("{}, before the logout too", before.found)));
    }
    let owned = match log_out(attacker, &login) {
        Ok(owned) => owned,
        Err(finding) => return Ok(finding),
    };
    Ok(or_owned(knock(attacker, other.as_bytes()), owned))
}

/// The same claims with a space before them.
fn spaced(attacker: &Attacker<'_>, token: &Token) -> std::result::Result<String, String> {
    let key = attacker.key.ok_or("needs the server's key")?;
    let claims = [b" ", Edit::None.apply(&token.claims, 0).as_slice()].concat();
    make(attacker.form, key, &Edit::None.apply(&token.header, 0), &claims)
        .ok_or_else(|| "no token of this form can say so".into())
}

/// The same with the other signature that ECDSA has for it, which needs no key.
fn mirrored(_: &Attacker<'_>, token: &Token) -> std::result::Result<String, String> {
    let (message, signature) = token.signed();
    let raw = URL_SAFE_NO_PAD.decode(signature).ok();
    let raw = raw.and_then(|raw| <[u8; 64]>::try_from(raw).ok());
    let raw = raw.filter(|_| token.algorithm() == "ES256");
    let raw = raw.ok_or("its signature is not one of ES256")?;
    Ok(format!("{message}.{}", b64(ecdsa::mirrored(&raw))))
}

/// What a change under way during a logout revives: the credential, or a new one in its answer.
fn slow_write(attacker: &mut Attacker<'_>) -> Result<Finding> {
    let mut race = match Race::new(attacker)? {
        Ok(race) => race,
        Err(why) => return Ok(Finding::not_applicable(why)),
    };
    let (mut won, mut owns) = (0, None);
    for pair in 1..=RACES {
        let login = attacker.log_in(PASSER_BY)?;
        let (wrote, logout) = race.run(&login);
        let (wrote, logout) = match (wrote, logout) {
            (Ok(wrote), Ok(logout)) => (wrote, logout),
            (Err(silence), _) | (_, Err(silence)) => {
                return Ok(Finding::new(Failed, silence.to_string()));
            }
        };
        if !attacker.logged_out(&logout) || wrote.status >= 500 {
            let found = format!("{} for the change, {}", wrote.status, logout.status);
            return Ok(Finding::new(Failed, format!("{found} for the logout (pair {pair})")));
        }
        owns = owned(attacker, &logout.body).or(owns);
        let reissued = race.credential(&login, &wrote);
        won += usize::from(reissued.is_some());
        let old = replayed(attacker, &login);
        let new = reissued.map(|credential| knock(attacker, &credential));
        for mut finding in [Some(old), new].into_iter().flatten() {
            if finding.outcome != Refused {
                finding.found = format!("{} after both (pair {pair})", finding.found);
                return Ok(or_owned(finding, owns));
            }
        }
    }
    Ok(Finding::new(Refused, format!("401 after each of {RACES} pairs; the change won {won}")))
}

fn other_login(attacker: &mut Attacker<'_>) -> Result<Finding> {
    let (one, other) = (attacker.log_in(PASSER_BY)?, attacker.log_in(PASSER_BY)?);
    if let Err(finding) = log_out(attacker, &one) {
        return Ok(finding);
    }
    Ok(match attacker.good(&other) {
        Ok(()) => Finding::new(CaseOutcome::Allowed, "still good"),
        Err(found) if attacker.ours() => Finding::new(Failed, found),
        Err(found) => Finding::new(Property, format!("{found}: one logout ends them all")),
    })
}

fn everywhere(attacker: &mut Attacker<'_>) -> Result<Finding> {
    let (one, other) = (attacker.log_in(PASSER_BY)?, attacker.log_in(PASSER_BY)?);
    let reply = match attacker.log_out_everywhere(&one) {
        None => return Ok(Finding::not_applicable("the target file has no logout_all")),
        Some(Err(silence)) => return Ok(Finding::new(Failed, silence.to_string())),
        Some(Ok(reply)) => reply,
    };
    if !attacker.logged_out(&reply) {
        return Ok(Finding::new(Failed, format!("{} for the logout", reply.status)));
    }
    let mut worst = Finding::new(Refused, "");
    for login in [&one, &other] {
        let finding = replayed(attacker, login);
        if finding.outcome < worst.outcome || worst.found.is_empty() {
            worst = finding;
        }
    }
    let worst = or_owned(worst, owned(attacker, &reply.body));
    if let Err(found) = attacker.good(&attacker.b.clone()) {
        return Ok(Finding::new(Failed, format!("{found} for B, who never logged out")));
    }
    Ok(worst)
}
