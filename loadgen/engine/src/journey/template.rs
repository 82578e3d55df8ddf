//! Text with holes, taken apart once and written out for every request.

use std::borrow::Cow;

use contract::UserPattern;

/// Whose request it is.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    /// Number of the user, from 0.
    pub n: u64,
    /// What the login gave; empty before it.
    pub credential: &'a [u8],
}

/// What stands between two fields of what is held of a user.
pub const FIELD_END: u8 = b'\n';

/// The field of this index; empty where there is none.
pub fn field(held: &[u8], index: u8) -> &[u8] {
    held.split(|byte| *byte == FIELD_END).nth(index.into()).unwrap_or_default()
}

/// Where a value is in what is held of a user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Held {
    /// Nowhere: it is not known yet.
    #[default]
    Nowhere,
    /// It is all there is.
    Whole,
    /// In this field.
    Field(u8),
}

/// What the holes of a text stand for.
#[derive(Clone, Copy, Debug)]
pub struct Holes<'a> {
    /// `{username}` and `{password}`.
    pub users: &'a UserPattern,
    /// `{credential}`; a hole for one that is not known yet stays empty.
    pub credential: Held,
    /// `{csrf}`; literal text where no token is known.
    pub csrf: Held,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    N,
    /// All that is held of the user, as it stands. Its own part, so that a target of one value
    /// pays for no search.
    Whole,
    Field(u8, Escape),
}

/// A text with holes.
///
/// `{n}` is the user's number, `{username}` and `{password}` are the target's patterns,
/// `{credential}` is what the login gave and `{csrf}` its token. The patterns are folded in when
/// the template is read, so that only literal bytes, numbers and held values are left to write
/// while a load runs. What is held of a user is one byte string: where it is more than one value,
/// they are fields with a line feed between them, which no value may contain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

/// How text has to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escape {
    /// As it stands.
    None,
    /// As the inside of a JSON string.
    Json,
    /// As a value in `application/x-www-form-urlencoded`.
    Form,
    /// As a part of a path or of a query, and nothing that ends one (RFC 3986, 2.1).
    Percent,
}

impl Escape {
    fn escaped(self, text: &[u8]) -> Cow<'_, [u8]> {
        let plain = match self {
            Self::None => true,
            Self::Json => text.iter().all(|b| !matches!(b, b'"' | b'\\' | 0..=0x1f)),
            Self::Form => text.iter().all(|b| is_plain_in_a_form(*b)),
            Self::Percent => text.iter().all(|b| is_unreserved(*b)),
        };
        if plain {
            return Cow::Borrowed(text);
        }
        let mut out = Vec::with_capacity(text.len() + 16);
        for byte in text {
            match (self, *byte) {
                (Self::Json, b'"' | b'\\') => out.extend_from_slice(&[b'\\', *byte]),
                (Self::Json, 0..=0x1f) => {
                    out.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
                }
                (Self::Form, b' ') => out.push(b'+'),
                (Self::Form, other) if !is_plain_in_a_form(other) => {
                    out.extend_from_slice(format!("%{other:02X}").as_bytes());
                }
                (Self::Percent, other) if !is_unreserved(other) => {
                    out.extend_from_slice(format!("%{other:02X}").as_bytes());
                }
                (_, other) => out.push(other),
            }
        }
        Cow::Owned(out)
    }
}

const fn is_plain_in_a_form(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*')
}

/// RFC 3986, 2.3.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

impl Template {
    /// Takes `text` apart; it and what fills its holes are written with this escape. A brace that
    /// opens no known hole is literal text.
    pub fn new(text: &str, holes: Holes<'_>, escape: Escape) -> Self {
        Self::read(text, holes, escape, escape)
    }

    /// Takes a `text` apart that is in its encoding already: only what fills its holes is escaped.
    pub fn encoded(text: &str, holes: Holes<'_>, escape: Escape) -> Self {
        Self::read(text, holes, Escape::None, escape)
    }

