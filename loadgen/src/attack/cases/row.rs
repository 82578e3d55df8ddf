//! A row of the suite: what is sent, what a sound server answers, how it is made, and the finding.

use std::collections::BTreeMap;

use super::shots::{Shot, Shots, Volley, listed};
use crate::attack::attacker::Attacker;
use crate::attack::edit::Edit;
use crate::attack::forge::{Form, make};
use crate::attack::login::Login;
use crate::attack::moment::now;
use crate::attack::options::{CUT_SHORT, Standard};
use crate::attack::request::Field;
use crate::attack::wire::{Reply, Silence};
use crate::error::Result;
use crate::record::CaseOutcome;

/// The user whose sessions begin and end; not the one whose credential must outlive every case.
pub(super) const PASSER_BY: u64 = 2;
/// What is expected of something that a scheme may be unable to do by its nature.
pub(super) const OR_OWNED: &str = "refused, or said that it cannot be";

/// A case.
pub(in crate::attack) struct Row {
    /// Number and letter.
    pub(in crate::attack) id: &'static str,
    /// What is sent.
    pub(in crate::attack) what: &'static str,
    pub(in crate::attack) expected: Expected,
    pub(in crate::attack) work: Work,
}

/// What a sound server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::attack) enum Expected {
    /// That the credential is invalid, in the same words for all of them.
    Refused,
    /// The same; a stranger's server may be laxer, which is reported as a property.
    RefusedHere,
    /// That there is no credential.
    Missing,
    /// The same; a stranger's server may look for one there, which is reported as a property.
    MissingHere,
    /// What it answers to A, or a refusal: what is added changes nothing.
    AsA,
    /// That there are two; a stranger's server may choose one.
    Ambiguous,
    /// What it answers to A. It is no attack; a stranger's server may be stricter.
    Allowed,
    /// One of these, before anybody looks at the credential.
    Status(&'static [u16]),
    /// The same; a stranger's server may have other limits.
    Limit(&'static [u16]),
    /// Something else, which the steps themselves judge.
    Words(&'static str),
}

impl Expected {
    pub(in crate::attack) const fn text(self, standard: Standard) -> &'static str {
        match (self, standard) {
            (Self::Words(text), _) => text,
            (Self::AsA, _) => "as for A",
            (
                Self::Refused | Self::RefusedHere | Self::Missing | Self::MissingHere,
                Standard::Ours,
            ) => "401",
            (Self::Ambiguous, Standard::Ours) => "400",
            (Self::Allowed, Standard::Ours) => "200",
            (Self::Status(statuses) | Self::Limit(statuses), Standard::Ours) => match statuses {
                [400] => "400",
                [401, 431] => "401 or 431",
                [400, 401] => "400 or 401",
                [400, 501] => "400 or 501",
                [413] => "413",
                [414, 431] => "414 or 431",
                [431] => "431",
                _ => "4xx",
            },
            (Self::Refused | Self::Missing, Standard::Stranger) => "refused",
            (Self::Status(_), Standard::Stranger) => "refused or closed",
            (Self::Allowed, Standard::Stranger) => "let through",
            _ => "its choice",
        }
    }

    const fn is_free_for_strangers(self) -> bool {
        matches!(
            self,
            Self::RefusedHere
                | Self::MissingHere
                | Self::Ambiguous
                | Self::Allowed
                | Self::Limit(_)
        )
    }

    /// Whether the answer may be for A, and for B, whose credential was sent too.
    const fn may_be_for(self) -> (bool, bool) {
        match self {
            Self::AsA | Self::Allowed | Self::RefusedHere | Self::MissingHere | Self::Limit(_) => {
                (true, false)
            }
            Self::Ambiguous => (true, true),
            _ => (false, false),
        }
    }
}

/// The result of a case.
#[derive(Clone, Debug)]
pub(in crate::attack) struct Finding {
    pub(in crate::attack) outcome: CaseOutcome,
    pub(in crate::attack) found: String,
}

impl Finding {
    pub(in crate::attack) fn new(outcome: CaseOutcome, found: impl Into<String>) -> Self {
        Self { outcome, found: found.into() }
    }

    pub(in crate::attack) fn not_applicable(why: impl Into<String>) -> Self {
        Self::new(CaseOutcome::NotApplicable, why)
    }
}

/// How a case is made.
pub(in crate::attack) enum Work {
    /// The good token with these changes of its header, each under the server's own key.
    Header(&'static [Edit]),
    /// The good token with these changes of its claims, each under the server's own key.
    Claims(&'static [Edit]),
    /// These requests.
    Shots(fn(&Attacker<'_>) -> Shots),
    /// Steps that depend on each other.
    Steps(fn(&mut Attacker<'_>) -> Result<Finding>),
}

impl Work {
    pub(in crate::attack) fn carry_out(
        &self,
        attacker: &mut Attacker<'_>,
        row: &Row,
    ) -> Result<Finding> {
        let shots = match self {
            Self::Steps(steps) => return steps(attacker),
            Self::Shots(make) => make(attacker),
            Self::Header(edits) => edited(attacker, edits, &[]),
            Self::Claims(edits) => edited(attacker, &[], edits),
        };
        Ok(match shots {
            Ok(volley) => fire(attacker, row.expected, volley)?,
            Err(why) => Finding::not_applicable(why),
        })
    }
}

/// A row of steps that depend on each other.
pub(super) fn steps(
    id: &'static str,
    what: &'static str,
    expected: &'static str,
    steps: fn(&mut Attacker<'_>) -> Result<Finding>,
) -> Row {
    Row { id, what, expected: Expected::Words(expected), work: Work::Steps(steps) }
}

/// Whether a credential is accepted, and the finding.
pub(super) fn knock(attacker: &mut Attacker<'_>, credential: &[u8]) -> Finding {
    let fields = attacker.fields(credential);
    let reply = attacker.ask(&fields);
    judge(attacker, Expected::Refused, &reply, false)
}

/// Whether all that a login gave is accepted, and the finding: a session may be in several cookies.
pub(super) fn replayed(attacker: &mut Attacker<'_>, login: &Login) -> Finding {
    let fields = attacker.fields_of(login, login.credential());
    let reply = attacker.ask_as(login.user, &fields);
    judge(attacker, Expected::Refused, &reply, false)
}

/// The good token with one change each, made anew under the server's own key.
pub(super) fn edited(attacker: &Attacker<'_>, headers: &[Edit], claims: &[Edit]) -> Shots {
    let token = attacker.token.as_ref().ok_or_else(|| no_token(attacker.form))?;
    if attacker.form == Form::Paseto && !headers.is_empty() {
        return Err("a PASETO has no header to change".into());
    }
    let key = attacker.key.ok_or("needs the server's key")?;
    if token.claims.is_empty() {
        return Err("needs the server's key".into());
    }
    if !attacker.ours() {
        for edit in claims {
            let Some(name) = edit.claim() else { continue };
            // With the key anybody can be any user.
            if name == "sub" {
                return Err("says nothing under the server's own key: it may name any user".into());
            } else if !token.claims.contains_key(name) {
                return Err(format!("the token has no `{name}`"));
            }
        }
    }
    let (same, now) = (Edit::None, now());
    let pairs = headers.iter().map(|edit| (edit, &same));
    let pairs = pairs.chain(claims.iter().map(|edit| (&same, edit)));
    let shots: Vec<_> = pairs
        .filter_map(|(header, claims)| {
            let header = header.apply(&token.header, now);
            let claims = claims.apply(&token.claims, now);
            make(attacker.form, key, &header, &claims)
        })
        .map(|text| Shot::Credential(text.into_bytes()))
        .collect();
    match shots.as_slice() {
        [] => Err("no token of this form can say so".into()),
        _ => listed(shots),
    }
}

pub(super) fn no_token(form: Form) -> String {
    format!("the credential is {}, not a token", form.name())
}

/// Makes and sends everything, and returns the finding: the first wrong answer, or how many were
/// right.
///
/// # Errors
/// `Interrupted` when a signal comes.
pub(super) fn fire(
    attacker: &mut Attacker<'_>,
    expected: Expected,
    volley: Volley,
) -> Result<Finding> {
    let Volley { mut shots, count, sampled_of } = volley;
    let mut seen: BTreeMap<(CaseOutcome, String), usize> = BTreeMap::new();
    for at in 1..=count {
        attacker.interrupt.check_or(CUT_SHORT)?;
        // Checked before a shot is made: making many takes longer than refusing to send them.
        let mut finding = if attacker.is_time_up() {
            Finding::new(CaseOutcome::Failed, Silence::TimeUp.to_string())
        } else {
            let Some(shot) = shots.next() else { break };
            let reply = send(attacker, &shot);
            judge(attacker, expected, &reply, matches!(shot, Shot::RawLogin(_)))
        };
        if finding.outcome.is_bad() {
            if count > 1 {
                finding.found.push_str(&format!(" ({at} of {count})"));
            }
            return Ok(finding);
        }
        *seen.entry((finding.outcome, finding.found)).or_default() += 1;
    }
    let outcome = [CaseOutcome::Property, CaseOutcome::Allowed]
        .into_iter()
        .find(|outcome| seen.keys().any(|(found, _)| found == outcome))
        .unwrap_or(CaseOutcome::Refused);
    let mut texts: Vec<_> = seen
        .iter()
        .map(|((_, found), times)| match times {
            1 => found.clone(),
            times => format!("{found}, {times} times"),
        })
        .collect();
    if let Some(places) = sampled_of {
        texts.push(format!("a sample of its {places} places"));
    }
    Ok(Finding::new(outcome, texts.join("; ")))
}

fn send(attacker: &mut Attacker<'_>, shot: &Shot) -> std::result::Result<Reply, Silence> {
    match shot {
        Shot::Credential(bytes) => {
            let fields = attacker.fields(bytes);
            attacker.ask(&fields)
        }
        Shot::Fields(fields) => attacker.ask(fields),
        Shot::Whole(bytes) => attacker.send(bytes),
        Shot::Query(query) => {
            let request = attacker.request(query, &attacker.bare());
            attacker.send(&request)
        }
        Shot::Raw(bytes) | Shot::RawLogin(bytes) => {
            attacker.raw(bytes).map(|mut replies| replies.remove(0))
        }
    }
}

/// The finding for one answer.
pub(super) fn judge(
    attacker: &mut Attacker<'_>,
    expected: Expected,
    reply: &std::result::Result<Reply, Silence>,
    login: bool,
) -> Finding {
    let framing = matches!(expected, Expected::Status(_) | Expected::Limit(_));
    let reply = match reply {
        Ok(reply) => reply,
        Err(Silence::Closed) if framing && !attacker.ours() => {
            return Finding::new(CaseOutcome::Refused, "closed");
        }
        Err(silence) => return Finding::new(CaseOutcome::Failed, silence.to_string()),
    };
    let status = reply.status;
    // 501 is a refusal where a transfer coding is unknown (RFC 9112, 6.1).
    let says_so = matches!(expected, Expected::Limit(statuses) if statuses.contains(&status));
    if status >= 500 && !says_so {
        return Finding::new(CaseOutcome::Failed, status.to_string());
    }
    let through = if login {
        attacker.is_login(reply).then(|| "a login".to_string())
    } else {
        attacker.whose(reply).map(|who| format!("as `{who}`"))
    };
    let free = expected.is_free_for_strangers() && !attacker.ours();
    let (for_a, for_b) = expected.may_be_for();
    let is_own = for_a && attacker.is_for_a(reply) || for_b && attacker.is_for_b(reply);
    match through {
        Some(_)
            if matches!(expected, Expected::Allowed | Expected::AsA)
                && attacker.is_for_a(reply) =>
        {
            Finding::new(CaseOutcome::Allowed, status.to_string())
        }
        // An answer for anyone else is an account that the attacker got into.
        Some(who) if !login && !is_own => {
            Finding::new(CaseOutcome::Accepted, format!("{status} {who}"))
        }
        Some(who) if free => Finding::new(CaseOutcome::Property, format!("{status} {who}")),
        Some(who) => Finding::new(CaseOutcome::Accepted, format!("{status} {who}")),
        None if free && expected == Expected::Allowed => {
            Finding::new(CaseOutcome::Property, status.to_string())
        }
        None if expected == Expected::AsA => Finding::new(CaseOutcome::Refused, status.to_string()),
        None if attacker.ours() => exactly(attacker, expected, reply),
        None if (400..500).contains(&status) || says_so || status == attacker.anonymous.status => {
            Finding::new(CaseOutcome::Refused, status.to_string())
        }
        None if free => Finding::new(CaseOutcome::Property, status.to_string()),
        None => Finding::new(CaseOutcome::Failed, format!("{status}, which refuses nothing")),
    }
}

/// Whether an arm of ours refuses as it promises.
fn exactly(attacker: &mut Attacker<'_>, expected: Expected, reply: &Reply) -> Finding {
    let status = reply.status;
    let right = match expected {
        Expected::Refused | Expected::RefusedHere | Expected::Missing | Expected::MissingHere => {
            status == 401
        }
        Expected::Ambiguous => status == 400,
        Expected::Status(statuses) | Expected::Limit(statuses) => statuses.contains(&status),
        Expected::Allowed | Expected::AsA | Expected::Words(_) => false,
    };
    if !right {
        return Finding::new(CaseOutcome::Failed, status.to_string());
    }
    let model = match expected {
        Expected::Refused | Expected::RefusedHere => {
            let first = attacker.refusal.get_or_insert_with(|| reply.clone());
            Some(&*first)
        }
        Expected::Missing | Expected::MissingHere => Some(&attacker.anonymous),
        _ => None,
    };
    match model {
        Some(model) if !same_words(model, reply) => Finding::new(
            CaseOutcome::Failed,
            format!("{status}, in other words than other refusals: they can be told apart"),
        ),
        _ => Finding::new(CaseOutcome::Refused, status.to_string()),
    }
}

/// Whether two answers are the same except for their time.
pub(super) fn same_words(one: &Reply, other: &Reply) -> bool {
    let said = |reply: &Reply| {
        let mut fields: Vec<Field> = reply
            .headers
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
            .filter(|(name, _)| !["date", "connection", "keep-alive"].contains(&name.as_str()))
            .collect();
        fields.sort();
        fields
    };
    one.status == other.status && one.body == other.body && said(one) == said(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_differs_but_in_its_date_says_the_same() {
        let reply = |date: &str, body: &str| Reply {
            status: 401,
            headers: vec![("Date".into(), date.into()), ("X".into(), "y".into())],
            body: body.into(),
        };
        assert!(same_words(&reply("1", "no"), &reply("2", "no")));
        assert!(!same_words(&reply("1", "no"), &reply("1", "No")));
    }
}
