//! Where a redirect of a login leads (RFC 9110, 15.4): a path of the same server, or astray.

use http::Uri;

/// Why a redirect is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Astray {
    /// There were as many as the descriptor allows before it.
    Often,
    /// It leads to another host, port or scheme.
    Elsewhere,
    /// It does not say where it leads.
    Nowhere,
    /// It asks for the same body to be sent again (307 and 308).
    Again,
}

/// Whether a status is that of a redirect that a client follows.
pub(super) const fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// The path and query that a `Location` leads to, from a request for `path` at `origin`, such as
/// `http://127.0.0.1:3000`.
///
/// # Errors
/// Why it is not followed.
pub(super) fn target(location: &[u8], path: &[u8], origin: &str) -> Result<Vec<u8>, Astray> {
    let location = location.split(|byte| *byte == b'#').next().unwrap_or_default().trim_ascii();
    let location = encoded(location);
    if location.is_empty() {
        return Err(Astray::Nowhere);
    }
    let text = str::from_utf8(&location).map_err(|_| Astray::Nowhere)?;
    let scheme = origin.split("://").next().unwrap_or_default();
    let absolute = match text.strip_prefix("//") {
        Some(rest) => Some(format!("{scheme}://{rest}")),
        None => has_scheme(text).then(|| text.to_string()),
    };
    if let Some(absolute) = absolute {
        let found: Uri = absolute.parse().map_err(|_| Astray::Nowhere)?;
        let own: Uri = origin.parse().map_err(|_| Astray::Nowhere)?;
        if place(&found) != place(&own) {
            return Err(Astray::Elsewhere);
        }
        let found = found.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let missing = if found.starts_with('/') { "" } else { "/" };
        return Ok(format!("{missing}{found}").into_bytes());
    }
    let own = path.split(|byte| *byte == b'?').next().unwrap_or_default();
    let whole = match location.first() {
        Some(b'/') => location,
        Some(b'?') => [own, &location].concat(),
        _ => {
            let folder = own.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
            [&own[..folder], &location].concat()
        }
    };
    Ok(without_dots(&whole))
}

/// Whether a text begins with a scheme (RFC 3986, 3.1).
fn has_scheme(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    })
}

/// Scheme, host and port of an address.
fn place(uri: &Uri) -> (String, String, Option<u16>) {
    let scheme = uri.scheme_str().unwrap_or_default().to_ascii_lowercase();
    let standard = match scheme.as_str() {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    };
    let host = uri.host().unwrap_or_default().to_ascii_lowercase();
    (scheme, host, uri.port_u16().or(standard))
}

/// Bytes that no path may have, percent-encoded.
fn encoded(location: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(location.len());
    for byte in location {
        if matches!(byte, b'!'..=b'~') {
            out.push(*byte);
        } else {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    out
}

/// A path without `.` and `..` (RFC 3986, 5.2.4).
fn without_dots(path: &[u8]) -> Vec<u8> {
    let query = path.iter().position(|byte| *byte == b'?').unwrap_or(path.len());
    let (path, query) = path.split_at(query);
    let mut parts: Vec<&[u8]> = Vec::new();
    let all: Vec<&[u8]> = path.split(|byte| *byte == b'/').skip(1).collect();
    for (i, part) in all.iter().enumerate() {
        let is_last = i + 1 == all.len();
        match *part {
            b"." | b".." => {
                if *part == b".." {
                    parts.pop();
                }
                if is_last {
                    parts.push(b"");
                }
            }
            other => parts.push(other),
        }
    }
    [b"/", parts.join(&b'/').as_slice(), query].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_a_path_of_the_same_server() {
        for (location, path) in [
            ("/home", "/home"),
            ("http://h.test:3000/home?x=1#top", "/home?x=1"),
            ("HTTP://H.test:3000", "/"),
            ("//h.test:3000/a", "/a"),
            ("next?a=/b", "/auth/next?a=/b"),
            ("../up", "/up"),
            ("./", "/auth/"),
            ("../../..", "/"),
            ("?code=1", "/auth/login?code=1"),
            ("/caf\u{e9} x", "/caf%C3%A9%20x"),
        ] {
            let found = target(location.as_bytes(), b"/auth/login?n=1", "http://h.test:3000");
            assert_eq!(
                found.map(|path| String::from_utf8(path).unwrap()),
                Ok(path.into()),
                "{location}"
            );
        }
        assert_eq!(target(b"https://h:443/x", b"/", "https://h"), Ok(b"/x".to_vec()));
    }

    #[test]
    fn another_place_and_no_place_are_told_apart() {
        for (location, astray) in [
            ("http://other:3000/", Astray::Elsewhere),
            ("https://h.test:3000/", Astray::Elsewhere),
            ("http://h.test/", Astray::Elsewhere),
            ("//other/", Astray::Elsewhere),
            ("myapp:callback", Astray::Elsewhere),
            ("", Astray::Nowhere),
            ("#top", Astray::Nowhere),
            ("http://", Astray::Nowhere),
        ] {
            let found = target(location.as_bytes(), b"/", "http://h.test:3000");
            assert_eq!(found, Err(astray), "{location}");
        }
    }
}
