//! Finds one value in an HTML page: the token that a form carries in a hidden field.

use std::borrow::Cow;

/// The `value` of the first `<input name=NAME>`, or the `content` of the first `<meta name=NAME>`,
/// whichever comes first; `None` when there is neither.
///
/// It runs once a login, on pages that a template engine made, and is no HTML parser: it walks from
/// tag to tag, passes over comments and text in which tags are no tags, and reads the attributes of
/// `input` and `meta` elements. It must never take a value from within a comment, a script or
/// another attribute's text.
pub(super) fn named_value<'a>(page: &'a [u8], name: &str) -> Option<Cow<'a, [u8]>> {
    let mut rest = page;
    while let Some(open) = rest.iter().position(|byte| *byte == b'<') {
        rest = &rest[open + 1..];
        if let Some(comment) = rest.strip_prefix(b"!--") {
            rest = after(comment, b"-->");
            continue;
        }
        let length = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        let (tag, attributes) = rest.split_at(length);
        let value_of: &[u8] = match tag.to_ascii_lowercase().as_slice() {
            // The end of a tag, a declaration, or a `<` that opens none.
            b"" => continue,
            b"input" => b"value",
            b"meta" => b"content",
            raw @ (b"script" | b"style" | b"textarea" | b"title") => {
                rest = after(attributes, &[b"</", raw].concat());
                continue;
            }
            _ => b"",
        };
        let (mut found_name, mut found_value) = (None, None);
        let mut tag = Attributes(attributes);
        // Of two attributes with the same key the first one counts.
        for (key, text) in tag.by_ref() {
            if key.eq_ignore_ascii_case(b"name") {
                found_name.get_or_insert(text);
            } else if key.eq_ignore_ascii_case(value_of) {
                found_value.get_or_insert(text);
            }
        }
        rest = tag.0;
        let named = found_name.is_some_and(|text| *unescaped(text) == *name.as_bytes());
        if named
            && rest.starts_with(b">")
            && let Some(value) = found_value
        {
            return Some(unescaped(value));
        }
    }
    None
}

/// What follows the first `end`, in whatever case; nothing without one.
fn after<'a>(text: &'a [u8], end: &[u8]) -> &'a [u8] {
    let found = text.windows(end.len()).position(|window| window.eq_ignore_ascii_case(end));
    found.map_or(&[], |at| &text[at + end.len()..])
}

/// Keys and values of one tag; what is left behind it is what follows the tag.
struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    fn take_until(&mut self, ends: impl Fn(u8) -> bool) -> &'a [u8] {
        let length = self.0.iter().position(|byte| ends(*byte)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    fn value(&mut self) -> &'a [u8] {
        match self.0.first() {
            Some(quote @ (b'"' | b'\'')) => {
                self.0 = &self.0[1..];
                let value = self.take_until(|byte| byte == *quote);
                self.0 = self.0.get(1..).unwrap_or_default();
                value
            }
            _ => self.take_until(|byte| byte.is_ascii_whitespace() || byte == b'>'),
        }
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.take_until(|byte| !byte.is_ascii_whitespace() && byte != b'/');
        if self.0.first().is_none_or(|byte| *byte == b'>') {
            return None;
        }
        // An `=` where a name should begin belongs to the name: so no step is without progress.
        let all = self.0;
        self.0 = &all[1..];
        let more = self.take_until(|b| b.is_ascii_whitespace() || matches!(b, b'/' | b'>' | b'='));
        let key = &all[..1 + more.len()];
        let behind = self.0.trim_ascii_start();
        match behind.strip_prefix(b"=") {
            Some(value) => {
                self.0 = value.trim_ascii_start();
                Some((key, self.value()))
            }
            None => Some((key, &[])),
        }
    }
}

