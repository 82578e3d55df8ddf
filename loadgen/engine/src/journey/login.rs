//! Lowers a login: the requests by which a user gets a credential, and what each answer gives.

use contract::{
    Check, CredentialCarrier, CredentialSource, Csrf, HeaderValues, Login, LoginStep, Refresh,
    Step, Target,
};

use super::known::{Fields, Known, TOKEN};
use super::lowering::{Lowering, cookie_name};
use super::order;
use super::template::Held;
use super::{Redirect, Request};

/// More redirects than this are a loop in any server.
const REDIRECTS_MAX: u8 = 20;

/// The requests of a login, in order, and what is known of a user after them.
#[derive(Default)]
pub(super) struct Logins<'a> {
    pub(super) requests: Vec<Request>,
    /// The request for a CSRF token among them.
    pub(super) csrf: Option<usize>,
    /// The one whose answer gives the credential.
    pub(super) login: usize,
    pub(super) known: Known,
    /// The names of the values that are captured on the way.
    pub(super) captured: Vec<&'a str>,
}

/// One request of a login, and what its answer gives.
struct Stage<'a> {
    /// Where it is described, for messages.
    place: String,
    asks: LoginStep,
    /// Whether it sends a body in any case.
    sends: bool,
    gives: Gives<'a>,
}

#[derive(Clone, Copy)]
enum Gives<'a> {
    Token(&'a Csrf),
    Values,
    Credential(&'a Login, Option<&'a Refresh>),
}

/// Lowers the login of a target, whose users make the steps `after` it and may `refresh` what it
/// gives.
pub(super) fn lower<'a>(
    target: &'a Target,
    login: &'a Login,
    refresh: Option<&'a Refresh>,
    after: &[Step],
) -> Result<Logins<'a>, String> {
    let stages = stages(login, refresh)?;
    let captured = order::captured(target, login)?;
    let keeps_all = keeps_all(target, login);
    let mut logins =
        Logins { requests: Vec::new(), csrf: None, login: 0, known: Known::default(), captured };
    let mut begins = Vec::new();
    for (index, stage) in stages.iter().enumerate() {
        let is_used = |name: &str| {
            let hole = format!("{{{name}}}");
            let has_hole = |text: &&str| text.contains(&hole);
            stages[index + 1..].iter().any(|stage| stage.asks.texts().iter().any(has_hole))
                || after.iter().any(|step| texts(step).iter().any(has_hole))
        };
        let give = |before: &Known| stage.give(before, &is_used, keeps_all);
        let place = |what: String| format!("{}: {what}", stage.place);
        begins.push(logins.requests.len());
        match stage.gives {
            Gives::Token(_) => logins.csrf = Some(logins.requests.len()),
            Gives::Values => {}
            Gives::Credential(..) => logins.login = logins.requests.len(),
        }
        let Logins { known, captured, requests, .. } = &mut logins;
        let (made, next) = make(target, known, captured, stage, &give).map_err(place)?;
        requests.extend(made);
        *known = next;
    }
    let ends = begins.iter().skip(1).copied().map(Some).chain([None]);
    for (begin, next) in begins.iter().zip(ends) {
        let end = next.unwrap_or(logins.requests.len());
        let place = begin;
        for request in &mut logins.requests[*begin..end] {
            request.then = next;
            if let Some(redirect) = &mut request.redirect {
                redirect.request = place + 1;
            }
        }
    }
    Ok(logins)
}

/// The requests of one stage: its own, and the one that follows its redirects; and what is known
/// after them.
fn make(
    target: &Target,
    known: &Known,
    captured: &[&str],
    stage: &Stage<'_>,
    give: &dyn Fn(&Known) -> Result<Known, String>,
) -> Result<(Vec<Request>, Known), String> {
    let Stage { asks, sends, .. } = stage;
    let next = give(known)?;
    let at = Lowering { target, known, captured };
    let mut request = at.login(asks, *sends, next.fields.clone())?;
    if asks.redirects == 0 {
        return Ok((vec![request], next));
    } else if asks.redirects > REDIRECTS_MAX {
        return Err(format!(
            "expected at most {REDIRECTS_MAX} `redirects`, found {}; more are a loop",
            asks.redirects
        ));
    }
    let hop = known.carried()?;
    let location = u8::try_from(hop.fields.len()).map_err(|_| "it has too many cookies")?;
    let at = Lowering { target, known: &hop, captured };
    let mut follow = at.follow(asks, Held::Field(location), give(&hop)?.fields)?;
    let redirect = |captures| Some(Redirect { captures, request: 0, most: asks.redirects });
    request.redirect = redirect(hop.fields.clone());
    follow.redirect = redirect(hop.carried()?.fields);
    Ok((vec![request, follow], next))
}

