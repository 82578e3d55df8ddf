//! An issuer of this server's own, started for it.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::link::{Body, Link};
use super::server::{CLIENT, Issuer, Memory};
use super::settings::Settings;
use crate::contract::{StoreProcess, StoreUrl};
use crate::error::{ServeError, StoreError};
use crate::schemes::scheme::SchemeOptions;
use crate::stores::ISSUER;
use crate::stores::own::{Home, OwnServer, READY_TIME_MAX, free_port, password};
use crate::stores::patience::Patience;

/// Its settings, in its folder, in which it is started.
const FILE: &str = "issuer.json";
/// Ports that are tried: somebody else may take one before the issuer does.
const TRIES: u32 = 5;

/// A running one, which ends when this is dropped.
///
/// It is a process of its own where the options name a program, and is billed as a store's server
/// is: it runs on the cores of the server that asks it, and ends with it in the same way. Without a
/// program, as in a test or a benchmark of this crate, it is a thread of this process with a
/// runtime of its own, and still speaks HTTP.
pub struct OwnIssuer {
    url: String,
    running: Running,
}

enum Running {
    Process(OwnServer),
    Thread(Thread),
}

struct Thread {
    issuer: Arc<Issuer>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Thread {
    fn drop(&mut self) {
        drop(self.stop.take());
        drop(self.thread.take().map(JoinHandle::join));
    }
}

fn refused(found: &dyn ToString) -> StoreError {
    StoreError { store: ISSUER, operation: "be started", found: found.to_string() }
}

impl OwnIssuer {
    /// Starts one that signs with the first of these keys.
    ///
    /// # Errors
    /// Where a key is of the wrong kind, or it does not start.
    pub async fn start(options: &SchemeOptions, keys: Vec<Vec<u8>>) -> Result<Self, ServeError> {
        let mut settings = Settings { port: 0, secret: password()?, keys };
        let Some(program) = &options.program else { return Self::in_a_thread(options, settings) };
        // A wrong key is found out here, and not in what the process says of itself.
        Issuer::new(settings.clone(), options.clock.clone(), Memory::Shared)?;
        let mut tries = 1;
        loop {
            settings.port = free_port().map_err(|error| refused(&error))?;
            match Self::as_a_process(program, &settings).await {
                Err(ServeError::Store(_)) if tries < TRIES => tries += 1,
                done => return done,
            }
        }
    }

    fn in_a_thread(options: &SchemeOptions, settings: Settings) -> Result<Self, ServeError> {
        let bind = || {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            listener.set_nonblocking(true)?;
            Ok((listener.local_addr()?.port(), listener))
        };
        let (port, listener) = bind().map_err(|error: std::io::Error| refused(&error))?;
        let url = url(&Settings { port, ..settings.clone() });
        let issuer = Arc::new(Issuer::new(settings, options.clock.clone(), Memory::Shared)?);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| refused(&error))?;
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&issuer);
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
                serving.serve(listener, async { drop(stopped.await) }).await;
            });
        });
        let thread = Thread { issuer, stop: Some(stop), thread: Some(thread) };
        Ok(Self { url, running: Running::Thread(thread) })
    }

    async fn as_a_process(program: &Path, settings: &Settings) -> Result<Self, ServeError> {
        let text = serde_json::to_string(settings).map_err(|error| refused(&error))?;
        let home = Home::make(ISSUER, &[], &[(FILE, &text)])?;
        let server = OwnServer::start(home, program, &["issuer", FILE], "KILL")?;
        let url = url(settings);
        let link = Link::new(&url, Patience::DEFAULT)?;
        server.ready(|| link.ask("be reached", "/healthz", Body::Nothing)).await?;
        Ok(Self { url, running: Running::Process(server) })
    }

    /// Where it is, with its secret.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What a ready line says of it; nothing where it is a thread of this process.
    #[must_use]
    pub fn process(&self) -> Option<StoreProcess> {
        let Running::Process(server) = &self.running else { return None };
        Some(StoreProcess {
            name: format!("issuer {}", env!("CARGO_PKG_VERSION")),
            pid: server.pid(),
            url: StoreUrl::new(&self.url),
        })
    }

    /// Has a new key sign from now on.
    ///
    /// # Errors
    /// Where it cannot be asked.
    pub async fn rotate(&self) -> Result<(), ServeError> {
        let link = Link::new(&self.url, Patience::new(READY_TIME_MAX))?;
        link.ask("rotate its key", "/rotate", Body::Json(Vec::new())).await?;
        Ok(())
    }

    /// How often it was asked for its keys, where it is a thread of this process.
    #[must_use]
    pub fn published(&self) -> Option<u64> {
        match &self.running {
            Running::Thread(thread) => Some(thread.issuer.published()),
            Running::Process(_) => None,
        }
    }
}

fn url(settings: &Settings) -> String {
    format!("http://{CLIENT}:{}@127.0.0.1:{}", settings.secret, settings.port)
}

/// What a reader of figures should know of an issuer: of one that was started for this server, or
/// of one at a URL.
pub(in crate::schemes) fn issuer_note(own: Option<&OwnIssuer>) -> String {
    let place = match own.map(|own| &own.running) {
        Some(Running::Process(_)) => "a process of its own on this server's cores",
        Some(Running::Thread(_)) => "a thread of this process",
        None => "where a URL says",
    };
    format!("The issuer is {place}; every question to it is one exchange over HTTP/1.1.")
}
