//! Makes a script out of a descriptor, or says why it cannot work.

use std::collections::BTreeMap;

use contract::{
    BodyFormat, Check, CredentialCarrier, CredentialSource, Csrf, HeaderValues, Journey, Login,
    Logout, Share, Step, Target,
};
use http::Uri;

use super::capture::{Before, Capture, Extract, pointer};
use super::holes::{self, Place};
use super::population::{self, Population};
use super::template::{Escape, Held, Holes, Template};
use super::{Request, Script};
use crate::error::{Error, Result};

impl Script {
    /// Lowers a descriptor and one of its journeys.
    ///
    /// # Errors
    /// `Config` when the address, the journey, a path, a pointer or a header cannot work.
    pub fn new(target: &Target, journey: &str) -> Result<Self> {
        Self::prepared(target, journey, None)
    }

    /// Lowers a descriptor, one of its journeys, and the one that its users make before it.
    ///
    /// # Errors
    /// As [`Script::new`].
    pub fn prepared(target: &Target, journey: &str, prepare: Option<&str>) -> Result<Self> {
        script(target, journey, prepare)
            .map_err(|what| Error::Config(format!("target `{}`: {what}", target.name)))
    }
}

/// The share of requests that may end with their connection unless a target says otherwise.
const TRANSPORT_ERRORS: Share = Share::from_ppm(1000);

/// Lowers a descriptor, one of its journeys, and the one that users make before it, where there is
/// one.
///
/// Requests are made in the order in which a user meets them, and each with what is known of the
/// user by then: nothing, then a CSRF token and its cookies, then the credential and what the login
/// left of the others. Where a target has one value per user, that value is all that is held.
fn script(target: &Target, journey: &str, prepare: Option<&str>) -> Result<Script, String> {
    let (tls, authority) = address(&target.base_url)?;
    let population = Population::new(&target.users).map_err(|what| format!("users: {what}"))?;
    let made = find(target, journey)?;
    let before = prepare.map(|journey| find(target, journey)).transpose()?;
    let nobody;
    let target = match before {
        Some(before) if made.anonymous || before.anonymous => {
            return Err(format!(
                "expected users who are logged in to prepare for a journey, found `{journey}` \
                 after {} steps, and one of the two anonymous",
                before.steps.len()
            ));
        }
        _ if made.anonymous => {
            nobody = Target { login: None, logout: None, ..target.clone() };
            &nobody
        }
        _ => target,
    };
    let preparing = before.map_or(&[][..], |journey| &journey.steps);
    let after: Vec<Step> = {
        let steps = preparing.iter().chain(&made.steps).cloned();
        steps.chain(target.logout.as_ref().map(logout_step)).collect()
    };
    let mut known = Known::default();
    let mut requests = Vec::new();
    let (mut csrf, mut login) = (None, None);
    if let Some(described) = &target.login {
        let before = match &described.csrf {
            Some(described) => {
                csrf = Some(requests.len());
                let (captures, before) = before_login(described, keeps_all(target))?;
                let at = Lowering { target, known: &known };
                let request = at.csrf(described, captures);
                requests.push(request.map_err(|what| format!("login.csrf: {what}"))?);
                before
            }
            None => known,
        };
        login = Some(requests.len());
        let (captures, after) = after_login(described, &before, &after, keeps_all(target))?;
        let request = Lowering { target, known: &before }.login(described, captures);
        requests.push(request.map_err(|what| format!("login: {what}"))?);
        known = after;
    }
    let renew = target.cookies.is_some_and(|cookies| cookies.renew);
    if renew && login.is_none() && !made.anonymous {
        return Err("expected a table [login] for cookies that are renewed, found none".into());
    }
    let held = login.map_or(Vec::new(), |login| requests[login].captures.clone());
    let first = requests.len();
    for step in &after {
        let at = Lowering { target, known: &known };
        let request = replacing(step, &held, renew).and_then(|captures| at.step(step, captures));
        requests.push(request.map_err(|what| format!("step `{}`: {what}", step.name))?);
    }
    let logout = target.logout.as_ref().map(|_| requests.len() - 1);
    let prepare = first..first + preparing.len();
    let steps = prepare.end..logout.unwrap_or(requests.len());
    let name = target.name.clone();
    let transport_errors_ppm = target.max_transport_errors.unwrap_or(TRANSPORT_ERRORS).ppm();
    Ok(Script {
        name,
        authority,
        tls,
        requests,
        csrf,
        login,
        prepare,
        steps,
        logout,
        renew: renew && login.is_some(),
        transport_errors_ppm,
        population,
    })
}

