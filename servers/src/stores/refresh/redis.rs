//! Refresh sessions in Redis: one key a family, and one round trip for whatever is done to one.

use std::fmt;
use std::time::Duration;

use redis::Script;

use super::{Family, RefreshStore, Rotation, SecretDigest};
use crate::clock::{Clock, Timestamp};
use crate::contract::StoreProcess;
use crate::error::ServeError;
use crate::stores::patience::Patience;
use crate::stores::redis::PLACE;
use crate::stores::redis::facts::Kind;
use crate::stores::redis::records::{Records, text};
use crate::stores::redis::scripts::script;
use crate::stores::redis::value::{decode_data, encode_data, millis, unreadable};
use crate::stores::{SessionData, SessionId, StoreError, StoreStats};
use crate::users::UserId;

/// Two moments, when the secret was replaced and the end, and two digests, of the current secret
/// and of the one before: zeros, which no secret has, before the first rotation.
const HEAD_BYTES: usize = 2 * 8 + 2 * 32;
const FAMILIES: Kind = Kind { key: "authbench:f:", index: "authbench:fu:", head: HEAD_BYTES };

const ROTATED: u8 = 0;
const LATE: u8 = 1;
const REUSED: u8 = 2;
const UNKNOWN: u8 = 3;

/// Family; shown, new, now, grace, id. What happened to the secret, and for a new one the end and
/// the data.
const ROTATE: &str = "
local value = redis.call('GET', KEYS[1])
if not value then return { 3, 0, '' } end
if #value < HEAD then return { 4, 0, value } end
local now = tonumber(ARGV[3])
local lives, replaced, expires = live(value, now, -1)
if not lives then return { 3, 0, '' } end
local current, previous = string.sub(value, 17, 48), string.sub(value, 49, 80)
if current == ARGV[1] then
  local head = struct.pack('>I8I8', now, expires) .. ARGV[2] .. current
  redis.call('SETRANGE', KEYS[1], 0, head)
  return { 0, expires, string.sub(value, HEAD + 1) }
end
if previous == ARGV[1] and now < replaced + tonumber(ARGV[4]) then return { 1, 0, '' } end
remove(KEYS[1], ARGV[5])
return { 2, 0, '' }";

/// The store.
///
/// A family is kept as a session is, with an index by user (`stores::redis::records`),
/// under keys of its own. In the head of its value are the digests of the current secret and of the
/// one before, so a rotation writes 80 bytes in place and leaves the data alone. It is a script,
/// which runs alone: of two that show the same secret one comes first.
///
/// Digests are compared as Lua compares strings. That is no leak: anyone who could measure it would
/// learn of a digest, from which no secret follows. Secrets must never get here.
pub struct RefreshRedis {
    records: Records,
    rotate: Script,
    clock: Clock,
}

impl RefreshRedis {
    /// The store in the Redis of this URL, or in one of its own. The clock says how long Redis is
    /// to keep a family, and nothing else.
    ///
    /// # Errors
    /// Where the URL is invalid, the program is missing, or Redis does not answer.
    pub async fn open(
        url: Option<&str>,
        clock: Clock,
        patience: Patience,
    ) -> Result<Self, ServeError> {
        Ok(Self::over(Records::open(FAMILIES, url, None, patience).await?, clock))
    }

    /// The store in the Redis of this URL, which is first asked when something is asked of the
    /// store.
    ///
    /// # Errors
    /// [`ServeError::Option`] where the URL is invalid.
    pub fn at(url: &str, clock: Clock, patience: Patience) -> Result<Self, ServeError> {
        Ok(Self::over(Records::at(FAMILIES, url, None, patience)?, clock))
    }

    fn over(records: Records, clock: Clock) -> Self {
        Self { records, rotate: script(&FAMILIES, ROTATE), clock }
    }
}

impl fmt::Debug for RefreshRedis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshRedis").finish_non_exhaustive()
    }
}

/// A family that has just begun.
fn encode(family: &Family) -> Vec<u8> {
    let mut value = Vec::with_capacity(HEAD_BYTES + 16);
    value.extend_from_slice(&[0; 8]);
    value.extend_from_slice(&millis(family.expires).to_be_bytes());
    value.extend_from_slice(family.secret.as_bytes());
    value.extend_from_slice(&[0; 32]);
    encode_data(&family.data, &mut value);
    value
}

impl RefreshStore for RefreshRedis {
    const NAME: &'static str = PLACE.store;

    fn notes(&self) -> Vec<String> {
        self.records.notes()
    }

    fn process(&self) -> Option<StoreProcess> {
        self.records.process()
    }

    async fn begin(&self, id: SessionId, family: Family) -> Result<bool, StoreError> {
        let (user, life) = (family.data.user.id, self.clock.now()..family.expires);
        self.records.create("begin a family", id, user, encode(&family), life).await
    }

    async fn rotate(
        &self,
        id: SessionId,
        shown: SecretDigest,
        new: SecretDigest,
        now: Timestamp,
        grace: Duration,
    ) -> Result<Rotation, StoreError> {
        const OPERATION: &str = "rotate a secret";
        let mut script = self.records.script(&self.rotate, id);
        script.arg(shown.as_bytes()).arg(new.as_bytes()).arg(millis(now));
        script.arg(u64::try_from(grace.as_millis()).unwrap_or(u64::MAX)).arg(text(id));
        let (rotation, expires, data): (u8, u64, Vec<u8>) =
            self.records.run(OPERATION, &script).await?;
        match rotation {
            ROTATED => {
                let data = decode_data(&data).ok_or_else(|| unreadable(OPERATION, &data))?;
                Ok(Rotation::Rotated { data, expires: Timestamp::from_millis(expires) })
            }
            LATE => Ok(Rotation::Late),
            REUSED => Ok(Rotation::Reused),
            UNKNOWN => Ok(Rotation::Unknown),
            _ => Err(unreadable(OPERATION, &data)),
        }
    }

    async fn update(
        &self,
        id: SessionId,
        data: SessionData,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut value = Vec::new();
        encode_data(&data, &mut value);
        self.records.update("update a family", id, data.user.id, value, now).await
    }

    async fn end(&self, id: SessionId) -> Result<bool, StoreError> {
        self.records.delete("end a family", id).await
    }

    async fn end_all_of_user(&self, user: UserId) -> Result<u64, StoreError> {
        self.records.delete_all_of_user("end a user's families", user).await
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.records.sweep(now).await
    }

    async fn stats(&self) -> Result<StoreStats, StoreError> {
        // A rotation is a write of its own kind, and is not counted.
        Ok(StoreStats { writes: None, ..self.records.stats().await? })
    }
}
