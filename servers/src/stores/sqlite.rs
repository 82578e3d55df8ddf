//! Sessions in a file: SQLite, embedded and durable, the default that needs no server.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use rusqlite::{
    Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params,
};
use rustix::fs::OFlags;
use tokio::sync::{mpsc, oneshot};

use super::folder::Folder;
use super::patience::Patience;
use super::{Session, SessionData, SessionId, SessionStore, StoreError, StoreStats, is_live};
use crate::cart::Cart;
use crate::clock::Timestamp;
use crate::users::{Name, Role, User, UserId};

const STORE: &str = "sqlite";
/// Writes that may wait in the queue; further ones wait before it, for as long as they like.
const QUEUE: usize = 1024;
/// Most writes under one commit.
const BATCH: usize = 256;
/// Most rows that one step of a sweep removes.
const SWEEP_STEP: u32 = 256;
/// Least time between two writes of what was touched, in milliseconds.
const FLUSH_EVERY_MS: u64 = 1_000;
const READERS_MAX: usize = 4;

/// `ends` is the earlier of the absolute and the idle expiry: what a sweep looks for.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS sessions (
        id BLOB PRIMARY KEY, user INTEGER NOT NULL, name TEXT NOT NULL, role TEXT NOT NULL,
        cart TEXT, created INTEGER NOT NULL, expires INTEGER NOT NULL,
        last_seen INTEGER NOT NULL, ends INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS sessions_of_user ON sessions (user);
    CREATE INDEX IF NOT EXISTS sessions_by_end ON sessions (ends);";
/// A file may have been left by a server with another idle timeout.
const MEND: &str = "UPDATE sessions SET ends = min(expires, last_seen + ?1)
    WHERE ends <> min(expires, last_seen + ?1)";
const READ: &str =
    "SELECT user, name, role, cart, created, expires, last_seen FROM sessions WHERE id = ?1";
const CREATE: &str = "INSERT INTO sessions VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
    ON CONFLICT (id) DO NOTHING";
const UPDATE: &str = "UPDATE sessions SET user = ?2, name = ?3, role = ?4, cart = ?5
    WHERE id = ?1 AND ?6 < expires AND ?6 < max(last_seen, ?7) + ?8";
const TOUCH: &str = "UPDATE sessions
    SET last_seen = max(last_seen, ?2), ends = min(expires, max(last_seen, ?2) + ?3)
    WHERE id = ?1";
const DELETE: &str = "DELETE FROM sessions WHERE id = ?1";
const DELETE_ALL: &str = "DELETE FROM sessions WHERE user = ?1";
const USED: &str = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
const SWEEP: &str = "DELETE FROM sessions
    WHERE id IN (SELECT id FROM sessions WHERE ends <= ?1 LIMIT ?2)";

/// The far end of time, and of an idle timeout that is not set: two of them can be added.
const FOR_EVER: i64 = i64::MAX / 4;

fn millis(moment: Timestamp) -> i64 {
    i64::try_from(moment.millis()).map_or(FOR_EVER, |ms| ms.min(FOR_EVER))
}

enum Write {
    Create(SessionId, Session),
    CreateMany(Vec<(SessionId, Session)>),
    Update(SessionId, SessionData, Timestamp),
    Delete(SessionId),
    DeleteAllOf(UserId),
    SweepStep(Timestamp),
    Flush,
}

/// What is answered is the number of rows changed, or what SQLite said.
type Answer = oneshot::Sender<Result<u64, String>>;

struct AskedWrite {
    write: Write,
    answer: Answer,
}

impl AskedWrite {
    /// Whether it is not to be done any more: nobody would be given the session, nor told of the
    /// change. A removal is done anyway.
    fn given_up(&self) -> bool {
        let creates = matches!(self.write, Write::Create(..) | Write::CreateMany(_));
        (creates || matches!(self.write, Write::Update(..))) && self.answer.is_closed()
    }
}

