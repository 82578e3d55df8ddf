//! The knobs of `authbench serve` that put an arm into another context (`--handler-cpu`,
//! `--handler-wait`, `--store-delay`, `--touch`), and the experiments that turn them: what is
//! refused, what a server says and leaves behind, and what is in a record.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

fn authbench(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_authbench"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn refused(arguments: &[&str], part: &str) {
    let Output { status, stderr, .. } = authbench(arguments).output().unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(2), "{arguments:?}: {said}");
    assert!(said.contains(part), "{arguments:?}: {said}");
}

/// Whether this machine has the program of a store; what is passed over is said.
fn is_here(store: &str) -> bool {
    let Some(program) = servers::stores::missing_program(store) else { return true };
    let required = std::env::var_os("AUTHBENCH_REQUIRE_STORES").is_some();
    assert!(!required, "{store}: no `{}`", program.name);
    drop(writeln!(std::io::stderr(), "skipped: `{}` is missing", program.name));
    false
}

#[test]
fn knobs_that_do_not_fit_their_arm_are_refused() {
    let no_socket = "has no store in Redis or PostgreSQL; leave out `--store-delay`";
    for (arm, flags, part) in [
        ("jwt-hs256", "--store-delay 1ms", no_socket),
        ("session@memory", "--store-delay 1ms", no_socket),
        ("session@sqlite", "--store-delay 1ms", no_socket),
        ("session@redis", "--store-delay 2s", "at most 1 s"),
        ("session@redis", "--store-delay soon", "--store-delay"),
        ("none", "--idle 1m", "`none` has no idle timeout; leave out `--idle`"),
        ("jwt-hs256", "--idle 5m --touch 1m", "`jwt-hs256` has no idle timeout"),
        ("jwt-refresh@memory", "--idle 5m --touch never", "has no idle timeout"),
        ("jwt-cached", "--cache-ttl 5s", "has no cache of sessions; leave out `--cache-ttl`"),
        ("jwt-hs256", "--insecure-cookie", "`jwt-hs256` has no cookie"),
        ("session@memory", "--key-file x", "`session@memory` has no key; leave out `--key-file`"),
        ("none", "--previous-key-file x", "`none` has no key"),
        ("session@memory", "--touch 1m", "--idle"),
        ("session@memory", "--idle 30s --touch 1m", "shorter than idle"),
        ("session@memory", "--idle 5m --touch 0s", "more than nothing"),
        ("session@memory", "--idle 5m --touch often", "`always`, `never` or a duration"),
        ("none", "--handler-cpu 2s", "handler_cpu to be at most 1 s"),
        ("none", "--handler-wait 1500us", "handler_wait to be whole milliseconds"),
        ("none", "--handler-wait 2m", "at most 60 s"),
    ] {
        let arguments: Vec<_> = ["serve", arm].into_iter().chain(flags.split(' ')).collect();
        refused(&arguments, part);
    }
}

