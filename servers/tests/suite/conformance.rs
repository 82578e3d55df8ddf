//! What every arm must do, written once and run for every line of the registry: an arm that is fast
//! because it checks less fails here. Where arms may differ, their [`ArmInfo`](servers::ArmInfo)
//! says so, never their name.

mod lifetimes;
mod requests;

use crate::common::{
    Arm, KEY, OTHER_KEY, available_arms, carried, every_arm, login_request, options, reissued,
};
use axum::body::Body;
use axum::extract::Request;
use http::header;
use serde_json::{Value, json};
use servers::contract::CredentialSource;
use servers::schemes::{CookieSecurity, SchemeOptions, arms};
use servers::stores::ISSUER;

/// Whether the whole session is in a cookie, which has a limit of its own.
fn in_a_cookie(arm: &Arm) -> bool {
    !arm.info.stateful && matches!(arm.open.credential.source, CredentialSource::Cookie(_))
}

#[tokio::test]
async fn a_login_is_good_for_the_user_who_logged_in() {
    for arm in every_arm().await {
        for n in [0, 17, 99_999_999] {
            let credential = arm.login(n).await;
            let me = arm.me(&credential).await.expect(200).json();
            let role = if n % 100 == 0 { "admin" } else { "member" };
            let facts = json!({ "user_id": n, "name": format!("User {n}"), "role": role });
            assert_eq!(me, facts, "{}", arm.info.arm);
        }
    }
}

#[tokio::test]
async fn users_do_not_mix() {
    for arm in every_arm().await {
        let mut held = Vec::new();
        for n in 0..50 {
            held.push((n, arm.login(n).await));
        }
        for (n, credential) in held.iter().rev() {
            assert_eq!(arm.me(credential).await.json()["user_id"], json!(n), "{}", arm.info.arm);
        }
    }
}

#[tokio::test]
async fn every_login_makes_a_credential_of_its_own() {
    for arm in every_arm().await.into_iter().filter(|arm| arm.info.authenticates) {
        let mut all = std::collections::BTreeSet::new();
        for _ in 0..100 {
            assert!(all.insert(arm.login(7).await), "{}", arm.info.arm);
        }
    }
}

#[tokio::test]
async fn no_credential_is_a_401_with_a_challenge_and_asks_no_store() {
    for arm in every_arm().await {
        for (method, path) in
            [("GET", "/me"), ("GET", "/cart"), ("POST", "/logout"), ("POST", "/logout-all")]
        {
            let request = Request::builder().method(method).uri(path);
            let answer = arm.call(request.body(Body::empty()).unwrap()).await.expect_refused();
            assert!(!answer.header("www-authenticate").contains("error="), "{answer:?}");
        }
        assert_eq!(arm.operations().await, 0, "{}", arm.info.arm);
    }
}

#[tokio::test]
async fn a_credential_in_the_query_is_ignored() {
    for arm in every_arm().await {
        let credential = arm.login(7).await;
        let (name, value) = carried(&arm.open.credential.carrier, &credential);
        let value = value.replace(' ', "%20");
        for query in [format!("access_token={credential}"), format!("{name}={value}")] {
            let request = Request::get(format!("/me?{query}")).body(Body::empty()).unwrap();
            arm.call(request).await.expect_refused();
        }
    }
}

/// The floor believes whatever number it is told, so a changed digit is another user, and it is
/// left out; every other arm refuses every change of every byte, and in the same words.
#[tokio::test]
async fn a_credential_changed_in_any_byte_is_refused_in_the_same_words() {
    for arm in every_arm().await.into_iter().filter(|arm| arm.info.authenticates) {
        let good = arm.login(7).await;
        let mut answers = Vec::new();
        for place in 0..good.len() {
            for with in ['A', 'B', 'w', '0', '-', '_', '+', '/', '=', '.', '!', '~'] {
                let mut changed = good.clone();
                changed.replace_range(place..=place, &with.to_string());
                if changed != good {
                    answers.push(arm.me(&changed).await.expect_refused());
                }
            }
        }
        for shape in ["", "A", &good[1..], &good[..good.len() - 1], &format!("{good}A"), "~~~~"] {
            answers.push(arm.me(shape).await.expect_refused());
        }
        answers.push(arm.me(&"A".repeat(100_000)).await.expect_refused());
        assert!(answers.len() > 200);
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{}", arm.info.arm);
        arm.me(&good).await.expect(200);
    }
}

