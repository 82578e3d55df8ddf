//! A Redis of this server's own, from the machine's binary.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use redis::{AsyncConnectionConfig, Client, RedisResult};

use super::facts::{STORE, field};
use super::link;
use crate::contract::{StoreProcess, StoreUrl};
use crate::error::{ServeError, StoreError};
use crate::stores::own::{Home, OwnServer, Program, free_port, password};

/// What it is started from.
pub const PROGRAM: Program =
    Program { name: "redis-server", package: "redis-server", versions: None };
/// Its settings, in its folder, in which it is started.
const FILE: &str = "redis.conf";
/// Ports that are tried: somebody else may take one before Redis does.
const TRIES: u32 = 5;
/// How long one question to it may take while it starts.
const ASK_TIME_MAX: Duration = Duration::from_secs(1);

/// A running one, which ends when this is dropped.
///
/// It holds what it is given in memory and writes nothing to the disk: no snapshot, no log, so that
/// no figure is one of the disk, and its sessions go with it. It evicts nothing (`noeviction`): a
/// session that was given must not vanish because another one came. It listens on the loopback
/// address behind a password, which is in a file and never in the list of processes.
#[derive(Debug)]
pub struct OwnRedis {
    server: OwnServer,
    url: String,
    version: String,
}

impl OwnRedis {
    /// Starts one with so many databases.
    ///
    /// # Errors
    /// [`ServeError::Program`] where there is no `redis-server`, [`ServeError::Store`] where it
    /// does not start.
    pub async fn start(databases: u32) -> Result<Self, ServeError> {
        let program = PROGRAM.require()?;
        let mut tries = 1;
        loop {
            match Self::start_at_a_port(&program, databases).await {
                Err(ServeError::Store(_)) if tries < TRIES => tries += 1,
                done => return done,
            }
        }
    }

    async fn start_at_a_port(program: &Path, databases: u32) -> Result<Self, ServeError> {
        let port = free_port().map_err(|error| StoreError {
            store: STORE,
            operation: "be given a port",
            found: error.to_string(),
        })?;
        let password = password()?;
        let settings = settings(port, databases, &password);
        let home = Home::make(STORE, &["redis", "nobody"], &[(FILE, &settings)])?;
        let server = OwnServer::start(home, program, &[FILE], "KILL")?;
        let url = format!("redis://:{password}@127.0.0.1:{port}");
        let client = link::client(&url)?;
        let version = server.ready(|| version(&client)).await?;
        Ok(Self { server, url, version })
    }

    /// Where it is, with the password.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What a ready line says of it.
    #[must_use]
    pub fn process(&self) -> StoreProcess {
        StoreProcess {
            name: format!("redis {}", self.version),
            pid: self.server.pid(),
            url: StoreUrl::new(&self.url),
        }
    }
}

fn settings(port: u16, databases: u32, password: &str) -> String {
    let mut settings = String::new();
    for (name, value) in [
        ("bind", "127.0.0.1"),
        ("daemonize", "no"),
        ("save", "\"\""),
        ("appendonly", "no"),
        ("maxmemory-policy", "noeviction"),
        ("requirepass", password),
        ("port", &port.to_string()),
        ("databases", &databases.to_string()),
    ] {
        // Writing to a string cannot fail.
        let _ = writeln!(settings, "{name} {value}");
    }
    settings
}

/// What it says that it is, once it answers.
async fn version(client: &Client) -> RedisResult<String> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(ASK_TIME_MAX))
        .set_response_timeout(Some(ASK_TIME_MAX));
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    let info: String = redis::cmd("INFO").arg("server").query_async(&mut connection).await?;
    Ok(field(&info, "redis_version").unwrap_or("of an unknown version").to_owned())
}
