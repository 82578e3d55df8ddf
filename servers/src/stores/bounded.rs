//! A limit of time around a store that can hang: a caller gets an answer, or an error in time.

use std::future::Future;
use std::time::Duration;

use tokio::time::timeout;

use super::patience::Patience;
use super::refresh::{Family, RefreshStore, Rotation, SecretDigest};
use super::{Session, SessionData, SessionId, SessionStore, StoreError, StoreStats};
use crate::clock::Timestamp;
use crate::contract::StoreProcess;
use crate::users::UserId;

/// How long one sweep may take: 60 s. The next one goes on where it was given up.
pub const SWEEP_TIME_MAX: Duration = Duration::from_secs(60);
/// How long the creation of many sessions may take, for which no request waits: 60 s.
pub const FILL_TIME_MAX: Duration = Duration::from_secs(60);

/// A store whose calls are given up in time.
///
/// A store behind a socket, a disk or a queue may be slow, stopped or gone, and a request must not
/// wait for it longer than its [`Patience`]: it becomes a 503 and holds nothing any longer. What
/// was asked may still be done later, so a session can exist that nobody was given; it expires. A
/// store in this process's own memory cannot hang and must not be wrapped: a timer costs.
#[derive(Debug)]
pub struct Bounded<S> {
    store: S,
    patience: Patience,
}

impl<S> Bounded<S> {
    /// This store with a limit of time.
    pub const fn new(store: S, patience: Patience) -> Self {
        Self { store, patience }
    }

    /// The store itself.
    pub const fn inner(&self) -> &S {
        &self.store
    }
}

/// What this call of a store answers, or an error when the time is up.
pub(super) async fn within<T>(
    store: &'static str,
    limit: Duration,
    operation: &'static str,
    call: impl Future<Output = Result<T, StoreError>> + Send,
) -> Result<T, StoreError> {
    timeout(limit, call).await.unwrap_or_else(|_| {
        let found = format!("no answer within {} ms", limit.as_millis());
        Err(StoreError { store, operation, found })
    })
}

fn note(patience: Patience) -> String {
    let limit = patience.call().as_millis();
    format!("A call of the store that takes longer than {limit} ms is given up with a 503.")
}

impl<S: SessionStore> SessionStore for Bounded<S> {
    const NAME: &'static str = S::NAME;

    fn notes(&self) -> Vec<String> {
        let mut notes = self.store.notes();
        notes.push(note(self.patience));
        notes
    }

    fn process(&self) -> Option<StoreProcess> {
        self.store.process()
    }

    async fn create(&self, id: SessionId, session: Session) -> Result<bool, StoreError> {
        within(S::NAME, self.patience.call(), "create a session", self.store.create(id, session))
            .await
    }

    async fn create_many(&self, sessions: Vec<(SessionId, Session)>) -> Result<u64, StoreError> {
        let call = self.store.create_many(sessions);
        within(S::NAME, FILL_TIME_MAX, "create sessions", call).await
    }

    async fn read(&self, id: SessionId, now: Timestamp) -> Result<Option<Session>, StoreError> {
        within(S::NAME, self.patience.call(), "read a session", self.store.read(id, now)).await
    }

    async fn touch(&self, id: SessionId, now: Timestamp) -> Result<bool, StoreError> {
        within(S::NAME, self.patience.call(), "touch a session", self.store.touch(id, now)).await
    }

    async fn read_and_touch(
        &self,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        within(S::NAME, self.patience.call(), "read a session", self.store.read_and_touch(id, now))
            .await
    }

    async fn update(
        &self,
        id: SessionId,
        data: SessionData,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        within(S::NAME, self.patience.call(), "update a session", self.store.update(id, data, now))
            .await
    }

    async fn delete(&self, id: SessionId) -> Result<bool, StoreError> {
        within(S::NAME, self.patience.call(), "delete a session", self.store.delete(id)).await
    }

    async fn delete_all_of_user(&self, user: UserId) -> Result<u64, StoreError> {
        let call = self.store.delete_all_of_user(user);
        within(S::NAME, self.patience.call(), "delete a user's sessions", call).await
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        within(S::NAME, SWEEP_TIME_MAX, "sweep", self.store.sweep(now)).await
    }

    async fn stats(&self) -> Result<StoreStats, StoreError> {
        within(S::NAME, self.patience.call(), "count", self.store.stats()).await
    }
}

impl<S: RefreshStore> RefreshStore for Bounded<S> {
    const NAME: &'static str = S::NAME;

    fn notes(&self) -> Vec<String> {
        let mut notes = self.store.notes();
        notes.push(note(self.patience));
        notes
    }

    fn process(&self) -> Option<StoreProcess> {
        self.store.process()
    }

    async fn begin(&self, id: SessionId, family: Family) -> Result<bool, StoreError> {
        within(S::NAME, self.patience.call(), "begin a family", self.store.begin(id, family)).await
    }

    async fn begin_many(&self, families: Vec<(SessionId, Family)>) -> Result<u64, StoreError> {
        let call = self.store.begin_many(families);
        within(S::NAME, FILL_TIME_MAX, "begin families", call).await
    }

    async fn rotate(
        &self,
        id: SessionId,
        shown: SecretDigest,
        new: SecretDigest,
        now: Timestamp,
        grace: Duration,
    ) -> Result<Rotation, StoreError> {
        let call = self.store.rotate(id, shown, new, now, grace);
        within(S::NAME, self.patience.call(), "rotate a secret", call).await
    }

    async fn update(
        &self,
        id: SessionId,
        data: SessionData,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        within(S::NAME, self.patience.call(), "update a family", self.store.update(id, data, now))
            .await
    }

    async fn end(&self, id: SessionId) -> Result<bool, StoreError> {
        within(S::NAME, self.patience.call(), "end a family", self.store.end(id)).await
    }

    async fn end_all_of_user(&self, user: UserId) -> Result<u64, StoreError> {
        let call = self.store.end_all_of_user(user);
        within(S::NAME, self.patience.call(), "end a user's families", call).await
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        within(S::NAME, SWEEP_TIME_MAX, "sweep", self.store.sweep(now)).await
    }

    async fn stats(&self) -> Result<StoreStats, StoreError> {
        within(S::NAME, self.patience.call(), "count", self.store.stats()).await
    }
}
