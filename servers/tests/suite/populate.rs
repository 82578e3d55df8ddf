//! Users whom the server logs in by itself: what they are given and what is kept of them is what a
//! login over HTTP gives and keeps, down to each key, row and field. Ids, secrets, signatures and
//! the time that Redis still keeps a key are left out.

use std::time::Duration;

use crate::common::socket::{Server, exchange, post, status};
use crate::common::{Arm, available_arms, options, postgres};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use redis::Commands as _;
use serde_json::Value;
use servers::contract::Population;
use servers::schemes::{ArmInfo, SchemeOptions};
use servers::{ServeError, ServeOptions, bind, serve};
use tempfile::TempDir;

/// More than one batch of nothing, and few enough for a slow signature.
const USERS: u32 = 5;

/// A store of the test's own, which it can look into.
struct Place {
    url: Option<String>,
    /// Removed at the end.
    _folder: Option<TempDir>,
}

impl Place {
    fn of(info: &ArmInfo) -> Self {
        let folder = (info.store == Some("sqlite")).then(|| tempfile::tempdir().unwrap());
        let url = match info.store {
            Some("redis") => crate::common::empty_redis(),
            Some("postgres") => Some(postgres::url()),
            _ => folder.as_ref().map(|f| format!("sqlite:{}", f.path().join("s").display())),
        };
        Self { url, _folder: folder }
    }

    /// Everything in it but what is random, in an order.
    async fn dump(&self) -> Vec<String> {
        let mut all = match self.url.as_deref() {
            None => Vec::new(),
            Some(url) if url.starts_with("redis:") => redis_dump(url),
            Some(url) if url.starts_with("sqlite:") => sqlite_dump(url),
            Some(url) => postgres_dump(url).await,
        };
        all.sort();
        all
    }
}

fn redis_dump(url: &str) -> Vec<String> {
    let mut redis = redis::Client::open(url).unwrap().get_connection().unwrap();
    let keys: Vec<String> = redis.keys("*").unwrap();
    let dump = |key: &String| {
        let left: i64 = redis.pttl(key).unwrap();
        let kind: String = redis::cmd("TYPE").arg(key).query(&mut redis).unwrap();
        let (prefix, name) = key.rsplit_once(':').unwrap();
        // A user's number is short, an id is not.
        let name = if name.len() < 20 { name } else { "ID" };
        let value = match kind.as_str() {
            "zset" => {
                let members: Vec<(String, f64)> = redis.zrange_withscores(key, 0, -1).unwrap();
                let members: Vec<_> = members
                    .iter()
                    .map(|(id, score)| format!("{} bytes at {score}", id.len()))
                    .collect();
                members.join(",")
            }
            // The number of the last issue is a time.
            "string" if key.ends_with(":count") => "a number".into(),
            "string" => {
                let mut value: Vec<u8> = redis.get(key).unwrap();
                // A family's digests.
                if prefix.ends_with(":f") {
                    value.drain(16..80);
                }
                // Of a token, its length.
                if prefix.ends_with(":b") {
                    let token = value.split_off(28);
                    return format!("{prefix} = {value:?} and {} bytes", token.len());
                }
                format!("{value:?}")
            }
            other => panic!("{key}: a {other}"),
        };
        format!("{prefix}:{name} = {value}, {}", if left > 0 { "ends" } else { "stays" })
    };
    keys.iter().map(dump).collect()
}

