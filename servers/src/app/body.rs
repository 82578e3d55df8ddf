//! The body of a request: JSON of a limited size, or a refusal that says what is wrong with it.
//! Read by hand and not by axum's extractor: the limit needs no layer that every other request
//! would pay for, and a refusal has our form. Bad input is always a 4xx.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body as _;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::answer;
use crate::json;

/// Most bytes of a body: 16 KiB.
pub const BODY_BYTES_MAX: usize = 16 * 1024;
/// How long a body may take to come in: 10 s.
pub const BODY_TIME_MAX: Duration = Duration::from_secs(10);

/// Reads a body of type `application/json`; 415, 413, 408 or 400 where that cannot be.
pub(super) async fn read<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
) -> Result<T, Response> {
    if !is_json(headers) {
        return Err(answer::error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "expected_json"));
    }
    let too_large = || answer::error(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large");
    // An announced length needs no waiting for: the client may never send what we would refuse.
    if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
        return Err(too_large());
    }
    let bytes = match timeout(BODY_TIME_MAX, Limited::new(body, BODY_BYTES_MAX).collect()).await {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(too_large()),
        Ok(Err(_)) => return Err(answer::error(StatusCode::BAD_REQUEST, "unreadable_body")),
        Err(_) => return Err(answer::error(StatusCode::REQUEST_TIMEOUT, "body_too_slow")),
    };
    json::object(&bytes).ok_or_else(|| answer::error(StatusCode::BAD_REQUEST, "malformed_json"))
}

/// One `Content-Type` of `application/json`, whatever its parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let value = value.as_bytes();
    let end = value.iter().position(|&byte| byte == b';').unwrap_or(value.len());
    value[..end].trim_ascii().eq_ignore_ascii_case(b"application/json")
}
