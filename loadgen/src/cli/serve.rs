//! `authbench serve`, and everything else that has to know the servers beyond their contract.

use std::collections::BTreeMap;
use std::io::{BufRead as _, Read as _};
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::path::PathBuf;

use clap::{Args, FromArgMatches as _};
use servers::contract::{
    CONTRACT_VERSION, ReadyLine, STORE_URL_VARIABLE, Secrets, SharedLine, StoreUrl,
};
use servers::schemes::CookieSecurity;
use servers::schemes::knobs::lacking;
use servers::stores::Touch;
use servers::stores::relay::{self, Distance};
use servers::{
    ArmInfo, Balance, Deployment, PasswordHash, Proxy, ServeError, ServeOptions, Speech, Work,
};
use tokio::signal::unix::{SignalKind, signal};

use super::output;
use crate::error::{Error, Result};
use crate::files::{self, Kind, read_text};
use crate::plan::Variant;
use crate::units::Span;

/// The longest line of secrets that is read, in bytes: a key of 64 KiB would fit.
const SECRETS_MAX: u64 = 1 << 20;

/// What is served, and where.
#[derive(Debug, Args)]
struct ArmArgs {
    /// Serve this arm, `scheme` or `scheme@store` (see `authbench schemes`)
    arm: String,
    /// Run on these cores [default: all that are allowed]
    #[arg(long, value_delimiter = ',', value_name = "N,N")]
    cores: Vec<usize>,
}

impl ArmArgs {
    /// Refuses what is no arm, and keeps this process on its cores.
    fn settle(&self) -> Result<()> {
        require_one(&self.arm)?;
        pin(&self.cores)
    }
}

/// Flags of `authbench serve`.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Listen on this address; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDR")]
    listen: SocketAddr,
    /// Answer GET /stats on this address
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDR")]
    admin: SocketAddr,
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
    max_connections: Option<u32>,
    /// Serve requests on this many threads [default: one per core]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
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
    what: ArmArgs,
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
    fn given(&self) -> Vec<&'static str> {
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
pub(super) struct RelayArgs {
    /// Address of the store
    #[arg(long, value_name = "ADDR")]
    to: String,
    /// What a round trip takes longer
    #[arg(long, value_name = "SPAN")]
    delay: Span,
}

/// Flags of `authbench issuer`, which a server whose arm asks an issuer starts.
#[derive(Debug, Args)]
pub(super) struct IssuerArgs {
    /// What the server has written for it; it is removed
    file: PathBuf,
}

/// Flags of `authbench share`, which campaigns start for trials of several servers.
#[derive(Debug, Args)]
pub(super) struct ShareArgs {
    #[command(flatten)]
    what: ArmArgs,
}

/// Flags of a server that are not a matter of how an arm is set up: where it runs and listens, and
/// what it is told in secret.
const NOT_IN_A_VARIANT: &[&str] = &[
    "admin",
    "cores",
    "help",
    "key-file",
    "listen",
    "previous-key-file",
    "secrets-from-stdin",
    "store-url",
    "store-url-file",
];

/// Flags of a deployment, which are words in the name of an arm: `session@redis x3 haproxy`.
const OF_A_DEPLOYMENT: &[&str] = &["balance", "proxy", "servers"];

/// Everything a server can be, for `authbench schemes`.
pub(super) fn arms() -> &'static [ArmInfo] {
    servers::arms()
}

/// The store of every arm that has one.
pub(super) fn stores() -> BTreeMap<String, String> {
    let named = |info: &ArmInfo| Some((info.arm.to_owned(), info.store?.to_owned()));
    arms().iter().filter_map(named).collect()
}

fn info(name: &str) -> Option<&'static ArmInfo> {
    let arm = Variant::of(name).arm;
    arms().iter().find(|info| info.arm == arm)
}

/// Refuses a variant, whose flags are given as such where one server is started.
fn require_one(arm: &str) -> Result<()> {
    require_arm(arm)?;
    let variant = Variant::of(arm);
    match variant.flags.as_slice() {
        [] if !variant.is_deployed() => Ok(()),
        _ => Err(Error::Config(format!(
            "`{arm}` is a variant; give the arm, and its flags one by one"
        ))),
    }
}

/// How alike a name and an arm's have to be for the one to be meant by the other.
const ALIKE: f64 = 0.85;

