//! What a user does: a target's descriptor, made into requests that need no more thought.
//!
//! [`Script::new`] lowers a [`Target`] once: every text becomes a [`Template`], every pointer a
//! [`Pointer`], and a descriptor that cannot work is refused before anything is started. While a
//! load runs, a script answers two questions: what does request `r` of user `n` look like, and is
//! this the right answer to it. It knows descriptors, never schemes.

mod scan;
mod template;

use std::borrow::Cow;
use std::ops::Range;

use http::Uri;
use servers::contract::{
    BodyFormat, Check, CredentialCarrier, CredentialSource, Login, Step, Target,
};

pub use scan::Pointer;
pub use template::{Escape, Template, Who};

use crate::error::{Error, Result};

/// A target's requests, ready to be sent.
#[derive(Clone, Debug)]
pub struct Script {
    /// What reports call the target.
    pub name: String,
    /// Host and port as they stand in the `Host` header.
    pub authority: String,
    /// Every request there is.
    pub requests: Vec<Request>,
    /// The login among them; `None` where no login is needed.
    pub login: Option<usize>,
    /// The steps of the journey among them.
    pub steps: Range<usize>,
}

/// One request and what a right answer to it is.
#[derive(Clone, Debug)]
pub struct Request {
    /// What reports call it.
    pub name: String,
    /// HTTP method.
    pub method: String,
    /// Path and query.
    pub path: Template,
    /// Headers but for `Host` and `Content-Length`.
    pub headers: Vec<(String, Template)>,
    /// Body, for a request that has one.
    pub body: Option<Template>,
    /// Status of a right answer.
    pub expect_status: u16,
    /// The value in the body that must name the user.
    pub check: Option<(Pointer, Template)>,
    /// Where the credential is in the answer to a login.
    pub credential: Option<Extract>,
}

/// Where a credential is in an answer.
#[derive(Clone, Debug)]
pub enum Extract {
    /// In this cookie.
    Cookie(String),
    /// In the body.
    Json(Pointer),
    /// In this header.
    Header(String),
}

/// An answer as a transport read it.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// Status code.
    pub status: u16,
    /// Header fields.
    pub headers: &'a [httparse::Header<'a>],
    /// Body, decoded from its transfer coding.
    pub body: &'a [u8],
}

/// How an answer is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// It has another status than a right answer; this one.
    Status(u16),
    /// It does not name the user who asked.
    WrongUser,
    /// It is to a login and holds no credential.
    NoCredential,
}

impl Script {
    /// Lowers a descriptor and one of its journeys.
    ///
    /// # Errors
    /// `Config` when the address, the journey, a path, a pointer or a header cannot work.
    pub fn new(target: &Target, journey: &str) -> Result<Self> {
        let refuse = |what: String| Error::Config(format!("target `{}`: {what}", target.name));
        let uri: Uri = target
            .base_url
            .parse()
            .map_err(|e| refuse(format!("base_url `{}` is no address: {e}", target.base_url)))?;
        if uri.scheme_str() != Some("http") || !matches!(uri.path(), "" | "/") {
            return Err(refuse(format!(
                "expected base_url as `http://HOST:PORT`, found `{}`",
                target.base_url
            )));
        }
        let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
        let steps = target.journeys.get(journey).ok_or_else(|| {
            let known: Vec<_> = target.journeys.keys().map(String::as_str).collect();
            refuse(format!("expected a journey among {}, found `{journey}`", known.join(", ")))
        })?;
        if steps.steps.is_empty() {
            return Err(refuse(format!("journey `{journey}` has no step")));
        }
        let mut requests = Vec::new();
        if let Some(login) = &target.login {
            requests.push(Request::login(target, login).map_err(&refuse)?);
        }
        let login = (!requests.is_empty()).then_some(0);
        let first = requests.len();
        for step in &steps.steps {
            requests.push(Request::step(target, step).map_err(&refuse)?);
        }
        let steps = first..requests.len();
        Ok(Self { name: target.name.clone(), authority, requests, login, steps })
    }

    /// Whether `answer` is the right one to request `request` of this user.
    ///
    /// # Errors
    /// How it is wrong.
    pub fn judge(&self, request: usize, who: Who<'_>, answer: &Answer<'_>) -> Result<(), Mismatch> {
        let request = &self.requests[request];
        if answer.status != request.expect_status {
            return Err(Mismatch::Status(answer.status));
        }
        match &request.check {
            Some((pointer, expected)) => match pointer.find(answer.body) {
                Some(found) if expected.is(who, &found) => Ok(()),
                _ => Err(Mismatch::WrongUser),
            },
            None => Ok(()),
        }
    }

    /// The credential in the answer to a login.
    ///
    /// # Errors
    /// `NoCredential` when it is not where the descriptor says, or is empty.
    pub fn credential(&self, request: usize, answer: &Answer<'_>) -> Result<Vec<u8>, Mismatch> {
        let found = match &self.requests[request].credential {
            Some(Extract::Cookie(name)) => set_cookie(answer.headers, name),
            Some(Extract::Json(pointer)) => pointer.find(answer.body).map(Cow::into_owned),
            Some(Extract::Header(name)) => header(answer.headers, name).map(<[u8]>::to_vec),
            None => None,
        };
        // A control character would let the answer write headers into every later request.
        found
            .filter(|credential| !credential.is_empty())
            .filter(|credential| !credential.iter().any(u8::is_ascii_control))
            .ok_or(Mismatch::NoCredential)
    }
}

