//! Takes values out of answers: the credential, a CSRF token, the cookies that go with it.
//! A value is looked for where the descriptor says and nowhere else. One with a control character
//! in it is refused: it would let the answer write headers into every later request of the user.

use std::borrow::Cow;
use std::fmt;

use contract::CredentialSource;
use regex::bytes::Regex;

use super::html::named_value;
use super::jar;
use super::scan::Pointer;
use super::template::field;

/// How many cookies of an answer a message names, and how many characters of each.
const NAMES_MAX: usize = 8;
const NAME_MAX: usize = 64;

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

impl Answer<'_> {
    /// The value of its first field of this name.
    pub(super) fn header(&self, name: &str) -> Option<&[u8]> {
        header(self.headers, name)
    }

    /// What it sets instead of a cookie that it lacks, as the end of a sentence; empty where
    /// `capture` is no cookie.
    pub fn sets_instead(&self, capture: &Capture) -> String {
        if !matches!(capture.source, Some(Extract::Cookie(_))) {
            return String::new();
        }
        let names = jar::set_cookies(self.headers).map(|set| {
            let name: String = String::from_utf8_lossy(set.name).chars().take(NAME_MAX).collect();
            format!("`{name}`")
        });
        let names: Vec<_> = names.take(NAMES_MAX).collect();
        if names.is_empty() {
            "; the answer sets no cookie".into()
        } else {
            format!("; the answer sets {}", names.join(", "))
        }
    }

    /// Whether it sets or clears a cookie.
    pub(super) fn sets_cookies(&self) -> bool {
        self.headers.iter().any(|h| h.name.eq_ignore_ascii_case("set-cookie"))
    }

    /// Whether the body is in a content coding (RFC 9110, 8.4), such as gzip. Asked of answers
    /// alone that are wrong as they stand.
    pub(super) fn is_encoded(&self) -> bool {
        let coding = |h: &&httparse::Header<'_>| h.name.eq_ignore_ascii_case("content-encoding");
        let coding = self.headers.iter().find(coding);
        coding.is_some_and(|coding| !coding.value.trim_ascii().eq_ignore_ascii_case(b"identity"))
    }
}

/// A value that is held of a user from an answer on.
#[derive(Clone, Debug)]
pub struct Capture {
    /// Where it is in the answer; `None` when only what was held before can give it.
    pub source: Option<Extract>,
    /// What counts where the answer has no such value, as a cookie stays what it was until it is
    /// set anew.
    pub before: Before,
}

/// What was held of a user before an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Before {
    /// Nothing.
    #[default]
    Nothing,
    /// This field.
    Field(u8),
    /// The cookie that is looked for, in the jar in this field.
    Jar(u8),
    /// This field, which a cookie that is cleared leaves empty.
    Clearable(u8),
}

/// Where a value is in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extract {
    /// In this cookie.
    Cookie(String),
    /// All cookies but these, with their paths: a jar.
    Jar(Vec<String>),
    /// In the body, which is JSON.
    Json(Pointer, String),
    /// In this header.
    Header(String),
    /// In the body, which is HTML, in the input or meta element of this name.
    Html(String),
    /// In the body, where this pattern matches: its first group, or all of it.
    Regex(Pattern),
}

/// A pattern, and its text.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Pattern {}

impl Pattern {
    fn new(text: &str) -> Result<Self, String> {
        let pattern = Regex::new(text);
        pattern.map(Self).map_err(|e| format!("expected a pattern, found `{text}`: {e}"))
    }

    fn find<'a>(&self, body: &'a [u8]) -> Option<&'a [u8]> {
        let groups = self.0.captures(body)?;
        groups.get(1).or_else(|| groups.get(0)).map(|found| found.as_bytes())
    }
}

impl Capture {
    /// Whether the answer has it in its body.
    pub(super) const fn is_in_body(&self) -> bool {
        matches!(self.source, Some(Extract::Json(..) | Extract::Html(_) | Extract::Regex(_)))
    }

    /// Whether it is all cookies that no other field holds.
    pub(super) const fn is_jar(&self) -> bool {
        matches!(self.source, Some(Extract::Jar(_)))
    }