fn sqlite_dump(url: &str) -> Vec<String> {
    let file = rusqlite::Connection::open(url.strip_prefix("sqlite:").unwrap()).unwrap();
    let mut rows = file
        .prepare(
            "SELECT concat_ws('|', user, name, role, quote(cart), created, expires, last_seen, \
             ends, length(id), typeof(id)) FROM sessions",
        )
        .unwrap();
    let rows = rows.query_map([], |row| row.get::<_, String>(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

async fn postgres_dump(url: &str) -> Vec<String> {
    let client = postgres::connect(url).await;
    let mut all = Vec::new();
    for table in ["authbench_sessions", "authbench_families"] {
        let there =
            client.query_one("SELECT to_regclass($1) IS NOT NULL", &[&table]).await.unwrap();
        if !there.get::<_, bool>(0) {
            continue;
        }
        let rows =
            format!("SELECT (to_jsonb(t) - 'id' - 'secret')::text || length(id) FROM {table} t");
        let rows = client.query(&rows, &[]).await.unwrap();
        all.extend(rows.iter().map(|row| format!("{table} {}", row.get::<_, String>(0))));
    }
    all
}

/// What a credential says to who can read it; of one that says nothing, its length.
fn says(credential: &str) -> String {
    let parts: Vec<&str> = credential.split('.').collect();
    let [_, claims, signature] = parts.as_slice() else {
        return format!("{} characters", credential.len());
    };
    let claims = URL_SAFE_NO_PAD.decode(claims).unwrap();
    let Ok(mut claims) = serde_json::from_slice::<Value>(&claims) else {
        return format!("{} characters", credential.len());
    };
    let id = claims.as_object_mut().unwrap().remove("jti");
    let id = id.and_then(|id| Some(id.as_str()?.len()));
    format!("{} {claims} {id:?} {}", parts[0], signature.len())
}

async fn open(info: &ArmInfo, place: &Place) -> Arm {
    let idle = Some(Duration::from_secs(300));
    Arm::open(info, SchemeOptions { store_url: place.url.clone(), idle, ..options() }).await
}

#[tokio::test]
async fn the_server_gives_and_keeps_what_a_login_over_http_does() {
    for info in available_arms() {
        let (here, there) = (Place::of(info), Place::of(info));
        let (by_login, by_server) = (open(info, &here).await, open(info, &there).await);
        let mut logged_in = Vec::new();
        for n in 0..USERS {
            logged_in.push(by_login.login(n).await);
        }
        let populated = by_server.open.populate.log_in(0..USERS).await.unwrap();
        let said = |all: &[String]| all.iter().map(|one| says(one)).collect::<Vec<_>>();
        // What PASETO and a cookie are sealed with says nothing, but as much as the other.
        assert_eq!(said(&populated), said(&logged_in), "{}", info.arm);
        let mut distinct = populated.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), USERS as usize, "{}", info.arm);

        let kept = here.dump().await;
        assert_eq!(there.dump().await, kept, "{}", info.arm);
        assert!(!info.stateful || here.url.is_none() || kept.len() >= USERS as usize, "{kept:?}");
        assert_eq!(by_server.sessions().await, by_login.sessions().await, "{}", info.arm);
        assert_eq!(by_server.operations().await, by_login.operations().await, "{}", info.arm);

        for (n, credential) in populated.iter().enumerate() {
            let (me, cart) = (by_server.me(credential).await, by_server.get("/cart", credential));
            let (other, other_cart) =
                (by_login.me(&logged_in[n]).await, by_login.get("/cart", &logged_in[n]));
            assert_eq!(me.expect(200).json()["user_id"], n, "{}", info.arm);
            assert_eq!(other.json()["user_id"], n);
            assert_eq!(cart.await, other_cart.await, "{}", info.arm);
        }
        let gone = by_server.post("/logout", &populated[0], &Value::Null).await.expect(200);
        let other = by_login.post("/logout", &logged_in[0], &Value::Null).await.expect(200);
        assert_eq!(gone.text, other.text, "{}", info.arm);
        if info.revokes {
            by_server.me(&populated[0]).await.expect_refused();
            by_server.me(&populated[1]).await.expect(200);
        }
        for arm in [&by_server, &by_login] {
            arm.at(arm.lifetime());
        }
        if info.authenticates {
            by_server.me(&populated[1]).await.expect_refused();
        }
    }
}

/// The same credential is never given twice, whatever is asked.
#[tokio::test]
async fn a_user_may_be_logged_in_again_and_more_of_them_than_fit_a_batch() {
    let arm = Arm::named("session@memory", options()).await;
    let first = arm.open.populate.log_in(7..8).await.unwrap();
    let second = arm.open.populate.log_in(7..8).await.unwrap();
    assert_ne!(first, second);
    for credential in first.iter().chain(&second) {
        assert_eq!(arm.me(credential).await.expect(200).json()["user_id"], 7);
    }
    assert_eq!(arm.sessions().await, 2);
}

const fn some(first: u32, users: u32) -> Population {
    Population { first, users, leave: false }
}

fn populate(users: Population) -> String {
    let body = serde_json::to_string(&users).unwrap();
    post("/populate", &format!("Content-Length: {}\r\n", body.len()), &body)
}

/// The body of an answer in chunks, put together.
fn lines(answer: &str) -> Vec<String> {
    let (head, mut rest) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.to_ascii_lowercase().contains("transfer-encoding: chunked"), "{head}");
    let mut body = String::new();
    while let Some((length, after)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        body.push_str(&after[..length]);
        rest = &after[length + 2..];
    }
    body.lines().map(ToOwned::to_owned).collect()
}