/// Whether users keep all cookies and not only those that the login names. A login of several
/// requests cannot do without.
fn keeps_all(target: &Target, login: &Login) -> bool {
    !login.is_one_request() || target.cookies.is_some_and(|cookies| cookies.keep)
}

fn stages<'a>(login: &'a Login, refresh: Option<&'a Refresh>) -> Result<Vec<Stage<'a>>, String> {
    let in_steps = !login.step.is_empty();
    let described = !login.path.is_empty() || !login.fields.is_empty() || login.body.is_some();
    if in_steps && (described || login.redirects > 0 || login.check.is_some()) {
        return Err("login: expected one request, with `path` and `fields`, or several as \
                    [[login.step]]; found both: move everything but `credential` and `send` into \
                    the steps"
            .into());
    } else if in_steps && login.csrf.is_some() {
        return Err(
            "login: expected [login.csrf] or [[login.step]], found both; a step captures a \
                    token with `capture = { csrf = \"html:NAME\" }`"
                .into(),
        );
    } else if !in_steps && login.path.is_empty() {
        return Err("login: expected a `path`, or several requests as [[login.step]]; found \
                    neither"
            .into());
    }
    if in_steps {
        let last = login.step.len() - 1;
        let stage = |(index, step): (usize, &LoginStep)| Stage {
            place: format!("login step `{}`", step.name),
            asks: step.clone(),
            sends: false,
            gives: if index == last { Gives::Credential(login, refresh) } else { Gives::Values },
        };
        return Ok(login.step.iter().enumerate().map(stage).collect());
    }
    let token = login.csrf.as_ref().map(|csrf| Stage {
        place: "login.csrf".into(),
        asks: fetching(csrf),
        sends: false,
        gives: Gives::Token(csrf),
    });
    let own = Stage {
        place: "login".into(),
        asks: only(login),
        sends: login.method != "GET",
        gives: Gives::Credential(login, refresh),
    };
    Ok(token.into_iter().chain([own]).collect())
}

/// The request for a CSRF token.
fn fetching(csrf: &Csrf) -> LoginStep {
    LoginStep {
        name: "csrf".into(),
        method: Some("GET".into()),
        path: csrf.path.clone(),
        expect_status: csrf.expect_status.clone(),
        ..only_a_path()
    }
}

/// The request of a login that is one.
fn only(login: &Login) -> LoginStep {
    LoginStep {
        method: Some(login.method.clone()),
        path: login.path.clone(),
        headers: login.headers.clone(),
        format: login.format,
        fields: login.fields.clone(),
        body: login.body.clone(),
        expect_status: login.expect_status.clone(),
        check: login.check.clone(),
        redirects: login.redirects,
        ..only_a_path()
    }
}

fn only_a_path() -> LoginStep {
    LoginStep {
        name: "login".into(),
        method: None,
        path: String::new(),
        headers: [].into(),
        format: contract::BodyFormat::Json,
        fields: [].into(),
        body: None,
        expect_status: 200.into(),
        check: None,
        capture: [].into(),
        redirects: 0,
    }
}

/// The texts of a step in which values are replaced.
fn texts(step: &Step) -> Vec<&str> {
    let headers = step.headers.values().flat_map(HeaderValues::all).map(String::as_str);
    let check = step.check.iter().flat_map(Check::texts);
    headers.chain(step.body.as_deref()).chain([step.path.as_str()]).chain(check).collect()
}