/// The references that template engines write into attributes; any other stays as it stands.
fn unescaped(text: &[u8]) -> Cow<'_, [u8]> {
    const REFERENCES: [(&[u8], u8); 9] = [
        (b"&amp;", b'&'),
        (b"&lt;", b'<'),
        (b"&gt;", b'>'),
        (b"&quot;", b'"'),
        (b"&#34;", b'"'),
        (b"&#39;", b'\''),
        (b"&#x27;", b'\''),
        (b"&#43;", b'+'),
        (b"&#x2B;", b'+'),
    ];
    if !text.contains(&b'&') {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.first() {
        let known = REFERENCES.iter().find(|(reference, _)| {
            rest.get(..reference.len()).is_some_and(|head| head.eq_ignore_ascii_case(reference))
        });
        let (byte, length) = known.map_or((*first, 1), |(text, byte)| (*byte, text.len()));
        out.push(byte);
        rest = &rest[length..];
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn find(page: &str) -> Option<String> {
        let found = named_value(page.as_bytes(), "csrf")?;
        Some(String::from_utf8(found.into_owned()).unwrap())
    }

    #[test]
    fn the_value_is_found_however_the_tag_is_written() {
        for page in [
            r#"<input type="hidden" name="csrf" value="t0k">"#,
            r#"<!DOCTYPE html><p a>1 < 2<form><INPUT VALUE='t0k' NAME='csrf' /></form>"#,
            "<input name=csrf value=t0k>",
            "<input\n  name = \"csrf\"\n  disabled value\n=\n't0k'/>",
            r#"<input name="other" value="no"><input name="csrf" value="t0k">"#,
            r#"<input name="csrf"><input name="csrf" value="t0k"><input name="csrf" value="2">"#,
            r#"<head><meta charset="utf-8"><meta name="csrf" content="t0k"></head>"#,
            r#"<script>if (a < b) x = '<input name="csrf" value="no">'</script>
               <input name="csrf" value="t0k">"#,
        ] {
            assert_eq!(find(page).as_deref(), Some("t0k"), "{page}");
        }
        assert_eq!(
            find(r#"<input name=csrf value="a&amp;b&#x27;&lt;c&unknown;&">"#).as_deref(),
            Some("a&b'<c&unknown;&")
        );
        assert_eq!(find("<input name=csrf value=>").as_deref(), Some(""));
    }

    #[test]
    fn what_only_looks_like_it_is_not_taken() {
        for page in [
            "",
            "csrf",
            "<",
            "<input",
            "<input name=csrf",
            "<input name=csrf value=no",
            "<input name=other name=csrf value=no>",
            r#"<!-- <input name="csrf" value="no"> -->"#,
            r#"<!-- <input name="csrf" value="no">"#,
            r#"<style><input name="csrf" value="no"></style>"#,
            r#"<textarea><input name="csrf" value="no"></TEXTAREA>"#,
            r#"<input title='name="csrf" value="no"'>"#,
            r#"<a title='<input name="csrf" value="no">'>"#,
            r#"<input name="csrf2" value="no">"#,
            r#"<input data-name="csrf" value="no">"#,
            r#"<input name="csrf" data-value="no">"#,
            r#"<select name="csrf" value="no">"#,
            r#"<inputs name="csrf" value="no">"#,
            r#"<meta name="csrf" value="no">"#,
            r#"<input name="csrf"> value="no""#,
        ] {
            assert_eq!(find(page), None, "{page}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_come_to_an_end(
            page in "[<>='\" /!a-]{0,40}|(<input|name|=|csrf|'|\"|>| ){0,20}",
        ) {
            let _ = find(&page);
        }

        #[test]
        fn a_token_behind_any_text_is_found(
            text in "[a-z ='\"/]{0,20}",
            token in "[A-Za-z0-9+/=_.-]{1,40}",
        ) {
            let page = format!("<p>{text}</p><input name=\"csrf\" value=\"{token}\">");
            prop_assert_eq!(find(&page), Some(token));
        }
    }
}
