//! Servers for the equivalence tests: they answer by script, plainly or over TLS, with certificates
//! that are made here.

use std::convert::Infallible;
use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tokio_rustls::TlsAcceptor;

/// What a scripted server does with a request.
#[derive(Clone)]
pub(super) enum Reply {
    Bytes(Vec<u8>),
    /// Answers and closes, over TLS with its announcement.
    Close(Vec<u8>),
    /// Answers and closes the socket without a word of TLS.
    Cut(Vec<u8>),
    /// Answers in pieces of so many bytes, each a write and a TLS record of its own.
    Drip(usize, Vec<u8>),
    /// Answers the first request of a connection, and closes at the second.
    Once(Vec<u8>),
    Silence,
    Reset,
}

/// A server and how many requests it got.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) seen: Arc<AtomicUsize>,
}

impl Server {
    pub(super) fn seen(&self) -> usize {
        self.seen.load(Ordering::SeqCst)
    }
}

/// Starts a server that gives this reply to every request.
pub(super) fn server(reply: Reply, tls: Option<Arc<ServerConfig>>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&seen);
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let (reply, counter, tls) = (reply.clone(), Arc::clone(&counter), tls.clone());
            thread::spawn(move || {
                socket.set_nodelay(true).unwrap();
                let raw = socket.try_clone().unwrap();
                match tls {
                    None => converse(socket, &raw, &reply, &counter, |_| {}),
                    Some(config) => {
                        let session = ServerConnection::new(config).unwrap();
                        let stream = StreamOwned::new(session, socket);
                        converse(stream, &raw, &reply, &counter, |stream| {
                            stream.conn.send_close_notify();
                            let _ = stream.conn.write_tls(&mut stream.sock);
                        });
                    }
                }
            });
        }
    });
    Server { address, seen }
}

fn converse<S: Read + Write>(
    stream: S,
    raw: &TcpStream,
    reply: &Reply,
    counter: &AtomicUsize,
    announce: impl Fn(&mut S),
) {
    let mut stream = BufReader::new(stream);
    let mut on_this = 0;
    while read_request(&mut stream) {
        counter.fetch_add(1, Ordering::SeqCst);
        on_this += 1;
        let stream = stream.get_mut();
        let (bytes, piece) = match reply {
            Reply::Bytes(bytes) | Reply::Close(bytes) | Reply::Cut(bytes) => (bytes, bytes.len()),
            Reply::Drip(piece, bytes) => (bytes, *piece),
            Reply::Once(_) if on_this > 1 => return,
            Reply::Once(bytes) => (bytes, bytes.len()),
            Reply::Silence => continue,
            Reply::Reset => {
                let at_once = Some(Duration::ZERO);
                rustix::net::sockopt::set_socket_linger(raw, at_once).unwrap();
                return;
            }
        };
        for piece in bytes.chunks(piece.max(1)) {
            if stream.write_all(piece).and_then(|()| stream.flush()).is_err() {
                return;
            }
        }
        match reply {
            Reply::Close(_) => return announce(stream),
            Reply::Cut(_) => return,
            _ => {}
        }
    }
}

/// Starts a server of hyper's that answers right in HTTP/1.1 and HTTP/2.
pub(super) fn http2_server(tls: Option<Arc<ServerConfig>>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let seen = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&seen);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let serve = async move {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let (counter, tls) = (Arc::clone(&counter), tls.clone());
            tokio::spawn(async move {
                match tls {
                    None => answer(socket, counter).await,
                    Some(tls) => {
                        if let Ok(stream) = TlsAcceptor::from(tls).accept(socket).await {
                            answer(stream, counter).await;
                        }
                    }
                }
            });
        }
    };
    thread::spawn(move || runtime.block_on(serve));
    Server { address, seen }
}

async fn answer<S>(stream: S, counter: Arc<AtomicUsize>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        let body = http_body_util::Full::<&[u8]>::new(b"{\"user_id\":0}");
        async move { Ok::<_, Infallible>(hyper::Response::new(body)) }
    });
    let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}

