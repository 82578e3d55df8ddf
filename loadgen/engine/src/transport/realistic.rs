//! The realistic client: requests through reqwest, as an ordinary Rust program sends them.

mod failure;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use reqwest::{Client, Url};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::AbortHandle;

use super::budget::Claim;
use super::inbound::Reader;
use super::{Ended, Failure, Lean, Opening, Pacing, Peer, Place, Transport, Until, Wire};
use crate::journey::{Answer, Request, Script, Template, Who};
use crate::limits::Limit;
use failure::{Fault, fault_of};

/// The runtime's timers go by milliseconds, so a sleep towards a due moment ends that much earlier
/// where a worker spins, ns.
const TICK_NS: u64 = 1_500_000;

/// Connections of one worker to one server, as reqwest keeps them.
///
/// It shows what such a program sees of a server, HTTP/2 included, and costs several times the CPU
/// time of `Lean`, so campaigns do not use it. What reqwest does on its own account is switched
/// off: proxies, redirects, retries, cookies. It must never send a request twice; one that an
/// HTTP/2 server says it has not processed is sent anew, and counted. What reqwest keeps to itself
/// is not made up: bytes on the wire and closed connections are not known here, and connections are
/// those of its pool: fewer with HTTP/2, or for a moment more.
pub struct Realistic {
    epoch: Instant,
    pacing: Pacing,
    runtime: Runtime,
    client: Client,
    reader: Reader,
    origin: String,
    requests: Vec<Prepared>,
    flights: Vec<Flight>,
    tell: UnboundedSender<End>,
    ends: UnboundedReceiver<End>,
    /// One connection that asks for nothing, opened ahead to learn whether any can be.
    scout: Option<Lean>,
    reason: Option<String>,
    http1: bool,
    http2: bool,
    /// Whether connections may be of HTTP/2, where a server can leave requests unprocessed.
    may_be_http2: bool,
    resent: u64,
}

/// A request but for what depends on the user.
struct Prepared {
    method: Method,
    path: Template,
    headers: Vec<(HeaderName, Template)>,
    body: Option<Template>,
}

/// What is under way on a connection.
#[derive(Default)]
struct Flight {
    /// Tells an end that was given up from the one that is awaited.
    number: u64,
    task: Option<AbortHandle>,
}

/// The end of a request, on its way from its task.
struct End {
    connection: usize,
    number: u64,
    sent_ns: u64,
    done_ns: u64,
    resent: u64,
    result: Result<Whole, Fault>,
}

struct Whole {
    status: u16,
    version: Version,
    headers: HeaderMap,
    body: Vec<u8>,
    /// What the body has of the memory of all answers.
    _claim: Claim,
}

impl Realistic {
    /// Up to `connections` requests at a time to `peer`; `http2_only` speaks HTTP/2 without asking.
    /// `epoch` is the zero of the workers' common time.
    ///
    /// # Errors
    /// When the operating system gives no event queue, or the script has what reqwest cannot send.
    pub fn new(
        script: &Arc<Script>,
        peer: Peer,
        http2_only: bool,
        connections: usize,
        epoch: Instant,
        pacing: Pacing,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (host, port) = script.host_and_port();
        let mut builder = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .tcp_nodelay(true)
            .pool_max_idle_per_host(connections)
            .pool_idle_timeout(None)
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .http1_max_headers(peer.reader.limits().fields)
            .http2_max_header_list_size(peer.reader.limits().head_bytes as u32);
        builder = match &peer.place {
            Place::Address(address) => builder.resolve(host, SocketAddr::new(address.ip(), port)),
            Place::Socket(path) => builder.unix_socket(Arc::clone(path)),
        };
        builder = match &peer.tls {
            Some(tls) => {
                builder.tls_backend_preconfigured(rustls::ClientConfig::clone(&tls.config))
            }
            None => builder.tls_certs_only([]),
        };
        if http2_only {
            builder = builder.http2_prior_knowledge();
        }
        let requests: Option<_> = script.requests.iter().map(Prepared::new).collect();
        let requests = requests.ok_or_else(|| io::Error::other("invalid method or header"))?;
        let (tell, ends) = mpsc::unbounded_channel();
        let may_be_http2 = http2_only || peer.tls.is_some();
        Ok(Self {
            epoch,
            pacing,
            runtime,
            client: builder.build().map_err(io::Error::other)?,
            reader: peer.reader.clone(),
            origin: script.origin(),
            requests,
            flights: (0..connections).map(|_| Flight::default()).collect(),
            tell,
            ends,
            scout: Some(Lean::new(script, peer, 1, epoch, Pacing::Sleep)?),
            reason: None,
            http1: false,
            http2: false,
            may_be_http2,
            resent: 0,
        })
    }

