//! A zoo of servers for the attack suite to tell apart: one small program with a mode per flaw, and
//! sound modes as well. A mode is a row of `modes.rs`, which also says which rows of the suite
//! have to find it.

mod cookies;
mod http;
mod ids;
mod modes;
mod sessions;
mod tokens;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) use modes::{Flaw, Kind, MODES, Mode, Says, find};

use cookies::Cookies;
use http::{Reply, Request};
use tokens::Tokens;

/// How long a connection may be idle.
const IDLE: Duration = Duration::from_secs(5);
/// What `LimitsLogins` and `LimitsAll` allow, after how many failures `Blocks` blocks, and after
/// how many requests `Dies` dies.
const LOGINS_MAX: u64 = 30;
const REQUESTS_MAX: u64 = 500;
const FAILURES_MAX: u64 = 200;
/// Every so many requests `Flaky` fails.
const FLAKY_EVERY: u64 = 40;
/// Wrong passwords until `LocksAccounts` locks an account.
const WRONG_MAX: u64 = 5;

/// A running server. It stops when it is dropped.
pub(crate) struct Zoo {
    address: SocketAddr,
    server: Arc<Server>,
}

/// What the connections of a server share.
struct Server {
    flaw: Flaw,
    kind: Kind,
    /// Sessions by id.
    sessions: Mutex<BTreeMap<String, u64>>,
    /// Wrong passwords by name.
    wrong: Mutex<BTreeMap<String, u64>>,
    tokens: Tokens,
    cookies: Cookies,
    counter: AtomicU64,
    requests: AtomicU64,
    /// After how many `LimitsAll` limits all and `Dies` dies.
    requests_max: u64,
    logins: AtomicU64,
    failures: AtomicU64,
    is_gone: AtomicBool,
}

impl Zoo {
    /// Starts a server on a free port.
    pub(crate) fn start(mode: &Mode) -> Self {
        Self::start_for(mode, REQUESTS_MAX)
    }

    /// Starts one whose mood changes after so many requests.
    pub(crate) fn start_for(mode: &Mode, requests_max: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = Arc::new(Server {
            flaw: mode.flaw,
            kind: mode.kind,
            sessions: Mutex::default(),
            wrong: Mutex::default(),
            tokens: Tokens::new(mode),
            cookies: Cookies::new(mode),
            counter: AtomicU64::new(1001),
            requests: AtomicU64::new(0),
            requests_max,
            logins: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            is_gone: AtomicBool::new(false),
        });
        let shared = Arc::clone(&server);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.is_gone.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || shared.serve(stream.unwrap()));
            }
        });
        Self { address, server }
    }

    /// Writes the target file, and the keys that it names, into a folder; its text.
    pub(crate) fn target_file(&self, mode: &Mode, folder: &Path) -> String {
        let keys = self.server.tokens.keys_of_target(mode, folder);
        let (credential, send, more) = match mode.kind {
            Kind::Session => ("cookie:sid", "cookie:sid", ""),
            Kind::Cookie(_) => ("cookie:session", "cookie:session", ""),
            Kind::Jwt(_) => (
                "json:/access_token",
                "header:Authorization: Bearer {credential}",
                "[refresh]\npath = '/refresh'\ntoken = 'json:/refresh_token'\nfield = 'token'\n",
            ),
        };
        let step = if mode.flaw == Flaw::UserInPath { "/users/{n}" } else { "/me" };
        format!(
            "name = '{}'\nbase_url = 'http://{}'\n{keys}[users]\nusername = 'user-{{n}}'\n\
             password = '{}'\n[login]\npath = '/login'\n\
             fields = {{ username = '{{username}}', password = '{{password}}' }}\n\
             credential = '{credential}'\nsend = '{send}'\n\
             [[journeys.browse.steps]]\nname = 'me'\npath = '{step}'\n\
             check = {{ json = '/user', equals = '{{n}}' }}\n\
             [[journeys.cart.steps]]\nname = 'add'\nmethod = 'POST'\npath = '/cart'\n\
             [logout]\npath = '/logout'\nexpect_status = 200\n\
             [logout_all]\npath = '/logout-all'\nexpect_status = 200\n{more}",
            mode.name,
            self.address,
            sessions::password("{n}"),
        )
    }
}

