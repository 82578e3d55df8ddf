//! Takes values out of answers: the credential, a CSRF token, the cookies that go with it.
//! A value is looked for where the descriptor says and nowhere else. One with a control character
//! in it is refused: it would let the answer write headers into every later request of the user.

use std::borrow::Cow;
use std::fmt;

use contract::CredentialSource;

use super::html::named_value;
use super::scan::Pointer;
use super::template::field;

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
    /// The field of what was held before that counts where the answer has no such value, as a
    /// cookie stays what it was until it is set anew.
    pub before: Option<u8>,
}

/// Where a value is in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extract {
    /// In this cookie.
    Cookie(String),
    /// In the body, which is JSON.
    Json(Pointer, String),
    /// In this header.
    Header(String),
    /// In the body, which is HTML, in the input or meta element of this name.
    Html(String),
}

impl Capture {
    /// Whether the answer has it in its body.
    pub(super) const fn is_in_body(&self) -> bool {
        matches!(self.source, Some(Extract::Json(..) | Extract::Html(_)))
    }

    pub(super) fn value<'a>(&self, before: &'a [u8], answer: &Answer<'a>) -> Option<Cow<'a, [u8]>> {
        let filled = |value: &Cow<'_, [u8]>| !value.is_empty();
        let found = self.source.as_ref().and_then(|source| source.find(answer)).filter(filled);
        found
            .or_else(|| Some(Cow::Borrowed(field(before, self.before?))).filter(filled))
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
        })
    }

    fn find<'a>(&self, answer: &Answer<'a>) -> Option<Cow<'a, [u8]>> {
        match self {
            Self::Cookie(name) => set_cookie(answer.headers, name).map(Cow::Borrowed),
            Self::Json(pointer, _) => pointer.find(answer.body),
            Self::Header(name) => header(answer.headers, name).map(Cow::Borrowed),
            Self::Html(name) => named_value(answer.body, name),
        }
    }
}

impl fmt::Display for Extract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, text) = match self {
            Self::Cookie(name) => ("cookie", name),
            Self::Json(_, pointer) => ("json", pointer),
            Self::Header(name) => ("header", name),
            Self::Html(name) => ("html", name),
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
/// (RFC 6265, section 5.3).
fn set_cookie<'a>(headers: &[httparse::Header<'a>], name: &str) -> Option<&'a [u8]> {
    headers
        .iter()
        .filter(|h| h.name.eq_ignore_ascii_case("set-cookie"))
        .filter_map(|h| {
            let mut parts = h.value.split(|b| *b == b';').map(<[u8]>::trim_ascii);
            let value = parts.next()?.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
            // A cookie that is set to be deleted has no value, whatever text stands for it.
            Some(if parts.any(deletes) { &b""[..] } else { value })
        })
        .next_back()
}

/// Whether an attribute ends its cookie at once (RFC 6265, sections 5.2.1 and 5.2.2): no time to
/// live, or a date in 1970, which is how frameworks write it.
fn deletes(attribute: &[u8]) -> bool {
    let text = String::from_utf8_lossy(attribute).to_ascii_lowercase();
    match text.split_once('=') {
        Some(("max-age", age)) => age.parse::<i64>().is_ok_and(|age| age <= 0),
        Some(("expires", date)) => date.contains("jan 1970") || date.contains("jan-1970"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_that_is_deleted_has_no_value() {
        let value = |text: &'static str| {
            let headers = [httparse::Header { name: "Set-Cookie", value: text.as_bytes() }];
            set_cookie(&headers, "sid")
        };
        assert_eq!(value("sid=abc; Max-Age=900; Path=/"), Some(&b"abc"[..]));
        assert_eq!(value("sid=abc; Expires=Wed, 01 Jan 2070 00:00:01 GMT"), Some(&b"abc"[..]));
        for deleted in [
            "sid=deleted; Max-Age=0",
            "sid=x; max-age=-1",
            "sid=deleted; expires=Thu, 01-Jan-1970 00:00:01 GMT",
            "sid=; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
        ] {
            assert_eq!(value(deleted), Some(&b""[..]), "{deleted}");
        }
    }

    fn capture(source: Option<&str>, before: Option<u8>) -> Capture {
        let source = source.map(|text| Extract::new(&text.parse().unwrap()).unwrap());
        Capture { source, before }
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
        ] {
            let answer = Answer { status: 200, headers: &headers, body: body.as_bytes() };
            let capture = capture(Some(source), None);
            let found = capture.value(b"before", &answer);
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{source}");
            assert_eq!(capture.to_string(), format!("`{source}`"));
        }
    }

    #[test]
    fn a_cookie_stays_what_it_was_until_it_is_set_anew() {
        let set = [httparse::Header { name: "Set-Cookie", value: b"csrf=new" }];
        let answer = |headers| Answer { status: 200, headers, body: b"" };
        let cookie = capture(Some("cookie:csrf"), Some(1));
        assert_eq!(cookie.value(b"sid\nold", &answer(&set)).as_deref(), Some(&b"new"[..]));
        assert_eq!(cookie.value(b"sid\nold", &answer(&[])).as_deref(), Some(&b"old"[..]));
        assert_eq!(cookie.value(b"sid", &answer(&[])), None);
        let kept = capture(None, Some(0));
        assert_eq!(kept.value(b"sid\nold", &answer(&set)).as_deref(), Some(&b"sid"[..]));
    }
}
