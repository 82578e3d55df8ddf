//! A request as bytes, from the script of a journey and the fields of an attack.

use crate::journey::{Script, Template, Who};

/// A header field.
pub(super) type Field = (String, Vec<u8>);

/// What an attacker adds to a request.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Added<'a> {
    /// Header fields.
    pub(super) fields: &'a [Field],
    /// What stands behind its path.
    pub(super) query: &'a str,
}

pub(super) fn rendered(script: &Script, request: usize, who: Who<'_>) -> Vec<Field> {
    let write = |(name, value): &(String, Template)| {
        let mut bytes = Vec::new();
        value.write(who, &mut bytes);
        (!bytes.is_empty() || !value.may_be_empty()).then(|| (name.clone(), bytes))
    };
    script.requests[request].headers.iter().filter_map(write).collect()
}

/// A request as it is, with these fields in the place of its own; cookies are joined.
pub(super) fn written(script: &Script, request: usize, who: Who<'_>, more: Added<'_>) -> Vec<u8> {
    let mut path = Vec::new();
    script.requests[request].path.write(who, &mut path);
    push_query(&mut path, more.query);
    let mut fields = rendered(script, request, who);
    for (name, value) in more.fields {
        let same = fields.iter_mut().find(|(other, _)| other.eq_ignore_ascii_case(name));
        match same {
            Some((_, cookies)) if name.eq_ignore_ascii_case("cookie") => {
                cookies.extend_from_slice(b"; ");
                cookies.extend_from_slice(value);
            }
            Some((_, other)) => value.clone_into(other),
            None => fields.push((name.clone(), value.clone())),
        }
    }
    assembled(script, request, who, &path, &fields)
}

/// Adds this to the query of a path.
pub(super) fn push_query(path: &mut Vec<u8>, query: &str) {
    if !query.is_empty() {
        path.push(if path.contains(&b'?') { b'&' } else { b'?' });
        path.extend_from_slice(query.as_bytes());
    }
}

/// A request of this path and these fields, with the script's own body.
pub(super) fn assembled(
    script: &Script,
    request: usize,
    who: Who<'_>,
    path: &[u8],
    fields: &[Field],
) -> Vec<u8> {
    let mut body = Vec::new();
    if let Some(template) = &script.requests[request].body {
        template.write(who, &mut body);
    }
    with_body(script, request, path, fields, &body)
}

/// The same with another body.
pub(super) fn with_body(
    script: &Script,
    request: usize,
    path: &[u8],
    fields: &[Field],
    body: &[u8],
) -> Vec<u8> {
    let request = &script.requests[request];
    let mut out = request.method.clone().into_bytes();
    out.push(b' ');
    out.extend_from_slice(path);
    out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
    out.extend_from_slice(script.authority.as_bytes());
    out.extend_from_slice(b"\r\n");
    for (name, value) in fields {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
    if !body.is_empty() || request.method != "GET" {
        out.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
    out
}

pub(super) fn replaced(text: &[u8], mark: &[u8], with: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + with.len());
    let mut rest = text;
    while let Some(at) = rest.windows(mark.len()).position(|window| window == mark) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(with);
        rest = &rest[at + mark.len()..];
    }
    out.extend_from_slice(rest);
    out
}