    /// Whether only cookies of an answer change it.
    pub(super) const fn is_of_cookies(&self) -> bool {
        matches!(self.source, None | Some(Extract::Cookie(_) | Extract::Jar(_)))
    }

    /// The value, after an answer to a request for `path`.
    pub(super) fn value<'a>(
        &self,
        before: &'a [u8],
        path: &[u8],
        answer: &Answer<'a>,
    ) -> Option<Cow<'a, [u8]>> {
        let earlier = match self.before {
            Before::Nothing => None,
            Before::Field(index) | Before::Clearable(index) => Some(field(before, index)),
            Before::Jar(index) => match &self.source {
                Some(Extract::Cookie(name)) => jar::value(field(before, index), name),
                _ => None,
            },
        };
        if let Some(Extract::Jar(elsewhere)) = &self.source {
            let earlier = earlier.unwrap_or_default();
            return Some(jar::after(earlier, answer.headers, path, elsewhere).into());
        }
        let found = self.source.as_ref().and_then(|source| source.find(answer));
        if matches!(self.before, Before::Clearable(_)) && found.is_some() {
            return found;
        }
        let filled = |value: &Cow<'_, [u8]>| !value.is_empty();
        found
            .filter(filled)
            .or_else(|| earlier.map(Cow::Borrowed).filter(filled))
            .filter(|value| !value.iter().any(u8::is_ascii_control))
    }
}

impl fmt::Display for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => write!(f, "`{source}`"),
            None => f.write_str("what was held before"),
        }
    }
}

impl Extract {
    pub(super) fn new(source: &CredentialSource) -> Result<Self, String> {
        Ok(match source {
            CredentialSource::Cookie(name) => Self::Cookie(name.clone()),
            CredentialSource::Json(text) => Self::Json(pointer(text)?, text.clone()),
            CredentialSource::Header(name) => Self::Header(name.clone()),
            CredentialSource::Html(name) => Self::Html(name.clone()),
            CredentialSource::Regex(text) => Self::Regex(Pattern::new(text)?),
        })
    }

    fn find<'a>(&self, answer: &Answer<'a>) -> Option<Cow<'a, [u8]>> {
        match self {
            Self::Cookie(name) => set_cookie(answer.headers, name).map(Cow::Borrowed),
            // It is what it was, changed: see `Capture::value`.
            Self::Jar(_) => None,
            Self::Json(pointer, _) => pointer.find(answer.body),
            Self::Header(name) => header(answer.headers, name).map(Cow::Borrowed),
            Self::Html(name) => named_value(answer.body, name),
            Self::Regex(pattern) => pattern.find(answer.body).map(Cow::Borrowed),
        }
    }
}

impl fmt::Display for Extract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, text) = match self {
            Self::Jar(_) => return f.write_str("the cookies"),
            Self::Cookie(name) => ("cookie", name),
            Self::Json(_, pointer) => ("json", pointer),
            Self::Header(name) => ("header", name),
            Self::Html(name) => ("html", name),
            Self::Regex(pattern) => return write!(f, "regex:{}", pattern.0),
        };
        write!(f, "{kind}:{text}")
    }
}

pub(super) fn pointer(text: &str) -> Result<Pointer, String> {
    Pointer::new(text)
        .ok_or_else(|| format!("expected a JSON pointer such as `/user_id`, found `{text}`"))
}

fn header<'a>(headers: &[httparse::Header<'a>], name: &str) -> Option<&'a [u8]> {
    headers.iter().find(|h| h.name.eq_ignore_ascii_case(name)).map(|h| h.value)
}

