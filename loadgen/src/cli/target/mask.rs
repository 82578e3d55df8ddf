//! Takes secrets out of what is shown of requests and answers: passwords, tokens, cookies' values.
//! What may be one is masked too: a value that is hidden in error costs a reader less than one that
//! is shown in error.

use serde_json::Value;

/// What stands in the place of a secret.
pub(super) const MASK: &str = "***";
/// A known value shorter than this is not looked for in other text, where it would be everywhere.
const KNOWN_LEAST: usize = 4;
/// A word of so many letters and digits may be a token.
const TOKEN_LEAST: usize = 20;

/// Parts of names that say that a value is secret, in lower case and without `-`, `_` and `.`.
const SECRET_PARTS: [&str; 15] = [
    "pass",
    "pwd",
    "secret",
    "token",
    "csrf",
    "xsrf",
    "session",
    "authoriz",
    "jwt",
    "credential",
    "apikey",
    "cookie",
    "signature",
    "assertion",
    "verifier",
];
/// Whole names that say so.
const SECRET_NAMES: [&str; 9] =
    ["auth", "sid", "pin", "otp", "code", "state", "nonce", "connectsid", "key"];

/// Whether a field, parameter or header of this name has a secret value.
pub(super) fn is_secret(name: &str) -> bool {
    let plain: String =
        name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    let is_description = ["type", "expires", "expiresin"].iter().any(|end| plain.ends_with(end));
    SECRET_NAMES.contains(&plain.as_str())
        || !is_description && SECRET_PARTS.iter().any(|part| plain.contains(part))
        || plain.starts_with("host") && plain.ends_with("sid")
}

/// Values that are secret wherever they stand.
#[derive(Clone, Debug, Default)]
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    /// These values, in the forms that they have in paths, forms and JSON.
    pub(super) fn new<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut all = Vec::new();
        for value in values {
            let text = String::from_utf8_lossy(value).into_owned();
            let json = Value::from(text.as_str()).to_string();
            all.push(json[1..json.len() - 1].to_string());
            all.push(percent_encoded(value, "-._~"));
            all.push(percent_encoded(value, "-._*").replace("%20", "+"));
            all.push(text);
        }
        all.retain(|value| value.len() >= KNOWN_LEAST);
        // The longest first: a value may be part of another.
        all.sort_by_key(|value| std::cmp::Reverse(value.len()));
        all.dedup();
        Self(all)
    }

    /// Text without the known values and without words that may be tokens.
    pub(super) fn text(&self, text: &str) -> String {
        let mut text = text.to_string();
        for value in &self.0 {
            text = text.replace(value, MASK);
        }
        without_tokens(&text)
    }

    /// A path with its query.
    pub(super) fn path(&self, path: &str) -> String {
        match path.split_once('?') {
            Some((path, query)) => format!("{}?{}", self.text(path), self.form(query)),
            None => self.text(path),
        }
    }

    /// The value of a header.
    pub(super) fn header(&self, name: &str, value: &str) -> String {
        match name.to_lowercase().as_str() {
            "authorization" | "proxy-authorization" => match value.split_once(' ') {
                Some((scheme, _)) => format!("{scheme} {MASK}"),
                None => MASK.into(),
            },
            "cookie" => {
                let cookies: Vec<_> = value.split(';').map(cookie).collect();
                cookies.join("; ")
            }
            "set-cookie" => match value.split_once(';') {
                Some((first, attributes)) => format!("{};{}", cookie(first), self.text(attributes)),
                None => cookie(value),
            },
            "location" | "referer" | "content-location" => self.path(value),
            _ if is_secret(name) => MASK.into(),
            _ => self.text(value),
        }
    }

    /// A body of this media type.
    pub(super) fn body(&self, media_type: &str, body: &str) -> String {
        let json = serde_json::from_str::<Value>(body).ok();
        match json {
            Some(mut json @ (Value::Object(_) | Value::Array(_))) => {
                self.json(&mut json);
                json.to_string()
            }
            _ if media_type.starts_with("application/x-www-form-urlencoded") => self.form(body),
            _ => self.text(body),
        }
    }

    fn form(&self, form: &str) -> String {
        let field = |field: &str| match field.split_once('=') {
            Some((name, _)) if is_secret(name) => format!("{name}={MASK}"),
            Some((name, value)) => format!("{name}={}", self.text(value)),
            None => self.text(field),
        };
        form.split('&').map(field).collect::<Vec<_>>().join("&")
    }

    fn json(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Array(values) => values.iter_mut().for_each(|value| self.json(value)),
            Value::Object(fields) => {
                for (name, value) in fields {
                    if is_secret(name) && !matches!(value, Value::Object(_) | Value::Array(_)) {
                        *value = MASK.into();
                    } else {
                        self.json(value);
                    }
                }
            }
            Value::Number(number) if self.0.contains(&number.to_string()) => *value = MASK.into(),
            _ => {}
        }
    }
}

