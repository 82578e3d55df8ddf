//! A server under test: a child of this executable that says when it is ready and dies with us.
//!
//! What its ready line says is all that is known of it, and its admin listener tells what cannot be
//! seen from outside. [`Server`] stops it when it is dropped.

use std::time::Duration;

use reqwest::Response;
use servers::contract::{AdminStats, CONTRACT_VERSION, ReadyLine, Secrets};

use super::process::Process;
use crate::error::{Error, Result};
use crate::plan::Variant;
use crate::sanitise::{NAME, fit};

const READY_WITHIN: Duration = Duration::from_secs(10);
const ADMIN_WITHIN: Duration = Duration::from_secs(5);
/// Bytes that its answer may have; it has a few hundred.
const STATS_BYTES_MAX: usize = 64 << 10;

/// What a server is started with, beside its arm.
#[derive(Clone, Debug, Default)]
pub struct ServerOptions {
    /// Cores it may use; empty: all.
    pub cores: Vec<usize>,
    /// Further arguments of `authbench serve`.
    pub arguments: Vec<String>,
    /// The key and the store that it is given; without them it makes its own.
    pub secrets: Secrets,
}

/// A running server.
pub struct Server {
    process: Process,
    ready: ReadyLine,
    admin: Admin,
}

impl Server {
    /// Starts a server of this arm, or of a variant of one, and waits until it is ready.
    ///
    /// # Errors
    /// `Config` when it refuses its options, `Target` when it does not become ready.
    pub fn start(arm: &str, options: &ServerOptions) -> Result<Self> {
        let variant = Variant::of(arm);
        let listeners = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
        let mut arguments = ["serve", variant.arm].map(String::from).to_vec();
        arguments.extend(listeners.map(String::from));
        arguments.extend(on_cores(&options.cores));
        arguments.extend(variant.arguments(&options.arguments));
        arguments.extend_from_slice(&options.arguments);
        let told = (options.secrets != Secrets::default())
            .then(|| serde_json::to_string(&options.secrets))
            .transpose()
            .map_err(|_| Error::Bug("the secrets of a server cannot be written".into()))?;
        if told.is_some() {
            arguments.push("--secrets-from-stdin".into());
        }
        let read = |text: &str| {
            let ready: ReadyLine = serde_json::from_str(text)
                .map_err(|e| format!("invalid ready line `{}`: {e}", fit(text, NAME)))?;
            if ready.authbench != CONTRACT_VERSION {
                return Err("it speaks another version of the contract".into());
            }
            Ok(ready)
        };
        let name = format!("the server `{arm}`");
        let (process, ready) =
            Process::start(name, &arguments, told.as_deref(), READY_WITHIN, read)?;
        let admin = Admin::new(&ready)?;
        Ok(Self { process, ready, admin })
    }

    /// What it said when it was ready.
    pub const fn ready(&self) -> &ReadyLine {
        &self.ready
    }

    /// What it tells about its inside.
    ///
    /// # Errors
    /// `Target` when its admin listener does not answer.
    pub fn stats(&self) -> Result<AdminStats> {
        self.admin.stats().map_err(|e| {
            let name = self.process.name();
            Error::Target(format!("the admin listener of {name} does not answer: {e}"))
        })
    }

    /// Whether it has ended by itself; its obituary can still be had.
    pub fn has_ended(&self) -> bool {
        self.process.has_ended()
    }

    /// How it ended, when it has ended by itself.
    pub fn obituary(&mut self) -> Option<String> {
        self.process.obituary()
    }

    /// Ends it as a crash would: requests that are under way get no answer.
    pub fn kill(self) {
        self.process.kill();
    }
}

/// The flag that keeps a child of ours on these cores; nothing where it may use all.
pub(super) fn on_cores(cores: &[usize]) -> Vec<String> {
    if cores.is_empty() {
        return Vec::new();
    }
    let cores: Vec<_> = cores.iter().map(ToString::to_string).collect();
    vec!["--cores".into(), cores.join(",")]
}

/// A client for the admin listener.
struct Admin {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
    url: String,
}

impl Admin {
    fn new(ready: &ReadyLine) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| Error::Config(format!("no event queue for the admin client: {e}")))?;
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(ADMIN_WITHIN)
            // Plain HTTP to ourselves: reading the system's roots would be work for nothing.
            .tls_certs_only([])
            .build()
            .map_err(|e| Error::Bug(format!("no admin client: {e}")))?;
        Ok(Self { runtime, client, url: format!("http://{}/stats", ready.admin) })
    }

    fn stats(&self) -> Result<AdminStats, String> {
        let words = |error: reqwest::Error| error.to_string();
        self.runtime.block_on(async {
            let request = self.client.get(&self.url).send();
            let mut answer = request.await.and_then(Response::error_for_status).map_err(words)?;
            let mut body = Vec::new();
            while let Some(piece) = answer.chunk().await.map_err(words)? {
                if piece.len() > STATS_BYTES_MAX - body.len() {
                    return Err(format!("it answers with more than {STATS_BYTES_MAX} bytes"));
                }
                body.extend_from_slice(&piece);
            }
            serde_json::from_slice(&body).map_err(|e| e.to_string())
        })
    }
}
