//! Sessions in tower-sessions' own `MemoryStore`: what a Rust service picks first.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::de::{Deserialize, IntoDeserializer};
use serde_json::Value;
use time::OffsetDateTime;
use tokio::sync::{Mutex, MutexGuard};
use tower_sessions_core::SessionStore as _;
use tower_sessions_core::session::{Id, Record};
use tower_sessions_memory_store::MemoryStore;

use super::{Session, SessionData, SessionId, SessionStore, StoreError, StoreStats, is_live};
use crate::cart::Cart;
use crate::clock::{Clock, Timestamp};
use crate::users::{Name, Role, User, UserId};

/// How much later than ours the store's own expiry is, so that ours decides, to the millisecond:
/// 60 s.
pub const SLACK: Duration = Duration::from_secs(60);

/// Sessions removed under one hold of the lock.
const STEP: usize = 1024;

const USER: &str = "user";
const CART: &str = "cart";
/// Creation, absolute expiry and last use, milliseconds since the epoch.
const TIMES: &str = "times";

/// What the index knows of a session.
struct Known {
    user: UserId,
    expires: Timestamp,
    last_seen: Timestamp,
}

type Index = HashMap<SessionId, Known>;

/// The store.
///
/// A session is kept as that crate keeps one, a [`Record`] whose data is a map of JSON values, and
/// read by its `load`: one asynchronous lock around one map, and a copy of the record for every
/// request. What our promises need beyond that is added here and not there:
///
/// - Its `save` writes whether or not the session is still there, so one that was logged out would
///   come back. All who write hold a lock of ours, and look before they save.
/// - It has no list by user and never deletes what has expired. An index of ids, under that lock,
///   serves a logout everywhere and a sweep. The store's own map keeps its size for ever.
/// - It asks the system whether a record has expired, and our time is an argument. So its date is
///   set by the system's clock, later than ours by [`SLACK`], and ours is looked at besides.
///
/// Records are in the store only while they are in the index: a creation enters the index
/// first, a deletion leaves it last, so that a request that is given up half way cannot leave
/// a record that nobody would ever delete. Every id in the store is one that we made.
#[derive(Default)]
pub struct TowerStore {
    store: MemoryStore,
    /// A write holds it until it is done; a read does not hold it.
    index: Mutex<Index>,
    idle: Option<Duration>,
    operations: AtomicU64,
    writes: AtomicU64,
    swept: AtomicU64,
}

impl TowerStore {
    /// An empty store whose sessions also end after `idle` without activity.
    #[must_use]
    pub fn new(idle: Option<Duration>) -> Self {
        Self { idle, ..Self::default() }
    }

    fn count(&self) {
        self.operations.fetch_add(1, Ordering::Relaxed);
    }

    fn wrote(&self, writes: u64) {
        self.writes.fetch_add(writes, Ordering::Relaxed);
    }

