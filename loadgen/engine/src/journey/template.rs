//! Text with holes, taken apart once and written out for every request.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contract::{UserPattern, UserRows};

use super::jar;

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

/// The field of this index; empty if `held` has fewer.
pub fn field(held: &[u8], index: u8) -> &[u8] {
    held.split(|byte| *byte == FIELD_END).nth(index.into()).unwrap_or_default()
}

/// The first field; all there is unless a jar ends it.
fn alone(held: &[u8]) -> &[u8] {
    if jar::ends(held) { field(held, 0) } else { held }
}

/// Where a value is in what is held of a user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Held {
    /// Nowhere: it is not known yet.
    #[default]
    Nowhere,
    /// It is all there is.
    Whole,
    /// It is all there is, or the first field where a jar that has cookies is held behind it.
    Alone,
    /// In this field.
    Field(u8),
}

/// What the holes of a text stand for.
#[derive(Clone, Copy, Debug)]
pub struct Holes<'a> {
    /// `{n}`, `{username}`, `{password}`, and a column of the users' file by its name.
    pub users: &'a UserPattern,
    /// `{credential}`; a hole for one that is not known yet stays empty.
    pub credential: Held,
    /// Other values that are held, by name, such as `{csrf}`; what is not known is literal text.
    pub values: &'a [(String, Held)],
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    N,
    /// The number, counted from this first one, with at least so many digits.
    Number(u64, u64),
    /// What the user's row has in this column; rows are counted from this first one on.
    Cell(Arc<UserRows>, u64, usize, Escape),
    /// All that is held of the user, as it stands. Its own part, so that a target of one value
    /// pays for no search.
    Whole,
    /// The same unless a jar is held behind it, which the last byte tells without a search.
    Alone,
    Field(u8, Escape),
    /// The cookies of a jar that go to a path.
    Jar(JarPlace, Arc<Template>),
    /// What a text is in Base64 (RFC 4648, 4).
    Base64(Arc<Template>),
    /// A line of a head, which is left out where its value is empty: what it begins with, and the
    /// value.
    Line(Vec<u8>, Arc<Template>),
}

/// Where a jar is, and where its cookies go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct JarPlace {
    field: u8,
    /// Whether it is the last field, so that the last byte tells whether it has cookies.
    is_last: bool,
    /// Whether other cookies precede its own in the header.
    begun: bool,
}

/// A text with holes.
///
/// `{n}` is the user's number, `{username}` and `{password}` are the target's patterns, a column of
/// the users' file stands for the cell in the user's row, `{credential}` is what the login gave and
/// `{csrf}` its token. The patterns are folded in when the template is read, so that only literal
/// bytes, numbers, cells and held values are left to write while a load runs. What is held of a
/// user is one byte string: where it is more than one value, they are fields with a line feed
/// between them, which no value may contain.
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

