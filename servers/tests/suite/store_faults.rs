//! A store that fails, hangs or forgets on command, behind the real shell: no 500, no login without
//! a stored session, no credential accepted that could not be checked, an answer within half a
//! second, and everything as before once it is back.

use std::sync::Arc;
use std::time::Duration;

use crate::common::{Answer, carried, credential_of, login_request, options};
use axum::body::Body;
use axum::extract::Request;
use http::header;
use http_body_util::BodyExt;
use parking_lot::Mutex;
use serde_json::{Value, json};
use servers::app::{self, App};
use servers::clock::Timestamp;
use servers::schemes::session::Sessions;
use servers::schemes::{Credential, Scheme};
use servers::stores::bounded::Bounded;
use servers::stores::memory::MemoryStore;
use servers::stores::patience::Patience;
use servers::stores::{Session, SessionData, SessionId, SessionStore, StoreError, StoreStats};
use servers::users::{PasswordHash, UserId, Users};
use tokio::time::Instant;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// Says that it cannot.
    Fails,
    /// Says nothing.
    Hangs,
    /// Does what it is asked and then says nothing.
    DoesAndHangs,
}

/// What the test has a hand on while the server has the store.
#[derive(Default)]
struct Switch {
    fault: Mutex<Option<Fault>>,
    /// The one operation that is hit; `None`: every one.
    only: Mutex<Option<&'static str>>,
}

struct Faulty {
    store: Arc<MemoryStore>,
    switch: Arc<Switch>,
}

impl Faulty {
    async fn through<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let hit = self.switch.only.lock().is_none_or(|only| only == operation);
        let fault = self.switch.fault.lock().filter(|_| hit);
        match fault {
            None => call.await,
            Some(Fault::Fails) => {
                Err(StoreError { store: "faulty", operation, found: "a fault".into() })
            }
            Some(Fault::Hangs) => std::future::pending().await,
            Some(Fault::DoesAndHangs) => {
                drop(call.await);
                std::future::pending().await
            }
        }
    }
}

impl SessionStore for Faulty {
    const NAME: &'static str = "faulty";

    async fn create(&self, id: SessionId, session: Session) -> Result<bool, StoreError> {
        self.through("create", self.store.create(id, session)).await
    }

    async fn read(&self, id: SessionId, now: Timestamp) -> Result<Option<Session>, StoreError> {
        self.through("read", self.store.read(id, now)).await
    }

    async fn touch(&self, id: SessionId, now: Timestamp) -> Result<bool, StoreError> {
        self.through("touch", self.store.touch(id, now)).await
    }

    async fn update(
        &self,
        id: SessionId,
        data: SessionData,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.through("update", self.store.update(id, data, now)).await
    }

    async fn delete(&self, id: SessionId) -> Result<bool, StoreError> {
        self.through("delete", self.store.delete(id)).await
    }

    async fn delete_all_of_user(&self, user: UserId) -> Result<u64, StoreError> {
        self.through("delete all", self.store.delete_all_of_user(user)).await
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.through("sweep", SessionStore::sweep(&*self.store, now)).await
    }

    async fn stats(&self) -> Result<StoreStats, StoreError> {
        self.through("count", SessionStore::stats(&*self.store)).await
    }
}

struct Server {
    app: App,
    credential: Credential,
    store: Arc<MemoryStore>,
    switch: Arc<Switch>,
}

impl Server {
    /// With an idle timeout the scheme reads and touches, without one it only reads.
    fn start(idle: Option<Duration>) -> Self {
        let (store, switch) = (Arc::new(MemoryStore::new(idle)), Arc::<Switch>::default());
        let faulty = Faulty { store: Arc::clone(&store), switch: Arc::clone(&switch) };
        let options = servers::schemes::SchemeOptions { idle, ..options() };
        let scheme = Sessions::new(Bounded::new(faulty, Patience::DEFAULT), &options);
        let credential = scheme.credential();
        let app = App::new(app::router(scheme, Users::new(PasswordHash::Derived)));
        Self { app, credential, store, switch }
    }

