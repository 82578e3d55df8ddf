//! A user's cookies as a browser keeps them (RFC 6265): by name and path, replaced and cleared by
//! later answers. Between answers a jar is text that only has to be copied into a request.

/// Ends a path.
const PATH_END: u8 = 0x1f;
/// Ends the cookies of a path.
const GROUP_END: u8 = 0x1e;
/// Stands between two cookies of a header.
const NEXT: &[u8] = b"; ";

/// A cookie that an answer sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SetCookie<'a> {
    pub(super) name: &'a [u8],
    /// Empty where the cookie is cleared.
    pub(super) value: &'a [u8],
    /// The path that it names itself.
    pub(super) path: Option<&'a [u8]>,
    /// Whether it is cleared.
    pub(super) cleared: bool,
}

/// The cookies that an answer sets, in order. One that is malformed, or has a control character in
/// it, is left out, as a browser does. Their `Domain` and `Secure` are not looked at: a load goes
/// to one host, and often past the proxy that speaks TLS for it.
pub(super) fn set_cookies<'a>(
    headers: &[httparse::Header<'a>],
) -> impl Iterator<Item = SetCookie<'a>> {
    let fields = headers.iter().filter(|h| h.name.eq_ignore_ascii_case("set-cookie"));
    fields.filter_map(|field| set_cookie(field.value))
}

fn set_cookie(field: &[u8]) -> Option<SetCookie<'_>> {
    let mut parts = field.split(|b| *b == b';').map(<[u8]>::trim_ascii);
    let (name, value) = split_once(parts.next()?, b'=')?;
    let (name, value) = (name.trim_ascii_end(), value.trim_ascii_start());
    if name.is_empty() || [name, value].iter().any(|text| text.iter().any(u8::is_ascii_control)) {
        return None;
    }
    let (mut path, mut cleared) = (None, false);
    for attribute in parts {
        cleared |= clears(attribute);
        if let Some((key, value)) = split_once(attribute, b'=')
            && key.trim_ascii().eq_ignore_ascii_case(b"path")
        {
            let value = value.trim_ascii();
            let fits = value.starts_with(b"/") && !value.iter().any(u8::is_ascii_control);
            path = fits.then_some(value);
        }
    }
    Some(SetCookie { name, value: if cleared { b"" } else { value }, path, cleared })
}

fn split_once(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let index = text.iter().position(|byte| *byte == at)?;
    Some((&text[..index], &text[index + 1..]))
}

/// Whether an attribute ends its cookie at once (RFC 6265, sections 5.2.1 and 5.2.2): no time to
/// live, or a date in 1970, which is how frameworks write it.
fn clears(attribute: &[u8]) -> bool {
    let text = String::from_utf8_lossy(attribute).to_ascii_lowercase();
    match text.split_once('=') {
        Some(("max-age", age)) => age.parse::<i64>().is_ok_and(|age| age <= 0),
        Some(("expires", date)) => date.contains("jan 1970") || date.contains("jan-1970"),
        _ => false,
    }
}

