//! Makes single requests out of their descriptions, or says why one cannot work.

use std::collections::BTreeMap;

use contract::{
    Auth, BodyFormat, CredentialCarrier, Expected, Field, HeaderValues, LoginStep, REFRESH_TOKEN,
    Refresh, Step, Target,
};

use super::Request;
use super::capture::{Capture, pointer};
use super::check::{Check, Value};
use super::holes::{self, Place};
use super::known::{Known, TOKEN};
use super::population;
use super::template::{Escape, Held, Holes, Template};

/// The field that `auth` fills.
pub(super) const AUTHORIZATION: &str = "Authorization";

/// The descriptor, and where in a user's life a request of it is made.
#[derive(Clone, Copy)]
pub(super) struct Lowering<'a> {
    pub(super) target: &'a Target,
    pub(super) known: &'a Known,
    /// The names of all values that steps of the login capture.
    pub(super) captured: &'a [&'a str],
}

impl Lowering<'_> {
    /// A request of a login. Without `sends` nothing but fields and a body that are there is sent.
    pub(super) fn login(
        self,
        step: &LoginStep,
        sends: bool,
        captures: Vec<Capture>,
    ) -> Result<Request, String> {
        let path = self.path(&step.path)?;
        let body = self.login_body(step, sends)?;
        let default = if body.is_some() { "POST" } else { "GET" };
        let method = method(step.method.as_deref().unwrap_or(default))?;
        if body.is_some() && method == "GET" {
            return Err(
                "expected a GET without fields and body; put them into the path, or send a \
                        POST"
                    .into(),
            );
        }
        let encoding = body.as_ref().map(|_| step.format);
        Ok(Request {
            name: step.name.clone(),
            method,
            headers: self.headers(None, &step.headers, encoding, &path)?,
            path,
            body,
            expect_status: step.expect_status.clone(),
            check: self.check(step.check.as_ref())?,
            captures,
            then: None,
            redirect: None,
        })
    }

    /// The request that follows a redirect of a step to what is held at `location`.
    pub(super) fn follow(
        self,
        step: &LoginStep,
        location: Held,
        captures: Vec<Capture>,
    ) -> Result<Request, String> {
        let mut path = Template::default();
        path.held(location, Escape::None);
        Ok(Request {
            name: format!("{} redirected", step.name),
            method: "GET".into(),
            headers: self.headers(None, &BTreeMap::new(), None, &path)?,
            path,
            body: None,
            expect_status: step.expect_status.clone(),
            check: self.check(step.check.as_ref())?,
            captures,
            then: None,
            redirect: None,
        })
    }

    pub(super) fn step(self, step: &Step, captures: Vec<Capture>) -> Result<Request, String> {
        let (method, path) = (method(&step.method)?, self.path(&step.path)?);
        let send = self.target.login.as_ref().map(|login| &login.send);
        let encoding = step.body.as_ref().map(|_| step.format);
        let body = step.body.as_ref().map(|text| self.body(text, step.format));
        Ok(Request {
            name: step.name.clone(),
            method,
            headers: self.headers(send, &step.headers, encoding, &path)?,
            path,
            body: body.transpose()?,
            expect_status: step.expect_status.clone(),
            check: self.check(step.check.as_ref())?,
            captures,
            then: None,
            redirect: None,
        })
    }

    /// The request that refreshes a credential, made where the token for that is known.
    pub(super) fn refresh(
        self,
        refresh: &Refresh,
        captures: Vec<Capture>,
    ) -> Result<Request, String> {
        let mut fields = refresh.fields.clone();
        if !refresh.field.is_empty() {
            let token = Field::Text(format!("{{{REFRESH_TOKEN}}}"));
            if fields.insert(refresh.field.clone(), token).is_some() {
                return Err(format!(
                    "expected `field` apart from `fields`, found `{}` in both",
                    refresh.field
                ));
            }
        }
        let step = LoginStep {
            name: "refresh".into(),
            method: Some("POST".into()),
            path: refresh.path.clone(),
            headers: refresh.headers.clone(),
            format: refresh.format,
            fields,
            body: None,
            expect_status: refresh.expect_status.clone(),
            check: None,
            capture: BTreeMap::new(),
            redirects: 0,
        };
        self.login(&step, false, captures)
    }

    fn check(self, described: Option<&contract::Check>) -> Result<Option<Check>, String> {
        let Some(described) = described else { return Ok(None) };
        let json = match (&described.json, &described.equals) {
            (None, None) => None,
            (Some(json), Some(equals)) => {
                let value = match equals {
                    Expected::Text(text) => Value::Text(self.text(text, Escape::None)?),
                    Expected::Flag(flag) => Value::Flag(*flag),
                    Expected::Number(number) => Value::Text(literal(&number.to_string())),
                };
                Some((pointer(json)?, value))
            }
            (json, _) => {
                let (found, lacking) =
                    if json.is_some() { ("json", "equals") } else { ("equals", "json") };
                return Err(format!(
                    "expected a check with `json` and `equals`, found `{found}` without `{lacking}`"
                ));
            }
        };
        let contains = described.contains.as_ref().map(|text| self.text(text, Escape::None));
        let contains = contains.transpose()?;
        if json.is_none() && contains.as_ref().is_none_or(|text| *text == Template::default()) {
            return Err(
                "expected a check with `json` and `equals`, or with `contains` and a text; \
                        found neither"
                    .into(),
            );
        }
        Ok(Some(Check { json, contains }))
    }

    /// The body of a request of a login; `None` where it has none.
    fn login_body(self, step: &LoginStep, sends: bool) -> Result<Option<Template>, String> {
        if let Some(text) = &step.body {
            if !step.fields.is_empty() {
                return Err(
                    "expected `fields` or a `body`, found both; take one of them out".into()
                );
            }
            return self.body(text, step.format).map(Some);
        } else if step.fields.is_empty() && !sends {
            return Ok(None);
        }
        if let Some((name, _)) = step.fields.iter().find(|(_, field)| has_date(field)) {
            return Err(format!(
                "expected a text, a number, a boolean, a list or a table as field `{name}`, found \
                 a date; put it in quotes"
            ));
        }
        let body = match step.format {
            BodyFormat::Json => self.object(&step.fields)?,
            BodyFormat::Form => self.form(&step.fields)?,
            BodyFormat::Raw => {
                return Err(
                    "expected a `body` with format = \"raw\", found none; `fields` are for \
                            \"json\" and \"form\""
                        .into(),
                );
            }
        };
        Ok(Some(body))
    }

    fn form(self, fields: &BTreeMap<String, Field>) -> Result<Template, String> {
        let mut body = Template::default();
        for (name, field) in fields {
            let several = if let Field::List(fields) = field { fields.as_slice() } else { &[] };
            let values = if several.is_empty() { std::slice::from_ref(field) } else { several };
            for value in values {
                if body != Template::default() {
                    body.literal_bytes(b"&");
                }
                body.append(self.text(name, Escape::Form)?);
                body.literal_bytes(b"=");
                match value {
                    Field::Text(text) => body.append(self.text(text, Escape::Form)?),
                    Field::Flag(flag) => body.literal_bytes(flag.to_string().as_bytes()),
                    Field::Whole(number) => body.literal_bytes(number.to_string().as_bytes()),
                    Field::Number(number) => body.literal_bytes(number.to_string().as_bytes()),
                    Field::List(_) | Field::Table(_) => {
                        return Err(format!(
                            "expected a text, a number, a boolean or a list of them as field \
                             `{name}` of a form, found something nested; nested fields need format \
                             = \"json\""
                        ));
                    }
                }
            }
        }
        Ok(body)
    }

    fn object(self, fields: &BTreeMap<String, Field>) -> Result<Template, String> {
        let mut body = literal("{");
        for (i, (name, field)) in fields.iter().enumerate() {
            body.literal_bytes(if i > 0 { b",\"" } else { b"\"" });
            body.append(self.text(name, Escape::Json)?);
            body.literal_bytes(b"\":");
            body.append(self.json(field)?);
        }
        body.literal_bytes(b"}");
        Ok(body)
    }

    fn json(self, field: &Field) -> Result<Template, String> {
        Ok(match field {
            Field::Text(text) => {
                let mut quoted = literal("\"");
                quoted.append(self.text(text, Escape::Json)?);
                quoted.literal_bytes(b"\"");
                quoted
            }
            Field::Flag(flag) => literal(&flag.to_string()),
            Field::Whole(number) => literal(&number.to_string()),
            Field::Number(number) if number.is_finite() => literal(&number.to_string()),
            Field::Number(number) => {
                return Err(format!("expected a number that JSON has, found {number}"));
            }
            Field::List(fields) => {
                let mut list = literal("[");
                for (i, field) in fields.iter().enumerate() {
                    list.literal_bytes(if i > 0 { b"," } else { b"" });
                    list.append(self.json(field)?);
                }
                list.literal_bytes(b"]");
                list
            }
            Field::Table(fields) => self.object(fields)?,
        })
    }

    fn body(self, text: &str, format: BodyFormat) -> Result<Template, String> {
        holes::check(text, &self.names(), Place::Body)?;
        self.known(text)?;
        Ok(Template::encoded(text, self.holes(), escape(format)))
    }

    /// What says whose a request is, the target's headers, then what carries the credential and the
    /// cookies, then a request's own, which replace others of the same name. Cookies that go to the
    /// request's `path` join the others in one field.
    fn headers(
        self,
        send: Option<&CredentialCarrier>,
        own: &BTreeMap<String, HeaderValues>,
        encoding: Option<BodyFormat>,
        path: &Template,
    ) -> Result<Vec<(String, Template)>, String> {
        let mut headers = Vec::new();
        if self.target.auth == Some(Auth::Basic) {
            let mut basic = literal("Basic ");
            basic.append(self.text("{username}:{password}", Escape::None)?.in_base64());
            put(&mut headers, AUTHORIZATION.into(), vec![basic]);
        }
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
            headers[at].1.jar(jar, self.known.jar_is_last, path);
        }
        if let Some(media_type) = encoding.and_then(media_type)
            && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        {
            headers.push(("Content-Type".into(), literal(media_type)));
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

    /// Refuses a text with a value in it that is not known where it is sent.
    fn known(self, text: &str) -> Result<(), String> {
        let is_missing =
            |name: &&str| self.known.value(name).is_none() && text.contains(&format!("{{{name}}}"));
        if let Some(name) = self.captured.iter().copied().find(is_missing) {
            return Err(format!(
                "found {{{name}}} in `{text}`, where no such value is known: it is known after the \
                 step of the login that captures it"
            ));
        } else if is_missing(&TOKEN) {
            return Err(format!(
                "found {{{TOKEN}}} in `{text}`, where no token is known: it needs a table \
                 [login.csrf], or a step of the login that captures it, and may stand in what the \
                 login and the requests after it send"
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
        let captured = self.captured.iter().copied().filter(|name| *name != csrf);
        [n].into_iter().chain(known).chain(captured).chain([csrf, credential]).collect()
    }
}

/// Whether a field is or has a date of TOML, which reaches others as a table with this key.
fn has_date(field: &Field) -> bool {
    match field {
        Field::List(fields) => fields.iter().any(has_date),
        Field::Table(fields) => {
            fields.contains_key("$__toml_private_datetime") || fields.values().any(has_date)
        }
        _ => false,
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
        BodyFormat::Raw => Escape::None,
    }
}

/// What a body is, where its format says so.
const fn media_type(format: BodyFormat) -> Option<&'static str> {
    match format {
        BodyFormat::Json => Some("application/json"),
        BodyFormat::Form => Some("application/x-www-form-urlencoded"),
        BodyFormat::Raw => None,
    }
}

fn header_name(name: &str) -> Result<String, String> {
    token(name).ok_or_else(|| format!("`{name}` is not a header name"))
}

pub(super) fn cookie_name(name: &str) -> Result<String, String> {
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