#[test]
fn a_variant_whose_arm_does_not_have_the_flag_is_refused() {
    for (variant, part) in [
        ("jwt-hs256+idle=15m", "`jwt-hs256` has no idle timeout; leave out `idle`"),
        ("jwt-hs256+cache-ttl=5s", "`jwt-hs256` has no cache of sessions; leave out `cache-ttl`"),
        ("session@memory+store-delay=1ms", "leave out `store-delay`"),
        ("session@memory+leeway=1s", "`session@memory` has no signed or sealed token"),
        ("jwt-hs256+access-ttl=1m", "`jwt-hs256` has no refresh token"),
        ("jwt-hs256+ttl=1h+sweep-every=1s", "leave out `sweep-every`"),
        ("none+ttl=1m", "`none` has no credential that expires; leave out `ttl`"),
    ] {
        refused(&["plan", "quick", "--arms", &format!("none,session@memory,{variant}")], part);
        refused(&["run", "--arm", variant, "--allow-debug"], part);
    }
    let fits = "none,session@memory+idle=15m,jwt-hs256+ttl=1h+threads=1,none+handler-cpu=50us";
    let output = authbench(&["plan", "quick", "--arms", fits]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Lifetimes that campaigns, soaks and attacks give to every server alike.
#[test]
fn a_server_takes_the_lifetimes_that_every_arm_is_given() {
    let flags = "--ttl 12h --access-ttl 12h --leeway 1s --sweep-every 1s --store-timeout 8s";
    for arm in ["none", "session@memory", "jwt-hs256"] {
        let arguments: Vec<_> = [arm].into_iter().chain(flags.split(' ')).collect();
        assert_eq!(Server::start(&arguments).ready["arm"], arm);
    }
}

/// A server, stopped with this value.
struct Server {
    child: Child,
    ready: Value,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        let mut command = authbench(&[]);
        command.arg("serve").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, ready: serde_json::from_str(&line).unwrap() }
    }

    fn ask(&self, head: &str, body: &str) -> String {
        let address = self.ready["address"].as_str().unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        let length = body.len();
        write!(
            stream,
            "{head}\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Logs user 7 in; the head of a request of theirs.
    fn log_in(&self) -> String {
        let body = r#"{"username":"user-7","password":"password-7"}"#;
        let answer = self.ask("POST /login HTTP/1.1", body);
        let (_, cookie) = answer.split_once("set-cookie: ").unwrap();
        let (cookie, _) = cookie.split_once(';').unwrap();
        format!("GET /me HTTP/1.1\r\ncookie: {cookie}")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_alive(pid: u64) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

fn until_gone(pid: u64) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while is_alive(pid) {
        assert!(Instant::now() < deadline, "{pid} is still there after two minutes");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Fault 17: no answer comes sooner than the store can.
/// Fault 32: a relay goes with its server.
#[test]
fn a_store_that_is_far_away_answers_no_sooner_and_goes_with_its_server() {
    let delay = Duration::from_millis(30);
    for store in ["redis", "postgres"].into_iter().filter(|store| is_here(store)) {
        let arm = format!("session@{store}");
        // Patient, because the machine may be busy and the way is long.
        let flags = [&arm, "--store-delay", "30ms", "--store-timeout", "60s"];
        let mut server = Server::start(&flags);
        let relay = &server.ready["relay"];
        assert_eq!(relay["round_trip_ns"], json!(30_000_000));
        let (relay, own) = (relay["pid"].as_u64().unwrap(), &server.ready["store"]);
        let own = own["pid"].as_u64().unwrap();
        assert!(is_alive(relay) && is_alive(own));
        let notes = server.ready["notes"].to_string();
        assert!(notes.contains("a round trip takes 30 ms more at least"), "{notes}");
        let me = server.log_in();
        for _ in 0..5 {
            let begun = Instant::now();
            let answer = server.ask(&me, "");
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            assert!(begun.elapsed() >= delay, "{arm}: {:?}", begun.elapsed());
        }
        // Whether it is stopped or killed.
        if store == "redis" {
            drop(server.child.stdin.take());
            assert!(server.child.wait().unwrap().success());
        }
        drop(server);
        until_gone(relay);
        until_gone(own);
    }
}

#[test]
fn a_store_at_a_url_can_be_far_away_too() {
    if !is_here("redis") {
        return;
    }
    let near = Server::start(&["session@redis"]);
    let url = near.ready["store"]["url"].as_str().unwrap();
    // A ready line shows no password, so this one is let in by nobody.
    let flags = ["serve", "session@redis", "--store-delay", "1ms", "--store-url", url];
    let output = authbench(&flags).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("NOAUTH") || said.contains("Authentication"), "{said}");
}

#[test]
fn what_every_handler_waits_is_in_every_answer() {
    let server = Server::start(&["session@memory", "--handler-wait", "20ms"]);
    let me = server.log_in();
    let begun = Instant::now();
    assert!(server.ask(&me, "").starts_with("HTTP/1.1 200"));
    assert!(begun.elapsed() >= Duration::from_millis(20));
}

fn campaign(folder: &Path, text: &str) -> Vec<Value> {
    let file = folder.join("c.toml");
    fs::write(&file, text).unwrap();
    let mut command = authbench(&["campaign", file.to_str().unwrap(), "--allow-debug"]);
    let output =
        command.args(["--skip-attacks", "--out"]).arg(folder.join("out")).output().unwrap();
    // A figure of a debug build on a busy machine may be invalid, which is 3.
    let said = String::from_utf8_lossy(&output.stderr);
    assert!([Some(0), Some(3)].contains(&output.status.code()), "{said}");
    let records = fs::read_dir(folder.join("out/trials")).unwrap();
    let read = |path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    records.map(|entry| read(entry.unwrap().path())).collect()
}

/// Fault 17: arms without a store do not wait.
#[test]
fn a_context_is_the_same_for_all_and_the_relay_is_billed_apart() {
    if !is_here("redis") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let records = campaign(
        folder.path(),
        "name='c'\narms=['none','session@memory','session@redis']\n[context]\n\
         distance=['0s','1ms']\ncpu=['0s','200us']\nwait=['0s']\nusers=4\nblocks=2\n\
         warmup='20ms'\nmeasure='100ms'\nslice='10ms'\n",
    );
    // Three arms and the reference again at four points, twice.
    assert_eq!(records.len(), 32);
    for record in &records {
        let (trial, used) = (&record["trial"], &record["actions"][0]["server"]);
        let level = trial["level"].as_u64().unwrap();
        let is_far = level >= 100_000 && trial["arm"] == "session@redis";
        assert_eq!(used["relay_cpu_ns"].as_u64().is_some_and(|ns| ns > 0), is_far, "{record}");
        let slices = record["actions"][0]["slices"].as_array().unwrap();
        let ok: u64 = slices.iter().map(|slice| slice["ok"].as_u64().unwrap()).sum();
        if level % 100_000 == 2_000 {
            // What is burnt is on the server's bill, for each request.
            let burnt = used["cpu_ns"].as_u64().unwrap();
            assert!(burnt >= ok * 190_000, "{burnt} ns for {ok} requests");
        }
    }
    let csv = fs::read_to_string(folder.path().join("out/measurements.csv")).unwrap();
    assert!(csv.contains("relay_cpu_us_per_request"), "{csv}");
    let page = fs::read_to_string(folder.path().join("out/report.md")).unwrap();
    for part in ["Predicted", "Work from which on", "store 1 ms away, 200 us of CPU"] {
        assert!(page.contains(part), "{part} in: {page}");
    }
}

#[test]
fn what_a_session_writes_is_counted_per_request() {
    let folder = tempfile::tempdir().unwrap();
    let records = campaign(
        folder.path(),
        "name='c'\narms=['none','session@memory']\n[sliding]\nusers=4\nblocks=2\nwarmup='20ms'\n\
         measure='100ms'\nslice='10ms'\n",
    );
    assert_eq!(records.len(), 18);
    for record in &records {
        let load = &record["actions"][0];
        let slices = load["slices"].as_array().unwrap();
        let ok: u64 = slices.iter().map(|slice| slice["ok"].as_u64().unwrap()).sum();
        let first = slices[0]["ok"].as_u64().unwrap();
        let writes = load["server"]["store_writes"].as_u64();
        match (record["trial"]["arm"].as_str(), &record["trial"]["level"]) {
            (Some("none"), _) => assert_eq!(writes, None, "{record}"),
            // Where several workers drive, some may be ahead of the first reading.
            (_, level) if *level == 0 => {
                assert!((ok - first..=ok).contains(&writes.unwrap()), "{writes:?} of {ok}");
            }
            _ => assert_eq!(writes, Some(0), "{record}"),
        }
    }
    let page = fs::read_to_string(folder.path().join("out/report.md")).unwrap();
    for part in ["every use", "never", "60 s", "Store writes per request"] {
        assert!(page.contains(part), "{part} in: {page}");
    }
}

#[test]
fn bytes_on_the_wire_are_counted_over_every_protocol() {
    let taken = || {
        let folder = tempfile::tempdir().unwrap();
        let records = campaign(
            folder.path(),
            "name='w'\narms=['none','session@memory','jwt-hs256']\n[wire]\nrate='200/s'\n\
             users=4\nconnections=2\nblocks=1\nwarmup='50ms'\nmeasure='1500ms'\n",
        );
        (folder, records)
    };
    // About 300 requests; fewer where the machine was busy while the server was asked.
    let is_enough = |records: &[Value]| {
        let wire = |record: &Value| record["actions"][1]["server"]["wire"]["requests"].as_u64();
        records.iter().all(|record| wire(record).is_some_and(|requests| requests >= 20))
    };
    let mut tries = (0..5).map(|_| taken());
    let (folder, records) = tries.find(|(_, records)| is_enough(records)).expect("enough requests");
    // Three arms and the reference again in four ways.
    assert_eq!(records.len(), 16);
    let mut received: BTreeMap<(String, u64), f64> = BTreeMap::new();
    for record in &records {
        let load = &record["actions"][1];
        let used = &load["server"];
        assert_eq!(load["counts"]["errors"], json!({}), "{record}");
        let counted = |name: &str| used["wire"][name].as_u64().unwrap();
        let (requests, read) = (counted("requests"), counted("read_bytes"));
        assert!(counted("written_bytes") > read / 10, "{used}");
        let trial = &record["trial"];
        let key = (trial["arm"].as_str().unwrap().to_owned(), trial["level"].as_u64().unwrap());
        received.insert(key, read as f64 / requests as f64);
    }
    let per_request = |arm: &str, level| received[&(arm.to_owned(), level)];
    for level in 1..=4 {
        // A token is a few hundred bytes longer than nothing, and longer than a session's id.
        let token = per_request("jwt-hs256", level) - per_request("none", level);
        let id = per_request("session@memory", level) - per_request("none", level);
        assert!(token > id && id > 0.0, "level {level}: {token} and {id}");
        assert!(token > 80.0, "no table of headers makes a token free: {token}");
    }
    for arm in ["none", "session@memory", "jwt-hs256"] {
        assert!(
            per_request(arm, 2) < per_request(arm, 1),
            "HTTP/2 sends what is the same in a few bytes"
        );
        assert!(per_request(arm, 3) > per_request(arm, 1), "TLS adds its records");
    }
    let page = fs::read_to_string(folder.path().join("out/report.md")).unwrap();
    for part in ["HTTP/1.1 over TLS", "HTTP/2", "Received per request"] {
        assert!(page.contains(part), "{part} in: {page}");
    }
}

#[test]
fn a_server_that_speaks_http2_or_tls_says_so_and_speaks_nothing_else() {
    let plain = Server::start(&["jwt-hs256", "--http2"]);
    assert_eq!(plain.ready["http2"], true, "{}", plain.ready);
    // The answer to HTTP/1.1 is HTTP/2's: settings, or a goodbye; never a status line.
    let mut stream = TcpStream::connect(plain.ready["address"].as_str().unwrap()).unwrap();
    stream.write_all(b"GET /me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let _ = stream.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/1."), "{answer:?}");
    let secured = Server::start(&["jwt-hs256", "--tls"]);
    let certificate = secured.ready["certificate"].as_str().unwrap();
    assert!(certificate.starts_with("-----BEGIN CERTIFICATE-----"), "{certificate}");
    assert!(secured.ready["target"]["base_url"].as_str().unwrap().starts_with("https://"));
}

/// The experiments know arms by their names alone, and must know the same ones as the servers.
#[test]
fn experiments_turn_the_knobs_that_an_arm_has() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.toml");
    let said = |arm: &str, table: &str| {
        fs::write(&file, format!("name='c'\narms=['none','{arm}']\n{table}\n")).unwrap();
        let output = authbench(&["plan", file.to_str().unwrap()]).output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    for info in servers::arms().iter().filter(|info| info.arm != "none") {
        let sessions = servers::schemes::session::SCHEMES.contains(&info.scheme);
        let refused = said(info.arm, "[sliding]").contains("expected an arm with sessions");
        assert_eq!(sessions, !refused, "{}", info.arm);
        let place = info.store.and_then(servers::stores::place);
        let socket = place.is_some_and(|place| place.program.is_some());
        let refused = said(info.arm, "[context]").contains("behind a socket");
        assert_eq!(socket, !refused, "{}", info.arm);
    }
}

#[test]
fn the_campaign_of_contexts_can_be_planned() {
    for campaign in ["context", concat!(env!("CARGO_MANIFEST_DIR"), "/presets/context.toml")] {
        let output = authbench(&["plan", campaign, "--skip-missing"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        let plan = String::from_utf8(output.stdout).unwrap();
        assert!(plan.contains("50 us of CPU, 5 ms of waiting"), "{plan}");
    }
}
