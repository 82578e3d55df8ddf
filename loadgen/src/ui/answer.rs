//! What a request is answered with: four paths, each read-only.

use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use futures_util::{Stream, StreamExt as _, stream};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use tokio::sync::watch;

use super::state::{Shared, State};

/// What is sent.
pub(super) type Body = UnsyncBoxBody<Bytes, std::convert::Infallible>;

const PAGE: &str = include_str!("page.html");
const SCRIPT: &str = include_str!("page.js");
const STYLE: &str = include_str!("page.css");
/// What stands in the frame before there is a report.
const NO_REPORT: &str = "<!DOCTYPE html><html lang=\"en\"><meta name=\"color-scheme\" \
    content=\"light dark\"><title>authbench</title><p>The first report follows the trial that \
    runs now.";
/// The page loads what this server has, and nothing else; the report, which needs nothing, may be
/// framed by it.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";
const REPORT_POLICY: &str = "frame-ancestors 'self'";
/// States are sent at most so often.
const STATES_EVERY: Duration = Duration::from_millis(500);

/// Answers a request.
pub(super) fn answer<B>(request: &Request<B>, shared: &Shared) -> Response<Body> {
    let host = request.headers().get(HOST).map(HeaderValue::as_bytes);
    if !host.is_some_and(|host| shared.hosts.iter().any(|own| own.as_bytes() == host)) {
        // A name that resolves to this machine would let a stranger's page read it.
        return refused(StatusCode::MISDIRECTED_REQUEST, "unknown Host");
    }
    let mut path = request.uri().path().splitn(3, '/').skip(1);
    let (token, page) = (path.next().unwrap_or_default(), path.next());
    if verify_slices_are_equal(token.as_bytes(), shared.token.as_bytes()).is_err() {
        return refused(StatusCode::NOT_FOUND, "not found");
    }
    if request.method() != Method::GET {
        let mut response = refused(StatusCode::METHOD_NOT_ALLOWED, "only GET");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        return response;
    }
    match page {
        Some("") => with_policy(text("text/html", PAGE), PAGE_POLICY),
        Some("page.js") => text("text/javascript", SCRIPT),
        Some("page.css") => text("text/css", STYLE),
        Some("report.html") => {
            let report = shared.report();
            let page = if report.is_empty() { NO_REPORT } else { &report };
            with_policy(text("text/html", page), REPORT_POLICY)
        }
        Some("events") => response(StatusCode::OK, "text/event-stream", events(&shared.states)),
        _ => refused(StatusCode::NOT_FOUND, "not found"),
    }
}

/// The state now and after each change until the campaign is over, as server-sent events.
fn events(states: &watch::Sender<State>) -> Body {
    let event = |state: State| {
        // JSON has no line feed outside of strings, and in them it is escaped.
        let json = serde_json::to_string(&state).unwrap_or_default();
        Ok(Frame::data(Bytes::from(format!("data: {json}\n\n"))))
    };
    StreamBody::new(until_over(states.subscribe()).map(event)).boxed_unsync()
}

fn until_over(states: watch::Receiver<State>) -> impl Stream<Item = State> {
    stream::unfold(Some((states, true)), |next| async move {
        let (mut states, is_first) = next?;
        if !is_first {
            states.changed().await.ok()?;
            tokio::time::sleep(STATES_EVERY).await;
        }
        let state = states.borrow_and_update().clone();
        let more = state.over.is_none().then_some((states, false));
        Some((state, more))
    })
}

fn refused(status: StatusCode, why: &str) -> Response<Body> {
    response(status, "text/plain", whole(&format!("{why}\n")))
}

fn text(kind: &'static str, text: &str) -> Response<Body> {
    response(StatusCode::OK, kind, whole(text))
}

fn whole(text: &str) -> Body {
    Full::new(Bytes::copy_from_slice(text.as_bytes())).boxed_unsync()
}

fn with_policy(mut response: Response<Body>, policy: &'static str) -> Response<Body> {
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}

fn response(status: StatusCode, kind: &str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let kind = HeaderValue::try_from(format!("{kind}; charset=utf-8"));
    headers.extend(kind.ok().map(|kind| (CONTENT_TYPE, kind)));
    for (name, value) in [
        (CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
        (HeaderName::from_static("referrer-policy"), "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