    fn elapsed(&self) -> u64 {
        nanos(self.epoch)
    }

    fn request(&self, index: usize, who: Who<'_>) -> Option<reqwest::Request> {
        let prepared = &self.requests[index];
        let url = Url::parse(&format!("{}{}", self.origin, prepared.path.text(who))).ok()?;
        let mut request = reqwest::Request::new(prepared.method.clone(), url);
        for (name, value) in &prepared.headers {
            let mut bytes = Vec::new();
            value.write(who, &mut bytes);
            if bytes.is_empty() && value.may_be_empty() {
                continue;
            }
            let value = HeaderValue::from_bytes(&bytes).ok()?;
            request.headers_mut().append(name, value);
        }
        if let Some(body) = &prepared.body {
            let mut bytes = Vec::new();
            body.write(who, &mut bytes);
            *request.body_mut() = Some(bytes.into());
        }
        Some(request)
    }

    /// Reports an end, unless it was given up.
    fn take(&mut self, end: End, ended: &mut impl FnMut(Ended<'_>)) {
        let End { connection, number, sent_ns, done_ns, resent, result } = end;
        self.resent += resent;
        let flight = &mut self.flights[connection];
        if flight.number != number {
            return;
        }
        flight.task = None;
        let whole = match result {
            Ok(whole) => whole,
            Err(Fault { failure, reason, .. }) => {
                self.reason = self.reason.take().or(reason);
                ended(Ended { connection, sent_ns, done_ns, result: Err(failure) });
                return;
            }
        };
        self.http2 |= whole.version == Version::HTTP_2;
        self.http1 |= whole.version < Version::HTTP_2;
        let headers: Vec<_> = whole
            .headers
            .iter()
            .map(|(name, value)| httparse::Header { name: name.as_str(), value: value.as_bytes() })
            .collect();
        let answer = Answer { status: whole.status, headers: &headers, body: &whole.body };
        ended(Ended { connection, sent_ns, done_ns, result: Ok(answer) });
    }
}

impl Transport for Realistic {
    fn now(&mut self) -> u64 {
        self.elapsed()
    }

    /// The pool opens connections when requests need them, so this opens one to see that it can be
    /// done, closes it, and calls all of them open.
    fn open(&mut self, until_ns: u64) -> io::Result<Opening> {
        let all = self.flights.len();
        let Some(scout) = &mut self.scout else { return Ok(Opening { opened: all, failed: None }) };
        let Opening { opened, failed } = scout.open(until_ns)?;
        if let Some(reason) = scout.reason() {
            self.reason.get_or_insert_with(|| reason.into());
        }
        if opened == 0 {
            return Ok(Opening { opened, failed });
        }
        self.scout = None;
        Ok(Opening { opened: all, failed: None })
    }

    fn start(&mut self, connection: usize, request: usize, who: Who<'_>) {
        let (client, tell, epoch) = (self.client.clone(), self.tell.clone(), self.epoch);
        let (request, reader) = (self.request(request, who), self.reader.clone());
        let flight = &mut self.flights[connection];
        debug_assert!(flight.task.is_none(), "a connection carries one request at a time");
        flight.number += 1;
        let number = flight.number;
        let sent_ns = nanos(epoch);
        let may_be_http2 = self.may_be_http2;
        let task = self.runtime.spawn(async move {
            let mut resent = 0;
            let result = match request {
                Some(request) if may_be_http2 => {
                    until_processed(&client, request, &reader, &mut resent).await
                }
                Some(request) => exchange(&client, request, &reader).await,
                // A script is checked so that this does not happen.
                None => Err(Fault::from(Failure::Connect)),
            };
            let done_ns = nanos(epoch);
            // The receiver is gone when the load is over.
            let _ = tell.send(End { connection, number, sent_ns, done_ns, resent, result });
        });
        flight.task = Some(task.abort_handle());
    }

