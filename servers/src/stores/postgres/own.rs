//! A PostgreSQL of this server's own: made, started and gone with it.

use tokio_postgres::{Config, NoTls};

use super::home::{self, DATA};
use super::pool::{config, said};
use crate::contract::{StoreProcess, StoreUrl};
use crate::error::{ServeError, StoreError};
use crate::stores::own::{OwnServer, Program, free_port};
use crate::stores::patience::Patience;

pub use super::home::STORE;

/// The server's program; the one that makes its folder is next to it.
pub const PROGRAM: Program =
    Program { name: "postgres", package: "postgresql", versions: Some("/usr/lib/postgresql") };

/// Ports that are tried: somebody else may take one before PostgreSQL does.
const PORT_TRIES: u32 = 3;
/// Connections that it takes: those of several of our servers, and some for who looks on.
const CONNECTIONS_MAX: u32 = 160;

/// Its settings. Huge pages are in no process's memory, and so would be on no bill.
const SETTINGS: [&str; 4] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "huge_pages=off",
    "log_destination=stderr",
];

/// A PostgreSQL that runs until it is dropped.
///
/// Making one takes most of a second, so what a run of minutes does not need is left out of it:
/// nothing of it is flushed to the disk while it is made, there is no Unix socket, and its folder
/// is removed without an orderly stop. What a session's cost depends on is as PostgreSQL ships it,
/// flushing at every commit above all: a store that forgets logouts in a crash would be another
/// store.
///
/// PostgreSQL refuses to run as root, so it is given an unprivileged user there.
#[derive(Debug)]
pub struct Instance {
    server: OwnServer,
    version: String,
    url: String,
}

impl Instance {
    /// Makes one and starts it, with these settings in addition to its own, each `name=value`.
    ///
    /// # Errors
    /// [`ServeError::Program`] where there is no PostgreSQL on this machine; [`ServeError::Store`]
    /// with what it said where it could not be started.
    pub async fn start(settings: &[&str]) -> Result<Self, ServeError> {
        let mut tries = 1;
        loop {
            match Self::try_start(settings).await {
                Err(ServeError::Store(error))
                    if tries < PORT_TRIES && error.found.contains("could not bind") =>
                {
                    tries += 1;
                }
                outcome => return outcome,
            }
        }
    }

    async fn try_start(settings: &[&str]) -> Result<Self, ServeError> {
        let (server, url) = launch(settings)?;
        let config = config(&url, Patience::DEFAULT)?;
        let version = server.ready(|| version(&config)).await?;
        Ok(Self { server, version, url })
    }

    /// A URL that leads to it, with its password.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its server.
    #[must_use]
    pub const fn server(&self) -> &OwnServer {
        &self.server
    }

    /// Its process, for who counts what it costs.
    #[must_use]
    pub fn process(&self) -> StoreProcess {
        StoreProcess {
            name: format!("{STORE} {}", self.version),
            pid: self.server.pid(),
            url: StoreUrl::new(&self.url),
        }
    }
}

/// A server that was told to start, and where it will be.
fn launch(settings: &[&str]) -> Result<(OwnServer, String), ServeError> {
    let program = PROGRAM.require()?;
    let (home, secret) = home::ready(&program.with_file_name("initdb"))?;
    let data = home.path().join(DATA).display().to_string();
    let port = free_port().map_err(|error| StoreError {
        store: STORE,
        operation: "be given a port",
        found: error.to_string(),
    })?;
    let (port_text, connections) = (port.to_string(), format!("max_connections={CONNECTIONS_MAX}"));
    let mut arguments = vec!["-D", &data, "-p", &port_text, "-c", &connections];
    for setting in SETTINGS.iter().chain(settings) {
        arguments.extend(["-c", setting]);
    }
    // Its immediate stop: the folder goes anyway.
    let server = OwnServer::start(home, &program, &arguments, "QUIT")?;
    Ok((server, format!("postgres://{STORE}:{secret}@127.0.0.1:{port}/postgres")))
}

async fn version(config: &Config) -> Result<String, String> {
    let (client, connection) = config.connect(NoTls).await.map_err(said)?;
    let connection = tokio::spawn(connection);
    let row = client.query_one("SHOW server_version", &[]).await.map_err(said)?;
    connection.abort();
    let version: &str = row.try_get(0).map_err(said)?;
    Ok(version.split(' ').next().unwrap_or_default().to_owned())
}