/// What reads and the writer share.
struct Shared {
    idle: Option<Duration>,
    /// Activity that is not in the file yet. An entry is dropped after it has been committed.
    touched: Mutex<HashMap<SessionId, Timestamp>>,
    flush_due: AtomicU64,
    sessions: AtomicU64,
    /// Rows written for what was asked, once they are committed.
    writes: AtomicU64,
}

impl Shared {
    fn idle_millis(&self) -> i64 {
        let idle = self.idle.map(|idle| i64::try_from(idle.as_millis()).unwrap_or(FOR_EVER));
        idle.map_or(FOR_EVER, |idle| idle.min(FOR_EVER))
    }

    fn touched_at(&self, id: SessionId) -> Timestamp {
        self.touched.lock().get(&id).copied().unwrap_or_default()
    }
}

/// The store.
///
/// Writes go through one thread with a queue, because SQLite has one writer in any case, and one
/// with a queue can do what a pool cannot: commit together what waits together, so that one flush
/// of the disk serves many. Reads are done where they are asked: a row that is in memory is found
/// in two or three microseconds, and the way to a thread and back takes ten times as long. In WAL
/// mode a read never waits for a writer, nor for a lock that another process holds on one; what it
/// can wait for is the disk, for a page that nobody read before. A read begins after every commit
/// that was answered before, so a logout holds at once.
///
/// `synchronous=FULL`: a login or a logout that was answered survives a power cut. With `NORMAL` a
/// logout could be forgotten, and a session that its user ended would be back. Activity is no such
/// thing: it is kept in memory, where reads see it, and written at most once a second.
///
/// Only `create` inserts; everything else is an `UPDATE` or a `DELETE`, so nothing here can bring
/// a session back. What was asked and given up meanwhile is not done late, but for removals.
/// No memory-mapped file: an error of the disk would be a signal and the end of the process.
pub struct SqliteStore {
    /// `None` only while it is dropped.
    writer: Option<mpsc::Sender<AskedWrite>>,
    /// As many as there can be reads at a time, each for one of them.
    readers: Vec<Mutex<Connection>>,
    writing: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
    operations: AtomicU64,
    swept: AtomicU64,
    path: PathBuf,
    /// Removed with all that is in it, after the connections are closed.
    temporary: Option<Folder>,
}