/// Whether users keep all cookies and not only those that the login names.
fn keeps_all(target: &Target) -> bool {
    target.cookies.is_some_and(|cookies| cookies.keep)
}

/// What is held from the answer to a step on: nothing new, unless it replaces the credential or
/// cookies are renewed. A cookie that was held counts anew where the answer sets it, as with a
/// browser.
fn replacing(step: &Step, held: &[Capture], renew: bool) -> Result<Vec<Capture>, String> {
    let replaced = step.credential.as_ref().map(Extract::new).transpose()?;
    if replaced.is_some() && held.is_empty() {
        return Err("expected no `credential`: nobody logs in who would have one".into());
    } else if replaced.is_none() && !renew {
        return Ok(Vec::new());
    }
    let again = |(index, capture): (usize, &Capture)| {
        // There are no more fields than that: see `Fields::add`.
        let field = u8::try_from(index).unwrap_or(u8::MAX);
        let source = match &capture.source {
            _ if index == 0 && replaced.is_some() => replaced.clone(),
            Some(cookie @ (Extract::Cookie(_) | Extract::Jar(_))) => Some(cookie.clone()),
            _ => None,
        };
        let may_clear = renew && matches!(source, Some(Extract::Cookie(_)));
        let before = if may_clear { Before::Clearable(field) } else { Before::Field(field) };
        Capture { source, before }
    };
    Ok(held.iter().enumerate().map(again).collect())
}

/// Whether an address is spoken to over TLS, and its host and port as they stand there.
fn address(base_url: &str) -> Result<(bool, String), String> {
    let uri: Uri =
        base_url.parse().map_err(|e| format!("base_url `{base_url}` is no address: {e}"))?;
    let refuse =
        || format!("expected base_url as `http://HOST:PORT` or `https://HOST`, found `{base_url}`");
    let tls = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => return Err(refuse()),
    };
    let authority = uri.authority().filter(|_| matches!(uri.path(), "" | "/"));
    let authority = authority.ok_or_else(refuse)?.as_str();
    if authority.contains('@') {
        return Err(format!(
            "expected an address without user and password, found `{base_url}`; a target file says \
             how users log in, and --header sends what a server wants beside"
        ));
    }
    let port = authority.rsplit_once(':').map(|(_, port)| port).filter(|p| !p.ends_with(']'));
    if port.is_some_and(|port| !matches!(port.parse::<u16>(), Ok(1..))) {
        return Err(format!("expected a port from 1 to 65535, found `{base_url}`"));
    }
    Ok((tls, authority.to_string()))
}

fn find<'a>(target: &'a Target, journey: &str) -> Result<&'a Journey, String> {
    let found = target.journeys.get(journey).ok_or_else(|| {
        let known: Vec<_> = target.journeys.keys().map(String::as_str).collect();
        match known.as_slice() {
            [] => "it has no journey; it needs a table such as [journeys.browse]".into(),
            _ => format!("expected a journey among {}, found `{journey}`", known.join(", ")),
        }
    })?;
    if found.steps.is_empty() {
        return Err(format!("journey `{journey}` has no step"));
    }
    Ok(found)
}

fn logout_step(logout: &Logout) -> Step {
    Step {
        name: "logout".into(),
        method: logout.method.clone(),
        path: logout.path.clone(),
        headers: logout.headers.clone(),
        body: None,
        format: BodyFormat::Json,
        expect_status: logout.expect_status,
        check: None,
        credential: None,
    }
}