impl Stage<'_> {
    /// What is known after the right answer, where so much was known `before`.
    fn give(
        &self,
        before: &Known,
        is_used: &dyn Fn(&str) -> bool,
        keeps_all: bool,
    ) -> Result<Known, String> {
        let mut fields = Fields::default();
        let mut known = match self.gives {
            Gives::Token(csrf) => token(csrf, &mut fields)?,
            Gives::Values => {
                let mut known = Known::default();
                self.values(before, is_used, &mut known, &mut fields)?;
                known
            }
            Gives::Credential(login, refresh) => {
                let mut known = credential(login, before, is_used, &mut fields)?;
                if let Some(refresh) = refresh {
                    known.refresh = Some(token_of(refresh, before, &known, &mut fields)?);
                }
                self.values(before, is_used, &mut known, &mut fields)?;
                known
            }
        };
        if keeps_all {
            known.jar = Some(fields.add_jar(before.jar, &known.cookies)?);
            known.jar_is_last = true;
        }
        let alone = fields.0.len() - usize::from(keeps_all) == 1;
        if alone && matches!(self.gives, Gives::Credential(..)) {
            known.be_whole();
        }
        known.fields = fields.0;
        Ok(known)
    }

    /// Adds the values that were captured before and that this answer gives, as far as something
    /// uses them: a million users hold no token that nothing sends.
    fn values(
        &self,
        before: &Known,
        is_used: &dyn Fn(&str) -> bool,
        known: &mut Known,
        fields: &mut Fields,
    ) -> Result<(), String> {
        for (name, source) in self.asks.capture.iter().filter(|(name, _)| is_used(name)) {
            let held = find(fields, source, before)?;
            known.values.push((name.clone(), held));
        }
        for (name, held) in &before.values {
            if is_used(name) && known.value(name).is_none() {
                let held = fields.add(None, Some(*held))?;
                known.values.push((name.clone(), held));
            }
        }
        Ok(())
    }
}

/// The field for the value at `source` in an answer, or for the cookie that was held before.
fn find(fields: &mut Fields, source: &CredentialSource, before: &Known) -> Result<Held, String> {
    match source {
        CredentialSource::Cookie(name) => fields.add_cookie(name, before.cookie(name), before.jar),
        other => fields.add(Some(other), None),
    }
}

/// What the answer to the request for a CSRF token gives.
fn token(csrf: &Csrf, fields: &mut Fields) -> Result<Known, String> {
    let token = fields.add(Some(&csrf.token), None)?;
    let mut known = Known { values: vec![(TOKEN.into(), token)], ..Known::default() };
    let own = match &csrf.token {
        CredentialSource::Cookie(name) => Some(name),
        _ => None,
    };
    for name in csrf.cookies.iter().chain(own) {
        if known.cookie(name).is_none() {
            let held = fields.add(Some(&CredentialSource::Cookie(name.clone())), None)?;
            known.cookies.push((cookie_name(name)?, held));
        }
    }
    Ok(known)
}

/// The field for the token that a refresh sends.
fn token_of(
    refresh: &Refresh,
    before: &Known,
    known: &Known,
    fields: &mut Fields,
) -> Result<Held, String> {
    let token = find(fields, &refresh.token, before)?;
    if token == known.credential {
        return Err(format!(
            "refresh: expected `token` elsewhere than the credential, found both at `{}`",
            refresh.token
        ));
    }
    Ok(token)
}

/// What the answer that gives the credential gives in addition to captured values.
fn credential(
    login: &Login,
    before: &Known,
    is_used: &dyn Fn(&str) -> bool,
    fields: &mut Fields,
) -> Result<Known, String> {
    let credential = find(fields, &login.credential, before)?;
    let mut known = Known { credential, ..Known::default() };
    if let CredentialCarrier::Cookie(name) = &login.send {
        known.cookies.push((cookie_name(name)?, credential));
    }
    for (name, held) in &before.cookies {
        if known.cookie(name).is_none() {
            let source = CredentialSource::Cookie(name.clone());
            let held = fields.add(Some(&source), Some(*held))?;
            known.cookies.push((name.clone(), held));
        }
    }
    if let Some(csrf) = &login.csrf
        && is_used(TOKEN)
    {
        let in_cookie = matches!(csrf.token, CredentialSource::Cookie(_)).then_some(&csrf.token);
        let token = match csrf.after_login.as_ref().or(in_cookie) {
            Some(source) => find(fields, source, before)?,
            None => fields.add(None, before.value(TOKEN))?,
        };
        known.values.push((TOKEN.into(), token));
    }
    Ok(known)
}