    fn set(&self, fault: Option<Fault>, only: Option<&'static str>) {
        *self.switch.fault.lock() = fault;
        *self.switch.only.lock() = only;
    }

    async fn call(&self, request: Request) -> Answer {
        let begun = Instant::now();
        let (parts, body) = self.app.call(request).await.into_parts();
        let text = body.collect().await.unwrap().to_bytes();
        assert!(begun.elapsed() <= Duration::from_millis(500), "{:?}", begun.elapsed());
        let text = String::from_utf8(text.to_vec()).unwrap();
        Answer { status: parts.status, headers: parts.headers, text }
    }

    async fn login(&self, n: u32) -> Answer {
        self.call(login_request(&format!("user-{n}"), &format!("password-{n}"))).await
    }

    async fn ask(&self, method: &str, path: &str, credential: &str, body: Value) -> Answer {
        let (name, value) = carried(&self.credential.carrier, credential);
        let request = Request::builder().method(method).uri(path).header(name, value);
        let request = request.header("content-type", "application/json");
        self.call(request.body(Body::from(body.to_string())).unwrap()).await
    }

    async fn me(&self, credential: &str) -> Answer {
        self.ask("GET", "/me", credential, Value::Null).await
    }
}

#[track_caller]
fn unavailable(answer: Answer, what: &str) {
    assert_eq!(answer.status.as_u16(), 503, "{what}: {answer:?}");
    let answer = answer.expect(503);
    assert_eq!(answer.text, r#"{"error":"unavailable"}"#, "{what}");
    assert_eq!(answer.header("retry-after"), "1", "{what}");
    assert!(!answer.headers.contains_key(header::SET_COOKIE), "{what}");
    assert!(!answer.headers.contains_key(header::WWW_AUTHENTICATE), "{what}");
}

const UNKNOWN: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// Fault 13: any store, exactly.
/// Fault 14: any store, exactly.
#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_asked_is_a_503_for_every_request_that_needs_it() {
    let idle = Some(Duration::from_secs(60));
    for (fault, idle) in
        [(Fault::Fails, None), (Fault::Fails, idle), (Fault::Hangs, None), (Fault::Hangs, idle)]
    {
        let server = Server::start(idle);
        let held = credential_of(&server.login(7).await.expect(200), &server.credential);
        server.set(Some(fault), None);
        let what = format!("{fault:?}, idle {idle:?}");
        let item = json!({ "item": "a" });
        for _ in 0..3 {
            unavailable(server.login(8).await, &what);
            for credential in [held.as_str(), UNKNOWN] {
                unavailable(server.me(credential).await, &what);
                unavailable(server.ask("GET", "/cart", credential, Value::Null).await, &what);
                unavailable(server.ask("POST", "/cart", credential, item.clone()).await, &what);
                unavailable(server.ask("POST", "/logout", credential, Value::Null).await, &what);
                unavailable(
                    server.ask("POST", "/logout-all", credential, Value::Null).await,
                    &what,
                );
            }
        }
        // What needs no store is answered as ever.
        server.me("no id").await.expect_refused();
        let wrong = login_request("user-7", "password-8");
        server.call(wrong).await.expect(401);
        server.call(Request::get("/healthz").body(Body::empty()).unwrap()).await.expect(200);

        server.set(None, None);
        let sessions = SessionStore::stats(&*server.store).await.unwrap().sessions;
        assert_eq!(sessions, 1, "{what}: nothing was created and nothing lost");
        assert_eq!(server.me(&held).await.expect(200).json()["user_id"], json!(7));
        server.me(UNKNOWN).await.expect_refused();
        server.login(8).await.expect(200);
        assert_eq!(server.app.panics(), 0);
    }
}

