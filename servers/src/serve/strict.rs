//! What HTTP demands of a request and hyper lets pass: one valid host, and no transfer coding but
//! `chunked`.

use axum::body::Body;
use axum::response::Response;
use http::header::{CONNECTION, HOST, TRANSFER_ENCODING};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, Version};
use hyper::body::{Body as HttpBody, Incoming};

use crate::app::answer;

/// Most bytes of a request target; one more is a 414.
pub const TARGET_BYTES_MAX: usize = 8 * 1024;

const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// The answer to a request that no server should read; `None` where it is sound.
///
/// Two servers that read such a request differently can be made to disagree on where it ends or on
/// whom it is for, so each is a 400 and the end of the connection. hyper itself refuses two lengths
/// that differ, a coding in HTTP/1.0 and one that does not end in `chunked`. What it hides cannot
/// be refused here: it drops a `Content-Length` that comes with `Transfer-Encoding` (RFC 9112,
/// 6.3, allows that), and then closes after the answer, so nothing is left over for a next request.
///
/// This runs for every request of every arm, and may cost each a few nanoseconds.
pub(super) fn refusal<B: HttpBody>(request: &Request<B>) -> Option<Response> {
    let headers = request.headers();
    let has_host = match request.version() {
        Version::HTTP_2 => has_one_authority(headers, request.uri()),
        version => has_one_host(headers, version),
    };
    if !has_host {
        return Some(close(StatusCode::BAD_REQUEST, "invalid_host"));
    }
    // hyper reads a body wherever a coding is announced, so a request without one has none.
    if !request.body().is_end_stream() && !is_chunked_or_plain(headers) {
        return Some(close(StatusCode::BAD_REQUEST, "invalid_transfer_encoding"));
    }
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    (target > TARGET_BYTES_MAX).then(|| close(StatusCode::URI_TOO_LONG, "target_too_long"))
}

/// The body for axum, which keeps one in a box: most requests have none, and get an empty one.
pub(super) fn without_box(body: Incoming) -> Body {
    if body.is_end_stream() { Body::empty() } else { Body::new(body) }
}

fn close(status: StatusCode, error: &'static str) -> Response {
    let mut response = answer::error(status, error);
    response.headers_mut().insert(CONNECTION, CLOSE);
    response
}

/// One valid host, which HTTP/1.0 may leave out (RFC 9112, 3.2).
fn has_one_host(headers: &HeaderMap, version: Version) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => is_host(host.as_bytes()),
        (None, _) => version < Version::HTTP_11,
        (Some(_), Some(_)) => false,
    }
}

/// An `:authority`, which a `Host` may only repeat; without one, one host (RFC 9113, 8.3.1).
fn has_one_authority(headers: &HeaderMap, uri: &Uri) -> bool {
    let Some(authority) = uri.authority().map(Authority::as_str) else {
        return has_one_host(headers, Version::HTTP_11);
    };
    let mut hosts = headers.get_all(HOST).iter();
    is_host(authority.as_bytes()) && hosts.all(|host| host.as_bytes() == authority.as_bytes())
}

/// `uri-host [ ":" port ]` (RFC 9110, 7.2) with a host that is not empty. Percent-encoding is left
/// out: no name of a host needs it.
fn is_host(value: &[u8]) -> bool {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(byte);
    let is_address = |byte: &u8| byte.is_ascii_hexdigit() || b":.".contains(byte);
    let (sound, port) = match value.strip_prefix(b"[") {
        None => {
            let end = value.iter().position(|&byte| byte == b':').unwrap_or(value.len());
            let (host, port) = value.split_at(end);
            (!host.is_empty() && host.iter().all(is_name), port)
        }
        Some(rest) => {
            let Some(end) = rest.iter().position(|&byte| byte == b']') else { return false };
            (end > 0 && rest[..end].iter().all(is_address), &rest[end + 1..])
        }
    };
    let is_port = match port {
        [] => true,
        [colon, digits @ ..] => *colon == b':' && digits.iter().all(u8::is_ascii_digit),
    };
    sound && is_port
}

/// No `Transfer-Encoding`, or one that is `chunked` and nothing else.
fn is_chunked_or_plain(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) => coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http2_names_its_host_once() {
        let request = |authority: &str, hosts: &[&'static str]| {
            let uri =
                if authority.is_empty() { "/".into() } else { format!("http://{authority}/") };
            let mut request = Request::builder().version(Version::HTTP_2).uri(uri);
            for host in hosts {
                request = request.header(HOST, *host);
            }
            request.body(String::new()).unwrap()
        };
        for (authority, hosts, is_sound) in [
            ("a:1", &[] as &[_], true),
            ("a:1", &["a:1"], true),
            ("", &["a"], true),
            ("a:1", &["b"], false),
            ("a:1", &["a:1", "b"], false),
            ("user@a", &[], false),
            ("", &[], false),
            ("", &["a", "a"], false),
        ] {
            let refusal = refusal(&request(authority, hosts));
            assert_eq!(refusal.is_none(), is_sound, "{authority} {hosts:?}");
        }
    }

    #[test]
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port() {
        for host in [
            "x",
            "example.com",
            "example.com:",
            "a-b_c.d:8080",
            "127.0.0.1:1",
            "[::1]",
            "[::1]:80",
            "[::ffff:127.0.0.1]:0",
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            "",
            ":80",
            "a b",
            "a/b",
            "user@host",
            "a:b",
            "a:80:80",
            "http://a",
            "a?b",
            "a#b",
            "[::1",
            "[]",
            "[x]",
            "[::1]x",
            "[::1]:x",
            "\u{e9}",
            "a%41",
            "a\\b",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }
}