#[tokio::test]
async fn a_logout_revokes_or_says_that_it_cannot() {
    for arm in every_arm().await {
        let (one, other) = (arm.login(7).await, arm.login(7).await);
        let answer = arm.post("/logout", &one, &Value::Null).await.expect(200);
        let revokes = arm.info.revokes || arm.info.revokes_refresh;
        assert_eq!(answer.json()["revoked"], json!(revokes), "{}", arm.info.arm);
        assert_eq!(answer.json()["reason"].is_string(), !arm.info.revokes);
        if arm.info.revokes {
            arm.me(&one).await.expect_refused();
            arm.post("/logout", &one, &Value::Null).await.expect_refused();
            arm.post("/cart", &one, &json!({ "item": "a" })).await.expect_refused();
            arm.me(&one).await.expect_refused();
        } else {
            arm.me(&one).await.expect(200);
        }
        arm.me(&other).await.expect(200);
    }
}

#[tokio::test]
async fn a_logout_everywhere_is_of_one_user_only() {
    for arm in every_arm().await {
        let mine = [arm.login(7).await, arm.login(7).await, arm.login(7).await];
        let yours = arm.login(8).await;
        let answer = arm.post("/logout-all", &mine[0], &Value::Null).await.expect(200).json();
        let revokes = arm.info.revokes || arm.info.revokes_refresh;
        assert_eq!(answer["revoked"], json!(revokes));
        let counted = if revokes { 3 } else { 0 };
        let uncounted = arm.info.revokes && answer["credentials"].is_null();
        assert!(uncounted || answer["credentials"] == json!(counted), "{answer}");
        for credential in &mine {
            let status = if arm.info.revokes { 401 } else { 200 };
            arm.me(credential).await.expect(status);
        }
        arm.me(&yours).await.expect(200);
        arm.me(&arm.login(7).await).await.expect(200);
    }
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_get_the_same_answer() {
    for arm in every_arm().await {
        let mut answers = Vec::new();
        for (name, password) in [
            ("user-7", "password-8"),
            ("user-7", ""),
            ("nobody", "password-7"),
            ("user-07", "password-7"),
            ("user-100000000", "password-100000000"),
            ("", ""),
        ] {
            answers.push(arm.login_as(name, password).await.expect(401));
        }
        assert_eq!(answers[0].text, r#"{"error":"invalid_credentials"}"#);
        assert!(!answers[0].header("www-authenticate").is_empty());
        assert!(!answers[0].headers.contains_key(header::SET_COOKIE));
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{}", arm.info.arm);
        assert_eq!(arm.operations().await, 0);
    }
}

/// A planted id gets nowhere, and a login ends the session it replaces, another user's too.
#[tokio::test]
async fn a_login_never_keeps_the_id_that_came_with_it() {
    for arm in every_arm().await.into_iter().filter(Arm::looks_up) {
        let planted = "AAAAAAAAAAAAAAAAAAAAAA";
        arm.me(planted).await.expect_refused();
        assert_eq!(arm.sessions().await, 0, "an unknown id must not be stored");
        let mut before = planted.to_owned();
        for n in [7, 7, 8] {
            let (name, value) = carried(&arm.open.credential.carrier, &before);
            let mut request = login_request(&format!("user-{n}"), &format!("password-{n}"));
            request
                .headers_mut()
                .insert(http::HeaderName::try_from(name).unwrap(), value.try_into().unwrap());
            let answer = arm.call(request).await.expect(200);
            let after = crate::common::credential_of(&answer, &arm.open.credential);
            assert_ne!(after, before);
            arm.me(&before).await.expect_refused();
            assert_eq!(arm.me(&after).await.json()["user_id"], json!(n));
            assert_eq!(arm.sessions().await, 1);
            before = after;
        }
    }
}

#[tokio::test]
async fn the_cart_grows_where_the_arm_keeps_or_carries_it() {
    for arm in every_arm().await {
        let mut credential = arm.login(7).await;
        let keeps = arm.info.authenticates;
        let mut expected = Vec::new();
        for item in ["apple", "a \"quoted\" \\ one", "\u{1f34e}"] {
            let answer = arm.post("/cart", &credential, &json!({ "item": item })).await.expect(200);
            if keeps {
                expected.push(item);
            } else {
                expected = vec![item];
            }
            assert_eq!(answer.json()["items"], json!(expected), "{}", arm.info.arm);
            if let Some(new) = reissued(&answer, &arm.open.credential) {
                assert!(new.len() > credential.len(), "the credential carries the cart");
                credential = new;
            }
        }
        let cart = arm.get("/cart", &credential).await.expect(200).json();
        assert_eq!(cart["items"], if keeps { json!(expected) } else { json!([]) });
        arm.me(&credential).await.expect(200);
    }
}

#[tokio::test]
async fn a_full_cart_and_a_bad_item_are_refused_and_leave_it_as_it_was() {
    for arm in every_arm().await.into_iter().filter(|arm| arm.info.authenticates) {
        let (mut credential, mut held) = (arm.login(7).await, 0);
        for n in 0..64 {
            let item = json!({ "item": format!("{n:064}") });
            let answer = arm.post("/cart", &credential, &item).await;
            if answer.status == 409 && in_a_cookie(&arm) {
                assert_eq!(answer.expect(409).text, r#"{"error":"cookie_full"}"#);
                break;
            }
            held = n + 1;
            if let Some(new) = reissued(&answer.expect(200), &arm.open.credential) {
                credential = new;
            }
        }
        // 64 items of 64 bytes do not fit into a cookie of 4,096; most of them do.
        assert!(if in_a_cookie(&arm) { (40..64).contains(&held) } else { held == 64 }, "{held}");
        let more = json!({ "item": "x".repeat(64) });
        arm.post("/cart", &credential, &more).await.expect(409);
        for item in [String::new(), "x".repeat(65)] {
            arm.post("/cart", &credential, &json!({ "item": item })).await.expect(400);
        }
        let items = arm.get("/cart", &credential).await.expect(200).json();
        assert_eq!(items["items"].as_array().unwrap().len(), held);
    }
}

#[tokio::test]
async fn an_arm_without_refresh_says_so() {
    for arm in every_arm().await.into_iter().filter(|arm| !arm.info.refreshes) {
        let login = arm.login_as("user-7", "password-7").await.expect(200);
        assert!(login.json().get("refresh_token").is_none(), "{}", arm.info.arm);
        let credential = crate::common::credential_of(&login, &arm.open.credential);
        let body = json!({ "refresh_token": credential });
        for answer in [
            arm.post("/refresh", &credential, &Value::Null).await,
            arm.post("/refresh", &credential, &body).await,
            arm.refresh(&credential).await,
        ] {
            assert_eq!(answer.expect(404).text, r#"{"error":"not_supported"}"#);
        }
    }
}

/// The tests of `refresh.rs` say how; here it is that the registry tells the truth.
#[tokio::test]
async fn an_arm_with_refresh_gives_a_new_credential_for_a_refresh_token() {
    for arm in every_arm().await.into_iter().filter(|arm| arm.info.refreshes) {
        assert!(arm.info.stateful && arm.info.revokes_refresh, "{}", arm.info.arm);
        let login = arm.login_as("user-7", "password-7").await.expect(200).json();
        arm.at(arm.lifetime());
        let answer = arm.refresh(login["refresh_token"].as_str().unwrap()).await.expect(200);
        let credential = crate::common::credential_of(&answer, &arm.open.credential);
        assert_eq!(arm.me(&credential).await.expect(200).json()["user_id"], json!(7));
    }
    assert!(arms().iter().all(|info| info.refreshes || !info.revokes_refresh));
}

#[tokio::test]
async fn a_second_server_knows_a_credential_only_where_the_arm_says_so() {
    for arm in every_arm().await.into_iter().filter(|arm| arm.info.authenticates) {
        let credential = arm.login(7).await;
        let same_key = Arm::open(&arm.info, options()).await;
        same_key.me(&credential).await.expect(if arm.looks_up() { 401 } else { 200 });
        let other_key = Arm::open(&arm.info, SchemeOptions { key: None, ..options() }).await;
        other_key.me(&credential).await.expect_refused();
    }
}

/// A changed key logs nobody out as long as the one before it is known, and is final after that.
#[tokio::test]
async fn a_key_is_replaced_without_refusing_live_credentials() {
    let keyed = available_arms().into_iter().filter(|info| info.authenticates && !info.stateful);
    for info in keyed {
        let under = async |key: &[u8], previous: &[&[u8]]| {
            let previous_keys = previous.iter().map(|key| key.to_vec()).collect();
            let options = SchemeOptions { key: Some(key.to_vec()), previous_keys, ..options() };
            Arm::open(info, options).await
        };
        let before = under(KEY, &[]).await;
        let during = under(OTHER_KEY, &[KEY]).await;
        let after = under(OTHER_KEY, &[]).await;
        let (old, new) = (before.login(7).await, during.login(8).await);
        for (arm, credential, status) in [
            (&during, &old, 200),
            (&during, &new, 200),
            (&after, &new, 200),
            (&after, &old, 401),
            (&before, &new, 401),
        ] {
            arm.me(credential).await.expect(status);
        }
        let item = json!({ "item": "a" });
        let answer = during.post("/cart", &old, &item).await.expect(200);
        let moved = reissued(&answer, &during.open.credential).unwrap();
        let cart = after.get("/cart", &moved).await.expect(200).json();
        assert_eq!(cart["items"], json!(["a"]), "{}: re-issued under the new key", info.arm);
    }
}

#[tokio::test]
async fn the_cookie_is_this_one() {
    for (cookie, name, secure) in [
        (CookieSecurity::Secure, "__Host-session", " Secure;"),
        (CookieSecurity::Insecure, "session", ""),
    ] {
        let arm = Arm::named("session@memory", SchemeOptions { cookie, ..options() }).await;
        let login = arm.login_as("user-7", "password-7").await.expect(200);
        let id = crate::common::credential_of(&login, &arm.open.credential);
        assert_eq!(id.len(), 22);
        let rest = format!("; Path=/;{secure} HttpOnly; SameSite=Lax");
        assert_eq!(login.header("set-cookie"), format!("{name}={id}{rest}"));
        let logout = arm.post("/logout", &id, &Value::Null).await.expect(200);
        assert_eq!(logout.header("set-cookie"), format!("{name}={rest}; Max-Age=0"));
        let noted = arm.open.notes.iter().any(|note| note.contains("not Secure"));
        assert_eq!(noted, secure.is_empty());
    }
}

#[tokio::test]
async fn the_token_answer_is_this_one() {
    let arm = Arm::named("jwt-hs256", options()).await;
    let answer = arm.login_as("user-7", "password-7").await.expect(200).json();
    assert_eq!(answer["token_type"], json!("Bearer"));
    assert_eq!(answer["expires_in"], json!(900));
    assert_eq!(answer.as_object().unwrap().len(), 3);
    let missing = arm.call(Request::get("/me").body(Body::empty()).unwrap()).await;
    assert_eq!(missing.header("www-authenticate"), r#"Bearer realm="authbench""#);
    let invalid = arm.me("x").await;
    let challenge = r#"Bearer realm="authbench", error="invalid_token""#;
    assert_eq!(invalid.header("www-authenticate"), challenge);
}

#[tokio::test]
async fn an_unknown_arm_is_answered_with_the_list() {
    let unknown = servers::app::open("jwt", &options(), servers::PasswordHash::Derived).await;
    let error = unknown.err().unwrap().to_string();
    for info in arms() {
        assert!(error.contains(info.arm), "{error}");
        // An issuer is no choice of store: it is what the scheme is.
        let store = info.store.filter(|store| *store != ISSUER);
        let store = store.map_or(String::new(), |store| format!("@{store}"));
        assert_eq!(info.arm, format!("{}{store}", info.scheme));
        assert_eq!(arms().iter().filter(|other| other.arm == info.arm).count(), 1);
    }
}