#[tokio::test]
async fn credentials_come_back_in_bulk_and_in_order() {
    let fills = ServeOptions { admin_fill: true, ..ServeOptions::new("session@memory") };
    let server = Server::start(fills).await;
    let answer = exchange(server.line.admin, populate(some(10, 3_000))).await;
    assert_eq!(status(&answer), "200");
    let credentials = lines(&answer);
    assert_eq!(credentials.len(), 3_000);
    assert_eq!(server.stats().await.live_sessions, Some(3_000));
    for (place, user) in [(0, 10), (1_024, 1_034), (2_999, 3_009)] {
        let me = format!(
            "GET /me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
             Cookie: __Host-session={}\r\n\r\n",
            credentials[place]
        );
        let answer = server.send(me).await;
        assert!(answer.contains(&format!(r#""user_id":{user},"#)), "{answer}");
    }
    for beyond in [some(u32::MAX, 2), some(0, u32::MAX)] {
        let answer = exchange(server.line.admin, populate(beyond)).await;
        assert_eq!(status(&answer), "400", "{answer}");
        assert!(answer.contains("no_such_users"), "{answer}");
    }
    let public = server.send(populate(some(0, 1))).await;
    assert_eq!(status(&public), "404", "not on the listener of users");
    server.stop().await;
}

#[tokio::test]
async fn only_a_server_that_was_started_for_it_logs_users_in_without_a_password() {
    let server = Server::start(ServeOptions::new("session@memory")).await;
    let answer = exchange(server.line.admin, populate(some(0, 1))).await;
    assert_eq!(status(&answer), "404", "{answer}");
    assert_eq!(server.stats().await.live_sessions, Some(0));
    server.stop().await;

    let fills = ServeOptions { admin_fill: true, ..ServeOptions::new("session@memory") };
    let public = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let admin = bind("0.0.0.0:0".parse().unwrap()).unwrap();
    let refused = serve(fills, public, admin, |_| panic!("ready"), async {}).await.unwrap_err();
    let ServeError::Option { option, expected, .. } = refused else { panic!("{refused}") };
    assert_eq!(option, "admin_fill");
    assert!(expected.contains("loopback"));
}

#[tokio::test]
async fn a_store_that_fails_is_told_in_the_last_line() {
    let Some(mut redis) = crate::common::redis::Redis::start() else { return };
    let fills = ServeOptions {
        admin_fill: true,
        store_url: Some(redis.url()),
        ..ServeOptions::new("session@redis")
    };
    let server = Server::start(fills).await;
    redis.kill();
    let answer = exchange(server.line.admin, populate(some(0, 10))).await;
    let lines = lines(&answer);
    assert!(lines.len() == 1 && lines[0].starts_with("!the store `redis` could not"), "{lines:?}");
    server.stop().await;
}

/// A logout by the server is a logout: what it leaves is what one over HTTP leaves.
#[tokio::test]
async fn users_who_log_out_again_leave_what_logouts_leave() {
    for info in available_arms() {
        let (here, there) = (Place::of(info), Place::of(info));
        let (by_login, by_server) = (open(info, &here).await, open(info, &there).await);
        for n in 0..USERS {
            let credential = by_login.login(n).await;
            by_login.post("/logout", &credential, &Value::Null).await.expect(200);
        }
        let credentials = by_server.open.populate.log_in(0..USERS).await.unwrap();
        by_server.open.populate.log_out(&credentials).await.unwrap();
        assert_eq!(there.dump().await, here.dump().await, "{}", info.arm);
        assert_eq!(by_server.sessions().await, by_login.sessions().await, "{}", info.arm);
        for credential in &credentials {
            let answer = by_server.me(credential).await;
            assert_eq!(answer.status == 401, info.revokes, "{}: {answer:?}", info.arm);
        }
    }
}
