//! The connection to Redis: one, shared by all requests, and had anew when it is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, IntoConnectionInfo as _,
    RedisError, RedisResult, ScriptInvocation, cmd,
};
use tokio::sync::Mutex;

use super::facts::{STORE, URL, field};
use crate::error::{ServeError, StoreError};
use crate::stores::patience::Patience;

/// How long to wait after a connection could not be opened.
pub(super) const PAUSE: Duration = Duration::from_millis(100);
/// Requests that may wait to be written; further ones wait before that.
const QUEUE: usize = 1024;

/// A place of Redis, read from its URL.
///
/// # Errors
/// [`ServeError::Option`], without the URL: it may hold a password.
pub(super) fn client(url: &str) -> Result<Client, ServeError> {
    let refused = |error: RedisError| ServeError::Option {
        option: "store_url",
        expected: URL,
        found: format!("something else ({:?})", error.kind()),
    };
    let info = url.into_connection_info().map_err(refused)?;
    // What is written at once must leave at once: a request waits for its answer.
    let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
    Client::open(info).map_err(refused)
}

/// An open connection.
#[derive(Clone)]
struct Open {
    connection: MultiplexedConnection,
    /// Answers that came over it.
    answers: Arc<AtomicU64>,
}

/// What was found at the last failed attempt, and when.
type Failure = Option<(Instant, String)>;

/// The shared connection.
///
/// Requests are written behind each other and answered in order, so one connection carries what
/// thousands of requests ask at a time. The crate gives up on none of it by itself, so all of this
/// is here: a request that finds no connection opens one, the others wait for the same attempt, and
/// after a failed one nobody tries for [`PAUSE`]. No task runs while nobody asks, and what waits
/// while Redis hangs is bounded by its own limit of time.
///
/// A connection on which an answer did not come is given up only where no answer at all came
/// meanwhile: one slow answer among many must not fail the others. Nothing is ever asked twice.
pub(super) struct Link {
    client: Client,
    config: AsyncConnectionConfig,
    open: RwLock<Option<Open>>,
    opening: Mutex<Failure>,
}

impl Link {
    /// A connection to this place, which the first request opens.
    pub(super) fn new(client: Client, patience: Patience) -> Self {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(patience.connect()))
            .set_response_timeout(Some(patience.answer()))
            .set_pipeline_buffer_size(QUEUE);
        Self { client, config, open: RwLock::default(), opening: Mutex::default() }
    }

    pub(super) const fn client(&self) -> &Client {
        &self.client
    }

    /// The answer to one command.
    pub(super) async fn ask<T: FromRedisValue>(
        &self,
        operation: &'static str,
        command: &Cmd,
    ) -> Result<T, StoreError> {
        let mut open = self.open(operation).await?;
        let before = open.answers.load(Ordering::Relaxed);
        let answer = command.query_async(&mut open.connection).await;
        self.settle(operation, &open, before, answer)
    }

    /// The answer of a script, which is sent once where Redis does not have it.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        operation: &'static str,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, StoreError> {
        let mut open = self.open(operation).await?;
        let before = open.answers.load(Ordering::Relaxed);
        let answer = script.invoke_async(&mut open.connection).await;
        self.settle(operation, &open, before, answer)
    }

    /// A section of what Redis tells of itself.
    pub(super) async fn info(&self, section: &str) -> Result<String, StoreError> {
        let mut info = cmd("INFO");
        info.arg(section);
        self.ask("count", &info).await
    }

    /// Bytes that Redis has allocated, everything in it and its own included.
    pub(super) async fn used_bytes(&self) -> Result<Option<u64>, StoreError> {
        let info = self.info("memory").await?;
        Ok(field(&info, "used_memory").and_then(|bytes| bytes.parse().ok()))
    }

    async fn open(&self, operation: &'static str) -> Result<Open, StoreError> {
        if let Some(open) = &*self.open.read() {
            return Ok(open.clone());
        }
        // In a box, so that the future of every request does not have room for it.
        let opened = Box::pin(self.reopen()).await;
        opened.map_err(|found| StoreError { store: STORE, operation, found })
    }

    /// Opens the connection, unless that was done, or failed, while waiting for one's turn.
    async fn reopen(&self) -> Result<Open, String> {
        let mut failure = self.opening.lock().await;
        if let Some(open) = &*self.open.read() {
            return Ok(open.clone());
        }
        if let Some((when, found)) = &*failure
            && when.elapsed() < PAUSE
        {
            return Err(found.clone());
        }
        match self.client.get_multiplexed_async_connection_with_config(&self.config).await {
            Ok(connection) => {
                let open = Open { connection, answers: Arc::default() };
                *self.open.write() = Some(open.clone());
                *failure = None;
                Ok(open)
            }
            Err(error) => {
                let found = error.to_string();
                *failure = Some((Instant::now(), found.clone()));
                Err(found)
            }
        }
    }

    /// Notes that an answer came, or gives the connection up where none does.
    fn settle<T>(
        &self,
        operation: &'static str,
        open: &Open,
        before: u64,
        answer: RedisResult<T>,
    ) -> Result<T, StoreError> {
        if answer.as_ref().err().is_none_or(is_answer) {
            open.answers.fetch_add(1, Ordering::Relaxed);
        } else if answer.as_ref().is_err_and(|error| !error.is_timeout())
            || open.answers.load(Ordering::Relaxed) == before
        {
            let mut current = self.open.write();
            // Not the next one, which somebody may have opened already.
            if current.as_ref().is_some_and(|now| Arc::ptr_eq(&now.answers, &open.answers)) {
                *current = None;
            }
        }
        answer.map_err(|error| StoreError { store: STORE, operation, found: error.to_string() })
    }
}

/// Whether Redis said so, or said something that is not of the type that was expected.
fn is_answer(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Server(_) | ErrorKind::Extension | ErrorKind::UnexpectedReturnType
    )
}