impl Request {
    fn login(target: &Target, login: &Login) -> Result<Self, String> {
        let mut body = Template::default();
        let (escape, kind) = match login.format {
            BodyFormat::Json => (Escape::Json, "application/json"),
            BodyFormat::Form => (Escape::Form, "application/x-www-form-urlencoded"),
        };
        for (i, (name, value)) in login.fields.iter().enumerate() {
            let name = Template::new(name, &target.users, escape);
            let value = Template::new(value, &target.users, escape);
            let (before, between, after): (&[u8], &[u8], &[u8]) = match login.format {
                BodyFormat::Json => (if i == 0 { b"{\"" } else { b",\"" }, b"\":\"", b"\""),
                BodyFormat::Form => (if i == 0 { b"" } else { b"&" }, b"=", b""),
            };
            body.literal_bytes(before);
            body.append(name);
            body.literal_bytes(between);
            body.append(value);
            body.literal_bytes(after);
        }
        if login.format == BodyFormat::Json {
            body.literal_bytes(if login.fields.is_empty() { b"{}" } else { b"}" });
        }
        let mut headers = plain_headers(target)?;
        headers.push(("Content-Type".into(), literal(kind)));
        Ok(Self {
            name: "login".into(),
            method: "POST".into(),
            path: path(target, &login.path)?,
            headers,
            body: Some(body),
            expect_status: login.expect_status,
            check: None,
            credential: Some(match &login.credential {
                CredentialSource::Cookie(name) => Extract::Cookie(name.clone()),
                CredentialSource::Json(text) => Extract::Json(pointer(text)?),
                CredentialSource::Header(name) => Extract::Header(name.clone()),
            }),
        })
    }

    fn step(target: &Target, step: &Step) -> Result<Self, String> {
        let mut headers = plain_headers(target)?;
        if let Some(login) = &target.login {
            headers.push(match &login.send {
                CredentialCarrier::Cookie(name) => (
                    "Cookie".into(),
                    Template::new(&format!("{name}={{credential}}"), &target.users, Escape::None),
                ),
                CredentialCarrier::Header { name, template } => {
                    (header_name(name)?, Template::new(template, &target.users, Escape::None))
                }
            });
        }
        let body = step.body.as_ref().map(|text| Template::new(text, &target.users, Escape::None));
        if body.is_some() {
            headers.push(("Content-Type".into(), literal("application/json")));
        }
        let check = match &step.check {
            Some(Check { json, equals }) => {
                Some((pointer(json)?, Template::new(equals, &target.users, Escape::None)))
            }
            None => None,
        };
        let method = step.method.parse::<http::Method>().map_err(|_| {
            format!("expected an HTTP method in step `{}`, found `{}`", step.name, step.method)
        })?;
        Ok(Self {
            name: step.name.clone(),
            method: method.to_string(),
            path: path(target, &step.path)?,
            headers,
            body,
            expect_status: step.expect_status,
            check,
            credential: None,
        })
    }
}

fn plain_headers(target: &Target) -> Result<Vec<(String, Template)>, String> {
    target
        .headers
        .iter()
        .map(|(name, value)| {
            if value.bytes().any(|b| b < b' ' && b != b'\t' || b == 0x7f) {
                return Err(format!("header `{name}`: its value has a control character"));
            }
            Ok((header_name(name)?, Template::new(value, &target.users, Escape::None)))
        })
        .collect()
}

fn header_name(name: &str) -> Result<String, String> {
    let valid = http::HeaderName::from_bytes(name.as_bytes()).is_ok();
    valid.then(|| name.into()).ok_or_else(|| format!("`{name}` is not a header name"))
}

fn path(target: &Target, text: &str) -> Result<Template, String> {
    let plain = text.starts_with('/') && text.bytes().all(|b| b > b' ' && b < 0x7f);
    if !plain {
        return Err(format!(
            "expected a path that starts with `/`, without spaces; found `{text}`"
        ));
    }
    Ok(Template::new(text, &target.users, Escape::None))
}

fn pointer(text: &str) -> Result<Pointer, String> {
    Pointer::new(text)
        .ok_or_else(|| format!("expected a JSON pointer such as `/user_id`, found `{text}`"))
}

fn literal(text: &str) -> Template {
    let mut template = Template::default();
    template.literal_bytes(text.as_bytes());
    template
}

fn header<'a>(headers: &[httparse::Header<'a>], name: &str) -> Option<&'a [u8]> {
    headers.iter().find(|h| h.name.eq_ignore_ascii_case(name)).map(|h| h.value)
}

