//! Arms that share a key and a store stay apart: what one issues opens nothing at another.
//! Operators do share keys; a token revoked at its issuer must not come back elsewhere, and an arm
//! that checks less must not let into one that checks more.

use crate::common::{Arm, OTHER_KEY, available_arms, options};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use servers::schemes::SchemeOptions;

/// Every arm that authenticates, over one key and, where they keep something elsewhere, one store.
async fn all(options: SchemeOptions) -> Vec<Arm> {
    let redis = available_arms().iter().any(|info| info.store == Some("redis"));
    let redis = redis.then(|| crate::common::empty_redis().unwrap());
    let mut arms = Vec::new();
    for info in available_arms().into_iter().filter(|info| info.authenticates) {
        let store_url = redis.clone().filter(|_| info.store == Some("redis"));
        arms.push(Arm::open(info, SchemeOptions { store_url, ..options.clone() }).await);
    }
    arms
}

#[tokio::test]
async fn what_one_arm_issues_opens_nothing_at_another() {
    let arms = all(options()).await;
    assert!(arms.len() >= 10, "{}", arms.len());
    // As a previous key it is as good as a current one, at the arm that it was used for.
    let successors = all(SchemeOptions {
        key: Some(OTHER_KEY.into()),
        previous_keys: vec![crate::common::KEY.into()],
        ..options()
    })
    .await;
    for from in &arms {
        let login = from.login_as("user-7", "password-7").await.expect(200);
        let credential = crate::common::credential_of(&login, &from.open.credential);
        for at in arms.iter().chain(&successors) {
            if at.info.arm == from.info.arm {
                continue;
            }
            let shown = format!("{} at {}", from.info.arm, at.info.arm);
            let answer = at.me(&credential).await;
            assert_eq!(answer.status, 401, "{shown}: {answer:?}");
            let answer = at.post("/logout-all", &credential, &Value::Null).await;
            assert_eq!(answer.status, 401, "{shown}: {answer:?}");
        }
        from.me(&credential).await.expect(200);
    }
}

/// Two servers of one arm agree, and a change of keys logs nobody out.
#[tokio::test]
async fn servers_of_one_arm_agree_on_the_same_key() {
    let keyed = available_arms().into_iter().filter(|info| info.authenticates && !info.stateful);
    for info in keyed {
        let (one, other) = (Arm::open(info, options()).await, Arm::open(info, options()).await);
        let next = SchemeOptions {
            key: Some(OTHER_KEY.into()),
            previous_keys: vec![crate::common::KEY.into()],
            ..options()
        };
        let next = Arm::open(info, next).await;
        let credential = one.login(7).await;
        for server in [&one, &other, &next] {
            server.me(&credential).await.expect(200);
        }
    }
}

#[tokio::test]
async fn a_denied_token_does_not_come_back_by_way_of_another_arm() {
    let arms = all(options()).await;
    for from in arms.iter().filter(|arm| arm.info.scheme == "jwt-denylist") {
        let token = from.login(7).await;
        from.post("/logout", &token, &json!(null)).await.expect(200);
        for at in &arms {
            let answer = at.me(&token).await;
            assert_eq!(answer.status, 401, "{} at {}: {answer:?}", from.info.arm, at.info.arm);
        }
    }
}

/// The store knows an opaque token by a digest of it, which has the form of a session's id.
#[tokio::test]
async fn the_digest_of_an_opaque_token_is_no_session() {
    let arms = all(options()).await;
    let Some(opaque) = arms.iter().find(|arm| arm.info.scheme == "opaque-introspection") else {
        return;
    };
    let token = URL_SAFE_NO_PAD.decode(opaque.login(7).await).unwrap();
    let known_by = URL_SAFE_NO_PAD.encode(&digest(&SHA256, &token).as_ref()[..16]);
    for at in &arms {
        let answer = at.me(&known_by).await;
        assert_eq!(answer.status, 401, "{}: {answer:?}", at.info.arm);
    }
}
