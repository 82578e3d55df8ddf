//! Finds one value in a JSON text without building the rest.

use std::borrow::Cow;

/// A JSON pointer, taken apart.
///
/// Every answer is checked to name the right user, so this runs once a request and must cost next
/// to nothing: it walks the text to the value that a JSON pointer (RFC 6901) names and stops there.
/// It is no validator. It must never find a value that a full parser would not find at that pointer
/// in a valid text; a property test holds it against `serde_json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer {
    keys: Vec<String>,
}

impl Pointer {
    /// Takes apart `/a/0/b`; `None` when it does not start with `/`.
    pub fn new(text: &str) -> Option<Self> {
        let rest = text.strip_prefix('/')?;
        let keys = rest.split('/').map(|key| key.replace("~1", "/").replace("~0", "~")).collect();
        Some(Self { keys })
    }

    /// The text of the string or number at this pointer, if one stands there.
    pub fn find<'a>(&self, json: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        self.reach(json)?.scalar()
    }

    /// The boolean at this pointer; `None` when something else or nothing is there.
    pub fn find_flag(&self, json: &[u8]) -> Option<bool> {
        match self.reach(json)?.bare()? {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        }
    }

    fn reach<'a>(&self, json: &'a [u8]) -> Option<Scanner<'a>> {
        let mut scanner = Scanner { json, at: 0 };
        for key in &self.keys {
            scanner.descend(key)?;
        }
        scanner.peek()?;
        Some(scanner)
    }
}

/// Containers deeper than this are not searched: no answer of a login is, and skipping must not
/// be made to recurse without end.
const DEPTH_MAX: usize = 64;

struct Scanner<'a> {
    json: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    fn peek(&mut self) -> Option<u8> {
        while let Some(byte) = self.json.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// Moves to the value of `key` in the object, or to that element of the array, that starts
    /// here. The last of several equal keys counts, as it does for `serde_json`.
    fn descend(&mut self, key: &str) -> Option<()> {
        match self.peek()? {
            b'{' => self.member(key),
            b'[' => self.element(key.parse().ok()?),
            _ => None,
        }
    }

    fn member(&mut self, key: &str) -> Option<()> {
        let mut found = None;
        self.expect(b'{')?;
        if self.peek()? == b'}' {
            return None;
        }
        loop {
            let name = self.string()?;
            self.expect(b':')?;
            self.peek()?;
            if *unescaped(name)? == *key.as_bytes() {
                found = Some(self.at);
            }
            self.skip(0)?;
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => break,
                _ => return None,
            }
        }
        self.at = found?;
        Some(())
    }

    fn element(&mut self, index: usize) -> Option<()> {
        self.expect(b'[')?;
        for _ in 0..index {
            self.skip(0)?;
            self.expect(b',')?;
        }
        (self.peek()? != b']').then_some(())
    }

    /// Reads a string and returns what stands between the quotes.
    fn string(&mut self) -> Option<&'a [u8]> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            match self.json.get(self.at)? {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        self.json.get(start..self.at - 1)
    }

    fn skip(&mut self, depth: usize) -> Option<()> {
        match self.peek()? {
            b'"' => self.string().map(|_| ()),
            open @ (b'{' | b'[') if depth < DEPTH_MAX => {
                let close = if open == b'{' { b'}' } else { b']' };
                self.at += 1;
                if self.peek()? == close {
                    self.at += 1;
                    return Some(());
                }
                loop {
                    if open == b'{' {
                        self.string()?;
                        self.expect(b':')?;
                    }
                    self.skip(depth + 1)?;
                    match self.peek()? {
                        b',' => self.at += 1,
                        byte if byte == close => break,
                        _ => return None,
                    }
                }
                self.at += 1;
                Some(())
            }
            _ => self.bare().map(|_| ()),
        }
    }

    /// A number, `true`, `false` or `null`.
    fn bare(&mut self) -> Option<&'a [u8]> {
        let rest = self.json.get(self.at..)?;
        let length = rest
            .iter()
            .position(|b| !matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'a'..=b'z' | b'E'))
            .unwrap_or(rest.len());
        self.at += length;
        (length > 0).then(|| &rest[..length])
    }

    fn scalar(&mut self) -> Option<Cow<'a, [u8]>> {
        match self.peek()? {
            b'"' => unescaped(self.string()?),
            b'-' | b'0'..=b'9' => self.bare().map(Cow::Borrowed),
            _ => None,
        }
    }
}