/// What is said of a name that is no arm's: the arms that begin so, or the one that was most likely
/// meant.
fn unknown_arm(name: &str) -> String {
    let start = Variant::of(name).arm;
    let begins = |info: &&ArmInfo| {
        let rest = info.arm.strip_prefix(start);
        rest.is_some_and(|rest| !start.is_empty() && rest.starts_with(['@', '-']))
    };
    let family: Vec<_> = arms().iter().filter(begins).map(|i| format!("`{}`", i.arm)).collect();
    if let [others @ .., last] = family.as_slice()
        && !others.is_empty()
    {
        let others = others.join(", ");
        return format!("unknown arm `{name}`; did you mean one of {others} or {last}?");
    }
    let alike =
        arms().iter().map(|info| (strsim::jaro_winkler(Variant::of(name).arm, info.arm), info.arm));
    match alike.max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((alike, arm)) if alike >= ALIKE => {
            format!("unknown arm `{name}`; did you mean `{arm}`? `authbench schemes` lists all")
        }
        _ => format!("unknown arm `{name}`; `authbench schemes` lists the arms there are"),
    }
}

/// Refuses a name that is neither an arm nor a variant of one.
///
/// # Errors
/// `Config`, with the arms there are, or with what is wrong with a variant's flags.
pub(super) fn require_arm(name: &str) -> Result<()> {
    require_served(name, &[])
}

/// Refuses a name that is neither an arm nor a variant of one, and one that cannot be served with
/// these further arguments.
///
/// # Errors
/// As [`require_arm`].
pub(super) fn require_served(name: &str, further: &[String]) -> Result<()> {
    if info(name).is_none() {
        return Err(Error::Config(unknown_arm(name)));
    }
    let variant = Variant::of(name);
    let refuse =
        |what: &str| Err(Error::Config(format!("expected a variant ARM+FLAG=VALUE, {what}")));
    let plain = |text: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || ".:_-".contains(c);
        !text.is_empty() && text.chars().all(fits)
    };
    for (flag, value) in &variant.flags {
        if !plain(flag) || !value.is_none_or(plain) {
            return refuse(&format!("of letters, digits and `.:_-`, found `{name}`"));
        }
        if NOT_IN_A_VARIANT.contains(flag) {
            return refuse(&format!("found `{name}`: a campaign sets --{flag} by itself"));
        }
        if OF_A_DEPLOYMENT.contains(flag) {
            return refuse(&format!(
                "found `{name}`: write a deployment as `{} x3 haproxy` or `{0} x3 nginx sticky`",
                variant.arm
            ));
        }
    }
    let words = ["serve".into(), variant.arm.to_string()];
    let read = ServeArgs::augment_args(clap::Command::new("serve").disable_help_flag(true))
        .try_get_matches_from(
            words.into_iter().chain(variant.arguments(further)).chain(further.iter().cloned()),
        )
        .and_then(|matches| ServeArgs::from_arg_matches(&matches));
    match read {
        Ok(args) => {
            let flags = variant.flags.iter();
            flags.map(|(flag, _)| flag).try_for_each(|flag| require_flag(variant.arm, flag, ""))?;
            args.require_deployment()
        }
        Err(error) => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            let first = first.strip_prefix("error: ").unwrap_or(first);
            refuse(&format!("found `{name}`: {first} (see authbench serve --help)"))
        }
    }
}

/// Refuses a flag that the arm does not have: the server would be the same without it. `dashes` are
/// those with which the flag was written.
fn require_flag(arm: &str, flag: &str, dashes: &str) -> Result<()> {
    match info(arm).and_then(|info| lacking(info, flag)) {
        Some(part) => {
            Err(Error::Config(format!("`{arm}` has no {part}; leave out `{dashes}{flag}`")))
        }
        None => Ok(()),
    }
}

/// The program that this arm needs and this machine does not have, and the package that has it.
pub(super) fn missing_program(arm: &str) -> Option<(&'static str, &'static str)> {
    let store = || servers::stores::missing_program(info(arm)?.store?);
    let proxy = || {
        let proxy: Proxy = Variant::of(arm).proxy()?.parse().ok()?;
        Some(proxy.program()).filter(|program| program.find().is_none())
    };
    let program = store().or_else(proxy)?;
    Some((program.name, program.package))
}

/// Why an arm is not attacked; `None` where it is.
pub(super) fn spared(name: &str) -> Option<&'static str> {
    let info = info(name)?;
    (!info.authenticates).then_some("the floor authenticates nobody")
}

