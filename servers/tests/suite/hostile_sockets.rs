//! Clients that mean harm, on real sockets: heads without an end, answers that nobody reads, too
//! many connections, requests that two servers would read differently. One arm stands for the shell
//! of all. No test depends on speed: it waits for what must happen, or counts.

use std::time::Duration;

use crate::common::socket::{Server, exchange, get, login, status};
use servers::serve::{HEAD_BYTES_MAX, TARGET_BYTES_MAX};
use servers::{ServeOptions, serve as serve_arm};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);
const GET: &str = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

/// A request whose head has exactly this many bytes.
fn head_of(bytes: usize) -> String {
    let around = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: \r\n\r\n".len();
    let filling = "x".repeat(bytes - around);
    let head =
        format!("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: {filling}\r\n\r\n");
    assert_eq!(head.len(), bytes);
    head
}

/// Sends a text in pieces of this many bytes on a connection of its own, and reads to its end.
async fn in_pieces(server: &Server, text: &str, bytes: usize) -> String {
    let mut stream = server.connect().await;
    stream.set_nodelay(true).unwrap();
    let (mut reading, mut writing) = stream.split();
    let write = async {
        for piece in text.as_bytes().chunks(bytes) {
            // A server that refuses early may have closed.
            if writing.write_all(piece).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    let mut answer = Vec::new();
    let read = async {
        let mut piece = [0; 1024];
        while let Ok(n @ 1..) = reading.read(&mut piece).await {
            answer.extend_from_slice(&piece[..n]);
        }
    };
    timeout(PATIENCE, async { tokio::join!(write, read) }).await.expect("an answer and its end");
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn the_limit_of_a_head_is_exact_whole_and_in_pieces() {
    let server = Server::start(ServeOptions::new("none")).await;
    for (bytes, expected) in
        [(HEAD_BYTES_MAX - 1, "200"), (HEAD_BYTES_MAX, "200"), (HEAD_BYTES_MAX + 1, "431")]
    {
        let head = head_of(bytes);
        for piece in [bytes, bytes / 2, 1000, 37] {
            let answer = in_pieces(&server, &head, piece).await;
            assert_eq!(status(&answer), expected, "{bytes} in pieces of {piece}: {answer}");
        }
    }
    server.stop().await;
}

/// The limit is reached before the head is: nothing more is waited for, or kept.
/// Fault 22: a head without an end.
#[tokio::test]
async fn a_head_without_an_end_is_refused_at_the_limit() {
    let server = Server::start(ServeOptions::new("none")).await;
    let endless = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nX: {}", "x".repeat(HEAD_BYTES_MAX));
    for piece in [HEAD_BYTES_MAX, 500] {
        let answer = in_pieces(&server, &endless[..HEAD_BYTES_MAX], piece).await;
        assert_eq!(status(&answer), "431", "in pieces of {piece}: {answer}");
    }
    server.stop().await;
}

/// Fault 22: a long target.
#[tokio::test]
async fn the_limit_of_a_target_is_exact() {
    let server = Server::start(ServeOptions::new("none")).await;
    for (bytes, expected) in [(TARGET_BYTES_MAX, "404"), (TARGET_BYTES_MAX + 1, "414")] {
        let path = format!("/{}", "x".repeat(bytes - 1));
        for path in [path.clone(), path.replacen("/x", "/?", 1)] {
            assert_eq!(status(&server.send(get(&path)).await), expected, "{bytes}: {path:.5}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_request_without_one_valid_host_is_a_400_and_the_end() {
    let server = Server::start(ServeOptions::new("none")).await;
    for (version, hosts, expected) in [
        ("1.1", "", "400"),
        ("1.1", "Host: x\r\nHost: x\r\n", "400"),
        ("1.1", "Host: x\r\nHost: y\r\n", "400"),
        ("1.1", "Host:\r\n", "400"),
        ("1.1", "Host: a b\r\n", "400"),
        ("1.1", "Host: a/b\r\n", "400"),
        ("1.1", "Host: user@x\r\n", "400"),
        ("1.1", "Host: x:y\r\n", "400"),
        ("1.0", "Host: x\r\nHost: y\r\n", "400"),
        ("1.0", "Host: a b\r\n", "400"),
        ("1.0", "", "200"),
        ("1.1", "Host: [::1]:8080\r\n", "200"),
        ("1.1", "hOST:  example.com:80 \r\n", "200"),
    ] {
        let head = format!("GET /healthz HTTP/{version}\r\n{hosts}");
        // Where it is refused, nothing of what comes behind it may be read as a request.
        let close = if expected == "400" { "" } else { "Connection: close\r\n" };
        let answer = server.send(format!("{head}{close}\r\n{GET}")).await;
        assert_eq!(status(&answer), expected, "{version} {hosts:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.").count(), 1, "{version} {hosts:?}: {answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_transfer_coding_but_chunked_is_a_400_and_the_end() {
    let server = Server::start(ServeOptions::new("session@memory")).await;
    let body = r#"{"username":"user-7","password":"password-7"}"#;
    let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    for (version, codings, expected) in [
        ("1.1", &["chunked"][..], "200"),
        ("1.1", &["Chunked"], "200"),
        ("1.1", &["gzip, chunked"], "400"),
        ("1.1", &["gzip", "chunked"], "400"),
        ("1.1", &["chunked, chunked"], "400"),
        ("1.1", &["chunked", "chunked"], "400"),
        ("1.1", &["identity"], "400"),
        ("1.1", &["identity, chunked"], "400"),
        ("1.1", &["identity", "chunked"], "400"),
        ("1.1", &["chunked, identity"], "400"),
        ("1.1", &["chunked;x=y"], "400"),
        ("1.1", &["\"chunked\""], "400"),
        ("1.1", &["xchunked"], "400"),
        ("1.1", &["\x0bchunked"], "400"),
        ("1.1", &[", chunked"], "400"),
        ("1.1", &[""], "400"),
        ("1.0", &["chunked"], "400"),
    ] {
        let fields: String =
            codings.iter().map(|coding| format!("Transfer-Encoding: {coding}\r\n")).collect();
        let close = if expected == "400" { "" } else { "Connection: close\r\n" };
        let request = format!(
            "POST /login HTTP/{version}\r\nHost: x\r\nContent-Type: application/json\r\n\
             {close}{fields}\r\n{chunks}"
        );
        let answer = server.send(format!("{request}{GET}")).await;
        assert_eq!(status(&answer), expected, "{version} {codings:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.").count(), 1, "{version} {codings:?}: {answer}");
    }
    server.stop().await;
}

/// Waits until so many connections are open.
async fn connections_become(server: &Server, expected: u64) {
    let wait = async {
        while server.stats().await.connections != expected {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never {expected} connections"));
}

/// Fault 23: a client that never reads.
#[tokio::test]
async fn a_client_that_never_reads_is_cut_off() {
    let options =
        ServeOptions { write_stall: Duration::from_millis(300), ..ServeOptions::new("none") };
    let server = Server::start(options).await;
    let mut stream = server.connect().await;
    let requests = GET.repeat(1000);
    // Its answers fill what the kernel holds; then nothing is read of its requests either, until
    // the server gives it up.
    let write = async { while stream.write_all(requests.as_bytes()).await.is_ok() {} };
    timeout(PATIENCE, write).await.expect("the end of the connection");
    connections_become(&server, 0).await;
    assert_eq!(status(&server.send(get("/healthz")).await), "200");
    server.stop().await;
}

/// Slow is not stalled: it takes several times as long as a client may take nothing.
/// Fault 23: slow is not malicious.
#[tokio::test]
async fn a_client_that_reads_slowly_gets_every_answer() {
    const REQUESTS: usize = 60_000;
    let stall = Duration::from_secs(2);
    let server =
        Server::start(ServeOptions { write_stall: stall, ..ServeOptions::new("none") }).await;
    let socket = TcpSocket::new_v4().unwrap();
    // A small window, so that the kernel tells of each piece that was read.
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    let stream = socket.connect(server.line.address).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let requests = GET.repeat(REQUESTS - 1) + &get("/healthz");
    // The half comes back: to drop it would be to say that nothing is waited for any more.
    let write = tokio::spawn(async move {
        writing.write_all(requests.as_bytes()).await.unwrap();
        writing
    });
    let begun = tokio::time::Instant::now();
    let mut answers = 0;
    let mut piece = vec![0; 64 * 1024];
    let mut rest = Vec::new();
    let read = async {
        while let Ok(n @ 1..) = reading.read(&mut piece).await {
            rest.extend_from_slice(&piece[..n]);
            let found = rest.windows(15).filter(|window| window == b"HTTP/1.1 200 OK").count();
            answers += found;
            // What may be the beginning of the next one.
            let keep = rest.len().min(14);
            rest.drain(..rest.len() - keep);
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE * 3, read).await.expect("the end of the answers");
    assert_eq!(answers, REQUESTS, "after {:?}", begun.elapsed());
    assert!(begun.elapsed() > stall, "{:?}", begun.elapsed());
    drop(write.await.unwrap());
    server.stop().await;
}

/// A connection that has had an answer, and so has a place.
async fn placed(server: &Server) -> Option<TcpStream> {
    let mut stream = server.connect().await;
    let mut answer = [0; 1024];
    stream.write_all(GET.as_bytes()).await.ok()?;
    match timeout(PATIENCE, stream.read(&mut answer)).await.expect("an answer or an end") {
        Ok(n) if answer[..n].starts_with(b"HTTP/1.1 200 ") => Some(stream),
        Ok(n) => {
            let text = String::from_utf8_lossy(&answer[..n]);
            assert!(n == 0 || text.starts_with("HTTP/1.1 503 "), "{text}");
            assert!(n == 0 || text.contains("Retry-After: 1\r\n"), "{text}");
            None
        }
        Err(_) => None,
    }
}

/// Fault 23: the number of connections is limited.
#[tokio::test]
async fn a_connection_beyond_the_limit_is_turned_away_and_the_others_are_served() {
    let options = ServeOptions { max_connections: 3, ..ServeOptions::new("none") };
    let server = Server::start(options).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(placed(&server).await.expect("a place"));
    }
    for _ in 0..20 {
        assert!(placed(&server).await.is_none(), "a fourth connection");
    }
    for stream in &mut open {
        stream.write_all(GET.as_bytes()).await.unwrap();
        let mut answer = [0; 1024];
        let n = stream.read(&mut answer).await.unwrap();
        assert!(answer[..n].starts_with(b"HTTP/1.1 200 "));
    }
    let stats = server.stats().await;
    assert_eq!((stats.connections, stats.accept_errors), (3, 0));
    drop(open.pop());
    let wait = async {
        while placed(&server).await.is_none() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("the place of the one that ended");
    server.stop().await;
}

#[tokio::test]
async fn the_default_limit_is_met_by_no_ordinary_load() {
    const MANY: u64 = 1500;
    let options = ServeOptions::new("session@memory");
    assert!(options.max_connections <= 100_000);
    // Both ends are in this process.
    let limit = options.max_connections as u64;
    if limit < MANY * 3 {
        let more = "raise it (ulimit -n) to have this tried";
        crate::common::skipped(&format!("{MANY} connections, because {limit} open files: {more}"));
        return;
    }
    let server = Server::start(options).await;
    let mut open = Vec::new();
    for _ in 0..MANY {
        open.push(placed(&server).await.expect("a place"));
    }
    connections_become(&server, MANY).await;
    assert_eq!(status(&server.send(login(7)).await), "200");
    drop(open);
    connections_become(&server, 0).await;
    server.stop().await;
}

#[tokio::test]
async fn limits_that_make_no_sense_are_refused() {
    for (options, expected) in [
        (ServeOptions { max_connections: 0, ..ServeOptions::new("none") }, "max_connections"),
        (
            ServeOptions { max_connections: usize::MAX, ..ServeOptions::new("none") },
            "fewer than the limit of open files",
        ),
        (ServeOptions { write_stall: Duration::ZERO, ..ServeOptions::new("none") }, "write_stall"),
    ] {
        let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let listeners = (servers::bind(any).unwrap(), servers::bind(any).unwrap());
        let served = serve_arm(options, listeners.0, listeners.1, |_| {}, async {}).await;
        let error = served.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// What is said of the public listener holds for the admin's too: the shell is the same.
#[tokio::test]
async fn the_admin_listener_is_as_strict() {
    let server = Server::start(ServeOptions::new("none")).await;
    let answer = exchange(server.line.admin, "GET /stats HTTP/1.1\r\n\r\n").await;
    assert_eq!(status(&answer), "400", "{answer}");
    server.stop().await;
}
