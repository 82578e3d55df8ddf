//! Credentials that are nearly good, for every arm: none panics, none is answered as the user's.
//! `AUTHBENCH_FUZZ_SECONDS` says how long.

use std::env;
use std::time::{Duration, Instant, SystemTime};

use axum::body::Body;
use axum::http::{HeaderValue, Request, StatusCode};
use stats::random::{mix, mutated};

use super::common::{Arm, carried, every_arm};

/// Credentials for each arm in a run without a limit of time: always the same ones.
const CREDENTIALS: u64 = 200;

/// Numbers of texts to make, and their seed.
fn texts(share: u32) -> (u64, impl Iterator<Item = u64>) {
    let seconds: Option<u32> =
        env::var("AUTHBENCH_FUZZ_SECONDS").ok().map(|text| text.parse().expect("whole seconds"));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let seed = seconds.map_or(1, |_| mix(now.as_secs(), now.subsec_nanos().into()));
    let (began, span) = (Instant::now(), Duration::from_secs(1) * seconds.unwrap_or(0) / share);
    let goes_on = move |n: &u64| match seconds {
        Some(_) => began.elapsed() < span,
        None => *n < CREDENTIALS,
    };
    (seed, (0..).take_while(goes_on))
}

async fn shown(arm: &Arm, name: &str, value: &[u8]) -> Option<(StatusCode, String)> {
    let value = HeaderValue::from_bytes(value).ok()?;
    let request = Request::get("/me").header(name, value).body(Body::empty()).unwrap();
    let answer = arm.call(request).await;
    Some((answer.status, answer.text))
}

#[tokio::test]
async fn a_credential_that_is_nearly_good_is_refused() {
    let mut arms = every_arm().await;
    arms.retain(|arm| arm.info.authenticates);
    let share = arms.len() as u32;
    for arm in &arms {
        let good = [arm.login(1).await, arm.login(2).await];
        let headers: Vec<_> =
            good.iter().map(|good| carried(&arm.open.credential.carrier, good)).collect();
        let corpus: Vec<&String> = headers.iter().map(|(_, value)| value).collect();
        let (seed, numbers) = texts(share);
        for n in numbers {
            let value = mutated(&corpus, seed, n);
            let name = &headers[0].0;
            let Some((status, text)) = shown(arm, name, &value).await else { continue };
            let arm = arm.info.arm;
            let told = value.escape_ascii();
            assert!(!status.is_server_error(), "{arm}: {status} for {told}");
            if status == StatusCode::OK {
                // Around a whole credential there may be other cookies, or spaces.
                let owns = |n: usize| {
                    let whole = value.windows(good[n].len()).any(|part| part == good[n].as_bytes());
                    whole && text.contains(&format!("\"user_id\":{}", n + 1))
                };
                assert!(owns(0) || owns(1), "{arm}: let in with {told}: {text}");
            }
        }
    }
}