/// What is known of a user where a request is made.
#[derive(Debug, Default)]
struct Known {
    credential: Held,
    /// Other values, by the name of their hole.
    values: Vec<(String, Held)>,
    /// The cookies that are held by name.
    cookies: Vec<(String, Held)>,
    /// The field of all others.
    jar: Option<u8>,
}

impl Known {
    fn value(&self, name: &str) -> Option<Held> {
        self.values.iter().find(|(known, _)| known == name).map(|(_, held)| *held)
    }

    fn cookie(&self, name: &str) -> Option<Held> {
        self.cookies.iter().find(|(known, _)| known == name).map(|(_, held)| *held)
    }
}

/// The fields that are held of a user from an answer on.
#[derive(Default)]
struct Fields(Vec<Capture>);

impl Fields {
    /// The field for the value at `source`, or else for the one that was `before`. A value that
    /// two descriptions name is held once.
    fn add(
        &mut self,
        source: Option<&CredentialSource>,
        before: Option<Held>,
    ) -> Result<Held, String> {
        let source = source.map(Extract::new).transpose()?;
        let before = match before {
            None | Some(Held::Nowhere) => Before::Nothing,
            Some(Held::Whole) => Before::Field(0),
            Some(Held::Field(index)) => Before::Field(index),
        };
        self.put(source, before).map(Held::Field)
    }

    /// The field for the cookie of this name: what the answer sets, or else what it `was`, or else
    /// what the jar has.
    fn add_cookie(&mut self, name: &str, was: Option<Held>, jar: Option<u8>) -> Result<Held, String> {
        let source = CredentialSource::Cookie(name.into());
        let held = self.add(Some(&source), was)?;
        if let (Held::Field(index), Some(jar)) = (held, jar) {
            let capture = &mut self.0[usize::from(index)];
            if capture.before == Before::Nothing {
                capture.before = Before::Jar(jar);
            }
        }
        Ok(held)
    }

    /// The field for all cookies but those that are held by name.
    fn add_jar(&mut self, before: Option<u8>, named: &[(String, Held)]) -> Result<u8, String> {
        let elsewhere = named.iter().map(|(name, _)| name.clone()).collect();
        let before = before.map_or(Before::Nothing, Before::Field);
        self.put(Some(Extract::Jar(elsewhere)), before)
    }

    fn put(&mut self, source: Option<Extract>, before: Before) -> Result<u8, String> {
        let same = |capture: &Capture| source.is_some() && capture.source == source;
        let index = match self.0.iter().position(same) {
            Some(index) => {
                let known = &mut self.0[index].before;
                *known = if *known == Before::Nothing { before } else { *known };
                index
            }
            None => {
                self.0.push(Capture { source, before });
                self.0.len() - 1
            }
        };
        u8::try_from(index).map_err(|_| "it has too many cookies".to_string())
    }
}

/// What the answer to the CSRF request gives, and what is known then.
fn before_login(csrf: &Csrf, keeps_all: bool) -> Result<(Vec<Capture>, Known), String> {
    let mut fields = Fields::default();
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
    if keeps_all {
        known.jar = Some(fields.add_jar(None, &known.cookies)?);
    }
    Ok((fields.0, known))
}

