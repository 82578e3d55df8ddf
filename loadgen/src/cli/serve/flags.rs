//! Flags of `authbench serve` and of the processes that it starts, and the options they give.

use std::io::{BufRead as _, Read as _};
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use servers::contract::{STORE_URL_VARIABLE, Secrets, StoreUrl};
use servers::schemes::CookieSecurity;
use servers::stores::Touch;
use servers::stores::relay::Distance;
use servers::{Balance, Deployment, PasswordHash, Proxy, ServeOptions, Speech, Work};

use super::arms::arms;
use super::refusal::refused;
use crate::error::{Error, Result};
use crate::files::{self, Kind, read_text};
use crate::units::Span;

/// The longest line of secrets that is read, in bytes: a key of 64 KiB would fit.
const SECRETS_MAX: u64 = 1 << 20;

/// What is served, and where.
#[derive(Debug, Args)]
pub(super) struct ArmArgs {
    /// Serve this arm, `scheme` or `scheme@store` (see `authbench schemes`)
    pub(super) arm: String,
    /// Run on these cores [default: all that are allowed]
    #[arg(long, value_delimiter = ',', value_name = "N,N")]
    pub(super) cores: Vec<usize>,
}

/// Flags of `authbench serve`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ServeArgs {
    /// Listen on this address; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDR")]
    pub(super) listen: SocketAddr,
    /// Answer GET /stats on this address
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDR")]
    pub(super) admin: SocketAddr,
    /// End every credential after this long
    #[arg(long, default_value = "15m", value_name = "SPAN")]
    ttl: Span,
    /// End an access token after this long, where the arm refreshes
    #[arg(long, default_value = "5m", value_name = "SPAN")]
    access_ttl: Span,
    /// End an unused session after this long [default: --ttl]
    #[arg(long, value_name = "SPAN")]
    idle: Option<Span>,
    /// Extend the idle timeout always, never, or once per span such as `1m` [default: always]
    ///
    /// Every extension is a write to the store. With a span such as `1m` a session may end up to
    /// that much early, and never late; with `never` it ends --idle after the login.
    #[arg(long, value_name = "WHEN", value_parser = touch, requires = "idle")]
    touch: Option<Touch>,
    /// Tolerate this difference between the clocks of issuer and server
    #[arg(long, default_value = "2s", value_name = "SPAN")]
    leeway: Span,
    /// Check passwords by derived or argon2id
    ///
    /// With argon2id a login costs one evaluation. Half of the cores evaluate, 64 logins wait for
    /// 5 s at most, and others are answered with 503. How often somebody may try to log in is not
    /// limited, with either: put a limit per user and per address before real users.
    #[arg(long, default_value = "derived", value_name = "HASH")]
    password_hash: PasswordHash,
    /// Omit Secure and __Host- from the cookie, for a browser on plain HTTP
    #[arg(long)]
    insecure_cookie: bool,
    /// Read the token key from this file, raw or PKCS#8 [default: a random key for this run]
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Accept credentials of the previous key in this file; may be repeated
    #[arg(long, value_name = "FILE")]
    previous_key_file: Vec<PathBuf>,
    /// Use the store at this URL, without a password [default: a store of its own]
    ///
    /// It is sqlite:PATH, redis://HOST:PORT[/DATABASE], postgres://USER@HOST[:PORT]/DB, or
    /// http://HOST:PORT of an issuer.
    ///
    /// A password does not belong on a command line, which every user of this machine can read.
    /// Put a URL that holds one (redis://[USER]:PASSWORD@HOST:PORT,
    /// postgres://USER:PASSWORD@HOST/DB) into a file and name it with --store-url-file, or into
    /// the environment variable AUTHBENCH_STORE_URL, which counts where neither flag is given and
    /// the arm has such a store.
    #[arg(long, value_name = "URL", conflicts_with = "store_url_file")]
    store_url: Option<String>,
    /// Read the store URL, password included, from this file (mode 0600)
    #[arg(long, value_name = "FILE")]
    store_url_file: Option<PathBuf>,
    /// Read key and store URL from a line of JSON on standard input
    #[arg(long, hide = true,
          conflicts_with_all = ["key_file", "previous_key_file", "store_url", "store_url_file"])]
    secrets_from_stdin: bool,
    /// Delay every round trip to the store by this much, at most 1s
    ///
    /// A relay, a process of its own, holds back what passes in each direction for half of it.
    #[arg(long, value_name = "SPAN")]
    store_delay: Option<Span>,
    /// Answer with 503 when the store takes longer than this
    #[arg(long, default_value = "400ms", value_name = "SPAN")]
    store_timeout: Span,
    /// Let session-cached rely on what it has read for this long [default: 1s]
    #[arg(long, value_name = "SPAN")]
    cache_ttl: Option<Span>,
    /// Burn this much CPU time in every protected handler, at most 1s
    ///
    /// It is measured by the CPU clock of the thread, so a busy machine does not change it.
    #[arg(long, default_value = "0s", value_name = "SPAN")]
    handler_cpu: Span,
    /// Wait this long in every protected handler; whole milliseconds, at most 60s
    #[arg(long, default_value = "0s", value_name = "SPAN")]
    handler_wait: Span,
    /// Sweep expired sessions this often
    #[arg(long, default_value = "10s", value_name = "SPAN")]
    sweep_every: Span,
    /// Limit open connections; more get a 503 [default: 100,000 or `ulimit -n` - 64]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) max_connections: Option<u32>,
    /// Serve requests on this many threads [default: one per core]
    #[arg(long, value_name = "N")]
    pub(super) threads: Option<usize>,
    /// Speak HTTP/2 and nothing else: without TLS to clients that know it, with TLS by ALPN
    #[arg(long)]
    http2: bool,
    /// Speak TLS, with a certificate made for this run (see `certificate` in the ready line)
    #[arg(long)]
    tls: bool,
    /// Start this many servers behind --proxy, which share a key and a store [default: 1]
    ///
    /// An arm whose state is in the memory of one process needs --balance sticky.
    #[arg(long, value_name = "N", requires = "proxy",
          value_parser = clap::value_parser!(u32).range(1..=16))]
    servers: Option<u32>,
    /// Put this proxy before the servers: haproxy or nginx
    #[arg(long, value_name = "PROXY")]
    proxy: Option<Proxy>,
    /// Choose a server round-robin, or sticky: the one that a user met first
    #[arg(long, default_value = "round-robin", value_name = "HOW", requires = "proxy")]
    balance: Balance,
    #[command(flatten)]
    pub(super) what: ArmArgs,
    /// Count the bytes that pass public connections, for GET /stats of the admin listener
    #[arg(long, hide = true)]
    count_wire: bool,
    /// Log users in without a password on POST /populate of the admin listener
    #[arg(long, hide = true)]
    admin_fill: bool,
}