impl Drop for Zoo {
    fn drop(&mut self) {
        self.server.is_gone.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

impl Server {
    fn next(&self) -> u64 {
        self.counter.fetch_add(1, Ordering::Relaxed)
    }

    fn serve(&self, mut stream: TcpStream) {
        stream.set_read_timeout(Some(IDLE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut bytes = Vec::new();
        let trusts_first = self.flaw == Flaw::TwoLengths;
        loop {
            let read = Request::read(&mut stream, &mut bytes, trusts_first);
            let (reply, closes) = match read {
                Ok(Some(request)) => {
                    let Some(reply) = self.tempered(&request) else { return };
                    (reply, request.field("connection") == "close")
                }
                Ok(None) => return,
                Err(status) => (Reply::new(status, "{}"), true),
            };
            if reply.write(&mut stream, closes).is_err() || closes {
                return;
            }
        }
    }

    /// The answer, if the server is in a mood to give one.
    fn tempered(&self, request: &Request) -> Option<Reply> {
        let before = self.requests.fetch_add(1, Ordering::Relaxed);
        let limited = || Some(Reply::new(429, "{}").with("Retry-After", "3600"));
        match self.flaw {
            Flaw::Dies if before >= self.requests_max => {
                self.is_gone.store(true, Ordering::Relaxed);
            }
            Flaw::Slow => std::thread::sleep(Duration::from_millis(3)),
            Flaw::LimitsAll if before >= self.requests_max => return limited(),
            Flaw::Flaky if before % FLAKY_EVERY == FLAKY_EVERY - 1 => {
                return Some(Reply::new(503, "{}"));
            }
            Flaw::Blocks if self.failures.load(Ordering::Relaxed) >= FAILURES_MAX => {
                return Some(Reply::new(403, "{}"));
            }
            Flaw::LimitsLogins
                if request.path() == "/login"
                    && self.logins.fetch_add(1, Ordering::Relaxed) >= LOGINS_MAX =>
            {
                return limited();
            }
            _ => {}
        }
        if self.is_gone.load(Ordering::Relaxed) {
            return None;
        }
        let reply = self.answer(request);
        if reply.status >= 400 {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        Some(reply)
    }

    fn answer(&self, request: &Request) -> Reply {
        let refused = || Reply::new(401, "{}").with("Cache-Control", "no-store");
        match (request.method.as_str(), request.path()) {
            ("POST", "/login") => self.log_in(request),
            ("GET", path) if path == "/me" || path.starts_with("/users/") => {
                match self.named(request) {
                    Ok(Some(user)) => self.me(request, user),
                    Ok(None) => refused(),
                    Err(status) => Reply::new(status, "{}"),
                }
            }
            ("OPTIONS", _) => self.cors(request, Reply::new(204, "")),
            ("POST", "/cart") => match self.whose(request) {
                Ok(Some(user)) => self.change(request, user),
                _ => refused(),
            },
            ("POST", "/logout") => self.log_out(request),
            ("POST", "/logout-all") => self.log_out_everywhere(request),
            ("POST", "/refresh") => self.tokens.refresh(request),
            ("GET", "/jwks.json") => Reply::new(200, self.tokens.jwks()),
            _ => Reply::new(404, "{}"),
        }
    }

    /// Who the credential says that this request is of.
    fn whose(&self, request: &Request) -> Result<Option<u64>, u16> {
        match self.kind {
            Kind::Session => self.session(request),
            Kind::Jwt(_) => Ok(request.bearer().and_then(|token| self.tokens.user(&token))),
            Kind::Cookie(_) => Ok(self.cookies.user(request)),
        }
    }

    fn me(&self, request: &Request, user: u64) -> Reply {
        let caching = match self.flaw {
            Flaw::Cacheable => "public, max-age=600",
            Flaw::CacheableForAges => "s-maxage=600",
            _ => "no-store",
        };
        let reply = Reply::new(200, format!("{{\"user\":{user}}}"));
        self.cors(request, reply.with("Cache-Control", caching))
    }

    /// Lets pages of other origins read an answer.
    fn cors(&self, request: &Request, reply: Reply) -> Reply {
        let origin = request.field("origin");
        let own = request.field("host");
        let is_allowed = match self.flaw {
            Flaw::CorsReflects => !origin.is_empty(),
            Flaw::CorsNull => origin == "null",
            Flaw::CorsSuffix => origin.ends_with(&own),
            Flaw::ListsOrigins => origin == "https://app.example.org",
            _ => false,
        };
        if !is_allowed {
            return reply;
        }
        reply
            .with("Access-Control-Allow-Origin", origin)
            .with("Access-Control-Allow-Credentials", "true")
            .with("Vary", "Origin")
    }
}
