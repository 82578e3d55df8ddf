//! The same load through both transports, on servers that behave and misbehave by script: what a
//! request ends as, and how many of them a server sees, must not depend on the client. Where
//! reqwest cannot tell two ends apart, the table says so.

mod servers;

use std::path::PathBuf;

use loadgen::engine::{self, Driver, TransportKind, Trust};
use loadgen::error::{Error, Interrupt, Result};
use loadgen::journey::Script;
use loadgen::load::{Constant, LoadModel, UserChoice};
use loadgen::plan::LoadPlan;
use loadgen::record::LoadRecord;

use servers::{
    Authority, Reply, Server, closing_server, http2_server, nameless_server, self_signed, server,
    unprocessing_server,
};

const REQWEST: TransportKind = TransportKind::Reqwest { http2_only: false };
const BOTH: [TransportKind; 2] = [TransportKind::Lean, REQWEST];

fn driver(base_url: &str, method: &str, status: u16, check: bool) -> Driver {
    let check = if check { ", check = { json = '/user_id', equals = '{n}' }" } else { "" };
    let text = format!(
        "name = 't'\nbase_url = '{base_url}'\n[journeys.browse]\nsteps = [{{ name = 'me', path = \
         '/me', method = '{method}', expect_status = {status}{check} }}]\n"
    );
    let script = Script::new(&toml::from_str(&text).unwrap(), "browse").unwrap();
    Driver::new(script, vec![], 1, Interrupt::default()).unwrap()
}

/// Ten requests of one user within 200 ms, each on whichever of ten connections is free.
fn ten() -> LoadPlan {
    LoadPlan {
        model: LoadModel::Constant(Constant { rate_per_s: 50.0 }),
        journey: "browse".into(),
        users: 1,
        choice: UserChoice::InTurn,
        connections: 10,
        warmup_ns: 0,
        measure_ns: 200_000_000,
        drain_ns: 30_000_000_000,
        timeout_ns: 2_000_000_000,
        prepare: None,
        renewal: None,
    }
}

fn https(transport: TransportKind, server: &Server, host: &str, trust: Trust) -> Driver {
    let driver = driver(&format!("https://{host}:{}", server.address.port()), "GET", 200, true);
    Driver { transport, trust, ..driver }
}

/// What the only kind of end is called that all ten requests had; `ok` for right answers.
fn only_end(load: &LoadRecord) -> String {
    let counts = &load.counts;
    let mut ends: Vec<_> = counts.errors.iter().map(|(class, n)| (class.as_str(), *n)).collect();
    ends.extend((counts.ok > 0).then_some(("ok", counts.ok)));
    match ends[..] {
        [(end, 10)] => end.into(),
        _ => format!("{counts:?}"),
    }
}