impl SqliteStore {
    /// The store in this file, made where it is not there, or in one for as long as the store
    /// lives; its sessions also end after `idle` without activity.
    ///
    /// # Errors
    /// Where the file cannot be made or opened, or is no such store.
    pub fn open(
        path: Option<&Path>,
        idle: Option<Duration>,
        patience: Patience,
    ) -> Result<Self, StoreError> {
        let refused = |found: String| StoreError { store: STORE, operation: "be opened", found };
        let temporary = match path {
            Some(_) => None,
            None => {
                let made = Folder::make();
                Some(made.map_err(|error| refused(format!("no temporary folder: {error}")))?)
            }
        };
        let path = match (path, &temporary) {
            (None, Some(folder)) => folder.home().join("sessions.sqlite"),
            (path, _) => path.unwrap_or(Path::new("sessions.sqlite")).to_path_buf(),
        };
        let shown = |found: String| refused(format!("{}: {found}", path.display()));
        let real = own_file(&path).map_err(|error| shown(error.to_string()))?;

        let readers = thread::available_parallelism().map_or(1, usize::from).min(READERS_MAX);
        let shared = Arc::new(Shared {
            idle,
            touched: Mutex::default(),
            flush_due: AtomicU64::new(0),
            sessions: AtomicU64::new(0),
            writes: AtomicU64::new(0),
        });
        let mut store = Self {
            writer: None,
            readers: Vec::new(),
            writing: None,
            shared,
            operations: AtomicU64::new(0),
            swept: AtomicU64::new(0),
            path: real,
            temporary,
        };
        let begun = store.begin(readers, patience);
        begun.map(|()| store).map_err(|error| shown(error.to_string()))
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn begin(&mut self, readers: usize, patience: Patience) -> rusqlite::Result<()> {
        let connection = connect(&self.path, patience)?;
        connection.execute_batch(SCHEMA)?;
        connection.execute(MEND, [self.shared.idle_millis()])?;
        let count: i64 =
            connection.query_row("SELECT count(*) FROM sessions", [], |row| row.get(0))?;
        let count = u64::try_from(count).unwrap_or_default();
        self.shared.sessions.store(count, Ordering::Relaxed);
        // A table of this name that is not ours is found out here and not by the first request.
        for statement in [READ, CREATE, UPDATE, TOUCH, DELETE, DELETE_ALL, SWEEP] {
            connection.prepare_cached(statement)?;
        }
        let (asking, asked) = mpsc::channel(QUEUE);
        let shared = Arc::clone(&self.shared);
        self.writing = Some(thread::spawn(move || write_until_closed(connection, &shared, asked)));
        self.writer = Some(asking);
        for _ in 0..readers {
            let connection = connect(&self.path, patience)?;
            // A read holds up everything else on its thread, so it never waits.
            connection.busy_timeout(Duration::ZERO)?;
            self.readers.push(Mutex::new(connection));
        }
        Ok(())
    }

    async fn write(&self, write: Write, operation: &'static str) -> Result<u64, StoreError> {
        let (answer, answered) = oneshot::channel();
        if let Some(writer) = &self.writer {
            // Where it cannot be sent, nothing will answer either.
            drop(writer.send(AskedWrite { write, answer }).await);
        }
        let answer = answered.await.unwrap_or_else(|_| Err("its thread has ended".into()));
        answer.map_err(could_not(operation))
    }

    fn find(
        &self,
        id: SessionId,
        now: Timestamp,
        touch: bool,
    ) -> Result<Option<Session>, StoreError> {
        self.operations.fetch_add(1, Ordering::Relaxed);
        let found = match self.reader() {
            Some(connection) => read(&connection, &self.shared, id, now, touch),
            None => Err("it has no connection".into()),
        };
        let found = found.map_err(could_not("read a session"))?;
        if touch && found.is_some() {
            self.flush_where_due(now);
        }
        Ok(found)
    }

    fn reader(&self) -> Option<MutexGuard<'_, Connection>> {
        let free = self.readers.iter().find_map(Mutex::try_lock);
        free.or_else(|| self.readers.first().map(Mutex::lock))
    }

    /// Bytes of the pages in use and free, those in the log that the file does not have yet
    /// included.
    fn used_bytes(&self) -> Result<u64, String> {
        let reader = self.reader().ok_or("it has no connection")?;
        let bytes: i64 = reader.query_row(USED, [], |row| row.get(0)).map_err(said)?;
        Ok(u64::try_from(bytes).unwrap_or_default())
    }

    /// Bytes of the file and of its log.
    fn disk_bytes(&self) -> Option<u64> {
        let mut log = self.path.clone().into_os_string();
        log.push("-wal");
        let length = |path: &Path| path.metadata().map(|file| file.len());
        Some(length(&self.path).ok()? + length(Path::new(&log)).unwrap_or_default())
    }

    /// Has what was touched written, where that was not done for a second. Nobody waits for it,
    /// and where the queue is full it is done by a later one.
    fn flush_where_due(&self, now: Timestamp) {
        let due = self.shared.flush_due.load(Ordering::Relaxed);
        let next = now.millis().saturating_add(FLUSH_EVERY_MS);
        let ours = due <= now.millis()
            && self
                .shared
                .flush_due
                .compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if let (true, Some(writer)) = (ours, &self.writer) {
            let (answer, _) = oneshot::channel();
            drop(writer.try_send(AskedWrite { write: Write::Flush, answer }));
        }
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.writer = None;
        if let Some(writing) = self.writing.take() {
            drop(writing.join());
        }
        // The last connection to be closed puts everything into the file itself.
        self.readers.clear();
    }
}

