//! A small HTTP/1.1 server with one fault of choice, for the attack suite to find. With
//! `Fault::None` and `Fault::NoneOfAToken` it is sound, so that what the suite finds in the others
//! is the fault.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// What is wrong with it. From `NoneOfAToken` on its credential is a JWT, before that an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// Whatever stands in the cookie is user 0.
    AnyId,
    /// Every client is user 0.
    NoCredential,
    /// A login keeps the id that it was given.
    Fixation,
    /// A logout ends nothing.
    LogoutOfNobody,
    /// An id in the query is one.
    Query,
    /// A header names the user.
    ProxyHeader,
    /// A password that is no text is right.
    PasswordOfAnyType,
    /// An unknown name is a 404.
    TellsUnknownNames,
    /// An id of another length is a 500.
    Crash,
    /// After an unknown id nobody is known any more.
    DiesOfAttacks,
    /// Of two lengths the first one counts.
    TwoLengths,
    /// Chunks are read whatever else is said of the coding.
    AnyCoding,
    /// Every refusal is in words of its own.
    ManyWords,
    /// A change that was under way brings a session back.
    Resurrects,
    /// Nothing, with tokens.
    NoneOfAToken,
    /// `none` is an algorithm.
    AlgNone,
    /// A signature is not looked at.
    AnySignature,
    /// The key is `secret`.
    WeakSecret,
    /// An address in a token is called at.
    FollowsJku,
    /// A refresh token is good again and again.
    RefreshesAgain,
    /// A logout leaves refresh tokens alone.
    RefreshesForever,
    /// An access token is a refresh token.
    AccessRefreshes,
}

struct Shared {
    fault: Fault,
    key: Vec<u8>,
    sessions: Mutex<BTreeMap<String, u64>>,
    /// The user and the current refresh token of a family.
    families: Mutex<BTreeMap<u64, (u64, u64)>>,
    next: AtomicU64,
    stop: AtomicBool,
}

pub(crate) struct WrongServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Request {
    method: String,
    target: String,
    fields: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

/// A status, a cookie to set, a body.
type Said = (u16, Option<String>, String);

impl WrongServer {
    pub(crate) fn start(fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let key = match fault {
            Fault::WeakSecret => b"secret".to_vec(),
            _ => b"a key that stands in no list of secrets".to_vec(),
        };
        let shared = Arc::new(Shared {
            fault,
            key,
            sessions: Mutex::default(),
            families: Mutex::default(),
            next: AtomicU64::new(1),
            stop: AtomicBool::new(false),
        });
        let server = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if server.stop.load(Ordering::Relaxed) {
                    return;
                }
                let server = Arc::clone(&server);
                std::thread::spawn(move || server.serve(stream.unwrap()));
            }
        });
        Self { address, shared }
    }

    /// The target file.
    pub(crate) fn descriptor(&self) -> String {
        let (credential, send, refresh) = if self.shared.has_tokens() {
            (
                "json:/access_token",
                "header:Authorization: Bearer {credential}",
                "[refresh]\npath = '/refresh'\ntoken = 'json:/refresh_token'\nfield = 'token'\n",
            )
        } else {
            ("cookie:sid", "cookie:sid", "")
        };
        format!(
            "name = 'wrong'\nbase_url = 'http://{}'\n[login]\npath = '/login'\n\
             fields = {{ username = '{{username}}', password = '{{password}}' }}\n\
             credential = '{credential}'\nsend = '{send}'\n\
             [[journeys.browse.steps]]\nname = 'me'\npath = '/me'\n\
             check = {{ json = '/user', equals = '{{n}}' }}\n\
             [[journeys.cart.steps]]\nname = 'add'\nmethod = 'POST'\npath = '/cart'\n\
             [logout]\npath = '/logout'\nexpect_status = 200\n{refresh}",
            self.address
        )
    }
}