/// Value of the last cookie of that name that the answer sets: later fields override earlier ones
/// (RFC 6265, section 5.3). One that is cleared has no value, whatever text stands for it.
fn set_cookie<'a>(headers: &[httparse::Header<'a>], name: &str) -> Option<&'a [u8]> {
    let named = jar::set_cookies(headers).filter(|set| set.name == name.as_bytes());
    named.map(|set| set.value).last()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture(source: Option<&str>, before: Before) -> Capture {
        let source = source.map(|text| Extract::new(&text.parse().unwrap()).unwrap());
        Capture { source, before }
    }

    #[test]
    fn what_comes_in_place_of_a_cookie_is_named() {
        let set = |value| httparse::Header { name: "Set-Cookie", value };
        let headers = [set(b"session=1; Path=/"), set(b"theme=2")];
        let answer = |headers| Answer { status: 200, headers, body: b"" };
        let cookie = capture(Some("cookie:sid"), Before::Nothing);
        let told = answer(&headers[..]).sets_instead(&cookie);
        assert_eq!(told, "; the answer sets `session`, `theme`");
        assert_eq!(answer(&[]).sets_instead(&cookie), "; the answer sets no cookie");
        let token = capture(Some("json:/token"), Before::Nothing);
        assert_eq!(answer(&headers[..]).sets_instead(&token), "");
    }

    #[test]
    fn values_are_found_in_cookie_header_json_and_html() {
        let headers = [
            httparse::Header { name: "set-cookie", value: b"other=1; Path=/" },
            httparse::Header { name: "Set-Cookie", value: b"sid=first; HttpOnly" },
            httparse::Header { name: "Set-Cookie", value: b"sid=last" },
            httparse::Header { name: "Set-Cookie", value: b"gone=; Max-Age=0" },
            httparse::Header { name: "X-Token", value: b"tok" },
            httparse::Header { name: "X-Tab", value: b"t\tk" },
        ];
        for (source, body, expected) in [
            ("cookie:sid", "", Some("last")),
            ("cookie:nope", "", None),
            ("cookie:gone", "", None),
            ("json:/access_token", r#"{"access_token":"jwt"}"#, Some("jwt")),
            ("json:/nope", r#"{"access_token":"jwt"}"#, None),
            ("json:/a", r#"{"a":"two\nlines"}"#, None),
            ("header:x-token", "", Some("tok")),
            ("header:x-tab", "", None),
            ("html:csrf", r#"<input name="csrf" value="h">"#, Some("h")),
            ("html:csrf", r#"{"csrf":"h"}"#, None),
            ("regex:code=([a-z]+)", "?code=xyz&", Some("xyz")),
            ("regex:code=[a-z]+", "?code=xyz&", Some("code=xyz")),
            ("regex:code=([a-z]+)", "?code=1", None),
        ] {
            let answer = Answer { status: 200, headers: &headers, body: body.as_bytes() };
            let capture = capture(Some(source), Before::Nothing);
            let found = capture.value(b"before", b"/", &answer);
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{source}");
            assert_eq!(capture.to_string(), format!("`{source}`"));
        }
    }

    #[test]
    fn a_cookie_stays_what_it_was_until_it_is_set_anew() {
        let set = [httparse::Header { name: "Set-Cookie", value: b"csrf=new" }];
        let answer = |headers| Answer { status: 200, headers, body: b"" };
        let cookie = capture(Some("cookie:csrf"), Before::Field(1));
        assert_eq!(cookie.value(b"sid\nold", b"/", &answer(&set)).as_deref(), Some(&b"new"[..]));
        assert_eq!(cookie.value(b"sid\nold", b"/", &answer(&[])).as_deref(), Some(&b"old"[..]));
        assert_eq!(cookie.value(b"sid", b"/", &answer(&[])), None);
        let cleared = [httparse::Header { name: "Set-Cookie", value: b"csrf=; Max-Age=0" }];
        assert_eq!(
            cookie.value(b"sid\nold", b"/", &answer(&cleared)).as_deref(),
            Some(&b"old"[..])
        );
        let clearable = capture(Some("cookie:csrf"), Before::Clearable(1));
        assert_eq!(
            clearable.value(b"sid\nold", b"/", &answer(&cleared)).as_deref(),
            Some(&b""[..])
        );
        let in_jar = capture(Some("cookie:csrf"), Before::Jar(1));
        let held = b"sid\n/\x1fa=1; csrf=j\x1e";
        assert_eq!(in_jar.value(held, b"/", &answer(&[])).as_deref(), Some(&b"j"[..]));
        assert_eq!(in_jar.value(held, b"/", &answer(&set)).as_deref(), Some(&b"new"[..]));
        let kept = capture(None, Before::Field(0));
        assert_eq!(kept.value(b"sid\nold", b"/", &answer(&set)).as_deref(), Some(&b"sid"[..]));
    }
}
