//! NATS as this program uses it: messages that are said and forgotten, and JetStream for what has
//! to survive. It is the only file that knows the client's library.

use std::future::Future;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use async_nats::{Client, ConnectErrorKind, ConnectOptions, RequestErrorKind, ServerAddr};
use futures_util::StreamExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use super::clock::now_ns;
use super::kept::{self, LastOf, Refusal, Stream};
use crate::error::{Error, Result};

/// How long an engine may take to accept a connection, and to answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// nats-server asks every two minutes whether a client is there, and clients every minute, unless
/// told: far too late for a load.
const PING_EVERY: Duration = Duration::from_secs(1);
const RECONNECT_EVERY: Duration = Duration::from_millis(250);
/// What is kept of a run goes after so long.
const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 3600);

/// A message, the last part of its subject, and when it came.
#[derive(Debug)]
pub(super) struct Mail<T> {
    pub(super) from: String,
    pub(super) heard_ns: u64,
    pub(super) message: T,
}

/// A connection to the engine.
pub(super) struct Bus {
    runtime: Runtime,
    client: Client,
    run: String,
    out: UnboundedSender<(String, Vec<u8>)>,
}

/// The engine as messages may show it: without a password.
pub(super) fn shown(url: &str) -> &str {
    url.rsplit_once('@').map_or(url, |(_, place)| place)
}

impl Bus {
    /// Connects to the engine at this URL, for the run of this name.
    ///
    /// # Errors
    /// `Config` when it cannot be reached or refuses.
    pub(super) fn connect(url: &str, run: &str, name: &str) -> Result<Self> {
        check_run(run)?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(Error::runtime("the engine's client"))?;
        let options = ConnectOptions::new()
            .name(name)
            .ping_interval(PING_EVERY)
            .connection_timeout(ANSWERS_WITHIN)
            .max_reconnects(None)
            .reconnect_delay_callback(|_| RECONNECT_EVERY)
            .ignore_discovered_servers();
        let options = with_credentials(options, url)?;
        // A timer belongs to a runtime, so it is made within it.
        let connect = async { timeout(ANSWERS_WITHIN, options.connect(url)).await };
        let connected = runtime.block_on(connect);
        let place = shown(url);
        let client = match connected {
            Ok(Ok(client)) => client,
            Ok(Err(error)) => return Err(unconnected(place, error.kind(), &error)),
            Err(_) => {
                return Err(Error::Config(format!(
                    "the engine at {place} did not answer within {} s; nothing was sent",
                    ANSWERS_WITHIN.as_secs()
                )));
            }
        };
        let (out, mut said) = unbounded_channel::<(String, Vec<u8>)>();
        let speaker = client.clone();
        runtime.spawn(async move {
            while let Some((subject, bytes)) = said.recv().await {
                // A message that cannot be sent is one that is lost, which beats allow for.
                let _ = speaker.publish(subject, bytes.into()).await;
            }
        });
        Ok(Self { runtime, client, run: run.into(), out })
    }

    fn subject(&self, name: &str) -> String {
        format!("ab.{}.{name}", self.run)
    }

    /// Says something, and does not wait until it is heard.
    pub(super) fn say(&self, name: &str, message: &impl Serialize) {
        if let Ok(bytes) = serde_json::to_vec(message) {
            let _ = self.out.send((self.subject(name), bytes));
        }
    }

    /// Waits, for a second at most, until everything that was said has left.
    pub(super) fn flush(&self) {
        // What was said last has to reach the client before the client is asked to flush.
        std::thread::sleep(Duration::from_millis(20));
        let flush = async { timeout(Duration::from_secs(1), self.client.flush()).await };
        let _ = self.runtime.block_on(flush);
    }

