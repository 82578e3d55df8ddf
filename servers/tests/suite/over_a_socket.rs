//! The server on real sockets, in bytes: limits of heads and bodies, framing that could smuggle,
//! slow clients, the stop, the admin listener. Each test has a server of its own, on port 0 of the
//! loopback.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::common::available_arms;
use crate::common::socket::{Server, exchange, get, login, post, status};
use serde_json::{Value, json};
use servers::contract::ReadyLine;
use servers::{ServeOptions, bind, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// Longer than anything here may take on a machine that is busy.
const SOON: Duration = Duration::from_secs(60);

/// A server that waits for its store however busy the machine is.
fn patient(arm: &str) -> ServeOptions {
    ServeOptions { store_timeout: crate::common::PATIENT.call(), ..ServeOptions::new(arm) }
}

/// The head of a request with this many header fields, `Host` included.
fn with_fields(count: usize) -> String {
    let more: String = (2..count).map(|n| format!("X-{n}: {n}\r\n")).collect();
    format!("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}\r\n")
}

#[tokio::test]
async fn every_arm_is_driven_by_its_ready_line() {
    for info in available_arms() {
        let server = Server::start(patient(info.arm)).await;
        let line = &server.line;
        assert_eq!((line.authbench, line.arm.as_str()), (1, info.arm));
        assert_eq!(line.pid, std::process::id());
        assert_ne!(line.address, line.admin);
        assert_eq!(line.target.base_url, format!("http://{}", line.address));
        let step = &line.target.journeys["browse"].steps[0];
        assert_eq!((step.method.as_str(), step.path.as_str()), ("GET", "/me"));
        let printed = serde_json::to_string(line).unwrap();
        let read: ReadyLine = serde_json::from_str(&printed).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), printed);
        if let Some(store) = &line.store {
            let secret = store.url.secret();
            assert!(secret.contains('@') && !printed.contains(secret), "{printed}");
            assert_eq!(read.store.unwrap().url.secret(), store.url.to_string());
        }

        let answer = server.send(login(7)).await;
        assert_eq!(status(&answer), "200", "{answer}");
        let login = line.target.login.as_ref().unwrap();
        let body: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
        let carried = match login.credential.to_string().as_str() {
            "json:/access_token" => {
                format!("Authorization: Bearer {}", body["access_token"].as_str().unwrap())
            }
            "json:/user_id" => format!("X-User-Id: {}", body["user_id"]),
            "cookie:__Host-session" => {
                let value = answer.split("__Host-session=").nth(1).unwrap();
                format!("Cookie: __Host-session={}", value.split(';').next().unwrap())
            }
            other => panic!("a source that this test does not know: {other}"),
        };
        let request = |request: &str| {
            format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{carried}\r\n\r\n")
        };
        let me = request("GET /me");
        let answer = server.send(me).await;
        assert!(answer.contains(r#"{"user_id":7,"name":"User 7","role":"member"}"#), "{answer}");

        let logout = line.target.logout.as_ref().unwrap();
        let answer = server.send(request(&format!("{} {}", logout.method, logout.path))).await;
        assert_eq!(status(&answer), logout.expect_status.to_string(), "{answer}");
        server.stop().await;
    }
}

/// Fault 22: every arm has the same limits.
#[tokio::test]
async fn limits_and_framing_are_the_same_for_every_arm() {
    let body = r#"{"username":"user-7","password":"password-7"}"#;
    let length = body.len();
    let chunked = "Transfer-Encoding: chunked\r\n";
    let in_chunks = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
    let megabytes = format!("Content-Length: {}\r\n", 2 << 20);
    let huge = "x".repeat(420_000);
    let get_with = |line: String| {
        format!("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{line}\r\n\r\n")
    };
    let rows: Vec<(&str, String, &str)> = vec![
        ("a login", login(7), "200"),
        ("100 fields", with_fields(100), "200"),
        ("101 fields", with_fields(101), "431"),
        ("a head of 420 kB", get_with(format!("X: {huge}")), "431"),
        ("a URI of 65,535 bytes", get(&format!("/{}", &huge[..65_534])), "431"),
        ("2 MB of body", post("/login", &megabytes, &"x".repeat(2 << 20)), "413"),
        ("2 MB announced only", post("/login", &megabytes, "x"), "413"),
        ("a body in chunks", post("/login", chunked, &in_chunks), "200"),
        ("a bad chunk", post("/login", chunked, "zz\r\nxx\r\n0\r\n\r\n"), "400"),
        (
            "two lengths",
            post("/login", &format!("Content-Length: {length}\r\nContent-Length: 1\r\n"), body),
            "400",
        ),
        ("an invalid length", post("/login", "Content-Length: +1\r\n", "x"), "400"),
        ("a field with a bare CR", get_with("X: a\rb".into()), "400"),
        ("a field with a NUL", get_with("X: a\0b".into()), "400"),
        ("a field name with a space", get_with("X y: z".into()), "400"),
        ("no HTTP", "hello\r\n\r\n".into(), "400"),
        (
            "chunks in HTTP/1.0",
            post("/login", chunked, &in_chunks).replace("HTTP/1.1", "HTTP/1.0"),
            "400",
        ),
    ];
    for info in available_arms() {
        let server = Server::start(patient(info.arm)).await;
        for (what, bytes, expected) in &rows {
            let answer = server.send(bytes).await;
            assert_eq!(status(&answer), *expected, "{} {what}: {answer:.300}", info.arm);
            assert_eq!(status(&server.send(login(7)).await), "200", "still serving after {what}");
        }
        assert_eq!(server.stats().await.panics, 0);
        server.stop().await;
    }
}

/// hyper drops a `Content-Length` that comes with chunks, reads the chunks, and closes (RFC 9112,
/// 6.3 allows it). Nothing may be left over for a next request: behind a proxy that reads the
/// length, what is left over would be a request that nobody sent.
#[tokio::test]
async fn a_length_beside_chunks_is_dropped_and_leaves_nothing_over() {
    let server = Server::start(ServeOptions::new("session@memory")).await;
    let body = r#"{"username":"user-7","password":"password-7"}"#;
    let head = "POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
    let framed = format!(
        "{head}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    let answer = server.send(format!("{framed}{}", get("/healthz"))).await;
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert_eq!(status(&answer), "200");
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(answer.ends_with(r#""role":"member"}"#), "{answer}");
    server.stop().await;
}

/// Fault 23: a head that does not end.
#[tokio::test]
async fn a_slow_head_is_cut_off_and_a_finished_one_is_not() {
    let timeout = Duration::from_millis(300);
    let options = ServeOptions { header_read_timeout: timeout, ..ServeOptions::new("none") };
    let server = Server::start(options).await;
    let begun = Instant::now();
    let answer = server.send("GET /healthz HTTP/1.1\r\nHost:").await;
    assert!(begun.elapsed() >= timeout, "{answer}");
    assert!(begun.elapsed() < SOON, "{answer}");
    assert_eq!(status(&server.send(get("/healthz")).await), "200");
    server.stop().await;
}

#[tokio::test]
async fn the_admin_listener_tells_what_the_public_one_does_not() {
    let server = Server::start(ServeOptions::new("session@memory")).await;
    for n in 0..5 {
        assert_eq!(status(&server.send(login(n)).await), "200");
    }
    for path in ["/stats", "/admin", "/metrics"] {
        assert_eq!(status(&server.send(get(path)).await), "404", "{path}");
    }
    for path in ["/login", "/me", "/"] {
        assert_eq!(status(&exchange(server.line.admin, get(path)).await), "404", "{path}");
    }
    let open = [server.connect().await, server.connect().await];
    let wait = async {
        while server.stats().await.connections != 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, wait).await.expect("two connections");
    let stats = server.stats().await;
    assert_eq!(stats.authbench, 1);
    assert_eq!((stats.live_sessions, stats.store_operations), (Some(5), Some(5)));
    assert_eq!((stats.swept_sessions, stats.panics), (Some(0), 0));
    assert_eq!(stats.allocated_bytes, None, "this process does not run on jemalloc");
    drop(open);
    server.stop().await;

    let stateless = Server::start(ServeOptions::new("jwt-hs256")).await;
    let stats = stateless.stats().await;
    assert_eq!((stats.live_sessions, stats.store_operations), (None, None));
    stateless.stop().await;
}

/// Fault 24: a server sweeps while it serves.
#[tokio::test]
async fn expired_sessions_are_swept_while_it_runs() {
    let options = ServeOptions {
        ttl: Duration::from_secs(1),
        sweep_every: Duration::from_millis(50),
        ..ServeOptions::new("session@memory")
    };
    let server = Server::start(options).await;
    for n in 0..3 {
        server.send(login(n)).await;
    }
    let wait = async {
        loop {
            let stats = server.stats().await;
            if (stats.live_sessions, stats.swept_sessions) == (Some(0), Some(3)) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, wait).await.expect("a sweep");
    server.stop().await;
}

/// A request that is under way is answered, idle connections are closed, new ones are refused.
#[tokio::test]
async fn a_stop_lets_open_requests_finish() {
    let server = Server::start(ServeOptions::new("session@memory")).await;
    let (address, mut idle) = (server.line.address, server.connect().await);
    let mut busy = server.connect().await;
    let request = login(7);
    let (first, rest) = request.split_at(request.len() - 10);
    busy.write_all(first.as_bytes()).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut piece = [0; 1024];
    assert!(idle.read(&mut piece).await.unwrap() > 0);
    let Server { stop, task, .. } = server;
    stop.send(()).unwrap();
    assert_eq!(idle.read(&mut piece).await.unwrap(), 0, "the idle connection is closed");
    busy.write_all(rest.as_bytes()).await.unwrap();
    let mut answer = String::new();
    busy.read_to_string(&mut answer).await.unwrap();
    assert_eq!(status(&answer), "200");
    task.await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let options =
        ServeOptions { drain: Duration::from_millis(200), ..ServeOptions::new("jwt-hs256") };
    let server = Server::start(options).await;
    let mut busy = server.connect().await;
    busy.write_all(&login(7).as_bytes()[..140]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let begun = Instant::now();
    server.stop().await;
    assert!((Duration::from_millis(200)..SOON).contains(&begun.elapsed()), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn nonsense_is_refused_before_anything_starts() {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    for (options, expected) in [
        (ServeOptions::new("jwt"), "choose one of none, session@memory,"),
        (ServeOptions { ttl: Duration::ZERO, ..ServeOptions::new("none") }, "expected ttl"),
        (
            ServeOptions { ttl: Duration::from_millis(1500), ..ServeOptions::new("none") },
            "whole number of seconds",
        ),
        (
            ServeOptions { access_ttl: Duration::ZERO, ..ServeOptions::new("none") },
            "expected access_ttl",
        ),
        (ServeOptions { idle: Some(Duration::ZERO), ..ServeOptions::new("none") }, "expected idle"),
        (
            ServeOptions { key: Some(vec![0; 31]), ..ServeOptions::new("jwt-hs256") },
            "at least 32 bytes for `jwt-hs256`, found 31",
        ),
    ] {
        let ready = |_: &ReadyLine| panic!("a server with these options must not be ready");
        let listeners = (bind(any).unwrap(), bind(any).unwrap());
        let served = serve(options, listeners.0, listeners.1, ready, async {}).await;
        let error = served.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// A real argon2id login costs tens of milliseconds; a request that is authenticated already costs
/// none of it, since hashing is off the threads that serve and leaves cores free.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hashing_does_not_stall_the_requests_of_others() {
    let options = ServeOptions {
        password_hash: servers::PasswordHash::Argon2id,
        ..ServeOptions::new("session@memory")
    };
    let server = Server::start(options).await;
    let address = server.line.address;
    let logins: Vec<_> = (0..8).map(|n| tokio::spawn(exchange(address, login(n)))).collect();
    let mut reads = 0;
    while !logins.iter().all(JoinHandle::is_finished) {
        assert_eq!(status(&server.send(get("/healthz")).await), "200");
        reads += 1;
    }
    let mut done = 0;
    for login in logins {
        match status(&login.await.unwrap()) {
            "200" => done += 1,
            // On a slow machine the last ones wait for longer than a login may.
            other => assert_eq!(other, "503"),
        }
    }
    assert!(done >= 1, "nobody got in");
    assert!(reads > 8, "{reads} reads during 8 logins");
    let wrong = login(7).replace("password-7", "password-8");
    let unknown = login(7).replace("user-7", "user-x");
    let (wrong, unknown) = (server.send(wrong).await, server.send(unknown).await);
    assert_eq!(status(&wrong), "401");
    assert_eq!(wrong.split("\r\n\r\n").nth(1), unknown.split("\r\n\r\n").nth(1));
    let stats = serde_json::to_value(server.stats().await).unwrap();
    assert_eq!(stats["live_sessions"], json!(done));
    server.stop().await;
}

/// A flood of logins costs those who are logged in nothing, and a user who comes with it an answer
/// and not a wait: the queue is full, so they are told to come later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_logins_is_answered_and_starves_nobody() {
    const LOGINS: usize = 200;
    let options = ServeOptions {
        password_hash: servers::PasswordHash::Argon2id,
        ..ServeOptions::new("session@memory")
    };
    let server = Server::start(options).await;
    let address = server.line.address;
    let flood: Vec<_> = (0..LOGINS).map(|_| tokio::spawn(exchange(address, login(7)))).collect();
    let (mut reads, mut honest) = (0, Vec::new());
    while !flood.iter().all(JoinHandle::is_finished) {
        assert_eq!(status(&server.send(get("/healthz")).await), "200");
        reads += 1;
        if reads % 100 == 1 {
            honest.push(tokio::spawn(exchange(address, login(8))));
        }
    }
    let (mut done, mut later) = (0, 0);
    for login in flood.into_iter().chain(honest) {
        let answer = login.await.unwrap();
        match status(&answer) {
            "200" => done += 1,
            "503" => {
                assert!(answer.contains("retry-after: 1"), "{answer}");
                assert!(answer.ends_with(r#"{"error":"unavailable"}"#), "{answer}");
                later += 1;
            }
            _ => panic!("{answer}"),
        }
    }
    assert!(done >= 1 && later >= 1 && reads >= 1, "{done} done, {later} later, {reads} reads");
    assert_eq!(status(&server.send(login(8)).await), "200", "after the flood");
    let stats = server.stats().await;
    assert_eq!((stats.live_sessions, stats.panics), (Some(done + 1), 0));
    server.stop().await;
}