fn could_not(operation: &'static str) -> impl Fn(String) -> StoreError {
    move |found| StoreError { store: STORE, operation, found }
}

/// Makes the file where it is not there, and gives its path with no link in it: anyone who plants a
/// link at its name would choose what is written over. Anyone who can read the file has every
/// session, so nobody else may.
fn own_file(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| io::Error::other("names no file"))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let real = folder.unwrap_or(Path::new(".")).canonicalize()?.join(name);
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let mut options = OpenOptions::new();
    let file = options.create(true).append(true).mode(0o600).custom_flags(flags).open(&real);
    let found = match file {
        Ok(file) if file.metadata()?.is_file() => return Ok(real),
        Err(error) if !real.is_symlink() => return Err(error),
        Err(_) => "a symbolic link: name what it leads to",
        Ok(_) => "a pipe or a device: name another file",
    };
    Err(io::Error::other(format!("expected a file, found {found}")))
}

fn connect(path: &Path, patience: Patience) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::default() | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(patience.answer())?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -8_000)?;
    Ok(connection)
}

fn read(
    connection: &Connection,
    shared: &Shared,
    id: SessionId,
    now: Timestamp,
    touch: bool,
) -> Result<Option<Session>, String> {
    // Before the row: what is committed in between leaves the map, and is then in the row.
    let touched_at = shared.touched_at(id);
    let mut statement = connection.prepare_cached(READ).map_err(said)?;
    let found = statement.query_row([id.as_bytes()], |row| Ok(session(row))).optional();
    let Some(mut session) = found.map_err(said)?.transpose().map_err(said)? else {
        return Ok(None);
    };
    session.last_seen = session.last_seen.max(touched_at);
    if !is_live(session.expires, session.last_seen, shared.idle, now) {
        return Ok(None);
    }
    if touch {
        session.last_seen = session.last_seen.max(now);
        shared.touched.lock().insert(id, session.last_seen);
    }
    Ok(Some(session))
}

#[allow(clippy::needless_pass_by_value, reason = "it is what `map_err` hands over")]
fn said(error: rusqlite::Error) -> String {
    error.to_string()
}

fn session(row: &rusqlite::Row<'_>) -> rusqlite::Result<Session> {
    let odd = || rusqlite::Error::IntegralValueOutOfRange(0, 0);
    let moment = |column| {
        let millis = u64::try_from(row.get::<usize, i64>(column)?).map_err(|_| odd())?;
        Ok::<_, rusqlite::Error>(Timestamp::from_millis(millis))
    };
    let id = UserId::new(row.get(0)?).ok_or_else(odd)?;
    let name = Name::new(row.get_ref(1)?.as_str()?).ok_or_else(odd)?;
    let role = Role::parse(row.get_ref(2)?.as_str()?).ok_or_else(odd)?;
    let cart = match row.get_ref(3)?.as_str_or_null()? {
        None => Cart::default(),
        Some(text) => {
            // Owned, because an item with an escape in it is not to be had as it stands.
            let items: Vec<String> = serde_json::from_str(text).map_err(|_| odd())?;
            Cart::of(items.iter().map(String::as_str)).map_err(|_| odd())?
        }
    };
    Ok(Session {
        data: SessionData { user: User { id, name, role }, cart },
        created: moment(4)?,
        expires: moment(5)?,
        last_seen: moment(6)?,
    })
}

/// Commits in groups: what has come in while the last group was on its way to the disk is the next.
fn write_until_closed(
    mut connection: Connection,
    shared: &Shared,
    mut asked: mpsc::Receiver<AskedWrite>,
) {
    let mut group = Vec::with_capacity(BATCH);
    while let Some(first) = asked.blocking_recv() {
        group.push(first);
        while group.len() < BATCH
            && let Ok(next) = asked.try_recv()
        {
            group.push(next);
        }
        group.retain(|asked| !asked.given_up());
        if group.is_empty() {
            continue;
        }
        let done = commit(&mut connection, shared, &group);
        for (n, AskedWrite { answer, .. }) in group.drain(..).enumerate() {
            let rows = done.as_ref().map(|rows| rows.get(n).copied().unwrap_or_default());
            drop(answer.send(rows.map_err(Clone::clone)));
        }
    }
    // The last activity: lost where this fails, as it would be in a crash.
    let (answer, _) = oneshot::channel();
    drop(commit(&mut connection, shared, &[AskedWrite { write: Write::Flush, answer }]));
}

