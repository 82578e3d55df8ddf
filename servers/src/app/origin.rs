//! Which site had a browser send a request: what keeps a change from being forged (CSRF).

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a browser says that another origin than ours made it send this.
///
/// The rules are those of Go's `http.CrossOriginProtection`, which OWASP's cheat sheet on CSRF
/// calls Fetch Metadata with a fallback: `Sec-Fetch-Site` decides where it is present, and
/// otherwise `Origin`, which must name the `Host`. A request with neither is let through: it comes
/// from no current browser, and no other client can be made to send a cookie. Another site of the
/// same domain (`same-site`) is refused too: it need not be ours. The scheme of the origin is not
/// compared, because behind a proxy that ends TLS the server does not know its own.
///
/// `SameSite=Lax` keeps the cookie out of most of such requests; this refuses the rest. Nothing
/// here may look at a credential.
pub(super) fn is_cross_origin(headers: &HeaderMap) -> bool {
    let mut sites = headers.get_all(SEC_FETCH_SITE).iter();
    match (sites.next().map(HeaderValue::as_bytes), sites.next()) {
        // `none`: the user did, by a bookmark or the address bar.
        (Some(site), None) => return !matches!(site, b"same-origin" | b"none"),
        (Some(_), Some(_)) => return true,
        (None, _) => {}
    }
    let mut origins = headers.get_all(ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (None, _) => false,
        (Some(origin), None) => !names(origin.as_bytes(), headers.get(HOST)),
        (Some(_), Some(_)) => true,
    }
}

/// Whether this origin, `scheme://host[:port]`, is at this host.
fn names(origin: &[u8], host: Option<&HeaderValue>) -> bool {
    let Some(host) = host.map(HeaderValue::as_bytes).filter(|host| !host.is_empty()) else {
        return false;
    };
    let Some(end) = origin.len().checked_sub(host.len()) else { return false };
    let (scheme, authority) = origin.split_at(end);
    matches!(scheme, b"http://" | b"https://") && authority.eq_ignore_ascii_case(host)
}
