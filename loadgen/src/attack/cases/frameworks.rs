//! Cookies that a framework signs, under keys that stand in its tutorials.

use super::row::{Expected, Finding, Row, fire, steps};
use super::secrets::SECRETS;
use super::shots::{Shot, listed};
use crate::attack::attacker::Attacker;
use crate::attack::signed::{Made, Maker, Signed};
use crate::error::Result;
use crate::record::CaseOutcome::{Accepted, Failed, Property, Refused};

pub(super) fn rows() -> Vec<Row> {
    vec![steps("57a", "a framework's cookie under keys of tutorials", "another key", known_key)]
}

/// The key is looked for without asking the server. Where it is found and the cookie names A, one
/// for B is sent.
fn known_key(attacker: &mut Attacker<'_>) -> Result<Finding> {
    let Some(signed) = attacker.signed() else {
        let why = "the credential is no signed cookie of Flask, Django, Rails or Express";
        return Ok(Finding::not_applicable(why));
    };
    if signed.maker == Maker::RailsEncrypted {
        return Ok(Finding::not_applicable("it is encrypted, so its key cannot be tried"));
    }
    let known = SECRETS.iter().find_map(|secret| Some((secret, signed.key(secret.as_bytes())?)));
    let Some((secret, key)) = known else {
        return Ok(Finding::new(Refused, format!("none of {} keys", SECRETS.len())));
    };
    let found = format!("{}, signed with `{secret}`", signed.maker.name());
    let (a, b) = (attacker.person(0), attacker.person(1));
    let Some(made) = signed.renamed(&key, &a, &b) else {
        // With the key an attacker can sign ids, and still has to guess one.
        let is_id = signed.maker == Maker::Express;
        return Ok(Finding::new(if is_id { Property } else { Failed }, found));
    };
    let shots = vec![shot(attacker, &signed, made)];
    let mut finding = match listed(shots) {
        Ok(volley) => fire(attacker, Expected::Refused, volley)?,
        Err(why) => Finding::not_applicable(why),
    };
    finding.found = format!("{}: {found}", finding.found);
    if finding.outcome != Accepted {
        finding.outcome = Failed;
    }
    Ok(finding)
}

/// The step with a cookie that was made, and its signature where that is a cookie too.
fn shot(attacker: &Attacker<'_>, signed: &Signed, (cookie, signature): Made) -> Shot {
    let mut jar = attacker.jar();
    for (name, value) in &mut jar {
        if *name == signed.name {
            value.clone_from(&cookie);
        } else if *name == format!("{}.sig", signed.name)
            && let Some(signature) = &signature
        {
            value.clone_from(signature);
        }
    }
    Shot::Fields(attacker.with_jar(&jar))
}
