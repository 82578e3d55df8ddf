//! The server: a function of two listeners and a reason to stop.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::allocator;
use crate::app::{self, OpenArm, Work};
use crate::clock::Clock;
use crate::contract::{
    BodyFormat, CONTRACT_VERSION, Check, CredentialSource, Journey, Lifetime, Login, Logout,
    ReadyLine, Refresh, RelayProcess, Renewal, Step, Target, UserPattern,
};
use crate::error::ServeError;
use crate::schemes::{CookieSecurity, SchemeOptions, arms};
use crate::stores::patience::Patience;
use crate::stores::relay::{Distance, Relay};
use crate::stores::{Boxed, Touch, Upkeep};
use crate::users::{LOGIN_WAIT_MAX, LOGINS_WAITING_MAX, PasswordHash};

pub(crate) mod accept;
mod admin;
pub(crate) mod limits;
mod populate;
mod shared;
mod strict;
mod wire;

pub use limits::HEAD_BYTES_MAX;
use limits::Limits;
pub(crate) use shared::share_given;
pub use shared::{Shared, share};
pub use strict::TARGET_BYTES_MAX;
pub use wire::Speech;
use wire::{Identity, Speaker, Wire};

/// What a user puts into the cart: 57 bytes and the user's number, so that each has their own. An
/// item may have 64.
const ITEM: &str = "a book with a title of so many words that it is long, no {n}";

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4096;
/// Connections of the admin listener, which one program asks one question at a time.
pub(crate) const ADMIN_CONNECTIONS_MAX: usize = 16;

/// How a server is to be. Every field has a value: flags are lowered before.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// The arm, `scheme` or `scheme@store`.
    pub arm: String,
    /// How long a credential lives at most.
    pub ttl: Duration,
    /// How long an access token lives at most where there is a refresh token to replace it.
    pub access_ttl: Duration,
    /// How long a session lives without use; `None`: as long as `ttl`.
    pub idle: Option<Duration>,
    /// When the use of a session puts its idle timeout off; `None`: always.
    pub touch: Option<Touch>,
    /// How far the clocks of a token's issuer and of this server may be apart.
    pub leeway: Duration,
    /// How passwords are checked.
    pub password_hash: PasswordHash,
    /// Whether cookies are for HTTPS only.
    pub cookie: CookieSecurity,
    /// Key of a token scheme; `None`: a random one for this run.
    pub key: Option<Vec<u8>>,
    /// Keys that were in use before it and whose credentials are still good.
    pub previous_keys: Vec<Vec<u8>>,
    /// Where the store is; `None`: one of this server's own.
    pub store_url: Option<String>,
    /// How far away the store is put; `None`: it is where it is. Only for one behind a socket.
    pub store_distance: Option<Distance>,
    /// How long a request waits for a store that can hang before it is answered with a 503.
    pub store_timeout: Duration,
    /// How long an arm with a cache of sessions believes what it has read.
    pub cache_ttl: Duration,
    /// The program that is an issuer when it is told `issuer FILE`; `None`: an issuer that is
    /// started for the arm is a thread of this process.
    pub program: Option<PathBuf>,
    /// What every protected handler does for a user who was let in.
    pub work: Work,
    /// Pause between two sweeps of the store.
    pub sweep_every: Duration,
    /// How long a client may take for a request head, and stay idle between two requests.
    pub header_read_timeout: Duration,
    /// How long a client may take no byte of an answer that waits for it, at least 1 ms.
    pub write_stall: Duration,
    /// Public connections that may be open; one more is answered with a 503 and closed.
    pub max_connections: usize,
    /// How long open requests may take after the stop before they are cut off.
    pub drain: Duration,
    /// Threads of the runtime, for the ready line.
    pub threads: usize,
    /// What public connections speak.
    pub speech: Speech,
    /// Whether the admin listener, which must then be on a loopback address, logs users in without
    /// a password ([`crate::contract::Population`]).
    pub admin_fill: bool,
}

impl ServeOptions {
    /// The defaults for this arm: of connections as many as the limit of open files allows, and
    /// 100,000 at most.
    #[must_use]
    pub fn new(arm: impl Into<String>) -> Self {
        let scheme = SchemeOptions::default();
        Self {
            arm: arm.into(),
            ttl: scheme.ttl,
            access_ttl: scheme.access_ttl,
            idle: scheme.idle,
            touch: scheme.touch,
            leeway: scheme.leeway,
            password_hash: PasswordHash::default(),
            cookie: scheme.cookie,
            key: None,
            previous_keys: Vec::new(),
            store_url: None,
            store_distance: None,
            store_timeout: scheme.patience.call(),
            cache_ttl: scheme.cache_ttl,
            program: None,
            work: Work::default(),
            sweep_every: Duration::from_secs(10),
            header_read_timeout: Duration::from_secs(30),
            write_stall: Duration::from_secs(30),
            max_connections: limits::connections_default(),
            drain: Duration::from_secs(5),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            speech: Speech::default(),
            admin_fill: false,
        }
    }