/// Serves one arm.
///
/// # Errors
/// `Config` when the options are at fault, `Target` when the server fails.
pub(super) fn serve(args: ServeArgs) -> Result<()> {
    args.what.settle()?;
    args.given().iter().try_for_each(|flag| require_flag(&args.what.arm, flag, "--"))?;
    let threads =
        args.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    if !(1..=1024).contains(&threads) {
        return Err(Error::flag("--threads", "from 1 to 1024", threads));
    }
    servers::stores::folder::sweep();
    // Before the default is taken from the limit of open files, which this raises.
    crate::proc::allow_connections(args.max_connections.unwrap_or_default())?;
    let (listen, admin) = (args.listen, args.admin);
    let deployment = args.deployment();
    let deployment = match deployment {
        Some(deployment) => Some(Deployment { arguments: member_arguments()?, ..deployment }),
        None => None,
    };
    let options = options(args, threads)?;
    let runtime = runtime(threads).enable_all().build().map_err(Error::runtime("the server"))?;
    let outcome = runtime.block_on(async {
        let admin = servers::bind(admin)?;
        if let Some(deployment) = deployment {
            return servers::deploy(deployment, options, listen, admin, announce, stopped()).await;
        }
        let public = servers::bind(listen)?;
        servers::serve(options, public, admin, announce, stopped()).await
    });
    outcome.map_err(|error| refused(&error))
}

impl ServeArgs {
    /// How the servers are deployed; `None` where it is one server without a proxy.
    fn deployment(&self) -> Option<Deployment> {
        let servers = self.servers.unwrap_or(1);
        let (balance, arguments) = (self.balance, Vec::new());
        self.proxy.map(|proxy| Deployment { servers, proxy, balance, arguments })
    }

    /// Refuses a deployment that would not be what it says, before anything is started.
    fn require_deployment(&self) -> Result<()> {
        let Some(deployment) = self.deployment() else { return Ok(()) };
        let options = ServeOptions {
            speech: Speech { http2: self.http2, tls: self.tls, counts_wire: self.count_wire },
            admin_fill: self.admin_fill,
            ..ServeOptions::new(self.what.arm.as_str())
        };
        deployment.check(&options).map_err(|error| refused(&error))
    }
}

/// What each server of a deployment is started with: the flags that were given here, but for those
/// that say where it listens, what is shared and how it is deployed.
fn member_arguments() -> Result<Vec<String>> {
    let command = ServeArgs::augment_args(clap::Command::new("serve").disable_help_flag(true));
    let words = std::env::args_os().skip_while(|word| word != "serve");
    let matches = command.clone().try_get_matches_from(words);
    let matches = matches.map_err(|error| Error::Bug(error.to_string()))?;
    let mut arguments = Vec::new();
    for argument in command.get_arguments() {
        let (id, Some(long)) = (argument.get_id().as_str(), argument.get_long()) else { continue };
        let given = matches.value_source(id) == Some(clap::parser::ValueSource::CommandLine);
        let is_of_all = [NOT_IN_A_VARIANT, OF_A_DEPLOYMENT, &["store-delay"]].concat();
        if !given || is_of_all.contains(&long) {
            continue;
        }
        if !argument.get_action().takes_values() {
            arguments.push(format!("--{long}"));
            continue;
        }
        for value in matches.get_raw(id).into_iter().flatten() {
            arguments.extend([format!("--{long}"), value.to_string_lossy().into_owned()]);
        }
    }
    Ok(arguments)
}

/// Makes what the servers of an arm share, says what it is, and keeps it until stdin closes or a
/// signal comes. The line is for the pipe of a parent: it holds the key.
///
/// # Errors
/// `Config` when the arm or its store cannot be opened.
pub(super) fn share(args: &ShareArgs) -> Result<()> {
    args.what.settle()?;
    servers::stores::folder::sweep();
    let runtime = runtime(1).enable_all().build().map_err(Error::runtime("the store"))?;
    runtime.block_on(async {
        let shared = servers::share(&args.what.arm, Some(program()?)).await;
        let shared = shared.map_err(|e| refused(&e))?;
        let line = SharedLine {
            authbench: CONTRACT_VERSION,
            secrets: shared.secrets.clone(),
            store: shared.store().cloned(),
        };
        let text = serde_json::to_string(&line)
            .map_err(|e| Error::Bug(format!("the line cannot be written: {e}")))?;
        output::json(&text)?;
        stopped().await;
        Ok(())
    })
}

