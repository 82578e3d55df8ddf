//! A PostgreSQL as a store has it: the reader's or one of its own, its table there, its connections
//! open.

use std::time::Duration;

use tokio_postgres::{Client, NoTls};

use super::own::{Instance, STORE};
use super::pool::{CONNECTIONS, Connections, config, said};
use super::table::{self, Table};
use crate::contract::StoreProcess;
use crate::error::{ServeError, StoreError};
use crate::stores::patience::Patience;

/// How long what is done before the start may take: mending a million rows takes a while.
const OPEN_TIME_MAX: Duration = Duration::from_secs(60);
const FACTS: &str = "SELECT current_setting('server_version'), current_setting('shared_buffers'),
    current_setting('fsync'), current_setting('synchronous_commit')";

/// What a store needs of a database.
///
/// What it says of itself goes into the notes, and whether an answered change survives a crash is
/// read from its settings and not promised for them.
#[derive(Clone, Copy, Debug)]
pub struct Needs {
    /// Its table.
    pub table: &'static Table,
    /// Everything that it will ask.
    pub statements: &'static [&'static str],
    /// A change of the rows that are there, and the one number in it.
    pub mend: Option<(&'static str, i64)>,
}

/// What PostgreSQL said of itself.
#[derive(Debug)]
struct Facts {
    version: String,
    shared_buffers: String,
    fsync: String,
    synchronous_commit: String,
}

impl Facts {
    async fn ask(client: &Client) -> Result<Self, String> {
        let row = client.query_one(FACTS, &[]).await.map_err(said)?;
        let fact = |column: usize| row.try_get(column).map_err(said);
        Ok(Self {
            version: fact(0)?,
            shared_buffers: fact(1)?,
            fsync: fact(2)?,
            synchronous_commit: fact(3)?,
        })
    }

    fn flushes(&self) -> bool {
        self.fsync == "on" && self.synchronous_commit != "off"
    }
}

/// The database.
#[derive(Debug)]
pub struct Database {
    connections: Connections,
    facts: Facts,
    /// Ends after the connections are closed.
    own: Option<Instance>,
}

impl Database {
    /// The one at this URL, or one of its own.
    ///
    /// # Errors
    /// [`ServeError::Program`] and [`ServeError::Store`] where there is no PostgreSQL or no place
    /// in it; [`ServeError::Option`] where the URL is invalid.
    pub async fn open(
        url: Option<&str>,
        needs: Needs,
        patience: Patience,
    ) -> Result<Self, ServeError> {
        let own = match url {
            Some(_) => None,
            None => Some(Instance::start(&[]).await?),
        };
        let at = match (url, &own) {
            (None, Some(own)) => own.url(),
            (url, _) => url.unwrap_or_default(),
        };
        let refused = |found: String| StoreError { store: STORE, operation: "be opened", found };
        let facts = prepare(at, needs).await.map_err(|error| match error {
            Refused::Url(error) => error,
            Refused::Found(found) => refused(found).into(),
        })?;
        let connections = Connections::open(config(at, patience)?, needs.statements, patience);
        Ok(Self { connections: connections.await.map_err(refused)?, facts, own })
    }

    /// Its connections.
    #[must_use]
    pub const fn connections(&self) -> &Connections {
        &self.connections
    }

    /// What a reader of figures should know about it; `change` is what survives a crash or does
    /// not.
    #[must_use]
    pub fn notes(&self, change: &str) -> Vec<String> {
        let Facts { version, shared_buffers, fsync, synchronous_commit } = &self.facts;
        let survives = if self.facts.flushes() { "survives" } else { "can be lost in" };
        let mut notes = vec![
            format!(
                "PostgreSQL {version} with shared_buffers = {shared_buffers}, asked over \
                 {CONNECTIONS} connections, with one prepared statement per call."
            ),
            format!(
                "{change} that was answered {survives} a crash (fsync = {fsync}, \
                 synchronous_commit = {synchronous_commit})."
            ),
        ];
        if self.own.is_some() {
            notes.push(
                "PostgreSQL was started for this server, in a temporary folder, and goes with it."
                    .into(),
            );
        }
        notes
    }

    /// Its process, where it was started for this store.
    #[must_use]
    pub fn process(&self) -> Option<StoreProcess> {
        self.own.as_ref().map(Instance::process)
    }
}

enum Refused {
    Url(ServeError),
    Found(String),
}

/// What is done once, on a connection of its own.
async fn prepare(url: &str, needs: Needs) -> Result<Facts, Refused> {
    let config = config(url, Patience::new(OPEN_TIME_MAX)).map_err(Refused::Url)?;
    let connected = config.connect(NoTls).await.map_err(said).map_err(Refused::Found);
    let (mut client, connection) = connected?;
    let connection = tokio::spawn(connection);
    let prepared = async {
        table::prepare(&mut client, needs.table).await?;
        if let Some((mend, number)) = needs.mend {
            client.execute(mend, &[&number]).await.map_err(said)?;
        }
        Facts::ask(&client).await
    };
    let prepared = prepared.await.map_err(Refused::Found);
    connection.abort();
    prepared
}
