//! A plain client: one user at a time logs in, asks, logs out, at whichever of several servers.

use std::time::{Duration, Instant};

use http::{HeaderName, HeaderValue, Method};
use servers::contract::{Login, Refresh, Target};

use crate::error::{Error, Result};
use crate::journey::{Answer, Mismatch, Script, Who, field};
use crate::limits::{Limit, Limits};

/// What is read of an answer. Bodies may be smaller than a load's: hundreds are under way at once.
const LIMITS: Limits = Limits { body_bytes: 256 << 10, ..Limits::DEFAULT };

/// Statuses that say that a credential is not good (RFC 9110, 15.5.2 and 15.5.4).
const REFUSALS: [u16; 2] = [401, 403];

/// What a request with a credential came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The right answer, for the right user.
    Right,
    /// The credential was refused.
    Refused,
    /// Anything else: another status, another user, no answer.
    Failed,
}

/// A request, and when.
#[derive(Clone, Copy, Debug)]
pub struct Timed {
    /// What it came to.
    pub seen: Seen,
    /// When it was handed to the transport.
    pub sent: Instant,
    /// When its answer had come, or it was known that none would.
    pub done: Instant,
}

/// A user who is logged in.
#[derive(Clone, Debug)]
pub struct LoggedIn {
    /// The user's number.
    pub n: u64,
    /// When the answer to the login had come.
    pub since: Instant,
    /// What is held of the user.
    held: Vec<u8>,
    /// The token for the next credential, where the server gives one.
    refresh: Vec<u8>,
}

/// Connections to any number of servers.
///
/// It is for drills, where who is let in matters and not what a request costs: reqwest carries the
/// requests, and costs several times what the engine's transport does. It knows servers through
/// their descriptors only, renders and judges with the same [`Script`] as the engine, sends nothing
/// twice, and tells a refusal from everything else: a credential counts as let in only where the
/// right answer for the right user came back.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
}

/// One server, as a client sees it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    http: reqwest::Client,
    origin: String,
    script: Script,
    /// The same with the logout everywhere in the place of the logout.
    everywhere: Option<Script>,
    refresh: Option<Refreshing>,
}

/// How a credential is replaced without a login.
#[derive(Clone, Debug)]
struct Refreshing {
    request: Refresh,
    /// The target as if what its login gives were the token for the next credential.
    tokens: Script,
}

struct Whole {
    status: u16,
    headers: http::HeaderMap,
    body: Vec<u8>,
}

impl Whole {
    fn with<T>(&self, judge: impl FnOnce(&Answer<'_>) -> T) -> T {
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| httparse::Header { name: name.as_str(), value: value.as_bytes() })
            .collect();
        judge(&Answer { status: self.status, headers: &headers, body: &self.body })
    }
}

impl Client {
    /// A client whose requests fail after `timeout`.
    ///
    /// # Errors
    /// `Bug` where the library makes none.
    pub fn new(timeout: Duration) -> Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .tcp_nodelay(true)
            .pool_idle_timeout(None)
            .http1_max_headers(LIMITS.fields)
            .timeout(timeout)
            // Plain HTTP to our own servers: reading the system's roots would be work for nothing.
            .tls_certs_only([])
            .build()
            .map_err(|e| Error::Bug(format!("no client: {e}")))?;
        Ok(Self { http })
    }

    /// A server, by its descriptor.
    ///
    /// # Errors
    /// `Config` when the descriptor cannot work.
    pub fn endpoint(&self, target: &Target) -> Result<Endpoint> {
        let script = Script::new(target, "browse")?;
        let everywhere = target.logout_all.clone().map(|logout| {
            let target = Target { logout: Some(logout), ..target.clone() };
            Script::new(&target, "browse")
        });
        let refresh = target.refresh.as_ref().zip(target.login.as_ref()).map(|(refresh, login)| {
            let login = Login { credential: refresh.token.clone(), ..login.clone() };
            let tokens = Script::new(&Target { login: Some(login), ..target.clone() }, "browse")?;
            Ok::<_, Error>(Refreshing { request: refresh.clone(), tokens })
        });
        Ok(Endpoint {
            refresh: refresh.transpose()?,
            http: self.http.clone(),
            origin: script.origin(),
            script,
            everywhere: everywhere.transpose()?,
        })
    }
}

impl Endpoint {
    /// Logs a user in.
    ///
    /// # Errors
    /// What was found instead of a credential.
    pub async fn log_in(&self, n: u64) -> Result<LoggedIn, String> {
        let Some(login) = self.script.login else {
            let (held, refresh) = (Vec::new(), Vec::new());
            return Ok(LoggedIn { n, since: Instant::now(), held, refresh });
        };
        let (mut at, mut hops) = (self.script.logins.start, 0);
        let (mut held, mut refresh) = (Vec::new(), Vec::new());
        loop {
            let who = Who { n, credential: &held };
            let answer = self.send(&self.script, at, who).await?;
            let since = Instant::now();
            let onward = answer.with(|answer| self.script.onward(at, hops, who, answer));
            let onward = onward.map_err(|mismatch| unfit(mismatch, answer.status))?;
            if let Some(refreshing) = self.refresh.as_ref().filter(|_| at == login) {
                let tokens = |answer: &Answer<'_>| refreshing.tokens.capture(login, who, answer);
                refresh = first(&answer.with(tokens).map_err(|_| unfit_credential())?);
            }
            (held, hops) = (onward.held, onward.hops);
            let Some(next) = onward.next else {
                return Ok(LoggedIn { n, since, held, refresh });
            };
            at = next;
        }
    }