impl ServeArgs {
    /// The flags that were given, among those that not every arm has. Campaigns, soaks and attacks
    /// give every server the same lifetimes, limits and sweeps, so those are not among them.
    pub(super) fn given(&self) -> Vec<&'static str> {
        let flags = [
            ("idle", self.idle.is_some()),
            ("touch", self.touch.is_some()),
            ("cache-ttl", self.cache_ttl.is_some()),
            ("store-delay", self.store_delay.is_some()),
            ("insecure-cookie", self.insecure_cookie),
            ("key-file", self.key_file.is_some()),
            ("previous-key-file", !self.previous_key_file.is_empty()),
        ];
        flags.into_iter().filter(|(_, is_given)| *is_given).map(|(flag, _)| flag).collect()
    }
}

/// Flags of `authbench relay`, which a server with a store that is far away starts.
#[derive(Debug, Args)]
pub(in crate::cli) struct RelayArgs {
    /// Address of the store
    #[arg(long, value_name = "ADDR")]
    pub(super) to: String,
    /// What a round trip takes longer
    #[arg(long, value_name = "SPAN")]
    pub(super) delay: Span,
}

/// Flags of `authbench issuer`, which a server whose arm asks an issuer starts.
#[derive(Debug, Args)]
pub(in crate::cli) struct IssuerArgs {
    /// What the server has written for it; it is removed
    pub(super) file: PathBuf,
}

/// Flags of `authbench share`, which campaigns start for trials of several servers.
#[derive(Debug, Args)]
pub(in crate::cli) struct ShareArgs {
    #[command(flatten)]
    pub(super) what: ArmArgs,
}

impl ServeArgs {
    /// How the servers are deployed; `None` where it is one server without a proxy.
    pub(super) fn deployment(&self) -> Option<Deployment> {
        let servers = self.servers.unwrap_or(1);
        let (balance, arguments) = (self.balance, Vec::new());
        self.proxy.map(|proxy| Deployment { servers, proxy, balance, arguments })
    }

    /// Refuses a deployment that would not be what it says, before anything is started.
    pub(super) fn require_deployment(&self) -> Result<()> {
        let Some(deployment) = self.deployment() else { return Ok(()) };
        let options = ServeOptions {
            speech: Speech { http2: self.http2, tls: self.tls, counts_wire: self.count_wire },
            admin_fill: self.admin_fill,
            ..ServeOptions::new(self.what.arm.as_str())
        };
        deployment.check(&options).map_err(|error| refused(&error))
    }
}