    /// The live session of this id, and its record.
    async fn load(
        &self,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Option<(Record, Session)>, StoreError> {
        let found = self.store.load(&key(id)).await.map_err(|e| failed("load a record", &e))?;
        let Some(record) = found else { return Ok(None) };
        let odd = || failed("read a record", &"data of another form than was saved");
        let session = session(&record).ok_or_else(odd)?;
        let live = is_live(session.expires, session.last_seen, self.idle, now);
        Ok(live.then_some((record, session)))
    }

    /// Lets `change` change the live session of this id, and saves it; what it was changed to.
    async fn change(
        &self,
        id: SessionId,
        now: Timestamp,
        change: impl FnOnce(&mut Session) + Send,
    ) -> Result<Option<Session>, StoreError> {
        self.count();
        let mut index = self.index.lock().await;
        let Some((mut record, mut session)) = self.load(id, now).await? else { return Ok(None) };
        change(&mut session);
        record.data = data(&session)?;
        self.store.save(&record).await.map_err(|e| failed("save a record", &e))?;
        index.insert(id, Known::of(&session));
        self.wrote(1);
        Ok(Some(session))
    }

    /// Removes every session that `goes`, in steps; how many.
    async fn remove(&self, goes: impl Fn(&Known) -> bool + Send + Sync) -> Result<u64, StoreError> {
        let ids: Vec<_> = {
            let index = self.index.lock().await;
            index.iter().filter(|(_, known)| goes(known)).map(|(&id, _)| id).collect()
        };
        let mut removed = 0;
        for step in ids.chunks(STEP) {
            let mut index = self.index.lock().await;
            for &id in step {
                // One may have been touched since it was seen.
                if index.get(&id).is_some_and(&goes) {
                    removed += u64::from(self.delete_from(&mut index, id).await?);
                }
            }
            if index.len() < index.capacity() / 4 {
                let keep = index.len() * 2;
                index.shrink_to(keep);
            }
            drop(index);
            tokio::task::yield_now().await;
        }
        Ok(removed)
    }

    async fn delete_from(
        &self,
        index: &mut MutexGuard<'_, Index>,
        id: SessionId,
    ) -> Result<bool, StoreError> {
        self.store.delete(&key(id)).await.map_err(|e| failed("delete a record", &e))?;
        Ok(index.remove(&id).is_some())
    }
}

impl Known {
    fn of(session: &Session) -> Self {
        let Session { data, expires, last_seen, .. } = session;
        Self { user: data.user.id, expires: *expires, last_seen: *last_seen }
    }
}

fn failed(operation: &'static str, found: &dyn fmt::Display) -> StoreError {
    StoreError { store: TowerStore::NAME, operation, found: found.to_string() }
}

/// The id as the store writes it, which is the same text.
const fn key(id: SessionId) -> Id {
    Id(i128::from_le_bytes(*id.as_bytes()))
}

/// A session as the data of a record.
fn data(session: &Session) -> Result<HashMap<String, Value>, StoreError> {
    let value = |value: serde_json::Result<Value>| value.map_err(|e| failed("write a record", &e));
    let Session { data, created, expires, last_seen } = session;
    let times = [created.millis(), expires.millis(), last_seen.millis()];
    Ok(HashMap::from([
        (USER.to_owned(), value(serde_json::to_value(data.user))?),
        (CART.to_owned(), value(serde_json::to_value(&data.cart))?),
        (TIMES.to_owned(), value(serde_json::to_value(times))?),
    ]))
}

/// The session that a record's data is.
fn session(record: &Record) -> Option<Session> {
    let user = record.data.get(USER)?;
    let id = UserId::new(u32::try_from(user.get("user_id")?.as_u64()?).ok()?)?;
    let name = Name::new(user.get("name")?.as_str()?)?;
    let role = Role::parse(user.get("role")?.as_str()?)?;
    let items = record.data.get(CART)?.as_array()?;
    let items: Vec<&str> = items.iter().map(Value::as_str).collect::<Option<_>>()?;
    let cart = Cart::of(items.into_iter()).ok()?;
    let times = record.data.get(TIMES)?.into_deserializer();
    let times = <[u64; 3]>::deserialize(times).ok()?.map(Timestamp::from_millis);
    let [created, expires, last_seen] = times;
    Some(Session {
        data: SessionData { user: User { id, name, role }, cart },
        created,
        expires,
        last_seen,
    })
}

/// When the store itself takes a session of this life for expired: never before we do.
fn expiry_date(session: &Session) -> Result<OffsetDateTime, StoreError> {
    let left = session.expires.millis().saturating_sub(session.last_seen.millis());
    let at = Clock::System.now().plus(Duration::from_millis(left)).plus(SLACK);
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.millis()) * 1_000_000)
        .map_err(|e| failed("write a record", &e))
}

impl SessionStore for TowerStore {
    const NAME: &'static str = "tower";

    fn notes(&self) -> Vec<String> {
        vec![
            "The store is the MemoryStore of tower-sessions 0.15: one lock around one map, and a \
             copy of the record, whose data are JSON values, for every request."
                .into(),
            "Its `save` would bring a logged-out session back, it has no list by user, and it \
             never deletes what has expired: a lock for writers and an index of ids are added to \
             it, and take time and memory of their own. Its map does not shrink."
                .into(),
        ]
    }