fn right(pad: usize) -> Vec<u8> {
    let body = format!("{{\"user_id\":0{}}}", " ".repeat(pad));
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn run(driver: &Driver) -> Result<LoadRecord> {
    run_plan(driver, &ten())
}

fn run_plan(driver: &Driver, plan: &LoadPlan) -> Result<LoadRecord> {
    let load = engine::load(driver, plan, 1, |_| {})?;
    assert!(load.counts.balanced());
    Ok(load)
}

fn authority(name: &str) -> (Authority, tempfile::TempDir, PathBuf) {
    let (authority, folder) = (Authority::new(name), tempfile::tempdir().unwrap());
    let path = folder.path().join("ca.pem");
    authority.write(&path);
    (authority, folder, path)
}

/// What a server answers to a GET for /me, unless `asked` says otherwise, and how that ends through
/// `Lean` and through reqwest.
struct Case {
    name: &'static str,
    asked: (&'static str, u16, bool),
    reply: Reply,
    lean: &'static str,
    reqwest: &'static str,
}

fn same(name: &'static str, reply: Reply, end: &'static str) -> Case {
    Case { name, asked: ("GET", 200, true), reply, lean: end, reqwest: end }
}

/// A case that reqwest cannot tell from another one, or takes for what `Lean` does not.
fn apart(name: &'static str, reply: Reply, lean: &'static str, reqwest: &'static str) -> Case {
    Case { reqwest, ..same(name, reply, lean) }
}

fn asked(method: &'static str, status: u16, case: Case) -> Case {
    Case { asked: (method, status, false), ..case }
}

fn text(text: &str) -> Vec<u8> {
    text.replace('\n', "\r\n").into_bytes()
}

fn cases() -> Vec<Case> {
    let bytes = |answer: &str| Reply::Bytes(text(answer));
    let close = |answer: &str| Reply::Close(text(answer));
    let json = "{\"user_id\":0}";
    let chunked = format!("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\nd\n{json}\n0\n\n");
    let closing = format!("HTTP/1.1 200 OK\nConnection: close\nContent-Length: 13\n\n{json}");
    let interim = format!("HTTP/1.1 103 Hints\n\nHTTP/1.1 200 OK\nContent-Length: 13\n\n{json}");
    let length = "HTTP/1.1 200 OK\nContent-Length: ";
    vec![
        same("content-length", Reply::Bytes(right(0)), "ok"),
        same("a byte at a time", Reply::Drip(1, right(9)), "ok"),
        same("300 KB", Reply::Bytes(right(300_000)), "ok"),
        same("chunked", bytes(&chunked), "ok"),
        same("chunked, a byte at a time", Reply::Drip(1, text(&chunked)), "ok"),
        same("interim answer", bytes(&interim), "ok"),
        same("until the end", close(&format!("HTTP/1.1 200 OK\n\n{json}")), "ok"),
        same("connection: close", close(&closing), "ok"),
        same("HTTP/1.0", close(&format!("HTTP/1.0 200 OK\n\n{json}")), "ok"),
        asked("GET", 204, same("204", bytes("HTTP/1.1 204 No Content\n\n"), "ok")),
        asked("GET", 304, same("304", bytes("HTTP/1.1 304 No\nContent-Length: 9\n\n"), "ok")),
        asked("HEAD", 200, same("HEAD", bytes(&format!("{length}9\n\n")), "ok")),
        asked("POST", 200, same("POST without a body", Reply::Bytes(right(0)), "ok")),
        same("another user", bytes(&format!("{length}13\n\n{{\"user_id\":1}}")), "wrong_user"),
        same("401", bytes("HTTP/1.1 401 No\nContent-Length: 0\n\n"), "status_401"),
        same("503", bytes("HTTP/1.1 503 No\nContent-Length: 0\n\n"), "status_503"),
        same(
            "a redirect is not followed",
            bytes("HTTP/1.1 302 There\nLocation: /\nContent-Length: 0\n\n"),
            "status_302",
        ),
        same("reset", Reply::Reset, "reset"),
        same("closed", close(""), "closed"),
        same("half a body", close(&format!("{length}99\n\n{{")), "truncated"),
        same(
            "half a chunk",
            close("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n9\n{"),
            "truncated",
        ),
        same("17 MB", bytes(&format!("{length}17000000\n\n")), "body_too_large"),
        same("another protocol", bytes("220 mail ready\n\n"), "malformed"),
        same("two lengths", bytes(&format!("{length}1\nContent-Length: 2\n\nxx")), "malformed"),
        // hyper does not say whether anything of the head had come.
        apart("half a head", close("HTTP/1.1 200"), "truncated", "closed"),
        apart(
            "an invalid chunk",
            bytes("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\nxyz\n"),
            "malformed",
            "truncated",
        ),
        // hyper has given the answer away before it sees what follows.
        apart(
            "more than was asked for",
            bytes(&format!("{length}13\n\n{json}HTTP/1.1")),
            "malformed",
            "ok",
        ),
        apart("101", bytes("HTTP/1.1 101 Other\n\n"), "malformed", "status_101"),
    ]
}

#[test]
fn a_request_ends_alike_through_both_transports() {
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let check = |case: Case| {
            let (method, status, check) = case.asked;
            let server = server(case.reply, None);
            let mut wrong = Vec::new();
            for (transport, expected) in BOTH.into_iter().zip([case.lean, case.reqwest]) {
                let url = format!("http://{}", server.address);
                let driver = Driver { transport, ..driver(&url, method, status, check) };
                let before = server.seen();
                let end = only_end(&run(&driver).unwrap());
                let seen = server.seen() - before;
                if (end.as_str(), seen) != (expected, 10) {
                    let name = case.name;
                    wrong.push(format!("{name}, {transport}: {seen} seen, {expected} or {end}"));
                }
            }
            wrong
        };
        let running: Vec<_> =
            cases().into_iter().map(|case| scope.spawn(move || check(case))).collect();
        running.into_iter().flat_map(|case| case.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Fault 11: nothing is sent twice.
#[test]
fn a_request_on_a_connection_used_before_is_not_sent_twice() {
    let server = server(Reply::Once(right(0)), None);
    for transport in BOTH {
        let before = server.seen();
        let driver = driver(&format!("http://{}", server.address), "GET", 200, true);
        let driver = Driver { transport, ..driver };
        let plan = LoadPlan { connections: 1, ..ten() };
        let counts = run_plan(&driver, &plan).unwrap().counts;
        assert_eq!((counts.ok, counts.errors.get("closed")), (5, Some(&5)), "{counts:?}");
        assert_eq!(server.seen() - before, 10, "{transport}");
    }
}

#[test]
fn nobody_at_the_address() {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for transport in BOTH {
        let driver = driver(&format!("http://{address}"), "GET", 200, true);
        let driver = Driver { transport, ..driver };
        let error = run(&driver).unwrap_err();
        assert!(matches!(&error, Error::Target(text) if text.contains("refused")), "{error}");
    }
}

#[test]
fn reqwest_does_not_tell_what_is_on_the_wire() {
    let server = server(Reply::Bytes(right(0)), None);
    for transport in BOTH {
        let driver = driver(&format!("http://{}", server.address), "GET", 200, true);
        let driver = Driver { transport, ..driver };
        let load = run(&driver).unwrap();
        let known = transport == TransportKind::Lean;
        assert_eq!((load.bytes_sent.is_some(), load.bytes_received.is_some()), (known, known));
        assert_eq!(load.client.transport, transport.to_string());
        assert_eq!(load.client.http.as_deref(), Some("1.1"));
    }
}

#[test]
fn http2_is_spoken_where_both_sides_can() {
    let (authority, _folder, ca) = authority("ours");
    let both = authority.server(&["localhost"], 2200, &["h2", "http/1.1"]);
    let server = http2_server(Some(both));
    let mut driver = https(REQWEST, &server, "localhost", Trust::File(ca.clone()));
    for (transport, http) in [
        (REQWEST, "2"),
        (TransportKind::Reqwest { http2_only: true }, "2"),
        (TransportKind::Lean, "1.1"),
    ] {
        driver.transport = transport;
        let before = server.seen();
        let load = run(&driver).unwrap();
        assert_eq!((only_end(&load).as_str(), server.seen() - before), ("ok", 10));
        assert_eq!(load.client.http.as_deref(), Some(http));
        assert_eq!(load.client.verified, Some(true));
    }
    // Without TLS nobody can offer it, so it has to be known beforehand.
    let server = http2_server(None);
    let mut driver = self::driver(&format!("http://{}", server.address), "GET", 200, true);
    for (http2_only, http) in [(false, "1.1"), (true, "2")] {
        driver.transport = TransportKind::Reqwest { http2_only };
        let load = run(&driver).unwrap();
        assert_eq!((only_end(&load).as_str(), load.client.http.as_deref()), ("ok", Some(http)));
    }
}

#[test]
fn tls_answers_are_whole_however_they_are_cut_into_records() {
    let (authority, _folder, ca) = authority("ours");
    let config = authority.server(&["localhost", "127.0.0.1"], 2200, &["http/1.1"]);
    for reply in [
        Reply::Bytes(right(0)),
        Reply::Drip(1, right(100)),
        Reply::Bytes(right(300_000)),
        Reply::Close([&b"HTTP/1.1 200 OK\r\n\r\n"[..], b"{\"user_id\":0}"].concat()),
    ] {
        let server = server(reply, Some(config.clone()));
        for host in ["localhost", "127.0.0.1"] {
            for (transport, trust) in [
                (TransportKind::Lean, Trust::File(ca.clone())),
                (TransportKind::Lean, Trust::Anything),
                (REQWEST, Trust::File(ca.clone())),
                (REQWEST, Trust::Anything),
            ] {
                let load = run(&https(transport, &server, host, trust)).unwrap();
                assert_eq!(only_end(&load), "ok", "{transport}");
            }
        }
        assert_eq!(server.seen(), 80);
    }
}

#[test]
fn an_end_that_tls_did_not_announce_is_no_end_of_a_body() {
    let (authority, _folder, ca) = authority("ours");
    let config = authority.server(&["127.0.0.1"], 2200, &[]);
    let until_close = [&b"HTTP/1.1 200 OK\r\n\r\n"[..], b"{\"user_id\":0}"].concat();
    for (reply, class) in [
        (Reply::Cut(until_close), "truncated"),
        (Reply::Cut(right(100)[..60].to_vec()), "truncated"),
        (Reply::Cut(vec![]), "closed"),
        (Reply::Reset, "reset"),
    ] {
        let server = server(reply, Some(config.clone()));
        for transport in BOTH {
            let driver = https(transport, &server, "127.0.0.1", Trust::File(ca.clone()));
            assert_eq!(only_end(&run(&driver).unwrap()), class, "{transport}");
        }
        assert_eq!(server.seen(), 20);
    }
}

#[test]
fn a_certificate_that_proves_nothing_ends_the_load_and_says_why() {
    let (authority, _folder, ca) = authority("ours");
    let (_, _other_folder, other_ca) = self::authority("other");
    let good = authority.server(&["127.0.0.1"], 2200, &[]);
    let expired = authority.server(&["127.0.0.1"], 2002, &[]);
    let elsewhere = authority.server(&["example.test"], 2200, &[]);
    for (config, trust, why, remedy) in [
        (&good, Trust::System, "issuer is unknown", "--ca FILE"),
        (&good, Trust::File(other_ca), "issuer is unknown", "--ca FILE"),
        (&expired, Trust::File(ca.clone()), "has expired", "renew it"),
        (&elsewhere, Trust::File(ca.clone()), "for another name", "use a name that it holds"),
    ] {
        let server = server(Reply::Bytes(right(0)), Some(config.clone()));
        for transport in BOTH {
            let error = run(&https(transport, &server, "127.0.0.1", trust.clone())).unwrap_err();
            let Error::Target(text) = &error else { panic!("{error:?}") };
            for part in [why, "https://127.0.0.1", remedy, "--insecure"] {
                assert!(text.contains(part), "{transport}: {part}: {text}");
            }
            assert_eq!((error.exit_code(), server.seen()), (4, 0));
        }
    }
}

#[test]
fn a_request_larger_than_a_socket_takes_arrives_whole() {
    let (authority, _folder, ca) = authority("ours");
    let tls = authority.server(&["127.0.0.1"], 2200, &[]);
    let body = "x".repeat(12 << 20);
    for config in [None, Some(tls)] {
        let scheme = if config.is_some() { "https" } else { "http" };
        let server = server(Reply::Bytes(right(0)), config);
        let text = format!(
            "name = 't'\nbase_url = '{scheme}://{}'\n[journeys.browse]\nsteps = [{{ name = 'up', \
             path = '/up', method = 'POST', body = '{body}' }}]\n",
            server.address
        );
        let script = Script::new(&toml::from_str(&text).unwrap(), "browse").unwrap();
        let mut driver = Driver::new(script, vec![], 1, Interrupt::default()).unwrap();
        driver.trust = Trust::File(ca.clone());
        let model = LoadModel::Constant(Constant { rate_per_s: 10.0 });
        for transport in BOTH {
            driver.transport = transport;
            // A debug build encrypts it for seconds where others have the cores.
            let plan = LoadPlan { model: model.clone(), ..ten() };
            let plan = LoadPlan { timeout_ns: 60_000_000_000, drain_ns: 60_000_000_000, ..plan };
            let load = run_plan(&driver, &plan).unwrap();
            assert_eq!((load.counts.ok, load.counts.sent), (2, 2), "{transport}, {scheme}");
            assert!(load.bytes_sent.is_none_or(|sent| sent > 12 << 20), "{transport}, {scheme}");
        }
        assert_eq!(server.seen(), 4);
    }
}

/// Fault 10: both transports say `timeout`.
#[test]
fn silence_is_no_answer_in_time() {
    let (authority, _folder, ca) = authority("ours");
    let config = authority.server(&["127.0.0.1"], 2200, &[]);
    let server = server(Reply::Silence, Some(config));
    let plan = LoadPlan { timeout_ns: 500_000_000, drain_ns: 1_000_000_000, ..ten() };
    for transport in BOTH {
        let before = server.seen();
        let driver = https(transport, &server, "127.0.0.1", Trust::File(ca.clone()));
        let counts = run_plan(&driver, &plan).unwrap().counts;
        assert!(counts.errors["timeout"] > 0, "{counts:?}");
        assert_eq!(counts.failed() + counts.unfinished, 10, "{counts:?}");
        // None is sent twice. On a busy machine one may be late before its connection is open.
        assert!((1..=10).contains(&(server.seen() - before)), "{transport}: {}", server.seen());
    }
}

#[test]
fn a_plain_server_is_no_tls_server() {
    let server = server(Reply::Bytes(right(0)), None);
    for transport in BOTH {
        let error = run(&https(transport, &server, "127.0.0.1", Trust::Anything)).unwrap_err();
        assert!(matches!(&error, Error::Target(text) if text.contains("no TLS")), "{error}");
        let text = error.to_string();
        assert!(text.contains("http://") && !text.contains("--ca"), "{transport}: {text}");
    }
}

#[test]
fn a_handshake_that_fails_is_told_with_what_helps() {
    let (authority, _folder, _) = authority("ours");
    let http2 = server(Reply::Bytes(right(0)), Some(authority.server(&["a"], 2200, &["h2"])));
    let http2_only = https(TransportKind::Lean, &http2, "127.0.0.1", Trust::Anything);
    let text = run(&http2_only).unwrap_err().to_string();
    assert!(text.contains("--transport reqwest") && !text.contains("--ca"), "{text}");
    let (silent, nameless) = (closing_server(), nameless_server());
    for server in [&silent, &nameless] {
        for transport in BOTH {
            let driver = https(transport, server, "localhost", Trust::Anything);
            let text = run(&driver).unwrap_err().to_string();
            assert!(text.contains("(SNI)") && !text.contains("--ca"), "{transport}: {text}");
        }
    }
}

/// As `openssl req -x509` makes one: its own issuer, and an authority's.
#[test]
fn a_self_signed_certificate_that_is_named_is_believed_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, pem: &str| {
        std::fs::write(folder.path().join(name), pem).unwrap();
        Trust::File(folder.path().join(name))
    };
    let (pem, config) = self_signed("localhost", 2200);
    let (old_pem, old_config) = self_signed("localhost", 2002);
    let (other_pem, _) = self_signed("localhost", 2200);
    let (current, old) = (
        server(Reply::Bytes(right(0)), Some(config)),
        server(Reply::Bytes(right(0)), Some(old_config)),
    );
    let named = write("named.pem", &pem);
    for transport in BOTH {
        let load = run(&https(transport, &current, "localhost", named.clone())).unwrap();
        assert_eq!((only_end(&load).as_str(), load.client.verified), ("ok", Some(true)));
        for (server, host, trust, why) in [
            (&current, "127.0.0.1", named.clone(), "for another name"),
            (&current, "localhost", write("other.pem", &other_pem), "not accepted"),
            (&old, "localhost", write("old.pem", &old_pem), "has expired"),
        ] {
            let text = run(&https(transport, server, host, trust)).unwrap_err().to_string();
            assert!(text.contains(why), "{transport}: {why}: {text}");
        }
    }
}

#[test]
fn streams_that_a_server_did_not_process_are_sent_again_and_counted() {
    for refuses in [false, true] {
        let server = unprocessing_server(refuses);
        let driver = driver(&format!("http://{}", server.address), "GET", 200, false);
        let transport = TransportKind::Reqwest { http2_only: true };
        let load = run(&Driver { transport, ..driver }).unwrap();
        assert_eq!((only_end(&load).as_str(), server.seen()), ("ok", 10), "{refuses}");
        assert!((1..=9).contains(&load.client.resent), "{}", load.client.resent);
    }
}