fn cookie(cookie: &str) -> String {
    match cookie.trim().split_once('=') {
        Some((name, "")) => format!("{name}="),
        Some((name, _)) => format!("{name}={MASK}"),
        None => MASK.into(),
    }
}

fn percent_encoded(value: &[u8], plain: &str) -> String {
    let mut out = String::new();
    for byte in value {
        let c = char::from(*byte);
        if c.is_ascii_alphanumeric() || plain.contains(c) {
            out.push(c);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Masks long words with digits and letters in them, as keys, hashes and tokens are.
fn without_tokens(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-_.+%=".contains(c);
    let mut out = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let word = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let (found, behind) = rest.split_at(word);
        let letters = found.chars().filter(char::is_ascii_alphanumeric).count();
        let has_both = found.contains(|c: char| c.is_ascii_digit())
            && found.contains(|c: char| c.is_ascii_alphabetic());
        let is_token = letters >= TOKEN_LEAST && has_both;
        out.push_str(if is_token { MASK } else { found });
        let mark = behind.find(is_part).unwrap_or(behind.len());
        out.push_str(&behind[..mark]);
        rest = &behind[mark..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI3In0.c2lnbmF0dXJlLTE";

    fn secrets() -> Secrets {
        Secrets::new([b"hunter 2&\"".as_slice(), b"s3cr3t-sid", TOKEN.as_bytes(), b"x"])
    }

    #[test]
    fn names_tell_what_is_secret() {
        for name in [
            "password",
            "user[password]",
            "new_password",
            "X-CSRF-Token",
            "csrfmiddlewaretoken",
            "access_token",
            "refreshToken",
            "sid",
            "connect.sid",
            "__Host-sid",
            "sessionid",
            "otp",
            "api-key",
            "SAMLAssertion",
            "code_verifier",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in
            ["username", "email", "user_id", "author", "item", "accept", "considered", "token_type"]
        {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn nothing_secret_is_left_in_headers() {
        let secrets = secrets();
        for (name, value, shown) in [
            ("Authorization", "Bearer abc", "Bearer ***"),
            ("authorization", "abc", "***"),
            ("Cookie", "sid=abc; theme=dark", "sid=***; theme=***"),
            ("Set-Cookie", "sid=abc; Path=/; HttpOnly", "sid=***; Path=/; HttpOnly"),
            ("Set-Cookie", "sid=; Max-Age=0", "sid=; Max-Age=0"),
            ("X-CSRF-Token", "abc", "***"),
            ("X-Refresh", "s3cr3t-sid", "***"),
            ("Location", "/in?code=abc&next=/me", "/in?code=***&next=/me"),
            ("Content-Type", "application/json", "application/json"),
            ("ETag", "W/\"33a64df551425fcc55e4d42a148795d9f25f89d4\"", "W/\"***\""),
        ] {
            assert_eq!(secrets.header(name, value), shown, "{name}: {value}");
        }
    }

    #[test]
    fn nothing_secret_is_left_in_paths_and_bodies() {
        let secrets = secrets();
        for (kind, body, shown) in [
            (
                "application/json",
                r#"{"user":"ann","password":"p","deep":{"pin":1234,"list":["s3cr3t-sid"]}}"#,
                r#"{"user":"ann","password":"***","deep":{"pin":"***","list":["***"]}}"#,
            ),
            (
                "application/x-www-form-urlencoded",
                "user=ann&pass=p&note=hunter+2%26%22&_csrf=q",
                "user=ann&pass=***&note=***&_csrf=***",
            ),
            ("text/html", "<p>hunter 2&\"</p>", "<p>***</p>"),
            ("text/plain", TOKEN, "***"),
            (
                "text/html",
                "<input name=x value=\"0123456789abcdef0123\">",
                "<input name=x value=\"***\">",
            ),
            (
                "text/plain",
                "a word, another-long-hyphenated-word-here",
                "a word, another-long-hyphenated-word-here",
            ),
            ("application/json", "not json s3cr3t-sid", "not json ***"),
        ] {
            assert_eq!(secrets.body(kind, body), shown, "{body}");
        }
        assert_eq!(secrets.path("/u/s3cr3t-sid?token=x&a=b"), "/u/***?token=***&a=b");
        assert_eq!(secrets.path("/hunter%202%26%22"), "/***");
    }
}