/// What the answer to a login gives to the requests `after` it, and what is known then.
fn after_login(
    login: &Login,
    before: &Known,
    after: &[Step],
    keeps_all: bool,
) -> Result<(Vec<Capture>, Known), String> {
    let mut fields = Fields::default();
    let find = |fields: &mut Fields, source: &CredentialSource| match source {
        CredentialSource::Cookie(name) => fields.add_cookie(name, before.cookie(name), before.jar),
        other => fields.add(Some(other), None),
    };
    let credential = find(&mut fields, &login.credential)?;
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
    // A million users hold no token that nothing sends.
    if let Some(csrf) = &login.csrf
        && after.iter().any(uses_token)
    {
        let in_cookie = matches!(csrf.token, CredentialSource::Cookie(_)).then_some(&csrf.token);
        let token = match csrf.after_login.as_ref().or(in_cookie) {
            Some(source) => find(&mut fields, source)?,
            None => fields.add(None, before.value(TOKEN))?,
        };
        known.values.push((TOKEN.into(), token));
    }
    if keeps_all {
        known.jar = Some(fields.add_jar(before.jar, &known.cookies)?);
    }
    if fields.0.len() == 1 {
        let whole = |held: &mut Held| {
            if *held != Held::Nowhere {
                *held = Held::Whole;
            }
        };
        whole(&mut known.credential);
        known.values.iter_mut().for_each(|(_, held)| whole(held));
        known.cookies.iter_mut().for_each(|(_, held)| whole(held));
    }
    Ok((fields.0, known))
}

/// The name of the value that `[login.csrf]` gives.
const TOKEN: &str = "csrf";
/// Its hole.
const TOKEN_HOLE: &str = "{csrf}";

fn uses_token(step: &Step) -> bool {
    let headers = step.headers.values().flat_map(HeaderValues::all);
    headers.chain(&step.body).chain([&step.path]).any(|text| text.contains(TOKEN_HOLE))
}

/// The descriptor, and where in a user's life a request of it is made.
#[derive(Clone, Copy)]
struct Lowering<'a> {
    target: &'a Target,
    known: &'a Known,
}

