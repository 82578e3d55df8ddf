//! Text with holes, taken apart once and written out for every request.
//!
//! `{n}` is the user's number, `{username}` and `{password}` are the target's patterns, and
//! `{credential}` is what the login gave. The patterns are folded in when the template is read, so
//! that only literal bytes, numbers and credentials are left to write while a load runs.

use servers::contract::UserPattern;

/// Whose request it is.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    /// Number of the user, from 0.
    pub n: u64,
    /// What the login gave; empty before it.
    pub credential: &'a [u8],
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    N,
    Credential,
}

/// A text with holes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

/// How the literal text between holes has to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escape {
    /// As it stands.
    None,
    /// As the inside of a JSON string.
    Json,
    /// As a value in `application/x-www-form-urlencoded`.
    Form,
}

impl Template {
    /// Takes `text` apart; `users` gives what `{username}` and `{password}` stand for. A brace that
    /// opens no known hole is literal text.
    pub fn new(text: &str, users: &UserPattern, escape: Escape) -> Self {
        let mut template = Self::default();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            template.literal(&rest[..open], escape);
            rest = &rest[open..];
            let close = rest.find('}').map_or(rest.len(), |i| i + 1);
            match &rest[..close] {
                "{n}" => template.parts.push(Part::N),
                "{credential}" => template.parts.push(Part::Credential),
                "{username}" => template.append(Self::pattern(&users.username, escape)),
                "{password}" => template.append(Self::pattern(&users.password, escape)),
                _ => {
                    template.literal("{", escape);
                    rest = &rest[1..];
                    continue;
                }
            }
            rest = &rest[close..];
        }
        template.literal(rest, escape);
        template
    }

    /// A user pattern, in which only `{n}` is a hole.
    fn pattern(text: &str, escape: Escape) -> Self {
        let mut template = Self::default();
        for (i, literal) in text.split("{n}").enumerate() {
            if i > 0 {
                template.parts.push(Part::N);
            }
            template.literal(literal, escape);
        }
        template
    }

    /// Adds text that is written as it stands.
    pub fn literal_bytes(&mut self, bytes: &[u8]) {
        match self.parts.last_mut() {
            _ if bytes.is_empty() => {}
            Some(Part::Text(text)) => text.extend_from_slice(bytes),
            _ => self.parts.push(Part::Text(bytes.to_vec())),
        }
    }

    fn literal(&mut self, text: &str, escape: Escape) {
        match escape {
            Escape::None => self.literal_bytes(text.as_bytes()),
            Escape::Json => {
                let quoted = serde_json::Value::from(text).to_string();
                self.literal_bytes(&quoted.as_bytes()[1..quoted.len() - 1]);
            }
            Escape::Form => {
                for byte in text.bytes() {
                    match byte {
                        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => {
                            self.literal_bytes(&[byte]);
                        }
                        b' ' => self.literal_bytes(b"+"),
                        _ => self.literal_bytes(format!("%{byte:02X}").as_bytes()),
                    }
                }
            }
        }
    }

    /// Adds what another template writes.
    pub fn append(&mut self, other: Self) {
        for part in other.parts {
            match part {
                Part::Text(text) => self.literal_bytes(&text),
                hole => self.parts.push(hole),
            }
        }
    }

    /// Writes the text for one user.
    pub fn write(&self, who: Who<'_>, out: &mut Vec<u8>) {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::N => out.extend_from_slice(itoa::Buffer::new().format(who.n).as_bytes()),
                Part::Credential => out.extend_from_slice(who.credential),
            }
        }
    }

    /// Whether it writes just these bytes for this user.
    pub fn is(&self, who: Who<'_>, mut found: &[u8]) -> bool {
        for part in &self.parts {
            let mut digits = itoa::Buffer::new();
            let expected = match part {
                Part::Text(text) => text.as_slice(),
                Part::N => digits.format(who.n).as_bytes(),
                Part::Credential => who.credential,
            };
            match found.strip_prefix(expected) {
                Some(rest) => found = rest,
                None => return false,
            }
        }
        found.is_empty()
    }

    /// The text for one user, as a string; for messages and for clients that want one.
    pub fn text(&self, who: Who<'_>) -> String {
        let mut out = Vec::new();
        self.write(who, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str, escape: Escape) -> String {
        let users = UserPattern { username: "us\"er {n}".into(), password: "p&{n}{n}".into() };
        Template::new(text, &users, escape).text(Who { n: 42, credential: b"c.r+d" })
    }

    #[test]
    fn holes_are_filled_and_other_braces_stay() {
        assert_eq!(written("/u/{n}?x={username}", Escape::None), "/u/42?x=us\"er 42");
        assert_eq!(written("Bearer {credential}", Escape::None), "Bearer c.r+d");
        assert_eq!(written("{\"a\":{n}}", Escape::None), "{\"a\":42}");
        assert_eq!(written("{unknown}{", Escape::None), "{unknown}{");
        assert_eq!(written("", Escape::None), "");
    }

    #[test]
    fn text_is_escaped_for_where_it_stands() {
        assert_eq!(written("{username}", Escape::Json), "us\\\"er 42");
        assert_eq!(written("{password}", Escape::Form), "p%264242");
        assert_eq!(written("a b", Escape::Form), "a+b");
    }

    #[test]
    fn is_agrees_with_write() {
        let template = Template::new("{username}!", &UserPattern::default(), Escape::None);
        let who = Who { n: 7, credential: b"" };
        assert!(template.is(who, b"user-7!"));
        for other in [&b"user-7"[..], b"user-7!!", b"user-8!", b"", b"user-77!"] {
            assert!(!template.is(who, other));
        }
    }
}
