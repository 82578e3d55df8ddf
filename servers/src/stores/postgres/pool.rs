//! Connections to PostgreSQL: so many and no more, each prepared for everything that will be asked.

use std::error::Error as _;
use std::time::Duration;

use deadpool_postgres::{
    ClientWrapper, Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolError, QueueMode,
    RecyclingMethod, Runtime, TimeoutType, Timeouts,
};
use futures_util::future::try_join_all;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Config, Error, NoTls, Row};

use crate::error::ServeError;
use crate::stores::patience::Patience;

/// Connections of one server. Reads gain nothing from more than one on two cores (pgbench: 37,000/s
/// with one, 35,000 to 39,000 with 16), but logins that wait for the disk share its flushes: 290/s
/// with one, 4,300/s with 8, 6,600/s with 16.
pub const CONNECTIONS: usize = 16;

/// How long one may take at the start, when no request waits: 10 s.
const FIRST_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a connection whose answer nobody waited for may go on to be silent: 1 s, so that a
/// server is asked anew well within two seconds of its return.
const SETTLE_TIME_MAX: Duration = Duration::from_secs(1);

/// What every connection asks for. A plan that was made while a table was small is kept as it
/// grows, so it must go by an index, and in the index's order where a sweep asks for some of many
/// rows. The isolation is PostgreSQL's own default, on which the statements rely.
const SETTINGS: &str = "-c enable_seqscan=off -c enable_bitmapscan=off \
                        -c default_transaction_isolation=read\\ committed";

/// What a URL must be.
pub const URL: &str = "postgres://USER:PASSWORD@HOST:PORT/DB";

/// What this URL says, with what every connection here asks for.
///
/// A connection is made ready when it is made: its statements are prepared then, all in one flight,
/// so that a request is one round trip and never two. All are made before the server says that it
/// is ready, so that no request pays for one and a server without room for them is found out at
/// once.
///
/// What can go wrong is bounded from both sides. Here a request waits for a free connection, or for
/// a new one, for less than its caller does. There PostgreSQL gives up a statement that waits for a
/// lock, so that nothing piles up behind it. A connection whose answer nobody waited for is kept
/// out of the pool until it has answered: given back at once, it would be asked on and on by
/// requests that its silence dooms, and thrown away at once, every moment of overload would end in
/// a storm of new ones.
///
/// # Errors
/// [`ServeError::Option`], without a character of the URL: there is a password in it.
pub fn config(url: &str, patience: Patience) -> Result<Config, ServeError> {
    let mut config: Config = url.parse().map_err(|_| ServeError::Option {
        option: "store_url",
        expected: URL,
        found: "one that cannot be read".into(),
    })?;
    let options = config.get_options().unwrap_or_default();
    let statement = patience.answer().as_millis();
    let settings = format!("{options} {SETTINGS} -c statement_timeout={statement}ms");
    config.options(settings).connect_timeout(FIRST_TIME_MAX);
    if config.get_application_name().is_none() {
        config.application_name("authbench");
    }
    Ok(config)
}

/// Connections that are ready for these statements.
#[derive(Debug)]
pub struct Connections {
    pool: Pool,
    patience: Patience,
}

impl Connections {
    /// As many as [`CONNECTIONS`], all open.
    ///
    /// # Errors
    /// What was found where one of them cannot be had.
    pub async fn open(
        config: Config,
        statements: &'static [&'static str],
        patience: Patience,
    ) -> Result<Self, String> {
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let prepare = Hook::async_fn(move |client: &mut ClientWrapper, _| {
            Box::pin(async move {
                let all = statements.iter().map(|statement| client.prepare_cached(statement));
                try_join_all(all).await.map(drop).map_err(HookError::Backend)
            })
        });
        let pool = Pool::builder(Manager::from_config(config, NoTls, recycling))
            .max_size(CONNECTIONS)
            // The one that was used last: few users keep few processes of the server awake.
            .queue_mode(QueueMode::Lifo)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(patience.free_connection()))
            .create_timeout(Some(patience.answer()))
            .recycle_timeout(Some(patience.free_connection()))
            .post_create(prepare)
            .build()
            .map_err(|error| error.to_string())?;
        let mut first = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let pool = pool.clone();
            first.spawn(async move {
                let patient = Timeouts { create: Some(FIRST_TIME_MAX), ..Timeouts::default() };
                pool.timeout_get(&patient).await
            });
        }
        // Held until the last is there: otherwise one that is free would be taken for a new one.
        let mut held = Vec::new();
        while let Some(made) = first.join_next().await {
            let made = made.map_err(|error| error.to_string())?;
            held.push(made.map_err(|error| found(&error, patience))?);
        }
        Ok(Self { pool, patience })
    }

    async fn lease(&self) -> Result<Lease, String> {
        let client = self.pool.get().await.map_err(|error| found(&error, self.patience))?;
        Ok(Lease { client: Some(client), answered: false })
    }

    /// The row that a statement answers with, where it does.
    ///
    /// # Errors
    /// What was found where there was no answer.
    pub async fn row(
        &self,
        statement: &'static str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, String> {
        let mut lease = self.lease().await?;
        let client = lease.client();
        // Known since the connection was made, so this sends nothing.
        let prepared = client.prepare_cached(statement).await.map_err(said)?;
        let answer = client.query_opt(&prepared, values).await;
        lease.answered = true;
        answer.map_err(said)
    }

    /// How many rows a statement changed.
    ///
    /// # Errors
    /// What was found where there was no answer.
    pub async fn changed(
        &self,
        statement: &'static str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, String> {
        let mut lease = self.lease().await?;
        let client = lease.client();
        let prepared = client.prepare_cached(statement).await.map_err(said)?;
        let answer = client.execute(&prepared, values).await;
        lease.answered = true;
        answer.map_err(said)
    }
}

/// A connection for one question.
struct Lease {
    /// `None` only while it is dropped.
    client: Option<Object>,
    answered: bool,
}

impl Lease {
    fn client(&self) -> &ClientWrapper {
        self.client.as_ref().expect("a lease has its connection until it is dropped")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(client) = self.client.take() else { return };
        if self.answered {
            return;
        }
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(settle(client))),
            Err(_) => drop(Object::take(client)),
        }
    }
}

/// Gives a connection back to its pool once it has answered what nobody waits for any more, or
/// gives it up. It keeps its place in the pool until then, so there are never more of these than
/// connections.
async fn settle(client: Object) {
    if !matches!(timeout(SETTLE_TIME_MAX, client.check_connection()).await, Ok(Ok(()))) {
        drop(Object::take(client));
    }
}

fn found(error: &PoolError, patience: Patience) -> String {
    match error {
        PoolError::Timeout(TimeoutType::Wait) => {
            let limit = patience.free_connection();
            format!("none of its {CONNECTIONS} connections was free within {limit:?}")
        }
        PoolError::Timeout(_) => format!("no new connection within {:?}", patience.answer()),
        PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => {
            text_of(error)
        }
        other => other.to_string(),
    }
}

/// What an error of PostgreSQL, or of the connection, says: no detail and no hint, where values
/// would stand.
#[must_use]
#[allow(clippy::needless_pass_by_value, reason = "it is what `map_err` hands over")]
pub fn said(error: Error) -> String {
    text_of(&error)
}

fn text_of(error: &Error) -> String {
    match (error.as_db_error(), error.source()) {
        (Some(db), _) => format!("{}: {} ({})", db.severity(), db.message(), db.code().code()),
        (None, Some(source)) => format!("{error}: {source}"),
        (None, None) => error.to_string(),
    }
}