/// Reads a request; whether there was one.
fn read_request(reader: &mut impl std::io::BufRead) -> bool {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if !matches!(reader.read_line(&mut line), Ok(1..)) {
            return false;
        }
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    reader.read_exact(&mut vec![0; length]).is_ok()
}

/// Starts a server that closes every connection as soon as something has come.
pub(super) fn closing_server() -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let _ = socket.read(&mut [0; 4096]);
        }
    });
    Server { address, seen: Arc::default() }
}

/// Starts a TLS server that has a certificate for no name.
pub(super) fn nameless_server() -> Server {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::server::ResolvesServerCertUsingSni::new()));
    server(Reply::Silence, Some(Arc::new(config)))
}

/// Starts a server of HTTP/2 without TLS that leaves every fourth stream of a connection
/// unprocessed: it refuses the stream, or closes the connection in peace as nginx does. What it
/// has seen are the streams that it processed.
pub(super) fn unprocessing_server(refuses: bool) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&seen);
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let counter = Arc::clone(&counter);
            thread::spawn(move || speak_http2(socket, refuses, &counter));
        }
    });
    Server { address, seen }
}

/// Frames of RFC 9113, 4.1 and 6.
fn speak_http2(mut socket: TcpStream, refuses: bool, counter: &AtomicUsize) -> Option<()> {
    const HEADERS: u8 = 1;
    const RST_STREAM: u8 = 3;
    const SETTINGS: u8 = 4;
    const PING: u8 = 6;
    const GOAWAY: u8 = 7;
    let frame = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        let length = (payload.len() as u32).to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    };
    socket.read_exact(&mut [0; 24]).ok()?;
    socket.write_all(&frame(SETTINGS, 0, 0, b"")).ok()?;
    let (mut streams, mut processed) = (0, 0_u32);
    loop {
        let mut head = [0; 9];
        socket.read_exact(&mut head).ok()?;
        let [_, _, _, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        socket.read_exact(&mut payload).ok()?;
        let stream = u32::from_be_bytes(stream);
        let answer = match kind {
            SETTINGS | PING if flags & 1 == 0 => {
                let payload = if kind == PING { &payload[..] } else { b"" };
                frame(kind, 1, 0, payload)
            }
            HEADERS => {
                streams += 1;
                if streams % 4 != 0 {
                    (processed, _) = (stream, counter.fetch_add(1, Ordering::SeqCst));
                    // The whole answer: `:status 200`, which the static table has at 8 (RFC 7541).
                    frame(HEADERS, 5, stream, &[0x88])
                } else if refuses {
                    frame(RST_STREAM, 0, stream, &7_u32.to_be_bytes())
                } else {
                    let told = [processed.to_be_bytes(), [0; 4]].concat();
                    socket.write_all(&frame(GOAWAY, 0, 0, &told)).ok()?;
                    socket.shutdown(std::net::Shutdown::Write).ok()?;
                    let _ = socket.read_to_end(&mut Vec::new());
                    return None;
                }
            }
            _ => continue,
        };
        socket.write_all(&answer).ok()?;
    }
}

/// A certificate that is its own issuer and an authority's, as PEM, and a server that shows it.
pub(super) fn self_signed(name: &str, until: i32) -> (String, Arc<ServerConfig>) {
    let mut params = CertificateParams::new(vec![name.to_string()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_before = rcgen::date_time_ymd(2001, 1, 1);
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    (certificate.pem(), showing(certificate.der().clone(), &key, &[]))
}

/// What a server needs that shows this certificate.
fn showing(
    certificate: CertificateDer<'static>,
    key: &KeyPair,
    protocols: &[&str],
) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// Who certifies the servers of a test.
pub(super) struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    pub(super) fn write(&self, path: &Path) {
        std::fs::write(path, &self.pem).unwrap();
    }

    /// What a server of these names needs; its certificate is good until that year's beginning.
    pub(super) fn server(
        &self,
        names: &[&str],
        until: i32,
        protocols: &[&str],
    ) -> Arc<ServerConfig> {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        showing(certificate.der().clone(), &key, protocols)
    }
}