impl Lowering<'_> {
    fn csrf(self, csrf: &Csrf, captures: Vec<Capture>) -> Result<Request, String> {
        let path = self.path(&csrf.path)?;
        Ok(Request {
            name: "csrf".into(),
            method: "GET".into(),
            headers: self.headers(None, &BTreeMap::new(), None, &path)?,
            path,
            body: None,
            expect_status: csrf.expect_status,
            check: None,
            captures,
        })
    }

    fn login(self, login: &Login, captures: Vec<Capture>) -> Result<Request, String> {
        let path = self.path(&login.path)?;
        Ok(Request {
            name: "login".into(),
            method: "POST".into(),
            headers: self.headers(None, &login.headers, Some(login.format), &path)?,
            path,
            body: Some(self.fields(login)?),
            expect_status: login.expect_status,
            check: None,
            captures,
        })
    }

    fn step(self, step: &Step, captures: Vec<Capture>) -> Result<Request, String> {
        let (method, path) = (method(&step.method)?, self.path(&step.path)?);
        let send = self.target.login.as_ref().map(|login| &login.send);
        let encoding = step.body.as_ref().map(|_| step.format);
        let body = step.body.as_ref().map(|text| {
            holes::check(text, &self.names(), Place::Body)?;
            self.known(text)?;
            Ok::<_, String>(Template::encoded(text, self.holes(), escape(step.format)))
        });
        let check = step.check.as_ref().map(|Check { json, equals }| {
            Ok::<_, String>((pointer(json)?, self.text(equals, Escape::None)?))
        });
        Ok(Request {
            name: step.name.clone(),
            method,
            headers: self.headers(send, &step.headers, encoding, &path)?,
            path,
            body: body.transpose()?,
            expect_status: step.expect_status,
            check: check.transpose()?,
            captures,
        })
    }

    /// The body of a login.
    fn fields(self, login: &Login) -> Result<Template, String> {
        let [open, between, after, next, close] = match login.format {
            BodyFormat::Json => ["{\"", "\":\"", "\"", ",\"", "}"],
            BodyFormat::Form => ["", "=", "", "&", ""],
        };
        if login.fields.is_empty() {
            return Ok(literal(if login.format.is_json() { "{}" } else { "" }));
        }
        let mut body = literal(open);
        for (i, (name, value)) in login.fields.iter().enumerate() {
            body.literal_bytes(if i > 0 { next } else { "" }.as_bytes());
            body.append(self.text(name, escape(login.format))?);
            body.literal_bytes(between.as_bytes());
            body.append(self.text(value, escape(login.format))?);
            body.literal_bytes(after.as_bytes());
        }
        body.literal_bytes(close.as_bytes());
        Ok(body)
    }

    /// The target's headers, then what carries the credential and the cookies, then a request's
    /// own, which replace others of the same name. Cookies that go to the request's `path` join the
    /// others in one field.
    fn headers(
        self,
        send: Option<&CredentialCarrier>,
        own: &BTreeMap<String, HeaderValues>,
        encoding: Option<BodyFormat>,
        path: &Template,
    ) -> Result<Vec<(String, Template)>, String> {
        let mut headers = Vec::new();
        self.put_all(&mut headers, &self.target.headers)?;
        if let Some(CredentialCarrier::Header { name, template }) = send {
            put(&mut headers, header_name(name)?, vec![self.header_value(name, template)?]);
        }
        for (name, held) in &self.known.cookies {
            let mut cookie = literal(&format!("{name}="));
            cookie.held(*held, Escape::None);
            put(&mut headers, "Cookie".into(), vec![cookie]);
        }
        self.put_all(&mut headers, own)?;
        if let Some(jar) = self.known.jar {
            let is_cookie = |(name, _): &(String, Template)| name.eq_ignore_ascii_case("cookie");
            let at = headers.iter().position(is_cookie).unwrap_or(headers.len());
            if at == headers.len() {
                headers.push(("Cookie".into(), Template::default()));
            }
            headers[at].1.jar(jar, path);
        }
        if let Some(format) = encoding
            && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        {
            headers.push(("Content-Type".into(), literal(media_type(format))));
        }
        let framing = |(name, _): &&(String, Template)| {
            ["content-length", "transfer-encoding", "connection"]
                .iter()
                .any(|framing| name.eq_ignore_ascii_case(framing))
        };
        if let Some((name, _)) = headers.iter().find(framing) {
            return Err(format!(
                "expected no header `{name}`: the client itself says how long a body is and what \
                 becomes of the connection"
            ));
        }
        Ok(headers)
    }

    /// Puts the headers of one table, in which a name stands once.
    fn put_all(
        self,
        headers: &mut Vec<(String, Template)>,
        table: &BTreeMap<String, HeaderValues>,
    ) -> Result<(), String> {
        for (name, values) in table {
            let same = |other: &&String| other.eq_ignore_ascii_case(name);
            if table.keys().filter(same).count() > 1 {
                return Err(format!(
                    "expected header `{name}` once, found it in several spellings; for several \
                     fields of one name write a list: `{name} = [\"a\", \"b\"]`"
                ));
            }
            let values: Result<Vec<_>, _> =
                values.all().map(|value| self.header_value(name, value)).collect();
            let values = values?;
            if values.is_empty() {
                return Err(format!("expected a value of header `{name}`, found an empty list"));
            }
            put(headers, header_name(name)?, values);
        }
        Ok(())
    }

    fn header_value(self, name: &str, value: &str) -> Result<Template, String> {
        if population::has_control(value) {
            return Err(format!("header `{name}`: its value has a control character"));
        } else if let Some((hole, place)) = population::with_control(&self.target.users, value) {
            return Err(format!(
                "header `{name}`: expected {{{hole}}} without line breaks and other control \
                 characters, found one in {place}; take it out there, or send it in a body"
            ));
        }
        self.text(value, Escape::None).map_err(|what| format!("header `{name}`: {what}"))
    }

    fn path(self, text: &str) -> Result<Template, String> {
        let fits = |b: u8| b > b' ' && b < 0x7f && b != b'#';
        if !text.starts_with('/') || !text.bytes().all(fits) {
            return Err(format!(
                "expected a path that starts with `/`, without spaces, `#` and other characters \
                 that are percent-encoded there; found `{text}`"
            ));
        }
        holes::check(text, &self.names(), Place::Path)?;
        self.known(text)?;
        Ok(Template::encoded(text, self.holes(), Escape::Percent))
    }

    fn text(self, text: &str, escape: Escape) -> Result<Template, String> {
        holes::check(text, &self.names(), Place::Text)?;
        self.known(text)?;
        Ok(Template::new(text, self.holes(), escape))
    }

    /// Refuses a text with a token in it where none is known.
    fn known(self, text: &str) -> Result<(), String> {
        if text.contains(TOKEN_HOLE) && self.known.value(TOKEN).is_none() {
            return Err(format!(
                "found {TOKEN_HOLE} in `{text}`, where no token is known: it needs a table \
                 [login.csrf], and may stand in what the login and the requests after it send"
            ));
        }
        Ok(())
    }

    fn holes(&self) -> Holes<'_> {
        let Known { credential, values, .. } = self.known;
        Holes { users: &self.target.users, credential: *credential, values }
    }

    /// The names of all holes that a text of this target may have.
    fn names(&self) -> Vec<&str> {
        let users = &self.target.users;
        let [n, username, password, csrf, credential] = holes::HOLES;
        let patterns = [(username, users.username()), (password, users.password())];
        let patterns = patterns.into_iter().filter(|(_, pattern)| pattern.is_some());
        let columns = users.columns().iter().map(String::as_str);
        let known = patterns.map(|(name, _)| name).chain(columns);
        [n].into_iter().chain(known).chain([csrf, credential]).collect()
    }
}