/// A number with at least so many digits.
fn number(n: u64, digits: u64) -> Vec<u8> {
    let mut buffer = itoa::Buffer::new();
    let plain = buffer.format(n).as_bytes();
    let zeros = usize::try_from(digits).unwrap_or(usize::MAX).saturating_sub(plain.len());
    [&vec![b'0'; zeros], plain].concat()
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
            let name = rest[1..].split_once('}').map(|(name, _)| name);
            match name.filter(|name| template.fill(name, holes, filling)) {
                Some(name) => rest = &rest[name.len() + 2..],
                None => {
                    template.literal("{", literal);
                    rest = &rest[1..];
                }
            }
        }
        template.literal(rest, literal);
        template
    }

    /// Adds what fills the hole of this name; `false` where there is no such hole.
    fn fill(&mut self, name: &str, holes: Holes<'_>, escape: Escape) -> bool {
        let users = holes.users;
        let pattern = match name {
            "username" => users.username(),
            "password" => users.password(),
            _ => None,
        };
        if let Some(pattern) = pattern {
            self.pattern(pattern, users, escape);
        } else if name == "credential" {
            self.held(holes.credential, escape);
        } else if let Some((_, value)) = holes.values.iter().find(|(known, _)| known == name) {
            self.held(*value, escape);
        } else {
            return self.user(name, users, escape);
        }
        true
    }

    /// Adds a user's number, or what their row has in the column of this name.
    fn user(&mut self, name: &str, users: &UserPattern, escape: Escape) -> bool {
        if name == "n" {
            let plain = (users.first, users.pad) == (0, 0);
            self.parts.push(if plain { Part::N } else { Part::Number(users.first, users.pad) });
            return true;
        }
        let column = users.columns().iter().position(|column| column == name);
        let Some((rows, column)) = users.rows.as_ref().zip(column) else { return false };
        self.parts.push(Part::Cell(Arc::clone(rows), users.first, column, escape));
        true
    }

    /// Adds a user pattern, in which only `{n}` and the columns of the file are holes.
    fn pattern(&mut self, text: &str, users: &UserPattern, escape: Escape) {
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('{') {
            self.literal(before, escape);
            let name = behind.split_once('}').map_or("", |(name, _)| name);
            if self.user(name, users, escape) {
                rest = &behind[name.len() + 1..];
            } else {
                self.literal("{", escape);
                rest = behind;
            }
        }
        self.literal(rest, escape);
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
            (Held::Alone, Escape::None) => self.parts.push(Part::Alone),
            (Held::Whole | Held::Alone, _) => self.parts.push(Part::Field(0, escape)),
            (Held::Field(index), _) => self.parts.push(Part::Field(index, escape)),
        }
    }

    /// Adds the cookies of the jar in this field, which may be the last one, that go to a path.
    pub fn jar(&mut self, field: u8, is_last: bool, path: &Self) {
        let place = JarPlace { field, is_last, begun: !self.parts.is_empty() };
        self.parts.push(Part::Jar(place, Arc::new(path.clone())));
    }

    /// What it writes, in Base64.
    #[must_use]
    pub fn in_base64(self) -> Self {
        Self { parts: vec![Part::Base64(Arc::new(self))] }
    }

    /// Whether it may write nothing though it has parts: cookies may be cleared, and none may go to
    /// a path. A header whose value is empty then is not sent.
    pub fn may_be_empty(&self) -> bool {
        matches!(self.parts.as_slice(), [Part::Jar(..)])
    }

    /// Adds a line of a head.
    pub fn line(&mut self, name: &str, value: Self) {
        let name = format!("{name}: ");
        if value.may_be_empty() {
            return self.parts.push(Part::Line(name.into(), Arc::new(value)));
        }
        self.literal_bytes(name.as_bytes());
        self.append(value);
        self.literal_bytes(b"\r\n");
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
                Part::Number(first, pad) => {
                    out.extend_from_slice(&number(who.n.saturating_add(*first), *pad));
                }
                Part::Cell(rows, first, column, escape) => {
                    let cell = rows.cell(who.n.saturating_add(*first), *column);
                    out.extend_from_slice(&escape.escaped(cell.as_bytes()));
                }
                Part::Whole => out.extend_from_slice(who.credential),
                Part::Alone => out.extend_from_slice(alone(who.credential)),
                Part::Field(index, escape) => {
                    out.extend_from_slice(&escape.escaped(field(who.credential, *index)));
                }
                Part::Jar(place, path) => {
                    if !place.is_last || jar::ends(who.credential) {
                        let cookies = field(who.credential, place.field);
                        jar::write(cookies, &path.bytes(who), place.begun, out);
                    }
                }
                Part::Base64(text) => {
                    let start = out.len();
                    text.write(who, out);
                    let plain = out.split_off(start);
                    let length = base64::encoded_len(plain.len(), true).unwrap_or_default();
                    out.resize(start + length, b'=');
                    // There is as much room as is needed.
                    let _ = STANDARD.encode_slice(&plain, &mut out[start..]);
                }
                Part::Line(name, value) => {
                    let start = out.len();
                    out.extend_from_slice(name);
                    value.write(who, out);
                    if out.len() == start + name.len() {
                        out.truncate(start);
                    } else {
                        out.extend_from_slice(b"\r\n");
                    }
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
                Part::Number(first, pad) => Cow::Owned(number(who.n.saturating_add(*first), *pad)),
                Part::Cell(rows, first, column, escape) => {
                    escape.escaped(rows.cell(who.n.saturating_add(*first), *column).as_bytes())
                }
                Part::Whole => Cow::Borrowed(who.credential),
                Part::Alone => Cow::Borrowed(alone(who.credential)),
                Part::Field(index, escape) => escape.escaped(field(who.credential, *index)),
                part @ (Part::Jar(..) | Part::Base64(_) | Part::Line(..)) => {
                    Cow::Owned(Self { parts: vec![part.clone()] }.bytes(who).into_owned())
                }
            };
            match found.strip_prefix(&*expected) {
                Some(rest) => found = rest,
                None => return false,
            }
        }
        found.is_empty()
    }

    /// The text for one user.
    pub(super) fn bytes(&self, who: Who<'_>) -> Cow<'_, [u8]> {
        if let [Part::Text(text)] = self.parts.as_slice() {
            return Cow::Borrowed(text);
        }
        let mut out = Vec::new();
        self.write(who, &mut out);
        Cow::Owned(out)
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
        let users = UserPattern {
            username: Some("us\"er {n}".into()),
            password: Some("p&{n}{n}".into()),
            ..UserPattern::default()
        };
        let holes = Holes { users: &users, credential: Held::Whole, values: &[] };
        Template::new(text, holes, escape).text(Who { n: 42, credential: b"c.r+d" })
    }

    #[test]
    fn a_text_in_base64_is_encoded_as_a_whole() {
        // RFC 7617, 2.
        let users = UserPattern {
            username: Some("Aladdin".into()),
            password: Some("open sesame".into()),
            ..UserPattern::default()
        };
        let holes = Holes { users: &users, credential: Held::Nowhere, values: &[] };
        let plain = Template::new("{username}:{password}", holes, Escape::None);
        let who = Who { n: 0, credential: b"" };
        let mut basic = Template::default();
        basic.literal_bytes(b"Basic ");
        basic.append(plain.in_base64());
        assert_eq!(basic.text(who), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert!(basic.is(who, b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
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
        let values = [("csrf".to_string(), Held::Field(2))];
        let holes = Holes { users: &users, credential: Held::Field(0), values: &values };
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
        let unknown = Holes { users: &users, credential: Held::Nowhere, values: &[] };
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
        let holes = Holes { users: &users, credential: Held::Whole, values: &[] };
        let template = Template::new("Bearer {credential}", holes, Escape::None);
        assert_eq!(template.parts, [Part::Text(b"Bearer ".to_vec()), Part::Whole]);
    }

    #[test]
    fn numbers_are_counted_on_and_padded_and_rows_are_found_by_them() {
        let mut rows = UserRows::new(vec!["mail".into(), "pin".into()]);
        for cell in ["a@x", "1", "b@x", "2", "c&d", "\"3"] {
            rows.push(cell);
        }
        let users = UserPattern {
            username: Some("{mail}/{n}{".into()),
            file: Some("users.csv".into()),
            first: 1,
            pad: 4,
            rows: Some(Arc::new(rows)),
            ..UserPattern::default()
        };
        let holes = Holes { users: &users, credential: Held::Nowhere, values: &[] };
        let who = |n| Who { n, credential: b"" };
        for (text, n, escape, expected) in [
            ("{n}:{mail}", 0, Escape::None, "0001:b@x"),
            ("{n}", 12_344, Escape::None, "12345"),
            ("{username}", 1, Escape::None, "c&d/0002{"),
            ("{username}", 1, Escape::Form, "c%26d%2F0002%7B"),
            ("{mail}-{pin}", 1, Escape::Json, "c&d-\\\"3"),
            ("{mail}", 2, Escape::None, ""),
            ("{password}", 0, Escape::None, "{password}"),
        ] {
            let template = Template::new(text, holes, escape);
            assert_eq!(template.text(who(n)), expected);
            assert!(template.is(who(n), expected.as_bytes()), "{text}");
            assert!(!template.is(who(n), b"b@x!"), "{text}");
        }
        let many = UserPattern { first: u64::MAX, ..users.clone() };
        let holes = Holes { users: &many, ..holes };
        assert_eq!(Template::new("{mail}", holes, Escape::None).text(who(3)), "");
    }

    #[test]
    fn cookies_go_where_their_path_says_and_an_empty_header_is_left_out() {
        let users = UserPattern::default();
        let holes = Holes { users: &users, credential: Held::Field(0), values: &[] };
        let held = b"sid\n/a/7\x1fx=1\x1e/\x1fy=2; z=3\x1e";
        let written = |path: &str, begins: &str, held: &[u8]| {
            let mut cookies = Template::new(begins, holes, Escape::None);
            cookies.jar(1, true, &Template::new(path, holes, Escape::None));
            let (may_be_empty, who) = (cookies.may_be_empty(), Who { n: 7, credential: held });
            let mut head = Template::default();
            head.line("Cookie", cookies);
            assert!(head.is(who, head.text(who).as_bytes()));
            (head.text(who), may_be_empty)
        };
        let all = "Cookie: x=1; y=2; z=3\r\n".to_string();
        assert_eq!(written("/a/{n}", "", held), (all, true));
        let begun = "Cookie: s=sid; y=2; z=3\r\n".to_string();
        assert_eq!(written("/b", "s={credential}", held), (begun, false));
        let alone = "Cookie: s=sid\r\n".to_string();
        assert_eq!(written("/b", "s={credential}", b"sid"), (alone, false));
        assert_eq!(written("/b", "", b"sid"), (String::new(), true));
        assert_eq!(written("/b", "", b"sid\n/a\x1fx=1\x1e"), (String::new(), true));
    }

    #[test]
    fn is_agrees_with_write() {
        let users = UserPattern::default();
        let holes = Holes { users: &users, credential: Held::Whole, values: &[] };
        let template = Template::new("{username}!", holes, Escape::None);
        let who = Who { n: 7, credential: b"" };
        assert!(template.is(who, b"user-7!"));
        for other in [&b"user-7"[..], b"user-7!!", b"user-8!", b"", b"user-77!"] {
            assert!(!template.is(who, other));
        }
    }
}
