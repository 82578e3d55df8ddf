//! Opaque tokens as a server that asks about each of them has them: a store behind the issuer's
//! endpoints.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use serde::Serialize;

use super::link::{Body, Link};
use super::own::{OwnIssuer, issuer_note};
use super::wire::{
    Asked, Count, Holdings, Introspected, Moments, NewFacts, NewToken, NewUpdate, ReadActive,
};
use crate::clock::Timestamp;
use crate::contract::StoreProcess;
use crate::error::{ServeError, StoreError};
use crate::json;
use crate::schemes::scheme::SchemeOptions;
use crate::stores::{ISSUER, Session, SessionData, SessionId, SessionStore, StoreStats};
use crate::users::UserId;

/// The tokens of one issuer.
///
/// A read is the standard's question (RFC 7662), an end the standard's revocation (RFC 7009); for
/// what they leave out, a login, a change of the cart and housekeeping, the issuer has endpoints of
/// its own. Whatever is asked is one exchange. Operations and writes are counted here, as they are
/// asked; tokens are counted there.
pub struct OpaqueTokens {
    link: Link,
    own: Option<OwnIssuer>,
    idle: Option<Duration>,
    operations: AtomicU64,
    writes: AtomicU64,
}

impl OpaqueTokens {
    /// The tokens of the issuer at the URL, or of one of its own.
    ///
    /// # Errors
    /// Where the URL is invalid, or the issuer does not start or does not know us.
    pub async fn open(options: &SchemeOptions) -> Result<Self, ServeError> {
        let own = match &options.store_url {
            Some(_) => None,
            None => Some(OwnIssuer::start(options, Vec::new()).await?),
        };
        let url = options.store_url.as_deref().or(own.as_ref().map(OwnIssuer::url));
        let tokens = Self {
            link: Link::new(url.unwrap_or_default(), options.patience)?,
            own,
            idle: options.idle,
            operations: AtomicU64::new(0),
            writes: AtomicU64::new(0),
        };
        // A wrong secret is found out here and not by the first request.
        tokens.holdings().await?;
        Ok(tokens)
    }

    fn asked(&self, now: Timestamp) -> Asked {
        let millis = |idle: Duration| u64::try_from(idle.as_millis()).unwrap_or(u64::MAX);
        Asked { now_ms: now.millis(), idle_ms: self.idle.map(millis) }
    }

    fn count(&self) {
        self.operations.fetch_add(1, Ordering::Relaxed);
    }

    fn wrote(&self, tokens: u64) -> u64 {
        self.writes.fetch_add(tokens, Ordering::Relaxed);
        tokens
    }

    async fn holdings(&self) -> Result<Holdings, StoreError> {
        const OPERATION: &str = "count";
        let answer = self.link.ask(OPERATION, "/tokens/count", Body::Nothing).await?;
        json::object(&answer).ok_or_else(|| unreadable(OPERATION, &answer))
    }

    /// The count that is answered to this.
    async fn counted(
        &self,
        operation: &'static str,
        path: &'static str,
        body: Body,
    ) -> Result<u64, StoreError> {
        let answer = self.link.ask(operation, path, body).await?;
        let count: Option<Count> = json::object(&answer);
        count.map(|count| count.count).ok_or_else(|| unreadable(operation, &answer))
    }

    async fn introspect(
        &self,
        id: SessionId,
        now: Timestamp,
        touch: bool,
    ) -> Result<Option<Session>, StoreError> {
        const OPERATION: &str = "introspect a token";
        self.count();
        let Asked { now_ms, idle_ms } = self.asked(now);
        let mut form = format!("token={}&token_type_hint=access_token&now_ms={now_ms}", text(id));
        if let Some(idle_ms) = idle_ms {
            form.push_str(&format!("&idle_ms={idle_ms}"));
        }
        if touch {
            form.push_str("&touch=true");
        }
        let answer = self.link.ask(OPERATION, "/introspect", Body::Form(form)).await?;
        let known: Option<Introspected> = json::object(&answer);
        if !known.ok_or_else(|| unreadable(OPERATION, &answer))?.active {
            return Ok(None);
        }
        let active: Option<ReadActive<'_>> = json::object(&answer);
        let session = active.and_then(ReadActive::session);
        let session = session.ok_or_else(|| unreadable(OPERATION, &answer))?;
        self.wrote(touch.into());
        Ok(Some(session))
    }
}

/// A token as it is sent.
fn text(id: SessionId) -> String {
    let mut text = String::new();
    id.encode(&mut text);
    text
}

fn written(value: &impl Serialize) -> Result<Body, StoreError> {
    serde_json::to_vec(value).map(Body::Json).map_err(|error| StoreError {
        store: ISSUER,
        operation: "be asked",
        found: error.to_string(),
    })
}

fn unreadable(operation: &'static str, answer: &Bytes) -> StoreError {
    let found = format!("an unreadable answer of {} bytes", answer.len());
    StoreError { store: ISSUER, operation, found }
}

impl SessionStore for OpaqueTokens {
    const NAME: &'static str = ISSUER;

    fn notes(&self) -> Vec<String> {
        vec![
            issuer_note(self.own.as_ref()),
            "It keeps tokens in its memory, and they are gone with it.".into(),
        ]
    }

    fn process(&self) -> Option<StoreProcess> {
        self.own.as_ref().and_then(OwnIssuer::process)
    }

    async fn create(&self, id: SessionId, session: Session) -> Result<bool, StoreError> {
        self.count();
        let moments = Moments::of(&session);
        let new = NewToken { token: text(id), facts: NewFacts::of(&session.data), moments };
        let created = self.counted("create a token", "/tokens", written(&new)?).await?;
        Ok(self.wrote(created) == 1)
    }

    async fn read(&self, id: SessionId, now: Timestamp) -> Result<Option<Session>, StoreError> {
        self.introspect(id, now, false).await
    }

    async fn touch(&self, id: SessionId, now: Timestamp) -> Result<bool, StoreError> {
        Ok(self.introspect(id, now, true).await?.is_some())
    }

    async fn read_and_touch(
        &self,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        self.introspect(id, now, true).await
    }

    async fn update(
        &self,
        id: SessionId,
        data: SessionData,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.count();
        let (facts, asked) = (NewFacts::of(&data), self.asked(now));
        let update = NewUpdate { token: text(id), facts, asked };
        let updated = self.counted("update a token", "/tokens/update", written(&update)?).await?;
        Ok(self.wrote(updated) == 1)
    }

    async fn delete(&self, id: SessionId) -> Result<bool, StoreError> {
        self.count();
        let form = Body::Form(format!("token={}", text(id)));
        let ended = self.counted("revoke a token", "/revoke", form).await?;
        Ok(self.wrote(ended) == 1)
    }

    async fn delete_all_of_user(&self, user: UserId) -> Result<u64, StoreError> {
        self.count();
        let form = Body::Form(format!("sub={user}"));
        let ended = self.counted("revoke a user's tokens", "/tokens/revoke-all", form).await?;
        Ok(self.wrote(ended))
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.counted("sweep", "/tokens/sweep", written(&self.asked(now))?).await
    }

    async fn stats(&self) -> Result<StoreStats, StoreError> {
        let Holdings { tokens, swept, used_bytes } = self.holdings().await?;
        Ok(StoreStats {
            sessions: tokens,
            operations: self.operations.load(Ordering::Relaxed),
            swept,
            used_bytes,
            disk_bytes: None,
            writes: Some(self.writes.load(Ordering::Relaxed)),
        })
    }
}