    fn read(text: &str, holes: Holes<'_>, literal: Escape, filling: Escape) -> Self {
        let mut template = Self::default();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            template.literal(&rest[..open], literal);
            rest = &rest[open..];
            let close = rest.find('}').map_or(rest.len(), |i| i + 1);
            match &rest[..close] {
                "{n}" => template.parts.push(Part::N),
                "{credential}" => template.held(holes.credential, filling),
                "{csrf}" if holes.csrf != Held::Nowhere => template.held(holes.csrf, filling),
                "{username}" => template.append(Self::pattern(&holes.users.username, filling)),
                "{password}" => template.append(Self::pattern(&holes.users.password, filling)),
                _ => {
                    template.literal("{", literal);
                    rest = &rest[1..];
                    continue;
                }
            }
            rest = &rest[close..];
        }
        template.literal(rest, literal);
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
        self.literal_bytes(&escape.escaped(text.as_bytes()));
    }

    /// Adds a value that is held of the user.
    pub fn held(&mut self, value: Held, escape: Escape) {
        match (value, escape) {
            (Held::Nowhere, _) => {}
            (Held::Whole, Escape::None) => self.parts.push(Part::Whole),
            (Held::Whole, _) => self.parts.push(Part::Field(0, escape)),
            (Held::Field(index), _) => self.parts.push(Part::Field(index, escape)),
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
                Part::Whole => out.extend_from_slice(who.credential),
                Part::Field(index, escape) => {
                    out.extend_from_slice(&escape.escaped(field(who.credential, *index)));
                }
            }
        }
    }

    /// Whether it writes just these bytes for this user.
    pub fn is(&self, who: Who<'_>, mut found: &[u8]) -> bool {
        for part in &self.parts {
            let mut digits = itoa::Buffer::new();
            let expected = match part {
                Part::Text(text) => Cow::Borrowed(text.as_slice()),
                Part::N => Cow::Borrowed(digits.format(who.n).as_bytes()),
                Part::Whole => Cow::Borrowed(who.credential),
                Part::Field(index, escape) => escape.escaped(field(who.credential, *index)),
            };
            match found.strip_prefix(&*expected) {
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
        let holes = Holes { users: &users, credential: Held::Whole, csrf: Held::Nowhere };
        Template::new(text, holes, escape).text(Who { n: 42, credential: b"c.r+d" })
    }

    #[test]
    fn holes_are_filled_and_other_braces_stay() {
        assert_eq!(written("/u/{n}?x={username}", Escape::None), "/u/42?x=us\"er 42");
        assert_eq!(written("Bearer {credential}", Escape::None), "Bearer c.r+d");
        assert_eq!(written("{\"a\":{n}}", Escape::None), "{\"a\":42}");
        assert_eq!(written("{unknown}{", Escape::None), "{unknown}{");
        assert_eq!(written("{csrf}", Escape::None), "{csrf}");
        assert_eq!(written("", Escape::None), "");
    }

    #[test]
    fn text_is_escaped_for_where_it_stands() {
        assert_eq!(written("{username}", Escape::Json), "us\\\"er 42");
        assert_eq!(written("\u{1}é\n\\", Escape::Json), "\\u0001é\\u000a\\\\");
        assert_eq!(written("{password}", Escape::Form), "p%264242");
        assert_eq!(written("{credential}", Escape::Form), "c.r%2Bd");
        assert_eq!(written("a b", Escape::Form), "a+b");
        assert_eq!(written("{username}", Escape::Percent), "us%22er%2042");
        assert_eq!(written("/é~{credential}", Escape::Percent), "%2F%C3%A9~c.r%2Bd");
    }

    #[test]
    fn a_value_is_its_field_and_escaped_where_the_text_around_it_is_not() {
        let users = UserPattern::default();
        let holes = Holes { users: &users, credential: Held::Field(0), csrf: Held::Field(2) };
        let held = b"sid\ncookie\nto+ken\"=";
        for (text, escape, expected) in [
            ("{credential}.{csrf}", Escape::None, "sid.to+ken\"="),
            ("{ \"t\": \"{csrf}\" }", Escape::Json, "{ \"t\": \"to+ken\\\"=\" }"),
            ("a=1&t={csrf}&u={username}", Escape::Form, "a=1&t=to%2Bken%22%3D&u=user-7"),
        ] {
            let template = Template::encoded(text, holes, escape);
            let who = Who { n: 7, credential: held };
            assert_eq!(template.text(who), expected);
            assert!(template.is(who, expected.as_bytes()) && !template.is(who, b"sid"));
        }
        let unknown = Holes { users: &users, credential: Held::Nowhere, csrf: Held::Nowhere };
        let template = Template::new("<{credential}>", unknown, Escape::None);
        assert_eq!(template.text(Who { n: 7, credential: held }), "<>");
        assert_eq!(
            (field(held, 1), field(held, 3), field(b"", 0)),
            (&b"cookie"[..], &b""[..], &b""[..])
        );
    }

    #[test]
    fn one_value_costs_no_search() {
        let users = UserPattern::default();
        let holes = Holes { users: &users, credential: Held::Whole, csrf: Held::Nowhere };
        let template = Template::new("Bearer {credential}", holes, Escape::None);
        assert_eq!(template.parts, [Part::Text(b"Bearer ".to_vec()), Part::Whole]);
    }

    #[test]
    fn is_agrees_with_write() {
        let users = UserPattern::default();
        let holes = Holes { users: &users, credential: Held::Whole, csrf: Held::Nowhere };
        let template = Template::new("{username}!", holes, Escape::None);
        let who = Who { n: 7, credential: b"" };
        assert!(template.is(who, b"user-7!"));
        for other in [&b"user-7"[..], b"user-7!!", b"user-8!", b"", b"user-77!"] {
            assert!(!template.is(who, other));
        }
    }
}
