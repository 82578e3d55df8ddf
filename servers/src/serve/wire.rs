//! What public connections speak beyond plain HTTP/1.1: HTTP/2 and TLS, with the bytes counted that
//! pass the socket. A server without these options takes another path and pays for none of it.

use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::response::Response;
use http::header::HOST;
use http::{HeaderValue, Request};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::limits::{HEAD_BYTES_MAX, Limits};
use super::strict;
use crate::app::App;
use crate::error::ServeError;

/// Serves a connection. How it ends, by an error or not, is the client's affair: there is no one to
/// tell. A function over both types of connection would not be `Send` for the compiler.
macro_rules! until {
    ($connection:expr, $stopping:expr) => {{
        let mut serving = pin!($connection);
        tokio::select! {
            biased;
            _ = serving.as_mut() => {}
            _ = $stopping => {
                serving.as_mut().graceful_shutdown();
                drop(serving.await);
            }
        }
    }};
}

/// Requests that a connection may have under way.
const STREAMS_MAX: u32 = 256;

/// What public connections speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Speech {
    /// HTTP/2 and nothing else: by prior knowledge on a plain connection, by ALPN over TLS.
    pub http2: bool,
    /// TLS, with a key and a certificate made for this run.
    pub tls: bool,
    /// Whether the bytes that pass the sockets are counted.
    pub counts_wire: bool,
}

impl Speech {
    /// Whether it is plain HTTP/1.1 that nobody counts.
    #[must_use]
    pub const fn is_plain(self) -> bool {
        !self.http2 && !self.tls && !self.counts_wire
    }
}

/// Requests of a listener, and the bytes that have passed its sockets: those of TLS and of frames
/// included, and without what TCP and IP add.
#[derive(Debug, Default)]
pub(super) struct Wire {
    pub(super) requests: AtomicU64,
    pub(super) read: AtomicU64,
    pub(super) written: AtomicU64,
}

/// How connections are served that are not plain HTTP/1.1.
#[derive(Clone)]
pub(crate) struct Speaker {
    http: Http,
    tls: Option<TlsAcceptor>,
    wire: Arc<Wire>,
    handshake_within: Duration,
}

#[derive(Clone)]
enum Http {
    One(http1::Builder),
    Two(http2::Builder<TokioExecutor>),
}

/// A certificate for this run.
pub(super) struct Identity {
    acceptor: TlsAcceptor,
    /// As PEM.
    pub(super) certificate: String,
}

impl Identity {
    /// A key and a certificate that it signs itself, for this address.
    pub(super) fn new(address: std::net::IpAddr, speech: Speech) -> Result<Self, ServeError> {
        let failed = |what: String| ServeError::Tls(what);
        let names = vec!["localhost".to_owned(), address.to_string()];
        let made = rcgen::generate_simple_self_signed(names).map_err(|e| failed(e.to_string()))?;
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| failed(e.to_string()))?
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], PrivateKeyDer::Pkcs8(key))
            .map_err(|e| failed(e.to_string()))?;
        let protocol: &[u8] = if speech.http2 { b"h2" } else { b"http/1.1" };
        config.alpn_protocols = vec![protocol.to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), certificate: made.cert.pem() })
    }
}

impl Speaker {
    /// For the connections of one listener.
    pub(super) fn new(
        speech: Speech,
        identity: Option<&Identity>,
        limits: Limits,
        wire: Arc<Wire>,
    ) -> Self {
        let http = if speech.http2 {
            let mut http = http2::Builder::new(TokioExecutor::new());
            // An idle connection is asked whether anyone is there, and ends without an answer.
            http.timer(TokioTimer::new())
                .keep_alive_interval(limits.header_read_timeout)
                .keep_alive_timeout(limits.header_read_timeout)
                .max_concurrent_streams(STREAMS_MAX)
                .max_header_list_size(HEAD_BYTES_MAX as u32);
            Http::Two(http)
        } else {
            Http::One(limits.http1())
        };
        let tls = identity.map(|identity| identity.acceptor.clone());
        Self { http, tls, wire, handshake_within: limits.header_read_timeout }
    }

    /// Serves one connection until it ends, or until it is idle after `stopping`'s sender is
    /// dropped.
    pub(super) async fn serve(self, stream: TcpStream, app: App, stopping: oneshot::Receiver<()>) {
        let counted = Counted { stream, wire: Arc::clone(&self.wire) };
        // One type for both, so that hyper is compiled once for them.
        let stream: Box<dyn Stream> = match self.tls {
            None => Box::new(counted),
            Some(tls) => match timeout(self.handshake_within, tls.accept(counted)).await {
                Ok(Ok(stream)) => Box::new(stream),
                // A client that does not speak TLS, or not in time: there is no one to tell.
                Ok(Err(_)) | Err(_) => return,
            },
        };
        // The box has a type that hyper's futures can name.
        let service = service_fn(move |request: Request<Incoming>| -> Answer {
            self.wire.requests.fetch_add(1, Ordering::Relaxed);
            Box::pin(answer(app.clone(), request))
        });
        match self.http {
            Http::One(http) => {
                until!(http.serve_connection(TokioIo::new(stream), service), stopping);
            }
            Http::Two(http) => {
                until!(http.serve_connection(TokioIo::new(stream), service), stopping);
            }
        }
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

async fn answer(app: App, mut request: Request<Incoming>) -> Result<Response, Infallible> {
    if let Some(refusal) = strict::refusal(&request) {
        return Ok(refusal);
    }
    // HTTP/2 names the host in `:authority`, and what checks origins reads `Host`.
    if let Some(authority) = request.uri().authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        request.headers_mut().insert(HOST, host);
    }
    Ok(app.call(request.map(strict::without_box)).await)
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection whose bytes are counted.
struct Counted {
    stream: TcpStream,
    wire: Arc<Wire>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let bytes = buffer.filled().len() - before;
        self.wire.read.fetch_add(bytes as u64, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl Counted {
    fn written(&self, bytes: io::Result<usize>) -> io::Result<usize> {
        let bytes = bytes?;
        self.wire.written.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(bytes)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes));
        Poll::Ready(self.written(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, bytes));
        Poll::Ready(self.written(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