    pub(crate) fn scheme(&self) -> Result<SchemeOptions, ServeError> {
        let refuse = |option, expected, found: Duration| {
            Err(ServeError::Option { option, expected, found: format!("{found:?}") })
        };
        // Tokens count in whole seconds, and both schemes must live for the same time.
        for (option, span) in [("ttl", self.ttl), ("access_ttl", self.access_ttl)] {
            if span.is_zero() || span.subsec_nanos() != 0 {
                return refuse(option, "a whole number of seconds, at least 1", span);
            }
        }
        if let Some(idle) = self.idle.filter(|idle| idle.as_millis() == 0) {
            return refuse("idle", "at least 1 ms", idle);
        }
        if self.store_timeout.as_millis() == 0 {
            return refuse("store_timeout", "at least 1 ms", self.store_timeout);
        }
        if self.sweep_every.is_zero() {
            return refuse("sweep_every", "more than nothing", self.sweep_every);
        }
        if self.work.cpu > app::CPU_MAX {
            return refuse("handler_cpu", "at most 1 s", self.work.cpu);
        }
        let wait = self.work.wait;
        if wait > app::WAIT_MAX || !wait.subsec_nanos().is_multiple_of(1_000_000) {
            return refuse("handler_wait", "whole milliseconds, at most 60 s", wait);
        }
        // To the kernel, 0 means no limit.
        if self.write_stall.as_millis() == 0 {
            return refuse("write_stall", "at least 1 ms", self.write_stall);
        }
        if !(1..=limits::connections_allowed()).contains(&self.max_connections) {
            return Err(ServeError::Option {
                option: "max_connections",
                expected: "at least 1, and at most 64 fewer than the limit of open files",
                found: self.max_connections.to_string(),
            });
        }
        Ok(SchemeOptions {
            ttl: self.ttl,
            access_ttl: self.access_ttl,
            idle: self.idle,
            touch: self.touch,
            leeway: self.leeway,
            cookie: self.cookie,
            key: self.key.clone(),
            previous_keys: self.previous_keys.clone(),
            store_url: self.store_url.clone(),
            patience: Patience::new(self.store_timeout),
            cache_ttl: self.cache_ttl,
            program: self.program.clone(),
            clock: Clock::System,
            made_key: None,
        })
    }
}

/// A listener for [`serve`], with a backlog that a burst of users does not overflow.
///
/// # Errors
/// [`ServeError::Listen`]. Panics outside a tokio runtime.
pub fn bind(address: SocketAddr) -> Result<TcpListener, ServeError> {
    let listen = || {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().map_err(|source| ServeError::Listen { address, source })
}

/// Serves until `stop` completes, calling `ready` once requests are being answered.
///
/// [`serve`] opens an arm, answers on the public listener, tells about itself on the admin one,
/// sweeps the store, and returns when it is told to stop and has let open requests finish. Ports,
/// flags, signals and stdin belong to the command that calls it; it prints nothing and ends no
/// process.
///
/// # Errors
/// Where the options make no sense, the arm cannot be opened, or a part of the server dies.
pub async fn serve(
    options: ServeOptions,
    public: TcpListener,
    admin: TcpListener,
    ready: impl FnOnce(&ReadyLine),
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let server = start(options, public, admin).await?;
    ready(&server.line);
    stop.await;
    server.end().await
}

/// A server that answers.
struct Server {
    line: ReadyLine,
    stopping: watch::Sender<()>,
    public: JoinHandle<()>,
    admin: JoinHandle<()>,
    sweeper: Option<JoinHandle<()>>,
    /// Ends after the arm.
    _relay: Option<Relay>,
}

/// Starts a server. The box makes this crate compile it, with everything that a request passes: the
/// body of an `async fn` is compiled by the crate that awaits it, here the command, with each of
/// its changes and with its optimisation.
fn start(
    options: ServeOptions,
    public: TcpListener,
    admin: TcpListener,
) -> Boxed<'static, Result<Server, ServeError>> {
    Box::pin(async move {
        let admin_address = address(&admin)?;
        if options.admin_fill && !admin_address.ip().is_loopback() {
            return Err(ServeError::Option {
                option: "admin_fill",
                expected: "an admin listener on a loopback address",
                found: admin_address.to_string(),
            });
        }
        let mut scheme = options.scheme()?;
        // Before the arm, so that it ends after it.
        let relay = put_away(&options).await?;
        if let Some(relay) = &relay {
            scheme.store_url = Some(relay.url().to_owned());
        }
        let arm =
            app::open_working(&options.arm, &scheme, options.password_hash, options.work).await?;
        let addresses = [address(&public)?, admin_address];
        let identity = options.speech.tls.then(|| Identity::new(addresses[0].ip(), options.speech));
        let identity = identity.transpose()?;
        Ok(answer(&options, arm, relay, identity.as_ref(), [public, admin], addresses))
    })
}

