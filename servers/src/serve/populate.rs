//! `POST /populate` of the admin listener: many users logged in by one request.

use std::convert::Infallible;
use std::ops::Range;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use futures_util::stream;
use http::StatusCode;

use crate::app::{Populate, answer::error};
use crate::contract::{FAULT_MARK, Population};
use crate::users::UserId;

/// Users whose credentials are issued at a time: enough that a commit to the disk is a small part
/// of a batch's time, and few enough that a statement takes milliseconds.
const BATCH: u32 = 1024;

/// The credentials of these users; a 400 where some of them do not exist.
///
/// What is measured with a million logged-in users should not take a million logins over HTTP. The
/// scheme issues each credential as a login does once the password is found right, and the store is
/// asked in batches where it takes them. The answer is a stream, a line for each credential, so
/// that neither side holds more than a batch of it. No password is asked: the route must never be
/// on a listener that strangers can reach.
pub(super) fn answer(arm: Arc<dyn Populate>, population: Population) -> Response {
    let Population { first, users, leave } = population;
    let Some(end) = first.checked_add(users) else {
        return error(StatusCode::BAD_REQUEST, "no_such_users");
    };
    if end > first && UserId::new(end - 1).is_none() {
        return error(StatusCode::BAD_REQUEST, "no_such_users");
    }
    let lines = stream::unfold((arm, first), move |(arm, next)| async move {
        if next >= end {
            return None;
        }
        // A store in memory never waits, and others on this thread must have their turn.
        tokio::task::yield_now().await;
        let to = end.min(next + BATCH);
        let (lines, next) = match batch(&*arm, next..to, leave).await {
            Ok(credentials) => (text(&credentials), to),
            // A line feed within it would be taken for its end.
            Err(found) => (format!("{}{}\n", FAULT_MARK as char, found.replace('\n', " ")), end),
        };
        Some((Ok::<_, Infallible>(lines), (arm, next)))
    });
    Response::new(Body::from_stream(lines))
}

async fn batch(arm: &dyn Populate, users: Range<u32>, leave: bool) -> Result<Vec<String>, String> {
    let credentials = arm.log_in(users).await?;
    if leave {
        arm.log_out(&credentials).await?;
    }
    Ok(credentials)
}

fn text(credentials: &[String]) -> String {
    let bytes = credentials.iter().map(|credential| credential.len() + 1).sum();
    let mut text = String::with_capacity(bytes);
    for credential in credentials {
        text.push_str(credential);
        text.push('\n');
    }
    text
}