fn unescaped(inside: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !inside.contains(&b'\\') {
        return Some(Cow::Borrowed(inside));
    }
    let quoted = [b"\"", inside, b"\""].concat();
    serde_json::from_slice::<String>(&quoted).ok().map(|text| Cow::Owned(text.into_bytes()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn find(pointer: &str, json: &str) -> Option<String> {
        let found = Pointer::new(pointer)?.find(json.as_bytes())?;
        Some(String::from_utf8(found.into_owned()).unwrap())
    }

    #[test]
    fn values_are_found_where_the_pointer_says() {
        let json = r#" {"x":{"user_id":9},"a/b":[1,{"k":"v\n"}],"user_id" : 17 , "name":"U"}"#;
        assert_eq!(find("/user_id", json).as_deref(), Some("17"));
        assert_eq!(find("/x/user_id", json).as_deref(), Some("9"));
        assert_eq!(find("/a~1b/1/k", json).as_deref(), Some("v\n"));
        assert_eq!(find("/name", json).as_deref(), Some("U"));
        for absent in ["/nope", "/x", "/a~1b/2", "/name/x", "/a~1b/k"] {
            assert_eq!(find(absent, json), None, "{absent}");
        }
    }

    #[test]
    fn a_boolean_is_no_text_and_a_text_no_boolean() {
        let json = r#"{"ok": true, "no":false,"text":"true","n":1,"list":[true]}"#;
        let flag = |pointer: &str| Pointer::new(pointer).unwrap().find_flag(json.as_bytes());
        let found = ["/ok", "/no", "/text", "/n", "/list", "/list/0", "/nope"].map(flag);
        let expected = [Some(true), Some(false), None, None, None, Some(true), None];
        assert_eq!(found, expected);
        assert_eq!(find("/ok", json), None);
    }

    #[test]
    fn the_value_of_another_key_is_not_taken() {
        assert_eq!(find("/user_id", r#"{"note":"\"user_id\":17"}"#), None);
        assert_eq!(find("/user_id", r#"{"user_id":{"user_id":17}}"#), None);
        assert_eq!(find("/user_id", r#"{"user_id":17,"user_id":18}"#).as_deref(), Some("18"));
    }

    #[test]
    fn garbage_is_not_searched() {
        for json in ["", "{", "{\"a", "{\"a\":", "[", "{]", "\"", "{\"a\" 1}", "<html>", "{\"a\":1"]
        {
            assert_eq!(find("/a", json), None, "{json}");
        }
        let deep = format!("{{\"b\":{}1{},\"a\":1}}", "[".repeat(9000), "]".repeat(9000));
        assert_eq!(find("/a", &deep), None);
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-c\"\\\\\\n/~é]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-c/~\"]{1,2}", inner, 0..4).prop_map(|m| json!(m)),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_agrees_with_serde_json(
            value in value(),
            keys in prop::collection::vec("[a-c/~\"]{1,2}|[0-3]", 1..4),
            pretty: bool,
        ) {
            let escaped = |key: &String| key.replace('~', "~0").replace('/', "~1");
            let pointer: String = keys.iter().map(|key| format!("/{}", escaped(key))).collect();
            let text = if pretty { format!("{value:#}") } else { value.to_string() };
            let expected = value.pointer(&pointer).and_then(|v| match v {
                Value::String(s) => Some(s.clone()),
                Value::Number(n) => Some(n.to_string()),
                _ => None,
            });
            prop_assert_eq!(find(&pointer, &text), expected);
        }
    }
}