    async fn create(&self, id: SessionId, session: Session) -> Result<bool, StoreError> {
        self.count();
        let (data, expiry_date) = (data(&session)?, expiry_date(&session)?);
        let mut index = self.index.lock().await;
        if index.contains_key(&id) {
            return Ok(false);
        }
        index.insert(id, Known::of(&session));
        // It would take another id if this one had a record, which it has not.
        let mut record = Record { id: key(id), data, expiry_date };
        self.store.create(&mut record).await.map_err(|e| failed("create a record", &e))?;
        self.wrote(1);
        Ok(true)
    }

    async fn read(&self, id: SessionId, now: Timestamp) -> Result<Option<Session>, StoreError> {
        self.count();
        Ok(self.load(id, now).await?.map(|(_, session)| session))
    }

    async fn touch(&self, id: SessionId, now: Timestamp) -> Result<bool, StoreError> {
        Ok(self.read_and_touch(id, now).await?.is_some())
    }

    async fn read_and_touch(
        &self,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        self.change(id, now, |session| session.last_seen = session.last_seen.max(now)).await
    }

    async fn update(
        &self,
        id: SessionId,
        data: SessionData,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(self.change(id, now, |session| session.data = data).await?.is_some())
    }

    async fn delete(&self, id: SessionId) -> Result<bool, StoreError> {
        self.count();
        let mut index = self.index.lock().await;
        let removed = self.delete_from(&mut index, id).await?;
        self.wrote(removed.into());
        Ok(removed)
    }

    async fn delete_all_of_user(&self, user: UserId) -> Result<u64, StoreError> {
        self.count();
        let removed = self.remove(|known| known.user == user).await?;
        self.wrote(removed);
        Ok(removed)
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        let over = |known: &Known| !is_live(known.expires, known.last_seen, self.idle, now);
        let removed = self.remove(over).await?;
        self.swept.fetch_add(removed, Ordering::Relaxed);
        Ok(removed)
    }

    async fn stats(&self) -> Result<StoreStats, StoreError> {
        Ok(StoreStats {
            sessions: self.index.lock().await.len() as u64,
            operations: self.operations.load(Ordering::Relaxed),
            swept: self.swept.load(Ordering::Relaxed),
            writes: Some(self.writes.load(Ordering::Relaxed)),
            ..StoreStats::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The store is really asked, its record is a whole one, and its clock does not come before
    /// ours.
    #[tokio::test]
    async fn a_session_is_a_record_of_the_store() {
        let store = TowerStore::new(None);
        let now = Timestamp::from_seconds(2_000_000_000);
        let user = User::of(UserId::new(7).unwrap());
        let cart = Cart::default().with("apple").unwrap();
        let whole = SessionData { user, cart };
        let begun = Session::begin(whole, now, Duration::from_secs(900));
        let id = SessionId::generate().unwrap();
        assert!(store.create(id, begun.clone()).await.unwrap());
        let record = store.store.load(&key(id)).await.unwrap().unwrap();
        let mut text = String::new();
        id.encode(&mut text);
        assert_eq!(record.id.to_string(), text);
        assert_eq!(
            record.data[USER],
            serde_json::json!({ "user_id": 7, "name": "User 7", "role": "member" })
        );
        assert_eq!(record.data[CART], serde_json::json!(["apple"]));
        assert_eq!(session(&record), Some(begun));
        let left = record.expiry_date - OffsetDateTime::now_utc();
        assert!((900..=960).contains(&left.whole_seconds()), "{left}");

        store.store.delete(&key(id)).await.unwrap();
        assert_eq!(store.read(id, now).await.unwrap(), None, "what is read is the store's");
        assert_eq!(SessionStore::touch(&store, id, now).await, Ok(false));
        assert!(store.store.load(&key(id)).await.unwrap().is_none(), "and nothing brings it back");
    }

    #[tokio::test]
    async fn a_record_of_another_form_is_an_error_and_not_a_missing_session() {
        let store = TowerStore::new(None);
        let now = Timestamp::from_seconds(2_000_000_000);
        let id = SessionId::generate().unwrap();
        let expiry_date = OffsetDateTime::now_utc() + Duration::from_secs(60);
        let record = Record { id: key(id), data: HashMap::new(), expiry_date };
        store.store.save(&record).await.unwrap();
        assert_eq!(store.read(id, now).await.unwrap_err().operation, "read a record");
    }
}