/// Fault 15: no login without its session.
#[tokio::test(start_paused = true)]
async fn a_login_whose_session_was_not_stored_for_sure_is_no_login() {
    for (fault, stored) in [(Fault::Fails, 0), (Fault::Hangs, 0), (Fault::DoesAndHangs, 1)] {
        let server = Server::start(None);
        server.set(Some(fault), Some("create"));
        unavailable(server.login(7).await, &format!("{fault:?}"));
        let sessions = SessionStore::stats(&*server.store).await.unwrap().sessions;
        assert_eq!(sessions, stored, "{fault:?}: one that nobody was given may be left, to expire");
        server.set(None, None);
        let held = credential_of(&server.login(7).await.expect(200), &server.credential);
        server.me(&held).await.expect(200);
    }
}

/// A logout that the store did not confirm is a 503, whether it was carried out or not.
#[tokio::test(start_paused = true)]
async fn a_logout_that_was_not_confirmed_says_so() {
    let server = Server::start(None);
    for (path, operation) in [("/logout", "delete"), ("/logout-all", "delete all")] {
        let held = credential_of(&server.login(7).await.expect(200), &server.credential);
        for (fault, status) in
            [(Fault::Fails, 200), (Fault::Hangs, 200), (Fault::DoesAndHangs, 401)]
        {
            server.set(Some(fault), Some(operation));
            unavailable(server.ask("POST", path, &held, Value::Null).await, operation);
            server.set(None, None);
            server.me(&held).await.expect(status);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn housekeeping_gives_up_as_well() {
    let server = Server::start(None);
    let switch = Arc::clone(&server.switch);
    let store =
        Bounded::new(Faulty { store: Arc::clone(&server.store), switch }, Patience::DEFAULT);
    server.set(Some(Fault::Hangs), None);
    let begun = Instant::now();
    let error = SessionStore::stats(&store).await.unwrap_err().to_string();
    assert!(error.contains("faulty") && error.contains("within 400 ms"), "{error}");
    assert_eq!(begun.elapsed().as_millis(), 400);
    let error = SessionStore::sweep(&store, Timestamp::from_seconds(1)).await.unwrap_err();
    assert_eq!(error.operation, "sweep");
    server.set(None, None);
    assert_eq!(SessionStore::sweep(&store, Timestamp::from_seconds(1)).await, Ok(0));
}

/// A store that claims every id to be taken must not be asked for ever.
#[tokio::test]
async fn a_login_does_not_try_ids_for_ever() {
    struct Full(MemoryStore);
    impl SessionStore for Full {
        const NAME: &'static str = "full";
        async fn create(&self, _: SessionId, _: Session) -> Result<bool, StoreError> {
            Ok(false)
        }
        async fn read(&self, id: SessionId, now: Timestamp) -> Result<Option<Session>, StoreError> {
            self.0.read(id, now).await
        }
        async fn touch(&self, id: SessionId, now: Timestamp) -> Result<bool, StoreError> {
            self.0.touch(id, now).await
        }
        async fn update(
            &self,
            id: SessionId,
            data: SessionData,
            now: Timestamp,
        ) -> Result<bool, StoreError> {
            self.0.update(id, data, now).await
        }
        async fn delete(&self, id: SessionId) -> Result<bool, StoreError> {
            self.0.delete(id).await
        }
        async fn delete_all_of_user(&self, user: UserId) -> Result<u64, StoreError> {
            self.0.delete_all_of_user(user).await
        }
        async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
            SessionStore::sweep(&self.0, now).await
        }
        async fn stats(&self) -> Result<StoreStats, StoreError> {
            SessionStore::stats(&self.0).await
        }
    }
    let scheme = Sessions::new(Full(MemoryStore::new(None)), &options());
    let app = App::new(app::router(scheme, Users::new(PasswordHash::Derived)));
    let answer = app.call(login_request("user-7", "password-7")).await;
    assert_eq!(answer.status().as_u16(), 503);
    assert_eq!(answer.headers()["retry-after"], "1");
}