/// This program, which is also a relay and an issuer.
pub(super) fn program() -> Result<PathBuf> {
    std::env::current_exe()
        .map_err(|e| Error::Config(format!("the path of this program is not known: {e}")))
}

pub(super) fn options(args: ServeArgs, threads: usize) -> Result<ServeOptions> {
    let read =
        |path: &PathBuf| files::read(path, Kind::Key).map_err(|e| Error::unreadable(path, e));
    let previous_keys = args.previous_key_file.iter().map(read).collect::<Result<_>>()?;
    let Secrets { key, store_url } = if args.secrets_from_stdin {
        secrets()?
    } else {
        Secrets { key: args.key_file.as_ref().map(read).transpose()?, store_url: store_url(&args)? }
    };
    let away = |round_trip: Span| {
        Ok::<_, Error>(Distance { round_trip: round_trip.duration(), program: program()? })
    };
    let store_distance = args.store_delay.map(away).transpose()?;
    let defaults = ServeOptions::new(args.what.arm);
    let max_connections = match args.max_connections {
        Some(most) => usize::try_from(most).unwrap_or(usize::MAX),
        None => defaults.max_connections,
    };
    Ok(ServeOptions {
        ttl: args.ttl.duration(),
        access_ttl: args.access_ttl.duration(),
        idle: args.idle.map(Span::duration),
        touch: args.touch,
        leeway: args.leeway.duration(),
        password_hash: args.password_hash,
        cookie: if args.insecure_cookie {
            CookieSecurity::Insecure
        } else {
            CookieSecurity::Secure
        },
        key,
        previous_keys,
        store_url,
        store_distance,
        store_timeout: args.store_timeout.duration(),
        cache_ttl: args.cache_ttl.map_or(defaults.cache_ttl, Span::duration),
        program: Some(program()?),
        work: Work { cpu: args.handler_cpu.duration(), wait: args.handler_wait.duration() },
        sweep_every: args.sweep_every.duration(),
        max_connections,
        threads,
        speech: Speech { http2: args.http2, tls: args.tls, counts_wire: args.count_wire },
        admin_fill: args.admin_fill,
        ..defaults
    })
}

/// When the use of a session is written.
fn touch(text: &str) -> std::result::Result<Touch, String> {
    match text {
        "always" => Ok(Touch::Always),
        "never" => Ok(Touch::Never),
        span => {
            span.parse::<Span>().map(|span| Touch::AtMostEvery(span.duration())).map_err(|_| {
                format!("expected `always`, `never` or a duration such as `1m`, found `{span}`")
            })
        }
    }
}

/// The secrets that a parent tells on standard input.
fn secrets() -> Result<Secrets> {
    let mut line = Vec::new();
    let read = std::io::stdin().lock().take(SECRETS_MAX).read_until(b'\n', &mut line);
    let secrets = read.ok().and_then(|_| serde_json::from_slice(&line).ok());
    // What is wrong with it is not said: it may be a secret.
    secrets.ok_or_else(|| {
        Error::Config("--secrets-from-stdin: the line on standard input is not valid JSON".into())
    })
}

/// Where the store is, as the flags or the environment say.
fn store_url(args: &ServeArgs) -> Result<Option<String>> {
    if let Some(url) = &args.store_url {
        if StoreUrl::new(url.as_str()).holds_password() {
            return Err(Error::Config(
                "--store-url holds a password, which every user of this machine can read by now: \
                 change it, and put the URL into a file for --store-url-file"
                    .into(),
            ));
        }
        return Ok(Some(url.clone()));
    }
    let (origin, text) = match &args.store_url_file {
        Some(path) => (path.display().to_string(), read_text(path, Kind::StoreUrl)?),
        // The environment is for many commands: an arm without such a store is not meant.
        None if !has_place(&args.what.arm) => return Ok(None),
        None => match std::env::var(STORE_URL_VARIABLE) {
            Ok(text) => (STORE_URL_VARIABLE.into(), text),
            Err(std::env::VarError::NotPresent) => return Ok(None),
            Err(_) => return Err(no_url(STORE_URL_VARIABLE)),
        },
    };
    match text.trim() {
        "" => Err(no_url(&origin)),
        url if url.contains(char::is_whitespace) => Err(no_url(&origin)),
        url => Ok(Some(url.into())),
    }
}

/// Whether the arm has a store that a URL can lead to.
fn has_place(arm: &str) -> bool {
    let info = arms().iter().find(|info| info.arm == arm);
    info.and_then(|info| servers::stores::place(info.store?)).is_some()
}

/// Without what was found: it may hold a password.
fn no_url(origin: &str) -> Error {
    Error::Config(format!(
        "{origin}: not the URL of a store on one line; write one such as \
         redis://:PASSWORD@HOST:PORT"
    ))
}