    /// Hears what is said under this name from now on. What cannot be read is dropped.
    ///
    /// # Errors
    /// `Config` when the engine does not allow it.
    pub(super) fn listen<T: DeserializeOwned + Send + 'static>(
        &self,
        name: &str,
    ) -> Result<Receiver<Mail<T>>> {
        let (tell, heard) = mpsc::channel();
        let subject = self.subject(name);
        let subscribed =
            self.wait(self.client.subscribe(subject)).map_err(|why| unanswered(&why))?;
        let mut messages = subscribed.map_err(|e| unanswered(&e.to_string()))?;
        // The engine knows of it before anyone is asked to answer.
        let _ = self.wait(self.client.flush()).map_err(|why| unanswered(&why))?;
        self.runtime.spawn(async move {
            while let Some(message) = messages.next().await {
                let heard_ns = now_ns();
                let from = message.subject.rsplit('.').next().unwrap_or_default().to_string();
                let Ok(read) = serde_json::from_slice(&message.payload) else { continue };
                if tell.send(Mail { from, heard_ns, message: read }).is_err() {
                    break;
                }
            }
        });
        Ok(heard)
    }

    /// Waits for an answer of the engine; a clause says that there was none.
    fn wait<F: Future>(&self, future: F) -> Result<F::Output, String> {
        let waited = self.runtime.block_on(async { timeout(ANSWERS_WITHIN, future).await });
        waited.map_err(|_| format!("it did not answer within {} s", ANSWERS_WITHIN.as_secs()))
    }

    fn stream(&self) -> String {
        format!("AB_{}", self.run)
    }

    /// Asks the engine something; what asked reads the answer.
    fn ask(&self, subject: String, question: Vec<u8>) -> Result<Vec<u8>, Refusal> {
        let asked = self.wait(self.client.request(subject, question.into()));
        match asked.map_err(Refusal::Other)? {
            Ok(answer) => Ok(answer.payload.to_vec()),
            Err(error) if error.kind() == RequestErrorKind::NoResponders => {
                Err(Refusal::NoJetStream)
            }
            Err(error) => Err(Refusal::Other(error.to_string())),
        }
    }

    /// Makes the place where what has to survive of this run is kept.
    ///
    /// # Errors
    /// `Config` when the engine has no JetStream, or there was a run of this name.
    pub(super) fn make_store(&self) -> Result<()> {
        let name = self.stream();
        let refused = |refusal| match refusal {
            Refusal::NoJetStream => no_jetstream(),
            refusal => unanswered(&clause(refusal)),
        };
        let found = self.ask(kept::to_look_up(&name), Vec::new());
        match found.and_then(|answer| kept::stream(&answer)) {
            Err(Refusal::NoStream) => {}
            Err(refusal) => return Err(refused(refusal)),
            Ok(()) => {
                return Err(Error::Config(format!(
                    "the engine has a run `{}` already; choose another --run, or look at it with \
                     `authbench collect {0}`",
                    self.run
                )));
            }
        }
        let stream = Stream {
            name: &name,
            subjects: [self.subject("kept.>")],
            storage: "file",
            max_age: KEPT_FOR.as_nanos() as u64,
        };
        let made = self.ask(kept::to_create(&name), question(&stream));
        made.and_then(|answer| kept::stream(&answer)).map_err(refused)
    }

    /// Keeps something under this name; a clause says why not.
    pub(super) fn keep(&self, name: &str, bytes: Vec<u8>) -> Result<(), String> {
        let kept = self.ask(self.subject(&format!("kept.{name}")), bytes);
        kept.and_then(|answer| kept::acknowledged(&answer)).map_err(clause)
    }

    /// What was kept last under this name; `None` where nothing was. A clause says why that is not
    /// known.
    pub(super) fn kept(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        let subject = self.subject(&format!("kept.{name}"));
        let last = question(&LastOf { last_by_subj: &subject });
        let answer = self.ask(kept::to_read(&self.stream()), last);
        match answer.and_then(|answer| kept::message(&answer)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Refusal::NoMessage) => Ok(None),
            Err(refusal) => Err(clause(refusal)),
        }
    }
}

/// Names and numbers alone, which always can be written.
fn question(asked: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(asked).unwrap_or_default()
}

fn clause(refusal: Refusal) -> String {
    match refusal {
        Refusal::NoStream => "it has no such run".into(),
        Refusal::NoMessage => "it has no such message".into(),
        Refusal::NoJetStream => "it has no JetStream, or keeps nothing of this run".into(),
        Refusal::Other(why) => why,
    }
}

/// The library takes no credentials from a URL: a name and a password, or a token alone.
fn with_credentials(options: ConnectOptions, url: &str) -> Result<ConnectOptions> {
    let server: ServerAddr = url.parse().map_err(|_| {
        Error::Config(format!(
            "expected --engine nats://HOST:PORT or tls://HOST:PORT, found `{}`",
            shown(url)
        ))
    })?;
    Ok(match (server.username(), server.password()) {
        (Some(user), Some(password)) => options.user_and_password(user.into(), password.into()),
        (Some(token), None) => options.token(token.into()),
        _ => options,
    })
}

fn unanswered(why: &str) -> Error {
    Error::Config(format!("the engine is of no use: {why}; nothing was sent"))
}

fn no_jetstream() -> Error {
    Error::Config(
        "expected an engine with JetStream, found one without; start it as `nats-server \
         --jetstream`. Nothing was sent"
            .into(),
    )
}

fn unconnected(place: &str, kind: ConnectErrorKind, error: &dyn std::fmt::Display) -> Error {
    let why = match kind {
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
            "refuses this user".to_string()
        }
        _ => format!("cannot be reached: {error}"),
    };
    Error::Config(format!("the engine at {place} {why}; nothing was sent"))
}

/// Refuses a name that cannot be part of a subject.
pub(super) fn check_run(run: &str) -> Result<()> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if (1..=64).contains(&run.len()) && run.chars().all(fits) {
        return Ok(());
    }
    Err(Error::flag("--run", "of 1 to 64 letters, digits, `-` or `_`", format!("`{run}`")))
}