/// All of these or none; how many rows each changed.
fn commit(
    connection: &mut Connection,
    shared: &Shared,
    group: &[AskedWrite],
) -> Result<Vec<u64>, String> {
    let mut flushed = Vec::new();
    let mut rows = Vec::with_capacity(group.len());
    let (mut created, mut removed, mut written) = (0, 0, 0);
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(said)?;
    for asked in group {
        if matches!(asked.write, Write::Flush | Write::SweepStep(_)) {
            flush(&transaction, shared, &mut flushed).map_err(said)?;
        }
        let changed = apply(&transaction, shared, &asked.write).map_err(said)?;
        if !matches!(asked.write, Write::SweepStep(_)) {
            written += changed;
        }
        match asked.write {
            Write::Create(..) | Write::CreateMany(_) => created += changed,
            Write::Update(..) | Write::Flush => {}
            Write::Delete(_) | Write::DeleteAllOf(_) | Write::SweepStep(_) => removed += changed,
        }
        rows.push(changed);
    }
    transaction.commit().map_err(said)?;
    shared.sessions.fetch_add(created, Ordering::Relaxed);
    shared.sessions.fetch_sub(removed, Ordering::Relaxed);
    shared.writes.fetch_add(written + flushed.len() as u64, Ordering::Relaxed);
    let mut touched = shared.touched.lock();
    for (id, moment) in flushed {
        if touched.get(&id) == Some(&moment) {
            touched.remove(&id);
        }
    }
    if touched.len() < touched.capacity() / 4 {
        touched.shrink_to_fit();
    }
    Ok(rows)
}

fn apply(transaction: &Transaction<'_>, shared: &Shared, write: &Write) -> rusqlite::Result<u64> {
    let rows = match write {
        Write::Create(id, session) => create(transaction, shared, id, session)?,
        Write::CreateMany(sessions) => {
            let mut created = 0;
            for (id, session) in sessions {
                created += create(transaction, shared, id, session)?;
            }
            created
        }
        Write::Update(id, SessionData { user, cart }, now) => {
            transaction.prepare_cached(UPDATE)?.execute(params![
                id.as_bytes(),
                user.id.number(),
                user.name.as_str(),
                user.role.as_str(),
                text(cart),
                millis(*now),
                millis(shared.touched_at(*id)),
                shared.idle_millis(),
            ])?
        }
        Write::Delete(id) => transaction.prepare_cached(DELETE)?.execute([id.as_bytes()])?,
        Write::DeleteAllOf(user) => {
            transaction.prepare_cached(DELETE_ALL)?.execute([user.number()])?
        }
        Write::SweepStep(now) => {
            transaction.prepare_cached(SWEEP)?.execute(params![millis(*now), SWEEP_STEP])?
        }
        Write::Flush => 0,
    };
    Ok(rows as u64)
}

fn create(
    transaction: &Transaction<'_>,
    shared: &Shared,
    id: &SessionId,
    session: &Session,
) -> rusqlite::Result<usize> {
    let Session { data: SessionData { user, cart }, created, expires, last_seen } = session;
    let ends = millis(*expires).min(millis(*last_seen) + shared.idle_millis());
    transaction.prepare_cached(CREATE)?.execute(params![
        id.as_bytes(),
        user.id.number(),
        user.name.as_str(),
        user.role.as_str(),
        text(cart),
        millis(*created),
        millis(*expires),
        millis(*last_seen),
        ends,
    ])
}