/// Relays to a store until stdin closes or a signal comes, and says on which address.
///
/// # Errors
/// `Config` when there is no port or no runtime.
pub(super) fn relay(args: &RelayArgs) -> Result<()> {
    let runtime = runtime(1).enable_all().build().map_err(Error::runtime("the relay"))?;
    runtime.block_on(async {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = servers::bind(any).map_err(|e| refused(&e))?;
        let address = listener.local_addr().map_err(|e| Error::Config(e.to_string()))?;
        output::json(&address.to_string())?;
        tokio::select! {
            () = relay::relay(listener, &args.to, args.delay.duration() / 2) => {}
            () = stopped() => {}
        }
        Ok(())
    })
}

/// Issues tokens as a file says, until it is ended with the server that started it. The file holds
/// keys, and is gone once it is read.
///
/// # Errors
/// `Config` when the file is not one for an issuer, or its port is taken.
pub(super) fn issuer(args: &IssuerArgs) -> Result<()> {
    let settings =
        files::read(&args.file, Kind::Key).map_err(|e| Error::unreadable(&args.file, e))?;
    // Where it cannot be removed, it goes with its folder.
    drop(std::fs::remove_file(&args.file));
    let runtime = runtime(1).enable_all().build().map_err(Error::runtime("the issuer"))?;
    runtime.block_on(servers::schemes::issuer::run(&settings)).map_err(|e| refused(&e))
}

/// This program, which is also a relay and an issuer.
fn program() -> Result<PathBuf> {
    std::env::current_exe()
        .map_err(|e| Error::Config(format!("the path of this program is not known: {e}")))
}

/// One thread gets the runtime for one thread. The one for many, on one, keeps 256 tasks in its own
/// queue and looks for the others only now and then: of 1,000 connections a few wait 100 times as
/// long as the rest, which says nothing of any scheme.
fn runtime(threads: usize) -> tokio::runtime::Builder {
    if threads == 1 {
        return tokio::runtime::Builder::new_current_thread();
    }
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(threads);
    builder
}

fn options(args: ServeArgs, threads: usize) -> Result<ServeOptions> {
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

/// Keeps this process on the named cores.
fn pin(cores: &[usize]) -> Result<()> {
    if cores.is_empty() {
        return Ok(());
    }
    let usable = crate::proc::usable_cores();
    if let Some(core) = cores.iter().find(|core| !usable.contains(core)) {
        return Err(Error::flag("--cores", format!("among {usable:?}"), core));
    }
    let mut set = rustix::thread::CpuSet::new();
    cores.iter().for_each(|core| set.set(*core));
    rustix::thread::sched_setaffinity(None, &set)
        .map_err(|e| Error::Config(format!("this process cannot be kept on cores {cores:?}: {e}")))
}

fn announce(ready: &ReadyLine) {
    let line = serde_json::to_string(ready)
        .map_err(|e| Error::Bug(format!("the ready line cannot be written: {e}")));
    // A person who started it by hand; a parent reads the line.
    if output::watched() && !stdin_is_pipe() {
        output::note(&format!(
            "{} listens on {}; Ctrl-C ends it",
            ready.arm, ready.target.base_url
        ));
    }
    // The server serves whether or not anyone hears of it.
    if let Err(error) = line.and_then(|line| output::json(&line)) {
        output::error(&error.to_string());
    }
}

/// Completes when the server has to stop: SIGINT, SIGTERM, or the end of a parent that holds the
/// other end of stdin. Where stdin is no pipe (a terminal, /dev/null) its end says nothing.
async fn stopped() {
    let (gone, parent_gone) = tokio::sync::oneshot::channel::<()>();
    // Where stdin is no pipe, this end lives as long as the server, and the other never hears of
    // it.
    let mut gone = Some(gone);
    if stdin_is_pipe() {
        let gone = gone.take();
        // A thread of its own: the runtime would wait at its end for a read that never returns.
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            drop(gone);
        });
    }
    let told = |kind| async move {
        match signal(kind) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = parent_gone => {}
        () = told(SignalKind::interrupt()) => {}
        () = told(SignalKind::terminate()) => {}
    }
}

fn stdin_is_pipe() -> bool {
    use rustix::fs::FileType;
    let stat = rustix::fs::fstat(std::io::stdin().as_fd());
    stat.is_ok_and(|stat| {
        matches!(FileType::from_raw_mode(stat.st_mode), FileType::Fifo | FileType::Socket)
    })
}

/// Options and addresses are for the user to mend; a part of a running server that dies is not.
fn refused(error: &ServeError) -> Error {
    match error {
        ServeError::Task { .. } => Error::Target(error.to_string()),
        _ => Error::Config(error.to_string()),
    }
}
