//! Where refresh sessions are kept: the trait, and what becomes of a refresh token that is shown.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};

use super::{Boxed, SessionData, SessionId, StoreError, StoreStats, Upkeep, in_flight};
use crate::clock::Timestamp;
use crate::contract::StoreProcess;
use crate::users::UserId;

pub mod memory;
pub mod postgres;
pub mod redis;

/// The digest of a secret: SHA-256.
///
/// Two are compared in constant time, and `Debug` shows nothing of one.
#[derive(Clone, Copy)]
pub struct SecretDigest([u8; 32]);

impl SecretDigest {
    /// The digest of this secret.
    #[must_use]
    pub fn of(secret: &[u8; 16]) -> Self {
        let whole = digest(&SHA256, secret);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(whole.as_ref());
        Self(bytes)
    }

    /// The digest with these bytes, as a store kept them.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for SecretDigest {
    fn eq(&self, other: &Self) -> bool {
        verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl Eq for SecretDigest {}

impl fmt::Debug for SecretDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretDigest(..)")
    }
}

/// A refresh session as it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    /// What it is about. The cart is here too, since an access token, which carries it, does not
    /// live long enough to keep it.
    pub data: SessionData,
    /// The digest of its first secret.
    pub secret: SecretDigest,
    /// When it ends whatever happens: from this millisecond on it is gone.
    pub expires: Timestamp,
}

/// What happened to a refresh token that was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// It was the current one, and the new one is current now.
    Rotated {
        /// What the family is about.
        data: SessionData,
        /// When the family ends.
        expires: Timestamp,
    },
    /// It was the one before, less than the grace after it was replaced: refused, and nothing
    /// more. A second tab, or a client that did not get the answer, came late.
    Late,
    /// It was an older one, or the one before and the grace was over: somebody has a copy, so the
    /// family has been ended. A secret that was never given out is not told from an old one.
    Reused,
    /// There is no live family of this id.
    Unknown,
}

/// A place for refresh sessions. The module's documentation says what an implementation promises.
///
/// Every method fails with [`StoreError`] where the store could not be asked.
///
/// A refresh session, a **family**, begins with a login and has one secret at a time: a client that
/// shows it gets another, and it is the previous one from then on. A store knows digests only, so
/// what it holds refreshes nothing (secrets are 128 random bits, which nobody searches for, so a
/// plain SHA-256 is enough).
///
/// # Writing a store
///
/// One file, one `impl` of [`RefreshStore`], its arm next to `MEMORY` in `schemes::jwt_refresh`,
/// and one line in the list of `servers/tests/suite/every_refresh_store.rs`. The promises of
/// [`super::SessionStore`] hold here too: only `begin` creates, nothing extends the expiry, expired
/// is gone from its millisecond on, an error is an error, time is an argument. And one more:
/// **[`RefreshStore::rotate`] is one atomic step**, so that of two that show the same secret at the
/// same moment one wins, whatever happens between them. A store that asks first and writes later
/// does not keep it.
pub trait RefreshStore: Send + Sync + 'static {
    /// What stands behind the `@` in the name of an arm.
    const NAME: &'static str;

    /// What a reader of figures should know about how the store was set up, one sentence each.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// The server of the store, where one was started for this store.
    fn process(&self) -> Option<StoreProcess> {
        None
    }

    /// Begins the family; `false`, and nothing changed, if this id is taken.
    fn begin(
        &self,
        id: SessionId,
        family: Family,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Begins each of these families as [`RefreshStore::begin`] does; how many. A store that can be
    /// given many at a time should take them so, and leave what single beginnings leave.
    fn begin_many(
        &self,
        families: Vec<(SessionId, Family)>,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send {
        async move {
            let beginnings = families.into_iter().map(|(id, family)| self.begin(id, family));
            let begun = in_flight(beginnings).await?;
            Ok(begun.into_iter().map(u64::from).sum())
        }
    }

    /// Replaces the current secret by `new` if it is the one that was shown, and judges it
    /// otherwise: see [`Rotation`]. One atomic step, and the only method that looks at secrets.
    ///
    /// `grace` counts from `now` of the call that replaced the previous secret; at that very
    /// millisecond it is over.
    ///
    /// A call that fails may have been carried out. Its secret is then the previous one, and the
    /// user has to log in again.
    fn rotate(
        &self,
        id: SessionId,
        shown: SecretDigest,
        new: SecretDigest,
        now: Timestamp,
        grace: Duration,
    ) -> impl Future<Output = Result<Rotation, StoreError>> + Send;

    /// Replaces the data of the live family of this id, the last writer winning; `false` if it
    /// does not exist. It changes neither the secrets nor the expiry.
    fn update(
        &self,
        id: SessionId,
        data: SessionData,
        now: Timestamp,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Ends the family of this id, live or not; `false` if it does not exist.
    fn end(&self, id: SessionId) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Ends every family of a user that began before this call did; how many.
    fn end_all_of_user(&self, user: UserId)
    -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Removes what has expired, in small steps that stall nobody, and gives memory back; how
    /// many.
    fn sweep(&self, now: Timestamp) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Figures about the store: its sessions are the families.
    fn stats(&self) -> impl Future<Output = Result<StoreStats, StoreError>> + Send;
}

/// A store of refresh sessions as the server's housekeeping sees it.
#[derive(Debug)]
pub struct Housekeeping<S>(pub Arc<S>);

impl<S: RefreshStore> Upkeep for Housekeeping<S> {
    fn sweep(&self, now: Timestamp) -> Boxed<'_, Result<u64, StoreError>> {
        Box::pin(self.0.sweep(now))
    }

    fn stats(&self) -> Boxed<'_, Result<StoreStats, StoreError>> {
        Box::pin(self.0.stats())
    }
}