/// A jar after an answer: `before` with what the answer sets, replaces and clears. Cookies of these
/// names are kept `elsewhere`. `path` is the path of the request.
pub(super) fn after(
    before: &[u8],
    headers: &[httparse::Header<'_>],
    path: &[u8],
    elsewhere: &[String],
) -> Vec<u8> {
    let is_elsewhere = |name: &[u8]| elsewhere.iter().any(|other| other.as_bytes() == name);
    let mut cookies: Vec<(Vec<u8>, Vec<u8>, Vec<u8>)> = entries(before)
        .filter(|(_, name, _)| !is_elsewhere(name))
        .map(|(path, name, value)| (path.into(), name.into(), value.into()))
        .collect();
    for set in set_cookies(headers) {
        if is_elsewhere(set.name) {
            continue;
        }
        let of_path = set.path.unwrap_or_else(|| default_path(path));
        let at = cookies.iter().position(|(path, name, _)| path == of_path && name == set.name);
        match at {
            Some(at) if set.cleared => drop(cookies.remove(at)),
            Some(at) => cookies[at].2 = set.value.into(),
            None if set.cleared => {}
            None => cookies.push((of_path.into(), set.name.into(), set.value.into())),
        }
    }
    // Cookies of longer paths go first (RFC 6265, 5.4).
    cookies.sort_by_key(|(path, ..)| std::cmp::Reverse(path.len()));
    written(&cookies)
}

/// The jar's text: each path with its cookies as they stand in a header.
fn written(cookies: &[(Vec<u8>, Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut jar = Vec::new();
    let mut paths: Vec<&[u8]> = Vec::new();
    for (path, ..) in cookies {
        if paths.contains(&path.as_slice()) {
            continue;
        }
        paths.push(path);
        jar.extend_from_slice(path);
        jar.push(PATH_END);
        let of_path = cookies.iter().filter(|(other, ..)| other == path);
        for (i, (_, name, value)) in of_path.enumerate() {
            jar.extend_from_slice(if i > 0 { NEXT } else { b"" });
            jar.extend_from_slice(name);
            jar.push(b'=');
            jar.extend_from_slice(value);
        }
        jar.push(GROUP_END);
    }
    jar
}

/// Whether what is held of a user ends with a jar that has cookies: no other value may have such a
/// byte.
pub(super) fn ends(held: &[u8]) -> bool {
    held.last() == Some(&GROUP_END)
}

/// The paths of a jar with their cookies.
fn groups(jar: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    jar.split(|byte| *byte == GROUP_END).filter_map(|group| split_once(group, PATH_END))
}

/// Path, name and value of each cookie.
fn entries(jar: &[u8]) -> impl Iterator<Item = (&[u8], &[u8], &[u8])> {
    groups(jar).flat_map(|(path, cookies)| {
        let each = cookies.split(|byte| *byte == b';').map(<[u8]>::trim_ascii_start);
        each.filter_map(move |cookie| {
            let (name, value) = split_once(cookie, b'=')?;
            Some((path, name, value))
        })
    })
}

/// The value of the cookie of this name, that of the longest path if there are several.
pub(super) fn value<'a>(jar: &'a [u8], name: &str) -> Option<&'a [u8]> {
    entries(jar).find(|(_, other, _)| *other == name.as_bytes()).map(|(.., value)| value)
}

/// Writes the cookies that a request for `path` carries; `begun` tells that others precede them in
/// the header.
pub(super) fn write(jar: &[u8], path: &[u8], mut begun: bool, out: &mut Vec<u8>) {
    for (of_path, cookies) in groups(jar) {
        if matches(path, of_path) {
            out.extend_from_slice(if begun { NEXT } else { b"" });
            out.extend_from_slice(cookies);
            begun = true;
        }
    }
}

/// Whether a request for `path` carries the cookies of a path (RFC 6265, 5.1.4).
fn matches(path: &[u8], of_path: &[u8]) -> bool {
    if of_path == b"/" {
        return true;
    }
    let path = path.split(|byte| *byte == b'?').next().unwrap_or_default();
    path.strip_prefix(of_path)
        .is_some_and(|rest| rest.is_empty() || of_path.ends_with(b"/") || rest.starts_with(b"/"))
}

/// The path of a cookie that names none: the folder of the request's path (RFC 6265, 5.1.4).
fn default_path(path: &[u8]) -> &[u8] {
    let path = path.split(|byte| *byte == b'?').next().unwrap_or_default();
    match path.iter().rposition(|byte| *byte == b'/') {
        None | Some(0) => b"/",
        Some(at) => &path[..at],
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers<'a>(fields: &[&'a str]) -> Vec<httparse::Header<'a>> {
        let header =
            |field: &&'a str| httparse::Header { name: "Set-Cookie", value: field.as_bytes() };
        fields.iter().map(header).collect()
    }

    /// What a request for `path` carries of this jar.
    fn sent(jar: &[u8], path: &str) -> String {
        let mut out = Vec::new();
        write(jar, path.as_bytes(), false, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn next(before: &[u8], path: &str, fields: &[&str]) -> Vec<u8> {
        after(before, &headers(fields), path.as_bytes(), &["sid".into()])
    }

    #[test]
    fn a_cookie_that_is_cleared_has_no_value() {
        for (field, cleared) in [
            ("a=b; Max-Age=900; Path=/", false),
            ("a=b; Expires=Wed, 01 Jan 2070 00:00:01 GMT", false),
            ("a=deleted; Max-Age=0", true),
            ("a=b; max-age=-1", true),
            ("a=deleted; expires=Thu, 01-Jan-1970 00:00:01 GMT", true),
            ("a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT", true),
        ] {
            let set = set_cookie(field.as_bytes()).unwrap();
            assert_eq!((set.cleared, set.value.is_empty()), (cleared, cleared), "{field}");
        }
        for malformed in ["", "a", "=b", "a=\u{1}", "; Path=/"] {
            assert_eq!(set_cookie(malformed.as_bytes()), None, "{malformed}");
        }
    }

    #[test]
    fn all_cookies_of_a_login_go_back_except_those_kept_elsewhere() {
        let jar =
            next(b"", "/login", &["session=e30=; path=/", "session.sig=x_y; path=/", "sid=1"]);
        assert_eq!(sent(&jar, "/me"), "session=e30=; session.sig=x_y");
        assert_eq!(value(&jar, "session.sig"), Some(&b"x_y"[..]));
        assert_eq!(value(&jar, "sid"), None);
        let mut out = b"sid=1".to_vec();
        write(&jar, b"/me", true, &mut out);
        assert!(out.starts_with(b"sid=1; session="), "one header");
    }

    #[test]
    fn a_path_decides_where_a_cookie_goes() {
        let set =
            ["a=1; Path=/", "r=2; Path=/auth/refresh", "d=3", "e=4; Path=x", "f=5; Path=/shop/"];
        let jar = next(b"", "/auth/login?next=/a/b", &set);
        for (path, cookies) in [
            ("/me", "a=1"),
            ("/auth/refresh", "r=2; d=3; e=4; a=1"),
            ("/auth/refresh?x=1", "r=2; d=3; e=4; a=1"),
            ("/auth/refresh/2", "r=2; d=3; e=4; a=1"),
            ("/auth/refreshed", "d=3; e=4; a=1"),
            ("/auth", "d=3; e=4; a=1"),
            ("/authors", "a=1"),
            ("/shop", "a=1"),
            ("/shop/1", "f=5; a=1"),
        ] {
            assert_eq!(sent(&jar, path), cookies, "{path}");
        }
        assert_eq!(sent(&next(b"", "/login", &["a=1"]), "/anything"), "a=1");
    }

    #[test]
    fn later_answers_replace_and_clear_by_name_and_path() {
        let jar = next(b"", "/login", &["a=1; Path=/", "b=2; Path=/", "a=3; Path=/x"]);
        let jar = next(&jar, "/me", &["b=20; Path=/", "a=; Max-Age=0; Path=/x", "c=1; Max-Age=0"]);
        assert_eq!(sent(&jar, "/x"), "a=1; b=20");
        let jar = next(&jar, "/me", &["a=9; Path=/", "a=; Path=/; Max-Age=0", "b=x; Max-Age=0"]);
        assert!(jar.is_empty(), "all are cleared");
    }

    proptest! {
        #[test]
        fn a_jar_keeps_what_was_set_last(
            set in prop::collection::vec(("[ab]", "[a-z=]{0,3}", "/|/x|/x/y"), 0..12),
        ) {
            let written = set.iter().map(|(name, value, path)| {
                format!("{name}={value}; Path={path}")
            });
            let fields: Vec<String> = written.collect();
            let mut jar = Vec::new();
            for field in &fields {
                jar = after(&jar, &headers(&[field]), b"/", &[]);
            }
            let together: Vec<&str> = fields.iter().map(String::as_str).collect();
            prop_assert_eq!(&jar, &after(b"", &headers(&together), b"/", &[]));
            for (name, _, path) in &set {
                let last = set.iter().rev().find(|(n, _, p)| (n, p) == (name, path)).unwrap();
                let cookie = (path.as_bytes(), name.as_bytes(), last.1.as_bytes());
                prop_assert!(entries(&jar).any(|entry| entry == cookie));
            }
        }
    }
}