    fn abort(&mut self, connection: usize) {
        let flight = &mut self.flights[connection];
        flight.number += 1;
        if let Some(task) = flight.task.take() {
            task.abort();
        }
    }

    fn poll(&mut self, until: Until, mut ended: impl FnMut(Ended<'_>)) -> io::Result<()> {
        let left_ns = until.ns.saturating_sub(self.elapsed());
        let mut sleep_ns = self.pacing.sleep_ns(left_ns, until.due);
        if until.due && self.pacing.spins() {
            sleep_ns = sleep_ns.saturating_sub(TICK_NS);
        }
        let ends = &mut self.ends;
        let first = self.runtime.block_on(async {
            if sleep_ns == 0 {
                // One turn for whatever is ready.
                tokio::task::yield_now().await;
                return ends.try_recv().ok();
            }
            tokio::time::timeout(Duration::from_nanos(sleep_ns), ends.recv()).await.ok().flatten()
        });
        let mut next = first;
        while let Some(end) = next {
            self.take(end, &mut ended);
            next = self.ends.try_recv().ok();
        }
        Ok(())
    }

    fn wire(&self) -> Option<Wire> {
        None
    }

    fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    fn resent(&self) -> u64 {
        self.resent
    }

    fn http(&self) -> &'static str {
        match (self.http1, self.http2) {
            (true, true) => "1.1 and 2",
            (_, true) => "2",
            (_, false) => "1.1",
        }
    }
}

impl Prepared {
    fn new(request: &Request) -> Option<Self> {
        let header = |(name, value): &(String, Template)| {
            Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value.clone()))
        };
        Some(Self {
            method: request.method.parse().ok()?,
            path: request.path.clone(),
            headers: request.headers.iter().map(header).collect::<Option<_>>()?,
            body: request.body.clone(),
        })
    }
}

/// How often a request may be left unprocessed before that is its end.
const UNPROCESSED_MAX: u64 = 5;

/// Sends a request until the server processes it: a stream that it did not process may be sent
/// again without harm (RFC 9113, 8.7). All of it is one request, from its first sending.
async fn until_processed(
    client: &Client,
    request: reqwest::Request,
    reader: &Reader,
    resent: &mut u64,
) -> Result<Whole, Fault> {
    loop {
        // A body of bytes is shared by its copies.
        let Some(copy) = request.try_clone() else {
            return exchange(client, request, reader).await;
        };
        match exchange(client, copy, reader).await {
            Err(fault) if fault.unprocessed && *resent < UNPROCESSED_MAX => *resent += 1,
            result => return result,
        }
    }
}

/// Sends a request, once, and reads its answer to the end, as far as the limits allow.
async fn exchange(
    client: &Client,
    request: reqwest::Request,
    reader: &Reader,
) -> Result<Whole, Fault> {
    let over = |limit| Err(Failure::Over(limit).into());
    let limits = reader.limits();
    let mut answer = client.execute(request).await.map_err(|e| fault_of(&e, false))?;
    // The library's own limits are others, and it knows no limit for a body.
    let headers = answer.headers();
    let head_bytes = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    if headers.len() > limits.fields {
        return over(Limit::Fields);
    } else if head_bytes.sum::<usize>() > limits.head_bytes {
        return over(Limit::Head);
    }
    let announced = answer.content_length().unwrap_or(0);
    if announced > limits.body_bytes as u64 {
        return over(Limit::Body);
    }
    let most = if announced > 0 { announced as usize } else { limits.body_bytes };
    let (mut body, mut claim) = (Vec::new(), reader.budget().claim());
    while let Some(chunk) = answer.chunk().await.map_err(|e| fault_of(&e, true))? {
        if chunk.len() > limits.body_bytes - body.len() {
            return over(Limit::Body);
        }
        claim.make_room(&mut body, chunk.len(), most)?;
        body.extend_from_slice(&chunk);
    }
    let (status, version) = (answer.status().as_u16(), answer.version());
    let headers = std::mem::take(answer.headers_mut());
    Ok(Whole { status, version, headers, body, _claim: claim })
}

fn nanos(epoch: Instant) -> u64 {
    u64::try_from(epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