    /// Whether a credential can be replaced without a login.
    pub const fn refreshes(&self) -> bool {
        self.refresh.is_some()
    }

    /// Whether users can log out.
    pub const fn logs_out(&self) -> bool {
        self.script.logout.is_some()
    }

    /// Replaces a user's credential: by a refresh where the server has one, else by a login.
    ///
    /// # Errors
    /// Whether the server refused it, or it failed.
    pub async fn renew(&self, user: &LoggedIn) -> Result<LoggedIn, Seen> {
        let (Some(refresh), Some(login)) = (&self.refresh, self.script.login) else {
            return self.log_in(user.n).await.map_err(|_| Seen::Failed);
        };
        let token = String::from_utf8_lossy(&user.refresh);
        let body = serde_json::json!({ &*refresh.request.field: token });
        let url = format!("{}{}", self.origin, refresh.request.path);
        let answer = whole(self.http.post(url).json(&body)).await.map_err(|_| Seen::Failed)?;
        let since = Instant::now();
        if !refresh.request.expect_status.accept(answer.status) {
            let refused = REFUSALS.contains(&answer.status);
            return Err(if refused { Seen::Refused } else { Seen::Failed });
        }
        let who = Who { n: user.n, credential: &user.held };
        let new = |script| {
            let captured = answer.with(|answer| Script::capture(script, login, who, answer));
            captured.map_err(|_| Seen::Failed)
        };
        let (held, token) = (new(&self.script)?, first(&new(&refresh.tokens)?));
        Ok(LoggedIn { n: user.n, since, held, refresh: token })
    }

    /// The header fields of the first step of the default journey, as they are sent for this user;
    /// one whose value is no text is left out.
    pub fn fields(&self, user: &LoggedIn) -> Vec<(String, String)> {
        let who = Who { n: user.n, credential: &user.held };
        let headers = &self.script.requests[self.script.steps.start].headers;
        let written = headers.iter().filter_map(|(name, value)| {
            let mut bytes = Vec::new();
            value.write(who, &mut bytes);
            if bytes.is_empty() && value.may_be_empty() {
                return None;
            }
            Some((name.clone(), String::from_utf8(bytes).ok()?))
        });
        written.collect()
    }

    /// Asks the first step of the default journey for this user.
    pub async fn ask(&self, user: &LoggedIn) -> Timed {
        self.timed(&self.script, self.script.steps.start, user).await
    }

    /// Logs this user out, with this credential or with all of them.
    ///
    /// The answer says that the server took it, and not that it can do it: see [`Endpoint::ask`].
    pub async fn log_out(&self, user: &LoggedIn, everywhere: bool) -> Timed {
        let script = if everywhere { self.everywhere.as_ref() } else { Some(&self.script) };
        match script.and_then(|script| Some((script, script.logout?))) {
            Some((script, logout)) => self.timed(script, logout, user).await,
            None => {
                let now = Instant::now();
                Timed { seen: Seen::Failed, sent: now, done: now }
            }
        }
    }

    async fn timed(&self, script: &Script, request: usize, user: &LoggedIn) -> Timed {
        let who = Who { n: user.n, credential: &user.held };
        let sent = Instant::now();
        let answer = self.send(script, request, who).await;
        let done = Instant::now();
        let seen = match answer {
            Ok(answer) if REFUSALS.contains(&answer.status) => Seen::Refused,
            Ok(answer) => match answer.with(|answer| script.judge(request, who, answer)) {
                Ok(()) => Seen::Right,
                Err(_) => Seen::Failed,
            },
            Err(_) => Seen::Failed,
        };
        Timed { seen, sent, done }
    }

    async fn send(&self, script: &Script, request: usize, who: Who<'_>) -> Result<Whole, String> {
        let known = &script.requests[request];
        let url = format!("{}{}", self.origin, known.path.text(who));
        let method: Method = known.method.parse().map_err(|_| "no HTTP method".to_string())?;
        let mut prepared = self.http.request(method, url);
        for (name, value) in &known.headers {
            let mut bytes = Vec::new();
            value.write(who, &mut bytes);
            if bytes.is_empty() && value.may_be_empty() {
                continue;
            }
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|e| e.to_string())?;
            let value = HeaderValue::from_bytes(&bytes).map_err(|e| e.to_string())?;
            prepared = prepared.header(name, value);
        }
        if let Some(body) = &known.body {
            let mut bytes = Vec::new();
            body.write(who, &mut bytes);
            prepared = prepared.body(bytes);
        }
        whole(prepared).await
    }
}

/// Sends a request and reads its answer to the end.
async fn whole(request: reqwest::RequestBuilder) -> Result<Whole, String> {
    let mut answer = request.send().await.map_err(|e| e.to_string())?;
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|e| e.to_string())? {
        if piece.len() > LIMITS.body_bytes - body.len() {
            return Err(format!("an answer with {}", Limit::Body.exceeded()));
        }
        body.extend_from_slice(&piece);
    }
    Ok(Whole { status, headers, body })
}

fn unfit(mismatch: Mismatch, status: u16) -> String {
    match mismatch {
        Mismatch::Status(_) | Mismatch::Redirect(_) => format!("status {status}"),
        _ => unfit_credential(),
    }
}

fn unfit_credential() -> String {
    "no credential where the target file says".into()
}

fn first(held: &[u8]) -> Vec<u8> {
    field(held, 0).to_vec()
}