/// Starts everything that a server does by itself.
fn answer(
    options: &ServeOptions,
    arm: OpenArm,
    relay: Option<Relay>,
    identity: Option<&Identity>,
    [public, admin]: [TcpListener; 2],
    addresses: [SocketAddr; 2],
) -> Server {
    let line = ready_line(options, &arm, relay.as_ref(), identity, addresses);
    let limits = Limits {
        header_read_timeout: options.header_read_timeout,
        write_stall: options.write_stall,
        connections: options.max_connections,
        drain: options.drain,
    };
    let admin_limits = Limits { connections: ADMIN_CONNECTIONS_MAX, ..limits };
    let gauges = Arc::new(accept::Gauges::default());
    let wire = options.speech.counts_wire.then(|| Arc::new(Wire::default()));
    let speaker = (!options.speech.is_plain())
        .then(|| Speaker::new(options.speech, identity, limits, wire.clone().unwrap_or_default()));
    let inside = admin::Inside {
        started: Instant::now(),
        app: arm.app.clone(),
        upkeep: arm.upkeep.clone(),
        gauges: Arc::clone(&gauges),
        wire,
        on_jemalloc: allocator::runs_on_jemalloc(),
        populate: options.admin_fill.then(|| arm.populate.clone()),
    };
    let (stopping, stopped) = watch::channel(());
    let public =
        tokio::spawn(accept::run(public, arm.app, limits, speaker, gauges, stopped.clone()));
    let own = Arc::default();
    let admin =
        tokio::spawn(accept::run(admin, admin::app(inside), admin_limits, None, own, stopped));
    let sweeper = arm.upkeep.map(|store| tokio::spawn(sweep(store, options.sweep_every)));
    Server { line, stopping, public, admin, sweeper, _relay: relay }
}

impl Server {
    /// Lets open requests finish.
    async fn end(self) -> Result<(), ServeError> {
        drop(self.stopping);
        if let Some(sweeper) = self.sweeper {
            sweeper.abort();
        }
        join("public listener", self.public).await?;
        join("admin listener", self.admin).await
    }
}

/// A relay to the store of the arm, where it is to be farther away than it is.
pub(crate) async fn put_away(options: &ServeOptions) -> Result<Option<Relay>, ServeError> {
    let Some(distance) = &options.store_distance else { return Ok(None) };
    let store = arms().iter().find(|info| info.arm == options.arm).and_then(|info| info.store);
    let url = options.store_url.as_deref();
    Relay::start(&options.arm, store, url, distance).await.map(Some)
}

pub(crate) async fn join(task: &'static str, handle: JoinHandle<()>) -> Result<(), ServeError> {
    handle.await.map_err(|error| ServeError::Task { task, found: error.to_string() })
}

/// Sweeps for ever. A store that cannot be asked now is asked again next time: expired sessions
/// are refused at reading, so a missed sweep costs memory only.
async fn sweep(store: Arc<dyn Upkeep>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        drop(store.sweep(Clock::System.now()).await);
    }
}

pub(crate) fn address(listener: &TcpListener) -> Result<SocketAddr, ServeError> {
    listener.local_addr().map_err(|source| ServeError::Listen {
        address: SocketAddr::from(([0, 0, 0, 0], 0)),
        source,
    })
}

fn ready_line(
    options: &ServeOptions,
    arm: &OpenArm,
    relay: Option<&Relay>,
    identity: Option<&Identity>,
    [address, admin]: [SocketAddr; 2],
) -> ReadyLine {
    let mut notes = arm.notes.clone();
    let distance = relay.zip(options.store_distance.as_ref());
    notes.extend(distance.map(|(relay, distance)| far_away(relay, distance)));
    notes.push(format!("Credentials live for {} s at most.", options.ttl.as_secs()));
    notes.push(match options.password_hash {
        PasswordHash::Derived => {
            "Passwords are checked against a digest, which is no way to store real ones.".into()
        }
        PasswordHash::Argon2id => format!(
            "Every login costs one argon2id evaluation; {LOGINS_WAITING_MAX} may wait for theirs, \
             {} s at most, and others are answered with 503.",
            LOGIN_WAIT_MAX.as_secs()
        ),
    });
    if !options.work.is_nothing() {
        let Work { cpu, wait } = options.work;
        notes.push(format!(
            "Every protected handler burns {} us of CPU time and then waits {} ms, once the user \
             is let in.",
            cpu.as_nanos() as f64 / 1e3,
            wait.as_millis()
        ));
    }
    if options.speech.http2 {
        notes.push("The server speaks HTTP/2 and nothing else.".into());
    }
    if options.speech.tls {
        notes.push("The certificate was made for this run and is signed by itself.".into());
    }
    notes.push("How often somebody may try to log in is not limited.".into());
    ReadyLine {
        authbench: CONTRACT_VERSION,
        arm: options.arm.clone(),
        address,
        admin,
        pid: std::process::id(),
        threads: options.threads,
        notes,
        store: arm.store.clone().or_else(|| relay?.store()),
        relay: distance.map(|(relay, distance)| relay_process(relay, distance)),
        servers: Vec::new(),
        proxy: None,
        http2: options.speech.http2,
        counts_wire: options.speech.counts_wire,
        certificate: identity.map(|identity| identity.certificate.clone()),
        target: target(options, arm, address),
    }
}