/// Adds fields of one name in place of others of that name. Cookies are joined instead: a request
/// has one such field (RFC 6265, section 5.4).
fn put(headers: &mut Vec<(String, Template)>, name: String, mut values: Vec<Template>) {
    let same = |(other, _): &(String, Template)| other.eq_ignore_ascii_case(&name);
    let at = headers.iter().position(same);
    if name.eq_ignore_ascii_case("cookie") {
        let mut joined = at.map(|at| std::mem::take(&mut headers[at].1)).unwrap_or_default();
        for value in values.drain(..) {
            joined.literal_bytes(if joined == Template::default() { b"" } else { b"; " });
            joined.append(value);
        }
        values.push(joined);
    }
    let spelt = at.map(|at| headers[at].0.clone());
    headers.retain(|header| !same(header));
    let (at, name) = (at.unwrap_or(headers.len()), spelt.unwrap_or(name));
    headers.splice(at..at, values.into_iter().map(|value| (name.clone(), value)));
}

/// A method as it is sent. Methods are told apart by case (RFC 9110, 9.1), so one in lower case is
/// another one, which no server knows.
fn method(text: &str) -> Result<String, String> {
    let upper = text.to_uppercase();
    let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];
    if upper != text && known.contains(&upper.as_str()) {
        return Err(format!("expected an HTTP method, found `{text}`; did you mean `{upper}`?"));
    }
    let method: Result<http::Method, _> = text.parse();
    method
        .map(|method| method.to_string())
        .map_err(|_| format!("expected an HTTP method, found `{text}`"))
}

const fn escape(format: BodyFormat) -> Escape {
    match format {
        BodyFormat::Json => Escape::Json,
        BodyFormat::Form => Escape::Form,
    }
}

const fn media_type(format: BodyFormat) -> &'static str {
    match format {
        BodyFormat::Json => "application/json",
        BodyFormat::Form => "application/x-www-form-urlencoded",
    }
}

fn header_name(name: &str) -> Result<String, String> {
    token(name).ok_or_else(|| format!("`{name}` is not a header name"))
}

fn cookie_name(name: &str) -> Result<String, String> {
    token(name).ok_or_else(|| format!("`{name}` is not a cookie name"))
}

/// Names of headers and of cookies are tokens alike (RFC 9110, 5.6.2; RFC 6265, 4.1.1).
fn token(name: &str) -> Option<String> {
    http::HeaderName::from_bytes(name.as_bytes()).is_ok().then(|| name.into())
}

fn literal(text: &str) -> Template {
    let mut template = Template::default();
    template.literal_bytes(text.as_bytes());
    template
}