/// Writes what was touched and not written yet. It stays in memory until it is committed, so that
/// no reader finds it in neither place.
fn flush(
    transaction: &Transaction<'_>,
    shared: &Shared,
    flushed: &mut Vec<(SessionId, Timestamp)>,
) -> rusqlite::Result<()> {
    let touched: Vec<_> = shared.touched.lock().iter().map(|(&id, &moment)| (id, moment)).collect();
    let mut statement = transaction.prepare_cached(TOUCH)?;
    for &(id, moment) in &touched {
        statement.execute(params![id.as_bytes(), millis(moment), shared.idle_millis()])?;
    }
    flushed.extend(touched);
    Ok(())
}

fn text(cart: &Cart) -> Option<String> {
    // A list of strings can always be written as JSON.
    (!cart.is_empty()).then(|| serde_json::to_string(cart).unwrap_or_default())
}

impl SessionStore for SqliteStore {
    const NAME: &'static str = STORE;

    fn notes(&self) -> Vec<String> {
        let mut notes = vec![
            format!(
                "SQLite {} with WAL and synchronous=FULL: a login or logout that was answered \
                 survives a power cut; those that wait together share one flush of the disk.",
                rusqlite::version()
            ),
            "One thread writes the sessions; a request reads them where it is.".into(),
        ];
        if self.shared.idle.is_some() {
            notes.push(
                "Activity is kept in memory and written once a second, a row for each session: a \
                 crash may end a session that much too early."
                    .into(),
            );
        }
        if self.temporary.is_some() {
            notes.push("The sessions are in a temporary file, which goes with the server.".into());
        }
        notes
    }

    async fn create(&self, id: SessionId, session: Session) -> Result<bool, StoreError> {
        self.operations.fetch_add(1, Ordering::Relaxed);
        Ok(self.write(Write::Create(id, session), "create a session").await? == 1)
    }

    /// One commit: a page that several of them change goes to the disk once.
    async fn create_many(&self, sessions: Vec<(SessionId, Session)>) -> Result<u64, StoreError> {
        self.operations.fetch_add(sessions.len() as u64, Ordering::Relaxed);
        self.write(Write::CreateMany(sessions), "create sessions").await
    }

    async fn read(&self, id: SessionId, now: Timestamp) -> Result<Option<Session>, StoreError> {
        self.find(id, now, false)
    }

    async fn touch(&self, id: SessionId, now: Timestamp) -> Result<bool, StoreError> {
        Ok(self.find(id, now, true)?.is_some())
    }

    async fn read_and_touch(
        &self,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        self.find(id, now, true)
    }

    async fn update(
        &self,
        id: SessionId,
        data: SessionData,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.operations.fetch_add(1, Ordering::Relaxed);
        Ok(self.write(Write::Update(id, data, now), "update a session").await? == 1)
    }

    async fn delete(&self, id: SessionId) -> Result<bool, StoreError> {
        self.operations.fetch_add(1, Ordering::Relaxed);
        Ok(self.write(Write::Delete(id), "delete a session").await? == 1)
    }

    async fn delete_all_of_user(&self, user: UserId) -> Result<u64, StoreError> {
        self.operations.fetch_add(1, Ordering::Relaxed);
        self.write(Write::DeleteAllOf(user), "delete a user's sessions").await
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut removed = 0;
        loop {
            let step = self.write(Write::SweepStep(now), "sweep").await?;
            self.swept.fetch_add(step, Ordering::Relaxed);
            removed += step;
            if step < u64::from(SWEEP_STEP) {
                return Ok(removed);
            }
        }
    }

    async fn stats(&self) -> Result<StoreStats, StoreError> {
        Ok(StoreStats {
            sessions: self.shared.sessions.load(Ordering::Relaxed),
            operations: self.operations.load(Ordering::Relaxed),
            swept: self.swept.load(Ordering::Relaxed),
            used_bytes: Some(self.used_bytes().map_err(could_not("count"))?),
            disk_bytes: self.disk_bytes(),
            writes: Some(self.shared.writes.load(Ordering::Relaxed)),
        })
    }
}
