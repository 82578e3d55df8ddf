//! Sessions in a file: SQLite, embedded and durable, the default that needs no server.

mod row;
mod writer;

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use rustix::fs::OFlags;
use tokio::sync::{mpsc, oneshot};

use super::folder::Folder;
use super::patience::Patience;
use super::{Session, SessionData, SessionId, SessionStore, StoreError, StoreStats, is_live};
use crate::clock::Timestamp;
use crate::users::UserId;
use row::{
    CREATE, DELETE, DELETE_ALL, MEND, READ, SCHEMA, SWEEP, TOUCH, UPDATE, USED, said, session,
};
use writer::{AskedWrite, SWEEP_STEP, Shared, Write, write_until_closed};

const STORE: &str = "sqlite";
/// Writes that may wait in the queue; further ones wait before it, for as long as they like.
const QUEUE: usize = 1024;
/// Least time between two writes of what was touched, in milliseconds.
const FLUSH_EVERY_MS: u64 = 1_000;
const READERS_MAX: usize = 4;

/// The store.
///
/// Writes go through one thread with a queue, because SQLite has one writer in any case, and one
/// with a queue can do what a pool cannot: commit together what waits together, so that one flush
/// of the disk serves many. Reads are done where they are asked: a row that is in memory is found
/// in two or three microseconds, and the way to a thread and back takes ten times as long. In WAL
/// mode a read never waits for a writer, nor for a lock that another process holds on one; it can
/// only wait for the disk, for a page that was not read before. A read begins after every commit
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