/// What a ready line says of the relay.
pub(crate) fn relay_process(relay: &Relay, distance: &Distance) -> RelayProcess {
    RelayProcess {
        pid: relay.pid(),
        round_trip_ns: u64::try_from(distance.round_trip.as_nanos()).unwrap_or(u64::MAX),
    }
}

pub(crate) fn far_away(relay: &Relay, distance: &Distance) -> String {
    let started = relay.store().map_or_else(String::new, |store| {
        format!(" {} was started for this server and goes with it.", store.name)
    });
    format!(
        "A relay stands before the store: a round trip takes {} ms more at least.{started}",
        distance.round_trip.as_nanos() as f64 / 1e6
    )
}

fn target(options: &ServeOptions, arm: &OpenArm, address: SocketAddr) -> Target {
    let step = |name: &str, method: &str, path: &str| Step {
        name: name.into(),
        method: method.into(),
        path: path.into(),
        headers: BTreeMap::new(),
        body: None,
        format: BodyFormat::Json,
        expect_status: 200.into(),
        check: None,
        credential: None,
    };
    let user = || Some(Check::json("/user_id", "{n}"));
    let me = Step { check: user(), ..step("me", "GET", "/me") };
    let add = Step {
        body: Some(format!(r#"{{"item":"{ITEM}"}}"#)),
        check: Some(Check::json("/items/0", ITEM)),
        credential: Some(arm.credential.source.clone()),
        ..step("add", "POST", "/cart")
    };
    let log_in = Step {
        body: Some(r#"{"username":"{username}","password":"{password}"}"#.into()),
        check: match arm.credential.source {
            // The answer with a token does not name the user; the token does.
            CredentialSource::Json(ref place) if place == "/access_token" => {
                Some(Check::json("/token_type", "Bearer"))
            }
            _ => user(),
        },
        ..step("login", "POST", "/login")
    };
    let journey = |step, anonymous| Journey { steps: vec![step], anonymous, ..Journey::default() };
    let fields = [("username", "{username}"), ("password", "{password}")];
    Target {
        name: options.arm.clone(),
        base_url: format!("{}://{address}", if options.speech.tls { "https" } else { "http" }),
        unix_socket: None,
        client_cert: None,
        client_key: None,
        auth: None,
        users: UserPattern::default(),
        cookies: None,
        login: Some(Login {
            method: "POST".into(),
            path: "/login".into(),
            format: BodyFormat::Json,
            fields: fields.map(|(key, value)| (key.into(), value.into())).into(),
            concurrency: None,
            headers: BTreeMap::new(),
            expect_status: 200.into(),
            body: None,
            check: None,
            redirects: 0,
            step: Vec::new(),
            credential: arm.credential.source.clone(),
            send: arm.credential.carrier.clone(),
            csrf: None,
        }),
        headers: BTreeMap::new(),
        journeys: BTreeMap::from([
            ("browse".into(), journey(me, false)),
            ("cart".into(), journey(add, false)),
            ("login".into(), journey(log_in, true)),
        ]),
        logout: Some(logout("/logout")),
        logout_all: Some(logout("/logout-all")),
        refresh: arm.refreshes.then(|| Refresh {
            path: "/refresh".into(),
            token: CredentialSource::Json("/refresh_token".into()),
            field: "refresh_token".into(),
            format: BodyFormat::Json,
            fields: BTreeMap::new(),
            headers: BTreeMap::new(),
            expect_status: 200.into(),
        }),
        renewal: arm.refreshes.then(|| Renewal {
            lifetime: Some(Lifetime::Said(CredentialSource::Json("/expires_in".into()))),
            ..Renewal::default()
        }),
        token: None,
        max_transport_errors: None,
    }
}

/// A scheme that cannot revoke answers 200 as well, and says so in the body.
fn logout(path: &str) -> Logout {
    Logout {
        method: "POST".into(),
        path: path.into(),
        headers: BTreeMap::new(),
        expect_status: 200.into(),
    }
}