impl Drop for WrongServer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn has_tokens(&self) -> bool {
        self.fault >= Fault::NoneOfAToken
    }

    fn serve(&self, mut stream: TcpStream) {
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut bytes = Vec::new();
        loop {
            match self.read(&mut stream, &mut bytes) {
                Ok(Some(request)) => {
                    let (status, cookie, body) = self.answer(&request);
                    let closes = request.field("connection") == "close";
                    if say(&mut stream, status, cookie, &body, closes).is_err() || closes {
                        return;
                    }
                }
                Ok(None) => return,
                Err(status) => {
                    drop(say(&mut stream, status, None, "{}", true));
                    return;
                }
            }
        }
    }

    /// The next request, nothing at the end, or the status of a refusal.
    fn read(&self, stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Result<Option<Request>, u16> {
        let mut piece = [0; 65_536];
        let mut more = |bytes: &mut Vec<u8>| match stream.read(&mut piece) {
            Ok(n @ 1..) => {
                bytes.extend_from_slice(&piece[..n]);
                true
            }
            _ => false,
        };
        let (mut request, length) = loop {
            let mut fields = [httparse::EMPTY_HEADER; 100];
            let mut parsed = httparse::Request::new(&mut fields);
            match parsed.parse(bytes) {
                Ok(httparse::Status::Complete(length)) => {
                    let fields =
                        parsed.headers.iter().map(|h| (h.name.to_string(), h.value.to_vec()));
                    let request = Request {
                        method: parsed.method.unwrap().into(),
                        target: parsed.path.unwrap().into(),
                        fields: fields.collect(),
                        body: Vec::new(),
                    };
                    break (request, length);
                }
                Ok(httparse::Status::Partial) if bytes.len() > 64 * 1024 => return Err(431),
                Ok(httparse::Status::Partial) if more(bytes) => {}
                Ok(httparse::Status::Partial) => return Ok(None),
                Err(_) => return Err(400),
            }
        };
        bytes.drain(..length);
        let lengths: Vec<String> = request.all("content-length").collect();
        if self.fault == Fault::AnyCoding && request.field("transfer-encoding").contains("chunked")
        {
            // One chunk, and the end.
            let end = b"\r\n0\r\n\r\n";
            while !bytes.ends_with(end) {
                if !more(bytes) {
                    return Ok(None);
                }
            }
            let start = bytes.windows(2).position(|pair| pair == b"\r\n").unwrap() + 2;
            request.body = bytes[start..bytes.len() - end.len()].to_vec();
            bytes.clear();
            return Ok(Some(request));
        }
        let two = lengths.len() > 1 && self.fault != Fault::TwoLengths;
        if two || request.all("transfer-encoding").next().is_some() {
            return Err(400);
        }
        let digits = |text: &String| text.bytes().all(|byte| byte.is_ascii_digit());
        let length: usize = match lengths.first() {
            None => 0,
            Some(text) if digits(text) => text.parse().map_err(|_| 400_u16)?,
            Some(_) => return Err(400),
        };
        if length > 64 * 1024 {
            return Err(413);
        }
        while bytes.len() < length {
            if !more(bytes) {
                return Ok(None);
            }
        }
        request.body = bytes.drain(..length).collect();
        Ok(Some(request))
    }

    fn answer(&self, request: &Request) -> Said {
        let path = request.target.split('?').next().unwrap();
        match (request.method.as_str(), path) {
            ("POST", "/login") => self.login(request),
            ("GET", "/me") => match self.whose(request) {
                Ok(Some(user)) => (200, None, format!("{{\"user\":{user}}}")),
                Ok(None) => (401, None, self.refusal()),
                Err(status) => (status, None, "{}".into()),
            },
            ("POST", "/logout") => {
                if self.fault != Fault::LogoutOfNobody {
                    self.sessions.lock().unwrap().remove(&request.cookie());
                }
                if self.fault != Fault::RefreshesForever
                    && let Some(family) = self.family_of(&request.field("authorization"))
                {
                    self.families.lock().unwrap().remove(&family);
                }
                (200, None, "{}".into())
            }
            ("POST", "/cart") => self.change(request),
            ("POST", "/refresh") if self.has_tokens() => self.refresh(request),
            _ => (404, None, "{}".into()),
        }
    }

    fn refusal(&self) -> String {
        match self.fault {
            Fault::ManyWords => format!("{{\"n\":{}}}", self.next.fetch_add(1, Ordering::Relaxed)),
            _ => "{}".into(),
        }
    }

    fn login(&self, request: &Request) -> Said {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let user = body["username"].as_str().and_then(|name| name.strip_prefix("user-"));
        let Some(user) = user.and_then(|n| n.parse::<u64>().ok()) else {
            let status = if self.fault == Fault::TellsUnknownNames { 404 } else { 401 };
            return (status, None, "{}".into());
        };
        let right = body["password"] == format!("password-{user}");
        let lax = self.fault == Fault::PasswordOfAnyType && !body["password"].is_string();
        if !right && !lax {
            return (401, None, "{}".into());
        }
        if self.has_tokens() {
            let family = self.next.fetch_add(1, Ordering::Relaxed);
            self.families.lock().unwrap().insert(family, (user, 0));
            return (200, None, self.tokens(family, user, 0));
        }
        let new = self.next.fetch_add(1, Ordering::Relaxed);
        let mut id = format!("{:032x}", u128::from(new).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c));
        if self.fault == Fault::Fixation && !request.cookie().is_empty() {
            id = request.cookie();
        }
        let mut sessions = self.sessions.lock().unwrap();
        sessions.remove(&request.cookie());
        sessions.insert(id.clone(), user);
        (200, Some(format!("sid={id}; HttpOnly")), "{}".into())
    }

    fn whose(&self, request: &Request) -> Result<Option<u64>, u16> {
        if self.has_tokens() {
            return Ok(self.checked(&request.field("authorization")));
        }
        let mut id = request.cookie();
        if self.fault == Fault::ProxyHeader && !request.field("x-remote-user").is_empty() {
            return Ok(request.field("x-remote-user").parse().ok());
        }
        if self.fault == Fault::Query && id.is_empty() {
            let query = request.target.split_once("sid=").map_or("", |(_, id)| id);
            id = query.into();
        }
        if self.fault == Fault::Crash && id.len() != 32 && !id.is_empty()
            || self.fault == Fault::Crash && !id.bytes().all(|b| b.is_ascii_hexdigit())
        {
            return Err(500);
        }
        let mut sessions = self.sessions.lock().unwrap();
        let found = sessions.get(&id).copied();
        if self.fault == Fault::DiesOfAttacks && found.is_none() && id.len() == 32 {
            sessions.clear();
        }
        Ok(found.or(match self.fault {
            Fault::AnyId if !id.is_empty() => Some(0),
            Fault::NoCredential => Some(0),
            _ => None,
        }))
    }

    fn mac(&self, message: &str) -> String {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &self.key);
        URL_SAFE_NO_PAD.encode(aws_lc_rs::hmac::sign(&key, message.as_bytes()))
    }

    /// Reads the session, takes its time, and writes.
    fn change(&self, request: &Request) -> Said {
        let Ok(Some(user)) = self.whose(request) else { return (401, None, self.refusal()) };
        std::thread::sleep(Duration::from_millis(3));
        if self.fault == Fault::Resurrects {
            self.sessions.lock().unwrap().insert(request.cookie(), user);
        }
        (200, None, "{}".into())
    }

    fn tokens(&self, family: u64, user: u64, n: u64) -> String {
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
        let id = format!("{family}-{n}");
        let claims = URL_SAFE_NO_PAD
            .encode(format!(r#"{{"sub":"{user}","jti":"{id}","exp":{}}}"#, Self::end()));
        let message = format!("{header}.{claims}");
        let text = format!("{message}.{}", self.mac(&message));
        let refresh = format!("{id}-{}", self.mac(&id).replace('-', "_"));
        format!(r#"{{"access_token":"{text}","refresh_token":"{refresh}"}}"#)
    }

    /// When a token that is issued now ends, in seconds since 1970.
    fn end() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 900
    }

    /// The family of an access token.
    fn family_of(&self, authorization: &str) -> Option<u64> {
        self.checked(authorization)?;
        let claims = URL_SAFE_NO_PAD.decode(authorization.split('.').nth(1)?).ok()?;
        let claims: Value = serde_json::from_slice(&claims).ok()?;
        claims["jti"].as_str()?.split('-').next()?.parse().ok()
    }

    fn refresh(&self, request: &Request) -> Said {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let token = body["token"].as_str().unwrap_or_default();
        let answer = |body: Option<String>| match body {
            Some(body) => (200, None, body),
            None => (401, None, self.refusal()),
        };
        if self.fault == Fault::AccessRefreshes
            && let Some(user) = self.checked(&format!("Bearer {token}"))
        {
            return answer(Some(self.tokens(0, user, 0)));
        }
        let mut families = self.families.lock().unwrap();
        let mut shown = token.splitn(3, '-');
        let mut part = || shown.next().unwrap_or_default();
        let (family, n, mac) = (part(), part(), part());
        if mac.is_empty() || mac != self.mac(&format!("{family}-{n}")).replace('-', "_") {
            return answer(None);
        }
        let (family, n): (u64, u64) = (family.parse().unwrap(), n.parse().unwrap());
        let Some((user, current)) = families.get(&family).copied() else { return answer(None) };
        if n == current || self.fault == Fault::RefreshesAgain {
            families.insert(family, (user, current + 1));
            return answer(Some(self.tokens(family, user, current + 1)));
        }
        // The one before may be late; an older one is a thief's.
        if n + 1 < current {
            families.remove(&family);
        }
        answer(None)
    }

    fn checked(&self, authorization: &str) -> Option<u64> {
        let token = authorization.strip_prefix("Bearer ")?;
        let (message, signature) = token.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        let json = |part: &str| -> Option<Value> {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
        };
        let (header, claims) = (json(header)?, json(claims)?);
        if self.fault == Fault::FollowsJku
            && let Some(url) = header["jku"].as_str()
        {
            let address = url.trim_start_matches("http://").split('/').next()?;
            drop(TcpStream::connect(address));
        }
        let good = signature == self.mac(message) && header["alg"] == "HS256";
        let none = self.fault == Fault::AlgNone
            && header["alg"].as_str().is_some_and(|alg| alg == "none")
            && signature.is_empty();
        let any = self.fault == Fault::AnySignature;
        if !(good || none || any) {
            return None;
        }
        claims["sub"].as_str()?.parse().ok()
    }
}

impl Request {
    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = String> + 'a {
        let same = move |(key, _): &&(String, Vec<u8>)| key.eq_ignore_ascii_case(name);
        self.fields
            .iter()
            .filter(same)
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    }

    fn field(&self, name: &str) -> String {
        self.all(name).next().unwrap_or_default()
    }

    /// The one cookie; none where there are two.
    fn cookie(&self) -> String {
        let all: Vec<String> = self.all("cookie").collect();
        let pieces: Vec<&str> = all.iter().flat_map(|text| text.split("; ")).collect();
        let mut ids = pieces.iter().filter_map(|piece| piece.strip_prefix("sid="));
        match (ids.next(), ids.next()) {
            (Some(id), None) => (*id).into(),
            _ => String::new(),
        }
    }
}

fn say(
    stream: &mut TcpStream,
    status: u16,
    cookie: Option<String>,
    body: &str,
    closes: bool,
) -> std::io::Result<()> {
    let mut text = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", body.len());
    if let Some(cookie) = cookie {
        text.push_str(&format!("Set-Cookie: {cookie}\r\n"));
    }
    if closes {
        text.push_str("Connection: close\r\n");
    }
    stream.write_all(format!("{text}\r\n{body}").as_bytes())
}