/// Value of the last cookie of that name that the answer sets: later fields override earlier ones
/// (RFC 6265, section 5.3).
fn set_cookie(headers: &[httparse::Header<'_>], name: &str) -> Option<Vec<u8>> {
    headers
        .iter()
        .filter(|h| h.name.eq_ignore_ascii_case("set-cookie"))
        .filter_map(|h| {
            let pair = h.value.split(|b| *b == b';').next()?;
            let value = pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
            Some(value.to_vec())
        })
        .next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> Target {
        toml::from_str(
            r#"
            name = "t"
            base_url = "http://127.0.0.1:80"
            headers = { X-Trace = "u{n}" }
            [login]
            path = "/login"
            fields = { password = "{password}", username = "{username}" }
            credential = "cookie:sid"
            send = "cookie:sid"
            [journeys.browse]
            steps = [{ name = "me", path = "/me", check = { json = "/user_id", equals = "{n}" } }]
            "#,
        )
        .unwrap()
    }

    const WHO: Who<'static> = Who { n: 5, credential: b"abc" };

    fn answer<'a>(status: u16, headers: &'a [httparse::Header<'a>], body: &'a [u8]) -> Answer<'a> {
        Answer { status, headers, body }
    }

    #[test]
    fn a_descriptor_becomes_requests() {
        let script = Script::new(&target(), "browse").unwrap();
        let login = &script.requests[script.login.unwrap()];
        assert_eq!(
            login.body.as_ref().unwrap().text(WHO),
            r#"{"password":"password-5","username":"user-5"}"#
        );
        let me = &script.requests[script.steps.start];
        let headers: Vec<_> = me.headers.iter().map(|(n, v)| (n.as_str(), v.text(WHO))).collect();
        assert_eq!(headers, [("X-Trace", "u5".into()), ("Cookie", "sid=abc".into())]);
    }

    #[test]
    fn a_form_is_encoded() {
        let mut target = target();
        let login = target.login.as_mut().unwrap();
        login.format = BodyFormat::Form;
        login.fields.insert("username".into(), "a b&{username}".into());
        let script = Script::new(&target, "browse").unwrap();
        let body = script.requests[0].body.as_ref().unwrap().text(WHO);
        assert_eq!(body, "password=password-5&username=a+b%26user-5");
    }

    #[test]
    fn only_the_right_answer_passes() {
        let script = Script::new(&target(), "browse").unwrap();
        let judge = |status, body: &str| {
            script.judge(script.steps.start, WHO, &answer(status, &[], body.as_bytes()))
        };
        assert_eq!(judge(200, r#"{"user_id":5}"#), Ok(()));
        assert_eq!(judge(200, r#"{"user_id":6}"#), Err(Mismatch::WrongUser));
        assert_eq!(judge(200, r#"{"user_id":55}"#), Err(Mismatch::WrongUser));
        assert_eq!(judge(200, "oops"), Err(Mismatch::WrongUser));
        assert_eq!(judge(401, r#"{"user_id":5}"#), Err(Mismatch::Status(401)));
    }

    #[test]
    fn credentials_are_found_in_cookie_body_and_header() {
        let mut target = target();
        let headers = [
            httparse::Header { name: "set-cookie", value: b"other=1; Path=/" },
            httparse::Header { name: "Set-Cookie", value: b"sid=first; HttpOnly" },
            httparse::Header { name: "Set-Cookie", value: b"sid=last" },
            httparse::Header { name: "X-Token", value: b"tok" },
        ];
        let answer = answer(200, &headers, br#"{"access_token":"jwt"}"#);
        for (source, found) in [
            ("cookie:sid", Ok(&b"last"[..])),
            ("cookie:nope", Err(Mismatch::NoCredential)),
            ("json:/access_token", Ok(b"jwt")),
            ("json:/nope", Err(Mismatch::NoCredential)),
            ("header:x-token", Ok(b"tok")),
        ] {
            target.login.as_mut().unwrap().credential = source.parse().unwrap();
            let script = Script::new(&target, "browse").unwrap();
            let credential = script.credential(0, &answer);
            assert_eq!(credential.as_deref().map_err(|e| *e), found, "{source}");
        }
    }

    #[test]
    fn a_descriptor_that_cannot_work_is_refused() {
        let refused = |change: &dyn Fn(&mut Target), journey: &str| {
            let mut target = target();
            change(&mut target);
            Script::new(&target, journey).unwrap_err().to_string()
        };
        assert!(refused(&|_| {}, "nope").contains("expected a journey among browse"));
        assert!(refused(&|t| t.base_url = "ftp://x".into(), "browse").contains("http://HOST:PORT"));
        assert!(refused(&|t| t.base_url = "http://x/y".into(), "browse").contains("found"));
        assert!(
            refused(&|t| t.login.as_mut().unwrap().path = "login".into(), "browse").contains("/")
        );
        let bad_method = |t: &mut Target| {
            t.journeys.get_mut("browse").unwrap().steps[0].method = "G T".into();
        };
        assert!(refused(&bad_method, "browse").contains("HTTP method"));
        let bad_header = |t: &mut Target| {
            t.headers.insert("A".into(), "x\r\nB: y".into());
        };
        assert!(refused(&bad_header, "browse").contains("control character"));
    }
}
